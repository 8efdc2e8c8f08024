//! RFC 3262 §4, §5: the reliable provisional responses to a call of ours, and who makes the offer.

use super::peer::{header, response, sdp};
use super::steps::*;
use crate::endpoint::config::{Reliable, SessionPolicy};
use crate::event::LegEvent;
use domain::cause::{Cause, EndedBy};
use std::time::Duration;

/// RFC 3262 §4: what our INVITE says, by policy.
#[test]
fn our_invite_says_what_we_can() {
    for (policy, supported, required) in [
        (Reliable::Off, false, false),
        (Reliable::Supported, true, false),
        (Reliable::Required, true, true),
    ] {
        let mut peer = with_policy(SessionPolicy { reliable: policy, ..SessionPolicy::PLAIN });
        let invite = dial(&mut peer);
        let said = |name| header(&invite, name).split(", ").any(|option| option == "100rel");
        assert_eq!((said("Supported"), said("Require")), (supported || required, required));
        // §4: and no other request insists on it.
        peer.send(&ok(&invite, "one"));
        let bye = hang_up(&mut peer, OUT);
        assert_eq!(header(&bye[0], "Require"), "");
    }
}

/// RFC 3262 §4: a PRACK for each in its order, with what it acknowledges, inside the early dialog; not for a
/// 100, nor again for a repetition, nor for one out of order.
#[test]
fn each_reliable_response_is_acknowledged_once_and_in_order() {
    let mut peer = with_policy(RELIABLE);
    let invite = dial(&mut peer);
    peer.take_events();
    let trying = "Require: 100rel\r\nRSeq: 1\r\n";
    assert_eq!(
        peer.send(&response(&invite, "100 Trying", "one", trying, "")),
        Vec::<String>::new()
    );
    let first = reliable(&invite, "one", 7, &sdp("8", "sendrecv"));
    let sent = peer.send(&first);
    assert_eq!(words(&sent), ["PRACK"]);
    assert_eq!((header(&sent[0], "RAck"), header(&sent[0], "CSeq")), ("7 1 INVITE", "2 PRACK"));
    assert!(header(&sent[0], "To").ends_with(";tag=one"));
    assert_eq!(header(&sent[0], "Require"), "", "only INVITE may insist");
    assert!(sent[0].starts_with("PRACK sip:4711@192.0.2.2:5060 SIP/2.0"), "{}", sent[0]);
    let events = peer.take_events();
    assert!(matches!(events[..], [LegEvent::Ringing { plan: Some(_), .. }]), "{events:?}");
    assert_eq!(peer.send(&first), Vec::<String>::new(), "repeated");
    for wrong in [6, 7, 9] {
        let stray = reliable(&invite, "one", wrong, "");
        assert_eq!(peer.send(&stray), Vec::<String>::new(), "{wrong}");
    }
    assert_eq!(peer.take_events(), [], "what is out of order says nothing");
    peer.send(&response(&sent[0], "200 OK", "one", "", ""));
    let sent = peer.send(&reliable(&invite, "one", 8, ""));
    assert_eq!((words(&sent), header(&sent[0], "RAck")), (vec!["PRACK"], "8 1 INVITE"));
    assert_eq!(header(&sent[0], "CSeq"), "3 PRACK");
}

/// RFC 3262 §4: each fork counts for itself. The ACK bears the INVITE's number (RFC 3261 §13.2.2.4),
/// what comes after goes on from the PRACKs.
#[test]
fn rfc_3262_s4_each_fork_counts_for_itself() {
    let mut peer = with_policy(RELIABLE);
    let invite = dial(&mut peer);
    for (tag, rseq, cseq) in [("one", 7, "2 PRACK"), ("two", 100, "2 PRACK"), ("one", 8, "3 PRACK")]
    {
        let sent = peer.send(&reliable(&invite, tag, rseq, ""));
        assert_eq!(
            (header(&sent[0], "CSeq"), header(&sent[0], "RAck").split(' ').next()),
            (cseq, Some(&*rseq.to_string()))
        );
    }
    let acks = peer.send(&ok(&invite, "one"));
    assert_eq!(header(&acks[0], "CSeq"), "1 ACK");
    let bye = hang_up(&mut peer, OUT);
    assert_eq!(header(&bye[0], "CSeq"), "4 BYE");
}

/// Where the trunk has it off, nothing is offered and nothing acknowledged.
#[test]
fn rfc_3262_s4_off_is_off() {
    let mut peer = with_policy(SessionPolicy::PLAIN);
    let invite = dial(&mut peer);
    assert!(!header(&invite, "Supported").contains("100rel"));
    assert_eq!(peer.send(&reliable(&invite, "one", 1, "")), [""; 0]);
    let refusal = response(&invite, "421 Extension Required", "one", "Require: 100rel\r\n", "");
    assert_eq!(words(&peer.send(&refusal)), ["ACK"]);
    let cause = Cause::from_status(421);
    assert_eq!(peer.take_events().last(), Some(&LegEvent::Ended { leg: OUT, cause }));
}

/// RFC 3262 §4: required, and the other end cannot.
#[test]
fn rfc_3262_s4_required_insists_and_a_420_is_the_end() {
    let policy = SessionPolicy { reliable: Reliable::Required, ..SessionPolicy::PLAIN };
    let mut peer = with_policy(policy);
    let invite = dial(&mut peer);
    assert_eq!(header(&invite, "Require"), "100rel");
    let refusal = response(&invite, "420 Bad Extension", "one", "Unsupported: 100rel\r\n", "");
    assert_eq!(words(&peer.send(&refusal)), ["ACK"]);
    let cause = Cause::from_status(420);
    assert_eq!(peer.take_events().last(), Some(&LegEvent::Ended { leg: OUT, cause }));
    peer.assert_clean();
}

/// RFC 3261 §13.2.1: behind the answer that came reliably, later descriptions are ignored.
#[test]
fn rfc_3261_s13_2_1_the_reliable_answer_stands() {
    let mut peer = with_policy(RELIABLE);
    let invite = dial(&mut peer);
    peer.send(&reliable(&invite, "one", 1, &sdp("8", "sendrecv")));
    let other = sdp("0", "inactive").replace("40000", "50000");
    peer.send(&reliable(&invite, "one", 2, &other));
    let sent = peer.send(&response(&invite, "200 OK", "one", CONTACT, &other));
    assert_eq!(words(&sent), ["ACK"]);
    let events = peer.take_events();
    let plans: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            LegEvent::Ringing { plan, .. } => plan.clone(),
            LegEvent::Established { plan, .. } => Some(plan.clone()),
            _ => None,
        })
        .collect();
    assert_eq!((plans.len(), plans[0].remote.port()), (2, 40_000), "{events:?}");
    assert_eq!(plans[0], plans[1]);
}

/// An answer that is none, and that both ends count on: the call cannot come about.
#[test]
fn a_bad_reliable_answer_ends_the_call() {
    let mut peer = with_policy(RELIABLE);
    let invite = dial(&mut peer);
    let sent = peer.send(&reliable(&invite, "one", 1, &sdp("18", "sendrecv")));
    assert_eq!(words(&sent), ["PRACK", "CANCEL"]);
    peer.take_events();
    peer.send(&response(&sent[1], "200 OK", "one", "", ""));
    peer.send(&response(&sent[0], "200 OK", "one", "", ""));
    assert_eq!(words(&peer.send(&response(&invite, "487 Gone", "one", "", ""))), ["ACK"]);
    let cause = Cause { by: EndedBy::Us, ..Cause::from_status(488) };
    assert_eq!(peer.take_events(), [LegEvent::Ended { leg: OUT, cause }]);
    peer.assert_clean();
}

/// RFC 3261 §22.2: a challenged PRACK goes again with credentials, for the same RSeq.
#[test]
fn rfc_3261_s22_2_a_challenged_prack_is_sent_again() {
    let mut peer = with_policy(RELIABLE);
    let invite = dial(&mut peer);
    let sent = peer.send(&reliable(&invite, "one", 1, ""));
    let challenge = "Proxy-Authenticate: Digest realm=\"carrier\",nonce=\"n\",qop=\"auth\"\r\n";
    let again = peer.send(&response(&sent[0], "407 Auth", "one", challenge, ""));
    assert_eq!(words(&again), ["PRACK"]);
    assert_eq!((header(&again[0], "CSeq"), header(&again[0], "RAck")), ("3 PRACK", "1 1 INVITE"));
    assert!(header(&again[0], "Proxy-Authorization").starts_with("Digest "));
    let refused = peer.send(&response(&again[0], "407 Auth", "one", challenge, ""));
    assert_eq!(refused, [""; 0]);
}

const LATE: SessionPolicy = SessionPolicy { late_offer: true, ..RELIABLE };

/// RFC 3261 §13.2.1: the INVITE has no offer; the 2xx has, and the ACK our answer.
#[test]
fn rfc_3261_s13_2_1_an_offer_in_the_2xx_is_answered_in_the_ack() {
    for (formats, is_good) in [("8 0", true), ("18", false)] {
        let mut peer = with_policy(LATE);
        let invite = dial(&mut peer);
        assert_eq!((body(&invite), header(&invite, "Content-Type")), ("", ""));
        let ok = response(&invite, "200 OK", "one", CONTACT, &sdp(formats, "sendrecv"));
        let sent = peer.send(&ok);
        peer.events.remove(0);
        if is_good {
            assert_eq!(words(&sent), ["ACK"]);
            assert!(body(&sent[0]).contains("m=audio 40000 RTP/AVP 8\r\n"), "{}", sent[0]);
            assert!(matches!(peer.take_events()[..], [LegEvent::Established { .. }]));
            assert_eq!(peer.send(&ok), sent, "the same ACK for each repetition");
        } else {
            // §13.2.2.4: answered all the same, then ended.
            assert_eq!(words(&sent), ["ACK", "BYE"]);
            assert!(body(&sent[0]).contains("m=audio 0 RTP/AVP 18\r\n"), "{}", sent[0]);
            let cause = Cause { by: EndedBy::Us, ..Cause::from_status(488) };
            assert_eq!(peer.take_events(), [LegEvent::Ended { leg: OUT, cause }]);
            peer.assert_clean();
        }
    }
}

/// RFC 3262 §5: their offer in a reliable response is answered in the PRACK; the 2xx says no more.
#[test]
fn rfc_3262_s5_an_offer_in_a_reliable_response_is_answered_in_the_prack() {
    let mut peer = with_policy(LATE);
    let invite = dial(&mut peer);
    peer.take_events();
    let sent = peer.send(&reliable(&invite, "one", 1, &sdp("8 0", "sendrecv")));
    assert_eq!(words(&sent), ["PRACK"]);
    assert!(body(&sent[0]).contains("m=audio 40000 RTP/AVP 8\r\n"), "{}", sent[0]);
    assert!(matches!(peer.take_events()[..], [LegEvent::Ringing { plan: Some(_), .. }]));
    let sent = peer.send(&response(&invite, "200 OK", "one", CONTACT, ""));
    assert_eq!((words(&sent), body(&sent[0])), (vec!["ACK"], ""));
    assert!(matches!(peer.take_events()[..], [LegEvent::Established { .. }]));
    assert_eq!(peer.wait(Duration::from_secs(60)).len(), 10, "the PRACK, unanswered");
}

/// A 2xx without the offer that was left to it is of no use.
#[test]
fn a_2xx_without_the_offer_it_owes_is_ended() {
    let mut peer = with_policy(LATE);
    let invite = dial(&mut peer);
    let sent = peer.send(&response(&invite, "200 OK", "one", CONTACT, ""));
    assert_eq!(words(&sent), ["ACK", "BYE"]);
    peer.assert_clean();
}
