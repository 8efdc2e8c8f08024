//! `[stir]`: whom we believe about callers, and what we sign with. The files it names are read here,
//! so that `trunkline check` finds a key that is not its certificate's.

use super::layered::Layered;
use super::parts::{at, texts};
use ring::rand::SystemRandom;
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use stir::chain::Anchors;
use stir::number::{Numbering, canonical};
use stir::sign::Signer;
use stir::verify::Rules;

/// `[stir]`.
#[derive(Clone, Debug, Default)]
pub struct StirConfig {
    /// Whom we believe, and how numbers are written.
    pub rules: Rules,
    /// Whether there are anchors.
    pub can_verify: bool,
    /// What outgoing calls are signed with.
    pub signer: Option<Arc<Signer>>,
    /// Canonical numbers that the tenant is known to hold.
    pub verified_numbers: Vec<Box<str>>,
    /// How long a call waits for its verdict.
    pub wait: Duration,
    /// Hosts of certificates that may be private.
    pub allow_hosts: Vec<Box<str>>,
    /// Further authorities of the hosts' own certificates, PEM.
    pub web_roots: Option<Arc<[u8]>>,
}

pub(super) fn read(root: &Layered<'_>, folder: Option<&Path>) -> StirConfig {
    let stir = root.section("stir");
    let numbering = Numbering {
        country_code: stir.text("country_code").into(),
        national_prefix: stir.text("national_prefix").into(),
        international_prefix: stir.text("international_prefix").into(),
    };
    let verified =
        |number: &str| canonical(number, &numbering).map(Box::from).ok_or("is no telephone number");
    let verified_numbers =
        texts(&stir.value("verified_numbers"), "write \"+12155551212\"", verified);
    let host = |host: &str| match host.contains(['/', '@', ' ']) || host.is_empty() {
        true => Err("is no host"),
        false => Ok(Box::from(host)),
    };
    let remedy = "write a host, or host:port, such as \"certs.example.org\"";
    let allow_hosts = texts(&stir.value("allow_hosts"), remedy, host);
    let remedy = "name a PEM file of certificates, or \"\"";
    let anchors = file(&stir, "anchors", folder, remedy, Anchors::parse);
    let web_roots = file(&stir, "web_roots", folder, remedy, |octets| {
        let roots = reqwest::Certificate::from_pem_bundle(octets);
        roots.map(|_| Arc::from(octets)).map_err(|_| "holds no certificate in PEM")
    });
    let config = StirConfig {
        can_verify: anchors.is_some(),
        signer: signer(&stir, folder).map(Arc::new),
        rules: Rules { anchors: anchors.unwrap_or_default(), numbering },
        verified_numbers,
        wait: Duration::from_millis(u64::from(stir.count("wait_ms", 0..=5_000))),
        allow_hosts,
        web_roots,
    };
    stir.finish();
    config
}

/// The key with its certificate, if one is named.
fn signer(stir: &Layered<'_>, folder: Option<&Path>) -> Option<Signer> {
    let url = stir.text("certificate_url");
    let text = |octets: &[u8]| String::from_utf8(octets.into()).map_err(|_| "is no PEM file");
    let key = file(stir, "key", folder, "name a PEM file, or \"\"", text);
    let copy = |octets: &[u8]| Ok::<_, &str>(octets.to_vec());
    let certificate = file(stir, "certificate", folder, "name a PEM file, or \"\"", copy);
    let (Some(key), Some(certificate)) = (&key, &certificate) else {
        if key.is_some() || certificate.is_some() {
            let remedy = "name key, certificate and certificate_url, or none of them";
            stir.value("key").fault("stands without its certificate".into(), remedy.into());
        }
        return None;
    };
    match Signer::load(key, certificate, url, &SystemRandom::new()) {
        Ok(signer) => Some(signer),
        Err(error) => {
            let remedy = "name the key of the certificate that certificate_url hands out";
            stir.value("key").fault(error.to_string(), remedy.into());
            None
        }
    }
}

/// What `parse` makes of a file; `None` where none is named.
fn file<T, E: Display>(
    stir: &Layered<'_>,
    key: &'static str,
    folder: Option<&Path>,
    remedy: &str,
    parse: impl Fn(&[u8]) -> Result<T, E>,
) -> Option<T> {
    let name = stir.text(key);
    if name.is_empty() {
        return None;
    }
    let read = std::fs::read(at(folder, name)).map_err(|error| format!("cannot be read: {error}"));
    match read.and_then(|octets| parse(&octets).map_err(|error| error.to_string())) {
        Ok(parsed) => Some(parsed),
        Err(problem) => {
            stir.value(key).fault(format!("`{name}`: {problem}"), remedy.into());
            None
        }
    }
}
