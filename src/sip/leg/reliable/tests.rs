use super::*;
use crate::message::{Message, parse};
use bytes::Bytes;
use domain::now::epoch;

fn response(status: u16, body: &'static str) -> Response {
    let mut headers = Headers::new();
    headers.push(Name::CSeq, "1 INVITE");
    let mut response = Response { status, reason: String::new(), headers, body: Bytes::new() };
    if !body.is_empty() {
        response.set_body("application/sdp", body);
    }
    response
}

fn rack(rseq: u32, cseq: u32) -> Rack {
    Rack { rseq, cseq }
}

/// RFC 3262 §3: again from T1, doubling without end, until 64*T1 have passed.
#[test]
fn rfc_3262_s3_a_reliable_response_is_repeated_from_t1_doubling_for_64_t1() {
    let start = epoch().instant;
    let mut reliable = Reliable::new(7);
    assert_eq!(reliable.deadline(), None);
    let sent = reliable.send(response(180, ""), start).unwrap();
    assert_eq!(sent.headers.get(Name::RSeq), Some("7"));
    assert_eq!(sent.headers.get(Name::Require), Some("100rel"));
    assert_eq!(reliable.handle_deadline(start), Due::Nothing);
    let mut again = Vec::new();
    let given_up = loop {
        let at = reliable.deadline().unwrap();
        match reliable.handle_deadline(at) {
            Due::SendAgain(response) => {
                assert_eq!(response, sent);
                again.push((at - start).as_millis());
            }
            Due::GiveUp => break (at - start).as_millis(),
            Due::Nothing => panic!("something was due"),
        }
    };
    assert_eq!(again, [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert_eq!(given_up, 32_000);
}

/// RFC 3262 §3: method, CSeq and RSeq must all match; a second PRACK for the same matches nothing.
#[test]
fn rfc_3262_s3_a_prack_matches_by_rseq_and_cseq_once() {
    let now = epoch().instant;
    let mut reliable = Reliable::new(7);
    reliable.send(response(183, "v=0"), now);
    assert_eq!(reliable.acknowledge(rack(8, 1), 1, now), None);
    assert_eq!(reliable.acknowledge(rack(7, 2), 1, now), None);
    assert!(reliable.awaits_description());
    let done = Acknowledged { had_description: true, next: None };
    assert_eq!(reliable.acknowledge(rack(7, 1), 1, now), Some(done));
    assert!(!reliable.awaits_description());
    assert_eq!(reliable.acknowledge(rack(7, 1), 1, now), None);
    assert_eq!(reliable.deadline(), None);
}

/// RFC 3262 §3: no second one before the first is acknowledged; each number is one higher. What
/// waits is the latest, with the description that any of them had.
#[test]
fn rfc_3262_s3_the_second_waits_for_the_first_and_has_the_next_number() {
    let now = epoch().instant;
    let mut reliable = Reliable::new(7);
    reliable.send(response(180, ""), now);
    assert_eq!(reliable.send(response(183, "v=0"), now), None);
    assert_eq!(reliable.send(response(181, ""), now), None);
    assert!(reliable.awaits_description());
    let done = reliable.acknowledge(rack(7, 1), 1, now).unwrap();
    assert!(!done.had_description);
    let next = done.next.unwrap();
    assert_eq!((next.status, next.headers.get(Name::RSeq)), (181, Some("8")));
    assert_eq!(next.body, "v=0");
    // §3: after the final response nothing is repeated, but its PRACK is still known.
    assert_eq!(reliable.finish(1), Some(rack(8, 1)));
}

#[test]
fn rfc_3262_s7_rack_and_rseq_are_read() {
    for (text, expected) in [
        ("776656 1 INVITE", Some(rack(776_656, 1))),
        ("  1   4294967295  INVITE ", Some(rack(1, u32::MAX))),
        ("1 1 UPDATE", None),
        ("1 1", None),
        ("1 1 INVITE x", None),
        ("-1 1 INVITE", None),
        ("", None),
    ] {
        let text = format!(
            "PRACK sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1\r\n\
             From: <sip:b@192.0.2.2>;tag=1\r\nTo: <sip:a@192.0.2.1>;tag=2\r\nCall-ID: c\r\n\
             CSeq: 2 PRACK\r\nRAck: {text}\r\n\r\n"
        );
        let Ok(Message::Request(prack)) = parse(Bytes::from(text.clone())) else {
            panic!("{text}")
        };
        assert_eq!(Rack::of(&prack), expected, "{text}");
    }
    for (status, require, rseq, expected) in [
        (180, "100rel", "5", Some(5)),
        (183, "timer, 100REL", "5", Some(5)),
        (100, "100rel", "5", None),
        (200, "100rel", "5", None),
        (180, "timer", "5", None),
        (180, "100rel", "0", None),
        (180, "100rel", "x", None),
    ] {
        let mut response = response(status, "");
        response.headers.push(Name::Require, require);
        response.headers.push(Name::RSeq, rseq);
        assert_eq!(rseq_of(&response), expected, "{status} {require} {rseq}");
    }
}
