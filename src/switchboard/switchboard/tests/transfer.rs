//! Transfers: what the referrer is told, what the party hears, and who is left with whom.

use super::{Bench, agent};
use crate::event::Event;
use crate::rules::{LeadsTo, Rules};
use domain::cause::Cause;
use domain::id::LegId;
use sip::event::{IncomingCall, LegEvent, MAX_FORWARDS, ReferTo, Source};

/// A caller who talks with the agent.
pub(super) fn talking() -> Bench {
    talking_with(|_| ())
}

fn talking_with(change: impl FnOnce(&mut Rules)) -> Bench {
    let mut bench = Bench::staffed_with(change);
    for step in ["incoming", "caller opened", "caller up", "caller 1", "anna opened", "anna up"] {
        bench.plays_any(step);
    }
    bench
}

impl Bench {
    pub(super) fn plays_any(&mut self, step: &str) {
        self.step(step);
    }

    /// The telephone of a leg asks that its partner be sent on.
    pub(super) fn refers(&mut self, who: &str, user: &str, replaces: Option<LegId>) -> String {
        let leg = self.leg(who);
        self.refers_leg(leg, user, replaces)
    }

    fn refers_leg(&mut self, leg: LegId, user: &str, replaces: Option<LegId>) -> String {
        let to = ReferTo {
            user: user.into(),
            host: "hotline.example".into(),
            is_here: true,
            uri: format!("sip:{user}@hotline.example").into(),
            replaces,
        };
        self.event(Event::Leg(LegEvent::Referred { leg, to, referred_by: None }))
    }

    pub(super) fn ends(&mut self, who: &str, cause: Cause) -> String {
        let leg = self.leg(who);
        self.event(Event::Leg(LegEvent::Ended { leg, cause }))
    }
}

/// Anna sends her caller to Ben: music, ringing, both joined, Anna free.
#[test]
fn a_blind_transfer_to_a_colleague() {
    let mut bench = talking();
    let told = bench.refers("anna", "ben", None);
    assert_eq!(told, "progress anna 100 | part anna | play caller music | open ben");
    bench.plays(&[
        ("ben opened", "invite ben at ben"),
        ("ben rings", "progress anna 180"),
        (
            "ben up",
            "connect ben | bridge caller ben | progress anna 200 | hang up anna | store Available",
        ),
        ("anna hangs-up", "close anna"),
        ("anna closed", "store Agent Normal"),
        ("caller hangs-up", "close caller | hang up ben because 16"),
        ("ben hangs-up", "close ben"),
        ("caller closed", "store Caller Normal"),
        ("ben closed", "store Agent Normal"),
    ]);
    bench.holds_nothing();
}

/// Who takes the transferred call may end it.
#[test]
fn the_one_transferred_to_hangs_up() {
    let mut bench = talking();
    bench.refers("anna", "ben", None);
    for step in ["ben opened", "ben up", "anna hangs-up", "anna closed"] {
        bench.plays_any(step);
    }
    bench.plays(&[
        ("ben hangs-up", "close ben | hang up caller"),
        ("caller hangs-up", "close caller"),
        ("ben closed", "store Agent Normal"),
        ("caller closed", "store Caller Normal"),
    ]);
    bench.holds_nothing();
}

/// RFC 5589 §6.2: nobody takes it, the caller goes back to the agent, who hears of it.
#[test]
fn a_transfer_that_fails_brings_the_caller_back() {
    for (cause, status) in [
        (Cause::from_status(486), 486),
        (Cause::from_status(480), 480),
        (Cause::rang_out(), 480),
        (Cause::silent(), 504),
    ] {
        let mut bench = talking();
        bench.refers("anna", "ben", None);
        bench.plays(&[("ben opened", "invite ben at ben"), ("ben rings", "progress anna 180")]);
        let told = bench.ends("ben", cause);
        assert_eq!(told, format!("close ben | progress anna {status} | bridge caller anna"));
        bench.plays_any("ben closed");
        // She may try again.
        let told = bench.refers("anna", "ben", None);
        assert_eq!(told, "progress anna 100 | part anna | play caller music | open ben");
    }
}

/// Neither what she may dial nor a rule for the number stands between her caller and help.
#[test]
fn a_blind_transfer_to_help() {
    for dialled in ["112", "+49112"] {
        let mut bench = talking_with(|rules| {
            rules.agents_may_dial.clear();
            rules.numbers.insert(0, super::number("112", LeadsTo::Agent(agent())));
            let plan = &mut rules.carriers.tenants.values_mut().next().unwrap().plan;
            plan.country_code = "49".into();
        });
        let told = bench.refers("anna", dialled, None);
        assert_eq!(told, "progress anna 100 | part anna | play caller music | open callee");
        bench.plays(&[("callee opened", "invite callee at 112 through backup")]);
    }
    let mut bench = talking_with(|rules| rules.agents_may_dial.clear());
    assert_eq!(bench.refers("anna", "+4989123", None), "refuse-refer anna 403");
}

/// To a number through the route that takes it, and to the next trunk when one fails in silence.
#[test]
fn a_blind_transfer_to_a_number_outside() {
    let mut bench = talking();
    let told = bench.refers("anna", "+4989123", None);
    assert_eq!(told, "progress anna 100 | part anna | play caller music | open callee");
    bench.plays(&[("callee opened", "invite callee at +4989123 through carrier")]);
    let told = bench.ends("callee", Cause::from_status(503));
    assert_eq!(told, "close callee | open callee");
    bench.plays(&[
        ("callee opened", "invite callee at +4989123 through backup"),
        ("callee up", "connect callee | bridge caller callee | progress anna 200 | hang up anna | store Available"),
    ]);
}

/// Toll fraud: what she may not dial herself, strange hosts, and whoever is no agent.
#[test]
fn only_agents_transfer_and_only_where_they_may_dial() {
    let mut bench = talking();
    assert_eq!(bench.refers("anna", "+1900123", None), "refuse-refer anna 403");
    assert_eq!(bench.refers("caller", "ben", None), "refuse-refer caller 403");
    let leg = bench.leg("anna");
    let to = ReferTo {
        user: "ben".into(),
        host: "evil.example".into(),
        is_here: false,
        uri: "sip:ben@evil.example".into(),
        replaces: None,
    };
    let told = bench.event(Event::Leg(LegEvent::Referred { leg, to, referred_by: None }));
    assert_eq!(told, "refuse-refer anna 403");
    assert_eq!(bench.refers("anna", "ben", Some(LegId(77))), "refuse-refer anna 403");
    // To herself: she is busy, and the caller stays with her.
    assert_eq!(bench.refers("anna", "anna", None), "progress anna 100 | progress anna 486");
    // One at a time.
    bench.refers("anna", "ben", None);
    assert_eq!(bench.refers("anna", "ben", None), "refuse-refer anna 603");
}

/// To a number of ours that a flow answers: the caller is asked again.
#[test]
fn a_transfer_to_a_flow_is_done_at_once() {
    let mut bench = talking();
    let told = bench.refers("anna", "4000", None);
    assert_eq!(
        told,
        "part anna | progress anna 200 | hang up anna | store Available | play caller Press 1. | listen caller"
    );
    bench.plays(&[("anna hangs-up", "close anna"), ("anna closed", "store Agent Normal")]);
    // The line leads to her again, who is free.
    bench.plays(&[("caller 1", "silence caller | deafen caller | play caller music | open anna")]);
}

/// Many telephones hang up once the REFER is taken. The caller is not lost with them: when nobody
/// takes the call he is back in line.
#[test]
fn a_referrer_who_leaves_does_not_take_the_caller_along() {
    let mut bench = talking();
    bench.refers("anna", "ben", None);
    bench.plays(&[
        ("ben opened", "invite ben at ben"),
        ("anna hangs-up", "close anna | store Available"),
        ("anna closed", "store Agent Normal"),
    ]);
    let told = bench.ends("ben", Cause::from_status(486));
    assert_eq!(told, "close ben | progress anna 486 | play caller music | open anna");
    let mut bench = talking();
    bench.refers("anna", "ben", None);
    bench.plays(&[
        ("ben opened", "invite ben at ben"),
        ("anna hangs-up", "close anna | store Available"),
        ("ben up", "connect ben | bridge caller ben | progress anna 200"),
    ]);
}

#[test]
fn a_caller_who_leaves_while_he_is_transferred_ends_it_all() {
    let mut bench = talking();
    bench.refers("anna", "ben", None);
    bench.plays(&[
        ("ben opened", "invite ben at ben"),
        (
            "caller hangs-up",
            "close caller | progress anna 487 | hang up ben | hang up anna | store Available",
        ),
        ("ben hangs-up", "close ben"),
        ("anna hangs-up", "close anna"),
        ("caller closed", "store Caller Normal"),
        ("ben closed", "store Agent Normal"),
        ("anna closed", "store Agent Normal"),
    ]);
    bench.holds_nothing();
}

impl Bench {
    /// Anna calls Ben beside her call, as far as his telephone's INVITE.
    fn consults(&mut self) -> LegId {
        let consult = LegId(3);
        let call = IncomingCall {
            from_user: "anna".into(),
            dialled: "ben".into(),
            call_id: "consult".into(),
            max_forwards: MAX_FORWARDS,
            ..IncomingCall::default()
        };
        let (source, plan) = (Source::Agent(agent()), Some(super::plan()));
        let incoming = LegEvent::Incoming { leg: consult, source, call: Box::new(call), plan };
        assert_eq!(self.event(Event::Leg(incoming)), "open anna");
        let opened = media::event::MediaEvent::Opened { leg: consult, local: super::LOCAL };
        assert_eq!(self.event(Event::Media(opened)), "open ben");
        self.plays(&[("ben opened", "invite ben at ben")]);
        consult
    }

    /// A leg that was told to end is over, and on record.
    fn is_over(&mut self, leg: LegId, record: &str) {
        let cause = Cause::normal(domain::cause::EndedBy::Us);
        assert_eq!(self.event(Event::Leg(LegEvent::Ended { leg, cause })), "close anna");
        let report = media::event::QualityReport::default();
        let closed = media::event::MediaEvent::Closed { leg, report };
        assert_eq!(self.event(Event::Media(closed)), record);
    }
}

/// She does not wait for his answer: his telephone goes on ringing, for the caller.
#[test]
fn an_attended_transfer_to_one_who_still_rings() {
    for (rings, ringing) in [(true, "progress anna 180 | "), (false, "")] {
        let mut bench = talking();
        let first = bench.leg("anna");
        let consult = bench.consults();
        if rings {
            bench.plays(&[("ben rings", "ring anna 180")]);
        }
        let told = bench.refers_leg(first, "ben", Some(consult));
        let music = "progress anna 100 | part anna | play caller music";
        assert_eq!(told, format!("{music} | {ringing}hang up anna"));
        bench.is_over(consult, "store Caller Normal");
        bench.plays(&[
            ("ben rings", "progress anna 180"),
            (
                "ben up",
                "connect ben | bridge caller ben | progress anna 200 | hang up anna | store Available",
            ),
        ]);
        bench.is_over(first, "store Agent Normal");
        bench.plays(&[
            ("caller hangs-up", "close caller | hang up ben because 16"),
            ("ben hangs-up", "close ben"),
            ("caller closed", "store Caller Normal"),
            ("ben closed", "store Agent Normal"),
        ]);
        bench.holds_nothing();
    }
}

/// He declines: the caller is back with her.
#[test]
fn one_who_rang_for_the_agent_and_declines_brings_the_caller_back() {
    let mut bench = talking();
    let first = bench.leg("anna");
    let consult = bench.consults();
    bench.refers_leg(first, "ben", Some(consult));
    bench.is_over(consult, "store Caller Normal");
    let told = bench.ends("ben", Cause::from_status(603));
    assert_eq!(told, "close ben | progress anna 603 | bridge caller anna");
}

/// Anna calls Ben beside her call and joins both (RFC 5589 §7): nobody drops but she.
#[test]
fn an_attended_transfer_joins_two_calls() {
    let mut bench = talking();
    let first = bench.leg("anna");
    let consult = bench.consults();
    bench.plays(&[("ben up", "connect ben | bridge anna ben | answer anna")]);
    let up = LegEvent::Established { leg: consult, plan: super::plan() };
    assert_eq!(bench.event(Event::Leg(up)), "connect anna");
    let told = bench.refers_leg(first, "ben", Some(consult));
    assert_eq!(
        told,
        "bridge caller ben | progress anna 200 | hang up anna | hang up anna | store Available"
    );
    bench.is_over(first, "store Agent Normal");
    bench.is_over(consult, "store Caller Normal");
    bench.plays(&[
        ("caller hangs-up", "close caller | hang up ben because 16"),
        ("ben hangs-up", "close ben"),
        ("caller closed", "store Caller Normal"),
        ("ben closed", "store Agent Normal"),
    ]);
    bench.holds_nothing();
}

/// Who is held by an agent hears music; so he does while the agent's transfer is tried, and after
/// it has failed until the agent takes him back.
#[test]
fn an_agent_who_holds_gives_music() {
    let mut bench = talking();
    bench.plays(&[
        ("anna holds", "connect anna | part anna | play caller music"),
        ("anna holds", "connect anna"),
        ("anna resumes", "connect anna | bridge anna caller"),
        ("caller holds", "connect caller"),
        ("caller resumes", "connect caller"),
        ("anna holds", "connect anna | part anna | play caller music"),
    ]);
    bench.refers("anna", "ben", None);
    let told = bench.ends("ben", Cause::from_status(486));
    assert_eq!(told, "progress anna 486");
    bench.plays(&[("anna resumes", "connect anna | bridge anna caller")]);
}

/// RFC 3891 §3: the agent goes on from another telephone; the old one is hung up, the caller stays.
#[test]
fn an_invite_takes_the_place_of_an_agents_leg() {
    for (state, then) in [
        ("anna up", "connect anna | bridge caller anna | hang up anna"),
        // It still rings: the call is picked up elsewhere.
        ("anna rings", "connect anna | deafen caller | bridge caller anna | hang up anna"),
    ] {
        let mut bench = Bench::staffed();
        for step in ["incoming", "caller opened", "caller up", "caller 1", "anna opened", state] {
            bench.plays_any(step);
        }
        let old = bench.leg("anna");
        let new = LegId(3);
        let invite = |source, replaces| {
            let call = IncomingCall { replaces, ..IncomingCall::default() };
            let plan = Some(super::plan());
            Event::Leg(LegEvent::Incoming { leg: new, source, call: Box::new(call), plan })
        };
        let ben = domain::id::AgentId { name: "ben".into(), ..agent() };
        let stranger = Source::Agent(ben);
        assert_eq!(bench.event(invite(stranger, Some(old))), "refuse 403");
        let trunk = Source::Trunk(super::carrier());
        assert_eq!(bench.event(invite(trunk, Some(old))), "refuse 403");
        assert_eq!(bench.event(invite(Source::Agent(agent()), Some(old))), "open anna");
        let opened = media::event::MediaEvent::Opened { leg: new, local: super::LOCAL };
        assert_eq!(bench.event(Event::Media(opened)), "answer anna");
        let up = LegEvent::Established { leg: new, plan: super::plan() };
        assert_eq!(bench.event(Event::Leg(up)), then, "{state}");
        let cause = Cause::normal(domain::cause::EndedBy::Us);
        let told = bench.event(Event::Leg(LegEvent::Ended { leg: old, cause }));
        assert_eq!(told, "close anna");
        let cause = Cause::normal(domain::cause::EndedBy::Peer);
        let told = bench.event(Event::Leg(LegEvent::Ended { leg: LegId(1), cause }));
        assert!(told.starts_with("close caller | hang up anna"), "{told}");
    }
}
