//! Budgets and bans in virtual time.

use super::table::{ROW, ROWS};
use super::*;
use domain::now::epoch;

const RULES: GuardRules = GuardRules {
    unknown: Budget { per_second: 2, burst: 4 },
    unknown_together: Budget { per_second: 1_000, burst: 1_000 },
    known: Budget { per_second: 100, burst: 200 },
    strikes_max: 10,
    ban: Duration::from_secs(600),
    silent: true,
};

fn guard(rules: GuardRules) -> (Guard, Instant) {
    let now = epoch().instant;
    (Guard::new(rules, 7, now), now)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// How many of `count` messages sent at once pass.
fn passing(guard: &mut Guard, source: &str, length: usize, count: u32, now: Instant) -> u32 {
    let source = ip(source);
    (0..count).map(|_| u32::from(guard.admit(source, length, now) == Admission::Pass)).sum()
}

#[test]
fn a_source_spends_its_burst_and_then_its_rate() {
    let (mut guard, start) = guard(RULES);
    for (at_ms, length, passed) in [
        (0, 500, 4),
        (0, 500, 0),
        (499, 500, 0),
        (500, 500, 1),
        (1_000, 1_500, 1),
        (2_000, 1_501, 1), // two pieces
        (60_000, 500, 4),
        (120_000, 6_001, 0), // five pieces: more than the burst
    ] {
        let now = start + Duration::from_millis(at_ms);
        assert_eq!(passing(&mut guard, "192.0.2.1", length, 10, now), passed, "at {at_ms}");
    }
    assert_eq!(guard.counters().over_budget, 80 - 11);
}

#[test]
fn sources_are_addresses_or_networks_of_64_bits() {
    let (mut guard, now) = guard(RULES);
    for (source, passed) in [
        ("192.0.2.1", 4),
        ("192.0.2.2", 4),
        ("::ffff:192.0.2.1", 0),
        ("2001:db8:1:2::1", 4),
        ("2001:db8:1:2:ffff::9", 0),
        ("2001:db8:1:3::1", 4),
    ] {
        assert_eq!(passing(&mut guard, source, 100, 5, now), passed, "{source}");
    }
}

/// Forged sources each come with a burst of their own; together they have one budget, and those who
/// are known are served as ever.
#[test]
fn strangers_together_cannot_crowd_out_those_who_are_known() {
    let (mut guard, now) = guard(RULES);
    guard.trusts(ip("192.0.2.1"), now);
    let mut passed = 0;
    for stranger in 0..50_000_u32 {
        let source = IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + stranger));
        passed += u32::from(guard.admit(source, 400, now) == Admission::Pass);
    }
    assert_eq!(passed, 1_000);
    assert_eq!(passing(&mut guard, "192.0.2.1", 400, 300, now), 200);
}

#[test]
fn strikes_within_a_minute_ban_each_time_for_longer() {
    let (mut guard, start) = guard(RULES);
    let source = ip("198.51.100.9");
    let mut now = start;
    for (round, ban_s) in [600, 1_200, 2_400].into_iter().enumerate() {
        guard.offended(source, Offence::WrongPassword, now);
        assert_eq!(guard.bans(now), [], "round {round}");
        guard.offended(source, Offence::WrongPassword, now);
        let left = Duration::from_secs(ban_s);
        assert_eq!(
            guard.bans(now),
            [Ban { source, left, dropped: 0 }].map(|ban| Ban { dropped: round as u64, ..ban })
        );
        assert_eq!(guard.admit(source, 10, now), Admission::Banned);
        now += left;
        assert_eq!(guard.admit(source, 10, now), Admission::Pass, "round {round}");
    }
    assert_eq!((guard.counters().bans, guard.counters().banned), (3, 3));
}

#[test]
fn slow_strikes_and_known_sources_ban_nobody() {
    let (mut guard, start) = guard(RULES);
    let slow = ip("198.51.100.9");
    for minute in 0..20 {
        let now = start + Duration::from_secs(minute * 61);
        guard.offended(slow, Offence::WrongPassword, now);
    }
    let now = start + Duration::from_secs(3_000);
    let known = ip("198.51.100.10");
    guard.trusts(known, now);
    for _ in 0..100 {
        guard.offended(known, Offence::Unreadable, now);
    }
    assert_eq!(guard.bans(now), []);
    // A telephone whose password was wrong at first and then right begins anew.
    let telephone = ip("198.51.100.11");
    guard.offended(telephone, Offence::WrongPassword, now);
    guard.trusts(telephone, now);
    assert!(guard.answers_rubbish(telephone, now));
    assert!(!guard.answers_rubbish(slow, now));
    assert_eq!(guard.counters().unanswered, 1);
}

#[test]
fn a_ban_can_be_taken_back_and_switched_off() {
    let (mut guard, now) = guard(RULES);
    let source = ip("198.51.100.9");
    for _ in 0..10 {
        guard.offended(source, Offence::Unreadable, now);
    }
    assert_eq!(guard.admit(source, 10, now), Admission::Banned);
    assert!(guard.unban(source, now));
    assert!(!guard.unban(source, now));
    assert_eq!(guard.admit(source, 10, now), Admission::Pass);
    let (mut lenient, now) = self::guard(GuardRules { strikes_max: 0, silent: false, ..RULES });
    for _ in 0..100 {
        lenient.offended(source, Offence::WrongPassword, now);
    }
    assert_eq!(lenient.admit(source, 10, now), Admission::Pass);
    assert!(lenient.answers_rubbish(source, now));
}

/// Ten times as many sources as there are places: the table stays as large as it is, and those who
/// are known or banned keep their places against strangers.
#[test]
fn the_table_never_grows_and_keeps_whom_it_must() {
    let (mut guard, start) = guard(RULES);
    let (known, banned) = (ip("192.0.2.1"), ip("192.0.2.2"));
    guard.trusts(known, start);
    for _ in 0..2 {
        guard.offended(banned, Offence::WrongPassword, start);
    }
    for stranger in 0..(ROWS * ROW * 10) as u32 {
        let source = IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + stranger));
        guard.admit(source, 100, start + Duration::from_micros(u64::from(stranger)));
    }
    let now = start + Duration::from_secs(1);
    assert_eq!(guard.table.slots().count(), ROWS * ROW);
    assert_eq!(guard.admit(banned, 10, now), Admission::Banned);
    assert!(guard.answers_rubbish(known, now));
}
