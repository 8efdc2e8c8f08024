//! When the phases of the tick are due: at fixed instants, so that lateness never adds up.
//!
//! Calls nothing. Called by `worker`.

use media::legs::{PHASE, PHASES};
use std::time::{Duration, Instant};

/// Phases made up for at once: 100 ms. What is later than that is skipped, since a receiver would
/// throw away such a burst.
const CATCH_UP_PHASES: u64 = 5 * PHASES as u64;

/// The clock of one worker.
#[derive(Clone, Copy, Debug)]
pub struct Ticker {
    start: Instant,
    done: u64,
}

/// A phase that is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DuePhase {
    /// Which, below `PHASES`.
    pub phase: usize,
    /// How late it is.
    pub late: Duration,
}

impl Ticker {
    /// The first phase is due one phase after `start`.
    pub fn start(start: Instant) -> Self {
        Self { start, done: 0 }
    }

    /// When the next phase is due.
    pub fn deadline(&self) -> Instant {
        self.start + PHASE * u32::try_from(self.done + 1).unwrap_or(u32::MAX)
    }

    /// Skips what can no longer be made up for; returns how many whole ticks (of all phases).
    pub fn skip(&mut self, now: Instant) -> u32 {
        let behind = self.phases_at(now).saturating_sub(self.done);
        let excess = behind.saturating_sub(CATCH_UP_PHASES);
        // Whole ticks, so that every leg misses as many.
        let ticks = excess.div_ceil(PHASES as u64);
        self.done += ticks * PHASES as u64;
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }

    /// Takes the next phase, if it is due.
    pub fn take(&mut self, now: Instant) -> Option<DuePhase> {
        if self.done >= self.phases_at(now) {
            return None;
        }
        let late = now.saturating_duration_since(self.deadline());
        self.done += 1;
        self.rebase();
        Some(DuePhase { phase: (self.done % PHASES as u64) as usize, late })
    }

    /// Moves the start on by an hour of phases, so that the arithmetic of `u32` above suffices.
    fn rebase(&mut self) {
        const HOUR: u32 = 3_600_000 / 5;
        if self.done >= 2 * u64::from(HOUR) {
            self.start += PHASE * HOUR;
            self.done -= u64::from(HOUR);
        }
    }

    fn phases_at(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.start);
        (elapsed.as_micros() / PHASE.as_micros()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phases(ticker: &mut Ticker, now: Instant) -> Vec<(usize, u64)> {
        std::iter::from_fn(|| ticker.take(now))
            .map(|due| (due.phase, due.late.as_millis() as u64))
            .collect()
    }

    #[test]
    fn phases_come_every_five_milliseconds_without_drift() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut ticker = Ticker::start(start);
        assert_eq!(phases(&mut ticker, at(4)), []);
        assert_eq!(ticker.deadline(), at(5));
        assert_eq!(phases(&mut ticker, at(7)), [(1, 2)]);
        assert_eq!(ticker.deadline(), at(10));
        assert_eq!(phases(&mut ticker, at(21)), [(2, 11), (3, 6), (0, 1)]);
        assert_eq!(ticker.skip(at(100)), 0);
        // 2,021 ms on: 400 phases behind, of which 380 are 95 whole ticks.
        assert_eq!(ticker.skip(at(2_021)), 95);
        assert_eq!(phases(&mut ticker, at(2_021)).len(), 20);
        assert_eq!(ticker.deadline(), at(2_025));
    }

    #[test]
    fn days_do_not_overflow() {
        let start = Instant::now();
        let mut ticker = Ticker::start(start);
        let mut taken = 0_u64;
        for hour in 1..=200 {
            let now = start + Duration::from_secs(3_600 * hour);
            taken += u64::from(ticker.skip(now)) * PHASES as u64;
            taken += phases(&mut ticker, now).len() as u64;
        }
        assert_eq!(taken, 200 * 720_000);
        assert_eq!(ticker.deadline(), start + Duration::from_secs(720_000) + PHASE);
    }
}
