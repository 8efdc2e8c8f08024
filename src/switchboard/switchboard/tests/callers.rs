//! Is the caller's number true, and how far are our own vouched for.

use super::{Bench, LOCAL, carrier};
use crate::event::{Action, Event, Fact, ToVerify};
use crate::exchange::Vouched;
use crate::rules::VerifyPolicy;
use domain::cause::{Cause, EndedBy};
use domain::id::{CallId, LegId, TenantId};
use domain::prompt::Prompt;
use ivr::flow::{Flow, Known};
use media::event::{MediaEvent, QualityReport};
use sip::event::{Caller, IncomingCall, LegCommand, LegEvent, MAX_FORWARDS, Source, Target};
use std::sync::Arc;
use std::time::Duration;
use stir::attest::Attestation;
use stir::verdict::{CredentialFault, Fault, InfoFault, Verdict};

const LEG: LegId = LegId(1);

/// Says what the flow knows of the caller.
const FLOW: &str = r#"
version = 1
languages = ["en"]
start = "hello"
[nodes.hello]
kind = "say"
say = "{caller_verstat} {caller_attestation}."
next = "end"
[nodes.end]
kind = "hangup"
"#;

fn bench(policy: VerifyPolicy) -> Bench {
    let mut bench = Bench::new();
    let known = Known {
        recordings: Default::default(),
        queues: Default::default(),
        intent_sets: Default::default(),
    };
    let flow = Arc::new(Flow::parse("hotline.toml", FLOW, &known).unwrap());
    let rules = &mut bench.board.rules;
    rules.flows.values_mut().for_each(|it| *it = Arc::clone(&flow));
    rules.trunks.values_mut().for_each(|it| (it.verify, it.sign) = (policy, true));
    rules.stir.wait = Duration::from_millis(800);
    rules.stir.verified_numbers = [(TenantId::default(), vec!["12155551212".into()])].into();
    bench
}

fn passed() -> Verdict {
    Verdict::Passed {
        attestation: Some(Attestation::Partial),
        origin_id: None,
        provider: None,
        certificate_url: "https://a.example/b".into(),
    }
}

impl Bench {
    fn all(&mut self, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        self.board.handle(event, self.now, &mut out);
        out
    }

    fn rings(&mut self, identity: &[&str]) -> Vec<Action> {
        let call = IncomingCall {
            from_user: "+12155551212".into(),
            dialled: "4000".into(),
            to_user: "4001".into(),
            call_id: "call".into(),
            identity: identity.iter().map(|it| Arc::from(*it)).collect(),
            date: Some("today".into()),
            max_forwards: MAX_FORWARDS,
            ..IncomingCall::default()
        };
        let (source, call) = (Source::Trunk(carrier()), Box::new(call));
        self.all(Event::Leg(LegEvent::Incoming { leg: LEG, source, call, plan: None }))
    }

    fn verdict(&mut self, verdict: Verdict) -> Vec<Action> {
        self.all(Event::Verified { leg: LEG, verdict })
    }

    /// What the flow says to the caller who is taken up by `out`, and what his record says.
    fn story(&mut self, out: &[Action]) -> (String, Option<Arc<str>>, Option<Arc<str>>) {
        assert!(out.iter().any(|action| matches!(action, Action::Media(_))), "{out:?}");
        self.all(Event::Media(MediaEvent::Opened { leg: LEG, local: LOCAL }));
        let up = self.all(Event::Leg(LegEvent::Established { leg: LEG, plan: super::plan() }));
        let said = up.iter().find_map(|action| match action {
            Action::Play { prompts, .. } => match &prompts[..] {
                [Prompt::Text { text, .. }] => Some(text.to_string()),
                _ => None,
            },
            _ => None,
        });
        let cause = Cause::normal(EndedBy::Peer);
        self.all(Event::Leg(LegEvent::Ended { leg: LEG, cause }));
        let report = QualityReport::default();
        let end = self.all(Event::Media(MediaEvent::Closed { leg: LEG, report }));
        let record = end.iter().find_map(|action| match action {
            Action::Store { facts, .. } => match &facts[..] {
                [Fact::Leg(record)] => Some((record.verstat.clone(), record.attestation.clone())),
                _ => None,
            },
            _ => None,
        });
        let (verstat, attestation) = record.unwrap();
        (said.unwrap(), verstat, attestation)
    }
}

fn refused(out: &[Action]) -> Option<u16> {
    out.iter().find_map(|action| match action {
        Action::Leg(LegCommand::Refuse { leg: LEG, status, .. }) => Some(*status),
        _ => None,
    })
}

#[test]
fn a_verdict_is_told_to_the_flow_and_the_record() {
    for (verdict, said, verstat, attestation) in [
        (passed(), "TN-Validation-Passed B.", "TN-Validation-Passed", Some("B")),
        (
            Verdict::Failed(Fault::BadSignature),
            "TN-Validation-Failed .",
            "TN-Validation-Failed",
            None,
        ),
    ] {
        let mut bench = bench(VerifyPolicy::Report);
        let asked = bench.rings(&["a", "b"]);
        let [Action::Verify { leg: LEG, call }] = &asked[..] else { panic!("{asked:?}") };
        let expected = ToVerify {
            identities: vec!["a".into(), "b".into()],
            caller: "+12155551212".into(),
            called: vec!["4001".into(), "4000".into()],
            date: Some("today".into()),
        };
        assert_eq!(*call, expected);
        let out = bench.verdict(verdict.clone());
        assert!(bench.verdict(verdict).is_empty(), "the second one is nobody's");
        let story = bench.story(&out);
        assert_eq!(story, (said.into(), Some(verstat.into()), attestation.map(Arc::from)));
        bench.holds_nothing();
    }
}

#[test]
fn a_trunk_that_asks_for_nothing_is_asked_nothing() {
    let mut bench = bench(VerifyPolicy::Off);
    let out = bench.rings(&["a"]);
    assert_eq!(bench.story(&out), ("No-TN-Validation .".into(), None, None));
}

#[test]
fn a_call_waits_for_its_verdict_as_long_as_it_was_told_to() {
    let mut bench = bench(VerifyPolicy::Report);
    bench.rings(&["a"]);
    let due = bench.board.deadline().unwrap();
    assert_eq!(due - bench.now.instant, Duration::from_millis(800));
    bench.now = bench.now.after(Duration::from_millis(800));
    let mut out = Vec::new();
    bench.board.handle_deadline(bench.now, &mut out);
    assert!(bench.verdict(passed()).is_empty(), "it comes too late");
    let verstat: Arc<str> = "No-TN-Validation".into();
    assert_eq!(bench.story(&out), ("No-TN-Validation .".into(), Some(verstat), None));
}

/// RFC 8224 §6.2.2.
#[test]
fn where_a_true_number_is_required_others_are_refused() {
    for (verdict, status) in [
        (passed(), None),
        (Verdict::Failed(Fault::Stale), Some(403)),
        (Verdict::Failed(Fault::UnsupportedKind), Some(428)),
        (Verdict::Failed(Fault::NoCallerNumber), Some(433)),
        (Verdict::Failed(Fault::BadInfo(InfoFault::Unreachable)), Some(436)),
        (Verdict::Failed(Fault::Credential(CredentialFault::Untrusted)), Some(437)),
        (Verdict::Failed(Fault::BadSignature), Some(438)),
    ] {
        let mut bench = bench(VerifyPolicy::Require);
        bench.rings(&["a"]);
        let out = bench.verdict(verdict);
        assert_eq!(refused(&out), status, "{out:?}");
    }
    let mut unsigned = bench(VerifyPolicy::Require);
    assert_eq!(refused(&unsigned.rings(&[])), Some(428));
    unsigned.holds_nothing();
}

#[test]
fn a_caller_who_hangs_up_before_the_verdict_is_forgotten() {
    let mut bench = bench(VerifyPolicy::Require);
    bench.rings(&["a"]);
    bench.all(Event::Leg(LegEvent::Ended { leg: LEG, cause: Cause::normal(EndedBy::Peer) }));
    assert!(bench.verdict(passed()).is_empty());
    bench.holds_nothing();
}

#[test]
fn attestation_is_by_rule_and_only_where_a_trunk_wants_it() {
    let mut bench = bench(VerifyPolicy::Off);
    let out = bench.rings(&[]);
    let call = *bench.board.calls.keys().next().unwrap();
    assert!(!out.is_empty());
    let dial = |user: &str, caller: Caller| LegCommand::Dial {
        leg: LEG,
        target: target(user),
        caller,
        local_media: LOCAL,
        ring_for: Duration::ZERO,
        heard_within: None,
        call_id: None,
        max_forwards: MAX_FORWARDS,
        service_route: Vec::new(),
    };
    let shown = || Caller::shown("+12155551212");
    let now = bench.now;
    let vouched = |bench: &Bench, command: &LegCommand| bench.board.vouched(command, now);
    let expected = |attestation| Vouched {
        attestation,
        origin: "12155551212".into(),
        destination: "12155551213".into(),
        issued_at_s: now.wall_ms / 1_000,
    };
    let ours = dial("+12155551213", shown());
    // A caller of another trunk shows one of our numbers: that makes him no customer.
    assert_eq!(vouched(&bench, &ours), Some(expected(Attestation::Gateway)));
    becomes_ours(&mut bench, call);
    assert_eq!(vouched(&bench, &ours), Some(expected(Attestation::Full)));
    bench.board.rules.stir.verified_numbers.clear();
    assert_eq!(vouched(&bench, &ours), Some(expected(Attestation::Partial)));
    assert_eq!(vouched(&bench, &dial("alice", shown())), None, "a name is no number");
    assert_eq!(vouched(&bench, &dial("+12155551213", Caller::default())), None);
    let signed = Caller { identity: Some("a".into()), ..shown() };
    assert_eq!(vouched(&bench, &dial("+12155551213", signed)), None, "signed already");
    bench.board.rules.trunks.values_mut().for_each(|it| it.sign = false);
    assert_eq!(vouched(&bench, &ours), None);
}

fn becomes_ours(bench: &mut Bench, call: CallId) {
    let confirmation = "".into();
    let purpose = crate::call::Purpose::FeatureCode { confirmation, afterwards: None };
    bench.board.calls.get_mut(&call).unwrap().purpose = purpose;
}

fn target(user: &str) -> Target {
    Target::Trunk {
        trunk: carrier(),
        hop: domain::hop::Hop { transport: sip::event::Transport::Udp, address: LOCAL, host: None },
        user: user.into(),
    }
}
