//! Keys and certificates that other implementations test themselves with. The folder comes by
//! `TRUNKLINE_CORPORA`; without it these tests say so and do nothing.

use super::{ID, URL};
use crate::attest::Attestation;
use crate::chain::{Anchors, Chain};
use crate::number::Numbering;
use crate::sign::{Signer, SignerError, ToSign};
use crate::verdict::{CredentialFault, Fault, Verdict};
use crate::verify::{Credentials, Request, Rules, verify};
use ring::rand::SystemRandom;
use std::path::PathBuf;
use std::sync::Arc;

/// 1 January 2027: both authorities' signers have their certificates, one authority is out of time.
const YEAR_2027_S: u64 = 1_798_761_600;
/// 1 January 2025: the signers below the expired authority are in their time.
const YEAR_2025_S: u64 = 1_735_689_600;

#[allow(clippy::disallowed_methods, reason = "a test that reads what others publish")]
fn keys() -> Option<impl Fn(&str) -> Vec<u8>> {
    let Ok(root) = std::env::var("TRUNKLINE_CORPORA") else {
        println!("TRUNKLINE_CORPORA is unset: stir-shaken did not run");
        return None;
    };
    let folder = PathBuf::from(root).join("stir-shaken/keys");
    Some(move |name: &str| std::fs::read(folder.join(name)).unwrap())
}

fn load(key: &[u8], certificate: &[u8]) -> Result<Signer, SignerError> {
    Signer::load(std::str::from_utf8(key).unwrap(), certificate, URL, &SystemRandom::new())
}

#[test]
fn published_keys_sign_what_their_certificates_verify() {
    let Some(read) = keys() else { return };
    let trusted = [read("astdev-ca.crt"), read("astdev-ca-expired.crt")].concat();
    let rules =
        Rules { anchors: Anchors::parse(&trusted).unwrap(), numbering: Numbering::default() };
    let passed = |name: &str| Verdict::Passed {
        attestation: Some(Attestation::Full),
        origin_id: Some(ID.into()),
        provider: Some(name.into()),
        certificate_url: URL.into(),
    };
    let failed = |fault| Verdict::Failed(Fault::Credential(fault));
    for (name, now_s, expected) in [
        ("SPAST1", YEAR_2027_S, passed("1")),
        ("SPAST2", YEAR_2027_S, passed("2")),
        ("SPAST1-caexp", YEAR_2025_S, failed(CredentialFault::Untrusted)),
        ("SPAST2-caexp", YEAR_2025_S, failed(CredentialFault::Untrusted)),
    ] {
        let certificate = read(&format!("{name}-cert.pem"));
        let signer = load(&read(&format!("{name}-key.pem")), &certificate).unwrap();
        let (origin, destination) = ("12155551212", "12155551213");
        let attestation = Attestation::Full;
        let call = ToSign { attestation, origin, destination, origin_id: ID, issued_at_s: now_s };
        let identities = [Arc::from(signer.sign(&call, &SystemRandom::new()).unwrap())];
        let called = [destination];
        let request =
            Request { identities: &identities, caller: origin, called: &called, date: None };
        let chain = Arc::new(Chain::parse(&certificate).unwrap());
        let credentials: Credentials = [(Arc::from(URL), Ok(chain))].into();
        assert_eq!(verify(&request, &credentials, &rules, now_s), expected, "{name}");
    }
}

#[test]
fn published_keys_are_told_apart() {
    let Some(read) = keys() else { return };
    let mixed = load(&read("SPAST1-key.pem"), &read("SPAST2-cert.pem")).map(|_| ());
    assert_eq!(mixed, Err(SignerError::KeyOfAnother));
}
