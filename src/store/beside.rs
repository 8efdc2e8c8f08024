//! One operation from another process, while the gateway that holds the folder runs or not: for the
//! command line. SQLite lets one writer in after the other; the gateway's own writer waits.

use crate::error::StoreError;
use crate::gauge::Gauge;
use crate::ledger::{StoreConfig, make_folder};
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
    make_folder(&config.folder)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_key::CreateApiKey;
    use crate::error::DiskFault;
    use crate::reader::Reader;
    use crate::test_kit::Kit;
    use domain::id::TenantId;
    use std::time::Duration;

    fn key() -> CreateApiKey {
        CreateApiKey { tenant: TenantId::default(), name: "crm".into() }
    }

    #[test]
    fn a_key_made_beside_a_running_gateway_opens_at_once_and_the_gateway_writes_on() {
        let kit = Kit::new();
        let made = perform(&kit.config(), key()).unwrap();
        let reader = Reader::open(kit.ledger().path(), 1).unwrap();
        assert!(reader.verify_api_key(&made.text).unwrap().is_some());
        assert!(kit.ledger().perform(key()).unwrap().id > made.id);
    }

    #[test]
    fn a_file_held_too_long_is_said_to_be_held() {
        let kit = Kit::new();
        let holder = rusqlite::Connection::open(kit.ledger().path()).unwrap();
        holder.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut config = kit.config();
        config.busy_timeout = Duration::from_millis(10);
        let refused = perform(&config, key());
        assert!(matches!(refused, Err(StoreError::Disk { fault: DiskFault::Held, .. })));
    }
}
