//! Fetches a certificate: over https only, from public hosts or those allowed by name, within
//! bounds of size and time. The address comes with a call from outside, so it must not reach what
//! stands behind the firewall.

use super::Fetched;
use super::cache::{FAILURE_S, keep_until};
use crate::webhook::address::{CheckedResolver, Forbidden, check_url};
use reqwest::{Certificate, Client};
use std::sync::Arc;
use std::time::Duration;
use stir::chain::{CHAIN_OCTETS_MAX, Chain};
use stir::verdict::{Fault, InfoFault};
use stir::verify::certificate_host;

/// A fetch takes at most so long, whoever waits for it.
const FETCH_MAX: Duration = Duration::from_secs(5);

/// Fetches certificates.
pub struct Fetch {
    /// To public addresses only.
    public: Client,
    /// To hosts that the operator names, wherever they are.
    named: Client,
    allowed: Vec<Box<str>>,
}

impl Fetch {
    /// `allowed`: hosts, or `host:port`, that may be private. `roots`: further authorities of their
    /// web servers, PEM.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up, or `roots` is malformed.
    pub fn new(allowed: Vec<Box<str>>, roots: Option<&[u8]>) -> Result<Self, reqwest::Error> {
        let roots = roots.map_or_else(|| Ok(Vec::new()), Certificate::from_pem_bundle)?;
        let client = |allow_private| {
            let client = Client::builder()
                .https_only(true)
                .redirect(reqwest::redirect::Policy::none())
                // A proxy would connect to addresses that we have not checked.
                .no_proxy()
                .connect_timeout(Duration::from_secs(2))
                .timeout(FETCH_MAX)
                .pool_max_idle_per_host(2)
                .dns_resolver(Arc::new(CheckedResolver { allow_private }));
            roots.iter().fold(client, |client, root| client.add_root_certificate(root.clone()))
        };
        Ok(Self { public: client(false).build()?, named: client(true).build()?, allowed })
    }

    /// The certificates at `url`, and until when (Unix seconds) they may be kept.
    pub(super) async fn certificate(&self, url: &str, now_s: u64) -> Fetched {
        let failed = |fault| (Err(fault), now_s + FAILURE_S);
        let client = match self.client_for(url) {
            Ok(client) => client,
            Err(fault) => return failed(Fault::BadInfo(fault)),
        };
        match get(client, url, now_s).await {
            Ok((octets, until_s)) => match Chain::parse(&octets) {
                Ok(chain) => (Ok(Arc::new(chain)), until_s),
                Err(fault) => failed(Fault::Credential(fault)),
            },
            Err(fault) => failed(Fault::BadInfo(fault)),
        }
    }

    fn client_for(&self, url: &str) -> Result<&Client, InfoFault> {
        let (host, port) = certificate_host(url, &self.allowed)?;
        let pair = format!("{host}:{port}");
        if self.allowed.iter().any(|allowed| **allowed == *host || **allowed == *pair) {
            return Ok(&self.named);
        }
        // A literal address is not resolved, so that the resolver never sees it.
        let parsed = check_url(url, false).map_err(|fault| match fault {
            Forbidden::NotPublic(_) => InfoFault::HostNotAllowed,
            Forbidden::NoWebAddress | Forbidden::NotEncrypted => InfoFault::BadAddress,
        })?;
        // What we took for the host is what the HTTP client takes for it.
        match parsed.host_str() {
            Some(same) if same.eq_ignore_ascii_case(host) => Ok(&self.public),
            _ => Err(InfoFault::BadAddress),
        }
    }
}

async fn get(client: &Client, url: &str, now_s: u64) -> Result<(Vec<u8>, u64), InfoFault> {
    let failed = |error: reqwest::Error| match error.is_timeout() {
        true => InfoFault::TimedOut,
        false => InfoFault::Unreachable,
    };
    let mut response = client.get(url).send().await.map_err(failed)?;
    if response.status().as_u16() != 200 {
        return Err(InfoFault::Unreachable);
    }
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let until_s = keep_until(header("cache-control"), header("expires"), now_s);
    let mut octets = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if octets.len() + chunk.len() > CHAIN_OCTETS_MAX {
            return Err(InfoFault::Unreachable);
        }
        octets.extend_from_slice(&chunk);
    }
    Ok((octets, until_s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::test_certificates::Certificates;
    use crate::net::tls::KeyFiles;
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject;
    use stir::verdict::CredentialFault;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    #[tokio::test]
    async fn what_stands_behind_the_firewall_is_not_asked() {
        let fetch = Fetch::new(vec!["certs.house".into(), "10.0.0.7:9443".into()], None).unwrap();
        for (url, expected) in [
            ("https://127.0.0.1/a", Some(InfoFault::HostNotAllowed)),
            ("https://[::1]:8443/a", Some(InfoFault::HostNotAllowed)),
            ("https://169.254.169.254/latest", Some(InfoFault::HostNotAllowed)),
            ("https://10.0.0.7/a", Some(InfoFault::HostNotAllowed)),
            ("https://2130706433/a", Some(InfoFault::HostNotAllowed)),
            ("https://0177.0.0.1/a", Some(InfoFault::HostNotAllowed)),
            ("https://0x7f000001/a", Some(InfoFault::HostNotAllowed)),
            ("https://16843009/a", Some(InfoFault::BadAddress)),
            ("https://cert.example.org\\.house/a", Some(InfoFault::BadAddress)),
            ("http://cert.example.org/a", Some(InfoFault::BadAddress)),
            ("https://cert.example.org:22/a", Some(InfoFault::BadAddress)),
            ("https://10.0.0.7:9443/a", None),
            ("https://certs.house/a", None),
            ("https://cert.example.org/a", None),
        ] {
            assert_eq!(fetch.client_for(url).err(), expected, "{url}");
        }
        // A name that leads inside is found out when it is resolved; nothing is connected to.
        let (result, until_s) = fetch.certificate("https://localhost:8443/a", 100).await;
        assert_eq!(result, Err(Fault::BadInfo(InfoFault::Unreachable)));
        assert_eq!(until_s, 100 + FAILURE_S);
    }

    /// A web server with one answer to everything; its port.
    async fn server(keys: &KeyFiles, answer: Vec<u8>) -> u16 {
        let chain = vec![Certificates::der(&keys.certificate)];
        let key = PrivateKeyDer::from_pem_file(&keys.key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever does not believe our certificate is gone by now.
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = [0; 4_096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            }
        });
        port
    }

    fn answer(head: &str, body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    }

    /// Over real TLS: only a server whose certificate is believed and for its name is read, and only
    /// a whole answer of bearable size that is a certificate is taken.
    #[tokio::test]
    async fn a_certificate_comes_from_a_server_that_is_believed() {
        let made = Certificates::new();
        let authority = std::fs::read(made.authority("ca")).unwrap();
        let stranger = std::fs::read(made.authority("stranger")).unwrap();
        let own = made.issue("web", "ca", "DNS:localhost");
        let other = made.issue("other", "ca", "DNS:elsewhere.example");
        let signer = std::fs::read(made.issue("signer", "ca", "DNS:signer").certificate).unwrap();
        let unreachable = || Err(Fault::BadInfo(InfoFault::Unreachable));
        let good = || answer("200 OK\r\nCache-Control: max-age=600", &signer);
        let moved = answer("302 Found\r\nLocation: https://localhost/", b"");
        let huge = vec![b'x'; CHAIN_OCTETS_MAX + 1];
        for (what, keys, roots, answer, expected) in [
            ("good", &own, Some(&authority), good(), Ok(600)),
            ("an unknown authority", &own, None, good(), unreachable()),
            ("another authority", &own, Some(&stranger), good(), unreachable()),
            ("another name", &other, Some(&authority), good(), unreachable()),
            ("not there", &own, Some(&authority), answer("404 No", &signer), unreachable()),
            ("elsewhere", &own, Some(&authority), moved, unreachable()),
            ("too large", &own, Some(&authority), answer("200 OK", &huge), unreachable()),
            (
                "no certificate",
                &own,
                Some(&authority),
                answer("200 OK", b"hello"),
                Err(Fault::Credential(CredentialFault::Malformed)),
            ),
        ] {
            let port = server(keys, answer).await;
            let allowed = vec![format!("localhost:{port}").into()];
            let fetch = Fetch::new(allowed, roots.map(Vec::as_slice)).unwrap();
            let (result, until_s) =
                fetch.certificate(&format!("https://localhost:{port}/signer.pem"), 100).await;
            let found = result.map(|chain| {
                assert_eq!(*chain, Chain::parse(&signer).unwrap(), "{what}");
                until_s - 100
            });
            assert_eq!(found, expected, "{what}");
            assert!(expected.is_ok() || until_s == 100 + FAILURE_S, "{what}");
        }
    }
}
