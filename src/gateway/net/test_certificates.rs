//! Certificates for tests, made by the `openssl` program in a folder that goes with its owner.

use super::tls::KeyFiles;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of certificates.
pub(crate) struct Certificates(PathBuf);

static FOLDERS: AtomicU32 = AtomicU32::new(0);

impl Certificates {
    pub(crate) fn new() -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("trunkline-tls-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// An authority; its certificate.
    pub(crate) fn authority(&self, name: &str) -> PathBuf {
        self.make(name, None, "basicConstraints=critical,CA:TRUE").certificate
    }

    /// A certificate of an authority, for these alternative names (`DNS:a,URI:sip:b`).
    pub(crate) fn issue(&self, name: &str, authority: &str, names: &str) -> KeyFiles {
        self.make(name, Some(authority), &format!("subjectAltName={names}"))
    }

    /// A certificate that nobody vouches for.
    pub(crate) fn self_signed(&self, name: &str, names: &str) -> KeyFiles {
        self.make(name, None, &format!("subjectAltName={names}"))
    }

    fn make(&self, name: &str, authority: Option<&str>, extension: &str) -> KeyFiles {
        let certificate = self.at(&format!("{name}.pem"));
        let key = self.at(&format!("{name}.key"));
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
        command.args(["-nodes", "-days", "30", "-subj", &format!("/CN={name}")]);
        command.arg("-keyout").arg(&key).arg("-out").arg(&certificate);
        command.args(["-addext", extension]);
        if let Some(authority) = authority {
            command.arg("-CA").arg(self.at(&format!("{authority}.pem")));
            command.arg("-CAkey").arg(self.at(&format!("{authority}.key")));
            command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        }
        let made = command.output().expect("openssl is installed: scripts/setup test");
        assert!(made.status.success(), "{made:?}");
        KeyFiles { certificate, key }
    }

    /// The DER of a PEM file's first certificate.
    pub(crate) fn der(file: &Path) -> rustls::pki_types::CertificateDer<'static> {
        use rustls::pki_types::pem::PemObject;
        rustls::pki_types::CertificateDer::from_pem_file(file).unwrap()
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
