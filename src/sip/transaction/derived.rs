//! The two requests that the transaction layer makes out of an INVITE already sent: the ACK to
//! its refusal and its CANCEL.

use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::{Message, Request, parse};
use bytes::Bytes;

/// The ACK to a refusal (RFC 3261 §17.1.1.3): the INVITE's target, Via, From, Call-ID, number and
/// routes, and the refusal's To. `None` when `invite` is no INVITE of ours.
pub fn ack_to_refusal(invite: &Bytes, to: &str) -> Option<Bytes> {
    let (mut ack, invite) = like(invite, Method::Ack)?;
    ack.headers.set(Name::To, to);
    // RFC 3261 §22.1: it cannot be challenged, so it bears what the INVITE was let pass with.
    for name in [Name::Authorization, Name::ProxyAuthorization] {
        ack.headers.copy(&invite.headers, name);
    }
    Some(ack.print())
}

/// The CANCEL of an INVITE (RFC 3261 §9.1): its target, Via, From, To, Call-ID, number and routes.
pub fn cancel(invite: &Bytes) -> Option<Request> {
    let (mut cancel, invite) = like(invite, Method::Cancel)?;
    // RFC 4028 §7.1: in each request but ACK.
    cancel.headers.copy(&invite.headers, Name::Supported);
    Some(cancel)
}

/// The request like the INVITE, and the INVITE.
fn like(invite: &Bytes, method: Method) -> Option<(Request, Request)> {
    let Ok(Message::Request(invite)) = parse(invite.clone()) else { return None };
    let (cseq, _) = invite.headers.cseq().ok()?;
    let cseq = format!("{cseq} {method}");
    let mut request = Request::new(method, invite.uri.clone());
    let copied = [Name::Via, Name::MaxForwards, Name::Route, Name::From, Name::To, Name::CallId];
    for name in copied {
        request.headers.copy(&invite.headers, name);
    }
    request.headers.push(Name::CSeq, &cseq);
    request.headers.copy(&invite.headers, Name::UserAgent);
    Some((request, invite))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:b@192.0.2.2 SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
        Route: <sip:192.0.2.3;lr>\r\nFrom: <sip:a@192.0.2.9>;tag=1\r\nTo: <sip:b@192.0.2.2>\r\n\
        Call-ID: c\r\nCSeq: 3 INVITE\r\nContact: <sip:a@192.0.2.9>\r\n\
        Proxy-Authorization: Digest realm=\"r\"\r\n\
        Content-Type: application/sdp\r\nContent-Length: 3\r\n\r\nv=0";

    #[test]
    fn both_bear_the_marks_of_the_invite() {
        let invite = Bytes::from_static(INVITE.as_bytes());
        let ack = ack_to_refusal(&invite, "<sip:b@192.0.2.2>;tag=2").unwrap();
        let expected = "ACK sip:b@192.0.2.2 SIP/2.0\r\n\
            Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
            Route: <sip:192.0.2.3;lr>\r\nFrom: <sip:a@192.0.2.9>;tag=1\r\n\
            To: <sip:b@192.0.2.2>;tag=2\r\nCall-ID: c\r\nCSeq: 3 ACK\r\n\
            Proxy-Authorization: Digest realm=\"r\"\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(ack, expected);
        let cancel = cancel(&invite).unwrap().print();
        let expected = expected.replace("ACK", "CANCEL").replace(";tag=2", "");
        let expected = expected.replace("Proxy-Authorization: Digest realm=\"r\"\r\n", "");
        assert_eq!(cancel, expected);
        assert_eq!(ack_to_refusal(&Bytes::from_static(b"x"), "y"), None);
    }
}
