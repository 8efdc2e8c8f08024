//! The ledger: what must survive a crash, in one SQLite file written by one thread.
//!
//! ```text
//! submit(operation) ─► queue (bounded) ─► writer: one transaction per batch ─► COMMIT ─► receipts
//!                                           each operation in its own savepoint
//! Reader: read-only connections for pages, lists and reports
//! ```
//!
//! Invariant: a receipt is given after the commit that holds its operation has reached the disk,
//! never before. Names no socket and no runtime; its only threads are its own.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod api_key;
pub mod backup;
pub mod beside;
pub mod callback_table;
pub mod campaign_table;
pub mod claim;
pub mod decision_table;
pub mod do_not_call;
pub mod error;
pub mod fact;
pub mod gauge;
pub mod idempotency;
pub mod ledger;
pub mod operation;
pub mod outbox;
pub mod permit;
pub mod reader;
pub mod recovery;
pub mod schema;
pub mod sent_log;
pub mod sqlite;
pub mod tenant_table;
pub mod words;

mod definition;
mod event_body;
mod housekeeping;
mod row;
mod secret;
mod writer;

#[cfg(test)]
mod test_kit;
