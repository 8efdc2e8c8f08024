use super::*;
use crate::event::Transport;
use crate::message::{Message, parse};
use domain::now::epoch;
use rand::SeedableRng;
use rand::rngs::StdRng;

fn registration() -> Registration {
    let local: SocketAddr = "192.0.2.2:5060".parse().unwrap();
    let remote: SocketAddr = "192.0.2.1:5060".parse().unwrap();
    let config = RegistrationConfig {
        flow: Flow { transport: Transport::Udp, local, remote },
        domain: "trunkline".into(),
        user: "anna".into(),
        password: "secret".into(),
        contact: local,
        expires_s: 60,
    };
    Registration::new(config, Box::new(StdRng::seed_from_u64(1)))
}

fn sent(out: &mut Vec<RegistrationAction>) -> Request {
    match out.remove(0) {
        RegistrationAction::Transmit(_, message) => match parse(message) {
            Ok(Message::Request(request)) => request,
            other => panic!("no request: {other:?}"),
        },
        other => panic!("nothing sent: {other:?}"),
    }
}

#[test]
fn a_challenge_is_answered_and_the_registration_refreshed() {
    let start = epoch().instant;
    let (mut machine, mut out) = (registration(), Vec::new());
    machine.start(start, &mut out);
    let first = sent(&mut out);
    let mut challenge = first.response(401, Some("t"));
    challenge
        .headers
        .push(Name::WwwAuthenticate, "Digest realm=\"trunkline\",nonce=\"n\",qop=\"auth\"");
    machine.receive(&challenge, start, &mut out);
    let second = sent(&mut out);
    assert!(second.headers.has(Name::Authorization));
    // The same answer refused is no reason to ask at once again.
    let mut ok = second.response(200, Some("t"));
    ok.headers.push(Name::Contact, "<sip:anna@192.0.2.2:5060>;expires=50");
    machine.receive(&ok, start, &mut out);
    assert_eq!(out, [RegistrationAction::Registered]);
    out.clear();
    assert_eq!(machine.deadline(), Some(start + Duration::from_secs(40)));
    machine.handle_deadline(start + Duration::from_secs(40), &mut out);
    assert!(sent(&mut out).headers.has(Name::Authorization));
}

#[test]
fn silence_is_repeated_and_then_tried_again_later() {
    let start = epoch().instant;
    let (mut machine, mut out) = (registration(), Vec::new());
    machine.start(start, &mut out);
    let mut at_ms = Vec::new();
    while let Some(at) = machine.deadline().filter(|_| !out.contains(&failed())) {
        let before = out.len();
        machine.handle_deadline(at, &mut out);
        at_ms.extend((before..out.len()).map(|_| (at - start).as_millis()));
    }
    // Timer E: 0.5 s doubled up to 4 s; timer F at 32 s (RFC 3261 §17.1.2.2).
    assert_eq!(
        at_ms,
        [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500, 32_000]
    );
    assert_eq!(machine.deadline(), Some(start + Duration::from_secs(34)));
}

fn failed() -> RegistrationAction {
    RegistrationAction::Failed(408)
}

/// A REGISTER of ours, answered with this status and these fields.
fn answer(
    machine: &mut Registration,
    now: Instant,
    out: &mut Vec<RegistrationAction>,
    (status, fields): (u16, &[(Name, &str)]),
) {
    let mut response = sent(out).response(status, Some("t"));
    for (name, value) in fields {
        response.headers.push(*name, value);
    }
    machine.receive(&response, now, out);
}

/// A registrar that always wants more, or never takes a nonce, is not asked for ever: a few times
/// at once, then after the gap.
#[test]
fn a_registrar_that_is_never_content_is_left_alone_for_a_while() {
    let start = epoch().instant;
    let stale = "Digest realm=\"r\",nonce=\"n\",qop=\"auth\",stale=true";
    for refusal in [
        (423, [(Name::MinExpires, "4294967295")]),
        (423, [(Name::MinExpires, "1")]),
        (423, [(Name::Subject, "no Min-Expires")]),
        (401, [(Name::WwwAuthenticate, stale)]),
    ] {
        let (mut machine, mut out) = (registration(), Vec::new());
        machine.start(start, &mut out);
        let mut asked = 0;
        while asked < 50 && matches!(out[..], [RegistrationAction::Transmit(..)]) {
            asked += 1;
            answer(&mut machine, start, &mut out, (refusal.0, &refusal.1));
        }
        assert!(asked <= 5, "{refusal:?} {asked}");
        assert_eq!(out, [RegistrationAction::Failed(refusal.0)]);
        assert_eq!(machine.deadline(), Some(start + GAP));
    }
}

/// RFC 3261 §10.2.8.
#[test]
fn a_longer_life_is_asked_for_where_the_registrar_wants_it() {
    let start = epoch().instant;
    let (mut machine, mut out) = (registration(), Vec::new());
    machine.start(start, &mut out);
    answer(&mut machine, start, &mut out, (423, &[(Name::MinExpires, "600")]));
    assert_eq!(sent(&mut out).headers.expires(), Ok(Some(600)));
}

/// RFC 3261 §22.3: a proxy's challenge is answered in the proxy's field.
#[test]
fn the_challenge_of_a_proxy_is_answered_as_such() {
    let start = epoch().instant;
    let (mut machine, mut out) = (registration(), Vec::new());
    machine.start(start, &mut out);
    let challenge = "Digest realm=\"proxy\",nonce=\"n\",qop=\"auth\"";
    answer(&mut machine, start, &mut out, (407, &[(Name::ProxyAuthenticate, challenge)]));
    let again = sent(&mut out);
    assert!(again.headers.has(Name::ProxyAuthorization));
    assert!(!again.headers.has(Name::Authorization));
}

/// RFC 3261 §10.2.4: the 2xx lists all bindings of the address; ours is the one that counts.
#[test]
fn the_life_of_our_own_contact_counts() {
    let start = epoch().instant;
    let (mut machine, mut out) = (registration(), Vec::new());
    machine.start(start, &mut out);
    let others = "<sip:anna@192.0.2.77>;expires=3000, <sip:anna@192.0.2.2:5060>;expires=50";
    answer(&mut machine, start, &mut out, (200, &[(Name::Contact, others)]));
    assert_eq!(out, [RegistrationAction::Registered]);
    assert_eq!(machine.deadline(), Some(start + Duration::from_secs(40)));
}

/// The refresh that was due does not undo the leaving.
#[test]
fn leaving_is_not_undone_by_the_refresh() {
    let start = epoch().instant;
    let (mut machine, mut out) = (registration(), Vec::new());
    machine.start(start, &mut out);
    answer(&mut machine, start, &mut out, (200, &[]));
    out.clear();
    let leaving = start + Duration::from_secs(47);
    machine.stop(leaving, &mut out);
    assert_eq!(sent(&mut out).headers.expires(), Ok(Some(0)));
    while let Some(at) = machine.deadline() {
        machine.handle_deadline(at, &mut out);
        if let Some(RegistrationAction::Transmit(..)) = out.last() {
            assert_eq!(sent(&mut out).headers.expires(), Ok(Some(0)));
        }
    }
    assert_eq!(out, [RegistrationAction::Left]);
}

/// RFC 3261 §20.33: who says when to come again is heard, within reason.
#[test]
fn retry_after_is_heard() {
    for (said, gap_s) in [("90", 90), ("1", 2), ("999999", 3_600)] {
        let start = epoch().instant;
        let (mut machine, mut out) = (registration(), Vec::new());
        machine.start(start, &mut out);
        answer(&mut machine, start, &mut out, (503, &[(Name::RetryAfter, said)]));
        assert_eq!(out, [RegistrationAction::Failed(503)]);
        assert_eq!(machine.deadline(), Some(start + Duration::from_secs(gap_s)), "{said}");
    }
}

/// RFC 3261 §10.2: each REGISTER of ours counts one up, and there is none before the last one is
/// answered or has timed out; what stands in it, and what does not.
#[test]
fn each_register_counts_one_up_and_waits_for_the_last() {
    let start = epoch().instant;
    let (mut machine, mut out) = (registration(), Vec::new());
    machine.start(start, &mut out);
    let mut requests = Vec::new();
    while let Some(at) = machine.deadline().filter(|_| requests.len() < 16) {
        out.retain(|action| matches!(action, RegistrationAction::Transmit(..)));
        while !out.is_empty() {
            requests.push(sent(&mut out));
        }
        machine.handle_deadline(at, &mut out);
    }
    let numbers: Vec<_> = requests.iter().map(|sent| sent.headers.cseq().unwrap().0).collect();
    assert_eq!(numbers[..13], [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2], "repeated, then anew");
    for request in &requests {
        assert_eq!(request.uri.as_str(), "sip:trunkline");
        let headers = &request.headers;
        assert_eq!(headers.call_id(), requests[0].headers.call_id());
        assert_eq!(headers.to().unwrap().uri_str(), "sip:anna@trunkline");
        assert_eq!(headers.from().unwrap().uri_str(), "sip:anna@trunkline");
        assert!(headers.from().unwrap().tag().is_some() && headers.to().unwrap().tag().is_none());
        assert_eq!(headers.get(Name::Contact), Some("<sip:anna@192.0.2.2:5060>"));
    }
}

/// RFC 3261 §10.2: Record-Route means nothing in the answer to a REGISTER.
#[test]
fn a_record_route_in_the_answer_makes_no_route() {
    let start = epoch().instant;
    let (mut machine, mut out) = (registration(), Vec::new());
    machine.start(start, &mut out);
    let fields = [(Name::RecordRoute, "<sip:192.0.2.50;lr>")];
    answer(&mut machine, start, &mut out, (200, &fields));
    out.clear();
    machine.handle_deadline(machine.deadline().unwrap(), &mut out);
    let again = sent(&mut out);
    assert!(!again.headers.has(Name::Route) && again.uri.as_str() == "sip:trunkline");
}
