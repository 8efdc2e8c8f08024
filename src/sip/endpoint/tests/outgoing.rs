//! Calls that go out to a peer whose every response is chosen: forks, early media, challenges,
//! CANCEL in all its races.

use super::pair::{A, address, agent, media, trunk};
use super::peer::{Peer, header, response, sdp, word};
use crate::digest::Algorithm;
use crate::digest::challenger::{Challenger, Verdict};
use crate::event::{Caller, LegCommand, LegEvent, MAX_FORWARDS, Target, Transport};
use crate::message::{Message, parse};
use bytes::Bytes;
use domain::cause::{Cause, CauseKind, EndedBy};
use domain::hop::Hop;
use domain::id::LegId;
use domain::media_plan::{Codec, Direction, MediaPlan};
use std::sync::Arc;
use std::time::Duration;

const LEG: LegId = LegId(2);
const CONTACT: &str = "Contact: <sip:4711@192.0.2.2:5060>\r\n";

fn words(messages: &[String]) -> Vec<&str> {
    messages.iter().map(|message| word(message)).collect()
}

fn dial_to(peer: &mut Peer, target: Target, from_user: &str, display: Option<&str>) -> Vec<String> {
    peer.handle(LegCommand::Dial {
        leg: LEG,
        target,
        caller: Caller { display: display.map(Into::into), ..Caller::shown(from_user) },
        local_media: media(A),
        ring_for: Duration::from_secs(20),
        heard_within: None,
        call_id: Some("dialling".into()),
        max_forwards: MAX_FORWARDS,
        service_route: Vec::new(),
    })
}

fn at_trunk(name: &str, transport: Transport) -> Target {
    let address = address(super::pair::B);
    Target::Trunk { trunk: trunk(name), hop: Hop::at(transport, address), user: "+49 30#1".into() }
}

/// Dials; the INVITE.
fn dial(peer: &mut Peer) -> String {
    let sent = dial_to(peer, at_trunk("carrier", Transport::Udp), "+49301", None);
    let call_id = "dialling".into();
    assert_eq!(peer.take_events(), [LegEvent::Dialled { leg: LEG, call_id }]);
    sent.into_iter().next().unwrap()
}

fn ok(invite: &str, tag: &str) -> String {
    response(invite, "200 OK", tag, CONTACT, &sdp("8", "sendrecv"))
}

fn plan() -> MediaPlan {
    MediaPlan {
        remote: ([192, 0, 2, 2], 40_000).into(),
        also_from: None,
        codec: Codec::Pcma,
        payload_type: 8,
        event_payload_type: None,
        event_receive_type: None,
        direction: Direction::SendRecv,
        ptime_ms: 20,
    }
}

#[test]
fn the_invite_says_who_calls_whom() {
    let mut peer = Peer::new();
    let target = at_trunk("carrier", Transport::Tcp);
    let invite = &dial_to(&mut peer, target, "+49301", Some("Hot \"line\""))[0];
    let line = "INVITE sip:+49%2030%231@192.0.2.2:5060;transport=tcp SIP/2.0\r\n";
    assert!(invite.starts_with(line), "{invite}");
    let from = "\"Hot \\\"line\\\"\" <sip:+49301@192.0.2.1>;tag=";
    assert!(header(invite, "From").starts_with(from), "{invite}");
    assert_eq!(header(invite, "To"), "<sip:+49%2030%231@192.0.2.2:5060>");
    assert_eq!(header(invite, "Contact"), "<sip:+49301@192.0.2.1:5060;transport=tcp>");
    assert_eq!(header(invite, "Call-ID"), "dialling");
    assert_eq!(header(invite, "CSeq"), "1 INVITE");
    assert!(header(invite, "Via").starts_with("SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK"));
    assert_eq!(header(invite, "Privacy"), "");
    let mut peer = Peer::new();
    let invite = &dial_to(&mut peer, at_trunk("carrier", Transport::Udp), "", None)[0];
    assert!(header(invite, "From").starts_with("\"Anonymous\" <sip:anonymous@anonymous.invalid>"));
    assert_eq!(header(invite, "Privacy"), "id");
}

/// RFC 3261 §13.2.2.4: the same ACK for each repetition of the 2xx; a later fork is acknowledged
/// and ended, while the leg lives and after.
#[test]
fn forks_beyond_the_first_are_acknowledged_and_ended() {
    let mut peer = Peer::new();
    let invite = dial(&mut peer);
    let acks = peer.send(&ok(&invite, "one"));
    assert_eq!(words(&acks), ["ACK"]);
    assert_eq!(peer.send(&ok(&invite, "one")), acks);
    assert_eq!(peer.take_events(), [LegEvent::Established { leg: LEG, plan: plan() }]);
    let surplus = peer.send(&ok(&invite, "two"));
    assert_eq!(words(&surplus), ["ACK", "BYE"]);
    assert!(surplus.iter().all(|sent| header(sent, "To").ends_with(";tag=two")));
    assert_eq!(peer.send(&ok(&invite, "two")), surplus[..1]);
    peer.send(&response(&surplus[1], "200 OK", "two", "", ""));
    assert_eq!((peer.endpoint.legs(), peer.take_events()), (1, vec![]));

    let bye = peer.handle(LegCommand::HangUp { leg: LEG, q850: None });
    peer.send(&response(&bye[0], "200 OK", "one", "", ""));
    assert_eq!(peer.endpoint.legs(), 0);
    assert_eq!(words(&peer.send(&ok(&invite, "three"))), ["ACK", "BYE"]);
    for tag in 4..20 {
        peer.send(&ok(&invite, &tag.to_string()));
    }
    assert_eq!(words(&peer.send(&ok(&invite, "many"))), Vec::<&str>::new(), "bounded");
    assert_eq!(peer.take_events().len(), 1);
    peer.assert_clean();
}

/// Early media, and its answer left out of the 2xx as many do.
#[test]
fn early_media_is_told_and_may_be_all_the_answer_there_is() {
    for (tag, is_same) in [("one", true), ("two", false)] {
        let mut peer = Peer::new();
        let invite = dial(&mut peer);
        let body = sdp("8", "sendrecv");
        peer.send(&response(&invite, "100 Trying", "one", "", ""));
        peer.send(&response(&invite, "180 Ringing", "one", CONTACT, ""));
        peer.send(&response(&invite, "183 Session Progress", "one", CONTACT, &body));
        assert_eq!(
            peer.take_events(),
            [
                LegEvent::Ringing { leg: LEG, status: 180, plan: None },
                LegEvent::Ringing { leg: LEG, status: 183, plan: Some(plan()) },
            ]
        );
        let sent = peer.send(&response(&invite, "200 OK", tag, CONTACT, ""));
        if is_same {
            assert_eq!(words(&sent), ["ACK"]);
            assert_eq!(peer.take_events(), [LegEvent::Established { leg: LEG, plan: plan() }]);
        } else {
            assert_eq!(words(&sent), ["ACK", "BYE"]);
            let cause = Cause { by: EndedBy::Us, ..Cause::from_status(488) };
            assert_eq!(peer.take_events(), [LegEvent::Ended { leg: LEG, cause }]);
            peer.assert_clean();
        }
    }
}

#[test]
fn refusals_tell_their_cause() {
    for (line, extra, kind, q850) in [
        ("486 Busy Here", "", CauseKind::Busy, 17),
        ("480 Away", "Reason: Q.850;cause=20\r\n", CauseKind::NoAnswer, 20),
        ("302 Moved", "Contact: <sip:b@192.0.2.7>\r\n", CauseKind::Failed, 127),
        ("603 Decline", "Reason: SIP;cause=603, Q.850;cause=999\r\n", CauseKind::Declined, 21),
    ] {
        let mut peer = Peer::new();
        let invite = dial(&mut peer);
        let refusal = response(&invite, line, "one", extra, "");
        let sent = peer.send(&refusal);
        assert_eq!(words(&sent), ["ACK"]);
        assert_eq!(header(&sent[0], "Via"), header(&invite, "Via"), "§17.1.1.3");
        assert_eq!(peer.send(&refusal), sent);
        let events = peer.take_events();
        let [LegEvent::Ended { cause, .. }] = events[..] else { panic!("{events:?}") };
        assert_eq!((cause.kind, cause.q850, cause.by), (kind, q850, EndedBy::Peer));
        peer.assert_clean();
    }
}

/// RFC 3261 §9.1: a CANCEL only after a provisional response; then 64*T1 for the final one.
#[test]
fn cancel_waits_for_a_provisional_response() {
    let mut peer = Peer::new();
    let invite = dial(&mut peer);
    assert_eq!(peer.handle(LegCommand::HangUp { leg: LEG, q850: None }), Vec::<String>::new());
    let sent = peer.send(&response(&invite, "180 Ringing", "one", CONTACT, ""));
    assert_eq!(words(&sent), ["CANCEL"]);
    assert_eq!(header(&sent[0], "Via"), header(&invite, "Via"));
    assert_eq!(header(&sent[0], "To"), header(&invite, "To"));
    assert_eq!(header(&sent[0], "CSeq"), "1 CANCEL");
    assert_eq!(peer.take_events(), []);
    // Nobody answers the CANCEL, nor the INVITE.
    peer.wait(Duration::from_secs(32));
    let events = peer.take_events();
    let [LegEvent::Ended { cause, .. }] = events[..] else { panic!("{events:?}") };
    assert_eq!((cause.kind, cause.by), (CauseKind::Cancelled, EndedBy::Us));
    peer.assert_clean();
}

/// The answer crosses the CANCEL: it is acknowledged and ended (RFC 3261 §9.1, §15).
#[test]
fn an_answer_that_crosses_the_cancel_is_ended() {
    let mut peer = Peer::new();
    let invite = dial(&mut peer);
    peer.send(&response(&invite, "180 Ringing", "one", CONTACT, ""));
    let sent = peer.wait(Duration::from_secs(20));
    assert_eq!(words(&sent), ["CANCEL"]);
    peer.send(&response(&sent[0], "200 OK", "one", "", ""));
    let sent = peer.send(&ok(&invite, "one"));
    assert_eq!(words(&sent), ["ACK", "BYE"]);
    assert_eq!(words(&peer.send(&ok(&invite, "one"))), ["ACK"]);
    peer.send(&response(&sent[1], "200 OK", "one", "", ""));
    // Told apart from a ring that nobody answered: whoever answered was reached.
    let cause = Cause::answered_late();
    assert_eq!(peer.take_events()[1..], [LegEvent::Ended { leg: LEG, cause }]);
    peer.assert_clean();
}

/// A dead trunk has not rung: Timer B ends it, as silence.
#[test]
fn silence_is_told_as_silence() {
    let mut peer = Peer::new();
    dial(&mut peer);
    let sent = peer.wait(Duration::from_secs(32));
    assert_eq!(sent.len(), 6);
    assert_eq!(peer.take_events(), [LegEvent::Ended { leg: LEG, cause: Cause::silent() }]);
    peer.assert_clean();
}

/// A call whose messages are held back is over at once, and nothing of it is repeated.
#[test]
fn a_withheld_call_is_over() {
    let mut peer = Peer::new();
    dial(&mut peer);
    let mut out = Vec::new();
    peer.endpoint.withheld(LEG, peer.now, &mut out);
    let cause = Cause::not_admitted();
    assert_eq!(out, [crate::event::Action::Up(LegEvent::Ended { leg: LEG, cause })]);
    assert_eq!(peer.wait(Duration::from_secs(40)), [""; 0]);
    peer.assert_clean();
}

/// Nothing heard in time is told at once, so that another trunk can be tried; whoever is heard later
/// is cancelled, or hung up on, and nobody is told of it again.
#[test]
fn silence_for_as_long_as_the_call_allows_is_told_before_timer_b() {
    for answered in [false, true] {
        let mut peer = Peer::new();
        let sent = peer.handle(LegCommand::Dial {
            leg: LEG,
            target: at_trunk("carrier", Transport::Udp),
            caller: Caller::shown("+49301"),
            local_media: media(A),
            ring_for: Duration::from_secs(20),
            heard_within: Some(Duration::from_secs(4)),
            call_id: Some("dialling".into()),
            max_forwards: MAX_FORWARDS,
            service_route: Vec::new(),
        });
        let invite = sent.into_iter().next().unwrap();
        peer.take_events();
        peer.wait(Duration::from_millis(3_999));
        assert_eq!(peer.take_events(), []);
        peer.wait(Duration::from_millis(1));
        assert_eq!(peer.take_events(), [LegEvent::Ended { leg: LEG, cause: Cause::silent() }]);
        if answered {
            let sent = peer.send(&ok(&invite, "one"));
            assert_eq!(words(&sent), ["ACK", "BYE"]);
            peer.send(&response(&sent[1], "200 OK", "one", "", ""));
        } else {
            let sent = peer.send(&response(&invite, "180 Ringing", "one", CONTACT, ""));
            assert_eq!(words(&sent), ["CANCEL"]);
            peer.send(&response(&sent[0], "200 OK", "one", "", ""));
            let end = response(&invite, "487 Request Terminated", "one", "", "");
            assert_eq!(words(&peer.send(&end)), ["ACK"]);
        }
        assert_eq!(peer.take_events(), []);
        peer.assert_clean();
    }
    // A 100 is something heard.
    let mut peer = Peer::new();
    let sent = peer.handle(LegCommand::Dial {
        leg: LEG,
        target: at_trunk("carrier", Transport::Udp),
        caller: Caller::shown("+49301"),
        local_media: media(A),
        ring_for: Duration::from_secs(20),
        heard_within: Some(Duration::from_secs(4)),
        call_id: Some("dialling".into()),
        max_forwards: MAX_FORWARDS,
        service_route: Vec::new(),
    });
    peer.take_events();
    peer.send(&response(&sent[0], "100 Trying", "one", "", ""));
    peer.wait(Duration::from_secs(6));
    assert_eq!(peer.take_events(), []);
}

/// The authority of a message, read by the parser, checked as the trunk would.
fn verify(trunk: &mut Challenger, message: &str, peer: &Peer) -> Verdict {
    let Ok(Message::Request(request)) = parse(Bytes::copy_from_slice(message.as_bytes())) else {
        panic!("{message}")
    };
    let name = crate::message::name::Name::ProxyAuthorization;
    let Some(credentials) = request.headers.authorisations(name).next() else {
        return Verdict::Unusable;
    };
    let password = |user: &str| (user == "us").then(|| Arc::from("pass"));
    let source = peer.flow.local.ip();
    let (method, uri) = (request.method.as_str(), &request.uri);
    trunk.verify(credentials, method, uri, password, source, peer.now.instant)
}

/// RFC 3261 §22.3: a challenged INVITE goes again in the same dialling, with the next CSeq; so does
/// a challenged BYE. A second refusal is final.
#[test]
fn a_trunk_with_credentials_is_answered() {
    let mut peer = Peer::new();
    let start = peer.now.instant;
    let life = Duration::from_secs(60);
    let mut trunk = Challenger::new("carrier", [1; 32], &[Algorithm::Md5], life, start);
    let mut challenge = |stale| {
        let values = trunk.challenge(address(A).ip(), stale, start);
        format!("Proxy-Authenticate: {}\r\n", values[0])
    };
    let (first, second) = (challenge(false), challenge(false));
    let invite = dial(&mut peer);
    let sent = peer.send(&response(&invite, "407 Auth", "one", &first, ""));
    assert_eq!(words(&sent), ["ACK", "INVITE"]);
    let again = sent[1].clone();
    assert_eq!(header(&again, "CSeq"), "2 INVITE");
    for same in ["Call-ID", "From", "To"] {
        assert_eq!(header(&again, same), header(&invite, same));
    }
    assert_ne!(header(&again, "Via"), header(&invite, "Via"));
    let accepted = Verdict::Accepted { user: "us".into() };
    assert_eq!(verify(&mut trunk, &again, &peer), accepted);
    let acks = peer.send(&ok(&again, "one"));
    let credentials = header(&again, "Proxy-Authorization");
    assert_eq!(header(&acks[0], "Proxy-Authorization"), credentials, "§13.2.2.4");
    let bye = peer.handle(LegCommand::HangUp { leg: LEG, q850: None });
    let sent = peer.send(&response(&bye[0], "407 Auth", "one", &second, ""));
    assert_eq!((words(&sent), header(&sent[0], "CSeq")), (vec!["BYE"], "4 BYE"));
    assert_eq!(verify(&mut trunk, &sent[0], &peer), accepted);
    peer.send(&response(&sent[0], "200 OK", "one", "", ""));
    assert_eq!(peer.endpoint.legs(), 0);
    assert_eq!(peer.take_events().len(), 2);
    peer.assert_clean();

    let mut peer = Peer::new();
    let invite = dial(&mut peer);
    let sent = peer.send(&response(&invite, "407 Auth", "one", &first, ""));
    assert_eq!(words(&peer.send(&response(&sent[1], "407 Auth", "one", &second, ""))), ["ACK"]);
    let cause = Cause::from_status(407);
    assert_eq!(peer.take_events(), [LegEvent::Ended { leg: LEG, cause }]);
    peer.assert_clean();
}

/// Whoever is behind the trunk may challenge through it; our credentials are for its realm only.
#[test]
fn another_realm_gets_no_credentials() {
    let mut peer = Peer::new();
    let invite = dial(&mut peer);
    let foreign = "Proxy-Authenticate: Digest realm=\"behind\",nonce=\"n\",qop=\"auth\"\r\n";
    let sent = peer.send(&response(&invite, "407 Auth", "one", foreign, ""));
    assert_eq!(words(&sent), ["ACK"]);
    let cause = Cause::from_status(407);
    assert_eq!(peer.take_events(), [LegEvent::Ended { leg: LEG, cause }]);
    peer.assert_clean();
}

/// Credentials are for their own trunk only.
#[test]
fn another_trunk_gets_no_credentials() {
    let mut peer = Peer::new();
    let invite = &dial_to(&mut peer, at_trunk("other", Transport::Udp), "1", None)[0];
    let challenge = "WWW-Authenticate: Digest realm=\"x\",nonce=\"n\",qop=\"auth\"\r\n";
    let sent = peer.send(&response(invite, "401 Auth", "one", challenge, ""));
    assert_eq!(words(&sent), ["ACK"]);
    assert!(
        peer.take_events().contains(&LegEvent::Ended { leg: LEG, cause: Cause::from_status(401) })
    );
}

#[test]
fn an_agent_without_a_telephone_cannot_be_called() {
    let mut peer = Peer::new();
    let sent = dial_to(&mut peer, Target::Agent(agent("ann")), "1", None);
    assert_eq!(sent, Vec::<String>::new());
    let cause = Cause { by: EndedBy::Us, ..Cause::from_status(480) };
    assert_eq!(peer.take_events(), [LegEvent::Ended { leg: LEG, cause }]);
}
