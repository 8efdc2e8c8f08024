//! Agents' telephones: which are there, and the way to each (RFC 3261 §10.3).
//!
//! ```text
//! REGISTER, its sender known ─► Registrar ─► 200 with all bindings, or 400, 423, 500
//! expiry, closed stream ──────►    └──────► Registered, Unregistered: on change only
//! ```
//!
//! A binding remembers the flow its REGISTER came over: a telephone behind NAT can be reached by
//! no other way. Calls nothing. Called by `endpoint`, which has checked the credentials.

use crate::event::{Flow, LegEvent};
use crate::message::name::Name;
use crate::message::name_addr::{Contacts, NameAddr};
use crate::message::uri::{Scheme, Uri};
use crate::message::{Headers, Request, Response};
use domain::id::AgentId;
use domain::ip_version::IpVersion;
use domain::timers::TimerQueue;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// All bindings.
#[derive(Debug)]
pub(crate) struct Registrar {
    bindings: BTreeMap<AgentId, Vec<Binding>>,
    timers: TimerQueue<AgentId>,
    /// Whose telephones behind a NAT are sent something, so that the way to them stays open.
    keep_alives: TimerQueue<AgentId>,
    /// Whose bindings came over which flow; those over a stream end with it.
    by_flow: BTreeMap<Flow, BTreeSet<AgentId>>,
    contacts_max: usize,
}

/// One telephone of an agent.
#[derive(Clone, Debug)]
struct Binding {
    contact: Uri,
    /// With `cseq`: which REGISTER set it, so that an older one cannot undo it.
    call_id: Arc<str>,
    cseq: u32,
    flow: Flow,
    /// The proxies between, which calls must pass (RFC 3327 §5.3); empty without any.
    path: Vec<Uri>,
    /// How much this one is preferred over others, in thousandths (RFC 3261 §20.10).
    q: u16,
    expires_at: Instant,
}

/// The way to a telephone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Way<'a> {
    /// The request URI.
    pub(crate) contact: &'a Uri,
    /// Between which addresses.
    pub(crate) flow: Flow,
    /// What `Route` must name, in order.
    pub(crate) path: &'a [Uri],
}

impl Binding {
    fn ip_version(&self) -> IpVersion {
        IpVersion::of(self.flow.remote.ip())
    }

    /// Whether a NAT stands before a telephone that speaks datagrams: its Contact is not where it
    /// speaks from. A connection is kept by whoever opened it (RFC 5626 §4.4.1).
    fn is_behind_nat(&self) -> bool {
        let port = self.contact.port().unwrap_or(self.flow.transport.default_port());
        let named = self.contact.host_ip().map(|ip| SocketAddr::new(ip, port));
        !self.flow.transport.is_reliable() && named != Some(self.flow.remote)
    }
}

/// Of those preferred most, the one that registered last.
fn preferred<'a>(bindings: impl Iterator<Item = &'a Binding>) -> Option<&'a Binding> {
    bindings.max_by_key(|binding| binding.q)
}

/// What one Contact of a REGISTER asks for.
struct Wish {
    contact: Uri,
    expires_s: u32,
    q: u16,
}

/// How often something goes through a NAT: many forget a UDP flow after 30 s, so RFC 5626 §4.4.2
/// has it used every 24 to 29 s.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(25);

/// How long a binding lasts when nothing is asked for, and at most (RFC 3261 §10.3: the
/// registrar may shorten what is asked).
const EXPIRES_MAX_S: u32 = 3600;

/// RFC 3261 §10.3: a shorter life is refused with 423; a minute keeps the load bearable.
const EXPIRES_MIN_S: u32 = 60;

/// A REGISTER with more Contacts than this is refused with 400: no telephone has as many.
const CONTACTS_IN_REQUEST_MAX: usize = 16;

/// A REGISTER that passed more proxies than this is refused with 400.
const PATH_MAX: usize = 8;

impl Registrar {
    /// No bindings. `contacts_max` is the most telephones of one agent.
    pub(crate) fn new(contacts_max: usize) -> Self {
        Self {
            bindings: BTreeMap::new(),
            timers: TimerQueue::default(),
            keep_alives: TimerQueue::default(),
            by_flow: BTreeMap::new(),
            contacts_max: contacts_max.max(1),
        }
    }

    /// Takes a REGISTER of `agent`: the response, and whether the agent came or went.
    pub(crate) fn register(
        &mut self,
        agent: &AgentId,
        request: &Request,
        flow: Flow,
        now: Instant,
        out: &mut Vec<LegEvent>,
    ) -> Response {
        let mut bindings = self.bindings.get(agent).cloned().unwrap_or_default();
        bindings.retain(|binding| binding.expires_at > now);
        // §10.3: all of the request is done or nothing.
        match change(&mut bindings, request, flow, now) {
            Ok(()) => (),
            Err(status) => {
                let mut response = request.response(status, None);
                if status == 423 {
                    response.headers.push(Name::MinExpires, &EXPIRES_MIN_S.to_string());
                }
                return response;
            }
        }
        // The one longest unused stands first.
        let surplus = bindings.len().saturating_sub(self.contacts_max);
        bindings.drain(..surplus);
        let mut response = request.response(200, None);
        write_bindings(&bindings, now, &mut response.headers);
        // RFC 3327 §5.3: also where the telephone says nothing of Path itself.
        response.headers.copy(&request.headers, Name::Path);
        let is_kept_alive = bindings.iter().any(Binding::is_behind_nat);
        self.store(agent, bindings, out);
        self.keep_alives.update(agent, is_kept_alive.then_some(now + KEEP_ALIVE_EVERY));
        response
    }

    /// The telephone to call: of those preferred most, the one that registered last.
    pub(crate) fn target(&self, agent: &AgentId, now: Instant) -> Option<Way<'_>> {
        let live = self.bindings.get(agent)?.iter().filter(|binding| binding.expires_at > now);
        let Binding { contact, flow, path, .. } = preferred(live)?;
        Some(Way { contact, flow: *flow, path })
    }

    /// Over which flow a telephone is reached now that was reached over `lost`: what was said under TLS
    /// goes on under TLS (RFC 3261 §26.2.2). It registered with this very Contact, or else with its user,
    /// as each connection may have another address: then over the same transport, or as the only one.
    /// The last to register.
    pub(crate) fn flow_of(&self, agent: &AgentId, contact: &Uri, lost: Flow) -> Option<Flow> {
        let is_safe = |it: &&Binding| it.flow.transport.is_secure() || !lost.transport.is_secure();
        let has_user = |it: &&Binding| it.contact.user() == contact.user();
        let bindings = self.bindings.get(agent)?.iter().rev();
        let found: Vec<&Binding> = bindings.filter(is_safe).filter(has_user).collect();
        let same = found.iter().find(|it| it.contact.is_equivalent(contact));
        let alike = || found.iter().find(|it| it.flow.transport == lost.transport);
        let only = || found.first().filter(|_| found.len() == 1);
        same.or_else(alike).or_else(only).map(|binding| binding.flow)
    }

    /// Whether a telephone has registered over a flow. Over datagrams its address counts, as one
    /// behind NAT has the same way for all it sends.
    pub(crate) fn knows(&self, flow: Flow) -> bool {
        self.by_flow.contains_key(&flow)
    }

    /// A stream closed: what registered over it cannot be reached any more.
    pub(crate) fn connection_closed(&mut self, flow: Flow, out: &mut Vec<LegEvent>) {
        for agent in self.by_flow.remove(&flow).unwrap_or_default() {
            let mut bindings = self.bindings.get(&agent).cloned().unwrap_or_default();
            bindings.retain(|binding| binding.flow != flow);
            self.store(&agent, bindings, out);
        }
    }

    /// Lets time pass.
    pub(crate) fn handle_deadline(&mut self, now: Instant, out: &mut Vec<LegEvent>) {
        while let Some(agent) = self.timers.expire(now) {
            let mut bindings = self.bindings.get(&agent).cloned().unwrap_or_default();
            bindings.retain(|binding| binding.expires_at > now);
            self.store(&agent, bindings, out);
        }
    }

    /// The flows on which something must be sent now, or their NATs forget them.
    pub(crate) fn keep_alives(&mut self, now: Instant, out: &mut Vec<Flow>) {
        while let Some(agent) = self.keep_alives.expire(now) {
            let bindings = self.bindings.get(&agent).into_iter().flatten();
            let before = out.len();
            out.extend(bindings.filter(|it| it.is_behind_nat()).map(|binding| binding.flow));
            let next = (out.len() > before).then_some(now + KEEP_ALIVE_EVERY);
            self.keep_alives.update(&agent, next);
        }
    }

    /// When to call [`handle_deadline`](Self::handle_deadline) and
    /// [`keep_alives`](Self::keep_alives) next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.timers.next(), self.keep_alives.next()].into_iter().flatten().min()
    }

    /// How many agents have a telephone registered.
    pub(crate) fn len(&self) -> usize {
        self.bindings.len()
    }

    fn store(&mut self, agent: &AgentId, bindings: Vec<Binding>, out: &mut Vec<LegEvent>) {
        let deadline = bindings.iter().map(|binding| binding.expires_at).min();
        self.timers.update(agent, deadline);
        let before = self.bindings.remove(agent).unwrap_or_default();
        let was = preferred(before.iter()).map(Binding::ip_version);
        for old in before {
            if let Some(agents) = self.by_flow.get_mut(&old.flow) {
                agents.remove(agent);
                if agents.is_empty() {
                    self.by_flow.remove(&old.flow);
                }
            }
        }
        match (was, preferred(bindings.iter()).map(Binding::ip_version)) {
            (was, Some(ip)) if was != Some(ip) => {
                out.push(LegEvent::Registered { agent: agent.clone(), ip });
            }
            (Some(_), None) => out.push(LegEvent::Unregistered { agent: agent.clone() }),
            (Some(_), Some(_)) | (None, _) => (),
        }
        if bindings.is_empty() {
            self.keep_alives.update(agent, None);
            return;
        }
        for binding in &bindings {
            self.by_flow.entry(binding.flow).or_default().insert(agent.clone());
        }
        self.bindings.insert(agent.clone(), bindings);
    }
}

/// Does what a REGISTER asks, in order (RFC 3261 §10.3 steps 6 and 7).
///
/// # Errors
/// The status of the refusal.
fn change(
    bindings: &mut Vec<Binding>,
    request: &Request,
    flow: Flow,
    now: Instant,
) -> Result<(), u16> {
    let headers = &request.headers;
    let call_id: Arc<str> = headers.call_id().map_err(|_| 400u16)?.into();
    let (cseq, _) = headers.cseq().map_err(|_| 400u16)?;
    // §10.2.1.1: a malformed Expires counts as the default.
    let header_s = headers.expires().ok().flatten();
    let contacts = match headers.contacts().map_err(|_| 400u16)? {
        Contacts::List(list) => list,
        // §10.2.2: `*` is for removing all, and stands alone with Expires 0.
        Contacts::Star if header_s == Some(0) => {
            let stale = |binding: &Binding| *binding.call_id == *call_id && cseq <= binding.cseq;
            if bindings.iter().any(stale) {
                return Err(500);
            }
            bindings.clear();
            return Ok(());
        }
        Contacts::Star => return Err(400),
    };
    if contacts.len() > CONTACTS_IN_REQUEST_MAX {
        return Err(400);
    }
    let path = headers.addresses(Name::Path).map_err(|_| 400u16)?;
    if path.len() > PATH_MAX {
        return Err(400);
    }
    let path: Result<Vec<Uri>, _> = path.iter().map(NameAddr::uri).collect();
    let path = path.map_err(|_| 400u16)?;
    for contact in &contacts {
        let Wish { contact, expires_s, q } = wish(contact, header_s)?;
        let known = bindings.iter().position(|binding| binding.contact.is_equivalent(&contact));
        if let Some(at) = known {
            // Step 7: an older request of the same client must not undo a newer one.
            let old = bindings.remove(at);
            if *old.call_id == *call_id && cseq <= old.cseq {
                return Err(500);
            }
        }
        if expires_s > 0 {
            let expires_at = now + Duration::from_secs(expires_s.into());
            let (call_id, path) = (call_id.clone(), path.clone());
            bindings.push(Binding { contact, call_id, cseq, flow, path, q, expires_at });
        }
    }
    Ok(())
}

fn wish(contact: &NameAddr<'_>, header_s: Option<u32>) -> Result<Wish, u16> {
    let expires_s = contact.expires_s().or(header_s).unwrap_or(EXPIRES_MAX_S);
    if (1..EXPIRES_MIN_S).contains(&expires_s) {
        return Err(423);
    }
    let q = contact.params.get("q").map_or(Some(Q_MAX), thousandths).ok_or(400u16)?;
    let contact = contact.uri().map_err(|_| 400u16)?;
    if !matches!(contact.scheme(), Scheme::Sip | Scheme::Sips) {
        return Err(400);
    }
    Ok(Wish { contact, expires_s: expires_s.min(EXPIRES_MAX_S), q })
}

/// The most that a telephone can be preferred, and what it is where it says nothing.
const Q_MAX: u16 = 1_000;

/// `0` to `1` with three digits behind the point at most (RFC 3261 §25.1 `qvalue`).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if rest.len() > 3 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole: u16 = match whole {
        "0" => 0,
        "1" => Q_MAX,
        _ => return None,
    };
    let rest: u16 = format!("{rest:0<3}").parse().ok()?;
    Some(whole + rest).filter(|q| *q <= Q_MAX)
}

/// §10.3 step 8: the 2xx lists all bindings with what is left of their lives.
fn write_bindings(bindings: &[Binding], now: Instant, headers: &mut Headers) {
    for binding in bindings {
        let left = binding.expires_at.saturating_duration_since(now).as_secs();
        let q = match binding.q {
            Q_MAX => String::new(),
            q => format!(";q=0.{q:03}"),
        };
        headers.push(Name::Contact, &format!("<{}>{q};expires={left}", binding.contact));
    }
}

#[cfg(test)]
mod tests;
