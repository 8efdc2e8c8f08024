//! What the workers count, readable from any thread.

use crate::net::rtp::ByIp;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest lateness told apart: ten seconds, in microseconds.
const LATE_MAX_US: u64 = 10_000_000;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The counters of one worker.
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: AtomicU64,)*
        }

        /// Sums over all workers since the start.
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        pub struct Figures {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Figures {
            pub(super) fn add(&mut self, counters: &Counters) {
                $(self.$name += counters.$name.load(Ordering::Relaxed);)*
            }
        }
    };
}

counters! {
    /// Legs at present.
    legs,
    /// Packets received, refused ones included.
    packets_in,
    /// Packets sent.
    packets_out,
    /// Packets from strangers, or to a port that nobody uses.
    refused,
    /// Packets that the system did not take.
    unsent,
    /// Pieces of utterances that nobody took.
    utterance_parts_dropped,
    /// Seconds of recordings that the writing thread did not take in time.
    recording_parts_dropped,
    /// Orders refused because a worker was stuck.
    orders_refused,
    /// Ports used again before they had rested.
    ports_not_rested,
    /// Ticks of 20 ms skipped because a worker was over 100 ms late.
    ticks_skipped,
}

/// What one worker shares.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) counters: Counters,
    /// Seats found ahead, for whoever opens a leg: a place among the worker's seats and its address.
    pub(super) lent: Mutex<ByIp<Vec<(usize, SocketAddr)>>>,
    lateness: Mutex<Histogram<u64>>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            counters: Counters::default(),
            lent: Mutex::default(),
            lateness: Mutex::new(empty()),
        }
    }
}

impl Shared {
    pub(super) fn count(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    /// While somebody reads the figures, a tick goes unrecorded: he may have any priority, and the
    /// tick must not wait for him.
    pub(super) fn record_lateness(&self, late: Duration) {
        let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        if let Some(mut lateness) = self.lateness.try_lock() {
            lateness.saturating_record(micros);
        }
    }
}

/// The lateness of the ticks of all workers, in microseconds.
pub(super) fn merged<'a>(shared: impl Iterator<Item = &'a Shared>) -> Histogram<u64> {
    let mut sum = empty();
    for one in shared {
        sum.add(&*one.lateness.lock()).expect("all have the same bounds");
    }
    sum
}

fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATE_MAX_US, 2).expect("the bounds are valid constants")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_add_up() {
        let workers = [Shared::default(), Shared::default()];
        let mut figures = Figures::default();
        for (number, worker) in workers.iter().enumerate() {
            Shared::count(&worker.counters.packets_out, 10 + number as u64);
            worker.record_lateness(Duration::from_micros(100 * (number as u64 + 1)));
            worker.record_lateness(Duration::from_secs(100));
            figures.add(&worker.counters);
        }
        assert_eq!(figures, Figures { packets_out: 21, ..Figures::default() });
        let merged = merged(workers.iter());
        assert_eq!((merged.len(), merged.min()), (4, 100));
    }
}
