//! The TLS of a trunk, looked at alone: who its certificate is for, who vouches for it, how long.

use crate::net::certificate::domains;
use crate::net::tls::Tls;
use domain::id::TrunkId;
use std::net::SocketAddr;
use std::sync::Arc;
use stir::certificate::Certificate;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Makes a connection as calls would, and says what it is like.
///
/// # Errors
/// Why there is none, in words: not connected, or the certificate is not believed.
pub async fn look(
    tls: Arc<Tls>,
    trunk: TrunkId,
    host: Option<Arc<str>>,
    remote: SocketAddr,
    now_s: u64,
) -> Result<String, String> {
    let expected = tls.expected(Some(&trunk), host.as_deref(), remote.ip());
    let client = tls.client(Some(&trunk), expected, remote.ip());
    let (config, name) = client.map_err(|error| error.to_string())?;
    let stream = TcpStream::connect(remote).await.map_err(|error| error.to_string())?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let stream = connected.map_err(|error| error.to_string())?;
    let state = stream.get_ref().1;
    let version = state.protocol_version().and_then(|it| it.as_str().map(str::to_owned));
    let chain = state.peer_certificates().unwrap_or_default();
    let Some(first) = chain.first() else { return Err("it showed no certificate".to_owned()) };
    let names = domains(first).join(", ");
    let names = if names.is_empty() { "its address".to_owned() } else { names };
    let version = version.unwrap_or_default();
    let days = Certificate::parse(first).map(|it| it.not_after().saturating_sub(now_s) / 86_400);
    let ends = days.map_or_else(String::new, |days| format!(", valid for {days} more days"));
    let length = chain.len();
    Ok(format!("{version}; certificate for {names}, chain of {length}{ends}"))
}
