//! `/v1/bans`: who is left unread for a while, and how he is read again.
//!
//! The guard keeps watch over the whole program, so its bans belong to the tenant `default`, as the
//! configuration does.

use crate::auth::Caller;
use crate::exchange::{self, Ban};
use crate::params::At;
use crate::problem::Problem;
use crate::state::{ApiState, Shared};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::id::TenantId;
use serde::Serialize;
use std::net::IpAddr;
use utoipa::ToSchema;

/// A source that is banned.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ban)]
pub struct BanView {
    /// Its IPv4 address, or the first of its IPv6 network of 64 bits.
    source: String,
    /// Seconds that are left of it.
    left_s: u64,
    /// Messages that it has left unread.
    dropped: u64,
}

/// All bans.
#[derive(Debug, Serialize, ToSchema)]
pub struct BanList {
    /// By address.
    items: Vec<BanView>,
}

/// Lists who is banned now.
#[utoipa::path(get, path = "/v1/bans", tag = "bans",
    responses((status = 200, description = "All bans.", body = BanList)))]
pub async fn list(State(state): State<Shared>, caller: Caller) -> Result<Json<BanList>, Problem> {
    match owns(&caller) {
        true => of(&state).await,
        false => Ok(Json(BanList { items: Vec::new() })),
    }
}

/// Ends a ban. The source's next one is as short as its first.
#[utoipa::path(delete, path = "/v1/bans/{address}", tag = "bans",
    params(("address" = String, Path, description = "The source's address; with IPv6, any of its network.")),
    responses((status = 204, description = "It is read again.")))]
pub async fn remove(
    State(state): State<Shared>,
    caller: Caller,
    At(address): At<IpAddr>,
) -> Result<StatusCode, Problem> {
    match owns(&caller) {
        true => end(&state, address).await,
        false => Err(Problem::not_found("ban", address.to_string())),
    }
}

/// For whoever runs the program.
pub async fn all(State(state): State<Shared>) -> Result<Json<BanList>, Problem> {
    of(&state).await
}

/// For whoever runs the program.
pub async fn unban(
    State(state): State<Shared>,
    At(address): At<IpAddr>,
) -> Result<StatusCode, Problem> {
    end(&state, address).await
}

fn owns(caller: &Caller) -> bool {
    caller.tenant == TenantId::default()
}

async fn of(state: &ApiState) -> Result<Json<BanList>, Problem> {
    let bans = exchange::bans(&*state.exchange).await?;
    let view = |ban: Ban| BanView {
        source: ban.source.to_string(),
        left_s: ban.left.as_secs(),
        dropped: ban.dropped,
    };
    Ok(Json(BanList { items: bans.into_iter().map(view).collect() }))
}

async fn end(state: &ApiState, address: IpAddr) -> Result<StatusCode, Problem> {
    let reply = state.exchange.unban(address);
    exchange::settled(reply, "ban", &address.to_string()).await?;
    Ok(StatusCode::NO_CONTENT)
}
