//! Callers led through to somebody else: who is told what, what is tried next, and what it is kept
//! under.

use super::{Bench, LOCAL, agent, carrier, trunk_named};
use crate::event::{Command, Event, Live};
use crate::rules::Rules;
use domain::cause::{Cause, EndedBy};
use domain::hop::{Hop, Transport};
use domain::id::{LegId, TenantId};
use domain::ip_version::IpVersion;
use sip::event::trunk::TrunkEvent;
use sip::event::{IncomingCall, LegEvent, MAX_FORWARDS, Source};
use std::time::Duration;
use trunk::route::{Asked, RouteRequest, RouteSource};
use trunk::rules::Caps;

/// An INVITE for `dialled` from the carrier.
fn invite(dialled: &str, change: impl FnOnce(&mut IncomingCall)) -> Event {
    let mut call = IncomingCall {
        from_user: "+4930123456".into(),
        dialled: dialled.into(),
        call_id: "theirs".into(),
        max_forwards: MAX_FORWARDS,
        ..IncomingCall::default()
    };
    change(&mut call);
    let source = Source::Trunk(carrier());
    let plan = Some(super::plan());
    Event::Leg(LegEvent::Incoming { leg: LegId(1), source, call: Box::new(call), plan })
}

pub(super) fn calls(bench: &mut Bench, dialled: &str) -> String {
    bench.event(invite(dialled, |_| ()))
}

/// Other caps for some trunks.
fn capped<const N: usize>(caps: [(&str, Caps); N]) -> impl FnOnce(&mut Rules) {
    move |rules| {
        for (name, caps) in caps {
            rules.carriers.trunks.get_mut(&trunk_named(name)).unwrap().caps = caps;
        }
    }
}

impl Bench {
    pub(super) fn decided(&self) -> Vec<String> {
        let one = |decision: &crate::event::Decision| {
            let rejected: Vec<String> = decision
                .rejected
                .iter()
                .map(|it| format!(" not {} ({}: {})", it.candidate, it.test, it.why))
                .collect();
            format!("{}{}", decision.chosen, rejected.concat())
        };
        self.decisions.iter().map(one).collect()
    }
}

/// Each leg has a port of the version of IP that its other end speaks.
#[test]
fn a_caller_of_ipv6_is_joined_with_a_callee_of_ipv4() {
    let mut bench = Bench::new();
    let six = |call: &mut IncomingCall| call.sound_ip = IpVersion::V6;
    assert_eq!(bench.event(invite("0049301", six)), "open6 caller");
    assert_eq!(bench.step("caller opened"), "open callee");
    let mut bench = Bench::staffed();
    bench.event(Event::Leg(LegEvent::Registered { agent: agent(), ip: IpVersion::V6 }));
    assert_eq!(calls(&mut bench, "4100"), "open caller");
    assert_eq!(bench.step("caller opened"), "open6 anna");
}

#[test]
fn ringing_and_answer_and_end_follow_the_callee() {
    let mut bench = Bench::new();
    assert_eq!(calls(&mut bench, "0049301"), "open caller");
    bench.plays(&[
        ("caller opened", "open callee"),
        ("callee opened", "invite callee at 0049301 through carrier"),
        ("callee rings", "ring caller 180"),
        ("callee up", "connect callee | bridge caller callee | answer caller"),
        ("caller up", "connect caller"),
        ("callee hangs-up", "close callee | hang up caller because 16"),
        ("caller hangs-up", "close caller"),
        ("callee closed", "store Callee Normal"),
        ("caller closed", "store Caller Normal"),
    ]);
    assert_eq!(
        bench.decided(),
        [
            "route onward not number 4000 (number: 0049301 was dialled)",
            "trunk carrier not trunk backup (preferred: carrier comes before it)"
        ]
    );
    let through = bench.lives.iter().any(|it| matches!(it, Live::Through { .. }));
    assert!(through, "{:?}", bench.lives);
    bench.holds_nothing();
}

/// Early sound is bridged before the answer, and not bridged anew with it.
#[test]
fn early_sound_goes_through_before_the_answer() {
    let mut bench = Bench::new();
    calls(&mut bench, "0049301");
    bench.plays(&[
        ("caller opened", "open callee"),
        ("callee opened", "invite callee at 0049301 through carrier"),
        (
            "callee plays",
            "connect callee | connect caller | bridge caller callee | ring caller 183 with sound",
        ),
        ("callee rings", "ring caller 180"),
        ("callee up", "connect callee | answer caller"),
        ("caller up", "connect caller"),
        ("caller hangs-up", "close caller | hang up callee because 16"),
        ("callee hangs-up", "close callee"),
        ("caller closed", "store Caller Normal"),
        ("callee closed", "store Callee Normal"),
    ]);
    bench.holds_nothing();
}

#[test]
fn a_caller_who_gives_up_takes_the_callee_along() {
    let mut bench = Bench::new();
    calls(&mut bench, "0049301");
    bench.plays(&[
        ("caller opened", "open callee"),
        ("callee opened", "invite callee at 0049301 through carrier"),
        ("callee rings", "ring caller 180"),
    ]);
    let cancelled = Cause { by: EndedBy::Peer, ..Cause::from_status(487) };
    let told = bench.event(Event::Leg(LegEvent::Ended { leg: LegId(1), cause: cancelled }));
    assert_eq!(told, "close caller | hang up callee because 127");
    bench.plays(&[
        // Answered as it was given up: nobody is there to hear it.
        ("callee hangs-up", "close callee"),
        ("caller closed", "store Caller Cancelled"),
        ("callee closed", "store Callee Normal"),
    ]);
    bench.holds_nothing();
}

/// Nobody was reached by the first trunk: the second is tried, under a Call-ID of its own.
#[test]
fn a_trunk_that_fails_is_followed_by_the_next() {
    let causes = [
        (Cause::from_status(503), "503"),
        (Cause::from_status(500), "500"),
        (Cause::silent(), "no final response"),
    ];
    for (cause, why) in causes {
        let mut bench = Bench::new();
        calls(&mut bench, "0049301");
        bench.plays(&[
            ("caller opened", "open callee"),
            ("callee opened", "invite callee at 0049301 through carrier"),
        ]);
        let leg = bench.leg("callee");
        let told = bench.event(Event::Leg(LegEvent::Ended { leg, cause }));
        assert_eq!(told, "close callee | open callee");
        bench.event(Event::Media(media::event::MediaEvent::Closed {
            leg,
            report: Default::default(),
        }));
        bench.plays(&[
            ("callee opened", "invite callee at 0049301 through backup"),
            ("callee rings", "ring caller 180"),
            ("callee up", "connect callee | bridge caller callee | answer caller"),
        ]);
        let decided = bench.decided();
        let why = format!("not trunk carrier at udp:{LOCAL} (answer: {why})");
        assert_eq!(decided[2], format!("trunk backup {why}"));
    }
}

/// Who is busy, declines or does not answer has been reached: nobody is tried after him, and the
/// caller is told the same.
#[test]
fn whoever_was_reached_is_never_rung_by_another_trunk() {
    for (status, told) in [(486, 486), (600, 600), (603, 603), (404, 404), (480, 480)] {
        let mut bench = Bench::new();
        calls(&mut bench, "0049301");
        bench.plays(&[
            ("caller opened", "open callee"),
            ("callee opened", "invite callee at 0049301 through carrier"),
        ]);
        let cause = Cause::from_status(status);
        let event = LegEvent::Ended { leg: bench.leg("callee"), cause };
        let q850 = cause.q850;
        let expected = format!("close callee | refuse {told} because {q850}");
        assert_eq!(bench.event(Event::Leg(event)), expected);
        assert_eq!(bench.decided()[2].split(' ').nth(2), Some(&*told.to_string()));
    }
    // Once it has rung, a fault of the network is no leave to ring again.
    let mut bench = Bench::new();
    calls(&mut bench, "0049301");
    bench.plays(&[
        ("caller opened", "open callee"),
        ("callee opened", "invite callee at 0049301 through carrier"),
        ("callee rings", "ring caller 180"),
    ]);
    let cause = Cause::from_status(503);
    let event = LegEvent::Ended { leg: bench.leg("callee"), cause };
    assert_eq!(bench.event(Event::Leg(event)), "close callee | refuse 500 because 41");
}

#[test]
fn trunks_without_a_channel_are_passed_over_and_the_reason_kept() {
    let caps = [
        ("carrier", Caps { outgoing: 0, ..Caps::NONE }),
        ("backup", Caps { outgoing_per_second: 0, ..Caps::NONE }),
    ];
    let mut bench = Bench::with(capped(caps));
    assert_eq!(calls(&mut bench, "0049301"), "refuse 503");
    let last = bench.decided().pop().unwrap();
    assert!(last.contains("not trunk carrier (channels: "), "{last}");
    assert!(last.contains("not trunk backup (calls per second: "), "{last}");
}

#[test]
fn what_has_come_back_or_gone_round_is_refused_with_a_reason() {
    let mut bench = Bench::new();
    assert_eq!(bench.event(invite("0049301", |call| call.max_forwards = 0)), "refuse 483");
    assert_eq!(bench.event(invite("12345", |_| ())), "refuse 404");
    let decided = bench.decided();
    let expected = "refused with 483 not number 4000 (number: 0049301 was dialled) not route onward \
                    (Max-Forwards: it is 0)";
    assert_eq!(decided[0], expected);
    assert!(decided[1].starts_with("refused with 404 not number 4000 (number: "), "{decided:?}");
    assert_eq!(bench.decisions[1].sip_call_id, "theirs".into());
    assert_eq!(bench.decisions[1].call, None);

    calls(&mut bench, "0049301");
    bench.plays(&[
        ("caller opened", "open callee"),
        ("callee opened", "invite callee at 0049301 through carrier"),
    ]);
    // The carrier hands our own call back, as a gateway of its own: another Call-ID, fewer hops.
    let mut again = invite("0049301", |call| {
        call.call_id = "other".into();
        call.max_forwards = MAX_FORWARDS - 2;
    });
    if let Event::Leg(LegEvent::Incoming { leg, .. }) = &mut again {
        *leg = LegId(3);
    }
    assert_eq!(bench.event(again), "refuse 482");
    // Another caller's call to the same number is none.
    let mut other = invite("0049301", |call| call.from_user = "+4930999".into());
    if let Event::Leg(LegEvent::Incoming { leg, .. }) = &mut other {
        *leg = LegId(5);
    }
    assert_eq!(bench.event(other), "open caller");
}

/// One who calls the same number twice at once is no loop; a gateway that gives each pass all its hops
/// again is found out when there are too many.
#[test]
fn calls_alike_are_no_loop_until_there_are_too_many() {
    let mut bench = Bench::with(|rules| {
        rules.limits.calls_max = 600;
        rules.carriers.trunks.values_mut().for_each(|trunk| trunk.caps = Caps::NONE);
    });
    let told = |bench: &mut Bench, index: u64| {
        let mut event = invite("0049301", |call| call.call_id = format!("call{index}").into());
        if let Event::Leg(LegEvent::Incoming { leg, .. }) = &mut event {
            *leg = LegId(2 * index + 1);
        }
        let told = bench.event(event);
        if told == "open caller" {
            let local = super::LOCAL;
            let opened = media::event::MediaEvent::Opened { leg: LegId(2 * index + 1), local };
            bench.event(Event::Media(opened));
        }
        told
    };
    let refused: Vec<u64> =
        (0..258).filter(|index| told(&mut bench, *index) != "open caller").collect();
    assert_eq!(refused, [256, 257]);
}

/// An agent's own calls: what he may dial goes out with the trunk's number, the rest is refused, and
/// no queue rings him meanwhile.
#[test]
fn an_agent_dials_what_he_may() {
    let dials = |bench: &mut Bench, dialled: &str| {
        let mut event = invite(dialled, |call| call.from_user = "anna".into());
        if let Event::Leg(LegEvent::Incoming { source, .. }) = &mut event {
            *source = Source::Agent(agent());
        }
        bench.event(event)
    };
    let mut bench = Bench::staffed();
    assert_eq!(dials(&mut bench, "+1212555"), "refuse 403");
    assert_eq!(dials(&mut bench, "+4930555"), "open anna");
    bench.plays(&[
        ("anna opened", "open callee"),
        ("callee opened", "invite callee at +4930555 through carrier from +4930555000"),
        ("callee up", "connect callee | bridge anna callee | answer anna"),
        ("anna up", "connect anna"),
    ]);
    // A caller of the queue waits.
    let mut event = invite("4000", |_| ());
    if let Event::Leg(LegEvent::Incoming { leg, .. }) = &mut event {
        *leg = LegId(3);
    }
    assert_eq!(bench.event(event), "open caller");
    bench.plays(&[
        ("caller opened", "answer caller"),
        ("caller up", "connect caller | play caller Press 1. | listen caller"),
        ("caller 1", "silence caller | deafen caller | play caller music"),
        ("callee hangs-up", "close callee | hang up anna because 16"),
        ("anna hangs-up", "close anna | open anna"),
    ]);
}

/// A number that leads straight to an agent: rung when she is free, busy when she is not.
#[test]
fn a_number_leads_straight_to_an_agent() {
    let mut bench = Bench::staffed();
    calls(&mut bench, "4100");
    bench.plays(&[
        ("caller opened", "open anna"),
        ("anna opened", "invite anna at anna"),
        ("anna rings", "ring caller 180"),
    ]);
    let mut second = invite("4100", |call| call.call_id = "second".into());
    if let Event::Leg(LegEvent::Incoming { leg, .. }) = &mut second {
        *leg = LegId(3);
    }
    assert_eq!(bench.event(second), "open caller");
    assert_eq!(bench.step("caller opened"), "refuse 486 because 17");
}

/// A call for help: nothing stops it, every trunk is tried whatever the last one said, and who calls
/// is shown.
#[test]
fn a_call_for_help_is_stopped_by_nothing() {
    let shut = Caps { outgoing: 0, outgoing_per_second: 0, channels: 0, ..Caps::NONE };
    let mut bench = Bench::staffed_with(capped([("carrier", shut), ("backup", shut)]));
    bench.step("drain");
    let mut event = invite("112", |call| {
        call.from_user = "anna".into();
        call.private = true;
    });
    if let Event::Leg(LegEvent::Incoming { source, .. }) = &mut event {
        *source = Source::Agent(agent());
    }
    assert_eq!(bench.event(event), "open anna");
    bench.plays(&[
        ("anna opened", "open callee"),
        ("callee opened", "invite callee at 112 through backup from +4930555000"),
        ("callee rings", "ring anna 180"),
    ]);
    let ends = |bench: &mut Bench, status| {
        let leg = bench.leg("callee");
        bench.event(Event::Leg(LegEvent::Ended { leg, cause: Cause::from_status(status) }))
    };
    // Even busy, even once it has rung.
    assert_eq!(ends(&mut bench, 486), "close callee | open callee");
    bench.plays(&[
        ("callee opened", "invite callee at 112 through carrier from +4930555000"),
        ("callee up", "connect callee | bridge anna callee | answer anna"),
        ("anna up", "connect anna"),
        ("wait 10", "store Callee Busy"),
        // No length of a call is too long.
        ("wait 4000", ""),
    ]);
    assert_eq!(bench.decided()[0], "route emergency");
    // From a carrier it is no such call, and while we are being stopped there is no other.
    assert_eq!(bench.event(invite("112", |_| ())), "refuse 503");
}

/// Rung by one call of her own and dialling another: free again only when both are over.
#[test]
fn an_agent_with_two_calls_of_her_own_is_free_after_both() {
    let mut bench = Bench::staffed();
    calls(&mut bench, "4100");
    bench.plays(&[("caller opened", "open anna"), ("anna opened", "invite anna at anna")]);
    let mut dials = invite("+4930555", |call| call.from_user = "anna".into());
    if let Event::Leg(LegEvent::Incoming { leg, source, .. }) = &mut dials {
        (*leg, *source) = (LegId(3), Source::Agent(agent()));
    }
    assert_eq!(bench.event(dials), "open anna");
    let cause = Cause { by: EndedBy::Peer, ..Cause::from_status(487) };
    bench.event(Event::Leg(LegEvent::Ended { leg: LegId(3), cause }));
    // A caller of the queue waits still.
    let mut event = invite("4000", |_| ());
    if let Event::Leg(LegEvent::Incoming { leg, .. }) = &mut event {
        *leg = LegId(5);
    }
    bench.event(event);
    bench.plays(&[
        ("caller opened", "answer caller"),
        ("caller up", "connect caller | play caller Press 1. | listen caller"),
        ("caller 1", "silence caller | deafen caller | play caller music"),
    ]);
}

/// What would be done is found by the same rules, and nothing is taken for it.
#[test]
fn a_dry_run_decides_the_same_and_takes_nothing() {
    let bench = Bench::new();
    let carrier = Source::Trunk(carrier());
    let told = |bench: &Bench, source: &Source, dialled| -> Vec<String> {
        let steps = bench.board.would_lead(source, "+4930123456", dialled, bench.now);
        steps.iter().map(|step| format!("{} ({})", step.chosen, step.rejected.len())).collect()
    };
    assert_eq!(told(&bench, &carrier, "4000"), ["flow hotline (0)"]);
    assert_eq!(told(&bench, &carrier, "77"), ["refused with 404 (3)"]);
    let onward = ["route onward (1)", "trunk carrier (1)", "after it: trunk backup (0)"];
    assert_eq!(told(&bench, &carrier, "0049301"), onward);
    assert_eq!(told(&bench, &Source::Agent(agent()), "+1"), ["refused with 403 (3)"]);
    let asked = |source| Command::WouldRoute { source, from: "".into(), dialled: "4000".into() };
    let mut bench = bench;
    let reply = bench.command(asked(Source::Trunk(super::carrier())));
    assert!(reply.starts_with("reply WouldLead([WouldLead { chosen: \"flow hotline\""), "{reply}");
    assert_eq!(bench.command(asked(Source::Trunk(trunk_named("none")))), "reply NotFound");
    bench.holds_nothing();
    let shut = Caps { outgoing: 0, ..Caps::NONE };
    let bench = Bench::with(capped([("carrier", shut)]));
    assert_eq!(told(&bench, &carrier, "0049301"), ["route onward (1)", "trunk backup (1)"]);
}

/// Three calls that nobody answers, not even with 100, take a trunk down: the next goes elsewhere.
#[test]
fn silent_calls_take_a_trunk_down() {
    let mut bench = Bench::new();
    for leg in [LegId(1_000_002), LegId(1_000_004), LegId(1_000_006)] {
        let asked = RouteRequest {
            tenant: TenantId::default(),
            from: RouteSource::Flow,
            caller: "".into(),
            private: false,
            dialled: "+49301".into(),
            asked: Asked::Trunk(carrier()),
            second_ring: true,
            random: 0,
        };
        let chosen = bench.board.carriers.route(&asked, bench.now).chosen.expect("it takes calls");
        assert!(bench.board.carriers.take(leg, &chosen, &asked.tenant, false, bench.now));
        bench.event(Event::Leg(LegEvent::Ended { leg, cause: Cause::silent() }));
    }
    let down = bench.lives.iter().any(|it| matches!(it, Live::TrunkChanged { state: "down", .. }));
    assert!(down, "{:?}", bench.lives);
    calls(&mut bench, "0049301");
    bench.plays(&[
        ("caller opened", "open callee"),
        ("callee opened", "invite callee at 0049301 through backup"),
    ]);
    assert!(bench.decided()[1].starts_with("trunk backup not trunk carrier (health: "));
}

/// RFC 3608 §6.1: calls through a trunk pass where its registrar wants them, as long as we are
/// registered there.
#[test]
fn a_call_passes_the_service_route_of_its_trunk() {
    let mut bench = Bench::with(|rules| {
        let registration = trunk::registration::RegistrationRules::default();
        rules.carriers.trunks.get_mut(&carrier()).unwrap().registration = Some(registration);
    });
    bench.event(Event::Trunk(TrunkEvent::Registered {
        trunk: carrier(),
        hop: Hop::at(Transport::Udp, super::LOCAL),
        granted: Duration::from_secs(600),
        service_route: vec!["<sip:a;lr>".into(), "<sip:b;lr>".into()],
        associated: Vec::new(),
    }));
    calls(&mut bench, "0049301");
    bench.plays(&[("caller opened", "open callee")]);
    let sent = bench.step("callee opened");
    assert_eq!(sent, "invite callee at 0049301 past <sip:a;lr> past <sip:b;lr> through carrier");
}
