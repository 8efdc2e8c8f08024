//! The tree of RFC 3263 §4.1 and §4.2, worked out of the answers at hand.

use super::{Answer, Host, LocateRules, Place, Question, Record, RecordKind};
use domain::hop::{Hop, Transport};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// As much of a DNS answer as is used: what stands behind is left out.
const NAPTR_MAX: usize = 8;
const SRV_MAX: usize = 16;
const ADDRESSES_MAX: usize = 8;
const QUESTIONS_MAX: usize = 64;

/// One target with its addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Found {
    /// Which NAPTR record led here, counted in their order.
    pub order: u16,
    pub priority: u16,
    pub weight: u16,
    pub hops: Vec<Hop>,
}

/// What the tree gave.
pub(super) struct Tree {
    pub found: Vec<Found>,
    /// Every question that a branch taken depends on.
    pub used: BTreeSet<Question>,
    /// Whether none of them is without an answer.
    pub complete: bool,
}

/// Walks the tree; `known` has the answers so far.
pub(super) fn search<'a>(
    place: &'a Place,
    rules: &'a LocateRules,
    known: &'a dyn Fn(&Question) -> Option<&'a Answer>,
) -> Tree {
    let used = BTreeSet::new();
    let mut search = Search { place, rules, known, used, complete: true };
    let found = search.place();
    Tree { found, used: search.used, complete: search.complete }
}

struct Search<'a> {
    place: &'a Place,
    rules: &'a LocateRules,
    known: &'a dyn Fn(&Question) -> Option<&'a Answer>,
    used: BTreeSet<Question>,
    complete: bool,
}

/// What a question gave.
enum Told<'a> {
    Found(&'a [Record]),
    Nothing,
    /// No answer yet, or DNS fails.
    Unknown,
}

impl<'a> Search<'a> {
    fn place(&mut self) -> Vec<Found> {
        let place = self.place;
        let plain = if place.secure { Transport::Tls } else { Transport::Udp };
        let name = match &place.host {
            Host::Name(name) => name.clone(),
            // §4.1, §4.2: a numeric address needs no DNS.
            Host::Address(address) => {
                let transport = place.transport.unwrap_or(plain);
                let port = place.port.unwrap_or(transport.default_port());
                let hop = Hop::at(transport, SocketAddr::new(*address, port));
                return single(vec![hop]);
            }
        };
        // §4.2: an explicit port skips SRV, §4.1: and NAPTR.
        if let Some(port) = place.port {
            return single(self.hops(&name, place.transport.unwrap_or(plain), port));
        }
        if let Some(transport) = place.transport {
            return self.service(&name, transport);
        }
        match self.ask(RecordKind::Naptr, &name) {
            Told::Found(records) => {
                if let Some(found) = self.by_naptr(records) {
                    return found;
                }
            }
            Told::Nothing => (),
            // Some resolvers and firewalls know no NAPTR: going without it loses nothing but the
            // domain's preference. Not before an answer, though.
            Told::Unknown if !self.complete => return Vec::new(),
            Told::Unknown => (),
        }
        self.by_transport(&name, plain)
    }

    /// §4.1: no NAPTR record, so SRV is asked for each transport; the first of ours that is offered
    /// is taken.
    fn by_transport(&mut self, name: &Arc<str>, plain: Transport) -> Vec<Found> {
        let (mut failed, place) = (false, self.place);
        for transport in self.rules.transports.iter().copied() {
            let Some(service) = service_name(name, transport) else { continue };
            if place.secure && !transport.is_secure() {
                continue;
            }
            match self.ask(RecordKind::Srv, &service) {
                Told::Found(records) => return self.by_srv(records, transport, 0),
                Told::Nothing => (),
                Told::Unknown => failed = true,
            }
        }
        // §4.2: the addresses of the name itself, but only if there really is no SRV record.
        match failed {
            true => Vec::new(),
            false => single(self.hops(name, plain, plain.default_port())),
        }
    }

    /// One transport, known beforehand.
    fn service(&mut self, name: &Arc<str>, transport: Transport) -> Vec<Found> {
        if let Some(service) = service_name(name, transport) {
            match self.ask(RecordKind::Srv, &service) {
                Told::Found(records) => return self.by_srv(records, transport, 0),
                Told::Nothing => (),
                Told::Unknown => return Vec::new(),
            }
        }
        single(self.hops(name, transport, transport.default_port()))
    }

    /// The records that apply, from the lowest order that has one (RFC 3403 §4.1: the others are
    /// then out of the question). `None`: none applies.
    fn by_naptr(&mut self, records: &'a [Record]) -> Option<Vec<Found>> {
        let mut usable: Vec<_> = records.iter().filter_map(|record| self.usable(record)).collect();
        usable.sort_by_key(|naptr| (naptr.order, naptr.preference));
        usable.truncate(NAPTR_MAX);
        if usable.is_empty() {
            return None;
        }
        for group in usable.chunk_by(|a, b| a.order == b.order) {
            let mut found = Vec::new();
            for (rank, naptr) in (0..).zip(group) {
                if naptr.is_service {
                    if let Told::Found(records) = self.ask(RecordKind::Srv, naptr.replacement) {
                        found.extend(self.by_srv(records, naptr.transport, rank));
                    }
                } else {
                    let port = naptr.transport.default_port();
                    let hops = self.hops(naptr.replacement, naptr.transport, port);
                    found.push(Found { order: rank, priority: 0, weight: 0, hops });
                }
            }
            found.retain(|found| !found.hops.is_empty());
            if !found.is_empty() || !self.complete {
                return Some(found);
            }
        }
        Some(Vec::new())
    }

    /// A NAPTR record that leads to a transport of ours: `s` or `a`, with an empty regular
    /// expression (§4.1).
    fn usable(&self, record: &'a Record) -> Option<Naptr<'a>> {
        let Record::Naptr { order, preference, flags, services, regexp, replacement } = record
        else {
            return None;
        };
        // RFC 3263 §4.1, RFC 7118 §5.5.
        let transport = match services.to_ascii_uppercase().as_str() {
            "SIP+D2U" => Transport::Udp,
            "SIP+D2T" => Transport::Tcp,
            "SIPS+D2T" => Transport::Tls,
            _ => return None,
        };
        // §4.1: a sips target takes SIPS alone; a sip target takes both.
        let fits = transport.is_secure() || !self.place.secure;
        let is_service = flags.eq_ignore_ascii_case("s");
        let is_known = is_service || flags.eq_ignore_ascii_case("a");
        let ours = self.rules.transports.contains(&transport);
        let usable = fits && is_known && ours && regexp.is_empty() && !is_root(replacement);
        let (order, preference) = (*order, *preference);
        usable.then_some(Naptr { order, preference, transport, is_service, replacement })
    }

    fn by_srv(&mut self, records: &'a [Record], transport: Transport, order: u16) -> Vec<Found> {
        let mut found = Vec::new();
        for record in records.iter().take(SRV_MAX) {
            let Record::Srv { priority, weight, port, target } = record else { continue };
            // RFC 2782: a target of "." says that the service is decidedly not offered.
            if is_root(target) {
                continue;
            }
            let hops = self.hops(target, transport, *port);
            if !hops.is_empty() {
                let (priority, weight) = (*priority, *weight);
                found.push(Found { order, priority, weight, hops });
            }
        }
        found
    }

    /// The addresses of a host, those of IPv6 first (RFC 6724 §2.1, RFC 6157 §3).
    fn hops(&mut self, name: &Arc<str>, transport: Transport, port: u16) -> Vec<Hop> {
        let rules = self.rules;
        let kinds = [(RecordKind::Aaaa, rules.ipv6), (RecordKind::A, rules.ipv4)];
        let mut addresses: Vec<IpAddr> = Vec::new();
        for kind in kinds.into_iter().filter_map(|(kind, ours)| ours.then_some(kind)) {
            let Told::Found(records) = self.ask(kind, name) else { continue };
            let new = records.iter().filter_map(|record| match record {
                Record::Address(address) => Some(*address),
                Record::Naptr { .. } | Record::Srv { .. } => None,
            });
            addresses.extend(new.take(ADDRESSES_MAX));
        }
        let host = self.place.written_host();
        let hop = |address| Hop {
            transport,
            address: SocketAddr::new(address, port),
            host: host.clone(),
        };
        addresses.into_iter().map(hop).collect()
    }

    fn ask(&mut self, kind: RecordKind, name: &Arc<str>) -> Told<'a> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase().into();
        let question = Question { kind, name };
        if self.used.len() >= QUESTIONS_MAX && !self.used.contains(&question) {
            return Told::Nothing;
        }
        let answer = (self.known)(&question);
        self.used.insert(question);
        match answer {
            Some(Answer::Found { records, .. }) => Told::Found(records),
            Some(Answer::Nothing { .. }) => Told::Nothing,
            Some(Answer::Failed) => Told::Unknown,
            None => {
                self.complete = false;
                Told::Unknown
            }
        }
    }
}

struct Naptr<'a> {
    order: u16,
    preference: u16,
    transport: Transport,
    is_service: bool,
    replacement: &'a Arc<str>,
}

impl Place {
    /// The host as requests name it: the domain, with its port if one was written.
    fn written_host(&self) -> Option<Arc<str>> {
        match (&self.host, self.port) {
            (Host::Name(name), Some(port)) => Some(format!("{name}:{port}").into()),
            (Host::Name(name), None) => Some(name.clone()),
            (Host::Address(_), _) => None,
        }
    }
}

fn single(hops: Vec<Hop>) -> Vec<Found> {
    match hops.is_empty() {
        true => Vec::new(),
        false => vec![Found { order: 0, priority: 0, weight: 0, hops }],
    }
}

/// §4.1: the name of the SRV records of a transport. WebSockets have none (RFC 7118 §5.5 leaves them
/// to HTTP).
fn service_name(name: &str, transport: Transport) -> Option<Arc<str>> {
    let service = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
        Transport::Ws | Transport::Wss => return None,
    };
    Some(format!("{service}.{name}").into())
}

fn is_root(name: &str) -> bool {
    matches!(name, "" | ".")
}
