//! Where responses go (RFC 3261 §18.2, RFC 3581), and what a hostile network may send.

use super::pair::{A, address, media};
use super::peer::{Draft, Peer, header, sdp};
use crate::endpoint::Endpoint;
use crate::event::{Action, Flow, LegCommand, Transport};
use bytes::Bytes;
use domain::id::LegId;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::net::SocketAddr;

/// The source of a request, its sent-by, and where the answer goes.
#[test]
fn answers_go_where_via_and_source_say() {
    let from_address = |text: &str| -> SocketAddr { text.parse().unwrap() };
    for (source, via, there, stamp) in [
        ("192.0.2.2:5060", "192.0.2.2", "192.0.2.2:5060", ""),
        ("192.0.2.2:4444", "192.0.2.2:5070", "192.0.2.2:5070", ""),
        ("192.0.2.2:4444", "10.0.0.1:5070", "192.0.2.2:5070", "received=192.0.2.2"),
        ("192.0.2.2:4444", "pbx.example", "192.0.2.2:5060", "received=192.0.2.2"),
        ("192.0.2.2:4444", "pbx.example;rport", "192.0.2.2:4444", "rport=4444"),
        ("192.0.2.2:4444", "192.0.2.2;maddr=192.0.2.99", "192.0.2.2:5060", "maddr=192.0.2.99"),
        ("192.0.2.2:4444", "192.0.2.2;received=192.0.2.99", "192.0.2.2:5060", ""),
    ] {
        for method in ["OPTIONS", "INVITE"] {
            let mut peer = Peer::new();
            peer.flow.remote = from_address(source);
            let via = format!("SIP/2.0/UDP {via};branch=z9hG4bK1");
            let draft = if method == "INVITE" { Draft::invite(1) } else { Draft::new(method, 1) };
            let sent = peer.request(&draft.set("Via", &via));
            assert_eq!(peer.sent_over.unwrap().remote, from_address(there), "{via}");
            assert!(header(&sent[0], "Via").contains(stamp), "{}", sent[0]);
        }
    }
    // A stream takes its answers back, whatever its Via says.
    let mut peer = Peer::new();
    peer.flow = Flow { transport: Transport::Tcp, remote: address(1), ..peer.flow };
    peer.request(&Draft::new("OPTIONS", 1).set("Via", "SIP/2.0/TCP 10.0.0.1;branch=z9hG4bK1"));
    assert_eq!(peer.sent_over, Some(peer.flow));
}

/// The simulator and the gateway each drive an endpoint from a thread of their choice.
#[test]
fn an_endpoint_may_change_threads() {
    fn may_move<T: Send>() {}
    may_move::<Endpoint>();
}

/// One octet, or one line, of a sound message changed at random.
fn spoil(text: &str, luck: &mut StdRng) -> Vec<u8> {
    let mut lines: Vec<_> = text.split_inclusive("\r\n").map(str::to_owned).collect();
    let (at, other) = (luck.random_range(0..lines.len()), luck.random_range(0..lines.len()));
    match luck.random_range(0..4) {
        0 => drop(lines.remove(at)),
        1 => lines.swap(at, other),
        2 => lines.insert(other, lines[at].clone()),
        _ => {
            let mut octets = text.as_bytes().to_vec();
            let at = luck.random_range(0..octets.len());
            octets[at] = luck.random();
            return octets;
        }
    }
    lines.concat().into_bytes()
}

/// Spoilt messages at any moment of a call: nothing panics, and nothing is left once the timers
/// have run out.
#[test]
fn spoilt_messages_do_no_harm() {
    let mut luck = StdRng::seed_from_u64(11);
    let mut answers = 0;
    for round in 0..1_500 {
        let mut peer = Peer::new();
        let call = Draft::invite(1);
        peer.request(&call);
        let answer = match round % 3 {
            0 => {
                peer.handle(LegCommand::Progress { leg: LegId(1), status: 180, local_media: None })
            }
            _ => peer.handle(LegCommand::Answer { leg: LegId(1), local_media: media(A) }),
        };
        let to = header(&answer[0], "To").to_owned();
        for _ in 0..6 {
            let draft = match luck.random_range(0..7) {
                0 => Draft::new("ACK", 1).to(&to),
                1 => Draft::new("CANCEL", 1),
                2 => Draft::new("BYE", 2).to(&to),
                3 => Draft::new("INFO", 3).body("application/dtmf", "1").to(&to),
                4 => Draft::invite(4).to(&to).body("application/sdp", &sdp("0", "sendonly")),
                5 => Draft::new("REGISTER", 5),
                _ => Draft::invite(1),
            };
            let text = if luck.random() { draft.print() } else { answer[0].clone() };
            let mut out = Vec::new();
            let message = Bytes::from(spoil(&text, &mut luck));
            peer.endpoint.receive(peer.flow, message, peer.now, &mut out);
            let sent = |action: &&Action| matches!(action, Action::Transmit { .. });
            answers += out.iter().filter(sent).count();
        }
        // Spoilt INVITEs may be good enough for calls of their own.
        for leg in (1..20).step_by(2) {
            peer.handle(LegCommand::HangUp { leg: LegId(leg), q850: None });
        }
        peer.wait(std::time::Duration::from_secs(64));
        peer.assert_clean();
    }
    assert!(answers > 1_000, "most were worth an answer: {answers}");
}
