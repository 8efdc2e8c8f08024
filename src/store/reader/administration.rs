//! What the people who run the gateway look at: keys, suppressed numbers, tenants, the outbox.

use super::{Reader, page, rows};
use crate::error::StoreError;
use crate::row::{get_id, get_ms, get_ms_if_any, get_text, get_text_if_any, get_word, id};
use crate::secret;
use domain::id::TenantId;
use domain::phone_number::PhoneNumber;
use rusqlite::{OptionalExtension, Row, params};
use std::sync::Arc;

/// An API key without its secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiKeyView {
    /// Its number.
    pub id: u64,
    /// Whose.
    pub tenant: TenantId,
    /// Who uses it.
    pub name: Arc<str>,
    /// When it was made, Unix milliseconds.
    pub created_wall_ms: u64,
    /// When it was revoked.
    pub revoked_wall_ms: Option<u64>,
}

/// A suppressed number.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DoNotCallView {
    /// Its digits.
    pub digits: Arc<str>,
    /// On whose word.
    pub source: Arc<str>,
    /// Since when, Unix milliseconds.
    pub since_wall_ms: u64,
}

/// A tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TenantView {
    /// Which.
    pub tenant: TenantId,
    /// Its webhook secret as receivers are given it: `whsec_` and base64.
    pub webhook_secret: String,
    /// Where its webhooks go that have no address of their own.
    pub webhook_url: Option<Arc<str>>,
}

/// Where a webhook stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LetterState {
    /// To be sent, or sent again.
    Pending,
    /// Taken by the receiver.
    Delivered,
    /// Given up.
    Dead,
}

/// A webhook in the outbox.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LetterView {
    /// Its row.
    pub id: u64,
    /// The event's name.
    pub topic: Arc<str>,
    /// `webhook-id`.
    pub event_id: Arc<str>,
    /// Where to.
    pub url: Arc<str>,
    /// The body.
    pub payload: Arc<str>,
    /// Where it stands.
    pub state: LetterState,
    /// How often it was tried.
    pub tries: u32,
    /// The last HTTP status; 0 if none came.
    pub last_status: Option<u16>,
    /// What went wrong last.
    pub last_error: Option<Arc<str>>,
    /// When it is due, Unix milliseconds.
    pub next_wall_ms: u64,
    /// When it was made.
    pub created_wall_ms: u64,
}

/// How full the ledger's waiting rooms are, for metrics.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Depths {
    /// Webhooks to be sent.
    pub letters_pending: u64,
    /// Webhooks given up in the last seven days.
    pub letters_dead: u64,
    /// Promises not yet kept or broken.
    pub callbacks_open: u64,
    /// Attempts under way.
    pub attempts_open: u64,
}

impl Reader {
    /// Whose key this text is; `None` for a strange or revoked one.
    ///
    /// The look-up is by the hash of a random key, so its time tells nothing of use.
    pub fn verify_api_key(&self, text: &str) -> Result<Option<ApiKeyView>, StoreError> {
        let hash = secret::sha256(text.as_bytes());
        self.read(|sql| {
            Ok(sql
                .prepare_cached("SELECT * FROM api_key WHERE hash = ?1 AND revoked_ms IS NULL")?
                .query_row([hash], key_from_row)
                .optional()?)
        })
    }

    /// A tenant's keys, revoked ones too, newest first.
    pub fn api_keys(&self, tenant: &TenantId, limit: u32) -> Result<Vec<ApiKeyView>, StoreError> {
        let sql_text = "SELECT * FROM api_key WHERE tenant = ?1 ORDER BY id DESC LIMIT ?2";
        self.read(|sql| rows(sql, sql_text, params![tenant.0, page(limit)], key_from_row))
    }

    /// Whether the number has asked this tenant not to be called.
    pub fn is_suppressed(
        &self,
        tenant: &TenantId,
        number: &PhoneNumber,
    ) -> Result<bool, StoreError> {
        self.read(|sql| {
            Ok(sql
                .prepare_cached("SELECT 1 FROM dnc WHERE tenant = ?1 AND digits = ?2")?
                .exists(params![tenant.0, number.digits()])?)
        })
    }

    /// A tenant's suppressed numbers in the order of their digits, those after `after`.
    pub fn suppressed(
        &self,
        tenant: &TenantId,
        after: &str,
        limit: u32,
    ) -> Result<Vec<DoNotCallView>, StoreError> {
        self.read(|sql| {
            rows(
                sql,
                "SELECT * FROM dnc WHERE tenant = ?1 AND digits > ?2 ORDER BY digits LIMIT ?3",
                params![tenant.0, after, page(limit)],
                |row| {
                    Ok(DoNotCallView {
                        digits: get_text(row, "digits")?,
                        source: get_text(row, "source")?,
                        since_wall_ms: get_ms(row, "at_ms")?,
                    })
                },
            )
        })
    }

    /// All tenants.
    pub fn tenants(&self) -> Result<Vec<TenantView>, StoreError> {
        self.read(|sql| {
            rows(sql, "SELECT * FROM tenant ORDER BY name LIMIT 10000", [], |row| {
                let secret = row.get_ref("webhook_secret")?.as_blob()?;
                Ok(TenantView {
                    tenant: TenantId(get_text(row, "name")?),
                    webhook_secret: secret::webhook_secret_text(secret),
                    webhook_url: get_text_if_any(row, "webhook_url")?,
                })
            })
        })
    }

    /// A tenant's webhooks, newest first, those older than `before` (`None`: from the newest on),
    /// in one state or in all.
    pub fn letters(
        &self,
        tenant: &TenantId,
        state: Option<LetterState>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<LetterView>, StoreError> {
        let state = state.map(|state| match state {
            LetterState::Pending => "pending",
            LetterState::Delivered => "delivered",
            LetterState::Dead => "dead",
        });
        self.read(|sql| {
            rows(
                sql,
                "SELECT * FROM outbox INDEXED BY outbox_of_tenant
                 WHERE tenant = ?1 AND id < ?2 AND (?3 IS NULL OR state = ?3)
                 ORDER BY id DESC LIMIT ?4",
                params![tenant.0, before.map_or(i64::MAX, id), state, page(limit)],
                letter_from_row,
            )
        })
    }

    /// When the oldest webhook that is still to be delivered was made, Unix milliseconds.
    pub fn oldest_letter(&self) -> Result<Option<u64>, StoreError> {
        self.read(|sql| {
            Ok(sql
                .prepare_cached(
                    "SELECT created_ms FROM outbox INDEXED BY outbox_oldest
                     WHERE state = 'pending' ORDER BY id LIMIT 1",
                )?
                .query_row([], |row| get_ms(row, "created_ms"))
                .optional()?)
        })
    }

    /// How full the waiting rooms are.
    pub fn depths(&self) -> Result<Depths, StoreError> {
        self.read(|sql| {
            Ok(sql
                .prepare_cached(
                    "SELECT (SELECT count(*) FROM outbox WHERE state = 'pending') AS pending,
                         (SELECT count(*) FROM outbox INDEXED BY outbox_settled
                          WHERE state <> 'pending' AND state = 'dead') AS dead,
                         (SELECT count(*) FROM callback
                          WHERE state IN ('promised', 'reserved', 'dialling')) AS callbacks,
                         (SELECT count(*) FROM attempt WHERE state = 'dialling') AS attempts",
                )?
                .query_row([], |row| {
                    Ok(Depths {
                        letters_pending: get_id(row, "pending")?,
                        letters_dead: get_id(row, "dead")?,
                        callbacks_open: get_id(row, "callbacks")?,
                        attempts_open: get_id(row, "attempts")?,
                    })
                })?)
        })
    }
}

fn key_from_row(row: &Row<'_>) -> rusqlite::Result<ApiKeyView> {
    Ok(ApiKeyView {
        id: get_id(row, "id")?,
        tenant: TenantId(get_text(row, "tenant")?),
        name: get_text(row, "name")?,
        created_wall_ms: get_ms(row, "created_ms")?,
        revoked_wall_ms: get_ms_if_any(row, "revoked_ms")?,
    })
}

fn letter_from_row(row: &Row<'_>) -> rusqlite::Result<LetterView> {
    Ok(LetterView {
        id: get_id(row, "id")?,
        topic: get_text(row, "topic")?,
        event_id: get_text(row, "event_id")?,
        url: get_text(row, "url")?,
        payload: get_text(row, "payload")?,
        state: get_word(row, "state", |word| match word {
            "pending" => Some(LetterState::Pending),
            "delivered" => Some(LetterState::Delivered),
            "dead" => Some(LetterState::Dead),
            _ => None,
        })?,
        tries: row.get("tries")?,
        last_status: row.get("last_status")?,
        last_error: get_text_if_any(row, "last_error")?,
        next_wall_ms: get_ms(row, "next_at")?,
        created_wall_ms: get_ms(row, "created_ms")?,
    })
}
