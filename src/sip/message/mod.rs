//! SIP messages (RFC 3261 §7): bytes in, places found, meaning read when asked for.
//!
//! ```text
//! datagram ─────────► parse ─► Message { method, uri, headers, body }
//! stream ─► framer ──────┘         │ via(), from(), cseq()…
//!                                  └─ print ─► bytes
//! ```
//!
//! A message that [`parse`] gave has one Via at least, one From, To, Call-ID and CSeq each, all
//! well-formed, and a CSeq that names its method. Everything else is as the sender left it.

pub mod escape;
pub mod fields;
pub mod framer;
mod headers;
pub mod method;
pub mod name;
pub mod name_addr;
pub mod params;
mod parse;
mod print;
pub(crate) mod refuse;
pub mod replaces;
pub mod status;
pub mod uri;
pub mod via;

#[cfg(test)]
mod tests;

pub use headers::Headers;

use crate::error::ParseError;
use bytes::Bytes;
use method::Method;
use name::Name;
use name_addr::{NameAddr, tagged};
use status::reason_phrase;
use uri::Uri;

/// The longest message taken, in octets: what a UDP datagram can hold. A longer one on a stream
/// is answered with 513 and the stream closed.
pub const LENGTH_MAX: usize = 65_535;

/// The most header fields taken; a request with more is answered with 513.
pub const HEADERS_MAX: usize = 128;

/// A request or a response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// Asks for something.
    Request(Request),
    /// Answers a request.
    Response(Response),
}

/// A request (RFC 3261 §7.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// What is asked for.
    pub method: Method,
    /// Of whom.
    pub uri: Uri,
    /// Without Content-Length.
    pub headers: Headers,
    /// Of Content-Length octets.
    pub body: Bytes,
}

/// A response (RFC 3261 §7.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Response {
    /// 100 to 699.
    pub status: u16,
    /// For people; may be empty.
    pub reason: String,
    /// Without Content-Length.
    pub headers: Headers,
    /// Of Content-Length octets.
    pub body: Bytes,
}

/// Reads the message of one datagram (RFC 3261 §18.3): octets beyond Content-Length are dropped,
/// fewer are an error, and without Content-Length the body is the rest.
///
/// # Errors
/// [`ParseError`] names the first fault, and builds the refusal where one is due.
pub fn parse(datagram: Bytes) -> Result<Message, ParseError> {
    parse::message(datagram, parse::Carrier::Datagram)
}

/// Reads one message that was cut out of a stream, where Content-Length has told its end.
///
/// # Errors
/// As [`parse`].
pub fn parse_framed(message: Bytes) -> Result<Message, ParseError> {
    parse::message(message, parse::Carrier::Stream)
}

impl Message {
    /// The header fields.
    pub fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }

    /// The message as it goes on the wire.
    pub fn print(&self) -> Bytes {
        match self {
            Self::Request(request) => request.print(),
            Self::Response(response) => response.print(),
        }
    }
}

impl Request {
    /// A request with nothing in it yet.
    pub fn new(method: Method, uri: Uri) -> Self {
        Self { method, uri, headers: Headers::new(), body: Bytes::new() }
    }

    /// Starts the response to this request (RFC 3261 §8.2.6.2): all Vias, From, To, Call-ID and
    /// CSeq are copied, and for a 100 its Timestamp; for what makes a dialog also Record-Route
    /// (§12.1.1).
    ///
    /// `to_tag` goes on To when it has no tag and the status is not 100; `None` adds none.
    pub fn response(&self, status: u16, to_tag: Option<&str>) -> Response {
        let mut response = Response::to_headers(&self.headers, status, to_tag);
        if status == 100 {
            response.headers.copy(&self.headers, Name::Timestamp);
        }
        let is_in_range = (101..=299).contains(&status);
        if is_in_range && self.method.makes_dialog() && self.headers.lacks_to_tag() {
            response.headers.copy(&self.headers, Name::RecordRoute);
        }
        response
    }

    /// Replaces the body and its Content-Type.
    pub fn set_body(&mut self, content_type: &str, body: impl Into<Bytes>) {
        self.headers.set(Name::ContentType, content_type);
        self.body = body.into();
    }
}

impl Response {
    /// As [`Request::response`], from header fields alone.
    pub(crate) fn to_headers(request: &Headers, status: u16, to_tag: Option<&str>) -> Self {
        let mut headers = Headers::new();
        headers.copy(request, Name::Via);
        // Of two To, which only a refusal can be sent for, the first is answered.
        let untagged = match request.count(Name::To) {
            1 => request.lacks_to_tag(),
            _ => request
                .get(Name::To)
                .and_then(NameAddr::parse_party)
                .is_some_and(|to| to.tag().is_none()),
        };
        let to_tag = to_tag.filter(|_| status != 100 && untagged);
        for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
            match (request.get(name), to_tag) {
                (Some(to), Some(tag)) if name == Name::To => headers.push(name, &tagged(to, tag)),
                (Some(value), _) => headers.push(name, value),
                (None, _) => (),
            }
        }
        let reason = reason_phrase(status).to_owned();
        Self { status, reason, headers, body: Bytes::new() }
    }

    /// Replaces the body and its Content-Type.
    pub fn set_body(&mut self, content_type: &str, body: impl Into<Bytes>) {
        self.headers.set(Name::ContentType, content_type);
        self.body = body.into();
    }
}
