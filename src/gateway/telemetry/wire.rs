//! SIP messages counted as they pass, and how long a dialled number takes to ring. Plain numbers,
//! since the signalling loop counts each message; once a second they are handed on.

use domain::id::LegId;
use sip::event::Transport;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Methods counted by name (RFC 3261, 3262, 3311, 3428, 3515, 6086, 6665); the rest is `other`.
const METHODS: [&str; 14] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "REGISTER",
    "OPTIONS",
    "PRACK",
    "UPDATE",
    "INFO",
    "REFER",
    "NOTIFY",
    "SUBSCRIBE",
    "MESSAGE",
    "other",
];
/// Classes of final responses.
const CLASSES: [&str; 5] = ["2xx", "3xx", "4xx", "5xx", "6xx"];
const DIRECTIONS: [&str; 2] = ["in", "out"];
const TRANSPORTS: [&str; 5] = ["udp", "tcp", "tls", "ws", "wss"];
/// INVITEs awaiting a sign of life at most; the delay of one more is not measured.
const DIALLED_MAX: usize = 65_536;

/// What has passed since the start.
#[derive(Debug, Default)]
pub struct Wire {
    requests: [[[u64; METHODS.len()]; TRANSPORTS.len()]; 2],
    responses: [[u64; CLASSES.len()]; 2],
    dialled: HashMap<LegId, Instant>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// An index into [`METHODS`].
    Request(usize),
    Response(u16),
}

impl Wire {
    /// A message came.
    pub fn received(&mut self, transport: Transport, message: &[u8]) {
        self.count(0, transport, message);
    }

    /// A message goes.
    pub fn sent(&mut self, transport: Transport, message: &[u8]) {
        self.count(1, transport, message);
    }

    fn count(&mut self, direction: usize, transport: Transport, message: &[u8]) {
        let transport = match transport {
            Transport::Udp => 0,
            Transport::Tcp => 1,
            Transport::Tls => 2,
            Transport::Ws => 3,
            Transport::Wss => 4,
        };
        match kind(message) {
            Some(Kind::Request(method)) => self.requests[direction][transport][method] += 1,
            Some(Kind::Response(status @ 200..=699)) => {
                self.responses[direction][usize::from(status / 100 - 2)] += 1;
            }
            Some(Kind::Response(_)) | None => (),
        }
    }

    /// A message of this leg goes: its first INVITE starts the clock.
    pub fn asked(&mut self, leg: LegId, message: &[u8], now: Instant) {
        let is_invite = kind(message) == Some(Kind::Request(0));
        if is_invite && self.dialled.len() < DIALLED_MAX {
            self.dialled.entry(leg).or_insert(now);
        }
    }

    /// A message of this leg came: the first ringing stops the clock, and is a figure. Any final
    /// response but a challenge stops it without one.
    pub fn answered(&mut self, leg: LegId, message: &[u8], now: Instant) {
        if let Some(delay) = self.rang_after(leg, message, now) {
            api::metrics::post_dial_delay(delay);
        }
    }

    fn rang_after(&mut self, leg: LegId, message: &[u8], now: Instant) -> Option<Duration> {
        match kind(message)? {
            // RFC 3261 §21.1.2, §21.1.5.
            Kind::Response(180 | 183) => {
                let asked = self.dialled.remove(&leg)?;
                Some(now.saturating_duration_since(asked))
            }
            Kind::Response(401 | 407 | 100..=199) | Kind::Request(_) => None,
            Kind::Response(_) => {
                self.dialled.remove(&leg);
                None
            }
        }
    }

    /// The leg is over.
    pub fn forget(&mut self, leg: LegId) {
        self.dialled.remove(&leg);
    }

    /// Hands the counters on; those that never counted are left out.
    pub fn export(&self) {
        for (direction, transports) in DIRECTIONS.into_iter().zip(&self.requests) {
            for (transport, methods) in TRANSPORTS.into_iter().zip(transports) {
                for (method, total) in METHODS.into_iter().zip(methods).filter(|(_, n)| **n > 0) {
                    api::metrics::sip_requests(method, direction, transport, *total);
                }
            }
        }
        for (direction, classes) in DIRECTIONS.into_iter().zip(&self.responses) {
            for (class, total) in CLASSES.into_iter().zip(classes).filter(|(_, n)| **n > 0) {
                api::metrics::sip_responses(class, direction, *total);
            }
        }
    }
}

/// What a message is, by its first line; `None` for what is none (RFC 5626 §3.5.1: empty lines
/// keep a way open).
fn kind(message: &[u8]) -> Option<Kind> {
    if let Some(rest) = message.strip_prefix(b"SIP/2.0 ") {
        let digits = std::str::from_utf8(rest.get(..3)?).ok()?;
        return digits.parse().ok().map(Kind::Response);
    }
    let line = &message[..message.len().min(10)];
    let method = &line[..line.iter().position(|byte| *byte == b' ')?];
    if method.is_empty() {
        return None;
    }
    let known = METHODS.iter().position(|name| name.as_bytes() == method);
    Some(Kind::Request(known.unwrap_or(METHODS.len() - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart_by_their_first_line() {
        let table: [(&[u8], Option<Kind>); 9] = [
            (b"INVITE sip:a@b SIP/2.0\r\n", Some(Kind::Request(0))),
            (b"SUBSCRIBE sip:a@b SIP/2.0\r\n", Some(Kind::Request(11))),
            (b"PUBLISH sip:a@b SIP/2.0\r\n", Some(Kind::Request(13))),
            (b"invite sip:a@b SIP/2.0\r\n", Some(Kind::Request(13))),
            (b"SIP/2.0 486 Busy Here\r\n", Some(Kind::Response(486))),
            (b"SIP/2.0 xyz\r\n", None),
            (b"SIP/2.0 4", None),
            (b"\r\n\r\n", None),
            (b"", None),
        ];
        for (message, expected) in table {
            assert_eq!(kind(message), expected, "{}", String::from_utf8_lossy(message));
        }
    }

    #[test]
    fn requests_and_final_responses_are_counted() {
        let mut wire = Wire::default();
        wire.received(Transport::Udp, b"INVITE sip:a@b SIP/2.0\r\n");
        wire.sent(Transport::Udp, b"SIP/2.0 100 Trying\r\n");
        wire.sent(Transport::Udp, b"SIP/2.0 200 OK\r\n");
        wire.sent(Transport::Tcp, b"BYE sip:a@b SIP/2.0\r\n");
        wire.received(Transport::Tcp, b"SIP/2.0 999 What\r\n");
        let mut expected = Wire::default();
        expected.requests[0][0][0] = 1;
        expected.requests[1][1][2] = 1;
        expected.responses[1][0] = 1;
        assert_eq!(format!("{wire:?}"), format!("{expected:?}"));
    }

    #[test]
    fn the_delay_runs_from_the_first_invite_to_the_first_ringing() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let (mut wire, leg) = (Wire::default(), LegId(2));
        wire.asked(leg, b"INVITE sip:a@b SIP/2.0", at(0));
        assert_eq!(wire.rang_after(leg, b"SIP/2.0 407 Proxy", at(100)), None);
        wire.asked(leg, b"INVITE sip:a@b SIP/2.0", at(150));
        assert_eq!(wire.rang_after(leg, b"SIP/2.0 100 Trying", at(200)), None);
        let rang = wire.rang_after(leg, b"SIP/2.0 180 Ringing", at(900));
        assert_eq!(rang, Some(Duration::from_millis(900)));
        assert_eq!(wire.rang_after(leg, b"SIP/2.0 180 Ringing", at(950)), None);
        wire.asked(leg, b"INVITE sip:a@b SIP/2.0", at(1_000));
        assert_eq!(wire.rang_after(leg, b"SIP/2.0 200 OK", at(1_100)), None);
        assert!(wire.dialled.is_empty());
    }
}
