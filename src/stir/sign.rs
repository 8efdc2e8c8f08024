//! Signing of outgoing calls (RFC 8224 §6.1, RFC 8588): full form, `ppt=shaken`.

use crate::attest::Attestation;
use crate::certificate::{Certificate, POINT_LENGTH};
use crate::chain::{Chain, pem_sections};
use crate::der::{Der, tag};
use crate::identity::{Identity, Token};
use crate::passport::{BASE64URL, Claims, Header, Party, signing_input};
use crate::verify::certificate_host;
use base64::Engine;
use ring::rand::SecureRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use std::sync::Arc;

/// A key with the certificate that others check it by.
pub struct Signer {
    key: EcdsaKeyPair,
    certificate_url: Arc<str>,
    certificate: Certificate,
}

impl std::fmt::Debug for Signer {
    /// Without the key: what is printed ends up in logs.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Signer").field("certificate_url", &self.certificate_url).finish()
    }
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SignerError {
    /// The file holds no private key in PEM (`PRIVATE KEY` or `EC PRIVATE KEY`).
    #[error("no private key of P-256 in PEM")]
    KeyMalformed,
    /// The certificate is malformed or its key is not of P-256.
    #[error("no certificate with a key of P-256")]
    CertificateMalformed,
    /// The private key is not the certificate's.
    #[error("the private key is not the certificate's")]
    KeyOfAnother,
    /// Verifiers could not fetch the certificate from there.
    #[error("the certificate's address is not https on port 443 or 8443")]
    BadAddress,
}

/// What is signed of a call.
#[derive(Clone, Copy, Debug)]
pub struct ToSign<'a> {
    /// How far we vouch.
    pub attestation: Attestation,
    /// The caller's canonical number.
    pub origin: &'a str,
    /// The callee's canonical number.
    pub destination: &'a str,
    /// A UUID by which we find where the call began (RFC 8588 §5); one for each call (§10).
    pub origin_id: &'a str,
    /// Unix seconds.
    pub issued_at_s: u64,
}

impl Signer {
    /// Joins a private key with its certificate, which verifiers will fetch from
    /// `certificate_url`.
    ///
    /// # Errors
    /// By what is wrong with which of the three.
    pub fn load(
        key_pem: &str,
        certificate: &[u8],
        certificate_url: &str,
        random: &dyn SecureRandom,
    ) -> Result<Self, SignerError> {
        certificate_host(certificate_url, &[]).map_err(|_| SignerError::BadAddress)?;
        let chain = Chain::parse(certificate).map_err(|_| SignerError::CertificateMalformed)?;
        let point: [u8; POINT_LENGTH] =
            chain.signer.point.ok_or(SignerError::CertificateMalformed)?;
        let scalar = private_scalar(key_pem).ok_or(SignerError::KeyMalformed)?;
        // The point is the certificate's: a key of another is found out here.
        let key = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &scalar,
            &point,
            random,
        )
        .map_err(|_| SignerError::KeyOfAnother)?;
        Ok(Self { key, certificate_url: certificate_url.into(), certificate: chain.signer })
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The Identity value of a call; `None` when `random` fails or the certificate is out of its
    /// time: what nobody would believe is not sent.
    pub fn sign(&self, call: &ToSign<'_>, random: &dyn SecureRandom) -> Option<String> {
        if !self.certificate.valid.contains(&call.issued_at_s) {
            return None;
        }
        let header = Header {
            algorithm: "ES256".into(),
            media_type: "passport".into(),
            kind: Some("shaken".into()),
            certificate_url: (&*self.certificate_url).into(),
        };
        let destination = Party::Number(call.destination.into());
        let mut claims =
            Claims::new(Party::Number(call.origin.into()), destination, call.issued_at_s);
        claims.attestation = Some(call.attestation);
        claims.origin_id = Some(call.origin_id.into());
        let input = signing_input(&header.print(), &claims.print());
        let signature = self.key.sign(random, input.as_bytes()).ok()?;
        let (header, claims) = input.split_once('.')?;
        let token = Token::Full {
            header: header.into(),
            claims: claims.into(),
            signature: BASE64URL.encode(signature).into(),
        };
        let (info, algorithm) = (Arc::clone(&self.certificate_url), Some("ES256".into()));
        Some(Identity { token, info, algorithm, kind: Some("shaken".into()) }.print())
    }
}

/// A random UUID (RFC 4122 §4.4) of 16 random octets.
pub fn origin_id(random: [u8; 16]) -> String {
    let mut octets = random;
    octets[6] = octets[6] & 0x0f | 0x40;
    octets[8] = octets[8] & 0x3f | 0x80;
    let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// The scalar of a key in PKCS #8 (RFC 5958) or by itself (RFC 5915).
fn private_scalar(pem: &str) -> Option<[u8; 32]> {
    if let Some(wrapped) = pem_sections(pem, "PRIVATE KEY")?.first() {
        let mut info = Der::new(wrapped).enter(tag::SEQUENCE)?;
        info.take(tag::INTEGER)?;
        info.take(tag::SEQUENCE)?;
        return scalar_of(info.take(tag::OCTET_STRING)?);
    }
    scalar_of(pem_sections(pem, "EC PRIVATE KEY")?.first()?)
}

/// RFC 5915 §3: version 1, then the scalar.
fn scalar_of(der: &[u8]) -> Option<[u8; 32]> {
    let mut key = Der::new(der).enter(tag::SEQUENCE)?;
    if key.take(tag::INTEGER)? != [1] {
        return None;
    }
    key.take(tag::OCTET_STRING)?.try_into().ok()
}
