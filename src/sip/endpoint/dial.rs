//! A call goes out: where to, and the first INVITE (RFC 3261 §8.1.1, §13.2.1).

use super::config::{Reliable, SessionPolicy};
use super::{Endpoint, FarEnd};
use crate::event::{Action, Caller, Flow, LegCommand, LegEvent, Target};
use crate::identity::{self, escaped};
use crate::leg::change::Changes;
use crate::leg::dialog::{Destination, ROUTES_MAX};
use crate::leg::outbound::{Outbound, State};
use crate::leg::session_timer::Asking;
use crate::leg::trunk_login::TrunkLogin;
use crate::leg::{self, Leg, SDP, refused_by_us};
use crate::message::Request;
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::name_addr::NameAddr;
use crate::message::uri::{Scheme, Uri};
use crate::sdp::negotiate::Negotiation;
use domain::cause::Cause;
use rand::RngCore;
use std::sync::Arc;
use std::time::Instant;

/// The way to a target.
struct Route {
    flow: Flow,
    /// The request URI.
    uri: Uri,
    /// To, without tag.
    to: String,
    /// The host of From.
    from_host: String,
    login: Option<TrunkLogin>,
    session: SessionPolicy,
    keeps_flow: bool,
    /// Whether it may be told who calls when the callee must not be.
    trusted: bool,
    /// The proxies before an agent's telephone (RFC 3327 §5.4), or those that a trunk's registrar
    /// named (RFC 3608 §6.1).
    path: Vec<Uri>,
}

impl Endpoint {
    pub(super) fn dial(&mut self, dial: LegCommand, now: Instant, out: &mut Vec<Action>) {
        let LegCommand::Dial {
            leg,
            target,
            caller,
            local_media,
            ring_for,
            heard_within,
            call_id,
            max_forwards,
            service_route,
        } = dial
        else {
            return;
        };
        if self.legs.contains_key(&leg) {
            return;
        }
        let admitted = self.admit_dial(&target, now);
        let route = match admitted.and_then(|route| self.keep_to_word(&target, route, now)) {
            Ok(route) => route.through(&service_route),
            Err(cause) => return Self::up(LegEvent::Ended { leg, cause }, out),
        };
        let local_tag = self.token();
        let call_id = call_id.unwrap_or_else(|| format!("{}{}", self.token(), self.token()).into());
        // RFC 3323 §4.1.1.2: the Contact of a hidden caller tells no more than the From.
        let user = if caller.is_hidden() { None } else { escaped(&caller.user) };
        let contact = self.contact(route.flow, Scheme::Sip, user.as_deref());
        let codecs = self.config.codecs_with(target.trunk());
        let mut negotiation = Negotiation::new(self.rng.next_u64(), codecs);
        let mut invite = route.invite(&caller, &local_tag);
        invite.headers.push_front(Name::MaxForwards, &max_forwards.to_string());
        invite.headers.push(Name::CallId, &call_id);
        invite.headers.push(Name::Contact, &contact);
        if !route.session.late_offer {
            invite.set_body(SDP, negotiation.offer(local_media));
        }
        let asking = Asking::new(route.session.interval_s);
        route.session.write(asking, &mut invite);
        let outbound = Outbound {
            leg,
            invite: invite.clone(),
            flow: route.flow,
            keeps_flow: route.keeps_flow,
            contact,
            negotiation,
            local_media,
            login: route.login,
            state: State::Calling { provisional: false, ring_until: now + ring_for },
            heard_until: heard_within.map(|wait| now + wait),
            told: false,
            forks: Vec::new(),
            forgotten: Vec::new(),
            // The Call-ID is ours (RFC 3261 §14.1).
            changes: Changes::new(true),
            asking,
            supported: route.session.supported(),
        };
        let for_help = self.asks_for_help(&target);
        let far_end = match target {
            Target::Trunk { trunk, hop, .. } => {
                FarEnd::Trunk { trunk, host: hop.server_name().map(Arc::from) }
            }
            Target::Agent(agent) => FarEnd::Agent(agent),
        };
        let made = Leg::Outbound(Box::new(outbound));
        self.insert_leg((leg, made), local_tag.into(), (route.flow, for_help), far_end);
        self.send(Some(leg), invite, Destination::at(route.flow), now, out);
        Self::up(LegEvent::Dialled { leg, call_id }, out);
    }

    fn asks_for_help(&self, target: &Target) -> bool {
        matches!(target, Target::Trunk { user, .. } if self.is_for_help(user))
    }

    /// Whether a trunk takes calls now, by its own word.
    ///
    /// # Errors
    /// As our own limits would, which tries the next trunk (RFC 7339 §5.10) and says nothing of this
    /// one: nothing was sent.
    fn keep_to_word(
        &mut self,
        target: &Target,
        route: Route,
        now: Instant,
    ) -> Result<Route, Cause> {
        match target {
            Target::Trunk { user, .. } if !self.may_call(user, route.flow.remote, now) => {
                Err(Cause::not_admitted())
            }
            Target::Trunk { .. } | Target::Agent(_) => Ok(route),
        }
    }

    /// Whether and how a target can be called.
    ///
    /// # Errors
    /// What the leg ends with at once.
    fn admit_dial(&self, target: &Target, now: Instant) -> Result<Route, Cause> {
        if self.is_full(self.asks_for_help(target)) {
            return Err(Cause::not_admitted());
        }
        match target {
            Target::Trunk { trunk, hop, user } => {
                let transport = hop.transport;
                let flow = self.config.flow_to(trunk, transport, hop.address);
                let flow = flow.ok_or(Cause::not_admitted())?;
                let uri = match &hop.host {
                    Some(host) => Uri::of_host(user, host),
                    None => Uri::of_address(user, hop.address),
                };
                // No such number can be dialled: it makes no URI (RFC 3261 §21.4.22).
                let uri = uri.map_err(|_| refused_by_us(484))?;
                let to = format!("<{uri}>");
                let uri = if transport.is_reliable() {
                    let name = transport.uri_param();
                    uri.with_param("transport", Some(name)).map_err(|_| refused_by_us(484))?
                } else {
                    uri
                };
                let login = self.config.credentials_of(trunk).as_ref().map(TrunkLogin::new);
                let border = self.config.access(trunk).map(|access| &access.border);
                let trusted = border.is_some_and(|border| border.trusted);
                let from_host = border.and_then(|border| border.from_host.as_deref());
                let from_host =
                    from_host.map_or_else(|| self.config.sent_by_host(flow), str::to_owned);
                let session = self.config.session_with(trunk);
                Ok(Route {
                    flow,
                    uri,
                    to,
                    from_host,
                    login,
                    session,
                    keeps_flow: false,
                    trusted,
                    path: Vec::new(),
                })
            }
            Target::Agent(agent) => {
                // §21.4.18: nobody is there.
                let found = self.registrar.target(agent, now);
                let way = found.ok_or(refused_by_us(480))?;
                let (uri, flow, path) = (way.contact, way.flow, way.path.to_vec());
                let account = self.config.agents.iter().find(|account| account.agent == *agent);
                let user = account.and_then(|account| escaped(&account.user)).unwrap_or_default();
                let realm = &self.config.realm;
                let to = format!("<sip:{user}@{realm}>");
                let from_host = realm.to_string();
                let uri = uri.clone().into_request_uri();
                let session = self.config.agent_sessions;
                Ok(Route {
                    flow,
                    uri,
                    to,
                    from_host,
                    login: None,
                    session,
                    keeps_flow: true,
                    trusted: false,
                    path,
                })
            }
        }
    }
}

impl SessionPolicy {
    /// What our requests say in `Supported`.
    pub(super) fn supported(&self) -> &'static str {
        match self.reliable {
            Reliable::Off => leg::SUPPORTED_PLAIN,
            Reliable::Supported | Reliable::Required => leg::SUPPORTED,
        }
    }

    /// Writes into an INVITE of ours what extensions it uses.
    fn write(&self, asking: Option<Asking>, invite: &mut Request) {
        invite.headers.push(Name::Supported, self.supported());
        if self.reliable == Reliable::Required {
            // RFC 3262 §4: only INVITE may insist on it.
            invite.headers.push(Name::Require, "100rel");
        }
        if let Some(asking) = asking {
            asking.write(&mut invite.headers);
        }
    }
}

impl Route {
    /// Past these proxies. The INVITE itself goes where the trunk is, which is where we registered:
    /// RFC 3608 §6.1 puts the service route behind what is configured.
    fn through(mut self, service_route: &[Arc<str>]) -> Self {
        let loose = |text: &Arc<str>| {
            let uri = NameAddr::parse(text)?.uri().ok()?.into_request_uri();
            uri.param("lr").is_some().then_some(uri)
        };
        let proxies: Option<Vec<Uri>> = service_route.iter().take(ROUTES_MAX).map(loose).collect();
        self.path.extend(proxies.unwrap_or_default());
        self
    }

    /// The first INVITE, as far as it does not depend on the leg.
    fn invite(&self, caller: &Caller, local_tag: &str) -> Request {
        let mut invite = Request::new(Method::Invite, self.uri.clone());
        for proxy in &self.path {
            invite.headers.push(Name::Route, &format!("<{proxy}>"));
        }
        identity::write(caller, self.trusted, (&self.from_host, local_tag), &mut invite.headers);
        invite.headers.push(Name::To, &self.to);
        invite.headers.push(Name::CSeq, "1 INVITE");
        if let Some(referred_by) = &caller.referred_by {
            // RFC 3892 §2.3: as the REFER had it.
            invite.headers.push(Name::ReferredBy, referred_by);
        }
        if let Some(date) = &caller.date {
            // RFC 8224 §6.1 step 3: whoever signed also says when.
            invite.headers.push(Name::Date, date);
        }
        invite
    }
}
