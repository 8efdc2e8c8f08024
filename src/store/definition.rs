//! A campaign's definition as the JSON kept in its row. Durations are milliseconds.

use crate::error::StoreError;
use crate::row;
use campaign::event::{CampaignRules, RetryPolicy};
use domain::id::{CampaignId, QueueId, TenantId, TrunkId};
use domain::phone_number::PhoneNumber;
use domain::prompt::Language;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use switchboard::event::{CampaignDefinition, KeyAnswer, Message};

#[derive(Serialize, Deserialize)]
struct Stored {
    caller_id: String,
    rate_per_minute_max: u32,
    channels_max: u32,
    ring_for_ms: u64,
    busy_after_ms: u64,
    no_answer_after_ms: u64,
    failed_after_ms: u64,
    language: String,
    text: String,
    keys: Vec<StoredKey>,
    wait_for_key_ms: u32,
}

#[derive(Serialize, Deserialize)]
struct StoredKey {
    key: char,
    #[serde(flatten)]
    answer: StoredAnswer,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredAnswer {
    Queue(String),
    Say(String),
    Repeat(bool),
}

/// The part of a definition that has no column of its own.
pub(crate) fn to_json(definition: &CampaignDefinition) -> Result<String, StoreError> {
    let rules = &definition.rules;
    let stored = Stored {
        caller_id: rules.caller_id.as_str().to_owned(),
        rate_per_minute_max: rules.rate_per_minute_max,
        channels_max: rules.channels_max,
        ring_for_ms: millis(rules.ring_for),
        busy_after_ms: millis(rules.retry.busy_after),
        no_answer_after_ms: millis(rules.retry.no_answer_after),
        failed_after_ms: millis(rules.retry.failed_after),
        language: definition.message.language.code().to_owned(),
        text: definition.message.text.to_string(),
        keys: definition.message.keys.iter().map(key_to_stored).collect(),
        wait_for_key_ms: definition.message.wait_for_key_ms,
    };
    serde_json::to_string(&stored)
        .map_err(|error| StoreError::Statement { detail: error.to_string() })
}

/// The columns a definition is read from, to stand after `SELECT` with `campaign` as the table.
pub(crate) const COLUMNS: &str = "campaign.id, campaign.tenant, campaign.name, campaign.state, \
     campaign.definition, campaign.trunk, campaign.attempts_max, campaign.in_doubt_after_ms, \
     campaign.window_from, campaign.window_to, campaign.utc_offset_min, campaign.webhook_url";

/// Reads a definition from a row with [`COLUMNS`].
pub(crate) fn from_row(columns: &rusqlite::Row<'_>) -> rusqlite::Result<CampaignDefinition> {
    let tenant = TenantId(row::get_text(columns, "tenant")?);
    let json = columns.get_ref("definition")?.as_str()?;
    let stored: Stored =
        serde_json::from_str(json).map_err(|_| row::strange("definition", json))?;
    let caller_id = PhoneNumber::parse(&stored.caller_id)
        .map_err(|_| row::strange("definition.caller_id", &stored.caller_id))?;
    let language = Language::from_code(&stored.language)
        .ok_or_else(|| row::strange("definition.language", &stored.language))?;
    let keys = stored.keys.into_iter().map(|key| key_from_stored(key, &tenant)).collect();
    Ok(CampaignDefinition {
        name: row::get_text(columns, "name")?,
        rules: CampaignRules {
            id: CampaignId(row::get_id(columns, "id")?),
            trunk: TrunkId { tenant: tenant.clone(), name: row::get_text(columns, "trunk")? },
            caller_id,
            rate_per_minute_max: stored.rate_per_minute_max,
            channels_max: stored.channels_max,
            ring_for: Duration::from_millis(stored.ring_for_ms),
            retry: RetryPolicy {
                attempts_max: columns.get("attempts_max")?,
                busy_after: Duration::from_millis(stored.busy_after_ms),
                no_answer_after: Duration::from_millis(stored.no_answer_after_ms),
                failed_after: Duration::from_millis(stored.failed_after_ms),
                in_doubt_after: Duration::from_millis(row::get_ms(columns, "in_doubt_after_ms")?),
            },
            window_minutes: (columns.get("window_from")?, columns.get("window_to")?),
            utc_offset_min: columns.get("utc_offset_min")?,
        },
        message: Message {
            language,
            text: stored.text.into(),
            keys,
            wait_for_key_ms: stored.wait_for_key_ms,
        },
        webhook_url: row::get_text_if_any(columns, "webhook_url")?,
        state: row::get_word(columns, "state", crate::words::campaign_state_from)?,
        tenant,
    })
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn key_to_stored((key, answer): &(char, KeyAnswer)) -> StoredKey {
    let answer = match answer {
        KeyAnswer::Queue(queue) => StoredAnswer::Queue(queue.name.to_string()),
        KeyAnswer::Say(text) => StoredAnswer::Say(text.to_string()),
        KeyAnswer::Repeat => StoredAnswer::Repeat(true),
    };
    StoredKey { key: *key, answer }
}

/// A queue is named inside the campaign's tenant.
fn key_from_stored(stored: StoredKey, tenant: &TenantId) -> (char, KeyAnswer) {
    let answer = match stored.answer {
        StoredAnswer::Queue(name) => {
            KeyAnswer::Queue(QueueId { tenant: tenant.clone(), name: Arc::from(name) })
        }
        StoredAnswer::Say(text) => KeyAnswer::Say(text.into()),
        StoredAnswer::Repeat(_) => KeyAnswer::Repeat,
    };
    (stored.key, answer)
}
