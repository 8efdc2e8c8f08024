//! Who sent a request: an agent known by digest, a trunk known by its address, or nobody we know
//! (RFC 3261 §22).

use super::Endpoint;
use super::config::{AgentAccount, TrunkAccess};
use crate::digest::challenger::{Challenger, Verdict};
use crate::event::{Flow, Source};
use crate::guard::Offence;
use crate::message::method::Method;
use crate::message::name::Name;
use crate::message::{Request, Response};
use domain::id::AgentId;
use rand::RngCore;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a nonce is good: a call is placed within it, a REGISTER is challenged anew.
const NONCE_LIFE: Duration = Duration::from_secs(300);

impl Endpoint {
    /// The trunk that is at the other end: by the certificate it showed, which says more than an
    /// address (RFC 5922 §7.4), else by its address.
    pub(super) fn trunk_of(&self, flow: Flow) -> Option<&TrunkAccess> {
        let names = if flow.transport.is_secure() { self.ways.names(flow) } else { None };
        let certified = names.and_then(|names| self.config.trunk_named(names));
        certified.or_else(|| self.config.trunk_at(flow.remote.ip()))
    }

    /// Who sent an INVITE.
    ///
    /// # Errors
    /// The refusal to send: 401 or 403.
    pub(super) fn identify(
        &mut self,
        request: &Request,
        flow: Flow,
        now: Instant,
    ) -> Result<Source, Box<Response>> {
        let from = request.headers.from().ok().and_then(|from| from.uri().ok());
        let claims_us = from.as_ref().is_some_and(|uri| self.config.is_our_host(uri.host()));
        let user = from.as_ref().and_then(|uri| uri.user());
        let is_agent = user.is_some_and(|user| self.account(&user).is_some());
        match self.trunk_of(flow).map(|access| access.trunk.clone()) {
            // A PBX may well put our name into From, but no agent's.
            Some(trunk) if !(claims_us && is_agent) => Ok(Source::Trunk(trunk)),
            // Whether such an agent exists is not told: all of our names are challenged.
            _ if claims_us => self.authenticate(request, flow, now).map(Source::Agent),
            Some(_) | None => {
                self.offended(flow, Offence::Forbidden, now);
                Err(Box::new(self.refusal(request, 403)))
            }
        }
    }

    /// The agent whose credentials a request bears; they must be those of the From user, or of
    /// the To user of a REGISTER (RFC 3261 §10.3 step 4).
    ///
    /// # Errors
    /// The 401 that asks for credentials, or the 403 that refuses another's.
    pub(super) fn authenticate(
        &mut self,
        request: &Request,
        flow: Flow,
        now: Instant,
    ) -> Result<AgentId, Box<Response>> {
        let source = flow.remote.ip();
        let mut stale = false;
        let mut challenger = match self.challenger.take() {
            Some(challenger) => challenger,
            None => self.new_challenger(now),
        };
        let mut user = None;
        for credentials in request.headers.authorisations(Name::Authorization) {
            let method = request.method.as_str();
            let password_of =
                |user: &str| self.account(user).map(|account| account.password.clone());
            let verdict =
                challenger.verify(credentials, method, &request.uri, password_of, source, now);
            match verdict {
                Verdict::Accepted { user: found } => {
                    user = Some(found);
                    break;
                }
                Verdict::Refused { stale: found } => stale |= found,
                Verdict::Unusable => (),
            }
        }
        let challenges = match user {
            Some(_) => Vec::new(),
            None => challenger.challenge(source, stale, now),
        };
        self.challenger = Some(challenger);
        let is_signed = request.headers.has(Name::Authorization);
        match &user {
            Some(_) => self.vouches_for(source, now),
            None if stale => (),
            None if is_signed => self.offended(flow, Offence::WrongPassword, now),
            None => self.offended(flow, Offence::Challenged, now),
        }
        let Some(user) = user else {
            // RFC 3261 §22.2: 401 and not 407, as we are no proxy to anybody.
            let mut response = self.refusal(request, 401);
            for challenge in challenges {
                response.headers.push(Name::WwwAuthenticate, &challenge);
            }
            return Err(Box::new(response));
        };
        match self.account(&user) {
            Some(account) if speaks_for(request, &user) => Ok(account.agent.clone()),
            Some(_) | None => Err(Box::new(self.refusal(request, 403))),
        }
    }

    fn new_challenger(&mut self, now: Instant) -> Challenger {
        let mut secret = [0; 32];
        self.rng.fill_bytes(&mut secret);
        let algorithms = &self.config.digest_algorithms;
        Challenger::new(&self.config.realm, secret, algorithms, NONCE_LIFE, now)
    }

    fn account(&self, user: &str) -> Option<&AgentAccount> {
        self.accounts.get(user).and_then(|at| self.config.agents.get(*at))
    }
}

/// Whether both From and, of a REGISTER, To name the user who signed.
fn speaks_for(request: &Request, user: &Arc<str>) -> bool {
    let headers = &request.headers;
    let address = match request.method {
        Method::Register => headers.to(),
        _ => headers.from(),
    };
    let uri = address.ok().and_then(|address| address.uri().ok());
    uri.as_ref().and_then(|uri| uri.user()).is_some_and(|named| named == **user)
}
