//! The sockets, endpoint and sound of a trial: does what the script orders and tells it what was seen.

use super::ask::Ask;
use super::certificate;
use super::facts::Facts;
use super::finding::Finding;
use super::script::{Asked, Do, Manner, RING_MAX, Script, Seen};
use crate::media_worker::{MediaWorkers, for_telephone};
use crate::net::figures::Figures;
use crate::net::places::Places;
use crate::net::streams::{Rules, StreamEvent, Streams};
use crate::net::tls::{ClientCertificate, Tls};
use crate::signalling::now;
use bytes::Bytes;
use domain::hop::Hop;
use domain::id::{LegId, TenantId, TrunkId};
use domain::ip_version::{IpVersion, IpVersions};
use domain::media_plan::Codec;
use media::event::{MediaCommand, MediaEvent};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use sip::digest::Algorithm;
use sip::endpoint::Endpoint;
use sip::endpoint::config::{
    Credentials, EndpointConfig, Limits, Listener, Network, Reliable, SessionPolicy, Strangers,
    TrunkAccess,
};
use sip::endpoint::defence::DefenceRules;
use sip::event::trunk::{TrunkCommand, TrunkEvent};
use sip::event::{
    Action, Caller, Flow, LegCommand, LegEvent, MAX_FORWARDS, Target, TransferTo, Transport,
};
use sip::identity::border::{Border, Methods};
use sip::message::uri::Uri;
use sip::message::{Message, parse, parse_framed};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use switchboard::exchange::Input;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use trunk::registration::RegistrationRules;

/// What the line is made with.
pub struct Setup {
    /// The trunk.
    pub trunk: TrunkId,
    /// Where it is, and the name it was located by.
    pub hop: Hop,
    /// The address of ours that it sees; `None`: the one that packets to it leave from.
    pub local: Option<IpAddr>,
    /// Certificates.
    pub tls: Arc<Tls>,
    /// User, password and realm.
    pub credentials: Option<Credentials>,
    /// How it wants us registered, if it does.
    pub registration: Option<RegistrationRules>,
    /// Header rules and what is trusted.
    pub border: Border,
    /// In the order we like them.
    pub codecs: Vec<Codec>,
    /// First and last port of RTP.
    pub ports: (u16, u16),
    /// The number called.
    pub number: Arc<str>,
    /// The number shown; empty: none is.
    pub from: Arc<str>,
    /// The session interval asked for, in seconds.
    pub interval_s: u32,
}

struct Line {
    setup: Setup,
    udp: Option<UdpSocket>,
    streams: Streams,
    listeners: Vec<Listener>,
    endpoint: Endpoint,
    rng: StdRng,
    workers: MediaWorkers,
    ask: Option<Ask>,
    secured: mpsc::Sender<Result<String, String>>,
    leg: Option<Leg>,
    next_leg: u64,
    /// Final responses that were told of: repetitions are not.
    finals: BTreeSet<(String, u32, String)>,
    orders: VecDeque<Do>,
    sip: Vec<Action>,
    over: bool,
}

/// The one call it can have.
struct Leg {
    id: LegId,
    manner: Manner,
    local: Option<SocketAddr>,
}

/// Runs a trial to its end; `tell` gets each finding as it is made.
///
/// # Errors
/// The system's: no socket or thread could be had.
pub async fn run(setup: Setup, asked: Asked, mut tell: impl FnMut(&Finding)) -> io::Result<Script> {
    let (media, mut sounds) = mpsc::unbounded_channel();
    let (secured, mut handshakes) = mpsc::channel(1);
    let (mut line, mut connections) = Line::open(setup, media, secured).await?;
    let mut orders = Vec::new();
    let mut script = Script::start(asked, now().instant, &mut orders);
    line.orders.extend(orders);
    let mut buffer = vec![0; 65_535];
    loop {
        line.obey(&mut script, &mut tell);
        if line.over {
            return Ok(script);
        }
        let deadline = line.deadline(&script);
        tokio::select! {
            received = receive(line.udp.as_ref(), &mut buffer) => {
                if let Ok((length, remote)) = received {
                    let bytes = Bytes::copy_from_slice(&buffer[..length]);
                    line.datagram(bytes, remote, &mut script);
                }
            }
            Some(event) = connections.recv() => line.stream(event, &mut script),
            Some(event) = sounds.recv() => line.sound(event, &mut script),
            Some(result) = handshakes.recv() => line.saw(Seen::Secured(result), &mut script),
            () = tokio::time::sleep_until(deadline.into()) => line.expire(&mut script),
        }
    }
}

async fn receive(udp: Option<&UdpSocket>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match udp {
        Some(udp) => udp.recv_from(buffer).await,
        None => std::future::pending().await,
    }
}

/// The address that packets to `remote` leave from. None is sent.
fn towards(remote: SocketAddr) -> io::Result<IpAddr> {
    let any: SocketAddr = match remote {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let socket = std::net::UdpSocket::bind(any)?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}

fn manner_trunk(manner: Manner) -> TrunkId {
    let name = match manner {
        Manner::Full => "full",
        Manner::Plain => "plain",
        Manner::Late => "late",
    };
    TrunkId::new(&TenantId::default(), name)
}

impl Line {
    async fn open(
        setup: Setup,
        media: mpsc::UnboundedSender<MediaEvent>,
        secured: mpsc::Sender<Result<String, String>>,
    ) -> io::Result<(Self, mpsc::Receiver<StreamEvent>)> {
        let remote = setup.hop.address;
        let ip = setup.local.map_or_else(|| towards(remote), Ok)?;
        let any = SocketAddr::new(ip, 0);
        let (streams, connections) = Streams::new(Rules {
            places: Places::new(16, 16),
            tls: Some(setup.tls.clone()),
            handshake: setup.tls.handshake(),
            figures: Arc::new(Figures::default()),
        });
        let (mut udp, mut listeners) = (None, Vec::new());
        let streamed: &[Transport] = match setup.hop.transport {
            Transport::Udp => {
                let socket = UdpSocket::bind(any).await?;
                listeners.push(Listener::at(Transport::Udp, socket.local_addr()?));
                udp = Some(socket);
                &[Transport::Tcp]
            }
            Transport::Tls => &[Transport::Tls],
            Transport::Tcp | Transport::Ws | Transport::Wss => &[Transport::Tcp],
        };
        for transport in streamed {
            let local = streams.listen(*transport, any, ClientCertificate::Asked)?;
            listeners.push(Listener::at(*transport, local));
        }
        let endpoint = endpoint_config(&setup, listeners.clone());
        // The trial may be over when a sound's word comes.
        let workers = for_telephone(ip, setup.ports, move |event| drop(media.send(event)))?;
        let line = Self {
            setup,
            udp,
            streams,
            listeners,
            endpoint: Endpoint::new(endpoint, Box::new(StdRng::from_os_rng())),
            rng: StdRng::from_os_rng(),
            workers,
            ask: None,
            secured,
            leg: None,
            next_leg: 2,
            finals: BTreeSet::new(),
            orders: VecDeque::new(),
            sip: Vec::new(),
            over: false,
        };
        Ok((line, connections))
    }

    fn deadline(&self, script: &Script) -> std::time::Instant {
        let ask = self.ask.as_ref().map(Ask::deadline);
        let all = [script.deadline(), self.endpoint.deadline(), ask];
        let soonest = all.into_iter().flatten().min();
        soonest.unwrap_or_else(|| now().instant + Duration::from_secs(1))
    }

    fn expire(&mut self, script: &mut Script) {
        let now = now();
        self.endpoint.handle_deadline(now, &mut self.sip);
        let mut sent = Vec::new();
        let due = self.ask.as_ref().is_some_and(|ask| ask.deadline() <= now.instant);
        if due && self.ask.as_mut().is_some_and(|ask| !ask.handle_deadline(now.instant, &mut sent))
        {
            self.ask = None;
            self.saw(Seen::Options(None), script);
        }
        self.send_all(sent);
        let mut orders = Vec::new();
        script.handle_deadline(now.instant, &mut orders);
        self.orders.extend(orders);
        self.perform(script);
    }

    fn saw(&mut self, seen: Seen, script: &mut Script) {
        let mut orders = Vec::new();
        script.handle(seen, now().instant, &mut orders);
        self.orders.extend(orders);
    }

    fn send_all(&mut self, messages: Vec<(Flow, Bytes)>) {
        for (flow, message) in messages {
            self.transmit(flow, message);
        }
    }

    fn transmit(&mut self, flow: Flow, message: Bytes) {
        if flow.transport == Transport::Udp {
            if let Some(udp) = &self.udp {
                // A lost datagram is repeated by its transaction.
                let _ = udp.try_send_to(&message, flow.remote);
            }
            return;
        }
        // Each connection of the trial leads to the trunk.
        let host = self.setup.hop.server_name().map(Arc::from);
        self.streams.expect(flow.remote, self.setup.trunk.clone(), host);
        self.streams.send(flow, message);
    }

    fn flow(&self, transport: Transport) -> Option<Flow> {
        let listener = self.listeners.iter().find(|it| it.transport == transport)?;
        Some(Flow { transport, local: listener.local, remote: self.setup.hop.address })
    }

    fn datagram(&mut self, bytes: Bytes, remote: SocketAddr, script: &mut Script) {
        let Some(flow) = self.flow(Transport::Udp) else { return };
        let flow = Flow { remote, ..flow };
        if let Ok(message) = parse(bytes.clone())
            && self.look(&message, script)
        {
            return;
        }
        self.endpoint.receive(flow, bytes, now(), &mut self.sip);
        self.perform(script);
    }

    fn stream(&mut self, event: StreamEvent, script: &mut Script) {
        match event {
            // Whoever knocked may have gone.
            StreamEvent::Knocks(_, word) => drop(word.send(())),
            StreamEvent::Accepted(flow, messages, _) => self.streams.accepted(flow, messages),
            StreamEvent::Gone(flow, way) => self.streams.gone(&flow, &way),
            StreamEvent::Input(Input::Framed { flow, message }) => {
                if let Ok(message) = parse_framed(message.clone())
                    && self.look(&message, script)
                {
                    return;
                }
                self.endpoint.receive_framed(flow, message, now(), &mut self.sip);
            }
            StreamEvent::Input(Input::FramingLost { flow, error }) => {
                self.endpoint.framing_lost(flow, error, now(), &mut self.sip);
            }
            StreamEvent::Input(Input::TransportFailed { flow }) => {
                self.endpoint.transport_failed(flow, now(), &mut self.sip);
                if self.ask.take_if(|ask| ask.flow() == flow).is_some() {
                    self.saw(Seen::Options(None), script);
                }
            }
            StreamEvent::Input(Input::ConnectionClosed { flow }) => {
                self.endpoint.connection_closed(flow, now(), &mut self.sip);
            }
            StreamEvent::Input(Input::Connected { flow, names }) => {
                self.endpoint.connected(flow, names);
            }
            // What streams never tell.
            StreamEvent::Input(
                Input::Message { .. }
                | Input::Unsent { .. }
                | Input::Withheld { .. }
                | Input::Event(_),
            ) => (),
        }
        self.perform(script);
    }

    /// Shows a message to whoever waits for it; `true`: it is none of the endpoint's.
    fn look(&mut self, message: &Message, script: &mut Script) -> bool {
        let Message::Response(response) = message else { return false };
        if let Some(facts) = self.ask.as_ref().and_then(|ask| ask.answered(response)) {
            self.ask = None;
            self.saw(Seen::Options(Some(facts)), script);
            return true;
        }
        let (Ok((number, method)), Ok(call_id)) =
            (response.headers.cseq(), response.headers.call_id())
        else {
            return false;
        };
        let key = (call_id.to_owned(), number, method.as_str().to_owned());
        if response.status < 200 || self.finals.insert(key) {
            self.saw(Seen::Response(method, Facts::of(response)), script);
        }
        false
    }

    fn registration(&mut self, event: TrunkEvent, script: &mut Script) {
        match event {
            TrunkEvent::Registered { .. } => self.saw(Seen::Registered(Ok(())), script),
            TrunkEvent::RegisterFailed { status, .. } => {
                self.saw(Seen::Registered(Err(status.unwrap_or(408))), script);
            }
            TrunkEvent::Unregistered { .. } => self.saw(Seen::Unregistered, script),
            // OPTIONS are sent without it, since they go to numbers, too.
            TrunkEvent::Probed { .. } => (),
        }
    }

    fn perform(&mut self, script: &mut Script) {
        while !self.sip.is_empty() {
            for action in std::mem::take(&mut self.sip) {
                match action {
                    Action::Transmit { flow, message, .. } => self.transmit(flow, message),
                    Action::Up(event) => self.leg_event(event, script),
                    Action::Trunk(event) => self.registration(event, script),
                    Action::Close { flow } => self.streams.close(&flow),
                    Action::Matched { .. } | Action::Expect { .. } => (),
                }
            }
        }
    }

    fn leg_event(&mut self, event: LegEvent, script: &mut Script) {
        let ours = |leg: &LegId| self.leg.as_ref().is_some_and(|it| it.id == *leg);
        match event {
            LegEvent::Established { leg, plan } if ours(&leg) => {
                let events = plan.event_payload_type.is_some();
                self.workers.send(MediaCommand::Connect { leg, plan });
                self.saw(Seen::Established { events }, script);
            }
            LegEvent::Changed { leg, plan } if ours(&leg) => {
                self.workers.send(MediaCommand::Connect { leg, plan });
            }
            LegEvent::InfoDigit { leg, digit } if ours(&leg) => {
                self.saw(Seen::Digit(digit), script);
            }
            LegEvent::Ended { leg, cause } => {
                self.workers.send(MediaCommand::Close { leg });
                if ours(&leg) {
                    self.leg = None;
                    self.saw(Seen::Ended(cause), script);
                }
            }
            // While it is registered, a call may come: it is not for a trial.
            LegEvent::Incoming { leg, .. } => {
                let refusal =
                    LegCommand::Refuse { leg, status: 486, retry_after_s: None, q850: None };
                self.endpoint.handle(refusal, now(), &mut self.sip);
            }
            LegEvent::Referred { leg, .. } => {
                let refusal = LegCommand::RefuseRefer { leg, status: 603 };
                self.endpoint.handle(refusal, now(), &mut self.sip);
            }
            LegEvent::Established { .. }
            | LegEvent::Changed { .. }
            | LegEvent::InfoDigit { .. }
            | LegEvent::Dialled { .. }
            | LegEvent::Ringing { .. }
            | LegEvent::RetryAfter { .. }
            | LegEvent::Refused { .. }
            | LegEvent::TransferProgress { .. }
            | LegEvent::Registered { .. }
            | LegEvent::Unregistered { .. } => (),
        }
    }

    fn sound(&mut self, event: MediaEvent, script: &mut Script) {
        match event {
            MediaEvent::Opened { leg, local, .. } => self.opened(leg, local),
            MediaEvent::OpenFailed { leg, .. } => {
                if self.leg.take_if(|it| it.id == leg).is_some() {
                    self.saw(Seen::Ended(domain::cause::Cause::not_admitted()), script);
                }
            }
            MediaEvent::Digit { digit, .. } => self.saw(Seen::Digit(digit), script),
            MediaEvent::PlaybackEnded { .. }
            | MediaEvent::SpeechStarted { .. }
            | MediaEvent::SpeechEnded { .. }
            | MediaEvent::Silent { .. }
            | MediaEvent::Closed { .. } => (),
        }
        self.perform(script);
    }

    /// The port is there: the INVITE leaves.
    fn opened(&mut self, leg: LegId, local: SocketAddr) {
        let Some(own) = self.leg.as_mut().filter(|it| it.id == leg) else {
            return self.workers.send(MediaCommand::Close { leg });
        };
        own.local = Some(local);
        let manner = own.manner;
        let dial = LegCommand::Dial {
            leg,
            target: Target::Trunk {
                trunk: manner_trunk(manner),
                hop: self.setup.hop.clone(),
                user: self.setup.number.clone(),
            },
            caller: Caller::shown(self.setup.from.clone()),
            local_media: local,
            ring_for: RING_MAX,
            heard_within: None,
            call_id: None,
            max_forwards: MAX_FORWARDS,
            service_route: Vec::new(),
        };
        self.endpoint.handle(dial, now(), &mut self.sip);
    }

    fn command(&mut self, command: impl FnOnce(LegId, SocketAddr) -> LegCommand) {
        if let Some(Leg { id, local: Some(local), .. }) = self.leg {
            self.endpoint.handle(command(id, local), now(), &mut self.sip);
        }
    }
}

/// What the script orders.
impl Line {
    /// Does all that is ordered, and what follows from it at once.
    fn obey(&mut self, script: &mut Script, tell: &mut impl FnMut(&Finding)) {
        while let Some(order) = self.orders.pop_front() {
            match order {
                Do::Secure => self.secure(),
                Do::Register => self.register(true),
                Do::Unregister => self.register(false),
                Do::Options { user, transport } => self.options(user, transport, script),
                Do::Dial(manner) => self.dial(manner),
                Do::Hold(on) => self.command(|leg, _| LegCommand::Hold { leg, on }),
                Do::Refresh => {
                    self.command(|leg, local_media| LegCommand::Offer { leg, local_media });
                }
                Do::Digits(digits) => {
                    if let Some(leg) = self.leg.as_ref().map(|leg| leg.id) {
                        self.workers.send(MediaCommand::SendDigits { leg, digits });
                    }
                }
                Do::Refer(number) => self
                    .command(|leg, _| LegCommand::Transfer { leg, to: TransferTo::User(number) }),
                Do::HangUp => self.hang_up(),
                Do::Tell(finding) => tell(&finding),
                Do::Over => self.over = true,
            }
            self.perform(script);
        }
    }

    fn secure(&self) {
        let hop = &self.setup.hop;
        let host = hop.server_name().map(Arc::from);
        let (tls, trunk, remote) = (self.setup.tls.clone(), self.setup.trunk.clone(), hop.address);
        let secured = self.secured.clone();
        let now_s = now().wall_ms / 1_000;
        tokio::spawn(async move {
            let result = certificate::look(tls, trunk, host, remote, now_s).await;
            // The trial may have gone on without it.
            let _ = secured.send(result).await;
        });
    }

    /// As the gateway does it: by the trunk's account, its challenge answered.
    fn register(&mut self, on: bool) {
        let Some(rules) = self.setup.registration.clone() else { return };
        let (trunk, hop) = (manner_trunk(Manner::Full), self.setup.hop.clone());
        let (user, contact) = (rules.account.user, rules.account.contact);
        let command = match on {
            true => TrunkCommand::Register { trunk, hop, user, contact, expires: rules.expires },
            false => TrunkCommand::Unregister { trunk, hop, user, contact },
        };
        self.endpoint.handle_trunk(command, now(), &mut self.sip);
    }

    /// The trunk as URIs name it: the name that it was located by, or its address.
    fn host(&self) -> String {
        let hop = &self.setup.hop;
        hop.host.as_ref().map_or_else(|| hop.address.to_string(), ToString::to_string)
    }

    fn options(&mut self, user: Option<Arc<str>>, transport: Transport, script: &mut Script) {
        let user = user.map_or_else(String::new, |user| format!("{user}@"));
        let uri = Uri::parse(&format!("sip:{user}{}", self.host()));
        let (Some(flow), Ok(uri)) = (self.flow(transport), uri) else {
            return self.saw(Seen::Options(None), script);
        };
        let mut sent = Vec::new();
        let (contact, unique) = (flow.local.to_string(), self.rng.next_u64());
        let ask = Ask::start((flow, &contact), uri, unique, now().instant, &mut sent);
        self.ask = Some(ask);
        self.send_all(sent);
    }

    fn dial(&mut self, manner: Manner) {
        self.hang_up();
        let leg = LegId(self.next_leg);
        self.next_leg += 2;
        self.leg = Some(Leg { id: leg, manner, local: None });
        self.workers
            .send(MediaCommand::Open { leg, ip: IpVersion::of(self.setup.hop.address.ip()) });
    }

    /// Its end is told by the endpoint, or there is none to tell of.
    fn hang_up(&mut self) {
        if let Some(leg) = self.leg.as_ref().map(|leg| leg.id) {
            self.endpoint.handle(LegCommand::HangUp { leg, q850: None }, now(), &mut self.sip);
        }
    }
}

/// The trunk three times, once for each manner of calling it.
fn endpoint_config(setup: &Setup, listeners: Vec<Listener>) -> EndpointConfig {
    let address = setup.hop.address.ip().to_string();
    let access = |manner| TrunkAccess {
        trunk: manner_trunk(manner),
        networks: Network::parse(&address).into_iter().collect(),
        tls_names: Vec::new(),
        listener: None,
        credentials: setup.credentials.clone(),
        border: setup.border.clone(),
        codecs: Vec::new(),
        session: match manner {
            Manner::Full => SessionPolicy {
                reliable: Reliable::Supported,
                interval_s: setup.interval_s,
                late_offer: false,
            },
            Manner::Plain => SessionPolicy::PLAIN,
            Manner::Late => SessionPolicy { late_offer: true, ..SessionPolicy::PLAIN },
        },
    };
    EndpointConfig {
        listeners,
        strangers: Strangers::Refuse,
        methods: Methods::All,
        internal_headers: "".into(),
        realm: "probe.invalid".into(),
        agents: Vec::new(),
        trunks: [Manner::Full, Manner::Plain, Manner::Late].map(access).into(),
        agent_sessions: SessionPolicy::PLAIN,
        sound_ip: IpVersions::of([setup.hop.address.ip()]),
        codecs: setup.codecs.clone(),
        user_agent: concat!("Trunkline-Probe/", env!("CARGO_PKG_VERSION")).into(),
        digest_algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
        limits: Limits { transactions: 1_000, legs: 8, contacts: 1, retry_after_s: 1 },
        defence: DefenceRules::default(),
        first_leg: LegId(1),
    }
}
