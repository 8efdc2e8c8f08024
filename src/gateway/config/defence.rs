//! `[guard]` and `[overload]`.

use super::layered::Layered;
use sip::endpoint::defence::{DefenceRules, Reserve};
use sip::guard::{Budget, GuardRules};
use sip::overload::OverloadRules;
use std::sync::Arc;
use std::time::Duration;

/// Room for calls for help, which neither `limits.calls_max` nor `sip.transactions_max` stop: 32 led
/// through, each leg with its INVITE and three more requests at once.
const RESERVE: Reserve = Reserve { transactions: 4 * 64, legs: 64 };

/// `emergency`: the numbers that no overload stops.
pub(super) fn read(root: &Layered<'_>, emergency: Vec<Arc<str>>) -> DefenceRules {
    let guard = root.section("guard");
    let strikes = guard.count("strikes_max", 0..=10_000);
    let rules = GuardRules {
        unknown: Budget {
            per_second: guard.count("unknown_per_second", 1..=1_000_000),
            burst: guard.count("unknown_burst", 1..=1_000_000),
        },
        unknown_together: Budget {
            per_second: guard.count("unknown_together_per_second", 1..=1_000_000),
            burst: guard.count("unknown_together_per_second", 1..=1_000_000),
        },
        known: Budget {
            per_second: guard.count("known_per_second", 1..=1_000_000),
            burst: guard.count("known_burst", 1..=1_000_000),
        },
        strikes_max: u16::try_from(strikes).unwrap_or(u16::MAX),
        ban: Duration::from_secs(u64::from(guard.count("ban_s", 1..=86_400))),
        silent: guard.boolean("silent"),
    };
    let is_guarded = guard.boolean("on");
    guard.finish();
    let overload = root.section("overload");
    let controlled = OverloadRules {
        backlog_max: Duration::from_millis(u64::from(overload.count("backlog_ms", 5..=2_000))),
    };
    let is_controlled = overload.boolean("on");
    overload.finish();
    DefenceRules {
        guard: is_guarded.then_some(rules),
        overload: is_controlled.then_some(controlled),
        emergency,
        reserve: RESERVE,
    }
}
