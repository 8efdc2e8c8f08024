//! Read-only connections for lists, pages and reports. They see what is committed and never hold
//! up the writer.
//!
//! Each call borrows a connection and waits while all are in use; it reads the disk, so async code
//! calls it from a blocking thread. All lists are pages: `limit` rows at most, from a cursor on.

use crate::error::StoreError;
use crate::sqlite;
use rusqlite::Connection;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

pub mod administration;
pub mod callbacks;
pub mod calls;
pub mod campaigns;
pub mod progress;

/// The most rows of one page, whatever is asked.
pub const PAGE_MAX: u32 = 1_000;

/// A pool of read-only connections; clones share it.
#[derive(Clone)]
pub struct Reader {
    pool: Arc<Pool>,
}

struct Pool {
    free: Mutex<Vec<Connection>>,
    freed: Condvar,
}

impl Reader {
    /// Opens `connections` (at least one) on a ledger's file. The file must have been made by
    /// [`crate::ledger::Ledger::open`]; no gateway needs to be running.
    ///
    /// # Errors
    /// Disk faults; `SchemaTooNew` or `Damaged` when the file is not one we can read.
    pub fn open(ledger: &Path, connections: usize) -> Result<Self, StoreError> {
        let free = (0..connections.max(1))
            .map(|_| sqlite::open_reader(ledger, Duration::from_secs(5)))
            .collect::<Result<Vec<_>, _>>()?;
        expect_schema(&free[0])?;
        Ok(Self { pool: Arc::new(Pool { free: Mutex::new(free), freed: Condvar::new() }) })
    }

    /// Reads with one connection.
    pub(crate) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let borrowed = Borrowed::from(&self.pool);
        query(borrowed.connection())
    }
}

fn expect_schema(connection: &Connection) -> Result<(), StoreError> {
    let known = crate::schema::SCHEMA_VERSION;
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match found {
        _ if found == known => Ok(()),
        _ if found > known => Err(StoreError::SchemaTooNew { found, known }),
        _ => Err(StoreError::conflict(
            "the ledger was made by an older version; start the gateway once to bring it up",
        )),
    }
}

/// A connection on loan: it goes back even if the reading panics.
struct Borrowed<'a> {
    pool: &'a Pool,
    connection: Option<Connection>,
}

impl<'a> Borrowed<'a> {
    fn from(pool: &'a Pool) -> Self {
        let mut free = pool.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(connection) = free.pop() {
                return Self { pool, connection: Some(connection) };
            }
            free = pool.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("it is given back by drop alone")
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let mut free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.extend(self.connection.take());
        self.pool.freed.notify_one();
    }
}

/// Collects a page.
pub(crate) fn rows<T>(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params, read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The page's size as asked, within bounds.
pub(crate) fn page(limit: u32) -> u32 {
    limit.clamp(1, PAGE_MAX)
}

#[cfg(test)]
mod tests;
