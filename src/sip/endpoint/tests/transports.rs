//! Transports other than datagrams, and several listeners: which way a message takes, and whom a
//! certificate shows.

use super::pair::{A, B, address, config, media, trunk};
use super::peer::{Draft, Peer, header, response, word};
use crate::endpoint::config::{EndpointConfig, Listener};
use crate::event::{Caller, Flow, LegCommand, LegEvent, MAX_FORWARDS, Source, Target, Transport};
use domain::hop::Hop;
use domain::id::LegId;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const LEG: LegId = LegId(2);

fn at(port: u16) -> SocketAddr {
    SocketAddr::new(address(A).ip(), port)
}

fn peer_at(port: u16) -> SocketAddr {
    SocketAddr::new(address(B).ip(), port)
}

/// UDP and TCP on 5060, TLS on 5061 under a name, WSS on 8443, and a second UDP one behind a NAT.
fn many() -> EndpointConfig {
    let mut config = config(A);
    config.listeners.extend([
        Listener {
            host: Some("gw.hotline.example".into()),
            ..Listener::at(Transport::Tls, at(5061))
        },
        Listener::at(Transport::Wss, at(8443)),
        Listener {
            name: "outside".into(),
            advertised: ([203, 0, 113, 5], 5070).into(),
            ..Listener::at(Transport::Udp, at(5080))
        },
    ]);
    config
}

fn flow(transport: Transport, local: u16, remote: u16) -> Flow {
    Flow { transport, local: at(local), remote: peer_at(remote) }
}

fn named(name: &str) -> Option<Vec<Arc<str>>> {
    Some(vec![name.into()])
}

fn dial(peer: &mut Peer, transport: Transport, port: u16, display: Option<&str>) -> String {
    let hop = Hop::at(transport, peer_at(port));
    let sent = peer.handle(LegCommand::Dial {
        leg: LEG,
        target: Target::Trunk { trunk: trunk("carrier"), hop, user: "4711".into() },
        caller: Caller { display: display.map(Into::into), ..Caller::shown("+49301") },
        local_media: media(A),
        ring_for: Duration::from_secs(20),
        heard_within: None,
        call_id: Some("dialling".into()),
        max_forwards: MAX_FORWARDS,
        service_route: Vec::new(),
    });
    sent.into_iter().next().unwrap()
}

fn over(transport: Transport, draft: Draft) -> Draft {
    let via = format!("SIP/2.0/{} 192.0.2.2;branch=z9hG4bK7", transport.via_name());
    draft.set("Via", &via)
}

#[test]
fn calls_leave_from_the_listener_of_their_transport_or_the_one_their_trunk_names() {
    for (transport, listener, local, via, contact) in [
        (Transport::Udp, None, 5060, "UDP 192.0.2.1:5060", "192.0.2.1:5060"),
        (Transport::Tcp, None, 5060, "TCP 192.0.2.1:5060", "192.0.2.1:5060;transport=tcp"),
        (
            Transport::Tls,
            None,
            5061,
            "TLS gw.hotline.example:5061",
            "gw.hotline.example:5061;transport=tls",
        ),
        (Transport::Udp, Some("outside"), 5080, "UDP 203.0.113.5:5070", "203.0.113.5:5070"),
        // It has no TCP: the first that has.
        (
            Transport::Tcp,
            Some("outside"),
            5060,
            "TCP 192.0.2.1:5060",
            "192.0.2.1:5060;transport=tcp",
        ),
    ] {
        let mut config = many();
        config.trunks[0].listener = listener.map(Into::into);
        let mut peer = Peer::with(config);
        let invite = dial(&mut peer, transport, 5090, None);
        assert_eq!(peer.sent_over, Some(flow(transport, local, 5090)));
        assert!(header(&invite, "Via").starts_with(&format!("SIP/2.0/{via};branch=")), "{invite}");
        assert_eq!(header(&invite, "Contact"), format!("<sip:+49301@{contact}>"));
        assert_eq!(header(&invite, "Via").ends_with(";alias"), transport == Transport::Tls);
        let expected = transport.is_secure().then(|| (peer.sent_over.unwrap(), trunk("carrier")));
        assert_eq!(peer.expected, Vec::from_iter(expected));
    }
}

/// RFC 5922 §7.4: the certificate says whose a call is, wherever it comes from.
#[test]
fn a_certificate_identifies_a_trunk() {
    for (names, expected) in [
        (named("SIP.carrier.example"), "100"),
        (named("other.example"), "403"),
        (named("carrier.example"), "403"),
        (None, "403"),
    ] {
        let mut config = many();
        config.trunks[0].networks.clear();
        config.trunks[0].tls_names = vec!["sip.carrier.example".into()];
        let mut peer = Peer::with(config);
        peer.flow = flow(Transport::Tls, 5061, 40_000);
        peer.endpoint.connected(peer.flow, names);
        let sent = peer.request(&over(Transport::Tls, Draft::invite(1)));
        assert_eq!(word(&sent[0]), expected);
        if let Some(LegEvent::Incoming { source, .. }) = peer.take_events().first() {
            assert_eq!(*source, Source::Trunk(trunk("carrier")));
        }
    }
}

/// RFC 3261 §26.2.2 and §12.1.1.
#[test]
fn sips_needs_tls_and_is_answered_with_sips() {
    let draft = |transport| {
        over(transport, Draft::invite(1)).line("INVITE sips:4711@gw.hotline.example SIP/2.0")
    };
    let mut peer = Peer::with(many());
    assert_eq!(word(&peer.request(&draft(Transport::Udp))[0]), "416");
    peer.flow = flow(Transport::Tls, 5061, 40_000);
    peer.endpoint.connected(peer.flow, None);
    assert_eq!(word(&peer.request(&draft(Transport::Tls))[0]), "100");
    peer.take_events();
    let answered = peer.handle(LegCommand::Answer { leg: LegId(1), local_media: media(A) });
    let contact = "<sips:4711@gw.hotline.example:5061;transport=tls>";
    assert_eq!(header(&answered[0], "Contact"), contact);
}

/// A call taken over a connection that the peer opened: where our BYE goes.
#[test]
fn requests_go_back_over_the_connection_where_the_rules_allow() {
    let tls = flow(Transport::Tls, 5061, 40_000);
    let contact = "<sip:p@192.0.2.2:5071;transport=tls>";
    for (opened, names, alias, closed, expected) in [
        // RFC 5923 §8.2: authenticated and asked for.
        (tls, named("sip.carrier.example"), true, false, tls),
        // Not asked for: where its Contact says.
        (tls, named("sip.carrier.example"), false, false, flow(Transport::Tls, 5061, 5071)),
        // No certificate: nobody could connect to it and know it.
        (tls, None, true, false, tls),
        // The connection is gone.
        (tls, named("sip.carrier.example"), true, true, flow(Transport::Tls, 5061, 5071)),
        // RFC 7118: there is no other way.
        (
            flow(Transport::Wss, 8443, 40_001),
            None,
            false,
            false,
            flow(Transport::Wss, 8443, 40_001),
        ),
        // It came without TLS, and asks for it: from the listener that has it.
        (flow(Transport::Udp, 5060, 5060), None, false, false, flow(Transport::Tls, 5061, 5071)),
    ] {
        let mut config = many();
        config.trunks[0].tls_names = vec!["sip.carrier.example".into()];
        let mut peer = Peer::with(config);
        peer.flow = opened;
        if opened.transport.is_reliable() {
            peer.endpoint.connected(opened, names);
        }
        let mut via = format!("SIP/2.0/{} 192.0.2.2:5071;", opened.transport.via_name());
        via.push_str(if alias { "branch=z9hG4bK7;alias" } else { "branch=z9hG4bK7" });
        peer.request(&Draft::invite(1).set("Via", &via).set("Contact", contact));
        let answered = peer.handle(LegCommand::Answer { leg: LegId(1), local_media: media(A) });
        let to = header(&answered[0], "To").to_owned();
        peer.request(&over(opened.transport, Draft::new("ACK", 1).to(&to)));
        if closed {
            let now = peer.now;
            peer.endpoint.connection_closed(opened, now, &mut Vec::new());
        }
        let bye = peer.handle(LegCommand::HangUp { leg: LegId(1), q850: None });
        assert_eq!((word(&bye[0]), peer.sent_over), ("BYE", Some(expected)), "{opened:?} {alias}");
    }
}

/// RFC 3261 §18.1.1: too large for a datagram, so it goes by a stream; where there is none, by a
/// datagram all the same, and the next one at once.
#[test]
fn a_large_request_goes_by_a_stream_if_there_is_one() {
    let long = "x".repeat(1_000);
    let mut peer = Peer::new();
    let invite = dial(&mut peer, Transport::Udp, 5090, Some(&long));
    assert_eq!(peer.sent_over, Some(flow(Transport::Tcp, 5060, 5090)));
    assert!(header(&invite, "Via").starts_with("SIP/2.0/TCP 192.0.2.1:5060;"), "{invite}");
    let failed = peer.transport_failed(flow(Transport::Tcp, 5060, 5090));
    assert_eq!(peer.sent_over, Some(flow(Transport::Udp, 5060, 5090)));
    assert_eq!(failed, [invite.replacen("SIP/2.0/TCP", "SIP/2.0/UDP", 1)]);
    // It repeats, as a datagram does, and its call goes on.
    assert_eq!(peer.wait(Duration::from_millis(500)), failed);
    let busy = response(&failed[0], "486 Busy Here", "t", "", "");
    assert_eq!(word(&peer.send(&busy)[0]), "ACK");
    assert!(matches!(peer.take_events()[..], [LegEvent::Dialled { .. }, LegEvent::Ended { .. }]));
    dial(&mut peer, Transport::Udp, 5090, Some(&long));
    assert_eq!(peer.sent_over, Some(flow(Transport::Udp, 5060, 5090)));
}

/// The same of a call given up meanwhile: nobody is rung by the datagram.
#[test]
fn a_large_call_given_up_takes_no_other_way() {
    let mut peer = Peer::new();
    dial(&mut peer, Transport::Udp, 5090, Some(&"x".repeat(1_000)));
    peer.handle(LegCommand::HangUp { leg: LEG, q850: None });
    assert_eq!(peer.transport_failed(flow(Transport::Tcp, 5060, 5090)), [""; 0]);
    assert!(matches!(peer.take_events()[..], [LegEvent::Dialled { .. }, LegEvent::Ended { .. }]));
    peer.assert_clean();
}

/// RFC 3261 §8.1.3.3 and §18.1.2: with a Via more than ours, or another's, it is misrouted.
#[test]
fn a_response_to_somebody_else_is_dropped() {
    let mut peer = Peer::new();
    let invite = dial(&mut peer, Transport::Udp, 5060, None);
    peer.take_events();
    let ringing = response(&invite, "180 Ringing", "t", "", "");
    let via = header(&invite, "Via").to_owned();
    let second = "Via: SIP/2.0/UDP 192.0.2.50;branch=z9hG4bK1\r\nFrom: ";
    for wrong in [
        ringing.replacen("From: ", second, 1),
        ringing.replacen(&via, &format!("{via}, SIP/2.0/UDP 192.0.2.50;branch=z9hG4bK1"), 1),
        ringing.replacen("192.0.2.1:5060", "192.0.2.77:5060", 1),
    ] {
        assert_eq!(peer.send(&wrong), [""; 0]);
        assert_eq!(peer.take_events(), [], "{wrong}");
    }
    peer.send(&ringing);
    assert_eq!(peer.take_events().len(), 1);
}

/// RFC 3261 §18.2.2: the stream has closed, so the answer goes to the port in the Via, which of
/// TLS is 5061 when none is written.
#[test]
fn an_answer_finds_its_way_when_the_stream_has_closed() {
    for (transport, port) in [(Transport::Tcp, 5060), (Transport::Tls, 5061)] {
        let mut peer = Peer::with(many());
        let local = if transport == Transport::Tls { 5061 } else { 5060 };
        peer.flow = flow(transport, local, 40_000);
        peer.endpoint.connected(peer.flow, None);
        peer.request(&over(transport, Draft::invite(1)));
        let now = peer.now;
        peer.endpoint.connection_closed(peer.flow, now, &mut Vec::new());
        peer.handle(LegCommand::Refuse {
            leg: LegId(1),
            status: 486,
            retry_after_s: None,
            q850: None,
        });
        assert_eq!(peer.sent_over, Some(flow(transport, local, port)));
    }
}

/// RFC 5626 §8: the SIP port answers STUN, and only datagrams are asked.
#[test]
fn a_binding_request_is_answered_on_the_sip_port() {
    let mut peer = Peer::new();
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    request.extend([7; 12]);
    let mut out = Vec::new();
    let message = bytes::Bytes::from(request);
    peer.endpoint.receive(peer.flow, message, peer.now, &mut out);
    let [crate::event::Action::Transmit { flow, message, leg: None }] = &out[..] else {
        panic!("{out:?}")
    };
    assert_eq!((*flow, &message[..2]), (peer.flow, &[1, 1][..]));
    assert_eq!(peer.endpoint.counters().parse_errors, 0);
}
