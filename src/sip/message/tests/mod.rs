//! Messages read, refused, answered, printed, cut out of streams.

mod addresses;
mod answering;
mod framing;
mod property;
mod reading;
mod refusals;
mod second_opinion;
mod variations;

use crate::error::ParseError;
use crate::message::{Message, Request, Response, parse};
use bytes::Bytes;

/// A whole, ordinary INVITE.
const INVITE: &str = "INVITE sip:100@pbx.example SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK1;rport\r\n\
    Max-Forwards: 70\r\n\
    From: \"Ann\" <sip:ann@a.example>;tag=f1\r\n\
    To: <sip:100@pbx.example>\r\n\
    Call-ID: c1@192.0.2.1\r\n\
    CSeq: 7 INVITE\r\n\
    Contact: <sip:ann@192.0.2.1:5070>\r\n\
    Record-Route: <sip:edge.example;lr>\r\n\
    Content-Type: application/sdp\r\n\
    Content-Length: 4\r\n\
    \r\n\
    v=0\n";

fn read(text: impl AsRef<[u8]>) -> Result<Message, ParseError> {
    parse(Bytes::copy_from_slice(text.as_ref()))
}

fn request(text: impl AsRef<[u8]>) -> Request {
    match read(text) {
        Ok(Message::Request(request)) => request,
        other => panic!("no request: {other:?}"),
    }
}

fn response(text: impl AsRef<[u8]>) -> Response {
    match read(text) {
        Ok(Message::Response(response)) => response,
        other => panic!("no response: {other:?}"),
    }
}
