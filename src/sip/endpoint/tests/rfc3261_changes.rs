//! RFC 3261 §14 and RFC 3264 §8: sessions that we change, collisions, and what is refused with the
//! sound kept.

use super::pair::{A, media};
use super::peer::{Draft, Peer, header, response, sdp, word};
use super::steps::*;
use crate::event::{LegCommand, LegEvent};
use domain::cause::Cause;
use domain::id::LegId;
use domain::media_plan::{Direction, MediaPlan};
use std::net::SocketAddr;
use std::time::Duration;

const OFFER: &str = "application/sdp";

fn hold(peer: &mut Peer, leg: LegId, on: bool) -> Vec<String> {
    peer.handle(LegCommand::Hold { leg, on })
}

fn changed(peer: &mut Peer) -> Option<MediaPlan> {
    match &peer.take_events()[..] {
        [LegEvent::Changed { plan, .. }] => Some(plan.clone()),
        [] => None,
        events => panic!("{events:?}"),
    }
}

/// RFC 3264 §8.4: sendonly is answered recvonly, and back; what they answer too much is not heard.
#[test]
fn rfc_3264_s8_4_we_hold_and_resume() {
    for (leg, tag) in [(IN, "peer"), (OUT, "one")] {
        let mut peer = with_policy(RELIABLE);
        match leg {
            IN => drop(talking(&mut peer, &Draft::invite(1))),
            _ => drop(talking_out(&mut peer)),
        }
        for (on, offered, answered, direction) in [
            (true, "sendonly", "recvonly", Direction::SendOnly),
            (false, "sendrecv", "sendrecv", Direction::SendRecv),
            (true, "sendonly", "sendrecv", Direction::SendOnly),
            (false, "sendrecv", "sendonly", Direction::RecvOnly),
            (true, "sendonly", "inactive", Direction::Inactive),
        ] {
            let sent = hold(&mut peer, leg, on);
            assert_eq!(words(&sent), ["INVITE"]);
            assert!(body(&sent[0]).contains(&format!("a={offered}")), "{}", sent[0]);
            assert_eq!(hold(&mut peer, leg, on), [""; 0], "asked for already");
            let ok = response(&sent[0], "200 OK", tag, CONTACT, &sdp("8", answered));
            assert_eq!(words(&peer.send(&ok)), ["ACK"]);
            assert_eq!(changed(&mut peer).map(|plan| plan.direction), Some(direction));
        }
    }
}

/// RFC 3264 §6.1: while we hold them, their offers are answered so that they stay held.
#[test]
fn rfc_3264_s6_1_a_held_one_stays_held_by_our_answers() {
    let mut peer = with_policy(RELIABLE);
    let to = talking(&mut peer, &Draft::invite(1));
    let sent = hold(&mut peer, IN, true);
    peer.send(&response(&sent[0], "200 OK", "peer", CONTACT, &sdp("8", "recvonly")));
    for (cseq, asked, answered) in [
        (2, "sendrecv", "sendonly"),
        (3, "sendonly", "inactive"),
        (4, "recvonly", "sendonly"),
        (5, "inactive", "inactive"),
    ] {
        let sent = peer.request(&Draft::invite(cseq).to(&to).body(OFFER, &sdp("8", asked)));
        assert!(body(&sent[0]).contains(&format!("a={answered}")), "{asked}: {}", sent[0]);
        peer.request(&ack(cseq, &to));
    }
    let sent = peer.request(&Draft::new("INVITE", 6).to(&to));
    assert!(body(&sent[0]).contains("a=sendonly"), "our own offer, too: {}", sent[0]);
}

/// Our sound moves to another port; refused, it stays where it was, and the next refresh says so.
#[test]
fn rfc_3261_s14_1_a_refused_change_leaves_all_as_it_was() {
    let mut peer = with_policy(RELIABLE);
    refreshed_by_us(&mut peer);
    let local_media = SocketAddr::new(media(A).ip(), 41_000);
    let sent = peer.handle(LegCommand::Offer { leg: IN, local_media });
    assert!(body(&sent[0]).contains("m=audio 41000"), "{}", sent[0]);
    assert_eq!(header(&sent[0], "Session-Expires"), "120;refresher=uac", "it refreshes as well");
    let refusal = response(&sent[0], "488 Not Acceptable Here", "peer", "", "");
    assert_eq!(words(&peer.send(&refusal)), ["ACK"]);
    assert_eq!(changed(&mut peer), None);
    // RFC 4028 §10: the refresh that it was as well is owed still, an eighth of the interval later.
    let refresh = peer.wait(Duration::from_secs(15));
    assert!(body(&refresh[0]).contains("m=audio 40000"), "{}", refresh[0]);

    let sent = peer.send(&response(&refresh[0], "200 OK", "peer", CONTACT, &sdp("8", "sendrecv")));
    assert_eq!(words(&sent), ["ACK"]);
    let sent = peer.handle(LegCommand::Offer { leg: IN, local_media });
    peer.send(&response(&sent[0], "200 OK", "peer", CONTACT, &sdp("8", "sendrecv")));
    let sent = hold(&mut peer, IN, true);
    assert!(body(&sent[0]).contains("m=audio 41000"), "{}", sent[0]);
}

/// RFC 3261 §14.1: 491 is tried again, by the caller in 2.1 to 4 s, by the callee within 2 s.
#[test]
fn rfc_3261_s14_1_a_491_is_tried_again_by_who_owns_the_call_id() {
    for (leg, tag, least, most) in [(IN, "peer", 0, 2_000), (OUT, "one", 2_100, 4_000)] {
        let mut peer = with_policy(RELIABLE);
        match leg {
            IN => drop(talking(&mut peer, &Draft::invite(1))),
            _ => drop(talking_out(&mut peer)),
        }
        let sent = hold(&mut peer, leg, true);
        peer.send(&response(&sent[0], "491 Request Pending", tag, "", ""));
        let asked = peer.now.instant;
        let again = (0..=400).find_map(|_| {
            let sent = peer.wait(Duration::from_millis(10));
            (!sent.is_empty()).then_some(sent)
        });
        let again = again.unwrap();
        let after = (peer.now.instant - asked).as_millis();
        assert!((least..=most + 10).contains(&after), "{after} ms");
        assert_eq!(words(&again), ["INVITE"]);
        assert!(body(&again[0]).contains("a=sendonly"), "{}", again[0]);
    }
}

/// RFC 3261 §14.1: what is no longer wanted when the time has come is not asked for.
#[test]
fn rfc_3261_s14_1_a_changed_mind_counts() {
    let mut peer = with_policy(RELIABLE);
    talking(&mut peer, &Draft::invite(1));
    let sent = hold(&mut peer, IN, true);
    peer.send(&response(&sent[0], "491 Request Pending", "peer", "", ""));
    hold(&mut peer, IN, false);
    assert_eq!(peer.wait(Duration::from_secs(60)), [""; 0]);
    let sent = hold(&mut peer, IN, true);
    peer.send(&response(&sent[0], "491 Request Pending", "peer", "", ""));
    assert_eq!(words(&hang_up(&mut peer, IN)), ["BYE"]);
    let later = peer.wait(Duration::from_secs(2));
    assert!(words(&later).iter().all(|word| *word == "BYE"), "nor after the end: {later:?}");
}

/// RFC 3261 §14.2: a 500 with Retry-After is waited for.
#[test]
fn rfc_3261_s14_2_a_500_with_retry_after_is_waited_for() {
    let mut peer = with_policy(RELIABLE);
    talking(&mut peer, &Draft::invite(1));
    let sent = hold(&mut peer, IN, true);
    let busy = response(&sent[0], "500 Busy", "peer", "Retry-After: 7\r\n", "");
    peer.send(&busy);
    assert_eq!(peer.wait(Duration::from_millis(6_999)), [""; 0]);
    assert_eq!(words(&peer.wait(Duration::from_millis(1))), ["INVITE"]);
}

/// RFC 3261 §14.1: no INVITE of ours while one of theirs is unfinished; §14.2: 491 the other way.
#[test]
fn rfc_3261_s14_1_ours_waits_until_theirs_is_finished() {
    let mut peer = with_policy(RELIABLE);
    let to = talking(&mut peer, &Draft::invite(1));
    peer.request(&Draft::invite(2).to(&to));
    assert_eq!(hold(&mut peer, IN, true), [""; 0]);
    let sent = peer.request(&ack(2, &to));
    assert_eq!(words(&sent), ["INVITE"]);
    assert_eq!(words(&peer.request(&Draft::invite(3).to(&to))), ["491"]);
    peer.send(&response(&sent[0], "200 OK", "peer", CONTACT, &sdp("8", "recvonly")));
    assert_eq!(words(&peer.request(&Draft::invite(4).to(&to))), ["200"]);
}

/// RFC 3262 §4: a reliable provisional response to a re-INVITE is acknowledged as well.
#[test]
fn rfc_3262_s4_a_reliable_response_to_a_reinvite_is_acknowledged() {
    let mut peer = with_policy(RELIABLE);
    talking_out(&mut peer);
    let sent = hold(&mut peer, OUT, true);
    let cseq = header(&sent[0], "CSeq").to_owned();
    for (rseq, count) in [(3, 1), (3, 0), (5, 0), (4, 1)] {
        let pracks = peer.send(&reliable(&sent[0], "one", rseq, ""));
        assert_eq!(pracks.len(), count, "{rseq}");
        if let Some(prack) = pracks.first() {
            assert_eq!(header(prack, "RAck"), format!("{rseq} {cseq}"));
        }
    }
    let ok = response(&sent[0], "200 OK", "one", CONTACT, &sdp("8", "recvonly"));
    let sent = peer.send(&ok);
    assert_eq!(header(&sent[0], "CSeq"), cseq.replace("INVITE", "ACK"));
}

/// RFC 3261 §12.2.1.2: 408, 481 and silence end the dialog.
#[test]
fn rfc_3261_s12_2_1_2_a_lost_dialog_is_ended() {
    for line in ["481 Gone", "408 Timeout", ""] {
        let mut peer = with_policy(RELIABLE);
        talking(&mut peer, &Draft::invite(1));
        let sent = hold(&mut peer, IN, true);
        let sent = match line {
            "" => peer.wait(Duration::from_secs(32)),
            line => peer.send(&response(&sent[0], line, "peer", "", "")),
        };
        assert_eq!(word(sent.last().unwrap()), "BYE");
        let status = line.split(' ').next().unwrap().parse();
        let cause = status.map_or(Cause::silent(), Cause::from_status);
        assert_eq!(peer.take_events(), [LegEvent::Ended { leg: IN, cause }]);
        peer.assert_clean();
    }
}

/// RFC 3261 §14.2, RFC 3264 §6: fax alone is refused and the session stays as it was; beside sound it
/// is refused in its place and the sound kept.
#[test]
fn rfc_3264_s6_t38_is_refused_and_the_sound_kept() {
    let image = "m=image 5000 udptl t38\r\na=T38FaxVersion:0\r\n";
    for method in ["INVITE", "UPDATE"] {
        let mut peer = with_policy(RELIABLE);
        let to = talking(&mut peer, &Draft::invite(1));
        let sound = sdp("8 0", "sendrecv");
        let (head, _) = sound.split_once("m=").unwrap();
        let fax = Draft::new(method, 2).to(&to).body(OFFER, &format!("{head}{image}"));
        assert_eq!(words(&peer.request(&fax)), ["488"]);
        let silent = format!("{head}m=audio 0 RTP/AVP 8\r\n{image}");
        let fax = Draft::new(method, 3).to(&to).body(OFFER, &silent);
        assert_eq!(words(&peer.request(&fax)), ["488"]);
        assert_eq!(changed(&mut peer), None);
        let both = Draft::new(method, 4).to(&to).body(OFFER, &format!("{sound}{image}"));
        let sent = peer.request(&both);
        assert!(body(&sent[0]).contains("m=audio 40000 RTP/AVP 8\r\n"), "{}", sent[0]);
        assert!(body(&sent[0]).contains("m=image 0 udptl t38\r\n"), "{}", sent[0]);
        assert_eq!(changed(&mut peer), None, "the sound is what it was");
    }
}

/// RFC 4320 §4: no 408 and no 1xx to a request other than INVITE, at any time.
#[test]
fn rfc_4320_s4_requests_other_than_invite_get_one_final_answer_and_no_408() {
    for method in ["OPTIONS", "INFO", "UPDATE", "PRACK", "NOTIFY", "MESSAGE", "REFER", "BYE"] {
        let mut peer = with_policy(FULL);
        let to = talking(&mut peer, &Draft::invite(1));
        let draft = Draft::new(method, 2).to(&to);
        let sent = peer.request(&draft);
        let status: u16 = word(&sent[0]).parse().unwrap();
        assert!(status >= 200 && status != 408, "{method}: {status}");
        let later = peer.wait(Duration::from_secs(31));
        let is_answer = |sent: &&String| header(sent, "CSeq") == format!("2 {method}");
        assert_eq!(later.iter().filter(is_answer).count(), 0, "{method}: {later:?}");
    }
}
