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

/// Found by a fuzzer: each request that is taken is answered by something that can be read, and our
/// tag is the one that is read in it.
#[test]
fn an_answer_to_a_request_with_an_odd_to_is_sound() {
    let long = format!("<sip:100@pbx.example>;x={}", "y".repeat(7_900));
    for to in [
        "sip:100@pbx.example;",
        "<sip:100@pbx.example>;",
        "<sip:100@pbx.example> ;",
        "\"a;b\" <sip:100@pbx.example;p=;>;x=\"y;\\\"z\";",
        &long,
    ] {
        let invite = request(INVITE.replace("<sip:100@pbx.example>", to));
        for status in [180, 404] {
            let made = invite.response(status, Some("t1"));
            assert_eq!(made.headers.to().unwrap().tag(), Some("t1"), "{to}");
            assert_eq!(read(made.print()), Ok(Message::Response(made)));
        }
    }
}

/// A tag without a value, or a second one, would make dialogs that each side knows by another name.
#[test]
fn a_tag_that_names_no_dialog_is_refused() {
    for tag in [";tag", ";tag=1;tag=2", ";tag;TAG=2", ";tag=\"a b\"", ";tag=a b", ";tag=<a>"] {
        for field in ["<sip:100@pbx.example>", "<sip:ann@a.example>"] {
            let text = INVITE.replace(";tag=f1", "").replace(field, &format!("{field}{tag}"));
            assert!(read(text).is_err(), "{field}{tag}");
        }
    }
}

/// What we add, a tag or where a message came from, does not make of a taken message one that is
/// too long to be read.
#[test]
fn what_we_add_has_room() {
    for length in 7_000..8_300 {
        let long = ";x=".to_owned() + &"y".repeat(length);
        for (front, address) in
            [("rport", "192.0.2.1:9"), ("rport", "[2001:db8:1:2:3:4:5:6]:65535")]
        {
            let Ok(Message::Request(mut invite)) =
                read(INVITE.replace(front, &format!("rport{long}")))
            else {
                continue;
            };
            invite.headers.stamp_via(address.parse().unwrap());
            assert!(invite.headers.via().is_ok(), "{length}");
        }
        let to = "<sip:100@pbx.example>";
        if let Ok(Message::Request(invite)) = read(INVITE.replace(to, &format!("{to}{long}"))) {
            let made = invite.response(200, Some(&"t".repeat(32)));
            assert!(made.headers.to().is_ok(), "{length}");
        }
    }
}

/// A form feed is no blank (RFC 3261 §25.1): what stands before the first Via of a list is a Via that
/// cannot be read, and not nothing.
#[test]
fn a_form_feed_is_no_blank() {
    let text = INVITE.replace("Via: SIP", "Via: ,\u{c}, SIP");
    assert!(read(text).is_err());
    assert!(read(INVITE.replace("Call-ID: c1", "Call-ID: \u{c}c1")).is_ok());
    let odd = INVITE.replace(";tag=f1", ";tag=f1\u{c}");
    assert!(read(odd).is_err(), "a tag is a word");
}

/// Brackets mean nothing within a Via; with them in it, a list could be cut in two ways.
#[test]
fn a_via_with_brackets_is_refused() {
    for via in ["h;x=<", "h;a=<;received=>,x;b=2", "h;rport;x=<,SIP/2.0/UDP g;rport>", "h;x=>"] {
        let text = INVITE.replace("192.0.2.1:5070;branch=z9hG4bK1;rport", via);
        assert!(read(text).is_err(), "{via}");
    }
}
