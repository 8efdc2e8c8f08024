//! The refusal of an INVITE, written from its octets: under overload most of what comes is refused,
//! and reading all of a call that will not be costs more than its answer.
//!
//! What is answered here is answered with the same octets as by [`Request::response`]; what is not
//! quite ordinary is left to that.
//!
//! [`Request::response`]: crate::message::Request::response

use crate::message::fields::{is_call_id, parse_cseq};
use crate::message::headers::push_plain;
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::name_addr::{NameAddr, push_tagged};
use crate::message::params::{self, find_outside, is_token, trim, trim_end};
use crate::message::status::reason_phrase;
use crate::message::via::Via;
use crate::message::{HEADERS_MAX, LENGTH_MAX};
use bytes::Bytes;
use std::fmt::Write as _;
use std::net::SocketAddr;

/// The most Via fields answered here: calls pass fewer proxies.
const VIAS_MAX: usize = 8;

/// What the response to an INVITE repeats of it (RFC 3261 §8.2.6.2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repeated<'a> {
    vias: Vias<'a>,
    /// The first of `vias`, as it came.
    pub(crate) top: Via<'a>,
    pub(crate) from: &'a str,
    to: &'a str,
    pub(crate) call_id: &'a str,
    cseq: &'a str,
}

/// A response as it goes on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) message: Bytes,
    /// Where its Via says that it goes; see [`Via::response_address`].
    pub(crate) address: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Vias<'a> {
    values: [&'a str; VIAS_MAX],
    count: usize,
}

/// The values of the fields, while they are looked for.
#[derive(Default)]
struct Found<'a> {
    vias: Vias<'a>,
    from: Option<&'a str>,
    to: Option<&'a str>,
    call_id: Option<&'a str>,
    cseq: Option<&'a str>,
}

impl<'a> Repeated<'a> {
    /// Finds what is repeated of an INVITE outside a dialog. `None` when something is not quite
    /// ordinary: no RFC 3261 branch, several Vias in one field, one that asks for our state
    /// (RFC 7339), a folded line, a character that is no UTF-8, any fault that is seen in passing.
    /// What the refusal does not need is not looked at: the rest may be faulty.
    pub(crate) fn read(octets: &'a [u8]) -> Option<Self> {
        if octets.len() > LENGTH_MAX {
            return None;
        }
        let end = memchr::memmem::find(octets, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&octets[..end + 2]).ok()?;
        let (line, fields) = next_line(head)?;
        let uri = line.strip_prefix("INVITE ")?.strip_suffix(" SIP/2.0")?;
        if uri.is_empty() || uri.contains([' ', '\t']) {
            return None;
        }
        Found::read(fields)?.checked()
    }

    /// The 503 that tells nothing but that (RFC 7339 §5.10.2), to an INVITE that came from `source`.
    /// `tag` gives the tag of To when it is told the first Via as it stands in the response.
    pub(crate) fn refuse(
        &self,
        source: SocketAddr,
        tag: impl FnOnce(&str) -> String,
        server: &str,
    ) -> Refusal {
        let vias: usize = self.vias.get().iter().map(|via| via.len() + 8).sum();
        let others = self.from.len() + self.to.len() + self.call_id.len() + self.cseq.len();
        let mut out = String::with_capacity(vias + others + server.len() + 256);
        let _ = write!(out, "SIP/2.0 503 {}\r\nVia: ", reason_phrase(503));
        let start = out.len();
        // RFC 3261 §18.2.1, RFC 3581 §4: where it really came from.
        if !self.top.stamp(self.vias.values[0], source, &mut out) {
            out.push_str(self.vias.values[0]);
        }
        let stamped = &out[start..];
        let params = find_outside(stamped, b';', false).map_or("", |at| &stamped[at..]);
        let address = Via { params: params::Params::new(params), ..self.top }.response_address();
        let tag = tag(stamped);
        out.push_str("\r\n");
        for via in &self.vias.get()[1..] {
            push_field(&mut out, Name::Via, via);
        }
        push_field(&mut out, Name::From, self.from);
        out.push_str("To: ");
        push_tagged(&mut out, self.to, &tag);
        out.push_str("\r\n");
        push_field(&mut out, Name::CallId, self.call_id);
        push_field(&mut out, Name::CSeq, self.cseq);
        out.push_str("Server: ");
        push_plain(&mut out, trim(server));
        out.push_str("\r\nContent-Length: 0\r\n\r\n");
        Refusal { message: out.into(), address }
    }
}

impl<'a> Found<'a> {
    fn read(mut fields: &'a str) -> Option<Self> {
        let mut found = Self::default();
        let mut count = 0;
        while !fields.is_empty() {
            let (line, rest) = next_line(fields)?;
            count += 1;
            // RFC 3261 §7.3.1: a line that begins with white space goes on with the one before it.
            if count > HEADERS_MAX || line.starts_with([' ', '\t']) {
                return None;
            }
            found.take(line)?;
            fields = rest;
        }
        Some(found)
    }

    /// Keeps the value of a line that is repeated. `None` when it is no field, or one too many.
    fn take(&mut self, line: &'a str) -> Option<()> {
        let colon = line.bytes().position(|byte| byte == b':')?;
        let spelling = trim_end(&line[..colon]);
        let value = &line[colon + 1..];
        let place = match Name::parse(spelling) {
            Name::Via => return self.vias.push(trim(value)),
            Name::From => &mut self.from,
            Name::To => &mut self.to,
            Name::CallId => &mut self.call_id,
            Name::CSeq => &mut self.cseq,
            Name::Other => return is_token(spelling).then_some(()),
            _ => return Some(()),
        };
        place.replace(trim(value)).is_none().then_some(())
    }

    fn checked(self) -> Option<Repeated<'a>> {
        let (from, to) = (self.from?, self.to?);
        let (call_id, cseq) = (self.call_id?, self.cseq?);
        let first = self.vias.get().first()?;
        let has_room = |text: &&str| text.len() <= params::LENGTH_MAX - params::ROOM;
        if ![*first, from, to].iter().all(has_room) || find_outside(first, b',', true).is_some() {
            return None;
        }
        let top = Via::parse(first)?;
        let is_ordinary = top.transaction_branch().is_some()
            && !top.params.has("oc")
            && NameAddr::parse_party(from).is_some()
            && NameAddr::parse_party(to)?.tag().is_none()
            && is_call_id(call_id)
            && matches!(parse_cseq(cseq), Some((_, Method::Invite)));
        is_ordinary.then_some(Repeated { vias: self.vias, top, from, to, call_id, cseq })
    }
}

impl<'a> Vias<'a> {
    fn get(&self) -> &[&'a str] {
        &self.values[..self.count]
    }

    /// `None` when there is no room.
    fn push(&mut self, value: &'a str) -> Option<()> {
        *self.values.get_mut(self.count)? = value;
        self.count += 1;
        Some(())
    }
}

/// The first line, and what follows it. `None` when it does not end with CRLF, or has one half of it.
fn next_line(text: &str) -> Option<(&str, &str)> {
    let end = memchr::memchr2(b'\r', b'\n', text.as_bytes())?;
    let (line, rest) = text.split_at(end);
    Some((line, rest.strip_prefix("\r\n")?))
}

fn push_field(out: &mut String, name: Name, value: &str) {
    for part in [name.as_str(), ": ", value, "\r\n"] {
        out.push_str(part);
    }
}
