//! The client's side: a user and a password, and the challenge they answer.

use crate::digest::{Algorithm, Qop, Sum, hex};
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
    protects: Protects,
    /// Of a `-sess` algorithm, the cnonce that its session key was made with (RFC 7616 §3.4.2).
    session: Option<String>,
    is_session: bool,
    /// How often the nonce was used.
    count: u32,
    /// Whether it only replaced one that was too old, for a request that had been answered.
    is_renewed: bool,
}

/// Which `qop` is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Protects {
    /// None: a server of RFC 2069.
    NotNamed,
    Request,
    RequestAndBody,
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
        let mut found = found.ok_or(ChallengeError::Unknown)?;
        // RFC 7616 §3.3: a new nonce without `stale` says that the credentials were no good. Some
        // servers never say stale, so a nonce that was used before is given one chance more.
        let worn = self.challenge.as_ref().is_some_and(|old| {
            old.count > 1 && old.nonce != found.nonce && old.realm == found.realm
        });
        // A nonce is tried once; that it was stale allows one more, and not a third in a row.
        let again = self.challenge.as_ref().is_some_and(|old| old.is_renewed && old.count == 1);
        // Who asks for another realm has refused nothing: the request had credentials before it was
        // asked for them.
        let is_other = self.challenge.as_ref().is_some_and(|old| old.realm != found.realm);
        if answered && (again || (!stale && !worn && !is_other)) {
            return Err(ChallengeError::Refused);
        }
        found.is_renewed = answered;
        self.challenge = Some(found);
        Ok(())
    }

    /// As before the first challenge.
    pub fn forget(&mut self) {
        self.challenge = None;
    }

    /// The value of Authorization or Proxy-Authorization for a request; `None` before the first
    /// challenge. `uri` is the request URI as it is sent. For a request without a body.
    pub fn authorise(
        &mut self,
        method: &str,
        uri: &str,
        random: &mut dyn RngCore,
    ) -> Option<String> {
        self.authorise_body(method, uri, &[], random)
    }

    /// As [`Answerer::authorise`], for a request with this body.
    pub fn authorise_body(
        &mut self,
        method: &str,
        uri: &str,
        body: &[u8],
        random: &mut dyn RngCore,
    ) -> Option<String> {
        let challenge = self.challenge.as_mut()?;
        challenge.count += 1;
        let nc = format!("{:08x}", challenge.count);
        let mut bytes = [0; 8];
        random.fill_bytes(&mut bytes);
        let mut cnonce = hex(&bytes);
        if challenge.is_session {
            // The session key stays that of the first request, so its cnonce stays too.
            cnonce = challenge.session.get_or_insert(cnonce).clone();
        }
        let sum = Sum {
            algorithm: challenge.algorithm,
            is_session: challenge.is_session,
            secret: [&self.user, &unquote(&challenge.realm), &self.password],
            request: [method, uri],
            nonce: &unquote(&challenge.nonce),
            qop: match challenge.protects {
                Protects::NotNamed => Qop::None,
                Protects::Request => Qop::Auth { nc: &nc, cnonce: &cnonce },
                Protects::RequestAndBody => Qop::AuthInt { nc: &nc, cnonce: &cnonce, body },
            },
        };
        let response = sum.response();
        let Challenge { algorithm, realm, nonce, .. } = challenge;
        let session = if challenge.is_session { "-sess" } else { "" };
        let mut value = format!(
            "Digest username={},realm={realm},nonce={nonce},uri=\"{uri}\",response=\"{response}\",\
             algorithm={}{session}",
            quote(&self.user),
            algorithm.name()
        );
        match challenge.protects {
            Protects::NotNamed => (),
            Protects::Request => {
                let _ = write!(value, ",cnonce=\"{cnonce}\",qop=auth,nc={nc}");
            }
            Protects::RequestAndBody => {
                let _ = write!(value, ",cnonce=\"{cnonce}\",qop=auth-int,nc={nc}");
            }
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
        let name = params.get("algorithm").map(unquote);
        let name = name.as_deref();
        let plain = name.and_then(|name| {
            let at = name.len().checked_sub("-sess".len())?;
            let (plain, end) = name.split_at_checked(at)?;
            end.eq_ignore_ascii_case("-sess").then_some(plain)
        });
        let algorithm = Algorithm::parse(plain.or(name))?;
        let protects = match params.get("qop").map(unquote) {
            // RFC 7616 §3.3: a list. The body is only protected where that is demanded.
            Some(list) => {
                let offers =
                    |word| list.split(',').any(|qop| qop.trim().eq_ignore_ascii_case(word));
                match (offers("auth"), offers("auth-int")) {
                    (true, _) => Protects::Request,
                    (false, true) => Protects::RequestAndBody,
                    (false, false) => return None,
                }
            }
            // A server of RFC 2069, which knew no sessions.
            None if plain.is_some() => return None,
            None => Protects::NotNamed,
        };
        challenge.scheme.eq_ignore_ascii_case("Digest").then_some(Self {
            algorithm,
            realm: params.get("realm")?.to_owned(),
            nonce: params.get("nonce")?.to_owned(),
            opaque: params.get("opaque").map(str::to_owned),
            protects,
            session: None,
            is_session: plain.is_some(),
            count: 0,
            is_renewed: false,
        })
    }
}
