//! A token bucket for each key.

use dashmap::DashMap;
use std::time::{Duration, Instant};

/// How often one key may ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Requests per second in the long run; 0 means no limit.
    pub per_second: u32,
    /// Requests at once after a rest; at least 1.
    pub burst: u32,
}

/// The buckets of all keys seen lately.
#[derive(Debug)]
pub struct RateLimiter {
    rate: Rate,
    buckets: DashMap<u64, Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl RateLimiter {
    /// Full buckets of this rate.
    pub fn new(rate: Rate) -> Self {
        Self { rate, buckets: DashMap::new() }
    }

    /// Takes a token of the key's bucket. `Err` is the time until there is one.
    pub fn take(&self, key: u64, now: Instant) -> Result<(), Duration> {
        if self.rate.per_second == 0 {
            return Ok(());
        }
        let (per_second, burst) = (f64::from(self.rate.per_second), self.burst());
        let mut bucket =
            self.buckets.entry(key).or_insert(Bucket { tokens: burst, filled_at: now });
        let passed = now.saturating_duration_since(bucket.filled_at).as_secs_f64();
        bucket.tokens = (bucket.tokens + passed * per_second).min(burst);
        bucket.filled_at = now;
        if bucket.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.tokens) / per_second));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }

    /// Forgets buckets that are full again.
    pub fn forget_full(&self, now: Instant) {
        let burst = self.burst();
        let to_fill = Duration::from_secs_f64(burst / f64::from(self.rate.per_second.max(1)));
        self.buckets.retain(|_, bucket| now.saturating_duration_since(bucket.filled_at) < to_fill);
    }

    fn burst(&self) -> f64 {
        f64::from(self.rate.burst.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let limiter = RateLimiter::new(Rate { per_second: 10, burst: 3 });
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        for _ in 0..3 {
            assert_eq!(limiter.take(1, start), Ok(()));
        }
        assert_eq!(limiter.take(1, start), Err(Duration::from_millis(100)));
        // Another key has its own.
        assert_eq!(limiter.take(2, start), Ok(()));
        assert_eq!(limiter.take(1, at(101)), Ok(()));
        assert!(limiter.take(1, at(102)).is_err());
        limiter.forget_full(at(200));
        assert_eq!(limiter.buckets.len(), 2);
        limiter.forget_full(at(5_000));
        assert_eq!(limiter.buckets.len(), 0);
        let free = RateLimiter::new(Rate { per_second: 0, burst: 0 });
        assert!((0..1_000).all(|_| free.take(1, start).is_ok()));
    }
}
