//! Why the store did not do what was asked.

use rusqlite::ErrorCode;
use std::path::PathBuf;

/// Why an operation, a start or a backup failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The writer's queue is full: ask again later (429 or 503 on the API).
    #[error("the store has more work queued than it may")]
    Overloaded,
    /// The writer has ended: the program is shutting down.
    #[error("the store is closed")]
    Stopped,
    /// The disk or the file does not take writes. Nothing of the operation may be relied upon.
    #[error("the ledger cannot be written: {fault}: {detail}")]
    Disk {
        /// What kind of fault.
        fault: DiskFault,
        /// SQLite's own words.
        detail: String,
    },
    /// There is no such thing, or it belongs to another tenant.
    #[error("no such {what}")]
    NotFound {
        /// What was looked for: `campaign`, `api key` …
        what: &'static str,
    },
    /// It cannot be done in the present state.
    #[error("{reason}")]
    Conflict {
        /// Why, for a person.
        reason: String,
    },
    /// The idempotency key was used before with another request.
    #[error("this idempotency key was used with a different request")]
    KeyReused,
    /// The request is larger than one transaction may be.
    #[error("at most {max} {what} at once")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many may be.
        max: usize,
    },
    /// Another gateway (or a stopped one that still lives) holds this data directory.
    #[error("{path} is held by another running gateway")]
    Held {
        /// The lock file.
        path: PathBuf,
    },
    /// The file was written by a newer program.
    #[error("the ledger has schema {found}, this program knows {known} at most")]
    SchemaTooNew {
        /// The file's version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// SQLite did not take a setting that durability rests on.
    #[error("SQLite reports {pragma}={found}, the ledger needs {needed}")]
    NotDurable {
        /// Which setting.
        pragma: &'static str,
        /// What it reads back as.
        found: String,
        /// What is needed.
        needed: String,
    },
    /// The file is damaged: restore a backup.
    #[error("the ledger is damaged: {detail}")]
    Damaged {
        /// SQLite's first complaint.
        detail: String,
    },
    /// A file beside the ledger could not be read or written.
    #[error("{path}: {detail}")]
    File {
        /// Which file.
        path: PathBuf,
        /// The system's words.
        detail: String,
    },
    /// A statement was refused: a bug of ours or a row changed by hand.
    #[error("the ledger refused a statement: {detail}")]
    Statement {
        /// SQLite's words.
        detail: String,
    },
}

/// What kind of fault keeps the disk from taking writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DiskFault {
    /// No space is left (or the file has reached its limit).
    Full,
    /// Reading or writing failed.
    Broken,
    /// The file or its file system is read-only.
    ReadOnly,
    /// Another program holds the file's write lock.
    Held,
}

impl std::fmt::Display for DiskFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Full => "the disk is full",
            Self::Broken => "the disk has a fault",
            Self::ReadOnly => "the file is read-only",
            Self::Held => "another program holds the file",
        })
    }
}

impl StoreError {
    /// Whether the whole transaction is lost and the writer must wait for the disk.
    pub fn is_disk(&self) -> bool {
        matches!(self, Self::Disk { .. } | Self::Damaged { .. })
    }

    /// A fault of a file beside the ledger.
    pub(crate) fn file(path: &std::path::Path, fault: &std::io::Error) -> Self {
        Self::File { path: path.to_owned(), detail: fault.to_string() }
    }

    /// A conflict, in words for a person.
    pub(crate) fn conflict(reason: impl Into<String>) -> Self {
        Self::Conflict { reason: reason.into() }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let detail = error.to_string();
        let fault = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => DiskFault::Full,
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::NoLargeFileSupport
                | ErrorCode::OutOfMemory,
            ) => DiskFault::Broken,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => DiskFault::ReadOnly,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => DiskFault::Held,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                return Self::Damaged { detail };
            }
            _ => return Self::Statement { detail },
        };
        Self::Disk { fault, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_codes_become_faults_that_callers_treat_differently() {
        let classify = |code: i32| {
            StoreError::from(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None))
        };
        let fault = |code| match classify(code) {
            StoreError::Disk { fault, .. } => Some(fault),
            _ => None,
        };
        assert_eq!(fault(13), Some(DiskFault::Full)); // SQLITE_FULL
        assert_eq!(fault(10), Some(DiskFault::Broken)); // SQLITE_IOERR
        assert_eq!(fault(10 | (4 << 8)), Some(DiskFault::Broken)); // SQLITE_IOERR_FSYNC
        assert_eq!(fault(8), Some(DiskFault::ReadOnly)); // SQLITE_READONLY
        assert_eq!(fault(5), Some(DiskFault::Held)); // SQLITE_BUSY
        assert!(matches!(classify(11), StoreError::Damaged { .. })); // SQLITE_CORRUPT
        assert!(matches!(classify(19), StoreError::Statement { .. })); // SQLITE_CONSTRAINT
        assert!(!classify(19).is_disk() && classify(11).is_disk());
    }
}
