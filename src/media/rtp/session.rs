//! One leg's RTP session: the stream it sends, the stream it hears, and the reports on both
//! (RFC 3550 §6).
//!
//! Calls `sequence`, `packet`, `report`. Called by `leg`.

use super::packet;
use super::report::{self, Compound, ReportBlock, SenderInfo};
use super::sequence::{Place, Reception};
use crate::{FRAME_SAMPLES, SAMPLE_RATE};
use bytes::{Bytes, BytesMut};
use rand::RngCore;
use rtp::header::Header;
use std::time::{Duration, Instant};

/// A session. Its timestamps run by the ticks of the leg, sent or not (RFC 3550 §5.1: they keep
/// the time of sampling).
#[derive(Debug)]
pub struct Session {
    started: Instant,
    ssrc: u32,
    next_sequence: u16,
    clock: u32,
    /// One past the newest timestamp sent; what comes later must not be before it.
    sent_until: u32,
    sent: u64,
    sent_octets: u32,
    sent_at_report: u64,
    buffer: BytesMut,
    source: Option<(u32, Reception)>,
    /// Of sources that were replaced.
    before: (u64, u64),
    last_sender_report: Option<(u32, Instant)>,
    round_trip: Option<Duration>,
}

/// A packet about to be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outgoing {
    /// Whether it begins a talkspurt or an event (RFC 3551 §4.1, RFC 4733 §2.5.1.1).
    pub marker: bool,
    /// The payload type.
    pub payload_type: u8,
    /// The sequence number, or the next one.
    pub sequence: Option<u16>,
    /// The timestamp of its first sample.
    pub timestamp: u32,
    /// Samples it stands for, 0 for an event's.
    pub samples: u32,
}

impl Session {
    /// A session with the random source, number and timestamp of RFC 3550 §5.1.
    pub fn start(now: Instant, random: &mut dyn RngCore) -> Self {
        let clock = random.next_u32();
        Self {
            started: now,
            ssrc: random.next_u32(),
            next_sequence: random.next_u32() as u16,
            clock,
            sent_until: clock,
            sent: 0,
            sent_octets: 0,
            sent_at_report: 0,
            buffer: BytesMut::new(),
            source: None,
            before: (0, 0),
            last_sender_report: None,
            round_trip: None,
        }
    }

    /// Moves the clock of what we send on by `ticks` of 20 ms.
    pub fn advance(&mut self, ticks: u32) {
        self.clock = self.clock.wrapping_add(ticks.wrapping_mul(FRAME_SAMPLES as u32));
    }

    /// The timestamp at the end of the present tick.
    pub fn clock(&self) -> u32 {
        self.clock
    }

    /// The timestamp at which sound may go on: `wanted`, or after all that was sent.
    pub fn not_before_sent(&self, wanted: u32) -> u32 {
        let ahead = self.sent_until.wrapping_sub(wanted) as i32;
        if ahead > 0 { self.sent_until } else { wanted }
    }

    /// The sequence number after all that were sent.
    pub fn next_sequence(&self) -> u16 {
        self.next_sequence
    }

    /// Writes a packet; `fill` appends its payload.
    pub fn write(&mut self, outgoing: Outgoing, fill: impl FnOnce(&mut BytesMut)) -> Bytes {
        let sequence_number = outgoing.sequence.unwrap_or(self.next_sequence);
        let header = Header {
            version: 2,
            marker: outgoing.marker,
            payload_type: outgoing.payload_type,
            sequence_number,
            timestamp: outgoing.timestamp,
            ssrc: self.ssrc,
            ..Header::default()
        };
        packet::begin(&header, &mut self.buffer);
        fill(&mut self.buffer);
        let octets = self.buffer.len() - packet::HEADER_LENGTH;
        self.sent += 1;
        self.sent_octets = self.sent_octets.wrapping_add(octets as u32);
        let after = sequence_number.wrapping_add(1);
        if after.wrapping_sub(self.next_sequence) < 0x8000 {
            self.next_sequence = after;
        }
        let until = outgoing.timestamp.wrapping_add(outgoing.samples);
        if until.wrapping_sub(self.sent_until) as i32 > 0 {
            self.sent_until = until;
        }
        packet::finish(&mut self.buffer)
    }

    /// Counts a received packet. `true` in the second place: it is the first of its source.
    pub fn count(&mut self, header: &Header, now: Instant) -> (Place, bool) {
        let arrival = self.timestamp_units(now);
        match &mut self.source {
            Some((ssrc, reception)) if *ssrc == header.ssrc => {
                (reception.count(header.sequence_number, header.timestamp, arrival), false)
            }
            _ => {
                self.add_source_to_sums();
                let first = Reception::start(header.sequence_number, header.timestamp, arrival);
                self.source = Some((header.ssrc, first));
                self.last_sender_report = None;
                (Place::Newest, true)
            }
        }
    }

    fn add_source_to_sums(&mut self) {
        if let Some((_, reception)) = &self.source {
            self.before.0 += reception.received_in_all();
            self.before.1 += reception.lost();
        }
    }

    fn timestamp_units(&self, now: Instant) -> u32 {
        let elapsed = now.saturating_duration_since(self.started).as_micros();
        (elapsed * u128::from(SAMPLE_RATE) / 1_000_000) as u32
    }

    /// Packets sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Packets received, and expected but not seen, over all sources.
    pub fn received_and_lost(&self) -> (u64, u64) {
        let (received, lost) = match &self.source {
            Some((_, reception)) => (reception.received_in_all(), reception.lost()),
            None => (0, 0),
        };
        (self.before.0 + received, self.before.1 + lost)
    }

    /// Interarrival jitter of the present source, in microseconds.
    pub fn jitter_us(&self) -> u32 {
        const UNIT_US: u32 = 1_000_000 / SAMPLE_RATE;
        self.source.as_ref().map_or(0, |(_, reception)| reception.jitter().saturating_mul(UNIT_US))
    }

    /// The round trip measured by the last report, if any (§6.4.1).
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Writes a report on both streams; `goodbye` ends ours.
    pub fn report(&mut self, now: Instant, goodbye: bool) -> Bytes {
        let sender = (self.sent > self.sent_at_report).then(|| SenderInfo {
            ntp: self.ntp(now),
            timestamp: self.clock,
            packets: self.sent as u32,
            octets: self.sent_octets,
        });
        self.sent_at_report = self.sent;
        let last = self.last_sender_report;
        let block = self.source.as_mut().map(|(ssrc, reception)| ReportBlock {
            ssrc: *ssrc,
            fraction_lost: reception.take_fraction_lost(),
            lost: reception.lost().min(u64::from(u32::MAX)) as u32,
            newest: reception.newest(),
            jitter: reception.jitter(),
            last_report: last.map_or(0, |(middle, _)| middle),
            delay_since_last: last.map_or(0, |(_, at)| compact(now.saturating_duration_since(at))),
        });
        report::print(&Compound { ssrc: self.ssrc, sender, block, goodbye })
    }

    /// Takes a received report. Returns whether it was one.
    pub fn take_report(&mut self, bytes: &[u8], now: Instant) -> bool {
        let Some(received) = report::parse(bytes, self.ssrc) else { return false };
        if let Some(sender) = received.sender {
            self.last_sender_report = Some(((sender.ntp >> 16) as u32, now));
        }
        if let Some(block) = received.block.filter(|block| block.last_report != 0) {
            // §6.4.1: A − LSR − DLSR, in 65,536ths of a second; anything over 10 s is nonsense.
            let arrival = (self.ntp(now) >> 16) as u32;
            let trip = arrival.wrapping_sub(block.last_report).wrapping_sub(block.delay_since_last);
            if trip < 10 << 16 {
                self.round_trip = Some(Duration::from_micros((u64::from(trip) * 1_000_000) >> 16));
            }
        }
        true
    }

    /// The time since the session's start: §6.4.1 allows it to a sender without a wall clock. One
    /// second is added, since 0 would mean that there was no report.
    fn ntp(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.started) + Duration::from_secs(1);
        let fraction = (u64::from(elapsed.subsec_nanos()) << 32) / 1_000_000_000;
        (elapsed.as_secs() << 32) | fraction
    }
}

/// A duration in 65,536ths of a second.
fn compact(duration: Duration) -> u32 {
    (duration.as_micros() * 65_536 / 1_000_000).min(u128::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::now::epoch;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn session(seed: u64, now: Instant) -> Session {
        Session::start(now, &mut StdRng::seed_from_u64(seed))
    }

    fn send(session: &mut Session) -> Bytes {
        session.advance(1);
        let timestamp = session.clock().wrapping_sub(160);
        let outgoing =
            Outgoing { marker: false, payload_type: 0, sequence: None, timestamp, samples: 160 };
        session.write(outgoing, |buffer| buffer.extend_from_slice(&[0xff; 160]))
    }

    #[test]
    fn two_sessions_measure_loss_and_round_trip_of_each_other() {
        let start = epoch().instant;
        let mut a = session(1, start);
        let mut b = session(2, start);
        for number in 0..100_u64 {
            let packet = send(&mut a);
            // Each tenth is lost; all take 30 ms.
            if number % 10 != 5 {
                let at = start + Duration::from_millis(20 * number + 30);
                let header = packet::parse(&packet).unwrap().header;
                assert_eq!(b.count(&header, at), (Place::Newest, number == 0));
            }
        }
        assert_eq!(b.received_and_lost(), (90, 10));
        assert_eq!(b.jitter_us(), 0);
        let at = |ms| start + Duration::from_millis(ms);
        assert!(b.take_report(&a.report(at(2_000), false), at(2_030)));
        assert!(a.take_report(&b.report(at(2_500), true), at(2_530)));
        let trip = a.round_trip().unwrap().as_micros();
        assert!((59_900..=60_100).contains(&trip), "{trip}");
        assert!(!a.take_report(b"no report", at(3_000)));
    }

    #[test]
    fn a_new_source_is_followed_and_the_sums_go_on() {
        let start = epoch().instant;
        let mut listener = session(3, start);
        for seed in [4, 5] {
            let mut speaker = session(seed, start);
            for number in 0..10 {
                let packet = send(&mut speaker);
                if number != 4 {
                    listener.count(&packet::parse(&packet).unwrap().header, start);
                }
            }
        }
        assert_eq!(listener.received_and_lost(), (18, 2));
    }
}
