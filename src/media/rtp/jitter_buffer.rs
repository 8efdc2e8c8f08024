//! Puts received samples in order of their timestamps, for those who must hear them in order (the
//! recogniser, a recording). Bridged packets do not pass here: the far end has its own buffer.
//!
//! ```text
//!        read                newest
//!  ────────┼───── delay ───────┼────► timestamps
//!   played │ samples, or silence where none came
//! ```
//!
//! The distance between reading and the newest sample is the delay. Packets that come too late
//! move the reading back; a distance that stays too long (the sender's clock is faster) moves it on.
//!
//! Calls nothing. Called by `leg`, which reads one frame a tick.

use crate::FRAME_SAMPLES;

/// Samples held: 512 ms. What would reach farther makes the reading begin anew.
const CAPACITY: usize = 4_096;

/// The delay aimed at: 40 ms, so two packets of 20 ms may be missing or late.
const DELAY: u32 = 2 * FRAME_SAMPLES as u32;

/// The distance at which, when it was never shorter for two seconds, one frame is left out.
const SLACK: u32 = 3 * FRAME_SAMPLES as u32;

/// Reads between two looks at the shortest distance: two seconds.
const READS_BETWEEN_LOOKS: u32 = 100;

/// A packet this late three times in a row means that the delay is too short.
const LATE_IN_A_ROW: u8 = 3;

/// The buffer. About 8 KiB, so a leg has one only while somebody hears it.
#[derive(Clone, Debug)]
pub struct JitterBuffer {
    samples: Box<[i16; CAPACITY]>,
    /// The timestamp read next, once there is one.
    read: Option<u32>,
    /// One past the newest timestamp written.
    end: u32,
    late: u8,
    shortest: u32,
    reads: u32,
    dropped: u64,
}

impl Default for JitterBuffer {
    fn default() -> Self {
        Self {
            samples: Box::new([0; CAPACITY]),
            read: None,
            end: 0,
            late: 0,
            shortest: u32::MAX,
            reads: 0,
            dropped: 0,
        }
    }
}

impl JitterBuffer {
    /// Takes a packet's samples. `decode` turns each byte of `payload` into one sample.
    pub fn write(&mut self, timestamp: u32, payload: &[u8], decode: &[i16; 256]) {
        let length = payload.len() as u32;
        if length as usize > CAPACITY / 2 {
            self.dropped += 1;
            return;
        }
        let end = timestamp.wrapping_add(length);
        let Some(read) = self.read.filter(|read| !self.is_beyond(*read, timestamp, end)) else {
            self.begin_at(timestamp, end);
            self.put(timestamp, payload, decode);
            return;
        };
        let ahead = timestamp.wrapping_sub(read) as i32;
        if ahead < 0 {
            self.dropped += 1;
            self.late += 1;
            if self.late >= LATE_IN_A_ROW {
                self.begin_at(timestamp, end);
                self.put(timestamp, payload, decode);
            }
            return;
        }
        self.late = 0;
        if end.wrapping_sub(self.end) as i32 > 0 {
            self.end = end;
        }
        self.put(timestamp, payload, decode);
    }

    /// Whether the packet lies outside what can be held, so that the sender's clock has leapt or
    /// was silent for long.
    fn is_beyond(&self, read: u32, timestamp: u32, end: u32) -> bool {
        let ahead = end.wrapping_sub(read) as i32;
        let behind = timestamp.wrapping_sub(read) as i32;
        ahead > CAPACITY as i32 || behind < -(CAPACITY as i32)
    }

    fn begin_at(&mut self, timestamp: u32, end: u32) {
        self.samples.fill(0);
        self.read = Some(timestamp.wrapping_sub(DELAY));
        self.end = end;
        self.late = 0;
        self.shortest = u32::MAX;
        self.reads = 0;
    }

    fn put(&mut self, timestamp: u32, payload: &[u8], decode: &[i16; 256]) {
        for (offset, byte) in payload.iter().enumerate() {
            let place = (timestamp as usize).wrapping_add(offset) % CAPACITY;
            self.samples[place] = decode[usize::from(*byte)];
        }
    }

    /// Reads the next 20 ms, silence where nothing came, into `frame` (160 samples).
    ///
    /// Returns `false`, and silence, before the first packet.
    pub fn read(&mut self, frame: &mut [i16; FRAME_SAMPLES]) -> bool {
        let Some(read) = self.read else {
            frame.fill(0);
            return false;
        };
        for (offset, sample) in frame.iter_mut().enumerate() {
            let place = (read as usize).wrapping_add(offset) % CAPACITY;
            *sample = std::mem::take(&mut self.samples[place]);
        }
        let mut next = read.wrapping_add(FRAME_SAMPLES as u32);
        let distance = self.end.wrapping_sub(next);
        // Nothing left to read (the sender is silent): the distance says nothing about its clock.
        if distance as i32 > 0 {
            self.shortest = self.shortest.min(distance);
        }
        self.reads += 1;
        if self.reads == READS_BETWEEN_LOOKS {
            if self.shortest != u32::MAX && self.shortest >= SLACK {
                self.clear(next);
                next = next.wrapping_add(FRAME_SAMPLES as u32);
            }
            self.shortest = u32::MAX;
            self.reads = 0;
        }
        self.read = Some(next);
        true
    }

    fn clear(&mut self, from: u32) {
        for offset in 0..FRAME_SAMPLES {
            self.samples[(from as usize).wrapping_add(offset) % CAPACITY] = 0;
        }
    }

    /// Begins anew with the next packet: the source has changed.
    pub fn reset(&mut self) {
        self.read = None;
    }

    /// Packets that came too late or were too long.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::g711::PCMU_TO_LINEAR;
    use proptest::prelude::*;

    /// Packets are marked by a byte; a frame read is named by the byte of its first sample.
    fn payload(mark: u8) -> [u8; FRAME_SAMPLES] {
        [mark; FRAME_SAMPLES]
    }

    fn next(buffer: &mut JitterBuffer) -> i16 {
        let mut frame = [0; FRAME_SAMPLES];
        buffer.read(&mut frame);
        frame[0]
    }

    fn sample(mark: u8) -> i16 {
        PCMU_TO_LINEAR[usize::from(mark)]
    }

    #[test]
    fn reordered_packets_are_read_in_order_after_40_ms() {
        let mut buffer = JitterBuffer::default();
        assert_eq!(next(&mut buffer), 0);
        let mut heard = Vec::new();
        for marks in [vec![1], vec![3, 2], vec![], vec![4], vec![], vec![6]] {
            for mark in marks {
                let timestamp = (u32::MAX - 400).wrapping_add(160 * u32::from(mark));
                buffer.write(timestamp, &payload(mark), &PCMU_TO_LINEAR);
            }
            heard.push(next(&mut buffer));
        }
        assert_eq!(heard, [0, 0, sample(1), sample(2), sample(3), sample(4)]);
        assert_eq!([next(&mut buffer), next(&mut buffer)], [0, sample(6)], "5 is lost");
    }

    #[test]
    fn steady_lateness_moves_the_reading_back() {
        let mut buffer = JitterBuffer::default();
        buffer.write(0, &payload(1), &PCMU_TO_LINEAR);
        let _ = (0..10).map(|_| next(&mut buffer)).count();
        for mark in 2..=4_u8 {
            buffer.write(160 * u32::from(mark - 1), &payload(mark), &PCMU_TO_LINEAR);
        }
        assert_eq!(buffer.dropped(), 3);
        assert_eq!([(); 3].map(|()| next(&mut buffer)), [0, 0, sample(4)]);
    }

    #[test]
    fn a_fast_clock_is_followed_by_leaving_out_a_frame() {
        let mut buffer = JitterBuffer::default();
        // Six packets at once: 120 ms ahead of the 40 wanted, and so it stays.
        for number in 0..6 {
            buffer.write(number * 160, &payload(9), &PCMU_TO_LINEAR);
        }
        for number in 6..706 {
            next(&mut buffer);
            buffer.write(number * 160, &payload(9), &PCMU_TO_LINEAR);
        }
        let distance = buffer.end.wrapping_sub(buffer.read.unwrap());
        assert!((DELAY..=SLACK + 160).contains(&distance), "{distance}");
    }

    #[test]
    fn a_leap_of_the_timestamps_begins_anew() {
        let mut buffer = JitterBuffer::default();
        buffer.write(0, &payload(1), &PCMU_TO_LINEAR);
        buffer.write(1_000_000, &payload(2), &PCMU_TO_LINEAR);
        assert_eq!([(); 3].map(|()| next(&mut buffer)), [0, 0, sample(2)]);
    }

    proptest! {
        #[test]
        fn any_packets_are_held_without_panic(
            packets in proptest::collection::vec((any::<u32>(), 0_usize..3_000, any::<bool>()), 0..60),
        ) {
            let mut buffer = JitterBuffer::default();
            for (timestamp, length, near) in packets {
                let timestamp = if near { timestamp % 4_000 } else { timestamp };
                buffer.write(timestamp, &vec![1; length], &PCMU_TO_LINEAR);
                next(&mut buffer);
            }
        }
    }
}
