//! What passes between the queues and the exchange.

use domain::id::{AgentId, CallbackId, QueueId, TicketId};
use domain::phone_number::PhoneNumber;
use std::sync::Arc;
use std::time::Duration;

/// One place in a queue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ticket {
    /// Its number.
    pub id: TicketId,
    /// Where it stands.
    pub queue: QueueId,
    /// 0 is ordinary, higher is sooner.
    pub priority: u8,
    /// When its place was taken, Unix milliseconds: a callback keeps its caller's original arrival.
    pub arrived_wall_ms: u64,
    /// Who holds it.
    pub holder: Holder,
}

/// Who holds a ticket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Holder {
    /// A caller on the line.
    Caller,
    /// A promise: he is called once an agent is reserved.
    Callback(CallbackId),
}

/// What an agent is doing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AgentState {
    /// Not at work.
    LoggedOut,
    /// Free since (Unix milliseconds).
    Available {
        /// The one idle longest is rung first.
        since_wall_ms: u64,
    },
    /// Held for a callback whose caller is being rung.
    Reserved {
        /// Which.
        ticket: TicketId,
    },
    /// His telephone rings.
    Ringing {
        /// For whom.
        ticket: TicketId,
    },
    /// In a call.
    Talking {
        /// With whom.
        ticket: TicketId,
    },
    /// Writing up the last call.
    WrapUp,
    /// Away, by his own word or because he did not answer.
    Paused {
        /// Why: `lunch`, `no answer`.
        reason: Arc<str>,
    },
}

/// What happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// A caller asks to wait, or a promise has come due. Answered by `Admitted` or `Refused`
    /// (a callback's ticket is never refused: it was promised).
    Arrived(Ticket),
    /// The ticket's holder is gone: hung up, or the promise was withdrawn.
    Left(TicketId),
    /// The agent's telephone is being rung for this ticket (after `Assigned`).
    AgentRinging {
        /// Whose.
        ticket: TicketId,
    },
    /// The agent took the call and both hear each other.
    AgentAnswered {
        /// Which.
        ticket: TicketId,
    },
    /// The agent did not take it: ring limit, declined, unreachable. The ticket keeps its place.
    AgentDidNotAnswer {
        /// Which.
        ticket: TicketId,
    },
    /// The talk is over: the agent goes to wrap-up.
    TalkEnded {
        /// Which.
        ticket: TicketId,
    },
    /// The caller of a promise could not be reached: the agent is free again at once.
    ReservationReleased {
        /// Which.
        ticket: TicketId,
    },
    /// An agent says what he does.
    AgentSays {
        /// Who.
        agent: AgentId,
        /// What.
        says: AgentSays,
    },
    /// Whether the agent has a reachable telephone (registered at us, or a fixed address).
    AgentPhone {
        /// Whose.
        agent: AgentId,
        /// Whether it can be rung.
        reachable: bool,
    },
    /// Whether the agent is in a call of his own, outside the queues: he is not rung meanwhile.
    AgentOnThePhone {
        /// Who.
        agent: AgentId,
        /// Whether he is.
        busy: bool,
    },
    /// A queue is opened or closed by hand.
    SetOpen {
        /// Which.
        queue: QueueId,
        /// Open or closed.
        open: bool,
    },
}

/// What an agent can say of himself, by API or feature code.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AgentSays {
    /// At work; not yet ready for calls (paused, reason `logged in`).
    LogIn,
    /// Gone. In a call: takes effect at its end.
    LogOut,
    /// Ready for calls; ends a pause or wrap-up.
    Ready,
    /// Away for a while. In a call: takes effect at its end.
    Pause {
        /// Why.
        reason: Arc<str>,
    },
    /// Needs more time after the call: `WrapUp` until `Ready`.
    ExtendWrapUp,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The ticket waits.
    Admitted {
        /// Which.
        ticket: TicketId,
        /// How many are before it.
        position: u32,
        /// Estimated wait; `None` when there is no honest estimate.
        estimate: Option<Duration>,
    },
    /// The ticket does not wait: it is gone.
    Refused {
        /// Which.
        ticket: TicketId,
        /// Why.
        reason: Refusal,
    },
    /// Ring this agent for this ticket (a callback: reserve him and ring the caller first).
    Assigned {
        /// Which.
        ticket: TicketId,
        /// Who.
        agent: AgentId,
        /// How long he may ring.
        ring_for: Duration,
        /// Why he and not another, for the record.
        why: Arc<str>,
    },
    /// Time to tell the waiting caller where he stands.
    Announce {
        /// Which.
        ticket: TicketId,
        /// How many are before it.
        position: u32,
        /// Estimated wait; `None` when there is no honest estimate.
        estimate: Option<Duration>,
    },
    /// He waited as long as the queue allows: the ticket is gone.
    WaitedTooLong {
        /// Which.
        ticket: TicketId,
    },
    /// An agent's state changed.
    AgentChanged {
        /// Whose.
        agent: AgentId,
        /// To what.
        state: AgentState,
    },
}

/// Why a queue does not take a caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// As many wait as may.
    Full,
    /// Outside its hours, or closed by hand.
    Closed,
    /// Nobody is logged in.
    NobodyThere,
    /// The estimated wait is longer than the queue allows.
    TooLong,
    /// No such queue.
    Unknown,
}

/// How a queue works.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QueueRules {
    /// Which.
    pub id: QueueId,
    /// Its agents.
    pub agents: Vec<AgentId>,
    /// How many callers may wait at once; callbacks do not count.
    pub length_max: u32,
    /// The longest estimated wait at which a caller is still admitted.
    pub estimate_max: Duration,
    /// The longest a caller may wait.
    pub wait_max: Duration,
    /// How long an agent's telephone rings.
    pub ring_for: Duration,
    /// Time after a call before the next.
    pub wrap_up: Duration,
    /// After how many unanswered rings in a row an agent is paused.
    pub missed_rings_max: u8,
    /// Time between announcements of the place.
    pub announce_every: Duration,
    /// Whether callers may wait while nobody is logged in.
    pub wait_without_agents: bool,
    /// Hours in which it takes callers: minutes of the week `[from, to)` from Monday 00:00 UTC
    /// shifted by the queue's zone; empty means always.
    pub open_minutes: Vec<(u16, u16)>,
    /// The zone's offset, in minutes east of UTC, told anew by the shell when it changes.
    pub utc_offset_min: i16,
}

/// The state of one promise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CallbackState {
    /// On disk, waiting for its turn or for the gap after a failed try.
    Promised,
    /// An agent is reserved for it.
    Reserved,
    /// The caller is being rung.
    Dialling,
    /// Both were joined. Final.
    Kept,
    /// Given up after the last try or at its expiry; always reported. Final.
    Broken,
    /// Withdrawn through the API or because the caller rang again and was served. Final.
    Cancelled,
}

/// A promised call, as it stands on disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Promise {
    /// Its number.
    pub id: CallbackId,
    /// For which queue.
    pub queue: QueueId,
    /// Whom to call.
    pub number: PhoneNumber,
    /// When the caller arrived: his place. Unix milliseconds.
    pub arrived_wall_ms: u64,
    /// Not to be tried before. Unix milliseconds.
    pub not_before_wall_ms: u64,
    /// Given up after. Unix milliseconds.
    pub expires_wall_ms: u64,
    /// Tries begun so far.
    pub tries: u8,
    /// Where it stands.
    pub state: CallbackState,
}
