//! The endpoint: bytes in, layer by layer up to legs; orders down to bytes (RFC 3261 §5).
//!
//! ```text
//! receive ─► message ─┬─ request ──► servers ─► requests ─┬─► a leg ─► LegEvent
//!                     │                                   └─► registrar, OPTIONS, refusals
//!                     └─ response ─► clients ─► responses ──► a leg ─► LegEvent
//! handle ──► LegCommand ─► dial, or a leg ─► Transmit
//! ```
//!
//! Pure: told the time, the bytes and the randomness; everything it wants is an
//! [`Action`]. Driven by the signalling loop and by the simulator.

mod border;
pub mod config;
mod content;
pub mod defence;
mod dial;
mod invite;
mod late_pracks;
mod perform;
mod referral;
mod requests;
mod responses;
mod source;
mod trunks;
mod ways;

use crate::digest::challenger::Challenger;
use crate::error::{Fault, ParseError};
use crate::event::{Action, Flow, LegCommand, LegEvent};
use crate::leg::{self, Leg, Turn};
use crate::message::framer::PING;
use crate::message::{self, Message};
use crate::registrar::Registrar;
use crate::stun;
use crate::transaction::clients::{ClientId, Clients, Up};
use crate::transaction::key;
use crate::transaction::servers::Servers;
use bytes::Bytes;
use config::{EndpointConfig, Strangers};
use defence::Defence;
use domain::cause::Cause;
use domain::id::{AgentId, LegId, TrunkId};
use domain::now::Now;
use domain::timers::TimerQueue;
use rand::RngCore;
use responses::Surplus;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use ways::Ways;

/// All of SIP: transactions, legs and registrations.
pub struct Endpoint {
    config: EndpointConfig,
    /// The agents' accounts by user name: where in the configuration each is.
    accounts: HashMap<Arc<str>, usize>,
    rng: Box<dyn RngCore + Send>,
    /// Made at the first challenge, which tells what time it is.
    challenger: Option<Challenger>,
    /// Keys the tags of refusals, so that nobody can foretell them.
    tag_secret: u64,
    clients: Clients,
    servers: Servers,
    registrar: Registrar,
    /// The BYEs to forks that nobody wanted: as many as their transactions.
    surplus: HashMap<ClientId, Surplus>,
    legs: HashMap<LegId, Entry>,
    legs_by_tag: HashMap<Box<str>, LegId>,
    over_dialogs: referral::OverDialogs,
    late_pracks: late_pracks::LatePracks,
    leg_timers: TimerQueue<LegId>,
    next_leg: u64,
    /// Requests to trunks that belong to no leg.
    errands: trunks::Errands,
    counters: Counters,
    ways: Ways,
    defence: Defence,
}

/// A leg and how it is found.
struct Entry {
    leg: Leg,
    local_tag: Box<str>,
    /// The transaction of the leg's last INVITE, when it sends them.
    invite: Option<ClientId>,
    /// Between which addresses it began.
    made_on: Flow,
    far_end: FarEnd,
    /// Whether it is of a call for help.
    for_help: bool,
}

/// Who is at the other end of a leg.
enum FarEnd {
    Agent(AgentId),
    Trunk {
        trunk: TrunkId,
        /// The name it was located by.
        host: Option<Arc<str>>,
    },
}

impl FarEnd {
    fn trunk(&self) -> Option<&TrunkId> {
        match self {
            Self::Agent(_) => None,
            Self::Trunk { trunk, .. } => Some(trunk),
        }
    }
}

/// How much has passed since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Messages received, those that could not be read included.
    pub received: u64,
    /// Messages sent, repetitions included.
    pub sent: u64,
    /// Messages sent again because no answer or no ACK came, or because they were asked again.
    pub retransmissions: u64,
    /// Messages that could not be read.
    pub parse_errors: u64,
    /// Requests refused before they had any effect, challenges not counted.
    pub refused: u64,
}

impl Endpoint {
    /// An endpoint with nothing under way. `rng` must be cryptographically secure outside of
    /// tests: tags, branches and nonces come from it (RFC 3261 §19.3).
    pub fn new(config: EndpointConfig, mut rng: Box<dyn RngCore + Send>) -> Self {
        let users = config.agents.iter().enumerate();
        Self {
            accounts: users.map(|(at, account)| (account.user.clone(), at)).collect(),
            tag_secret: rng.next_u64(),
            registrar: Registrar::new(config.limits.contacts),
            next_leg: config.first_leg.0 | 1,
            config,
            rng,
            challenger: None,
            clients: Clients::default(),
            servers: Servers::default(),
            surplus: HashMap::new(),
            legs: HashMap::new(),
            legs_by_tag: HashMap::new(),
            over_dialogs: referral::OverDialogs::default(),
            late_pracks: late_pracks::LatePracks::default(),
            leg_timers: TimerQueue::default(),
            errands: trunks::Errands::default(),
            counters: Counters::default(),
            ways: Ways::default(),
            defence: Defence::default(),
        }
    }

    /// Takes one datagram, or one frame of a WebSocket.
    pub fn receive(&mut self, flow: Flow, message: Bytes, now: Now, out: &mut Vec<Action>) {
        if self.keeps_out(flow, message.len(), now.instant, out) {
            return;
        }
        if stun::is_stun(&message) && !flow.transport.is_reliable() {
            let answer = stun::answer(&message, flow.remote);
            out.extend(answer.map(|message| Action::Transmit { flow, message, leg: None }));
            return;
        }
        self.take(flow, message::parse(message), now, out);
    }

    /// Takes one message that was cut out of a stream.
    pub fn receive_framed(&mut self, flow: Flow, message: Bytes, now: Now, out: &mut Vec<Action>) {
        if !self.keeps_out(flow, message.len(), now.instant, out) {
            self.take(flow, message::parse_framed(message), now, out);
        }
    }

    fn take(
        &mut self,
        flow: Flow,
        message: Result<Message, ParseError>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        self.counters.received += 1;
        let before = out.len();
        let refuses = std::mem::take(&mut self.defence.refuses);
        match message {
            Ok(Message::Request(mut request)) => {
                // RFC 3261 §18.2.1, RFC 3581 §4: where it really came from.
                request.headers.stamp_via(flow.remote);
                self.advise(&mut request, flow, now);
                if refuses && self.sheds(&request, flow, out) {
                    return self.count_sent(before, out);
                }
                if self.is_strange(&request.headers, flow) {
                    self.counters.refused += 1;
                    return;
                }
                self.enter(&mut request, flow);
                leg::multipart::unwrap(&mut request.headers, &mut request.body);
                leg::leave_out_optional_body(&mut request);
                if let Some(key) = key::of_request(&request) {
                    self.handle_request(&request, key, flow, now.instant, out);
                }
            }
            Ok(Message::Response(mut response)) => {
                response.headers.remove_starting(&self.config.internal_headers);
                self.guard_challenge(&mut response, flow);
                leg::multipart::unwrap(&mut response.headers, &mut response.body);
                self.handle_response(&response, now.instant, out);
            }
            Err(error) if self.config.strangers == Strangers::Ignore && !self.is_known(flow) => {
                self.counters.parse_errors += u64::from(error.fault != Fault::Empty);
            }
            Err(error) => self.refuse_unreadable(&error, flow, now.instant, out),
        }
        self.count_sent(before, out);
    }

    /// Takes an order. One for a leg that is over, or was never there, is ignored.
    pub fn handle(&mut self, command: LegCommand, now: Now, out: &mut Vec<Action>) {
        let before = out.len();
        let now = now.instant;
        match command {
            LegCommand::Dial { .. } => self.dial(command, now, out),
            LegCommand::Progress { leg, status, local_media } => {
                self.deliver(leg, leg::Event::Progress { status, local_media }, now, out);
            }
            LegCommand::Answer { leg, local_media } => {
                self.deliver(leg, leg::Event::Answer { local_media }, now, out);
            }
            LegCommand::Refuse { leg, status, retry_after_s, q850 } => {
                self.deliver(leg, leg::Event::Refuse { status, retry_after_s, q850 }, now, out);
            }
            LegCommand::Hold { leg, on } => self.deliver(leg, leg::Event::Hold { on }, now, out),
            LegCommand::Offer { leg, local_media } => {
                self.deliver(leg, leg::Event::Offer { local_media }, now, out);
            }
            LegCommand::HangUp { leg, q850 } => {
                self.deliver(leg, leg::Event::HangUp { q850 }, now, out);
            }
            LegCommand::Transfer { leg, to } => self.transfer(leg, &to, now, out),
            LegCommand::ReferProgress { leg, status } => {
                self.deliver(leg, leg::Event::ReferProgress { status }, now, out);
            }
            LegCommand::RefuseRefer { leg, status } => {
                self.deliver(leg, leg::Event::RefuseRefer { status }, now, out);
            }
        }
        self.count_sent(before, out);
    }

    /// Nothing can be sent over `flow`: its connection could not be opened. What waits for an answer
    /// over it has failed (RFC 3261 §17.1.4).
    pub fn transport_failed(&mut self, flow: Flow, now: Now, out: &mut Vec<Action>) {
        let before = out.len();
        let mut ups = Vec::new();
        if self.clients.transport_failed(flow, now.instant, out, &mut ups) {
            self.ways.took_no_stream(flow.remote, now.instant);
        }
        self.handle_ups(ups, now.instant, out);
        self.count_sent(before, out);
    }

    /// What a leg sends never leaves, as its owner holds it back: its call is over.
    pub fn withheld(&mut self, leg: LegId, now: Now, out: &mut Vec<Action>) {
        self.deliver(leg, leg::Event::Unsent { cause: Cause::not_admitted() }, now.instant, out);
    }

    /// This message of ours could not be sent. A request has failed (RFC 3261 §17.1.4, §18.4); a
    /// response is as good as lost on the way, and nothing else that goes there is any worse for it.
    pub fn unsent(&mut self, message: Bytes, now: Now, out: &mut Vec<Action>) {
        let before = out.len();
        let Ok(Message::Request(request)) = message::parse(message) else { return };
        let branch = request.headers.via().ok().and_then(|via| via.branch());
        let key = key::of_outgoing(branch.unwrap_or(""), &request.method);
        let mut ups = Vec::new();
        if let Some(flow) = self.clients.unsent(&key, now.instant, out, &mut ups) {
            self.ways.took_no_stream(flow.remote, now.instant);
        }
        self.handle_ups(ups, now.instant, out);
        self.count_sent(before, out);
    }

    /// A stream is closed: requests over it go once more, responses take the way in their Via
    /// (RFC 3261 §18.2.2), telephones registered over it are gone.
    pub fn connection_closed(&mut self, flow: Flow, now: Now, out: &mut Vec<Action>) {
        self.forget_newcomers(flow);
        let before = out.len();
        self.servers.connection_closed(flow);
        self.ways.closed(flow);
        let mut events = Vec::new();
        self.registrar.connection_closed(flow, &mut events);
        out.extend(events.into_iter().map(Action::Up));
        let (mut again, mut ups) = (Vec::new(), Vec::new());
        self.clients.connection_closed(flow, now.instant, &mut again, &mut ups);
        for action in again {
            if let Action::Transmit { flow, leg, .. } = &action {
                self.expect(*leg, *flow, out);
            }
            out.push(action);
        }
        self.handle_ups(ups, now.instant, out);
        self.count_sent(before, out);
    }

    /// The framing of a stream is lost: what can still be answered is, and the stream closed.
    pub fn framing_lost(&mut self, flow: Flow, error: ParseError, now: Now, out: &mut Vec<Action>) {
        if !self.keeps_out(flow, 1, now.instant, out) {
            self.take(flow, Err(error), now, out);
            out.push(Action::Close { flow });
        }
    }

    /// Lets time pass: everything that is due by `now`.
    pub fn handle_deadline(&mut self, now: Now, out: &mut Vec<Action>) {
        let before = out.len();
        let now = now.instant;
        let mut ups = Vec::new();
        while self.clients.handle_deadline(now, out, &mut ups) {}
        self.handle_ups(ups, now, out);
        while self.servers.handle_deadline(now, out) {}
        // Each leg once: one that had something due for ever would stop all else.
        let due: Vec<_> = std::iter::from_fn(|| self.leg_timers.expire(now)).collect();
        for id in due {
            self.deliver(id, leg::Event::Deadline, now, out);
        }
        let mut events = Vec::new();
        self.registrar.handle_deadline(now, &mut events);
        let mut kept = Vec::new();
        self.registrar.keep_alives(now, &mut kept);
        let ping = |flow| Action::Transmit { flow, message: Bytes::from_static(PING), leg: None };
        out.extend(kept.into_iter().map(ping));
        out.extend(events.into_iter().map(Action::Up));
        self.count_sent(before, out);
    }

    /// When to call [`handle_deadline`](Self::handle_deadline) next.
    pub fn deadline(&self) -> Option<Instant> {
        let all = [
            self.clients.deadline(),
            self.servers.deadline(),
            self.leg_timers.next(),
            self.registrar.deadline(),
        ];
        all.into_iter().flatten().min()
    }

    /// How many legs there are, those closing included.
    pub fn legs(&self) -> usize {
        self.legs.len()
    }

    /// How many transactions there are, absorbing ones included.
    pub fn transactions(&self) -> usize {
        self.clients.len() + self.servers.len()
    }

    /// How many agents have a telephone registered.
    pub fn registered_agents(&self) -> usize {
        self.registrar.len()
    }

    /// How much has passed since the start.
    pub fn counters(&self) -> Counters {
        let retransmissions = self.clients.retransmissions() + self.servers.retransmissions();
        Counters { retransmissions, ..self.counters }
    }

    fn count_sent(&mut self, before: usize, out: &[Action]) {
        let sent = |action: &&Action| matches!(action, Action::Transmit { .. });
        let count = out[before..].iter().filter(sent).count();
        self.counters.sent += u64::try_from(count).unwrap_or(0);
    }

    /// Keeps a new leg.
    fn insert_leg(
        &mut self,
        (id, leg): (LegId, Leg),
        local_tag: Box<str>,
        (made_on, for_help): (Flow, bool),
        far_end: FarEnd,
    ) {
        self.leg_timers.update(&id, leg.deadline());
        self.legs_by_tag.insert(local_tag.clone(), id);
        self.legs.insert(id, Entry { leg, local_tag, invite: None, made_on, far_end, for_help });
    }

    /// Gives a leg an event and performs what it wants.
    fn deliver(&mut self, id: LegId, event: leg::Event<'_>, now: Instant, out: &mut Vec<Action>) {
        let Some(entry) = self.legs.get_mut(&id) else { return };
        let dialog = entry.leg.confirmed_dialog();
        let dialog = dialog.map(|dialog| (dialog.call_id.clone(), dialog.remote_tag.clone()));
        let mut actions = Vec::new();
        let mut turn = Turn { now, rng: &mut *self.rng, out: &mut actions };
        entry.leg.handle(event, &mut turn);
        if entry.leg.is_over() {
            self.leg_timers.update(&id, None);
        } else {
            self.leg_timers.update(&id, entry.leg.deadline());
        }
        self.perform(id, actions, now, out);
        if self.legs.get(&id).is_some_and(|entry| entry.leg.is_over())
            && let Some(entry) = self.legs.remove(&id)
        {
            self.legs_by_tag.remove(&entry.local_tag);
            if let Some((call_id, remote_tag)) = dialog {
                self.remember_over(&call_id, &entry.local_tag, &remote_tag);
            }
            if let Some(invite) = entry.invite {
                self.clients.orphan(invite, now);
            }
        }
    }

    fn handle_ups(&mut self, ups: Vec<Up>, now: Instant, out: &mut Vec<Action>) {
        for up in ups {
            let (Up::Failed { id, .. } | Up::Response { id, .. }) = &up;
            if self.surplus.remove(id).is_some() {
                continue;
            }
            match up {
                Up::Failed { leg: Some(leg), method, request, failure, .. } => {
                    let request = match message::parse(request) {
                        Ok(Message::Request(request)) => Some(request),
                        Ok(Message::Response(_)) | Err(_) => None,
                    };
                    let (method, request) = (&method, request.as_ref());
                    self.deliver(leg, leg::Event::Failed { method, request, failure }, now, out);
                }
                Up::Failed { id, leg: None, .. } => self.errand_failed(id, now, out),
                Up::Response { .. } => (),
            }
        }
    }

    /// A fresh name that nobody can foretell: 16 hexadecimal digits (RFC 3261 §19.3 asks for 32
    /// bits at least).
    fn token(&mut self) -> String {
        format!("{:016x}", self.rng.next_u64())
    }

    fn up(event: LegEvent, out: &mut Vec<Action>) {
        out.push(Action::Up(event));
    }
}

#[cfg(test)]
mod tests;
