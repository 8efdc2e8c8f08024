//! SIP over streams: connections come in or are opened when something is to be sent; each has a
//! task that frames what it reads and one that writes what it is given.
//!
//! The signalling task never waits for a stream: a connection whose queue of unsent messages is
//! full is closed, since its peer does not read.

use bytes::{Bytes, BytesMut};
use sip::event::{Flow, Transport};
use sip::message::framer::{Framed, PONG, StreamFramer};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use switchboard::exchange::Input;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Messages that may wait for a slow peer; at the next one the connection is closed.
const UNSENT_MAX: usize = 256;
/// Messages of all streams that may wait for the signalling task; then their peers wait.
pub const INPUT_MAX: usize = 4_096;
/// How long a connection may take to open; SIP's own timers are longer (64*T1).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may be idle: longer than a call's session interval (RFC 4028) needs.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3_700);

/// What a connection's tasks tell the signalling task.
#[derive(Debug)]
pub enum StreamEvent {
    /// A peer connected; this is where messages to it go.
    Accepted(Flow, mpsc::Sender<Bytes>),
    /// For the exchange.
    Input(Input),
    /// The connection is gone.
    Gone(Flow),
}

/// The open connections, owned by the signalling task.
pub struct Streams {
    listen: SocketAddr,
    connections_max: usize,
    open: BTreeMap<Flow, mpsc::Sender<Bytes>>,
    events: mpsc::Sender<StreamEvent>,
}

impl Streams {
    /// Listens, and gives the connections' events. To be called within the runtime.
    ///
    /// # Errors
    /// The system's, when the address cannot be bound.
    pub async fn listen(
        listen: SocketAddr,
        connections_max: usize,
    ) -> std::io::Result<(Self, mpsc::Receiver<StreamEvent>)> {
        let listener = TcpListener::bind(listen).await?;
        let listen = listener.local_addr()?;
        let (events, receiver) = mpsc::channel(INPUT_MAX);
        tokio::spawn(accept(listener, listen, events.clone()));
        Ok((Self { listen, connections_max, open: BTreeMap::new(), events }, receiver))
    }

    /// Takes note of a connection; at the bound it is refused by being closed at once.
    pub fn accepted(&mut self, flow: Flow, messages: mpsc::Sender<Bytes>) {
        if self.open.len() < self.connections_max {
            self.open.insert(flow, messages);
        }
    }

    /// Forgets a connection.
    pub fn gone(&mut self, flow: &Flow) {
        self.open.remove(flow);
    }

    /// Closes a connection once what is queued on it is written.
    pub fn close(&mut self, flow: &Flow) {
        self.open.remove(flow);
    }

    /// Sends on the flow's connection, opening it if there is none. `false`: the connection was
    /// closed because its peer does not read, or there are too many.
    pub fn send(&mut self, flow: Flow, message: Bytes) -> bool {
        if let Some(messages) = self.open.get(&flow) {
            let sent = messages.try_send(message).is_ok();
            if !sent {
                self.open.remove(&flow);
            }
            return sent;
        }
        if self.open.len() >= self.connections_max {
            return false;
        }
        let (messages, receiver) = mpsc::channel(UNSENT_MAX);
        let sent = messages.try_send(message).is_ok();
        self.open.insert(flow, messages);
        tokio::spawn(connect(flow, receiver, self.events.clone()));
        sent
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Our address.
    pub fn local(&self) -> SocketAddr {
        self.listen
    }
}

async fn accept(listener: TcpListener, local: SocketAddr, events: mpsc::Sender<StreamEvent>) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let flow = Flow { transport: Transport::Tcp, local, remote };
                let (messages, receiver) = mpsc::channel(UNSENT_MAX);
                if events.send(StreamEvent::Accepted(flow, messages)).await.is_err() {
                    return;
                }
                serve(stream, flow, receiver, events.clone());
            }
            Err(error) => {
                // Usually too many open files: wait for some to close instead of spinning.
                tracing::warn!(%error, "a TCP connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn connect(flow: Flow, receiver: mpsc::Receiver<Bytes>, events: mpsc::Sender<StreamEvent>) {
    match timeout(CONNECT_TIMEOUT, TcpStream::connect(flow.remote)).await {
        Ok(Ok(stream)) => serve(stream, flow, receiver, events),
        Ok(Err(_)) | Err(_) => {
            let _ = events.send(StreamEvent::Input(Input::TransportFailed { flow })).await;
            let _ = events.send(StreamEvent::Gone(flow)).await;
        }
    }
}

fn serve(
    stream: TcpStream,
    flow: Flow,
    receiver: mpsc::Receiver<Bytes>,
    events: mpsc::Sender<StreamEvent>,
) {
    let _ = stream.set_nodelay(true);
    let (reader, writer) = stream.into_split();
    let (pongs, to_write) = mpsc::channel(4);
    tokio::spawn(write(writer, receiver, to_write));
    tokio::spawn(async move {
        read(reader, flow, &events, &pongs).await;
        let _ = events.send(StreamEvent::Input(Input::ConnectionClosed { flow })).await;
        let _ = events.send(StreamEvent::Gone(flow)).await;
    });
}

/// Reads until the peer closes, is idle too long, or sends what cannot be framed.
async fn read(
    mut reader: OwnedReadHalf,
    flow: Flow,
    events: &mpsc::Sender<StreamEvent>,
    pongs: &mpsc::Sender<()>,
) {
    let mut framer = StreamFramer::default();
    let mut buffer = BytesMut::with_capacity(16 * 1024);
    loop {
        buffer.clear();
        match timeout(IDLE_TIMEOUT, reader.read_buf(&mut buffer)).await {
            Ok(Ok(1..)) => (),
            Ok(Ok(0)) | Ok(Err(_)) | Err(_) => return,
        }
        framer.push(&buffer);
        loop {
            let input = match framer.take() {
                Ok(Some(Framed::Message(message))) => Input::Framed { flow, message },
                Ok(Some(Framed::Ping)) => {
                    // RFC 5626 §3.5.1: a double CRLF is answered by a single one.
                    let _ = pongs.try_send(());
                    continue;
                }
                Ok(Some(Framed::Pong)) => continue,
                Ok(None) => break,
                Err(error) => {
                    let lost = Input::FramingLost { flow, error };
                    // The loop is gone when this fails, and so is everything else.
                    let _ = events.send(StreamEvent::Input(lost)).await;
                    return;
                }
            };
            if events.send(StreamEvent::Input(input)).await.is_err() {
                return;
            }
        }
    }
}

async fn write(
    mut writer: OwnedWriteHalf,
    mut messages: mpsc::Receiver<Bytes>,
    mut pongs: mpsc::Receiver<()>,
) {
    loop {
        let written = tokio::select! {
            message = messages.recv() => match message {
                Some(message) => writer.write_all(&message).await,
                None => break,
            },
            Some(()) = pongs.recv() => writer.write_all(PONG).await,
        };
        if written.is_err() {
            break;
        }
    }
    let _ = writer.shutdown().await;
}
