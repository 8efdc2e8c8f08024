//! `/v1/calls`: calls that are up, and the records of those that are over.

use crate::auth::Caller;
use crate::params::{Asked, At, Page, PageQuery};
use crate::problem::Problem;
use crate::state::Shared;
use crate::time;
use crate::views::{LiveCall, Stage};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::id::CallId;
use serde::Serialize;
use store::words;
use switchboard::event::{Command, Decision, LegRecord, Rejected};
use utoipa::ToSchema;

/// A call that is up or being set up.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LiveCall)]
pub struct LiveCallView {
    /// Its number.
    id: u64,
    /// How it began: `caller`, `callback` or `contact`.
    role: &'static str,
    /// Who called.
    from: String,
    /// Who was called.
    to: String,
    /// When it began (RFC 3339).
    started_at: String,
    /// The intent last understood.
    intent: Option<String>,
    /// `conversing`, `waiting`, `talking`, or `through` for one led through to somebody else.
    stage: &'static str,
    /// Where it waits.
    queue: Option<String>,
    /// How many were before it when last told.
    position: Option<u32>,
    /// Estimated wait when last told.
    estimate_s: Option<u32>,
    /// Who is rung for it or talks in it.
    agent: Option<String>,
    /// Since when it waits or talks.
    since: Option<String>,
}

/// A call: what is known of it now and of its legs that are over.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Call)]
pub struct CallView {
    /// Its number.
    id: u64,
    /// What it is at; null: it is over.
    live: Option<LiveCallView>,
    /// Its ended legs in the order of their starts.
    legs: Vec<LegView>,
    /// Where it was led and why, in the order of the decisions.
    decisions: Vec<DecisionView>,
}

/// Where a call was led, and why not elsewhere.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Decision)]
pub struct DecisionView {
    /// When (RFC 3339).
    at: String,
    /// What asked: `trunk acme`, `agent anna`, `campaign 7`.
    source: String,
    /// The number it came with.
    from: String,
    /// The number it asked for.
    to: String,
    /// What was chosen: `trunk acme dials +49301234`.
    chosen: String,
    /// The status that it was refused with; 0: it was not.
    status: u16,
    /// What was not chosen.
    rejected: Vec<RejectedView>,
}

/// An alternative that was not taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rejected)]
pub struct RejectedView {
    /// What.
    candidate: String,
    /// The first test that it failed.
    test: String,
    /// How.
    why: String,
}

impl RejectedView {
    pub(crate) fn of(rejected: &Rejected) -> Self {
        Self {
            candidate: rejected.candidate.to_string(),
            test: rejected.test.to_string(),
            why: rejected.why.to_string(),
        }
    }
}

/// The record of one leg.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Leg)]
pub struct LegView {
    /// Its number.
    id: u64,
    /// `caller`, `agent`, `callback` or `contact`.
    role: &'static str,
    /// SIP's Call-ID; empty if nothing was sent.
    sip_call_id: String,
    /// Through which trunk.
    trunk: Option<String>,
    /// Who called.
    from: String,
    /// Who was called.
    to: String,
    /// Which agent.
    agent: Option<String>,
    /// Which queue brought it about.
    queue: Option<String>,
    /// The intent recognised in the call.
    intent: Option<String>,
    /// When its INVITE was sent or came (RFC 3339).
    started_at: String,
    /// When it was answered.
    answered_at: Option<String>,
    /// When it ended.
    ended_at: String,
    /// Why it ended: `normal`, `busy`, `no_answer` …
    cause: &'static str,
    /// The SIP status, 0 when none was seen.
    sip_status: u16,
    /// The Q.850 cause.
    q850: u8,
    /// Who ended it: `us`, `peer` or `network`.
    ended_by: &'static str,
    /// RTP packets sent.
    packets_sent: u64,
    /// RTP packets received.
    packets_received: u64,
    /// RTP packets expected and not seen.
    packets_lost: u64,
    /// Interarrival jitter.
    jitter_ms: f64,
    /// Opinion score, 1 to 4.5; null: no sound was received.
    mos: Option<f32>,
    /// What the verification of the caller's number said, where it was asked for:
    /// `TN-Validation-Passed`, `TN-Validation-Failed` or `No-TN-Validation`.
    verstat: Option<String>,
    /// How far the caller's carrier vouches for him: `A`, `B` or `C`.
    attestation: Option<String>,
}

/// Lists the calls that are up, by number.
#[utoipa::path(get, path = "/v1/calls", tag = "calls", params(PageQuery),
    responses((status = 200, description = "A page.", body = Page<LiveCallView>)))]
pub async fn list(
    State(state): State<Shared>,
    caller: Caller,
    Asked(page): Asked<PageQuery>,
) -> Json<Page<LiveCallView>> {
    let limit = page.limit();
    let own = state.views.calls.iter().filter(|call| call.tenant == caller.tenant);
    let mut ids: Vec<CallId> = own.map(|call| *call.key()).filter(|id| id.0 > page.after).collect();
    ids.sort();
    ids.truncate(limit as usize);
    let next = ids.last().filter(|_| ids.len() == limit as usize).map(|id| id.0);
    // A call may end between the two looks; then it is simply not in the page.
    let items = ids.iter().filter_map(|id| Some(live_view(*id, &*state.views.calls.get(id)?)));
    Json(Page { items: items.collect(), next })
}

/// Shows one call with the records of its legs.
#[utoipa::path(get, path = "/v1/calls/{id}", tag = "calls",
    params(("id" = u64, Path, description = "The call's number.")),
    responses((status = 200, description = "The call.", body = CallView)))]
pub async fn show(
    State(state): State<Shared>,
    caller: Caller,
    At(id): At<u64>,
) -> Result<Json<CallView>, Problem> {
    let call = CallId(id);
    let live = state.views.calls.get(&call).filter(|call| call.tenant == caller.tenant);
    let live = live.map(|found| live_view(call, &found));
    let (legs, decisions) = state
        .read(move |reader| {
            let legs = reader.legs(&caller.tenant, call)?;
            Ok((legs, reader.decisions_on_call(Some(&caller.tenant), call)?))
        })
        .await?;
    if live.is_none() && legs.is_empty() {
        return Err(Problem::not_found("call", id));
    }
    let legs = legs.iter().map(leg_view).collect();
    let decisions = decisions.iter().map(decision_view).collect();
    Ok(Json(CallView { id, live, legs, decisions }))
}

/// Hangs up.
#[utoipa::path(delete, path = "/v1/calls/{id}", tag = "calls",
    params(("id" = u64, Path, description = "The call's number.")),
    responses((status = 204, description = "It is being ended.")))]
pub async fn hang_up(
    State(state): State<Shared>,
    caller: Caller,
    At(id): At<u64>,
) -> Result<StatusCode, Problem> {
    let call = CallId(id);
    let own = state.views.calls.get(&call).is_some_and(|call| call.tenant == caller.tenant);
    if !own {
        return Err(Problem::not_found("live call", id));
    }
    state.order(Command::HangUp(call), "live call", &id.to_string()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn decision_view(decision: &Decision) -> DecisionView {
    let rejected = decision.rejected.iter().map(RejectedView::of);
    DecisionView {
        at: time::print(decision.at_wall_ms),
        source: decision.source.to_string(),
        from: decision.from.to_string(),
        to: decision.to.to_string(),
        chosen: decision.chosen.to_string(),
        status: decision.status,
        rejected: rejected.collect(),
    }
}

fn live_view(id: CallId, call: &LiveCall) -> LiveCallView {
    let mut view = LiveCallView {
        id: id.0,
        role: words::leg_role(call.role),
        from: call.from.to_string(),
        to: call.to.to_string(),
        started_at: time::print(call.started_wall_ms),
        intent: call.intent.as_ref().map(ToString::to_string),
        stage: "conversing",
        queue: None,
        position: None,
        estimate_s: None,
        agent: None,
        since: None,
    };
    match &call.stage {
        Stage::Conversing => (),
        Stage::Waiting { queue, since_wall_ms, position, estimate_s, ringing } => {
            view.stage = "waiting";
            view.queue = Some(queue.to_string());
            view.position = Some(*position);
            view.estimate_s = *estimate_s;
            view.agent = ringing.as_ref().map(ToString::to_string);
            view.since = Some(time::print(*since_wall_ms));
        }
        Stage::Talking { agent, since_wall_ms } => {
            view.stage = "talking";
            view.agent = Some(agent.to_string());
            view.since = Some(time::print(*since_wall_ms));
        }
        Stage::Through { since_wall_ms } => {
            view.stage = "through";
            view.since = Some(time::print(*since_wall_ms));
        }
    }
    view
}

fn leg_view(leg: &LegRecord) -> LegView {
    LegView {
        id: leg.leg.0,
        role: words::leg_role(leg.role),
        sip_call_id: leg.sip_call_id.to_string(),
        trunk: leg.trunk.as_ref().map(ToString::to_string),
        from: leg.from.to_string(),
        to: leg.to.to_string(),
        agent: leg.agent.as_ref().map(ToString::to_string),
        queue: leg.queue.as_ref().map(ToString::to_string),
        intent: leg.intent.as_ref().map(ToString::to_string),
        started_at: time::print(leg.started_wall_ms),
        answered_at: leg.answered_wall_ms.map(time::print),
        ended_at: time::print(leg.ended_wall_ms),
        cause: words::cause_kind(leg.cause.kind),
        sip_status: leg.cause.status,
        q850: leg.cause.q850,
        ended_by: words::ended_by(leg.cause.by),
        packets_sent: leg.quality.sent,
        packets_received: leg.quality.received,
        packets_lost: leg.quality.lost,
        jitter_ms: f64::from(leg.quality.jitter_us) / 1000.0,
        mos: (leg.quality.received > 0).then_some(leg.quality.mos),
        verstat: leg.verstat.as_ref().map(ToString::to_string),
        attestation: leg.attestation.as_ref().map(ToString::to_string),
    }
}
