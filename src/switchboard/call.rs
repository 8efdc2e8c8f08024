//! One caller's whole story: what it is for, its legs, and what is being done with it now.
//!
//! ```text
//!                          ┌──────────── refused ◄───────────┐
//!                          ▼                                 │
//! Setup ──established──► Asking ──enqueued──► Waiting ──assigned──► RingingAgent ──answered──► Bridged
//!   │                      │                     ▲                     │                          │
//!   │ (callback)           │ finished            └── did not answer ───┘                          │
//!   └────────────────────► Ending ◄── either side hung up ────────────────────────────────────────┘
//!
//! Setup ──port──► Reaching ──answered──► Through ──either side hung up──► Ending      (led through)
//!
//! Bridged, Through ──REFER──► Transferring ──answered──► Through                      (`transfer`)
//! ```

use crate::event::LegRole;
use crate::transfer::Transferring;
use campaign::event::LeasedContact;
use domain::cause::Cause;
use domain::id::{
    AgentId, AttemptId, CallId, CampaignId, FlowId, LegId, OrderId, QueueId, TenantId, TicketId,
    TrunkId,
};
use domain::ip_version::IpVersion;
use domain::media_plan::MediaPlan;
use ivr::conversation::Conversation;
use media::event::QualityReport;
use queue::event::AgentSays;
use sip::event::{Caller, Target};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use stir::verdict::Verdict;
use trunk::route::{Decision, RouteRequest};

/// What a call is for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// Somebody dialled a number that leads to this flow.
    Inbound { flow: FlowId },
    /// An agent dialled a code; he hears this and the call ends.
    FeatureCode {
        confirmation: Arc<str>,
        /// Said of the agent once his telephone is free again: ready for calls, it must not be rung
        /// while it is busy with this one.
        afterwards: Option<AgentSays>,
    },
    /// We keep a promise; its agent is reserved.
    Callback { ticket: TicketId, way: Box<Way>, ring_for: Duration },
    /// A campaign's attempt.
    Attempt(Attempt),
    /// Somebody who called is led through to somebody else.
    Transit(Box<Transit>),
}

/// What a call that is led through carries.
#[derive(Clone, Debug)]
pub(crate) struct Transit {
    pub(crate) onward: Onward,
    /// Who calls, as he said himself.
    pub(crate) caller: Caller,
    /// What the INVITE's offer came to; `None`: the offer is left to us.
    pub(crate) offer: Option<MediaPlan>,
    /// Our port for the caller, once it is there.
    pub(crate) local: Option<SocketAddr>,
    /// `Max-Forwards` of the INVITEs that go on.
    pub(crate) max_forwards: u8,
    /// Whether both hear each other before the answer.
    pub(crate) early: bool,
}

/// Where a call is led on to.
#[derive(Clone, Debug)]
pub(crate) enum Onward {
    /// An agent's telephone.
    Agent(AgentId),
    /// A number, through a trunk.
    Number(Box<Way>),
}

/// A number on its way out: what is asked for, and what was decided last.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) request: RouteRequest,
    pub(crate) decision: Decision,
}

/// What a campaign's call carries.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) attempt: AttemptId,
    pub(crate) campaign: CampaignId,
    pub(crate) contact: LeasedContact,
    pub(crate) joined_agent: bool,
}

/// What is being done with the call now.
#[derive(Clone, Debug)]
pub(crate) enum Treatment {
    /// Its first leg is not yet up. A callback's reserved agent is rung once it is.
    Setup { then: Option<Ring> },
    /// The conversation (or a confirmation) speaks and listens.
    Asking,
    /// In a queue, with music.
    Waiting { ticket: TicketId },
    /// Still with music; an agent's telephone rings.
    RingingAgent { ring: Ring, leg: LegId },
    /// Two people hear each other.
    Bridged { ticket: TicketId, leg: LegId },
    /// Led through: somebody's telephone is being reached; whether it was heard to ring.
    Reaching { leg: LegId, rang: bool },
    /// Led through: both hear each other, without a queue.
    Through { leg: LegId },
    /// One of the two hears music while somebody is rung to whom the other sends him.
    Transferring(Box<Transferring>),
    /// All legs were told to end.
    Ending,
}

/// An agent chosen for a ticket.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    pub(crate) ticket: TicketId,
    pub(crate) agent: AgentId,
    pub(crate) ring_for: Duration,
}

/// One call.
pub(crate) struct Call {
    pub(crate) id: CallId,
    pub(crate) tenant: TenantId,
    pub(crate) purpose: Purpose,
    pub(crate) treatment: Treatment,
    /// The caller's (or callee's) own leg.
    pub(crate) first: LegId,
    /// How many legs are not yet on record; the call is gone when none is left.
    pub(crate) legs_open: usize,
    pub(crate) conversation: Option<Conversation>,
    /// When the caller's place in a queue counts from.
    pub(crate) arrived_wall_ms: u64,
    pub(crate) answered_wall_ms: Option<u64>,
    pub(crate) ended: Option<Cause>,
    pub(crate) queue: Option<QueueId>,
    pub(crate) intent: Option<Arc<str>>,
    /// Whether its caller's number is true, where that was asked.
    pub(crate) verdict: Option<Verdict>,
    /// The last order to play the music of those who wait.
    pub(crate) music: Option<OrderId>,
    own_orders: u64,
}

/// Orders of the exchange itself (music, announcements) have this bit; those of a conversation
/// count from 1 and never reach it.
const OWN_ORDER: u64 = 1 << 63;

impl Call {
    pub(crate) fn new(
        id: CallId,
        tenant: TenantId,
        purpose: Purpose,
        first: LegId,
        now_wall_ms: u64,
    ) -> Self {
        Self {
            id,
            tenant,
            purpose,
            treatment: Treatment::Setup { then: None },
            first,
            legs_open: 0,
            conversation: None,
            arrived_wall_ms: now_wall_ms,
            answered_wall_ms: None,
            ended: None,
            queue: None,
            intent: None,
            verdict: None,
            music: None,
            own_orders: 0,
        }
    }

    /// An order of the exchange itself.
    pub(crate) fn own_order(&mut self) -> OrderId {
        self.own_orders += 1;
        OrderId(OWN_ORDER | self.own_orders)
    }

    /// Whether `order` is the last one of the exchange itself.
    pub(crate) fn is_last_own_order(&self, order: OrderId) -> bool {
        order.0 == OWN_ORDER | self.own_orders
    }

    /// The role of its first leg.
    pub(crate) fn first_role(&self) -> LegRole {
        match &self.purpose {
            Purpose::Inbound { .. } | Purpose::Transit(_) => LegRole::Caller,
            Purpose::FeatureCode { .. } => LegRole::Agent,
            Purpose::Callback { .. } => LegRole::Callback,
            Purpose::Attempt(_) => LegRole::Contact,
        }
    }
}

/// Whether an order belongs to a conversation (and not to the exchange itself).
pub(crate) fn is_conversations(order: OrderId) -> bool {
    order.0 & OWN_ORDER == 0
}

/// Where a leg's signalling stands.
#[derive(Clone, Debug)]
pub(crate) enum Signalling {
    /// An outgoing leg waiting for its port; nothing was sent.
    NotBegun(Box<Dial>),
    /// An incoming leg waiting for its port, which is of this version of IP.
    Offered(IpVersion),
    /// Sent or answered, not yet agreed.
    Begun,
    /// Both ends agreed.
    Up,
    /// Told to end; its `Ended` is on the way.
    Ending,
    /// Over.
    Over(Cause),
}

/// What is dialled once the port is there.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    pub(crate) target: Target,
    pub(crate) caller: Caller,
    pub(crate) ring_for: Duration,
    pub(crate) heard_within: Option<Duration>,
    pub(crate) max_forwards: u8,
    pub(crate) call_id: Option<Arc<str>>,
    /// The attempt whose side-log entry must precede the INVITE.
    pub(crate) attempt: Option<AttemptId>,
}

/// Where a leg's sound stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sound {
    /// Waiting for a port.
    Opening,
    /// The port is bound.
    Open,
    /// Told to close.
    Closing,
    /// Closed, or never opened.
    Closed(QualityReport),
}

/// One leg, with its record as it grows.
pub(crate) struct Leg {
    pub(crate) id: LegId,
    pub(crate) call: CallId,
    pub(crate) role: LegRole,
    pub(crate) signalling: Signalling,
    pub(crate) sound: Sound,
    pub(crate) sip_call_id: Arc<str>,
    pub(crate) trunk: Option<TrunkId>,
    pub(crate) from: Arc<str>,
    pub(crate) to: Arc<str>,
    pub(crate) agent: Option<AgentId>,
    /// Whether it was heard to ring: a person may have been reached.
    pub(crate) rang: bool,
    /// The number under which calls that come back are looked for, until it is answered.
    pub(crate) reaches: Option<Arc<str>>,
    /// The leg whose place it shall take once it is up.
    pub(crate) replaces: Option<LegId>,
    /// Whether his telephone holds the one he talks with.
    pub(crate) holds: bool,
    pub(crate) started_wall_ms: u64,
    pub(crate) answered_wall_ms: Option<u64>,
    pub(crate) ended_wall_ms: u64,
}

impl Leg {
    /// The cause of its end, once both its signalling and its sound are over.
    pub(crate) fn finished(&self) -> Option<(Cause, QualityReport)> {
        match (&self.signalling, &self.sound) {
            (Signalling::Over(cause), Sound::Closed(report)) => Some((*cause, *report)),
            _ => None,
        }
    }

    /// Whether it can still be told to end.
    pub(crate) fn can_end(&self) -> bool {
        !matches!(self.signalling, Signalling::Ending | Signalling::Over(_))
    }
}
