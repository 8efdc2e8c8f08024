//! Which outcome of a call lets another target be tried, and which is final.
//!
//! A person who was reached is not rung again: busy, declined and every other answer of a person is
//! final, and so is whatever comes after a telephone rang. Calls nothing. Called by `route`.

use domain::cause::{Cause, CauseKind};
use std::time::Duration;

/// How a try ended that was not answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// The final response.
    Status(u16),
    /// Nothing was sent: the connection could not be opened, the trunk could not be located.
    NotSent,
    /// It was sent, and the transport failed or Timer B ran out (RFC 3261 §17.1.1.2).
    Silent,
    /// Nothing at all was heard for the time that the call allows, and it was cancelled.
    EarlyFailover,
    /// Our side gave up: the caller hung up, or the ringing took too long.
    GivenUp,
}

/// All that a failed try showed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Whether a 180–183 was heard: a person may have been reached.
    pub rang: bool,
    /// `Retry-After` of the final response (RFC 3261 §20.33).
    pub retry_after: Option<Duration>,
}

impl Outcome {
    /// What a leg's end says. `rang`: a 180–183 was heard.
    pub fn of(cause: &Cause, rang: bool, retry_after: Option<Duration>) -> Self {
        let end = match (cause.kind, cause.status) {
            (CauseKind::NotAdmitted, _) => End::NotSent,
            (CauseKind::Cancelled, 0) => End::GivenUp,
            (CauseKind::Silent, _) => End::Silent,
            (CauseKind::NoAnswer, 487) => End::GivenUp,
            (_, 0) => End::Silent,
            (_, status) => End::Status(status),
        };
        Self { end, rang, retry_after }
    }
}

/// What an outcome lets happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Another target may be tried.
    TryNext,
    /// The call has failed; the reason is a clause for a person.
    Final(&'static str),
}

/// What may be tried after what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FailoverRules {
    /// Single statuses that are retried: checked before the classes. One that says a person was
    /// reached can stand here only if `reached_statuses` names it too.
    pub next_on: Vec<u16>,
    /// Single statuses that are final though their class is retried.
    pub final_on: Vec<u16>,
    /// The statuses of `next_on` that say a person was reached: named a second time, on purpose.
    pub reached_statuses: Vec<u16>,
    /// Whether 5xx and 408 after a 180–183 are retried: a person may have been reached.
    pub after_ringing: bool,
}
