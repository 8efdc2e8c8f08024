//! RFC 3262: reliable provisional responses and PRACK, in both roles, against a peer whose every
//! message is chosen; and what RFC 3311 adds to it.

use super::pair::{A, config, media};
use super::peer::{Draft, Peer, header, response, sdp, word};
use super::steps::*;
use crate::endpoint::config::{EndpointConfig, Reliable};
use crate::event::{LegCommand, LegEvent};
use std::time::Duration;

fn with(reliable: Reliable) -> EndpointConfig {
    let mut config = config(A);
    for trunk in &mut config.trunks {
        trunk.session.reliable = reliable;
    }
    config
}

fn supporting() -> Peer {
    Peer::with(with(Reliable::Supported))
}

fn invite_with(name: &'static str) -> Draft {
    Draft::invite(1).set(name, "100rel")
}

/// 183 with early media.
fn early(peer: &mut Peer) -> Vec<String> {
    peer.handle(LegCommand::Progress { leg: IN, status: 183, local_media: Some(media(A)) })
}

/// The PRACK to a provisional response of ours.
fn prack(cseq: u32, response: &str) -> Draft {
    let rack = format!("{} 1 INVITE", header(response, "RSeq"));
    Draft::new("PRACK", cseq).to(header(response, "To")).set("RAck", &rack)
}

/// A provisional response of theirs with this RSeq.
fn reliable(invite: &str, rseq: u32, tag: &str, body: &str) -> String {
    let extra = format!("{CONTACT}Require: 100rel\r\nRSeq: {rseq}\r\n");
    response(invite, "183 Session Progress", tag, &extra, body)
}

/// §3: reliably where it is asked for or, being supported, wanted; a 100 never; nobody else's.
#[test]
fn who_supports_it_gets_it_and_who_does_not_does_not() {
    for (name, policy, expected) in [
        ("Require", Reliable::Supported, true),
        ("Supported", Reliable::Supported, true),
        ("Supported", Reliable::Off, false),
        ("Subject", Reliable::Supported, false),
    ] {
        let mut peer = Peer::with(with(policy));
        let trying = peer.request(&invite_with(name));
        assert_eq!((word(&trying[0]), header(&trying[0], "RSeq")), ("100", ""));
        let sent = &ring(&mut peer)[0];
        assert_eq!(header(sent, "Require").contains("100rel"), expected, "{name}");
        let rseq: u32 = header(sent, "RSeq").parse().unwrap_or(0);
        assert_eq!((1..1 << 31).contains(&rseq), expected, "{name}: {rseq}");
    }
}

/// §3: who must not be sent any, and insists, is refused; so is who cannot, where we insist.
#[test]
fn who_insists_in_vain_is_refused() {
    let sent = Peer::with(with(Reliable::Off)).request(&invite_with("Require"));
    assert_eq!((word(&sent[0]), header(&sent[0], "Unsupported")), ("420", "100rel"));
    let sent = Peer::with(with(Reliable::Required)).request(&Draft::invite(1));
    assert_eq!((word(&sent[0]), header(&sent[0], "Require")), ("421", "100rel"));
}

/// §3: inside a dialog there is nothing to ring for, so nothing is sent reliably.
#[test]
fn a_request_in_a_dialog_gets_none() {
    let mut peer = supporting();
    let to = talking(&mut peer, &Draft::invite(1));
    for (cseq, method) in [(2, "INVITE"), (3, "OPTIONS"), (4, "INFO")] {
        let draft = if method == "INVITE" { Draft::invite(cseq) } else { Draft::new(method, cseq) };
        let sent = peer.request(&draft.to(&to).set("Supported", "100rel"));
        assert_eq!((words(&sent), header(&sent[0], "RSeq")), (vec!["200"], ""), "{method}");
        peer.request(&ack(cseq, &to));
    }
}

/// §3: the PRACK that matches gets 200 and stops the repetition, any other 481.
#[test]
fn a_prack_is_answered_by_what_it_matches() {
    let mut peer = supporting();
    peer.request(&invite_with("Supported"));
    let ringing = ring(&mut peer).remove(0);
    assert_eq!(peer.wait(Duration::from_millis(500)), std::slice::from_ref(&ringing), "repeated");
    let rseq: u32 = header(&ringing, "RSeq").parse().unwrap();
    for (cseq, rack) in [
        (2, format!("{} 1 INVITE", rseq + 1)),
        (3, format!("{rseq} 9 INVITE")),
        (4, format!("{rseq} 1 OPTIONS")),
        (5, String::new()),
    ] {
        let sent = peer.request(&prack(cseq, &ringing).set("RAck", &rack));
        assert_eq!(words(&sent), ["481"], "{rack}");
    }
    assert_eq!(words(&peer.request(&prack(6, &ringing))), ["200"]);
    assert_eq!(peer.wait(Duration::from_secs(20)), Vec::<String>::new());
    assert_eq!(words(&peer.request(&prack(7, &ringing))), ["481"], "it is on the list no more");
}

/// §3: one at a time, each numbered one higher; and the numbers begin low enough never to wrap.
#[test]
fn provisional_responses_wait_for_one_another() {
    for seed in 0..8 {
        let mut peer = supporting();
        // The endpoint's generator has gone on by as many dials.
        for leg in 1..=seed {
            dial_over(&mut peer, domain::id::LegId(2 * leg), crate::event::Transport::Udp);
        }
        peer.request(&invite_with("Supported"));
        let first = ring(&mut peer).remove(0);
        assert_eq!(early(&mut peer), Vec::<String>::new(), "the first is not acknowledged");
        let sent = peer.request(&prack(2, &first));
        assert_eq!(words(&sent), ["200", "183"]);
        let number = |response: &str| header(response, "RSeq").parse::<u32>().unwrap();
        assert_eq!(number(&sent[1]), number(&first) + 1);
        assert!(number(&first) < (1 << 31) - 1_000, "{}", number(&first));
    }
}

/// §3, §5: no 200 before the description in a 183 is acknowledged; a 180 without one is not
/// waited for, and its PRACK still answered; after the 200 no provisional response is new.
#[test]
fn the_answer_waits_for_what_was_described_reliably() {
    let mut peer = supporting();
    peer.request(&invite_with("Supported"));
    let progress = early(&mut peer).remove(0);
    assert!(progress.contains("m=audio"), "{progress}");
    let hold = LegCommand::Answer { leg: IN, local_media: media(A) };
    assert_eq!(peer.handle(hold), Vec::<String>::new());
    let sent = peer.request(&prack(2, &progress));
    assert_eq!(words(&sent), ["200", "200"]);
    assert_eq!(header(&sent[1], "CSeq"), "1 INVITE");
    assert_eq!(header(&sent[1], "Content-Type"), "", "it was said once, and reliably");

    let mut peer = supporting();
    peer.request(&invite_with("Supported"));
    let ringing = ring(&mut peer).remove(0);
    let ok = answer(&mut peer);
    assert_eq!(ring(&mut peer), Vec::<String>::new());
    assert!(peer.wait(Duration::from_secs(4)).iter().all(|again| *again == ok), "no 180 again");
    assert_eq!(words(&peer.request(&prack(2, &ringing))), ["200"]);
}

/// §3: without PRACK for 64*T1 the INVITE is refused with a 5xx.
#[test]
fn without_prack_the_call_is_refused() {
    let mut peer = supporting();
    peer.request(&invite_with("Supported"));
    ring(&mut peer);
    let sent = peer.wait(Duration::from_secs(32));
    let refusal = sent.iter().find(|message| !header(message, "RSeq").contains(char::is_numeric));
    assert_eq!(refusal.map(|refusal| word(refusal)), Some("504"));
}

/// §5: the offer is ours where the INVITE has none, and the PRACK answers it; an offer in a PRACK
/// is answered in its 200.
#[test]
fn offers_and_answers_go_by_183_and_prack() {
    let mut peer = supporting();
    peer.request(&Draft::new("INVITE", 1).set("Supported", "100rel"));
    let progress = early(&mut peer).remove(0);
    assert!(progress.contains("m=audio 40000 RTP/AVP 8 0 101"), "{progress}");
    peer.take_events();
    let answering = prack(2, &progress).body("application/sdp", &sdp("8", "sendrecv"));
    assert_eq!(words(&peer.request(&answering)), ["200"]);
    assert!(matches!(peer.take_events()[..], [LegEvent::Changed { .. }]));

    let mut peer = supporting();
    peer.request(&invite_with("Supported"));
    let progress = early(&mut peer).remove(0);
    let offering = prack(2, &progress).body("application/sdp", &sdp("0", "sendonly"));
    let sent = peer.request(&offering);
    assert_eq!(words(&sent), ["200"]);
    assert!(sent[0].contains("m=audio 40000 RTP/AVP 0\r\n"), "{}", sent[0]);
    assert!(sent[0].contains("a=recvonly"), "{}", sent[0]);
}

/// §4: what our INVITE says, by policy.
#[test]
fn our_invite_says_what_we_can() {
    for (policy, supported, required) in [
        (Reliable::Off, false, false),
        (Reliable::Supported, true, false),
        (Reliable::Required, true, true),
    ] {
        let mut peer = Peer::with(with(policy));
        let invite = dial(&mut peer);
        let said = |name| header(&invite, name).split(", ").any(|option| option == "100rel");
        assert_eq!((said("Supported"), said("Require")), (supported || required, required));
        // §4: and no other request insists on it.
        peer.send(&ok(&invite, "one"));
        let bye = hang_up(&mut peer, OUT);
        assert_eq!(header(&bye[0], "Require"), "");
    }
}

/// §4: a PRACK for each in its order, with what it acknowledges, inside the early dialog; not for a
/// 100, nor again for a repetition, nor for one out of order.
#[test]
fn each_reliable_response_is_acknowledged_once_and_in_order() {
    let mut peer = supporting();
    let invite = dial(&mut peer);
    peer.take_events();
    let trying = "Require: 100rel\r\nRSeq: 1\r\n";
    assert_eq!(
        peer.send(&response(&invite, "100 Trying", "one", trying, "")),
        Vec::<String>::new()
    );
    let first = reliable(&invite, 7, "one", &sdp("8", "sendrecv"));
    let sent = peer.send(&first);
    assert_eq!(words(&sent), ["PRACK"]);
    assert_eq!((header(&sent[0], "RAck"), header(&sent[0], "CSeq")), ("7 1 INVITE", "2 PRACK"));
    assert!(header(&sent[0], "To").ends_with(";tag=one"));
    assert!(sent[0].starts_with("PRACK sip:4711@192.0.2.2:5060 SIP/2.0"), "{}", sent[0]);
    let events = peer.take_events();
    assert!(matches!(events[..], [LegEvent::Ringing { plan: Some(_), .. }]), "{events:?}");
    assert_eq!(peer.send(&first), Vec::<String>::new(), "repeated");
    for wrong in [6, 7, 9] {
        let stray = reliable(&invite, wrong, "one", "");
        assert_eq!(peer.send(&stray), Vec::<String>::new(), "{wrong}");
    }
    assert_eq!(peer.take_events(), [], "what is out of order says nothing");
    peer.send(&response(&sent[0], "200 OK", "one", "", ""));
    let sent = peer.send(&reliable(&invite, 8, "one", ""));
    assert_eq!((words(&sent), header(&sent[0], "RAck")), (vec!["PRACK"], "8 1 INVITE"));
    assert_eq!(header(&sent[0], "CSeq"), "3 PRACK");
    // Another fork counts by itself.
    let sent = peer.send(&reliable(&invite, 100, "two", ""));
    assert_eq!((words(&sent), header(&sent[0], "RAck")), (vec!["PRACK"], "100 1 INVITE"));
}

/// §5: their offer in a reliable response to an INVITE without one is answered in the PRACK.
#[test]
fn an_offer_in_a_183_is_answered_in_the_prack() {
    let mut config = with(Reliable::Supported);
    config.trunks[0].session.late_offer = true;
    let mut peer = Peer::with(config);
    let invite = dial(&mut peer);
    assert_eq!(header(&invite, "Content-Length"), "0");
    let sent = peer.send(&reliable(&invite, 1, "one", &sdp("0 8", "sendrecv")));
    assert_eq!(words(&sent), ["PRACK"]);
    assert!(sent[0].contains("m=audio 40000 RTP/AVP 0\r\n"), "{}", sent[0]);
}

/// RFC 3261 §13.2.2.4: an offer in the 2xx is answered in the ACK, and where it is of no use, it
/// is answered all the same and the call ended.
#[test]
fn an_offer_in_the_2xx_is_answered_in_the_ack() {
    for (formats, expected, port) in [("0 8", vec!["ACK"], 40_000), ("18", vec!["ACK", "BYE"], 0)] {
        let mut config = with(Reliable::Off);
        config.trunks[0].session.late_offer = true;
        let mut peer = Peer::with(config);
        let invite = dial(&mut peer);
        let ok = response(&invite, "200 OK", "one", CONTACT, &sdp(formats, "sendrecv"));
        let sent = peer.send(&ok);
        assert_eq!(words(&sent), expected);
        assert!(sent[0].contains(&format!("m=audio {port} RTP/AVP")), "{}", sent[0]);
        assert_eq!(header(&sent[0], "Content-Type"), "application/sdp");
    }
}

/// RFC 3311 §5.2: an offer that meets one of ours gets 491, one that meets theirs, still
/// unanswered, 500 with Retry-After.
#[test]
fn an_update_that_meets_an_offer_is_put_off() {
    let mut peer = Peer::new();
    let to = talking(&mut peer, &Draft::invite(1));
    let sent = peer.handle(LegCommand::Hold { leg: IN, on: true });
    assert_eq!(words(&sent), ["INVITE"]);
    let update = |cseq, to: &str| Draft::new("UPDATE", cseq).to(to);
    let offering = update(2, &to).body("application/sdp", &sdp("8", "sendonly"));
    assert_eq!(words(&peer.request(&offering)), ["491"]);
    assert_eq!(words(&peer.request(&update(3, &to))), ["200"], "without an offer it meets none");

    let mut peer = Peer::new();
    peer.request(&Draft::invite(1));
    let to = header(&ring(&mut peer)[0], "To").to_owned();
    let offering = update(2, &to).body("application/sdp", &sdp("8", "sendonly"));
    let sent = peer.request(&offering);
    assert_eq!(word(&sent[0]), "500");
    assert!(header(&sent[0], "Retry-After").parse::<u32>().unwrap() <= 10);
}

/// RFC 3311 §5.2, §5.3: an UPDATE is answered at once; ours, refused, changes nothing.
#[test]
fn a_refused_update_changes_nothing() {
    let mut peer = Peer::new();
    let invite = Draft::invite(1).set("Supported", "timer").set("Allow", "UPDATE");
    talking(&mut peer, &invite.set("Session-Expires", "120;refresher=uas"));
    let refresh = peer.wait(Duration::from_secs(60));
    assert_eq!(words(&refresh), ["UPDATE"]);
    let moved = "Contact: <sip:new@192.0.2.77>\r\n";
    let sent = peer.send(&response(&refresh[0], "488 No", "peer", moved, ""));
    assert_eq!((sent.len(), peer.take_events()), (0, vec![]));
    let bye = hang_up(&mut peer, IN);
    assert!(bye[0].starts_with("BYE sip:+49302@192.0.2.2:5060 SIP/2.0"), "{}", bye[0]);
}

/// RFC 3264 §4: what we want waits until an offer, theirs or ours, is answered.
#[test]
fn our_wish_waits_for_their_offer() {
    let mut peer = Peer::new();
    let to = talking(&mut peer, &Draft::invite(1));
    assert_eq!(words(&peer.request(&Draft::new("INVITE", 2).to(&to))), ["200"]);
    assert_eq!(peer.handle(LegCommand::Hold { leg: IN, on: true }), Vec::<String>::new());
    let sent = peer.request(&ack(2, &to).body("application/sdp", &sdp("8", "sendrecv")));
    let later = peer.wait(Duration::from_secs(5));
    let sent: Vec<_> = sent.iter().chain(&later).collect();
    assert_eq!(word(sent[0]), "INVITE");
    assert!(sent[0].contains("a=sendonly"), "{}", sent[0]);
}
