//! A foreign stream in our own session: packets of the one leg go out of the other with our source,
//! and with numbers and timestamps that go on from what was sent before.
//!
//! ```text
//! in:   ssrc A   seq 7, 8, –, 10     timestamps 1000, 1160, …
//! out:  ssrc B   seq 4, 5, –, 7      timestamps 9000, 9160, …      (one offset for each)
//! ```
//!
//! A lost or reordered packet stays lost or reordered, so the far end's buffer knows. The offsets
//! are taken anew when the stream changes or leaps, or after something of our own went out.
//!
//! Calls nothing. Called by `leg`.

use crate::rtp::session::Session;
use crate::tone::telephone_event::TelephoneEvent;
use domain::media_plan::Codec;
use rtp::header::Header;

/// A leap of numbers or of timestamps (in samples: five seconds) beyond which offsets are renewed.
const LEAP_PACKETS: u16 = 100;
const LEAP_SAMPLES: u32 = 5 * crate::SAMPLE_RATE;

/// What one leg heard, for its partner.
#[derive(Clone, Debug, PartialEq)]
pub struct Relayed<'a> {
    /// The header as it was received.
    pub header: Header,
    /// What it carries.
    pub content: Content<'a>,
}

/// What a relayed packet carries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Content<'a> {
    /// Sound.
    Sound {
        /// Encoded with this.
        codec: Codec,
        /// One byte a sample.
        payload: &'a [u8],
    },
    /// A key.
    Key {
        /// The report on it.
        event: TelephoneEvent,
        /// The key, in the first packet of a press.
        pressed: Option<char>,
    },
}

/// Numbers and timestamp of a packet going out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stamp {
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp.
    pub timestamp: u32,
    /// Whether the stream begins with it.
    pub first: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Offsets {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    newest_sequence: u16,
    newest_timestamp: u32,
}

/// The state of one direction of a bridge.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Relay {
    offsets: Option<Offsets>,
}

impl Relay {
    /// Stamps a packet received with `header` for sending in `session`.
    pub fn stamp(&mut self, header: &Header, session: &Session) -> Stamp {
        let sequence = header.sequence_number;
        if let Some(offsets) = self.offsets.as_mut().filter(|offsets| !leaps(offsets, header)) {
            if sequence.wrapping_sub(offsets.newest_sequence) < 0x8000 {
                offsets.newest_sequence = sequence;
                offsets.newest_timestamp = header.timestamp;
            }
            return Stamp {
                sequence: sequence.wrapping_add(offsets.sequence),
                timestamp: header.timestamp.wrapping_add(offsets.timestamp),
                first: false,
            };
        }
        let next = session.next_sequence();
        let resume = session.not_before_sent(session.clock());
        self.offsets = Some(Offsets {
            ssrc: header.ssrc,
            sequence: next.wrapping_sub(sequence),
            timestamp: resume.wrapping_sub(header.timestamp),
            newest_sequence: sequence,
            newest_timestamp: header.timestamp,
        });
        Stamp { sequence: next, timestamp: resume, first: true }
    }

    /// Takes the offsets anew with the next packet: something else was sent, or the bridge is new.
    pub fn renew(&mut self) {
        self.offsets = None;
    }
}

fn leaps(offsets: &Offsets, header: &Header) -> bool {
    let packets = header.sequence_number.wrapping_sub(offsets.newest_sequence) as i16;
    let samples = header.timestamp.wrapping_sub(offsets.newest_timestamp) as i32;
    header.ssrc != offsets.ssrc
        || packets.unsigned_abs() > LEAP_PACKETS
        || samples.unsigned_abs() > LEAP_SAMPLES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::session::Outgoing;
    use domain::now::epoch;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    /// Sends packets (ssrc, sequence, timestamp) and returns what goes out, counted from the first.
    fn relayed(packets: &[(u32, u16, u32)]) -> Vec<(u16, u32, bool)> {
        let mut session = Session::start(epoch().instant, &mut StdRng::seed_from_u64(1));
        let mut relay = Relay::default();
        let (sequence, clock) = (session.next_sequence(), session.clock());
        let stamps = packets.iter().map(|(ssrc, sequence_number, timestamp)| {
            let (ssrc, sequence_number, timestamp) = (*ssrc, *sequence_number, *timestamp);
            let header = Header { ssrc, sequence_number, timestamp, ..Header::default() };
            let stamp = relay.stamp(&header, &session);
            let outgoing = Outgoing {
                marker: stamp.first,
                payload_type: 0,
                sequence: Some(stamp.sequence),
                timestamp: stamp.timestamp,
                samples: 160,
            };
            session.write(outgoing, |_| ());
            session.advance(1);
            stamp
        });
        stamps
            .map(|stamp| {
                let sequence = stamp.sequence.wrapping_sub(sequence);
                (sequence, stamp.timestamp.wrapping_sub(clock), stamp.first)
            })
            .collect()
    }

    #[test]
    fn loss_and_order_are_kept_and_leaps_go_on_from_what_was_sent() {
        let wrap = u32::MAX - 100;
        let packets = [
            (1, 65_534, wrap),
            (1, 65_535, wrap.wrapping_add(160)),
            (1, 1, wrap.wrapping_add(480)),
            (1, 0, wrap.wrapping_add(320)),
            // Another source, then a leap of its numbers, then of its timestamps.
            (2, 500, 77),
            (2, 501, 237),
            (2, 9_000, 397),
            (2, 9_001, 500_000),
        ];
        let expected = [
            (0, 0, true),
            (1, 160, false),
            (3, 480, false),
            (2, 320, false),
            (4, 640, true),
            (5, 800, false),
            (6, 960, true),
            (7, 1_120, true),
        ];
        assert_eq!(relayed(&packets), expected);
    }
}
