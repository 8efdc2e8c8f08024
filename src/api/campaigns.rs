//! `/v1/campaigns`: made as drafts, started, paused, resumed, cancelled, watched.

use crate::auth::Caller;
use crate::campaign_form::{KeyForm, MessageForm, Names, NewCampaign, Retry, Window};
use crate::idempotency;
use crate::params::{Asked, At, Page, PastQuery};
use crate::problem::{Kind, Problem};
use crate::state::Shared;
use crate::time;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use campaign::event::CampaignState;
use domain::id::CampaignId;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::campaign_table::CreateCampaign;
use store::idempotency::StoredReply;
use store::reader::campaigns::CampaignView as Stored;
use store::reader::progress::Progress;
use store::words;
use switchboard::event::{CampaignDefinition, CampaignOrder, Command, KeyAnswer, Message};
use utoipa::ToSchema;

/// A campaign.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Campaign)]
pub struct CampaignView {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// `draft`, `running`, `paused`, `cancelled` or `finished`.
    pub state: &'static str,
    /// The trunk its calls leave through.
    pub trunk: String,
    /// The number shown.
    pub caller_id: String,
    /// Diallings per minute at most.
    pub rate_per_minute_max: u32,
    /// Calls at once at most.
    pub channels_max: u32,
    /// Seconds a telephone rings.
    pub ring_s: u64,
    /// What is tried again.
    pub retry: Retry,
    /// The hours in which people may be called.
    pub window: Window,
    /// What is said.
    pub message: MessageForm,
    /// Where its webhooks go.
    pub webhook_url: Option<String>,
}

impl CampaignView {
    fn of(definition: &CampaignDefinition) -> Self {
        let rules = &definition.rules;
        let minutes = |gap: Duration| u32::try_from(gap.as_secs() / 60).unwrap_or(u32::MAX);
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        Self {
            id: rules.id.0,
            name: definition.name.to_string(),
            state: words::campaign_state(definition.state),
            trunk: rules.trunk.name.to_string(),
            caller_id: rules.caller_id.to_string(),
            rate_per_minute_max: rules.rate_per_minute_max,
            channels_max: rules.channels_max,
            ring_s: rules.ring_for.as_secs(),
            retry: Retry {
                attempts_max: rules.retry.attempts_max,
                busy_after_min: minutes(rules.retry.busy_after),
                no_answer_after_min: minutes(rules.retry.no_answer_after),
                failed_after_min: minutes(rules.retry.failed_after),
                in_doubt_after_min: minutes(rules.retry.in_doubt_after),
            },
            window: Window {
                from: time(rules.window_minutes.0),
                to: time(rules.window_minutes.1),
                utc_offset_min: rules.utc_offset_min,
            },
            message: message(&definition.message),
            webhook_url: definition.webhook_url.as_ref().map(ToString::to_string),
        }
    }
}

fn message(message: &Message) -> MessageForm {
    let keys = message.keys.iter().map(|(key, answer)| {
        let form = KeyForm { key: key.to_string(), ..KeyForm::default() };
        match answer {
            KeyAnswer::Queue(queue) => KeyForm { queue: Some(queue.to_string()), ..form },
            KeyAnswer::Say(text) => KeyForm { say: Some(text.to_string()), ..form },
            KeyAnswer::Repeat => KeyForm { repeat: true, ..form },
        }
    });
    MessageForm {
        language: message.language.code().to_owned(),
        text: message.text.to_string(),
        keys: keys.collect(),
        wait_for_key_s: Some(message.wait_for_key_ms / 1000),
    }
}

/// A campaign's state after an order.
#[derive(Debug, Serialize, ToSchema)]
pub struct CampaignStateView {
    /// Its number.
    id: u64,
    /// Where it stands now.
    state: &'static str,
}

/// How far a campaign is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProgressView {
    /// Its number.
    id: u64,
    /// Where it stands.
    state: &'static str,
    /// When these figures were read.
    at: String,
    /// All contacts.
    contacts: u64,
    /// Contacts that wait for their first or their next attempt.
    ready: u64,
    /// Contacts that are being called.
    dialling: u64,
    /// Contacts that are never called again by this campaign.
    finished: u64,
    /// Finished contacts by the final word on them; `not_called` was refused for good.
    finished_by_disposition: BTreeMap<String, u64>,
    /// Waiting contacts that were tried before, by the word on the last attempt.
    waiting_by_disposition: BTreeMap<String, u64>,
}

/// Makes a campaign. It is a draft: nothing is dialled before it is started.
#[utoipa::path(post, path = "/v1/campaigns", tag = "campaigns", request_body = NewCampaign,
    params(("Idempotency-Key" = String, Header, description = "A fresh random value; the same value for a repetition.")),
    responses((status = 201, description = "Made.", body = CampaignView)))]
pub async fn create(
    State(state): State<Shared>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (key, form): (_, NewCampaign) = idempotency::form(&caller, request).await?;
    let (trunks, queues) = (state.trunks_of(&caller.tenant), state.queues_of(&caller));
    let numbers = state.tenants.get(&caller.tenant);
    let names = Names { numbers, trunks: &trunks, queues: &queues };
    let definition = form.check(&caller.tenant, names)?;
    let (reply, made) =
        idempotency::once(&state, key, CreateCampaign { definition }, created).await?;
    let replayed = made.is_none();
    if let Some(definition) = made {
        state.herald.tell(Command::AdoptCampaign(definition)).await;
    }
    Ok(idempotency::send(&reply, replayed))
}

fn created(definition: &Arc<CampaignDefinition>) -> StoredReply {
    idempotency::reply(StatusCode::CREATED, &CampaignView::of(definition))
}

/// Lists the campaigns, newest first.
#[utoipa::path(get, path = "/v1/campaigns", tag = "campaigns", params(PastQuery),
    responses((status = 200, description = "A page.", body = Page<CampaignView>)))]
pub async fn list(
    State(state): State<Shared>,
    caller: Caller,
    Asked(page): Asked<PastQuery>,
) -> Result<Json<Page<CampaignView>>, Problem> {
    let limit = page.limit();
    let before = page.before.map(CampaignId);
    let rows = state.read(move |reader| reader.campaigns(&caller.tenant, before, limit)).await?;
    let cursor = |row: &Stored| row.definition.rules.id.0;
    Ok(Json(Page::of(rows, limit, cursor, |row| CampaignView::of(&row.definition))))
}

/// Shows one campaign.
#[utoipa::path(get, path = "/v1/campaigns/{id}", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number.")),
    responses((status = 200, description = "The campaign.", body = CampaignView)))]
pub async fn show(
    State(state): State<Shared>,
    caller: Caller,
    At(id): At<u64>,
) -> Result<Json<CampaignView>, Problem> {
    Ok(Json(CampaignView::of(&find(&state, &caller, id).await?.definition)))
}

/// Shows how far a campaign is.
#[utoipa::path(get, path = "/v1/campaigns/{id}/progress", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number.")),
    responses((status = 200, description = "The figures.", body = ProgressView)))]
pub async fn progress(
    State(state): State<Shared>,
    caller: Caller,
    At(id): At<u64>,
) -> Result<Json<ProgressView>, Problem> {
    let Stored { definition, progress, .. } = find(&state, &caller, id).await?;
    let Progress { contacts, ready, leased, dialling, finished, .. } = progress;
    Ok(Json(ProgressView {
        id,
        state: words::campaign_state(definition.state),
        at: time::print(time::now_ms()),
        contacts,
        ready: ready + leased,
        dialling,
        finished,
        finished_by_disposition: progress.final_by_disposition,
        waiting_by_disposition: progress.retry_by_disposition,
    }))
}

/// Starts a draft: it is dialled from now on, in its hours.
#[utoipa::path(post, path = "/v1/campaigns/{id}/start", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number.")),
    responses((status = 200, description = "It runs.", body = CampaignStateView)))]
pub async fn start(
    State(state): State<Shared>,
    caller: Caller,
    At(id): At<u64>,
) -> Result<Json<CampaignStateView>, Problem> {
    command(&state, &caller, id, CampaignOrder::Start, CampaignState::Running).await
}

/// Pauses a campaign: nothing more is dialled, present calls go on.
#[utoipa::path(post, path = "/v1/campaigns/{id}/pause", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number.")),
    responses((status = 200, description = "It is paused.", body = CampaignStateView)))]
pub async fn pause(
    State(state): State<Shared>,
    caller: Caller,
    At(id): At<u64>,
) -> Result<Json<CampaignStateView>, Problem> {
    command(&state, &caller, id, CampaignOrder::Pause, CampaignState::Paused).await
}

/// Resumes a paused campaign.
#[utoipa::path(post, path = "/v1/campaigns/{id}/resume", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number.")),
    responses((status = 200, description = "It runs again.", body = CampaignStateView)))]
pub async fn resume(
    State(state): State<Shared>,
    caller: Caller,
    At(id): At<u64>,
) -> Result<Json<CampaignStateView>, Problem> {
    let definition = find(&state, &caller, id).await?.definition;
    if definition.state == CampaignState::Draft {
        return Err(Problem::new(Kind::Conflict, "it has not been started; start it"));
    }
    command(&state, &caller, id, CampaignOrder::Start, CampaignState::Running).await
}

/// Cancels a campaign for good: nothing more is dialled, present calls go on to their end.
#[utoipa::path(post, path = "/v1/campaigns/{id}/cancel", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number.")),
    responses((status = 200, description = "It is cancelled.", body = CampaignStateView)))]
pub async fn cancel(
    State(state): State<Shared>,
    caller: Caller,
    At(id): At<u64>,
) -> Result<Json<CampaignStateView>, Problem> {
    command(&state, &caller, id, CampaignOrder::Cancel, CampaignState::Cancelled).await
}

async fn command(
    state: &Shared,
    caller: &Caller,
    id: u64,
    order: CampaignOrder,
    after: CampaignState,
) -> Result<Json<CampaignStateView>, Problem> {
    let definition = find(state, caller, id).await?.definition;
    let (campaign, name) = (CampaignId(id), id.to_string());
    let give = || {
        let command = Command::Campaign { campaign, order };
        state.order(command, "running campaign", &name)
    };
    match give().await {
        // The ledger has it and the exchange does not: the news of its making was lost to a full
        // channel. It is told again, then ordered again.
        Err(Problem { kind: Kind::NotFound, .. }) if is_open(definition.state) => {
            state.order(Command::AdoptCampaign(Arc::new(definition)), "campaign", &name).await?;
            give().await?;
        }
        Err(Problem { kind: Kind::NotFound, .. }) => {
            let detail = format!("it is {}", words::campaign_state(definition.state));
            return Err(Problem::new(Kind::Conflict, detail));
        }
        done => done?,
    }
    Ok(Json(CampaignStateView { id, state: words::campaign_state(after) }))
}

fn is_open(state: CampaignState) -> bool {
    !matches!(state, CampaignState::Cancelled | CampaignState::Finished)
}

/// The tenant's campaign, or 404.
pub async fn find(state: &Shared, caller: &Caller, id: u64) -> Result<Stored, Problem> {
    let tenant = caller.tenant.clone();
    let row = state.read(move |reader| reader.campaign(&tenant, CampaignId(id))).await?;
    row.ok_or_else(|| Problem::not_found("campaign", id))
}
