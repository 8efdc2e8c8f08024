//! To which transaction a message belongs (RFC 3261 §17.1.3, §17.2.3), as one text to look up.

use crate::message::method::Method;
use crate::message::via::Via;
use crate::message::{Headers, Request, Response};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::sync::Arc;

/// Longer keys are replaced by their hash, so that no sender chooses how much we remember.
const LENGTH_MAX: usize = 200;

/// The key of the responses to a request of ours: branch and method (RFC 3261 §17.1.3).
pub fn of_outgoing(branch: &str, method: &Method) -> Arc<str> {
    let mut text = String::with_capacity(branch.len() + 16);
    push_all(&mut text, [branch, " ", method.as_str()]);
    bounded(text)
}

/// The key of a response. `None` when it has no Via with a branch or no CSeq.
pub fn of_response(response: &Response) -> Option<Arc<str>> {
    let via = response.headers.via().ok()?;
    let (_, method) = response.headers.cseq().ok()?;
    Some(of_outgoing(via.branch()?, &method))
}

/// The key of a peer's request (RFC 3261 §17.2.3); an ACK has that of its INVITE.
pub fn of_request(request: &Request) -> Option<Arc<str>> {
    let method = if request.method == Method::Ack { &Method::Invite } else { &request.method };
    of_parts(request, method)
}

/// The key of the INVITE that a CANCEL names (RFC 3261 §9.2).
pub fn of_cancelled(cancel: &Request) -> Option<Arc<str>> {
    of_parts(cancel, &Method::Invite)
}

fn of_parts(request: &Request, method: &Method) -> Option<Arc<str>> {
    let headers = &request.headers;
    let via = headers.via().ok()?;
    if let Some(key) = of_via(&via, method) {
        return Some(key);
    }
    let port = via.port.unwrap_or(5060);
    let (cseq, _) = headers.cseq().ok()?;
    // §17.2.3, RFC 2543 clients. The To tag is left out: the ACK has ours, the INVITE has none, and
    // the rest tells them apart from all others.
    let mut text = String::with_capacity(LENGTH_MAX);
    push_all(&mut text, ["2543 ", request.uri.as_str(), " "]);
    push_all(&mut text, [headers.from_tag().unwrap_or(""), " ", headers.call_id().ok()?]);
    push_all(&mut text, [" ", via.branch().unwrap_or(""), " "]);
    push_lower(&mut text, via.host);
    let _ = write!(text, " {cseq} {port} ");
    text.push_str(method.as_str());
    Some(bounded(text))
}

/// The key of a request with this top Via, as [`of_request`]; `None` when its branch does not name it:
/// then more of it is needed.
pub fn of_via(via: &Via<'_>, method: &Method) -> Option<Arc<str>> {
    // The cookie alone names nothing; sent-by keeps two clients' branches apart.
    let branch = via.transaction_branch()?;
    let port = via.port.unwrap_or(5060);
    let mut text = String::with_capacity(LENGTH_MAX);
    push_all(&mut text, [branch, " "]);
    push_lower(&mut text, via.host);
    let _ = write!(text, ":{port} ");
    text.push_str(method.as_str());
    Some(bounded(text))
}

fn push_all<const N: usize>(text: &mut String, parts: [&str; N]) {
    parts.iter().for_each(|part| text.push_str(part));
}

fn push_lower(text: &mut String, part: &str) {
    let start = text.len();
    text.push_str(part);
    text[start..].make_ascii_lowercase();
}

/// What a merged request has in common with the one that came first by another way
/// (RFC 3261 §8.2.2.2): From tag, Call-ID and CSeq.
pub fn of_merged(headers: &Headers) -> Option<Arc<str>> {
    let (cseq, method) = headers.cseq().ok()?;
    let mut text = String::with_capacity(LENGTH_MAX);
    push_all(&mut text, [headers.from_tag().unwrap_or(""), " ", headers.call_id().ok()?]);
    let _ = write!(text, " {cseq} ");
    text.push_str(method.as_str());
    Some(bounded(text))
}

fn bounded(text: String) -> Arc<str> {
    if text.len() <= LENGTH_MAX {
        return text.into();
    }
    let hash = Sha256::digest(text.as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Message, parse};
    use bytes::Bytes;

    fn request(method: &str, via: &str, tail: &str) -> Request {
        let text = format!(
            "{method} sip:bob@192.0.2.4 SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\n\
             From: <sip:a@a.example>;tag=1\r\nTo: <sip:bob@b.example>{tail}\r\n\
             Call-ID: c\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n\r\n"
        );
        match parse(Bytes::from(text)) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_ack_and_a_cancel_find_their_invite() {
        for via in ["a.example;branch=z9hG4bK1", "a.example;branch=old", "a.example"] {
            let invite = of_request(&request("INVITE", via, ""));
            assert!(invite.is_some());
            assert_eq!(of_request(&request("ACK", via, ";tag=2")), invite);
            assert_eq!(of_cancelled(&request("CANCEL", via, "")), invite);
            assert_ne!(of_request(&request("CANCEL", via, "")), invite);
        }
    }

    #[test]
    fn branch_and_sent_by_tell_transactions_apart() {
        let key = |via: &str| of_request(&request("INVITE", via, ""));
        let first = key("a.example;branch=z9hG4bK1");
        assert_ne!(first, key("a.example;branch=z9hG4bK2"));
        assert_ne!(first, key("b.example;branch=z9hG4bK1"));
        assert_ne!(first, key("a.example:5062;branch=z9hG4bK1"));
        assert_eq!(first, key("A.example:5060;branch=z9hG4bK1;rport=7"));
    }

    #[test]
    fn a_long_branch_makes_no_long_key() {
        let via = |end: char| format!("a.example;branch=z9hG4bK{}{end}", "x".repeat(5_000));
        let key = |end| of_request(&request("INVITE", &via(end), "")).unwrap();
        assert_eq!(key('1').len(), 64);
        assert_ne!(key('1'), key('2'));
    }
}
