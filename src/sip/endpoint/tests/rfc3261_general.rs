//! RFC 3261 §8, §9, §11, §18, §20: what every request and response bears, and what is passed over.

use super::pair::{A, B, address, config};
use super::peer::{Draft, Peer, header, response, sdp, word};
use super::steps::*;
use crate::event::{Flow, LegEvent, Transport};
use crate::leg;
use domain::cause::EndedBy;
use std::collections::BTreeSet;
use std::time::Duration;

/// One of each request that we send in calls: INVITE, ACK to a refusal, CANCEL, ACK to a 2xx, BYE,
/// re-INVITE and UPDATE.
fn requests_of_all_kinds() -> Vec<String> {
    let mut sent = Vec::new();
    let mut peer = Peer::new();
    let invite = dial(&mut peer);
    sent.extend(peer.send(&response(&invite, "486 Busy", "one", "", "")));
    sent.push(invite);
    let mut peer = Peer::new();
    let invite = dial(&mut peer);
    peer.send(&response(&invite, "180 Ringing", "one", CONTACT, ""));
    sent.extend(hang_up(&mut peer, OUT));
    let mut peer = Peer::new();
    let invite = dial(&mut peer);
    sent.extend(peer.send(&ok(&invite, "one")));
    sent.extend(hang_up(&mut peer, OUT));
    for allow in ["", "UPDATE"] {
        let mut peer = Peer::new();
        let invite = Draft::invite(1).set("Supported", "timer").set("Allow", allow);
        talking(&mut peer, &invite.set("Session-Expires", "120;refresher=uas"));
        sent.extend(peer.wait(Duration::from_secs(60)));
    }
    let kinds: BTreeSet<_> = sent.iter().map(|request| word(request).to_owned()).collect();
    let expected = ["ACK", "BYE", "CANCEL", "INVITE", "UPDATE"];
    assert!(expected.iter().all(|kind| kinds.contains(*kind)), "{kinds:?}");
    sent
}

/// RFC 3261 §8.1.1: the six fields once each, one Via with a branch of its own, the method in
/// CSeq; and nothing that only a response has (§20, table 2).
#[test]
fn every_request_bears_what_all_requests_must() {
    for request in requests_of_all_kinds() {
        for name in ["To", "From", "CSeq", "Call-ID", "Max-Forwards", "Via"] {
            assert_eq!(fields(&request, name).len(), 1, "{name} of {request}");
        }
        assert_eq!(header(&request, "Max-Forwards"), "70");
        let (_, method) = header(&request, "CSeq").split_once(' ').unwrap();
        assert_eq!(method, word(&request));
        assert!(branch(&request).starts_with("z9hG4bK") && branch(&request).len() > 15);
        for name in ["From", "To", "Contact", "Route"] {
            let value = header(&request, name);
            assert!(value.is_empty() || value.contains('<'), "§20: {name} in {request}");
        }
        for foreign in ["WWW-Authenticate", "Unsupported", "Retry-After", "Server", "Min-Expires"] {
            assert_eq!(header(&request, foreign), "", "{request}");
        }
    }
    let mut peer = Peer::new();
    let invite = talking_out(&mut peer);
    let again = peer.send(&ok(&invite, "one"));
    assert_eq!(header(&again[0], "CSeq"), "1 ACK", "§13.2.2.4: the number of its INVITE");
    assert_ne!(branch(&again[0]), branch(&invite), "§8.1.1.7: the ACK to a 2xx has its own");
}

/// RFC 3261 §8.1.1.2 to .4, §19.3.
#[test]
fn a_request_outside_a_dialog_is_new_in_every_mark() {
    let mut peer = Peer::new();
    let mut marks = BTreeSet::new();
    for leg in [2, 4, 6] {
        let invite = dial_over(&mut peer, domain::id::LegId(leg), Transport::Udp);
        assert!(!header(&invite, "To").contains(";tag"), "{invite}");
        assert!(marks.insert(tag(&invite, "From").to_owned()));
        assert!(marks.insert(header(&invite, "Call-ID").to_owned()));
        assert!(marks.insert(branch(&invite).to_owned()));
        let own = peer.send(&ok(&invite, &leg.to_string()));
        assert!(marks.insert(branch(&own[0]).to_owned()), "§8.1.1.7: the ACK to a 2xx, too");
        let bye = hang_up(&mut peer, domain::id::LegId(leg));
        assert!(marks.insert(branch(&bye[0]).to_owned()));
    }
    assert!(!marks.contains(""));
}

/// RFC 3261 §19.3: at least 32 bits, and no counter: the seed of the generator tells it.
#[test]
fn a_tag_is_long_and_nobody_foretells_it() {
    let of_answer = |call: u32| {
        let mut peer = Peer::new();
        // The endpoint's generator has gone on by as many dials.
        for leg in 1..=call {
            dial_over(&mut peer, domain::id::LegId(u64::from(leg) * 2), Transport::Udp);
        }
        peer.request(&Draft::invite(1));
        tag(&ring(&mut peer)[0], "To").to_owned()
    };
    let tags: BTreeSet<_> = (0..4).map(of_answer).collect();
    assert_eq!(tags.len(), 4);
    for tag in &tags {
        assert!(tag.len() >= 8 && tag.bytes().all(|byte| byte.is_ascii_hexdigit()), "{tag}");
        let digits: BTreeSet<u8> = tag.bytes().collect();
        assert!(digits.len() > 3, "{tag}");
    }
}

/// RFC 3261 §8.1.1.8, §18.1.1: who follows our Contact or our Via arrives at a listener.
#[test]
fn our_contact_is_where_we_listen() {
    let mut moved = config(A);
    for listener in &mut moved.listeners {
        listener.advertised = ([198, 51, 100, 1], 5070).into();
    }
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut peer = Peer::with(moved.clone());
        let invite = dial_over(&mut peer, OUT, transport);
        assert!(header(&invite, "Contact").contains("@198.51.100.1:5070"), "{invite}");
        let via = format!("SIP/2.0/{} 198.51.100.1:5070;", transport.via_name());
        assert!(header(&invite, "Via").starts_with(&via), "{invite}");
        assert_eq!(peer.sent_over.unwrap().local, address(A), "§18.1.1: sent from there, too");
    }
}

/// RFC 3261 §18.1.1: the response is taken over whichever flow it comes, by its branch.
#[test]
fn a_response_may_come_over_any_flow() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut peer = Peer::new();
        let invite = dial(&mut peer);
        peer.flow = Flow { transport, remote: ([192, 0, 2, 2], 49_000).into(), ..peer.flow };
        assert_eq!(words(&peer.send(&ok(&invite, "one"))), ["ACK"]);
    }
}

/// RFC 3261 §8.1.3.2: 4xx as 400, 5xx as 500, 6xx as 600, 2xx as 200, 1xx as 183.
#[test]
fn unknown_statuses_count_as_their_class() {
    for (unknown, known) in [("499", "400"), ("599", "500"), ("699", "600"), ("399", "300")] {
        let end = |status: &str| {
            let mut peer = Peer::new();
            let invite = dial(&mut peer);
            let sent = peer.send(&response(&invite, &format!("{status} x"), "one", "", ""));
            assert_eq!(words(&sent), ["ACK"]);
            let events = peer.take_events();
            let Some(LegEvent::Ended { cause, .. }) = events.last() else { panic!("{events:?}") };
            (cause.kind, cause.q850, cause.by)
        };
        assert_eq!(end(unknown), end(known), "{unknown}");
        assert_eq!(end(unknown).2, EndedBy::Peer);
    }
    let mut peer = Peer::new();
    let invite = dial(&mut peer);
    peer.take_events();
    let early = sdp("8", "sendrecv");
    peer.send(&response(&invite, "198 x", "one", CONTACT, &early));
    let events = peer.take_events();
    let [LegEvent::Ringing { plan: Some(_), .. }] = &events[..] else { panic!("{events:?}") };
    let odd = ok(&invite, "one").replace("200 OK", "299 x");
    assert_eq!(words(&peer.send(&odd)), ["ACK"]);
    assert!(matches!(peer.take_events()[..], [LegEvent::Established { .. }]));
}

/// RFC 3261 §8.2.1, §20.5: what Allow lists is taken in a call, and what it does not list is not.
#[test]
fn every_method_of_allow_is_taken_and_no_other() {
    let allowed: Vec<&str> = leg::ALLOW.split(", ").collect();
    let needed = ["INVITE", "ACK", "CANCEL", "BYE", "OPTIONS"];
    assert!(needed.iter().all(|method| allowed.contains(method)), "{allowed:?}");
    let all =
        ["INFO", "UPDATE", "PRACK", "REFER", "NOTIFY", "SUBSCRIBE", "MESSAGE", "PUBLISH", "X"];
    for method in needed.iter().chain(&all).filter(|method| **method != "ACK") {
        let mut peer = Peer::new();
        let to = talking(&mut peer, &Draft::invite(1));
        let request = match *method {
            "INVITE" => Draft::invite(2),
            method => Draft::new(method, 2),
        };
        let sent = peer.request(&request.to(&to));
        let refused = word(&sent[0]) == "405";
        // What belongs to nothing under way is answered so, whether it is listed or not.
        let is_stray = word(&sent[0]) == "481";
        assert_eq!(!refused, allowed.contains(method) || is_stray, "{method}");
        if refused {
            assert_eq!(header(&sent[0], "Allow"), leg::ALLOW);
        }
    }
}

/// RFC 3261 §8.2.2, §20: fields nobody knows, and fields that only a response has.
#[test]
fn unknown_fields_are_passed_over() {
    for (name, value) in [
        ("X-Unknown", "!\u{1F4DE};;"),
        ("Newfangled-Header", "yes; q=%%"),
        ("WWW-Authenticate", "Digest realm=\"x\""),
        ("Unsupported", "timer"),
        ("Min-Expires", "-1"),
        ("Retry-After", "soon"),
    ] {
        let mut peer = Peer::new();
        let sent = peer.request(&Draft::invite(1).set(name, value));
        assert_eq!(words(&sent), ["100"], "{name}");
        assert_eq!(word(&answer(&mut peer)), "200", "{name}");
    }
}

/// RFC 3261 §20: what is labelled not applicable to a response is not heeded there.
#[test]
fn fields_out_of_place_are_passed_over() {
    let mut peer = Peer::new();
    let invite = dial(&mut peer);
    let odd = format!("{CONTACT}Max-Forwards: 0\r\nRoute: <sip:192.0.2.99;lr>\r\nPriority: x\r\n");
    let sent = peer.send(&response(&invite, "200 OK", "one", &odd, &sdp("8", "sendrecv")));
    assert_eq!(words(&sent), ["ACK"]);
    assert_eq!(header(&sent[0], "Route"), "");
    let mut peer = Peer::new();
    peer.request(&Draft::invite(1).set("Priority", "urgent").set("Route", ""));
    let sent = answer(&mut peer);
    for foreign in ["Max-Forwards", "Route", "Priority", "Authorization", "Proxy-Require"] {
        assert_eq!(header(&sent, foreign), "", "{foreign}");
    }
}

/// RFC 3261 §20.43: a Warning is for people.
#[test]
fn a_warning_changes_nothing() {
    let ladder = |warning: &str| {
        let mut peer = Peer::new();
        let invite = dial(&mut peer);
        let extra = format!("{CONTACT}{warning}");
        let sent = peer.send(&response(&invite, "200 OK", "one", &extra, &sdp("8", "sendrecv")));
        (words(&sent).join(" "), peer.take_events())
    };
    assert_eq!(ladder("Warning: 399 x \"Hang up\", 301 y \"z\"\r\n"), ladder(""));
}

/// RFC 3261 §8.2.2.3, §9.1: even where the INVITE insists on something.
#[test]
fn a_cancel_and_an_ack_of_ours_insist_on_nothing() {
    for request in requests_of_all_kinds() {
        if matches!(word(&request), "CANCEL" | "ACK") {
            assert_eq!(header(&request, "Require"), "", "{request}");
            assert_eq!(header(&request, "Proxy-Require"), "", "{request}");
        }
    }
    use crate::transaction::derived;
    let mut peer = Peer::new();
    let invite = dial(&mut peer).replace("\r\nTo:", "\r\nRequire: a\r\nProxy-Require: b\r\nTo:");
    let cancel = derived::cancel(&invite.clone().into()).unwrap().print();
    let ack = derived::ack_to_refusal(&invite.into(), "<sip:x@y>;tag=1").unwrap();
    for made in [cancel, ack] {
        assert!(!String::from_utf8_lossy(&made).contains("equire"), "{made:?}");
    }
}

/// RFC 3261 §8.2.2.3.
#[test]
fn require_counts_neither_in_cancel_nor_in_ack() {
    let mut peer = Peer::new();
    peer.request(&Draft::invite(1));
    let cancel = Draft::new("CANCEL", 1)
        .set("Via", &Draft::invite(1).headers[0].1)
        .set("Require", "precondition")
        .set("Proxy-Require", "gin");
    assert_eq!(words(&peer.request(&cancel)), ["200", "487"]);
    let mut peer = Peer::new();
    peer.request(&Draft::invite(1));
    let to = header(&answer(&mut peer), "To").to_owned();
    peer.take_events();
    assert_eq!(peer.request(&ack(1, &to).set("Require", "precondition")), Vec::<String>::new());
    assert!(matches!(peer.take_events()[..], [LegEvent::Established { .. }]));
}

/// RFC 3261 §8.2.3, §20.11: a body with `handling=optional` is passed over when it is not
/// understood.
#[test]
fn a_body_that_may_be_left_out_is_left_out() {
    for (disposition, status) in [
        ("signal;handling=optional", "100"),
        ("render ; Handling = \"Optional\"", "100"),
        ("signal;handling=required", "415"),
        ("signal", "415"),
    ] {
        let invite = Draft::new("INVITE", 1).body("application/isup", "x");
        let mut peer = Peer::new();
        let sent = peer.request(&invite.set("Content-Disposition", disposition));
        assert_eq!(words(&sent), [status], "{disposition}");
        if status == "100" {
            assert!(answer(&mut peer).contains("m=audio 40000"), "§13.2.1: the offer is ours");
        }
    }
}

/// RFC 3261 §8.2.4: no Require in a response, and nothing that would need one.
#[test]
fn nothing_is_applied_that_was_not_offered() {
    for (supported, expected) in [("", ""), ("path", ""), ("timer", "timer")] {
        let mut peer = Peer::new();
        let invite = Draft::invite(1).set("Supported", supported);
        peer.request(&invite.set("Session-Expires", "1800"));
        for response in [ring(&mut peer).remove(0), answer(&mut peer)] {
            let required = header(&response, "Require");
            assert!(required == expected || required.is_empty(), "{response}");
            assert_eq!(header(&response, "RSeq"), "", "{response}");
        }
    }
}

/// RFC 3261 §8.2.6.2, §13.3.1.1.
#[test]
fn all_responses_to_a_request_bear_its_marks_and_one_tag() {
    let mut peer = Peer::new();
    let vias =
        "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKtop, SIP/2.0/TCP b.example;branch=z9hG4bK2";
    let invite = Draft::invite(1).set("Via", vias);
    let mut sent = peer.request(&invite);
    sent.extend(ring(&mut peer));
    sent.extend(peer.wait(Duration::from_secs(60)));
    sent.push(answer(&mut peer));
    assert_eq!(words(&sent), ["100", "180", "180", "200"]);
    let tags: BTreeSet<_> = sent[1..].iter().map(|response| tag(response, "To")).collect();
    assert!(tags.len() == 1 && !tags.contains(""), "{tags:?}");
    for response in &sent {
        assert_eq!(header(response, "Via"), vias);
        for (name, value) in &invite.headers {
            if ["From", "Call-ID", "CSeq"].contains(name) {
                assert_eq!(header(response, name), value);
            }
        }
        assert!(header(response, "To").starts_with("<sip:4711@192.0.2.1>"));
    }
}

/// RFC 3261 §9.1, §17.1.1.2: address, port and transport of the INVITE, whatever was sent since.
#[test]
fn a_cancel_and_an_ack_go_where_their_invite_went() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut peer = Peer::new();
        let invite = dial_over(&mut peer, OUT, transport);
        let there = peer.sent_over.unwrap();
        assert_eq!((there.transport, there.remote), (transport, address(B)));
        let record = "Record-Route: <sip:192.0.2.50;lr>\r\nContact: <sip:x@192.0.2.51>\r\n";
        peer.send(&response(&invite, "180 Ringing", "one", record, ""));
        assert_eq!(words(&hang_up(&mut peer, OUT)), ["CANCEL"]);
        assert_eq!(peer.sent_over, Some(there));
        assert_eq!(words(&peer.send(&response(&invite, "487 x", "one", record, ""))), ["ACK"]);
        assert_eq!(peer.sent_over, Some(there));
    }
}

/// RFC 3261 §11.2: OPTIONS tells whether a call would be taken.
#[test]
fn options_get_the_status_an_invite_would() {
    let mut full = config(A);
    full.limits.legs = 0;
    let stranger = ([203, 0, 113, 7], 5060).into();
    let ours = "<sip:ann@hotline.example>;tag=x";
    let theirs = "<sip:ann@elsewhere.example>;tag=x";
    for (config, remote, from, status) in [
        (config(A), address(B), theirs, "200"),
        (full, address(B), theirs, "503"),
        (config(A), stranger, theirs, "403"),
        (config(A), stranger, ours, "401"),
    ] {
        let ask = |draft: Draft| {
            let mut peer = Peer::with(config.clone());
            peer.flow.remote = remote;
            let sent = peer.request(&draft.set("From", from));
            assert_eq!(peer.endpoint.transactions() > 0, word(&sent[0]) == "100");
            word(&sent[0]).to_owned()
        };
        assert_eq!(ask(Draft::new("OPTIONS", 1)), status);
        assert_eq!(ask(Draft::invite(1)), if status == "200" { "100" } else { status });
    }
}

/// RFC 3261 §18.1.2, RFC 4475 §3.3.10: the branch is right, the sent-by is another's.
#[test]
fn a_response_to_somebody_else_is_dropped() {
    let mut peer = Peer::new();
    let invite = dial(&mut peer);
    for other in ["192.0.2.254:5060", "192.0.2.1:5061", "192.0.2.1", "sip.example"] {
        let stray = ok(&invite, "one").replace("192.0.2.1:5060;branch", &format!("{other};branch"));
        let expected = if other == "192.0.2.1" { 1 } else { 0 };
        let mut fresh = Peer::new();
        let same = dial(&mut fresh);
        assert_eq!(same, invite);
        assert_eq!(fresh.send(&stray).len(), expected, "{other}");
    }
    assert_eq!(words(&peer.send(&ok(&invite, "one"))), ["ACK"]);
}

/// RFC 3261 §20.14, §20.15: requests and responses, with and without body.
#[test]
fn every_message_of_ours_says_how_long_it_is() {
    let mut sent = requests_of_all_kinds();
    let mut peer = Peer::new();
    sent.extend(peer.request(&Draft::invite(1)));
    sent.extend(ring(&mut peer));
    sent.push(answer(&mut peer));
    sent.extend(peer.request(&Draft::new("OPTIONS", 7)));
    sent.extend(peer.send("INVITE sip:x@y SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n\r\n"));
    for message in &sent {
        let (head, body) = message.split_once("\r\n\r\n").unwrap();
        assert_eq!(fields(message, "Content-Length"), [body.len().to_string()], "{head}");
        assert_eq!(!body.is_empty(), head.contains("\r\nContent-Type: "), "{head}");
    }
    assert!(sent.iter().any(|message| message.ends_with("Content-Length: 0\r\n\r\n")));
}
