//! What the received numbers tell: order, loss and jitter (RFC 3550 §A.1, §A.3, §A.8).
//!
//! Calls nothing. Called by `session`, one for each synchronisation source.

/// Farther ahead than this is a jump, not loss (RFC 3550 §A.1: MAX_DROPOUT).
const DROPOUT_MAX: u16 = 3_000;

/// Farther behind than this is a jump, not reordering (§A.1: MAX_MISORDER).
const MISORDER_MAX: u16 = 100;

/// Where a packet stands among those before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// The next or a later one than any before.
    Newest,
    /// Before the newest: reordered or a duplicate.
    Older,
    /// The numbering began anew; counting does so too.
    Restarted,
    /// A wild number: the packet is to be dropped, unless the next one follows it.
    Wild,
}

/// The reception of one source.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reception {
    first: u32,
    newest: u32,
    received: u32,
    /// The number that would make a jump believable.
    wild_next: Option<u16>,
    transit: u32,
    jitter_16: u32,
    /// Expected and received at the last report, for the fraction lost.
    reported: (u32, u32),
    /// Counted in numberings that were given up by a restart.
    before: (u64, u64),
}

impl Reception {
    /// Begins with the first packet: its number, its timestamp, and its arrival in timestamp units.
    ///
    /// Departs from RFC 3550 §A.1: no probation, because `source` has judged the sender already.
    pub fn start(sequence: u16, timestamp: u32, arrival: u32) -> Self {
        Self {
            first: u32::from(sequence),
            newest: u32::from(sequence),
            received: 1,
            wild_next: None,
            transit: arrival.wrapping_sub(timestamp),
            jitter_16: 0,
            reported: (0, 0),
            before: (0, 0),
        }
    }

    /// Counts a packet.
    pub fn count(&mut self, sequence: u16, timestamp: u32, arrival: u32) -> Place {
        let place = self.place(sequence);
        match place {
            Place::Wild => return place,
            Place::Newest | Place::Older => self.received = self.received.saturating_add(1),
            Place::Restarted => self.restart(sequence, timestamp, arrival),
        }
        self.count_jitter(timestamp, arrival);
        place
    }

    fn place(&mut self, sequence: u16) -> Place {
        let ahead = sequence.wrapping_sub(self.newest as u16);
        if ahead == 0 {
            return Place::Older;
        }
        if ahead < DROPOUT_MAX {
            self.wild_next = None;
            self.newest = self.newest.saturating_add(u32::from(ahead));
            return Place::Newest;
        }
        if ahead > u16::MAX - MISORDER_MAX {
            return Place::Older;
        }
        // §A.1: two packets in sequence after a jump mean that the other side restarted.
        if self.wild_next == Some(sequence) {
            return Place::Restarted;
        }
        self.wild_next = Some(sequence.wrapping_add(1));
        Place::Wild
    }

    fn restart(&mut self, sequence: u16, timestamp: u32, arrival: u32) {
        let before = (self.expected_in_all(), self.received_in_all());
        let jitter_16 = self.jitter_16;
        *self = Self { before, jitter_16, ..Self::start(sequence, timestamp, arrival) };
    }

    /// §A.8: J += (|D| − J) / 16, kept in sixteenths so that integers suffice.
    fn count_jitter(&mut self, timestamp: u32, arrival: u32) {
        let transit = arrival.wrapping_sub(timestamp);
        let difference = (transit.wrapping_sub(self.transit) as i32).unsigned_abs();
        self.transit = transit;
        // A leap of the timestamps by over a second is the sender's, not the network's.
        if difference < crate::SAMPLE_RATE {
            self.jitter_16 = self.jitter_16 + difference - ((self.jitter_16 + 8) >> 4);
        }
    }

    fn expected(&self) -> u32 {
        (self.newest - self.first).saturating_add(1)
    }

    /// The extended highest number received (§6.4.1): the number and how often it wrapped.
    pub fn newest(&self) -> u32 {
        self.newest
    }

    /// Packets expected over all numberings.
    pub fn expected_in_all(&self) -> u64 {
        self.before.0 + u64::from(self.expected())
    }

    /// Packets received over all numberings.
    pub fn received_in_all(&self) -> u64 {
        self.before.1 + u64::from(self.received)
    }

    /// Packets expected and not seen; duplicates may hide some (§A.3).
    pub fn lost(&self) -> u64 {
        self.expected_in_all().saturating_sub(self.received_in_all())
    }

    /// The interarrival jitter in timestamp units (125 µs each at 8 kHz).
    pub fn jitter(&self) -> u32 {
        self.jitter_16 >> 4
    }

    /// The part lost since the last call, in 256ths (§A.3).
    pub fn take_fraction_lost(&mut self) -> u8 {
        let now = (self.expected(), self.received);
        let expected = now.0.saturating_sub(self.reported.0);
        let received = now.1.saturating_sub(self.reported.1);
        self.reported = now;
        let lost = expected.saturating_sub(received);
        if expected == 0 { 0 } else { (u64::from(lost) * 256 / u64::from(expected)).min(255) as u8 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(start: u16, numbers: &[u16]) -> (Reception, Vec<Place>) {
        let mut reception = Reception::start(start, 0, 0);
        let places = numbers.iter().map(|number| reception.count(*number, 0, 0)).collect();
        (reception, places)
    }

    #[test]
    fn wraps_reordering_jumps_and_restarts() {
        use Place::{Newest, Older, Restarted, Wild};
        /// From, the numbers, their places, extended newest, expected, lost.
        type Row = (u16, &'static [u16], &'static [Place], u32, u64, u64);
        let cases: [Row; 6] = [
            (10, &[11, 12], &[Newest, Newest], 12, 3, 0),
            (0xfffe, &[0xffff, 0, 1], &[Newest; 3], 0x1_0001, 4, 0),
            (10, &[12, 11, 13], &[Newest, Older, Newest], 13, 4, 0),
            (10, &[15], &[Newest], 15, 6, 4),
            (10, &[30_000, 11], &[Wild, Newest], 11, 2, 0),
            (10, &[30_000, 30_001, 30_002], &[Wild, Restarted, Newest], 30_002, 3, 0),
        ];
        for (start, numbers, expected, newest, packets, lost) in cases {
            let (reception, places) = run(start, numbers);
            assert_eq!(places, expected, "{numbers:?}");
            assert_eq!(
                (reception.newest(), reception.expected_in_all(), reception.lost()),
                (newest, packets, lost),
                "{numbers:?}"
            );
        }
    }

    #[test]
    fn the_fraction_lost_is_of_the_time_since_the_last_report() {
        let (mut reception, _) = run(0, &[1, 2, 3, 7]);
        assert_eq!(reception.take_fraction_lost(), (3 * 256 / 8) as u8);
        assert_eq!(reception.count(8, 0, 0), Place::Newest);
        assert_eq!(reception.take_fraction_lost(), 0);
        assert_eq!(reception.take_fraction_lost(), 0);
    }

    /// Arrivals alternate 0 and 10 ms late: D is 80 units each time, so J tends to 80.
    #[test]
    fn jitter_tends_to_the_mean_difference() {
        let mut reception = Reception::start(0, 0, 0);
        for number in 1..=400_u16 {
            let timestamp = u32::from(number) * 160;
            let late = if number % 2 == 1 { 80 } else { 0 };
            reception.count(number, timestamp, timestamp + late);
        }
        assert!((79..=80).contains(&reception.jitter()), "{}", reception.jitter());
    }

    proptest! {
        #[test]
        fn any_numbers_are_counted_without_panic(
            numbers in proptest::collection::vec(any::<(u16, u32, u32)>(), 1..200),
        ) {
            let mut reception = Reception::start(numbers[0].0, numbers[0].1, numbers[0].2);
            for (sequence, timestamp, arrival) in &numbers[1..] {
                reception.count(*sequence, *timestamp, *arrival);
                reception.take_fraction_lost();
            }
            prop_assert!(reception.received_in_all() <= numbers.len() as u64);
        }
    }
}
