//! Copies of the ledger: taken while it runs, put back while it does not.

use crate::error::StoreError;
use crate::ledger::{LEDGER_FILE, make_folder};
use crate::sent_log::{self, FolderLock};
use crate::{schema, sqlite};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Copies the ledger at `ledger` to `target` while a gateway runs on it. The copy is one moment's
/// state; it is checked whole, synced, and only then takes its name.
///
/// # Errors
/// `Conflict` when `target` exists; `Damaged` when the copy does not pass its check; disk faults.
pub fn back_up(ledger: &Path, target: &Path) -> Result<(), StoreError> {
    if target.exists() {
        return Err(StoreError::conflict(format!("{} exists", target.display())));
    }
    let source = sqlite::open_reader(ledger, Duration::from_secs(5))?;
    copy(&source, target)
}

/// Puts a backup in the place of the folder's ledger. The replaced file is kept beside it; its
/// path is returned, or `None` if there was none.
///
/// What happened after the backup was taken is not in it: contacts called since then are due
/// again. Attempts that were under way in it count as in doubt.
///
/// # Errors
/// `Held` while a gateway runs on the folder; `Damaged` or `SchemaTooNew` when the backup is not
/// fit (nothing is changed then); disk and file faults.
pub fn restore(backup: &Path, folder: &Path) -> Result<Option<PathBuf>, StoreError> {
    make_folder(folder)?;
    let _lock = FolderLock::take(folder)?;
    let source = sqlite::open_reader(backup, Duration::from_secs(5))?;
    let found: u32 = source.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found == 0 {
        return Err(StoreError::Damaged { detail: format!("{} is no ledger", backup.display()) });
    }
    if found > schema::SCHEMA_VERSION {
        return Err(StoreError::SchemaTooNew { found, known: schema::SCHEMA_VERSION });
    }
    let ledger = folder.join(LEDGER_FILE);
    let incoming = folder.join("ledger.restoring");
    copy(&source, &incoming)?;
    sent_log::forget(folder)?;
    let aside = move_aside(&ledger)?;
    rename(&incoming, &ledger)?;
    sync(folder)?;
    Ok(aside)
}

/// Copies a database into a file that takes its name last.
fn copy(source: &Connection, target: &Path) -> Result<(), StoreError> {
    let partial = with_suffix(target, "partial");
    remove(&partial)?;
    let copied = copy_and_check(source, &partial);
    if copied.is_err() {
        // The first error is the one to tell.
        let _ = remove(&partial);
    }
    copied?;
    sync(&partial)?;
    rename(&partial, target)?;
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    sync(folder.unwrap_or(Path::new(".")))
}

fn copy_and_check(source: &Connection, partial: &Path) -> Result<(), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut copy = Connection::open_with_flags(partial, flags)?;
    {
        let backup = Backup::new(source, &mut copy)?;
        // All pages in one step: it holds one reader's snapshot, which in WAL mode hinders nobody.
        // Several steps would begin anew with each commit in between.
        match backup.step(-1)? {
            StepResult::Done => (),
            _ => {
                let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
                return Err(rusqlite::Error::SqliteFailure(code, None).into());
            }
        }
    }
    // One file without a log beside it.
    copy.pragma_update(None, "journal_mode", "DELETE")?;
    sqlite::integrity_check(&copy)?;
    copy.close().map_err(|(_, error)| StoreError::from(error))
}

/// Renames the ledger and its log, so that the pair still opens under the new name.
fn move_aside(ledger: &Path) -> Result<Option<PathBuf>, StoreError> {
    if !ledger.exists() {
        return Ok(None);
    }
    let aside = (1..10_000)
        .map(|count| with_suffix(ledger, &format!("replaced-{count}")))
        .find(|path| !path.exists())
        .ok_or_else(|| StoreError::conflict("too many replaced ledgers lie in the folder"))?;
    for log in ["-wal", "-shm"] {
        let from = append(ledger, log);
        if from.exists() {
            rename(&from, &append(&aside, log))?;
        }
    }
    rename(ledger, &aside)?;
    Ok(Some(aside))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    append(path, &format!(".{suffix}"))
}

fn append(path: &Path, tail: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(tail);
    name.into()
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    std::fs::rename(from, to).map_err(|fault| StoreError::file(from, &fault))
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::file(path, &fault))
        }
        _ => Ok(()),
    }
}

/// Syncs a file, or a folder so that a rename in it is kept.
fn sync(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|fault| StoreError::file(path, &fault))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;
    use crate::test_kit::{Folder, Kit};

    #[test]
    fn a_copy_taken_while_running_can_be_put_back_and_the_replaced_file_is_kept() {
        let mut kit = Kit::new();
        let campaign = kit.campaign(3);
        let target = kit.folder.path("copy.db");
        back_up(kit.ledger().path(), &target).unwrap();
        assert!(matches!(back_up(kit.ledger().path(), &target), Err(StoreError::Conflict { .. })));
        kit.campaign(1);
        assert!(matches!(restore(&target, kit.folder.root()), Err(StoreError::Held { .. })));
        kit.ledger().close();
        let aside = restore(&target, kit.folder.root()).unwrap().unwrap();
        let contacts = |path: &Path| -> u32 {
            let reader = sqlite::open_reader(path, Duration::ZERO).unwrap();
            reader.query_row("SELECT count(*) FROM contact", [], |row| row.get(0)).unwrap()
        };
        assert_eq!(contacts(&aside), 4);
        kit.crash();
        assert_eq!(contacts(kit.ledger().path()), 3);
        assert_eq!(kit.restored.campaigns[0].rules.id, campaign);
        assert!(!kit.ledger().recovery().log_trusted);
    }

    #[test]
    fn a_damaged_backup_changes_nothing() {
        let kit = Kit::new();
        kit.ledger().close();
        let target = kit.folder.path("copy.db");
        std::fs::write(&target, [7; 8192]).unwrap();
        let before = std::fs::read(kit.ledger().path()).unwrap();
        assert!(matches!(restore(&target, kit.folder.root()), Err(StoreError::Damaged { .. })));
        assert_eq!(std::fs::read(kit.ledger().path()).unwrap(), before);
    }

    #[test]
    fn a_backup_starts_a_new_folder() {
        let kit = Kit::new();
        kit.campaign(2);
        let target = kit.folder.path("copy.db");
        back_up(kit.ledger().path(), &target).unwrap();
        let elsewhere = Folder::new();
        assert_eq!(restore(&target, &elsewhere.path("data")), Ok(None));
        let config = crate::ledger::StoreConfig::in_folder(elsewhere.path("data"));
        let (_ledger, restored) = Ledger::open(config).unwrap();
        assert_eq!(restored.campaigns.len(), 1);
    }
}
