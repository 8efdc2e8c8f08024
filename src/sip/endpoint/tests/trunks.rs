//! Our REGISTER and OPTIONS at a trunk, against answers written by hand.

use super::pair::{A, B, address, media, trunk};
use super::peer::{Peer, header, response, word};
use super::steps::{CONTACT, OUT, fields, hang_up, ok, words};
use crate::event::trunk::{TrunkCommand, TrunkEvent};
use crate::event::{Caller, Flow, LegCommand, MAX_FORWARDS, Target, Transport};
use domain::hop::Hop;
use std::sync::Arc;
use std::time::Duration;

fn hop() -> Hop {
    Hop { host: Some("sip.carrier.example".into()), ..Hop::at(Transport::Udp, address(B)) }
}

fn register(seconds: u64) -> TrunkCommand {
    TrunkCommand::Register {
        trunk: trunk("carrier"),
        hop: hop(),
        user: "+4930555000".into(),
        contact: "".into(),
        expires: Duration::from_secs(seconds),
    }
}

const CHALLENGE: &str =
    "WWW-Authenticate: Digest realm=\"carrier\",nonce=\"n1\",algorithm=MD5,qop=\"auth\"\r\n";

/// Answers a request; what is sent then.
fn answer(peer: &mut Peer, request: &str, line: &str, extra: &str) -> Vec<String> {
    peer.send(&response(request, line, "far", extra, ""))
}

fn told(peer: &mut Peer) -> Vec<TrunkEvent> {
    std::mem::take(&mut peer.trunk_events)
}

/// RFC 3261 §10.2: the request URI is the domain, From and To the address of record, and the
/// registrations share a Call-ID and count on. What is granted is that of our Contact.
#[test]
fn a_registration_is_challenged_answered_and_refreshed() {
    let mut peer = Peer::new();
    let first = peer.handle_trunk(register(600)).remove(0);
    assert!(first.starts_with("REGISTER sip:sip.carrier.example SIP/2.0\r\n"), "{first}");
    assert_eq!(header(&first, "To"), "<sip:+4930555000@sip.carrier.example>");
    assert!(header(&first, "From").starts_with("<sip:+4930555000@sip.carrier.example>;tag="));
    assert_eq!(header(&first, "Contact"), "<sip:+4930555000@192.0.2.1:5060>");
    assert_eq!(header(&first, "Expires"), "600");
    assert_eq!(header(&first, "Max-Forwards"), "70");
    assert_eq!(header(&first, "Authorization"), "");

    let second = answer(&mut peer, &first, "401 Unauthorized", CHALLENGE).remove(0);
    assert!(header(&second, "Authorization").contains("username=\"us\""), "{second}");
    assert_eq!(header(&second, "Call-ID"), header(&first, "Call-ID"));
    assert_eq!([header(&first, "CSeq"), header(&second, "CSeq")], ["1 REGISTER", "2 REGISTER"]);
    assert_ne!(header(&second, "Via"), header(&first, "Via"));
    let extra = "Contact: <sip:other@192.0.2.9>;expires=60, \
                 <sip:+4930555000@192.0.2.1:5060>;expires=300\r\n\
                 Service-Route: <sip:a.example;lr>, <sip:b.example;lr>\r\n\
                 P-Associated-URI: <sip:+4930555000@carrier.example>,\
                 \"A, B\" <sip:+4930555001@carrier.example>\r\n";
    assert!(answer(&mut peer, &second, "200 OK", extra).is_empty());
    let (trunk, hop, granted) = (trunk("carrier"), hop(), Duration::from_secs(300));
    let list = |values: [&str; 2]| values.map(Arc::from).to_vec();
    let service_route = list(["<sip:a.example;lr>", "<sip:b.example;lr>"]);
    let associated =
        list(["<sip:+4930555000@carrier.example>", "\"A, B\" <sip:+4930555001@carrier.example>"]);
    let expected = TrunkEvent::Registered { trunk, hop, granted, service_route, associated };
    assert_eq!(told(&mut peer), [expected]);

    let refresh = peer.handle_trunk(register(600)).remove(0);
    assert_eq!(header(&refresh, "Call-ID"), header(&first, "Call-ID"));
    assert_eq!(header(&refresh, "CSeq"), "3 REGISTER");
    answer(&mut peer, &refresh, "200 OK", "");
    assert!(matches!(
        told(&mut peer)[..],
        [TrunkEvent::Registered { granted, .. }] if granted == Duration::from_secs(600)
    ));
    peer.assert_clean();
}

/// What a REGISTER is answered with, and what is told of it; silence is Timer F's.
#[test]
fn a_refused_registration_tells_why() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (line, extra, status, retry_after, min_expires) in [
        ("403 Forbidden", "", 403, None, None),
        ("423 Too Brief", "Min-Expires: 1800\r\n", 423, None, seconds(1_800)),
        ("503 No", "Retry-After: 120\r\n", 503, seconds(120), None),
        // Challenged for another realm than the trunk's: our credentials stay with us.
        ("401 No", "WWW-Authenticate: Digest realm=\"evil\",nonce=\"n\"\r\n", 401, None, None),
    ] {
        let mut peer = Peer::new();
        let sent = peer.handle_trunk(register(600)).remove(0);
        assert_eq!(answer(&mut peer, &sent, line, extra), [""; 0]);
        let (trunk, hop, status) = (trunk("carrier"), hop(), Some(status));
        let expected = TrunkEvent::RegisterFailed { trunk, hop, status, retry_after, min_expires };
        assert_eq!(told(&mut peer), [expected], "{line}");
    }
    let mut peer = Peer::new();
    peer.handle_trunk(register(600));
    peer.wait(Duration::from_millis(31_999));
    assert_eq!(told(&mut peer), []);
    peer.wait(Duration::from_millis(1));
    assert!(matches!(told(&mut peer)[..], [TrunkEvent::RegisterFailed { status: None, .. }]));
    peer.assert_clean();
}

/// Wrong credentials are tried once, and stale nonces a bounded number of times.
#[test]
fn challenges_do_not_go_on_for_ever() {
    for (stale, tries_max) in [("", 2), (",stale=true", 4)] {
        let mut peer = Peer::new();
        let mut sent = peer.handle_trunk(register(600));
        let mut tries = 0;
        while let Some(request) = sent.pop() {
            tries += 1;
            assert!(tries <= tries_max, "{stale}");
            let challenge = CHALLENGE.trim_end().replace("n1", &format!("n{tries}"));
            let extra = format!("{challenge}{stale}\r\n");
            sent = answer(&mut peer, &request, "401 Unauthorized", &extra);
        }
        assert!(tries >= 2);
        assert!(matches!(
            told(&mut peer)[..],
            [TrunkEvent::RegisterFailed { status: Some(401), .. }]
        ));
    }
}

#[test]
fn a_registration_is_taken_back() {
    let mut peer = Peer::new();
    let (user, contact) = (Arc::from("us"), Arc::from("4711"));
    let leave = TrunkCommand::Unregister { trunk: trunk("carrier"), hop: hop(), user, contact };
    let sent = peer.handle_trunk(leave).remove(0);
    assert_eq!(header(&sent, "Expires"), "0");
    assert_eq!(header(&sent, "Contact"), "<sip:4711@192.0.2.1:5060>");
    answer(&mut peer, &sent, "200 OK", "");
    assert_eq!(told(&mut peer), [TrunkEvent::Unregistered { trunk: trunk("carrier") }]);
}

/// RFC 3261 §11.1. Any answer is told, with how long it took.
#[test]
fn a_probe_is_answered_or_not() {
    let probe = TrunkCommand::Probe { trunk: trunk("carrier"), hop: hop() };
    let mut peer = Peer::new();
    let sent = peer.handle_trunk(probe.clone()).remove(0);
    assert_eq!(word(&sent), "OPTIONS");
    assert!(sent.starts_with("OPTIONS sip:sip.carrier.example SIP/2.0\r\n"));
    assert_eq!(header(&sent, "Accept"), "application/sdp");
    assert_eq!(header(&sent, "Max-Forwards"), "70");
    peer.wait(Duration::from_millis(40));
    answer(&mut peer, &sent, "405 Method Not Allowed", "");
    let probed = |status, millis, retry_after| TrunkEvent::Probed {
        trunk: trunk("carrier"),
        hop: hop(),
        status,
        round_trip: Duration::from_millis(millis),
        retry_after,
    };
    assert_eq!(told(&mut peer), [probed(Some(405), 40, None)]);

    let sent = peer.handle_trunk(probe.clone()).remove(0);
    answer(&mut peer, &sent, "503 Busy", "Retry-After: 60\r\n");
    assert_eq!(told(&mut peer), [probed(Some(503), 0, Some(Duration::from_secs(60)))]);

    // The network says that nobody is there.
    peer.handle_trunk(probe.clone());
    let mut out = Vec::new();
    let flow: Flow = peer.sent_over.expect("something was sent");
    peer.endpoint.transport_failed(flow, peer.now, &mut out);
    assert_eq!(out, [crate::event::Action::Trunk(probed(None, 0, None))]);

    // No listener of ours reaches it.
    let TrunkCommand::Probe { trunk, .. } = probe else { panic!() };
    let far = Hop::at(Transport::Udp, ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 5060).into());
    peer.handle_trunk(TrunkCommand::Probe { trunk, hop: far });
    assert!(matches!(told(&mut peer)[..], [TrunkEvent::Probed { status: None, .. }]));
    peer.assert_clean();
}

/// RFC 3608 §6.1: the proxies that the registrar named stand in the INVITE as Route, in their order;
/// it goes where the trunk is all the same. What is no loose route is left aside (RFC 3608 §5).
#[test]
fn rfc_3608_s6_1_a_call_passes_the_service_route() {
    let both = ["<sip:a.example;lr>", "\"b\" <sips:b.example:5061;x=1;lr>;y=2"];
    for (service_route, expected) in [
        (&both[..], &["<sip:a.example;lr>", "<sips:b.example:5061;x=1;lr>"][..]),
        (&["<sip:a.example;lr>", "<sip:strict.example>"], &[]),
        (&["no address"], &[]),
        (&[], &[]),
    ] {
        let mut peer = Peer::new();
        let hop = Hop::at(Transport::Udp, address(B));
        let sent = peer.handle(LegCommand::Dial {
            leg: OUT,
            target: Target::Trunk { trunk: trunk("carrier"), hop, user: "4711".into() },
            caller: Caller::shown("+49301"),
            local_media: media(A),
            ring_for: Duration::from_secs(20),
            heard_within: None,
            call_id: None,
            max_forwards: MAX_FORWARDS,
            service_route: service_route.iter().map(|route| Arc::from(*route)).collect(),
        });
        assert_eq!(fields(&sent[0], "Route"), expected);
        assert!(sent[0].starts_with("INVITE sip:4711@192.0.2.2"), "{}", sent[0]);
        assert_eq!(peer.sent_over.unwrap().remote, address(B));
        peer.send(&response(&sent[0], "180 Ringing", "one", CONTACT, ""));
        let cancel = hang_up(&mut peer, OUT);
        assert_eq!(
            (words(&cancel), fields(&cancel[0], "Route")),
            (vec!["CANCEL"], expected.into())
        );
        // Where the dialog goes, who records the route says (RFC 3261 §12.1.2).
        let sent = peer.send(&ok(&sent[0], "one"));
        assert_eq!((words(&sent), header(&sent[0], "Route")), (vec!["ACK", "BYE"], ""));
    }
}
