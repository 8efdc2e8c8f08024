//! Calls that come in from a peer whose every message is chosen: offers late and changed, ACKs
//! that do not come, requests that overlap.

use super::pair::{A, config, media};
use super::peer::{Draft, Peer, header, sdp, word};
use crate::endpoint::config::EndpointConfig;
use crate::event::{LegCommand, LegEvent};
use domain::cause::{Cause, CauseKind, EndedBy};
use domain::id::LegId;
use domain::ip_version::{IpVersion, IpVersions};
use domain::media_plan::{Codec, Direction, MediaPlan};
use std::net::IpAddr;
use std::time::Duration;

const LEG: LegId = LegId(1);

fn plan(direction: Direction) -> MediaPlan {
    MediaPlan {
        remote: ([192, 0, 2, 2], 40_000).into(),
        also_from: None,
        codec: Codec::Pcma,
        payload_type: 8,
        event_payload_type: None,
        event_receive_type: None,
        direction,
        ptime_ms: 20,
    }
}

fn words(messages: &[String]) -> Vec<&str> {
    messages.iter().map(|message| word(message)).collect()
}

/// INVITE, 200, ACK; the To of our answer.
fn talking(peer: &mut Peer) -> String {
    peer.request(&Draft::invite(1));
    let answer = peer.handle(LegCommand::Answer { leg: LEG, local_media: media(A) });
    let to = header(&answer[0], "To").to_owned();
    assert_eq!(word(&answer[0]), "200");
    let ack = Draft::new("ACK", 1).to(&to).set("Via", "SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKack");
    assert_eq!(peer.request(&ack), Vec::<String>::new());
    peer.take_events();
    to
}

/// Behind a NAT the description names a host that nobody reaches; the sound may come from where the
/// INVITE came from.
#[test]
fn a_description_of_another_host_does_not_make_the_signalling_host_a_stranger() {
    let mut peer = Peer::new();
    let private = sdp("8", "sendrecv").replace("192.0.2.2", "10.0.0.7");
    peer.request(&Draft::invite(1).body("application/sdp", &private));
    let answer = peer.handle(LegCommand::Answer { leg: LEG, local_media: media(A) });
    peer.take_events();
    peer.request(&ack(1, header(&answer[0], "To")));
    let remote = ([10, 0, 0, 7], 40_000).into();
    let also_from = Some([192, 0, 2, 2].into());
    let plan = MediaPlan { remote, also_from, ..plan(Direction::SendRecv) };
    assert_eq!(peer.events, [LegEvent::Established { leg: LEG, plan }]);
}

fn ack(cseq: u32, to: &str) -> Draft {
    let via = format!("SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKforack{cseq}");
    Draft::new("ACK", cseq).to(to).set("Via", &via)
}

/// RFC 3261 §13.3.1.4: the 2xx again from T1 doubling to T2; without ACK the leg ends with BYE.
#[test]
fn an_answer_without_ack_is_repeated_then_ended() {
    let mut peer = Peer::new();
    peer.request(&Draft::invite(1));
    let answer = peer.handle(LegCommand::Answer { leg: LEG, local_media: media(A) });
    assert_eq!(peer.request(&Draft::invite(1)), Vec::<String>::new(), "absorbed");
    let sent = peer.wait(Duration::from_millis(31_999));
    assert_eq!(sent.len(), 10);
    assert!(sent.iter().all(|again| *again == answer[0]));
    peer.take_events();
    let sent = peer.wait(Duration::from_millis(1));
    assert_eq!(words(&sent), ["BYE"]);
    assert_eq!(peer.events, [LegEvent::Ended { leg: LEG, cause: Cause::silent() }]);
    peer.assert_clean();
}

/// RFC 3261 §15: the callee must not send BYE before the ACK.
#[test]
fn hanging_up_waits_for_the_ack() {
    let mut peer = Peer::new();
    peer.request(&Draft::invite(1));
    let answer = peer.handle(LegCommand::Answer { leg: LEG, local_media: media(A) });
    assert_eq!(peer.handle(LegCommand::HangUp { leg: LEG, q850: None }), Vec::<String>::new());
    let cause = Cause::normal(EndedBy::Us);
    assert_eq!(peer.events.last(), Some(&LegEvent::Ended { leg: LEG, cause }));
    assert_eq!(words(&peer.wait(Duration::from_millis(500))), ["200"]);
    assert_eq!(words(&peer.request(&ack(1, header(&answer[0], "To")))), ["BYE"]);
    peer.assert_clean();
    assert_eq!(peer.take_events().len(), 2);
}

/// RFC 3261 §13.2.1: an INVITE without offer is answered with ours; the ACK has their answer.
#[test]
fn a_late_offer_is_settled_by_the_ack() {
    for (body, is_good) in [(sdp("8", "sendrecv"), true), (sdp("18", "sendrecv"), false)] {
        let mut peer = Peer::new();
        peer.request(&Draft::new("INVITE", 1));
        assert!(matches!(peer.take_events()[..], [LegEvent::Incoming { plan: None, .. }]));
        let answer = peer.handle(LegCommand::Answer { leg: LEG, local_media: media(A) });
        assert!(answer[0].contains("m=audio 40000 RTP/AVP 8 0 101"), "{}", answer[0]);
        let confirm = ack(1, header(&answer[0], "To")).body("application/sdp", &body);
        let sent = peer.request(&confirm);
        if is_good {
            let plan = plan(Direction::SendRecv);
            assert_eq!(peer.events, [LegEvent::Established { leg: LEG, plan }]);
            peer.handle(LegCommand::HangUp { leg: LEG, q850: None });
        } else {
            assert_eq!(words(&sent), ["BYE"]);
            let cause = Cause { by: EndedBy::Us, ..Cause::from_status(488) };
            assert_eq!(peer.events, [LegEvent::Ended { leg: LEG, cause }]);
        }
        peer.assert_clean();
    }
}

/// Hold and back (RFC 3264 §8.4), by re-INVITE and by UPDATE (RFC 3311).
#[test]
fn hold_is_answered_with_its_counterpart() {
    for method in ["INVITE", "UPDATE"] {
        let mut peer = Peer::new();
        let to = talking(&mut peer);
        for (cseq, asked, answered, direction) in [
            (2, "sendonly", "recvonly", Direction::RecvOnly),
            (3, "inactive", "inactive", Direction::Inactive),
            (4, "sendrecv", "sendrecv", Direction::SendRecv),
        ] {
            let change =
                Draft::new(method, cseq).body("application/sdp", &sdp("8 0", asked)).to(&to);
            let sent = peer.request(&change);
            assert_eq!(words(&sent), ["200"]);
            assert!(sent[0].contains(&format!("a={answered}")), "{}", sent[0]);
            assert_eq!(header(&sent[0], "Contact"), "<sip:4711@192.0.2.1:5060>");
            let plan = plan(direction);
            assert_eq!(peer.take_events(), [LegEvent::Changed { leg: LEG, plan }]);
            if method == "INVITE" {
                peer.request(&ack(cseq, &to));
            }
        }
        assert_eq!(peer.wait(Duration::from_secs(30)), Vec::<String>::new());
        // A refresh that changes nothing is answered and not told.
        let refresh = Draft::new(method, 9).body("application/sdp", &sdp("8 0", "sendrecv"));
        assert_eq!(words(&peer.request(&refresh.to(&to))), ["200"]);
        peer.request(&ack(9, &to));
        assert_eq!(peer.take_events(), []);
        peer.handle(LegCommand::HangUp { leg: LEG, q850: None });
        peer.assert_clean();
    }
}

/// What the offer names decides, whichever way it came; where it names nothing, the way does. What we
/// have no port for is refused (RFC 3261 §21.4.26).
#[test]
fn the_offer_says_of_which_version_of_ip_our_port_must_be() {
    use IpVersion::{V4, V6};
    let [four, six]: [IpAddr; 2] = ["192.0.2.1", "2001:db8::1"].map(|text| text.parse().unwrap());
    let offer = sdp("8", "sendrecv");
    let of_six = offer.replace("IP4 192.0.2.2", "IP6 2001:db8::2");
    let held = offer.replace("c=IN IP4 192.0.2.2", "c=IN IP4 0.0.0.0");
    for (ours, body, expected) in [
        (vec![four, six], &offer, Some(V4)),
        (vec![four, six], &of_six, Some(V6)),
        (vec![four, six], &held, Some(V4)),
        (vec![four, six], &String::new(), Some(V4)),
        (vec![six], &String::new(), Some(V6)),
        (vec![six], &of_six, Some(V6)),
        (vec![six], &held, Some(V6)),
        (vec![six], &offer, None),
        (vec![four], &of_six, None),
    ] {
        let sound_ip = IpVersions::of(ours.iter().copied());
        let mut peer = Peer::with(EndpointConfig { sound_ip, ..config(A) });
        let invite = Draft::new("INVITE", 1);
        let sent = peer.request(&match body.is_empty() {
            true => invite,
            false => invite.body("application/sdp", body),
        });
        let found = match &peer.take_events()[..] {
            [LegEvent::Incoming { call, .. }] => Some(call.sound_ip),
            _ => None,
        };
        assert_eq!(found, expected, "{ours:?} {body}");
        assert_eq!(words(&sent), [if expected.is_some() { "100" } else { "488" }]);
    }
    let both = IpVersions::of([four, six]);
    let mut peer = Peer::with(EndpointConfig { sound_ip: both, ..config(A) });
    peer.request(&Draft::new("INVITE", 1).body("application/sdp", &of_six));
    let local_media = (six, 40_000).into();
    let answer = peer.handle(LegCommand::Answer { leg: LEG, local_media });
    assert!(answer[0].contains("\r\nc=IN IP6 2001:db8::1\r\n"), "{}", answer[0]);
}

/// An offer beside an ISUP message (RFC 5621 §3.1) is found.
#[test]
fn an_offer_in_a_multipart_body_is_read() {
    let mut peer = Peer::new();
    let body = format!(
        "--b\r\nContent-Type: application/isup\r\n\r\n\u{1}\r\n--b\r\n\
         Content-Type: application/sdp\r\n\r\n{}\r\n--b--\r\n",
        sdp("8", "sendrecv")
    );
    peer.request(&Draft::new("INVITE", 1).body("multipart/mixed;boundary=b", &body));
    let events = peer.take_events();
    let [LegEvent::Incoming { plan: found, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(*found, Some(plan(Direction::SendRecv)));
    let answer = peer.handle(LegCommand::Answer { leg: LEG, local_media: media(A) });
    assert!(answer[0].contains("m=audio 40000 RTP/AVP 8\r\n"), "{}", answer[0]);
}

#[test]
fn a_reinvite_without_offer_gets_ours_and_its_ack_the_answer() {
    let mut peer = Peer::new();
    let to = talking(&mut peer);
    let sent = peer.request(&Draft::new("INVITE", 2).to(&to));
    assert!(sent[0].contains("m=audio 40000 RTP/AVP 8 0 101"), "{}", sent[0]);
    assert_eq!(peer.take_events(), []);
    peer.request(&ack(2, &to).body("application/sdp", &sdp("8", "sendonly")));
    let plan = plan(Direction::RecvOnly);
    assert_eq!(peer.take_events(), [LegEvent::Changed { leg: LEG, plan }]);
}

/// A re-INVITE that cannot be met leaves the session as it was (RFC 3261 §14.2).
#[test]
fn what_cannot_be_changed_stays() {
    let mut peer = Peer::new();
    let to = talking(&mut peer);
    let foreign = Draft::invite(2).body("application/sdp", &sdp("18", "sendrecv")).to(&to);
    assert_eq!(words(&peer.request(&foreign)), ["488"]);
    let isup = Draft::invite(3).body("application/isup", "x").to(&to);
    assert_eq!(words(&peer.request(&isup)), ["415"]);
    let brief = Draft::invite(4).set("Supported", "timer").set("Session-Expires", "20").to(&to);
    assert_eq!(words(&peer.request(&brief)), ["422"]);
    let extension = Draft::invite(5).set("Require", "precondition").to(&to);
    assert_eq!(words(&peer.request(&extension)), ["420"]);
    assert_eq!(peer.take_events(), []);
    assert_eq!(words(&peer.request(&Draft::new("BYE", 6).to(&to))), ["200"]);
    peer.assert_clean();
}

/// RFC 3261 §14.2: 500 with Retry-After while an answer of ours waits for its ACK; and §12.2.2 for
/// what comes out of order.
#[test]
fn requests_that_overlap_are_put_off() {
    let mut peer = Peer::new();
    peer.request(&Draft::invite(5));
    let ringing = peer.handle(LegCommand::Progress { leg: LEG, status: 180, local_media: None });
    let to = header(&ringing[0], "To").to_owned();
    let offer = Draft::new("UPDATE", 6).body("application/sdp", &sdp("8", "sendrecv"));
    let early = peer.request(&offer.to(&to));
    assert_eq!(word(&early[0]), "500");
    assert!(header(&early[0], "Retry-After").parse::<u32>().unwrap() <= 10);
    assert_eq!(words(&peer.request(&Draft::new("PRACK", 7).to(&to))), ["481"]);
    peer.handle(LegCommand::Answer { leg: LEG, local_media: media(A) });
    let second = peer.request(&Draft::invite(8).to(&to));
    assert_eq!(word(&second[0]), "500");
    assert!(!header(&second[0], "Retry-After").is_empty());
    peer.request(&ack(5, &to));
    assert_eq!(words(&peer.request(&Draft::invite(9).to(&to))), ["200"]);
    peer.request(&ack(9, &to));
    assert_eq!(words(&peer.request(&Draft::new("BYE", 4).to(&to))), ["500"]);
    assert_eq!(words(&peer.request(&Draft::new("BYE", 10).to(&to))), ["200"]);
    assert_eq!(words(&peer.request(&Draft::new("BYE", 11).to(&to))), ["481"]);
    peer.assert_clean();
}

#[test]
fn digits_come_by_info_and_other_methods_are_answered() {
    let mut peer = Peer::new();
    let to = talking(&mut peer);
    let digit = Draft::new("INFO", 2).body("application/dtmf-relay", "Signal=5\r\n").to(&to);
    assert_eq!(words(&peer.request(&digit)), ["200"]);
    assert_eq!(words(&peer.request(&digit)), ["200"], "repeated");
    assert_eq!(peer.take_events(), [LegEvent::InfoDigit { leg: LEG, digit: '5' }]);
    let video = Draft::new("INFO", 3).body("application/media_control+xml", "<a/>").to(&to);
    let sent = peer.request(&video);
    assert_eq!(word(&sent[0]), "415");
    assert!(header(&sent[0], "Accept").contains("dtmf-relay"));
    for (cseq, method, status) in [
        (4, "OPTIONS", "200"),
        (5, "UPDATE", "200"),
        (6, "REFER", "400"),
        (7, "MESSAGE", "405"),
        (8, "NOTIFY", "489"),
        (9, "PRACK", "481"),
    ] {
        assert_eq!(words(&peer.request(&Draft::new(method, cseq).to(&to))), [status], "{method}");
    }
    assert_eq!(peer.take_events(), []);
}

#[test]
fn a_caller_gives_up_by_cancel_bye_or_expiry() {
    for way in ["CANCEL", "BYE", "expiry"] {
        let mut peer = Peer::new();
        let sent = peer.request(&Draft::invite(1).set("Expires", "30"));
        assert_eq!(words(&sent), ["100"]);
        let ringing =
            peer.handle(LegCommand::Progress { leg: LEG, status: 180, local_media: None });
        peer.take_events();
        let sent = match way {
            "CANCEL" => {
                let via = header(&ringing[0], "Via").split(";received").next().unwrap();
                let cancel = Draft::new("CANCEL", 1).set("Via", via);
                let sent = peer.request(&cancel.set("Reason", "Q.850;cause=16"));
                assert_eq!(header(&sent[0], "To"), header(&ringing[0], "To"), "§9.2");
                sent
            }
            "BYE" => peer.request(&Draft::new("BYE", 2).to(header(&ringing[0], "To"))),
            _ => peer.wait(Duration::from_secs(30)),
        };
        assert_eq!(words(&sent), if way == "expiry" { vec!["487"] } else { vec!["200", "487"] });
        let events = peer.take_events();
        let [LegEvent::Ended { cause, .. }] = events[..] else { panic!("{events:?}") };
        assert_eq!((cause.kind, cause.by), (CauseKind::Cancelled, EndedBy::Peer));
        assert_eq!(cause.q850, if way == "CANCEL" { 16 } else { 127 });
        peer.assert_clean();
    }
}

/// RFC 3261 §9.2: a CANCEL after the answer is answered and changes nothing.
#[test]
fn a_cancel_after_the_answer_changes_nothing() {
    let mut peer = Peer::new();
    let to = talking(&mut peer);
    let cancel = Draft::new("CANCEL", 1).set("Via", &Draft::invite(1).headers[0].1);
    let sent = peer.request(&cancel);
    assert_eq!((words(&sent), header(&sent[0], "To")), (vec!["200"], &*to));
    assert_eq!(peer.take_events(), []);
    assert_eq!(peer.endpoint.legs(), 1);
}

/// RFC 3261 §13.3.1.1: 180 again each minute.
#[test]
fn ringing_is_repeated_each_minute() {
    let mut peer = Peer::new();
    peer.request(&Draft::invite(1));
    assert_eq!(
        words(&peer.handle(LegCommand::Progress { leg: LEG, status: 180, local_media: None })),
        ["180"]
    );
    assert_eq!(words(&peer.wait(Duration::from_secs(150))), ["180", "180"]);
    assert_eq!(words(&peer.handle(LegCommand::HangUp { leg: LEG, q850: None })), ["480"]);
}

/// RFC 4028: we keep the timer we are asked for, in either role.
#[test]
fn session_timers_are_kept_in_both_roles() {
    for (refresher, allow) in [("uac", ""), ("uas", "UPDATE"), ("uas", "")] {
        let mut peer = Peer::new();
        let invite = Draft::invite(1)
            .set("Supported", "timer")
            .set("Session-Expires", &format!("120;refresher={refresher}"))
            .set("Allow", allow);
        peer.request(&invite);
        let answer = peer.handle(LegCommand::Answer { leg: LEG, local_media: media(A) });
        let expected = format!("120;refresher={refresher}");
        assert_eq!(header(&answer[0], "Session-Expires"), expected);
        assert_eq!(header(&answer[0], "Require"), "timer");
        let to = header(&answer[0], "To").to_owned();
        peer.request(&ack(1, &to));
        peer.take_events();
        let sent = peer.wait(Duration::from_secs(60));
        if refresher == "uas" {
            refreshed_by_us(&mut peer, &sent[0], allow);
            continue;
        }
        // Theirs: a refresh in time keeps it, silence ends it.
        assert_eq!(sent, Vec::<String>::new());
        let refresh = Draft::new("UPDATE", 2)
            .set("Supported", "timer")
            .set("Session-Expires", "120;refresher=uac");
        let sent = peer.request(&refresh.to(&to));
        assert_eq!(header(&sent[0], "Session-Expires"), "120;refresher=uac");
        assert_eq!(peer.wait(Duration::from_secs(87)), Vec::<String>::new());
        assert_eq!(words(&peer.wait(Duration::from_secs(1))), ["BYE"]);
        assert_eq!(peer.take_events(), [LegEvent::Ended { leg: LEG, cause: Cause::silent() }]);
        peer.assert_clean();
    }
}

/// Our refresh goes out at half the interval, by UPDATE where they take it.
fn refreshed_by_us(peer: &mut Peer, refresh: &str, allow: &str) {
    use super::peer::response;
    assert_eq!(word(refresh), if allow.is_empty() { "INVITE" } else { "UPDATE" });
    assert_eq!(header(refresh, "Session-Expires"), "120;refresher=uac");
    let extra = "Contact: <sip:+49302@192.0.2.2:5060>\r\nSession-Expires: 120;refresher=uac\r\n";
    let body = if allow.is_empty() { sdp("8", "sendrecv") } else { String::new() };
    let ok = response(refresh, "200 OK", "peer", extra, &body);
    let sent = peer.send(&ok);
    assert_eq!(words(&sent), if allow.is_empty() { vec!["ACK"] } else { vec![] });
    assert_eq!(peer.send(&ok), sent, "a repeated 2xx gets the ACK again");
    assert_eq!(peer.take_events(), [], "nothing has changed");
    let again = peer.wait(Duration::from_secs(60));
    assert_eq!(word(&again[0]), word(refresh));
    // The other end has forgotten the dialog: so do we (RFC 3261 §12.2.1.2).
    let sent = peer.send(&response(&again[0], "481 Gone", "peer", "", ""));
    assert!(words(&sent).contains(&"BYE"), "{sent:?}");
    assert!(matches!(peer.take_events()[..], [LegEvent::Ended { .. }]));
    peer.assert_clean();
}
