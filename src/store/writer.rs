//! The one thread that writes: group commit, and waiting out a disk that takes no writes.
//!
//! ```text
//!            batch committed                     disk fault
//! Working ◄──────────────────► (same)   Working ───────────► Faulty ──probe works──► Working
//!                                                  Faulty: new work is refused at once,
//!                                                          essential work is kept and done after
//! ```

use crate::error::StoreError;
use crate::gauge::Gauge;
use crate::housekeeping;
use crate::ledger::StoreConfig;
use crate::operation::{Job, Turn};
use crate::sent_log::FolderLock;
use rusqlite::Connection;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

/// A batch ends at this many operations.
const OPERATIONS_MAX: usize = 256;
/// And at about this many rows (some 100 ms of work), so that commits stay short.
const ROWS_MAX: usize = 10_000;
/// Essential operations kept through a fault; further ones fail with it.
const KEPT_MAX: usize = 100_000;
/// How often a faulty disk is tried.
const PROBE_EVERY: Duration = Duration::from_millis(250);
/// How often old rows are cleared away.
const CLEAN_EVERY: Duration = Duration::from_secs(60);

/// What comes through the queue.
pub(crate) enum Message {
    Do(Box<dyn Job>),
    Close,
}

pub(crate) struct Writer {
    connection: Connection,
    queue: Receiver<Message>,
    gauge: Arc<Gauge>,
    config: StoreConfig,
    call_key: [u8; 32],
    /// Held as long as the thread may write.
    _lock: FolderLock,
    /// The fault that stopped the writer, while it lasts.
    fault: Option<StoreError>,
    kept: VecDeque<Box<dyn Job>>,
    /// Whether the last batch had company, so that waiting for more may save a sync.
    busy: bool,
    clean_at: Instant,
}

/// What one look at the queue brought.
enum Gathered {
    Batch(Vec<Box<dyn Job>>),
    Nothing,
    Closed(Vec<Box<dyn Job>>),
}

impl Writer {
    pub(crate) fn new(
        connection: Connection,
        queue: Receiver<Message>,
        gauge: Arc<Gauge>,
        config: StoreConfig,
        call_key: [u8; 32],
        lock: FolderLock,
    ) -> Self {
        Self {
            connection,
            queue,
            gauge,
            config,
            call_key,
            _lock: lock,
            fault: None,
            kept: VecDeque::new(),
            busy: false,
            clean_at: Instant::now() + CLEAN_EVERY,
        }
    }

    pub(crate) fn run(mut self) {
        loop {
            let gathered = match &self.fault {
                None => self.gather(CLEAN_EVERY),
                Some(_) => self.gather(PROBE_EVERY),
            };
            let (batch, closed) = match gathered {
                Gathered::Batch(batch) => (batch, false),
                Gathered::Closed(batch) => (batch, true),
                Gathered::Nothing => (Vec::new(), false),
            };
            if self.fault.is_some() {
                self.refuse_or_keep(batch);
                self.probe();
            } else if !batch.is_empty() {
                self.commit(batch);
            }
            if closed {
                break;
            }
            self.clean_if_due();
        }
        self.end();
    }

    /// Waits up to `patience` for a first operation, then takes what is queued.
    fn gather(&mut self, patience: Duration) -> Gathered {
        let first = match self.queue.recv_timeout(patience) {
            Ok(Message::Do(job)) => job,
            Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => {
                return Gathered::Closed(Vec::new());
            }
            Err(RecvTimeoutError::Timeout) => return Gathered::Nothing,
        };
        // Alone so far, nobody is kept waiting for company that may never come. Asleep, not at the
        // queue: each operation would wake this thread, which costs its sender more than the rest.
        if self.busy && self.gauge.queue_depth.load(Ordering::Acquire) < OPERATIONS_MAX {
            std::thread::sleep(self.config.gather);
        }
        let mut rows = first.rows();
        let mut batch = vec![first];
        self.gauge.queue_depth.fetch_sub(1, Ordering::AcqRel);
        while batch.len() < OPERATIONS_MAX && rows < ROWS_MAX {
            match self.queue.try_recv() {
                Ok(Message::Do(job)) => {
                    self.gauge.queue_depth.fetch_sub(1, Ordering::AcqRel);
                    rows += job.rows();
                    batch.push(job);
                }
                Ok(Message::Close) => return Gathered::Closed(batch),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        self.busy = batch.len() > 1;
        Gathered::Batch(batch)
    }

    /// One transaction for the batch; receipts after its COMMIT.
    fn commit(&mut self, mut batch: Vec<Box<dyn Job>>) {
        let started = Instant::now();
        match self.transact(&mut batch) {
            Ok(()) => {
                self.gauge.committed(batch.len(), started.elapsed());
                for job in batch {
                    job.finish(None);
                }
            }
            Err(fault) => {
                self.gauge.faults.fetch_add(1, Ordering::Relaxed);
                self.stop_working(fault);
                self.refuse_or_keep(batch);
            }
        }
    }

    fn transact(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        let done = self.transact_open(batch);
        if done.is_err() && !self.connection.is_autocommit() {
            // SQLite may have rolled back by itself; else nothing of the batch may remain.
            if let Err(error) = self.connection.execute_batch("ROLLBACK") {
                tracing::error!(%error, "the ledger could not roll back");
            }
        }
        done
    }

    fn transact_open(&self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        let run = |sql: &str| -> Result<(), StoreError> {
            Ok(self.connection.prepare_cached(sql)?.execute([]).map(|_| ())?)
        };
        run("BEGIN IMMEDIATE")?;
        let turn = Turn {
            sql: &self.connection,
            now_ms: (self.config.clock)(),
            call_key: &self.call_key,
            gauge: &self.gauge,
        };
        for job in batch {
            run("SAVEPOINT operation")?;
            match job.run(&turn) {
                Ok(()) => run("RELEASE operation")?,
                Err(fault) if fault.is_disk() => return Err(fault),
                Err(refusal) => {
                    tracing::debug!(%refusal, "an operation was rolled back");
                    self.gauge.refused.fetch_add(1, Ordering::Relaxed);
                    run("ROLLBACK TO operation")?;
                    run("RELEASE operation")?;
                }
            }
        }
        run("COMMIT")
    }

    fn stop_working(&mut self, fault: StoreError) {
        tracing::error!(%fault, "the ledger takes no writes; no new calls until it does");
        self.gauge.faulty.store(true, Ordering::Release);
        if self.fault.replace(fault).is_none() {
            (self.config.on_health)(false);
        }
    }

    /// While the disk is faulty: new work fails at once, what has happened is kept.
    fn refuse_or_keep(&mut self, batch: Vec<Box<dyn Job>>) {
        let Some(fault) = self.fault.clone() else { return };
        for job in batch {
            if job.essential() && self.kept.len() < KEPT_MAX {
                self.kept.push_back(job);
            } else {
                job.finish(Some(&fault));
            }
        }
        self.gauge.kept.store(self.kept.len(), Ordering::Relaxed);
    }

    /// Tries a commit that needs room; when it works, what was kept is written first.
    fn probe(&mut self) {
        if let Err(fault) = self.try_disk() {
            tracing::debug!(%fault, "the ledger still takes no writes");
            self.fault = Some(fault);
            return;
        }
        self.fault = None;
        while !self.kept.is_empty() && self.fault.is_none() {
            let count = self.kept.len().min(OPERATIONS_MAX);
            let batch = self.kept.drain(..count).collect();
            self.commit_kept(batch);
        }
        self.gauge.kept.store(self.kept.len(), Ordering::Relaxed);
        if self.fault.is_none() {
            tracing::info!("the ledger takes writes again");
            self.gauge.faulty.store(false, Ordering::Release);
            (self.config.on_health)(true);
        }
    }

    /// As `commit`, but what fails again goes back to the front, in order.
    fn commit_kept(&mut self, mut batch: Vec<Box<dyn Job>>) {
        let started = Instant::now();
        match self.transact(&mut batch) {
            Ok(()) => {
                self.gauge.committed(batch.len(), started.elapsed());
                for job in batch {
                    job.finish(None);
                }
            }
            Err(fault) => {
                self.fault = Some(fault);
                for job in batch.into_iter().rev() {
                    self.kept.push_front(job);
                }
            }
        }
    }

    /// Writes and removes 256 KiB: a full disk lets small changes pass and fails the next batch.
    fn try_disk(&mut self) -> Result<(), StoreError> {
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        let tried = self.connection.execute_batch(
            "BEGIN IMMEDIATE;
             INSERT INTO probe (body) VALUES (zeroblob(262144));
             DELETE FROM probe;
             COMMIT;",
        );
        if tried.is_err() && !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        Ok(tried?)
    }

    fn clean_if_due(&mut self) {
        if self.fault.is_some() || Instant::now() < self.clean_at {
            return;
        }
        self.clean_at = Instant::now() + CLEAN_EVERY;
        if let Err(fault) = housekeeping::clean(&self.connection, (self.config.clock)()) {
            // The next batch will meet the same disk and say so.
            tracing::warn!(%fault, "old rows could not be cleared away");
        }
    }

    /// What was kept is tried once more, then told of the fault; the log goes back into the file.
    fn end(mut self) {
        if self.fault.is_some() {
            self.probe();
        }
        if let Some(fault) = self.fault.clone() {
            for job in std::mem::take(&mut self.kept) {
                job.finish(Some(&fault));
            }
        }
        // What came in beside the order to close is told so, never dropped in silence.
        while let Ok(Message::Do(job)) = self.queue.try_recv() {
            job.finish(Some(&StoreError::Stopped));
        }
        let closed =
            self.connection.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)");
        if let Err(error) = closed {
            tracing::warn!(%error, "the ledger's log stays beside it; the next start reads it");
        }
    }
}
