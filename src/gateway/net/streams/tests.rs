use super::*;
use crate::net::connection::FIRST_TIMEOUT;
use std::net::Ipv4Addr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

mod secured;

/// A bound on a test that would otherwise hang.
const SOON: Duration = Duration::from_secs(20);

/// A machine with one TCP listener, or one of another transport.
struct Stand {
    streams: Streams,
    events: mpsc::Receiver<StreamEvent>,
    local: SocketAddr,
}

fn stand(connections_max: usize) -> Stand {
    stand_with(Transport::Tcp, connections_max, None)
}

fn stand_with(transport: Transport, connections_max: usize, tls: Option<Arc<Tls>>) -> Stand {
    let stand = stand_at_the_door(transport, connections_max, tls);
    Stand { events: let_in(stand.events), ..stand }
}

/// One whose test says who is let in.
fn stand_at_the_door(transport: Transport, connections_max: usize, tls: Option<Arc<Tls>>) -> Stand {
    let (streams, events) = Streams::new(Rules {
        places: Places::new(connections_max, 8),
        tls,
        handshake: Duration::from_secs(10),
        figures: Arc::new(Figures::default()),
    });
    let any = (Ipv4Addr::LOCALHOST, 0).into();
    let local = streams.listen(transport, any, ClientCertificate::Asked).unwrap();
    Stand { streams, events, local }
}

/// The same events, whoever knocks being let in.
fn let_in(mut all: mpsc::Receiver<StreamEvent>) -> mpsc::Receiver<StreamEvent> {
    let (sender, events) = mpsc::channel(INPUT_MAX);
    tokio::spawn(async move {
        while let Some(event) = all.recv().await {
            match event {
                StreamEvent::Knocks(_, word) => drop(word.send(())),
                other => {
                    if sender.send(other).await.is_err() {
                        return;
                    }
                }
            }
        }
    });
    events
}

async fn next(events: &mut mpsc::Receiver<StreamEvent>) -> StreamEvent {
    timeout(SOON, events.recv()).await.unwrap().unwrap()
}

/// A peer connects and is taken note of.
async fn connect(
    streams: &mut Streams,
    events: &mut mpsc::Receiver<StreamEvent>,
    local: SocketAddr,
) -> (TcpStream, Flow) {
    let peer = TcpStream::connect(local).await.unwrap();
    match next(events).await {
        StreamEvent::Accepted(flow, messages, None) => {
            streams.accepted(flow, messages);
            (peer, flow)
        }
        other => panic!("{other:?}"),
    }
}

/// What the peer reads until we close; it never closes itself.
async fn read_to_end(peer: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    timeout(SOON, peer.read_to_end(&mut bytes)).await.unwrap().unwrap();
    bytes
}

#[tokio::test]
async fn one_too_many_is_closed_and_not_only_forgotten() {
    let Stand { mut streams, mut events, local } = stand(1);
    let (_first, first) = connect(&mut streams, &mut events, local).await;
    let mut second = TcpStream::connect(local).await.unwrap();
    assert_eq!(read_to_end(&mut second).await, b"");
    assert_eq!(streams.figures().of(Loss::Total), 1);
    assert!(streams.send(first, Bytes::from_static(b"still there")));
    assert_eq!(streams.len(), 1);
}

/// Who is not let in is closed before anything is said, over TLS before the handshake.
#[tokio::test]
async fn who_is_not_let_in_is_closed_at_once() {
    let Stand { streams, mut events, local } = stand_at_the_door(Transport::Tls, 1, None);
    let mut peer = TcpStream::connect(local).await.unwrap();
    let knock = next(&mut events).await;
    let StreamEvent::Knocks(source, word) = knock else { panic!("{knock:?}") };
    assert_eq!(source, Ipv4Addr::LOCALHOST);
    drop(word);
    assert_eq!(read_to_end(&mut peer).await, b"");
    assert_eq!(streams.figures().of(Loss::Guard), 1);
    // Its place is free again.
    let _next = TcpStream::connect(local).await.unwrap();
    assert!(matches!(next(&mut events).await, StreamEvent::Knocks(..)));
}

#[tokio::test]
async fn closing_writes_what_is_queued_and_needs_no_consent() {
    let Stand { mut streams, mut events, local } = stand(1);
    let (mut peer, flow) = connect(&mut streams, &mut events, local).await;
    assert!(streams.send(flow, Bytes::from_static(b"the last word")));
    streams.close(&flow);
    assert_eq!(read_to_end(&mut peer).await, b"the last word");
    // Its task told so, and would have read nothing more: first that nothing goes this way any more,
    // so that what is to be sent once more opens another connection.
    assert!(matches!(next(&mut events).await, StreamEvent::Gone(gone, _) if gone == flow));
    assert!(matches!(
        next(&mut events).await,
        StreamEvent::Input(Input::ConnectionClosed { flow: gone }) if gone == flow
    ));
}

/// A request and the end of sending in one go: the answer still reaches the peer.
#[tokio::test]
async fn a_peer_that_only_listens_gets_its_answer() {
    let Stand { mut streams, mut events, local } = stand(1);
    let (mut peer, flow) = connect(&mut streams, &mut events, local).await;
    let request = b"OPTIONS sip:h SIP/2.0\r\nContent-Length: 0\r\n\r\n";
    peer.write_all(request).await.unwrap();
    peer.shutdown().await.unwrap();
    assert!(matches!(next(&mut events).await, StreamEvent::Input(Input::Framed { .. })));
    assert!(streams.send(flow, Bytes::from_static(b"answer")));
    loop {
        if let StreamEvent::Gone(flow, way) = next(&mut events).await {
            streams.gone(&flow, &way);
            break;
        }
    }
    assert_eq!(read_to_end(&mut peer).await, b"answer");
    assert!(streams.is_empty());
}

/// The end of a connection that was replaced does not end the one that took its place.
#[tokio::test]
async fn an_old_end_does_not_close_the_next_connection() {
    let Stand { mut streams, events: _events, local } = stand(4);
    let flow = Flow { transport: Transport::Tcp, local, remote: local };
    let (old, _) = mpsc::channel(1);
    let way = old.downgrade();
    streams.accepted(flow, old);
    let (new, _kept) = mpsc::channel(1);
    streams.accepted(flow, new);
    streams.gone(&flow, &way);
    assert_eq!(streams.len(), 1);
}

/// Nobody speaks, and the place is free again; the time passes at once.
#[tokio::test]
async fn a_silent_connection_loses_its_place() {
    let Stand { mut streams, mut events, local } = stand(1);
    let (mut peer, _) = connect(&mut streams, &mut events, local).await;
    tokio::time::pause();
    let began = Instant::now();
    match events.recv().await {
        Some(StreamEvent::Gone(flow, way)) => streams.gone(&flow, &way),
        other => panic!("{other:?}"),
    }
    let silent = began.elapsed();
    // The timer rounds up to a millisecond; what passed before the pause is not counted.
    let late = silent.saturating_sub(FIRST_TIMEOUT);
    assert!(late <= Duration::from_millis(2) && silent + SOON > FIRST_TIMEOUT, "{silent:?}");
    assert!(streams.is_empty());
    let mut bytes = Vec::new();
    assert_eq!(peer.read_to_end(&mut bytes).await.unwrap(), 0);
}

/// Nothing is written to a peer that does not read: the queue fills and the connection goes.
#[tokio::test]
async fn who_does_not_read_is_closed() {
    let Stand { mut streams, mut events, local } = stand(1);
    let (_peer, flow) = connect(&mut streams, &mut events, local).await;
    let message = Bytes::from(vec![b'x'; 60_000]);
    let sent = (0..10_000).take_while(|_| streams.send(flow, message.clone())).count();
    assert!((UNSENT_MAX..10_000).contains(&sent), "{sent}");
    assert_eq!((streams.len(), streams.figures().of(Loss::Unsent)), (0, 1));
}

/// RFC 5626 §4.4.1: a far end that answered our pings and stops is gone; the time passes at once.
#[tokio::test]
async fn a_far_end_that_stops_answering_is_gone() {
    let far = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let Stand { mut streams, mut events, local } = stand(1);
    let flow = Flow { transport: Transport::Tcp, local, remote: far.local_addr().unwrap() };
    assert!(streams.send(flow, Bytes::from_static(b"first")));
    let (mut peer, _) = far.accept().await.unwrap();
    let mut first = [0; 5];
    peer.read_exact(&mut first).await.unwrap();
    // A message, so that it is not silent.
    peer.write_all(b"OPTIONS sip:h SIP/2.0\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert!(matches!(next(&mut events).await, StreamEvent::Input(Input::Framed { .. })));
    tokio::time::pause();
    let mut ping = [0; 4];
    peer.read_exact(&mut ping).await.unwrap();
    assert_eq!(&ping, b"\r\n\r\n");
    peer.write_all(b"\r\n").await.unwrap();
    peer.read_exact(&mut ping).await.unwrap();
    // This one is not answered.
    let mut rest = Vec::new();
    peer.read_to_end(&mut rest).await.unwrap();
    assert_eq!((rest, streams.figures().of(Loss::NoPong)), (vec![], 1));
}
