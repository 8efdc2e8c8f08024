//! What others may look at: how much is held, and where each call stands. Nothing here decides.

use crate::call::{Call, Treatment};
use crate::switchboard::Switchboard;
use domain::id::{AgentId, CallId, LegId, TicketId};

/// How much the exchange holds. All of it is zero when nothing goes on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Census {
    /// Calls.
    pub calls: usize,
    /// Legs whose record is not yet written.
    pub legs: usize,
    /// Tickets that belong to calls.
    pub tickets: usize,
    /// Tickets of promises that are not yet kept.
    pub callback_tickets: usize,
    /// Agents held for promises whose dialling has not begun.
    pub reserved: usize,
    /// Attempts whose permit is on its way.
    pub permits: usize,
    /// Receipts awaited from the disk.
    pub receipts: usize,
    /// Calls led through whose callee has not answered.
    pub reaching: usize,
    /// Channels of all trunks in use.
    pub channels: u32,
}

/// Where a call stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CallView {
    /// Which.
    pub call: CallId,
    /// How many of its legs are not yet on record.
    pub legs_open: usize,
    /// What is being done with it.
    pub stage: Stage,
}

/// What is being done with a call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Stage {
    /// Its first leg is not yet up.
    Setup {
        /// The agent held for it, if it keeps a promise.
        held: Option<(TicketId, AgentId)>,
    },
    /// It speaks and listens.
    Asking,
    /// It waits in a queue.
    Waiting {
        /// Its place.
        ticket: TicketId,
    },
    /// An agent is rung for it.
    RingingAgent {
        /// Its place.
        ticket: TicketId,
        /// Who.
        agent: AgentId,
    },
    /// Two people hear each other.
    Bridged {
        /// Its place.
        ticket: TicketId,
    },
    /// It is led through, and somebody's telephone is being reached.
    Reaching,
    /// It is led through, and both hear each other.
    Through,
    /// It is being ended.
    Ending,
}

impl Switchboard {
    /// How much is held.
    pub fn census(&self) -> Census {
        Census {
            calls: self.calls.len(),
            legs: self.legs.len(),
            tickets: self.tickets.len(),
            callback_tickets: self.callback_tickets.len(),
            reserved: self.reserved.len(),
            permits: self.permits.len(),
            receipts: self.journal.waiting(),
            reaching: self.reaching.values().map(std::collections::BTreeSet::len).sum(),
            channels: self.carriers.channels(),
        }
    }

    /// Where each call stands, in the order of their numbers.
    pub fn call_views(&self) -> impl Iterator<Item = CallView> {
        self.calls.values().map(|call| CallView {
            call: call.id,
            legs_open: call.legs_open,
            stage: stage(call),
        })
    }

    /// The legs to agents that have not been told to end, in the order of their numbers.
    pub fn agent_legs(&self) -> impl Iterator<Item = (LegId, &AgentId)> {
        self.legs
            .values()
            .filter(|leg| leg.can_end() && leg.id.0 % 2 == 0)
            .filter_map(|leg| Some((leg.id, leg.agent.as_ref()?)))
    }
}

fn stage(call: &Call) -> Stage {
    match &call.treatment {
        Treatment::Setup { then } => {
            Stage::Setup { held: then.as_ref().map(|ring| (ring.ticket, ring.agent.clone())) }
        }
        Treatment::Asking => Stage::Asking,
        Treatment::Waiting { ticket } => Stage::Waiting { ticket: *ticket },
        Treatment::RingingAgent { ring, .. } => {
            Stage::RingingAgent { ticket: ring.ticket, agent: ring.agent.clone() }
        }
        Treatment::Bridged { ticket, .. } => Stage::Bridged { ticket: *ticket },
        Treatment::Reaching { .. } => Stage::Reaching,
        Treatment::Through { .. } => Stage::Through,
        Treatment::Transferring(transfer) => match transfer.ticket {
            Some(ticket) => Stage::Bridged { ticket },
            None => Stage::Through,
        },
        Treatment::Ending => Stage::Ending,
    }
}
