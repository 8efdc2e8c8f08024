//! What the writer thread can be asked to do, and the boxed form in which it waits in the queue.

use crate::error::StoreError;
use crate::gauge::Gauge;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One unit of work in the ledger: all of it is done or nothing.
///
/// The writer applies it inside a savepoint of the batch's transaction; its receipt is given after
/// that transaction's commit.
pub trait Operation: Send + 'static {
    /// What the asker gets when it is on disk.
    type Receipt: Send + 'static;

    /// Does it. Called again after a disk fault when [`Operation::essential`].
    ///
    /// # Errors
    /// Rolls this operation back, not its neighbours; a disk fault rolls the batch back.
    fn apply(&mut self, turn: &Turn<'_>) -> Result<Self::Receipt, StoreError>;

    /// About how many rows it writes: a batch ends at 10,000, so that commits stay short.
    fn rows(&self) -> usize {
        1
    }

    /// Whether it tells of what has already happened: then it is taken even where new work is
    /// refused, and kept through a disk fault until it is written.
    fn essential(&self) -> bool {
        false
    }
}

/// What an operation may use: the open transaction and the turn's one reading of the clock.
#[derive(Debug)]
pub struct Turn<'a> {
    pub(crate) sql: &'a Connection,
    pub(crate) now_ms: u64,
    pub(crate) call_key: &'a [u8; 32],
    pub(crate) gauge: &'a Gauge,
}

/// An operation with the place its receipt goes to.
pub(crate) trait Job: Send {
    /// Applies the operation, keeping its receipt for [`Job::finish`].
    fn run(&mut self, turn: &Turn<'_>) -> Result<(), StoreError>;
    /// Gives the receipt, or `fault` when the batch was lost.
    fn finish(self: Box<Self>, fault: Option<&StoreError>);
    fn rows(&self) -> usize;
    fn essential(&self) -> bool;
}

/// Where a receipt goes. Called on the writer thread: it must be short and never wait.
pub(crate) type Sink<R> = Box<dyn FnOnce(Result<R, StoreError>) + Send>;

/// The one kind of job.
pub(crate) struct Asked<O: Operation> {
    pub(crate) operation: O,
    pub(crate) sink: Sink<O::Receipt>,
    pub(crate) result: Option<Result<O::Receipt, StoreError>>,
}

impl<O: Operation> Job for Asked<O> {
    fn run(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        // A bug in one operation must not end the thread that all others need.
        let result =
            catch_unwind(AssertUnwindSafe(|| self.operation.apply(turn))).unwrap_or_else(|_| {
                Err(StoreError::Statement { detail: "an operation panicked".to_owned() })
            });
        let verdict = result.as_ref().map(|_| ()).map_err(Clone::clone);
        self.result = Some(result);
        verdict
    }

    fn finish(self: Box<Self>, fault: Option<&StoreError>) {
        let result = match fault {
            Some(fault) => Err(fault.clone()),
            None => self.result.unwrap_or(Err(StoreError::Stopped)),
        };
        let sink = self.sink;
        if catch_unwind(AssertUnwindSafe(|| sink(result))).is_err() {
            tracing::error!("the taker of a receipt panicked");
        }
    }

    fn rows(&self) -> usize {
        self.operation.rows()
    }

    fn essential(&self) -> bool {
        self.operation.essential()
    }
}
