//! A new call comes in: the checks of an INVITE outside any dialog (RFC 3261 §8.2, §13.3.1), and
//! the leg it makes.

use super::config::Reliable;
use super::requests::{reply_flow, sent_by};
use super::{Endpoint, FarEnd};
use crate::event::{Action, Flow, LegEvent, Source, Transport};
use crate::identity;
use crate::leg::change::Changes;
use crate::leg::dialog::Dialog;
use crate::leg::early::EarlyDialog;
use crate::leg::inbound::{Inbound, Sound};
use crate::leg::reliable::Reliable as Reliable1xx;
use crate::leg::session_timer::{INTERVAL_MIN_S, SessionTimer};
use crate::leg::trunk_login::TrunkLogin;
use crate::leg::{self, Leg};
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::name_addr::{Contacts, NameAddr};
use crate::message::uri::Scheme;
use crate::message::{Request, Response};
use crate::sdp::negotiate::{Negotiation, OfferError};
use crate::transaction::key;
use crate::transaction::servers::Incoming;
use domain::id::LegId;
use domain::ip_version::IpVersion;
use domain::media_plan::MediaPlan;
use rand::RngCore;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a call may stay unanswered, whatever its Expires says: proxies on the way give up
/// after some three minutes (RFC 3261 §16.6 step 11), so nobody is there any more.
const UNANSWERED_MAX: Duration = Duration::from_secs(300);

/// What the INVITE asks for, all of it granted.
struct Invitation {
    source: Source,
    /// The leg whose place it shall take (RFC 3891).
    replaces: Option<LegId>,
    origin: Option<Arc<str>>,
    session_timer: Option<SessionTimer>,
    reliability: Reliability,
    supported: &'static str,
    negotiation: Negotiation,
    plan: Option<MediaPlan>,
    local_tag: Box<str>,
    dialog: Dialog,
}

/// How our provisional responses to an INVITE go out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reliability {
    /// Unreliably.
    None,
    /// Reliably, where that can be.
    May,
    /// Reliably, or not at all.
    Must,
}

impl Reliability {
    /// RFC 3262 §3: the first number at random, from 1 to 2³¹ − 1.
    fn begin(self, rng: &mut dyn RngCore) -> Option<Reliable1xx> {
        match self {
            Self::None => None,
            Self::May | Self::Must => Some(Reliable1xx::new((rng.next_u32() >> 1).max(1))),
        }
    }
}

impl FarEnd {
    /// Whoever a call comes from.
    fn of(source: &Source) -> Self {
        match source {
            Source::Agent(agent) => Self::Agent(agent.clone()),
            Source::Trunk(trunk) => Self::Trunk { trunk: trunk.clone(), host: None },
        }
    }
}

impl Endpoint {
    pub(super) fn handle_invite(
        &mut self,
        request: &Request,
        key: Arc<str>,
        flow: Flow,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let invitation = match self.admit(request, flow, now) {
            Ok(invitation) => invitation,
            Err(response) => return self.refuse_told(request, *response, flow, out),
        };
        let id = LegId(self.next_leg);
        self.next_leg += 2;
        out.push(Action::Matched { leg: id });
        let server = self.servers.start(Incoming {
            key,
            origin: invitation.origin,
            is_invite: true,
            flow: reply_flow(request, flow),
            fallback: sent_by(request, flow),
            leg: Some(id),
        });
        // §17.2.1: 100 at once, as nobody knows how long the rest will take.
        let mut trying = request.response(100, None);
        self.sign(&mut trying);
        self.servers.respond(server, 100, &trying.print(), now, out);
        let expires = request.headers.expires().ok().flatten().map(u64::from);
        let unanswered_for = expires.map_or(UNANSWERED_MAX, Duration::from_secs);
        let login = match &invitation.source {
            Source::Trunk(trunk) => self.config.credentials_of(trunk),
            Source::Agent(_) => None,
        };
        let login = login.as_ref().map(TrunkLogin::new);
        let inbound = Inbound {
            leg: id,
            server,
            invite: request.clone(),
            local_tag: invitation.local_tag.clone(),
            early: EarlyDialog {
                dialog: invitation.dialog,
                negotiation: invitation.negotiation,
                session_timer: invitation.session_timer,
                // The Call-ID is theirs (RFC 3261 §14.1).
                changes: Changes::new(false),
                is_settled: false,
                peer_takes_update: request.headers.allows(&Method::Update) == Some(true),
            },
            login,
            plan: invitation.plan,
            must_be_reliable: invitation.reliability == Reliability::Must,
            reliable: invitation.reliability.begin(&mut *self.rng),
            supported: invitation.supported,
            sound: Sound::Unsaid,
            status: 180,
            answer_at: None,
            ring_again_at: None,
            expires_at: now + unanswered_for.min(UNANSWERED_MAX),
        };
        let far_end = FarEnd::of(&invitation.source);
        let mut call = identity::of_invite(request, self.trusts(&invitation.source));
        call.replaces = invitation.replaces;
        call.sound_ip = self.sound_ip_of(inbound.plan.as_ref(), flow);
        Self::up(inbound.incoming(invitation.source, call), out);
        let leg = Leg::Inbound(Box::new(inbound));
        let made_on = (flow, self.is_emergency(request));
        self.insert_leg((id, leg), invitation.local_tag, made_on, far_end);
    }

    /// Sends a refusal; where it is one of a call, it is told, since whoever asks why his call never
    /// came is to find out.
    pub(super) fn refuse_told(
        &mut self,
        request: &Request,
        response: Response,
        flow: Flow,
        out: &mut Vec<Action>,
    ) {
        if request.method == Method::Invite && !matches!(response.status, 401 | 407) {
            self.tell_refusal(request, &response, flow, out);
        }
        self.send_refusal(response, flow, out);
    }

    fn tell_refusal(
        &self,
        request: &Request,
        response: &Response,
        flow: Flow,
        out: &mut Vec<Action>,
    ) {
        let (status, remote) = (response.status, flow.remote);
        let trunk = self.config.trunk_at(remote.ip()).map(|access| access.trunk.clone());
        let details = [Name::Warning, Name::Unsupported, Name::Require];
        let details = details.into_iter().filter_map(|name| response.headers.get(name));
        let mut why = response.reason.to_string();
        for detail in details {
            why = format!("{why}, {detail}");
        }
        let call = Box::new(identity::of_invite(request, trunk.is_some()));
        Self::up(LegEvent::Refused { trunk, remote, call, status, why: why.into() }, out);
    }

    /// All that is checked before anything is kept, the cheapest first.
    ///
    /// # Errors
    /// The refusal to send.
    fn admit(
        &mut self,
        request: &Request,
        flow: Flow,
        now: Instant,
    ) -> Result<Invitation, Box<Response>> {
        if self.is_full(self.is_emergency(request)) {
            return Err(Box::new(self.overloaded(request)));
        }
        let source = self.identify(request, flow, now)?;
        let origin = key::of_merged(&request.headers);
        if origin.as_ref().is_some_and(|origin| self.servers.has_origin(origin)) {
            // §8.2.2.2: the same request by another way.
            return Err(Box::new(self.refusal(request, 482)));
        }
        let replaces = self.replaced_by(request);
        let replaces = replaces.map_err(|status| Box::new(self.refusal(request, status)))?;
        if let Some(response) = self.refuse_content(request) {
            return Err(Box::new(response));
        }
        leg::check_body(request, Some(&self.stateless_tag(request)))?;
        let Ok(session_timer) = SessionTimer::of_request(&request.headers) else {
            let mut response = self.refusal(request, 422);
            response.headers.push(Name::MinSe, &INTERVAL_MIN_S.to_string());
            return Err(Box::new(response));
        };
        let (policy, codecs) = match &source {
            Source::Trunk(trunk) => {
                (self.config.session_with(trunk), self.config.codecs_with(Some(trunk)))
            }
            Source::Agent(_) => (self.config.agent_sessions, self.config.codecs_with(None)),
        };
        let reliability = self.reliability(request, policy.reliable)?;
        let proposed = || SessionTimer::proposed(policy.interval_s, &request.headers);
        let session_timer = session_timer.or_else(proposed);
        let negotiation = Negotiation::new(self.rng.next_u64(), codecs);
        let plan = match request.body.is_empty() {
            true => None,
            false => match negotiation.preview(&request.body, self.config.sound_ip) {
                Ok(plan) => Some(plan),
                Err(error) => return Err(Box::new(self.incompatible(request, &error))),
            },
        };
        let local_tag = self.token().into_boxed_str();
        let contact = self.contact(flow, asks_for_sips(request), request.uri.user_raw());
        let keeps_flow = matches!(source, Source::Agent(_)) || self.is_one_way(flow);
        let made = Dialog::of_invite(request, &local_tag, contact, flow, keeps_flow);
        let Some(dialog) = made else {
            // §8.1.1.8: an INVITE has exactly one Contact, where the dialog's requests go.
            let mut response = self.refusal(request, 400);
            response.reason = "Missing Or Unusable Contact Header".into();
            return Err(Box::new(response));
        };
        Ok(Invitation {
            source,
            replaces,
            origin,
            session_timer,
            reliability,
            supported: policy.supported(),
            negotiation,
            plan,
            local_tag,
            dialog,
        })
    }

    /// Of which version of IP our port must be: as the offer's, and where there is none, or it names
    /// no address, as the way that the INVITE came.
    fn sound_ip_of(&self, plan: Option<&MediaPlan>, flow: Flow) -> IpVersion {
        let offered = plan.map(|plan| plan.remote.ip()).filter(|ip| !ip.is_unspecified());
        self.config.sound_ip.nearest(IpVersion::of(offered.unwrap_or(flow.remote.ip())))
    }

    /// How our provisional responses to an INVITE go out (RFC 3262 §3).
    ///
    /// # Errors
    /// The 420 or 421 to send, where one side insists on what the other has not.
    fn reliability(&self, request: &Request, ours: Reliable) -> Result<Reliability, Box<Response>> {
        let is_it = |option: &str| option.eq_ignore_ascii_case("100rel");
        let insists = request.headers.require().any(is_it);
        let can = insists || request.headers.supports("100rel");
        match (ours, insists, can) {
            (Reliable::Off, true, _) => {
                let mut response = self.refusal(request, 420);
                response.headers.push(Name::Unsupported, "100rel");
                Err(Box::new(response))
            }
            (Reliable::Required, _, false) => {
                // RFC 3261 §21.4.16: what he would have to support.
                let mut response = self.refusal(request, 421);
                response.headers.push(Name::Require, "100rel");
                Err(Box::new(response))
            }
            (Reliable::Off, false, _) | (Reliable::Supported, false, false) => {
                Ok(Reliability::None)
            }
            (Reliable::Supported, false, true) => Ok(Reliability::May),
            (Reliable::Supported, true, _) | (Reliable::Required, _, true) => Ok(Reliability::Must),
        }
    }

    fn incompatible(&self, request: &Request, error: &OfferError) -> Response {
        let mut response = self.refusal(request, error.status());
        if error.status() == 488 {
            // §20.43, §21.4.26: a 488 says what is wrong with the description.
            let warning = format!("399 {} \"{error}\"", self.config.realm);
            response.headers.push(Name::Warning, &warning);
        }
        response
    }

    /// Whether a peer can only be reached over the connection it opened: a WebSocket (RFC 7118
    /// §5.3), or TLS without a certificate, with which nobody could connect to it and know it.
    fn is_one_way(&self, flow: Flow) -> bool {
        match flow.transport {
            Transport::Ws | Transport::Wss => true,
            Transport::Tls => self.ways.names(flow).is_none(),
            Transport::Udp | Transport::Tcp => false,
        }
    }

    /// Our Contact for messages over `flow`.
    pub(super) fn contact(&self, flow: Flow, scheme: Scheme, user: Option<&str>) -> Arc<str> {
        let mut uri = String::with_capacity(96);
        uri.push_str(if scheme == Scheme::Sips { "<sips:" } else { "<sip:" });
        if let Some(user) = user {
            uri.push_str(user);
            uri.push('@');
        }
        uri.push_str(&self.config.sent_by(flow));
        if flow.transport.is_reliable() {
            // §19.1.2: without it, datagrams are meant.
            let _ = write!(uri, ";transport={}", flow.transport.uri_param());
        }
        uri.push('>');
        uri.into()
    }
}

/// RFC 3261 §12.1.1: our Contact is a `sips` one when the INVITE came to one, when its first
/// Record-Route is one, or, without any, its Contact.
fn asks_for_sips(request: &Request) -> Scheme {
    let headers = &request.headers;
    let is_sips = |address: Option<&NameAddr<'_>>| {
        address.and_then(|address| address.uri().ok()).map(|uri| uri.scheme() == Scheme::Sips)
    };
    let route = headers.record_routes().ok().and_then(|routes| is_sips(routes.first()));
    let contact = || match headers.contacts() {
        Ok(Contacts::List(list)) => is_sips(list.first()),
        Ok(Contacts::Star) | Err(_) => None,
    };
    let asked = request.uri.scheme() == Scheme::Sips || route.or_else(contact) == Some(true);
    if asked { Scheme::Sips } else { Scheme::Sip }
}
