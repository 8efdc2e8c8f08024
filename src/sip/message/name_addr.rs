//! Addresses in headers: `"Display" <uri>;parameters` and `uri;parameters` (RFC 3261 §20.10).

use crate::error::UriError;
use crate::message::params::{Params, find_outside, trim, unquote};
use crate::message::uri::Uri;
use std::borrow::Cow;
use std::cell::Cell;

/// An address value, borrowed from its message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NameAddr<'a> {
    display: &'a str,
    uri: &'a str,
    /// The parameters of the header (`tag`, `expires`, `q`), not those of the URI.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one address; `None` when it breaks the grammar: unclosed quotes or brackets,
    /// anything but parameters behind the address, a URI that cannot be read.
    ///
    /// Departs from RFC 3261 §25.1: a display name without quotes may have other characters than
    /// those of tokens, since many senders leave the quotes out (RFC 4475 §3.1.2.15 allows to
    /// infer them), but no separators of lists and parameters, which others would split at.
    pub fn parse(text: &'a str) -> Option<Self> {
        Self::parse_and(text, |_, _| true)
    }

    /// Reads From or To: as [`NameAddr::parse`], and with one tag at most, a word (RFC 3261 §7.3.1,
    /// §25.1 `tag-param`, without being strict about its characters). One without a value, or two,
    /// would name a dialog that each side knows by another name.
    pub(crate) fn parse_party(text: &'a str) -> Option<Self> {
        let has_tag = Cell::new(false);
        Self::parse_and(text, |name, value| {
            !name.eq_ignore_ascii_case("tag")
                || (value.is_some_and(is_word) && !has_tag.replace(true))
        })
    }

    fn parse_and(text: &'a str, means: impl Fn(&str, Option<&str>) -> bool) -> Option<Self> {
        let text = trim(text);
        let found = match find_outside(text, b'<', false) {
            Some(open) => Self::parse_bracketed(text, open)?,
            None => Self::parse_bare(text)?,
        };
        (found.params.is_well_formed_and(means) && Uri::check(found.uri).is_ok()).then_some(found)
    }

    fn parse_bracketed(text: &'a str, open: usize) -> Option<Self> {
        let display = trim(&text[..open]);
        // A quoted name ends where its quotes end: nothing else may stand before `<`.
        if display.starts_with('"') && (display.len() < 2 || !display.ends_with('"')) {
            return None;
        }
        if !display.starts_with('"') && display.contains([',', ';', '"']) {
            return None;
        }
        let close = open + memchr::memchr(b'>', &text.as_bytes()[open..])?;
        let tail = trim(&text[close + 1..]);
        if !tail.is_empty() && !tail.starts_with(';') {
            return None;
        }
        Some(Self { display, uri: &text[open + 1..close], params: Params::new(tail) })
    }

    /// Without brackets, parameters belong to the header, and the URI may have neither `?` nor
    /// `,` in it (RFC 3261 §20: it would have to stand in brackets).
    fn parse_bare(text: &'a str) -> Option<Self> {
        let end = text.find(';').unwrap_or(text.len());
        let uri = trim(&text[..end]);
        if uri.contains(['?', ',', '>']) {
            return None;
        }
        Some(Self { display: "", uri, params: Params::new(&text[end..]) })
    }

    /// The display name with quotes undone; empty when there is none.
    pub fn display(&self) -> Cow<'a, str> {
        unquote(self.display)
    }

    /// The URI's text.
    pub fn uri_str(&self) -> &'a str {
        self.uri
    }

    /// The URI, copied out.
    ///
    /// # Errors
    /// None for an address that was parsed; the type keeps callers from assuming it.
    pub fn uri(&self) -> Result<Uri, UriError> {
        Uri::parse(self.uri)
    }

    /// The tag of From or To; `None` when missing or empty.
    pub fn tag(&self) -> Option<&'a str> {
        self.params.get("tag").filter(|tag| !tag.is_empty())
    }

    /// The `expires` parameter of a Contact, in seconds; `None` when missing or no number
    /// (RFC 3261 §20.10: then the default holds).
    pub fn expires_s(&self) -> Option<u32> {
        self.params.get("expires")?.parse().ok()
    }
}

/// From or To with our tag on it (RFC 3261 §8.2.6.2): `address` has none. The semicolon too many that
/// [`NameAddr::parse`] lets pass at its end becomes that of the tag.
pub(crate) fn tagged(address: &str, tag: &str) -> String {
    let mut text = String::with_capacity(address.len() + tag.len() + 5);
    push_tagged(&mut text, address, tag);
    text
}

/// As [`tagged`], at the end of `text`.
pub(super) fn push_tagged(text: &mut String, address: &str, tag: &str) {
    text.push_str(trim(address.strip_suffix(';').unwrap_or(address)));
    text.push_str(";tag=");
    text.push_str(tag);
}

fn is_word(text: &str) -> bool {
    !text.bytes().any(|byte| byte <= b' ' || matches!(byte, b'"' | b',' | b'<' | b'>'))
}

/// What a request's Contact headers say (RFC 3261 §10.2.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Contacts<'a> {
    /// `*`: all bindings of this address, to be removed.
    Star,
    /// These, possibly none.
    List(Vec<NameAddr<'a>>),
}
