//! Memory given back to the system after a peak: what is freed between pieces that live on stays with
//! the allocator, which by itself gives back the end of its heap only.
#![allow(unsafe_code)] // One call into libc, which says why it is sound.

use std::time::{Duration, Instant};

/// Below this many pieces at the peak there is nothing worth it.
const WORTH_IT: usize = 256;
/// Looking through the heap takes some milliseconds, in which who allocates may have to wait.
const AT_MOST_EVERY: Duration = Duration::from_secs(10);

/// Watches how much there is.
#[derive(Debug, Default)]
pub struct Memory {
    /// The most legs and transactions since memory was given back.
    peak: usize,
    last: Option<Instant>,
}

impl Memory {
    /// So many legs and transactions are there now: once half of them are gone, `pack` is done and what
    /// they took is given back, on a thread of its own.
    pub fn held(&mut self, count: usize, now: Instant, pack: impl FnOnce() + Send + 'static) {
        self.peak = self.peak.max(count);
        if !self.is_due(count, now) {
            return;
        }
        (self.peak, self.last) = (count, Some(now));
        // Without a thread it stays as it is.
        let _ = std::thread::Builder::new().name("memory".into()).spawn(|| {
            pack();
            give_back();
        });
    }

    fn is_due(&self, count: usize, now: Instant) -> bool {
        self.peak >= WORTH_IT
            && count <= self.peak / 2
            && self.last.is_none_or(|last| now >= last + AT_MOST_EVERY)
    }
}

#[cfg(target_env = "gnu")]
fn give_back() {
    // SAFETY: it takes no pointer, locks what it looks at, and leaves what is in use.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
fn give_back() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_after_each_peak() {
        let start = Instant::now();
        let mut memory = Memory::default();
        let due: Vec<bool> =
            [(0, 0), (1, 10_000), (2, 5_001), (3, 5_000), (4, 0), (14, 0), (15, 0)]
                .map(|(at_s, count)| {
                    let before = memory.last;
                    memory.held(count, start + Duration::from_secs(at_s), || ());
                    memory.last != before
                })
                .to_vec();
        assert_eq!(due, [false, false, false, true, false, true, false]);
    }
}
