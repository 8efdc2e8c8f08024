//! What passes between a campaign and the exchange.

use domain::cause::Cause;
use domain::id::{AttemptId, CampaignId, ContactId, TrunkId};
use domain::phone_number::PhoneNumber;
use std::time::Duration;

/// What a campaign is told to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CampaignRules {
    /// Its number.
    pub id: CampaignId,
    /// Through which trunk.
    pub trunk: TrunkId,
    /// The number shown.
    pub caller_id: PhoneNumber,
    /// At most this many diallings begin per minute (1–600,000).
    pub rate_per_minute_max: u32,
    /// At most this many of its calls exist at once.
    pub channels_max: u32,
    /// How long a telephone rings.
    pub ring_for: Duration,
    /// What is tried again, when and how often.
    pub retry: RetryPolicy,
    /// Minutes of the day `[from, to)` in which it may dial, at `utc_offset_min`; `(0, 1440)` is always.
    pub window_minutes: (u16, u16),
    /// The zone's offset in minutes east of UTC.
    pub utc_offset_min: i16,
}

/// What is tried again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetryPolicy {
    /// All attempts at a contact, the first included (1–20).
    pub attempts_max: u8,
    /// Gap after busy.
    pub busy_after: Duration,
    /// Gap after no answer.
    pub no_answer_after: Duration,
    /// Gap after a network failure.
    pub failed_after: Duration,
    /// Gap after an attempt in doubt (it may have rung); at least 60 minutes by default.
    pub in_doubt_after: Duration,
}

/// Where a campaign stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CampaignState {
    /// Being filled; nothing is dialled.
    Draft,
    /// Dialling.
    Running,
    /// Not dialling; present calls go on.
    Paused,
    /// Stopped for good; present calls go on to their end.
    Cancelled,
    /// All contacts final.
    Finished,
}

/// A contact leased for dialling.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeasedContact {
    /// Which.
    pub contact: ContactId,
    /// Whom to call.
    pub number: PhoneNumber,
    /// Which attempt this will be, from 1.
    pub attempt_number: u8,
    /// The row's counter at the time of leasing: an outcome with an older one is refused.
    pub fence: u64,
}

/// What happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// Start, or go on after a pause.
    Start,
    /// Pause.
    Pause,
    /// Stop for good.
    Cancel,
    /// Contacts were added: look again.
    ContactsAdded,
    /// The store's answer to `Claim`.
    Claimed {
        /// The leased ones, at most as many as asked.
        contacts: Vec<LeasedContact>,
        /// When fewer came than asked: the earliest time another comes due (Unix milliseconds), or
        /// `None` when no contact is left that is not final, leased or being called.
        next_due_wall_ms: Option<u64>,
    },
    /// The attempt is on disk as dialling and its permit is granted: the INVITE may leave.
    Permitted {
        /// Which.
        attempt: AttemptId,
    },
    /// The permit was refused inside the store's transaction; the contact's row says why.
    Refused {
        /// Which.
        attempt: AttemptId,
    },
    /// No trunk takes it now, and nothing went to the store: the contact stays leased and is tried
    /// again, as another attempt, after `wait`; until then nothing else is.
    HeldBack {
        /// Which.
        attempt: AttemptId,
        /// How long nothing is begun.
        wait: Duration,
    },
    /// It was permitted, and nothing of it was sent after all: on disk its contact is due again, as
    /// the same attempt number.
    Unsent {
        /// Which.
        attempt: AttemptId,
    },
    /// The attempt's call is over and its outcome is on disk.
    Closed {
        /// Which.
        attempt: AttemptId,
    },
    /// The store cannot take facts: dial nothing until `StoreRecovered`.
    StoreFailed,
    /// The store works again.
    StoreRecovered,
    /// The program is shutting down: no new diallings, leased contacts go back, and the state stays
    /// what it is, so that the campaign goes on after the restart.
    Drain,
}

/// What to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Lease up to this many due contacts (fewer come if fewer are due). Answered by `Claimed`.
    Claim {
        /// How many.
        count: u32,
    },
    /// Put the attempt on disk as dialling, with its permit decided in the same transaction.
    /// Answered by `Permitted` or `Refused`.
    Permit {
        /// The new attempt.
        attempt: AttemptId,
        /// For whom.
        contact: LeasedContact,
    },
    /// Place the call (after `Permitted`).
    Originate {
        /// Which.
        attempt: AttemptId,
        /// For whom.
        contact: LeasedContact,
    },
    /// Give leased contacts back undialled (paused, cancelled or shutting down).
    Return {
        /// Which.
        contacts: Vec<LeasedContact>,
    },
    /// The state changed: store it and tell the world.
    StateChanged {
        /// To what.
        state: CampaignState,
    },
}

/// The final word on an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Disposition {
    /// Answered and the message was heard to its end, or a key was pressed.
    Answered,
    /// Answered and hung up before the end of the message.
    AnsweredBriefly,
    /// Answered, asked for a person, and was joined with one.
    Transferred,
    /// Answered, asked for a person, and left before one was there.
    Abandoned,
    /// The line was busy.
    Busy,
    /// Nobody answered.
    NoAnswer,
    /// Somebody declined.
    Declined,
    /// No such number.
    InvalidNumber,
    /// The network failed; the code is in the record.
    Failed,
    /// A crash or silence leaves it unknown whether it rang. Never dialled again as this attempt.
    InDoubt,
}

/// How an attempt went, as far as the exchange can tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// Why its leg ended.
    pub cause: Cause,
    /// Whether it was answered.
    pub answered: bool,
    /// Whether the message was played to its end.
    pub message_heard: bool,
    /// The first key pressed, if any.
    pub key: Option<char>,
    /// Whether the person asked for an agent.
    pub asked_for_agent: bool,
    /// Whether an agent was joined.
    pub joined_agent: bool,
}
