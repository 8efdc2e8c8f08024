//! The event stream over a real loopback connection.

use super::kit::Kit;
use crate::state::Limits;
use domain::id::CallId;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use switchboard::event::Live;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The API on a loopback port.
struct Served {
    kit: Kit,
    url: String,
}

impl Served {
    async fn new(limits: Limits, kept: usize) -> Self {
        let kit = Kit::with(limits, kept);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/v1/events", listener.local_addr().unwrap());
        let api = kit.api.clone();
        tokio::spawn(async move { axum::serve(listener, api).await });
        Self { kit, url }
    }

    /// Opens a stream for a tenant; gives it with the number at which it begins.
    async fn open(&self, tenant: usize, query: &str) -> Result<(Socket, u64), u16> {
        let mut request = format!("{}{query}", self.url).into_client_request().unwrap();
        let bearer = format!("Bearer {}", self.kit.keys[tenant]);
        request.headers_mut().insert("authorization", bearer.parse().unwrap());
        match connect_async(request).await {
            Ok((socket, response)) => {
                let begin = response.headers()["trunkline-sequence"].to_str().unwrap();
                Ok((socket, begin.parse().unwrap()))
            }
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    fn key(&self, call: u64, digit: char) {
        self.kit.state.publish(&Live::Key { call: CallId(call), digit }, 1_800_000_000_000);
    }
}

async fn event(socket: &mut Socket) -> Value {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) => (),
            other => panic!("{other}"),
        }
    }
}

async fn closed(socket: &mut Socket) -> (u16, String) {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Close(Some(frame)) => return (frame.code.into(), frame.reason.to_string()),
            Message::Close(None) => panic!("closed without a reason"),
            _ => (),
        }
    }
}

#[tokio::test]
async fn a_stream_that_broke_goes_on_behind_the_last_event_seen() {
    let served = Served::new(Limits::default(), 100).await;
    served.kit.call_started("default", 7);
    served.kit.call_started("other", 8);
    let (mut socket, begin) = served.open(0, "").await.unwrap();
    served.key(7, '1');
    served.key(8, '2');
    served.key(7, '3');
    // Only what came after the opening, and only the own tenant's.
    let first = event(&mut socket).await;
    let expected = json!({"seq": begin + 1, "at": "2027-01-15T08:00:00.000Z", "type": "call.key",
        "call": 7, "digit": "1"});
    assert_eq!(first, expected);
    drop(socket);
    served.key(7, '4');
    let (mut socket, _) = served.open(0, &format!("?after={}", first["seq"])).await.unwrap();
    for digit in ["3", "4"] {
        assert_eq!(event(&mut socket).await["digit"], digit);
    }
    let (mut other, _) = served.open(1, &format!("?after={begin}")).await.unwrap();
    assert_eq!(event(&mut other).await["digit"], "2");
    served.key(8, '5');
    assert_eq!(event(&mut other).await["digit"], "5");
}

#[tokio::test]
async fn a_number_no_longer_kept_is_answered_with_a_gap() {
    let served = Served::new(Limits::default(), 3).await;
    served.kit.call_started("default", 7);
    let (_, begin) = served.open(0, "").await.unwrap();
    for digit in ['1', '2', '3', '4'] {
        served.key(7, digit);
    }
    for after in [begin, 0, begin + 99] {
        let (mut socket, _) = served.open(0, &format!("?after={after}")).await.unwrap();
        let gap = json!({"type": "gap", "oldest": begin + 2});
        assert_eq!(event(&mut socket).await, gap, "{after}");
        assert_eq!(event(&mut socket).await["digit"], "2");
    }
}

#[tokio::test]
async fn a_stream_that_is_overtaken_is_closed_with_the_way_back() {
    let served = Served::new(Limits::default(), 8).await;
    served.kit.call_started("default", 7);
    let (mut socket, _) = served.open(0, "").await.unwrap();
    served.key(7, '1');
    assert_eq!(event(&mut socket).await["digit"], "1");
    // The stream's task cannot run in between: this test has one thread and does not wait.
    for _ in 0..20 {
        served.key(7, '2');
    }
    let expected = (4008, "too slow: come back with ?after=SEQ".to_owned());
    assert_eq!(closed(&mut socket).await, expected);
}

#[tokio::test]
async fn streams_end_with_a_reason_and_are_counted() {
    let limits = Limits { streams_of_tenant: 1, ..Limits::default() };
    let served = Served::new(limits, 8).await;
    let (mut first, _) = served.open(0, "").await.unwrap();
    assert_eq!(served.open(0, "").await.err(), Some(429));
    let (mut other, _) = served.open(1, "").await.unwrap();
    first.send(Message::text("hello")).await.unwrap();
    let expected = (1003, "this stream only tells; orders go over HTTP".to_owned());
    assert_eq!(closed(&mut first).await, expected);
    served.kit.state.close_streams();
    assert_eq!(closed(&mut other).await.0, 1012);
    let mut forged = Served { kit: Kit::new(), url: served.url.clone() };
    forged.kit.keys[0] = "tk_forged".into();
    assert_eq!(forged.open(0, "").await.err(), Some(401));
}
