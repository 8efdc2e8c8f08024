//! All requests of ours under way: machines, the bytes they repeat, and whose they are.
//!
//! ```text
//! leg ── start ──► Clients ──► Transmit
//! wire ─ response ─► Clients ──► Up::Response ──► leg
//! ```
//!
//! A transaction that only absorbs repetitions keeps its key and what it may have to send: the
//! request itself is dropped, since at full load hundreds of thousands of them wait for
//! Timers D, K and M.

use crate::event::{Action, Flow};
use crate::message::method::Method;
use crate::transaction::client::{self, Client};
use crate::transaction::invite_client::{self, InviteClient};
use bytes::Bytes;
use domain::id::LegId;
use domain::timers::TimerQueue;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Names a client transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct ClientId(u64);

/// What the user of a transaction is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Up {
    /// The response in hand is new to it.
    Response {
        /// Of which transaction.
        id: ClientId,
        /// Whose.
        leg: Option<LegId>,
    },
    /// There will be no final response.
    Failed {
        /// Of which transaction.
        id: ClientId,
        /// Whose.
        leg: Option<LegId>,
        /// What was asked.
        method: Method,
        /// The whole message.
        request: Bytes,
        /// Why.
        failure: Failure,
    },
}

/// Why a request gets no final response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// It was sent, and nothing came back in time: this counts as 408 (RFC 3261 §8.1.3.1).
    NoResponse,
    /// The transport failed when it had been sent at least once: this counts as 503 (§8.1.3.1), and
    /// yet it may have arrived.
    TransportFailed,
    /// Nothing of it has ever left: this counts as 503 (§8.1.3.1).
    Unsent,
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The key its responses will have (RFC 3261 §17.1.3).
    pub key: Arc<str>,
    /// What is asked.
    pub method: Method,
    /// The whole message.
    pub message: Bytes,
    /// Where it goes.
    pub flow: Flow,
    /// Where the peer takes connections, should that of `flow` be gone.
    pub listens_at: SocketAddr,
    /// Whose it is.
    pub leg: Option<LegId>,
    /// By which other flow, and with which Via, it goes if the first one fails (RFC 3261 §18.1.1).
    /// The branch is the same: to a peer that got both it is one request.
    pub otherwise: Option<(Flow, Bytes)>,
}

/// All client transactions.
#[derive(Debug, Default)]
pub struct Clients {
    by_key: HashMap<Arc<str>, ClientId>,
    /// Boxed: a table of large entries is long in growing, and keeps what it grew to.
    entries: HashMap<ClientId, Box<Entry>>,
    timers: TimerQueue<ClientId>,
    pending: BTreeSet<(Flow, ClientId)>,
    last: u64,
    retransmissions: u64,
}

#[derive(Debug)]
struct Entry {
    key: Arc<str>,
    method: Method,
    machine: Machine,
    flow: Flow,
    listens_at: SocketAddr,
    leg: Option<LegId>,
    /// What may have to be sent again: the request, later the ACK to a refusal.
    message: Bytes,
    otherwise: Option<Box<(Flow, Bytes)>>,
    /// Whether a copy of it has left, that which was sent last left aside.
    is_repeated: bool,
    /// Whether it ends with its connection.
    is_last: bool,
}

#[derive(Debug)]
enum Machine {
    Invite(InviteClient, Vec<Acknowledged>),
    Other(Client),
}

/// A 2xx that has been acknowledged, kept so that each repetition gets the same ACK
/// (RFC 3261 §13.2.2.4).
#[derive(Debug)]
pub struct Acknowledged {
    /// Whose 2xx it was.
    pub to_tag: Box<str>,
    /// Where the ACK goes.
    pub flow: Flow,
    /// The whole ACK.
    pub ack: Bytes,
    /// What is known of the other forks that may still answer; none of a re-INVITE, which has none.
    pub others: Option<Others>,
}

/// What the 2xx of another fork must find when the call is another's already.
#[derive(Clone, Debug)]
pub struct Others {
    /// How far each has come.
    pub forks: Arc<[OtherFork]>,
    /// Whether the INVITE left the offer to whoever answers.
    pub offer: bool,
}

/// A fork of an INVITE that was spoken to in an early dialog, and did not take the call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OtherFork {
    /// Its tag.
    pub tag: Arc<str>,
    /// The number of our last request to it: the next one's is higher (RFC 3261 §12.2.1.1).
    pub cseq: u32,
}

/// How many forks of one INVITE are acknowledged; 2xx of more than these get no ACK, and the
/// far ends give up by themselves (RFC 3261 §13.3.1.4).
const FORKS_MAX: usize = 8;

impl Clients {
    /// Sends a request and follows it until nothing can come back.
    pub fn start(&mut self, request: Outgoing, now: Instant, out: &mut Vec<Action>) -> ClientId {
        let Outgoing { key, method, message, flow, listens_at, leg, otherwise } = request;
        self.last += 1;
        let id = ClientId(self.last);
        let machine = Machine::start(&method, flow, now);
        out.push(Action::Transmit { flow, message: message.clone(), leg });
        self.by_key.insert(key.clone(), id);
        self.pending.insert((flow, id));
        let otherwise = otherwise.map(Box::new);
        let entry = Entry {
            key,
            method,
            machine,
            flow,
            listens_at,
            leg,
            message,
            otherwise,
            is_repeated: false,
            is_last: false,
        };
        self.entries.insert(id, Box::new(entry));
        self.settle(id);
        id
    }

    /// Takes a response whose key is `key`. `ack` makes the ACK to a refusal out of the INVITE
    /// (RFC 3261 §17.1.1.3). `None` when the response is a stray, a repetition, or out of place:
    /// all that was to be done is done.
    pub fn respond(
        &mut self,
        key: &str,
        (status, to_tag): (u16, &str),
        ack: impl FnOnce(&Bytes) -> Bytes,
        now: Instant,
        out: &mut Vec<Action>,
    ) -> Option<Up> {
        let id = *self.by_key.get(key)?;
        let entry = self.entries.get_mut(&id)?;
        // It arrived.
        entry.otherwise = None;
        let passed = match &mut entry.machine {
            Machine::Invite(machine, acknowledged) => {
                // §13.2.2.4: the ACK is sent for each repetition of its 2xx.
                if let Some(known) = acknowledged.iter().find(|known| *known.to_tag == *to_tag)
                    && (200..300).contains(&status)
                {
                    out.push(known.transmit(entry.leg));
                    self.retransmissions += 1;
                    return None;
                }
                let was_pending = machine.is_pending();
                let mut actions = Vec::with_capacity(2);
                machine.handle(invite_client::Event::Response { status }, now, &mut actions);
                if was_pending && status >= 300 {
                    entry.message = ack(&entry.message);
                }
                entry.perform_invite(&actions, &mut self.retransmissions, out)
            }
            Machine::Other(machine) => {
                let mut actions = Vec::with_capacity(1);
                machine.handle(client::Event::Response { status }, now, &mut actions);
                matches!(actions.first(), Some(client::Action::PassUp { .. }))
            }
        };
        let leg = entry.leg;
        self.settle(id);
        passed.then_some(Up::Response { id, leg })
    }

    /// Sends the ACK to a 2xx and keeps it for the repetitions of that 2xx.
    pub fn acknowledge(&mut self, id: ClientId, new: Acknowledged, out: &mut Vec<Action>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Machine::Invite(_, acknowledged) = &mut entry.machine else { return };
        out.push(new.transmit(entry.leg));
        if acknowledged.len() < FORKS_MAX {
            acknowledged.push(new);
        }
    }

    /// The ACK to the first 2xx of a transaction.
    pub fn first_acknowledged(&self, id: ClientId) -> Option<&Acknowledged> {
        match &self.entries.get(&id)?.machine {
            Machine::Invite(_, acknowledged) => acknowledged.first(),
            Machine::Other(_) => None,
        }
    }

    /// Whose transaction has this key.
    pub fn leg_of(&self, key: &str) -> Option<LegId> {
        self.entries.get(self.by_key.get(key)?)?.leg
    }

    /// Where the request of a transaction went.
    pub fn flow_of(&self, id: ClientId) -> Option<Flow> {
        self.entries.get(&id).map(|entry| entry.flow)
    }

    /// Over which flow the request went whose transaction has this key.
    pub fn flow_by_key(&self, key: &str) -> Option<Flow> {
        self.flow_of(*self.by_key.get(key)?)
    }

    /// Whether 2xx of further forks are still acknowledged.
    pub fn has_room_for_fork(&self, id: ClientId) -> bool {
        match self.entries.get(&id).map(|entry| &entry.machine) {
            Some(Machine::Invite(_, acknowledged)) => acknowledged.len() < FORKS_MAX,
            Some(Machine::Other(_)) | None => false,
        }
    }

    /// The request of a transaction and where it went; `None` once it is answered.
    pub fn pending_request(&self, id: ClientId) -> Option<(&Bytes, Flow)> {
        let entry = self.entries.get(&id)?;
        entry.is_pending().then_some((&entry.message, entry.flow))
    }

    /// Forgets an INVITE that was cancelled and got no final response (RFC 3261 §9.1).
    pub fn abandon(&mut self, id: ClientId, now: Instant) {
        if let Some(Entry { machine: Machine::Invite(machine, _), .. }) =
            self.entries.get_mut(&id).map(Box::as_mut)
        {
            machine.handle(invite_client::Event::Abandoned, now, &mut Vec::new());
        }
        self.settle(id);
    }

    /// The leg of an INVITE is over: if it still waits for its final response, it does so for
    /// 64*T1 at most.
    pub fn orphan(&mut self, id: ClientId, now: Instant) {
        if let Some(Entry { machine: Machine::Invite(machine, _), .. }) =
            self.entries.get_mut(&id).map(Box::as_mut)
        {
            machine.handle(invite_client::Event::Orphaned, now, &mut Vec::new());
        }
        self.settle(id);
    }

    /// An INVITE is not to be asked another way or over another connection: its leg no longer wants
    /// it, or nobody is at the end of another.
    pub fn ask_no_more(&mut self, id: ClientId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.is_last = true;
        entry.otherwise = None;
    }

    /// Nothing could be sent over `flow`. A request that has another way takes it; whether one did.
    pub fn transport_failed(
        &mut self,
        flow: Flow,
        now: Instant,
        out: &mut Vec<Action>,
        ups: &mut Vec<Up>,
    ) -> bool {
        let mut moved = false;
        for id in self.pending_on(flow) {
            moved |= self.fail(id, now, out, ups);
        }
        moved
    }

    /// The copy of a request that was sent last, whose responses have this key, could not be sent.
    /// As [`transport_failed`](Self::transport_failed) for this one alone; where it was bound for,
    /// when it has taken another way.
    pub fn unsent(
        &mut self,
        key: &str,
        now: Instant,
        out: &mut Vec<Action>,
        ups: &mut Vec<Up>,
    ) -> Option<Flow> {
        let id = *self.by_key.get(key)?;
        let flow = self.entries.get(&id).filter(|entry| entry.is_pending())?.flow;
        self.fail(id, now, out, ups).then_some(flow)
    }

    /// The connection of `flow` is gone. What was asked over it may not have arrived: it is asked once
    /// more, over a new one. An INVITE that rings waits on, as its final response may come over
    /// another connection (RFC 3261 §18.1.1); for how long, the leg says. One that is not to be asked
    /// again has failed for its leg; a 2xx that comes all the same is still acknowledged.
    pub fn connection_closed(
        &mut self,
        flow: Flow,
        now: Instant,
        out: &mut Vec<Action>,
        ups: &mut Vec<Up>,
    ) {
        for id in self.pending_on(flow) {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            let was_repeated = std::mem::replace(&mut entry.is_repeated, true);
            if entry.is_last {
                self.pending.remove(&(flow, id));
                ups.push(entry.failed(id, Failure::TransportFailed));
                continue;
            }
            if was_repeated || entry.otherwise.is_some() {
                self.fail(id, now, out, ups);
                continue;
            }
            self.pending.remove(&(entry.flow, id));
            entry.flow.remote = entry.listens_at;
            self.pending.insert((entry.flow, id));
            if !entry.rings() {
                self.retransmissions += 1;
                out.push(entry.transmit());
            }
        }
    }

    fn pending_on(&self, flow: Flow) -> Vec<ClientId> {
        let all = (flow, ClientId(0))..=(flow, ClientId(u64::MAX));
        self.pending.range(all).map(|(_, id)| *id).collect()
    }

    /// The last copy of a request was lost before it left: it takes its other way, if it has one (then
    /// true), or fails (RFC 3261 §17.1.4).
    fn fail(
        &mut self,
        id: ClientId,
        now: Instant,
        out: &mut Vec<Action>,
        ups: &mut Vec<Up>,
    ) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        let otherwise = entry.otherwise.take();
        let moves = otherwise.is_some();
        if let Some(otherwise) = otherwise {
            self.pending.remove(&(entry.flow, id));
            (entry.flow, entry.message) = *otherwise;
            entry.machine = Machine::start(&entry.method, entry.flow, now);
            self.pending.insert((entry.flow, id));
            out.push(entry.transmit());
        } else if entry.machine.fail(now) {
            let failure = match entry.is_repeated {
                true => Failure::TransportFailed,
                false => Failure::Unsent,
            };
            ups.push(entry.failed(id, failure));
        }
        self.settle(id);
        moves
    }

    /// Lets time pass for one transaction; call it until it returns false.
    pub fn handle_deadline(
        &mut self,
        now: Instant,
        out: &mut Vec<Action>,
        ups: &mut Vec<Up>,
    ) -> bool {
        let Some(id) = self.timers.expire(now) else { return false };
        let Some(entry) = self.entries.get_mut(&id) else { return true };
        let ended = match &mut entry.machine {
            Machine::Invite(machine, _) => {
                let mut actions = Vec::with_capacity(1);
                machine.handle_deadline(now, &mut actions);
                entry.is_repeated = true;
                entry.perform_invite(&actions, &mut self.retransmissions, out);
                matches!(actions.first(), Some(invite_client::Action::Ended(_)))
            }
            Machine::Other(machine) => {
                let mut actions = Vec::with_capacity(1);
                machine.handle_deadline(now, &mut actions);
                match actions.first() {
                    Some(client::Action::SendRequest) => {
                        entry.is_repeated = true;
                        self.retransmissions += 1;
                        out.push(entry.transmit());
                        false
                    }
                    Some(client::Action::Ended(_)) => true,
                    Some(client::Action::PassUp { .. }) | None => false,
                }
            }
        };
        if ended {
            ups.push(entry.failed(id, Failure::NoResponse));
        }
        self.settle(id);
        true
    }

    /// When to call [`handle_deadline`](Self::handle_deadline) next.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// How many transactions there are, absorbing ones included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many messages have been sent again.
    pub fn retransmissions(&self) -> u64 {
        self.retransmissions
    }

    /// After each event of a machine: its deadline, its place in the indices, its size.
    fn settle(&mut self, id: ClientId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if !entry.is_pending() && self.pending.remove(&(entry.flow, id)) && entry.absorbs_bare() {
            entry.message = Bytes::new();
        }
        if entry.is_terminated() {
            self.timers.update(&id, None);
            if let Some(entry) = self.entries.remove(&id) {
                self.by_key.remove(&entry.key);
            }
        } else {
            let deadline = entry.deadline();
            self.timers.update(&id, deadline);
        }
    }
}

impl Machine {
    fn start(method: &Method, flow: Flow, now: Instant) -> Self {
        if *method == Method::Invite {
            let machine = InviteClient::start(flow.transport, now, &mut Vec::new());
            Self::Invite(machine, Vec::new())
        } else {
            Self::Other(Client::start(flow.transport, now, &mut Vec::new()))
        }
    }

    /// It could not be sent; whether that ends it.
    fn fail(&mut self, now: Instant) -> bool {
        match self {
            Self::Invite(machine, _) => {
                let mut actions = Vec::with_capacity(1);
                machine.handle(invite_client::Event::TransportFailed, now, &mut actions);
                matches!(actions.first(), Some(invite_client::Action::Ended(_)))
            }
            Self::Other(machine) => {
                let mut actions = Vec::with_capacity(1);
                machine.handle(client::Event::TransportFailed, now, &mut actions);
                matches!(actions.first(), Some(client::Action::Ended(_)))
            }
        }
    }
}

impl Entry {
    /// Sends what an INVITE's machine asks for; whether it passes the response up.
    fn perform_invite(
        &self,
        actions: &[invite_client::Action],
        retransmissions: &mut u64,
        out: &mut Vec<Action>,
    ) -> bool {
        use invite_client::Action::{Ended, PassUp, SendAck, SendInvite};
        let passed = actions.iter().any(|action| matches!(action, PassUp { .. }));
        for action in actions {
            match action {
                // No ACK is made of an INVITE too long to be read.
                SendInvite | SendAck if self.message.is_empty() => (),
                SendInvite | SendAck => {
                    out.push(self.transmit());
                    // The first ACK comes with the response passed up; all else is repetition.
                    *retransmissions += u64::from(!passed);
                }
                PassUp { .. } | Ended(_) => (),
            }
        }
        passed
    }

    fn transmit(&self) -> Action {
        Action::Transmit { flow: self.flow, message: self.message.clone(), leg: self.leg }
    }

    fn failed(&self, id: ClientId, failure: Failure) -> Up {
        let (method, request) = (self.method.clone(), self.message.clone());
        Up::Failed { id, leg: self.leg, method, request, failure }
    }

    /// Whether it is an INVITE that has arrived and has no final response yet.
    fn rings(&self) -> bool {
        matches!(&self.machine, Machine::Invite(machine, _) if machine.is_proceeding())
    }

    fn is_pending(&self) -> bool {
        match &self.machine {
            Machine::Invite(machine, _) => machine.is_pending(),
            Machine::Other(machine) => machine.is_pending(),
        }
    }

    /// Whether nothing of ours can be sent again but the ACKs kept aside.
    fn absorbs_bare(&self) -> bool {
        match &self.machine {
            Machine::Invite(machine, _) => machine.is_accepted(),
            Machine::Other(_) => true,
        }
    }

    fn is_terminated(&self) -> bool {
        match &self.machine {
            Machine::Invite(machine, _) => machine.is_terminated(),
            Machine::Other(machine) => machine.is_terminated(),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.machine {
            Machine::Invite(machine, _) => machine.deadline(),
            Machine::Other(machine) => machine.deadline(),
        }
    }
}

impl Acknowledged {
    fn transmit(&self, leg: Option<LegId>) -> Action {
        Action::Transmit { flow: self.flow, message: self.ack.clone(), leg }
    }
}

#[cfg(test)]
mod tests;
