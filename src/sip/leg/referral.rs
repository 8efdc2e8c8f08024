//! A REFER of the other end, and the subscription to its outcome that accepting it makes
//! (RFC 3515 §2.4, RFC 6665 §4.2, RFC 4488).
//!
//! ```text
//!        first word: 2xx, NOTIFY        final word: NOTIFY, noresource
//! Asked ─────────────────────────► Active ──────────────────────────────► Over
//!   │                                │ expired, unsubscribed: NOTIFY, timeout ▲
//!   │                                ├────────────────────────────────────────┤
//!   │                                │ a NOTIFY refused or unanswered         │
//!   │                                └────────────────────────────────────────┤
//!   └── refused, or nobody decided: 4xx–6xx ──────────────────────────────────┘
//! ```
//!
//! One NOTIFY at a time is under way; of what happens meanwhile the last word is sent next, but the
//! final one at once. Calls nothing. Held by `confirmed`, fed by `referring`.

use std::time::{Duration, Instant};

/// How long nobody need decide on a REFER: well before its transaction ends (RFC 3515 §2.4.2).
const DECIDED_WITHIN: Duration = Duration::from_secs(8);

/// The longest a subscription lasts without a refresh. A call rings for minutes at most
/// (RFC 3261 §16.6 step 11), and few telephones refresh.
pub(super) const LASTS: Duration = Duration::from_secs(300);

/// One REFER of theirs.
#[derive(Debug)]
pub(crate) struct Referral {
    state: State,
    /// Whether they asked that no subscription be made (RFC 4488 §4).
    without_subscription: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum State {
    /// Waits for the layer above.
    Asked {
        decide_by: Instant,
    },
    /// Accepted; they are told how it goes.
    Active {
        expires_at: Instant,
        /// The last word sent or to be sent.
        status: u16,
        /// Whether a NOTIFY waits for its answer.
        awaits_answer: bool,
        /// Whether `status` has still to be sent.
        unsent: bool,
    },
    Over,
}

/// What happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// The layer above tells how far it has come; the first word accepts.
    Progress(u16),
    /// The layer above refuses.
    Refuse(u16),
    /// They refresh the subscription for so many seconds, or end it with 0; `None` leaves the time
    /// to us.
    Subscribed {
        /// Of their SUBSCRIBE.
        expires_s: Option<u32>,
    },
    /// A NOTIFY of ours was answered.
    Answered {
        /// 200–699.
        status: u16,
    },
    /// A NOTIFY of ours will get no answer.
    Failed,
    /// The deadline has come.
    Deadline,
}

/// What to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// Answer the REFER with 202.
    Accept {
        /// Say that there is no subscription (RFC 4488 §4).
        without_subscription: bool,
    },
    /// Answer the REFER with this status.
    Refuse(u16),
    /// Answer the SUBSCRIBE with 200 and this many seconds.
    Confirm {
        /// For `Expires`.
        expires_s: u64,
    },
    /// Send a NOTIFY.
    Notify {
        /// The status line in its body.
        status: u16,
        /// For `Subscription-State`.
        standing: Standing,
    },
}

/// What `Subscription-State` says (RFC 6665 §4.1.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    /// It goes on for so many seconds.
    Active {
        /// At least 1.
        expires_s: u64,
    },
    /// The referred request is done, so there is nothing more to watch (RFC 3515 §2.4.7).
    NoResource,
    /// It expired or was ended by them; the referred request goes on.
    Timeout,
}

impl Referral {
    /// A REFER that has passed its checks.
    pub(crate) fn asked(without_subscription: bool, now: Instant) -> Self {
        Self { state: State::Asked { decide_by: now + DECIDED_WITHIN }, without_subscription }
    }

    /// Takes one event.
    pub(crate) fn handle(&mut self, event: Event, now: Instant, out: &mut Vec<Action>) {
        match (&mut self.state, event) {
            (State::Asked { .. }, Event::Progress(status)) => self.accept(status, now, out),
            (State::Asked { .. }, Event::Refuse(status)) => self.refuse(status, out),
            (State::Asked { decide_by }, Event::Deadline) => {
                if *decide_by <= now {
                    // RFC 3515 §2.4.2: one or the other before the transaction expires.
                    self.refuse(603, out);
                }
            }
            (State::Active { .. }, Event::Progress(status @ 200..)) => {
                self.end(status, Standing::NoResource, out);
            }
            (State::Active { status, unsent, .. }, Event::Progress(told)) => {
                // §2.4.5: each body is a complete statement, so nothing need be said twice.
                *unsent |= *status != told;
                *status = told;
                self.notify_if_free(now, out);
            }
            (State::Active { .. }, Event::Subscribed { expires_s }) => {
                self.subscribed(expires_s, now, out);
            }
            (State::Active { awaits_answer, .. }, Event::Answered { status: 200..=299 }) => {
                *awaits_answer = false;
                self.notify_if_free(now, out);
            }
            // RFC 6665 §4.2.2: they know of no such subscription, or are gone.
            (State::Active { .. }, Event::Answered { .. } | Event::Failed) => {
                self.state = State::Over;
            }
            (State::Active { expires_at, status, .. }, Event::Deadline) => {
                if *expires_at <= now {
                    let status = *status;
                    self.end(status, Standing::Timeout, out);
                }
            }
            // No NOTIFY is out and no subscription there yet.
            (
                State::Asked { .. },
                Event::Subscribed { .. } | Event::Answered { .. } | Event::Failed,
            )
            // Decided already.
            | (State::Active { .. }, Event::Refuse(_))
            | (State::Over, _) => (),
        }
    }

    /// When [`Event::Deadline`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Asked { decide_by } => Some(decide_by),
            State::Active { expires_at, .. } => Some(expires_at),
            State::Over => None,
        }
    }

    /// Whether nothing more will be sent of it.
    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether there is a subscription that a SUBSCRIBE may refresh.
    pub(crate) fn is_active(&self) -> bool {
        matches!(self.state, State::Active { .. })
    }

    fn accept(&mut self, status: u16, now: Instant, out: &mut Vec<Action>) {
        let without_subscription = self.without_subscription;
        out.push(Action::Accept { without_subscription });
        if without_subscription {
            self.state = State::Over;
            return;
        }
        let unsent = true;
        let expires_at = now + LASTS;
        self.state = State::Active { expires_at, status, awaits_answer: false, unsent };
        match status {
            200.. => self.end(status, Standing::NoResource, out),
            // RFC 3515 §2.4.4: a NOTIFY at once.
            _ => self.notify_if_free(now, out),
        }
    }

    fn refuse(&mut self, status: u16, out: &mut Vec<Action>) {
        let status = if (400..=699).contains(&status) { status } else { 603 };
        out.push(Action::Refuse(status));
        self.state = State::Over;
    }

    fn notify_if_free(&mut self, now: Instant, out: &mut Vec<Action>) {
        let State::Active { expires_at, status, awaits_answer, unsent } = &mut self.state else {
            return;
        };
        if *unsent && !*awaits_answer {
            (*unsent, *awaits_answer) = (false, true);
            let left = expires_at.saturating_duration_since(now);
            let standing = Standing::Active { expires_s: left.as_secs().max(1) };
            out.push(Action::Notify { status: *status, standing });
        }
    }

    /// RFC 6665 §4.2.1.2: answered, and followed by a NOTIFY at once. The time given is never longer
    /// than what they ask for.
    fn subscribed(&mut self, expires_s: Option<u32>, now: Instant, out: &mut Vec<Action>) {
        let State::Active { expires_at, unsent, awaits_answer, status } = &mut self.state else {
            return;
        };
        let asked = expires_s.map_or(LASTS, |asked| Duration::from_secs(asked.into()));
        let granted = asked.min(LASTS);
        out.push(Action::Confirm { expires_s: granted.as_secs() });
        if granted.is_zero() {
            let status = *status;
            return self.end(status, Standing::Timeout, out);
        }
        *expires_at = now + granted;
        (*unsent, *awaits_answer) = (true, false);
        self.notify_if_free(now, out);
    }

    fn end(&mut self, status: u16, standing: Standing, out: &mut Vec<Action>) {
        out.push(Action::Notify { status, standing });
        self.state = State::Over;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::now::epoch;

    /// Seconds from the REFER, what happens, what is done.
    type Row<'a> = (u64, Event, &'a [Action]);

    const ACCEPT: Action = Action::Accept { without_subscription: false };

    fn active(status: u16, expires_s: u64) -> Action {
        Action::Notify { status, standing: Standing::Active { expires_s } }
    }

    fn ended(status: u16, standing: Standing) -> Action {
        Action::Notify { status, standing }
    }

    fn plays(without_subscription: bool, table: &[Row<'_>]) -> Referral {
        let start = epoch().instant;
        let mut referral = Referral::asked(without_subscription, start);
        for (at_s, event, expected) in table {
            let mut out = Vec::new();
            referral.handle(*event, start + Duration::from_secs(*at_s), &mut out);
            assert_eq!(out, *expected, "after {event:?} at {at_s} s");
        }
        referral
    }

    /// RFC 3515 §2.4.4, §2.4.7: a NOTIFY at once, one for each change, and a final one.
    #[test]
    fn they_are_told_at_once_of_each_change_and_of_the_end() {
        let referral = plays(
            false,
            &[
                (0, Event::Progress(100), &[ACCEPT, active(100, 300)]),
                (1, Event::Answered { status: 200 }, &[]),
                (2, Event::Progress(180), &[active(180, 298)]),
                (3, Event::Answered { status: 200 }, &[]),
                (4, Event::Progress(180), &[]),
                (5, Event::Progress(200), &[ended(200, Standing::NoResource)]),
                (6, Event::Progress(486), &[]),
            ],
        );
        assert!(referral.is_over());
        assert_eq!(referral.deadline(), None);
    }

    #[test]
    fn what_happens_while_a_notify_is_out_waits_but_the_end_does_not() {
        plays(
            false,
            &[
                (0, Event::Progress(100), &[ACCEPT, active(100, 300)]),
                (1, Event::Progress(180), &[]),
                (1, Event::Progress(183), &[]),
                (2, Event::Answered { status: 200 }, &[active(183, 298)]),
                (3, Event::Progress(486), &[ended(486, Standing::NoResource)]),
            ],
        );
    }

    #[test]
    fn known_at_once_it_ends_with_the_first_notify() {
        let done = ended(404, Standing::NoResource);
        plays(false, &[(0, Event::Progress(404), &[ACCEPT, done])]);
    }

    /// RFC 4488 §4: no subscription is made, so nothing is ever told.
    #[test]
    fn without_subscription_it_is_accepted_and_forgotten() {
        let accept = Action::Accept { without_subscription: true };
        let referral = plays(true, &[(0, Event::Progress(100), &[accept])]);
        assert!(referral.is_over());
        plays(true, &[(0, Event::Refuse(403), &[Action::Refuse(403)])]);
    }

    #[test]
    fn it_is_refused_when_nobody_decides() {
        let start = epoch().instant;
        let deadline = Referral::asked(false, start).deadline();
        assert_eq!(deadline, Some(start + Duration::from_secs(8)));
        plays(false, &[(7, Event::Deadline, &[]), (8, Event::Deadline, &[Action::Refuse(603)])]);
        plays(false, &[(0, Event::Refuse(200), &[Action::Refuse(603)])]);
    }

    /// RFC 3515 §2.4.4: the call goes on, only nobody is told of it any more.
    #[test]
    fn it_expires_is_refreshed_and_is_ended_by_them() {
        let first: Row<'_> = (0, Event::Progress(180), &[ACCEPT, active(180, 300)]);
        plays(
            false,
            &[
                first,
                (299, Event::Deadline, &[]),
                (300, Event::Deadline, &[ended(180, Standing::Timeout)]),
            ],
        );
        let refresh = Event::Subscribed { expires_s: Some(60) };
        let refreshed = [Action::Confirm { expires_s: 60 }, active(180, 60)];
        plays(
            false,
            &[
                first,
                (200, refresh, &refreshed),
                (260, Event::Deadline, &[ended(180, Standing::Timeout)]),
            ],
        );
        let long = [Action::Confirm { expires_s: 300 }, active(180, 300)];
        plays(false, &[first, (9, Event::Subscribed { expires_s: Some(9_999) }, &long)]);
        plays(false, &[first, (9, Event::Subscribed { expires_s: None }, &long)]);
        let unsubscribed = [Action::Confirm { expires_s: 0 }, ended(180, Standing::Timeout)];
        plays(false, &[first, (9, Event::Subscribed { expires_s: Some(0) }, &unsubscribed)]);
    }

    /// RFC 6665 §4.2.2.
    #[test]
    fn a_notify_refused_or_unanswered_ends_it() {
        for event in [Event::Answered { status: 481 }, Event::Failed] {
            let referral = plays(
                false,
                &[
                    (0, Event::Progress(100), &[ACCEPT, active(100, 300)]),
                    (1, event, &[]),
                    (2, Event::Progress(200), &[]),
                ],
            );
            assert!(referral.is_over());
        }
    }
}
