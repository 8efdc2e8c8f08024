//! RFC 3261 §8.1.3.1, §17.1.4, §18.1.1, §18.4: what cannot be sent, and connections that close under
//! way.

use super::agents;
use super::pair::{A, B, address, agent};
use super::peer::{Draft, Peer, header, response, sdp};
use super::steps::*;
use crate::endpoint::config::Listener;
use crate::event::{Flow, LegEvent, Target, Transport};
use domain::cause::{Cause, EndedBy};
use std::time::Duration;

fn stream() -> Flow {
    Flow { transport: Transport::Tcp, local: address(A), remote: address(B) }
}

/// Their answer with a session timer of 120 s that we refresh, by UPDATE.
fn refreshed_by_us_out(peer: &mut Peer, transport: Transport) {
    let invite = dial_over(peer, OUT, transport);
    let extra = format!("{CONTACT}Allow: INVITE, UPDATE\r\nSession-Expires: 120;refresher=uac\r\n");
    let body = sdp("8", "sendrecv");
    assert_eq!(words(&peer.send(&response(&invite, "200 OK", "one", &extra, &body))), ["ACK"]);
    peer.take_events();
}

/// RFC 3261 §8.1.3.1: an INVITE that could not be sent counts as one refused by 503. One of which a
/// copy has left may have rung a telephone.
#[test]
fn rfc_3261_s8_1_3_1_a_call_that_cannot_be_sent_counts_as_503() {
    for (is_repeated, is_connection) in [(false, false), (true, false), (false, true)] {
        let mut peer = Peer::new();
        let transport = if is_connection { Transport::Tcp } else { Transport::Udp };
        let invite = dial_over(&mut peer, OUT, transport);
        peer.take_events();
        if is_repeated {
            assert_eq!(words(&peer.wait(Duration::from_millis(500))), ["INVITE"]);
        }
        let sent = match is_connection {
            true => peer.transport_failed(stream()),
            false => peer.unsent(&invite),
        };
        assert_eq!(sent, [""; 0]);
        let cause = if is_repeated { Cause::silent() } else { Cause::unreachable() };
        assert_eq!(peer.take_events(), [LegEvent::Ended { leg: OUT, cause }]);
        peer.assert_clean();
    }
}

/// RFC 3261 §8.1.3.1, §12.2.1.2: a 503 is no 408, so that a refresh which cannot be sent leaves the
/// call as it was; it is tried again until the session runs out.
#[test]
fn rfc_3261_s8_1_3_1_a_refresh_that_cannot_be_sent_leaves_the_call() {
    let mut peer = with_policy(FULL);
    refreshed_by_us_out(&mut peer, Transport::Tcp);
    let update = peer.wait(Duration::from_secs(60));
    assert_eq!(words(&update), ["UPDATE"]);
    assert_eq!(peer.transport_failed(stream()), [""; 0]);
    assert_eq!(peer.take_events(), []);
    let again = peer.wait(Duration::from_secs(15));
    assert_eq!(words(&again), ["UPDATE"]);
    let extra = "Session-Expires: 120;refresher=uac\r\n";
    peer.send(&response(&again[0], "200 OK", "one", extra, ""));
    assert_eq!(words(&peer.wait(Duration::from_secs(60))), ["UPDATE"]);
    // Not one of them can be sent any more.
    assert_eq!(peer.transport_failed(stream()), [""; 0]);
    for _ in 0..3 {
        peer.wait(Duration::from_secs(15));
        peer.transport_failed(stream());
    }
    assert_eq!(peer.take_events(), []);
    assert_eq!(words(&peer.wait(Duration::from_secs(15))), ["BYE"]);
    assert_eq!(peer.take_events(), [LegEvent::Ended { leg: OUT, cause: Cause::silent() }]);
}

/// RFC 3261 §18.1.1: the final response may come over another connection than that of the INVITE.
#[test]
fn rfc_3261_s18_1_1_a_call_that_rings_outlives_its_connection() {
    let mut peer = Peer::new();
    let invite = dial_over(&mut peer, OUT, Transport::Tcp);
    peer.send(&response(&invite, "180 Ringing", "one", CONTACT, ""));
    peer.take_events();
    assert_eq!(peer.connection_closed(stream()), [""; 0]);
    assert_eq!(peer.take_events(), []);
    peer.flow = Flow { remote: ([192, 0, 2, 2], 40_000).into(), ..stream() };
    peer.endpoint.connected(peer.flow, None);
    assert_eq!(words(&peer.send(&ok(&invite, "one"))), ["ACK"]);
    assert!(matches!(peer.take_events()[..], [LegEvent::Established { .. }]));
}

/// The same where nobody answers in time: the CANCEL opens a connection of its own.
#[test]
fn rfc_3261_s9_1_a_call_whose_connection_is_gone_is_cancelled_over_another() {
    let mut peer = Peer::new();
    let invite = dial_over(&mut peer, OUT, Transport::Tcp);
    peer.send(&response(&invite, "180 Ringing", "one", CONTACT, ""));
    peer.connection_closed(stream());
    assert_eq!(words(&peer.wait(Duration::from_secs(20))), ["CANCEL"]);
    assert_eq!(peer.sent_over, Some(stream()));
    // It cannot be opened: a 2xx that comes all the same is acknowledged, and its call ended.
    assert_eq!(peer.transport_failed(stream()), [""; 0]);
    assert_eq!(words(&peer.send(&ok(&invite, "one"))), ["ACK", "BYE"]);
}

/// A BYE or INVITE that crosses the closing of its connection is sent once more, over a new one.
#[test]
fn a_request_lost_with_its_connection_is_sent_once_more() {
    let mut peer = Peer::new();
    let invite = dial_over(&mut peer, OUT, Transport::Tcp);
    assert_eq!(peer.connection_closed(stream()), [invite.as_str()]);
    assert_eq!(peer.sent_over, Some(stream()));
    peer.send(&ok(&invite, "one"));
    let bye = hang_up(&mut peer, OUT);
    peer.take_events();
    assert_eq!(words(&bye), ["BYE"]);
    let flow = peer.sent_over.unwrap();
    peer.endpoint.connected(flow, None);
    assert_eq!(peer.connection_closed(flow), bye);
    assert_eq!(peer.connection_closed(flow), [""; 0], "twice is enough");
    assert_eq!(peer.endpoint.legs(), 0);
    peer.assert_clean();

    let mut peer = Peer::new();
    dial_over(&mut peer, OUT, Transport::Tcp);
    peer.take_events();
    peer.connection_closed(stream());
    assert_eq!(peer.connection_closed(stream()), [""; 0]);
    // It may have arrived.
    assert_eq!(peer.take_events(), [LegEvent::Ended { leg: OUT, cause: Cause::silent() }]);
    peer.assert_clean();
}

/// RFC 3261 §9.1: a call given up before anything was heard cannot be cancelled yet. When its
/// connection closes it is over, and nobody is rung over a new one; who answers is hung up on.
#[test]
fn rfc_3261_s9_1_a_call_given_up_is_not_sent_again() {
    for is_unheard in [false, true] {
        let mut peer = Peer::new();
        let invite = dial_over(&mut peer, OUT, Transport::Tcp);
        peer.take_events();
        let cause = match is_unheard {
            true => {
                assert_eq!(peer.wait(Duration::from_secs(20)), [""; 0]);
                Cause::silent()
            }
            false => {
                assert_eq!(hang_up(&mut peer, OUT), [""; 0]);
                Cause::cancelled()
            }
        };
        assert_eq!(peer.connection_closed(stream()), [""; 0]);
        let events = peer.take_events();
        assert!(
            matches!(&events[..], [LegEvent::Ended { cause: told, .. }] if told.kind == cause.kind),
            "{events:?}"
        );
        assert_eq!(peer.endpoint.legs(), 0);
        assert_eq!(words(&peer.send(&ok(&invite, "one"))), ["ACK", "BYE"]);
        assert_eq!(peer.take_events(), []);
        peer.assert_clean();
    }
}

/// RFC 3261 §18.4: a response that cannot be sent says nothing of our requests that go the same way.
#[test]
fn rfc_3261_s18_4_a_response_that_cannot_be_sent_fails_no_request() {
    let mut peer = Peer::new();
    let invite = dial(&mut peer);
    peer.take_events();
    let refusal = peer.request(&Draft::new("BYE", 1).to("<sip:x@192.0.2.1>;tag=none"));
    assert_eq!(words(&refusal), ["481"]);
    assert_eq!(peer.unsent(&refusal[0]), [""; 0]);
    assert_eq!(peer.take_events(), []);
    assert_eq!(words(&peer.send(&ok(&invite, "one"))), ["ACK"]);
    assert!(header(&invite, "Via").contains("UDP"));
    assert!(matches!(peer.take_events()[..], [LegEvent::Established { .. }]));
}

fn from_port(port: u16) -> Flow {
    Flow { remote: ([192, 0, 2, 2], port).into(), ..stream() }
}

/// RFC 3261 §12.2.1.1, §18.1.1: whoever calls over a connection of his own is asked back over it while
/// it is open, over the one he last spoke over in the call, and else where he says that he listens.
#[test]
fn rfc_3261_s18_1_1_a_caller_whose_connection_is_gone_is_reached_where_he_listens() {
    let named = "<sip:p@pbx.example:5071;transport=tcp>";
    let route = "<sip:proxy.example;lr>";
    for (contact, record_route, closed, again, port) in [
        (named, "", false, None, 40_000),
        (named, "", true, None, 5071),
        (named, "", true, Some(40_001), 40_001),
        (named, route, true, None, 5060),
        // Behind NAT: the port is the better guess.
        ("<sip:p@10.0.0.7:5072>", "", true, None, 5072),
        ("<sip:p@192.0.2.2:5073>", "", false, Some(40_001), 5073),
    ] {
        let mut peer = Peer::new();
        peer.flow = from_port(40_000);
        peer.endpoint.connected(peer.flow, None);
        let over = |draft: Draft| {
            let branch = draft.line.split(' ').next().unwrap_or("").to_owned();
            draft.set("Via", &format!("SIP/2.0/TCP 192.0.2.2:5060;branch=z9hG4bK{branch}{port}"))
        };
        let invite = Draft::invite(1).set("Contact", contact).set("Record-Route", record_route);
        let to = talking(&mut peer, &over(invite));
        if closed {
            peer.connection_closed(from_port(40_000));
        }
        if let Some(again) = again {
            peer.flow = from_port(again);
            peer.endpoint.connected(peer.flow, None);
            let update = Draft::new("UPDATE", 2).to(&to).set("Contact", contact);
            assert_eq!(words(&peer.request(&over(update))), ["200"]);
        }
        let bye = hang_up(&mut peer, IN);
        assert_eq!(words(&bye), ["BYE"]);
        assert_eq!(peer.sent_over, Some(from_port(port)), "{contact} {record_route} {again:?}");
        // It closes before the answer.
        let flow = from_port(port);
        let listens = if port >= 40_000 { 5071 } else { port };
        assert_eq!(peer.connection_closed(flow), bye);
        assert_eq!(peer.sent_over, Some(from_port(listens)), "{contact}");
    }
}

/// RFC 5626 §5.3: a telephone that has lost its connection in a call and registered over another is
/// spoken to over that; what we ask before that is tried again.
#[test]
fn rfc_5626_s5_3_a_call_follows_its_telephone_to_another_connection() {
    for transport in [Transport::Tls, Transport::Wss] {
        let at =
            |port| Flow { transport, local: address(A), remote: ([203, 0, 113, 9], port).into() };
        let mut config = super::pair::config(A);
        config.listeners.push(Listener::at(transport, address(A)));
        config.agent_sessions = FULL;
        let mut peer = Peer::with(config);
        let register = |peer: &mut Peer, port, cseq| {
            peer.flow = at(port);
            peer.endpoint.connected(peer.flow, None);
            let contact = format!("<sip:ann@10.0.0.9:{port}>");
            let draft = agents::draft("REGISTER", cseq, "ann").set("Contact", &contact);
            assert_eq!(words(&agents::signed(peer, &draft, "ann", "secret")), ["200"]);
        };
        register(&mut peer, 50_001, 1);
        let invite = dial_to(&mut peer, OUT, Target::Agent(agent("ann")));
        assert_eq!(peer.sent_over, Some(at(50_001)));
        let contact = "Contact: <sip:ann@10.0.0.9:50001>\r\nAllow: UPDATE\r\n";
        let extra = format!("{contact}Session-Expires: 120;refresher=uac\r\n");
        peer.send(&response(&invite, "200 OK", "one", &extra, &sdp("8", "sendrecv")));
        peer.connection_closed(at(50_001));
        // Nobody is there now.
        let update = peer.wait(Duration::from_secs(60));
        assert_eq!((words(&update), peer.sent_over), (vec!["UPDATE"], Some(at(50_001))));
        peer.unsent(&update[0]);
        register(&mut peer, 50_002, 10);
        peer.take_events();
        let update = peer.wait(Duration::from_secs(15));
        assert_eq!((words(&update), peer.sent_over), (vec!["UPDATE"], Some(at(50_002))));
        peer.send(&response(&update[0], "200 OK", "one", "", ""));
        assert_eq!(words(&hang_up(&mut peer, OUT)), ["BYE"]);
        assert_eq!(peer.sent_over, Some(at(50_002)));
        let cause = Cause::normal(EndedBy::Us);
        assert_eq!(peer.take_events(), [LegEvent::Ended { leg: OUT, cause }]);
    }
}

/// RFC 3261 §26.2.2: a call over TLS whose connection is lost does not go on in clear, though the agent
/// has another telephone that speaks without.
#[test]
fn rfc_3261_s26_2_2_a_call_over_tls_never_goes_on_in_clear() {
    let at = |transport, port| Flow {
        transport,
        local: address(A),
        remote: ([203, 0, 113, 9], port).into(),
    };
    let mut config = super::pair::config(A);
    config.listeners.push(Listener::at(Transport::Tls, address(A)));
    let mut peer = Peer::with(config);
    for (transport, port) in [(Transport::Udp, 5062), (Transport::Tls, 50_001)] {
        peer.flow = at(transport, port);
        if transport.is_reliable() {
            peer.endpoint.connected(peer.flow, None);
        }
        let contact = format!("<sip:ann@10.0.0.9:{port}>");
        let draft = agents::draft("REGISTER", port.into(), "ann").set("Contact", &contact);
        assert_eq!(words(&agents::signed(&mut peer, &draft, "ann", "secret")), ["200"]);
    }
    let invite = dial_to(&mut peer, OUT, Target::Agent(agent("ann")));
    let tls = at(Transport::Tls, 50_001);
    assert_eq!(peer.sent_over, Some(tls));
    let contact = "Contact: <sip:ann@10.0.0.9:50001>\r\n";
    peer.send(&response(&invite, "200 OK", "one", contact, &sdp("8", "sendrecv")));
    peer.connection_closed(tls);
    assert_eq!(words(&hang_up(&mut peer, OUT)), ["BYE"]);
    assert_eq!(peer.sent_over, Some(tls));
}

/// RFC 5626 §5.3: a telephone that is called over its own connection cannot be reached when that has
/// closed: its call is over at once, ringing or not. Who answers all the same is hung up on.
#[test]
fn rfc_5626_s5_3_a_call_to_a_telephone_ends_with_its_connection() {
    for transport in [Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss] {
        for status in [None, Some("180 Ringing")] {
            let remote = ([203, 0, 113, 9], 50_001).into();
            let mut config = super::pair::config(A);
            config.listeners.push(Listener::at(transport, address(A)));
            let mut peer = Peer::with(config);
            peer.flow = Flow { transport, local: address(A), remote };
            let own = peer.flow;
            peer.endpoint.connected(own, None);
            let draft = agents::draft("REGISTER", 1, "ann");
            assert_eq!(words(&agents::signed(&mut peer, &draft, "ann", "secret")), ["200"]);
            let invite = dial_to(&mut peer, OUT, Target::Agent(agent("ann")));
            if let Some(status) = status {
                peer.send(&response(&invite, status, "one", CONTACT, ""));
            }
            peer.take_events();
            assert_eq!(peer.connection_closed(own), [""; 0], "{transport:?} {status:?}");
            let gone = LegEvent::Unregistered { agent: agent("ann") };
            let ended = LegEvent::Ended { leg: OUT, cause: Cause::silent() };
            assert_eq!(peer.take_events(), [gone, ended], "{transport:?} {status:?}");
            assert_eq!(peer.endpoint.legs(), 0);
            peer.flow.remote = ([203, 0, 113, 9], 50_002).into();
            peer.endpoint.connected(peer.flow, None);
            assert_eq!(words(&peer.send(&ok(&invite, "one"))), ["ACK", "BYE"]);
            peer.assert_clean();
        }
    }
}
