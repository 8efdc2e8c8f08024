//! RFC 4475 and RFC 5118: each message with the verdict that the RFC's prose gives it, as far as
//! the message alone decides. What the element behind it would say is noted beside.

use crate::{files, stem, with_crlf};
use bytes::Bytes;
use sip::message::{Message, parse};

/// What becomes of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Request(&'static str),
    Response(u16),
    Refused(u16),
    Dropped,
}

use Verdict::{Dropped, Refused, Request, Response};

/// All messages of RFC 4475, also those that a folder may lack.
const RFC_4475: &[(&str, Verdict)] = &[
    // §3.1.1: valid. White space, escapes, odd tokens, length.
    ("wsinv", Request("INVITE")),
    ("intmeth", Request("!interesting-Method0123456789_*+`.%indeed'~")),
    ("esc01", Request("INVITE")),
    ("escnull", Request("REGISTER")),
    // §3.1.1.5: escapes mean nothing in a method.
    ("esc02", Request("RE%47IST%45R")),
    ("lwsdisp", Request("OPTIONS")),
    ("longreq", Request("INVITE")),
    // §3.1.1.8: octets behind the body are dropped.
    ("dblreq", Request("REGISTER")),
    ("semiuri", Request("OPTIONS")),
    ("transports", Request("OPTIONS")),
    ("mpart01", Request("MESSAGE")),
    ("unreason", Response(200)),
    ("noreason", Response(100)),
    // §3.1.2: invalid.
    ("badinv01", Refused(400)),
    ("clerr", Refused(400)),
    ("ncl", Refused(400)),
    ("scalar02", Refused(400)),
    ("scalarlg", Dropped),
    ("quotbal", Refused(400)),
    ("ltgtruri", Refused(400)),
    ("lwsruri", Refused(400)),
    // §3.1.2.9, .10, .11: "acceptable to reject".
    ("lwsstart", Refused(400)),
    ("trws", Refused(400)),
    ("escruri", Refused(400)),
    // §3.1.2.12: not to be refused for a Date that nobody reads.
    ("baddate", Request("INVITE")),
    // §3.1.2.13: the fault is in Contact, which the registrar reads (400).
    ("regbadct", Request("REGISTER")),
    ("badaspec", Refused(400)),
    // §3.1.2.15: missing quotes may be inferred, but not around a comma.
    ("baddn", Refused(400)),
    ("badvers", Refused(505)),
    ("mismatch01", Refused(400)),
    ("mismatch02", Refused(400)),
    ("bigcode", Dropped),
    // §3.2.1: falls back to the matching of RFC 2543.
    ("badbranch", Request("OPTIONS")),
    // §3.3: 400, and for the well-formed ones 416, 416, 400 (registrar), 420, 415.
    ("insuf", Refused(400)),
    ("unkscm", Request("OPTIONS")),
    ("novelsc", Request("OPTIONS")),
    ("unksm2", Request("REGISTER")),
    ("bext01", Request("OPTIONS")),
    ("invut", Request("INVITE")),
    ("regaut01", Request("REGISTER")),
    ("multi01", Refused(400)),
    ("mcl01", Refused(400)),
    // §3.3.10: dropped by who matches responses to its own address.
    ("bcast", Response(200)),
    ("zeromf", Request("OPTIONS")),
    ("cparam01", Request("REGISTER")),
    ("cparam02", Request("REGISTER")),
    ("regescrt", Request("REGISTER")),
    ("sdp01", Request("INVITE")),
    // §3.4.1: no branch, no tag, no Max-Forwards.
    ("inv2543", Request("INVITE")),
];

const RFC_5118: &[(&str, Verdict)] = &[
    ("ipv6-good", Request("REGISTER")),
    // §4.2: no brackets.
    ("ipv6-bad", Refused(400)),
    ("port-ambiguous", Request("REGISTER")),
    ("port-unambiguous", Request("REGISTER")),
    // §4.5: `received` with and without brackets.
    ("via-received-param-with-delim", Request("BYE")),
    ("via-received-param-no-delim", Request("OPTIONS")),
    ("ipv6-in-sdp", Request("INVITE")),
    ("mult-ip-in-header", Request("BYE")),
    ("mult-ip-in-sdp", Request("INVITE")),
    ("ipv4-mapped-ipv6", Request("INVITE")),
    // §4.10: "must tolerate".
    ("ipv6-bug-abnf-3-colons", Request("OPTIONS")),
    ("ipv6-correct-abnf-2-colons", Request("OPTIONS")),
];

/// The messages of a folder by name; none where the corpora are not at hand.
fn messages(folder: &str, prepare: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<(String, Vec<u8>)> {
    let all = files(folder).into_iter().flatten();
    let named = all.map(|(path, content)| (stem(&path).to_owned(), content));
    let wanted = named.filter(|(name, _)| name != "README" && name != "INDEX");
    wanted.map(|(name, content)| (name, prepare(content))).collect()
}

pub fn prepared_4475() -> Vec<(String, Vec<u8>)> {
    messages("sip-torture-4475", |content| content)
}

/// The archive's files have bare line feeds and Content-Lengths that do not count the carriage
/// returns: they are put right first, as the RFC prints them.
pub fn prepared_5118() -> Vec<(String, Vec<u8>)> {
    messages("sip-torture-5118", |content| {
        let text = String::from_utf8(with_crlf(&content)).expect("the messages are text");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text.trim_end(), ""));
        let kept = head.split("\r\n").filter(|line| {
            !line.to_ascii_lowercase().starts_with("content-length") && !line.starts_with("l:")
        });
        format!("{}\r\n\r\n{body}", kept.collect::<Vec<_>>().join("\r\n")).into_bytes()
    })
}

/// Compares the whole folder with the table at once, so that a fault shows all that differ.
fn check(messages: Vec<(String, Vec<u8>)>, table: &[(&str, Verdict)]) {
    let mut found = Vec::new();
    let mut expected = Vec::new();
    for (name, message) in messages {
        let row = table.iter().find(|(listed, _)| *listed == name);
        let (_, verdict) = row.unwrap_or_else(|| panic!("{name} has no row"));
        expected.push(format!("{name}: {}", describe(*verdict)));
        found.push(format!("{name}: {}", read(message)));
    }
    assert_eq!(found, expected);
}

fn describe(verdict: Verdict) -> String {
    match verdict {
        Request(method) => method.to_owned(),
        Response(status) => status.to_string(),
        Refused(status) => format!("refused with {status}"),
        Dropped => "dropped".to_owned(),
    }
}

fn read(message: Vec<u8>) -> String {
    match parse(Bytes::from(message)) {
        Ok(Message::Request(request)) => request.method.to_string(),
        Ok(Message::Response(response)) => response.status.to_string(),
        Err(error) => match error.response("totag") {
            Some(refusal) => format!("refused with {}", refusal.status),
            None => "dropped".to_owned(),
        },
    }
}

#[test]
fn rfc_4475_messages_get_the_verdicts_of_its_prose() {
    check(prepared_4475(), RFC_4475);
}

#[test]
fn rfc_5118_messages_get_the_verdicts_of_its_prose() {
    check(prepared_5118(), RFC_5118);
}
