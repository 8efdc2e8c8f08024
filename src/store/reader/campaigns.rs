//! Campaigns, their contacts and their results.

use super::progress::{self, Progress};
use super::{Reader, page, rows};
use crate::definition::{self, COLUMNS};
use crate::error::StoreError;
use crate::row::{
    get_id, get_ms, get_ms_if_any, get_number, get_text, get_text_if_any, get_word, id,
};
use crate::words;
use campaign::event::Disposition;
use domain::cause::Cause;
use domain::id::{AttemptId, CallId, CampaignId, ContactId, TenantId};
use domain::phone_number::PhoneNumber;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::sync::Arc;
use switchboard::event::CampaignDefinition;

/// A campaign as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct CampaignView {
    /// What it is and its state.
    pub definition: CampaignDefinition,
    /// When it was made, Unix milliseconds.
    pub created_wall_ms: u64,
    /// When its state last changed.
    pub changed_wall_ms: u64,
    /// How far it is.
    pub progress: Progress,
}

/// Where a contact stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ContactState {
    /// Waiting for its next attempt.
    Ready,
    /// Leased for dialling.
    Leased,
    /// Being called.
    Dialling,
    /// Never to be called again by its campaign.
    Final,
}

/// A contact as it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContactView {
    /// Its number.
    pub id: ContactId,
    /// The merchant's own name for it.
    pub key: Arc<str>,
    /// Whom to call.
    pub number: PhoneNumber,
    /// Higher is sooner.
    pub priority: i32,
    /// The merchant's own data.
    pub payload: Option<Arc<str>>,
    /// Where it stands.
    pub state: ContactState,
    /// When it is due, Unix milliseconds; 0 is at once. Meaningful when ready.
    pub next_wall_ms: u64,
    /// Attempts so far.
    pub attempts: u8,
    /// The last attempt's word.
    pub disposition: Option<Disposition>,
    /// Why it was not permitted, as a word such as `do_not_call`.
    pub refusal: Option<Arc<str>>,
}

/// Where an attempt stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AttemptState {
    /// Under way.
    Dialling,
    /// Over; `disposition` and `cause` are there.
    Closed,
    /// A crash came before its INVITE left.
    NotSent,
}

/// An attempt as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptView {
    /// Its number.
    pub id: AttemptId,
    /// For whom.
    pub contact: ContactId,
    /// The merchant's own name for the contact.
    pub contact_key: Arc<str>,
    /// Whom it called.
    pub number: PhoneNumber,
    /// From 1.
    pub attempt_number: u8,
    /// Where it stands.
    pub state: AttemptState,
    /// SIP's Call-ID.
    pub sip_call_id: Arc<str>,
    /// The call it made; its legs have the record.
    pub call: Option<CallId>,
    /// When it was permitted, Unix milliseconds.
    pub dialling_wall_ms: u64,
    /// When it was answered.
    pub answered_wall_ms: Option<u64>,
    /// When it ended.
    pub ended_wall_ms: Option<u64>,
    /// The final word.
    pub disposition: Option<Disposition>,
    /// Why its leg ended.
    pub cause: Option<Cause>,
    /// The first key pressed.
    pub key: Option<char>,
    /// Whether the message was played to its end.
    pub message_heard: bool,
    /// Whether the person asked for an agent.
    pub asked_for_agent: bool,
    /// Whether an agent was joined.
    pub joined_agent: bool,
    /// When the contact comes due again.
    pub retry_wall_ms: Option<u64>,
}

impl Reader {
    /// One campaign, or `None` if the tenant has none of that number.
    pub fn campaign(
        &self,
        tenant: &TenantId,
        campaign: CampaignId,
    ) -> Result<Option<CampaignView>, StoreError> {
        self.read(|sql| {
            let found = sql
                .prepare_cached(&format!(
                    "SELECT {COLUMNS}, created_ms, changed_ms FROM campaign
                     WHERE tenant = ?1 AND id = ?2"
                ))?
                .query_row(params![tenant.0, id(campaign.0)], campaign_from_row)
                .optional()?;
            found.map(|view| with_progress(sql, view)).transpose()
        })
    }

    /// A tenant's campaigns, newest first, those older than `before` (`None`: from the newest on).
    pub fn campaigns(
        &self,
        tenant: &TenantId,
        before: Option<CampaignId>,
        limit: u32,
    ) -> Result<Vec<CampaignView>, StoreError> {
        let before = before.map_or(i64::MAX, |it| id(it.0));
        self.read(|sql| {
            let sql_text = format!(
                "SELECT {COLUMNS}, created_ms, changed_ms FROM campaign
                 WHERE tenant = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3"
            );
            rows(sql, &sql_text, params![tenant.0, before, page(limit)], campaign_from_row)?
                .into_iter()
                .map(|view| with_progress(sql, view))
                .collect()
        })
    }

    /// A campaign's contacts in the order of their numbers, those after `after`.
    pub fn contacts(
        &self,
        tenant: &TenantId,
        campaign: CampaignId,
        after: ContactId,
        limit: u32,
    ) -> Result<Vec<ContactView>, StoreError> {
        self.read(|sql| {
            rows(
                sql,
                "SELECT * FROM contact INDEXED BY contact_page
                 WHERE campaign = ?2 AND id > ?3 AND tenant = ?1 ORDER BY id LIMIT ?4",
                params![tenant.0, id(campaign.0), id(after.0), page(limit)],
                contact_from_row,
            )
        })
    }

    /// A campaign's attempts in the order of their numbers, those after `after`: the results, to
    /// be fetched page by page while the campaign runs. Numbers grow with time, so a page read
    /// once does not gain rows; attempts still under way are in it and change later.
    pub fn attempts(
        &self,
        tenant: &TenantId,
        campaign: CampaignId,
        after: AttemptId,
        limit: u32,
    ) -> Result<Vec<AttemptView>, StoreError> {
        self.read(|sql| {
            rows(
                sql,
                "SELECT attempt.*, contact.key AS contact_key, contact.number AS number
                 FROM attempt INDEXED BY attempt_of_campaign
                     JOIN contact ON contact.id = attempt.contact
                 WHERE attempt.campaign = ?2 AND attempt.id > ?3 AND attempt.tenant = ?1
                 ORDER BY attempt.id LIMIT ?4",
                params![tenant.0, id(campaign.0), id(after.0), page(limit)],
                attempt_from_row,
            )
        })
    }
}

fn with_progress(sql: &Connection, mut view: CampaignView) -> Result<CampaignView, StoreError> {
    view.progress = progress::of(sql, view.definition.rules.id)?;
    Ok(view)
}

fn campaign_from_row(row: &Row<'_>) -> rusqlite::Result<CampaignView> {
    Ok(CampaignView {
        definition: definition::from_row(row)?,
        created_wall_ms: get_ms(row, "created_ms")?,
        changed_wall_ms: get_ms(row, "changed_ms")?,
        progress: Progress::default(),
    })
}

fn contact_from_row(row: &Row<'_>) -> rusqlite::Result<ContactView> {
    Ok(ContactView {
        id: ContactId(get_id(row, "id")?),
        key: get_text(row, "key")?,
        number: get_number(row, "number")?,
        priority: row.get("priority")?,
        payload: get_text_if_any(row, "payload")?,
        state: get_word(row, "state", |word| match word {
            "ready" => Some(ContactState::Ready),
            "leased" => Some(ContactState::Leased),
            "dialling" => Some(ContactState::Dialling),
            "final" => Some(ContactState::Final),
            _ => None,
        })?,
        next_wall_ms: get_ms(row, "next_at")?,
        attempts: row.get("attempts")?,
        disposition: words::disposition_from(row.get_ref("disposition")?.as_str()?),
        refusal: get_text_if_any(row, "reason")?,
    })
}

fn attempt_from_row(row: &Row<'_>) -> rusqlite::Result<AttemptView> {
    let state = get_word(row, "state", |word| match word {
        "dialling" => Some(AttemptState::Dialling),
        "closed" => Some(AttemptState::Closed),
        "not_sent" => Some(AttemptState::NotSent),
        _ => None,
    })?;
    let closed = state == AttemptState::Closed;
    let disposition = |row| get_word(row, "disposition", words::disposition_from);
    let call: Option<i64> = row.get("call")?;
    Ok(AttemptView {
        id: AttemptId(get_id(row, "id")?),
        contact: ContactId(get_id(row, "contact")?),
        contact_key: get_text(row, "contact_key")?,
        number: get_number(row, "number")?,
        attempt_number: row.get("n")?,
        state,
        sip_call_id: get_text(row, "call_id")?,
        call: call.map(|call| CallId(call.cast_unsigned())),
        dialling_wall_ms: get_ms(row, "dialling_ms")?,
        answered_wall_ms: get_ms_if_any(row, "answered_ms")?,
        ended_wall_ms: get_ms_if_any(row, "ended_ms")?,
        disposition: closed.then(|| disposition(row)).transpose()?,
        cause: closed.then(|| cause_from_row(row)).transpose()?,
        key: get_text_if_any(row, "key")?.and_then(|key| key.chars().next()),
        message_heard: row.get("message_heard")?,
        asked_for_agent: row.get("asked_for_agent")?,
        joined_agent: row.get("joined_agent")?,
        retry_wall_ms: get_ms_if_any(row, "retry_ms")?,
    })
}

/// Reads a cause from the columns that `attempt` and `leg` share.
pub(crate) fn cause_from_row(row: &Row<'_>) -> rusqlite::Result<Cause> {
    Ok(Cause {
        kind: get_word(row, "cause", words::cause_kind_from)?,
        status: row.get("sip_status")?,
        q850: row.get("q850")?,
        by: get_word(row, "ended_by", words::ended_by_from)?,
    })
}
