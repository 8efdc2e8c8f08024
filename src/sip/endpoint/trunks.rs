//! Requests to trunks that belong to no leg: our REGISTER (RFC 3261 §10.2) and OPTIONS (§11). When
//! they are sent is decided above; here each is one transaction, or two where it is challenged.

use super::Endpoint;
use crate::event::trunk::{TrunkCommand, TrunkEvent};
use crate::event::{Action, Flow};
use crate::identity::escaped;
use crate::leg::trunk_login::TrunkLogin;
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::uri::{Scheme, Uri};
use crate::message::{Request, Response};
use crate::registration;
use crate::transaction::clients::{ClientId, Outgoing};
use crate::transaction::key;
use domain::hop::Hop;
use domain::id::TrunkId;
use domain::now::Now;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Requests under way at once; one beyond it fails at once. A trunk has one REGISTER and one OPTIONS
/// of each of its targets under way.
const ERRANDS_MAX: usize = 10_000;
/// How often one request is sent again with credentials: a challenge, and a stale nonce.
const ANSWERS_MAX: u8 = 3;
/// Values of one header field that are handed on.
const VALUES_MAX: usize = 16;

/// What the endpoint keeps of them.
#[derive(Default)]
pub(super) struct Errands {
    under_way: HashMap<ClientId, Errand>,
    /// §10.2: all registrations at one registrar share a Call-ID, and count on.
    series: BTreeMap<TrunkId, Series>,
}

struct Series {
    call_id: String,
    from_tag: String,
    cseq: u32,
}

struct Errand {
    trunk: TrunkId,
    hop: Hop,
    flow: Flow,
    /// As it was made, without what `address` adds.
    request: Request,
    login: Option<TrunkLogin>,
    answers_left: u8,
    began: Instant,
    wants: Wants,
}

#[derive(Clone, Copy)]
enum Wants {
    /// So long, in seconds.
    Register(u32),
    Unregister,
    Probe,
}

impl Endpoint {
    /// Takes an order that belongs to no leg. Its outcome is an [`Action::Trunk`].
    pub fn handle_trunk(&mut self, command: TrunkCommand, now: Now, out: &mut Vec<Action>) {
        let before = out.len();
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        match command {
            TrunkCommand::Register { trunk, hop, user, contact, expires } => {
                let wants = Wants::Register(seconds(expires));
                self.register((trunk, hop), (&user, &contact), wants, now.instant, out);
            }
            TrunkCommand::Unregister { trunk, hop, user, contact } => {
                let wants = Wants::Unregister;
                self.register((trunk, hop), (&user, &contact), wants, now.instant, out);
            }
            TrunkCommand::Probe { trunk, hop } => self.probe(trunk, hop, now.instant, out),
        }
        self.count_sent(before, out);
    }

    fn register(
        &mut self,
        (trunk, hop): (TrunkId, Hop),
        (user, contact): (&str, &str),
        wants: Wants,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let credentials = self.config.credentials_of(&trunk);
        let default = credentials.as_ref().map_or("", |credentials| &credentials.user);
        let user = if user.is_empty() { default } else { user };
        let contact = if contact.is_empty() { user } else { contact };
        let made = self.register_request(&trunk, &hop, (user, contact), wants);
        let Some((request, flow)) = made else {
            return out.push(Action::Trunk(failed(wants, trunk, hop)));
        };
        let login = credentials.as_ref().map(TrunkLogin::new);
        let answers_left = ANSWERS_MAX;
        let errand = Errand { trunk, hop, flow, request, login, answers_left, began: now, wants };
        self.send_errand(errand, now, out);
    }

    /// `None`: the trunk cannot be reached from here, or its names make no URI.
    fn register_request(
        &mut self,
        trunk: &TrunkId,
        hop: &Hop,
        (user, contact): (&str, &str),
        wants: Wants,
    ) -> Option<(Request, Flow)> {
        let flow = self.config.flow_to(trunk, hop.transport, hop.address)?;
        // §10.2: the request URI names the domain alone.
        let registrar = uri_of(hop, "")?;
        let border = self.config.access(trunk).map(|access| &access.border);
        let domain = match border.and_then(|border| border.from_host.as_deref()) {
            Some(host) => Uri::of_host(user, host).ok()?,
            None => uri_of(hop, user)?,
        };
        let contact = self.contact(flow, Scheme::Sip, escaped(contact).as_deref());
        let expires_s = match wants {
            Wants::Register(seconds) => seconds,
            Wants::Unregister | Wants::Probe => 0,
        };
        let (call_id, from_tag) = (format!("{}{}", self.token(), self.token()), self.token());
        let series = self.errands.series.entry(trunk.clone());
        let series = series.or_insert(Series { call_id, from_tag, cseq: 0 });
        series.cseq += 1;
        let mut request = Request::new(Method::Register, registrar);
        let headers = &mut request.headers;
        headers.push(Name::From, &format!("<{domain}>;tag={}", series.from_tag));
        headers.push(Name::To, &format!("<{domain}>"));
        headers.push(Name::CallId, &series.call_id);
        headers.push(Name::CSeq, &format!("{} REGISTER", series.cseq));
        headers.push(Name::Contact, &contact);
        headers.push(Name::Expires, &expires_s.to_string());
        // RFC 3327 §5.1: proxies on the way may want to stay on it.
        headers.push(Name::Supported, "path");
        Some((request, flow))
    }

    fn probe(&mut self, trunk: TrunkId, hop: Hop, now: Instant, out: &mut Vec<Action>) {
        let Some((request, flow)) = self.probe_request(&trunk, &hop) else {
            return out.push(Action::Trunk(failed(Wants::Probe, trunk, hop)));
        };
        let (login, answers_left, wants) = (None, 0, Wants::Probe);
        let errand = Errand { trunk, hop, flow, request, login, answers_left, began: now, wants };
        self.send_errand(errand, now, out);
    }

    fn probe_request(&mut self, trunk: &TrunkId, hop: &Hop) -> Option<(Request, Flow)> {
        let flow = self.config.flow_to(trunk, hop.transport, hop.address)?;
        let target = uri_of(hop, "")?;
        let border = self.config.access(trunk).map(|access| &access.border);
        let own = border.and_then(|border| border.from_host.as_deref());
        let own = own.map_or_else(|| self.config.advertised(flow).to_string(), str::to_owned);
        let (call_id, from_tag) = (format!("{}{}", self.token(), self.token()), self.token());
        let contact = self.contact(flow, Scheme::Sip, None);
        let mut request = Request::new(Method::Options, target.clone());
        let headers = &mut request.headers;
        headers.push(Name::From, &format!("<sip:{own}>;tag={from_tag}"));
        headers.push(Name::To, &format!("<{target}>"));
        headers.push(Name::CallId, &call_id);
        headers.push(Name::CSeq, "1 OPTIONS");
        headers.push(Name::Contact, &contact);
        // §11.1.
        headers.push(Name::Accept, "application/sdp");
        Some((request, flow))
    }

    fn send_errand(&mut self, errand: Errand, now: Instant, out: &mut Vec<Action>) {
        let full = self.errands.under_way.len() >= ERRANDS_MAX || self.has_no_transaction(false);
        if full {
            return out.push(Action::Trunk(failed(errand.wants, errand.trunk, errand.hop)));
        }
        let mut request = errand.request.clone();
        let branch = self.address(&mut request, errand.flow);
        let message = request.print();
        let key = key::of_outgoing(&branch, &request.method);
        let (method, flow, leg, otherwise) = (request.method, errand.flow, None, None);
        if flow.transport.is_secure() {
            let host = errand.hop.server_name().map(Arc::from);
            out.push(Action::Expect { flow, trunk: errand.trunk.clone(), host });
        }
        let listens_at = flow.remote;
        let outgoing = Outgoing { key, method, message, flow, listens_at, leg, otherwise };
        let id = self.clients.start(outgoing, now, out);
        self.errands.under_way.insert(id, errand);
    }

    /// Takes a response to a request of ours that belongs to no leg.
    pub(super) fn errand_answered(
        &mut self,
        id: ClientId,
        response: &Response,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if response.status < 200 {
            return;
        }
        let Some(mut errand) = self.errands.under_way.remove(&id) else { return };
        let host = errand.flow.remote.ip();
        if let Some(left) = errand.answers_left.checked_sub(1)
            && let Some(login) = &mut errand.login
            && login.take_challenge(response, &errand.request, host)
        {
            errand.answers_left = left;
            login.sign(&mut errand.request, host, &mut *self.rng);
            if let Some(series) = self.errands.series.get_mut(&errand.trunk) {
                // §22.2: the same request again, and so one later in the series.
                series.cseq += 1;
                errand.request.headers.set(Name::CSeq, &format!("{} REGISTER", series.cseq));
            }
            return self.send_errand(errand, now, out);
        }
        out.push(Action::Trunk(told(errand, response, now)));
    }

    /// No response will come any more.
    pub(super) fn errand_failed(&mut self, id: ClientId, now: Instant, out: &mut Vec<Action>) {
        let Some(errand) = self.errands.under_way.remove(&id) else { return };
        let round_trip = now.saturating_duration_since(errand.began);
        let mut event = failed(errand.wants, errand.trunk, errand.hop);
        if let TrunkEvent::Probed { round_trip: took, .. } = &mut event {
            *took = round_trip;
        }
        out.push(Action::Trunk(event));
    }
}

/// The domain that a trunk was located by, or its address, with this user.
fn uri_of(hop: &Hop, user: &str) -> Option<Uri> {
    match &hop.host {
        Some(host) => Uri::of_host(user, host).ok(),
        None => Uri::of_address(user, hop.address).ok(),
    }
}

/// What is told of a request that has no response.
fn failed(wants: Wants, trunk: TrunkId, hop: Hop) -> TrunkEvent {
    let (status, retry_after, min_expires) = (None, None, None);
    match wants {
        Wants::Register(_) => {
            TrunkEvent::RegisterFailed { trunk, hop, status, retry_after, min_expires }
        }
        Wants::Unregister => TrunkEvent::Unregistered { trunk },
        Wants::Probe => {
            let round_trip = Duration::ZERO;
            TrunkEvent::Probed { trunk, hop, status, round_trip, retry_after }
        }
    }
}

/// What a final response says.
fn told(errand: Errand, response: &Response, now: Instant) -> TrunkEvent {
    let Errand { trunk, hop, began, wants, request, .. } = errand;
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let headers = &response.headers;
    let retry_after = headers.retry_after().map(seconds);
    match (wants, response.status) {
        (Wants::Register(asked_s), 200..=299) => {
            let ours = request.headers.get(Name::Contact).unwrap_or("");
            let ours = Uri::parse(ours.trim_matches(['<', '>'])).ok();
            let granted = registration::granted_s(response, ours.as_ref()).unwrap_or(asked_s);
            let values = |name| headers.list(name).take(VALUES_MAX).map(Arc::from).collect();
            TrunkEvent::Registered {
                trunk,
                hop,
                granted: seconds(granted),
                service_route: values(Name::ServiceRoute),
                associated: values(Name::PAssociatedUri),
            }
        }
        (Wants::Register(_), status) => TrunkEvent::RegisterFailed {
            trunk,
            hop,
            status: Some(status),
            retry_after,
            min_expires: headers.min_expires().ok().flatten().map(seconds),
        },
        (Wants::Unregister, _) => TrunkEvent::Unregistered { trunk },
        (Wants::Probe, status) => TrunkEvent::Probed {
            trunk,
            hop,
            status: Some(status),
            round_trip: now.saturating_duration_since(began),
            retry_after,
        },
    }
}
