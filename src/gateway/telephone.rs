//! A test telephone: registers, rings and is rung, plays sound, presses keys, records. `call`, `demo`
//! and the tests on the wire use it. It is made of the same endpoint and media worker as the
//! gateway, but decides nothing: it does what its holder orders and tells what happens.

pub mod command;

use crate::config::MediaConfig;
use crate::media_worker::MediaWorkers;
use crate::signalling::now;
use bytes::Bytes;
use domain::cause::Cause;
use domain::hop::Hop;
use domain::id::{LegId, OrderId, TenantId, TrunkId};
use domain::ip_version::{IpVersion, IpVersions};
use domain::media_plan::Codec;
use domain::now::Now;
use media::clip::Clip;
use media::event::{ListenRule, MediaCommand, MediaEvent};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sip::digest::Algorithm;
use sip::endpoint::Endpoint;
use sip::endpoint::config::{
    Credentials, EndpointConfig, Limits, Listener, Network, SessionPolicy, Strangers, TrunkAccess,
};
use sip::event::{Action, Caller, Flow, LegCommand, LegEvent, MAX_FORWARDS, Target, Transport};
use sip::identity::border::{Border, Methods};
use sip::message::{Message, parse};
use sip::registration::{Registration, RegistrationAction, RegistrationConfig};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

/// An account at a gateway.
#[derive(Clone, Debug)]
pub struct Account {
    /// Where the gateway listens.
    pub registrar: SocketAddr,
    /// Its realm.
    pub domain: Arc<str>,
    /// The user.
    pub user: Arc<str>,
    /// His password.
    pub password: Arc<str>,
}

/// What it does when it is rung.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhenRung {
    /// Rings for so long, then answers.
    Answer(Duration),
    /// Rings and is not answered.
    Ignore,
    /// Refuses with this status at once, such as 486.
    Refuse(u16),
}

/// What its holder orders.
#[derive(Clone, Debug)]
pub enum Order {
    /// Ring somebody.
    Dial {
        /// Where the INVITE goes.
        address: SocketAddr,
        /// The number or name dialled.
        user: Arc<str>,
        /// The number shown; empty: hidden.
        from: Arc<str>,
    },
    /// Play sound, replacing what is playing.
    Play(Arc<Clip>),
    /// Press keys; `w` waits half a second.
    Keys(Arc<str>),
    /// Record both sides from the next connection on: left what it hears, right what it says.
    Record(Arc<str>),
    /// What to do when rung from now on.
    WhenRung(WhenRung),
    /// End the call.
    HangUp,
    /// Take the registration back and stop.
    Leave,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// The gateway has our registration.
    Registered,
    /// It has not: the status, 408 for silence. It is tried again.
    NotRegistered(u16),
    /// We are rung by this number.
    Rung(Arc<str>),
    /// The other side rings (180, 183).
    Ringing(u16),
    /// Both hear each other.
    Connected,
    /// A key of the other side.
    Key(char),
    /// The other side speaks, after silence.
    Speaking,
    /// The other side has stopped speaking.
    Silent,
    /// What was played is over.
    Played,
    /// The call is over.
    Ended(Cause),
    /// A message went (`true`) or came.
    Message(bool, Bytes),
    /// The telephone has stopped.
    Left,
}

/// A telephone at work.
pub struct Telephone {
    orders: mpsc::UnboundedSender<Order>,
    /// Where it is reached.
    pub address: SocketAddr,
}

impl Telephone {
    /// Starts one at `listen` (port 0: any), with its sound on `workers`' machine side. To be called
    /// within the runtime.
    ///
    /// # Errors
    /// The system's, when no socket or thread can be had.
    pub async fn start(
        listen: SocketAddr,
        account: Option<Account>,
        when_rung: WhenRung,
        ports: (u16, u16),
    ) -> std::io::Result<(Self, mpsc::UnboundedReceiver<Happening>)> {
        let socket = UdpSocket::bind(listen).await?;
        let address = socket.local_addr()?;
        let (orders, receiver) = mpsc::unbounded_channel();
        let (tell, happenings) = mpsc::unbounded_channel();
        let (media_sender, media_events) = mpsc::unbounded_channel();
        let config = MediaConfig { addresses: vec![address.ip()], ports, workers: 1 };
        let workers = MediaWorkers::start(
            &config,
            // The telephone may have stopped.
            move |event| drop(media_sender.send(event)),
            |_| true,
        )?;
        let registration = account.as_ref().map(|account| {
            let flow =
                Flow { transport: Transport::Udp, local: address, remote: account.registrar };
            let config = RegistrationConfig {
                flow,
                domain: account.domain.clone(),
                user: account.user.clone(),
                password: account.password.clone(),
                contact: address,
                expires_s: 600,
            };
            Registration::new(config, Box::new(StdRng::from_os_rng()))
        });
        let mut line = Line {
            socket,
            endpoint: Endpoint::new(endpoint_config(address, account), seed()),
            registration,
            workers,
            when_rung,
            tell,
            leg: None,
            next_leg: 2,
            next_order: 0,
            record: None,
            dial_next: None,
            answer_at: None,
            leaving: false,
            sip_out: Vec::new(),
        };
        tokio::spawn(async move { line.run(receiver, media_events).await });
        Ok((Self { orders, address }, happenings))
    }

    /// Gives an order; after `Leave` they are ignored.
    pub fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}

fn seed() -> Box<StdRng> {
    Box::new(StdRng::from_os_rng())
}

fn peer() -> TrunkId {
    TrunkId::new(&TenantId::default(), "peer")
}

fn endpoint_config(address: SocketAddr, account: Option<Account>) -> EndpointConfig {
    let credentials = account.map(|account| Credentials {
        user: account.user.clone(),
        password: account.password,
        realm: Some(account.domain),
    });
    let anywhere = ["0.0.0.0/0", "::/0"];
    let networks = anywhere.iter().filter_map(|network| Network::parse(network)).collect();
    EndpointConfig {
        defence: sip::endpoint::defence::DefenceRules::default(),
        listeners: vec![Listener::at(Transport::Udp, address)],
        strangers: Strangers::Refuse,
        methods: Methods::All,
        internal_headers: "".into(),
        realm: "telephone.invalid".into(),
        agents: Vec::new(),
        trunks: vec![TrunkAccess {
            trunk: peer(),
            networks,
            tls_names: Vec::new(),
            listener: None,
            credentials,
            border: Border::default(),
            session: SessionPolicy::PLAIN,
            codecs: Vec::new(),
        }],
        agent_sessions: SessionPolicy::PLAIN,
        sound_ip: IpVersions::of([address.ip()]),
        codecs: vec![Codec::Pcmu, Codec::Pcma],
        user_agent: concat!("Trunkline-Telephone/", env!("CARGO_PKG_VERSION")).into(),
        digest_algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
        limits: Limits { transactions: 1_000, legs: 4, contacts: 1, retry_after_s: 1 },
        first_leg: LegId(1),
    }
}

/// The one call it can have.
struct Talk {
    leg: LegId,
    local: Option<SocketAddr>,
    /// What is done once the port is there.
    then: Then,
    connected: bool,
    /// Why it is over; told once its port is closed, so that the next call finds the line free.
    over: Option<Cause>,
}

enum Then {
    Dial { address: SocketAddr, user: Arc<str>, from: Arc<str> },
    Answer,
    Nothing,
}

struct Line {
    socket: UdpSocket,
    endpoint: Endpoint,
    registration: Option<Registration>,
    workers: MediaWorkers,
    when_rung: WhenRung,
    tell: mpsc::UnboundedSender<Happening>,
    leg: Option<Talk>,
    next_leg: u64,
    next_order: u64,
    record: Option<Arc<str>>,
    /// What was ordered while the line was busy.
    dial_next: Option<Then>,
    answer_at: Option<std::time::Instant>,
    leaving: bool,
    sip_out: Vec<Action>,
}

impl Line {
    async fn run(
        &mut self,
        mut orders: mpsc::UnboundedReceiver<Order>,
        mut media: mpsc::UnboundedReceiver<MediaEvent>,
    ) {
        let mut buffer = vec![0; 65_535];
        let mut asked = Vec::new();
        if let Some(registration) = &mut self.registration {
            registration.start(now().instant, &mut asked);
        }
        self.registrations(asked);
        loop {
            let deadline = self.deadline();
            let sleep = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    if let Ok((length, remote)) = received {
                        self.receive(Bytes::copy_from_slice(&buffer[..length]), remote);
                    }
                }
                // A holder who has gone can only mean to leave; that is obeyed once.
                order = orders.recv(), if !self.leaving => {
                    self.obey(order.unwrap_or(Order::Leave));
                }
                Some(event) = media.recv() => self.media(event),
                () = sleep => self.expire(),
            }
            if self.leaving && self.leg.is_none() && self.registration.is_none() {
                let _ = self.tell.send(Happening::Left);
                return;
            }
        }
    }

    fn deadline(&self) -> Option<std::time::Instant> {
        let registration = self.registration.as_ref().and_then(Registration::deadline);
        [self.endpoint.deadline(), registration, self.answer_at].into_iter().flatten().min()
    }

    fn expire(&mut self) {
        let now = now();
        self.endpoint.handle_deadline(now, &mut self.sip_out);
        let mut asked = Vec::new();
        if let Some(registration) = &mut self.registration {
            registration.handle_deadline(now.instant, &mut asked);
        }
        self.registrations(asked);
        if self.answer_at.is_some_and(|at| at <= now.instant) {
            self.answer_at = None;
            self.open(Then::Answer);
        }
        self.perform(now);
    }

    fn receive(&mut self, message: Bytes, remote: SocketAddr) {
        let now = now();
        let _ = self.tell.send(Happening::Message(false, message.clone()));
        if let (Some(registration), Ok(Message::Response(response))) =
            (&mut self.registration, parse(message.clone()))
            && registration.is_ours(&response)
        {
            let mut asked = Vec::new();
            registration.receive(&response, now.instant, &mut asked);
            return self.registrations(asked);
        }
        let local = self.socket.local_addr().unwrap_or(remote);
        let flow = Flow { transport: Transport::Udp, local, remote };
        self.endpoint.receive(flow, message, now, &mut self.sip_out);
        self.perform(now);
    }

    fn registrations(&mut self, actions: Vec<RegistrationAction>) {
        for action in actions {
            let happening = match action {
                RegistrationAction::Transmit(flow, message) => {
                    self.transmit(flow, message);
                    continue;
                }
                RegistrationAction::Registered => Happening::Registered,
                RegistrationAction::Failed(status) => Happening::NotRegistered(status),
                RegistrationAction::Left => {
                    self.registration = None;
                    continue;
                }
            };
            let _ = self.tell.send(happening);
        }
    }

    fn transmit(&mut self, flow: Flow, message: Bytes) {
        // A lost datagram is repeated by its transaction.
        let _ = self.socket.try_send_to(&message, flow.remote);
        let _ = self.tell.send(Happening::Message(true, message));
    }

    fn perform(&mut self, now: Now) {
        let mut actions: VecDeque<Action> = self.sip_out.drain(..).collect();
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Transmit { flow, message, .. } => self.transmit(flow, message),
                Action::Up(event) => self.leg_event(event, now),
                Action::Matched { .. }
                | Action::Expect { .. }
                | Action::Trunk(_)
                | Action::Close { .. } => (),
            }
            actions.extend(self.sip_out.drain(..));
        }
    }

    fn leg_event(&mut self, event: LegEvent, now: Now) {
        match event {
            LegEvent::Incoming { leg, call, .. } => self.rung(leg, call.from_user, now),
            LegEvent::Ringing { status, .. } => {
                let _ = self.tell.send(Happening::Ringing(status));
            }
            LegEvent::Established { leg, plan } => {
                self.workers.send(MediaCommand::Connect { leg, plan });
                if let Some(path) = self.record.clone() {
                    self.workers.send(MediaCommand::Record { leg, path });
                }
                let rule = ListenRule {
                    speech: true,
                    speech_stops_playback: false,
                    key_stops_playback: false,
                    end_silence_ms: 900,
                    utterance_max_ms: 30_000,
                };
                self.workers.send(MediaCommand::Listen { leg, order: OrderId(u64::MAX), rule });
                if let Some(talk) = &mut self.leg {
                    talk.connected = true;
                }
                let _ = self.tell.send(Happening::Connected);
            }
            LegEvent::Changed { leg, plan } => {
                self.workers.send(MediaCommand::Connect { leg, plan });
            }
            LegEvent::InfoDigit { digit, .. } => {
                let _ = self.tell.send(Happening::Key(digit));
            }
            LegEvent::Ended { leg, cause } => {
                self.answer_at = None;
                if let Some(talk) = self.leg.as_mut().filter(|talk| talk.leg == leg) {
                    talk.over = Some(cause);
                    let never_opened = talk.local.is_none() && matches!(talk.then, Then::Nothing);
                    self.workers.send(MediaCommand::Close { leg });
                    if never_opened {
                        self.free();
                    }
                }
            }
            LegEvent::Dialled { .. }
            | LegEvent::RetryAfter { .. }
            | LegEvent::Refused { .. }
            | LegEvent::Referred { .. }
            | LegEvent::TransferProgress { .. }
            | LegEvent::Registered { .. }
            | LegEvent::Unregistered { .. } => (),
        }
    }

    fn rung(&mut self, leg: LegId, from: Arc<str>, now: Now) {
        if self.leg.is_some() {
            let refusal = LegCommand::Refuse { leg, status: 486, retry_after_s: None, q850: None };
            return self.endpoint.handle(refusal, now, &mut self.sip_out);
        }
        let _ = self.tell.send(Happening::Rung(from));
        let talk = Talk { leg, local: None, then: Then::Nothing, connected: false, over: None };
        self.leg = Some(talk);
        let command = match self.when_rung {
            WhenRung::Refuse(status) => {
                LegCommand::Refuse { leg, status, retry_after_s: None, q850: None }
            }
            WhenRung::Answer(after) => {
                self.answer_at = Some(now.instant + after);
                LegCommand::Progress { leg, status: 180, local_media: None }
            }
            WhenRung::Ignore => LegCommand::Progress { leg, status: 180, local_media: None },
        };
        self.endpoint.handle(command, now, &mut self.sip_out);
    }

    /// Asks for a port; `then` happens once it is there.
    fn open(&mut self, then: Then) {
        if let Some(talk) = &mut self.leg {
            talk.then = then;
            // All its ports are of one version of IP, whichever is asked for.
            self.workers.send(MediaCommand::Open { leg: talk.leg, ip: IpVersion::default() });
        }
    }

    fn obey(&mut self, order: Order) {
        let now = now();
        match order {
            Order::Dial { address, user, from } => {
                let dial = Then::Dial { address, user, from };
                match self.leg {
                    // The line is still busy: dialled as soon as it is free.
                    Some(_) => self.dial_next = Some(dial),
                    None => self.dial(dial),
                }
            }
            Order::Play(clip) => {
                self.next_order += 1;
                let order = OrderId(self.next_order);
                self.with_leg(|leg| MediaCommand::Play {
                    leg,
                    order,
                    clips: vec![clip],
                    repeat: false,
                });
            }
            Order::Keys(digits) => self.with_leg(|leg| MediaCommand::SendDigits { leg, digits }),
            Order::Record(path) => {
                self.record = Some(path.clone());
                if self.leg.as_ref().is_some_and(|talk| talk.connected) {
                    self.with_leg(|leg| MediaCommand::Record { leg, path });
                }
            }
            Order::WhenRung(when_rung) => self.when_rung = when_rung,
            Order::HangUp => self.hang_up(now),
            Order::Leave => {
                self.leaving = true;
                self.dial_next = None;
                self.hang_up(now);
                let mut asked = Vec::new();
                if let Some(registration) = &mut self.registration {
                    registration.stop(now.instant, &mut asked);
                }
                self.registrations(asked);
            }
        }
        self.perform(now);
    }

    fn hang_up(&mut self, now: Now) {
        self.answer_at = None;
        if let Some(talk) = &self.leg {
            let leg = talk.leg;
            self.endpoint.handle(LegCommand::HangUp { leg, q850: None }, now, &mut self.sip_out);
        }
    }

    fn with_leg(&mut self, command: impl FnOnce(LegId) -> MediaCommand) {
        if let Some(talk) = &self.leg {
            self.workers.send(command(talk.leg));
        }
    }

    fn media(&mut self, event: MediaEvent) {
        let now = now();
        match event {
            MediaEvent::Opened { local, .. } => self.opened(local, now),
            MediaEvent::OpenFailed { .. } => {
                self.hang_up(now);
                self.leg = None;
                let _ = self.tell.send(Happening::Ended(Cause::not_admitted()));
            }
            MediaEvent::PlaybackEnded { .. } => {
                let _ = self.tell.send(Happening::Played);
            }
            MediaEvent::Digit { digit, .. } => {
                let _ = self.tell.send(Happening::Key(digit));
            }
            MediaEvent::SpeechStarted { .. } => {
                let _ = self.tell.send(Happening::Speaking);
            }
            MediaEvent::SpeechEnded { .. } => {
                let _ = self.tell.send(Happening::Silent);
            }
            MediaEvent::Silent { .. } => (),
            MediaEvent::Closed { .. } => {
                if self.leg.as_ref().is_some_and(|talk| talk.over.is_some()) {
                    self.free();
                }
            }
        }
        self.perform(now);
    }

    /// The line is free again.
    fn free(&mut self) {
        if let Some(cause) = self.leg.take().and_then(|talk| talk.over) {
            let _ = self.tell.send(Happening::Ended(cause));
        }
        if let Some(dial) = self.dial_next.take() {
            self.dial(dial);
        }
    }

    fn dial(&mut self, dial: Then) {
        self.next_leg += 2;
        let leg = LegId(self.next_leg);
        let then = Then::Nothing;
        self.leg = Some(Talk { leg, local: None, then, connected: false, over: None });
        self.open(dial);
    }

    fn opened(&mut self, local: SocketAddr, now: Now) {
        let Some(talk) = &mut self.leg else { return };
        let leg = talk.leg;
        talk.local = Some(local);
        if talk.over.is_some() {
            return self.workers.send(MediaCommand::Close { leg });
        }
        let command = match std::mem::replace(&mut talk.then, Then::Nothing) {
            Then::Dial { address, user, from } => LegCommand::Dial {
                leg,
                target: Target::Trunk {
                    trunk: peer(),
                    hop: Hop::at(Transport::Udp, address),
                    user,
                },
                caller: Caller::shown(from),
                local_media: local,
                ring_for: Duration::from_secs(120),
                heard_within: None,
                call_id: None,
                max_forwards: MAX_FORWARDS,
                service_route: Vec::new(),
            },
            Then::Answer => LegCommand::Answer { leg, local_media: local },
            Then::Nothing => return,
        };
        self.endpoint.handle(command, now, &mut self.sip_out);
    }
}
