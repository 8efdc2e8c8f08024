//! A polite telephone (or a carrier with many behind it): SIP as it should be, by the same endpoint
//! that the exchange uses, and a person's manner of taking calls.

use crate::house::{GATEWAY, telephone_sip};
use crate::network::Datagram;
use bytes::Bytes;
use domain::hop::Hop;
use domain::id::{LegId, TrunkId};
use domain::now::Now;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sip::endpoint::Endpoint;
use sip::endpoint::config::{Credentials, SessionPolicy};
use sip::event::{
    Action, Caller, Flow, LegCommand, LegEvent, MAX_FORWARDS, Target, TransferTo, Transport,
};
use sip::message::{Message, parse};
use sip::registration::{Registration, RegistrationAction, RegistrationConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a call is taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Manner {
    /// Rings, is answered, and hung up after this long at the latest.
    Answers {
        /// From the INVITE to the answer.
        after: Duration,
        /// From the answer to the end.
        talks: Duration,
    },
    /// Rings and is refused.
    Refuses {
        /// From the INVITE to the refusal.
        after: Duration,
        /// With what: 486 busy, 603 declined, 404 …
        status: u16,
    },
    /// Rings, is answered, and sends the caller on to a colleague (RFC 5589 §6).
    Transfers {
        /// From the INVITE to the answer.
        after: Duration,
        /// From the answer to the REFER.
        talks: Duration,
        /// To whom.
        to: &'static str,
    },
    /// As `Transfers`, but he holds the caller and asks the colleague first (RFC 5589 §7).
    Consults {
        /// From the INVITE to the answer.
        after: Duration,
        /// From the answer to the second call, and from its answer to the REFER.
        talks: Duration,
        /// Whom he asks.
        to: &'static str,
    },
    /// Rings until the caller gives up.
    Ignores,
}

/// One telephone.
pub struct Telephone {
    name: Arc<str>,
    address: SocketAddr,
    endpoint: Endpoint,
    /// Whether it holds, moves its sound, and sends some early.
    fidgets: bool,
    registration: Option<Registration>,
    registered: bool,
    /// How calls to a number are taken: one of these, at random.
    manners: BTreeMap<Arc<str>, Vec<Manner>>,
    /// How all others are.
    otherwise: Vec<Manner>,
    /// Numbers at which nothing ever answers.
    dead: BTreeSet<Arc<str>>,
    luck: StdRng,
    calls: BTreeMap<LegId, Call>,
    due: BTreeMap<(Instant, u64), (LegId, Deed)>,
    serial: u64,
    actions: Vec<Action>,
}

#[derive(Debug)]
struct Call {
    /// Whose telephone at this end.
    party: Arc<str>,
    up: bool,
    talks: Duration,
    /// What is done after the talk.
    then: Deed,
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Ring,
    RingWithSound,
    Hold(bool),
    Move,
    Answer,
    Refuse(u16),
    HangUp,
    Transfer(&'static str),
    /// Holds and makes a second call.
    Consult(&'static str),
    /// Has the other end of this call take our place in the second one.
    JoinWith(LegId),
}

impl Telephone {
    /// A telephone that declines every call until told otherwise. Where its sessions have extensions,
    /// it uses them: it sends sound before it answers, and holds in the middle of a talk.
    pub fn new(name: &str, address: SocketAddr, seed: u64, sessions: SessionPolicy) -> Self {
        let mut luck = StdRng::seed_from_u64(seed);
        let mut config = telephone_sip(address, name, sessions);
        for trunk in &mut config.trunks {
            trunk.credentials =
                Some(Credentials { user: name.into(), password: "secret".into(), realm: None });
        }
        let endpoint = Endpoint::new(config, Box::new(StdRng::seed_from_u64(luck.random())));
        Self {
            name: name.into(),
            address,
            endpoint,
            fidgets: sessions != SessionPolicy::PLAIN,
            registration: None,
            registered: false,
            manners: BTreeMap::new(),
            otherwise: Vec::new(),
            dead: BTreeSet::new(),
            luck,
            calls: BTreeMap::new(),
            due: BTreeMap::new(),
            serial: 0,
            actions: Vec::new(),
        }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes calls to `number` in one of these manners.
    pub fn set_manners(&mut self, number: &str, manners: Vec<Manner>) {
        self.manners.insert(number.into(), manners);
    }

    /// Takes all other calls in one of these manners.
    pub fn set_otherwise(&mut self, manners: Vec<Manner>) {
        self.otherwise = manners;
    }

    /// Nothing answers at `number`.
    pub fn set_dead(&mut self, number: &str) {
        self.dead.insert(number.into());
    }

    /// Registers at the exchange as `realm`'s user of its own name, and stays registered.
    pub fn register(&mut self, realm: &str, now: Now, out: &mut Vec<Datagram>) {
        let config = RegistrationConfig {
            flow: self.flow(),
            domain: realm.into(),
            user: self.name.clone(),
            password: "secret".into(),
            contact: self.address,
            expires_s: 3_600,
        };
        let random = Box::new(StdRng::seed_from_u64(self.luck.random()));
        let mut actions = Vec::new();
        let mut registration = Registration::new(config, random);
        registration.start(now.instant, &mut actions);
        self.registration = Some(registration);
        self.registered_actions(actions, out);
    }

    /// Takes the registration back.
    pub fn unregister(&mut self, now: Now, out: &mut Vec<Datagram>) {
        let mut actions = Vec::new();
        if let Some(registration) = &mut self.registration {
            registration.stop(now.instant, &mut actions);
        }
        self.registered_actions(actions, out);
    }

    /// Calls `number` as `from`; gives up after `ring_for`, hangs up after `talks`.
    pub fn dial(
        &mut self,
        from: &str,
        number: &str,
        (ring_for, talks): (Duration, Duration),
        now: Now,
        out: &mut Vec<Datagram>,
    ) {
        let call = Call { party: from.into(), up: false, talks, then: Deed::HangUp };
        self.begin(call, from, number, ring_for, now);
        self.perform(now, out);
    }

    fn begin(&mut self, call: Call, from: &str, number: &str, ring_for: Duration, now: Now) {
        self.serial += 1;
        let leg = LegId(self.serial * 2);
        self.calls.insert(leg, call);
        let command = LegCommand::Dial {
            leg,
            target: Target::Trunk {
                trunk: TrunkId::new(&Default::default(), "gateway"),
                hop: Hop::at(Transport::Udp, GATEWAY),
                user: number.into(),
            },
            caller: Caller::shown(if from == "anonymous" { "" } else { from }),
            local_media: self.media(),
            ring_for,
            heard_within: None,
            call_id: None,
            max_forwards: MAX_FORWARDS,
            service_route: Vec::new(),
        };
        self.endpoint.handle(command, now, &mut self.actions);
    }

    /// Holds the caller and asks a colleague; after as long a talk as the first both are joined.
    fn consult(&mut self, leg: LegId, to: &str, now: Now) {
        let Some(talks) = self.calls.get(&leg).map(|call| call.talks) else { return };
        self.endpoint.handle(LegCommand::Hold { leg, on: true }, now, &mut self.actions);
        let name = self.name.clone();
        let call = Call { party: name.clone(), up: false, talks, then: Deed::JoinWith(leg) };
        self.begin(call, &name, to, Duration::from_secs(60), now);
    }

    /// Puts the receiver down at the telephone of `party`.
    pub fn hang_up(&mut self, party: &str, now: Now, out: &mut Vec<Datagram>) {
        let legs = self.calls.iter().filter(|(_, call)| call.up && *call.party == *party);
        for leg in legs.map(|(leg, _)| *leg).collect::<Vec<_>>() {
            self.endpoint.handle(LegCommand::HangUp { leg, q850: None }, now, &mut self.actions);
        }
        self.perform(now, out);
    }

    /// The far end of all present calls is gone without a word; in a while that is noticed.
    pub fn line_dies(&mut self, now: Now) {
        const PATIENCE: Duration = Duration::from_secs(35);
        for leg in self.calls.keys().copied().collect::<Vec<_>>() {
            self.later(now.instant + PATIENCE, leg, Deed::HangUp);
        }
    }

    /// Takes a datagram.
    pub fn receive(&mut self, datagram: Datagram, now: Now, out: &mut Vec<Datagram>) {
        if self.is_for_the_dead(&datagram.message) {
            return;
        }
        if let Some(registration) = &mut self.registration
            && let Ok(Message::Response(response)) = parse(datagram.message.clone())
            && registration.is_ours(&response)
        {
            let mut actions = Vec::new();
            registration.receive(&response, now.instant, &mut actions);
            return self.registered_actions(actions, out);
        }
        let flow = self.flow();
        self.endpoint.receive(flow, datagram.message, now, &mut self.actions);
        self.perform(now, out);
    }

    /// Does what is due.
    pub fn handle_deadline(&mut self, now: Now, out: &mut Vec<Datagram>) {
        let mut actions = Vec::new();
        if let Some(registration) = &mut self.registration {
            registration.handle_deadline(now.instant, &mut actions);
        }
        self.registered_actions(actions, out);
        self.endpoint.handle_deadline(now, &mut self.actions);
        while let Some(entry) = self.due.first_entry() {
            if entry.key().0 > now.instant {
                break;
            }
            let (leg, deed) = entry.remove();
            let command = match deed {
                Deed::Ring => LegCommand::Progress { leg, status: 180, local_media: None },
                Deed::RingWithSound => {
                    let local_media = Some(self.media());
                    LegCommand::Progress { leg, status: 183, local_media }
                }
                Deed::Hold(on) => LegCommand::Hold { leg, on },
                Deed::Move => LegCommand::Offer { leg, local_media: self.media() },
                Deed::Answer => LegCommand::Answer { leg, local_media: self.media() },
                Deed::Refuse(status) => {
                    LegCommand::Refuse { leg, status, retry_after_s: None, q850: None }
                }
                Deed::Transfer(to) => {
                    let uri = format!("sip:{to}@{}", crate::house::REALM).into();
                    LegCommand::Transfer { leg, to: TransferTo::Uri(uri) }
                }
                Deed::Consult(to) => {
                    self.consult(leg, to, now);
                    continue;
                }
                Deed::JoinWith(first) => {
                    LegCommand::Transfer { leg: first, to: TransferTo::Leg(leg) }
                }
                Deed::HangUp => LegCommand::HangUp { leg, q850: None },
            };
            self.endpoint.handle(command, now, &mut self.actions);
        }
        self.perform(now, out);
    }

    /// When `handle_deadline` is wanted.
    pub fn deadline(&self) -> Option<Instant> {
        let registration = self.registration.as_ref().and_then(Registration::deadline);
        let due = self.due.first_key_value().map(|((at, _), _)| *at);
        [registration, due, self.endpoint.deadline()].into_iter().flatten().min()
    }

    /// How many calls are under way here.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Whether the last word about the registration was good.
    pub fn is_registered(&self) -> bool {
        self.registered
    }

    fn is_for_the_dead(&self, message: &Bytes) -> bool {
        if self.dead.is_empty() {
            return false;
        }
        let text = String::from_utf8_lossy(&message[..message.len().min(80)]);
        let user = text.split_once(" sip:").and_then(|(_, rest)| rest.split('@').next());
        !text.starts_with("SIP/") && user.is_some_and(|user| self.dead.contains(user))
    }

    fn flow(&self) -> Flow {
        Flow { transport: Transport::Udp, local: self.address, remote: GATEWAY }
    }

    fn media(&self) -> SocketAddr {
        SocketAddr::new(self.address.ip(), 40_000)
    }

    fn registered_actions(&mut self, actions: Vec<RegistrationAction>, out: &mut Vec<Datagram>) {
        for action in actions {
            match action {
                RegistrationAction::Transmit(_, message) => self.send(message, out),
                RegistrationAction::Registered => self.registered = true,
                RegistrationAction::Failed(_) => self.registered = false,
                RegistrationAction::Left => {
                    self.registered = false;
                    self.registration = None;
                }
            }
        }
    }

    fn perform(&mut self, now: Now, out: &mut Vec<Datagram>) {
        for action in std::mem::take(&mut self.actions) {
            match action {
                Action::Transmit { message, .. } => self.send(message, out),
                Action::Up(event) => self.take(event, now),
                Action::Matched { .. }
                | Action::Expect { .. }
                | Action::Trunk(_)
                | Action::Close { .. } => (),
            }
        }
    }

    /// The endpoint writes its own address into From; an agent's telephone says its realm there.
    fn send(&self, message: Bytes, out: &mut Vec<Datagram>) {
        let own = format!("@{}>;tag=", self.address.ip());
        let text = String::from_utf8_lossy(&message);
        let message = match self.address.ip() == crate::house::CARRIER.ip() || !text.contains(&own)
        {
            true => message,
            false => text.replace(&own, &format!("@{}>;tag=", crate::house::REALM)).into(),
        };
        out.push(Datagram { from: self.address, to: GATEWAY, message });
    }

    fn take(&mut self, event: LegEvent, now: Now) {
        match event {
            LegEvent::Incoming { leg, call, .. } => self.rings(leg, call.dialled, now),
            LegEvent::Established { leg, .. } => {
                let Some(call) = self.calls.get_mut(&leg) else { return };
                call.up = true;
                let (talks, then) = (call.talks, call.then);
                self.later(now.instant + talks, leg, then);
                self.fidget(leg, talks, now);
            }
            LegEvent::Ended { leg, .. } => {
                self.calls.remove(&leg);
                self.due.retain(|_, (other, _)| *other != leg);
            }
            LegEvent::Dialled { .. }
            | LegEvent::RetryAfter { .. }
            | LegEvent::Refused { .. }
            | LegEvent::Ringing { .. }
            | LegEvent::Changed { .. }
            | LegEvent::InfoDigit { .. }
            | LegEvent::Referred { .. }
            | LegEvent::TransferProgress { .. }
            | LegEvent::Registered { .. }
            | LegEvent::Unregistered { .. } => (),
        }
    }

    /// Somebody presses keys of the telephone in the middle of a talk: hold and back, twice in a row
    /// perhaps, so that changes of both ends meet.
    fn fidget(&mut self, leg: LegId, talks: Duration, now: Now) {
        if !self.fidgets || talks < Duration::from_secs(2) {
            return;
        }
        let within = talks.min(Duration::from_secs(60)).as_millis() as u64;
        for _ in 0..self.luck.random_range(0..3) {
            let at = now.instant + Duration::from_millis(self.luck.random_range(0..within));
            let deed = match self.luck.random_range(0..3) {
                0 => Deed::Move,
                _ => {
                    let back = Duration::from_millis(self.luck.random_range(0..5_000));
                    self.later(at + back, leg, Deed::Hold(false));
                    Deed::Hold(true)
                }
            };
            self.later(at, leg, deed);
        }
    }

    fn rings(&mut self, leg: LegId, dialled: Arc<str>, now: Now) {
        let manners = self.manners.get(&dialled).unwrap_or(&self.otherwise);
        let manner = match manners.len() {
            0 => Manner::Refuses { after: Duration::ZERO, status: 603 },
            len => manners[self.luck.random_range(0..len)],
        };
        let at = |after: Duration| now.instant + after;
        let (mut talks, mut then) = (Duration::ZERO, Deed::HangUp);
        let early = self.fidgets && self.luck.random_bool(0.5);
        let ring = if early { Deed::RingWithSound } else { Deed::Ring };
        self.later(at(Duration::from_millis(20)), leg, ring);
        match manner {
            Manner::Answers { after, talks: long } => {
                talks = long;
                self.later(at(after), leg, Deed::Answer);
            }
            Manner::Transfers { after, talks: long, to } => {
                (talks, then) = (long, Deed::Transfer(to));
                self.later(at(after), leg, Deed::Answer);
            }
            Manner::Consults { after, talks: long, to } => {
                (talks, then) = (long, Deed::Consult(to));
                self.later(at(after), leg, Deed::Answer);
            }
            Manner::Refuses { after, status } => self.later(at(after), leg, Deed::Refuse(status)),
            Manner::Ignores => (),
        }
        self.calls.insert(leg, Call { party: dialled, up: false, talks, then });
    }

    fn later(&mut self, at: Instant, leg: LegId, deed: Deed) {
        self.serial += 1;
        self.due.insert((at, self.serial), (leg, deed));
    }
}
