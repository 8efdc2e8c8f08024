//! `/v1/events`: the live events of a tenant over a websocket, from any kept number on.
//!
//! ```text
//! read from the feed ──events──► send (within 10 s) ──► read on
//!        │ nothing new                                      │ overtaken by the feed
//!        ▼                                                  ▼
//! wait: news, a frame of the client, 20 s (ping), shutdown  close 4008 "too slow"
//! ```

use crate::auth::Caller;
use crate::feed::Read;
use crate::metrics;
use crate::params::Asked;
use crate::problem::{Kind, Problem};
use crate::state::Shared;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use dashmap::DashMap;
use domain::id::TenantId;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use utoipa::IntoParams;

/// The reply header with the number of the newest event: where a stream without `after` begins.
pub const SEQUENCE: &str = "trunkline-sequence";

/// The stream went too slowly and events were lost to it.
const TOO_SLOW: u16 = 4008;
/// The client sends what it should not.
const NOT_UNDERSTOOD: u16 = 1003; // RFC 6455 §7.4.1.
/// The program is being shut down; come back.
const RESTART: u16 = 1012; // IANA WebSocket Close Code registry: Service Restart.

/// The longest wait for a client to take a frame.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// Pings, so that dead connections are noticed.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Pings without any frame of the client, after which it is taken for dead.
const SILENT_PINGS_MAX: u32 = 3;
/// What a client may send: only control frames make sense.
const CLIENT_BYTES_MAX: usize = 4_096;

/// Where a stream begins.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// The `seq` of the last event seen; absent: only what happens from now on.
    after: Option<u64>,
}

/// The places for streams, of all and of each tenant.
#[derive(Debug)]
pub struct Places {
    all: Arc<Semaphore>,
    of_tenant: DashMap<TenantId, Arc<Semaphore>>,
    of_tenant_max: usize,
}

impl Places {
    /// So many places.
    pub fn new(all: usize, of_tenant_max: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), of_tenant: DashMap::new(), of_tenant_max }
    }

    fn take(&self, tenant: &TenantId) -> Option<[OwnedSemaphorePermit; 2]> {
        let all = self.all.clone().try_acquire_owned().ok()?;
        let own = self
            .of_tenant
            .entry(tenant.clone())
            .or_insert_with(|| Arc::new(Semaphore::new(self.of_tenant_max)))
            .clone();
        Some([all, own.try_acquire_owned().ok()?])
    }
}

/// Opens the stream of live events (a websocket). Each frame is one event as JSON, see the schema
/// `LiveEvent`. With `after`, the events since that number come first; if they are no longer kept,
/// the first frame is `{"type":"gap","oldest":n}` and the stream goes on with number `n`.
/// Without, the reply's header `Trunkline-Sequence` says where it begins. A client that reads too
/// slowly is closed with code 4008 and can come back with `after`.
#[utoipa::path(get, path = "/v1/events", tag = "events", params(EventsQuery),
    responses((status = 101, description = "The stream, of LiveEvent frames."),
        (status = 426, description = "Not a websocket.", body = crate::problem::ProblemBody, content_type = "application/problem+json")))]
pub async fn open(
    State(state): State<Shared>,
    caller: Caller,
    Asked(query): Asked<EventsQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade
        .map_err(|error| Problem::new(Kind::UpgradeRequired, error.body_text()))?
        .max_message_size(CLIENT_BYTES_MAX)
        .max_frame_size(CLIENT_BYTES_MAX);
    let Some(places) = state.places.take(&caller.tenant) else {
        metrics::overload_rejected("streams");
        let detail = "as many streams are open as may be";
        return Err(Problem::new(Kind::TooManyStreams, detail).retry_after(10));
    };
    let newest = state.feed.newest();
    let after = query.after.unwrap_or(newest);
    let mut response = upgrade
        .on_upgrade(move |socket| async move {
            Stream { socket, state, tenant: caller.tenant, after }.run().await;
            drop(places);
        })
        .into_response();
    response.headers_mut().insert(SEQUENCE, HeaderValue::from(newest));
    Ok(response)
}

struct Stream {
    socket: WebSocket,
    state: Shared,
    tenant: TenantId,
    /// The number of the last event sent or passed over.
    after: u64,
}

/// Why a stream ends: a close frame, or nothing when there is nobody to send it to.
type Ended = Option<(u16, &'static str)>;

impl Stream {
    async fn run(mut self) {
        if let Err(Some((code, reason))) = self.follow().await {
            let frame = CloseFrame { code, reason: reason.into() };
            // The client may be gone, or not reading: it has been given its time already.
            let closing = self.socket.send(Message::Close(Some(frame)));
            let _ = tokio::time::timeout(Duration::from_secs(1), closing).await;
        }
    }

    async fn follow(&mut self) -> Result<(), Ended> {
        let mut news = self.state.feed.watch();
        let mut stopping = self.state.stopping.subscribe();
        let mut pings = tokio::time::interval(PING_EVERY);
        pings.reset();
        let mut silent_pings = 0;
        self.begin().await?;
        loop {
            news.mark_unchanged();
            let more = self.send_events().await?;
            tokio::select! {
                biased;
                frame = self.socket.recv() => {
                    expected(frame)?;
                    silent_pings = 0;
                }
                () = told_to_stop(&mut stopping) => {
                    return Err(Some((RESTART, "shutting down: come back with ?after=SEQ")));
                }
                _ = pings.tick() => {
                    silent_pings += 1;
                    if silent_pings > SILENT_PINGS_MAX {
                        return Err(None);
                    }
                    self.send(Message::Ping("".into())).await?;
                }
                () = std::future::ready(()), if more => (),
                _ = news.changed() => (),
            }
        }
    }

    /// Tells of a gap, if there is one, and begins behind it.
    async fn begin(&mut self) -> Result<(), Ended> {
        if let Read::Gone { oldest } = self.state.feed.read(self.after, &self.tenant) {
            self.send(Message::text(format!(r#"{{"type":"gap","oldest":{oldest}}}"#))).await?;
            self.after = oldest - 1;
        }
        Ok(())
    }

    /// Sends what is there, one batch at most; whether there may be more.
    async fn send_events(&mut self) -> Result<bool, Ended> {
        match self.state.feed.read(self.after, &self.tenant) {
            Read::Gone { .. } => Err(Some((TOO_SLOW, "too slow: come back with ?after=SEQ"))),
            Read::Events(events, next) => {
                for event in &events {
                    self.send(Message::text(event.text())).await?;
                }
                let more = next > self.after;
                self.after = next;
                Ok(more)
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Ended> {
        match tokio::time::timeout(SEND_WITHIN, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(None),
            Err(_) => Err(Some((TOO_SLOW, "too slow: come back with ?after=SEQ"))),
        }
    }
}

/// Waits for [`crate::state::ApiState::close_streams`].
async fn told_to_stop(stopping: &mut watch::Receiver<bool>) {
    // It cannot fail: the state holds the other end, and the stream holds the state.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Whether a frame of the client lets the stream go on.
fn expected(frame: Option<Result<Message, axum::Error>>) -> Result<(), Ended> {
    match frame {
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
        Some(Ok(Message::Text(_) | Message::Binary(_))) => {
            Err(Some((NOT_UNDERSTOOD, "this stream only tells; orders go over HTTP")))
        }
        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(None),
    }
}
