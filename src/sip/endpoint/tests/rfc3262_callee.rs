//! RFC 3262 §3, §5: our provisional responses to a call that comes in, sent reliably, with early
//! media (RFC 3960) and without.

use super::pair::{A, media};
use super::peer::{Draft, Peer, header, sdp, word};
use super::steps::*;
use crate::endpoint::config::{Reliable, SessionPolicy};
use crate::event::{LegCommand, LegEvent};
use domain::cause::{Cause, EndedBy};
use domain::media_plan::Direction;
use std::time::Duration;

fn supporting() -> Draft {
    Draft::invite(1).set("Supported", "100rel")
}

/// The PRACK to a provisional response of ours.
fn prack_to(cseq: u32, provisional: &str) -> Draft {
    prack(cseq, header(provisional, "To"), provisional)
}

/// RFC 3262 §3: who says what, and what is answered; a 180 with RSeq is a reliable one.
#[test]
fn rfc_3262_s3_reliability_is_agreed_on_or_refused() {
    for (ours, field, status, reliable, needed) in [
        (Reliable::Off, "", "180", false, ""),
        (Reliable::Off, "Supported", "180", false, ""),
        (Reliable::Off, "Require", "420", false, "Unsupported"),
        (Reliable::Supported, "", "180", false, ""),
        (Reliable::Supported, "Supported", "180", true, ""),
        (Reliable::Supported, "Require", "180", true, ""),
        (Reliable::Required, "", "421", false, "Require"),
        (Reliable::Required, "Supported", "180", true, ""),
        (Reliable::Required, "Require", "180", true, ""),
    ] {
        let mut peer = with_policy(SessionPolicy { reliable: ours, ..SessionPolicy::PLAIN });
        let invite = match field {
            "" => Draft::invite(1),
            "Require" => Draft::invite(1).set("Require", "100rel"),
            _ => supporting(),
        };
        let mut sent = peer.request(&invite);
        if word(&sent[0]) == "100" {
            assert_eq!(header(&sent[0], "RSeq"), "", "a 100 never is");
            sent = ring(&mut peer);
        }
        assert_eq!(word(&sent[0]), status, "{ours:?} {field}");
        assert_eq!(!header(&sent[0], "RSeq").is_empty(), reliable, "{ours:?} {field}");
        if reliable {
            assert_eq!(header(&sent[0], "Require"), "100rel");
            let rseq: u32 = header(&sent[0], "RSeq").parse().unwrap();
            assert!((1..1 << 31).contains(&rseq));
        }
        if !needed.is_empty() {
            assert_eq!(header(&sent[0], needed), "100rel");
        }
    }
}

/// RFC 3262 §3: again until the PRACK; two and a half minutes later the next one, by one higher.
#[test]
fn rfc_3262_s3_a_180_is_repeated_until_its_prack() {
    let mut peer = with_policy(RELIABLE);
    peer.request(&supporting());
    let ringing = ring(&mut peer);
    assert_eq!(peer.wait(Duration::from_millis(500)), ringing);
    let to = header(&ringing[0], "To").to_owned();
    assert_eq!(words(&peer.request(&prack(2, &to, &ringing[0]))), ["200"]);
    assert_eq!(peer.wait(Duration::from_secs(149)), Vec::<String>::new());
    let next = peer.wait(Duration::from_secs(1));
    let rseq = |message: &str| header(message, "RSeq").parse::<u32>().unwrap();
    assert_eq!(rseq(&next[0]), rseq(&ringing[0]) + 1);
    hang_up(&mut peer, IN);
    peer.assert_clean();
}

/// RFC 3262 §3: no PRACK in 64*T1 is a refusal with 5xx.
#[test]
fn rfc_3262_s3_without_prack_the_invite_is_refused_after_64_t1() {
    let mut peer = with_policy(RELIABLE);
    peer.request(&supporting());
    let ringing = ring(&mut peer);
    let again = peer.wait(Duration::from_millis(31_999));
    assert_eq!(again, vec![ringing[0].clone(); 6]);
    peer.take_events();
    assert_eq!(words(&peer.wait(Duration::from_millis(1))), ["504"]);
    let cause = Cause { status: 504, ..Cause::silent() };
    assert_eq!(peer.take_events(), [LegEvent::Ended { leg: IN, cause }]);
    peer.assert_clean();
}

/// RFC 3262 §3: the PRACK that matches gets 200 and stops the repetition, any other 481.
#[test]
fn a_prack_is_answered_by_what_it_matches() {
    let mut peer = with_policy(RELIABLE);
    peer.request(&supporting());
    let ringing = ring(&mut peer).remove(0);
    assert_eq!(peer.wait(Duration::from_millis(500)), std::slice::from_ref(&ringing), "repeated");
    let rseq: u32 = header(&ringing, "RSeq").parse().unwrap();
    for (cseq, rack) in [
        (2, format!("{} 1 INVITE", rseq + 1)),
        (3, format!("{rseq} 9 INVITE")),
        (4, format!("{rseq} 1 OPTIONS")),
        (5, String::new()),
    ] {
        let sent = peer.request(&prack_to(cseq, &ringing).set("RAck", &rack));
        assert_eq!(words(&sent), ["481"], "{rack}");
    }
    for what in ["for the first time", "repeated"] {
        assert_eq!(words(&peer.request(&prack_to(6, &ringing))), ["200"], "{what}");
    }
    assert_eq!(peer.wait(Duration::from_secs(20)), Vec::<String>::new());
    assert_eq!(words(&peer.request(&prack_to(7, &ringing))), ["481"], "it is on the list no more");
}

/// RFC 3262 §3: one at a time, each numbered one higher; and the numbers begin low enough never to wrap.
#[test]
fn provisional_responses_wait_for_one_another() {
    for seed in 0..8 {
        let mut peer = with_policy(RELIABLE);
        // The endpoint's generator has gone on by as many dials.
        for leg in 1..=seed {
            dial_over(&mut peer, domain::id::LegId(2 * leg), crate::event::Transport::Udp);
        }
        peer.request(&supporting());
        let first = ring(&mut peer).remove(0);
        assert_eq!(progress(&mut peer, 183), Vec::<String>::new(), "the first is not acknowledged");
        let sent = peer.request(&prack_to(2, &first));
        assert_eq!(words(&sent), ["200", "183"]);
        assert!(body(&sent[1]).contains("m=audio 40000 RTP/AVP 8\r\n"), "{}", sent[1]);
        let number = |response: &str| header(response, "RSeq").parse::<u32>().unwrap();
        assert_eq!(number(&sent[1]), number(&first) + 1);
        assert!(number(&first) < (1 << 31) - 1_000, "{}", number(&first));
    }
}

/// RFC 3262 §3: inside a dialog there is nothing to ring for, so nothing is sent reliably.
#[test]
fn a_request_in_a_dialog_gets_none() {
    let mut peer = with_policy(RELIABLE);
    let to = talking(&mut peer, &Draft::invite(1));
    for (cseq, method) in [(2, "INVITE"), (3, "OPTIONS"), (4, "INFO")] {
        let draft = if method == "INVITE" { Draft::invite(cseq) } else { Draft::new(method, cseq) };
        let sent = peer.request(&draft.to(&to).set("Supported", "100rel"));
        assert_eq!((words(&sent), header(&sent[0], "RSeq")), (vec!["200"], ""), "{method}");
        peer.request(&ack(cseq, &to));
    }
}

/// RFC 3262 §5: the 200 waits for the PRACK to our answer, and says it no second time (RFC 3311 §8).
#[test]
fn rfc_3262_s5_no_2xx_before_the_prack_to_our_answer() {
    let mut peer = with_policy(RELIABLE);
    peer.request(&supporting());
    let early = progress(&mut peer, 183);
    assert!(body(&early[0]).contains("m=audio 40000 RTP/AVP 8\r\n"), "{}", early[0]);
    peer.take_events();
    assert_eq!(peer.handle(LegCommand::Answer { leg: IN, local_media: media(A) }), [""; 0]);
    assert_eq!(peer.wait(Duration::from_millis(500)), early);
    let to = header(&early[0], "To").to_owned();
    let sent = peer.request(&prack(2, &to, &early[0]));
    assert_eq!(words(&sent), ["200", "200"]);
    assert_eq!((header(&sent[1], "CSeq"), body(&sent[1])), ("1 INVITE", ""));
    assert_eq!(peer.take_events(), []);
    peer.request(&ack(1, &to));
    assert!(matches!(peer.take_events()[..], [LegEvent::Established { .. }]));
    hang_up(&mut peer, IN);
    peer.assert_clean();
}

/// RFC 3262 §3: one without description holds nothing up; its PRACK may come after the 200.
#[test]
fn rfc_3262_s3_a_plain_180_does_not_hold_up_the_answer() {
    let mut peer = with_policy(RELIABLE);
    peer.request(&supporting());
    let ringing = ring(&mut peer);
    let answer = answer(&mut peer);
    assert!(body(&answer).contains("m=audio 40000"), "{answer}");
    let to = header(&answer, "To").to_owned();
    assert_eq!(ring(&mut peer), [""; 0], "nothing new after the answer");
    let late = prack(2, &to, &ringing[0]);
    assert_eq!(words(&peer.request(&late)), ["200"]);
    assert_eq!(words(&peer.request(&prack(3, &to, &ringing[0]))), ["481"]);
    peer.request(&ack(1, &to));
    assert_eq!(peer.wait(Duration::from_secs(40)), [""; 0], "nothing is repeated");
}

/// RFC 3261 §13.2.1, RFC 3960 §3.2: unreliably, the same answer in each response and in the 200.
#[test]
fn early_media_without_100rel_repeats_its_answer_in_the_200() {
    let mut peer = with_policy(RELIABLE);
    peer.request(&Draft::invite(1));
    let early = progress(&mut peer, 183);
    assert_eq!((word(&early[0]), header(&early[0], "RSeq")), ("183", ""));
    assert!(body(&early[0]).contains("m=audio 40000 RTP/AVP 8\r\n"), "{}", early[0]);
    assert_eq!(body(&ring(&mut peer)[0]), body(&early[0]));
    // RFC 3311 §5.2: nobody knows whether our answer has arrived.
    let to = header(&early[0], "To").to_owned();
    let update = Draft::new("UPDATE", 2).to(&to).body("application/sdp", &sdp("8", "sendonly"));
    let sent = peer.request(&update);
    assert_eq!(word(&sent[0]), "500");
    assert!(header(&sent[0], "Retry-After").parse::<u32>().unwrap() <= 10);
    let answer = answer(&mut peer);
    assert_eq!(body(&answer), body(&early[0]));
    for (asked, given) in [(180, "180"), (182, "182"), (100, "183"), (200, "183")] {
        let mut peer = Peer::new();
        peer.request(&Draft::invite(1));
        let local_media = None;
        let sent = peer.handle(LegCommand::Progress { leg: IN, status: asked, local_media });
        assert_eq!(words(&sent), [given]);
    }
}

/// RFC 3262 §5: to an INVITE without offer, the first reliable response has it, and the PRACK the
/// answer; before our port is known none can be sent.
#[test]
fn rfc_3262_s5_a_late_offer_goes_reliably_and_its_answer_comes_with_the_prack() {
    for (answer, is_good) in [("8", true), ("18", false)] {
        let mut peer = with_policy(RELIABLE);
        peer.request(&Draft::new("INVITE", 1).set("Require", "100rel"));
        assert_eq!(ring(&mut peer), [""; 0], "no offer, and nothing unreliable");
        let early = progress(&mut peer, 183);
        assert!(body(&early[0]).contains("m=audio 40000 RTP/AVP 8 0 101"), "{}", early[0]);
        peer.take_events();
        let to = header(&early[0], "To").to_owned();
        let prack = prack(2, &to, &early[0]).body("application/sdp", &sdp(answer, "sendrecv"));
        let sent = peer.request(&prack);
        if !is_good {
            assert_eq!(words(&sent), ["200", "488"]);
            let cause = Cause { by: EndedBy::Us, ..Cause::from_status(488) };
            assert_eq!(peer.take_events(), [LegEvent::Ended { leg: IN, cause }]);
            continue;
        }
        assert_eq!(words(&sent), ["200"]);
        assert!(matches!(peer.take_events()[..], [LegEvent::Changed { .. }]));
        let answer = super::steps::answer(&mut peer);
        assert_eq!(body(&answer), "");
        peer.request(&ack(1, &to));
        let events = peer.take_events();
        let [LegEvent::Established { plan, .. }] = &events[..] else { panic!("{events:?}") };
        assert_eq!(plan.direction, Direction::SendRecv);
    }
}

/// RFC 3262 §5: who may but need not be reliable gets an unreliable 180 while there is no offer.
#[test]
fn rfc_3262_s5_an_invite_without_offer_may_ring_unreliably() {
    let mut peer = with_policy(RELIABLE);
    peer.request(&Draft::new("INVITE", 1).set("Supported", "100rel"));
    let ringing = ring(&mut peer);
    assert_eq!((word(&ringing[0]), header(&ringing[0], "RSeq")), ("180", ""));
    let answer = answer(&mut peer);
    assert!(body(&answer).contains("m=audio 40000 RTP/AVP 8 0 101"), "{answer}");
}

/// RFC 3262 §5: an offer in the PRACK is answered in its 2xx.
#[test]
fn rfc_3262_s5_an_offer_in_the_prack_is_answered_in_its_2xx() {
    let mut peer = with_policy(RELIABLE);
    peer.request(&supporting());
    let early = progress(&mut peer, 183);
    peer.take_events();
    let to = header(&early[0], "To").to_owned();
    let offering = prack(2, &to, &early[0]).body("application/sdp", &sdp("8", "sendonly"));
    let sent = peer.request(&offering);
    assert_eq!(words(&sent), ["200"]);
    assert!(body(&sent[0]).contains("a=recvonly"), "{}", sent[0]);
    let events = peer.take_events();
    let [LegEvent::Changed { plan, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(plan.direction, Direction::RecvOnly);
}

/// A caller may go while his PRACK is out.
#[test]
fn a_caller_gives_up_while_a_reliable_response_is_out() {
    for method in ["BYE", "expiry"] {
        let mut peer = with_policy(RELIABLE);
        peer.request(&supporting().set("Expires", "20"));
        let early = progress(&mut peer, 183);
        answer_is_held_back(&mut peer);
        let sent = match method {
            "BYE" => peer.request(&Draft::new("BYE", 2).to(header(&early[0], "To"))),
            _ => peer.wait(Duration::from_secs(20)),
        };
        assert_eq!(word(sent.last().unwrap()), "487");
        peer.assert_clean();
    }
}

fn answer_is_held_back(peer: &mut Peer) {
    assert_eq!(peer.handle(LegCommand::Answer { leg: IN, local_media: media(A) }), [""; 0]);
}

/// RFC 3262 §3: a PRACK that crosses our refusal, or their CANCEL, is answered all the same, for as long
/// as it may be repeated; any other has no dialog any more.
#[test]
fn rfc_3262_s3_a_prack_that_crosses_our_refusal_is_answered() {
    for is_theirs in [false, true] {
        let mut peer = with_policy(RELIABLE);
        peer.request(&supporting());
        let ringing = ring(&mut peer).remove(0);
        let sent = match is_theirs {
            true => peer.request(&Draft::new("CANCEL", 1).set("Via", header(&ringing, "Via"))),
            false => hang_up(&mut peer, IN),
        };
        assert_eq!(word(sent.last().unwrap()), if is_theirs { "487" } else { "480" });
        for _ in 0..2 {
            assert_eq!(words(&peer.request(&prack_to(2, &ringing))), ["200"]);
        }
        let rseq: u32 = header(&ringing, "RSeq").parse().unwrap();
        let other = prack_to(3, &ringing).set("RAck", &format!("{} 1 INVITE", rseq + 1));
        assert_eq!(words(&peer.request(&other)), ["481"]);
        let elsewhere = prack_to(4, &ringing).set("Call-ID", "another");
        assert_eq!(words(&peer.request(&elsewhere)), ["481"]);
        peer.wait(Duration::from_secs(32));
        assert_eq!(words(&peer.request(&prack_to(5, &ringing))), ["481"]);
        peer.assert_clean();
    }
}
