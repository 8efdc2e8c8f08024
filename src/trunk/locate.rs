//! A target's place, as questions to DNS and answers from it (RFC 3263 §4; RFC 2782; RFC 3403 for
//! NAPTR).

use domain::hop::Transport;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What is asked of DNS.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Question {
    /// Which records.
    pub kind: RecordKind,
    /// Of which name; without a dot at its end.
    pub name: Arc<str>,
}

/// Which records.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum RecordKind {
    /// Services of a domain (RFC 3403).
    Naptr,
    /// Hosts of a service (RFC 2782).
    Srv,
    /// IPv4 addresses of a host.
    A,
    /// IPv6 addresses of a host.
    Aaaa,
}

/// What DNS answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Records of the kind asked for; those of other kinds are left out by whoever asks.
    Found {
        /// At least one.
        records: Vec<Record>,
        /// How long they hold: the least of theirs.
        ttl: Duration,
    },
    /// There are none, or no such name (RFC 2308).
    Nothing {
        /// How long that holds.
        ttl: Duration,
    },
    /// Nobody could say: timeout, SERVFAIL, refused.
    Failed,
}

/// One record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Record {
    /// RFC 3403 §4.1.
    Naptr {
        /// Lower comes first.
        order: u16,
        /// Lower is preferred, within an order.
        preference: u16,
        /// `s`, `a` …
        flags: Arc<str>,
        /// `SIP+D2U` …
        services: Arc<str>,
        /// Empty for SIP (RFC 3263 §4.1).
        regexp: Arc<str>,
        /// The name to ask for next.
        replacement: Arc<str>,
    },
    /// RFC 2782.
    Srv {
        /// Lower comes first.
        priority: u16,
        /// Share of the calls within a priority.
        weight: u16,
        /// Its port.
        port: u16,
        /// Its host; `.` or empty: the service is not offered.
        target: Arc<str>,
    },
    /// An address.
    Address(IpAddr),
}

/// Where a trunk is, as its configuration says it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// A domain or an address.
    pub host: Host,
    /// `None`: by SRV, or the transport's default.
    pub port: Option<u16>,
    /// `None`: by NAPTR and SRV, or UDP.
    pub transport: Option<Transport>,
    /// Only encrypted transports will do: what `sips` asks (RFC 3261 §19.1).
    pub secure: bool,
}

/// A domain or an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Host {
    /// To be asked of DNS.
    Name(Arc<str>),
    /// Known.
    Address(IpAddr),
}

/// How names are resolved, and what of the answers is used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LocateRules {
    /// What we speak, the preferred first where DNS has no preference: UDP, TCP, TLS.
    pub transports: Vec<Transport>,
    /// Whether we have a listener of IPv4, and one of IPv6.
    pub ipv4: bool,
    /// See `ipv4`.
    pub ipv6: bool,
    /// Answers are held this long at least, whatever their TTL: so that a TTL of 0 is no flood.
    pub ttl_min: Duration,
    /// And this long at most.
    pub ttl_max: Duration,
    /// How long "there is none" is held at most (RFC 2308 §5).
    pub negative_ttl_max: Duration,
    /// How long to wait after DNS failed; old answers serve on meanwhile (RFC 8767).
    pub retry: Duration,
}

impl Default for LocateRules {
    fn default() -> Self {
        Self {
            transports: vec![Transport::Udp, Transport::Tcp, Transport::Tls],
            ipv4: true,
            ipv6: true,
            ttl_min: Duration::from_secs(5),
            ttl_max: Duration::from_secs(3_600),
            negative_ttl_max: Duration::from_secs(300),
            retry: Duration::from_secs(10),
        }
    }
}
