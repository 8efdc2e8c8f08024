//! RFC 4028: session timers, rule by rule, in both roles.

use super::pair::{A, config};
use super::peer::{Draft, Peer, header, response, sdp, word};
use super::steps::*;
use std::time::Duration;

/// A peer whose calls get a session timer of ours.
fn asking(interval_s: u32) -> Peer {
    let mut config = config(A);
    config.trunks[0].session.interval_s = interval_s;
    Peer::with(config)
}

fn timed(expires: &str) -> Draft {
    Draft::invite(1).set("Supported", "timer").set("Session-Expires", expires)
}

/// §4, §9: any interval from 90 s on, neither longer nor shorter in the answer; no Min-SE there
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

/// §5, §6, §9: 422 with our minimum, which is 90 s.
#[test]
fn an_interval_too_small_is_refused_with_the_least() {
    for seconds in ["89", "1", "0"] {
        let sent = Peer::new().request(&timed(seconds));
        assert_eq!((word(&sent[0]), header(&sent[0], "Min-SE")), ("422", "90"), "{seconds}");
    }
}

/// §7.1: each request but ACK says that we know timers, whether one is wanted or not.
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

/// §7.2: whether we asked or not, the answer says who refreshes, and that is done in time.
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

/// §7.4: the INVITE goes again with the Min-SE of the 422, and with an interval not below it; a
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

/// §7.4: the options of a refresh are those of the first request.
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

/// §9: where they ask for no timer and we do, ours is not below their Min-SE.
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
