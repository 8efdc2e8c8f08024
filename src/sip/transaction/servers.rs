//! All requests of peers that have an effect: machines, the last response of each, and whose
//! they are.
//!
//! ```text
//! wire ── find ──► Servers ──► Found: repeated (answered again), ACK, or unknown
//! leg, registrar ── respond ──► Servers ──► Transmit
//! ```
//!
//! A request that is refused without effect has no transaction: the refusal is made afresh for
//! each repetition (RFC 3261 §8.2.7), so that a flood of them occupies no memory.

use crate::event::{Action, Flow};
use crate::transaction::invite_server::{self, InviteServer};
use crate::transaction::server::{self, Server};
use bytes::Bytes;
use domain::id::LegId;
use domain::timers::TimerQueue;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Names a server transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct ServerId(u64);

/// What a key was found to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Found {
    /// The request again: it was answered again, if it could be.
    Repeated {
        /// Whose it is.
        leg: Option<LegId>,
    },
    /// An ACK of a refusal; there is nothing more to do.
    RefusalAcknowledged {
        /// Whose it is.
        leg: Option<LegId>,
    },
    /// An ACK before any final response of this transaction: an earlier copy of the INVITE was refused,
    /// and nothing of that kept. It is acknowledged by nobody who still wants the call.
    GivenUp {
        /// Whose it is.
        leg: Option<LegId>,
    },
    /// An ACK that confirms a 2xx, though it came under the INVITE's own key.
    AnswerAcknowledged {
        /// Whose it is.
        leg: Option<LegId>,
    },
}

/// The INVITE that a CANCEL names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cancelled {
    /// Whose it is.
    pub leg: Option<LegId>,
    /// Whether it has no final response yet, so that the CANCEL has an effect.
    pub is_pending: bool,
}

/// A request that begins a transaction.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Its key (RFC 3261 §17.2.3).
    pub key: Arc<str>,
    /// What it shares with copies of itself that come by other ways (RFC 3261 §8.2.2.2); `None`
    /// inside a dialog, where the CSeq tells.
    pub origin: Option<Arc<str>>,
    /// Whether it is an INVITE.
    pub is_invite: bool,
    /// Where responses go.
    pub flow: Flow,
    /// Where they go once the stream of `flow` has closed (RFC 3261 §18.2.2).
    pub fallback: SocketAddr,
    /// Whose it is.
    pub leg: Option<LegId>,
}

/// All server transactions.
#[derive(Debug, Default)]
pub struct Servers {
    by_key: HashMap<Arc<str>, ServerId>,
    by_origin: HashMap<Arc<str>, ServerId>,
    /// Boxed: a table of large entries is long in growing, and keeps what it grew to.
    entries: HashMap<ServerId, Box<Entry>>,
    timers: TimerQueue<ServerId>,
    /// Those whose response goes back over a stream, so that its closing is noticed.
    on_streams: BTreeSet<(Flow, ServerId)>,
    last: u64,
    retransmissions: u64,
}

#[derive(Debug)]
struct Entry {
    key: Arc<str>,
    origin: Option<Arc<str>>,
    machine: Machine,
    flow: Flow,
    fallback: SocketAddr,
    leg: Option<LegId>,
    last_response: Bytes,
}

#[derive(Debug)]
enum Machine {
    Invite(InviteServer),
    Other(Server),
}

impl Servers {
    /// Looks for the transaction of a request or an ACK with this key (RFC 3261 §17.2.3). `None`
    /// when there is none: the request is new, or the ACK confirms a 2xx.
    pub fn find(
        &mut self,
        key: &str,
        is_ack: bool,
        now: Instant,
        out: &mut Vec<Action>,
    ) -> Option<Found> {
        let id = *self.by_key.get(key)?;
        let entry = self.entries.get_mut(&id)?;
        let leg = entry.leg;
        let (found, sends) = match &mut entry.machine {
            Machine::Invite(machine) => {
                use invite_server::{Action, Event};
                let mut actions = Vec::with_capacity(1);
                let event = if is_ack { Event::Ack } else { Event::Repeated };
                machine.handle(event, now, &mut actions);
                match actions.first() {
                    Some(Action::PassUpAck) => (Found::AnswerAcknowledged { leg }, false),
                    Some(Action::PassUpEnd) => (Found::GivenUp { leg }, false),
                    first if !is_ack => (Found::Repeated { leg }, first.is_some()),
                    _ => (Found::RefusalAcknowledged { leg }, false),
                }
            }
            Machine::Other(machine) => {
                let mut actions = Vec::with_capacity(1);
                machine.handle(server::Event::Repeated, now, &mut actions);
                (Found::Repeated { leg }, !actions.is_empty())
            }
        };
        if sends && !entry.last_response.is_empty() {
            self.retransmissions += 1;
            out.push(entry.transmit());
        }
        self.settle(id);
        Some(found)
    }

    /// Begins a transaction.
    pub fn start(&mut self, request: Incoming) -> ServerId {
        let Incoming { key, origin, is_invite, flow, fallback, leg } = request;
        self.last += 1;
        let id = ServerId(self.last);
        let machine = if is_invite {
            Machine::Invite(InviteServer::start(flow.transport))
        } else {
            Machine::Other(Server::start(flow.transport))
        };
        self.by_key.insert(key.clone(), id);
        if let Some(origin) = &origin {
            self.by_origin.insert(origin.clone(), id);
        }
        if flow.transport.is_reliable() {
            self.on_streams.insert((flow, id));
        }
        let last_response = Bytes::new();
        let entry = Entry { key, origin, machine, flow, fallback, leg, last_response };
        self.entries.insert(id, Box::new(entry));
        id
    }

    /// Whether the request came by another way already (RFC 3261 §8.2.2.2).
    pub fn has_origin(&self, origin: &str) -> bool {
        self.by_origin.contains_key(origin)
    }

    /// Whether there is a transaction with this key.
    pub fn knows(&self, key: &str) -> bool {
        self.by_key.contains_key(key)
    }

    /// Whose transaction has this key.
    pub fn leg_of(&self, key: &str) -> Option<LegId> {
        self.entries.get(self.by_key.get(key)?)?.leg
    }

    /// Sends a response (100–699), or a 2xx to INVITE again. Ignored when a final response was
    /// given and this is another.
    pub fn respond(
        &mut self,
        id: ServerId,
        status: u16,
        message: &Bytes,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let sends = match &mut entry.machine {
            Machine::Invite(machine) => {
                let mut actions = Vec::with_capacity(1);
                self.retransmissions += u64::from(machine.needs_no_response());
                machine.handle(invite_server::Event::Respond { status }, now, &mut actions);
                !actions.is_empty()
            }
            Machine::Other(machine) => {
                let mut actions = Vec::with_capacity(1);
                machine.handle(server::Event::Respond, now, &mut actions);
                !actions.is_empty()
            }
        };
        if sends {
            entry.last_response = message.clone();
            out.push(entry.transmit());
        }
        self.settle(id);
    }

    /// What a CANCEL of the INVITE with this key meets (RFC 3261 §9.2); `None` when there is no
    /// such INVITE.
    pub fn cancelled(&self, key: &str) -> Option<Cancelled> {
        let entry = self.entries.get(self.by_key.get(key)?)?;
        match &entry.machine {
            Machine::Invite(machine) => {
                Some(Cancelled { leg: entry.leg, is_pending: machine.is_pending() })
            }
            Machine::Other(_) => None,
        }
    }

    /// A stream closed: what is still to be answered goes to the address in its Via.
    pub fn connection_closed(&mut self, flow: Flow) {
        let all = (flow, ServerId(0))..=(flow, ServerId(u64::MAX));
        let moved: Vec<_> = self.on_streams.range(all).copied().collect();
        for (flow, id) in moved {
            self.on_streams.remove(&(flow, id));
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.flow.remote = entry.fallback;
            }
        }
    }

    /// Lets time pass for one transaction; call it until it returns false.
    pub fn handle_deadline(&mut self, now: Instant, out: &mut Vec<Action>) -> bool {
        let Some(id) = self.timers.expire(now) else { return false };
        let Some(entry) = self.entries.get_mut(&id) else { return true };
        match &mut entry.machine {
            Machine::Invite(machine) => {
                let mut actions = Vec::with_capacity(1);
                machine.handle_deadline(now, &mut actions);
                if let Some(invite_server::Action::SendLast) = actions.first() {
                    self.retransmissions += 1;
                    out.push(entry.transmit());
                }
            }
            Machine::Other(machine) => machine.handle_deadline(now),
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

    /// How many responses have been sent again.
    pub fn retransmissions(&self) -> u64 {
        self.retransmissions
    }

    /// After each event of a machine: its deadline, its place in the indices, its size.
    fn settle(&mut self, id: ServerId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let (deadline, sends_no_more, is_terminated) = match &entry.machine {
            Machine::Invite(machine) => {
                (machine.deadline(), machine.needs_no_response(), machine.is_terminated())
            }
            Machine::Other(machine) => (machine.deadline(), false, machine.is_terminated()),
        };
        if sends_no_more {
            entry.last_response = Bytes::new();
        }
        self.timers.update(&id, if is_terminated { None } else { deadline });
        if is_terminated && let Some(entry) = self.entries.remove(&id) {
            self.by_key.remove(&entry.key);
            if let Some(origin) = &entry.origin {
                self.by_origin.remove(origin);
            }
            self.on_streams.remove(&(entry.flow, id));
        }
    }
}

impl Entry {
    fn transmit(&self) -> Action {
        let message = self.last_response.clone();
        Action::Transmit { flow: self.flow, message, leg: self.leg }
    }
}

#[cfg(test)]
mod tests;
