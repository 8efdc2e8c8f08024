//! rsip reads what we print, and finds in it what we meant, for the messages it can read: full
//! names, no folds, one value a line.

use super::{INVITE, request};
use crate::message::Message;
use rsip::prelude::{HeadersExt, ToTypedHeader, UntypedHeader};

fn second_reading(message: &Message) -> rsip::SipMessage {
    rsip::SipMessage::try_from(&message.print()[..]).expect("rsip reads what we print")
}

#[test]
fn rsip_reads_our_request_as_we_meant_it() {
    let ours = request(INVITE);
    let rsip::SipMessage::Request(theirs) = second_reading(&Message::Request(ours.clone())) else {
        panic!("a request")
    };
    assert_eq!(theirs.method.to_string(), ours.method.as_str());
    assert_eq!(theirs.uri.to_string(), ours.uri.as_str());
    assert_eq!(theirs.body, ours.body);
    assert_eq!(theirs.headers.iter().count(), ours.headers.len() + 1, "and Content-Length");
    let via = theirs.via_header().unwrap().typed().unwrap();
    assert_eq!(via.branch().map(|branch| branch.to_string()).as_deref(), Some("z9hG4bK1"));
    let from = theirs.from_header().unwrap().typed().unwrap();
    assert_eq!(from.tag().map(ToString::to_string).as_deref(), Some("f1"));
    assert_eq!(from.uri.to_string(), "sip:ann@a.example");
    let cseq = theirs.cseq_header().unwrap().typed().unwrap();
    assert_eq!((cseq.seq, cseq.method.to_string()), (7, "INVITE".to_owned()));
    assert_eq!(theirs.call_id_header().unwrap().value(), "c1@192.0.2.1");
}

#[test]
fn rsip_reads_our_responses_as_we_meant_them() {
    for status in [100, 180, 200, 302, 401, 486, 503, 603] {
        let mut ours = request(INVITE).response(status, Some("t1"));
        ours.headers.stamp_via("192.0.2.77:999".parse().unwrap());
        let rsip::SipMessage::Response(theirs) = second_reading(&Message::Response(ours)) else {
            panic!("a response")
        };
        assert_eq!(u16::from(theirs.status_code.clone()), status);
        let via = theirs.via_header().unwrap().typed().unwrap();
        assert_eq!(via.received().unwrap().unwrap().to_string(), "192.0.2.77");
        let to = theirs.to_header().unwrap().typed().unwrap();
        let tag = to.tag().map(ToString::to_string);
        assert_eq!(tag.as_deref(), (status > 100).then_some("t1"));
    }
}
