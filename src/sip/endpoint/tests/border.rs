//! What passes the borders to trunks and to strangers.

use super::pair::{A, B, address, config, media, trunk};
use super::peer::{Draft, Peer, header, response, word};
use crate::endpoint::config::{EndpointConfig, Strangers};
use crate::event::{
    Caller, Flow, IncomingCall, LegCommand, LegEvent, MAX_FORWARDS, Target, Transport,
};
use crate::identity::border::Methods;
use crate::identity::header_rules::{Crossing, HeaderChange, HeaderRule, HeaderValue};
use crate::message::method::Method;
use domain::cause::Cause;
use domain::hop::Hop;
use domain::id::LegId;
use std::time::Duration;

const OUT: LegId = LegId(2);

fn peer(change: impl FnOnce(&mut EndpointConfig)) -> Peer {
    let mut config = config(A);
    change(&mut config);
    Peer::with(config)
}

fn trusting(trusted: bool) -> Peer {
    peer(|config| config.trunks[0].border.trusted = trusted)
}

fn dial(peer: &mut Peer, caller: Caller) -> String {
    let target = Target::Trunk {
        trunk: trunk("carrier"),
        hop: Hop::at(Transport::Udp, address(B)),
        user: "4711".into(),
    };
    let sent = peer.handle(LegCommand::Dial {
        leg: OUT,
        target,
        caller,
        local_media: media(A),
        ring_for: Duration::from_secs(20),
        heard_within: None,
        call_id: None,
        max_forwards: MAX_FORWARDS - 1,
        service_route: Vec::new(),
    });
    peer.take_events();
    sent.into_iter().next().unwrap()
}

fn told(peer: &mut Peer, draft: &Draft) -> IncomingCall {
    peer.request(draft);
    match peer.take_events().remove(0) {
        LegEvent::Incoming { call, .. } => *call,
        other => panic!("{other:?}"),
    }
}

fn rule(crossing: Crossing, name: &str, change: HeaderChange) -> HeaderRule {
    HeaderRule::new(crossing, name, change).unwrap()
}

/// RFC 3325 §5: who is not trusted asserts nothing.
#[test]
fn an_asserted_identity_comes_in_from_the_trusted_alone() {
    let call = Draft::invite(1)
        .set("P-Asserted-Identity", "<sip:+4930@192.0.2.2>")
        .set("P-Preferred-Identity", "<sip:+4931@192.0.2.2>");
    assert_eq!(told(&mut trusting(true), &call).asserted.as_deref(), Some("+4930"));
    assert_eq!(told(&mut trusting(false), &call).asserted, None);
    let preferred = call.set("P-Asserted-Identity", "");
    assert_eq!(told(&mut trusting(true), &preferred).asserted, None);
}

/// RFC 3323 §4.1.1.3, RFC 3325 §5, §7, §9: who calls, and who is told.
#[test]
fn a_hidden_caller_is_told_to_the_trusted_alone() {
    let shown = || Caller { asserted: Some("+4930".into()), ..Caller::shown("+49301") };
    let hidden = || Caller { private: true, identity: Some("p;info=<x>".into()), ..shown() };
    let asserted = "<sip:+4930@192.0.2.1>";
    for (trusted, caller, from, privacy, told, identity) in [
        (true, shown(), "<sip:+49301@192.0.2.1>;tag=", "", asserted, ""),
        (false, shown(), "<sip:+49301@192.0.2.1>;tag=", "", "", ""),
        (true, hidden(), "\"Anonymous\" <sip:anonymous@ano", "id", asserted, "p;info=<x>"),
        (false, hidden(), "\"Anonymous\" <sip:anonymous@ano", "id", "", ""),
    ] {
        let invite = dial(&mut trusting(trusted), caller);
        assert!(header(&invite, "From").starts_with(from), "{invite}");
        assert_eq!(header(&invite, "Privacy"), privacy);
        assert_eq!(header(&invite, "P-Asserted-Identity"), told);
        assert_eq!(header(&invite, "Identity"), identity);
        assert_eq!(header(&invite, "Max-Forwards"), "69");
        assert!(trusted || privacy.is_empty() || !invite.contains("+4930"), "{invite}");
    }
    let mut peer = peer(|config| {
        config.trunks[0].border.trusted = true;
        config.trunks[0].border.from_host = Some("hotline.example".into());
    });
    let invite = dial(&mut peer, Caller::shown("+49301"));
    assert!(header(&invite, "From").starts_with("<sip:+49301@hotline.example>"), "{invite}");
    assert_eq!(header(&invite, "P-Asserted-Identity"), "<sip:+49301@hotline.example>");
}

#[test]
fn header_rules_hold_both_ways() {
    let mut peer = peer(|config| {
        let border = &mut config.trunks[0].border;
        border.trusted = true;
        let copy = HeaderValue::CopyOf("Remote-Party-ID".into());
        let literal = HeaderValue::Literal("7".into());
        border.rules = vec![
            rule(Crossing::In, "P-Asserted-Identity", HeaderChange::Set(copy)),
            rule(Crossing::Out, "X-Account", HeaderChange::Set(literal.clone())),
            rule(Crossing::Out, "User-Agent", HeaderChange::Remove),
            rule(Crossing::Out, "X-Trunkline-Secret", HeaderChange::Add(literal)),
        ];
    });
    let call = Draft::invite(1).set("Remote-Party-ID", "<sip:+4930@192.0.2.2>");
    assert_eq!(told(&mut peer, &call).asserted.as_deref(), Some("+4930"));
    let invite = dial(&mut peer, Caller::shown("+49301"));
    let ok = response(
        &invite,
        "200 OK",
        "a",
        "Contact: <sip:a@192.0.2.2>\r\n",
        &super::peer::sdp("8", "sendrecv"),
    );
    peer.send(&ok);
    let bye = peer.handle(LegCommand::HangUp { leg: OUT, q850: None }).remove(0);
    for request in [&invite, &bye] {
        assert_eq!(header(request, "X-Account"), "7", "{request}");
        assert!(!request.contains("User-Agent"), "{request}");
        // Internal fields stay inside, whoever adds them.
        assert!(!request.contains("Secret"), "{request}");
    }
}

/// Internal fields are known by their parsed name, however they are spelt or folded.
#[test]
fn internal_fields_from_outside_are_taken_out() {
    for name in ["X-Trunkline-Caller", "x-trunkline-caller", "X-TRUNKLINE-CALLER"] {
        for (field, asserted) in [
            (format!("{name}: <sip:+4930@192.0.2.2>"), None),
            (format!("{name}\t:\r\n <sip:+4930@192.0.2.2>"), None),
            ("X-Other: 1\r\nX-Caller: <sip:+4930@192.0.2.2>".into(), Some("+4930")),
        ] {
            let from = if asserted.is_some() { "X-Caller" } else { "X-Trunkline-Caller" };
            let mut peer = peer(|config| {
                config.trunks[0].border.trusted = true;
                let copy = HeaderChange::Set(HeaderValue::CopyOf(from.into()));
                config.trunks[0].border.rules =
                    vec![rule(Crossing::In, "P-Asserted-Identity", copy)];
            });
            let text = Draft::invite(1).print();
            let text = text.replacen("Max-Forwards", &format!("{field}\r\nMax-Forwards"), 1);
            peer.send(&text);
            let [LegEvent::Incoming { call, .. }] = &peer.events[..] else { panic!("{text}") };
            assert_eq!(call.asserted.as_deref(), asserted, "{field}");
        }
    }
}

/// RFC 3261 §8.2.1, §21.4.6: a method that is not allowed is refused with those that are.
#[test]
fn methods_are_those_of_the_list() {
    let only = || Methods::Only(vec![Method::Invite]);
    let mut carrier = peer(|config| config.trunks[0].border.methods = only());
    let answer = carrier.request(&Draft::new("OPTIONS", 1));
    assert_eq!(
        (word(&answer[0]), header(&answer[0], "Allow")),
        ("405", "INVITE, ACK, CANCEL, BYE")
    );
    assert_eq!(word(&carrier.request(&Draft::new("BYE", 1))[0]), "481");
    assert_eq!(word(&carrier.request(&Draft::invite(2))[0]), "100");
    let invite = dial(&mut carrier, Caller::shown("1"));
    assert_eq!(header(&invite, "Allow"), "INVITE, ACK, CANCEL, BYE");
    let mut telephones = peer(|config| config.methods = only());
    assert_eq!(word(&telephones.request(&Draft::new("OPTIONS", 1))[0]), "200");
    telephones.flow.remote = ([203, 0, 113, 7], 5060).into();
    assert_eq!(word(&telephones.request(&Draft::new("REGISTER", 2))[0]), "405");
}

/// Those who try one address after the other hear nothing, whatever they send.
#[test]
fn strangers_can_be_left_without_answer() {
    let mut peer = peer(|config| config.strangers = Strangers::Ignore);
    let here = peer.flow;
    peer.flow.remote = ([203, 0, 113, 7], 5060).into();
    for method in ["INVITE", "OPTIONS", "REGISTER", "SUBSCRIBE", "BYE", "CANCEL", "FROBNICATE"] {
        let scan = Draft::new(method, 1).set("From", "<sip:100@192.0.2.1>;tag=scan");
        assert_eq!(peer.request(&scan), [""; 0], "{method}");
        let tagged = scan.to("<sip:100@192.0.2.1>;tag=guess");
        assert_eq!(peer.request(&tagged), [""; 0], "{method}");
    }
    assert_eq!(peer.request(&Draft::new("OPTIONS", 1).set("CSeq", "1")), [""; 0], "unreadable");
    assert_eq!(peer.endpoint.counters().refused, 14);
    let ours = Draft::new("REGISTER", 9).set("From", "<sip:ann@hotline.example>;tag=a");
    assert_eq!(word(&peer.request(&ours)[0]), "401");
    peer.flow = here;
    assert_eq!(word(&peer.request(&Draft::new("OPTIONS", 3))[0]), "200");
}

/// The answer without what differs in each: tags and nonces.
fn shape(answer: &str) -> String {
    let mut shape = String::new();
    for line in answer.lines() {
        let line = line.split(";tag=").next().unwrap_or(line);
        let line = line.split("nonce=").next().unwrap_or(line);
        shape.push_str(&line.replace("ann", "USER").replace("bob", "USER"));
        shape.push('\n');
    }
    shape
}

/// Outside the trunks nobody learns who has an account: with no, wrong, and another's credentials,
/// a known and an unknown user get the same answer.
#[test]
fn known_and_unknown_users_are_answered_alike() {
    for method in ["REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE", "MESSAGE"] {
        for host in ["hotline.example", "192.0.2.1", "elsewhere.example"] {
            for credentials in [None, Some("wrong")] {
                let answers = ["ann", "bob"].map(|user| {
                    let mut peer = Peer::new();
                    peer.flow = Flow { remote: ([203, 0, 113, 7], 5060).into(), ..peer.flow };
                    let address = format!("<sip:{user}@{host}>");
                    let draft = Draft::new(method, 1)
                        .line(&format!("{method} sip:{user}@{host} SIP/2.0"))
                        .set("From", &format!("{address};tag=a"))
                        .set("To", &address)
                        .set("Call-ID", "c");
                    let first = peer.request(&draft).remove(0);
                    let Some(password) = credentials.filter(|_| word(&first) == "401") else {
                        return shape(&first);
                    };
                    let signed = super::agents::sign(&draft, &first, user, password);
                    shape(&peer.request(&signed).remove(0))
                });
                assert_eq!(answers[0], answers[1], "{method} {host} {credentials:?}");
                assert!(!matches!(word(&answers[0]), "200" | "404"), "{}", answers[0]);
            }
        }
    }
}

/// What answers a challenge is for the trunk alone: a challenge from another address, or for another
/// realm, is not answered.
#[test]
fn challenges_from_elsewhere_are_not_answered() {
    let challenge =
        |realm: &str| format!("WWW-Authenticate: Digest realm=\"{realm}\",nonce=\"n\"\r\n");
    for (from, realm, answered) in [
        ([192, 0, 2, 2], "carrier", true),
        ([192, 0, 2, 77], "carrier", true),
        ([203, 0, 113, 7], "carrier", false),
        ([192, 0, 2, 2], "relayed", false),
    ] {
        let mut peer = Peer::new();
        let invite = dial(&mut peer, Caller::shown("1"));
        peer.flow.remote = (from, 5060).into();
        let sent = peer.send(&response(&invite, "401 Who", "x", &challenge(realm), ""));
        let words: Vec<_> = sent.iter().map(|message| word(message)).collect();
        if answered {
            assert_eq!(words, ["ACK", "INVITE"], "{from:?} {realm}");
            assert!(header(&sent[1], "Authorization").starts_with("Digest username=\"us\""));
        } else {
            assert_eq!(words, ["ACK"], "{from:?} {realm}");
            let cause = Cause::from_status(401);
            assert_eq!(peer.take_events(), [LegEvent::Ended { leg: OUT, cause }]);
        }
    }
}
