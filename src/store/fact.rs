//! Facts into rows. Each fact can be applied again without harm; those of one `StoreFacts` are on
//! disk together or not at all.

use crate::definition::COLUMNS;
use crate::error::StoreError;
use crate::operation::{Operation, Turn};
use crate::outbox::{self, Letter};
use crate::row::{get_id, get_text, get_text_if_any, id, ms};
use crate::{decision_table, event_body, words};
use campaign::event::CampaignState;
use domain::id::{AgentId, AttemptId, CampaignId, TenantId};
use queue::event::{AgentState, CallbackState, Promise};
use rusqlite::{OptionalExtension, params};
use std::sync::Arc;
use switchboard::event::{AttemptClosed, AttemptUnsent, Fact, LegRecord};

/// Puts facts on disk, all or none.
#[derive(Clone, Debug)]
pub struct StoreFacts {
    facts: Vec<Fact>,
    patient: bool,
}

/// What became of facts, once on disk.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FactsStored {
    /// Attempts whose outcome was not written, because the contact's fence had moved on.
    pub fenced_off: Vec<AttemptId>,
}

impl StoreFacts {
    /// Facts that somebody waits for: on a disk fault they fail at once, so that a caller is not
    /// promised what is not on disk.
    pub fn new(facts: Vec<Fact>) -> Self {
        Self { facts, patient: false }
    }

    /// Facts of what has already happened (records, outcomes, states): they are kept through a
    /// disk fault, and their receipt comes when they are on disk.
    pub fn patient(facts: Vec<Fact>) -> Self {
        Self { facts, patient: true }
    }
}

impl Operation for StoreFacts {
    type Receipt = FactsStored;

    fn rows(&self) -> usize {
        self.facts.len() * 3
    }

    fn essential(&self) -> bool {
        self.patient
    }

    fn apply(&mut self, turn: &Turn<'_>) -> Result<FactsStored, StoreError> {
        let mut receipt = FactsStored::default();
        for fact in &self.facts {
            match fact {
                Fact::Promise(promise) => put_promise(turn, promise)?,
                Fact::CampaignState { campaign, state } => put_state(turn, *campaign, *state)?,
                Fact::AttemptClosed(closed) => {
                    if !close_attempt(turn, closed)? {
                        receipt.fenced_off.push(closed.attempt);
                    }
                }
                Fact::AttemptUnsent(unsent) => {
                    if !put_unsent(turn, unsent)? {
                        receipt.fenced_off.push(unsent.attempt);
                    }
                }
                Fact::Leg(leg) => put_leg(turn, leg)?,
                Fact::Decision(decision) => decision_table::put(turn, decision)?,
                Fact::Agent { agent, state } => put_agent(turn, agent, state)?,
            }
        }
        Ok(receipt)
    }
}

/// Inserts or replaces a promise; one that has ended also tells the merchant.
pub(crate) fn put_promise(turn: &Turn<'_>, promise: &Promise) -> Result<(), StoreError> {
    let state = words::callback_state(promise.state);
    // What has ended stays ended, so that an old fact applied again changes nothing.
    turn.sql
        .prepare_cached(
            "INSERT INTO callback VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (id) DO UPDATE SET not_before_ms = ?6, expires_ms = ?7, tries = ?8,
                 state = ?9, changed_ms = ?10
             WHERE state NOT IN ('kept', 'broken', 'cancelled')",
        )?
        .execute(params![
            id(promise.id.0),
            promise.queue.tenant.0,
            promise.queue.name,
            promise.number.as_str(),
            ms(promise.arrived_wall_ms),
            ms(promise.not_before_wall_ms),
            ms(promise.expires_wall_ms),
            promise.tries,
            state,
            ms(turn.now_ms),
        ])?;
    if !matches!(promise.state, CallbackState::Kept | CallbackState::Broken) {
        return Ok(());
    }
    let letter = Letter {
        tenant: &promise.queue.tenant,
        aggregate: format!("callback:{}", promise.id),
        topic: if promise.state == CallbackState::Kept {
            "callback.kept"
        } else {
            "callback.broken"
        },
        event_id: format!("callback-{}-{state}", promise.id),
        url: None,
    };
    outbox::put(turn, &letter, |topic| event_body::callback_ended(topic, promise, turn.now_ms))
}

/// Stores a campaign's state; an end also tells the merchant, with the counts.
fn put_state(
    turn: &Turn<'_>,
    campaign: CampaignId,
    state: CampaignState,
) -> Result<(), StoreError> {
    let word = words::campaign_state(state);
    // As for promises: the end is the end.
    let changed = turn
        .sql
        .prepare_cached(
            "UPDATE campaign SET state = ?2, changed_ms = ?3
             WHERE id = ?1 AND state NOT IN ('cancelled', 'finished')",
        )?
        .execute(params![id(campaign.0), word, ms(turn.now_ms)])?;
    let topic = match state {
        CampaignState::Finished => "campaign.finished",
        CampaignState::Cancelled => "campaign.cancelled",
        CampaignState::Draft | CampaignState::Running | CampaignState::Paused => return Ok(()),
    };
    if changed == 0 {
        return Ok(());
    }
    let definition = turn
        .sql
        .prepare_cached(&format!("SELECT {COLUMNS} FROM campaign WHERE id = ?1"))?
        .query_row([id(campaign.0)], crate::definition::from_row)?;
    let letter = Letter {
        tenant: &definition.tenant,
        aggregate: format!("campaign:{campaign}"),
        topic,
        event_id: format!("campaign-{campaign}-{word}"),
        url: definition.webhook_url.clone(),
    };
    let progress = crate::reader::progress::of(turn.sql, campaign)?;
    outbox::put(turn, &letter, |topic| {
        event_body::campaign_ended(topic, &definition, &progress, turn.now_ms)
    })
}

/// What an attempt's end needs to know of the rows around it.
struct OpenAttempt {
    tenant: TenantId,
    key: Arc<str>,
    call_id: Arc<str>,
    webhook_url: Option<Arc<str>>,
    state: Arc<str>,
    fence: u64,
    contact_fence: u64,
}

/// Writes an attempt's end: attempt, contact and webhook. `false` when the fence has moved on.
pub(crate) fn close_attempt(turn: &Turn<'_>, closed: &AttemptClosed) -> Result<bool, StoreError> {
    let Some(open) = open_attempt(turn, closed)? else {
        tracing::warn!(attempt = %closed.attempt, "the end of an attempt that is not on disk");
        return Ok(fenced_off(turn));
    };
    if &*open.state == "closed" {
        return Ok(true); // Applied before.
    }
    let fence = closed.contact.fence;
    if &*open.state != "dialling" || open.fence != fence || open.contact_fence != fence {
        tracing::warn!(attempt = %closed.attempt, "the fence has moved on; outcome not written");
        return Ok(fenced_off(turn));
    }
    update_attempt(turn, closed)?;
    turn.sql
        .prepare_cached(
            "UPDATE contact SET state = ?2, next_at = ?3, disposition = ?4, reason = NULL
             WHERE id = ?1",
        )?
        .execute(params![
            id(closed.contact.contact.0),
            if closed.retry_wall_ms.is_some() { "ready" } else { "final" },
            ms(closed.retry_wall_ms.unwrap_or(0)),
            words::disposition(closed.disposition),
        ])?;
    let letter = Letter {
        tenant: &open.tenant,
        // Attempts at one contact arrive in order; those at others need not wait for them.
        aggregate: format!("contact:{}", closed.contact.contact),
        topic: "attempt.closed",
        event_id: format!("attempt-{}-closed", closed.attempt),
        url: open.webhook_url,
    };
    outbox::put(turn, &letter, |topic| {
        event_body::attempt_closed(topic, closed, &open.key, &open.call_id)
    })?;
    Ok(true)
}

/// Takes an attempt back that was not sent. `false` when the fence has moved on.
fn put_unsent(turn: &Turn<'_>, unsent: &AttemptUnsent) -> Result<bool, StoreError> {
    let contact = &unsent.contact;
    let is_ours = turn
        .sql
        .prepare_cached(
            "SELECT 1 FROM attempt JOIN contact ON contact.id = attempt.contact
             WHERE attempt.id = ?1 AND attempt.state = 'dialling'
                 AND contact.id = ?2 AND attempt.fence = ?3 AND contact.fence = ?3",
        )?
        .exists(params![id(unsent.attempt.0), id(contact.contact.0), id(contact.fence)])?;
    if is_ours {
        rearm(turn, unsent)?;
    }
    Ok(is_ours || fenced_off(turn))
}

/// The contact is due again as the same attempt number.
pub(crate) fn rearm(turn: &Turn<'_>, unsent: &AttemptUnsent) -> Result<(), StoreError> {
    turn.sql
        .prepare_cached("UPDATE attempt SET state = 'not_sent', ended_ms = ?2 WHERE id = ?1")?
        .execute(params![id(unsent.attempt.0), ms(unsent.ended_wall_ms)])?;
    turn.sql
        .prepare_cached(
            "UPDATE contact SET state = 'ready', attempts = ?2, next_at = ?3 WHERE id = ?1",
        )?
        .execute(params![
            id(unsent.contact.contact.0),
            unsent.contact.attempt_number.saturating_sub(1),
            ms(unsent.due_wall_ms),
        ])?;
    Ok(())
}

fn fenced_off(turn: &Turn<'_>) -> bool {
    turn.gauge.fenced_off.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    false
}

fn open_attempt(
    turn: &Turn<'_>,
    closed: &AttemptClosed,
) -> Result<Option<OpenAttempt>, StoreError> {
    let mut select = turn.sql.prepare_cached(
        "SELECT attempt.tenant, contact.key, attempt.call_id, campaign.webhook_url, attempt.state,
             attempt.fence, contact.fence AS contact_fence
         FROM attempt JOIN contact ON contact.id = attempt.contact
             JOIN campaign ON campaign.id = attempt.campaign
         WHERE attempt.id = ?1 AND attempt.contact = ?2 AND attempt.campaign = ?3",
    )?;
    let keys = params![id(closed.attempt.0), id(closed.contact.contact.0), id(closed.campaign.0)];
    Ok(select
        .query_row(keys, |row| {
            Ok(OpenAttempt {
                tenant: TenantId(get_text(row, "tenant")?),
                key: get_text(row, "key")?,
                call_id: get_text(row, "call_id")?,
                webhook_url: get_text_if_any(row, "webhook_url")?,
                state: get_text(row, "state")?,
                fence: get_id(row, "fence")?,
                contact_fence: get_id(row, "contact_fence")?,
            })
        })
        .optional()?)
}

fn update_attempt(turn: &Turn<'_>, closed: &AttemptClosed) -> Result<(), StoreError> {
    let outcome = &closed.outcome;
    turn.sql
        .prepare_cached(
            "UPDATE attempt SET state = 'closed', call = ?2, answered_ms = ?3, ended_ms = ?4,
                 disposition = ?5, cause = ?6, sip_status = ?7, q850 = ?8, ended_by = ?9,
                 answered = ?10, message_heard = ?11, key = ?12, asked_for_agent = ?13,
                 joined_agent = ?14, retry_ms = ?15
             WHERE id = ?1",
        )?
        .execute(params![
            id(closed.attempt.0),
            closed.call.map(|call| id(call.0)),
            closed.answered_wall_ms.map(ms),
            ms(closed.ended_wall_ms),
            words::disposition(closed.disposition),
            words::cause_kind(outcome.cause.kind),
            outcome.cause.status,
            outcome.cause.q850,
            words::ended_by(outcome.cause.by),
            outcome.answered,
            outcome.message_heard,
            outcome.key.map(String::from),
            outcome.asked_for_agent,
            outcome.joined_agent,
            closed.retry_wall_ms.map(ms),
        ])?;
    Ok(())
}

/// Inserts or replaces a leg's record.
pub(crate) fn put_leg(turn: &Turn<'_>, leg: &LegRecord) -> Result<(), StoreError> {
    turn.sql
        .prepare_cached(
            "INSERT OR REPLACE INTO leg VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,
                 ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26)",
        )?
        .execute(params![
            id(leg.leg.0),
            id(leg.call.0),
            leg.tenant.0,
            words::leg_role(leg.role),
            leg.sip_call_id,
            leg.trunk.as_ref().map(|trunk| &*trunk.name),
            leg.from,
            leg.to,
            leg.agent.as_ref().map(|agent| &*agent.name),
            leg.queue.as_ref().map(|queue| &*queue.name),
            leg.intent,
            ms(leg.started_wall_ms),
            leg.answered_wall_ms.map(ms),
            ms(leg.ended_wall_ms),
            words::cause_kind(leg.cause.kind),
            leg.cause.status,
            leg.cause.q850,
            words::ended_by(leg.cause.by),
            id(leg.quality.sent),
            id(leg.quality.received),
            id(leg.quality.lost),
            id(leg.quality.refused),
            leg.quality.jitter_us,
            // A value that is no number would be stored as NULL and refused.
            if leg.quality.mos.is_finite() { f64::from(leg.quality.mos) } else { 0.0 },
            leg.verstat,
            leg.attestation,
        ])?;
    Ok(())
}

/// Keeps what an agent last said; what passes by itself (ringing, talking …) is not kept.
fn put_agent(turn: &Turn<'_>, agent: &AgentId, state: &AgentState) -> Result<(), StoreError> {
    let (word, reason, since) = match state {
        AgentState::LoggedOut => ("logged_out", None, None),
        AgentState::Available { since_wall_ms } => ("available", None, Some(ms(*since_wall_ms))),
        AgentState::Paused { reason } => ("paused", Some(reason), None),
        AgentState::Reserved { .. }
        | AgentState::Ringing { .. }
        | AgentState::Talking { .. }
        | AgentState::WrapUp => return Ok(()),
    };
    turn.sql
        .prepare_cached("INSERT OR REPLACE INTO agent_state VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![agent.tenant.0, agent.name, word, reason, since])?;
    Ok(())
}

#[cfg(test)]
mod tests;
