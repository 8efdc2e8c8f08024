//! Verification of a call's Identity values (RFC 8224 §6.2), once their certificates are at hand.
//!
//! ```text
//! 1 kind known? ─► 2 caller's number ─► 3 certificate ─► 4 fresh? ─► 5 signature ─► Passed
//! ```
//!
//! Callers and callees are telephone numbers here, as SHAKEN has them; a PASSporT for an address of
//! another kind (RFC 8224 §8.5) names somebody else.

use crate::attest::Attestation;
use crate::certificate::Certificate;
use crate::chain::{Anchors, Chain};
use crate::identity::{Identity, Token};
use crate::number::{Numbering, canonical};
use crate::passport::{BASE64URL, Claims, Header, Party, signing_input};
use crate::time::parse_sip_date;
use crate::verdict::{CredentialFault, Fault, InfoFault, Verdict};
use base64::Engine;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a call says of itself.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Identity values as they came.
    pub identities: &'a [Arc<str>],
    /// The user part of the number that would be shown as the caller's: of P-Asserted-Identity where
    /// it is believed, else of From.
    pub caller: &'a str,
    /// The user parts that may be the callee: of To, and of the request URI.
    pub called: &'a [&'a str],
    /// The Date header, if there is one.
    pub date: Option<&'a str>,
}

/// What is known of the certificates of a call, by the `info` of its Identity values.
pub type Credentials = BTreeMap<Arc<str>, Result<Arc<Chain>, Fault>>;

/// How an operator has it.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Whom he trusts.
    pub anchors: Anchors,
    /// How numbers are written.
    pub numbering: Numbering,
}

/// Seconds that `Date` and `iat` may lie away from now (RFC 8224 §6.2 step 4).
pub const FRESH_S: u64 = 60;
/// Identity values looked at; further ones are not.
pub const IDENTITIES_MAX: usize = 4;
/// The ports certificates are handed out from.
const PORTS: [u16; 2] = [443, 8443];

/// The certificates a verification will ask for: each address once, in the order of the values.
pub fn wanted(identities: &[Arc<str>]) -> Vec<Arc<str>> {
    let mut wanted: Vec<Arc<str>> = Vec::new();
    for value in identities.iter().take(IDENTITIES_MAX) {
        let Some(identity) = Identity::parse(value).filter(Identity::is_supported) else {
            continue;
        };
        if !wanted.contains(&identity.info) {
            wanted.push(identity.info);
        }
    }
    wanted
}

/// Host and port of a certificate's address: `https` only. A port other than 443 and 8443 is given
/// back only for the `host:port` pairs in `allowed`.
///
/// # Errors
/// `BadAddress`.
pub fn certificate_host<'a>(
    url: &'a str,
    allowed: &[Box<str>],
) -> Result<(&'a str, u16), InfoFault> {
    let (scheme, rest) = url.split_once("://").ok_or(InfoFault::BadAddress)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((_, port)) => (&authority[..authority.len() - port.len()], port.strip_prefix(':')),
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = port.map_or(Ok(443), str::parse::<u16>).map_err(|_| InfoFault::BadAddress)?;
    let listed = || allowed.iter().any(|pair| **pair == *authority);
    let good = scheme.eq_ignore_ascii_case("https")
        && !host.is_empty()
        && !authority.contains('@')
        && url.bytes().all(|byte| byte.is_ascii_graphic())
        && (PORTS.contains(&port) || listed());
    if good { Ok((host, port)) } else { Err(InfoFault::BadAddress) }
}

/// Verifies a call at `now_s` (Unix seconds). One valid value is enough (RFC 8224 §6.2.1); of several
/// the strongest attestation counts. A certificate that `credentials` does not have did not come in
/// time.
pub fn verify(
    request: &Request<'_>,
    credentials: &Credentials,
    rules: &Rules,
    now_s: u64,
) -> Verdict {
    if request.identities.is_empty() {
        return Verdict::Failed(Fault::NoIdentity);
    }
    let mut best: Option<Verdict> = None;
    let mut worst = Fault::UnsupportedKind;
    for value in request.identities.iter().take(IDENTITIES_MAX) {
        match verify_one(value, request, credentials, rules, now_s) {
            Ok(passed) => {
                let stronger = |best: &Verdict| passed.attestation() > best.attestation();
                if best.as_ref().is_none_or(stronger) {
                    best = Some(passed);
                }
            }
            Err(fault) if fault.weight() > worst.weight() => worst = fault,
            Err(_) => (),
        }
    }
    best.unwrap_or(Verdict::Failed(worst))
}

fn verify_one(
    value: &str,
    request: &Request<'_>,
    credentials: &Credentials,
    rules: &Rules,
    now_s: u64,
) -> Result<Verdict, Fault> {
    let identity = Identity::parse(value).ok_or(Fault::Malformed)?;
    // Step 1.
    if !identity.is_supported() {
        return Err(Fault::UnsupportedKind);
    }
    // Step 2: the caller comes from the signalling, never from the PASSporT (§6.2.4).
    let caller = canonical(request.caller, &rules.numbering).ok_or(Fault::NoCallerNumber)?;
    let signed = Signed::of(&identity, &caller, request, &rules.numbering)?;
    signed.check_parties(&caller, request, &rules.numbering)?;
    // Step 3.
    let chain = match credentials.get(&identity.info) {
        Some(Ok(chain)) => chain,
        Some(Err(fault)) => return Err(*fault),
        None => return Err(Fault::BadInfo(InfoFault::TimedOut)),
    };
    // Step 4 comes before the path: it is the cheaper one, and a replay is the likelier fault.
    check_freshness(&signed, request, &chain.signer, now_s)?;
    chain.check(&rules.anchors, now_s).map_err(Fault::Credential)?;
    let signer = &chain.signer;
    let list = signer.tn_list.as_ref().map_err(|fault| Fault::Credential(*fault))?;
    if !list.covers(&caller) {
        return Err(Fault::Credential(CredentialFault::NumberNotCovered));
    }
    // Step 5.
    check_signature(&signed, signer)?;
    check_constraints(&signed.claims, signer)?;
    Ok(Verdict::Passed {
        attestation: signed.claims.attestation,
        origin_id: signed.claims.origin_id.as_deref().map(Arc::from),
        provider: list.provider().map(Arc::from),
        certificate_url: identity.info,
    })
}

/// A PASSporT with the octets that were signed.
struct Signed {
    claims: Claims,
    input: String,
    signature: Vec<u8>,
}

impl Signed {
    fn of(
        identity: &Identity,
        caller: &str,
        request: &Request<'_>,
        numbering: &Numbering,
    ) -> Result<Self, Fault> {
        if identity.algorithm.as_deref().is_some_and(|algorithm| algorithm != "ES256") {
            return Err(Fault::UnsupportedAlgorithm);
        }
        let decode = |part: &str| BASE64URL.decode(part).map_err(|_| Fault::Malformed);
        match &identity.token {
            Token::Full { header, claims, signature } => {
                let read = Header::parse(&decode(header)?).ok_or(Fault::Malformed)?;
                check_header(&read, identity)?;
                let read = Claims::parse(&decode(claims)?).ok_or(Fault::Malformed)?;
                // RFC 8588 §4, §5.
                let complete = read.attestation.is_some() && read.origin_id.is_some();
                if identity.kind.is_some() && !complete {
                    return Err(Fault::MissingClaims);
                }
                let input = format!("{header}.{claims}");
                Ok(Self { claims: read, input, signature: decode(signature)? })
            }
            Token::Compact { signature } => {
                // RFC 8588 §3: SHAKEN has no compact form.
                if identity.kind.is_some() {
                    return Err(Fault::MissingClaims);
                }
                let date = request.date.and_then(parse_sip_date).ok_or(Fault::NoDate)?;
                let called = request.called.first().and_then(|user| canonical(user, numbering));
                let called = Party::Number(called.ok_or(Fault::CalledMismatch)?.into());
                let claims = Claims::new(Party::Number(caller.into()), called, date);
                let header = Header {
                    algorithm: "ES256".into(),
                    media_type: "passport".into(),
                    kind: None,
                    certificate_url: (&*identity.info).into(),
                };
                let input = signing_input(&header.print(), &claims.print());
                Ok(Self { claims, input, signature: decode(signature)? })
            }
        }
    }

    fn check_parties(
        &self,
        caller: &str,
        request: &Request<'_>,
        numbering: &Numbering,
    ) -> Result<(), Fault> {
        match &self.claims.origin {
            Party::Number(number) if **number == *caller => (),
            Party::Number(_) | Party::Uri(_) => return Err(Fault::CallerMismatch),
        }
        let mut called = request.called.iter().filter_map(|user| canonical(user, numbering));
        let signed =
            |number: String| self.claims.destinations.contains(&Party::Number(number.into()));
        if called.any(signed) { Ok(()) } else { Err(Fault::CalledMismatch) }
    }
}

/// RFC 8224 §4.1: the header mirrors the parameters.
fn check_header(header: &Header, identity: &Identity) -> Result<(), Fault> {
    if &*header.algorithm != "ES256" {
        return Err(Fault::UnsupportedAlgorithm);
    }
    let mirrors = &*header.media_type == "passport"
        && *header.certificate_url == *identity.info
        && header.kind.as_deref() == identity.kind.as_deref();
    if mirrors { Ok(()) } else { Err(Fault::HeaderMismatch) }
}

fn check_freshness(
    signed: &Signed,
    request: &Request<'_>,
    signer: &Certificate,
    now_s: u64,
) -> Result<(), Fault> {
    let is_fresh = |second: u64| second.abs_diff(now_s) <= FRESH_S;
    // The full form needs no Date: its `iat` is signed (RFC 8225 §5.1.1). A Date that is there must
    // be fresh as well; where the two differ, `iat` is what was signed (RFC 8224 §6.2 step 4).
    let date = request.date.and_then(parse_sip_date);
    if !is_fresh(signed.claims.issued_at_s) || date.is_some_and(|date| !is_fresh(date)) {
        return Err(Fault::Stale);
    }
    // Step 4: within the validity period of the credential.
    match signed.claims.issued_at_s {
        signed if signed < *signer.valid.start() => {
            Err(Fault::Credential(CredentialFault::NotYetValid))
        }
        signed if signed > *signer.valid.end() => Err(Fault::Credential(CredentialFault::Expired)),
        _ => Ok(()),
    }
}

/// ES256: `r` and `s` of 32 octets each, one after the other (RFC 7518 §3.4).
fn check_signature(signed: &Signed, signer: &Certificate) -> Result<(), Fault> {
    let point = signer.point.ok_or(Fault::Credential(CredentialFault::UnsupportedKey))?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(signed.input.as_bytes(), &signed.signature)
        .map_err(|_| Fault::BadSignature)
}

/// RFC 8226 §8.
fn check_constraints(claims: &Claims, signer: &Certificate) -> Result<(), Fault> {
    let Some(constraints) = &signer.constraints else { return Ok(()) };
    // The claims of a compact form are the three that every PASSporT has.
    let has = |name: &str| matches!(name, "iat" | "orig" | "dest") || claims.all.contains_key(name);
    let complete = constraints.must_include.iter().all(|name| has(name));
    let permitted = constraints.permitted.iter().all(|(name, values)| {
        let Some(value) = claims.all.get(&**name) else { return true };
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        values.iter().any(|permitted| **permitted == *text)
    });
    if complete && permitted { Ok(()) } else { Err(Fault::ForbiddenClaims) }
}

/// The attestation's letter, or nothing.
pub fn attestation_letter(attestation: Option<Attestation>) -> &'static str {
    attestation.map_or("", Attestation::letter)
}
