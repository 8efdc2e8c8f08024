//! Two endpoints and a wire between them, in virtual time. The wire delays, loses, repeats and
//! reorders as its seed says.

use crate::digest::Algorithm;
use crate::endpoint::Endpoint;
use crate::endpoint::config::{
    AgentAccount, Credentials, EndpointConfig, Limits, Listener, Network, SessionPolicy, Strangers,
    TrunkAccess,
};
use crate::event::{Action, Caller, Flow, LegCommand, LegEvent, MAX_FORWARDS, Target, Transport};
use crate::identity::border::{Border, Methods};
use bytes::Bytes;
use domain::hop::Hop;
use domain::id::{AgentId, LegId, TenantId, TrunkId};
use domain::ip_version::IpVersions;
use domain::media_plan::{Codec, Direction, MediaPlan};
use domain::now::{Now, epoch};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The two ends.
pub(super) const A: usize = 0;
pub(super) const B: usize = 1;

/// What the wire does to a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    /// Of a hundred datagrams, how many are lost, and how many come twice.
    pub(super) lost: u32,
    pub(super) twice: u32,
    /// Delay, at random between 1 ms and this.
    pub(super) delay_ms: u64,
}

pub(super) const FAIR: Weather = Weather { lost: 0, twice: 0, delay_ms: 1 };

pub(super) struct Pair {
    pub(super) sides: [Side; 2],
    pub(super) now: Now,
    pub(super) weather: Weather,
    wire: BTreeMap<(Instant, u64), (usize, Flow, Bytes)>,
    serial: u64,
    luck: StdRng,
    /// Messages that start so are lost, whatever the weather: (text, how many more).
    pub(super) swallow: Vec<(&'static str, u32)>,
    /// `INVITE →`, `← 200` and so on, as sent.
    pub(super) ladder: Vec<String>,
}

pub(super) struct Side {
    pub(super) endpoint: Endpoint,
    pub(super) events: Vec<LegEvent>,
    /// The legs of the messages received, and of those sent.
    pub(super) matched: Vec<LegId>,
    pub(super) traced: Vec<Option<LegId>>,
}

pub(super) fn address(side: usize) -> SocketAddr {
    ([192, 0, 2, if side == A { 1 } else { 2 }], 5060).into()
}

pub(super) fn media(side: usize) -> SocketAddr {
    SocketAddr::new(address(side).ip(), 40_000)
}

pub(super) fn agent(name: &str) -> AgentId {
    AgentId::new(&TenantId::default(), name)
}

pub(super) fn trunk(name: &str) -> TrunkId {
    TrunkId::new(&TenantId::default(), name)
}

pub(super) fn config(side: usize) -> EndpointConfig {
    let here = |transport| Listener::at(transport, address(side));
    EndpointConfig {
        defence: crate::endpoint::defence::DefenceRules::default(),
        listeners: vec![here(Transport::Udp), here(Transport::Tcp)],
        strangers: Strangers::Refuse,
        methods: Methods::All,
        internal_headers: "X-Trunkline-".into(),
        realm: "hotline.example".into(),
        digest_algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
        agents: vec![AgentAccount {
            agent: agent("ann"),
            user: "ann".into(),
            password: "secret".into(),
        }],
        trunks: vec![TrunkAccess {
            trunk: trunk("carrier"),
            networks: vec![Network::parse("192.0.2.0/24").unwrap()],
            tls_names: Vec::new(),
            listener: None,
            credentials: Some(Credentials {
                user: "us".into(),
                password: "pass".into(),
                realm: Some("carrier".into()),
            }),
            border: Border::default(),
            session: SessionPolicy::PLAIN,
            codecs: Vec::new(),
        }],
        agent_sessions: SessionPolicy::PLAIN,
        sound_ip: IpVersions::of([address(side).ip()]),
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        user_agent: "Trunkline".into(),
        limits: Limits { transactions: 1000, legs: 100, contacts: 3, retry_after_s: 30 },
        first_leg: LegId(1),
    }
}

impl Pair {
    pub(super) fn new(seed: u64) -> Self {
        Self::with(seed, [config(A), config(B)])
    }

    pub(super) fn with(seed: u64, configs: [EndpointConfig; 2]) -> Self {
        let now = epoch();
        let mut seeds = StdRng::seed_from_u64(seed);
        let sides = configs.map(|config| {
            let rng = Box::new(StdRng::from_rng(&mut seeds));
            Side {
                endpoint: Endpoint::new(config, rng),
                events: Vec::new(),
                matched: Vec::new(),
                traced: Vec::new(),
            }
        });
        Self {
            sides,
            now,
            weather: FAIR,
            wire: BTreeMap::new(),
            serial: 0,
            luck: seeds,
            swallow: Vec::new(),
            ladder: Vec::new(),
        }
    }

    /// A calls B as if B were a trunk.
    pub(super) fn dial(&mut self, transport: Transport, ring_for: Duration) {
        self.dial_as(LegId(2), "dialling-1", transport, ring_for);
    }

    pub(super) fn dial_as(
        &mut self,
        leg: LegId,
        call_id: &str,
        transport: Transport,
        ring_for: Duration,
    ) {
        let target = Target::Trunk {
            trunk: trunk("carrier"),
            hop: Hop::at(transport, address(B)),
            user: "4711".into(),
        };
        self.handle(
            A,
            LegCommand::Dial {
                leg,
                target,
                caller: Caller::shown("+49301"),
                local_media: media(A),
                ring_for,
                heard_within: None,
                call_id: Some(call_id.into()),
                max_forwards: MAX_FORWARDS,
                service_route: Vec::new(),
            },
        );
    }

    /// A calls B, B answers.
    pub(super) fn talk(&mut self, transport: Transport) {
        self.dial(transport, Duration::from_secs(60));
        self.run_for(Duration::from_millis(100));
        self.handle(B, LegCommand::Answer { leg: LegId(1), local_media: media(B) });
        self.run_for(Duration::from_millis(100));
    }

    pub(super) fn handle(&mut self, side: usize, command: LegCommand) {
        let mut out = Vec::new();
        self.sides[side].endpoint.handle(command, self.now, &mut out);
        self.perform(side, out);
    }

    /// Lets time pass, and what happens in it.
    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now.instant + time;
        while let Some(at) = self.next().filter(|at| *at <= end) {
            self.step_to(at);
        }
        self.now = self.now.after(end - self.now.instant);
    }

    /// Runs until nothing more is going to happen; how long that took.
    pub(super) fn run_out(&mut self) -> Duration {
        let before = self.now.instant;
        while let Some(at) = self.next() {
            self.step_to(at);
            assert!(self.now.instant - before < Duration::from_secs(7200), "it never ends");
        }
        self.now.instant - before
    }

    /// Nothing is kept of what has passed.
    pub(super) fn assert_clean(&self) {
        for side in &self.sides {
            let endpoint = &side.endpoint;
            assert_eq!((endpoint.legs(), endpoint.transactions()), (0, 0));
            assert_eq!(endpoint.deadline(), None);
            assert!(endpoint.legs_by_tag.is_empty() && endpoint.surplus.is_empty());
        }
    }

    /// The causes with which the legs of a side ended.
    pub(super) fn ends(&self, side: usize) -> Vec<domain::cause::Cause> {
        let events = self.sides[side].events.iter();
        events
            .filter_map(|event| match event {
                LegEvent::Ended { cause, .. } => Some(*cause),
                _ => None,
            })
            .collect()
    }

    pub(super) fn take_ladder(&mut self) -> Vec<String> {
        std::mem::take(&mut self.ladder)
    }

    fn next(&self) -> Option<Instant> {
        let deadlines = self.sides.iter().filter_map(|side| side.endpoint.deadline());
        deadlines.chain(self.wire.first_key_value().map(|((at, _), _)| *at)).min()
    }

    fn step_to(&mut self, at: Instant) {
        self.now = self.now.after(at.saturating_duration_since(self.now.instant));
        let due = self.wire.first_entry().filter(|entry| entry.key().0 <= at);
        if let Some((side, flow, message)) = due.map(|entry| entry.remove()) {
            self.receive(side, flow, message);
            return;
        }
        for side in [A, B] {
            let mut out = Vec::new();
            self.sides[side].endpoint.handle_deadline(self.now, &mut out);
            self.perform(side, out);
        }
    }

    /// A message arrives at a side.
    pub(super) fn receive(&mut self, side: usize, flow: Flow, message: Bytes) {
        let mut out = Vec::new();
        self.sides[side].endpoint.receive(flow, message, self.now, &mut out);
        self.perform(side, out);
    }

    fn perform(&mut self, side: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Transmit { flow, message, leg } => {
                    self.sides[side].traced.push(leg);
                    self.transmit(side, flow, message);
                }
                Action::Up(event) => self.sides[side].events.push(event),
                Action::Matched { leg } => self.sides[side].matched.push(leg),
                Action::Expect { flow, .. } => assert!(flow.transport.is_secure()),
                Action::Trunk(event) => panic!("{event:?}: nothing was asked"),
                Action::Close { flow } => panic!("{flow:?} is sound"),
            }
        }
    }

    fn transmit(&mut self, side: usize, flow: Flow, message: Bytes) {
        let text = String::from_utf8(message.to_vec()).unwrap();
        self.ladder.push(rung(side, &text));
        let there = 1 - side;
        assert_eq!(flow.local, address(side));
        if flow.remote != address(there) {
            return;
        }
        for (start, left) in &mut self.swallow {
            if *left > 0 && text.starts_with(*start) {
                *left -= 1;
                return;
            }
        }
        let copies = match flow.transport {
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => 1,
            Transport::Udp if self.luck.random_range(0..100) < self.weather.lost => 0,
            Transport::Udp if self.luck.random_range(0..100) < self.weather.twice => 2,
            Transport::Udp => 1,
        };
        for _ in 0..copies {
            let delay = match flow.transport {
                Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => 1,
                Transport::Udp => self.luck.random_range(1..=self.weather.delay_ms),
            };
            self.serial += 1;
            let at = self.now.instant + Duration::from_millis(delay);
            let flow = Flow { local: flow.remote, remote: flow.local, ..flow };
            self.wire.insert((at, self.serial), (there, flow, message.clone()));
        }
    }
}

/// `INVITE →` from A to B, `← 200` from B to A.
fn rung(side: usize, text: &str) -> String {
    let mut words = text.split(' ');
    let first = words.next().unwrap();
    let word = if first == "SIP/2.0" { words.next().unwrap() } else { first };
    if side == A { format!("{word} →") } else { format!("← {word}") }
}

/// The plan of a side that talks to the other.
pub(super) fn plan(side: usize, direction: Direction) -> MediaPlan {
    MediaPlan {
        remote: media(1 - side),
        also_from: None,
        codec: Codec::Pcma,
        payload_type: 8,
        event_payload_type: Some(101),
        event_receive_type: Some(101),
        direction,
        ptime_ms: 20,
    }
}
