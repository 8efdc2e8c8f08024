//! A table of fixed size: rows of a few places, the row chosen by a keyed hash.

use super::Bucket;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

/// What is known of a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) key: u128,
    pub(super) bucket: Bucket,
    pub(super) seen: Instant,
    pub(super) known_until: Option<Instant>,
    pub(super) banned_until: Option<Instant>,
    pub(super) first_strike: Instant,
    pub(super) dropped: u64,
    pub(super) strikes: u16,
    pub(super) bans: u8,
}

/// Rows of places; see the module.
#[derive(Debug)]
pub(super) struct Table {
    places: Vec<Option<Slot>>,
    secret: u64,
}

/// Rows.
pub(super) const ROWS: usize = 4_096;
/// Places of a row. 4,096 rows of 8 hold 32,768 sources in some 5 MB.
pub(super) const ROW: usize = 8;

impl Table {
    pub(super) fn new(secret: u64) -> Self {
        Self { places: vec![None; ROWS * ROW], secret }
    }

    pub(super) fn find(&self, key: u128) -> Option<&Slot> {
        let first = self.row(key);
        self.places[first..first + ROW].iter().flatten().find(|slot| slot.key == key)
    }

    pub(super) fn find_mut(&mut self, key: u128) -> Option<&mut Slot> {
        let first = self.row(key);
        self.places[first..first + ROW].iter_mut().flatten().find(|slot| slot.key == key)
    }

    /// The source's place. One that has none gets a free one; else that of the source which matters
    /// least: neither known nor banned, and longest silent.
    pub(super) fn slot(
        &mut self,
        key: u128,
        now: Instant,
        bucket: impl FnOnce() -> Bucket,
    ) -> &mut Slot {
        let first = self.row(key);
        let row = &mut self.places[first..first + ROW];
        let own = row.iter().position(|slot| slot.is_some_and(|slot| slot.key == key));
        let at = own.unwrap_or_else(|| least(row, now));
        let place = &mut row[at];
        if own.is_none() {
            *place = None;
        }
        let slot = place.get_or_insert_with(|| Slot {
            key,
            bucket: bucket(),
            seen: now,
            known_until: None,
            banned_until: None,
            first_strike: now,
            dropped: 0,
            strikes: 0,
            bans: 0,
        });
        slot.seen = now;
        slot
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.places.iter().flatten()
    }

    fn row(&self, key: u128) -> usize {
        let mut hasher = DefaultHasher::new();
        (self.secret, key).hash(&mut hasher);
        // The remainder is below `ROWS`.
        (hasher.finish() % ROWS as u64) as usize * ROW
    }
}

fn least(row: &[Option<Slot>], now: Instant) -> usize {
    let worth = |slot: &Option<Slot>| {
        slot.as_ref().map(|slot| (slot.is_known(now), slot.is_banned(now), slot.seen))
    };
    (0..row.len()).min_by_key(|at| worth(&row[*at])).unwrap_or(0)
}
