use super::*;
use domain::cause::EndedBy;
use domain::media_plan::Direction;
use domain::now::epoch;
use sip::endpoint::config::Reliable;

fn asked() -> Asked {
    Asked {
        registers: false,
        transport: Transport::Udp,
        call: Some("+4930123456".into()),
        forms: vec![
            (Step::NumberPlus, Ok("+4930123456".into())),
            (Step::NumberZeros, Ok("004930123456".into())),
            (Step::NumberNational, Err("no country")),
        ],
        configured_form: Some(Step::NumberPlus),
        probes: true,
        session: SessionPolicy {
            reliable: Reliable::Supported,
            interval_s: 1_800,
            late_offer: false,
        },
        digits: "1".into(),
        expected: None,
        refer_to: None,
    }
}

fn facts(status: u16) -> Facts {
    Facts { status, ..Facts::default() }
}

/// A 2xx with everything in it.
fn rich(direction: Direction) -> Facts {
    let allow = ["INVITE", "PRACK", "UPDATE", "REFER"].map(str::to_owned);
    Facts {
        status: 200,
        reason: "OK".into(),
        allow: Some(allow.into()),
        supported: vec!["100rel".into(), "timer".into()],
        session_expires: Some("1800;refresher=uac".into()),
        direction: Some(direction),
        ..Facts::default()
    }
}

/// One that can do everything.
fn able(order: &Do) -> Vec<Seen> {
    let invite = |facts| Seen::Response(Method::Invite, facts);
    match order {
        Do::Secure => vec![Seen::Secured(Ok("TLSv1_3".into()))],
        Do::Register => vec![Seen::Registered(Ok(()))],
        Do::Unregister => vec![Seen::Unregistered],
        Do::Options { .. } => vec![Seen::Options(Some(rich(Direction::SendRecv)))],
        Do::Dial(_) => vec![
            invite(facts(100)),
            invite(Facts { reliable: true, direction: Some(Direction::SendRecv), ..facts(183) }),
            Seen::Response(Method::Prack, facts(200)),
            invite(rich(Direction::SendRecv)),
            Seen::Established { events: true },
        ],
        Do::Hold(true) => vec![invite(facts(100)), invite(rich(Direction::RecvOnly))],
        Do::Hold(false) | Do::Refresh => vec![invite(rich(Direction::SendRecv))],
        Do::Digits(_) => vec![Seen::Digit('5'), Seen::Digit('6')],
        Do::Refer(_) => vec![Seen::Response(Method::Refer, facts(202))],
        Do::HangUp => {
            vec![Seen::Ended(Cause::normal(EndedBy::Us)), Seen::Response(Method::Bye, facts(200))]
        }
        Do::Tell(_) | Do::Over => Vec::new(),
    }
}

/// Runs a trial in virtual time against somebody; how long it took, and the orders.
fn run(asked: Asked, peer: impl Fn(&Do, usize) -> Vec<Seen>) -> (Script, Duration, Vec<Do>) {
    let start = epoch().instant;
    let (mut now, mut out, mut done) = (start, Vec::new(), Vec::new());
    let mut script = Script::start(asked, now, &mut out);
    for _ in 0..1_000 {
        while !out.is_empty() {
            let order = out.remove(0);
            let before = done.iter().filter(|it| **it == order).count();
            for seen in peer(&order, before) {
                script.handle(seen, now, &mut out);
            }
            done.push(order);
        }
        let Some(at) = script.deadline() else { break };
        now = at;
        script.handle_deadline(now, &mut out);
    }
    assert_eq!(done.last(), Some(&Do::Over), "{done:?}");
    let over = done.iter().filter(|it| **it == Do::Over).count();
    assert_eq!(over, 1);
    (script, now - start, done)
}

fn came(script: &Script, outcome: Outcome) -> Vec<&'static str> {
    let findings = script.findings().iter().filter(|it| it.outcome == outcome);
    findings.map(|it| it.step.title()).collect()
}

#[test]
fn who_can_do_everything_passes_everything() {
    let asked = Asked {
        registers: true,
        transport: Transport::Tls,
        expected: Some("56".into()),
        refer_to: Some("4001".into()),
        ..asked()
    };
    let (script, took, done) = run(asked, |order, _| able(order));
    assert_eq!(came(&script, Outcome::Failed), [""; 0]);
    assert_eq!(came(&script, Outcome::NotSupported), [""; 0]);
    assert_eq!(came(&script, Outcome::NotTried), ["number-national"]);
    assert_eq!(came(&script, Outcome::Passed).len(), 16);
    assert!(script.is_sound() && script.settings().0.is_empty(), "{:?}", script.settings());
    // Only sending the key takes time.
    assert_eq!(took, DIGIT * 2);
    let dialled = done.iter().filter(|it| matches!(it, Do::Dial(_))).count();
    assert_eq!((dialled, done.contains(&Do::Unregister)), (1, true));
}

/// Without a number, nothing is rung.
#[test]
fn without_a_number_no_call_is_made() {
    let (script, _, done) = run(Asked { call: None, ..asked() }, |order, _| able(order));
    assert!(!done.iter().any(|it| matches!(it, Do::Dial(_))));
    assert!(script.is_sound());
    assert_eq!(came(&script, Outcome::Passed), ["options", "number-plus", "number-00"]);
}

/// One that hears nothing but INVITE, ACK and BYE, as the oldest do, and hangs up at what it does
/// not expect.
#[test]
fn who_can_nothing_but_calls_is_found_out_in_few_calls() {
    let peer = |order: &Do, _| match order {
        Do::Options { .. } => vec![Seen::Options(None)],
        Do::Dial(_) => vec![
            Seen::Response(Method::Invite, facts(180)),
            Seen::Response(Method::Invite, facts(200)),
            Seen::Established { events: false },
        ],
        Do::Hold(_) | Do::Refresh => vec![Seen::Ended(Cause::normal(EndedBy::Peer))],
        _ => able(order),
    };
    let (script, _, done) = run(asked(), peer);
    assert!(script.is_sound());
    assert_eq!(came(&script, Outcome::Passed), ["answer"]);
    let failed = ["options", "options-over-tcp", "hold", "session-refresh"];
    assert_eq!(came(&script, Outcome::Failed), failed);
    let missing = ["early-media", "prack", "session-timer", "digits-sent"];
    assert_eq!(came(&script, Outcome::NotSupported), missing);
    let keys: Vec<_> = script.settings().0.keys().copied().collect();
    assert_eq!(keys, ["probe_s", "reliable_provisionals", "session_interval_s"]);
    assert!(done.iter().filter(|it| matches!(it, Do::Dial(_))).count() <= usize::from(CALLS_MAX));
}

/// Who refuses what we offer is called with less, and the settings say so.
#[test]
fn refused_extensions_are_left_out() {
    let refused = |status| vec![Seen::Ended(Cause::from_status(status))];
    let table: [(&[Manner], u16, &[&str]); 3] = [
        (&[Manner::Full], 420, &["reliable_provisionals", "session_interval_s"]),
        (
            &[Manner::Full, Manner::Plain],
            488,
            &["late_offer", "reliable_provisionals", "session_interval_s"],
        ),
        (&[], 0, &[]),
    ];
    for (refuses, status, suggested) in table {
        let peer = |order: &Do, _| match order {
            Do::Dial(manner) if refuses.contains(manner) => refused(status),
            _ => able(order),
        };
        let (script, ..) = run(asked(), peer);
        assert!(script.is_sound(), "{status}");
        let keys: Vec<_> = script.settings().0.keys().copied().collect();
        assert_eq!(keys, suggested, "{status}");
    }
}

/// What leaves no trunk to call by.
#[test]
fn an_essential_step_that_fails_shows_in_the_exit_status() {
    type Peer = fn(&Do) -> Option<Vec<Seen>>;
    let table: [(&str, Peer); 5] = [
        ("tls", |order| {
            (*order == Do::Secure).then(|| vec![Seen::Secured(Err("unknown issuer".into()))])
        }),
        ("registration", |order| {
            (*order == Do::Register).then(|| vec![Seen::Registered(Err(403))])
        }),
        ("answer", |order| {
            let busy = vec![Seen::Ended(Cause::from_status(486))];
            matches!(order, Do::Dial(_)).then_some(busy)
        }),
        ("answer", |order| {
            let silent = vec![Seen::Ended(Cause::silent())];
            matches!(order, Do::Dial(_)).then_some(silent)
        }),
        // Nothing at all is ever heard.
        ("registration", |_| Some(Vec::new())),
    ];
    for (step, peer) in table {
        let transport = if step == "tls" { Transport::Tls } else { Transport::Udp };
        let asked = Asked { registers: true, transport, ..asked() };
        let (script, took, _) = run(asked, |order, _| peer(order).unwrap_or_else(|| able(order)));
        assert!(came(&script, Outcome::Failed).contains(&step), "{step}");
        assert!(!script.is_sound(), "{step}");
        assert!(took < TRIAL_MAX, "{step}: {took:?}");
    }
}

/// What an outcome of a step within the call means.
#[test]
fn answers_within_the_call_are_judged() {
    let held = |direction| vec![Seen::Response(Method::Invite, rich(direction))];
    let status = |method, status| vec![Seen::Response(method, facts(status))];
    let (hold, refresh, refer) = (Do::Hold(true), Do::Refresh, Do::Refer("4001".into()));
    let table = [
        (&hold, held(Direction::RecvOnly), Outcome::Passed),
        (&hold, held(Direction::Inactive), Outcome::Passed),
        (&hold, held(Direction::SendRecv), Outcome::Failed),
        (&hold, held(Direction::SendOnly), Outcome::Failed),
        (&hold, status(Method::Invite, 488), Outcome::Failed),
        (&hold, status(Method::Invite, 501), Outcome::NotSupported),
        // It is asked again by itself, and nothing more comes.
        (&hold, status(Method::Invite, 491), Outcome::Failed),
        (&refresh, status(Method::Update, 200), Outcome::Passed),
        (&refresh, status(Method::Invite, 481), Outcome::Failed),
        (&refer, status(Method::Refer, 202), Outcome::Passed),
        (&refer, status(Method::Refer, 405), Outcome::NotSupported),
        (&refer, status(Method::Refer, 603), Outcome::NotSupported),
        (&refer, status(Method::Refer, 500), Outcome::Failed),
    ];
    for (at, answers, expected) in table {
        let asked = Asked { refer_to: Some("4001".into()), ..asked() };
        let peer = |order: &Do, _| if order == at { answers.clone() } else { able(order) };
        let (script, ..) = run(asked, peer);
        let step = match at {
            Do::Hold(_) => Step::Hold,
            Do::Refresh => Step::Refresh,
            _ => Step::Refer,
        };
        let found = script.findings().iter().find(|it| it.step == step).expect("it is told");
        assert_eq!(found.outcome, expected, "{at:?} {answers:?}: {}", found.seen);
    }
}

/// RFC 3262: what is acknowledged, refused, or never asked for.
#[test]
fn reliable_responses_are_judged() {
    let early = |reliable| Seen::Response(Method::Invite, Facts { reliable, ..facts(180) });
    let prack = |status| Seen::Response(Method::Prack, facts(status));
    let table = [
        (vec![early(true), prack(200)], Outcome::Passed, false),
        (vec![early(true), prack(481)], Outcome::Failed, true),
        (vec![early(true)], Outcome::Failed, true),
        // OPTIONS listed it: it need not be used.
        (vec![early(false)], Outcome::NotTried, false),
        (vec![], Outcome::NotTried, false),
    ];
    for (before, expected, suggested) in table {
        let peer = |order: &Do, _| match order {
            Do::Dial(_) => {
                let mut all = before.clone();
                all.push(Seen::Response(Method::Invite, rich(Direction::SendRecv)));
                all.push(Seen::Established { events: true });
                all
            }
            _ => able(order),
        };
        let (script, ..) = run(asked(), peer);
        let found = script.findings().iter().find(|it| it.step == Step::Reliable).unwrap();
        assert_eq!(found.outcome, expected, "{before:?}");
        assert_eq!(script.settings().0.contains_key("reliable_provisionals"), suggested);
    }
}

/// Silence over UDP and an answer over TCP: the setting says so.
#[test]
fn who_answers_over_tcp_only_is_to_be_called_over_tcp() {
    let peer = |order: &Do, _| match order {
        Do::Options { transport: Transport::Udp, .. } => vec![Seen::Options(None)],
        _ => able(order),
    };
    let (script, ..) = run(Asked { call: None, ..asked() }, peer);
    assert_eq!(script.settings().0["transport"].0, "\"tcp\"");
    assert!(script.is_sound());
}

/// A form of numbers that is refused where another is taken.
#[test]
fn the_form_of_numbers_that_it_takes_is_suggested() {
    for (refused, expected) in [("+", Some("\"international\"")), ("00", None)] {
        let peer = |order: &Do, _| match order {
            Do::Options { user: Some(user), .. } if user.starts_with(refused) => {
                vec![Seen::Options(Some(facts(404)))]
            }
            _ => able(order),
        };
        let (script, ..) = run(asked(), peer);
        let suggested = script.settings().0.get("dialled_style").map(|(value, _)| value.as_str());
        assert_eq!(suggested, expected, "{refused}");
    }
}
