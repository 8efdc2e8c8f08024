//! A message read, answered, stamped and printed.

use bytes::Bytes;
use sip::message::{LENGTH_MAX, Message, parse};

pub fn run(data: &[u8]) {
    match parse(Bytes::copy_from_slice(data)) {
        Ok(message) => sound(message),
        Err(error) => {
            if let Some(refusal) = error.response("totag") {
                assert!((300..700).contains(&refusal.status));
                // What was salvaged may be malformed: it is sent back as it came.
                let _ = parse(refusal.print());
            }
        }
    }
}

fn sound(message: Message) {
    let printed = message.print();
    // Names in full, and UTF-8 for Latin-1, take more room than what came.
    if printed.len() > LENGTH_MAX - 256 {
        return;
    }
    assert_eq!(parse(printed.clone()).as_ref(), Ok(&message), "parse(print(m)) = m");
    read_all(&message);
    if let Message::Request(mut request) = message {
        for status in [100, 180, 200, 404] {
            let response = request.response(status, Some("ourtag"));
            let back = parse(response.print());
            assert!(matches!(&back, Ok(Message::Response(back)) if *back == response), "{back:?}");
            assert!(status == 100 || response.headers.to().is_ok_and(|to| to.tag().is_some()));
        }
        request.headers.stamp_via(([192, 0, 2, 7], 4711).into());
        let via = request.headers.via().expect("a stamped Via is sound");
        assert!(via.response_address().is_some(), "{printed:?}");
    }
}

/// Every field is read; what the readings say is for the unit tests.
fn read_all(message: &Message) {
    use sip::message::name::Name;
    let headers = message.headers();
    let _ = (headers.contacts(), headers.record_routes(), headers.routes(), headers.expires());
    let _ = (headers.max_forwards(), headers.min_expires(), headers.retry_after());
    let _ = (headers.reasons().count(), headers.require().count(), headers.vias().count());
    let _ = (headers.supports("timer"), headers.content_type(), headers.body_is_optional());
    for name in [Name::Authorization, Name::WwwAuthenticate, Name::ProxyAuthenticate] {
        for found in headers.authorisations(name) {
            let _ = (found.params.get("nonce"), found.params.iter().count());
        }
    }
    for address in [headers.from(), headers.to()] {
        let address = address.expect("a sound message has both");
        let uri = address.uri().expect("checked when it was read");
        let _ =
            (address.display(), address.tag(), uri.user(), uri.host_ip(), uri.headers().count());
        assert!(uri.is_equivalent(&uri));
        let _ = uri.into_request_uri();
    }
}
