//! One message out of its bytes: start line, header fields, body.
//!
//! One pass over the text, no field read for its meaning but those that every message needs.
//! A fault does not stop the pass: what follows it is salvaged, so that a refusal can be sent.

use crate::error::{Fault, FieldError, FieldFault, ParseError, Salvage};
use crate::message::headers::{Headers, Span};
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::params::{self, is_token, trim, trim_end, trim_start};
use crate::message::uri::Uri;
use crate::message::{HEADERS_MAX, LENGTH_MAX, Message, Request, Response};
use bytes::Bytes;

/// What carried the message, and so what tells where it ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Carrier {
    /// One message a datagram.
    Datagram,
    /// One message after the other: only Content-Length tells.
    Stream,
}

/// What the head of a message says about where it ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Length {
    Missing,
    Octets(usize),
    Unusable(FieldFault),
}

/// Reads one message. For a stream, `data` is what the framer cut out.
pub(super) fn message(data: Bytes, carrier: Carrier) -> Result<Message, ParseError> {
    // RFC 3261 §7.5: empty lines in front of the start line are ignored.
    let blank = data.iter().take_while(|byte| matches!(byte, b'\r' | b'\n' | 0)).count();
    let data = data.slice(blank..);
    if data.is_empty() {
        return Err(ParseError { fault: Fault::Empty, salvage: None });
    }
    let (text, is_text) = match std::str::from_utf8(&data) {
        Ok(text) => (text, true),
        Err(error) => (valid_front(&data, error.valid_up_to()), false),
    };
    let scan = Scan::run(text);
    if scan.end.is_some() || is_text {
        return scan.finish(text, &data, 0, carrier);
    }
    // The head is no UTF-8 (RFC 3261 §7.3.1): take what breaks it for Latin-1, as old senders of
    // display names mean it, and read again.
    let end = head_end(&data, 0).unwrap_or(data.len());
    let text = latin_1(&data[..end]);
    let longer = text.len() - end;
    Scan::run(&text).finish(&text, &data, longer, carrier)
}

fn valid_front(data: &[u8], length: usize) -> &str {
    std::str::from_utf8(&data[..length]).expect("the check said so")
}

/// What an answer needs out of a head whose message cannot be cut out of its stream.
pub(super) fn salvage(head: Bytes, fault: Fault) -> ParseError {
    match message(head, Carrier::Datagram) {
        Ok(Message::Request(Request { method, headers, .. })) => {
            let salvage = Some(Box::new(Salvage { method: Some(method), headers }));
            ParseError { fault, salvage }
        }
        Ok(Message::Response(_)) => ParseError { fault, salvage: None },
        Err(error) => ParseError { fault, ..error },
    }
}

/// What the head of a message on a stream says about the length of its body.
pub(super) fn content_length(head: &[u8]) -> Length {
    match std::str::from_utf8(head) {
        Ok(text) => Scan::run(text).length,
        Err(_) => Scan::run(&latin_1(head)).length,
    }
}

/// Where the body begins; `None` while the empty line has not come. What is before `from` was
/// searched already.
pub(super) fn head_end(data: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(length) = memchr::memchr(b'\n', &data[at..]) {
        at += length + 1;
        match &data[at..] {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => (),
        }
    }
    None
}

/// Each invalid byte becomes the Latin-1 character of its value; valid text stays.
fn latin_1(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| char::from(*byte)));
    }
    text
}

/// The head, read.
struct Scan {
    start_line_end: usize,
    headers: Headers,
    length: Length,
    /// Where the body begins, if the empty line was there.
    end: Option<usize>,
    fault: Option<Fault>,
}

/// A line with its continuations.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// Without the line end.
    end: usize,
    /// Where the next line begins.
    next: usize,
    /// Whether it has continuations (RFC 3261 §7.3.1).
    folded: bool,
}

impl Scan {
    /// Reads `text`, the front of a message or the whole.
    fn run(text: &str) -> Self {
        let headers = Headers::to_be_received();
        let length = Length::Missing;
        let mut scan = Self { start_line_end: 0, headers, length, end: None, fault: None };
        scan.read_lines(text);
        scan
    }

    fn fail(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    fn read_lines(&mut self, text: &str) {
        let mut at = 0;
        let mut number = 0;
        loop {
            number += 1;
            let Some(line) = self.next_line(text, at, number) else {
                return self.fail(Fault::HeaderLine { line: number });
            };
            if number == 1 {
                self.start_line_end = line.end;
            } else if line.end == at {
                self.end = Some(line.next);
                return;
            } else if self.headers.len() == HEADERS_MAX && !is_length(&text[at..line.end]) {
                // The rest is only searched for the body, which nobody will read.
                self.fail(Fault::TooManyHeaders);
                self.end = head_end(text.as_bytes(), at);
                return;
            } else if self.read_field(text, at, line).is_none() {
                self.fail(Fault::HeaderLine { line: number });
            }
            at = line.next;
        }
    }

    /// Finds the end of the line at `at`; `None` when the text ends without one. A bare LF ends a
    /// line too, which RFC 3261 §7 does not ask for but hand-made senders need; a bare CR is a
    /// fault. Continuation lines belong to their field, but nothing continues the start line.
    fn next_line(&mut self, text: &str, at: usize, number: u32) -> Option<Line> {
        let bytes = text.as_bytes();
        let mut from = at;
        let mut folded = false;
        loop {
            let found = from + memchr::memchr2(b'\r', b'\n', &bytes[from..])?;
            let next = match (bytes[found], bytes.get(found + 1)) {
                (b'\n', _) => found + 1,
                (_, Some(b'\n')) => found + 2,
                _ => {
                    self.fail(Fault::HeaderLine { line: number });
                    from = found + 1;
                    continue;
                }
            };
            let continues = matches!(bytes.get(next), Some(b' ' | b'\t'));
            if number == 1 || found == at || !continues {
                return Some(Line { end: found, next, folded });
            }
            folded = true;
            from = next;
        }
    }

    /// Takes one field: `name: value`. `None` when it has no colon or its name is no token.
    fn read_field(&mut self, text: &str, at: usize, line: Line) -> Option<()> {
        let field = &text[at..line.end];
        // Names are short: a plain loop is there before a vector search has begun.
        let colon = field.bytes().position(|byte| byte == b':')?;
        let spelling = trim_end(&field[..colon]);
        let name = Name::parse(spelling);
        if name == Name::Other && !is_token(spelling) {
            return None;
        }
        let raw = &field[colon + 1..];
        let value = trim(raw);
        if name == Name::ContentLength {
            self.read_length(value);
            return Some(());
        }
        let start = at + colon + 1 + (raw.len() - trim_start(raw).len());
        let place = Span::received(at, at + spelling.len());
        if line.folded {
            self.headers.push_unfolded(name, place, value);
        } else {
            self.headers.push_received(name, place, Span::received(start, start + value.len()));
        }
        Some(())
    }

    fn read_length(&mut self, value: &str) {
        let plain = value.bytes().all(|byte| byte.is_ascii_digit());
        self.length = match (self.length, value.parse()) {
            // RFC 4475 §3.3.9: two of them would let two elements cut the stream differently.
            (Length::Octets(_) | Length::Unusable(_), _) => Length::Unusable(FieldFault::Repeated),
            (Length::Missing, Ok(octets)) if plain => Length::Octets(octets),
            (Length::Missing, _) => Length::Unusable(FieldFault::Malformed),
        };
    }

    /// Puts the message together, or the error. `data` is the message as received, whose body
    /// begins `longer` octets before where it begins in the scanned text.
    fn finish(
        mut self,
        text: &str,
        data: &Bytes,
        longer: usize,
        carrier: Carrier,
    ) -> Result<Message, ParseError> {
        self.headers.received_in(&text[..self.end.unwrap_or(text.len())]);
        let start = match StartLine::parse(&text[..self.start_line_end]) {
            Ok(start) => start,
            Err((fault, salvaged)) => {
                // A fault of the start line outranks those behind it: it may mean that the rest
                // is of another version.
                self.fault = Some(fault);
                return Err(self.error(salvaged));
            }
        };
        let body = self.body(data, longer, carrier);
        if let Err(fault) = check_fields(&mut self.headers, &start) {
            self.fail(fault);
        }
        match (self.fault, body) {
            (None, Some(body)) => Ok(start.message(self.headers, body)),
            _ => Err(self.error(start.salvaged())),
        }
    }

    fn body(&mut self, data: &Bytes, longer: usize, carrier: Carrier) -> Option<Bytes> {
        let start = self.end? - longer;
        let available = data.len() - start;
        let length = match (self.length, carrier) {
            (Length::Octets(length), _) => length,
            (Length::Missing, Carrier::Datagram) => available,
            (Length::Missing, Carrier::Stream) => {
                self.fail(Fault::LengthMissing);
                return None;
            }
            (Length::Unusable(fault), _) => {
                self.fail(FieldError { name: Name::ContentLength, fault }.into());
                return None;
            }
        };
        if data.len() > LENGTH_MAX {
            self.fail(Fault::TooLong);
        }
        if length > available {
            self.fail(Fault::BodyShort);
            return None;
        }
        Some(data.slice(start..start + length))
    }

    fn error(self, salvaged: Salvaged) -> ParseError {
        let fault = self.fault.unwrap_or(Fault::StartLine);
        let salvage = match salvaged {
            Salvaged::Nothing => None,
            Salvaged::Request(method) => Some(Box::new(Salvage { method, headers: self.headers })),
        };
        ParseError { fault, salvage }
    }
}

/// Whether a field is Content-Length, which is not kept among the others and so not counted.
fn is_length(field: &str) -> bool {
    let name = field.split(':').next().unwrap_or(field);
    Name::parse(trim_end(name)) == Name::ContentLength
}

/// What the start line still tells when the message is refused.
enum Salvaged {
    /// It was a response, or no SIP: nothing is answered.
    Nothing,
    Request(Option<Method>),
}

enum StartLine {
    Request(Method, Uri),
    Response(u16, String),
}

impl StartLine {
    fn parse(line: &str) -> Result<Self, (Fault, Salvaged)> {
        if line.get(..4).is_some_and(|front| front.eq_ignore_ascii_case("SIP/")) {
            return Self::parse_response(line).map_err(|fault| (fault, Salvaged::Nothing));
        }
        let not_sip = (Fault::NotSip, Salvaged::Nothing);
        let Some((method, rest)) = line.split_once(' ') else { return Err(not_sip) };
        let Some((uri, version)) = trim_end(rest).rsplit_once(' ') else {
            return Err(not_sip);
        };
        if !version.get(..4).is_some_and(|front| front.eq_ignore_ascii_case("SIP/")) {
            return Err(not_sip);
        }
        let Some(method) = Method::parse(method) else {
            return Err((Fault::StartLine, Salvaged::Request(None)));
        };
        let salvaged = |method| Salvaged::Request(Some(method));
        if !version.eq_ignore_ascii_case("SIP/2.0") {
            let fault = version_fault(version);
            return Err((fault, salvaged(method)));
        }
        // RFC 3261 §7.1: one space between the parts and none at the end.
        if rest.ends_with([' ', '\t']) || uri.starts_with(' ') || uri.ends_with(' ') {
            return Err((Fault::StartLine, salvaged(method)));
        }
        match Uri::of_request(uri) {
            Ok(uri) => Ok(Self::Request(method, uri)),
            Err(error) => Err((Fault::RequestUri(error), salvaged(method))),
        }
    }

    fn parse_response(line: &str) -> Result<Self, Fault> {
        let (version, rest) = line.split_once(' ').ok_or(Fault::StartLine)?;
        if !version.eq_ignore_ascii_case("SIP/2.0") {
            return Err(version_fault(version));
        }
        let (digits, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let plain = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        // RFC 3261 §7.2: 100 to 699; RFC 4475 §3.1.2.19: a larger one is dropped.
        let status = digits.parse().ok().filter(|status| plain && (100..=699).contains(status));
        Ok(Self::Response(status.ok_or(Fault::StartLine)?, reason.to_owned()))
    }

    fn salvaged(self) -> Salvaged {
        match self {
            Self::Request(method, _) => Salvaged::Request(Some(method)),
            Self::Response(..) => Salvaged::Nothing,
        }
    }

    fn message(self, headers: Headers, body: Bytes) -> Message {
        match self {
            Self::Request(method, uri) => Message::Request(Request { method, uri, headers, body }),
            Self::Response(status, reason) => {
                Message::Response(Response { status, reason, headers, body })
            }
        }
    }
}

/// `SIP/7.0` is another version (RFC 3261 §21.5.6), `SIP/x` is nonsense.
fn version_fault(version: &str) -> Fault {
    let numbers = version[4..].split_once('.');
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match numbers {
        Some((major, minor)) if is_number(major) && is_number(minor) => Fault::Version,
        _ => Fault::StartLine,
    }
}

fn malformed(name: Name) -> Fault {
    FieldError { name, fault: FieldFault::Malformed }.into()
}

/// The fields that every message needs (RFC 3261 §8.1.1); Max-Forwards is not among them, as
/// RFC 2543 clients send none (§16.3).
fn check_fields(headers: &mut Headers, start: &StartLine) -> Result<(), Fault> {
    headers.read_known()?;
    headers.call_id()?;
    let (_, method) = headers.cseq()?;
    let has_room = |length: usize| length <= params::LENGTH_MAX - params::ROOM;
    let parties = [(Name::From, headers.from_tag()), (Name::To, headers.to_tag())];
    for (name, tag) in parties {
        // Where the whole is short its parameters are.
        let may_be_long = tag.is_none() && !headers.get(name).is_some_and(|it| has_room(it.len()));
        if may_be_long && !has_room(headers.party(name)?.params.as_str().len()) {
            return Err(malformed(name));
        }
    }
    let via_has_room = has_room(headers.via()?.params.as_str().len());
    match start {
        StartLine::Request(..) if !via_has_room => Err(malformed(Name::Via)),
        StartLine::Request(asked, _) if *asked != method => Err(Fault::MethodMismatch),
        StartLine::Request(..) | StartLine::Response(..) => Ok(()),
    }
}
