//! May this caller wait? Hours, room, somebody there, a wait that can be asked of him.
//!
//! Calls nothing. Called by `dispatcher`.

use crate::event::{Holder, QueueRules, Refusal};
use std::time::Duration;

/// What a queue looks like when somebody asks to wait in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Facts {
    /// Closed by hand.
    pub closed_by_hand: bool,
    /// The wall clock, Unix milliseconds.
    pub wall_ms: u64,
    /// How many callers wait; callbacks do not count.
    pub callers: u32,
    /// Agents logged in, paused or not.
    pub logged_in: u32,
    /// An agent is free: nobody is before the newcomer, and he does not wait at all.
    pub agent_free: bool,
    /// The estimated wait, if there is an honest one.
    pub estimate: Option<Duration>,
}

/// Says whether `holder` may wait. A callback always may: it was promised, and has been admitted
/// when the promise was made.
///
/// # Errors
/// The first of `Closed`, `NobodyThere`, `Full` and `TooLong` that holds. Without an honest
/// estimate nobody is refused for it.
pub fn admit(holder: Holder, rules: &QueueRules, facts: &Facts) -> Result<(), Refusal> {
    if matches!(holder, Holder::Callback(_)) {
        return Ok(());
    }
    if facts.closed_by_hand || !is_open(rules, facts.wall_ms) {
        return Err(Refusal::Closed);
    }
    if facts.logged_in == 0 && !rules.wait_without_agents {
        return Err(Refusal::NobodyThere);
    }
    // Those whose agent is being rung count as callers: a full line beside a free agent is no line.
    if facts.callers >= rules.length_max && !facts.agent_free {
        return Err(Refusal::Full);
    }
    if facts.estimate.is_some_and(|estimate| estimate > rules.estimate_max) {
        return Err(Refusal::TooLong);
    }
    Ok(())
}

/// Whether the queue's hours include the instant `wall_ms` (Unix milliseconds). An interval whose
/// end is before its beginning runs over the end of the week; no interval at all means always.
pub fn is_open(rules: &QueueRules, wall_ms: u64) -> bool {
    let minute = minute_of_week(wall_ms, rules.utc_offset_min);
    rules.open_minutes.is_empty()
        || rules.open_minutes.iter().any(|&(from, to)| {
            if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to }
        })
}

/// Minutes since Monday 00:00 in the zone.
fn minute_of_week(wall_ms: u64, utc_offset_min: i16) -> u16 {
    const WEEK: i64 = 7 * 24 * 60;
    // 1970-01-01 was a Thursday, three days after a Monday.
    const THURSDAY: i64 = 3 * 24 * 60;
    let minutes = i64::try_from(wall_ms / 60_000).unwrap_or(i64::MAX / 2);
    let minute = (minutes + THURSDAY + i64::from(utc_offset_min)).rem_euclid(WEEK);
    u16::try_from(minute).expect("a week has 10,080 minutes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatcher::tests::rules;
    use domain::id::CallbackId;

    fn facts() -> Facts {
        Facts {
            closed_by_hand: false,
            // Friday 2027-01-15 08:00 UTC.
            wall_ms: 1_800_000_000_000,
            callers: 0,
            logged_in: 1,
            agent_free: false,
            estimate: Some(Duration::from_secs(10)),
        }
    }

    #[test]
    fn each_reason_to_refuse_a_caller() {
        let mut rules = rules("sales", &["anna"]);
        rules.length_max = 2;
        rules.estimate_max = Duration::from_secs(60);
        rules.wait_without_agents = false;
        let cases = [
            (facts(), Ok(())),
            (Facts { closed_by_hand: true, ..facts() }, Err(Refusal::Closed)),
            (Facts { logged_in: 0, ..facts() }, Err(Refusal::NobodyThere)),
            (Facts { callers: 1, ..facts() }, Ok(())),
            (Facts { callers: 2, ..facts() }, Err(Refusal::Full)),
            (Facts { callers: 2, agent_free: true, ..facts() }, Ok(())),
            (Facts { estimate: Some(Duration::from_secs(60)), ..facts() }, Ok(())),
            (Facts { estimate: Some(Duration::from_secs(61)), ..facts() }, Err(Refusal::TooLong)),
            (Facts { estimate: None, ..facts() }, Ok(())),
        ];
        for (facts, expected) in cases {
            assert_eq!(admit(Holder::Caller, &rules, &facts), expected, "{facts:?}");
            assert_eq!(admit(Holder::Callback(CallbackId(1)), &rules, &facts), Ok(()));
        }
        rules.wait_without_agents = true;
        assert_eq!(admit(Holder::Caller, &rules, &Facts { logged_in: 0, ..facts() }), Ok(()));
    }

    #[test]
    fn hours_follow_the_zone_and_run_over_the_end_of_the_week() {
        let day = |day: u16, hour: u16| day * 1440 + hour * 60;
        let mut rules = rules("sales", &["anna"]);
        rules.open_minutes = vec![(day(4, 9), day(4, 17))];
        // Friday 08:00 UTC is not yet 09:00, but 09:00 in Berlin's winter.
        assert!(!is_open(&rules, facts().wall_ms));
        rules.utc_offset_min = 60;
        assert!(is_open(&rules, facts().wall_ms));
        // To 17:00, not through it: eight hours later it is closed.
        assert!(is_open(&rules, facts().wall_ms + 8 * 3_600_000 - 1));
        assert!(!is_open(&rules, facts().wall_ms + 8 * 3_600_000));
        // Sunday 22:00 to Monday 06:00, seen from a zone behind UTC.
        rules.utc_offset_min = -300;
        rules.open_minutes = vec![(day(6, 22), day(0, 6))];
        let sunday_22 = facts().wall_ms - 8 * 3_600_000 + 2 * 86_400_000 + 27 * 3_600_000;
        assert!(!is_open(&rules, sunday_22 - 1));
        assert!(is_open(&rules, sunday_22));
        assert!(is_open(&rules, sunday_22 + 8 * 3_600_000 - 1));
        assert!(!is_open(&rules, sunday_22 + 8 * 3_600_000));
    }
}
