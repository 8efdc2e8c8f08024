//! A REFER of ours: whether it is taken, and what becomes of the call it asks for (RFC 3515 §2.4,
//! RFC 6665 §4.1).
//!
//! ```text
//!        2xx            NOTIFY: final word         NOTIFY: terminated
//! Asked ─────► Followed ───────────────────► Told ─────────────────────► Over
//!   │            │ NOTIFY: terminated without a final word, expired,        ▲
//!   │            │ or no NOTIFY at all: 408                                 │
//!   │ refused, silent                                                       │
//!   └────────────┴──────────────────────────────────────────────────────────┘
//! ```
//!
//! Calls nothing. Held by `confirmed`, fed by `referring`.

use crate::transaction::GIVE_UP_AFTER;
use std::time::{Duration, Instant};

/// One REFER of ours.
#[derive(Debug)]
pub(crate) struct Transfer {
    state: State,
}

/// What we wait for when a NOTIFY says no time (RFC 6665 §4.1.3: it ought to).
const LASTS: Duration = Duration::from_secs(300);

/// The longest we wait for a final word, whatever they promise.
const LASTS_MAX: Duration = Duration::from_secs(3_600);

#[derive(Clone, Debug, Eq, PartialEq)]
enum State {
    /// The REFER waits for its answer; a NOTIFY may overtake that (RFC 3515 §2.4.4).
    Asked,
    /// Accepted; the next NOTIFY is due by then.
    Followed {
        until: Instant,
    },
    /// The final word was heard; the subscription's own end is due by then.
    Told {
        until: Instant,
    },
    Over,
}

/// What happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// The REFER was answered.
    Answered {
        /// 200–699.
        status: u16,
        /// They made no subscription (RFC 4488 §4), so no more will be heard.
        without_subscription: bool,
    },
    /// The REFER will get no answer.
    Failed,
    /// A NOTIFY of this subscription.
    Notified {
        /// The status line in its body.
        status: u16,
        /// Whether `Subscription-State` says `terminated`.
        terminated: bool,
        /// What it says the subscription lasts.
        expires_s: Option<u32>,
    },
    /// The deadline has come.
    Deadline,
}

impl Transfer {
    /// The REFER has just been sent.
    pub(crate) fn asked() -> Self {
        Self { state: State::Asked }
    }

    /// Takes one event; the status to tell the layer above, if there is one.
    pub(crate) fn handle(&mut self, event: Event, now: Instant) -> Option<u16> {
        match (&self.state, event) {
            (State::Asked, Event::Answered { status: status @ 200..=299, without_subscription }) => {
                if without_subscription {
                    self.state = State::Over;
                    return Some(status);
                }
                // RFC 6665 §4.1.2.4, Timer N: the first NOTIFY comes within 64*T1.
                self.state = State::Followed { until: now + GIVE_UP_AFTER };
                None
            }
            (State::Asked, Event::Answered { status, .. }) => {
                self.state = State::Over;
                Some(status)
            }
            // §8.1.3.1 of RFC 3261: as if 408 had come.
            (State::Asked, Event::Failed) => {
                self.state = State::Over;
                Some(408)
            }
            (
                State::Asked | State::Followed { .. },
                Event::Notified { status, terminated, expires_s },
            ) => Some(self.notified(status, terminated, expires_s, now)),
            (State::Told { .. }, Event::Notified { terminated: true, .. }) => {
                self.state = State::Over;
                None
            }
            (State::Followed { until }, Event::Deadline) if *until <= now => {
                self.state = State::Over;
                Some(408)
            }
            (State::Told { until }, Event::Deadline) if *until <= now => {
                self.state = State::Over;
                None
            }
            // The REFER's answer was overtaken by a NOTIFY, or comes once more.
            (State::Followed { .. } | State::Told { .. }, Event::Answered { .. } | Event::Failed)
            // Said already.
            | (State::Told { .. }, Event::Notified { terminated: false, .. })
            // Not yet.
            | (State::Asked | State::Followed { .. } | State::Told { .. }, Event::Deadline)
            | (State::Over, _) => None,
        }
    }

    /// When [`Event::Deadline`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Followed { until } | State::Told { until } => Some(until),
            // The transaction has its own end.
            State::Asked | State::Over => None,
        }
    }

    /// Whether a NOTIFY of it is no longer expected.
    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    fn notified(
        &mut self,
        status: u16,
        terminated: bool,
        expires_s: Option<u32>,
        now: Instant,
    ) -> u16 {
        let lasts = expires_s.map_or(LASTS, |seconds| Duration::from_secs(seconds.into()));
        let until = now + lasts.min(LASTS_MAX);
        self.state = match (status, terminated) {
            (_, true) => State::Over,
            (200.., false) => State::Told { until },
            (..200, false) => State::Followed { until },
        };
        match (status, terminated) {
            // Nothing more will be heard, and nothing final was: that is no success.
            (..200, true) => 408,
            (status, _) => status,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::now::epoch;

    /// Seconds from the REFER, what happens, what is told.
    type Row = (u64, Event, Option<u16>);

    const ACCEPTED: Event = Event::Answered { status: 202, without_subscription: false };

    fn notify(status: u16) -> Event {
        Event::Notified { status, terminated: false, expires_s: Some(60) }
    }

    fn last(status: u16) -> Event {
        Event::Notified { status, terminated: true, expires_s: None }
    }

    fn plays(table: &[Row]) -> Transfer {
        let start = epoch().instant;
        let mut transfer = Transfer::asked();
        for (at_s, event, expected) in table {
            let told = transfer.handle(*event, start + Duration::from_secs(*at_s));
            assert_eq!(told, *expected, "after {event:?} at {at_s} s");
        }
        transfer
    }

    #[test]
    fn each_word_is_told_and_the_last_ends_it() {
        let done = plays(&[
            (0, ACCEPTED, None),
            (1, notify(100), Some(100)),
            (2, notify(180), Some(180)),
            (3, last(200), Some(200)),
            (4, last(200), None),
        ]);
        assert!(done.is_over());
    }

    /// RFC 3515 §2.4.4: the NOTIFY may come first.
    #[test]
    fn a_notify_may_overtake_the_answer() {
        let going_on = plays(&[(0, notify(100), Some(100)), (1, ACCEPTED, None)]);
        assert!(!going_on.is_over());
        let failed = plays(&[(0, last(503), Some(503)), (1, ACCEPTED, None)]);
        assert!(failed.is_over());
    }

    #[test]
    fn a_refusal_or_silence_ends_it() {
        for status in [403, 405, 481, 603] {
            let refused = Event::Answered { status, without_subscription: false };
            assert!(plays(&[(0, refused, Some(status))]).is_over());
        }
        assert!(plays(&[(32, Event::Failed, Some(408))]).is_over());
    }

    /// RFC 4488 §4: taken, and no more will be heard.
    #[test]
    fn without_subscription_the_answer_is_all() {
        let taken = Event::Answered { status: 202, without_subscription: true };
        assert!(plays(&[(0, taken, Some(202)), (1, notify(200), None)]).is_over());
    }

    /// RFC 6665 §4.1.2.4, Timer N; and the expiry that a NOTIFY names.
    #[test]
    fn notifies_that_do_not_come_are_missed() {
        plays(&[
            (1, ACCEPTED, None),
            (32, Event::Deadline, None),
            (33, Event::Deadline, Some(408)),
        ]);
        plays(&[
            (0, notify(180), Some(180)),
            (59, Event::Deadline, None),
            (60, Event::Deadline, Some(408)),
        ]);
        // A subscription that ends without a final word.
        plays(&[(0, notify(180), Some(180)), (1, last(180), Some(408))]);
    }

    #[test]
    fn after_the_final_word_only_the_end_of_the_subscription_is_awaited() {
        let done =
            plays(&[(0, notify(200), Some(200)), (1, notify(200), None), (2, last(200), None)]);
        assert!(done.is_over());
        let silent = plays(&[(0, notify(486), Some(486)), (60, Event::Deadline, None)]);
        assert!(silent.is_over());
    }
}
