//! Digest authentication (RFC 3261 §22, RFC 7616, RFC 8760): the sum both sides work out.
//!
//! ```text
//! server: challenger.challenge() ─► WWW-Authenticate ─► client: answerer.take_challenge()
//! server: challenger.verify()    ◄─  Authorization   ◄─ client: answerer.authorise()
//! ```
//!
//! MD5, SHA-256 and SHA-512/256. As server we offer `qop=auth`, never `-sess`, `auth-int` or
//! `userhash`: a session key saves nothing where passwords are kept, bodies are changed by those on
//! the way (NAT helpers, session border controllers), and user names stand in From anyway. As client
//! we answer `-sess`, and `auth-int` where nothing else is offered. Texts are UTF-8 (RFC 7616 §4).
//! Pure: time, randomness and passwords are passed in.

pub mod answerer;
pub mod challenger;

#[cfg(test)]
mod tests;

use md5::Md5;
use sha2::{Sha256, Sha512_256};
use std::fmt::Write as _;

/// A hash that a challenge may ask for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Algorithm {
    /// Broken, but all that many telephones know.
    Md5,
    /// RFC 8760 §2.
    Sha256,
    /// As FIPS 180-4 §5.3.6.2 defines it: a hash with initial values of its own, not SHA-512 cut
    /// short, which is what the example of RFC 7616 §3.9.2 was made with.
    Sha512_256,
}

impl Algorithm {
    /// All of them, the best first.
    pub const ALL: [Self; 3] = [Self::Sha512_256, Self::Sha256, Self::Md5];

    /// Reads the `algorithm` parameter; a missing one means MD5 (RFC 7616 §3.3). `None` for
    /// those we do not know, `-sess` among them.
    pub fn parse(text: Option<&str>) -> Option<Self> {
        let text = text.unwrap_or("MD5");
        Self::ALL.into_iter().find(|algorithm| text.eq_ignore_ascii_case(algorithm.name()))
    }

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512_256 => "SHA-512-256",
        }
    }

    /// The hash of the parts joined by colons, in hexadecimal.
    fn hash(self, parts: &[&str]) -> String {
        self.hash_bytes(parts.iter().map(|part| part.as_bytes()))
    }

    fn hash_bytes<'a>(self, parts: impl Iterator<Item = &'a [u8]>) -> String {
        match self {
            Self::Md5 => joined::<Md5>(parts),
            Self::Sha256 => joined::<Sha256>(parts),
            Self::Sha512_256 => joined::<Sha512_256>(parts),
        }
    }
}

fn joined<'a, H: sha2::Digest>(parts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hash = H::new();
    for (at, part) in parts.enumerate() {
        if at > 0 {
            hash.update(b":");
        }
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What is protected, and how often the nonce was used (RFC 7616 §3.3, §3.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Qop<'a> {
    /// A server that knows no qop (RFC 2069).
    None,
    /// Method and URI.
    Auth {
        /// `nc`, in eight digits.
        nc: &'a str,
        /// `cnonce`.
        cnonce: &'a str,
    },
    /// Method, URI and body.
    AuthInt {
        /// `nc`, in eight digits.
        nc: &'a str,
        /// `cnonce`.
        cnonce: &'a str,
        /// The body; empty where there is none (RFC 8760 §2.6 point 7).
        body: &'a [u8],
    },
}

/// All that a `response` parameter is worked out from, without quotes.
#[derive(Clone, Copy, Debug)]
pub struct Sum<'a> {
    /// The hash.
    pub algorithm: Algorithm,
    /// Whether the secret is bound to nonce and cnonce: the `-sess` variants.
    pub is_session: bool,
    /// User, realm and password.
    pub secret: [&'a str; 3],
    /// Method and URI.
    pub request: [&'a str; 2],
    /// The nonce.
    pub nonce: &'a str,
    /// What is protected.
    pub qop: Qop<'a>,
}

impl Sum<'_> {
    /// The `response` parameter (RFC 7616 §3.4.1 to §3.4.3).
    pub fn response(&self) -> String {
        let (algorithm, nonce) = (self.algorithm, self.nonce);
        let cnonce = match self.qop {
            Qop::None => "",
            Qop::Auth { cnonce, .. } | Qop::AuthInt { cnonce, .. } => cnonce,
        };
        let secret = algorithm.hash(&self.secret);
        let secret = match self.is_session {
            // §3.4.2.
            true => algorithm.hash(&[&secret, nonce, cnonce]),
            false => secret,
        };
        let [method, uri] = self.request;
        match self.qop {
            Qop::None => {
                let request = algorithm.hash(&[method, uri]);
                algorithm.hash(&[&secret, nonce, &request])
            }
            Qop::Auth { nc, cnonce } => {
                let request = algorithm.hash(&[method, uri]);
                algorithm.hash(&[&secret, nonce, nc, cnonce, "auth", &request])
            }
            Qop::AuthInt { nc, cnonce, body } => {
                // §3.4.3.
                let body = algorithm.hash_bytes([body].into_iter());
                let request = algorithm.hash(&[method, uri, &body]);
                algorithm.hash(&[&secret, nonce, nc, cnonce, "auth-int", &request])
            }
        }
    }
}
