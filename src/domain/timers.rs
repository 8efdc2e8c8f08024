//! Deadlines: a few named ones of one machine, and one indexed queue for a layer of machines.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// The named deadlines of one machine. A machine has a handful, so a list is the fastest map.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Timers<T> {
    set: Vec<(T, Instant)>,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { set: Vec::new() }
    }
}

impl<T: Copy + Eq> Timers<T> {
    /// Sets the deadline called `name`, replacing an earlier one.
    pub fn set(&mut self, name: T, at: Instant) {
        self.stop(name);
        self.set.push((name, at));
    }

    /// Forgets the deadline called `name`.
    pub fn stop(&mut self, name: T) {
        self.set.retain(|(other, _)| *other != name);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.set.clear();
    }

    /// Whether the deadline called `name` is set.
    pub fn is_set(&self, name: T) -> bool {
        self.set.iter().any(|(other, _)| *other == name)
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.set.iter().map(|(_, at)| *at).min()
    }

    /// Takes the earliest deadline that is not after `now`, if any; ties in the order of setting.
    pub fn expire(&mut self, now: Instant) -> Option<T> {
        let (index, _) = self
            .set
            .iter()
            .enumerate()
            .filter(|(_, (_, at))| *at <= now)
            .min_by_key(|(_, (_, at))| *at)?;
        Some(self.set.remove(index).0)
    }
}

/// One indexed queue of deadlines for a layer: each key has at most one. All operations take
/// logarithmic time; a turn never scans the machines.
#[derive(Clone, Debug)]
pub struct TimerQueue<K> {
    by_time: BTreeSet<(Instant, K)>,
    by_key: BTreeMap<K, Instant>,
}

impl<K> Default for TimerQueue<K> {
    fn default() -> Self {
        Self { by_time: BTreeSet::new(), by_key: BTreeMap::new() }
    }
}

impl<K: Clone + Ord> TimerQueue<K> {
    /// Makes `at` the deadline of `key`; `None` removes it.
    pub fn update(&mut self, key: &K, at: Option<Instant>) {
        if self.by_key.get(key).copied() == at {
            return;
        }
        if let Some(old) = self.by_key.remove(key) {
            self.by_time.remove(&(old, key.clone()));
        }
        if let Some(at) = at {
            self.by_key.insert(key.clone(), at);
            self.by_time.insert((at, key.clone()));
        }
    }

    /// The earliest deadline of all.
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes a key whose deadline is not after `now`, the earliest first.
    pub fn expire(&mut self, now: Instant) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    /// How many keys have a deadline.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::now::epoch;
    use std::time::Duration;

    #[test]
    fn the_earliest_expires_first_and_only_when_due() {
        let start = epoch().instant;
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::default();
        timers.set('b', at(2));
        timers.set('a', at(1));
        timers.set('b', at(3));
        assert_eq!(timers.next(), Some(at(1)));
        assert_eq!(timers.expire(at(0)), None);
        assert_eq!(timers.expire(at(5)), Some('a'));
        assert_eq!(timers.expire(at(5)), Some('b'));
        assert_eq!(timers.expire(at(5)), None);

        let mut queue = TimerQueue::default();
        queue.update(&1, Some(at(2)));
        queue.update(&2, Some(at(1)));
        queue.update(&1, Some(at(4)));
        assert_eq!(queue.expire(at(3)), Some(2));
        assert_eq!(queue.expire(at(3)), None);
        queue.update(&1, None);
        assert!(queue.is_empty());
    }
}
