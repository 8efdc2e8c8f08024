//! Which outcome is tried again, when, how often.
//!
//! Calls nothing. Called by the switchboard when an attempt is over.

use crate::event::{Disposition, RetryPolicy};

/// When the contact comes due again (Unix milliseconds); `None` when this was the final word.
///
/// `attempt_number` counts from 1 and is the attempt that has just ended. Whoever was reached,
/// declined, or was lost while waiting for an agent is not called again by itself; neither is a
/// number that does not exist. An attempt in doubt counts as one and is followed by a new one,
/// never repeated.
pub fn next(
    disposition: Disposition,
    attempt_number: u8,
    policy: &RetryPolicy,
    now_wall_ms: u64,
) -> Option<u64> {
    let gap = match disposition {
        Disposition::Busy => policy.busy_after,
        Disposition::NoAnswer => policy.no_answer_after,
        Disposition::Failed => policy.failed_after,
        Disposition::InDoubt => policy.in_doubt_after,
        Disposition::Answered
        | Disposition::AnsweredBriefly
        | Disposition::Transferred
        | Disposition::Abandoned
        | Disposition::Declined
        | Disposition::InvalidNumber => return None,
    };
    if attempt_number >= policy.attempts_max {
        return None;
    }
    Some(now_wall_ms.saturating_add(u64::try_from(gap.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_disposition_has_its_gap_until_the_attempts_are_used_up() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let policy = RetryPolicy {
            attempts_max: 3,
            busy_after: minutes(10),
            no_answer_after: minutes(240),
            failed_after: minutes(1),
            in_doubt_after: minutes(60),
        };
        let cases = [
            (Disposition::Busy, Some(600_000)),
            (Disposition::NoAnswer, Some(14_400_000)),
            (Disposition::Failed, Some(60_000)),
            (Disposition::InDoubt, Some(3_600_000)),
            (Disposition::Answered, None),
            (Disposition::AnsweredBriefly, None),
            (Disposition::Transferred, None),
            (Disposition::Abandoned, None),
            (Disposition::Declined, None),
            (Disposition::InvalidNumber, None),
        ];
        for (disposition, gap_ms) in cases {
            let due = gap_ms.map(|gap_ms: u64| 5_000 + gap_ms);
            assert_eq!(next(disposition, 1, &policy, 5_000), due, "{disposition:?}");
            assert_eq!(next(disposition, 2, &policy, 5_000), due, "{disposition:?}");
            assert_eq!(next(disposition, 3, &policy, 5_000), None, "{disposition:?}");
        }
        let once = RetryPolicy { attempts_max: 1, ..policy };
        assert_eq!(next(Disposition::Busy, 1, &once, 5_000), None);
    }
}
