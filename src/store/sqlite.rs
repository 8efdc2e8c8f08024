//! Opening the file: the settings that durability rests on, each read back.

use crate::error::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// Opens (or makes) the ledger for writing.
///
/// `busy_timeout` is how long a commit waits for a foreign program that holds the write lock.
///
/// # Errors
/// `NotDurable` when a setting does not read back as set (some file systems cannot do WAL);
/// `Damaged` when the quick check complains; disk faults.
pub fn open_writer(path: &Path, busy_timeout: Duration) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL syncs the WAL at each commit; NORMAL, the default of many builds, does not.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 1000)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // 16 MB: what does not fit is read from the system's own cache of the file, in a microsecond.
    connection.pragma_update(None, "cache_size", -16_000)?;
    expect_settings(&connection)?;
    quick_check(&connection)?;
    Ok(connection)
}

/// Opens the ledger for reading only.
///
/// # Errors
/// Disk faults, such as a file that is not there.
pub fn open_reader(path: &Path, busy_timeout: Duration) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Reads back what [`open_writer`] has set; called again by nobody: SQLite keeps its settings.
fn expect_settings(connection: &Connection) -> Result<(), StoreError> {
    let needed: [(&'static str, &str); 4] = [
        ("journal_mode", "wal"),
        ("synchronous", "2"),
        ("foreign_keys", "1"),
        ("trusted_schema", "0"),
    ];
    for (pragma, needed) in needed {
        let found = connection.pragma_query_value(None, pragma, |row| {
            Ok(match row.get_ref(0)? {
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                other => other.as_str().unwrap_or_default().to_owned(),
            })
        })?;
        if found != needed {
            return Err(StoreError::NotDurable { pragma, found, needed: needed.to_owned() });
        }
    }
    Ok(())
}

/// Looks for damage without comparing indexes with tables (that is `integrity_check`, of backups).
fn quick_check(connection: &Connection) -> Result<(), StoreError> {
    first_complaint(connection, "PRAGMA quick_check(1)")
}

/// Looks for all damage; takes about a second for each gigabyte.
pub(crate) fn integrity_check(connection: &Connection) -> Result<(), StoreError> {
    first_complaint(connection, "PRAGMA integrity_check(1)")
}

fn first_complaint(connection: &Connection, check: &str) -> Result<(), StoreError> {
    let said: String = connection.query_row(check, [], |row| row.get(0))?;
    if said == "ok" { Ok(()) } else { Err(StoreError::Damaged { detail: said }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::DiskFault;
    use crate::test_kit::Folder;

    #[test]
    fn the_writer_syncs_at_each_commit_and_the_reader_cannot_write() {
        let folder = Folder::new();
        let path = folder.path("ledger.db");
        let writer = open_writer(&path, Duration::ZERO).unwrap();
        writer.execute_batch("CREATE TABLE t (a)").unwrap();
        let reader = open_reader(&path, Duration::ZERO).unwrap();
        let refused = StoreError::from(reader.execute("INSERT INTO t VALUES (1)", []).unwrap_err());
        assert!(matches!(refused, StoreError::Disk { fault: DiskFault::ReadOnly, .. }));
    }

    #[test]
    fn a_setting_that_did_not_take_is_refused() {
        // A database in memory has no WAL.
        let memory = open_writer(Path::new(":memory:"), Duration::ZERO).unwrap_err();
        assert!(
            matches!(memory, StoreError::NotDurable { pragma: "journal_mode", .. }),
            "{memory}"
        );
    }

    #[test]
    fn a_file_that_is_no_ledger_is_called_damaged() {
        let folder = Folder::new();
        let path = folder.path("ledger.db");
        std::fs::write(&path, [b'x'; 8192]).unwrap();
        let refused = open_writer(&path, Duration::ZERO).unwrap_err();
        assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    }
}
