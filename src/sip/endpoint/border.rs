//! What comes in from outside and goes out again, before and after all else is looked at: internal
//! fields, borders of trunks, methods, strangers, and challenges that are not for us to answer.

use super::Endpoint;
use super::config::Strangers;
use crate::event::{Flow, Source};
use crate::identity::border::{Border, Methods};
use crate::leg;
use crate::message::name::Name;
use crate::message::uri::Uri;
use crate::message::{Headers, Request, Response};
use crate::transaction::key;
use domain::id::LegId;
use std::cmp::Reverse;

/// What all emergency services are named by (RFC 5031 §4.2).
const SOS: &str = "urn:service:sos";

impl Endpoint {
    /// A request from outside: what only we may write is taken out of it, and what its sender may
    /// not assert (RFC 3325 §5).
    pub(super) fn enter(&self, request: &mut Request, flow: Flow) {
        request.headers.remove_starting(&self.config.internal_headers);
        // It is for the first proxy of a telephone (RFC 3325 §9.2), which we are to nobody.
        request.headers.remove(Name::PPreferredIdentity);
        self.name_help(request);
        match self.trunk_of(flow) {
            Some(access) => access.border.enter(request),
            None => request.headers.remove(Name::PAssertedIdentity),
        }
    }

    /// RFC 5031 §4: who asks for help by its URN gets it from whom its number calls. Of several the
    /// general one is taken: 112, or else the shortest.
    fn name_help(&self, request: &mut Request) {
        let named = request.uri.as_str().get(..SOS.len());
        if !named.is_some_and(|named| named.eq_ignore_ascii_case(SOS)) {
            return;
        }
        let numbers = self.config.defence.emergency.iter();
        let general = numbers.max_by_key(|number| (***number == *"112", Reverse(number.len())));
        let uri = general.and_then(|number| Uri::of_host(number, &self.config.realm).ok());
        if let Some(uri) = uri {
            request.uri = uri;
        }
    }

    /// A request of ours on its way out.
    pub(super) fn leave(&self, leg: Option<LegId>, request: &mut Request) {
        if let Some(border) = leg.and_then(|leg| self.border_of(leg)) {
            border.leave(request);
        }
        request.headers.remove_starting(&self.config.internal_headers);
    }

    /// Whether what a sender asserts is believed.
    pub(super) fn trusts(&self, source: &Source) -> bool {
        match source {
            Source::Trunk(trunk) => {
                self.config.access(trunk).is_some_and(|access| access.border.trusted)
            }
            Source::Agent(_) => false,
        }
    }

    fn border_of(&self, leg: LegId) -> Option<&Border> {
        let trunk = self.legs.get(&leg)?.far_end.trunk()?;
        self.config.access(trunk).map(|access| &access.border)
    }

    /// Which methods a peer may use.
    pub(super) fn methods_at(&self, flow: Flow) -> &Methods {
        match self.trunk_of(flow) {
            Some(access) => &access.border.methods,
            None => &self.config.methods,
        }
    }

    /// The 405 to a method that its sender may not use (RFC 3261 §8.2.1, §21.4.6).
    pub(super) fn refuse_method(&self, request: &Request, flow: Flow) -> Option<Response> {
        let methods = self.methods_at(flow);
        if methods.allow(&request.method) {
            return None;
        }
        let mut response = self.refusal(request, 405);
        response.headers.push(Name::Allow, &methods.of(leg::ALLOW));
        Some(response)
    }

    /// Whether a request is to be left without any answer: nobody we know sent it, and by what it
    /// says it does not even know our name. Those who try addresses one after the other learn not
    /// so much as that somebody is here.
    pub(super) fn is_strange(&self, headers: &Headers, flow: Flow) -> bool {
        if self.config.strangers != Strangers::Ignore || self.is_known(flow) {
            return false;
        }
        let host_of = |address: Result<crate::message::name_addr::NameAddr<'_>, _>| {
            address.ok().and_then(|address| address.uri().ok())
        };
        let from = host_of(headers.from());
        let names_us = from.is_some_and(|uri| uri.host().eq_ignore_ascii_case(&self.config.realm));
        // Who tells our tag has talked with us before: it cannot be guessed.
        let tag = headers.to_tag();
        !names_us && !tag.is_some_and(|tag| self.legs_by_tag.contains_key(tag))
    }

    /// Whether a trunk is there, or a registered telephone.
    pub(super) fn is_known(&self, flow: Flow) -> bool {
        self.trunk_of(flow).is_some() || self.registrar.knows(flow)
    }

    /// Takes the challenges out of a response that comes from elsewhere than the trunk dialled:
    /// what answers them is for that trunk alone.
    pub(super) fn guard_challenge(&self, response: &mut Response, flow: Flow) {
        if !matches!(response.status, 401 | 407) {
            return;
        }
        let leg = key::of_response(response).and_then(|key| self.clients.leg_of(&key));
        let Some(entry) = leg.and_then(|leg| self.legs.get(&leg)) else { return };
        let Some(trunk) = entry.far_end.trunk() else { return };
        let from = flow.remote.ip().to_canonical();
        let dialled = entry.made_on.remote.ip().to_canonical();
        let access = self.config.access(trunk);
        let lies_in = access
            .is_some_and(|access| access.networks.iter().any(|network| network.contains(from)));
        if from != dialled && !lies_in {
            response.headers.remove(Name::WwwAuthenticate);
            response.headers.remove(Name::ProxyAuthenticate);
        }
    }
}
