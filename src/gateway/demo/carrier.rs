//! The far side of the demo's trunk: a carrier with as many subscribers as numbers are dialled, each
//! of whom answers, is busy, does not answer or presses a key, as told.

use crate::config::MediaConfig;
use crate::media_worker::MediaWorkers;
use crate::signalling::now;
use bytes::Bytes;
use domain::id::{LegId, TenantId, TrunkId};
use domain::ip_version::{IpVersion, IpVersions};
use domain::media_plan::Codec;
use domain::now::Now;
use domain::timers::TimerQueue;
use media::event::{MediaCommand, MediaEvent};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sip::digest::Algorithm;
use sip::endpoint::Endpoint;
use sip::endpoint::config::{
    EndpointConfig, Limits, Listener, Network, SessionPolicy, Strangers, TrunkAccess,
};
use sip::event::{Action, Flow, LegCommand, LegEvent, Transport};
use sip::identity::border::{Border, Methods};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

/// What a subscriber does.
#[derive(Clone, Debug)]
pub enum Subscriber {
    /// Answers after so long; then does what is listed, each after its time from the answer.
    Answers {
        /// How long it rings.
        after: Duration,
        /// What is done and when.
        deeds: Vec<(Duration, Deed)>,
    },
    /// Refuses with a status.
    Refuses(u16),
    /// Rings and is not answered.
    Absent,
}

/// What a subscriber does in a call.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Presses keys.
    Keys(Arc<str>),
    /// Hangs up.
    HangsUp,
}

/// Who has which number.
pub type Directory = Box<dyn Fn(&str) -> Subscriber + Send>;

struct Line {
    subscriber: Subscriber,
    /// How many deeds are done.
    done: usize,
    answered: Option<std::time::Instant>,
}

struct Carrier {
    socket: UdpSocket,
    endpoint: Endpoint,
    workers: MediaWorkers,
    directory: Directory,
    lines: BTreeMap<LegId, Line>,
    timers: TimerQueue<LegId>,
    sip_out: Vec<Action>,
}

/// Starts a carrier on a free port and gives its address. To be called within the runtime.
///
/// # Errors
/// The system's.
pub async fn start(directory: Directory, ports: (u16, u16)) -> std::io::Result<SocketAddr> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    let (sender, events) = mpsc::unbounded_channel();
    let config = MediaConfig { addresses: vec![address.ip()], ports, workers: 1 };
    let workers = MediaWorkers::start(&config, move |event| drop(sender.send(event)), |_| true)?;
    let networks = Network::parse("127.0.0.0/8").into_iter().collect();
    let trunk = TrunkId::new(&TenantId::default(), "gateway");
    let config = EndpointConfig {
        defence: sip::endpoint::defence::DefenceRules::default(),
        listeners: vec![Listener::at(Transport::Udp, address)],
        strangers: Strangers::Refuse,
        methods: Methods::All,
        internal_headers: "X-Trunkline-".into(),
        realm: "carrier.invalid".into(),
        digest_algorithms: vec![Algorithm::Md5],
        agents: Vec::new(),
        trunks: vec![TrunkAccess {
            trunk,
            networks,
            tls_names: Vec::new(),
            listener: None,
            credentials: None,
            border: Border::default(),
            session: SessionPolicy::PLAIN,
            codecs: Vec::new(),
        }],
        agent_sessions: SessionPolicy::PLAIN,
        sound_ip: IpVersions::of([address.ip()]),
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        user_agent: "Trunkline-Carrier".into(),
        limits: Limits { transactions: 100_000, legs: 5_000, contacts: 1, retry_after_s: 1 },
        first_leg: LegId(1),
    };
    let carrier = Carrier {
        socket,
        endpoint: Endpoint::new(config, Box::new(StdRng::from_os_rng())),
        workers,
        directory,
        lines: BTreeMap::new(),
        timers: TimerQueue::default(),
        sip_out: Vec::new(),
    };
    tokio::spawn(carrier.run(events));
    Ok(address)
}

impl Carrier {
    async fn run(mut self, mut media: mpsc::UnboundedReceiver<MediaEvent>) {
        let mut buffer = vec![0; 65_535];
        loop {
            let deadline =
                [self.endpoint.deadline(), self.timers.next()].into_iter().flatten().min();
            let sleep = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    if let (Ok((length, remote)), Ok(local)) = (received, self.socket.local_addr()) {
                        let flow = Flow { transport: Transport::Udp, local, remote };
                        let message = Bytes::copy_from_slice(&buffer[..length]);
                        self.endpoint.receive(flow, message, now(), &mut self.sip_out);
                    }
                }
                event = media.recv() => match event {
                    Some(event) => self.media(&event),
                    None => return,
                },
                () = sleep => {
                    self.endpoint.handle_deadline(now(), &mut self.sip_out);
                    while let Some(leg) = self.timers.expire(now().instant) {
                        self.due(leg);
                    }
                }
            }
            self.perform(now());
        }
    }

    fn perform(&mut self, now: Now) {
        let mut actions: VecDeque<Action> = self.sip_out.drain(..).collect();
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Transmit { flow, message, .. } => {
                    // A lost datagram is repeated by its transaction.
                    let _ = self.socket.try_send_to(&message, flow.remote);
                }
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
            LegEvent::Incoming { leg, call, .. } => {
                let subscriber = (self.directory)(&call.dialled);
                let command = match &subscriber {
                    Subscriber::Refuses(status) => {
                        LegCommand::Refuse { leg, status: *status, retry_after_s: None, q850: None }
                    }
                    Subscriber::Answers { after, .. } => {
                        self.timers.update(&leg, Some(now.instant + *after));
                        LegCommand::Progress { leg, status: 180, local_media: None }
                    }
                    Subscriber::Absent => {
                        LegCommand::Progress { leg, status: 180, local_media: None }
                    }
                };
                self.lines.insert(leg, Line { subscriber, done: 0, answered: None });
                self.endpoint.handle(command, now, &mut self.sip_out);
            }
            LegEvent::Established { leg, plan } => {
                self.workers.send(MediaCommand::Connect { leg, plan });
                if let Some(line) = self.lines.get_mut(&leg) {
                    line.answered = Some(now.instant);
                }
                self.plan_next(leg);
            }
            LegEvent::Changed { leg, plan } => {
                self.workers.send(MediaCommand::Connect { leg, plan });
            }
            LegEvent::Ended { leg, .. } => {
                self.timers.update(&leg, None);
                if self.lines.remove(&leg).is_some() {
                    self.workers.send(MediaCommand::Close { leg });
                }
            }
            LegEvent::Dialled { .. }
            | LegEvent::RetryAfter { .. }
            | LegEvent::Refused { .. }
            | LegEvent::Ringing { .. }
            | LegEvent::InfoDigit { .. }
            | LegEvent::Referred { .. }
            | LegEvent::TransferProgress { .. }
            | LegEvent::Registered { .. }
            | LegEvent::Unregistered { .. } => (),
        }
    }

    fn media(&mut self, event: &MediaEvent) {
        if let MediaEvent::Opened { leg, local } = event {
            let answer = LegCommand::Answer { leg: *leg, local_media: *local };
            self.endpoint.handle(answer, now(), &mut self.sip_out);
        }
    }

    /// Sets the time of the next deed.
    fn plan_next(&mut self, leg: LegId) {
        let Some(line) = self.lines.get(&leg) else { return };
        if let (Subscriber::Answers { deeds, .. }, Some(answered)) =
            (&line.subscriber, line.answered)
        {
            let next = deeds.get(line.done).map(|(after, _)| answered + *after);
            self.timers.update(&leg, next);
        }
    }

    /// It has rung long enough, or a deed is due.
    fn due(&mut self, leg: LegId) {
        let Some(line) = self.lines.get_mut(&leg) else { return };
        let Subscriber::Answers { deeds, .. } = &line.subscriber else { return };
        if line.answered.is_none() {
            return self.workers.send(MediaCommand::Open { leg, ip: IpVersion::V4 });
        }
        let deed = deeds.get(line.done).map(|(_, deed)| deed.clone());
        line.done += 1;
        match deed {
            Some(Deed::Keys(digits)) => self.workers.send(MediaCommand::SendDigits { leg, digits }),
            Some(Deed::HangsUp) => {
                self.endpoint.handle(
                    LegCommand::HangUp { leg, q850: None },
                    now(),
                    &mut self.sip_out,
                );
            }
            None => (),
        }
        self.plan_next(leg);
    }
}
