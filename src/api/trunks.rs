//! `/v1/trunks`: how each carrier stands, and how its calls have gone of late.

use crate::auth::Caller;
use crate::state::{ApiState, Shared};
use crate::views::LiveTrunk;
use axum::Json;
use axum::extract::State;
use domain::id::{TenantId, TrunkId};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// A trunk. Figures are of its calls that ended within its `window_s`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Trunk)]
pub struct TrunkView {
    /// Its name.
    name: String,
    /// `up`, `degraded` or `down`.
    state: &'static str,
    /// Why it is not up; null when it is.
    why: Option<String>,
    /// `registered` or `not registered`; null: it wants no registration.
    registration: Option<&'static str>,
    /// Why it is not registered.
    registration_why: Option<String>,
    /// Calls that we began within the last second.
    calls_per_second: u32,
    /// How many there may be.
    calls_per_second_max: u32,
    /// Calls now, both ways.
    channels: u32,
    /// How many there may be.
    channels_max: u32,
    /// Calls of ours that ended.
    calls: u32,
    /// Those answered, of them; null without calls.
    answer_ratio: Option<f64>,
    /// Those ended by 5xx or by silence, of them; null without calls.
    failure_ratio: Option<f64>,
    /// Those refused with 503, of them; null without calls.
    unavailable_ratio: Option<f64>,
    /// From INVITE to ringing, on average, in milliseconds; null: none was heard.
    post_dial_delay_ms: Option<u32>,
    /// Packets lost on the way to us, of those expected; null: none were.
    loss_ratio: Option<f64>,
    /// Mean interarrival jitter (RFC 3550 §6.4.1) in milliseconds; null: not known.
    jitter_ms: Option<f64>,
}

/// All trunks of the tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrunkList {
    /// By name.
    items: Vec<TrunkView>,
}

/// Lists the trunks with how they stand.
#[utoipa::path(get, path = "/v1/trunks", tag = "trunks",
    responses((status = 200, description = "All trunks.", body = TrunkList)))]
pub async fn list(State(state): State<Shared>, caller: Caller) -> Json<TrunkList> {
    Json(of(&state, Some(&caller.tenant)))
}

/// For whoever runs the program: those of all tenants.
pub async fn all(State(state): State<Shared>) -> Json<TrunkList> {
    Json(of(&state, None))
}

fn of(state: &ApiState, tenant: Option<&TenantId>) -> TrunkList {
    let own = |id: &TrunkId| tenant.is_none_or(|tenant| id.tenant == *tenant);
    let all = state.views.trunks.iter().filter(|trunk| own(trunk.key()));
    let mut items: Vec<_> = all.map(|trunk| view(trunk.key(), trunk.value())).collect();
    items.sort_by(|one, other| one.name.cmp(&other.name));
    TrunkList { items }
}

fn view(id: &TrunkId, trunk: &LiveTrunk) -> TrunkView {
    let figures = &trunk.figures;
    let ms = |delay: Duration| u32::try_from(delay.as_millis()).unwrap_or(u32::MAX);
    let text = |why: &str| (!why.is_empty()).then(|| why.to_owned());
    TrunkView {
        name: id.name.to_string(),
        state: trunk.state,
        why: text(&trunk.why),
        registration: trunk.registration,
        registration_why: text(&trunk.registration_why),
        calls_per_second: trunk.calls_per_second,
        calls_per_second_max: trunk.calls_per_second_max,
        channels: trunk.channels,
        channels_max: trunk.channels_max,
        calls: figures.calls,
        answer_ratio: figures.answer_ratio(),
        failure_ratio: figures.failure_ratio(),
        unavailable_ratio: figures.unavailable_ratio(),
        post_dial_delay_ms: figures.mean_post_dial_delay().map(ms),
        loss_ratio: figures.loss(),
        jitter_ms: figures.mean_jitter().map(|jitter| jitter.as_secs_f64() * 1_000.0),
    }
}
