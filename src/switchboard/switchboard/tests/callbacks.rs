//! Promises: which are made, which are kept, and what is told of those that are not.

use super::journeys::promised;
use super::{Bench, carrier, trunk_named};
use crate::event::{Action, Event, Live};
use crate::rules::Rules;
use domain::cause::Cause;
use domain::phone_number::PhoneNumber;
use media::event::MediaEvent;
use queue::event::CallbackState;
use sip::event::LegCommand;
use std::time::Duration;
use trunk::caller_id::Mismatch;
use trunk::rules::{Caps, TenantRules};

/// Nobody is there, and the caller says yes to a call back: what is done then.
fn says_yes(bench: &mut Bench) -> String {
    bench.agent_says(queue::event::AgentSays::LogOut);
    for step in ["incoming", "caller opened", "caller up", "caller 1"] {
        bench.step(step);
    }
    bench.step("caller 1")
}

/// He said yes and hung up before it was on disk, or before his port was closed: it is kept. One who was
/// told in the meantime that we cannot call back is not called.
#[test]
fn a_caller_who_hangs_up_on_his_yes_is_called_back() {
    for (meanwhile, kept) in [("caller hangs-up", true), ("wait 60", false)] {
        let mut bench = Bench::staffed();
        bench.agent_says(queue::event::AgentSays::LogOut);
        for step in ["incoming", "caller opened", "caller up", "caller 1", "caller 1"] {
            bench.step(step);
        }
        bench.step(meanwhile);
        let told = bench.step("stored");
        assert_eq!(told, if kept { "" } else { "store promise Cancelled 0" });
        let promised = bench.lives.iter().any(
            |it| matches!(it, Live::CallbackChanged(it) if it.state == CallbackState::Promised),
        );
        assert!(promised);
        bench.step("caller closed");
    }
}

fn tenant(rules: &mut Rules) -> &mut TenantRules {
    rules.carriers.tenants.values_mut().next().unwrap()
}

fn by_any_trunk(rules: &mut Rules) {
    rules.queue_voices.values_mut().for_each(|voice| voice.callback_trunk = None);
}

fn shows_a_stranger(rules: &mut Rules) {
    tenant(rules).caller_ids.allowed = vec!["+49305550*".into()];
    tenant(rules).caller_ids.mismatch = Mismatch::Reject;
    let number = PhoneNumber::parse("+4940123456").ok();
    rules.queue_voices.values_mut().for_each(|voice| voice.callback_caller_id.clone_from(&number));
}

/// Only what can be kept is promised; what stands in its way for the moment is no ground against it.
#[test]
fn a_promise_that_no_try_can_keep_is_not_made() {
    type Change = fn(&mut Rules);
    let table: [(&str, Change, bool); 9] = [
        ("by its trunk", |_| (), true),
        ("by a route", by_any_trunk, true),
        (
            "no channel now",
            |rules| {
                by_any_trunk(rules);
                let caps = Caps { outgoing: 0, ..Caps::NONE };
                rules.carriers.trunks.values_mut().for_each(|it| it.caps = caps);
            },
            true,
        ),
        (
            "a route that refuses",
            |rules| {
                by_any_trunk(rules);
                rules.carriers.routes[1].refuse = Some(403);
            },
            false,
        ),
        (
            "no route",
            |rules| {
                by_any_trunk(rules);
                rules.carriers.routes.truncate(1);
            },
            false,
        ),
        ("a number that may not be shown", shows_a_stranger, false),
        (
            "the same by a route",
            |rules| {
                by_any_trunk(rules);
                shows_a_stranger(rules);
            },
            false,
        ),
        (
            "a trunk that is switched off",
            |rules| rules.carriers.trunks.get_mut(&carrier()).unwrap().enabled = false,
            false,
        ),
        (
            "help",
            |rules| {
                tenant(rules).plan.country_code = "49".into();
                tenant(rules).plan.emergency = vec!["30123456".into()];
            },
            false,
        ),
    ];
    for (what, change, made) in table {
        let told = says_yes(&mut Bench::staffed_with(change));
        assert_eq!(told.contains("store at once promise Promised"), made, "{what}: {told}");
    }
}

/// Each trunk rings the caller as long as a promise says, whatever its route does for others; and that
/// none reached him is on record.
#[test]
fn the_last_trunk_rings_as_long_and_its_failure_is_on_record() {
    let mut bench = Bench::staffed_with(|rules| {
        by_any_trunk(rules);
        rules.carriers.routes[1].ring_for = Duration::from_secs(300);
    });
    promised(&mut bench);
    bench.step("anna is-ready");
    for _ in 0..2 {
        assert_eq!(rings_for(&mut bench), Some(Duration::from_secs(25)));
        bench.ends("caller", Cause::from_status(503));
    }
    let last = bench.decided().pop().unwrap();
    let (carrier, backup) = (carrier(), trunk_named("backup"));
    let answer = |name: &str| format!(" not trunk {name} at udp:127.0.0.1:40000 (answer: 503)");
    let both = answer(&carrier.name) + &answer(&backup.name);
    assert!(last.starts_with(&format!("refused with 500{both}")), "{last}");
}

/// For how long the caller's telephone is to ring, whose port is there.
fn rings_for(bench: &mut Bench) -> Option<Duration> {
    let leg = bench.leg("caller");
    let mut out = Vec::new();
    let opened = Event::Media(MediaEvent::Opened { leg, local: super::LOCAL });
    bench.board.handle(opened, bench.now, &mut out);
    out.iter().find_map(|action| match action {
        Action::Leg(LegCommand::Dial { ring_for, .. }) => Some(*ring_for),
        _ => None,
    })
}
