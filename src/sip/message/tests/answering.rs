//! Responses made from requests, and messages made from nothing.

use super::{INVITE, read, request};
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::uri::Uri;
use crate::message::{Message, Request};

/// RFC 3261 §8.2.6.2 and §12.1.1: copied fields, To tag, Record-Route where a dialog is made.
#[test]
fn responses_copy_what_they_must() {
    let mut invite = request(INVITE);
    invite.headers.push_named("timestamp", "54");
    let ringing = invite.response(180, Some("t1"));
    assert_eq!(ringing.headers.to().unwrap().tag(), Some("t1"));
    assert_eq!(ringing.headers.get(Name::RecordRoute), Some("<sip:edge.example;lr>"));
    let trying = invite.response(100, Some("t1"));
    assert_eq!(trying.headers.to().unwrap().tag(), None);
    assert_eq!(trying.headers.get(Name::Timestamp), Some("54"));
    let busy = invite.response(486, Some("t1"));
    assert_eq!((&*busy.reason, busy.headers.has(Name::RecordRoute)), ("Busy Here", false));
    // A request within a dialog has its tag already and makes no new route set.
    let tagged = request(INVITE.replace("pbx.example>", "pbx.example>;tag=t0"));
    let ok = tagged.response(200, Some("t1"));
    assert_eq!(ok.headers.to().unwrap().tag(), Some("t0"));
    assert!(!ok.headers.has(Name::RecordRoute));
}

/// RFC 3261 §18.2.1 and RFC 3581 §4, one row a case: Via before, source, Via after.
#[test]
fn the_top_via_is_stamped_with_where_the_request_came_from() {
    for (before, source, after) in [
        ("192.0.2.1;branch=1", "192.0.2.1:99", "192.0.2.1;branch=1"),
        ("192.0.2.1;branch=1", "192.0.2.9:99", "192.0.2.1;branch=1;received=192.0.2.9"),
        ("a.example:5070", "192.0.2.9:99", "a.example:5070;received=192.0.2.9"),
        (
            "192.0.2.1;rport;branch=1",
            "192.0.2.1:99",
            "192.0.2.1;branch=1;received=192.0.2.1;rport=99",
        ),
        // Claims of the sender do not count.
        ("192.0.2.1;received=10.0.0.1", "192.0.2.1:99", "192.0.2.1"),
        ("192.0.2.1;rport=1;x", "192.0.2.2:99", "192.0.2.1;x;received=192.0.2.2;rport=99"),
        ("[2001:db8::1]:5070", "[2001:db8:0::1]:5070", "[2001:db8::1]:5070"),
        ("[2001:db8::1]", "[2001:db8::2]:5060", "[2001:db8::1];received=2001:db8::2"),
        // Only the first of a list.
        (
            "h;rport, SIP/2.0/UDP g;rport",
            "192.0.2.1:9",
            "h;received=192.0.2.1;rport=9, SIP/2.0/UDP g;rport",
        ),
    ] {
        let text = INVITE.replace("192.0.2.1:5070;branch=z9hG4bK1;rport", before);
        let mut invite = request(text);
        invite.headers.stamp_via(source.parse().unwrap());
        assert_eq!(invite.headers.get(Name::Via), Some(&*format!("SIP/2.0/UDP {after}")));
    }
}

#[test]
fn a_stamped_via_tells_where_the_response_goes() {
    let mut invite = request(INVITE);
    assert_eq!(invite.headers.via().unwrap().response_address(), "192.0.2.1:5070".parse().ok());
    invite.headers.stamp_via("198.51.100.7:1024".parse().unwrap());
    assert_eq!(invite.headers.via().unwrap().response_address(), "198.51.100.7:1024".parse().ok());
}

/// What we make is printed in full names, counted, and read back the same.
#[test]
fn a_made_request_prints_and_reads_back() {
    let uri = Uri::of_address("a b#1", "[2001:db8::1]:5060".parse().unwrap()).unwrap();
    let mut made = Request::new(Method::Options, uri);
    made.headers.push(Name::Via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK2");
    made.headers.push(Name::From, "\"x\r\nInjected: y\" <sip:a@b>;tag=1");
    made.headers.push(Name::To, "<sip:c@d>");
    made.headers.push(Name::CallId, "c2");
    made.headers.push(Name::CSeq, "1 OPTIONS");
    made.headers.push_named("X-Own", "1");
    made.headers.push_named("no token", "1");
    made.headers.push(Name::ContentLength, "999");
    made.set_body("text/plain", "hällo");
    let printed = made.print();
    let expected = "OPTIONS sip:a%20b%231@[2001:db8::1]:5060 SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK2\r\n\
        From: \"x  Injected: y\" <sip:a@b>;tag=1\r\n\
        To: <sip:c@d>\r\n\
        Call-ID: c2\r\n\
        CSeq: 1 OPTIONS\r\n\
        X-Own: 1\r\n\
        Content-Type: text/plain\r\n\
        Content-Length: 6\r\n\r\nhällo";
    assert_eq!(printed, expected);
    assert_eq!(read(printed), Ok(Message::Request(made)));
}

#[test]
fn fields_are_set_removed_and_popped_in_place() {
    let mut headers = request(INVITE).headers;
    headers.push_front(Name::Via, "SIP/2.0/UDP p, SIP/2.0/UDP q");
    let hosts = |headers: &super::super::Headers| -> Vec<String> {
        headers.vias().map(|via| via.host.to_owned()).collect()
    };
    assert_eq!(hosts(&headers), ["p", "q", "192.0.2.1"]);
    headers.pop_via();
    headers.pop_via();
    assert_eq!(hosts(&headers), ["192.0.2.1"]);
    headers.push(Name::MaxForwards, "1");
    headers.set(Name::MaxForwards, "69");
    assert_eq!(headers.iter().nth(1), Some(("Max-Forwards", "69")));
    assert_eq!(headers.count(Name::MaxForwards), 1);
    headers.remove(Name::Contact);
    assert_eq!(headers.get(Name::Contact), None);
}

/// A fuzzer's: what is read as the top Via is what is stamped and taken off.
#[test]
fn stray_commas_in_front_of_a_via_are_passed_over() {
    let mut invite = request(INVITE.replace("Via: ", "Via: , \t,"));
    invite.headers.stamp_via("192.0.2.1:99".parse().unwrap());
    let expected = "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK1;received=192.0.2.1;rport=99";
    assert_eq!(invite.headers.get(Name::Via), Some(expected));
    let mut invite = request(INVITE.replace("Via: ", "Via: ,SIP/2.0/UDP top,"));
    invite.headers.pop_via();
    assert_eq!(invite.headers.via().unwrap().host, "192.0.2.1");
}

/// Found by a fuzzer: the field in front of all others is not always the one with the top Via.
#[test]
fn a_via_field_without_a_via_is_not_the_top_one() {
    let mut invite = request(INVITE.replacen("Via: ", "Via: \r\nVia: ", 1));
    invite.headers.stamp_via("192.0.2.7:4711".parse().unwrap());
    assert_eq!(invite.headers.via().unwrap().params.get("rport"), Some("4711"));
}
