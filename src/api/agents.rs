//! `/v1/agents`: what agents do, and what they say they do.

use crate::auth::Caller;
use crate::body;
use crate::event_json::agent_word;
use crate::params::At;
use crate::problem::{Fault, Problem};
use crate::state::Shared;
use crate::time;
use crate::views::LiveAgent;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use domain::id::AgentId;
use queue::event::AgentSays;
use serde::{Deserialize, Serialize};
use switchboard::event::Command;
use utoipa::ToSchema;

/// An agent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Agent)]
pub struct AgentView {
    /// The agent's name.
    name: String,
    /// `logged_out`, `available`, `reserved`, `ringing`, `talking`, `wrap_up` or `paused`.
    state: &'static str,
    /// Why paused.
    reason: Option<String>,
    /// Since when (RFC 3339); null: since the start of the program.
    since: Option<String>,
    /// The queues the agent serves.
    queues: Vec<String>,
}

/// All agents of the tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgentList {
    /// By name.
    items: Vec<AgentView>,
}

/// What an agent says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAgentState {
    /// What.
    state: Saying,
    /// Why, 1 to 100 letters; required for `pause`, refused for the others.
    #[serde(default)]
    reason: Option<String>,
}

/// What an agent can say.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Saying {
    /// At work; not yet ready for calls.
    LogIn,
    /// Gone; in a call it takes effect at its end.
    LogOut,
    /// Ready for calls; ends a pause and the wrap-up.
    Ready,
    /// Away for a while; in a call it takes effect at its end.
    Pause,
    /// Needs more time after the call, until `ready`.
    ExtendWrapUp,
}

impl NewAgentState {
    fn check(self) -> Result<AgentSays, Problem> {
        let fault = |detail| Err(Problem::invalid(vec![Fault::at("/reason", detail)]));
        let reason = self.reason.as_deref().map(str::trim);
        match (self.state, reason) {
            (Saying::Pause, Some(reason)) => {
                if reason.is_empty() || reason.chars().nth(100).is_some() {
                    return fault("it has 1 to 100 letters");
                }
                Ok(AgentSays::Pause { reason: reason.into() })
            }
            (Saying::Pause, None) => fault("a pause has a reason, such as \"lunch\""),
            (_, Some(_)) => fault("only a pause has a reason"),
            (Saying::LogIn, None) => Ok(AgentSays::LogIn),
            (Saying::LogOut, None) => Ok(AgentSays::LogOut),
            (Saying::Ready, None) => Ok(AgentSays::Ready),
            (Saying::ExtendWrapUp, None) => Ok(AgentSays::ExtendWrapUp),
        }
    }
}

/// Lists the agents with what they do now.
#[utoipa::path(get, path = "/v1/agents", tag = "agents",
    responses((status = 200, description = "All agents.", body = AgentList)))]
pub async fn list(State(state): State<Shared>, caller: Caller) -> Json<AgentList> {
    let own = state.views.agents.iter().filter(|agent| agent.key().tenant == caller.tenant);
    let mut items: Vec<_> = own.map(|agent| view(agent.key(), agent.value())).collect();
    items.sort_by(|one, other| one.name.cmp(&other.name));
    Json(AgentList { items })
}

/// Shows one agent.
#[utoipa::path(get, path = "/v1/agents/{name}", tag = "agents",
    params(("name" = String, Path, description = "The agent's name.")),
    responses((status = 200, description = "The agent.", body = AgentView)))]
pub async fn show(
    State(state): State<Shared>,
    caller: Caller,
    At(name): At<String>,
) -> Result<Json<AgentView>, Problem> {
    let id = AgentId::new(&caller.tenant, &name);
    let found = state.views.agents.get(&id).map(|agent| view(&id, agent.value()));
    found.map(Json).ok_or_else(|| Problem::not_found("agent", name))
}

/// Says what the agent does from now on. It is on disk before the answer comes.
#[utoipa::path(put, path = "/v1/agents/{name}/state", tag = "agents", request_body = NewAgentState,
    params(("name" = String, Path, description = "The agent's name.")),
    responses((status = 204, description = "Taken.")))]
pub async fn set_state(
    State(state): State<Shared>,
    caller: Caller,
    At(name): At<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let says = body::form::<NewAgentState>(request).await?.check()?;
    let agent = AgentId::new(&caller.tenant, &name);
    if !state.views.agents.contains_key(&agent) {
        return Err(Problem::not_found("agent", name));
    }
    state.order(Command::Agent { agent, says }, "agent", &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn view(id: &AgentId, agent: &LiveAgent) -> AgentView {
    let (state, reason) = agent_word(&agent.state);
    AgentView {
        name: id.name.to_string(),
        state,
        reason: reason.map(str::to_owned),
        since: (agent.since_wall_ms > 0).then(|| time::print(agent.since_wall_ms)),
        queues: agent.queues.iter().map(ToString::to_string).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pause_has_a_reason() {
        let check = |text: &str| {
            let form = crate::body::json::<NewAgentState>(text.as_bytes());
            form.and_then(NewAgentState::check).map_err(|problem| problem.detail)
        };
        assert_eq!(check(r#"{"state":"log_in"}"#), Ok(AgentSays::LogIn));
        let lunch = AgentSays::Pause { reason: "lunch".into() };
        assert_eq!(check(r#"{"state":"pause","reason":" lunch "}"#), Ok(lunch));
        for (text, expected) in [
            (r#"{"state":"pause"}"#, "a pause has a reason, such as \"lunch\""),
            (r#"{"state":"pause","reason":" "}"#, "it has 1 to 100 letters"),
            (r#"{"state":"ready","reason":"x"}"#, "only a pause has a reason"),
            (
                r#"{"state":"asleep"}"#,
                "unknown variant `asleep`, expected one of `log_in`, `log_out`, `ready`, `pause`, \
                 `extend_wrap_up`",
            ),
        ] {
            assert_eq!(check(text), Err(expected.to_owned()), "{text}");
        }
    }
}
