//! HTTP listeners: bounded in connections, and in how long a request's head may take, so that
//! whoever opens connections and says nothing cannot use up the descriptors that calls need.

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Connections of one listener at once; further ones wait in the system's backlog.
const CONNECTIONS_MAX: usize = 1_024;
/// How long the head of a request may take, the first one of a connection and each later one: so
/// long may a connection be idle, too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// A listener that takes connections but does not yet answer them.
pub struct HttpListener(TcpListener);

impl HttpListener {
    /// Binds `address`.
    ///
    /// # Errors
    /// The system's.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        Ok(Self(TcpListener::bind(address).await?))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Answers by `router` until it is dropped; with it go its connections.
    pub async fn serve(self, router: axum::Router) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            // Never closed, so this waits for a place and cannot fail.
            let Ok(place) = room.clone().acquire_owned().await else { return };
            while connections.try_join_next().is_some() {}
            match self.0.accept().await {
                Ok((stream, _)) => {
                    let router = router.clone();
                    connections.spawn(async move {
                        answer(stream, router).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Usually too many open files: wait for some to close instead of spinning.
                    tracing::warn!(%error, "an HTTP connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}

async fn answer(stream: TcpStream, router: axum::Router) {
    let _ = stream.set_nodelay(true);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn listener() -> SocketAddr {
        let listener = HttpListener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.address().unwrap();
        let router = axum::Router::new().route("/", get(|| async { "here" }));
        tokio::spawn(listener.serve(router));
        address
    }

    #[tokio::test]
    async fn a_request_is_answered() {
        let mut stream = TcpStream::connect(listener().await).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("here"), "{text}");
    }

    /// Half a head and then silence; the time passes at once.
    #[tokio::test]
    async fn who_does_not_finish_his_request_is_let_go() {
        let mut stream = TcpStream::connect(listener().await).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
        tokio::time::pause();
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(2 * HEAD_TIMEOUT, stream.read_to_end(&mut bytes)).await;
        assert!(matches!(read, Ok(Ok(_) | Err(_))), "the connection was kept open");
    }
}
