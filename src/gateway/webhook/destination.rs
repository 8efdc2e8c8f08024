//! How each receiver fares: a slow one does not hold up the others, and one that is out of order is
//! left alone for a while.
//!
//! ```text
//!            5 failures in a row                 pause over, one letter goes
//! Answering ─────────────────────► Paused ─────────────────────────────────► Answering or Paused,
//!                                                                            twice as long
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

/// Letters on their way to one receiver at once.
pub const IN_FLIGHT_MAX: usize = 16;
/// Failures in a row after which a receiver is left alone.
const FAILURES_MAX: u32 = 5;
/// For how long at first; twice as long after each further failure.
const PAUSE_MS: u64 = 30_000;
/// For how long at most.
const PAUSE_MAX_MS: u64 = 600_000;
/// How long a letter waits that found no room.
const NO_ROOM_MS: u64 = 1_000;

/// All receivers, by their URL.
#[derive(Debug, Default)]
pub struct Destinations {
    known: BTreeMap<Arc<str>, Destination>,
}

#[derive(Debug, Default)]
struct Destination {
    in_flight: usize,
    failures: u32,
    paused_until_ms: u64,
}

impl Destinations {
    /// Asks to send one letter to `url`; each grant is followed by one [`Destinations::ended`].
    ///
    /// # Errors
    /// When to ask again, Unix milliseconds.
    pub fn begin(&mut self, url: &Arc<str>, now_ms: u64) -> Result<(), u64> {
        let destination = self.known.entry(Arc::clone(url)).or_default();
        if now_ms < destination.paused_until_ms {
            return Err(destination.paused_until_ms);
        }
        if destination.is_closed(now_ms) {
            return Err(now_ms + NO_ROOM_MS);
        }
        destination.in_flight += 1;
        Ok(())
    }

    /// The receivers that take no letter now, sorted.
    pub fn closed(&self, now_ms: u64) -> Vec<Arc<str>> {
        let closed = self.known.iter().filter(|(_, destination)| destination.is_closed(now_ms));
        closed.map(|(url, _)| Arc::clone(url)).collect()
    }

    /// A letter to `url` is back. `answered`: the receiver is in order, whatever it said to
    /// this letter.
    pub fn ended(&mut self, url: &str, answered: bool, now_ms: u64) {
        let Some(destination) = self.known.get_mut(url) else { return };
        destination.in_flight = destination.in_flight.saturating_sub(1);
        if answered {
            destination.failures = 0;
        } else {
            destination.failures = destination.failures.saturating_add(1);
            if destination.failures >= FAILURES_MAX {
                let doublings = (destination.failures - FAILURES_MAX).min(16);
                let pause_ms = (PAUSE_MS << doublings).min(PAUSE_MAX_MS);
                destination.paused_until_ms = now_ms + pause_ms;
            }
        }
        if destination.in_flight == 0 && destination.failures == 0 {
            // Nothing to remember: the map holds the busy and the broken ones only.
            self.known.remove(url);
        }
    }
}

impl Destination {
    fn is_closed(&self, now_ms: u64) -> bool {
        // After a pause one letter goes ahead to see.
        let room = if self.failures >= FAILURES_MAX { 1 } else { IN_FLIGHT_MAX };
        now_ms < self.paused_until_ms || self.in_flight >= room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_receiver_is_left_alone_and_then_tried_with_one_letter() {
        let mut destinations = Destinations::default();
        let (broken, sound): (Arc<str>, Arc<str>) = ("https://a".into(), "https://b".into());
        for _ in 0..FAILURES_MAX {
            assert_eq!(destinations.begin(&broken, 100), Ok(()));
            destinations.ended(&broken, false, 100);
        }
        assert_eq!(destinations.begin(&broken, 101), Err(100 + PAUSE_MS));
        assert_eq!(destinations.begin(&sound, 101), Ok(()));
        assert_eq!(destinations.closed(101), [Arc::clone(&broken)]);
        let later = 100 + PAUSE_MS;
        assert_eq!(destinations.begin(&broken, later), Ok(()));
        assert_eq!(destinations.begin(&broken, later), Err(later + NO_ROOM_MS));
        destinations.ended(&broken, false, later);
        let latest = later + 2 * PAUSE_MS;
        assert_eq!(destinations.begin(&broken, latest - 1), Err(latest));
        assert_eq!(destinations.begin(&broken, latest), Ok(()));
        destinations.ended(&broken, true, latest);
        assert_eq!(destinations.begin(&broken, latest), Ok(()));
        assert_eq!(destinations.begin(&broken, latest), Ok(()));
        assert!(destinations.closed(latest).is_empty());
    }

    #[test]
    fn one_receiver_gets_so_many_letters_at_once_and_is_forgotten_when_idle() {
        let mut destinations = Destinations::default();
        let origin: Arc<str> = "https://a".into();
        for _ in 0..IN_FLIGHT_MAX {
            assert_eq!(destinations.begin(&origin, 5), Ok(()));
        }
        assert_eq!(destinations.begin(&origin, 5), Err(5 + NO_ROOM_MS));
        for _ in 0..IN_FLIGHT_MAX {
            destinations.ended(&origin, true, 5);
        }
        assert!(destinations.known.is_empty());
    }
}
