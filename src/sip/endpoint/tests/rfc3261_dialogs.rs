//! RFC 3261 §12 to §15: dialogs, sessions and their end, where the peer does what few peers do.

use super::peer::{Draft, Peer, header, response, sdp, word};
use super::steps::*;
use crate::event::LegEvent;
use domain::cause::{Cause, EndedBy};
use std::time::Duration;

/// RFC 3261 §12.1.1: unknown parameters, order and lists are kept.
#[test]
fn record_routes_come_back_as_they_came() {
    let mut peer = Peer::new();
    let routes = "<sip:192.0.2.50;lr;x=y>;q=1, \"Edge\" <sip:edge.example:5070;lr;odd>";
    peer.request(&Draft::invite(1).set("Record-Route", routes));
    for response in [ring(&mut peer).remove(0), answer(&mut peer)] {
        assert_eq!(header(&response, "Record-Route"), routes, "{response}");
        assert_eq!(fields(&response, "Contact"), ["<sip:4711@192.0.2.1:5060>"]);
    }
}

/// RFC 3261 §12.1.1, §12.2.1.1: a caller of RFC 2543 has no tag; ours to it has none either.
#[test]
fn a_caller_without_tag_has_a_dialog_all_the_same() {
    let mut peer = Peer::new();
    let from = "<sip:+49302@192.0.2.2>";
    peer.request(&Draft::invite(1).set("From", from));
    let to = header(&answer(&mut peer), "To").to_owned();
    peer.request(&ack(1, &to).set("From", from));
    assert!(matches!(peer.take_events()[1..], [LegEvent::Established { .. }]));
    let options = Draft::new("OPTIONS", 2).set("From", from).to(&to);
    assert_eq!(words(&peer.request(&options)), ["200"]);
    let other = Draft::new("OPTIONS", 3).set("From", &format!("{from};tag=x")).to(&to);
    assert_eq!(words(&peer.request(&other)), ["481"]);
    let bye = hang_up(&mut peer, IN);
    assert_eq!(header(&bye[0], "To"), from);
}

/// RFC 3261 §12.1.2, §12.2.1.1.
#[test]
fn an_answer_without_tag_makes_a_dialog_all_the_same() {
    let mut peer = Peer::new();
    let invite = dial(&mut peer);
    let sent = peer.send(&ok(&invite, "x").replace(";tag=x", ""));
    assert_eq!(words(&sent), ["ACK"]);
    let bye = hang_up(&mut peer, OUT);
    assert_eq!((word(&bye[0]), header(&bye[0], "To")), ("BYE", header(&invite, "To")));
}

/// RFC 3261 §12.1.2, §12.2.2: the remote number is empty until they ask something; a lower one
/// than the first is out of order.
#[test]
fn their_first_request_may_have_any_number() {
    for first in [0, 1, 7, 2_000_000_000] {
        let mut peer = Peer::new();
        let invite = talking_out(&mut peer);
        let theirs = |method, cseq| {
            Draft::new(method, cseq)
                .set("From", &format!("{};tag=one", header(&invite, "To")))
                .to(header(&invite, "From"))
                .set("Call-ID", header(&invite, "Call-ID"))
        };
        assert_eq!(words(&peer.request(&theirs("OPTIONS", first))), ["200"], "{first}");
        if let Some(lower) = u32::checked_sub(first, 1) {
            assert_eq!(words(&peer.request(&theirs("OPTIONS", lower))), ["500"], "{first}");
        }
        let bye = hang_up(&mut peer, OUT);
        assert_eq!(header(&bye[0], "Route"), "", "no Record-Route, no Route");
        assert!(bye[0].starts_with("BYE sip:4711@192.0.2.2:5060 SIP/2.0"), "{}", bye[0]);
    }
}

/// RFC 3261 §12.2.1.1: one more each time, challenge and refresh included.
#[test]
fn numbers_rise_by_one() {
    let mut peer = Peer::new();
    refreshed_by_us(&mut peer);
    let extra = format!("{CONTACT}Session-Expires: 120;refresher=uac\r\n");
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let refresh = peer.wait(Duration::from_secs(60));
        numbers.push(header(&refresh[0], "CSeq").to_owned());
        let ok = response(&refresh[0], "200 OK", "peer", &extra, &sdp("8", "sendrecv"));
        numbers.push(header(&peer.send(&ok)[0], "CSeq").to_owned());
    }
    numbers.push(header(&hang_up(&mut peer, IN)[0], "CSeq").to_owned());
    let expected = ["1 INVITE", "1 ACK", "2 INVITE", "2 ACK", "3 INVITE", "3 ACK", "4 BYE"];
    assert_eq!(numbers, expected);
}

/// RFC 3261 §12.2.1.1, §19.1.1 table 1: `method` and headers have no place in a Request-URI.
#[test]
fn a_strict_router_gets_a_clean_request_uri() {
    let mut peer = Peer::new();
    let route = "<sip:192.0.2.2;method=REGISTER;x=y?Subject=z>";
    talking(&mut peer, &Draft::invite(1).set("Record-Route", route));
    let bye = hang_up(&mut peer, IN);
    assert!(bye[0].starts_with("BYE sip:192.0.2.2;x=y SIP/2.0\r\n"), "{}", bye[0]);
    assert_eq!(header(&bye[0], "Route"), "<sip:+49302@192.0.2.2:5060>");
}

/// RFC 3261 §13.2.2.4, §12.1.2: those of the 2xx, whatever a 180 said.
#[test]
fn the_route_set_and_the_target_are_those_of_the_answer() {
    for is_rung in [true, false] {
        let mut peer = Peer::new();
        let invite = dial(&mut peer);
        let early = "Record-Route: <sip:192.0.2.50;lr>\r\nContact: <sip:early@192.0.2.2>\r\n";
        if is_rung {
            peer.send(&response(&invite, "180 Ringing", "one", early, ""));
        }
        let late = "Record-Route: <sip:192.0.2.61;lr>, <sip:192.0.2.62;lr;a=b>\r\n\
                    Contact: <sip:late@192.0.2.2>\r\n";
        let sent = peer.send(&response(&invite, "200 OK", "one", late, &sdp("8", "sendrecv")));
        let bye = hang_up(&mut peer, OUT);
        for request in [&sent[0], &bye[0]] {
            let routes = ["<sip:192.0.2.62;lr;a=b>", "<sip:192.0.2.61;lr>"];
            assert_eq!(fields(request, "Route"), routes);
            assert!(request.contains(" sip:late@192.0.2.2 SIP/2.0\r\n"), "{request}");
            assert_eq!(header(request, "Call-ID"), header(&invite, "Call-ID"));
            assert_eq!(header(request, "From"), header(&invite, "From"));
            assert_eq!(header(request, "To"), format!("{};tag=one", header(&invite, "To")));
        }
    }
}

/// RFC 3261 §12.2.2: by re-INVITE and by UPDATE; not by a request that is no target refresh.
#[test]
fn their_refresh_moves_the_target() {
    for (method, moves) in [("INVITE", true), ("UPDATE", true), ("INFO", false)] {
        let mut peer = Peer::new();
        let to = talking(&mut peer, &Draft::invite(1));
        let request = if method == "INVITE" { Draft::invite(2) } else { Draft::new(method, 2) };
        let moved = request.to(&to).set("Contact", "<sip:new@192.0.2.77:5070>");
        assert_eq!(words(&peer.request(&moved)), ["200"]);
        peer.request(&ack(2, &to));
        let bye = hang_up(&mut peer, IN).remove(0);
        assert_eq!(bye.starts_with("BYE sip:new@192.0.2.77:5070 SIP/2.0"), moves, "{bye}");
    }
}

/// RFC 3261 §13.2.1, §13.3.1.4: the answer is in the 2xx, and no second offer follows.
#[test]
fn the_answer_to_an_offer_is_in_the_2xx() {
    let mut peer = Peer::new();
    peer.request(&Draft::invite(1).body("application/sdp", &sdp("0", "sendrecv")));
    assert!(ring(&mut peer)[0].ends_with("\r\n\r\n"), "no description before the answer");
    let ok = answer(&mut peer);
    assert_eq!(header(&ok, "Content-Type"), "application/sdp");
    assert!(ok.contains("m=audio 40000 RTP/AVP 0\r\n"), "{ok}");
    assert_eq!(peer.wait(Duration::from_millis(500)), [ok], "the same again, to the octet");
}

/// RFC 3261 §14.1: theirs is not finished before its ACK.
#[test]
fn our_refresh_waits_for_the_ack_to_theirs() {
    let mut peer = Peer::new();
    let to = refreshed_by_us(&mut peer);
    peer.wait(Duration::from_millis(59_900));
    let theirs = Draft::invite(2)
        .set("Supported", "timer")
        .set("Session-Expires", "120;refresher=uas")
        .to(&to);
    assert_eq!(words(&peer.request(&theirs)), ["200"]);
    let sent = peer.wait(Duration::from_secs(31));
    assert!(sent.iter().all(|message| word(message) == "200"), "{:?}", words(&sent));
    peer.request(&ack(2, &to));
    assert_eq!(words(&peer.wait(Duration::from_secs(60)))[0], "INVITE");
}

/// RFC 3261 §14.1: our own is not finished before its final response.
#[test]
fn our_refresh_waits_for_its_own_answer() {
    let mut peer = Peer::new();
    refreshed_by_us(&mut peer);
    let refresh = peer.wait(Duration::from_secs(60));
    assert_eq!(words(&refresh), ["INVITE"]);
    peer.send(&response(&refresh[0], "100 Trying", "peer", "", ""));
    assert_eq!(peer.wait(Duration::from_secs(50)), Vec::<String>::new());
}

/// RFC 3261 §14.1: sound and dialog are as before.
#[test]
fn a_refused_refresh_changes_nothing() {
    let mut peer = Peer::new();
    refreshed_by_us(&mut peer);
    let refresh = peer.wait(Duration::from_secs(60));
    let moved = "Contact: <sip:new@192.0.2.77>\r\n";
    let sent = peer.send(&response(&refresh[0], "488 No", "peer", moved, ""));
    assert_eq!((words(&sent), peer.take_events()), (vec!["ACK"], vec![]));
    let bye = hang_up(&mut peer, IN);
    assert!(bye[0].starts_with("BYE sip:+49302@192.0.2.2:5060 SIP/2.0"), "{}", bye[0]);
}

/// RFC 3261 §14.2: glare.
#[test]
fn an_invite_that_meets_ours_gets_491() {
    let mut peer = Peer::new();
    let to = refreshed_by_us(&mut peer);
    let refresh = peer.wait(Duration::from_secs(60));
    assert_eq!(words(&refresh), ["INVITE"]);
    let theirs = Draft::invite(2).to(&to).body("application/sdp", &sdp("8", "sendonly"));
    assert_eq!(words(&peer.request(&theirs)), ["491"]);
    assert_eq!(peer.take_events(), [], "nothing of it is done");
}

/// RFC 3261 §15: before the answer it is a refusal.
#[test]
fn a_callee_refuses_instead_of_saying_bye() {
    let mut peer = Peer::new();
    peer.request(&Draft::invite(1));
    ring(&mut peer);
    assert_eq!(words(&hang_up(&mut peer, IN)), ["480"]);
}

/// RFC 3261 §15.1.1: over for us at once, whatever becomes of the BYE.
#[test]
fn a_bye_that_is_refused_or_unanswered_ends_the_call() {
    for status in ["481 Gone", "408 Timeout", "500 Error", ""] {
        let mut peer = Peer::new();
        talking(&mut peer, &Draft::invite(1));
        let bye = hang_up(&mut peer, IN);
        let cause = Cause::normal(EndedBy::Us);
        assert_eq!(peer.take_events(), [LegEvent::Ended { leg: IN, cause }], "with the BYE");
        if status.is_empty() {
            peer.wait(Duration::from_secs(32));
        } else {
            peer.send(&response(&bye[0], status, "peer", "", ""));
        }
        assert_eq!((peer.endpoint.legs(), peer.take_events()), (0, vec![]), "{status}");
        peer.assert_clean();
    }
}

/// RFC 3261 §8.2.7: an INVITE was refused, and nothing of it kept; its repetition, on its way already,
/// was taken. The caller's ACK to the refusal says that for him it is over.
#[test]
fn rfc_3261_s8_2_7_an_ack_to_a_refusal_ends_the_call_that_its_repetition_made() {
    let mut peer = Peer::new();
    assert_eq!(words(&peer.request(&Draft::invite(1))), ["100"]);
    peer.take_events();
    let via = "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKINVITE1";
    let refused = Draft::new("ACK", 1).to("<sip:4711@192.0.2.1>;tag=refusal").set("Via", via);
    assert_eq!(words(&peer.request(&refused)), ["487"]);
    let cause = Cause::from_status(487);
    assert_eq!(peer.take_events(), [LegEvent::Ended { leg: IN, cause }]);
    assert_eq!(peer.request(&refused), [""; 0]);
    peer.assert_clean();
}
