//! SIP over WebSocket (RFC 7118), the server's side: each message is one WebSocket message. We
//! connect to nobody by it: browsers and telephones cannot be connected to.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use sip::message::LENGTH_MAX;
use sip::message::framer::{PING, PONG};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

/// The header that names subprotocols (RFC 6455 §11.3.4).
const PROTOCOLS: &str = "Sec-WebSocket-Protocol";

/// Frames in and out of one WebSocket.
pub struct WebSocket<S>(WebSocketStream<S>);

/// What came.
#[derive(Debug)]
pub enum Came {
    /// A message.
    Message(Bytes),
    /// A keep-alive, which is answered with this (RFC 7118 §6, RFC 5626 §3.5.1).
    Ping(&'static [u8]),
    /// Something without meaning for SIP.
    Other,
    /// It is over.
    End,
    /// It was too large, or against the rules of WebSocket: it is over.
    Broken,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Takes the handshake of a client that speaks SIP; any path will do.
    ///
    /// # Errors
    /// It is none, or does not offer the subprotocol `sip` (RFC 7118 §4.1): it was refused with 400.
    // The type of the refusal is the library's.
    #[allow(clippy::result_large_err)]
    pub async fn accept(stream: S) -> Result<Self, Error> {
        let choose = |request: &Request, mut response: Response| {
            let offered = request.headers().get_all(PROTOCOLS).iter();
            let mut offered = offered.filter_map(|value| value.to_str().ok());
            let is_sip =
                |value: &str| value.split(',').any(|it| it.trim().eq_ignore_ascii_case("sip"));
            if !offered.any(is_sip) {
                let mut refusal =
                    ErrorResponse::new(Some("the subprotocol sip is needed\n".into()));
                *refusal.status_mut() = StatusCode::BAD_REQUEST;
                return Err(refusal);
            }
            response.headers_mut().insert(PROTOCOLS, HeaderValue::from_static("sip"));
            Ok(response)
        };
        let config = WebSocketConfig::default()
            .max_message_size(Some(LENGTH_MAX))
            .max_frame_size(Some(LENGTH_MAX));
        tokio_tungstenite::accept_hdr_async_with_config(stream, choose, Some(config))
            .await
            .map(Self)
    }

    /// Waits for the next frame. Nothing is lost when it is not waited for any longer.
    pub async fn next(&mut self) -> Came {
        let message = match self.0.next().await {
            Some(Ok(Message::Text(text))) => Bytes::from(text),
            Some(Ok(Message::Binary(bytes))) => bytes,
            // Ping is answered by the library (RFC 7118 §6).
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                return Came::Other;
            }
            Some(Ok(Message::Close(_))) | None => return Came::End,
            Some(Err(Error::Io(_) | Error::ConnectionClosed | Error::AlreadyClosed)) => {
                return Came::End;
            }
            Some(Err(_)) => return Came::Broken,
        };
        match &message[..] {
            PING => Came::Ping(PONG),
            PONG => Came::Other,
            _ => Came::Message(message),
        }
    }

    /// Sends one message: as text, which every client reads, if it is text (RFC 7118 §4.2).
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send(&mut self, message: Bytes) -> io::Result<()> {
        let frame = match std::str::from_utf8(&message) {
            Ok(text) => Message::text(text),
            Err(_) => Message::binary(message),
        };
        self.0.send(frame).await.map_err(io::Error::other)
    }

    /// Says goodbye.
    pub async fn close(&mut self) {
        // Gone or not, it is over.
        let _ = self.0.close(None).await;
    }
}
