//! Whom a certificate is of, as SIP sees it (RFC 5922 §7), and who is believed: rustls checks
//! chains, times and signatures, here stands what it does not know.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::Arc;

/// SHA-256 of a certificate as it is sent (DER).
pub type Fingerprint = [u8; 32];

/// The fingerprint of a certificate.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> Fingerprint {
    Sha256::digest(certificate).into()
}

/// The SIP domains that a certificate is for (RFC 5922 §7.1): the hosts of `sip:` URIs without a
/// user, or else its DNS names. A wildcard is for nobody (§7.2) and left out; the common name is
/// not looked at, which §7.1 leaves to us.
pub fn domains(certificate: &CertificateDer<'_>) -> Vec<Arc<str>> {
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else { return Vec::new() };
    let uris: Vec<Arc<str>> = certificate.valid_uri_names().filter_map(domain_of_uri).collect();
    if !uris.is_empty() {
        return uris;
    }
    let is_plain = |name: &&str| !name.contains('*') && !name.starts_with('.');
    certificate.valid_dns_names().filter(is_plain).map(|name| name.to_lowercase().into()).collect()
}

fn domain_of_uri(uri: &str) -> Option<Arc<str>> {
    let (scheme, rest) = uri.split_once(':')?;
    let host = rest.split([';', '?']).next()?;
    let is_domain = scheme.eq_ignore_ascii_case("sip") && !rest.contains('@') && !host.is_empty();
    is_domain.then(|| host.to_lowercase().into())
}

/// Whom a server must be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Expected {
    /// One of these domains (RFC 5922 §7.3).
    Domains(Vec<Arc<str>>),
    /// The address connected to, there being no name: the certificate must have it
    /// (RFC 5280 §4.2.1.6).
    Address(IpAddr),
    /// The owner of one of these certificates, whatever they say.
    Pinned(Vec<Fingerprint>),
}

/// Believes a server that is whom we expect.
#[derive(Debug)]
pub struct ServerCheck {
    /// Who it must be.
    pub expected: Expected,
    /// Who vouches for it.
    pub roots: Arc<RootCertStore>,
    /// How.
    pub provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ServerCheck {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Expected::Pinned(pins) = &self.expected {
            let is_pinned = pins.contains(&fingerprint(certificate));
            return match is_pinned {
                true => Ok(ServerCertVerified::assertion()),
                false => Err(CertificateError::ApplicationVerificationFailure.into()),
            };
        }
        let parsed = rustls::server::ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        rustls::client::verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots,
            others,
            now,
            algorithms,
        )?;
        match &self.expected {
            Expected::Domains(names) => {
                let found = domains(certificate);
                let is_it = |name: &Arc<str>| found.iter().any(|it| it.eq_ignore_ascii_case(name));
                if !names.iter().any(is_it) {
                    return Err(CertificateError::NotValidForName.into());
                }
            }
            Expected::Address(ip) => {
                let name = ServerName::IpAddress((*ip).into());
                rustls::client::verify_server_name(&parsed, &name)?;
            }
            Expected::Pinned(_) => (),
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What a trunk's own rules say of its certificate.
#[derive(Debug)]
pub struct TrunkCheck {
    /// The domains it may be for.
    pub names: Vec<Arc<str>>,
    /// Certificates believed whatever they say.
    pub pins: Vec<Fingerprint>,
    /// Believes those that the trunk's own authority vouches for.
    pub authority: Option<Arc<dyn ClientCertVerifier>>,
}

/// Believes a client that somebody vouches for: the authority of all, that of one trunk (for this
/// trunk's names only), or a pin.
#[derive(Debug)]
pub struct ClientCheck {
    /// The authority of all.
    pub authority: Arc<dyn ClientCertVerifier>,
    /// The trunks with rules of their own.
    pub trunks: Vec<TrunkCheck>,
    /// Whether who shows none is refused.
    pub demanded: bool,
}

impl ClientCheck {
    /// The SIP domains that a chain gives a right to (RFC 5922 §7.4).
    ///
    /// # Errors
    /// Nobody vouches for it.
    pub fn identify(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Vec<Arc<str>>, Error> {
        let pin = fingerprint(certificate);
        if let Some(trunk) = self.trunks.iter().find(|trunk| trunk.pins.contains(&pin)) {
            return Ok(trunk.names.clone());
        }
        let found = domains(certificate);
        for trunk in &self.trunks {
            let Some(authority) = &trunk.authority else { continue };
            if authority.verify_client_cert(certificate, others, now).is_ok() {
                let is_own = |name: &Arc<str>| trunk.names.contains(name);
                return Ok(found.into_iter().filter(is_own).collect());
            }
        }
        self.authority.verify_client_cert(certificate, others, now)?;
        Ok(found)
    }
}

impl ClientCertVerifier for ClientCheck {
    fn client_auth_mandatory(&self) -> bool {
        self.demanded
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // None: a client with a certificate of a trunk's own authority must not hold it back.
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.identify(certificate, others, now).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authority.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authority.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authority.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5922 §7.1.
    #[test]
    fn only_a_sip_uri_without_a_user_names_a_domain() {
        for (uri, domain) in [
            ("sip:Example.com", Some("example.com")),
            ("SIP:example.com;transport=tls", Some("example.com")),
            ("sip:alice@example.com", None),
            ("sips:example.com", None),
            ("http:example.com", None),
            ("sip:", None),
            ("example.com", None),
        ] {
            assert_eq!(domain_of_uri(uri).as_deref(), domain, "{uri}");
        }
    }
}
