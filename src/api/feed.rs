//! The live events in order, kept for a while, so that a stream that broke can go on where it was.
//!
//! Sequence numbers rise over restarts too: a process begins at its start's Unix milliseconds
//! shifted left by 12 bits, so it may publish 4,096 events in each millisecond of its life, and the
//! numbers stay below 2^53 (readers that know only doubles) until the year 2039.

use bytes::Bytes;
use domain::id::TenantId;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

/// Prints an event under the number it was given.
type Print = Arc<dyn Fn(u64) -> String + Send + Sync>;

/// How many events are kept for streams that come back.
pub const KEPT_MAX: usize = 65_536;
/// And how many bytes of them: an event may have a thousand letters of speech. Usual ones have some
/// 200, so this is about 40,000 of them.
const KEPT_BYTES_MAX: usize = 8 << 20;
/// How many events one read hands out.
const BATCH_MAX: usize = 256;

/// One event.
struct Kept {
    /// Whose it is.
    tenant: TenantId,
    /// How many bytes it takes, about.
    length: usize,
    body: Body,
}

/// Made into text when somebody reads it, since most are read by nobody, or when it is to take less.
#[derive(Clone)]
enum Body {
    Told(Print),
    Text(Bytes),
}

/// One event, read.
pub struct Published {
    sequence: u64,
    body: Body,
}

impl Published {
    /// The event as JSON.
    pub fn text(&self) -> String {
        match &self.body {
            Body::Told(print) => print(self.sequence),
            Body::Text(text) => String::from_utf8_lossy(text).into_owned(),
        }
    }
}

/// What there is after a number.
pub enum Read {
    /// Events of the tenant, and the number to read after next time (it may be beyond the last
    /// event, when later ones belong to others).
    Events(Vec<Published>, u64),
    /// What came after the number is no longer kept, or the number was never given out. The
    /// oldest kept event has this number.
    Gone {
        /// The oldest kept (or the next to come, if none is kept).
        oldest: u64,
    },
}

/// The events of this process.
pub struct EventFeed {
    all: Mutex<All>,
    newest: watch::Sender<u64>,
}

struct All {
    /// The number of the first entry of `events`.
    oldest: u64,
    events: VecDeque<Kept>,
    capacity: usize,
    /// Bytes of them all.
    bytes: usize,
}

impl All {
    fn next(&self) -> u64 {
        self.oldest + self.events.len() as u64
    }

    fn at(&mut self, sequence: u64) -> Option<&mut Kept> {
        let place = usize::try_from(sequence.checked_sub(self.oldest)?).ok()?;
        self.events.get_mut(place)
    }

    /// A batch of those from this number on that are no text yet.
    fn told(&self, from: u64) -> Vec<(u64, Print)> {
        let first = usize::try_from(from.saturating_sub(self.oldest)).unwrap_or(usize::MAX);
        let numbered = (self.oldest..).zip(&self.events).skip(first);
        let told = numbered.filter_map(|(sequence, event)| match &event.body {
            Body::Told(print) => Some((sequence, print.clone())),
            Body::Text(_) => None,
        });
        told.take(BATCH_MAX).collect()
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
        let all = All { oldest, events: VecDeque::new(), capacity, bytes: 0 };
        Self { all: Mutex::new(all), newest: watch::Sender::new(oldest - 1) }
    }

    /// Appends an event of about `length` bytes; `print` renders it with the number it is given. The
    /// oldest is dropped when the feed is full.
    pub fn publish(
        &self,
        tenant: TenantId,
        length: usize,
        print: impl Fn(u64) -> String + Send + Sync + 'static,
    ) {
        let body = Body::Told(Arc::new(print));
        let mut all = self.all.lock();
        let sequence = all.next();
        all.make_room(length);
        all.events.push_back(Kept { tenant, length, body });
        drop(all);
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
        let all = self.all.lock();
        if after.saturating_add(1) < all.oldest || after >= all.next() {
            return Read::Gone { oldest: all.oldest };
        }
        // Both ends were checked above, so the difference is a place in the list or its end.
        let first = (after + 1 - all.oldest) as usize;
        let batch = all.events.iter().skip(first).take(BATCH_MAX);
        let looked_at = batch.len() as u64;
        let numbered = (after + 1..).zip(batch).filter(|(_, event)| event.tenant == *tenant);
        let events =
            numbered.map(|(sequence, event)| Published { sequence, body: event.body.clone() });
        Read::Events(events.collect(), after + looked_at)
    }

    /// Makes all events into text, many together: one piece of each event, strewn among what was freed
    /// since, keeps its whole page. Who publishes meanwhile waits for a batch at most.
    pub fn pack(&self) {
        let mut from = 0;
        loop {
            let batch = self.all.lock().told(from);
            let Some((last, _)) = batch.last() else { return };
            from = last + 1;
            let mut text = Vec::new();
            let mut ends = Vec::with_capacity(batch.len());
            for (sequence, print) in &batch {
                text.extend_from_slice(print(*sequence).as_bytes());
                ends.push(text.len());
            }
            let (text, mut start) = (Bytes::from(text), 0);
            let mut all = self.all.lock();
            for ((sequence, _), end) in batch.iter().zip(ends) {
                if let Some(event) = all.at(*sequence) {
                    event.body = Body::Text(text.slice(start..end));
                }
                start = end;
            }
        }
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
    fn packed_events_read_as_before() {
        let feed = EventFeed::with_capacity(1, 1_000);
        let start = feed.newest();
        for number in 0..1_100_u64 {
            let owner = if number % 3 == 0 { "b" } else { "a" };
            feed.publish(tenant(owner), 1, move |sequence| format!("{number} as {sequence}"));
            if number == 700 {
                feed.pack();
            }
        }
        let all = || {
            let mut found = Vec::new();
            let mut after = start + 100;
            while let Ok((texts, next)) = read(&feed, after)
                && next > after
            {
                found.extend(texts);
                after = next;
            }
            found
        };
        let before = all();
        let expected = (100..1_100).filter(|number| number % 3 != 0);
        let expected: Vec<_> = expected.map(|it| format!("{it} as {}", start + 1 + it)).collect();
        assert_eq!(before, expected);
        feed.pack();
        assert_eq!(all(), before);
        assert!(feed.all.lock().told(0).is_empty());
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
