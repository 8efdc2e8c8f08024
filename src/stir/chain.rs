//! A signer's certificates as they were fetched, and the path from the first of them to an anchor
//! (RFC 5280 §6, RFC 8226 §4).

use crate::certificate::Certificate;
use crate::verdict::CredentialFault;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use std::time::Duration;
use webpki::ring as algorithms;
use webpki::{EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter, VerifiedPath};

/// Certificates of one signer, its own first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chain {
    pub(crate) signer: Certificate,
    above: Vec<CertificateDer<'static>>,
}

/// Those whom the operator trusts to say who may sign.
#[derive(Clone, Debug, Default)]
pub struct Anchors {
    anchors: Vec<(Certificate, TrustAnchor<'static>)>,
}

/// Octets of a chain; a longer one is refused.
pub const CHAIN_OCTETS_MAX: usize = 64 * 1024;
/// Certificates of a chain; further ones make it malformed.
const CHAIN_MAX: usize = 8;

impl Chain {
    /// Reads PEM (RFC 7468; the signer's first, its issuers after it) or one certificate in DER.
    ///
    /// # Errors
    /// `Malformed` when there is none, one is malformed or there are too many.
    pub fn parse(octets: &[u8]) -> Result<Self, CredentialFault> {
        let certificates = certificates(octets).ok_or(CredentialFault::Malformed)?;
        let mut certificates = certificates.into_iter();
        let signer = certificates.next().ok_or(CredentialFault::Malformed)?;
        let signer = Certificate::parse(&signer).ok_or(CredentialFault::Malformed)?;
        if certificates.len() >= CHAIN_MAX {
            return Err(CredentialFault::Malformed);
        }
        Ok(Self { signer, above: certificates.map(CertificateDer::from).collect() })
    }

    /// The signer's own.
    pub fn signer(&self) -> &Certificate {
        &self.signer
    }

    /// Whether a path leads from the signer's certificate to an anchor, all of it valid at `now_s`
    /// (Unix seconds), and each authority's list of numbers holds those below it (RFC 8226 §9).
    ///
    /// # Errors
    /// By what is wrong; all of them are 437 (RFC 8224 §6.2.2).
    pub fn check(&self, anchors: &Anchors, now_s: u64) -> Result<(), CredentialFault> {
        let signer = CertificateDer::from(self.signer.der.as_slice());
        let signer = EndEntityCert::try_from(&signer).map_err(|_| CredentialFault::Malformed)?;
        // A path may not end at an authority that is out of its own time either.
        let valid: Vec<TrustAnchor<'_>> = anchors
            .anchors
            .iter()
            .filter(|(certificate, _)| certificate.valid.contains(&now_s))
            .map(|(_, anchor)| anchor.clone())
            .collect();
        let path = signer
            .verify_for_usage(
                ALGORITHMS,
                &valid,
                &self.above,
                UnixTime::since_unix_epoch(Duration::from_secs(now_s)),
                AnyUsage,
                None,
                None,
            )
            .map_err(|error| match error {
                Error::CertExpired { .. } => CredentialFault::Expired,
                Error::CertNotValidYet { .. } => CredentialFault::NotYetValid,
                _ => CredentialFault::Untrusted,
            })?;
        self.check_numbers(&path)
    }

    fn check_numbers(&self, path: &VerifiedPath<'_>) -> Result<(), CredentialFault> {
        let mut below = self.signer.tn_list.clone()?;
        for above in path.intermediate_certificates() {
            let above = Certificate::parse(&above.der()).ok_or(CredentialFault::Malformed)?;
            let list = match above.tn_list {
                // An authority without a list is limited by none.
                Err(CredentialFault::NoTnList) => continue,
                list => list?,
            };
            if !list.encompasses(&below) {
                return Err(CredentialFault::BeyondAuthority);
            }
            below = list;
        }
        Ok(())
    }
}

impl Anchors {
    /// Reads the trusted certificates, PEM or one in DER.
    ///
    /// # Errors
    /// `Malformed` when there is none or one cannot be an anchor.
    pub fn parse(octets: &[u8]) -> Result<Self, CredentialFault> {
        let certificates = certificates(octets).ok_or(CredentialFault::Malformed)?;
        let anchors = certificates.into_iter().map(|der| {
            let certificate = Certificate::parse(&der)?;
            let der = CertificateDer::from(der);
            let anchor = webpki::anchor_from_trusted_cert(&der).ok()?.to_owned();
            Some((certificate, anchor))
        });
        let anchors: Option<Vec<_>> = anchors.collect();
        match anchors {
            Some(anchors) if !anchors.is_empty() => Ok(Self { anchors }),
            _ => Err(CredentialFault::Malformed),
        }
    }
}

/// STIR's certificates have no extended key usage of their own; what they have is not looked at.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        Ok(())
    }
}

/// What an authority may have signed with. The PASSporT itself is ES256 only (RFC 8225 §6).
const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
];

/// The certificates of a PEM text, or the one in DER.
fn certificates(octets: &[u8]) -> Option<Vec<Vec<u8>>> {
    if octets.len() > CHAIN_OCTETS_MAX {
        return None;
    }
    match std::str::from_utf8(octets) {
        Ok(text) if text.contains("-----BEGIN ") => pem_sections(text, "CERTIFICATE"),
        _ => Some(vec![octets.into()]),
    }
}

/// The contents of all sections with this label; `None` when one of them is malformed.
pub(crate) fn pem_sections(text: &str, label: &str) -> Option<Vec<Vec<u8>>> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let sections = text.split(&*begin).skip(1).map(|rest| {
        let (body, _) = rest.split_once(&*end)?;
        let body: String = body.split_ascii_whitespace().collect();
        STANDARD.decode(body).ok()
    });
    sections.collect()
}
