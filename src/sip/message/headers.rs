//! The header section: places within the received text, and a small text of our own for what
//! was unfolded or added. Names and values are never empty of meaning: an unknown header keeps
//! its name as it came.

use crate::error::{FieldError, FieldFault};
use crate::message::name::Name;
use crate::message::params::{Params, find_outside, is_blank, split_list, trim};
use crate::message::via::Via;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// A place in one of the two texts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    start: u32,
    /// The top bit says which text: clear for the received one.
    end: u32,
}

const OWN: u32 = 1 << 31;

/// What most of our messages need: octets of values, and fields.
const OWN_LENGTH: usize = 640;
const FIELDS: usize = 16;

impl Span {
    /// A place in the received text, whose length is bounded far below 2³¹.
    pub(super) fn received(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }
}

#[derive(Clone, Copy, Debug)]
struct Field {
    name: Name,
    /// Only for [`Name::Other`].
    spelling: Span,
    value: Span,
}

/// Header fields in order. Content-Length is never among them: it is read with the body and
/// printed from it.
#[derive(Clone, Default)]
pub struct Headers {
    received: Option<Arc<str>>,
    own: String,
    fields: Vec<Field>,
    known: Known,
}

/// What was read when the message came and is asked for again and again, until its field changes.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    via: Option<ViaSpans>,
    from_tag: KnownTag,
    to_tag: KnownTag,
}

/// The parts of the top Via.
#[derive(Clone, Copy, Debug)]
struct ViaSpans {
    transport: Span,
    host: Span,
    port: Option<u16>,
    params: Span,
}

#[derive(Clone, Copy, Debug, Default)]
enum KnownTag {
    /// Not read.
    #[default]
    Unread,
    /// The field is well-formed and has none.
    Missing,
    At(Span),
}

impl Headers {
    /// No fields, and room for those of an ordinary message: growing would copy again and again.
    pub fn new() -> Self {
        let own = String::with_capacity(OWN_LENGTH);
        Self { own, fields: Vec::with_capacity(FIELDS), ..Self::default() }
    }

    /// Fields whose text is told by [`Headers::received_in`].
    pub(super) fn to_be_received() -> Self {
        Self { fields: Vec::with_capacity(24), ..Self::default() }
    }

    /// The text in which the places of the fields received are.
    pub(super) fn received_in(&mut self, head: &str) {
        self.received = Some(head.into());
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    fn text(&self, span: Span) -> &str {
        let start = span.start as usize;
        if span.end & OWN != 0 {
            &self.own[start..(span.end & !OWN) as usize]
        } else {
            // Nothing was received: no place is in it but the empty one of no spelling.
            &self.received.as_deref().unwrap_or("")[start..span.end as usize]
        }
    }

    /// The place of `part`, which is a part of the text at `whole`.
    fn span_of(&self, whole: Span, part: &str) -> Span {
        let offset = part.as_ptr().addr().wrapping_sub(self.text(whole).as_ptr().addr());
        let start = whole.start.wrapping_add(offset as u32);
        let end = start.wrapping_add(part.len() as u32);
        Span { start, end: end | (whole.end & OWN) }
    }

    /// Reads what each message must have, and remembers what is asked for again and again.
    ///
    /// # Errors
    /// The first of Via, From and To that is missing or malformed.
    pub(super) fn read_known(&mut self) -> Result<(), FieldError> {
        let place = |name| self.fields.iter().find(|field| field.name == name);
        let whole = |name| place(name).map(|field| field.value).unwrap_or_default();
        let tag_of = |name, tag: Option<&str>| match tag {
            Some(tag) => KnownTag::At(self.span_of(whole(name), tag)),
            None => KnownTag::Missing,
        };
        let via = self.via_spans()?;
        let from_tag = tag_of(Name::From, self.from()?.tag());
        let to_tag = tag_of(Name::To, self.to()?.tag());
        self.known = Known { via: Some(via), from_tag, to_tag };
        Ok(())
    }

    fn via_spans(&self) -> Result<ViaSpans, FieldError> {
        let missing = FieldError { name: Name::Via, fault: FieldFault::Missing };
        let at = self.top_via().ok_or(missing)?;
        let whole = self.fields[at].value;
        let via = self.read_via()?;
        Ok(ViaSpans {
            transport: self.span_of(whole, via.transport),
            host: self.span_of(whole, via.host),
            port: via.port,
            params: self.span_of(whole, via.params.as_str()),
        })
    }

    fn read_via(&self) -> Result<Via<'_>, FieldError> {
        let missing = FieldError { name: Name::Via, fault: FieldFault::Missing };
        let malformed = FieldError { name: Name::Via, fault: FieldFault::Malformed };
        let top = self.list(Name::Via).next().ok_or(missing)?;
        Via::parse(top).ok_or(malformed)
    }

    /// The top Via.
    ///
    /// # Errors
    /// `Missing` or `Malformed`. Never fails on a message that was parsed.
    pub fn via(&self) -> Result<Via<'_>, FieldError> {
        let Some(known) = self.known.via else { return self.read_via() };
        Ok(Via {
            transport: self.text(known.transport),
            host: self.text(known.host),
            port: known.port,
            params: Params::new(self.text(known.params)),
        })
    }

    /// The tag of From; `None` when it has none, or cannot be read.
    pub fn from_tag(&self) -> Option<&str> {
        match self.known.from_tag {
            KnownTag::At(span) => Some(self.text(span)),
            KnownTag::Missing => None,
            KnownTag::Unread => self.from().ok()?.tag(),
        }
    }

    /// The tag of To; `None` when it has none, or cannot be read.
    pub fn to_tag(&self) -> Option<&str> {
        match self.known.to_tag {
            KnownTag::At(span) => Some(self.text(span)),
            KnownTag::Missing => None,
            KnownTag::Unread => self.to().ok()?.tag(),
        }
    }

    /// Whether To can be read and has no tag: the request is in no dialog.
    pub fn lacks_to_tag(&self) -> bool {
        match self.known.to_tag {
            KnownTag::At(_) => false,
            KnownTag::Missing => true,
            KnownTag::Unread => self.to().is_ok_and(|to| to.tag().is_none()),
        }
    }

    /// A field of this name is another one now.
    fn changes(&mut self, name: Name) {
        match name {
            Name::Via => self.known.via = None,
            Name::From => self.known.from_tag = KnownTag::Unread,
            Name::To => self.known.to_tag = KnownTag::Unread,
            _ => (),
        }
    }

    fn spelling(&self, field: &Field) -> &str {
        match field.name {
            Name::Other => self.text(field.spelling),
            known => known.as_str(),
        }
    }

    pub(super) fn push_received(&mut self, name: Name, spelling: Span, value: Span) {
        self.changes(name);
        self.fields.push(Field { name, spelling, value });
    }

    /// Takes a field that was folded over lines: each line end with the white space around it
    /// becomes one space (RFC 3261 §7.3.1).
    pub(super) fn push_unfolded(&mut self, name: Name, spelling: Span, value: &str) {
        let mut plain = String::with_capacity(value.len());
        for line in value.split(['\r', '\n']).map(trim).filter(|line| !line.is_empty()) {
            if !plain.is_empty() {
                plain.push(' ');
            }
            plain.push_str(line);
        }
        let value = self.keep(&plain);
        self.changes(name);
        self.fields.push(Field { name, spelling, value });
    }

    /// Keeps a text of our own, without its line ends.
    fn keep(&mut self, text: &str) -> Span {
        let start = self.own.len() as u32;
        push_plain(&mut self.own, text);
        Span { start, end: self.own.len() as u32 | OWN }
    }

    /// The first field of this name: its value, trimmed and unfolded.
    pub fn get(&self, name: Name) -> Option<&str> {
        self.all(name).next()
    }

    /// Each field of this name, one text per field; see [`Headers::list`] for lists.
    pub fn all(&self, name: Name) -> impl Iterator<Item = &str> {
        let named = self.fields.iter().filter(move |field| field.name == name);
        named.map(|field| self.text(field.value))
    }

    /// Each element of the comma-separated lists of this name, over all its fields
    /// (RFC 3261 §7.3.1). Not for Date and the authentication headers, whose commas mean
    /// other things.
    pub fn list(&self, name: Name) -> impl Iterator<Item = &str> {
        self.all(name).flat_map(split_list)
    }

    /// The first field of this name in any case, known to [`Name`] or not.
    pub fn get_named(&self, name: &str) -> Option<&str> {
        match Name::parse(name) {
            Name::Other => self.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)),
            known => self.get(known).map(|value| (name, value)),
        }
        .map(|(_, value)| value)
    }

    /// Whether there is a field of this name.
    pub fn has(&self, name: Name) -> bool {
        self.fields.iter().any(|field| field.name == name)
    }

    /// How many fields of this name there are.
    pub fn count(&self, name: Name) -> usize {
        self.fields.iter().filter(|field| field.name == name).count()
    }

    /// All fields in order: name as printed, value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|field| (self.spelling(field), self.text(field.value)))
    }

    /// Adds a field at the end. Line ends in `value` become spaces; Content-Length is ignored,
    /// since it is printed from the body.
    ///
    /// # Panics
    /// With [`Name::Other`], which has no text; [`Headers::push_named`] takes any name.
    pub fn push(&mut self, name: Name, value: &str) {
        let at = self.fields.len();
        self.insert(at, name, value);
    }

    /// Adds a field in front of all others: where a new Via or Record-Route goes.
    ///
    /// # Panics
    /// With [`Name::Other`].
    pub fn push_front(&mut self, name: Name, value: &str) {
        self.insert(0, name, value);
    }

    fn insert(&mut self, at: usize, name: Name, value: &str) {
        assert!(name != Name::Other, "push_named takes names that are not known");
        if name != Name::ContentLength {
            let value = self.keep(trim(value));
            self.changes(name);
            self.fields.insert(at, Field { name, spelling: Span::default(), value });
        }
    }

    /// Adds a field of any name at the end; one that is no token is left out.
    pub fn push_named(&mut self, name: &str, value: &str) {
        match Name::parse(name) {
            Name::Other if super::params::is_token(name) => {
                let spelling = self.keep(name);
                let value = self.keep(trim(value));
                self.fields.push(Field { name: Name::Other, spelling, value });
            }
            Name::Other => (),
            known => self.push(known, value),
        }
    }

    /// Replaces all fields of this name by one, in the place of the first.
    pub fn set(&mut self, name: Name, value: &str) {
        match self.fields.iter().position(|field| field.name == name) {
            Some(at) => {
                self.remove(name);
                self.insert(at, name, value);
            }
            None => self.push(name, value),
        }
    }

    /// Removes all fields of this name.
    pub fn remove(&mut self, name: Name) {
        self.changes(name);
        self.fields.retain(|field| field.name != name);
    }

    /// Removes all fields of this name in any case, known to [`Name`] or not.
    pub fn remove_named(&mut self, name: &str) {
        match Name::parse(name) {
            Name::Other => self.remove_where(|found| found.eq_ignore_ascii_case(name)),
            known => self.remove(known),
        }
    }

    /// Removes all fields whose full name starts with `prefix`, in any case; those that came in
    /// compact form have their full name here. An empty prefix removes nothing.
    pub fn remove_starting(&mut self, prefix: &str) {
        if !prefix.is_empty() {
            self.remove_where(|found| {
                let start = found.as_bytes().get(..prefix.len());
                start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
            });
        }
    }

    fn remove_where(&mut self, goes: impl Fn(&str) -> bool) {
        if self.fields.iter().any(|field| goes(self.spelling(field))) {
            let fields = std::mem::take(&mut self.fields);
            let stays = |field: &Field| !goes(self.spelling(field));
            self.fields = fields.into_iter().filter(stays).collect();
            self.known = Known::default();
        }
    }

    /// Adds copies of all fields of this name that `from` has, in their order.
    pub fn copy(&mut self, from: &Self, name: Name) {
        self.changes(name);
        for field in from.fields.iter().filter(|field| field.name == name) {
            let spelling = self.keep(from.text(field.spelling));
            let value = self.keep(from.text(field.value));
            self.fields.push(Field { name, spelling, value });
        }
    }

    /// The field with the top Via: one of nothing but blanks and commas holds none.
    fn top_via(&self) -> Option<usize> {
        let holds_one = |field: &Field| {
            field.name == Name::Via
                && !trim(without_stray_commas(self.text(field.value))).is_empty()
        };
        self.fields.iter().position(holds_one)
    }

    /// Writes into the top Via where the message came from: `received` where sent-by says
    /// otherwise (RFC 3261 §18.2.1), and `rport` with `received` where the client asked for it
    /// (RFC 3581 §4). What the sender claimed in these is dropped. A malformed Via stays.
    pub fn stamp_via(&mut self, source: SocketAddr) {
        let Some(at) = self.top_via() else { return };
        let value = without_stray_commas(self.text(self.fields[at].value));
        let end = find_outside(value, b',', true).unwrap_or(value.len());
        let (top, others) = value.split_at(end);
        let Ok(via) = self.via() else { return };
        let mut stamped = String::new();
        if via.stamp(top, source, &mut stamped) {
            stamped.push_str(others);
            self.change_via(at, &stamped);
        }
    }

    /// Puts `advice`, parameters with a semicolon before each, in the place of the top Via's `oc` and
    /// its like (RFC 7339 §4).
    pub fn advise_via(&mut self, advice: &str) {
        let Some(at) = self.top_via() else { return };
        let value = without_stray_commas(self.text(self.fields[at].value));
        let end = find_outside(value, b',', true).unwrap_or(value.len());
        let (top, others) = value.split_at(end);
        let Ok(via) = self.via() else { return };
        let is_advice = |name: &str| {
            ["oc", "oc-algo", "oc-validity", "oc-seq"]
                .iter()
                .any(|it| name.eq_ignore_ascii_case(it))
        };
        let mut advised = String::with_capacity(value.len() + advice.len());
        via.push_without(top, is_advice, &mut advised);
        advised.push_str(advice);
        advised.push_str(others);
        self.change_via(at, &advised);
    }

    fn change_via(&mut self, at: usize, value: &str) {
        self.fields[at].value = self.keep(value);
        self.known.via = None;
        self.known.via = self.via_spans().ok();
    }

    /// Removes the top Via, of a list only its first element (RFC 3261 §16.7 step 3).
    pub fn pop_via(&mut self) {
        let Some(at) = self.top_via() else { return };
        self.changes(Name::Via);
        let value = without_stray_commas(self.text(self.fields[at].value));
        match find_outside(value, b',', true).map(|comma| trim(&value[comma + 1..]).to_owned()) {
            Some(rest) => self.fields[at].value = self.keep(&rest),
            None => drop(self.fields.remove(at)),
        }
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().zip(other.iter()).all(|((name, value), (other_name, other_value))| {
                name.eq_ignore_ascii_case(other_name) && value == other_value
            })
    }
}

impl Eq for Headers {}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Adds a text to one of many lines: line ends would start a new header, and become spaces.
pub(super) fn push_plain(own: &mut String, text: &str) {
    if memchr::memchr2(b'\r', b'\n', text.as_bytes()).is_some() {
        own.extend(text.chars().map(|c| if matches!(c, '\r' | '\n') { ' ' } else { c }));
    } else {
        own.push_str(text);
    }
}

/// Where the first element of a list begins: empty ones in front of it are none.
fn without_stray_commas(list: &str) -> &str {
    let start = list.bytes().position(|byte| byte != b',' && !is_blank(byte));
    &list[start.unwrap_or(list.len())..]
}
