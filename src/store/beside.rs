//! One operation from another process, while the gateway that holds the folder runs or not: for the
//! command line. SQLite lets one writer in after the other; the gateway's own writer waits.

use crate::error::StoreError;
use crate::gauge::Gauge;
use crate::ledger::StoreConfig;
use crate::operation::{Operation, Turn};
use crate::{schema, sqlite};

/// Does an operation on the ledger of a folder; returns when it is on disk. Only for operations that
/// no running exchange must hear of, such as making a key.
///
/// # Errors
/// Those of the operation; disk and file faults; `Disk` when the gateway held the file too long.
pub fn perform<O: Operation>(
    config: &StoreConfig,
    mut operation: O,
) -> Result<O::Receipt, StoreError> {
    std::fs::create_dir_all(&config.folder)
        .map_err(|fault| StoreError::file(&config.folder, &fault))?;
    let mut connection = sqlite::open_writer(&config.ledger_path(), config.busy_timeout)?;
    schema::migrate(&mut connection)?;
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let turn = Turn {
        sql: &transaction,
        now_ms: (config.clock)(),
        call_key: &[0; 32],
        gauge: &Gauge::default(),
    };
    let receipt = operation.apply(&turn)?;
    transaction.commit()?;
    Ok(receipt)
}
