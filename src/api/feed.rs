//! The live events in order, kept for a while, so that a stream that broke can go on where it was.
//!
//! Sequence numbers rise over restarts too: a process begins at its start's Unix milliseconds
//! shifted left by 12 bits, so it may publish 4,096 events in each millisecond of its life, and the
//! numbers stay below 2^53 (readers that know only doubles) until the year 2039.

use domain::id::TenantId;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

/// Prints an event under the number it was given.
type Print = Box<dyn Fn(u64) -> String + Send + Sync>;

/// How many events are kept for streams that come back.
pub const KEPT_MAX: usize = 65_536;
/// And how many bytes of them: an event may have a thousand letters of speech. Usual ones have some
/// 200, so this is about 40,000 of them.
const KEPT_BYTES_MAX: usize = 8 << 20;
/// How many events one read hands out.
const BATCH_MAX: usize = 256;

/// One event.
pub struct Published {
    /// Its number.
    pub sequence: u64,
    /// Whose it is.
    pub tenant: TenantId,
    /// How many bytes it takes, about.
    length: usize,
    print: Print,
}

impl Published {
    /// The event as JSON. Made when somebody reads it: most are read by nobody.
    pub fn text(&self) -> String {
        (self.print)(self.sequence)
    }
}

/// What there is after a number.
pub enum Read {
    /// Events of the tenant, and the number to read after next time (it may be beyond the last
    /// event, when later ones belong to others).
    Events(Vec<Arc<Published>>, u64),
    /// What came after the number is no longer kept, or the number was never given out. The
    /// oldest kept event has this number.
    Gone {
        /// The oldest kept (or the next to come, if none is kept).
        oldest: u64,
    },
}

/// The events of this process.
pub struct EventFeed {
    kept: Mutex<Kept>,
    newest: watch::Sender<u64>,
}

struct Kept {
    /// The number of the first entry of `events`.
    oldest: u64,
    events: VecDeque<Arc<Published>>,
    capacity: usize,
    /// Bytes of them all.
    bytes: usize,
}

impl Kept {
    fn next(&self) -> u64 {
        self.oldest + self.events.len() as u64
    }

    /// Makes room for one of `bytes`: the oldest go.
    fn make_room(&mut self, bytes: usize) {
        while self.events.len() >= self.capacity || self.bytes + bytes > KEPT_BYTES_MAX {
            let Some(oldest) = self.events.pop_front() else { break };
            self.oldest += 1;
            self.bytes -= oldest.length;
        }
        self.bytes += bytes;
    }
}

impl EventFeed {
    /// A feed for a process started at `wall_ms` that keeps [`KEPT_MAX`] events.
    pub fn starting_at(wall_ms: u64) -> Self {
        Self::with_capacity(wall_ms, KEPT_MAX)
    }

    /// The same with another bound (at least 1).
    pub fn with_capacity(wall_ms: u64, capacity: usize) -> Self {
        let oldest = (wall_ms << 12) + 1;
        let capacity = capacity.max(1);
        let kept = Kept { oldest, events: VecDeque::new(), capacity, bytes: 0 };
        Self { kept: Mutex::new(kept), newest: watch::Sender::new(oldest - 1) }
    }

    /// Appends an event of about `length` bytes; `print` renders it with the number it is given. The
    /// oldest is dropped when the feed is full.
    pub fn publish(
        &self,
        tenant: TenantId,
        length: usize,
        print: impl Fn(u64) -> String + Send + Sync + 'static,
    ) {
        let mut kept = self.kept.lock();
        let sequence = kept.next();
        kept.make_room(length);
        let print = Box::new(print);
        kept.events.push_back(Arc::new(Published { sequence, tenant, length, print }));
        drop(kept);
        self.newest.send_replace(sequence);
    }

    /// The number of the newest event; of a silent process the one before its first.
    pub fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// Tells when something new has come.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// The events of `tenant` after the number `after`, at most 256 of all tenants looked through.
    pub fn read(&self, after: u64, tenant: &TenantId) -> Read {
        let kept = self.kept.lock();
        if after.saturating_add(1) < kept.oldest || after >= kept.next() {
            return Read::Gone { oldest: kept.oldest };
        }
        // Both ends were checked above, so the difference is a place in the list or its end.
        let first = (after + 1 - kept.oldest) as usize;
        let batch = kept.events.iter().skip(first).take(BATCH_MAX);
        let looked_at = batch.len() as u64;
        let events = batch.filter(|event| event.tenant == *tenant).cloned().collect();
        Read::Events(events, after + looked_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId(name.into())
    }

    fn read(feed: &EventFeed, after: u64) -> Result<(Vec<String>, u64), u64> {
        match feed.read(after, &tenant("a")) {
            Read::Events(events, next) => {
                Ok((events.iter().map(|event| event.text()).collect(), next))
            }
            Read::Gone { oldest } => Err(oldest),
        }
    }

    #[test]
    fn each_tenant_reads_its_own_events_from_any_kept_place() {
        let feed = EventFeed::with_capacity(1, 3);
        let start = feed.newest();
        assert_eq!(start, 1 << 12);
        assert_eq!(read(&feed, start), Ok((vec![], start)));
        for (owner, text) in [("a", "1"), ("b", "2"), ("a", "3")] {
            feed.publish(tenant(owner), 1, move |_| text.into());
        }
        assert_eq!(read(&feed, start), Ok((vec!["1".into(), "3".into()], start + 3)));
        assert_eq!(read(&feed, start + 2), Ok((vec!["3".into()], start + 3)));
        feed.publish(tenant("a"), 1, |sequence| sequence.to_string());
        // The first has been dropped: who has not read it is told, who has goes on.
        assert_eq!(read(&feed, start), Err(start + 2));
        assert_eq!(read(&feed, start + 1).unwrap().0, ["3".to_owned(), (start + 4).to_string()]);
        // A number from the future or from another machine.
        assert_eq!(read(&feed, start + 5), Err(start + 2));
        assert_eq!(read(&feed, 0), Err(start + 2));
        assert_eq!(read(&feed, u64::MAX), Err(start + 2));
    }

    #[test]
    fn long_events_go_earlier() {
        let feed = EventFeed::with_capacity(1, 100);
        let start = feed.newest();
        const MEBIBYTE: usize = 1 << 20;
        for _ in 0..10 {
            feed.publish(tenant("a"), MEBIBYTE, |_| "x".into());
        }
        // Eight fit; one that fits alone in no feed is still kept until the next.
        assert_eq!(read(&feed, start), Err(start + 3));
        feed.publish(tenant("a"), 9 * MEBIBYTE, |_| "x".into());
        assert_eq!(read(&feed, start + 10).unwrap().0.len(), 1);
        feed.publish(tenant("a"), 1, |_| "y".into());
        assert_eq!(read(&feed, start + 11), Ok((vec!["y".into()], start + 12)));
    }

    #[test]
    fn numbers_rise_over_a_restart_and_fit_a_double() {
        let first = EventFeed::starting_at(1_800_000_000_000);
        for _ in 0..4_000 {
            first.publish(tenant("a"), 1, |_| String::new());
        }
        let second = EventFeed::starting_at(1_800_000_000_001);
        assert!(first.newest() < second.newest());
        assert!(EventFeed::starting_at(2_190_000_000_000).newest() < 1 << 53);
    }
}
