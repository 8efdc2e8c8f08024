//! When the next dialling may begin: a bucket of tokens, told as a row of slots.
//!
//! Slots lie `60 s / rate` apart. A dialling takes the next slot, at its time or up to 50 ms late;
//! a slot missed for longer is lost. So a loop that wakes late catches up, and an hour without
//! contacts does not turn into a burst: any span of `s` seconds begins at most
//! `rate × (s + 0.05) / 60 + 1` diallings.
//!
//! Calls nothing. Called by `campaign`.

use std::time::{Duration, Instant};

/// How late a slot may still be used: a few turns of a busy loop, and too short to be noticed as a
/// burst by a carrier that counts per second.
const LATE_MAX: Duration = Duration::from_millis(50);

/// The slots of one campaign.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pacer {
    apart: Duration,
    /// The first slot not taken; `None` before the first dialling.
    slot: Option<Instant>,
}

impl Pacer {
    /// Slots for `rate_per_minute_max` diallings a minute; 0 counts as 1.
    pub fn new(rate_per_minute_max: u32) -> Self {
        Self { apart: apart(rate_per_minute_max), slot: None }
    }

    /// Goes on at another rate from the present slot.
    pub fn set_rate(&mut self, rate_per_minute_max: u32) {
        let before = self.apart;
        self.apart = apart(rate_per_minute_max);
        // The slot was laid one old distance after the last dialling.
        self.slot = self.slot.and_then(|slot| slot.checked_sub(before)).map(|at| at + self.apart);
    }

    /// Takes a slot, if one is there: then a dialling may begin now.
    pub fn take(&mut self, now: Instant) -> bool {
        let slot = self.first_usable(now);
        if slot > now {
            return false;
        }
        self.slot = Some(slot + self.apart);
        true
    }

    /// When the next dialling may begin; not after `now` means at once.
    pub fn next(&self, now: Instant) -> Instant {
        self.first_usable(now)
    }

    /// How many diallings may begin from now to `until`.
    pub fn slots_until(&self, until: Instant, now: Instant) -> u32 {
        let Some(span) = until.checked_duration_since(self.first_usable(now)) else { return 0 };
        u32::try_from(span.as_nanos() / self.apart.as_nanos()).unwrap_or(u32::MAX).saturating_add(1)
    }

    fn first_usable(&self, now: Instant) -> Instant {
        let Some(slot) = self.slot else { return now };
        now.checked_sub(LATE_MAX).map_or(slot, |oldest| slot.max(oldest))
    }
}

/// Rounded up, so that no minute holds one slot too many.
fn apart(rate_per_minute_max: u32) -> Duration {
    Duration::from_nanos(60_000_000_000_u64.div_ceil(u64::from(rate_per_minute_max.max(1))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::now::epoch;

    #[test]
    fn six_thousand_a_minute_is_one_each_ten_milliseconds() {
        let start = epoch().instant;
        let mut pacer = Pacer::new(6_000);
        let mut taken = Vec::new();
        for at_ms in 0..50 {
            while pacer.take(start + Duration::from_millis(at_ms)) {
                taken.push(at_ms);
            }
        }
        assert_eq!(taken, [0, 10, 20, 30, 40]);
        let now = start + Duration::from_millis(49);
        assert_eq!(pacer.next(now), start + Duration::from_millis(50));
        assert_eq!(pacer.slots_until(start + Duration::from_millis(49), now), 0);
        assert_eq!(pacer.slots_until(start + Duration::from_millis(50), now), 1);
        assert_eq!(pacer.slots_until(start + Duration::from_millis(2_050), now), 201);
    }

    /// After a pause of an hour at 6,000 a minute: the slots of the last 50 ms, and no more.
    #[test]
    fn a_late_turn_catches_up_but_a_pause_is_no_burst() {
        let start = epoch().instant;
        let mut pacer = Pacer::new(6_000);
        assert!(pacer.take(start));
        let late = start + Duration::from_millis(35);
        assert_eq!((0..10).filter(|_| pacer.take(late)).count(), 3);
        let after_a_pause = start + Duration::from_secs(3_600);
        assert_eq!((0..100).filter(|_| pacer.take(after_a_pause)).count(), 6);
    }

    /// Whatever the moments at which it is asked, no window holds more than the bound.
    #[test]
    fn no_window_ever_exceeds_the_rate() {
        for rate in [1, 7, 60, 997, 6_000, 60_000] {
            let start = epoch().instant;
            let mut pacer = Pacer::new(rate);
            let mut at = start;
            let mut begun = Vec::new();
            let mut random = u64::from(rate);
            while at < start + Duration::from_secs(20) {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                at += Duration::from_micros((random >> 33) % 40_000);
                while pacer.take(at) {
                    begun.push(at);
                }
            }
            for window_ms in [10_u64, 100, 1_000, 5_000] {
                let most = u64::from(rate) * (window_ms + 50) / 60_000 + 1;
                let window = Duration::from_millis(window_ms);
                let held = (0..begun.len()).map(|first| {
                    begun[first..].iter().take_while(|at| **at - begun[first] < window).count()
                });
                assert!(held.max() <= Some(most as usize), "rate {rate}, window {window_ms} ms");
            }
        }
    }

    #[test]
    fn a_new_rate_counts_from_the_last_dialling() {
        let start = epoch().instant;
        let mut pacer = Pacer::new(1);
        assert!(pacer.take(start));
        pacer.set_rate(60);
        assert_eq!(pacer.next(start), start + Duration::from_secs(1));
        assert!(!pacer.take(start + Duration::from_millis(999)));
    }
}
