//! The side log of attempts whose INVITE was handed to the socket, and the folder's lock.
//!
//! The log is appended without a sync just before each INVITE. After a crash of the process (not
//! of the machine) the kernel still has every byte: an attempt stored as dialling and not in the
//! log never left, and may be dialled. Whatever cannot be proven so is in doubt:
//!
//! ```text
//! same boot, same session, log whole ─► not in the log: unsent      in the log: in doubt
//! anything else (power cut, restored backup, log missing or torn) ─► all in doubt
//! ```
//!
//! `sent.log` is the present segment, `sent.old` the one before. An older segment is dropped, and
//! its largest attempt number becomes the *floor*: attempts up to it count as in doubt.

use crate::error::StoreError;
use domain::id::AttemptId;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

const MAGIC: &[u8; 8] = b"TLSENT01";
/// Magic, session (32 hexadecimal digits), floor, whether `sent.old` belongs to it.
const HEADER_LEN: usize = 8 + 32 + 8 + 8;
/// The attempt's number, and the number again with these bits turned: a torn record shows.
const RECORD_LEN: usize = 16;
const CHECK: u64 = 0x5bd1_e995_9d2c_5680;
/// A segment of 16 MB: nearly three hours at 100 attempts a second.
const RECORDS_MAX: u64 = 1_000_000;

/// A program that is just being started by the last holder has its files for a moment.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// The exclusive lock of a data folder, freed by the system when the process ends in any way.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// `Held` when a gateway (running or merely stopped) has it.
    pub fn take(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join("ledger.lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|fault| StoreError::file(&path, &fault))?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) => std::thread::sleep(BETWEEN_TRIES),
                Err(TryLockError::Error(fault)) => return Err(StoreError::file(&path, &fault)),
            }
        }
        Err(StoreError::Held { path })
    }
}

/// This boot of the machine, or nothing where the system does not say.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// The log being written.
#[derive(Debug)]
pub(crate) struct SentLog {
    folder: PathBuf,
    session: String,
    /// `None` after a failed write: the log was removed, and the next mark begins another.
    file: Option<File>,
    records: u64,
    records_max: u64,
    /// The largest number in this segment, and in all before.
    newest: u64,
    newest_before: u64,
    floor: u64,
}

impl SentLog {
    /// Begins an empty log for this session; what the last one said has been settled.
    pub(crate) fn start(folder: &Path, session: &str) -> Result<Self, StoreError> {
        let mut log = Self {
            folder: folder.to_owned(),
            session: session.to_owned(),
            file: None,
            records: 0,
            records_max: RECORDS_MAX,
            newest: 0,
            newest_before: 0,
            floor: 0,
        };
        log.remove(&old_path(folder))?;
        log.begin_segment(false)?;
        Ok(log)
    }

    /// Notes that the attempt's INVITE is about to leave.
    ///
    /// When the log cannot be written it is removed, which puts every open attempt in doubt: that
    /// is safe, so the INVITE may still leave. Only when it cannot be removed either is it an error.
    pub(crate) fn mark(&mut self, attempt: AttemptId) -> Result<(), StoreError> {
        if self.file.is_none() || self.records >= self.records_max {
            self.next_segment()?;
        }
        self.newest = self.newest.max(attempt.0);
        let mut record = [0; RECORD_LEN];
        record[..8].copy_from_slice(&attempt.0.to_le_bytes());
        record[8..].copy_from_slice(&(attempt.0 ^ CHECK).to_le_bytes());
        let Some(file) = &mut self.file else { return Ok(()) };
        if let Err(fault) = file.write_all(&record) {
            return self.give_up(&fault);
        }
        self.records += 1;
        Ok(())
    }

    /// Keeps the present segment as the old one, or begins anew after a fault.
    fn next_segment(&mut self) -> Result<(), StoreError> {
        let had_segment = self.file.take().is_some();
        if had_segment {
            self.floor = self.newest_before;
            let renamed = std::fs::rename(log_path(&self.folder), old_path(&self.folder));
            if let Err(fault) = renamed {
                return self.give_up(&fault);
            }
        } else {
            self.floor = self.newest;
        }
        self.newest_before = self.newest;
        match self.begin_segment(had_segment) {
            Ok(()) => Ok(()),
            Err(_) => self.remove(&log_path(&self.folder)),
        }
    }

    fn begin_segment(&mut self, old_belongs: bool) -> Result<(), StoreError> {
        let path = log_path(&self.folder);
        let mut header = [0; HEADER_LEN];
        header[..8].copy_from_slice(MAGIC);
        let session = self.session.as_bytes();
        header[8..40][..session.len().min(32)].copy_from_slice(&session[..session.len().min(32)]);
        header[40..48].copy_from_slice(&self.floor.to_le_bytes());
        header[48..].copy_from_slice(&u64::from(old_belongs).to_le_bytes());
        self.remove(&path)?;
        let mut file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&path)
            .map_err(|fault| StoreError::file(&path, &fault))?;
        file.write_all(&header).map_err(|fault| StoreError::file(&path, &fault))?;
        self.file = Some(file);
        self.records = 0;
        Ok(())
    }

    fn give_up(&mut self, fault: &std::io::Error) -> Result<(), StoreError> {
        tracing::warn!(%fault, "the log of sent attempts is lost; a crash now puts all in doubt");
        self.file = None;
        self.remove(&log_path(&self.folder))
    }

    fn remove(&self, path: &Path) -> Result<(), StoreError> {
        match std::fs::remove_file(path) {
            Err(fault) if fault.kind() != ErrorKind::NotFound => {
                Err(StoreError::file(path, &fault))
            }
            _ => Ok(()),
        }
    }
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("sent.log")
}

fn old_path(folder: &Path) -> PathBuf {
    folder.join("sent.old")
}

/// Removes both segments, so that nothing can be proven unsent (after a backup was restored).
pub(crate) fn forget(folder: &Path) -> Result<(), StoreError> {
    for path in [log_path(folder), old_path(folder)] {
        if let Err(fault) = std::fs::remove_file(&path)
            && fault.kind() != ErrorKind::NotFound
        {
            return Err(StoreError::file(&path, &fault));
        }
    }
    Ok(())
}

/// What the log of the last session proves.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Evidence {
    /// Nothing: every open attempt is in doubt.
    None,
    /// The attempts that may have left; others above the floor did not.
    Sent { floor: u64, attempts: BTreeSet<u64> },
}

impl Evidence {
    /// Reads the log that `session` wrote. The caller has made sure that the machine has not been
    /// restarted since and that the writer is gone.
    pub(crate) fn read(folder: &Path, session: &str) -> Self {
        Self::read_whole(folder, session).unwrap_or(Self::None)
    }

    fn read_whole(folder: &Path, session: &str) -> Option<Self> {
        let mut attempts = BTreeSet::new();
        let (floor, old_belongs) = read_segment(&log_path(folder), session, &mut attempts)?;
        if old_belongs {
            read_segment(&old_path(folder), session, &mut attempts)?;
        }
        Some(Self::Sent { floor, attempts })
    }

    /// Whether the attempt's INVITE provably never left.
    pub(crate) fn proves_unsent(&self, attempt: u64) -> bool {
        match self {
            Self::None => false,
            Self::Sent { floor, attempts } => attempt > *floor && !attempts.contains(&attempt),
        }
    }
}

/// Reads one segment; `None` when any byte of it is not as we write it.
fn read_segment(path: &Path, session: &str, attempts: &mut BTreeSet<u64>) -> Option<(u64, bool)> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).ok()?;
    let (header, records) = bytes.split_at_checked(HEADER_LEN)?;
    if &header[..8] != MAGIC || &header[8..40] != session.as_bytes() {
        return None;
    }
    let (records, torn) = records.as_chunks::<RECORD_LEN>();
    if !torn.is_empty() {
        return None;
    }
    for record in records {
        let attempt = number_at(record, 0)?;
        if number_at(record, 8)? != attempt ^ CHECK {
            return None;
        }
        attempts.insert(attempt);
    }
    Some((number_at(header, 40)?, number_at(header, 48)? == 1))
}

fn number_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests;
