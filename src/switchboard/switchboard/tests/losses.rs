use super::Bench;
use super::journeys::{claimed, dialling, start};
use crate::event::Live;
use domain::cause::{Cause, EndedBy};

/// Up to the menu.
const ANSWERED: [(&str, &str); 3] = [
    ("incoming", "open caller"),
    ("caller opened", "answer caller"),
    ("caller up", "connect caller | play caller Press 1. | listen caller"),
];
/// Up to the agent's port.
const QUEUED: (&str, &str) =
    ("caller 1", "silence caller | deafen caller | play caller music | open anna");

/// A media thread that never says `Closed` must not keep calls, agents and channels for ever.
#[test]
fn a_port_that_never_closes_frees_its_call_all_the_same() {
    let mut bench = Bench::staffed();
    bench.plays(&[
        ("incoming", "open caller"),
        ("caller opened", "answer caller"),
        ("caller hangs-up", "close caller"),
        ("wait 4", ""),
        ("wait 1", "store Caller Normal"),
        // The late answer finds nobody.
        ("caller closed", ""),
    ]);
    bench.holds_nothing();
}

/// Music that cannot be had ends at once; begun again each time, it would keep the loop busy for
/// each who waits. The next announcement brings another try.
#[test]
fn music_that_cannot_be_played_is_not_begun_again_at_once() {
    let mut bench = Bench::staffed();
    bench.plays(&ANSWERED);
    bench.plays(&[
        QUEUED,
        ("caller played", ""),
        ("anna opened", "invite anna at anna"),
        ("anna leaves", "reply Done"),
        ("anna busy", "close anna | store LoggedOut"),
        ("anna closed", "store Agent Busy"),
        ("wait 45", "play caller You are number 1 in line. Please stay on the line."),
        ("caller played", "play caller music"),
        ("caller played", ""),
    ]);
}

/// The caller goes while his agent's port is being opened: nothing was sent to her, nothing is.
#[test]
fn a_caller_who_goes_takes_his_agent_along() {
    let mut bench = Bench::staffed();
    bench.plays(&ANSWERED);
    bench.plays(&[
        QUEUED,
        ("caller hangs-up", "close caller | store Available"),
        ("anna opened", "close anna"),
        ("anna closed", "store Agent Cancelled"),
        ("caller closed", "store Caller Normal"),
    ]);
    bench.holds_nothing();
}

/// No port can be had for her leg. It counts as a ring missed, so that this ends: three, and she is
/// passed over until she says that she is ready.
#[test]
fn an_agent_without_a_port_is_tried_so_many_times() {
    let mut bench = Bench::staffed();
    bench.plays(&ANSWERED);
    bench.plays(&[
        QUEUED,
        ("anna unopened", "store Agent NotAdmitted | store Available | open anna"),
        ("anna unopened", "store Agent NotAdmitted | store Available | open anna"),
        ("anna unopened", "store Agent NotAdmitted | store Paused"),
        ("caller hangs-up", "close caller"),
        ("caller closed", "store Caller Normal"),
    ]);
    bench.holds_nothing();
}

#[test]
fn a_caller_without_a_port_is_refused() {
    let mut bench = Bench::staffed();
    bench.plays(&[
        ("incoming", "open caller"),
        ("caller unopened", "refuse 503"),
        ("caller hangs-up", "store Caller Normal"),
    ]);
    bench.holds_nothing();
}

/// The disk refuses the promise: it is not told, and nobody will be rung.
#[test]
fn a_promise_that_is_not_stored_was_never_made() {
    let mut bench = Bench::staffed();
    bench.step("anna leaves");
    bench.plays(&ANSWERED);
    bench.plays(&[
        (
            "caller 1",
            "silence caller | deafen caller | play caller Shall we call back? | listen caller",
        ),
        (
            "caller 1",
            "silence caller | deafen caller | store at once promise Promised 0, told when done",
        ),
        ("unstored", "play caller Goodbye."),
        ("caller played", "hang up caller"),
        ("caller hangs-up", "close caller"),
        ("caller closed", "store Caller Normal"),
        ("anna comes", "reply Done | store Paused"),
        ("anna is-ready", "reply Done | store Available"),
        ("wait 3600", ""),
    ]);
    bench.holds_nothing();
    assert!(bench.board.callbacks().is_empty());
}

/// Told to stop in the middle of a talk: both hear of it, both are on record, and that is the end.
#[test]
fn a_stop_ends_talks_with_their_records() {
    let mut bench = Bench::staffed();
    bench.plays(&ANSWERED);
    bench.plays(&[
        QUEUED,
        ("anna opened", "invite anna at anna"),
        ("anna up", "connect anna | deafen caller | bridge caller anna"),
        ("drain", ""),
        ("all-hang-up", "hang up caller | reply Done"),
        ("caller hangs-up", "close caller | hang up anna | store Available"),
        ("anna hangs-up", "close anna"),
        ("anna closed", "store Agent Normal"),
        ("caller closed", "store Caller Normal | drained"),
    ]);
    bench.holds_nothing();
}

/// Whatever becomes of a permit, its channel comes back.
#[test]
fn a_permit_that_is_not_given_frees_its_channel() {
    for (answer, wanted) in [("refused", "claim 1"), ("unpermitted", "")] {
        let mut bench = dialling();
        assert_eq!(claimed(&mut bench), "permit");
        assert_eq!(bench.board.census().channels, 1);
        bench.plays(&[(answer, wanted)]);
        bench.holds_nothing();
    }
}

/// An agent is free when he comes, and does not take the call. He is in line, and stays there.
#[test]
fn a_caller_whose_agent_did_not_answer_is_offered_nothing_else() {
    let mut bench = Bench::staffed();
    bench.plays(&ANSWERED);
    bench.plays(&[
        QUEUED,
        ("anna opened", "invite anna at anna"),
        ("anna leaves", "reply Done"),
        ("anna busy", "close anna | store LoggedOut"),
        ("anna closed", "store Agent Busy"),
        ("wait 44", ""),
        ("wait 1", "play caller You are number 1 in line. Please stay on the line."),
        ("caller played", "play caller music"),
        ("caller hangs-up", "close caller"),
        ("caller closed", "store Caller Normal"),
    ]);
    bench.holds_nothing();
}

/// What is held back before it leaves (here: the carrier said to wait) is no attempt, no fault of the
/// trunk, and slows the campaign down.
#[test]
fn an_attempt_that_was_not_sent_does_not_count() {
    for (cause, told) in [
        (Cause::not_admitted(), "store Contact NotAdmitted + attempt unsent, told when done"),
        (Cause::unreachable(), "store Contact Unreachable + attempt unsent, told when done"),
        (Cause::from_status(503), "store Contact Failed + attempt Failed, told when done"),
    ] {
        let mut bench = dialling();
        claimed(&mut bench);
        bench.plays(&[
            ("permitted", "open contact"),
            ("contact opened", "mark contact | invite contact at +4930123456 as fixed"),
        ]);
        assert_eq!(bench.ends("contact", cause), "close contact");
        bench.plays(&[("contact closed", told), ("stored", "claim 1")]);
        let figures = bench.board.trunks().views(bench.now)[1].figures;
        assert_eq!(figures.calls, u32::from(!cause.is_unsent()));
        claimed(&mut bench);
        let closed = bench.lives.iter().any(|it| matches!(it, Live::AttemptClosed { .. }));
        assert_eq!(closed, told.contains("attempt Failed"));
    }
}

/// A number of which no URI can be made, and our own limits, say nothing of the trunk.
#[test]
fn what_was_never_sent_is_no_fault_of_the_trunk() {
    let unmade = Cause { by: EndedBy::Us, ..Cause::from_status(484) };
    for cause in [unmade, Cause::not_admitted()] {
        let mut bench = Bench::new();
        super::transit::calls(&mut bench, "0049301");
        bench.plays_any("caller opened");
        bench.plays_any("callee opened");
        bench.ends("callee", cause);
        assert!(bench.board.trunks().views(bench.now).iter().all(|it| it.figures.calls == 0));
    }
}

/// A campaign whose trunk is down looks every few seconds, and writes down once a minute why; other
/// refusals keep their place on record.
#[test]
fn an_obstacle_is_kept_once_and_looked_at_rarely() {
    let mut bench = Bench::with(|rules| {
        rules.carriers.trunks.get_mut(&super::carrier()).unwrap().enabled = false;
    });
    start(&mut bench);
    assert_eq!(claimed(&mut bench), "");
    for _ in 0..50 {
        bench.wait(1);
    }
    assert_eq!(
        bench.decided(),
        ["refused with 500 not trunk carrier (enabled: it is switched off)"]
    );
    claimed(&mut bench);
    bench.wait(15);
    assert_eq!(bench.decisions.len(), 2, "a minute later");
}
