//! Our credentials at the trunk of one leg: its challenges are answered, and later requests of the
//! leg have credentials before they are asked for (RFC 3261 §22.2, §22.3, RFC 7616 §3.4).
//!
//! ```text
//! request ──► 401, 407 ──► take_challenge ──► sign: nc=1 ──► 2xx
//!                             next request ──► sign: nc=2 ──► 2xx, or a new challenge
//! ```
//!
//! Made only where the leg's trunk has credentials, so that no other peer ever gets a hash of them,
//! and written unasked only to the host that has challenged. Held by legs, and by `endpoint` for
//! requests that belong to none.

use crate::digest::answerer::Answerer;
use crate::endpoint::config::Credentials;
use crate::message::fields::Authorisation;
use crate::message::name::Name;
use crate::message::params::unquote;
use crate::message::{Request, Response};
use rand::RngCore;
use std::net::IpAddr;
use std::sync::Arc;

/// Our login at the trunk of one leg.
#[derive(Debug)]
pub(crate) struct TrunkLogin {
    /// For who is called (401), and for the proxies before him (407).
    answerers: [Answerer; 2],
    realm: Option<Arc<str>>,
    answers_left: u8,
    /// To whom the requests went that were challenged.
    host: Option<IpAddr>,
    /// Requests that are not answered yet, the oldest first: they may have to go again.
    sent: Vec<Request>,
}

/// What challenges, and what answers it, for each of the answerers.
const FIELDS: [(Name, Name); 2] = [
    (Name::WwwAuthenticate, Name::Authorization),
    (Name::ProxyAuthenticate, Name::ProxyAuthorization),
];

/// A leg sends INVITE and BYE, and refreshes each half hour; each may be challenged, and each
/// challenge may go stale once. A peer that challenges more often is not answered.
const ANSWERS_MAX: u8 = 100;

/// No more requests wait for a challenge; the oldest is forgotten.
const SENT_MAX: usize = 16;

impl TrunkLogin {
    pub(crate) fn new(credentials: &Credentials) -> Self {
        let answerer = Answerer::new(&credentials.user, &credentials.password);
        Self {
            answerers: [answerer.clone(), answerer],
            realm: credentials.realm.clone(),
            answers_left: ANSWERS_MAX,
            host: None,
            sent: Vec::new(),
        }
    }

    /// Takes the challenges of a 401 or 407 to `request`, which went to `host`. Whether the request
    /// is to be sent again: not when there is nothing to answer with, or the answer was refused.
    pub(crate) fn take_challenge(
        &mut self,
        response: &Response,
        request: &Request,
        host: IpAddr,
    ) -> bool {
        let Some(left) = self.answers_left.checked_sub(1) else { return false };
        if !matches!(response.status, 401 | 407) {
            return false;
        }
        self.answers_left = left;
        if self.host.is_some_and(|known| known != host) {
            self.answerers.iter_mut().for_each(Answerer::forget);
        }
        self.host = Some(host);
        let ours = |challenge: &Authorisation<'_>| {
            let realm = challenge.params.get("realm").map(unquote);
            self.realm.as_ref().is_none_or(|ours| realm.is_some_and(|realm| *realm == **ours))
        };
        let mut is_taken = false;
        // RFC 3261 §22.3: a proxy that forks may pass on challenges of both kinds in one response.
        for (answerer, (challenge, credentials)) in self.answerers.iter_mut().zip(FIELDS) {
            let challenges = || response.headers.authorisations(challenge).filter(ours);
            if challenges().next().is_some() {
                let answered = request.headers.has(credentials);
                if answerer.take_challenge(challenges(), answered).is_err() {
                    return false;
                }
                is_taken = true;
            }
        }
        is_taken
    }

    /// Writes credentials into a request that goes to `host`, if it has asked for any before.
    pub(crate) fn sign(&mut self, request: &mut Request, host: IpAddr, rng: &mut dyn RngCore) {
        if self.host != Some(host) {
            return;
        }
        let (method, uri) = (request.method.clone(), request.uri.clone());
        for (answerer, (_, name)) in self.answerers.iter_mut().zip(FIELDS) {
            let value = answerer.authorise_body(method.as_str(), uri.as_str(), &request.body, rng);
            if let Some(value) = value {
                request.headers.set(name, &value);
            }
        }
    }

    /// As [`TrunkLogin::sign`], and keeps the request until [`TrunkLogin::answered`] takes it.
    pub(crate) fn sign_and_keep(
        &mut self,
        request: &mut Request,
        host: IpAddr,
        rng: &mut dyn RngCore,
    ) {
        self.sign(request, host, rng);
        if self.sent.len() >= SENT_MAX {
            self.sent.remove(0);
        }
        self.sent.push(request.clone());
    }

    /// The request that a final response answers, in its dialog; it is no longer kept.
    pub(crate) fn answered(&mut self, response: &Response) -> Option<Request> {
        let tag = response.headers.to().ok()?.tag();
        let is_it = |request: &Request| {
            request.headers.cseq() == response.headers.cseq()
                && request.headers.to().is_ok_and(|to| to.tag() == tag)
        };
        let at = self.sent.iter().position(is_it)?;
        Some(self.sent.remove(at))
    }
}
