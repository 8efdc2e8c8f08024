//! RFC 3311: UPDATE, sent and received, before the answer and after.

use super::pair::{A, B, address, media, trunk};
use super::peer::{Draft, Peer, header, response, sdp, word};
use super::steps::*;
use crate::event::{LegCommand, LegEvent, Target, Transport};
use domain::hop::Hop;
use domain::media_plan::Direction;
use std::net::SocketAddr;
use std::time::Duration;

const OFFER: &str = "application/sdp";

fn moved() -> SocketAddr {
    SocketAddr::new(media(A).ip(), 41_000)
}

fn directions(events: &[LegEvent]) -> Vec<Direction> {
    let direction = |event: &LegEvent| match event {
        LegEvent::Ringing { plan: Some(plan), .. } | LegEvent::Changed { plan, .. } => {
            Some(plan.direction)
        }
        _ => None,
    };
    events.iter().filter_map(direction).collect()
}

/// Their call with our answer in a reliable 183 that is acknowledged; the To of it.
fn early(peer: &mut Peer) -> String {
    let invite = Draft::invite(1).set("Supported", "100rel").set("Allow", "INVITE, UPDATE, PRACK");
    peer.request(&invite);
    let early = progress(peer, 183);
    let to = header(&early[0], "To").to_owned();
    assert_eq!(words(&peer.request(&prack(2, &to, &early[0]))), ["200"]);
    peer.take_events();
    to
}

/// Our call with their answer in a reliable 183; the INVITE.
fn early_out(peer: &mut Peer) -> String {
    let hop = Hop::at(Transport::Udp, address(B));
    let target = Target::Trunk { trunk: trunk("carrier"), hop, user: "4711".into() };
    let invite = dial_waiting(peer, OUT, target, Duration::from_secs(90));
    let sent = peer.send(&reliable(&invite, "one", 1, &sdp("8", "sendrecv")));
    peer.send(&response(&sent[0], "200 OK", "one", "", ""));
    peer.take_events();
    invite
}

/// RFC 3311 §5.2: as callee, an offer while the first has no answer is put off; without an offer, the
/// UPDATE only moves the target.
#[test]
fn rfc_3311_s5_2_an_offer_before_our_answer_is_put_off_with_500() {
    let mut peer = with_policy(RELIABLE);
    peer.request(&Draft::invite(1));
    let to = header(&ring(&mut peer)[0], "To").to_owned();
    let offering = Draft::new("UPDATE", 2).to(&to).body(OFFER, &sdp("8", "sendonly"));
    let sent = peer.request(&offering);
    assert_eq!(word(&sent[0]), "500");
    assert!(header(&sent[0], "Retry-After").parse::<u32>().unwrap() <= 10);
    let contact = "<sip:new@192.0.2.2:5070>";
    let moving = Draft::new("UPDATE", 3).to(&to).set("Contact", contact);
    let sent = peer.request(&moving);
    assert_eq!((word(&sent[0]), body(&sent[0])), ("200", ""));
    assert!(!header(&sent[0], "Contact").is_empty());
    answer(&mut peer);
    peer.request(&ack(1, &to));
    let bye = hang_up(&mut peer, IN);
    assert!(bye[0].starts_with("BYE sip:new@192.0.2.2:5070 SIP/2.0"), "{}", bye[0]);
}

/// RFC 3311 §5.1, §5.2: once the first answer is acknowledged, the session may change before the call
/// is answered.
#[test]
fn rfc_3311_s5_2_an_early_session_is_changed() {
    let mut peer = with_policy(RELIABLE);
    let to = early(&mut peer);
    let offering = Draft::new("UPDATE", 3).to(&to).body(OFFER, &sdp("8", "sendonly"));
    let sent = peer.request(&offering);
    assert_eq!(word(&sent[0]), "200");
    assert!(body(&sent[0]).contains("a=recvonly"), "{}", sent[0]);
    assert_eq!(directions(&peer.take_events()), [Direction::RecvOnly]);
    let foreign = Draft::new("UPDATE", 4).to(&to).body(OFFER, &sdp("18", "sendrecv"));
    assert_eq!(words(&peer.request(&foreign)), ["488"]);
    assert_eq!(body(&answer(&mut peer)), "");
    peer.request(&ack(1, &to));
    let events = peer.take_events();
    let [LegEvent::Established { plan, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(plan.direction, Direction::RecvOnly);
}

/// RFC 3311 §5.1: as callee, our own change goes by UPDATE; theirs meets 491 meanwhile.
#[test]
fn rfc_3311_s5_1_the_callee_changes_an_early_session() {
    let mut peer = with_policy(RELIABLE);
    let to = early(&mut peer);
    let sent = peer.handle(LegCommand::Offer { leg: IN, local_media: moved() });
    assert_eq!(words(&sent), ["UPDATE"]);
    assert!(body(&sent[0]).contains("m=audio 41000"), "{}", sent[0]);
    let theirs = Draft::new("UPDATE", 3).to(&to).body(OFFER, &sdp("8", "sendonly"));
    assert_eq!(words(&peer.request(&theirs)), ["491"]);
    let contact = "Contact: <sip:+49302@192.0.2.2:5060>\r\n";
    peer.send(&response(&sent[0], "200 OK", "peer", contact, &sdp("8", "sendrecv")));
    assert_eq!(directions(&peer.take_events()), [Direction::SendRecv]);
    let again = Draft::new("UPDATE", 4).to(&to).body(OFFER, &sdp("8", "sendrecv"));
    assert!(body(&peer.request(&again)[0]).contains("m=audio 41000"), "our port has moved");
}

/// RFC 3262 §5, RFC 3264 §4: an answer that is ordered while our offer is out goes as soon as that has its
/// own, or will have none; what we want besides is asked for by re-INVITE then.
#[test]
fn rfc_3264_s4_an_answer_waits_for_the_end_of_our_change() {
    let contact = "Contact: <sip:+49302@192.0.2.2:5060>\r\n";
    for status in [Some("200 OK"), Some("488 No"), Some("491 Pending"), None] {
        let mut peer = with_policy(RELIABLE);
        let to = early(&mut peer);
        // Shortly before our ringing is due again.
        assert_eq!(peer.wait(Duration::from_secs(140)), [""; 0]);
        let sent = peer.handle(LegCommand::Offer { leg: IN, local_media: moved() });
        assert_eq!(words(&sent), ["UPDATE"]);
        let order = LegCommand::Answer { leg: IN, local_media: moved() };
        assert_eq!(peer.handle(order), [""; 0]);
        assert_eq!(peer.handle(LegCommand::Hold { leg: IN, on: true }), [""; 0]);
        let sent = match status {
            Some(status) if status.starts_with('2') => {
                let answer = sdp("8", "sendrecv");
                peer.send(&response(&sent[0], status, "peer", contact, &answer))
            }
            Some(status) => peer.send(&response(&sent[0], status, "peer", "", "")),
            None => {
                let sent = peer.wait(Duration::from_secs(32));
                sent.into_iter().filter(|sent| word(sent) != "UPDATE").collect()
            }
        };
        assert_eq!(words(&sent), ["200"], "{status:?}");
        let sent = peer.request(&ack(1, &to));
        let asked: Vec<_> = sent.iter().filter(|sent| word(sent) == "INVITE").collect();
        if status != Some("491 Pending") {
            assert!(asked.iter().all(|sent| body(sent).contains("a=sendonly")), "{sent:?}");
            assert_eq!(asked.len(), 1);
        }
    }
}

/// RFC 3311 §5.3: 491 to an UPDATE of a callee, who does not own the Call-ID: again within 2 s; what
/// is not agreed on before the answer is asked for by re-INVITE after it.
#[test]
fn rfc_3311_s5_3_a_491_is_tried_again() {
    let mut peer = with_policy(RELIABLE);
    let to = early(&mut peer);
    let sent = peer.handle(LegCommand::Offer { leg: IN, local_media: moved() });
    assert_eq!(peer.send(&response(&sent[0], "491 Request Pending", "peer", "", "")), [""; 0]);
    let again = peer.wait(Duration::from_secs(2));
    assert_eq!(words(&again)[0], "UPDATE");
    assert_ne!(header(&again[0], "CSeq"), header(&sent[0], "CSeq"));
    peer.send(&response(&again[0], "488 Not Acceptable Here", "peer", "", ""));
    peer.wait(Duration::from_secs(4));
    answer(&mut peer);
    peer.request(&ack(1, &to));
    assert_eq!(peer.wait(Duration::from_secs(60)), [""; 0], "refused for good");
}

#[test]

fn rfc_3311_s5_1_what_cannot_be_changed_early_is_changed_when_answered() {
    let mut peer = with_policy(RELIABLE);
    peer.request(&Draft::invite(1));
    ring(&mut peer);
    assert_eq!(peer.handle(LegCommand::Hold { leg: IN, on: true }), [""; 0]);
    let answer = answer(&mut peer);
    assert!(body(&answer).contains("a=sendrecv"), "{answer}");
    let sent = peer.request(&ack(1, header(&answer, "To")));
    assert_eq!(words(&sent), ["INVITE"]);
    assert!(body(&sent[0]).contains("a=sendonly"), "{}", sent[0]);
}

/// RFC 3311 §5.2: as caller, an offer before their answer meets ours: 491. Behind a reliable answer
/// it is answered, in its own fork.
#[test]
fn rfc_3311_s5_2_an_offer_of_a_callee_waits_for_his_answer() {
    let mut peer = with_policy(RELIABLE);
    let invite = early_out(&mut peer);
    peer.send(&response(&invite, "180 Ringing", "two", CONTACT, ""));
    peer.take_events();
    let update =
        |tag, cseq| theirs(&invite, tag, "UPDATE", cseq).body(OFFER, &sdp("8", "sendonly"));
    assert_eq!(words(&peer.request(&update("two", 7))), ["491"]);
    let sent = peer.request(&update("one", 1));
    assert_eq!(words(&sent), ["200"]);
    assert!(body(&sent[0]).contains("a=recvonly"), "{}", sent[0]);
    assert_eq!(directions(&peer.take_events()), [Direction::RecvOnly]);
    peer.send(&response(&invite, "200 OK", "one", CONTACT, ""));
    let events = peer.take_events();
    let [LegEvent::Established { plan, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(plan.direction, Direction::RecvOnly);
}

/// RFC 3311 §5.1: as caller, our change goes by UPDATE to the fork that has answered reliably.
#[test]
fn rfc_3311_s5_1_the_caller_changes_an_early_session() {
    let mut peer = with_policy(RELIABLE);
    let invite = early_out(&mut peer);
    peer.send(&response(&invite, "180 Ringing", "two", CONTACT, ""));
    peer.take_events();
    let sent = peer.handle(LegCommand::Hold { leg: OUT, on: true });
    assert_eq!(words(&sent), ["UPDATE"]);
    assert!(header(&sent[0], "To").ends_with(";tag=one"));
    assert!(body(&sent[0]).contains("a=sendonly"), "{}", sent[0]);
    let challenge = "Proxy-Authenticate: Digest realm=\"carrier\",nonce=\"n\",qop=\"auth\"\r\n";
    let again = peer.send(&response(&sent[0], "407 Auth", "one", challenge, ""));
    assert_eq!(words(&again), ["UPDATE"]);
    peer.send(&response(&again[0], "200 OK", "one", CONTACT, &sdp("8", "recvonly")));
    assert_eq!(directions(&peer.take_events()), [Direction::SendOnly]);
    // The other fork takes the call: it is held as soon as it has answered.
    let sent = peer.send(&ok(&invite, "two"));
    assert_eq!(words(&sent), ["ACK", "INVITE"]);
    assert!(body(&sent[1]).contains("a=sendonly"), "{}", sent[1]);
}

/// An UPDATE that nobody answers: what is wanted later is asked for all the same, of that fork and of
/// the one that takes the call.
#[test]
fn an_early_update_without_an_answer_holds_up_nothing() {
    for answers in ["one", "two"] {
        let mut peer = with_policy(RELIABLE);
        let invite = early_out(&mut peer);
        let two = peer.send(&reliable(&invite, "two", 1, &sdp("8", "sendrecv")));
        peer.send(&response(&two[0], "200 OK", "two", "", ""));
        let sent = peer.handle(LegCommand::Hold { leg: OUT, on: true });
        assert_eq!(words(&sent), ["UPDATE", "UPDATE"]);
        peer.take_events();
        if answers == "one" {
            peer.send(&ok(&invite, "one"));
            // The other fork's silence is none of this one's.
            peer.send(&response(&sent[0], "200 OK", "one", CONTACT, &sdp("8", "recvonly")));
        }
        peer.wait(Duration::from_secs(33));
        if answers == "two" {
            assert_eq!(words(&peer.send(&ok(&invite, "two"))), ["ACK"]);
        }
        let ended = |event: &LegEvent| matches!(event, LegEvent::Ended { .. });
        assert!(!peer.take_events().iter().any(ended), "{answers}");
        let sent = peer.handle(LegCommand::Offer { leg: OUT, local_media: moved() });
        assert_eq!(words(&sent), ["INVITE"], "{answers}");
    }
}

/// Another fork's answer to its own UPDATE says nothing of the dialog that took the call, though both
/// count alike (RFC 3261 §12.2.1.2).
#[test]
fn what_another_fork_says_later_is_its_own() {
    let challenge = "Proxy-Authenticate: Digest realm=\"carrier\",nonce=\"n\",qop=\"auth\"\r\n";
    for (line, extra) in [("481 Gone", ""), ("408 Silent", ""), ("407 Auth", challenge)] {
        let mut peer = with_policy(RELIABLE);
        let invite = early_out(&mut peer);
        let two = peer.send(&reliable(&invite, "two", 1, &sdp("8", "sendrecv")));
        peer.send(&response(&two[0], "200 OK", "two", "", ""));
        let sent = peer.handle(LegCommand::Hold { leg: OUT, on: true });
        assert_eq!(header(&sent[0], "CSeq"), header(&sent[1], "CSeq"));
        peer.send(&ok(&invite, "one"));
        peer.take_events();
        assert_eq!(peer.send(&response(&sent[1], line, "two", extra, "")), [""; 0], "{line}");
        assert_eq!(peer.take_events(), [], "{line}");
        peer.send(&response(&sent[0], "200 OK", "one", CONTACT, &sdp("8", "recvonly")));
        assert_eq!(directions(&peer.take_events()), [Direction::SendOnly], "{line}");
    }
}

/// RFC 3311 §5.2: in a confirmed dialog, an offer of theirs meets ours with 491; without an offer it
/// is answered all the same.
#[test]
fn rfc_3311_s5_2_an_update_that_meets_our_offer_gets_491() {
    let mut peer = with_policy(RELIABLE);
    let to = talking(&mut peer, &Draft::invite(1));
    assert_eq!(words(&peer.handle(LegCommand::Hold { leg: IN, on: true })), ["INVITE"]);
    let offering = Draft::new("UPDATE", 2).to(&to).body(OFFER, &sdp("8", "sendonly"));
    assert_eq!(words(&peer.request(&offering)), ["491"]);
    assert_eq!(words(&peer.request(&Draft::new("UPDATE", 3).to(&to))), ["200"]);
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
