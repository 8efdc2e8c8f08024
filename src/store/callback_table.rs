//! Promises made through the API.

use crate::error::StoreError;
use crate::fact::put_promise;
use crate::operation::{Operation, Turn};
use crate::row::get_id;
use domain::id::CallbackId;
use queue::event::Promise;
use rusqlite::{OptionalExtension, params};

/// Takes a promise into the ledger; give it to the switchboard (`Command::AdoptCallback`) after
/// the receipt.
#[derive(Clone, Debug)]
pub struct CreateCallback {
    /// The promise, its number given by the asker.
    pub promise: Promise,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CallbackTaken {
    /// It is on disk.
    New,
    /// This number already waits for a call of this queue: nobody is called twice.
    AlreadyPromised(CallbackId),
}

impl Operation for CreateCallback {
    type Receipt = CallbackTaken;

    fn apply(&mut self, turn: &Turn<'_>) -> Result<CallbackTaken, StoreError> {
        let promise = &self.promise;
        let open = turn
            .sql
            .prepare_cached(
                "SELECT id FROM callback INDEXED BY callback_open
                 WHERE tenant = ?1 AND queue = ?2 AND number = ?3
                     AND state IN ('promised', 'reserved', 'dialling')",
            )?
            .query_row(
                params![promise.queue.tenant.0, promise.queue.name, promise.number.as_str()],
                |row| get_id(row, "id"),
            )
            .optional()?;
        if let Some(open) = open {
            return Ok(CallbackTaken::AlreadyPromised(CallbackId(open)));
        }
        put_promise(turn, promise)?;
        Ok(CallbackTaken::New)
    }
}
