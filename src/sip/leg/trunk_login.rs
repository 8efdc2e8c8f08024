//! The answer to a trunk's challenges inside one dialling (RFC 3261 §22.2, §22.3).
//!
//! Made only where the trunk dialled has credentials, so that no other peer ever gets a hash of
//! them.

use crate::digest::answerer::Answerer;
use crate::endpoint::config::Credentials;
use crate::message::fields::Authorisation;
use crate::message::name::Name;
use crate::message::params::unquote;
use crate::message::{Request, Response};
use rand::RngCore;
use std::sync::Arc;

/// Our login at the trunk of one leg.
#[derive(Debug)]
pub(crate) struct TrunkLogin {
    answerer: Answerer,
    realm: Option<Arc<str>>,
    answers_left: u8,
}

/// A leg sends INVITE and BYE, and refreshes each half hour; each may be challenged, and each
/// challenge may go stale once. A peer that challenges more often is not answered.
const ANSWERS_MAX: u8 = 100;

impl TrunkLogin {
    pub(crate) fn new(credentials: &Credentials) -> Self {
        let answerer = Answerer::new(&credentials.user, &credentials.password);
        Self { answerer, realm: credentials.realm.clone(), answers_left: ANSWERS_MAX }
    }

    /// The header field that answers a 401 or 407 to `request`; `None` when it cannot be
    /// answered, or was answered and refused.
    pub(crate) fn answer(
        &mut self,
        response: &Response,
        request: &Request,
        rng: &mut dyn RngCore,
    ) -> Option<(Name, String)> {
        self.answers_left = self.answers_left.checked_sub(1)?;
        let (challenge, credentials) = if response.status == 401 {
            (Name::WwwAuthenticate, Name::Authorization)
        } else {
            (Name::ProxyAuthenticate, Name::ProxyAuthorization)
        };
        let answered = request.headers.has(credentials);
        let ours = |challenge: &Authorisation<'_>| {
            let realm = challenge.params.get("realm").map(unquote);
            self.realm.as_ref().is_none_or(|ours| realm.is_some_and(|realm| *realm == **ours))
        };
        let challenges = response.headers.authorisations(challenge).filter(ours);
        self.answerer.take_challenge(challenges, answered).ok()?;
        let method = request.method.as_str();
        let value =
            self.answerer.authorise_body(method, request.uri.as_str(), &request.body, rng)?;
        Some((credentials, value))
    }
}
