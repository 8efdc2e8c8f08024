//! Keys as RTP events, received (RFC 4733 §2).
//!
//! ```text
//! event A, timestamp T, duration grows …, end, end, end     one press
//! event A, timestamp T' (another)                           the next press
//! ```
//!
//! A press is reported with its first packet that arrives, whichever that is, so neither lost
//! beginnings nor lost ends matter; all further packets of its timestamp are the same press.
//!
//! Calls nothing. Called by `leg`.

use std::time::{Duration, Instant};

/// The keys by event number (RFC 4733 §3.2, table 3).
const KEYS: [char; 16] =
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

/// Senders that renew the timestamp with each packet of one press (against RFC 4733 §2.1) send a
/// packet at least this often; two presses without any sign of an end are farther apart.
const SAME_PRESS: Duration = Duration::from_millis(100);

/// One event's report: the payload of RFC 4733 §2.3.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TelephoneEvent {
    /// The event number; 0–15 are keys.
    pub event: u8,
    /// Whether it is over.
    pub end: bool,
    /// How loud it was, in −dBm0 (0–63).
    pub volume: u8,
    /// Its length up to now in timestamp units.
    pub duration: u16,
}

impl TelephoneEvent {
    /// Reads a payload; `None` when it is too short. Further bytes are passed over.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let bytes = payload.first_chunk::<4>()?;
        Some(Self {
            event: bytes[0],
            end: bytes[1] & 0x80 != 0,
            volume: bytes[1] & 0x3f,
            duration: u16::from_be_bytes([bytes[2], bytes[3]]),
        })
    }

    /// The payload.
    pub fn print(self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        [self.event, u8::from(self.end) << 7 | self.volume & 0x3f, high, low]
    }

    /// The key, if it is one.
    pub fn key(self) -> Option<char> {
        KEYS.get(usize::from(self.event)).copied()
    }
}

/// The event number of a key; `None` for what is no key.
pub fn event_of(key: char) -> Option<u8> {
    let place = KEYS.iter().position(|other| *other == key.to_ascii_uppercase())?;
    Some(place as u8)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Press {
    ssrc: u32,
    timestamp: u32,
    last: TelephoneEvent,
    at: Instant,
}

/// Turns event packets into presses.
#[derive(Clone, Debug, Default)]
pub struct KeyReceiver {
    press: Option<Press>,
}

impl KeyReceiver {
    /// Takes an event packet. Returns the key if this packet is the first of a press.
    pub fn take(
        &mut self,
        header: &rtp::header::Header,
        event: TelephoneEvent,
        now: Instant,
    ) -> Option<char> {
        let seen = Press { ssrc: header.ssrc, timestamp: header.timestamp, last: event, at: now };
        let Some(press) = self.press.filter(|press| press.ssrc == header.ssrc) else {
            self.press = Some(seen);
            return event.key();
        };
        let ahead = header.timestamp.wrapping_sub(press.timestamp) as i32;
        if ahead < 0 {
            // A late packet of an earlier press.
            return None;
        }
        if ahead == 0 && event.event == press.last.event {
            let end = press.last.end || event.end;
            self.press = Some(Press { last: TelephoneEvent { end, ..event }, at: now, ..press });
            return None;
        }
        self.press = Some(seen);
        if is_continued(&press, header.marker, event, ahead, now) { None } else { event.key() }
    }
}

/// Whether a packet with a new timestamp still belongs to the press.
fn is_continued(
    press: &Press,
    marker: bool,
    event: TelephoneEvent,
    ahead: i32,
    now: Instant,
) -> bool {
    if event.event != press.last.event || marker {
        return false;
    }
    let soon = now.saturating_duration_since(press.at) <= SAME_PRESS;
    if press.last.end {
        // The renewed timestamp of a repeated last packet.
        return soon && event.end && event.duration >= press.last.duration;
    }
    // RFC 4733 §2.5.1.3: a press longer than 65,535 units goes on in a new segment, whose
    // timestamp is where the last one ended.
    soon || ahead == i32::from(press.last.duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::now::epoch;
    use proptest::prelude::*;
    use rtp::header::Header;

    /// (ms, ssrc, timestamp, marker, key, end, duration)
    type Row = (u64, u32, u32, bool, char, bool, u16);

    fn presses(rows: &[Row]) -> String {
        let start = epoch().instant;
        let mut receiver = KeyReceiver::default();
        let keys = rows.iter().filter_map(|(ms, ssrc, timestamp, marker, key, end, duration)| {
            let header =
                Header { ssrc: *ssrc, timestamp: *timestamp, marker: *marker, ..Header::default() };
            let event = event_of(*key)?;
            let event = TelephoneEvent { event, end: *end, volume: 10, duration: *duration };
            receiver.take(&header, event, start + Duration::from_millis(*ms))
        });
        keys.collect()
    }

    fn press(ms: u64, timestamp: u32, key: char) -> Vec<Row> {
        let row = |n: u16, end| {
            (ms + 20 * u64::from(n), 1, timestamp, n == 0, key, end, 160 * (n.min(4) + 1))
        };
        let mut rows: Vec<Row> = (0..4).map(|n| row(n, false)).collect();
        rows.extend((4..7).map(|n| row(n, true)));
        rows
    }

    fn without(mut rows: Vec<Row>, dropped: impl Fn(usize) -> bool) -> Vec<Row> {
        let mut place = 0;
        rows.retain(|_| {
            place += 1;
            !dropped(place - 1)
        });
        rows
    }

    #[test]
    fn one_digit_per_press_whatever_is_lost() {
        let two = || [press(0, 1_000, '5'), press(200, 2_600, '5')].concat();
        let reordered = {
            let mut rows = two();
            rows.swap(6, 8);
            rows
        };
        let cases: [(&str, Vec<Row>, &str); 9] = [
            ("whole", two(), "55"),
            ("beginnings lost", without(two(), |n| n % 7 < 6), "55"),
            ("ends lost", without(two(), |n| n % 7 >= 4), "55"),
            ("all but one lost", without(two(), |n| n % 7 != 2), "55"),
            ("an old end comes late", reordered, "55"),
            ("another key at once", [press(0, 1, '1'), press(60, 481, '#')].concat(), "1#"),
            (
                "a new source",
                vec![(0, 1, 9, true, '7', true, 160), (40, 2, 5, true, '7', true, 160)],
                "77",
            ),
            (
                "one long press in segments",
                vec![
                    (0, 1, 0, true, '9', false, 160),
                    (8_000, 1, 0, false, '9', false, 0xffff),
                    (8_200, 1, 0xffff, false, '9', true, 160),
                ],
                "9",
            ),
            (
                "the timestamp renewed with each packet",
                (0..7).map(|n| (20 * n, 1, 160 * n as u32, n == 0, '3', n > 3, 800)).collect(),
                "3",
            ),
        ];
        for (name, rows, expected) in cases {
            assert_eq!(presses(&rows), expected, "{name}");
        }
    }

    #[test]
    fn keys_and_payloads_go_both_ways() {
        for key in KEYS {
            let event = TelephoneEvent {
                event: event_of(key).unwrap(),
                end: true,
                volume: 63,
                duration: 1,
            };
            assert_eq!(event.key(), Some(key));
            assert_eq!(TelephoneEvent::parse(&event.print()), Some(event));
        }
        let flash = TelephoneEvent { event: 16, end: false, volume: 0, duration: 0 };
        assert_eq!((flash.key(), event_of('x')), (None, None));
        assert_eq!(TelephoneEvent::parse(&[1, 2, 3]), None);
    }

    proptest! {
        #[test]
        fn any_events_are_taken_without_panic(
            packets in proptest::collection::vec(any::<(u32, bool, u32, u16)>(), 0..40),
        ) {
            let now = epoch().instant;
            let mut receiver = KeyReceiver::default();
            for (timestamp, marker, bytes, ms) in packets {
                let header = Header { timestamp, marker, ..Header::default() };
                let event = TelephoneEvent::parse(&bytes.to_be_bytes()).unwrap();
                receiver.take(&header, event, now + Duration::from_millis(u64::from(ms)));
            }
        }
    }
}
