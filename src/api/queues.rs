//! `/v1/queues`: who waits, who serves, and how well.

use crate::auth::Caller;
use crate::body;
use crate::event_json::agent_word;
use crate::params::At;
use crate::problem::Problem;
use crate::state::{ApiState, Shared};
use crate::time;
use crate::views::LiveQueue;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use domain::id::{AgentId, QueueId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use switchboard::event::Command;
use utoipa::ToSchema;

/// A queue. The counts are of callers, since the start of the program.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Queue)]
pub struct QueueView {
    /// Its name.
    name: String,
    /// What was last said through the API: open or closed; null: by its hours.
    set_open: Option<bool>,
    /// Callers waiting now.
    waiting: u32,
    /// How many may wait.
    waiting_max: u32,
    /// How long the first of them has waited.
    longest_wait_s: u64,
    /// Its agents by what they do now.
    agents_by_state: BTreeMap<&'static str, u32>,
    /// Callers let in.
    admitted: u64,
    /// Callers refused: full, closed or nobody there.
    refused: u64,
    /// Callers joined with an agent.
    answered: u64,
    /// Callers who left while waiting.
    abandoned: u64,
    /// Mean wait of those answered.
    mean_wait_s: Option<f64>,
    /// Those answered within 20 s, of those answered or gone.
    service_level: Option<f64>,
}

/// All queues of the tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueList {
    /// By name.
    items: Vec<QueueView>,
}

/// Whether a queue takes callers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// Open or closed.
    open: bool,
}

/// Lists the queues with their figures.
#[utoipa::path(get, path = "/v1/queues", tag = "queues",
    responses((status = 200, description = "All queues.", body = QueueList)))]
pub async fn list(State(state): State<Shared>, caller: Caller) -> Json<QueueList> {
    let names = state.queues_of(&caller);
    let items = names.iter().filter_map(|name| {
        let id = QueueId::new(&caller.tenant, name);
        find(&state, &id)
    });
    Json(QueueList { items: items.collect() })
}

/// Shows one queue.
#[utoipa::path(get, path = "/v1/queues/{name}", tag = "queues",
    params(("name" = String, Path, description = "The queue's name.")),
    responses((status = 200, description = "The queue.", body = QueueView)))]
pub async fn show(
    State(state): State<Shared>,
    caller: Caller,
    At(name): At<String>,
) -> Result<Json<QueueView>, Problem> {
    let id = QueueId::new(&caller.tenant, &name);
    find(&state, &id).map(Json).ok_or_else(|| Problem::not_found("queue", name))
}

/// Opens or closes a queue by hand. Callers who wait in it go on waiting.
#[utoipa::path(put, path = "/v1/queues/{name}/open", tag = "queues", request_body = Opening,
    params(("name" = String, Path, description = "The queue's name.")),
    responses((status = 204, description = "Done.")))]
pub async fn set_open(
    State(state): State<Shared>,
    caller: Caller,
    At(name): At<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let open = body::form::<Opening>(request).await?.open;
    let queue = QueueId::new(&caller.tenant, &name);
    if !state.views.queues.contains_key(&queue) {
        return Err(Problem::not_found("queue", name));
    }
    state.order(Command::Queue { queue: queue.clone(), open }, "queue", &name).await?;
    if let Some(mut queue) = state.views.queues.get_mut(&queue) {
        queue.set_open = Some(open);
    }
    Ok(StatusCode::NO_CONTENT)
}

fn find(state: &ApiState, id: &QueueId) -> Option<QueueView> {
    // Copied out, so that no other map is looked into while this one is held.
    let queue: LiveQueue = state.views.queues.get(id)?.clone();
    let waiting = state.views.waiting(id);
    let oldest = waiting.oldest_since_wall_ms;
    let mut agents_by_state = BTreeMap::new();
    for name in &queue.agents {
        let agent = AgentId { tenant: id.tenant.clone(), name: name.clone() };
        if let Some(agent) = state.views.agents.get(&agent) {
            *agents_by_state.entry(agent_word(&agent.state).0).or_default() += 1;
        }
    }
    let share = |part: f64, whole: u64| (whole > 0).then(|| part / whole as f64);
    Some(QueueView {
        name: id.name.to_string(),
        set_open: queue.set_open,
        waiting: waiting.callers,
        waiting_max: queue.length_max,
        longest_wait_s: oldest.map_or(0, |at| time::now_ms().saturating_sub(at) / 1000),
        agents_by_state,
        admitted: queue.admitted,
        refused: queue.refused,
        answered: queue.answered,
        abandoned: queue.abandoned,
        mean_wait_s: share(queue.waited_ms as f64 / 1000.0, queue.answered),
        service_level: share(queue.answered_in_20_s as f64, queue.answered + queue.abandoned),
    })
}
