//! The client's side: a user and a password, and the challenge they answer.

use crate::digest::{Algorithm, hex, response};
use crate::message::fields::Authorisation;
use crate::message::params::{quote, unquote};
use rand::RngCore;
use std::fmt::Write as _;
use std::sync::Arc;

/// Why a challenge cannot be answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChallengeError {
    /// None of the challenges is a Digest with an algorithm and a qop that we know.
    #[error("no challenge that we can answer")]
    Unknown,
    /// The server did not take our answer and does not call it stale: the password is wrong.
    #[error("the user or the password is wrong")]
    Refused,
}

/// The challenge in force.
#[derive(Clone, Debug)]
struct Challenge {
    algorithm: Algorithm,
    /// As it stands, with its quotes: it is sent back as it came.
    realm: String,
    nonce: String,
    opaque: Option<String>,
    with_qop: bool,
    /// How often the nonce was used.
    count: u32,
}

/// Answers the challenges of one server.
#[derive(Clone, Debug)]
pub struct Answerer {
    user: Arc<str>,
    password: Arc<str>,
    challenge: Option<Challenge>,
}

impl Answerer {
    /// Nothing is sent before the first challenge.
    pub fn new(user: &str, password: &str) -> Self {
        Self { user: user.into(), password: password.into(), challenge: None }
    }

    /// Takes the challenges of a 401 or 407, of which the first that we can answer counts
    /// (RFC 8760 §2.4). Then the request is sent again, with a new CSeq.
    ///
    /// `answered` tells whether the refused request had our credentials.
    ///
    /// # Errors
    /// [`ChallengeError`] says why a retry is of no use.
    pub fn take_challenge<'a>(
        &mut self,
        challenges: impl Iterator<Item = Authorisation<'a>>,
        answered: bool,
    ) -> Result<(), ChallengeError> {
        let mut stale = false;
        let mut found = None;
        for challenge in challenges {
            let value = challenge.params.get("stale").map(unquote);
            stale |= value.is_some_and(|value| value.eq_ignore_ascii_case("true"));
            found = found.or_else(|| Challenge::read(challenge));
        }
        let found = found.ok_or(ChallengeError::Unknown)?;
        // RFC 7616 §3.3: a new nonce without `stale` says that the credentials were no good. Some
        // servers never say stale, so a nonce that was used before is given one chance more.
        let worn = self.challenge.as_ref().is_some_and(|old| {
            old.count > 1 && old.nonce != found.nonce && old.realm == found.realm
        });
        if answered && !stale && !worn {
            return Err(ChallengeError::Refused);
        }
        self.challenge = Some(found);
        Ok(())
    }

    /// The value of Authorization or Proxy-Authorization for a request; `None` before the first
    /// challenge. `uri` is the request URI as it is sent.
    pub fn authorise(
        &mut self,
        method: &str,
        uri: &str,
        random: &mut dyn RngCore,
    ) -> Option<String> {
        let challenge = self.challenge.as_mut()?;
        challenge.count += 1;
        let nc = format!("{:08x}", challenge.count);
        let mut bytes = [0; 8];
        random.fill_bytes(&mut bytes);
        let cnonce = hex(&bytes);
        let response = response(
            challenge.algorithm,
            [&self.user, &unquote(&challenge.realm), &self.password],
            [method, uri],
            &unquote(&challenge.nonce),
            challenge.with_qop.then_some((&nc, &cnonce)),
        );
        let Challenge { algorithm, realm, nonce, .. } = challenge;
        let mut value = format!(
            "Digest username={},realm={realm},nonce={nonce},uri=\"{uri}\",response=\"{response}\",\
             algorithm={}",
            quote(&self.user),
            algorithm.name()
        );
        if challenge.with_qop {
            let _ = write!(value, ",cnonce=\"{cnonce}\",qop=auth,nc={nc}");
        }
        if let Some(opaque) = &challenge.opaque {
            let _ = write!(value, ",opaque={opaque}");
        }
        Some(value)
    }
}

impl Challenge {
    fn read(challenge: Authorisation<'_>) -> Option<Self> {
        let params = challenge.params;
        let algorithm = Algorithm::parse(params.get("algorithm").map(unquote).as_deref())?;
        let with_qop = match params.get("qop").map(unquote) {
            // RFC 7616 §3.3: a list; of `auth-int` alone we can make nothing.
            Some(list) => {
                list.split(',').find(|qop| qop.trim().eq_ignore_ascii_case("auth"))?;
                true
            }
            // A server of RFC 2069.
            None => false,
        };
        challenge.scheme.eq_ignore_ascii_case("Digest").then_some(Self {
            algorithm,
            realm: params.get("realm")?.to_owned(),
            nonce: params.get("nonce")?.to_owned(),
            opaque: params.get("opaque").map(str::to_owned),
            with_qop,
            count: 0,
        })
    }
}
