use super::*;
use crate::message::{Message, parse};
use bytes::Bytes;

fn invite(extra: &str) -> Request {
    let text = format!(
        "INVITE sip:us@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
         From: \"A\" <sip:a@a.example>;tag=theirs\r\nTo: <sip:us@192.0.2.9>\r\n\
         Call-ID: c\r\nCSeq: 7 INVITE\r\n{extra}\r\n"
    );
    match parse(Bytes::from(text)) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        local: ([192, 0, 2, 9], 5060).into(),
        remote: ([192, 0, 2, 1], 4000).into(),
    }
}

fn dialog(extra: &str, keeps_flow: bool) -> Option<Dialog> {
    Dialog::of_invite(&invite(extra), "ours", "<sip:us@192.0.2.9>".into(), flow(), keeps_flow)
}

#[test]
fn requests_bear_the_dialog() {
    let mut dialog = dialog("Contact: <sip:a@192.0.2.1:5070>\r\n", false).unwrap();
    assert!(dialog.is_with("c", "theirs") && !dialog.is_with("c", "other"));
    let bye = dialog.request(Method::Bye);
    assert_eq!(bye.uri.as_str(), "sip:a@192.0.2.1:5070");
    assert_eq!(bye.headers.get(Name::From), Some("<sip:us@192.0.2.9>;tag=ours"));
    assert_eq!(bye.headers.get(Name::To), Some("\"A\" <sip:a@a.example>;tag=theirs"));
    assert_eq!(bye.headers.get(Name::CSeq), Some("1 BYE"));
    assert_eq!(bye.headers.get(Name::Contact), None);
    assert!(dialog.request(Method::Update).headers.has(Name::Contact));
    assert_eq!(dialog.destination().flow.remote, ([192, 0, 2, 1], 5070).into());
}

/// RFC 3261 §12.1.1 and §12.2.1.1: the caller's routes in order, the callee's reversed, and a
/// strict router gets the request itself.
#[test]
fn routes_are_followed_loose_and_strict() {
    let contact = "Contact: <sip:a@192.0.2.1>\r\n";
    let loose = "Record-Route: <sip:192.0.2.50;lr>, <sip:192.0.2.51;lr>\r\n";
    let mut made = dialog(&format!("{contact}{loose}"), false).unwrap();
    let bye = made.request(Method::Bye);
    assert_eq!(bye.uri.as_str(), "sip:a@192.0.2.1");
    let routes: Vec<_> = bye.headers.all(Name::Route).collect();
    assert_eq!(routes, ["<sip:192.0.2.50;lr>", "<sip:192.0.2.51;lr>"]);
    assert_eq!(made.destination().flow.remote, ([192, 0, 2, 50], 5060).into());

    let strict = "Record-Route: <sip:192.0.2.50>, <sip:192.0.2.51;lr>\r\n";
    let mut made = dialog(&format!("{contact}{strict}"), false).unwrap();
    let bye = made.request(Method::Bye);
    assert_eq!(bye.uri.as_str(), "sip:192.0.2.50");
    let routes: Vec<_> = bye.headers.all(Name::Route).collect();
    assert_eq!(routes, ["<sip:192.0.2.51;lr>", "<sip:a@192.0.2.1>"]);

    let mut answer = invite(&format!("{contact}{loose}")).response(200, Some("theirs"));
    answer.headers.push(Name::Contact, "<sip:b@192.0.2.2>");
    let sent_to = Uri::parse("sip:us@192.0.2.9").unwrap();
    let mut made =
        Dialog::of_answer(&answer, &sent_to, "<sip:us@192.0.2.9>".into(), flow(), false).unwrap();
    let bye = made.request(Method::Bye);
    let routes: Vec<_> = bye.headers.all(Name::Route).collect();
    assert_eq!(routes, ["<sip:192.0.2.51;lr>", "<sip:192.0.2.50;lr>"]);
    assert_eq!(bye.headers.get(Name::CSeq), Some("8 BYE"));
    assert_eq!(made.ack(7).headers.get(Name::CSeq), Some("7 ACK"));
}

#[test]
fn names_transports_and_nat_keep_the_known_flow() {
    let to = |contact: &str, keeps_flow| {
        let contact = format!("Contact: <{contact}>\r\n");
        dialog(&contact, keeps_flow).unwrap().destination().flow.remote
    };
    assert_eq!(to("sip:a@a.example", false), flow().remote);
    assert_eq!(to("sip:a@10.0.0.1", true), flow().remote);
    for private in ["10.0.0.1", "100.64.0.1", "100.127.255.255", "169.254.0.1"] {
        assert_eq!(to(&format!("sip:a@{private}"), false), flow().remote);
    }
    assert_eq!(to("sip:a@100.128.0.1", false), ([100, 128, 0, 1], 5060).into());
    assert_eq!(to("sip:a@192.0.2.7", false), ([192, 0, 2, 7], 5060).into());
    // Seen from further away than it is named: behind a NAT, or behind two.
    let seen = ["10.0.0.9", "100.64.0.9", "192.0.2.9"].map(|ip| reach(ip.parse().unwrap()));
    assert_eq!(seen, [Reach::Private, Reach::Shared, Reach::Public]);
    assert!(seen.is_sorted());
}

/// RFC 3261 §18.1.1, RFC 3263 §4.1, RFC 5630 §3.1.3: the Contact says how it wants to be reached.
#[test]
fn a_contact_names_transport_port_and_family() {
    let known = flow().local;
    let any: SocketAddr = (Ipv4Addr::UNSPECIFIED, 0).into();
    let any6: SocketAddr = (Ipv6Addr::UNSPECIFIED, 0).into();
    for (contact, transport, local, remote) in [
        ("sip:a@192.0.2.1", Transport::Udp, known, "192.0.2.1:5060"),
        ("sip:a@192.0.2.1;transport=tcp", Transport::Tcp, any, "192.0.2.1:5060"),
        ("sip:a@192.0.2.1;transport=tls", Transport::Tls, any, "192.0.2.1:5061"),
        ("sips:a@192.0.2.1", Transport::Tls, any, "192.0.2.1:5061"),
        ("sips:a@192.0.2.1:5071;transport=tcp", Transport::Tls, any, "192.0.2.1:5071"),
        ("sip:a@[2001:db8::1]", Transport::Udp, any6, "[2001:db8::1]:5060"),
    ] {
        let made = dialog(&format!("Contact: <{contact}>\r\n"), false).unwrap();
        let remote = remote.parse().unwrap();
        let expected = Destination::at(Flow { transport, local, remote });
        assert_eq!(made.destination(), expected, "{contact}");
    }
}

#[test]
fn requests_must_come_in_order() {
    let mut dialog = dialog("Contact: <sip:a@192.0.2.1>\r\n", false).unwrap();
    let numbered = |cseq: u32| {
        let mut request = invite("");
        request.headers.set(Name::CSeq, &format!("{cseq} INVITE"));
        request
    };
    assert_eq!(dialog.admit(&numbered(7)), Err(OutOfOrder));
    assert_eq!(dialog.admit(&numbered(9)), Ok(()));
    assert_eq!(dialog.admit(&numbered(8)), Err(OutOfOrder));
    assert_eq!(dialog.remote_cseq(), Some(9));
}

#[test]
fn an_invite_without_a_way_back_makes_no_dialog() {
    assert!(dialog("", false).is_none());
    assert!(dialog("Contact: *\r\n", false).is_none());
    assert!(dialog("Contact: <tel:+493012345>\r\n", false).is_none());
}
