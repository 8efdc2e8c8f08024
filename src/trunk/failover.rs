//! Which outcome of a call lets another target be tried, and which is final.
//!
//! A person who was reached is not rung again: busy, declined and every other answer of a person is
//! final, and so is whatever comes after a telephone rang. Calls nothing. Called by `route`.

use domain::cause::{Cause, CauseKind, EndedBy};
use std::fmt;
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
    /// It was answered, if only as we gave up (RFC 3261 §9.1): somebody was reached.
    Answered,
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
            (CauseKind::Cancelled, _) if cause.by == EndedBy::Us => End::GivenUp,
            (CauseKind::Normal | CauseKind::AnsweredLate, _) => End::Answered,
            (CauseKind::NotAdmitted | CauseKind::Unreachable, _) => End::NotSent,
            (CauseKind::Silent, _) => End::Silent,
            (CauseKind::NoAnswer, 487) => End::GivenUp,
            (_, 0) => End::Silent,
            (_, status) => End::Status(status),
        };
        Self { end, rang, retry_after }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rang = if self.rang { ", after ringing" } else { "" };
        write!(f, "{}{rang}", self.end)
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

/// The statuses by which a person, or whoever speaks for one, has declined: RFC 3261 §21.4.24 and
/// §21.6, RFC 8197 (607), RFC 8688 (608).
const REACHED: [u16; 5] = [486, 600, 603, 607, 608];

/// The statuses by which a trunk finds fault with our request or our account, not with the number: with
/// another trunk both are others (RFC 3261 §21.4, RFC 8224 §6.2.2).
const OURS: [u16; 13] = [401, 402, 405, 407, 413, 414, 416, 420, 421, 428, 436, 437, 438];

impl Default for FailoverRules {
    /// As the embedded configuration has it.
    fn default() -> Self {
        Self {
            next_on: Vec::new(),
            final_on: Vec::new(),
            reached_statuses: Vec::new(),
            after_ringing: false,
        }
    }
}

impl FailoverRules {
    /// The statuses that say a person was reached and stand in `next_on` alone: to be refused at
    /// load, since such a person would be rung twice without anybody having meant it.
    pub fn unmeant(&self) -> Vec<u16> {
        let next = self.next_on.iter().copied();
        next.filter(|status| says_reached(*status) && !self.reached_statuses.contains(status))
            .collect()
    }

    /// Whether another target may be tried. `second_ring`: whether the call may ring a telephone
    /// that an earlier try may already have rung.
    ///
    /// | How it ended | Another target? |
    /// |---|---|
    /// | not sent | yes |
    /// | nothing heard at all, 408 | if the call may ring twice |
    /// | 5xx | yes, unless a telephone rang |
    /// | 401, 402, 405, 407, 413, 414, 416, 420, 421, 428, 436–438 | the same: they find fault with us |
    /// | any other status | no, unless `next_on` names it |
    /// | given up by our side | no |
    pub fn judge(&self, outcome: &Outcome, second_ring: bool) -> Verdict {
        let in_doubt = |verdict| match second_ring {
            true => verdict,
            false => Verdict::Final("nothing was heard, so a telephone may have rung"),
        };
        if outcome.rang && !self.after_ringing && outcome.end != End::NotSent {
            return Verdict::Final("a telephone rang: a person may have been reached");
        }
        if outcome.rang && !second_ring {
            return Verdict::Final("a telephone rang, and this call may ring only once");
        }
        match outcome.end {
            End::NotSent => Verdict::TryNext,
            End::Silent | End::EarlyFailover => in_doubt(Verdict::TryNext),
            End::GivenUp => Verdict::Final("given up by our side"),
            End::Answered => Verdict::Final("somebody answered"),
            End::Status(status) if self.final_on.contains(&status) => {
                Verdict::Final("this status is final by configuration")
            }
            End::Status(status) if self.next_on.contains(&status) => {
                match says_reached(status) && !self.reached_statuses.contains(&status) {
                    true => Verdict::Final("a person was reached"),
                    false => Verdict::TryNext,
                }
            }
            End::Status(status) if says_reached(status) => Verdict::Final("a person was reached"),
            // RFC 3261 §16.7 step 6 makes 408 of branches that stayed silent.
            End::Status(408) => in_doubt(Verdict::TryNext),
            End::Status(500..=599) => Verdict::TryNext,
            End::Status(status) if OURS.contains(&status) => Verdict::TryNext,
            // RFC 3261 §21.6: it speaks for every way to the number.
            End::Status(600..) => Verdict::Final("it is said of the number, wherever it is called"),
            End::Status(300..=399) => Verdict::Final("redirections of trunks are not followed"),
            End::Status(_) => Verdict::Final("another way would lead to the same answer"),
        }
    }
}

impl Outcome {
    /// Whether it speaks of the target alone, so that the next one of the same trunk may do better
    /// (RFC 3263 §4.3: 503, a failed transport, no response at all).
    pub fn is_of_target(&self) -> bool {
        match self.end {
            End::NotSent | End::Silent | End::EarlyFailover => true,
            End::Status(status) => matches!(status, 408 | 503),
            End::GivenUp | End::Answered => false,
        }
    }

    /// The status that tells the first side of it.
    pub fn status(&self) -> u16 {
        match self.end {
            End::Status(status) => status,
            End::NotSent => 503,
            End::Silent | End::EarlyFailover => 408,
            End::GivenUp | End::Answered => 487,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::NotSent => f.write_str("could not be sent"),
            Self::Silent => f.write_str("no final response"),
            Self::EarlyFailover => f.write_str("nothing heard in time"),
            Self::GivenUp => f.write_str("given up"),
            Self::Answered => f.write_str("answered"),
        }
    }
}

/// Whether a status says that a person was reached.
pub fn says_reached(status: u16) -> bool {
    REACHED.contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(end: End, rang: bool) -> Outcome {
        Outcome { end, rang, retry_after: None }
    }

    fn goes_on(rules: &FailoverRules, end: End, rang: bool, second_ring: bool) -> bool {
        rules.judge(&ended(end, rang), second_ring) == Verdict::TryNext
    }

    /// How it ended; whether another is tried: by a call that may ring twice, by one that may not,
    /// and by the first after a telephone rang.
    #[test]
    fn the_table_of_outcomes() {
        let rules = FailoverRules::default();
        let status = End::Status;
        for (end, twice, once, after_ringing) in [
            (End::NotSent, true, true, true),
            (End::Silent, true, false, false),
            (End::EarlyFailover, true, false, false),
            (End::GivenUp, false, false, false),
            (status(302), false, false, false),
            (End::Answered, false, false, false),
            (status(400), false, false, false),
            (status(401), true, true, false),
            (status(407), true, true, false),
            (status(420), true, true, false),
            (status(438), true, true, false),
            (status(403), false, false, false),
            (status(404), false, false, false),
            (status(408), true, false, false),
            (status(410), false, false, false),
            (status(480), false, false, false),
            (status(484), false, false, false),
            (status(486), false, false, false),
            (status(487), false, false, false),
            (status(488), false, false, false),
            (status(500), true, true, false),
            (status(501), true, true, false),
            (status(502), true, true, false),
            (status(503), true, true, false),
            (status(504), true, true, false),
            (status(580), true, true, false),
            (status(600), false, false, false),
            (status(603), false, false, false),
            (status(604), false, false, false),
            (status(606), false, false, false),
            (status(607), false, false, false),
            (status(608), false, false, false),
            (status(699), false, false, false),
        ] {
            assert_eq!(goes_on(&rules, end, false, true), twice, "{end:?}, may ring twice");
            assert_eq!(goes_on(&rules, end, false, false), once, "{end:?}, may ring once");
            assert_eq!(goes_on(&rules, end, true, true), after_ringing, "{end:?}, rang");
        }
    }

    /// What the causes that legs end with come to.
    #[test]
    fn what_a_leg_ends_with() {
        let given_up = Cause { kind: CauseKind::Cancelled, status: 487, ..Cause::cancelled() };
        for (cause, end) in [
            (given_up, End::GivenUp),
            (Cause::cancelled(), End::GivenUp),
            (Cause::rang_out(), End::GivenUp),
            (Cause::from_status(487), End::Status(487)),
            (Cause::from_status(480), End::Status(480)),
            (Cause::silent(), End::Silent),
            (Cause::not_admitted(), End::NotSent),
            (Cause::unreachable(), End::NotSent),
            (Cause::answered_late(), End::Answered),
            (Cause::normal(EndedBy::Peer), End::Answered),
        ] {
            assert_eq!(Outcome::of(&cause, false, None).end, end, "{cause}");
        }
    }

    /// What says that a person was reached is retried only if it was asked for twice, and a load
    /// without the second word is refused.
    #[test]
    fn a_person_is_rung_twice_only_on_purpose() {
        for status in REACHED {
            let end = End::Status(status);
            let once = FailoverRules { next_on: vec![status, 480], ..FailoverRules::default() };
            assert_eq!(once.unmeant(), [status]);
            assert!(!goes_on(&once, end, false, true), "{status}");
            assert!(goes_on(&once, End::Status(480), false, true));
            let meant = FailoverRules { reached_statuses: vec![status], ..once };
            assert_eq!(meant.unmeant(), [0_u16; 0]);
            assert!(goes_on(&meant, end, false, true), "{status}");
        }
        let ringing = FailoverRules { after_ringing: true, ..FailoverRules::default() };
        assert!(goes_on(&ringing, End::Status(500), true, true));
        assert!(!goes_on(&ringing, End::Status(500), true, false), "a campaign's never");
        assert!(!goes_on(&ringing, End::Status(486), true, true));
        let shut = FailoverRules { final_on: vec![503], ..FailoverRules::default() };
        assert!(!goes_on(&shut, End::Status(503), false, true));
        assert!(goes_on(&shut, End::Status(500), false, true));
    }
}
