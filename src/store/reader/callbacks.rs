//! Promises.

use super::{Reader, page, rows};
use crate::error::StoreError;
use crate::recovery::promise_from_row;
use crate::row::{get_ms, id};
use domain::id::{CallbackId, TenantId};
use queue::event::{CallbackState, Promise};
use rusqlite::{OptionalExtension, Row, params};

/// A promise as it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CallbackView {
    /// The promise.
    pub promise: Promise,
    /// When it last changed, Unix milliseconds.
    pub changed_wall_ms: u64,
}

/// Which promises to list.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CallbackFilter<'a> {
    /// Of this queue only.
    pub queue: Option<&'a str>,
    /// In this state only.
    pub state: Option<CallbackState>,
}

impl Reader {
    /// One promise, or `None` if the tenant has none of that number.
    pub fn callback(
        &self,
        tenant: &TenantId,
        callback: CallbackId,
    ) -> Result<Option<CallbackView>, StoreError> {
        self.read(|sql| {
            Ok(sql
                .prepare_cached("SELECT * FROM callback WHERE tenant = ?1 AND id = ?2")?
                .query_row(params![tenant.0, id(callback.0)], callback_from_row)
                .optional()?)
        })
    }

    /// A tenant's promises, newest first, those older than `before` (`None`: from the newest on).
    pub fn callbacks(
        &self,
        tenant: &TenantId,
        filter: CallbackFilter<'_>,
        before: Option<CallbackId>,
        limit: u32,
    ) -> Result<Vec<CallbackView>, StoreError> {
        let before = before.map_or(i64::MAX, |it| id(it.0));
        let state = filter.state.map(crate::words::callback_state);
        self.read(|sql| {
            rows(
                sql,
                "SELECT * FROM callback
                 WHERE tenant = ?1 AND id < ?2 AND (?3 IS NULL OR queue = ?3)
                     AND (?4 IS NULL OR state = ?4)
                 ORDER BY id DESC LIMIT ?5",
                params![tenant.0, before, filter.queue, state, page(limit)],
                callback_from_row,
            )
        })
    }
}

fn callback_from_row(row: &Row<'_>) -> rusqlite::Result<CallbackView> {
    Ok(CallbackView {
        promise: promise_from_row(row)?,
        changed_wall_ms: get_ms(row, "changed_ms")?,
    })
}
