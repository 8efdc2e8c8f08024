//! TLS: certificates, keys and authorities from files, read again when they change. Connections
//! keep what they began with, so that no call hears of it; a new file that cannot be used changes
//! nothing and is told of.

use super::certificate::{ClientCheck, Expected, Fingerprint, ServerCheck, TrunkCheck, domains};
use domain::id::TrunkId;
use parking_lot::RwLock;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ClientConfig, ResolvesClientCert};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CommonState, RootCertStore};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Whether a peer that connects must show a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClientCertificate {
    /// It is asked for none: some telephones, asked for one that they have not, give up.
    None,
    /// It is asked for one and believed to be whom it says; without one it is known by what it
    /// says within SIP.
    Asked,
    /// Without one it is refused.
    Demanded,
}

/// `[tls]`.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// Our certificate with its chain, and its key, in PEM.
    pub own: Option<KeyFiles>,
    /// The authorities that peers' certificates must come from, in PEM; `None`: the public ones.
    pub authorities: Option<PathBuf>,
    /// How long a handshake may take.
    pub handshake: Duration,
    /// How often the files are looked at.
    pub look_every: Duration,
}

/// A certificate with its chain, and its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyFiles {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// What a trunk has of its own.
#[derive(Clone, Debug, Default)]
pub struct TrunkTls {
    /// The domains its certificate may be for; empty: the name it is located by, or its address.
    pub names: Vec<Arc<str>>,
    /// The authorities its certificate must come from, in place of those of `[tls]`.
    pub authorities: Option<PathBuf>,
    /// Certificates believed whatever they say.
    pub pins: Vec<Fingerprint>,
    /// What we show it, in place of our own.
    pub own: Option<KeyFiles>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", file.display())]
pub struct TlsError {
    /// Which.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

fn wrong(file: &Path, problem: impl ToString) -> TlsError {
    TlsError { file: file.to_path_buf(), problem: problem.to_string() }
}

/// What is used now, and where it comes from.
pub struct Tls {
    config: TlsConfig,
    trunks: BTreeMap<TrunkId, TrunkTls>,
    current: RwLock<Arc<Loaded>>,
}

/// The content of the files.
pub struct Loaded {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    own: Option<Arc<CertifiedKey>>,
    trunks: BTreeMap<TrunkId, LoadedTrunk>,
    asks: Arc<ClientCheck>,
    demands: Arc<ClientCheck>,
}

struct LoadedTrunk {
    roots: Option<Arc<RootCertStore>>,
    own: Option<Arc<CertifiedKey>>,
}

impl Tls {
    /// Reads all files.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub fn load(config: TlsConfig, trunks: BTreeMap<TrunkId, TrunkTls>) -> Result<Self, TlsError> {
        let current = RwLock::new(Arc::new(Loaded::read(&config, &trunks)?));
        Ok(Self { config, trunks, current })
    }

    /// Reads all files again. Connections made from now on use them.
    ///
    /// # Errors
    /// The first that cannot be used; then everything stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let loaded = Loaded::read(&self.config, &self.trunks)?;
        *self.current.write() = Arc::new(loaded);
        Ok(())
    }

    /// What is used now.
    pub fn current(&self) -> Arc<Loaded> {
        self.current.read().clone()
    }

    /// How long a handshake may take.
    pub fn handshake(&self) -> Duration {
        self.config.handshake
    }

    /// Reads the files again and tells how it went.
    pub fn reload_and_tell(&self) {
        match self.reload() {
            Ok(()) => {
                tracing::info!("the TLS certificates were read again; new connections use them")
            }
            Err(error) => tracing::error!(%error, "the TLS certificates stay as they were"),
        }
    }

    /// Looks at the files from time to time and reads them when one has changed. Ends never.
    pub async fn watch(self: Arc<Self>) {
        let mut seen = self.times();
        loop {
            tokio::time::sleep(self.config.look_every).await;
            let now = self.times();
            if now != seen {
                // Certificate and key are two files: what is half replaced does not fit, is told,
                // and is read again when the other half is there.
                seen = now;
                self.reload_and_tell();
            }
        }
    }

    /// When each file was changed, and its length.
    fn times(&self) -> Vec<Option<(SystemTime, u64)>> {
        let of_keys = |own: &Option<KeyFiles>| {
            own.iter().flat_map(|it| [it.certificate.clone(), it.key.clone()]).collect::<Vec<_>>()
        };
        let of_trunk = |trunk: &TrunkTls| {
            of_keys(&trunk.own).into_iter().chain(trunk.authorities.clone()).collect::<Vec<_>>()
        };
        let files = of_keys(&self.config.own)
            .into_iter()
            .chain(self.config.authorities.clone())
            .chain(self.trunks.values().flat_map(of_trunk));
        let look = |file: PathBuf| {
            let told = std::fs::metadata(file).ok()?;
            Some((told.modified().ok()?, told.len()))
        };
        files.map(look).collect()
    }

    /// Who the far end of a connection must be.
    pub fn expected(&self, trunk: Option<&TrunkId>, host: Option<&str>, ip: IpAddr) -> Expected {
        let own = trunk.and_then(|trunk| self.trunks.get(trunk));
        match (own, host) {
            (Some(own), _) if !own.pins.is_empty() => Expected::Pinned(own.pins.clone()),
            (Some(own), _) if !own.names.is_empty() => Expected::Domains(own.names.clone()),
            (_, Some(host)) => Expected::Domains(vec![host.into()]),
            (_, None) => Expected::Address(ip),
        }
    }

    /// The names that a pinned certificate of a trunk stands for.
    fn pinned_names(&self, trunk: Option<&TrunkId>) -> Vec<Arc<str>> {
        trunk.and_then(|trunk| self.trunks.get(trunk)).map_or_else(Vec::new, |it| it.names.clone())
    }

    /// What a connection of ours is made with, and the name asked for in it (SNI).
    ///
    /// # Errors
    /// TLS 1.2 and 1.3 are both not to be had: a fault of ours.
    pub fn client(
        &self,
        trunk: Option<&TrunkId>,
        expected: Expected,
        ip: IpAddr,
    ) -> Result<(ClientConfig, ServerName<'static>), rustls::Error> {
        let loaded = self.current();
        let of_trunk = trunk.and_then(|trunk| loaded.trunks.get(trunk));
        let roots = of_trunk.and_then(|it| it.roots.clone()).unwrap_or(loaded.roots.clone());
        let own = of_trunk.and_then(|it| it.own.clone()).or_else(|| loaded.own.clone());
        let names = self.pinned_names(trunk);
        let asked = match &expected {
            Expected::Domains(names) => names.first(),
            Expected::Address(_) | Expected::Pinned(_) => names.first(),
        };
        let name = asked.and_then(|name| ServerName::try_from(name.to_string()).ok());
        let name = name.unwrap_or(ServerName::IpAddress(ip.into()));
        let check = ServerCheck { expected, roots, provider: loaded.provider.clone() };
        let check: Arc<dyn ServerCertVerifier> = Arc::new(check);
        let config = ClientConfig::builder_with_provider(loaded.provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(check);
        let config = match own {
            Some(own) => {
                let own: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(own));
                config.with_client_cert_resolver(own)
            }
            None => config.with_no_client_auth(),
        };
        Ok((config, name))
    }

    /// The SIP domains of the server that a connection of ours has reached.
    pub fn server_names(
        &self,
        connection: &CommonState,
        trunk: Option<&TrunkId>,
        expected: &Expected,
    ) -> Option<Vec<Arc<str>>> {
        let chain = connection.peer_certificates()?;
        match expected {
            Expected::Pinned(_) => Some(self.pinned_names(trunk)),
            Expected::Domains(_) | Expected::Address(_) => chain.first().map(domains),
        }
    }
}

impl Loaded {
    fn read(config: &TlsConfig, trunks: &BTreeMap<TrunkId, TrunkTls>) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = match &config.authorities {
            Some(file) => authorities(file)?,
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        };
        let roots = Arc::new(roots);
        let own = config.own.as_ref().map(|files| own_key(files, &provider)).transpose()?;
        let file = config.authorities.clone().unwrap_or_default();
        let authority = verifier(&roots, &provider, &file)?;
        let (mut loaded, mut asks, mut demands) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (id, trunk) in trunks {
            let roots = trunk.authorities.as_deref().map(authorities).transpose()?.map(Arc::new);
            let own = trunk.own.as_ref().map(|files| own_key(files, &provider)).transpose()?;
            let file = trunk.authorities.clone().unwrap_or_default();
            let authority =
                roots.as_ref().map(|roots| verifier(roots, &provider, &file)).transpose()?;
            for checks in [&mut asks, &mut demands] {
                let (names, pins) = (trunk.names.clone(), trunk.pins.clone());
                checks.push(TrunkCheck { names, pins, authority: authority.clone() });
            }
            loaded.insert(id.clone(), LoadedTrunk { roots, own });
        }
        let check = |trunks, demanded| {
            Arc::new(ClientCheck { authority: authority.clone(), trunks, demanded })
        };
        let (asks, demands) = (check(asks, false), check(demands, true));
        Ok(Self { provider, roots, own, trunks: loaded, asks, demands })
    }

    /// What connections of peers are made with; `None` when we have no certificate.
    pub fn server(&self, client: ClientCertificate) -> Option<ServerConfig> {
        let own = Arc::new(SingleCertAndKey::from(self.own.clone()?));
        let config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .ok()?;
        let config = match client {
            ClientCertificate::None => config.with_no_client_auth(),
            ClientCertificate::Asked => config.with_client_cert_verifier(self.asks.clone()),
            ClientCertificate::Demanded => config.with_client_cert_verifier(self.demands.clone()),
        };
        Some(config.with_cert_resolver(own))
    }

    /// The SIP domains of the client that connected; `None` when it showed no certificate.
    pub fn client_names(&self, connection: &CommonState) -> Option<Vec<Arc<str>>> {
        let (first, others) = connection.peer_certificates()?.split_first()?;
        self.asks.identify(first, others, UnixTime::now()).ok()
    }
}

fn own_key(files: &KeyFiles, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, error))?;
    let own = CertifiedKey::from_der(chain, key, provider)
        .map_err(|error| wrong(&files.certificate, error))?;
    Ok(Arc::new(own))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = read.map_err(|error| wrong(file, error))?;
    if chain.is_empty() { Err(wrong(file, "holds no certificate")) } else { Ok(chain) }
}

fn authorities(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| wrong(file, error))?;
    }
    Ok(roots)
}

fn verifier(
    roots: &Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
    file: &Path,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(|error| wrong(file, error))
}
