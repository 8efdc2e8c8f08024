//! What is read of who calls.

use super::*;
use crate::message::{Message, parse};

fn invite(more: &str) -> Request {
    let text = format!(
        "INVITE sip:4711@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKa\r\n\
         From: \"Ann\" <sip:+49301@carrier.example>;tag=a\r\nTo: <sip:4711@192.0.2.1>\r\n\
         Call-ID: call\r\nCSeq: 1 INVITE\r\n{more}\r\n"
    );
    let Ok(Message::Request(request)) = parse(text.into()) else { panic!("a request") };
    request
}

fn plain() -> IncomingCall {
    IncomingCall {
        from_user: "+49301".into(),
        from_display: "Ann".into(),
        dialled: "4711".into(),
        to_user: "4711".into(),
        call_id: "call".into(),
        max_forwards: 70,
        ..IncomingCall::default()
    }
}

#[test]
fn an_invite_is_read_whole() {
    assert_eq!(of_invite(&invite(""), true), plain());
    let more = "Max-Forwards: 9\r\nDate: Thu, 21 Feb 2002 13:02:03 GMT\r\n\
                Identity: a;info=<x>, b\r\ny: c\r\nIdentity: d, e\r\n";
    assert_eq!(
        of_invite(&invite(more), true),
        IncomingCall {
            max_forwards: 9,
            date: Some("Thu, 21 Feb 2002 13:02:03 GMT".into()),
            identity: ["a;info=<x>", "b", "c", "d"].map(Into::into).into(),
            ..plain()
        }
    );
}

/// RFC 3323 §4.2, RFC 3325 §9.3: the words that hide the caller, and those that do not.
#[test]
fn privacy_is_what_the_words_say() {
    for (value, private) in [
        ("id", true),
        ("ID", true),
        ("user", true),
        ("header;id;critical", true),
        ("none", false),
        ("session", false),
        ("idle", false),
    ] {
        let found = of_invite(&invite(&format!("Privacy: {value}\r\n")), true);
        assert_eq!(found, IncomingCall { private, ..plain() }, "{value}");
    }
}

/// RFC 3325 §5, §9.1: who is not trusted asserts nothing.
#[test]
fn an_identity_is_asserted_by_the_trusted_only() {
    for (value, asserted) in [
        ("<sip:+4930@carrier.example>", Some("+4930")),
        ("tel:+4931", Some("+4931")),
        ("<sip:+4930@carrier.example>, <tel:+4931>", Some("+4931")),
        ("<tel:+4931>, \"Ann\" <sip:ann@carrier.example>", Some("+4931")),
        ("<sip:carrier.example>", None),
        ("<<>", None),
    ] {
        let request = invite(&format!("P-Asserted-Identity: {value}\r\n"));
        let asserted = asserted.map(Into::into);
        assert_eq!(of_invite(&request, true), IncomingCall { asserted, ..plain() }, "{value}");
        assert_eq!(of_invite(&request, false), plain(), "{value}");
    }
}

#[test]
fn the_last_diversion_is_read_from_either_header() {
    for (value, found) in [
        ("Diversion: <sip:30@a>;reason=no-answer, <sip:20@a>", Some("30")),
        ("Diversion: <<>", None),
        (
            "History-Info: <sip:20@a>;index=1, <sip:30@a>;index=1.1, <sip:40@a>;index=1.2",
            Some("30"),
        ),
        ("History-Info: <sip:20@a>;index=1", None),
    ] {
        let diversion = found.map(Into::into);
        let request = invite(&format!("{value}\r\n"));
        assert_eq!(of_invite(&request, false), IncomingCall { diversion, ..plain() }, "{value}");
    }
}
