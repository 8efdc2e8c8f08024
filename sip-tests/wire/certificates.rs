//! Certificates made by the `openssl` program: one authority, and whom it vouches for.

use super::process::Folder;
use std::path::PathBuf;
use std::process::Command;

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Keys {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A folder with an authority, `ca`, and what it has signed.
#[derive(Debug)]
pub struct Certificates(pub Folder);

impl Certificates {
    /// The authority alone.
    pub fn new() -> Self {
        let made = Self(Folder::new("certificates"));
        made.make("ca", &[], &["basicConstraints=critical,CA:TRUE".to_owned()]);
        made
    }

    /// A certificate for these alternative names, such as `DNS:gw.example`, in place of the one that
    /// had this name.
    pub fn issue(&self, name: &str, names: &str) -> Keys {
        self.issue_with(name, &format!("subjectAltName={names}"))
    }

    /// A certificate with this extension.
    pub fn issue_with(&self, name: &str, extension: &str) -> Keys {
        let (ca, key) = (self.0.text("ca.pem"), self.0.text("ca.key"));
        let extensions = ["basicConstraints=critical,CA:FALSE".to_owned(), extension.to_owned()];
        self.make(name, &["-CA", &ca, "-CAkey", &key], &extensions)
    }

    /// The authority's certificate.
    pub fn authority(&self) -> PathBuf {
        self.0.at("ca.pem")
    }

    /// The `[tls]` of a configuration: these keys, and nobody believed but the authority's.
    pub fn tls(&self, own: &Keys) -> String {
        let (certificate, key, ca) = (&own.certificate, &own.key, self.authority());
        format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\nca = {ca:?}\n")
    }

    fn make(&self, name: &str, signer: &[&str], extensions: &[String]) -> Keys {
        let certificate = self.0.at(&format!("{name}.pem"));
        let key = self.0.at(&format!("{name}.key"));
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
        command.args(["-nodes", "-days", "30", "-subj", &format!("/CN={name}")]);
        command.arg("-keyout").arg(&key).arg("-out").arg(&certificate).args(signer);
        for extension in extensions {
            command.args(["-addext", extension]);
        }
        let made = command.output().expect("openssl is installed: scripts/setup test");
        assert!(made.status.success(), "{made:?}");
        Keys { certificate, key }
    }
}
