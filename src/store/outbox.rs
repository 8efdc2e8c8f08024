//! Webhooks waiting to be delivered: written in the transaction of the fact that caused them,
//! at least once, in order within an aggregate (one contact, one callback, one campaign).
//!
//! ```text
//! pending ──ClaimLetters (60 s)──► being sent ──delivered──► delivered
//!    ▲                                │ failed: tries + 1, later
//!    └────────────────────────────────┘ given up ──► dead
//! ```

use crate::error::StoreError;
use crate::operation::{Operation, Turn};
use crate::row::{get_id, get_ms, get_text, id, ms};
use domain::id::TenantId;
use rusqlite::{OptionalExtension, params};
use std::sync::Arc;

/// How long a claimed letter may be on its way before it is given to somebody else.
pub const DELIVERY_MS: u64 = 60_000;
/// The most letters of one claim.
pub const LETTERS_MAX: u32 = 256;
/// The most receivers looked at in one claim; with more, those with the last names wait until
/// some of the others have been served.
const RECEIVERS_MAX: u32 = 2_000;

/// One webhook's envelope.
pub(crate) struct Letter<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) aggregate: String,
    pub(crate) topic: &'static str,
    /// Unique; the receiver's means against repetition (`webhook-id`).
    pub(crate) event_id: String,
    /// `None` goes to the tenant's own address, or nowhere if it has none.
    pub(crate) url: Option<Arc<str>>,
}

/// Puts a webhook into the outbox, unless it is there already or has nowhere to go.
pub(crate) fn put(
    turn: &Turn<'_>,
    letter: &Letter<'_>,
    body: impl FnOnce(&str) -> String,
) -> Result<(), StoreError> {
    let url = match &letter.url {
        Some(url) => Some(Arc::clone(url)),
        None => turn
            .sql
            .prepare_cached("SELECT webhook_url FROM tenant WHERE name = ?1")?
            .query_row([&letter.tenant.0], |row| row.get::<_, Option<Arc<str>>>(0))
            .optional()?
            .flatten(),
    };
    let Some(url) = url else { return Ok(()) };
    turn.sql
        .prepare_cached(
            "INSERT INTO outbox (tenant, aggregate, topic, event_id, url, payload, state, next_at,
                 created_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7, ?7)
             ON CONFLICT (event_id) DO NOTHING",
        )?
        .execute(params![
            letter.tenant.0,
            letter.aggregate,
            letter.topic,
            letter.event_id,
            url,
            body(letter.topic),
            ms(turn.now_ms),
        ])?;
    Ok(())
}

/// Takes letters that are due: at most one of each aggregate, and a fair share for each receiver, so
/// that one with a million letters waiting does not hold up the others.
#[derive(Clone, Debug, Default)]
pub struct ClaimLetters {
    /// At most how many; more than [`LETTERS_MAX`] gives [`LETTERS_MAX`].
    pub count: u32,
    /// At most how many for one receiver.
    pub each: u32,
    /// Receivers (URLs) that get none now, sorted.
    pub skip: Vec<Arc<str>>,
    /// Receivers after this URL come first: the last one served the time before.
    pub after: Arc<str>,
}

/// A letter to be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DueLetter {
    /// Its row.
    pub id: u64,
    /// Whose; the secret is the tenant's.
    pub tenant: TenantId,
    /// The event's name, such as `attempt.closed`.
    pub topic: Arc<str>,
    /// `webhook-id`: the same in each try.
    pub event_id: Arc<str>,
    /// Where to.
    pub url: Arc<str>,
    /// The body, as it must be signed and sent.
    pub payload: Arc<str>,
    /// How often it has been tried.
    pub tries: u32,
    /// When it was put into the outbox, Unix milliseconds.
    pub created_wall_ms: u64,
    /// The tenant's signing secret.
    pub secret: Arc<[u8]>,
}

/// Tells how letters fared.
#[derive(Clone, Debug)]
pub struct SettleLetters {
    /// Each with its fate.
    pub letters: Vec<(u64, LetterFate)>,
}

/// How a letter fared.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LetterFate {
    /// The receiver took it.
    Delivered {
        /// The HTTP status.
        status: u16,
    },
    /// It did not; try again at this time (Unix milliseconds).
    Retry {
        /// The HTTP status, 0 if none came.
        status: u16,
        /// What went wrong, for a person.
        error: String,
        /// When.
        at_wall_ms: u64,
    },
    /// Not tried: its receiver is out of order at present. Does not count as a try.
    Deferred {
        /// Until when.
        at_wall_ms: u64,
    },
    /// Given up.
    Dead {
        /// The HTTP status, 0 if none came.
        status: u16,
        /// What went wrong, for a person.
        error: String,
    },
}

/// Puts a dead letter back to be tried anew.
#[derive(Clone, Debug)]
pub struct ReviveLetter {
    /// Whose.
    pub tenant: TenantId,
    /// Which row.
    pub id: u64,
}

impl Operation for ClaimLetters {
    type Receipt = Vec<DueLetter>;

    fn rows(&self) -> usize {
        self.count.min(LETTERS_MAX) as usize
    }

    fn apply(&mut self, turn: &Turn<'_>) -> Result<Vec<DueLetter>, StoreError> {
        let mut due = Vec::new();
        let mut count = self.count.min(LETTERS_MAX);
        for url in receivers(turn, &self.after)? {
            if count == 0 {
                break;
            }
            if self.skip.binary_search(&url).is_err() {
                let mut letters = claim_for(turn, &url, count.min(self.each))?;
                count = count.saturating_sub(u32::try_from(letters.len()).unwrap_or(count));
                due.append(&mut letters);
            }
        }
        Ok(due)
    }
}

/// The receivers with letters waiting, from the one after `after` round to it.
fn receivers(turn: &Turn<'_>, after: &str) -> Result<Vec<Arc<str>>, StoreError> {
    // Each step is one look into the index, however many letters a receiver has.
    let mut select = turn.sql.prepare_cached(
        "WITH RECURSIVE receiver (url) AS (
             SELECT min(url) FROM outbox INDEXED BY outbox_due WHERE state = 'pending'
             UNION ALL
             SELECT (SELECT min(url) FROM outbox INDEXED BY outbox_due
                     WHERE state = 'pending' AND url > receiver.url)
             FROM receiver WHERE url IS NOT NULL LIMIT ?1)
         SELECT url FROM receiver WHERE url IS NOT NULL",
    )?;
    let urls = select.query_map([RECEIVERS_MAX], |row| row.get(0))?;
    let mut urls = urls.collect::<Result<Vec<Arc<str>>, _>>()?;
    let first = urls.partition_point(|url| **url <= *after);
    urls.rotate_left(first);
    Ok(urls)
}

fn claim_for(turn: &Turn<'_>, url: &str, count: u32) -> Result<Vec<DueLetter>, StoreError> {
    let mut claim = turn.sql.prepare_cached(
        "UPDATE outbox SET next_at = ?2
         WHERE id IN (SELECT id FROM outbox AS due INDEXED BY outbox_due
                      WHERE url = ?4 AND state = 'pending' AND next_at <= ?1
                          AND NOT EXISTS (SELECT 1 FROM outbox AS earlier INDEXED BY outbox_order
                                          WHERE earlier.aggregate = due.aggregate
                                              AND earlier.state = 'pending'
                                              AND earlier.id < due.id)
                      ORDER BY next_at, id LIMIT ?3)
         RETURNING id, tenant, topic, event_id, url, payload, tries, created_ms,
             (SELECT webhook_secret FROM tenant WHERE tenant.name = outbox.tenant) AS secret",
    )?;
    let until = ms(turn.now_ms.saturating_add(DELIVERY_MS));
    let letters = claim.query_map(params![ms(turn.now_ms), until, count, url], |row| {
        Ok(DueLetter {
            id: get_id(row, "id")?,
            tenant: TenantId(get_text(row, "tenant")?),
            topic: get_text(row, "topic")?,
            event_id: get_text(row, "event_id")?,
            url: get_text(row, "url")?,
            payload: get_text(row, "payload")?,
            tries: row.get("tries")?,
            created_wall_ms: get_ms(row, "created_ms")?,
            secret: row.get_ref("secret")?.as_blob_or_null()?.unwrap_or_default().into(),
        })
    })?;
    let mut letters = letters.collect::<Result<Vec<_>, _>>()?;
    // RETURNING gives the rows in the order of their change, which is not ours.
    letters.sort_by_key(|letter| letter.id);
    Ok(letters)
}

impl Operation for SettleLetters {
    type Receipt = ();

    fn rows(&self) -> usize {
        self.letters.len()
    }

    fn essential(&self) -> bool {
        true
    }

    fn apply(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        for (letter, fate) in &self.letters {
            settle(turn, *letter, fate)?;
        }
        Ok(())
    }
}

fn settle(turn: &Turn<'_>, letter: u64, fate: &LetterFate) -> Result<(), StoreError> {
    let (state, next_at, tried, status, error) = match fate {
        LetterFate::Delivered { status } => ("delivered", None, 1, Some(*status), None),
        LetterFate::Retry { status, error, at_wall_ms } => {
            ("pending", Some(ms(*at_wall_ms)), 1, Some(*status), Some(error))
        }
        LetterFate::Deferred { at_wall_ms } => ("pending", Some(ms(*at_wall_ms)), 0, None, None),
        LetterFate::Dead { status, error } => ("dead", None, 1, Some(*status), Some(error)),
    };
    let settled = (state != "pending").then(|| ms(turn.now_ms));
    turn.sql
        .prepare_cached(
            "UPDATE outbox SET state = ?2, next_at = coalesce(?3, next_at), tries = tries + ?4,
                 last_status = coalesce(?5, last_status), last_error = coalesce(?6, last_error),
                 settled_ms = ?7
             WHERE id = ?1 AND state = 'pending'",
        )?
        .execute(params![id(letter), state, next_at, tried, status, error, settled])?;
    Ok(())
}

impl Operation for ReviveLetter {
    type Receipt = ();

    fn apply(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        let revived = turn
            .sql
            .prepare_cached(
                "UPDATE outbox SET state = 'pending', next_at = ?3, tries = 0, settled_ms = NULL
                 WHERE id = ?1 AND tenant = ?2 AND state = 'dead'",
            )?
            .execute(params![id(self.id), self.tenant.0, ms(turn.now_ms)])?;
        if revived == 0 { Err(StoreError::NotFound { what: "dead webhook" }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
