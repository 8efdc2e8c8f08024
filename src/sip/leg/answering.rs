//! Our 2xx to an INVITE, sent again until the ACK comes (RFC 3261 §13.3.1.4, RFC 6026 §8.1).
//!
//! ```text
//! 2xx sent ──T1, doubling to T2──► again … ──► ACK: done
//!                                  └── 64*T1 ─► no ACK: the leg ends with BYE
//! ```
//!
//! Over streams too: a proxy on the way may use UDP. Calls nothing; held by `confirmed`.

use crate::transaction::{GIVE_UP_AFTER, T1, T2};
use std::time::{Duration, Instant};

/// The wait for one ACK.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Answering {
    retransmit_after: Duration,
    retransmit_at: Instant,
    give_up_at: Instant,
}

/// What is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Due {
    /// Nothing yet.
    Nothing,
    /// Send the 2xx again.
    SendAgain,
    /// The ACK will not come.
    GiveUp,
}

impl Answering {
    /// The 2xx has just been sent for the first time.
    pub(crate) fn start(now: Instant) -> Self {
        Self { retransmit_after: T1, retransmit_at: now + T1, give_up_at: now + GIVE_UP_AFTER }
    }

    /// Lets time pass.
    pub(crate) fn handle_deadline(&mut self, now: Instant) -> Due {
        if self.give_up_at <= now {
            return Due::GiveUp;
        }
        if self.retransmit_at > now {
            return Due::Nothing;
        }
        self.retransmit_after = (self.retransmit_after * 2).min(T2);
        self.retransmit_at = now + self.retransmit_after;
        Due::SendAgain
    }

    /// When to call [`handle_deadline`](Self::handle_deadline) next.
    pub(crate) fn deadline(&self) -> Instant {
        self.retransmit_at.min(self.give_up_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::now::epoch;

    #[test]
    fn the_answer_is_repeated_from_t1_doubling_to_t2_for_64_t1() {
        let start = epoch().instant;
        let mut answering = Answering::start(start);
        assert_eq!(answering.handle_deadline(start), Due::Nothing);
        let mut again = Vec::new();
        let given_up = loop {
            let at = answering.deadline();
            match answering.handle_deadline(at) {
                Due::GiveUp => break (at - start).as_millis(),
                Due::SendAgain => again.push((at - start).as_millis()),
                Due::Nothing => panic!("something was due"),
            }
        };
        let expected = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        assert_eq!((again, given_up), (expected.to_vec(), 32_000));
    }
}
