//! What can be wrong with a received message, and what may still be answered.

use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::{Headers, Response};

/// Why a URI could not be read (RFC 3261 §19.1.1, §25.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UriError {
    /// Longer than [`crate::message::uri::LENGTH_MAX`]; a request URI is answered with 414.
    #[error("the URI is too long")]
    TooLong,
    /// No scheme before a colon.
    #[error("the URI has no scheme")]
    Scheme,
    /// A character that no URI has: white space, a control, `<`, `>` or `"`.
    #[error("the URI has a character that must be escaped")]
    Character,
    /// The user part is empty or has a `%` without two hexadecimal digits.
    #[error("the user part is malformed")]
    User,
    /// The host is neither a name, an IPv4 address nor an IPv6 address in brackets.
    #[error("the host is malformed")]
    Host,
    /// A request URI with headers behind `?` (RFC 3261 §19.1.1, table 1).
    #[error("a request URI has no headers")]
    Headers,
    /// The port is no number up to 65535.
    #[error("the port is malformed")]
    Port,
}

/// What is wrong with one header field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FieldFault {
    /// It is not there.
    Missing,
    /// Its value breaks its grammar.
    Malformed,
    /// It is there more than once and must not be (RFC 3261 §7.3.1).
    Repeated,
}

/// A header field that cannot be used; a request with it is answered with 400.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("header {name:?}: {fault:?}")]
pub struct FieldError {
    /// Which header.
    pub name: Name,
    /// What is wrong.
    pub fault: FieldFault,
}

/// What is wrong with a message as a whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing but line ends: a keep-alive (RFC 5626 §3.5.1). To be ignored.
    #[error("nothing but line ends")]
    Empty,
    /// The start line is neither a request's nor a response's; nothing can be answered.
    #[error("no SIP start line")]
    NotSip,
    /// The start line names SIP but breaks the grammar (RFC 3261 §7.1, §7.2).
    #[error("the start line is malformed")]
    StartLine,
    /// Another SIP version than 2.0 (RFC 3261 §21.5.6).
    #[error("the version is not SIP/2.0")]
    Version,
    /// The request URI cannot be read.
    #[error("request URI: {0}")]
    RequestUri(UriError),
    /// The head ends without an empty line, or has a line without a colon, a name that is no
    /// token, or a carriage return alone.
    #[error("the header section is malformed at line {line}")]
    HeaderLine {
        /// Counted from 1, the start line.
        line: u32,
    },
    /// Longer than [`crate::message::LENGTH_MAX`].
    #[error("the message is too long")]
    TooLong,
    /// More header fields than [`crate::message::HEADERS_MAX`].
    #[error("too many header fields")]
    TooManyHeaders,
    /// A header field that every message needs is missing, malformed or repeated.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The method of CSeq is not that of the start line (RFC 3261 §8.1.1.5).
    #[error("CSeq names another method")]
    MethodMismatch,
    /// Content-Length promises more than the datagram has (RFC 3261 §18.3).
    #[error("the body is shorter than Content-Length")]
    BodyShort,
    /// No Content-Length on a stream (RFC 3261 §18.3): where the message ends is unknown.
    #[error("no Content-Length on a stream")]
    LengthMissing,
}

impl Fault {
    /// The status such a request is answered with; `None` when nothing is to be answered.
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Empty | Self::NotSip => None,
            Self::Version => Some(505),
            Self::RequestUri(UriError::TooLong) => Some(414),
            Self::TooLong | Self::TooManyHeaders => Some(513),
            Self::StartLine
            | Self::RequestUri(_)
            | Self::HeaderLine { .. }
            | Self::Field(_)
            | Self::MethodMismatch
            | Self::BodyShort
            | Self::LengthMissing => Some(400),
        }
    }

    /// The reason phrase: it names the fault (RFC 3261 §21.4.1 asks for that in a 400).
    pub fn reason(self) -> String {
        match self {
            Self::Version => "Version Not Supported".into(),
            Self::RequestUri(UriError::TooLong) => "Request-URI Too Long".into(),
            Self::TooLong | Self::TooManyHeaders => "Message Too Large".into(),
            Self::Field(FieldError { name, fault }) => {
                let fault = match fault {
                    FieldFault::Missing => "Missing",
                    FieldFault::Malformed => "Malformed",
                    FieldFault::Repeated => "Repeated",
                };
                format!("{fault} {} Header", name.as_str())
            }
            Self::Empty | Self::NotSip | Self::StartLine => "Malformed Start Line".into(),
            Self::RequestUri(_) => "Malformed Request-URI".into(),
            Self::HeaderLine { .. } => "Malformed Header Section".into(),
            Self::MethodMismatch => "CSeq Names Another Method".into(),
            Self::BodyShort => "Body Shorter Than Content-Length".into(),
            Self::LengthMissing => "Missing Content-Length Header".into(),
        }
    }
}

/// What could be read of a faulty request.
#[derive(Clone, Debug, PartialEq)]
pub struct Salvage {
    /// Its method; `None` when the start line gave none.
    pub method: Option<Method>,
    /// The header fields up to the fault, and after it where lines could be told apart.
    pub headers: Headers,
}

/// A message that could not be taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{fault}")]
pub struct ParseError {
    /// What is wrong: the first fault found.
    pub fault: Fault,
    /// What could be read, when it was a request; `None` for a response, which is dropped
    /// without an answer (RFC 3261 §18.1.2).
    pub salvage: Option<Box<Salvage>>,
}

impl ParseError {
    /// The refusal to send, stateless (RFC 3261 §8.2.7): `None` when the fault asks for none, or
    /// the message was a response, an ACK, or without Via. The other fields are copied as far as
    /// they are there, malformed or not (RFC 4475 §3.3.1 wants the 400 even so). A malformed Via
    /// does not tell where to: the answer goes back where the request came from.
    ///
    /// `to_tag` is put on To when it has none; the same request must give the same tag.
    pub fn response(&self, to_tag: &str) -> Option<Response> {
        let status = self.fault.status()?;
        let Salvage { method, headers } = &**self.salvage.as_ref()?;
        // RFC 3261 §17.1.1.3: an ACK is never answered, even where its start line was not read.
        let is_ack = *method == Some(Method::Ack)
            || headers.get(Name::CSeq).is_some_and(|cseq| cseq.ends_with("ACK"));
        if is_ack || !headers.has(Name::Via) {
            return None;
        }
        let mut response = Response::to_headers(headers, status, Some(to_tag));
        response.reason = self.fault.reason();
        Some(response)
    }
}
