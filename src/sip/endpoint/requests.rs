//! Requests of peers: to their transaction, to the leg whose dialog they are in, or to one of the
//! checks that a request outside a dialog must pass (RFC 3261 §8.2, §12.2.2).
//!
//! Refusals given here keep nothing: they are made afresh for each repetition (§8.2.7).

use super::Endpoint;
use crate::error::{Fault, ParseError};
use crate::event::{Action, Flow, LegEvent};
use crate::guard::Offence;
use crate::leg;
use crate::leg::refer::REFER_EVENT;
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::name_addr::tagged;
use crate::message::uri::Scheme;
use crate::message::{Request, Response};
use crate::transaction::key;
use crate::transaction::servers::{Found, Incoming};
use domain::id::LegId;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// In front of the tags of stateless responses: no leg has such a tag.
pub(super) const STATELESS: &str = "s-";

impl Endpoint {
    pub(super) fn handle_request(
        &mut self,
        request: &Request,
        key: Arc<str>,
        flow: Flow,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if flow.transport.is_reliable()
            && let Ok(via) = request.headers.via()
            && via.params.has("alias")
        {
            self.ways.note_alias(&via, flow);
        }
        if let Some(leg) = self.servers.leg_of(&key) {
            out.push(Action::Matched { leg });
        }
        let is_ack = request.method == Method::Ack;
        match self.servers.find(&key, is_ack, now, out) {
            Some(Found::AnswerAcknowledged { leg: Some(leg) }) => {
                self.deliver(leg, leg::Event::Ack { request }, now, out);
                return;
            }
            Some(Found::GivenUp { leg: Some(leg) }) => {
                self.deliver(leg, leg::Event::Cancel { request }, now, out);
                return;
            }
            Some(_) => return,
            None => (),
        }
        // §8.2: the method is looked at first.
        if let Some(response) = self.refuse_method(request, flow) {
            return self.refuse_told(request, response, flow, out);
        }
        let to_tag = request.headers.to_tag();
        match (&request.method, to_tag) {
            (Method::Ack, Some(tag)) => self.handle_ack(request, tag, now, out),
            // It acknowledges nothing of ours: a stray, or for a refusal of which we kept nothing.
            (Method::Ack, None) => (),
            (Method::Cancel, _) => self.handle_cancel(request, flow, now, out),
            (_, Some(tag)) => self.handle_in_dialog(request, key, tag, flow, now, out),
            (_, None) => self.handle_out_of_dialog(request, key, flow, now, out),
        }
    }

    /// The leg in whose dialog a request is (RFC 3261 §12.2.2): our tag finds it, the rest must
    /// agree.
    fn leg_in_dialog(&self, request: &Request, local_tag: &str) -> Option<LegId> {
        let id = *self.legs_by_tag.get(local_tag)?;
        let call_id = request.headers.call_id().ok()?;
        let entry = self.legs.get(&id)?;
        entry.leg.is_with(call_id, request.headers.from_tag().unwrap_or("")).then_some(id)
    }

    fn handle_ack(&mut self, request: &Request, tag: &str, now: Instant, out: &mut Vec<Action>) {
        if let Some(leg) = self.leg_in_dialog(request, tag) {
            out.push(Action::Matched { leg });
            self.deliver(leg, leg::Event::Ack { request }, now, out);
        }
    }

    /// RFC 3261 §9.2. A CANCEL has no effect but on an INVITE without final response, and the
    /// same one on each repetition, so it needs no transaction of its own.
    fn handle_cancel(
        &mut self,
        request: &Request,
        flow: Flow,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let invite = key::of_cancelled(request);
        let Some(cancelled) = invite.and_then(|key| self.servers.cancelled(&key)) else {
            let response = self.refusal(request, 481);
            return self.send_refusal(response, flow, out);
        };
        out.extend(cancelled.leg.map(|leg| Action::Matched { leg }));
        let entry = cancelled.leg.and_then(|leg| self.legs.get(&leg));
        // §9.2: the tag is that of the INVITE's response, as long as it is known.
        let tag = entry.map_or_else(|| self.stateless_tag(request), |e| e.local_tag.to_string());
        let response = request.response(200, Some(&tag));
        self.send_stateless(response, flow, cancelled.leg, out);
        if let Some(leg) = cancelled.leg.filter(|_| cancelled.is_pending) {
            self.deliver(leg, leg::Event::Cancel { request }, now, out);
        }
    }

    fn handle_in_dialog(
        &mut self,
        request: &Request,
        key: Arc<str>,
        tag: &str,
        flow: Flow,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let Some(id) = self.leg_in_dialog(request, tag) else {
            if self.late_pracks.knows(self.dialog_of(request, tag), request, now) {
                return self.send_stateless(request.response(200, None), flow, None, out);
            }
            let response = self.refusal(request, 481);
            self.send_refusal(response, flow, out);
            return;
        };
        out.push(Action::Matched { leg: id });
        if let Err(response) = self.check_extensions(request) {
            self.send_stateless(*response, flow, Some(id), out);
            return;
        }
        if Self::is_misplaced_replaces(request) {
            let response = self.refusal(request, 400);
            self.send_stateless(response, flow, Some(id), out);
            return;
        }
        // A BYE ends more than it costs: it is always let in.
        let for_help = self.legs.get(&id).is_some_and(|entry| entry.for_help);
        if self.has_no_transaction(for_help) && request.method != Method::Bye {
            let response = self.overloaded(request);
            self.send_stateless(response, flow, Some(id), out);
            return;
        }
        let server = self.servers.start(Incoming {
            key,
            origin: None,
            is_invite: request.method == Method::Invite,
            flow: reply_flow(request, flow),
            fallback: sent_by(request, flow),
            leg: Some(id),
        });
        self.deliver(id, leg::Event::Request { server, request, flow }, now, out);
    }

    fn handle_out_of_dialog(
        &mut self,
        request: &Request,
        key: Arc<str>,
        flow: Flow,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if let Err(response) = self.check(request, flow) {
            self.refuse_told(request, *response, flow, out);
            return;
        }
        match request.method {
            Method::Invite => self.handle_invite(request, key, flow, now, out),
            Method::Register => self.handle_register(request, key, flow, now, out),
            _ => self.handle_options(request, flow, now, out),
        }
    }

    /// §11.2: what we can, with the status that an INVITE would get. It has no effect, so nothing
    /// is kept of it.
    fn handle_options(
        &mut self,
        request: &Request,
        flow: Flow,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if self.is_full(false) {
            let response = self.overloaded(request);
            return self.send_refusal(response, flow, out);
        }
        // A telephone asks over the way it has registered by whether that is still open.
        if !self.is_known(flow)
            && let Err(response) = self.identify(request, flow, now)
        {
            return self.send_refusal(*response, flow, out);
        }
        let tag = self.stateless_tag(request);
        let mut response = request.response(200, Some(&tag));
        leg::add_capabilities(&mut response.headers);
        self.methods_at(flow).restrict(&mut response.headers);
        self.send_stateless(response, flow, None, out);
    }

    /// The checks of §8.2.1 to §8.2.2 that need nothing but the request.
    ///
    /// # Errors
    /// The refusal to send.
    fn check(&mut self, request: &Request, flow: Flow) -> Result<(), Box<Response>> {
        match request.method {
            Method::Invite | Method::Register | Method::Options => (),
            // §12.2.2: these live inside dialogs only.
            Method::Bye | Method::Info | Method::Update | Method::Prack | Method::Notify => {
                return Err(Box::new(self.refusal(request, 481)));
            }
            // RFC 3515 §5.2: nobody makes us call by a REFER that belongs to no call, and only a
            // REFER makes the one subscription we know (§2.4.4).
            Method::Refer => return Err(Box::new(self.refusal(request, 403))),
            Method::Subscribe => {
                let mut response = self.refusal(request, 489);
                response.headers.push(Name::AllowEvents, REFER_EVENT);
                return Err(Box::new(response));
            }
            _ => {
                let mut response = self.refusal(request, 405);
                response.headers.push(Name::Allow, &self.methods_at(flow).of(leg::ALLOW));
                return Err(Box::new(response));
            }
        }
        // §8.2.2.1; `tel` names a number as well as `sip` does. §26.2.2: `sips` without TLS on the
        // last hop is no `sips`, and what we cannot vouch for is a scheme we do not support.
        let is_known = match request.uri.scheme() {
            Scheme::Sip | Scheme::Tel => true,
            Scheme::Sips => flow.transport.is_secure(),
            Scheme::Other => false,
        };
        if !is_known {
            return Err(Box::new(self.refusal(request, 416)));
        }
        if Self::is_misplaced_replaces(request) {
            return Err(Box::new(self.refusal(request, 400)));
        }
        let hops_left = request.headers.max_forwards();
        match hops_left {
            // §16.3 step 3: a call that we take may go on from here, so a loop must end here.
            Ok(Some(0)) if request.method == Method::Invite => {
                return Err(Box::new(self.refusal(request, 483)));
            }
            Ok(_) => (),
            Err(_) => return Err(Box::new(self.refusal(request, 400))),
        }
        self.check_extensions(request)
    }

    /// §8.2.2.3: an extension that the sender insists on and we have not.
    ///
    /// # Errors
    /// The 420 to send.
    fn check_extensions(&mut self, request: &Request) -> Result<(), Box<Response>> {
        // RFC 3327 §5.3: paths are the registrar's.
        let is_path = |option: &str| {
            request.method == Method::Register && option.eq_ignore_ascii_case("path")
        };
        let unknown: Vec<_> = request
            .headers
            .require()
            .filter(|option| !leg::is_supported(option) && !is_path(option))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let mut response = self.refusal(request, 420);
        response.headers.push(Name::Unsupported, &unknown.join(", "));
        Err(Box::new(response))
    }

    fn handle_register(
        &mut self,
        request: &Request,
        key: Arc<str>,
        flow: Flow,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if self.has_no_transaction(false) {
            let response = self.overloaded(request);
            self.send_refusal(response, flow, out);
            return;
        }
        let agent = match self.authenticate(request, flow, now) {
            Ok(agent) => agent,
            Err(response) => return self.send_refusal(*response, flow, out),
        };
        let server = self.servers.start(Incoming {
            key,
            origin: key::of_merged(&request.headers),
            is_invite: false,
            flow: reply_flow(request, flow),
            fallback: sent_by(request, flow),
            leg: None,
        });
        let mut events: Vec<LegEvent> = Vec::new();
        let tag = self.token();
        let mut response = self.registrar.register(&agent, request, flow, now, &mut events);
        if let Some(to) = response.headers.get(Name::To) {
            let tagged = tagged(to, &tag);
            response.headers.set(Name::To, &tagged);
        }
        self.sign(&mut response);
        self.servers.respond(server, response.status, &response.print(), now, out);
        out.extend(events.into_iter().map(Action::Up));
    }

    /// Answers what could not be read, where the fault allows (RFC 3261 §8.2, RFC 4475 §3.1.2).
    pub(super) fn refuse_unreadable(
        &mut self,
        error: &ParseError,
        flow: Flow,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if error.fault == Fault::Empty {
            return;
        }
        self.counters.parse_errors += 1;
        self.offended(flow, Offence::Unreadable, now);
        // Whoever scans for servers learns nothing from us.
        if !self.answers_rubbish(flow, now) {
            return;
        }
        let tag = self.token();
        if let Some(mut response) = error.response(&tag) {
            response.headers.stamp_via(flow.remote);
            self.send_refusal(response, flow, out);
        }
    }

    /// A refusal that keeps nothing; the same request always gets the same tag (§8.2.7).
    pub(super) fn refusal(&self, request: &Request, status: u16) -> Response {
        request.response(status, Some(&self.stateless_tag(request)))
    }

    /// 503 (RFC 3261 §21.5.4).
    pub(super) fn overloaded(&self, request: &Request) -> Response {
        let mut response = self.refusal(request, 503);
        let seconds = self.config.limits.retry_after_s.to_string();
        response.headers.push(Name::RetryAfter, &seconds);
        response
    }

    pub(super) fn stateless_tag(&self, request: &Request) -> String {
        let headers = &request.headers;
        self.tag_for([Name::Via, Name::From, Name::CallId].map(|name| headers.get(name)))
    }

    /// The tag of the stateless response to a request with these: its first Via field, From, Call-ID.
    pub(super) fn tag_for(&self, fields: [Option<&str>; 3]) -> String {
        let mut hasher = DefaultHasher::new();
        self.tag_secret.hash(&mut hasher);
        fields.iter().for_each(|field| field.hash(&mut hasher));
        format!("{STATELESS}{:016x}", hasher.finish())
    }

    /// Sends a refusal and counts it.
    pub(super) fn send_refusal(&mut self, response: Response, flow: Flow, out: &mut Vec<Action>) {
        self.counters.refused += u64::from(response.status != 401);
        self.send_stateless(response, flow, None, out);
    }

    fn send_stateless(
        &self,
        mut response: Response,
        flow: Flow,
        leg: Option<LegId>,
        out: &mut Vec<Action>,
    ) {
        self.sign(&mut response);
        let via = response.headers.via().ok();
        let address = via.and_then(|via| via.response_address());
        let flow = to_address(flow, address);
        out.push(Action::Transmit { flow, message: response.print(), leg });
    }
}

/// Where the responses to a request go (RFC 3261 §18.2.2, RFC 3581 §4): back over the stream, or
/// to the address that its Via, stamped by us, has.
pub(super) fn reply_flow(request: &Request, flow: Flow) -> Flow {
    let via = request.headers.via().ok();
    to_address(flow, via.and_then(|via| via.response_address()))
}

pub(super) fn to_address(flow: Flow, address: Option<SocketAddr>) -> Flow {
    match address {
        Some(remote) if !flow.transport.is_reliable() => Flow { remote, ..flow },
        Some(_) | None => flow,
    }
}

/// Where responses go when the stream has closed: the sender's address, the port of its Via.
pub(super) fn sent_by(request: &Request, flow: Flow) -> SocketAddr {
    let port = request.headers.via().ok().and_then(|via| via.port);
    SocketAddr::new(flow.remote.ip(), port.unwrap_or(flow.transport.default_port()))
}
