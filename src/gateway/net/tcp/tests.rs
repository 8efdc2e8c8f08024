use super::*;
use std::net::Ipv4Addr;

/// A bound on a test that would otherwise hang.
const SOON: Duration = Duration::from_secs(20);

async fn streams(connections_max: usize) -> (Streams, mpsc::Receiver<StreamEvent>) {
    Streams::listen((Ipv4Addr::LOCALHOST, 0).into(), connections_max).await.unwrap()
}

async fn next(events: &mut mpsc::Receiver<StreamEvent>) -> StreamEvent {
    timeout(SOON, events.recv()).await.unwrap().unwrap()
}

/// A peer connects and is taken note of.
async fn connect(
    streams: &mut Streams,
    events: &mut mpsc::Receiver<StreamEvent>,
) -> (TcpStream, Flow) {
    let peer = TcpStream::connect(streams.local()).await.unwrap();
    match next(events).await {
        StreamEvent::Accepted(flow, messages) => {
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
    let (mut streams, mut events) = streams(1).await;
    let (_first, first) = connect(&mut streams, &mut events).await;
    let (mut second, _) = connect(&mut streams, &mut events).await;
    assert_eq!(read_to_end(&mut second).await, b"");
    assert!(streams.send(first, Bytes::from_static(b"still there")));
    assert_eq!(streams.len(), 1);
}

#[tokio::test]
async fn closing_writes_what_is_queued_and_needs_no_consent() {
    let (mut streams, mut events) = streams(1).await;
    let (mut peer, flow) = connect(&mut streams, &mut events).await;
    assert!(streams.send(flow, Bytes::from_static(b"the last word")));
    streams.close(&flow);
    assert_eq!(read_to_end(&mut peer).await, b"the last word");
    // Its task told so, and would have read nothing more.
    assert!(matches!(
        next(&mut events).await,
        StreamEvent::Input(Input::ConnectionClosed { flow: gone }) if gone == flow
    ));
    assert!(matches!(next(&mut events).await, StreamEvent::Gone(gone, _) if gone == flow));
}

/// A request and the end of sending in one go: the answer still reaches the peer.
#[tokio::test]
async fn a_peer_that_only_listens_gets_its_answer() {
    let (mut streams, mut events) = streams(1).await;
    let (mut peer, flow) = connect(&mut streams, &mut events).await;
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
    let (mut streams, _events) = streams(4).await;
    let remote = streams.local();
    let flow = Flow { transport: Transport::Tcp, local: streams.local(), remote };
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
    let (mut streams, mut events) = streams(1).await;
    let (mut peer, _) = connect(&mut streams, &mut events).await;
    tokio::time::pause();
    let began = Instant::now();
    loop {
        match events.recv().await {
            Some(StreamEvent::Gone(flow, way)) => {
                streams.gone(&flow, &way);
                break;
            }
            Some(StreamEvent::Input(Input::ConnectionClosed { .. })) => (),
            other => panic!("{other:?}"),
        }
    }
    let silent = began.elapsed();
    // The timer rounds up to a millisecond; what passed before the pause is not counted.
    let late = silent.saturating_sub(FIRST_TIMEOUT);
    assert!(late <= Duration::from_millis(2) && silent + SOON > FIRST_TIMEOUT, "{silent:?}");
    assert!(streams.is_empty());
    let mut bytes = Vec::new();
    assert_eq!(peer.read_to_end(&mut bytes).await.unwrap(), 0);
}
