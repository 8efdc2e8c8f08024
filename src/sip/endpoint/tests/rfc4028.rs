//! RFC 4028: session timers, in both roles: a call through its life, then rule by rule.

use super::pair::{A, config};
use super::peer::{Draft, Peer, header, response, sdp, word};
use super::steps::*;
use crate::endpoint::config::SessionPolicy;
use crate::event::{LegCommand, LegEvent};
use domain::cause::{Cause, EndedBy};
use std::time::Duration;

const TIMER: SessionPolicy = SessionPolicy { interval_s: 1_800, ..SessionPolicy::PLAIN };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// RFC 4028 §7.1: what our INVITE asks for.
#[test]
fn rfc_4028_s7_1_our_invite_asks_for_a_timer() {
    for (interval_s, expires, least) in [(1_800, "1800", "90"), (20, "90", "90"), (0, "", "")] {
        let mut peer = with_policy(SessionPolicy { interval_s, ..TIMER });
        let invite = dial(&mut peer);
        assert_eq!(
            (header(&invite, "Session-Expires"), header(&invite, "Min-SE")),
            (expires, least)
        );
        assert!(header(&invite, "Supported").contains("timer"));
    }
}

/// RFC 4028 §7.3: a 422 raises the interval inside the same dialling.
#[test]
fn rfc_4028_s7_3_a_422_is_tried_again_with_its_min_se() {
    let mut peer = with_policy(TIMER);
    let mut invite = dial(&mut peer);
    peer.take_events();
    let first = invite.clone();
    for (min_se, cseq) in [("3600", "2 INVITE"), ("4000;x=y", "3 INVITE")] {
        let extra = format!("Min-SE: {min_se}\r\n");
        let sent = peer.send(&response(&invite, "422 Too Small", "one", &extra, ""));
        assert_eq!(words(&sent), ["ACK", "INVITE"]);
        invite = sent[1].clone();
        assert_eq!(header(&invite, "CSeq"), cseq);
        assert_eq!(fields(&invite, "Session-Expires"), [min_se.split(';').next().unwrap()]);
        assert_eq!(fields(&invite, "Min-SE"), [min_se.split(';').next().unwrap()]);
        for same in ["Call-ID", "From", "To"] {
            assert_eq!(header(&invite, same), header(&first, same));
        }
    }
    assert_eq!(peer.take_events(), []);
    assert_eq!(words(&peer.send(&ok(&invite, "one"))), ["ACK"]);
    assert!(matches!(peer.take_events()[..], [LegEvent::Established { .. }]));
}

/// A 422 that tells nothing new, or too often, is final.
#[test]
fn rfc_4028_s7_3_a_422_without_news_is_final() {
    for extra in ["", "Min-SE: 1800\r\n", "Min-SE: x\r\n"] {
        let mut peer = with_policy(TIMER);
        let invite = dial(&mut peer);
        let sent = peer.send(&response(&invite, "422 Too Small", "one", extra, ""));
        assert_eq!(words(&sent), ["ACK"], "{extra}");
        let cause = Cause { by: EndedBy::Peer, ..Cause::from_status(422) };
        assert_eq!(peer.take_events().last(), Some(&LegEvent::Ended { leg: OUT, cause }));
        peer.assert_clean();
    }
    let mut peer = with_policy(TIMER);
    let mut invite = dial(&mut peer);
    let mut tries = 0;
    loop {
        let extra = format!("Min-SE: {}\r\n", 2_000 + tries);
        let sent = peer.send(&response(&invite, "422 Too Small", "one", &extra, ""));
        let Some(again) = sent.get(1) else { break };
        invite = again.clone();
        tries += 1;
        assert!(tries < 10, "it never ends");
    }
    assert_eq!(tries, 4);
}

/// RFC 4028 §7.2, §10: as caller and refresher, at half the interval; by UPDATE where Allow says so.
#[test]
fn rfc_4028_s7_2_the_caller_refreshes_at_half_the_interval() {
    for (allow, method) in [("Allow: INVITE, UPDATE\r\n", "UPDATE"), ("", "INVITE")] {
        let mut peer = with_policy(TIMER);
        let invite = dial(&mut peer);
        let extra =
            format!("{CONTACT}{allow}Require: timer\r\nSession-Expires: 600;refresher=uac\r\n");
        peer.send(&response(&invite, "200 OK", "one", &extra, &sdp("8", "sendrecv")));
        assert_eq!(peer.wait(Duration::from_millis(299_999)), [""; 0]);
        let sent = peer.wait(Duration::from_millis(1));
        assert_eq!(words(&sent), [method]);
        assert_eq!(header(&sent[0], "Session-Expires"), "600;refresher=uac");
        assert_eq!(body(&sent[0]).is_empty(), method == "UPDATE", "it offers nothing new");
    }
}

/// RFC 4028 §10: as caller, theirs to refresh: a BYE before the expiry by the lesser of 32 s and a
/// third of the interval.
#[test]
fn rfc_4028_s10_without_their_refresh_the_call_is_ended_early() {
    for (interval, ends) in [(1_800, 1_768), (90, 60), (96, 64)] {
        let mut peer = with_policy(TIMER);
        let invite = dial(&mut peer);
        let extra =
            format!("{CONTACT}Require: timer\r\nSession-Expires: {interval};refresher=uas\r\n");
        peer.send(&response(&invite, "200 OK", "one", &extra, &sdp("8", "sendrecv")));
        peer.take_events();
        assert_eq!(peer.wait(seconds(ends) - Duration::from_millis(1)), [""; 0]);
        assert_eq!(words(&peer.wait(Duration::from_millis(1))), ["BYE"]);
        assert_eq!(peer.take_events(), [LegEvent::Ended { leg: OUT, cause: Cause::silent() }]);
    }
}

/// RFC 4028 §7.2: a 2xx without Session-Expires: there is no expiry.
#[test]
fn rfc_4028_s7_2_a_2xx_without_session_expires_means_no_timer() {
    let mut peer = with_policy(TIMER);
    let invite = dial(&mut peer);
    peer.send(&ok(&invite, "one"));
    assert_eq!(peer.wait(seconds(100_000)), [""; 0]);
    assert_eq!(peer.endpoint.legs(), 1);
}

/// RFC 4028 §9: as callee we ask for one of a caller who can, and never below his Min-SE.
#[test]
fn rfc_4028_s9_the_callee_asks_a_caller_who_can() {
    for (supported, min_se, expires) in [
        ("timer", "", "1800;refresher=uac"),
        ("timer", "3600", "3600;refresher=uac"),
        ("100rel", "", ""),
    ] {
        let mut peer = with_policy(TIMER);
        peer.request(&Draft::invite(1).set("Supported", supported).set("Min-SE", min_se));
        let answer = answer(&mut peer);
        assert_eq!(header(&answer, "Session-Expires"), expires);
        assert_eq!(header(&answer, "Require"), if expires.is_empty() { "" } else { "timer" });
    }
    let mut peer = with_policy(TIMER);
    peer.request(&Draft::invite(1).set("Supported", "timer").set("Session-Expires", "600"));
    assert_eq!(header(&answer(&mut peer), "Session-Expires"), "600;refresher=uac", "never raised");
}

/// RFC 4028 §9: too small an interval is refused with ours, outside a dialog and in it.
#[test]
fn rfc_4028_s9_too_small_an_interval_gets_422() {
    let mut peer = with_policy(TIMER);
    let small = |cseq| Draft::invite(cseq).set("Supported", "timer").set("Session-Expires", "89");
    let sent = peer.request(&small(1));
    assert_eq!((word(&sent[0]), header(&sent[0], "Min-SE")), ("422", "90"));
    let to = talking(&mut peer, &Draft::invite(1).set("Call-ID", "call"));
    let sent = peer.request(&small(2).to(&to));
    assert_eq!((word(&sent[0]), header(&sent[0], "Min-SE")), ("422", "90"));
    assert_eq!(sent.len(), 1);
}

/// A peer whose calls get a session timer of ours.
fn asking(interval_s: u32) -> Peer {
    let mut config = config(A);
    config.trunks[0].session.interval_s = interval_s;
    Peer::with(config)
}

fn timed(expires: &str) -> Draft {
    Draft::invite(1).set("Supported", "timer").set("Session-Expires", expires)
}

/// RFC 4028 §4, §9: any interval from 90 s on, neither longer nor shorter in the answer; no Min-SE there
/// (§5).
#[test]
fn an_interval_is_taken_as_it_comes() {
    for seconds in [90, 91, 1_800, 86_400, u32::MAX] {
        let mut peer = Peer::new();
        let invite = timed(&seconds.to_string()).set("Min-SE", "90");
        assert_eq!(words(&peer.request(&invite)), ["100"]);
        let ok = answer(&mut peer);
        assert_eq!(header(&ok, "Session-Expires"), format!("{seconds};refresher=uac"));
        assert_eq!((header(&ok, "Min-SE"), header(&ok, "Require")), ("", "timer"));
    }
}

/// RFC 4028 §5, §6, §9: 422 with our minimum, which is 90 s.
#[test]
fn an_interval_too_small_is_refused_with_the_least() {
    for seconds in ["89", "1", "0"] {
        let sent = Peer::new().request(&timed(seconds));
        assert_eq!((word(&sent[0]), header(&sent[0], "Min-SE")), ("422", "90"), "{seconds}");
    }
}

/// RFC 4028 §7.1: each request but ACK says that we know timers, whether one is wanted or not.
#[test]
fn every_request_of_ours_supports_timers() {
    let mut peer = Peer::new();
    let invite = talking_out(&mut peer);
    let mut sent = vec![invite];
    sent.extend(hang_up(&mut peer, OUT));
    let mut peer = Peer::new();
    let invite = dial(&mut peer);
    peer.send(&response(&invite, "180 Ringing", "one", CONTACT, ""));
    sent.extend(hang_up(&mut peer, OUT));
    for allow in ["", "UPDATE"] {
        let mut peer = Peer::new();
        talking(&mut peer, &timed("120;refresher=uas").set("Allow", allow));
        sent.extend(peer.wait(Duration::from_secs(60)));
    }
    assert_eq!(words(&sent), ["INVITE", "BYE", "CANCEL", "INVITE", "UPDATE"]);
    for request in &sent {
        let supported: Vec<_> = header(request, "Supported").split(", ").collect();
        assert!(supported.contains(&"timer"), "{request}");
    }
}

/// RFC 4028 §7.2: whether we asked or not, the answer says who refreshes, and that is done in time.
#[test]
fn the_answer_says_who_refreshes() {
    for (asked, said, ours) in [
        (0, "120;refresher=uac", true),
        (0, "120", true),
        (0, "120;refresher=uas", false),
        (600, "120;refresher=uac", true),
        (600, "120;refresher=uas", false),
    ] {
        let mut peer = asking(asked);
        let invite = dial(&mut peer);
        assert_eq!(header(&invite, "Session-Expires").is_empty(), asked == 0);
        let extra = format!("{CONTACT}Require: timer\r\nSession-Expires: {said}\r\n");
        peer.send(&response(&invite, "200 OK", "one", &extra, &sdp("8", "sendrecv")));
        let sent = peer.wait(Duration::from_secs(60));
        if ours {
            assert!(matches!(words(&sent)[..], ["INVITE" | "UPDATE"]), "{said}");
            assert!(header(&sent[0], "Session-Expires").ends_with(";refresher=uac"));
        } else {
            assert_eq!(sent, Vec::<String>::new(), "{said}");
            assert_eq!(words(&peer.wait(Duration::from_secs(28))), ["BYE"], "{said}");
        }
    }
}

/// RFC 4028 §7.4: the INVITE goes again with the Min-SE of the 422, and with an interval not below it; a
/// refresh has the largest that was seen in the dialog.
#[test]
fn the_largest_minimum_is_kept_to() {
    let mut peer = asking(120);
    let invite = dial(&mut peer);
    let sent = peer.send(&response(&invite, "422 x", "one", "Min-SE: 300\r\n", ""));
    assert_eq!(words(&sent), ["ACK", "INVITE"]);
    let again = &sent[1];
    assert_eq!(header(again, "Call-ID"), header(&invite, "Call-ID"));
    assert_eq!(header(again, "Min-SE"), "300");
    let seconds = header(again, "Session-Expires").split(';').next().unwrap();
    assert!(seconds.parse::<u32>().unwrap() >= 300, "{again}");

    let mut peer = Peer::new();
    let to = talking(&mut peer, &timed("400;refresher=uas").set("Min-SE", "200"));
    let theirs = Draft::new("UPDATE", 2).to(&to).set("Supported", "timer");
    let theirs = theirs.set("Session-Expires", "400;refresher=uas").set("Min-SE", "350");
    assert_eq!(words(&peer.request(&theirs)), ["200"]);
    let lower = Draft::new("UPDATE", 3).to(&to).set("Supported", "timer");
    let lower = lower.set("Session-Expires", "400;refresher=uas").set("Min-SE", "100");
    assert_eq!(words(&peer.request(&lower)), ["200"]);
    let refresh = peer.wait(Duration::from_secs(200));
    assert_eq!(header(&refresh[0], "Min-SE"), "350");
}

/// RFC 4028 §7.4: the options of a refresh are those of the first request.
#[test]
fn a_refresh_has_the_options_of_the_first_request() {
    let mut peer = asking(120);
    let invite = dial(&mut peer);
    let extra = format!("{CONTACT}Require: timer\r\nSession-Expires: 120;refresher=uac\r\n");
    peer.send(&response(&invite, "200 OK", "one", &extra, &sdp("8", "sendrecv")));
    let refresh = peer.wait(Duration::from_secs(60)).remove(0);
    for name in ["Supported", "Require", "Proxy-Require"] {
        assert_eq!(header(&refresh, name), header(&invite, name), "{name}");
    }
}

/// RFC 4028 §9: where they ask for no timer and we do, ours is not below their Min-SE.
#[test]
fn an_interval_of_ours_is_not_below_their_minimum() {
    for (least, expected) in [("", 120), ("90", 120), ("500", 500)] {
        let mut peer = asking(120);
        peer.request(&Draft::invite(1).set("Supported", "timer").set("Min-SE", least));
        let ok = answer(&mut peer);
        let seconds = header(&ok, "Session-Expires").split(';').next().unwrap();
        assert_eq!(seconds.parse(), Ok(expected), "{least}: {ok}");
    }
}

/// RFC 4028 §7.4: a change of ours leaves the refreshes to whoever does them, whether it is taken or
/// not.
#[test]
fn rfc_4028_s7_4_a_change_leaves_the_refresher_his_role() {
    for (theirs, said, refreshes) in [("uas", "uas", false), ("uac", "uac", true)] {
        for is_taken in [true, false] {
            let mut peer = asking(120);
            let invite = dial(&mut peer);
            let expires = format!("Session-Expires: 120;refresher={theirs}\r\n");
            let extra = format!("{CONTACT}Require: timer\r\n{expires}");
            peer.send(&response(&invite, "200 OK", "one", &extra, &sdp("8", "sendrecv")));
            let change = peer.handle(LegCommand::Hold { leg: OUT, on: true });
            assert_eq!(words(&change), ["INVITE"]);
            let asked = header(&change[0], "Session-Expires");
            assert_eq!(asked, format!("120;refresher={said}"));
            match is_taken {
                true => {
                    let extra = format!("{CONTACT}{expires}");
                    let answer = sdp("8", "recvonly");
                    peer.send(&response(&change[0], "200 OK", "one", &extra, &answer));
                }
                false => {
                    peer.send(&response(&change[0], "488 No", "one", "", ""));
                }
            }
            let sent = peer.wait(Duration::from_secs(60));
            assert_eq!(sent.iter().any(|sent| word(sent) == "INVITE"), refreshes, "{sent:?}");
        }
    }
}
