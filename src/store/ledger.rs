//! The handle on the ledger: opens the folder, takes operations, gives receipts.
//!
//! `Ledger` may be cloned and used from any thread; none of its calls but `perform`, `close` and
//! `open` waits for the disk.

use crate::error::StoreError;
use crate::gauge::{Gauge, StoreStats};
use crate::operation::{Asked, Job, Operation};
use crate::recovery::{self, Recovery};
use crate::sent_log::{FolderLock, SentLog};
use crate::writer::{Message, Writer};
use crate::{schema, secret, sqlite};
use domain::id::AttemptId;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use switchboard::event::Restored;

/// The ledger's file name in its folder.
pub const LEDGER_FILE: &str = "ledger.db";

/// Reads the wall clock, Unix milliseconds. Tests give one that they turn by hand.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Told `false` when the disk stops taking facts and `true` when it takes them again. Called on
/// the writer thread: it must not wait.
pub type HealthSink = Box<dyn Fn(bool) + Send>;

/// How the ledger is opened.
pub struct StoreConfig {
    /// The data folder; made if it is not there.
    pub folder: PathBuf,
    /// How many operations may wait; new work beyond is refused with `Overloaded`. Facts of what
    /// has already happened are taken up to four times as many.
    pub queue_max: usize,
    /// How long a batch waits for company while work is flowing (0–10 ms).
    pub gather: Duration,
    /// How long a commit waits for a foreign program that holds the file.
    pub busy_timeout: Duration,
    /// The wall clock.
    pub clock: Clock,
    /// Who is told of faults.
    pub on_health: HealthSink,
}

impl StoreConfig {
    /// The usual settings for a data folder: 16,384 waiting operations, 2 ms, 5 s.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            queue_max: 16_384,
            gather: Duration::from_millis(2),
            busy_timeout: Duration::from_secs(5),
            clock: Arc::new(system_clock),
            on_health: Box::new(|_| ()),
        }
    }

    /// Where the ledger's file is.
    pub fn ledger_path(&self) -> PathBuf {
        self.folder.join(LEDGER_FILE)
    }
}

/// Makes the data folder. Readable by its owner alone: it holds secrets and telephone numbers.
pub(crate) fn make_folder(folder: &Path) -> Result<(), StoreError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|fault| StoreError::file(folder, &fault))
}

fn system_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The ledger.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    sender: Option<SyncSender<Message>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    sent_log: Mutex<Option<SentLog>>,
    closed: AtomicBool,
    queue_max: usize,
    gauge: Arc<Gauge>,
    recovery: Recovery,
    path: PathBuf,
}

impl Ledger {
    /// Opens the folder: takes its lock, checks and migrates the file, settles what a crash left
    /// open, and starts the writer.
    ///
    /// # Errors
    /// `Held` when another gateway runs on the folder; `NotDurable`, `Damaged`, `SchemaTooNew`;
    /// disk and file faults.
    pub fn open(config: StoreConfig) -> Result<(Self, Restored), StoreError> {
        make_folder(&config.folder)?;
        let lock = FolderLock::take(&config.folder)?;
        let path = config.ledger_path();
        let mut connection = sqlite::open_writer(&path, config.busy_timeout)?;
        schema::migrate(&mut connection)?;
        let now_ms = (config.clock)();
        let session = secret::random_hex::<16>()?;
        let start = recovery::recover(&mut connection, &config.folder, &session, now_ms)?;
        let sent_log = SentLog::start(&config.folder, &session)?;
        let gauge = Arc::new(Gauge::default());
        // Room beyond `queue_max` is for essential operations only.
        let (sender, receiver) = sync_channel(config.queue_max.saturating_mul(4).max(1));
        let queue_max = config.queue_max;
        let writer =
            Writer::new(connection, receiver, Arc::clone(&gauge), config, start.call_key, lock);
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || writer.run())
            .map_err(|fault| StoreError::file(&path, &fault))?;
        let inner = Inner {
            sender: Some(sender),
            writer: Mutex::new(Some(thread)),
            sent_log: Mutex::new(Some(sent_log)),
            closed: AtomicBool::new(false),
            queue_max,
            gauge,
            recovery: start.recovery,
            path,
        };
        Ok((Self { inner: Arc::new(inner) }, start.restored))
    }

    /// Puts an operation into the writer's queue. `sink` gets the receipt, on the writer thread,
    /// after the commit; it must not wait. On an `Err` it is never called.
    ///
    /// # Errors
    /// `Overloaded` when too much waits, `Stopped` after [`Ledger::close`].
    pub fn submit<O: Operation>(
        &self,
        operation: O,
        sink: impl FnOnce(Result<O::Receipt, StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        let inner = &self.inner;
        let sender = inner.sender.as_ref().ok_or(StoreError::Stopped)?;
        if inner.closed.load(Ordering::Acquire) {
            return Err(StoreError::Stopped);
        }
        let essential = operation.essential();
        let depth = inner.gauge.queue_depth.fetch_add(1, Ordering::AcqRel);
        let full = depth >= inner.queue_max && !essential;
        let job: Box<dyn Job> = Box::new(Asked { operation, sink: Box::new(sink), result: None });
        let sent = if full {
            Err(StoreError::Overloaded)
        } else {
            sender.try_send(Message::Do(job)).map_err(|refused| match refused {
                TrySendError::Full(_) => StoreError::Overloaded,
                TrySendError::Disconnected(_) => StoreError::Stopped,
            })
        };
        if let Err(refused) = &sent {
            inner.gauge.queue_depth.fetch_sub(1, Ordering::AcqRel);
            if *refused == StoreError::Overloaded {
                inner.gauge.overloaded.fetch_add(1, Ordering::Relaxed);
            }
        }
        sent
    }

    /// Does an operation and waits until it is on disk. For the CLI, start-up and tests; never for
    /// the signalling loop.
    ///
    /// # Errors
    /// Those of the operation and of [`Ledger::submit`].
    pub fn perform<O: Operation>(&self, operation: O) -> Result<O::Receipt, StoreError> {
        let (sender, receiver) = sync_channel(1);
        // The receiver waits below, so the slot is always free.
        self.submit(operation, move |result| drop(sender.send(result)))?;
        receiver.recv().unwrap_or(Err(StoreError::Stopped))
    }

    /// Appends the attempt to the side log, just before its INVITE is handed to the socket. Costs
    /// one unsynced `write`. On an error the INVITE must not be sent.
    ///
    /// # Errors
    /// `File` when the log cannot be written: after a crash every open attempt will then count as
    /// in doubt. `Stopped` after [`Ledger::close`].
    pub fn mark_sent(&self, attempt: AttemptId) -> Result<(), StoreError> {
        let mut log = self.inner.sent_log.lock().unwrap_or_else(PoisonError::into_inner);
        log.as_mut().ok_or(StoreError::Stopped)?.mark(attempt)
    }

    /// Whether the disk takes facts at this moment.
    pub fn works(&self) -> bool {
        !self.inner.gauge.faulty.load(Ordering::Acquire)
    }

    /// What the start found and settled.
    pub fn recovery(&self) -> &Recovery {
        &self.inner.recovery
    }

    /// The figures of the writer so far.
    pub fn stats(&self) -> StoreStats {
        self.inner.gauge.snapshot()
    }

    /// The ledger's file, for readers and backups.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Does what is queued, writes the log back into the file, and frees the folder. Later
    /// operations are refused with `Stopped`.
    pub fn close(&self) {
        self.inner.closed.store(true, Ordering::Release);
        self.inner.sent_log.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = &self.inner.sender {
            // The writer drains the queue, so room comes; if it is gone there is nothing to close.
            drop(sender.send(Message::Close));
        }
        self.inner.join();
    }
}

impl Inner {
    fn join(&self) {
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A receipt may hold the last handle: the writer does not wait for itself.
        if let Some(thread) = thread.filter(|it| it.thread().id() != std::thread::current().id())
            && thread.join().is_err()
        {
            tracing::error!("the ledger's writer thread panicked");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The writer ends when its queue has no sender any more.
        self.sender = None;
        self.join();
    }
}

#[cfg(test)]
mod tests;
