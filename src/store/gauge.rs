//! The writer's figures, for metrics: how long commits take and how many operations share one.

use hdrhistogram::Histogram;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the writer counts, shared with the handles.
#[derive(Debug)]
pub(crate) struct Gauge {
    pub(crate) queue_depth: AtomicUsize,
    pub(crate) kept: AtomicUsize,
    pub(crate) overloaded: AtomicU64,
    pub(crate) faults: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) fenced_off: AtomicU64,
    pub(crate) faulty: AtomicBool,
    figures: Mutex<Figures>,
}

#[derive(Debug)]
struct Figures {
    commit_us: Histogram<u64>,
    batch: Histogram<u64>,
    operations: u64,
}

/// A distribution's usual points.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Spread {
    /// How many values.
    pub count: u64,
    /// Half are at most this.
    pub p50: u64,
    /// 99 of 100 are at most this.
    pub p99: u64,
    /// 999 of 1,000 are at most this.
    pub p999: u64,
    /// The largest.
    pub max: u64,
}

/// The writer's figures since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StoreStats {
    /// Operations waiting in the queue.
    pub queue_depth: usize,
    /// Essential operations kept through a disk fault.
    pub kept: usize,
    /// Operations committed.
    pub operations: u64,
    /// Operations refused because too many waited.
    pub overloaded: u64,
    /// Operations refused by their own rules (not found, conflict …).
    pub refused: u64,
    /// Batches lost to a disk fault.
    pub faults: u64,
    /// Outcomes not written because the contact's fence had moved on.
    pub fenced_off: u64,
    /// Whether the disk takes facts.
    pub works: bool,
    /// From BEGIN to the end of COMMIT, microseconds.
    pub commit_us: Spread,
    /// Operations in each commit.
    pub batch: Spread,
}

impl Default for Gauge {
    fn default() -> Self {
        let histogram = |max: u64| {
            let mut histogram = Histogram::new_with_bounds(1, max, 2)
                .expect("1 to max with two digits is a valid range");
            histogram.auto(false);
            histogram
        };
        let figures =
            Figures { commit_us: histogram(60_000_000), batch: histogram(100_000), operations: 0 };
        Self {
            queue_depth: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
            overloaded: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            fenced_off: AtomicU64::new(0),
            faulty: AtomicBool::new(false),
            figures: Mutex::new(figures),
        }
    }
}

impl Gauge {
    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one commit of `operations` operations.
    pub(crate) fn committed(&self, operations: usize, took: Duration) {
        let mut figures = self.figures();
        figures.commit_us.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        figures.batch.saturating_record(operations as u64);
        figures.operations += operations as u64;
    }

    pub(crate) fn snapshot(&self) -> StoreStats {
        let figures = self.figures();
        StoreStats {
            queue_depth: self.queue_depth.load(Ordering::Relaxed),
            kept: self.kept.load(Ordering::Relaxed),
            operations: figures.operations,
            overloaded: self.overloaded.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            faults: self.faults.load(Ordering::Relaxed),
            fenced_off: self.fenced_off.load(Ordering::Relaxed),
            works: !self.faulty.load(Ordering::Acquire),
            commit_us: Spread::of(&figures.commit_us),
            batch: Spread::of(&figures.batch),
        }
    }
}

impl Spread {
    fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            count: histogram.len(),
            p50: histogram.value_at_quantile(0.5),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_counted_and_a_huge_one_does_not_break_the_histogram() {
        let gauge = Gauge::default();
        gauge.committed(1, Duration::from_millis(5));
        gauge.committed(3, Duration::from_secs(3600));
        let stats = gauge.snapshot();
        assert_eq!((stats.operations, stats.commit_us.count, stats.batch.max), (4, 2, 3));
        assert!(stats.commit_us.max >= 59_000_000 && stats.works);
    }
}
