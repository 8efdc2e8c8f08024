//! A target's place, as questions to DNS and answers from it (RFC 3263 §4; RFC 2782; RFC 3403 for
//! NAPTR).
//!
//! ```text
//!  Place ─┬─ address ───────────────────────────────────────────────────────► hop
//!         ├─ name:port ──────────────────────────────────────────► A, AAAA ─► hops
//!         ├─ name, transport ───────────────────► SRV ─┬─ found ─► A, AAAA ─► hops
//!         └─ name ─► NAPTR ─┬─ found ─► SRV of it ─────┤
//!                           └─ none ──► SRV of each ───┴─ none ──► A, AAAA ─► hops
//! ```
//!
//! The whole tree is worked out again after every answer, out of all answers held: what is missing is
//! asked, what has run out is asked again. An answer that runs out while DNS fails serves on, and
//! [`Locator::is_stale`] says so (RFC 8767). Calls nothing. Called by `trunks`.

mod search;
pub mod weight;

use domain::hop::{Hop, Transport};
use search::Found;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// How long to wait after DNS failed; old answers serve on meanwhile (RFC 8767 §5).
    pub retry: Duration,
    /// How long an old answer serves on at most.
    pub stale_max: Duration,
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
            stale_max: Duration::from_secs(24 * 3_600),
        }
    }
}

impl Place {
    /// A known address.
    pub fn at(transport: Transport, address: SocketAddr) -> Self {
        let (host, port) = (Host::Address(address.ip()), Some(address.port()));
        Self { host, port, transport: Some(transport), secure: false }
    }

    /// Itself, as far as it is known without asking: for a name no address.
    pub fn unlocated(&self) -> Hop {
        let transport = self.transport.unwrap_or(Transport::Udp);
        let port = self.port.unwrap_or_else(|| transport.default_port());
        let (address, host) = match &self.host {
            Host::Address(address) => (*address, None),
            Host::Name(name) => (IpAddr::from([0, 0, 0, 0]), Some(name.clone())),
        };
        Hop { transport, address: SocketAddr::new(address, port), host }
    }

    /// What configuration writes: `host`, `host:port`, `192.0.2.1:5060`, `[2001:db8::1]:5061`. A bare
    /// IPv6 address needs no brackets without a port. `None`: it is none of these.
    pub fn parse(text: &str) -> Option<Self> {
        let of = |host, port| Some(Self { host, port, transport: None, secure: false });
        if let Ok(address) = text.parse::<IpAddr>() {
            return of(Host::Address(address), None);
        }
        if let Some(rest) = text.strip_prefix('[') {
            let (address, rest) = rest.split_once(']')?;
            let address = IpAddr::V6(address.parse().ok()?);
            return match rest.strip_prefix(':') {
                Some(port) => of(Host::Address(address), Some(port_of(port)?)),
                None => rest.is_empty().then(|| of(Host::Address(address), None))?,
            };
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port_of(port)?)),
            None => (text, None),
        };
        if let Ok(address) = host.parse::<IpAddr>() {
            return of(Host::Address(address), port);
        }
        is_name(host).then(|| of(Host::Name(host.to_ascii_lowercase().into()), port))?
    }
}

fn port_of(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

/// Whether a text can be a host name: letters, digits, hyphens and dots (RFC 1123 §2.1), at least one
/// letter in its last label, so that a wrong address is no name.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && !label.starts_with('-')
    };
    let bare = text.strip_suffix('.').unwrap_or(text);
    let last = bare.rsplit('.').next().unwrap_or_default();
    text.len() <= 253
        && bare.split('.').all(is_label)
        && last.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// An answer held.
#[derive(Clone, Debug)]
struct Held {
    answer: Answer,
    /// When it must be asked again.
    until: Instant,
    /// Since when it serves though it ran out.
    stale_since: Option<Instant>,
}

/// How long the shell may take over one question; then it counts as failed. Resolvers give up
/// after 10 s or so.
const QUESTION_MAX: Duration = Duration::from_secs(20);

/// Finds one trunk and keeps finding it.
#[derive(Clone, Debug)]
pub struct Locator {
    place: Place,
    rules: LocateRules,
    held: BTreeMap<Question, Held>,
    /// Asked and not yet answered, with when that is given up.
    asked: BTreeMap<Question, Instant>,
    found: Vec<Found>,
    /// Whether the whole tree has been walked once.
    walked: bool,
}

impl Locator {
    /// A trunk not yet looked for.
    pub fn new(place: Place, rules: LocateRules) -> Self {
        let (held, asked) = (BTreeMap::new(), BTreeMap::new());
        Self { place, rules, held, asked, found: Vec::new(), walked: false }
    }

    /// Begins, or looks again for what has run out.
    pub fn start(&mut self, now: Instant, out: &mut Vec<Question>) {
        self.walk(now, out);
    }

    /// Asks everything again that is not being asked: a target was found dead. Nothing is forgotten
    /// until the answers come, and answers younger than `ttl_min` are left alone.
    pub fn refresh(&mut self, now: Instant, out: &mut Vec<Question>) {
        for held in self.held.values_mut() {
            held.until = held.until.min(now + self.rules.ttl_min);
        }
        self.walk(now, out);
    }

    /// Takes an answer; one that was not asked for is ignored. Whether the hops are others than
    /// before.
    pub fn answer(
        &mut self,
        question: &Question,
        answer: Answer,
        now: Instant,
        out: &mut Vec<Question>,
    ) -> bool {
        if self.asked.remove(question).is_none() {
            return false;
        }
        self.hold(question, answer, now);
        self.walk(now, out)
    }

    /// Asks again what has run out. Whether the hops are others than before.
    pub fn handle_deadline(&mut self, now: Instant, out: &mut Vec<Question>) -> bool {
        let overdue = self.asked.iter().filter(|(_, until)| **until <= now);
        let overdue: Vec<Question> = overdue.map(|(question, _)| question.clone()).collect();
        for question in overdue {
            self.asked.remove(&question);
            self.hold(&question, Answer::Failed, now);
        }
        self.walk(now, out)
    }

    /// When `handle_deadline` is wanted.
    pub fn deadline(&self) -> Option<Instant> {
        let running = |(question, held): (&Question, &Held)| {
            (!self.asked.contains_key(question)).then_some(held.until)
        };
        let runs_out = self.held.iter().filter_map(running).min();
        runs_out.into_iter().chain(self.asked.values().copied()).min()
    }

    /// The hops in the order they are to be tried (RFC 2782), `random` choosing among equals.
    pub fn hops(&self, random: u64) -> Vec<Hop> {
        weight::ordered(&self.found, random)
    }

    /// Whether anything was found.
    pub fn is_located(&self) -> bool {
        !self.found.is_empty()
    }

    /// Whether the search is not over yet for the first time.
    pub fn is_searching(&self) -> bool {
        !self.walked
    }

    /// Whether an answer serves that has run out, because DNS fails.
    pub fn is_stale(&self) -> bool {
        self.held.values().any(|held| held.stale_since.is_some())
    }

    /// Keeps an answer, or goes on with the old one where DNS failed.
    fn hold(&mut self, question: &Question, answer: Answer, now: Instant) {
        let rules = &self.rules;
        let lasts = match &answer {
            Answer::Found { ttl, .. } => (*ttl).clamp(rules.ttl_min, rules.ttl_max),
            // RFC 2308 §5.
            Answer::Nothing { ttl } => (*ttl).clamp(rules.ttl_min, rules.negative_ttl_max),
            Answer::Failed => rules.retry,
        };
        let until = now + lasts;
        if answer == Answer::Failed
            && let Some(held) = self.held.get_mut(question)
            && held.answer != Answer::Failed
        {
            let since = *held.stale_since.get_or_insert(now);
            // RFC 8767 §5: better an old answer than none, for a day or so.
            if now.saturating_duration_since(since) < rules.stale_max {
                held.until = until;
                return;
            }
        }
        self.held.insert(question.clone(), Held { answer, until, stale_since: None });
    }

    /// Works the tree out again; what is missing or has run out is asked. Whether the hops changed.
    fn walk(&mut self, now: Instant, out: &mut Vec<Question>) -> bool {
        let tree = search::search(&self.place, &self.rules, &|question| {
            self.held.get(question).map(|held| &held.answer)
        });
        let runs_out =
            |question: &&Question| self.held.get(*question).is_none_or(|held| held.until <= now);
        let due: Vec<Question> = tree
            .used
            .iter()
            .filter(runs_out)
            .filter(|question| !self.asked.contains_key(*question))
            .cloned()
            .collect();
        for question in due {
            self.asked.insert(question.clone(), now + QUESTION_MAX);
            out.push(question);
        }
        // What no branch needs any more is forgotten.
        let used: &BTreeSet<Question> = &tree.used;
        self.held.retain(|question, _| used.contains(question));
        if !tree.complete {
            return false;
        }
        self.walked = true;
        let changed = tree.found != self.found;
        self.found = tree.found;
        changed
    }
}

#[cfg(test)]
mod tests;
