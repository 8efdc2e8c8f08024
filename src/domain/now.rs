//! One reading of both clocks, taken once per turn of a loop.

use std::time::{Duration, Instant};

/// What time it is: the monotonic clock for deadlines, the wall clock for promises and records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Now {
    /// The monotonic clock: deadlines are instants on it.
    pub instant: Instant,
    /// Unix time in milliseconds: promises, calling windows and records use it.
    pub wall_ms: u64,
}

impl Now {
    /// The reading `by` later on both clocks.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self {
            instant: self.instant + by,
            wall_ms: self.wall_ms + u64::try_from(by.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The instant at which the wall clock will show `wall_ms`, if it runs as the monotonic one;
    /// an instant already past gives the present.
    pub fn instant_of(self, wall_ms: u64) -> Instant {
        self.instant + Duration::from_millis(wall_ms.saturating_sub(self.wall_ms))
    }
}

/// Some instant from which tests and the simulator count; its value means nothing.
#[allow(clippy::disallowed_methods)] // The one place: `Instant` has no other constructor.
pub fn epoch() -> Now {
    Now { instant: Instant::now(), wall_ms: 1_800_000_000_000 }
}
