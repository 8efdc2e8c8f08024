//! How long will he wait? Measured, and silent when there is no honest answer.
//!
//! Of the estimators compared in the literature (Ibrahim and Whitt, 2009) the one from the length
//! of the line, corrected for those who give up, errs least: with `n` agents, each finishing `μ`
//! calls a second, and each waiting caller giving up at `θ` a second, the k-th place is reached
//! after the sum of `1 / (n μ + i θ)` over `i` from 0 to k, here its integral.
//!
//! Calls nothing. Called by `dispatcher`.

use std::time::Duration;

/// Handling time believed before anything was measured.
const PRIOR_HANDLING_S: f64 = 180.0;
/// How many measured calls the belief weighs as much as.
const PRIOR_WEIGHT: f64 = 5.0;
/// Each new measurement lessens the weight of the earlier ones: about the last 100 count.
const KEPT: f64 = 0.99;
/// A single call counts at most as this long: a wrap-up forgotten over lunch is no handling time.
const HANDLING_MAX: Duration = Duration::from_secs(3600);

/// What a queue has learnt about its pace.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitEstimate {
    handled: f64,
    handling_s: f64,
    gave_up: f64,
    waited_s: f64,
}

impl Default for WaitEstimate {
    /// Nothing measured yet.
    fn default() -> Self {
        Self {
            handled: PRIOR_WEIGHT,
            handling_s: PRIOR_WEIGHT * PRIOR_HANDLING_S,
            gave_up: 0.0,
            waited_s: 0.0,
        }
    }
}

impl WaitEstimate {
    /// An agent was busy for `time` with one call, ringing and wrap-up included.
    pub fn handled(&mut self, time: Duration) {
        self.handled = self.handled * KEPT + 1.0;
        self.handling_s = self.handling_s * KEPT + time.min(HANDLING_MAX).as_secs_f64();
    }

    /// A caller's wait of `time` is over without his giving up: an agent took him, or the queue
    /// ended it.
    pub fn waited(&mut self, time: Duration) {
        self.gave_up *= KEPT;
        self.waited_s = self.waited_s * KEPT + time.as_secs_f64();
    }

    /// A caller's wait of `time` is over because he hung up.
    pub fn gave_up_after(&mut self, time: Duration) {
        self.gave_up = self.gave_up * KEPT + 1.0;
        self.waited_s = self.waited_s * KEPT + time.as_secs_f64();
    }

    /// The mean time that one call keeps an agent.
    pub fn handling(&self) -> Duration {
        Duration::from_secs_f64(self.handling_s / self.handled)
    }

    /// Estimates the wait of a caller with `ahead` others before him, served by `agents` agents,
    /// all busy. `ahead` may be a fraction: callers of other queues count as far as they take
    /// these agents.
    ///
    /// Returns `None` when `agents` is 0: the line does not move, and no number is honest.
    pub fn wait(&self, ahead: f64, agents: u32) -> Option<Duration> {
        if agents == 0 {
            return None;
        }
        let served_per_s = f64::from(agents) * self.handled / self.handling_s.max(0.001);
        // Below ten minutes of waiting in all there is no telling how patient they are.
        let lost_per_s = if self.waited_s < 600.0 { 0.0 } else { self.gave_up / self.waited_s };
        let steps = ahead.max(0.0) + 1.0;
        let wait_s = if lost_per_s * steps < 1e-6 * served_per_s {
            steps / served_per_s
        } else {
            (1.0 + steps * lost_per_s / served_per_s).ln() / lost_per_s
        };
        Some(Duration::try_from_secs_f64(wait_s).unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(wait: Option<Duration>) -> Option<u64> {
        wait.map(|wait| wait.as_secs())
    }

    #[test]
    fn with_no_measurement_it_is_the_plain_formula_and_with_nobody_nothing() {
        let estimate = WaitEstimate::default();
        assert_eq!(seconds(estimate.wait(2.0, 6)), Some(90));
        assert_eq!(estimate.wait(0.0, 0), None);
    }

    #[test]
    fn measured_handling_times_replace_the_belief() {
        let mut estimate = WaitEstimate::default();
        for _ in 0..20 {
            estimate.handled(Duration::from_secs(60));
        }
        assert!((60..85).contains(&estimate.handling().as_secs()), "{:?}", estimate.handling());
        for _ in 0..500 {
            estimate.handled(Duration::from_secs(60));
        }
        assert_eq!(estimate.handling().as_secs_f64().round(), 60.0);
        estimate.handled(Duration::from_secs(86_400));
        assert!(estimate.handling() < Duration::from_secs(120));
    }

    /// Every other caller hangs up, after two minutes each on average: the line is shorter than it
    /// looks.
    #[test]
    fn those_who_give_up_shorten_the_wait() {
        let mut estimate = WaitEstimate::default();
        let before = estimate.wait(10.0, 4).unwrap();
        for _ in 0..200 {
            estimate.gave_up_after(Duration::from_secs(120));
            estimate.waited(Duration::from_secs(120));
        }
        let after = estimate.wait(10.0, 4).unwrap();
        assert!(after < before * 7 / 10, "{before:?} then {after:?}");
        assert!(after > before / 4, "{before:?} then {after:?}");
    }

    #[test]
    fn absurd_lines_do_not_panic() {
        let estimate = WaitEstimate::default();
        assert!(estimate.wait(1e300, 1).is_some());
        assert!(estimate.wait(-5.0, 1).is_some());
    }
}
