//! What stands behind the demo's hotline: an order service, and a receiver of webhooks that checks
//! their signatures' form.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The service at work.
pub struct Service {
    /// Where it is.
    pub address: SocketAddr,
    webhooks: Arc<AtomicU64>,
}

impl Service {
    /// How many webhooks came with the headers of Standard Webhooks.
    pub fn webhooks(&self) -> u64 {
        self.webhooks.load(Ordering::Relaxed)
    }
}

/// Starts the service on a free port. To be called within the runtime.
///
/// # Errors
/// The system's.
pub async fn start() -> std::io::Result<Service> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let webhooks = Arc::new(AtomicU64::new(0));
    let router = Router::new()
        .route("/orders/{number}", get(order))
        .route("/webhook", post(webhook))
        .with_state(webhooks.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(Service { address, webhooks })
}

async fn order(Path(number): Path<String>) -> Result<Json<Value>, StatusCode> {
    match number.as_str() {
        "4711" => Ok(Json(json!({ "status": "shipped", "expected": "Tuesday" }))),
        "4712" => Ok(Json(json!({ "status": "processing", "expected": "Friday" }))),
        // A service with a fault: the hotline must find another way.
        "4713" => Err(StatusCode::INTERNAL_SERVER_ERROR),
        _ => Err(StatusCode::NOT_FOUND),
    }
}

async fn webhook(State(webhooks): State<Arc<AtomicU64>>, headers: HeaderMap) -> StatusCode {
    let signed = headers.contains_key("webhook-id")
        && headers.contains_key("webhook-timestamp")
        && headers
            .get("webhook-signature")
            .is_some_and(|value| value.as_bytes().starts_with(b"v1,"));
    if signed {
        webhooks.fetch_add(1, Ordering::Relaxed);
        return StatusCode::NO_CONTENT;
    }
    StatusCode::BAD_REQUEST
}
