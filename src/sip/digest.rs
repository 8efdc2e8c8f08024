//! Digest authentication (RFC 3261 §22, RFC 7616, RFC 8760): the sum both sides work out.
//!
//! ```text
//! server: challenger.challenge() ─► WWW-Authenticate ─► client: answerer.take_challenge()
//! server: challenger.verify()    ◄─  Authorization   ◄─ client: answerer.authorise()
//! ```
//!
//! MD5 and SHA-256, `qop=auth`. Pure: time, randomness and passwords are passed in.

pub mod answerer;
pub mod challenger;

#[cfg(test)]
mod tests;

use md5::Md5;
use sha2::Sha256;
use std::fmt::Write as _;

/// A hash that a challenge may ask for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Algorithm {
    /// Broken, but all that many telephones know.
    Md5,
    /// RFC 8760 §2.
    Sha256,
}

impl Algorithm {
    /// Reads the `algorithm` parameter; a missing one means MD5 (RFC 7616 §3.3). `None` for
    /// those we do not know, `-sess` among them.
    pub fn parse(text: Option<&str>) -> Option<Self> {
        match text {
            None => Some(Self::Md5),
            Some(text) if text.eq_ignore_ascii_case("MD5") => Some(Self::Md5),
            Some(text) if text.eq_ignore_ascii_case("SHA-256") => Some(Self::Sha256),
            Some(_) => None,
        }
    }

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// The hash of the parts joined by colons, in hexadecimal.
    fn hash(self, parts: &[&str]) -> String {
        match self {
            Self::Md5 => joined::<Md5>(parts),
            Self::Sha256 => joined::<Sha256>(parts),
        }
    }
}

fn joined<H: sha2::Digest>(parts: &[&str]) -> String {
    let mut hash = H::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            hash.update(b":");
        }
        hash.update(part.as_bytes());
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

/// The `response` parameter (RFC 7616 §3.4.1), from what is known without quotes: user, realm
/// and password; method and URI; the nonce; `nc` in eight digits and `cnonce`, or `None` for a
/// server that knows no qop (RFC 2069).
pub fn response(
    algorithm: Algorithm,
    secret: [&str; 3],
    request: [&str; 2],
    nonce: &str,
    qop: Option<(&str, &str)>,
) -> String {
    let secret = algorithm.hash(&secret);
    let request = algorithm.hash(&request);
    match qop {
        Some((nc, cnonce)) => algorithm.hash(&[&secret, nonce, nc, cnonce, "auth", &request]),
        None => algorithm.hash(&[&secret, nonce, &request]),
    }
}
