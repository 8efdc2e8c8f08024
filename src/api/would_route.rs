//! `/v1/would-route`: where a call would go and why not elsewhere, without the call.

use crate::auth::Caller;
use crate::body;
use crate::calls::RejectedView;
use crate::exchange;
use crate::problem::{Fault, Problem};
use crate::state::{ApiState, Shared};
use axum::Json;
use axum::extract::{Request, State};
use domain::id::{AgentId, TenantId, TrunkId};
use serde::{Deserialize, Serialize};
use sip::event::Source;
use switchboard::event::Command;
use switchboard::lead::WouldLead;
use utoipa::ToSchema;

/// As long as a number may be.
const NUMBER_MAX: usize = 128;

/// A call that might be: from exactly one of `trunk` and `agent`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The trunk that it would come from.
    #[serde(default)]
    trunk: Option<String>,
    /// The agent who would dial.
    #[serde(default)]
    agent: Option<String>,
    /// The number that the caller would show; absent: none.
    #[serde(default)]
    from: String,
    /// The number that he would dial, 1 to 128 letters.
    to: String,
}

/// What would be done.
#[derive(Debug, Serialize, ToSchema)]
pub struct WouldRoute {
    /// What would be tried, one after the other as long as nothing could be sent.
    steps: Vec<StepView>,
}

/// One step of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Step)]
pub struct StepView {
    /// What would be chosen, such as `route national`, `trunk acme`, `refused with 404`.
    chosen: String,
    /// What would not.
    rejected: Vec<RejectedView>,
}

/// Tells where a call would go now, by the rules and the state of the trunks.
#[utoipa::path(post, path = "/v1/would-route", tag = "trunks", request_body = Question,
    responses((status = 200, description = "What would be done.", body = WouldRoute)))]
pub async fn ask(
    State(state): State<Shared>,
    caller: Caller,
    request: Request,
) -> Result<Json<WouldRoute>, Problem> {
    let question: Question = body::form(request).await?;
    let source = question.source(&state, &caller.tenant)?;
    let (from, dialled) = (question.from.into(), question.to.into());
    let question = Command::WouldRoute { source, from, dialled };
    let name = "of the call";
    let steps = exchange::would_lead(&*state.exchange, question, name).await?;
    Ok(Json(WouldRoute { steps: steps.iter().map(view).collect() }))
}

impl Question {
    /// Whom the call would come from.
    fn source(&self, state: &ApiState, tenant: &TenantId) -> Result<Source, Problem> {
        let fault = |pointer, detail: String| Fault::at(pointer, detail);
        let mut faults = Vec::new();
        for (pointer, number, least) in [("/to", &self.to, 1), ("/from", &self.from, 0)] {
            if !(least..=NUMBER_MAX).contains(&number.len()) {
                faults.push(fault(pointer, format!("it has {least} to {NUMBER_MAX} letters")));
            }
        }
        let trunk = self.trunk.as_ref().map(|name| TrunkId::new(tenant, name));
        let agent = self.agent.as_ref().map(|name| AgentId::new(tenant, name));
        let source = match (trunk, agent) {
            (Some(trunk), None) if state.trunks.contains(&trunk) => Some(Source::Trunk(trunk)),
            (Some(trunk), None) => {
                faults.push(fault("/trunk", format!("there is no trunk {:?}", trunk.name)));
                None
            }
            (None, Some(agent)) if state.views.agents.contains_key(&agent) => {
                Some(Source::Agent(agent))
            }
            (None, Some(agent)) => {
                faults.push(fault("/agent", format!("there is no agent {:?}", agent.name)));
                None
            }
            (Some(_), Some(_)) | (None, None) => {
                faults.push(fault("", "name either a trunk or an agent".to_owned()));
                None
            }
        };
        source.filter(|_| faults.is_empty()).ok_or_else(|| Problem::invalid(faults))
    }
}

fn view(step: &WouldLead) -> StepView {
    StepView {
        chosen: step.chosen.to_string(),
        rejected: step.rejected.iter().map(RejectedView::of).collect(),
    }
}
