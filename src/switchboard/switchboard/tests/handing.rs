//! Transfers and trunks: whose REFER is followed, and which trunk is asked to do one itself.

use super::transfer::talking;
use super::{Bench, agent};
use crate::event::Event;
use crate::rules::{ReferPolicy, TransferPolicy};
use domain::cause::Cause;
use domain::id::LegId;
use sip::event::{IncomingCall, LegEvent, MAX_FORWARDS, Source};

const TO: &str = "+4989123";

/// Anna has asked that her caller be sent to a number outside, and his trunk was asked to do it.
fn handed() -> Bench {
    let mut bench = talking();
    let trunks = bench.board.rules.trunks.values_mut();
    trunks.for_each(|trunk| trunk.transfer = TransferPolicy::Refer);
    let told = bench.refers("anna", TO, None);
    let wanted = r#"refer caller to User("+4989123")"#;
    assert_eq!(told, format!("progress anna 100 | part anna | play caller music | {wanted}"));
    bench
}

/// A bench at which the carrier's REFER is followed.
fn followed(mut bench: Bench) -> Bench {
    let trunks = bench.board.rules.trunks.values_mut();
    trunks.for_each(|trunk| trunk.refer = ReferPolicy::Follow);
    bench
}

impl Bench {
    /// What the trunk says of the REFER.
    fn hears(&mut self, status: u16) -> String {
        let leg = self.leg("caller");
        self.event(Event::Leg(LegEvent::TransferProgress { leg, status }))
    }
}

#[test]
fn a_trunk_that_does_the_transfer_lets_both_our_legs_end() {
    let mut bench = handed();
    assert_eq!(bench.hears(100), "");
    assert_eq!(bench.hears(180), "progress anna 180");
    let told = bench.hears(200);
    assert_eq!(told, "progress anna 200 | hang up anna | hang up caller | store Available");
    bench.plays(&[
        ("anna hangs-up", "close anna"),
        ("caller hangs-up", "close caller"),
        ("anna closed", "store Agent Normal"),
        ("caller closed", "store Caller Normal"),
    ]);
    bench.holds_nothing();
}

/// The trunk does not do transfers, or its call came to nobody: we make the call ourselves.
#[test]
fn a_trunk_that_does_not_do_it_is_bridged() {
    for said in [&[405][..], &[603], &[501], &[100, 503]] {
        let mut bench = handed();
        let told: Vec<String> = said.iter().map(|status| bench.hears(*status)).collect();
        assert_eq!(told.last().unwrap(), "open callee", "{said:?}");
        // A late word about the REFER is nobody's any more.
        assert_eq!(bench.hears(200), "");
        bench.plays(&[
            ("callee opened", "invite callee at +4989123 through carrier"),
            ("callee rings", "progress anna 180"),
            (
                "callee up",
                "connect callee | bridge caller callee | progress anna 200 | hang up anna | store Available",
            ),
        ]);
        let decided = bench.decided();
        let last = &decided[decided.len() - 3..];
        assert!(last[0].starts_with("transfer to route onward"), "{decided:?}");
        assert_eq!(last[1], "REFER to trunk carrier");
        assert!(last[2].starts_with("trunk carrier not REFER (answer: "), "{decided:?}");
        let question = bench.decisions.last().unwrap();
        let asked = (&*question.source, &*question.from, &*question.to);
        assert_eq!(asked, ("REFER of agent anna", "+4930123456", TO));
    }
}

/// Whoever was reached by the trunk is not rung once more by us, nor who may have been.
#[test]
fn nobody_is_rung_twice_when_the_trunks_call_is_not_taken() {
    for (said, status) in [
        (&[100, 486][..], 486),
        (&[100, 603], 603),
        (&[100, 480], 480),
        // It rang, and nobody answered.
        (&[180, 408], 408),
        (&[180, 503], 500),
        // The REFER was taken, and nothing is heard of it.
        (&[408], 408),
    ] {
        let mut bench = handed();
        let told: Vec<String> = said.iter().map(|status| bench.hears(*status)).collect();
        let wanted = format!("progress anna {status} | bridge caller anna");
        assert_eq!(*told.last().unwrap(), wanted, "{said:?}");
    }
}

#[test]
fn whoever_leaves_while_the_trunk_transfers_is_let_go() {
    let mut bench = handed();
    bench.plays(&[("anna hangs-up", "close anna | store Available")]);
    assert_eq!(bench.hears(200), "progress anna 200 | hang up caller");
    let mut bench = handed();
    let told = "close caller | progress anna 487 | hang up anna | store Available";
    bench.plays(&[("caller hangs-up", told)]);
    assert_eq!(bench.hears(200), "");
}

/// Colleagues and flows are ours: no trunk is asked for them.
#[test]
fn only_numbers_outside_are_handed_over() {
    let mut bench = talking();
    let trunks = bench.board.rules.trunks.values_mut();
    trunks.for_each(|trunk| trunk.transfer = TransferPolicy::Refer);
    let told = bench.refers("anna", "ben", None);
    assert_eq!(told, "progress anna 100 | part anna | play caller music | open ben");
}

/// A trunk that is followed gets what its own INVITE would get, and no more.
#[test]
fn a_trunk_is_followed_only_to_where_its_calls_are_led() {
    let mut bench = followed(talking());
    for (to, status) in [(TO, 403), ("ben", 403), ("+1900123", 403), ("4000", 603)] {
        let told = bench.refers("caller", to, None);
        assert_eq!(told, format!("refuse-refer caller {status}"), "{to}");
    }
    assert_eq!(bench.refers("caller", "4000", Some(LegId(77))), "refuse-refer caller 403");
    let told = bench.refers("caller", "0049301", None);
    assert_eq!(told, "progress caller 100 | part caller | play anna music | open callee");
    // Anna's own telephone cannot send anybody on meanwhile.
    assert_eq!(bench.refers("anna", "ben", None), "refuse-refer anna 603");
    bench.plays(&[
        ("callee opened", "invite callee at 0049301 through carrier from +4930555000"),
        ("callee up", "connect callee | bridge anna callee | progress caller 200 | hang up caller"),
        ("caller hangs-up", "close caller"),
        ("caller closed", "store Caller Normal"),
        // She is the queue's agent until the talk is over.
        ("callee hangs-up", "close callee | hang up anna | store Available"),
        ("anna hangs-up", "close anna"),
        ("callee closed", "store Callee Normal"),
        ("anna closed", "store Agent Normal"),
    ]);
    bench.holds_nothing();
}

/// The caller has left, and nobody takes the call he sent her to.
#[test]
fn an_agent_who_is_sent_on_in_vain_is_free() {
    let mut bench = followed(talking());
    bench.refers("caller", "0049301", None);
    bench.plays(&[
        ("callee opened", "invite callee at 0049301 through carrier from +4930555000"),
        ("caller hangs-up", "close caller"),
        ("caller closed", "store Caller Normal"),
    ]);
    let told = bench.ends("callee", Cause::from_status(404));
    assert_eq!(told, "close callee | progress caller 404 | hang up anna | store Available");
    bench.plays(&[
        ("anna hangs-up", "close anna"),
        ("anna closed", "store Agent Normal"),
        ("callee closed", "store Callee InvalidNumber"),
    ]);
    bench.holds_nothing();
}

/// A callee of a PBX sends the caller to a number of ours.
#[test]
fn a_trunk_is_followed_to_a_flow() {
    let mut bench = followed(Bench::new());
    super::transit::calls(&mut bench, "0049301");
    for step in ["caller opened", "callee opened", "callee up", "caller up"] {
        bench.plays_any(step);
    }
    let told = bench.refers("callee", "4000", None);
    assert_eq!(
        told,
        "part callee | progress callee 200 | hang up callee | play caller Press 1. | listen caller"
    );
}

/// Anna calls Ben and sends him on: he hangs up before anybody answers, and can be called again.
#[test]
fn a_colleague_who_leaves_while_he_is_sent_on_is_not_on_the_phone() {
    let mut bench = Bench::staffed();
    let consult = LegId(3);
    let call = IncomingCall {
        from_user: "anna".into(),
        dialled: "ben".into(),
        call_id: "consult".into(),
        max_forwards: MAX_FORWARDS,
        ..IncomingCall::default()
    };
    let (source, plan) = (Source::Agent(agent()), Some(super::plan()));
    bench.event(Event::Leg(LegEvent::Incoming {
        leg: consult,
        source,
        call: Box::new(call),
        plan,
    }));
    for step in ["anna opened", "ben opened", "ben up", "anna up"] {
        bench.plays_any(step);
    }
    let told = bench.refers("anna", TO, None);
    assert_eq!(told, "progress anna 100 | part anna | play ben music | open callee");
    bench.plays(&[
        ("callee opened", "invite callee at +4989123 through carrier from +4930555000"),
        ("ben hangs-up", "close ben | progress anna 487 | hang up callee | hang up anna"),
        ("callee hangs-up", "close callee"),
        ("anna hangs-up", "close anna"),
    ]);
    for step in ["ben closed", "callee closed", "anna closed"] {
        bench.plays_any(step);
    }
    bench.holds_nothing();
}
