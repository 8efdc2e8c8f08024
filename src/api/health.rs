//! `/healthz`, `/readyz`, `/metrics`, `/trunks` and `/bans`: for those who run the program, on their own
//! listener and without a key.

use crate::metrics;
use crate::state::Shared;
use crate::time;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::Serialize;

/// Whether calls should be sent here.
#[derive(Debug, Eq, PartialEq, Serialize)]
struct Readiness {
    ready: bool,
    checks: Vec<Check>,
}

#[derive(Debug, Eq, PartialEq, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The paths of those who run the program. The gateway binds them to loopback unless told else.
pub fn operations_router(state: Shared) -> Router {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(page))
        .route("/trunks", get(crate::trunks::all))
        .route("/bans", get(crate::bans::all))
        .route("/bans/{address}", delete(crate::bans::unban))
        .fallback(crate::router::no_such_path)
        .method_not_allowed_fallback(crate::router::method_not_allowed)
        .with_state(state)
}

/// The runtime answers, so it lives.
async fn alive() -> &'static str {
    "alive\n"
}

async fn ready(State(state): State<Shared>) -> Response {
    let works = if state.ledger.works() { Ok(()) } else { Err("it takes no facts".to_owned()) };
    let mut checks = vec![check("ledger", works)];
    let stopping = *state.stopping.borrow();
    let draining = if stopping { Err("it is being shut down".to_owned()) } else { Ok(()) };
    checks.push(check("running", draining));
    checks.extend(state.probes.iter().map(|probe| check(probe.name, (probe.check)())));
    let ready = checks.iter().all(|check| check.ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, checks })).into_response()
}

fn check(name: &'static str, result: Result<(), String>) -> Check {
    Check { name, ok: result.is_ok(), reason: result.err() }
}

async fn page(State(state): State<Shared>) -> impl IntoResponse {
    let stats = state.ledger.stats();
    let text = metrics::scrape(&state.metrics, &state.views, &stats, time::now_ms());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
