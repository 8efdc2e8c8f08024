//! The server's side: challenges that need no memory, and credentials checked against them.
//!
//! A nonce holds its own time and a keyed hash over it and the asker's address, so that asking
//! costs us nothing. Only verified requests leave a trace: the counts used with their nonce, in
//! a list of [`NONCES_MAX`]. When that is full the oldest nonce is dropped, and with it all
//! nonces as old count as stale: a dropped count can never be used again.

use crate::digest::{Algorithm, Qop, Sum, hex};
use crate::message::fields::Authorisation;
use crate::message::params::{quote, unquote};
use crate::message::uri::Uri;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most nonces whose counts are remembered.
pub const NONCES_MAX: usize = 8_192;

/// How many counts behind the highest may still arrive, out of order over UDP.
const WINDOW: u32 = 64;

/// What a request's credentials are worth.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// They are this user's, and new.
    Accepted {
        /// The user's name.
        user: Arc<str>,
    },
    /// They are not: answer 401 or 407 with a new challenge. With `stale` the password was
    /// right and only the nonce was old, foreign or used up, so that the client may retry at
    /// once without asking its user (RFC 7616 §3.3).
    Refused {
        /// Whether the password was right.
        stale: bool,
    },
    /// They are for another realm or scheme, or lack a part: answered like none at all.
    Unusable,
}

/// Whose counts, up to where.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    highest: u32,
    /// Bit `n`: the count `highest - n` was used.
    recent: u64,
}

impl Used {
    /// Takes a count; `false` when it was used before or is too far behind to know.
    fn take(&mut self, count: u32) -> bool {
        if count > self.highest {
            let shift = count - self.highest;
            self.recent = self.recent.checked_shl(shift).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let behind = self.highest - count;
        let fresh = behind < WINDOW && self.recent & (1 << behind) == 0;
        if fresh {
            self.recent |= 1 << behind;
        }
        fresh
    }
}

/// When a nonce was made, and which one it was in that millisecond: its name in the list.
type NonceKey = (u64, u32);

/// Challenges and checks for one realm.
#[derive(Clone, Debug)]
pub struct Challenger {
    realm: Arc<str>,
    secret: [u8; 32],
    algorithms: Vec<Algorithm>,
    nonce_life: Duration,
    start: Instant,
    serial: u32,
    used: BTreeMap<NonceKey, Used>,
    /// Nonces up to this one are stale.
    floor: NonceKey,
}

impl Challenger {
    /// `secret` is random and new at each start. `algorithms` are offered in this order, the
    /// most wanted first (RFC 8760 §2.4). A nonce is good for `nonce_life`; `start` is any
    /// instant not after the first challenge.
    pub fn new(
        realm: &str,
        secret: [u8; 32],
        algorithms: &[Algorithm],
        nonce_life: Duration,
        start: Instant,
    ) -> Self {
        Self {
            realm: realm.into(),
            secret,
            algorithms: algorithms.to_vec(),
            nonce_life,
            start,
            serial: 0,
            used: BTreeMap::new(),
            floor: (0, 0),
        }
    }

    /// The values of WWW-Authenticate or Proxy-Authenticate, one field each, for an asker at
    /// `source`. `stale` as the verdict said, else `false`.
    pub fn challenge(&mut self, source: IpAddr, stale: bool, now: Instant) -> Vec<String> {
        // Counted from 1, so that no nonce is as low as the first floor.
        self.serial = self.serial.wrapping_add(1).max(1);
        let at_ms = u64::try_from(now.saturating_duration_since(self.start).as_millis());
        let nonce = self.nonce((at_ms.unwrap_or(u64::MAX), self.serial), source);
        let realm = quote(&self.realm);
        let stale = if stale { ",stale=TRUE" } else { "" };
        let value = |algorithm: &Algorithm| {
            let name = algorithm.name();
            format!("Digest realm={realm},nonce=\"{nonce}\",algorithm={name},qop=\"auth\"{stale}")
        };
        self.algorithms.iter().map(value).collect()
    }

    /// Checks credentials. `method` is that of the request and `uri` its request URI; the one in
    /// the credentials may differ from it in what proxies change, but not in its user.
    /// `password_of` is asked once, whatever else is wrong; an unknown user costs the same work
    /// and gets the same verdict as a wrong password.
    pub fn verify(
        &mut self,
        credentials: Authorisation<'_>,
        method: &str,
        uri: &Uri,
        password_of: impl FnOnce(&str) -> Option<Arc<str>>,
        source: IpAddr,
        now: Instant,
    ) -> Verdict {
        let params = credentials.params;
        let text = |name| params.get(name).map(unquote);
        let (Some(user), Some(nonce), Some(response)) =
            (text("username"), text("nonce"), text("response"))
        else {
            return Verdict::Unusable;
        };
        let (Some(signed_uri), Some(cnonce), Some(nc)) = (text("uri"), text("cnonce"), text("nc"))
        else {
            // No qop means no count, and so no guard against replay (RFC 7616 §3.4 has no such
            // form any more).
            return Verdict::Unusable;
        };
        let algorithm = Algorithm::parse(text("algorithm").as_deref())
            .filter(|algorithm| self.algorithms.contains(algorithm));
        let ours = credentials.scheme.eq_ignore_ascii_case("Digest")
            && text("realm").as_deref() == Some(&*self.realm)
            && text("qop").is_some_and(|qop| qop.eq_ignore_ascii_case("auth"));
        let (Some(algorithm), true, Some(count)) = (algorithm, ours, parse_count(&nc)) else {
            return Verdict::Unusable;
        };
        let found = password_of(&user);
        let known = found.is_some();
        let password = found.unwrap_or_else(|| self.nobodys_password());
        let secret = [&*user, &*self.realm, &*password];
        let expected = Sum {
            algorithm,
            is_session: false,
            secret,
            request: [method, &signed_uri],
            nonce: &nonce,
            qop: Qop::Auth { nc: &nc, cnonce: &cnonce },
        };
        let expected = expected.response();
        let right = same(expected.as_bytes(), response.to_ascii_lowercase().as_bytes());
        if !right || !known || !same_user(&signed_uri, uri) {
            return Verdict::Refused { stale: false };
        }
        match self.fresh_key(&nonce, source, now) {
            Some(key) if self.take_count(key, count) => {
                Verdict::Accepted { user: user.as_ref().into() }
            }
            Some(_) | None => Verdict::Refused { stale: true },
        }
    }

    /// A password that nobody has, to be hashed for users that are not there.
    fn nobodys_password(&self) -> Arc<str> {
        hex(&self.secret[..8]).into()
    }

    /// Time, serial number, and a keyed hash over both and the address.
    fn nonce(&self, (at_ms, serial): NonceKey, source: IpAddr) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.secret).expect("a key of any length is taken");
        mac.update(&at_ms.to_be_bytes());
        mac.update(&serial.to_be_bytes());
        match source {
            IpAddr::V4(ip) => mac.update(&ip.octets()),
            IpAddr::V6(ip) => mac.update(&ip.octets()),
        }
        format!("{at_ms:016x}{serial:08x}{}", hex(&mac.finalize().into_bytes()[..16]))
    }

    /// The key of a nonce, when we made it for this address and it is not too old.
    fn fresh_key(&self, nonce: &str, source: IpAddr, now: Instant) -> Option<NonceKey> {
        let at_ms = u64::from_str_radix(nonce.get(..16)?, 16).ok()?;
        let serial = u32::from_str_radix(nonce.get(16..24)?, 16).ok()?;
        let key = (at_ms, serial);
        if !same(self.nonce(key, source).as_bytes(), nonce.as_bytes()) || key <= self.floor {
            return None;
        }
        let made = self.start.checked_add(Duration::from_millis(at_ms))?;
        (now.saturating_duration_since(made) <= self.nonce_life).then_some(key)
    }

    fn take_count(&mut self, key: NonceKey, count: u32) -> bool {
        if !self.used.contains_key(&key) && self.used.len() >= NONCES_MAX {
            // A nonce older than all that are kept would be dropped itself.
            let oldest = self.used.first_key_value().map_or(key, |(oldest, _)| *oldest);
            self.floor = oldest.min(key);
            if key <= oldest {
                return false;
            }
            self.used.remove(&oldest);
        }
        self.used.entry(key).or_default().take(count)
    }
}

/// `nc`: eight hexadecimal digits, counted from 1 (RFC 7616 §3.4).
fn parse_count(text: &str) -> Option<u32> {
    let plain = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(text, 16).ok().filter(|count| plain && *count > 0)
}

/// Whether the URI that was signed has the user of the request URI. Departs from RFC 7616
/// §3.4.6, which asks for the same resource: hosts, ports and parameters are changed on the way
/// by NAT and outbound proxies.
fn same_user(signed: &str, asked: &Uri) -> bool {
    match Uri::parse(signed) {
        Ok(signed) => signed.user() == asked.user(),
        Err(_) => false,
    }
}

/// Compares in the same time wherever the first difference is.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).fold(0, |sum, (left, right)| sum | (left ^ right)) == 0
}
