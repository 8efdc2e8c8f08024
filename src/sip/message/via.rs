//! One Via (RFC 3261 §20.42): who sent the message and where its response goes.

use crate::message::params::{Params, find_outside, is_token, split_at, trim};
use crate::message::uri::{parse_host_port, parse_ip};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// How branches of RFC 3261 begin (§8.1.1.7); others come from RFC 2543 and say nothing.
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// A Via value, borrowed from its message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Via<'a> {
    /// `UDP`, `TCP`, `TLS`…, as it stands.
    pub transport: &'a str,
    /// The host of sent-by as it stands, IPv6 with brackets.
    pub host: &'a str,
    /// The port of sent-by; `None` means the transport's own (5060).
    pub port: Option<u16>,
    /// `branch`, `received`, `rport` and others.
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Reads one Via; `None` when it breaks the grammar. White space around slashes and the
    /// colon is allowed. The version may be another than 2.0: a 505 must find its way too.
    pub fn parse(text: &'a str) -> Option<Self> {
        let end = find_outside(text, b';', false).unwrap_or(text.len());
        let (head, params) = text.split_at(end);
        let (protocol, rest) = split_at(head, b'/')?;
        let (version, rest) = split_at(rest, b'/')?;
        if !trim(protocol).eq_ignore_ascii_case("SIP") || !is_token(trim(version)) {
            return None;
        }
        let (transport, sent_by) = trim(rest).split_once([' ', '\t'])?;
        if !is_token(transport) {
            return None;
        }
        let (host, port) = Self::parse_sent_by(trim(sent_by))?;
        let params = Params::new(params);
        params_are_sound(params).then_some(Self { transport, host, port, params })
    }

    fn parse_sent_by(text: &str) -> Option<(&str, Option<u16>)> {
        let (length, port, used) = parse_host_port(text).ok()?;
        if used == text.len() {
            return Some((&text[..length], port));
        }
        // RFC 3261 §25.1 `COLON`: white space may stand on both sides of it.
        let digits = trim(trim(&text[length..]).strip_prefix(':')?);
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        Some((&text[..length], Some(digits.parse().ok().filter(|_| plain)?)))
    }

    /// The branch as it stands.
    pub fn branch(&self) -> Option<&'a str> {
        self.params.get("branch").filter(|branch| !branch.is_empty())
    }

    /// The branch, where it is the client's name for its transaction (RFC 3261 §17.2.3); `None`
    /// from RFC 2543 clients, and where nothing follows the cookie (RFC 4475 §3.2.1).
    pub fn transaction_branch(&self) -> Option<&'a str> {
        self.branch().filter(|branch| {
            let front = branch.get(..MAGIC_COOKIE.len());
            branch.len() > MAGIC_COOKIE.len()
                && front.is_some_and(|front| front.eq_ignore_ascii_case(MAGIC_COOKIE))
        })
    }

    /// The address the request really came from, when that was put in (RFC 3261 §18.2.1);
    /// IPv6 with or without brackets (RFC 5118 §4.5).
    pub fn received(&self) -> Option<IpAddr> {
        let text = self.params.get("received")?;
        parse_ip(text).or_else(|| text.parse().ok())
    }

    /// The port the request really came from, when that was put in (RFC 3581 §4).
    pub fn rport(&self) -> Option<u16> {
        self.params.get("rport")?.parse().ok()
    }

    /// Whether the client asks for the answer at the port it sent from (RFC 3581 §3).
    pub fn wants_rport(&self) -> bool {
        self.params.has("rport")
    }

    /// Adds this Via, which is `text`, to `out` with where the message came from: `received` where
    /// sent-by says otherwise (RFC 3261 §18.2.1), and `rport` with `received` where the client asked
    /// for it (RFC 3581 §4). What the sender claimed in these is dropped. Whether there was anything to
    /// change: else nothing is added.
    pub(super) fn stamp(&self, text: &str, source: SocketAddr, out: &mut String) -> bool {
        let wants_rport = self.wants_rport();
        let differs = parse_ip(self.host) != Some(source.ip());
        if !wants_rport && !differs && !self.params.has("received") {
            return false;
        }
        let is_claim = |name: &str| {
            name.eq_ignore_ascii_case("received") || name.eq_ignore_ascii_case("rport")
        };
        out.reserve(text.len() + 64);
        self.push_without(text, is_claim, out);
        if differs || wants_rport {
            let _ = write!(out, ";received={}", source.ip());
        }
        if wants_rport {
            let _ = write!(out, ";rport={}", source.port());
        }
        true
    }

    /// Adds this Via, which is `text`, to `out` without the parameters that `goes` names.
    pub(super) fn push_without(&self, text: &str, goes: impl Fn(&str) -> bool, out: &mut String) {
        let head = find_outside(text, b';', false).unwrap_or(text.len());
        out.push_str(trim(&text[..head]));
        for (name, value) in self.params.iter().filter(|(name, _)| !goes(name)) {
            out.push(';');
            out.push_str(name);
            if let Some(value) = value {
                out.push('=');
                out.push_str(value);
            }
        }
    }

    /// Where a response goes on a datagram transport (RFC 3261 §18.2.2, RFC 3581 §4): `maddr` is
    /// not followed, as it would let a sender aim our answers. `None` when neither `received`
    /// nor an address in sent-by tells.
    pub fn response_address(&self) -> Option<SocketAddr> {
        let ip = self.received().or_else(|| parse_ip(self.host))?;
        Some(SocketAddr::new(ip, self.rport().or(self.port).unwrap_or(5060)))
    }
}

/// `rport` must mean something when it has a value: answers are sent by it. Brackets stand in no value
/// without quotes (RFC 3261 §25.1): with one left out, a list would be cut elsewhere.
fn params_are_sound(params: Params<'_>) -> bool {
    params.is_well_formed_and(|name, value| match value {
        Some(value) if name.eq_ignore_ascii_case("rport") => value.parse::<u16>().is_ok(),
        Some(value) => value.starts_with('"') || !value.contains(['<', '>']),
        None => true,
    })
}
