//! URIs (RFC 3261 §19.1, tel: of RFC 3966): read once into places within one shared text.

use crate::error::UriError;
use bytes::Bytes;
use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::escape::{escape_user, escapes_are_whole, normalised, unescape};
use super::params::Params;

/// The longest URI read, in octets. A longer request URI is answered with 414; a longer one in
/// a header makes that header malformed.
pub const LENGTH_MAX: usize = 1024;

/// What kind of URI it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Scheme {
    /// `sip:`.
    Sip,
    /// `sips:`: TLS on each hop (RFC 5630).
    Sips,
    /// `tel:`: a telephone number (RFC 3966).
    Tel,
    /// Any other; kept as it came and to be refused with 416 as a request URI.
    Other,
}

/// Octets that stand in no URI: controls, space, `<`, `>` and `"`.
const FORBIDDEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = byte <= 0x20 || matches!(byte, 0x7f | 0x22 | 0x3c | 0x3e);
        byte += 1;
    }
    table
};

/// Octets of names and IPv4 addresses.
const HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        table[at] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        at += 1;
    }
    table
};

/// A place within the text.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Span {
    start: u16,
    end: u16,
}

impl Span {
    fn new(start: usize, end: usize) -> Self {
        let narrow = |at: usize| u16::try_from(at).expect("a URI is at most LENGTH_MAX long");
        Self { start: narrow(start), end: narrow(end) }
    }

    fn of(self, text: &str) -> &str {
        &text[usize::from(self.start)..usize::from(self.end)]
    }
}

/// Where the parts are. Empty places for parts that the scheme has not.
#[derive(Clone, Copy, Debug)]
struct Parts {
    scheme: Scheme,
    user: Option<Span>,
    host: Span,
    port: Option<u16>,
    params: Span,
    headers: Span,
}

/// A URI. `==` compares the text; [`Uri::is_equivalent`] compares the meaning.
#[derive(Clone)]
pub struct Uri {
    text: Bytes,
    parts: Parts,
}

impl Uri {
    /// Reads a URI, copying the text.
    ///
    /// # Errors
    /// [`UriError`] says which part breaks the grammar.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let parts = Parts::parse(text)?;
        Ok(Self { text: Bytes::copy_from_slice(text.as_bytes()), parts })
    }

    /// Reads a request URI, in which headers may not stand (RFC 3261 §19.1.1, table 1).
    pub(super) fn of_request(text: &str) -> Result<Self, UriError> {
        let uri = Self::parse(text)?;
        if uri.headers().next().is_some() { Err(UriError::Headers) } else { Ok(uri) }
    }

    /// Checks a URI without keeping it.
    ///
    /// # Errors
    /// As [`Uri::parse`].
    pub fn check(text: &str) -> Result<(), UriError> {
        Parts::parse(text).map(|_| ())
    }

    /// Makes `sip:user@host:port`; `user` is escaped as needed and left out when empty.
    ///
    /// # Errors
    /// [`UriError::TooLong`] when the whole would be longer than [`LENGTH_MAX`].
    pub fn of_address(user: &str, address: SocketAddr) -> Result<Self, UriError> {
        Self::of_host(user, &address.to_string())
    }

    /// Makes `sip:user@host`, as [`Uri::of_address`] does; `host` may end in `:port`.
    ///
    /// # Errors
    /// As [`Uri::parse`]: what stands in `host` may be no host.
    pub fn of_host(user: &str, host: &str) -> Result<Self, UriError> {
        let mut text = String::from("sip:");
        if !user.is_empty() {
            escape_user(user, &mut text);
            text.push('@');
        }
        text.push_str(host);
        Self::parse(&text)
    }

    /// Another user at the same host and port, over the same transport.
    ///
    /// # Errors
    /// As [`Uri::parse`].
    pub fn with_user(&self, user: &str) -> Result<Self, UriError> {
        let mut text = String::from("sip:");
        escape_user(user, &mut text);
        let _ = write!(text, "@{}", self.host());
        if let Some(port) = self.port() {
            let _ = write!(text, ":{port}");
        }
        if let Some(transport) = self.param("transport") {
            let _ = write!(text, ";transport={transport}");
        }
        Self::parse(&text)
    }

    /// The same URI with one more parameter, before the headers if there are any, or with another
    /// value for it (RFC 3261 §19.1.1: none stands twice). `name` and `value` must be tokens.
    ///
    /// # Errors
    /// As [`Uri::parse`]: the whole may be too long.
    pub fn with_param(&self, name: &str, value: Option<&str>) -> Result<Self, UriError> {
        let (_, back) = self.as_str().split_at(usize::from(self.parts.params.end));
        let mut text = format!("{};{name}", self.without_param(name));
        if let Some(value) = value {
            let _ = write!(text, "={value}");
        }
        Self::parse(&(text + back))
    }

    /// The same URI as a request URI: headers and `method` have no place there (RFC 3261 §19.1.1,
    /// table 1, and §19.1.5).
    pub fn into_request_uri(mut self) -> Self {
        if !matches!(self.scheme(), Scheme::Sip | Scheme::Sips) {
            return self;
        }
        let end = self.parts.params.end;
        self.text.truncate(usize::from(end));
        self.parts.headers = Span { start: end, end };
        if self.param("method").is_none() {
            return self;
        }
        // What is left of a sound URI is sound.
        Self::parse(&self.without_param("method")).unwrap_or(self)
    }

    /// The text up to the end of the parameters, without those of this name.
    fn without_param(&self, name: &str) -> String {
        let (front, _) = self.as_str().split_at(usize::from(self.parts.params.end));
        let (mut text, params) = match self.param(name) {
            None => return front.to_owned(),
            Some(_) => {
                let (front, params) = front.split_at(usize::from(self.parts.params.start));
                (front.to_owned(), params)
            }
        };
        for param in params.split(';').filter(|param| !param.is_empty()) {
            let found = param.split('=').next().unwrap_or(param);
            if !found.trim().eq_ignore_ascii_case(name) {
                let _ = write!(text, ";{param}");
            }
        }
        text
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).expect("checked when it was read")
    }

    /// What kind it is.
    pub fn scheme(&self) -> Scheme {
        self.parts.scheme
    }

    /// The user part with escapes undone, without password; for `tel:` the number with its
    /// parameters left off. Bytes that are no UTF-8 after unescaping become `U+FFFD`.
    pub fn user(&self) -> Option<Cow<'_, str>> {
        self.user_raw().map(|user| unescape(user.split(':').next().unwrap_or(user)))
    }

    /// The user part as it stands, with password and escapes.
    pub fn user_raw(&self) -> Option<&str> {
        self.parts.user.map(|user| user.of(self.as_str()))
    }

    /// The host as it stands, IPv6 with brackets; empty for `tel:` and other schemes.
    pub fn host(&self) -> &str {
        self.parts.host.of(self.as_str())
    }

    /// The host as an address, when it is one.
    pub fn host_ip(&self) -> Option<IpAddr> {
        parse_ip(self.host())
    }

    /// The port, when one is written.
    pub fn port(&self) -> Option<u16> {
        self.parts.port
    }

    /// The parameters.
    pub fn params(&self) -> Params<'_> {
        Params::new(self.parts.params.of(self.as_str()))
    }

    /// A parameter's value; an empty text for one without value (`lr`).
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params().get(name)
    }

    /// The headers behind `?`: names and values, still escaped.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = self.parts.headers.of(self.as_str());
        let fields = text.split('&').filter(|field| !field.is_empty());
        fields.map(|field| field.split_once('=').unwrap_or((field, "")))
    }

    /// Compares by RFC 3261 §19.1.4 (for `tel:` RFC 3966 §4): what both would reach is the same.
    pub fn is_equivalent(&self, other: &Self) -> bool {
        // Also one that names a parameter twice, which §19.1.1 forbids and `same_params` cannot judge.
        if self == other {
            return true;
        }
        match (self.scheme(), other.scheme()) {
            (Scheme::Sip, Scheme::Sip) | (Scheme::Sips, Scheme::Sips) => {
                self.user_raw().map(normalised) == other.user_raw().map(normalised)
                    && same_host(self.host(), other.host())
                    && self.port() == other.port()
                    && same_params(self.params(), other.params())
                    && self.same_headers(other)
            }
            (Scheme::Tel, Scheme::Tel) => {
                let digits = |uri: &Self| -> String {
                    let number = uri.user_raw().unwrap_or("");
                    number.chars().filter(|c| !"-.()".contains(*c)).collect()
                };
                digits(self).eq_ignore_ascii_case(&digits(other))
                    && same_params(self.params(), other.params())
            }
            (Scheme::Other, Scheme::Other) => self == other,
            _ => false,
        }
    }

    fn same_headers(&self, other: &Self) -> bool {
        let sorted = |uri: &Self| {
            let fields = uri.headers().map(|(name, value)| {
                (normalised(name).to_ascii_lowercase(), normalised(value).into_owned())
            });
            let mut fields: Vec<_> = fields.collect();
            fields.sort();
            fields
        };
        sorted(self) == sorted(other)
    }
}

impl PartialEq for Uri {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Uri {}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Parts {
    fn parse(text: &str) -> Result<Self, UriError> {
        if text.len() > LENGTH_MAX {
            return Err(UriError::TooLong);
        }
        if text.bytes().any(|byte| FORBIDDEN[usize::from(byte)]) {
            return Err(UriError::Character);
        }
        let colon = memchr::memchr(b':', text.as_bytes()).ok_or(UriError::Scheme)?;
        match &text[..colon] {
            sip if sip.eq_ignore_ascii_case("sip") => Self::parse_sip(text, colon, Scheme::Sip),
            sips if sips.eq_ignore_ascii_case("sips") => Self::parse_sip(text, colon, Scheme::Sips),
            tel if tel.eq_ignore_ascii_case("tel") => Self::parse_tel(text, colon),
            other if is_scheme(other) => {
                let nowhere = Span::default();
                let scheme = Scheme::Other;
                Ok(Self {
                    scheme,
                    user: None,
                    host: nowhere,
                    port: None,
                    params: nowhere,
                    headers: nowhere,
                })
            }
            _ => Err(UriError::Scheme),
        }
    }

    /// `sip:user:password@host:port;parameters?headers`. What stands before the first `@` is the
    /// user part, whatever separators are in it: `;`, `?` and `/` need no escape there.
    fn parse_sip(text: &str, colon: usize, scheme: Scheme) -> Result<Self, UriError> {
        let start = colon + 1;
        let (user, host_start) = match memchr::memchr(b'@', &text.as_bytes()[start..]) {
            Some(length) => {
                let at = start + length;
                let user = &text[start..at];
                if user.is_empty() || user.starts_with(':') || !escapes_are_whole(user) {
                    return Err(UriError::User);
                }
                (Some(Span::new(start, at)), at + 1)
            }
            None => (None, start),
        };
        let (host_length, port, used) = parse_host_port(&text[host_start..])?;
        let host = Span::new(host_start, host_start + host_length);
        let params_start = host_start + used;
        let tail = &text[params_start..];
        let (params_end, headers_start) = match memchr::memchr(b'?', tail.as_bytes()) {
            Some(mark) => (params_start + mark, params_start + mark + 1),
            None => (text.len(), text.len()),
        };
        if !matches!(tail.bytes().next(), None | Some(b';' | b'?')) {
            return Err(UriError::Host);
        }
        let params = Span::new(params_start, params_end);
        let headers = Span::new(headers_start, text.len());
        Ok(Self { scheme, user, host, port, params, headers })
    }

    fn parse_tel(text: &str, colon: usize) -> Result<Self, UriError> {
        let end = text.find(';').unwrap_or(text.len());
        let number = &text[colon + 1..end];
        // RFC 3966 §3: digits, `*`, `#`, hexadecimal digits and visual separators, `+` in front.
        let allowed = |byte: u8| byte.is_ascii_hexdigit() || b"*#-.()+%".contains(&byte);
        if number.is_empty() || !number.bytes().all(allowed) {
            return Err(UriError::User);
        }
        let nowhere = Span::default();
        let user = Some(Span::new(colon + 1, end));
        let params = Span::new(end, text.len());
        Ok(Self { scheme: Scheme::Tel, user, host: nowhere, port: None, params, headers: nowhere })
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Reads `host[:port]` from the front of `text`: the length of the host, the port, and how much
/// of the text both take.
pub(crate) fn parse_host_port(text: &str) -> Result<(usize, Option<u16>, usize), UriError> {
    let host_length = if text.starts_with('[') {
        let close = text.find(']').ok_or(UriError::Host)?;
        parse_ipv6(&text[1..close]).ok_or(UriError::Host)?;
        close + 1
    } else {
        text.bytes().position(|byte| !HOST[usize::from(byte)]).unwrap_or(text.len())
    };
    if host_length == 0 {
        return Err(UriError::Host);
    }
    let Some(rest) = text[host_length..].strip_prefix(':') else {
        return Ok((host_length, None, host_length));
    };
    let digits = rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let port = rest[..digits].parse().map_err(|_| UriError::Port)?;
    Ok((host_length, Some(port), host_length + 1 + digits))
}

/// An address out of a host as URIs and Via write it: IPv6 in brackets.
pub(crate) fn parse_ip(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => parse_ipv6(rest.strip_suffix(']')?).map(IpAddr::V6),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// RFC 5118 §4.10: the grammar of RFC 3261 let a third colon in (`2001:db8:::192.0.2.1`), which
/// must be tolerated.
fn parse_ipv6(text: &str) -> Option<Ipv6Addr> {
    text.parse().ok().or_else(|| text.replacen(":::", "::", 1).parse().ok())
}

fn same_host(left: &str, right: &str) -> bool {
    match (parse_ip(left), parse_ip(right)) {
        (Some(left), Some(right)) => left == right,
        _ => left.eq_ignore_ascii_case(right),
    }
}

/// A parameter in both must agree; these must be in both or in neither (RFC 3261 §19.1.4).
fn same_params(left: Params<'_>, right: Params<'_>) -> bool {
    let always = |name: &str| {
        ["user", "ttl", "method", "maddr", "transport", "isub", "phone-context"]
            .iter()
            .any(|listed| listed.eq_ignore_ascii_case(name))
    };
    let agrees = |from: Params<'_>, to: Params<'_>| {
        from.iter().all(|(name, value)| match to.get(name) {
            Some(found) => normalised(found).eq_ignore_ascii_case(&normalised(value.unwrap_or(""))),
            None => !always(name),
        })
    };
    agrees(left, right) && agrees(right, left)
}
