//! RFC 3261 §12.1.2, §13.2.2: several early dialogs of one call of ours, each with its own tag,
//! routes, target and answer; the 2xx picks one.

use super::peer::{header, response, sdp, word};
use super::steps::*;
use crate::endpoint::config::SessionPolicy;
use crate::event::{LegCommand, LegEvent};
use domain::cause::{Cause, EndedBy};
use std::time::Duration;

fn ringing(invite: &str, tag: &str, port: u16) -> String {
    let contact =
        format!("Contact: <sip:{tag}@192.0.2.2:5060>\r\nRecord-Route: <sip:{tag}.example;lr>\r\n");
    let body = sdp("8", "sendrecv").replace("40000", &port.to_string());
    response(invite, "183 Session Progress", tag, &contact, &body)
}

fn ports(events: &[LegEvent]) -> Vec<u16> {
    let port = |event: &LegEvent| match event {
        LegEvent::Ringing { plan: Some(plan), .. } | LegEvent::Established { plan, .. } => {
            Some(plan.remote.port())
        }
        _ => None,
    };
    events.iter().filter_map(port).collect()
}

/// RFC 3261 §13.2.2.4: the answer of the fork that takes the call counts, though another's came
/// later; its routes and target, too.
#[test]
fn rfc_3261_s13_2_2_4_the_2xx_picks_its_own_early_answer() {
    for (tag, port) in [("one", 41_000), ("two", 42_000)] {
        let mut peer = with_policy(RELIABLE);
        let invite = dial(&mut peer);
        peer.send(&ringing(&invite, "one", 41_000));
        peer.send(&ringing(&invite, "two", 42_000));
        assert_eq!(ports(&peer.take_events()), [41_000, 42_000]);
        let contact = format!("Contact: <sip:{tag}@192.0.2.2:5060>\r\n");
        let sent = peer.send(&response(&invite, "200 OK", tag, &contact, ""));
        assert_eq!(words(&sent), ["ACK"]);
        assert!(sent[0].starts_with(&format!("ACK sip:{tag}@192.0.2.2:5060 ")), "{}", sent[0]);
        // §13.2.2.4: the route set is that of the 2xx, which has none.
        assert_eq!(header(&sent[0], "Route"), "");
        assert_eq!(ports(&peer.take_events()), [port]);
    }
}

/// RFC 3261 §12.2.2: a request inside an early dialog goes to that one, and to no other.
#[test]
fn rfc_3261_s12_2_2_requests_in_early_dialogs_go_to_the_right_one() {
    let mut peer = with_policy(RELIABLE);
    let invite = dial(&mut peer);
    peer.send(&ringing(&invite, "one", 41_000));
    peer.send(&ringing(&invite, "two", 42_000));
    peer.take_events();
    let info = |tag, cseq| theirs(&invite, tag, "INFO", cseq).body("application/dtmf", "5");
    assert_eq!(words(&peer.request(&info("one", 7))), ["200"]);
    assert_eq!(words(&peer.request(&info("two", 3))), ["200"], "its own numbers");
    assert_eq!(words(&peer.request(&info("two", 2))), ["500"], "§12.2.2: out of order");
    assert_eq!(words(&peer.request(&info("nobody", 1))), ["481"]);
    let digit = LegEvent::InfoDigit { leg: OUT, digit: '5' };
    assert_eq!(peer.take_events(), [digit.clone(), digit]);
    for (method, cseq, status) in
        [("OPTIONS", 10, "200"), ("PRACK", 11, "481"), ("INVITE", 12, "491")]
    {
        assert_eq!(words(&peer.request(&theirs(&invite, "one", method, cseq))), [status]);
    }
}

/// RFC 3261 §15.1.2: a BYE in one early dialog ends that one; the others go on to ring.
#[test]
fn rfc_3261_s15_1_2_a_bye_of_one_fork_leaves_the_others() {
    let mut peer = with_policy(RELIABLE);
    let invite = dial(&mut peer);
    peer.send(&ringing(&invite, "one", 41_000));
    peer.send(&ringing(&invite, "two", 42_000));
    peer.take_events();
    assert_eq!(words(&peer.request(&theirs(&invite, "one", "BYE", 1))), ["200"]);
    assert_eq!(words(&peer.request(&theirs(&invite, "one", "OPTIONS", 2))), ["481"]);
    assert_eq!(words(&peer.request(&theirs(&invite, "two", "OPTIONS", 3))), ["200"]);
    assert_eq!(peer.take_events(), []);
    assert_eq!(words(&peer.send(&response(&invite, "200 OK", "two", CONTACT, ""))), ["ACK"]);
    assert_eq!(ports(&peer.take_events()), [42_000]);
}

/// RFC 3261 §12.3: a refusal ends all early dialogs at once.
#[test]
fn rfc_3261_s12_3_a_refusal_ends_all_early_dialogs() {
    let mut peer = with_policy(RELIABLE);
    let invite = dial(&mut peer);
    peer.send(&ringing(&invite, "one", 41_000));
    peer.send(&ringing(&invite, "two", 42_000));
    peer.send(&response(&invite, "486 Busy Here", "two", "", ""));
    assert_eq!(words(&peer.request(&theirs(&invite, "one", "OPTIONS", 1))), ["481"]);
    peer.assert_clean();
}

/// More forks than are followed: the oldest gives way. Whichever answers is taken, and what rang
/// reliably has its PRACK (RFC 3262 §4), each with the next number of its own dialog.
#[test]
fn forks_beyond_the_bound_ring_and_may_answer() {
    let mut peer = with_policy(RELIABLE);
    let invite = dial(&mut peer);
    for fork in 0..12 {
        let sent = peer.send(&reliable(&invite, &format!("f{fork}"), 1, &sdp("8", "sendrecv")));
        assert_eq!(words(&sent), ["PRACK"]);
    }
    let events = peer.take_events();
    assert_eq!((events.len(), ports(&events).len()), (13, 12));
    // The first one was forgotten, and is known again.
    let sent = peer.send(&reliable(&invite, "f0", 2, ""));
    assert_eq!((words(&sent), header(&sent[0], "CSeq")), (vec!["PRACK"], "3 PRACK"));
    assert_eq!(words(&peer.send(&ok(&invite, "f11"))), ["ACK"]);
    peer.take_events();
    for (fork, number) in [("f0", "4 BYE"), ("f1", "3 BYE"), ("f10", "3 BYE"), ("new", "2 BYE")] {
        let sent = peer.send(&ok(&invite, fork));
        assert_eq!(
            (words(&sent), header(&sent[1], "CSeq")),
            (vec!["ACK", "BYE"], number),
            "{fork}"
        );
    }
    assert_eq!(peer.take_events(), []);
}

/// RFC 3261 §12.2.1.1, §12.2.2: the BYE to a fork that nobody wanted comes after our PRACK in its
/// dialog, whether or not the call lives that another has taken.
#[test]
fn rfc_3261_s12_2_1_1_the_bye_to_a_surplus_fork_has_a_number_of_its_own() {
    for is_over in [false, true] {
        let mut peer = with_policy(RELIABLE);
        let invite = dial(&mut peer);
        for fork in ["one", "two"] {
            let sent = peer.send(&reliable(&invite, fork, 1, &sdp("8", "sendrecv")));
            assert_eq!(header(&sent[0], "CSeq"), "2 PRACK");
        }
        assert_eq!(words(&peer.send(&response(&invite, "200 OK", "one", CONTACT, ""))), ["ACK"]);
        if is_over {
            let bye = hang_up(&mut peer, OUT);
            peer.send(&response(&bye[0], "200 OK", "one", "", ""));
        }
        let surplus = peer.send(&response(&invite, "200 OK", "two", CONTACT, ""));
        assert_eq!(words(&surplus), ["ACK", "BYE"]);
        assert_eq!(header(&surplus[0], "CSeq"), "1 ACK");
        assert_eq!(header(&surplus[1], "CSeq"), "3 BYE");
    }
}

/// RFC 3261 §13.2.2.4: the ACK to a surplus fork has the credentials of the INVITE, and answers the
/// offer that was left to it: with nothing.
#[test]
fn rfc_3261_s13_2_2_4_the_ack_to_a_surplus_fork_lacks_nothing() {
    for late_offer in [false, true] {
        let mut peer = with_policy(SessionPolicy { late_offer, ..RELIABLE });
        let first = dial(&mut peer);
        let challenge = "Proxy-Authenticate: Digest realm=\"carrier\",nonce=\"n\",qop=\"auth\"\r\n";
        let sent = peer.send(&response(&first, "407 Auth", "p", challenge, ""));
        assert_eq!(words(&sent), ["ACK", "INVITE"]);
        let invite = &sent[1];
        let credentials = header(invite, "Proxy-Authorization");
        let answered = peer.send(&ok(invite, "one"));
        let surplus = peer.send(&ok(invite, "two"));
        assert_eq!(words(&surplus), ["ACK", "BYE"]);
        for ack in [&answered[0], &surplus[0]] {
            assert_eq!(header(ack, "Proxy-Authorization"), credentials);
            assert_eq!(body(ack).is_empty(), !late_offer);
        }
        assert_eq!(body(&surplus[0]).contains("m=audio 0 RTP/AVP 8\r\n"), late_offer);
    }
}

/// RFC 6228 §4: 199 ends one early dialog, with its PRACK if it came reliably, and no other.
#[test]
fn rfc_6228_s4_a_199_ends_the_early_dialog_it_comes_in() {
    let mut peer = with_policy(RELIABLE);
    let invite = dial(&mut peer);
    for fork in ["one", "two"] {
        peer.send(&reliable(&invite, fork, 1, &sdp("8", "sendrecv")));
    }
    let gone = reliable(&invite, "one", 2, "").replace("183 Session Progress", "199 Gone");
    let sent = peer.send(&gone);
    assert_eq!((words(&sent), header(&sent[0], "CSeq")), (vec!["PRACK"], "3 PRACK"));
    assert_eq!(words(&peer.request(&theirs(&invite, "one", "OPTIONS", 1))), ["481"]);
    assert_eq!(words(&peer.request(&theirs(&invite, "two", "OPTIONS", 2))), ["200"]);
    assert_eq!(words(&peer.send(&ok(&invite, "two"))), ["ACK"]);
}

/// RFC 3261 §13.2.2.4, §22.2: the BYE to a fork that nobody wanted is challenged like any other.
#[test]
fn rfc_3261_s22_2_the_bye_to_a_surplus_fork_has_credentials() {
    for is_over in [false, true] {
        let mut peer = with_policy(RELIABLE);
        let invite = dial(&mut peer);
        peer.send(&ok(&invite, "one"));
        if is_over {
            let bye = hang_up(&mut peer, OUT);
            peer.send(&response(&bye[0], "200 OK", "one", "", ""));
        }
        let surplus = peer.send(&ok(&invite, "two"));
        assert_eq!(words(&surplus), ["ACK", "BYE"]);
        let challenge = "Proxy-Authenticate: Digest realm=\"carrier\",nonce=\"n\",qop=\"auth\"\r\n";
        let again = peer.send(&response(&surplus[1], "407 Auth", "two", challenge, ""));
        assert_eq!(words(&again), ["BYE"]);
        assert!(header(&again[0], "Proxy-Authorization").starts_with("Digest username=\"us\""));
        assert_eq!(header(&again[0], "CSeq"), "3 BYE");
        let refused = peer.send(&response(&again[0], "407 Auth", "two", challenge, ""));
        assert_eq!(refused, [""; 0], "once only");
        if !is_over {
            peer.take_events();
            hang_up(&mut peer, OUT);
        }
        peer.wait(Duration::from_secs(64));
        peer.assert_clean();
    }
}

/// RFC 3261 §9.1 and RFC 3326: the CANCEL tells why, and so does the BYE.
#[test]
fn rfc_3326_s2_cancel_and_bye_tell_why() {
    for (q850, shown) in [
        (None, "Q.850;cause=16;text=\"Normal call clearing\""),
        (Some(31), "Q.850;cause=31;text=\"Normal, unspecified\""),
        (Some(99), "Q.850;cause=99"),
    ] {
        let mut peer = with_policy(RELIABLE);
        talking_out(&mut peer);
        let bye = peer.handle(LegCommand::HangUp { leg: OUT, q850 });
        assert_eq!((word(&bye[0]), header(&bye[0], "Reason")), ("BYE", shown));
        let q850_told = q850.unwrap_or(16);
        let cause = Cause { q850: q850_told, ..Cause::normal(EndedBy::Us) };
        assert_eq!(peer.take_events(), [LegEvent::Ended { leg: OUT, cause }]);

        let mut peer = with_policy(RELIABLE);
        let invite = dial(&mut peer);
        peer.send(&ringing(&invite, "one", 41_000));
        let cancel = peer.handle(LegCommand::HangUp { leg: OUT, q850 });
        assert_eq!((word(&cancel[0]), header(&cancel[0], "Reason")), ("CANCEL", shown));
    }
    // Nobody answered in time.
    let mut peer = with_policy(RELIABLE);
    let invite = dial(&mut peer);
    peer.send(&ringing(&invite, "one", 41_000));
    let cancel = peer.wait(Duration::from_secs(20));
    assert_eq!(header(&cancel[0], "Reason"), "Q.850;cause=19;text=\"No answer from user\"");
}
