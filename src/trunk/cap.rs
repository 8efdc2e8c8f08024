//! What one trunk bears: calls begun per second, and calls at once.
//!
//! Carriers count per second and refuse what is above, however low the average; so the last
//! second's calls are remembered one by one, and no window of a second ever holds more than the
//! cap. A bucket of tokens would let twice the cap through where a full bucket meets a busy second.
//!
//! Calls nothing. Called by `trunks`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(1);

/// The caps of one trunk and what is used of them.
#[derive(Clone, Debug)]
pub struct TrunkCap {
    calls_per_second_max: u32,
    channels_max: u32,
    channels: u32,
    /// When the calls of the last second were begun; never more than `calls_per_second_max`.
    begun: VecDeque<Instant>,
}

impl TrunkCap {
    /// An idle trunk. A cap of 0 lets nothing through.
    pub fn new(calls_per_second_max: u32, channels_max: u32) -> Self {
        Self { calls_per_second_max, channels_max, channels: 0, begun: VecDeque::new() }
    }

    /// Takes a channel whatever the caps say: whether there is room is asked before. Each one taken is
    /// given back by one `release`.
    pub fn take_always(&mut self, now: Instant) {
        self.forget_before(now);
        // The window holds no more than the cap; one beyond it is not remembered.
        if self.begun.len() < self.calls_per_second_max as usize {
            self.begun.push_back(now);
        }
        self.channels += 1;
    }

    /// Whether a channel is free, whatever the calls per second.
    pub fn has_channel(&self) -> bool {
        self.channels < self.channels_max
    }

    /// Gives a channel back. The call still counts in its second.
    ///
    /// # Panics
    /// In debug builds, if more are given back than were taken: only our own bug can do that.
    pub fn release(&mut self) {
        debug_assert!(self.channels > 0, "a channel was given back twice");
        self.channels = self.channels.saturating_sub(1);
    }

    /// When the next call may begin, as far as the calls per second go: `now` if at once, `None`
    /// if never.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        let most = self.calls_per_second_max as usize;
        if most == 0 {
            return None;
        }
        if self.begun.len() < most {
            return Some(now);
        }
        let blocking = self.begun.get(self.begun.len() - most)?;
        Some((*blocking + WINDOW).max(now))
    }

    /// Channels in use.
    pub fn channels(&self) -> u32 {
        self.channels
    }

    /// Calls begun in the last second.
    pub fn rate(&self, now: Instant) -> u32 {
        let recent = self.begun.iter().filter(|at| **at + WINDOW > now).count();
        u32::try_from(recent).unwrap_or(u32::MAX)
    }

    fn forget_before(&mut self, now: Instant) {
        while self.begun.front().is_some_and(|at| *at + WINDOW <= now) {
            self.begun.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::now::epoch;

    fn take(cap: &mut TrunkCap, now: Instant) -> bool {
        let room = cap.has_channel() && cap.next(now).is_some_and(|at| at <= now);
        if room {
            cap.take_always(now);
        }
        room
    }

    #[test]
    fn no_second_holds_more_than_the_cap_wherever_it_begins() {
        let start = epoch().instant;
        let at = |ms| start + Duration::from_millis(ms);
        let mut cap = TrunkCap::new(3, 100);
        let taken: Vec<_> = [0, 10, 990, 995, 999, 1_000, 1_005, 1_010, 1_990, 1_999, 2_000]
            .map(|ms| take(&mut cap, at(ms)))
            .into();
        let (yes, no) = (true, false);
        assert_eq!(taken, [yes, yes, yes, no, no, yes, no, yes, yes, no, yes]);
        assert_eq!(cap.next(at(2_000)), Some(at(2_010)));
        assert_eq!(cap.next(at(5_000)), Some(at(5_000)));
        assert_eq!(cap.channels(), 7);

        let mut random = 1_u64;
        let mut cap = TrunkCap::new(20, u32::MAX);
        let mut begun = Vec::new();
        for ms in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if random >> 62 == 0 && take(&mut cap, at(ms)) {
                begun.push(ms);
            }
        }
        assert!(begun.windows(21).all(|calls| calls[20] - calls[0] >= 1_000));
        // Nothing is lost either: twenty seconds hold their four hundred.
        assert_eq!(begun.len(), 400);
    }

    #[test]
    fn channels_are_given_back_once() {
        let now = epoch().instant;
        let mut cap = TrunkCap::new(100, 2);
        assert!(take(&mut cap, now) && take(&mut cap, now) && !take(&mut cap, now));
        cap.take_always(now);
        assert_eq!(cap.channels(), 3);
        cap.release();
        assert!(!take(&mut cap, now));
        cap.release();
        assert!(take(&mut cap, now));
        let mut shut = TrunkCap::new(0, 5);
        assert!(!take(&mut shut, now));
        assert_eq!(shut.next(now), None);
    }
}
