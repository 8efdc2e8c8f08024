//! Addresses in headers: `"Display" <uri>;parameters` and `uri;parameters` (RFC 3261 §20.10).

use crate::error::UriError;
use crate::message::params::{Params, find_outside, trim, unquote};
use crate::message::uri::Uri;
use std::borrow::Cow;

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
        let text = trim(text);
        let found = match find_outside(text, b'<', false) {
            Some(open) => Self::parse_bracketed(text, open)?,
            None => Self::parse_bare(text)?,
        };
        (found.params.is_well_formed() && Uri::check(found.uri).is_ok()).then_some(found)
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

/// What a request's Contact headers say (RFC 3261 §10.2.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Contacts<'a> {
    /// `*`: all bindings of this address, to be removed.
    Star,
    /// These, possibly none.
    List(Vec<NameAddr<'a>>),
}
