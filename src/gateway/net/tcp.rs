//! SIP over streams: connections come in or are opened when something is to be sent; each has a
//! task that frames what it reads and one that writes what it is given.
//!
//! The signalling task never waits for a stream: a connection whose queue of unsent messages is
//! full is closed, since its peer does not read. Closed means closed: when the signalling task lets
//! go of a connection, what is queued on it is written and the socket goes, whatever its peer does.

use bytes::{Bytes, BytesMut};
use sip::event::{Flow, Transport};
use sip::message::framer::{Framed, PONG, StreamFramer};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use switchboard::exchange::Input;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

/// Messages that may wait for a slow peer; at the next one the connection is closed.
const UNSENT_MAX: usize = 256;
/// Messages of all streams that may wait for the signalling task; then their peers wait.
pub const INPUT_MAX: usize = 4_096;
/// How long a connection may take to open; SIP's own timers are longer (64*T1).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a peer may take to read what we write: as long as a transaction (64*T1).
const WRITE_TIMEOUT: Duration = Duration::from_secs(32);
/// How long a new connection may be silent: whoever connects has something to say, and places are
/// few.
const FIRST_TIMEOUT: Duration = Duration::from_secs(32);
/// How long what a peer still sends is read and thrown away once we have closed.
const LINGER: Duration = Duration::from_secs(2);
/// How long a connection may be idle: longer than a call's session interval (RFC 4028) needs.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3_700);

/// What a connection's tasks tell the signalling task.
#[derive(Debug)]
pub enum StreamEvent {
    /// A peer connected; this is where messages to it go.
    Accepted(Flow, Messages),
    /// For the exchange.
    Input(Input),
    /// The connection is gone. Weak, since whoever holds the way to it keeps it open.
    Gone(Flow, mpsc::WeakSender<Bytes>),
}

/// The way to a connection. It is closed once nobody holds it.
type Messages = mpsc::Sender<Bytes>;

/// The open connections, owned by the signalling task.
pub struct Streams {
    listen: SocketAddr,
    connections_max: usize,
    open: BTreeMap<Flow, Messages>,
    events: mpsc::Sender<StreamEvent>,
    runtime: Handle,
}

impl Streams {
    /// Listens, and gives the connections' events. To be called within the runtime that is to serve
    /// the connections.
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
        let (open, runtime) = (BTreeMap::new(), Handle::current());
        Ok((Self { listen, connections_max, open, events, runtime }, receiver))
    }

    /// Takes note of a connection; at the bound it is refused by being closed at once.
    pub fn accepted(&mut self, flow: Flow, messages: Messages) {
        if self.open.len() < self.connections_max {
            self.open.insert(flow, messages);
        }
    }

    /// Forgets a connection, unless another has taken its place meanwhile.
    pub fn gone(&mut self, flow: &Flow, messages: &mpsc::WeakSender<Bytes>) {
        let Some(open) = self.open.get(flow) else { return };
        if messages.upgrade().is_some_and(|gone| gone.same_channel(open)) {
            self.open.remove(flow);
        }
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
        let connection = Connection {
            flow,
            way: messages.downgrade(),
            messages: receiver,
            events: self.events.clone(),
        };
        self.open.insert(flow, messages);
        self.runtime.spawn(connection.open());
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
                let way = messages.downgrade();
                if events.send(StreamEvent::Accepted(flow, messages)).await.is_err() {
                    return;
                }
                let events = events.clone();
                let connection = Connection { flow, way, messages: receiver, events };
                tokio::spawn(connection.serve(stream));
            }
            Err(error) => {
                // Usually too many open files: wait for some to close instead of spinning.
                tracing::warn!(%error, "a TCP connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// One connection, as its task has it.
struct Connection {
    flow: Flow,
    /// By which the signalling task knows it from a later one between the same addresses.
    way: mpsc::WeakSender<Bytes>,
    messages: mpsc::Receiver<Bytes>,
    events: mpsc::Sender<StreamEvent>,
}

impl Connection {
    /// Opens it, then serves it.
    async fn open(self) {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(self.flow.remote)).await {
            Ok(Ok(stream)) => self.serve(stream).await,
            Ok(Err(_)) | Err(_) => {
                let failed = Input::TransportFailed { flow: self.flow };
                tell_end(&self.events, failed, self.flow, self.way).await;
            }
        }
    }

    /// Reads and writes until the peer or the signalling task lets go of it.
    async fn serve(self, stream: TcpStream) {
        let Self { flow, way, messages, events } = self;
        let _ = stream.set_nodelay(true);
        let (mut reader, writer) = stream.into_split();
        let (pongs, to_write) = mpsc::channel(4);
        let mut writing = pin!(write(writer, messages, to_write));
        let peer_went = tokio::select! {
            () = read(&mut reader, flow, &events, &pongs) => true,
            () = &mut writing => false,
        };
        tell_end(&events, Input::ConnectionClosed { flow }, flow, way).await;
        if peer_went {
            // The signalling task lets go of it now; what it has queued is still written.
            writing.await;
        }
        // Closed with something unread, the system would take back what we wrote last.
        let _ = timeout(LINGER, tokio::io::copy(&mut reader, &mut tokio::io::sink())).await;
    }
}

/// The loop is gone when this fails, and so is everything else.
async fn tell_end(
    events: &mpsc::Sender<StreamEvent>,
    end: Input,
    flow: Flow,
    way: mpsc::WeakSender<Bytes>,
) {
    let _ = events.send(StreamEvent::Input(end)).await;
    let _ = events.send(StreamEvent::Gone(flow, way)).await;
}

/// Reads until the peer closes, is idle too long, or sends what cannot be framed.
async fn read(
    reader: &mut OwnedReadHalf,
    flow: Flow,
    events: &mpsc::Sender<StreamEvent>,
    pongs: &mpsc::Sender<()>,
) {
    let mut framer = StreamFramer::default();
    let mut buffer = BytesMut::with_capacity(16 * 1024);
    // Drop by drop does not count: a first whole message by then.
    let mut until = Instant::now() + FIRST_TIMEOUT;
    loop {
        buffer.clear();
        match timeout_at(until, reader.read_buf(&mut buffer)).await {
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
                    until = Instant::now() + IDLE_TIMEOUT;
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
            until = Instant::now() + IDLE_TIMEOUT;
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
        let message = tokio::select! {
            message = messages.recv() => match message {
                Some(message) => message,
                None => break,
            },
            Some(()) = pongs.recv() => Bytes::from_static(PONG),
        };
        match timeout(WRITE_TIMEOUT, writer.write_all(&message)).await {
            Ok(Ok(())) => (),
            Ok(Err(_)) | Err(_) => break,
        }
    }
    let _ = writer.shutdown().await;
}

#[cfg(test)]
mod tests;
