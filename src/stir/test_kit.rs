//! Builds certificates and calls for the tests: each certificate is written octet by octet and
//! signed with `ring`, so that every fault can be put into one.

use crate::der::tag;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

/// One element of DER.
pub(crate) fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut element = vec![tag];
    match contents.len() {
        short @ 0..=0x7f => element.push(short as u8),
        middle @ 0x80..=0xff => element.extend([0x81, middle as u8]),
        long => {
            element.push(0x82);
            element.extend((long as u16).to_be_bytes());
        }
    }
    element.extend(contents);
    element
}

pub(crate) fn ia5(text: &str) -> Vec<u8> {
    element(tag::IA5_STRING, text.as_bytes())
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    element(tag::SEQUENCE, &parts.concat())
}

/// A key pair.
pub(crate) struct Key {
    pkcs8: Vec<u8>,
    pair: EcdsaKeyPair,
}

impl Key {
    pub(crate) fn new() -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_ASN1_SIGNING);
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
        Self { pkcs8: pkcs8.as_ref().into(), pair }
    }

    pub(crate) fn pem(&self) -> String {
        pem("PRIVATE KEY", &self.pkcs8)
    }
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

/// What a certificate is to say.
pub(crate) struct Making<'a> {
    pub(crate) subject: &'a str,
    pub(crate) issuer: &'a str,
    pub(crate) from: &'a str,
    pub(crate) until: &'a str,
    pub(crate) is_authority: bool,
    /// The value of the TN Authorization List.
    pub(crate) tn_list: Option<Vec<u8>>,
    /// The value of the JWT Claim Constraints.
    pub(crate) constraints: Option<Vec<u8>>,
}

impl Making<'_> {
    /// An authority or signer of the years 2020 to 2029.
    pub(crate) fn new<'a>(subject: &'a str, issuer: &'a str, is_authority: bool) -> Making<'a> {
        Making {
            subject,
            issuer,
            from: "200101000000Z",
            until: "300101000000Z",
            is_authority,
            tn_list: None,
            constraints: None,
        }
    }

    pub(crate) fn sign(&self, key: &Key, issuer: &Key) -> Vec<u8> {
        let ecdsa_sha256 = sequence(&[element(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2])]);
        let curve = [
            element(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]),
            element(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]),
        ];
        let point = [&[0], key.pair.public_key().as_ref()].concat();
        let mut extensions = Vec::new();
        let mut extend = |kind: &[u8], value: &[u8]| {
            extensions.push(sequence(&[element(6, kind), element(tag::OCTET_STRING, value)]));
        };
        if self.is_authority {
            extend(&[0x55, 0x1d, 19], &sequence(&[element(tag::BOOLEAN, &[0xff])]));
        }
        if let Some(list) = &self.tn_list {
            extend(&[0x2b, 6, 1, 5, 5, 7, 1, 26], list);
        }
        if let Some(constraints) = &self.constraints {
            extend(&[0x2b, 6, 1, 5, 5, 7, 1, 27], constraints);
        }
        let mut parts = vec![
            element(tag::context(0), &element(tag::INTEGER, &[2])),
            element(tag::INTEGER, &[1]),
            ecdsa_sha256.clone(),
            name(self.issuer),
            sequence(&[
                element(tag::UTC_TIME, self.from.as_bytes()),
                element(tag::UTC_TIME, self.until.as_bytes()),
            ]),
            name(self.subject),
            sequence(&[sequence(&curve), element(tag::BIT_STRING, &point)]),
        ];
        if !extensions.is_empty() {
            parts.push(element(tag::context(3), &sequence(&extensions)));
        }
        let signed = sequence(&parts);
        let signature = issuer.pair.sign(&SystemRandom::new(), &signed).unwrap();
        let signature = [&[0], signature.as_ref()].concat();
        sequence(&[signed, ecdsa_sha256, element(tag::BIT_STRING, &signature)])
    }
}

fn name(common_name: &str) -> Vec<u8> {
    let pair = [element(6, &[0x55, 4, 3]), element(tag::UTF8_STRING, common_name.as_bytes())];
    sequence(&[element(0x31, &sequence(&pair))])
}

/// A list with one service provider code.
pub(crate) fn provider_list(code: &str) -> Vec<u8> {
    sequence(&[element(tag::context(0), &ia5(code))])
}

/// A list with one number.
pub(crate) fn number_list(number: &str) -> Vec<u8> {
    sequence(&[element(tag::context(2), &ia5(number))])
}

/// Constraints: `attest` must be there and be one of `permitted`.
pub(crate) fn attest_constraints(permitted: &[&str]) -> Vec<u8> {
    let values: Vec<_> =
        permitted.iter().map(|value| element(tag::UTF8_STRING, value.as_bytes())).collect();
    sequence(&[
        element(tag::context(0), &sequence(&[ia5("attest")])),
        element(tag::context(1), &sequence(&[sequence(&[ia5("attest"), sequence(&values)])])),
    ])
}
