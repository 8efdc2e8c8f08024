//! Peers that leave things unfinished, or answer what was not asked: what it does to a call, and
//! what is left of it afterwards.

use super::pair::{A, B, address, media, trunk};
use super::peer::{Draft, Peer, header, response, sdp, word};
use crate::event::{Caller, LegCommand, LegEvent, MAX_FORWARDS, Target, Transport};
use domain::cause::{Cause, EndedBy};
use domain::hop::Hop;
use domain::id::LegId;
use domain::media_plan::Direction;
use std::time::Duration;

const IN: LegId = LegId(1);
const OUT: LegId = LegId(2);
const CONTACT: &str = "Contact: <sip:4711@192.0.2.2:5060>\r\n";

fn words(messages: &[String]) -> Vec<&str> {
    messages.iter().map(|message| word(message)).collect()
}

/// Dials the carrier; the INVITE.
fn dial(peer: &mut Peer) -> String {
    let (trunk, hop) = (trunk("carrier"), Hop::at(Transport::Udp, address(B)));
    let target = Target::Trunk { trunk, hop, user: "4711".into() };
    let sent = peer.handle(LegCommand::Dial {
        leg: OUT,
        target,
        caller: Caller::shown("+49301"),
        local_media: media(A),
        ring_for: Duration::from_secs(20),
        heard_within: None,
        call_id: None,
        max_forwards: MAX_FORWARDS,
        service_route: Vec::new(),
    });
    sent.into_iter().next().unwrap()
}

/// Their call, answered and acknowledged; the To of our answer.
fn talking(peer: &mut Peer, invite: &Draft) -> String {
    peer.request(invite);
    let answer = peer.handle(LegCommand::Answer { leg: IN, local_media: media(A) });
    let to = header(&answer[0], "To").to_owned();
    let via = "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKack";
    peer.request(&Draft::new("ACK", 1).to(&to).set("Via", via));
    peer.take_events();
    to
}

/// Their call, whose session timer of 120 s we have to refresh.
fn refreshed_by_us(peer: &mut Peer) -> String {
    let invite = Draft::invite(1).set("Supported", "timer");
    talking(peer, &invite.set("Session-Expires", "120;refresher=uas"))
}

/// The BYE to a surplus fork is not the leg's own: whatever becomes of it, the call goes on.
#[test]
fn a_fork_that_does_not_answer_its_bye_leaves_the_call_alone() {
    for answer in ["", "200 OK", "407 Auth"] {
        let mut peer = Peer::new();
        let invite = dial(&mut peer);
        let body = sdp("8", "sendrecv");
        peer.send(&response(&invite, "200 OK", "one", CONTACT, &body));
        let surplus = peer.send(&response(&invite, "200 OK", "two", CONTACT, &body));
        peer.take_events();
        if !answer.is_empty() {
            let challenge =
                "Proxy-Authenticate: Digest realm=\"carrier\",nonce=\"n\",qop=\"auth\"\r\n";
            peer.send(&response(&surplus[1], answer, "two", challenge, ""));
        }
        peer.wait(Duration::from_secs(40));
        assert_eq!((peer.endpoint.legs(), peer.take_events()), (1, vec![]), "{answer}");
        let bye = peer.handle(LegCommand::HangUp { leg: OUT, q850: None });
        assert_eq!(words(&bye), ["BYE"]);
        let cause = Cause::normal(EndedBy::Us);
        assert_eq!(peer.take_events(), [LegEvent::Ended { leg: OUT, cause }]);
        peer.assert_clean();
    }
}

/// RFC 3261 §22.2: what is sent again is the request that was challenged, and no other. Here it
/// is the CANCEL, which cannot be sent again (§9.1); the BYE is on its way already.
#[test]
fn only_the_request_that_was_challenged_is_sent_again() {
    let mut peer = Peer::new();
    let invite = dial(&mut peer);
    peer.send(&response(&invite, "180 Ringing", "one", CONTACT, ""));
    let cancel = peer.handle(LegCommand::HangUp { leg: OUT, q850: None });
    let body = sdp("8", "sendrecv");
    let sent = peer.send(&response(&invite, "200 OK", "one", CONTACT, &body));
    assert_eq!(words(&sent), ["ACK", "BYE"]);
    let challenge = "Proxy-Authenticate: Digest realm=\"carrier\",nonce=\"n\",qop=\"auth\"\r\n";
    let late = response(&cancel[0], "407 Auth", "one", challenge, "");
    assert_eq!(peer.send(&late), Vec::<String>::new());
    peer.assert_clean();
}

/// Our re-INVITE gets a provisional response and then nothing: the session runs out (RFC 4028
/// §10), and of the re-INVITE nothing is kept, though it has no timer of its own any more.
#[test]
fn a_refresh_that_is_never_finished_ends_the_call() {
    let mut peer = Peer::new();
    refreshed_by_us(&mut peer);
    let refresh = peer.wait(Duration::from_secs(60));
    peer.send(&response(&refresh[0], "100 Trying", "peer", "", ""));
    assert_eq!(peer.wait(Duration::from_secs(59)), Vec::<String>::new());
    let sent = peer.wait(Duration::from_secs(1));
    assert_eq!(words(&sent), ["BYE"]);
    assert_eq!(peer.take_events(), [LegEvent::Ended { leg: IN, cause: Cause::silent() }]);
    peer.send(&response(&sent[0], "200 OK", "peer", "", ""));
    peer.assert_clean();
}

/// RFC 3261 §15.1.2: the BYE ends pending requests with 487, which wants its ACK. A peer that
/// does not send it costs us 64*T1 and no more.
#[test]
fn a_reinvite_does_not_outlive_its_call() {
    for is_finished in [true, false] {
        let mut peer = Peer::new();
        let to = refreshed_by_us(&mut peer);
        let refresh = peer.wait(Duration::from_secs(60));
        peer.send(&response(&refresh[0], "100 Trying", "peer", "", ""));
        assert_eq!(words(&peer.request(&Draft::new("BYE", 2).to(&to))), ["200"]);
        assert_eq!(peer.endpoint.legs(), 0);
        if is_finished {
            let last = response(&refresh[0], "487 Request Terminated", "peer", "", "");
            assert_eq!(words(&peer.send(&last)), ["ACK"]);
        }
        peer.assert_clean();
    }
}

/// RFC 4028 §10: a refresh that is refused is tried again, but not beyond the session's end.
#[test]
fn a_refresh_that_is_always_refused_ends_the_call() {
    let mut peer = Peer::new();
    refreshed_by_us(&mut peer);
    let mut refreshes = 0;
    let mut sent = peer.wait(Duration::from_secs(60));
    while word(&sent[0]) == "INVITE" && refreshes < 20 {
        refreshes += 1;
        peer.send(&response(&sent[0], "503 Busy", "peer", "", ""));
        sent = peer.wait(Duration::from_secs(15));
    }
    assert_eq!((words(&sent), refreshes), (vec!["BYE"], 4));
    assert_eq!(peer.take_events(), [LegEvent::Ended { leg: IN, cause: Cause::silent() }]);
    peer.assert_clean();
}

/// RFC 4028 §7.4: after a 422, and where they asked for it, Min-SE says how short it may be.
#[test]
fn a_refresh_asks_for_as_much_as_the_path_wants() {
    let mut peer = Peer::new();
    refreshed_by_us(&mut peer);
    let refresh = peer.wait(Duration::from_secs(60));
    assert_eq!(header(&refresh[0], "Min-SE"), "");
    let sent = peer.send(&response(&refresh[0], "422 Brief", "peer", "Min-SE: 1800\r\n", ""));
    assert_eq!(words(&sent), ["ACK", "INVITE"]);
    assert_eq!(header(&sent[1], "Session-Expires"), "1800;refresher=uac");
    assert_eq!(header(&sent[1], "Min-SE"), "1800");
    // The same refusal once more is no reason to ask at once again.
    let again = response(&sent[1], "422 Brief", "peer", "Min-SE: 1800\r\n", "");
    assert_eq!(words(&peer.send(&again)), ["ACK"]);
    assert_eq!(words(&peer.wait(Duration::from_secs(60))), ["BYE"], "the session has run out");
}

/// RFC 4028 §7.4: a refresh offers the session as it is, under the same version.
#[test]
fn a_refresh_offers_what_was_described_last() {
    let mut peer = Peer::new();
    let to = refreshed_by_us(&mut peer);
    let hold = Draft::new("INVITE", 2).to(&to).body("application/sdp", &sdp("8", "sendonly"));
    let hold = hold.set("Supported", "timer").set("Session-Expires", "120;refresher=uas");
    let held = peer.request(&hold);
    let via = "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKack2";
    peer.request(&Draft::new("ACK", 2).to(&to).set("Via", via));
    assert!(matches!(&peer.take_events()[..], [LegEvent::Changed { .. }]));
    let refresh = peer.wait(Duration::from_secs(60));
    let body = |message: &str| message.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body(&refresh[0]), body(&held[0]));
    let extra = "Session-Expires: 120;refresher=uac\r\n";
    peer.send(&response(&refresh[0], "200 OK", "peer", extra, &sdp("8", "sendonly")));
    assert_eq!(peer.take_events(), [], "held as before");
}

/// RFC 3261 §12.2.1.2: the Contact of the 2xx to our re-INVITE is the target from then on.
#[test]
fn the_answer_to_a_refresh_moves_the_target() {
    let mut peer = Peer::new();
    refreshed_by_us(&mut peer);
    let refresh = peer.wait(Duration::from_secs(60));
    let moved = "Contact: <sip:new@192.0.2.77:5070>\r\nSession-Expires: 120;refresher=uac\r\n";
    let ok = response(&refresh[0], "200 OK", "peer", moved, &sdp("8", "sendrecv"));
    let sent = peer.send(&ok);
    assert!(sent[0].starts_with("ACK sip:new@192.0.2.77:5070 SIP/2.0"), "{}", sent[0]);
    assert_eq!(peer.sent_over.unwrap().remote, ([192, 0, 2, 77], 5070).into());
    let bye = peer.handle(LegCommand::HangUp { leg: IN, q850: None });
    assert!(bye[0].starts_with("BYE sip:new@192.0.2.77:5070 SIP/2.0"), "{}", bye[0]);
}

/// A change before the ACK is told with the call itself, not before it.
#[test]
fn an_update_before_the_ack_is_told_when_the_call_is_established() {
    let mut peer = Peer::new();
    peer.request(&Draft::invite(1));
    let answer = peer.handle(LegCommand::Answer { leg: IN, local_media: media(A) });
    let to = header(&answer[0], "To").to_owned();
    peer.take_events();
    let update = Draft::new("UPDATE", 2).to(&to).body("application/sdp", &sdp("8", "sendonly"));
    assert_eq!(words(&peer.request(&update)), ["200"]);
    assert_eq!(peer.take_events(), []);
    let via = "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKack";
    peer.request(&Draft::new("ACK", 1).to(&to).set("Via", via));
    let events = peer.take_events();
    let [LegEvent::Established { plan, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(plan.direction, Direction::RecvOnly);
}

/// RFC 3261 §19.1.1, table 1: the headers of a URI have no place in a request URI. With them in
/// it we could not read our own INVITE, and would neither acknowledge nor cancel it.
#[test]
fn a_contact_with_headers_is_called_without_them() {
    let mut peer = Peer::new();
    let contact = "<sip:+49302@192.0.2.2:5060;x=y?Subject=z>";
    let to = talking(&mut peer, &Draft::invite(1).set("Contact", contact));
    let update = Draft::new("UPDATE", 2).to(&to).set("Contact", contact);
    assert_eq!(words(&peer.request(&update)), ["200"]);
    let bye = peer.handle(LegCommand::HangUp { leg: IN, q850: None });
    assert!(bye[0].starts_with("BYE sip:+49302@192.0.2.2:5060;x=y SIP/2.0\r\n"), "{}", bye[0]);
}
