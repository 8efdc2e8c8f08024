//! What an endpoint answers to each message of RFC 4475 and RFC 5118 that a carrier of its own sends
//! it, one datagram each: the status that the RFC's prose asks of an element like ours.

use crate::torture::{prepared_4475, prepared_5118};
use crate::world;
use bytes::Bytes;
use domain::now::epoch;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sip::endpoint::Endpoint;
use sip::event::{Action, Flow, Transport};

/// 0: nothing at all. What RFC 4475 leaves to the element is decided as noted.
const RFC_4475: &[(&str, u16)] = &[
    // §3.1.1.1: well-formed, and inside a dialog that is not there (RFC 3261 §12.2.2).
    ("wsinv", 481),
    // §3.1.1.2: a method that nobody knows.
    ("intmeth", 405),
    ("esc01", 100),
    // Registrations are challenged before they are read.
    ("escnull", 401),
    ("esc02", 405),
    ("lwsdisp", 200),
    ("longreq", 100),
    ("dblreq", 401),
    ("semiuri", 200),
    ("transports", 200),
    ("mpart01", 405),
    ("unreason", 0),
    ("noreason", 0),
    ("badinv01", 400),
    ("clerr", 400),
    ("ncl", 400),
    ("scalar02", 400),
    ("scalarlg", 0),
    ("quotbal", 400),
    ("ltgtruri", 400),
    ("lwsruri", 400),
    ("lwsstart", 400),
    ("trws", 400),
    ("escruri", 400),
    ("baddate", 100),
    ("regbadct", 401),
    ("badaspec", 400),
    ("baddn", 400),
    ("badvers", 505),
    ("mismatch01", 400),
    ("mismatch02", 400),
    ("bigcode", 0),
    ("badbranch", 200),
    ("insuf", 400),
    ("unkscm", 416),
    ("novelsc", 416),
    ("unksm2", 401),
    ("bext01", 420),
    ("invut", 415),
    ("regaut01", 401),
    ("multi01", 400),
    ("mcl01", 400),
    ("bcast", 0),
    // §3.3.11: an endpoint takes it as if hops were left.
    ("zeromf", 200),
    ("cparam01", 401),
    ("cparam02", 401),
    ("regescrt", 401),
    // §3.3.15: the answer could have no description.
    ("sdp01", 406),
    // §3.4.1: RFC 2543 syntax is read, but without Contact there is no way back (RFC 3261 §8.1.1.8).
    ("inv2543", 400),
];

const RFC_5118: &[(&str, u16)] = &[
    ("ipv6-good", 401),
    ("ipv6-bad", 400),
    ("port-ambiguous", 401),
    ("port-unambiguous", 401),
    // These belong to no dialog of ours.
    ("via-received-param-with-delim", 481),
    ("via-received-param-no-delim", 200),
    // Descriptions of IPv6 only, to a listener of IPv4.
    ("ipv6-in-sdp", 488),
    ("mult-ip-in-header", 481),
    ("mult-ip-in-sdp", 100),
    ("ipv4-mapped-ipv6", 488),
    ("ipv6-bug-abnf-3-colons", 200),
    ("ipv6-correct-abnf-2-colons", 200),
];

/// The status of the first thing that comes back; nothing else may happen but a call.
fn answer(message: Vec<u8>) -> u16 {
    let mut endpoint = Endpoint::new(world::config(), Box::new(StdRng::seed_from_u64(1)));
    let remote = ([192, 0, 2, 15], 5060).into();
    let flow = Flow { transport: Transport::Udp, local: world::local(), remote };
    let mut out = Vec::new();
    endpoint.receive(flow, Bytes::from(message), epoch(), &mut out);
    let sent = out.iter().find_map(|action| match action {
        Action::Transmit { message, .. } => Some(message),
        _ => None,
    });
    let Some(sent) = sent else { return 0 };
    let text = String::from_utf8_lossy(sent);
    let status = text.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3));
    status.and_then(|status| status.parse().ok()).expect("what answers a message is a response")
}

fn check(messages: Vec<(String, Vec<u8>)>, table: &[(&str, u16)]) {
    let mut found = Vec::new();
    let mut expected = Vec::new();
    for (name, message) in messages {
        let row = table.iter().find(|(listed, _)| *listed == name);
        let (_, status) = row.unwrap_or_else(|| panic!("{name} has no row"));
        expected.push(format!("{name}: {status}"));
        found.push(format!("{name}: {}", answer(message)));
    }
    assert_eq!(found, expected);
}

#[test]
fn rfc_4475_messages_are_answered_as_its_prose_asks() {
    check(prepared_4475(), RFC_4475);
}

#[test]
fn rfc_5118_messages_are_answered_as_its_prose_asks() {
    check(prepared_5118(), RFC_5118);
}
