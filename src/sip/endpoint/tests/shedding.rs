//! Refusals written from the octets of an INVITE, against those of the endpoint that has read it.

use super::pair::{A, config};
use super::peer::{Draft, Peer, word};
use crate::endpoint::Counters;
use crate::event::{Action, Flow, Transport};
use bytes::Bytes;

/// What is sent, and what is counted: refused from its octets, and after it was read.
type Refused = (Vec<(Flow, Bytes)>, Counters);

fn sent(out: Vec<Action>) -> Vec<(Flow, Bytes)> {
    let transmit = |action| match action {
        Action::Transmit { flow, message, leg: None } => (flow, message),
        other => panic!("{other:?}"),
    };
    out.into_iter().map(transmit).collect()
}

fn at_once(text: &str, flow: Flow) -> Option<Refused> {
    let (mut peer, mut out) = (Peer::new(), Vec::new());
    let refused = peer.endpoint.refuse(flow, text.as_bytes(), &mut out);
    refused.then(|| (sent(out), peer.endpoint.counters()))
}

fn after_reading(text: &str, flow: Flow) -> Refused {
    let (mut peer, mut out) = (Peer::new(), Vec::new());
    peer.endpoint.defence.refuses = true;
    let message = Bytes::copy_from_slice(text.as_bytes());
    match flow.transport {
        Transport::Tcp => peer.endpoint.receive_framed(flow, message, peer.now, &mut out),
        _ => peer.endpoint.receive(flow, message, peer.now, &mut out),
    }
    (sent(out), peer.endpoint.counters())
}

fn flow(transport: Transport, remote: &str) -> Flow {
    Flow { transport, remote: remote.parse().unwrap(), ..Peer::new().flow }
}

fn call() -> Draft {
    Draft::invite(1)
}

fn via(value: &str) -> Draft {
    call().set("Via", value)
}

#[test]
fn ordinary_calls_get_the_same_refusal_unread() {
    let udp = flow(Transport::Udp, "192.0.2.2:5060");
    let behind_nat = flow(Transport::Udp, "192.0.2.77:40001");
    let tcp = flow(Transport::Tcp, "192.0.2.2:40000");
    let six = flow(Transport::Udp, "[2001:db8::9]:5070");
    let proxied =
        "Via: SIP/2.0/UDP 192.0.2.3;branch=z9hG4bKa, SIP/2.0/UDP x\r\nVia: oddly\r\nCSeq:";
    let compact = call().print().replace("Via:", "v:").replace("From:", "f :");
    let compact = compact.replace("\r\nTo:", "\r\nT:").replace("Call-ID:", "i:");
    for (flow, text) in [
        (udp, call().print()),
        (behind_nat, call().print()),
        (udp, via("SIP/2.0/UDP 192.0.2.2;rport;branch=z9hG4bK1").print()),
        (
            behind_nat,
            via("SIP/2.0/UDP  pbx.example:5070 ;rport ; branch=z9hG4bK1;x=\"a;b\"").print(),
        ),
        (udp, via("SIP/2.0/UDP 192.0.2.2;received=192.0.2.9;branch=z9hG4bK1").print()),
        (behind_nat, via("SIP/2.0/UDP 192.0.2.2;received=1.2.3.4;rport=9;branch=z9hG4bK1").print()),
        (tcp, via("SIP/2.0/TCP 192.0.2.2;branch=z9hG4bK1;alias").print()),
        (six, via("SIP/2.0/UDP [2001:db8::9]:5080;branch=z9hG4bK1").print()),
        (six, via("SIP/2.0/UDP [2001:db8::1];rport;branch=Z9HG4BK1").print()),
        (udp, call().print().replace("CSeq:", proxied)),
        (behind_nat, compact),
        (udp, call().set("From", "\"Jo, <Ann>\" <sip:a@x;b>;tag=1;x=y").print()),
        (udp, call().set("To", "Käthe  <sip:4711@192.0.2.1>;x;").print()),
        (udp, call().set("To", "tel:4711").set("CSeq", "007   INVITE").print()),
    ] {
        let read = after_reading(&text, flow);
        assert_eq!(at_once(&text, flow).as_ref(), Some(&read), "{text}");
        assert_eq!(word(std::str::from_utf8(&read.0[0].1).unwrap()), "503", "{text}");
    }
}

#[test]
fn what_is_not_quite_ordinary_is_read() {
    let udp = flow(Transport::Udp, "192.0.2.2:5060");
    let plain = call().print();
    let line = |from: &str, to: &str| {
        assert!(plain.contains(from));
        plain.replacen(from, to, 1)
    };
    let cases = [
        line("\r\nTo:", "\r\nSubject: a\r\n b\r\nTo:"),
        line("\r\nTo:", "\nTo:"),
        line("\r\nTo:", "\r\nSubject: a\rb\r\nTo:"),
        line("\r\nTo:", "\r\nno field\r\nTo:"),
        line("\r\nTo:", "\r\nno token: 1\r\nTo:"),
        line("\r\nTo:", &format!("\r\n{}To:", "X: y\r\n".repeat(130))),
        line("\r\nTo:", &format!("\r\n{}To:", "Via: y\r\n".repeat(8))),
        line("\r\nTo:", "\r\nt: <sip:b@x>\r\nTo:"),
        line("\r\nFrom:", "\r\nFrom: <sip:b@x>;tag=2\r\nFrom:"),
        line("\r\nCall-ID:", "\r\ni: x\r\nCall-ID:"),
        line("\r\nCSeq:", "\r\nCSeq: 2 INVITE\r\nCSeq:"),
        line("INVITE ", "ACK "),
        line("SIP/2.0\r\n", "SIP/3.0\r\n"),
        line("INVITE sip:", "INVITE  sip:"),
        plain[..plain.find("\r\n\r\n").unwrap() + 2].to_owned(),
        String::new(),
        call().set("From", "").print(),
        call().set("To", "").print(),
        call().set("Call-ID", "").print(),
        call().set("CSeq", "").print(),
        call().set("Via", "").print(),
        call().set("From", "<sip:a").print(),
        call().set("To", "<sip:4711@192.0.2.1>; tag = 1").print(),
        call().set("To", &format!("<sip:a@x>;x={}", "y".repeat(9_000))).print(),
        call().set("Call-ID", "two words").print(),
        call().set("CSeq", "1 BYE").print(),
        call().set("CSeq", "4294967295 INVITE").print(),
        call().set("Subject", &"x".repeat(70_000)).print(),
        via("SIP/2.0/UDP 192.0.2.2").print(),
        via("SIP/2.0/UDP 192.0.2.2;branch=old").print(),
        via("SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK").print(),
        via("SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1, SIP/2.0/UDP x").print(),
        via(", SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1").print(),
        via("SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1;oc").print(),
        via("SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1;rport=x").print(),
    ];
    assert!(at_once(&plain, udp).is_some());
    for text in cases {
        assert_eq!(at_once(&text, udp), None, "{text}");
    }
    let mut octets = plain.into_bytes();
    let at = octets.windows(4).position(|it| it == b"\r\nTo").unwrap();
    octets.splice(at..at, *b"\r\nSubject: \xE4");
    assert!(!Peer::new().endpoint.refuse(udp, &octets, &mut Vec::new()), "no UTF-8");
}

#[test]
fn a_call_that_was_taken_is_not_refused_when_it_is_repeated() {
    let mut peer = Peer::with(config(A));
    let taken = call().print();
    assert_eq!(word(&peer.send(&taken)[0]), "100");
    let mut out = Vec::new();
    let mut refuse = |text: &str| peer.endpoint.refuse(peer.flow, text.as_bytes(), &mut out);
    assert!(!refuse(&taken));
    assert!(refuse(&via("SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKother").print()));
    assert_eq!(sent(out).len(), 1);
}
