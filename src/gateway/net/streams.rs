//! SIP over connections: they come in or are opened when something is to be sent. TCP, TLS and
//! WebSocket differ in how they begin; what then passes is the same.
//!
//! ```text
//! accept ─► a place ─► Knocks, let in ─► handshake ─► Accepted ─┐
//! send ───► a place ─► connect ─► handshake ────────────────────┴─► connection: reads, writes ─► Gone
//! ```
//!
//! The signalling task never waits for a connection: one whose queue of unsent messages is full is
//! closed, since its peer does not read. Closed means closed: when the signalling task lets go of a
//! connection, what is queued on it is written and the socket goes, whatever its peer does.

use super::connection::{Connection, tell_end};
use super::figures::{Figures, Loss};
use super::places::{Full, Place, Places};
use super::tls::{ClientCertificate, Tls};
use super::web_socket::WebSocket;
use bytes::Bytes;
use domain::id::TrunkId;
use sip::event::{Flow, Transport};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use switchboard::exchange::Input;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Messages that may wait for a slow peer; at the next one the connection is closed.
const UNSENT_MAX: usize = 256;
/// Messages of all streams that may wait for the signalling task; then their peers wait.
pub const INPUT_MAX: usize = 4_096;
/// Connections that the system holds until we take them.
const BACKLOG: i32 = 1_024;
/// How long a connection may take to open: after 1 and 3 s the system has asked again, and a
/// request too large for a datagram waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// Peers whose trunk is remembered; at the next one all are forgotten, and told again when dialled.
const EXPECTED_MAX: usize = 4_096;

/// What a connection's tasks tell the signalling task.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // Nearly all are messages; a box for each would only cost.
pub enum StreamEvent {
    /// Somebody wants to connect; it is let in by a word, before any handshake is begun.
    Knocks(IpAddr, oneshot::Sender<()>),
    /// A peer connected; this is where messages to it go, and the SIP domains of the certificate
    /// it showed, if any.
    Accepted(Flow, Messages, Option<Vec<Arc<str>>>),
    /// For the exchange.
    Input(Input),
    /// The connection is gone. Weak, since whoever holds the way to it keeps it open.
    Gone(Flow, mpsc::WeakSender<Bytes>),
}

/// The way to a connection. It is closed once nobody holds it.
type Messages = mpsc::Sender<Bytes>;

/// What connections are made with.
pub struct Rules {
    /// How many there may be.
    pub places: Places,
    /// Certificates; `None`: no TLS at all.
    pub tls: Option<Arc<Tls>>,
    /// How long TLS and WebSocket may take to come about, each.
    pub handshake: Duration,
    /// What befalls them.
    pub figures: Arc<Figures>,
}

/// What all tasks of connections share.
pub(super) struct Shared {
    pub(super) events: mpsc::Sender<StreamEvent>,
    pub(super) rules: Rules,
}

/// Whose a connection of ours must be.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Whose {
    trunk: TrunkId,
    host: Option<Arc<str>>,
}

/// The open connections, owned by the signalling task.
pub struct Streams {
    open: BTreeMap<Flow, Messages>,
    expected: BTreeMap<SocketAddr, Whose>,
    shared: Arc<Shared>,
    runtime: Handle,
}

impl Streams {
    /// None, and where their events come out. To be called within the runtime that is to serve the
    /// connections.
    pub fn new(rules: Rules) -> (Self, mpsc::Receiver<StreamEvent>) {
        let (events, receiver) = mpsc::channel(INPUT_MAX);
        let shared = Arc::new(Shared { events, rules });
        let (open, expected) = (BTreeMap::new(), BTreeMap::new());
        (Self { open, expected, shared, runtime: Handle::current() }, receiver)
    }

    /// Listens; the address bound.
    ///
    /// # Errors
    /// The system's, when the address cannot be bound.
    pub fn listen(
        &self,
        transport: Transport,
        address: SocketAddr,
        client: ClientCertificate,
    ) -> io::Result<SocketAddr> {
        let listener = bind(address)?;
        let local = listener.local_addr()?;
        let door = Door { transport, local, client, shared: self.shared.clone() };
        self.runtime.spawn(door.accept(listener));
        Ok(local)
    }

    /// Takes note of a connection.
    pub fn accepted(&mut self, flow: Flow, messages: Messages) {
        self.open.insert(flow, messages);
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

    /// A connection to `remote` that is opened from now on must lead to this trunk.
    pub fn expect(&mut self, remote: SocketAddr, trunk: TrunkId, host: Option<Arc<str>>) {
        if self.expected.len() >= EXPECTED_MAX && !self.expected.contains_key(&remote) {
            self.expected.clear();
        }
        self.expected.insert(remote, Whose { trunk, host });
    }

    /// Sends on the flow's connection, opening it if there is none. `false`: the connection was
    /// closed because its peer does not read, there are too many, or it is none that can be opened.
    pub fn send(&mut self, flow: Flow, message: Bytes) -> bool {
        if let Some(messages) = self.open.get(&flow) {
            let sent = messages.try_send(message).is_ok();
            if !sent {
                self.shared.rules.figures.count(Loss::Unsent);
                self.open.remove(&flow);
            }
            return sent;
        }
        // Port 0: no listener of ours speaks this transport, so nobody could answer.
        if flow.transport.is_web_socket() || flow.local.port() == 0 {
            return false;
        }
        let place = match self.shared.rules.places.take(None) {
            Ok(place) => place,
            Err(full) => {
                self.shared.count_full(full);
                return false;
            }
        };
        let (messages, receiver) = mpsc::channel(UNSENT_MAX);
        let sent = messages.try_send(message).is_ok();
        let way = messages.downgrade();
        let connection =
            Connection { flow, way, messages: receiver, shared: self.shared.clone(), place };
        self.open.insert(flow, messages);
        let whose = self.expected.get(&flow.remote).cloned();
        self.runtime.spawn(open(connection, whose));
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

    /// What befell them.
    pub fn figures(&self) -> &Figures {
        &self.shared.rules.figures
    }
}

impl Shared {
    fn count_full(&self, full: Full) {
        self.rules.figures.count(match full {
            Full::Total => Loss::Total,
            Full::Source => Loss::Source,
        });
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // After a restart, the ends of old connections must not stand in the way.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Where connections come in.
#[derive(Clone)]
struct Door {
    transport: Transport,
    local: SocketAddr,
    client: ClientCertificate,
    shared: Arc<Shared>,
}

impl Door {
    async fn accept(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => match self.shared.rules.places.take(Some(remote.ip())) {
                    Ok(place) => drop(tokio::spawn(self.clone().admit(stream, remote, place))),
                    // Dropped, and thereby closed.
                    Err(full) => self.shared.count_full(full),
                },
                Err(error) => {
                    // Usually too many open files: wait for some to close instead of spinning.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
            if self.shared.events.is_closed() {
                return;
            }
        }
    }

    async fn admit(self, stream: TcpStream, remote: SocketAddr, place: Place) {
        let _ = stream.set_nodelay(true);
        let flow = Flow { transport: self.transport, local: self.local, remote };
        if !self.is_let_in(remote.ip()).await {
            return self.shared.rules.figures.count(Loss::Guard);
        }
        let served = async {
            match self.transport {
                Transport::Udp | Transport::Tcp => {
                    self.take_up(flow, None, place).await?.serve(stream, false).await;
                }
                Transport::Tls => {
                    let (stream, names) = self.secure(stream).await?;
                    self.take_up(flow, names, place).await?.serve(stream, false).await;
                }
                Transport::Ws => {
                    let socket = self.in_time(WebSocket::accept(stream)).await?;
                    self.take_up(flow, None, place).await?.serve_web_socket(socket).await;
                }
                Transport::Wss => {
                    let (stream, names) = self.secure(stream).await?;
                    let socket = self.in_time(WebSocket::accept(stream)).await?;
                    self.take_up(flow, names, place).await?.serve_web_socket(socket).await;
                }
            }
            Some(())
        };
        // What went wrong is counted where it did.
        let _ = served.await;
    }

    /// Asks whether a source is heard at all: a handshake costs us more than its asker.
    async fn is_let_in(&self, source: IpAddr) -> bool {
        let (word, let_in) = oneshot::channel();
        let knock = StreamEvent::Knocks(source, word);
        self.shared.events.send(knock).await.is_ok() && let_in.await.is_ok()
    }

    /// Begins TLS: the stream, and the SIP domains of the certificate shown.
    async fn secure(&self, stream: TcpStream) -> Option<Secured> {
        let tls = self.shared.rules.tls.as_ref()?;
        let loaded = tls.current();
        let acceptor = TlsAcceptor::from(Arc::new(loaded.server(self.client)?));
        let stream = self.in_time(acceptor.accept(stream)).await?;
        let names = loaded.client_names(stream.get_ref().1);
        Some((stream, names))
    }

    /// The outcome of a handshake; `None`, counted, when it failed or took too long.
    async fn in_time<T, E: std::fmt::Display>(
        &self,
        handshake: impl Future<Output = Result<T, E>>,
    ) -> Option<T> {
        match timeout(self.shared.rules.handshake, handshake).await {
            Ok(Ok(made)) => return Some(made),
            Ok(Err(error)) => tracing::debug!(%error, local = %self.local, "no handshake"),
            Err(_) => tracing::debug!(local = %self.local, "a handshake took too long"),
        }
        self.shared.rules.figures.count(Loss::Handshake);
        None
    }

    /// Tells of the connection; `None` when nobody listens any more.
    async fn take_up(
        &self,
        flow: Flow,
        names: Option<Vec<Arc<str>>>,
        place: Place,
    ) -> Option<Connection> {
        let (messages, receiver) = mpsc::channel(UNSENT_MAX);
        let way = messages.downgrade();
        self.shared.events.send(StreamEvent::Accepted(flow, messages, names)).await.ok()?;
        Some(Connection { flow, way, messages: receiver, shared: self.shared.clone(), place })
    }
}

type Secured = (tokio_rustls::server::TlsStream<TcpStream>, Option<Vec<Arc<str>>>);

/// Opens a connection, then serves it.
async fn open(connection: Connection, whose: Option<Whose>) {
    let (flow, shared) = (connection.flow, connection.shared.clone());
    let opened = timeout(CONNECT_TIMEOUT, connect(flow)).await;
    let opened = opened.unwrap_or_else(|late| Err(late.into()));
    let failed = match opened {
        Ok(stream) if flow.transport == Transport::Tls => {
            match secure(&shared, stream, flow, whose.as_ref()).await {
                Ok((stream, names)) => {
                    let connected = StreamEvent::Input(Input::Connected { flow, names });
                    // The loop is gone when this fails, and so is everything else.
                    let _ = shared.events.send(connected).await;
                    return connection.serve(stream, true).await;
                }
                Err(error) => error,
            }
        }
        Ok(stream) => return connection.serve(stream, true).await,
        Err(error) => error,
    };
    shared.rules.figures.count(Loss::Unopened);
    let trunk = whose.map(|whose| whose.trunk.name.to_string()).unwrap_or_default();
    let (to, transport) = (flow.remote, flow.transport.via_name());
    tracing::warn!(%to, transport, trunk, error = %failed, "a connection could not be opened");
    let failed = Input::TransportFailed { flow };
    tell_end(&shared.events, failed, flow, connection.way).await;
}

/// Connects from the listener's own address, by which the peer may know us.
async fn connect(flow: Flow) -> io::Result<TcpStream> {
    let socket = match flow.remote {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if !flow.local.ip().is_unspecified() {
        socket.bind(SocketAddr::new(flow.local.ip(), 0))?;
    }
    let stream = socket.connect(flow.remote).await?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

type SecuredByUs = (tokio_rustls::client::TlsStream<TcpStream>, Option<Vec<Arc<str>>>);

async fn secure(
    shared: &Shared,
    stream: TcpStream,
    flow: Flow,
    whose: Option<&Whose>,
) -> io::Result<SecuredByUs> {
    let tls = shared.rules.tls.as_ref().ok_or(io::ErrorKind::Unsupported)?;
    let (trunk, host) = (whose.map(|it| &it.trunk), whose.and_then(|it| it.host.as_deref()));
    let expected = tls.expected(trunk, host, flow.remote.ip());
    let client = tls.client(trunk, expected.clone(), flow.remote.ip());
    let (config, name) = client.map_err(io::Error::other)?;
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = timeout(shared.rules.handshake, handshake).await??;
    let names = tls.server_names(stream.get_ref().1, trunk, &expected);
    Ok((stream, names))
}

#[cfg(test)]
mod tests;
