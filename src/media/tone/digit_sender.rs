//! Keys sent: as RTP events (RFC 4733 §2.5.1), or as sound to a peer that has not agreed to them.
//!
//! ```text
//! tick     0    1    2    3    4    5    6    7    8    9
//! events  160  320  480  640  800e 800e 800e              one key: 100 ms and 100 ms between
//!          └ marker; all with the timestamp of tick 0
//! ```
//!
//! Calls nothing. Called by `leg`, once a tick.

use super::synthesis::{key_frequencies, tones};
use super::telephone_event::{TelephoneEvent, event_of};
use crate::codec::g711;
use crate::{FRAME_SAMPLES, SAMPLE_RATE};
use domain::media_plan::Codec;
use std::collections::VecDeque;

/// Keys waiting at most; more are dropped. A person types no more, and no code is longer.
pub const KEYS_MAX: usize = 64;

/// Ticks of sound of one key: 100 ms (RFC 4733 leaves it open; Q.24 asks for at least 40).
const KEY_TICKS: u16 = 5;

/// Ticks from the beginning of one key to that of the next: 100 ms of silence between.
const PERIOD_TICKS: u16 = 10;

/// The last packet is sent three times (RFC 4733 §2.5.1.4).
const END_PACKETS: u16 = 3;

/// Ticks of a `w`: 500 ms.
const WAIT_TICKS: u16 = 25;

/// −10 dBm0, as usual for keys.
const VOLUME: u8 = 10;

/// Peak of each of the two tones: about −9 dBm0 each, −6 together.
const AMPLITUDE: f64 = 8_000.0;

/// What goes out in one tick in place of other sound.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyTick {
    /// An event packet.
    Event {
        /// Its payload.
        event: TelephoneEvent,
        /// Whether it is the first of its event: the others repeat its timestamp.
        marker: bool,
        /// Whether the key still sounds: then no other sound goes out in this tick.
        sounding: bool,
    },
    /// The key as sound.
    Sound {
        /// Which.
        key: char,
        /// The sample of the key at which this tick begins.
        from: usize,
    },
    /// Nothing of ours: other sound may go.
    Pause,
}

/// Keys on their way out.
#[derive(Clone, Debug, Default)]
pub struct DigitSender {
    keys: VecDeque<char>,
    ticks: u16,
}

impl DigitSender {
    /// Appends keys. What is neither a key nor `w`, and what exceeds [`KEYS_MAX`], is dropped.
    pub fn push(&mut self, digits: &str) {
        let known = digits.chars().filter(|key| event_of(*key).is_some() || is_wait(*key));
        let room = KEYS_MAX - self.keys.len();
        self.keys.extend(known.take(room).map(|key| key.to_ascii_uppercase()));
    }

    /// Whether anything is still to be sent.
    pub fn is_idle(&self) -> bool {
        self.keys.is_empty()
    }

    /// What goes out in this tick. `as_events`: the peer has agreed to events.
    pub fn tick(&mut self, as_events: bool) -> KeyTick {
        let Some(key) = self.keys.front().copied() else { return KeyTick::Pause };
        let tick = self.ticks;
        self.ticks += 1;
        if self.ticks == if is_wait(key) { WAIT_TICKS } else { PERIOD_TICKS } {
            self.keys.pop_front();
            self.ticks = 0;
        }
        let Some(event) = event_of(key) else { return KeyTick::Pause };
        let sounding = tick < KEY_TICKS;
        if !as_events {
            let from = usize::from(tick) * FRAME_SAMPLES;
            return if sounding { KeyTick::Sound { key, from } } else { KeyTick::Pause };
        }
        if tick >= KEY_TICKS - 1 + END_PACKETS {
            return KeyTick::Pause;
        }
        let duration = (tick + 1).min(KEY_TICKS) * FRAME_SAMPLES as u16;
        let end = tick >= KEY_TICKS - 1;
        let event = TelephoneEvent { event, end, volume: VOLUME, duration };
        KeyTick::Event { event, marker: tick == 0, sounding }
    }
}

fn is_wait(key: char) -> bool {
    key.eq_ignore_ascii_case(&'w')
}

/// Twenty milliseconds of a key's sound, encoded; `from` is the first sample's place in the key.
pub fn key_sound(key: char, from: usize, codec: Codec) -> [u8; FRAME_SAMPLES] {
    let mut bytes = [g711::silence(codec); FRAME_SAMPLES];
    if let Some((low, high)) = key_frequencies(key) {
        let samples = tones(&[low, high], AMPLITUDE, FRAME_SAMPLES, SAMPLE_RATE, from);
        for (byte, sample) in bytes.iter_mut().zip(samples) {
            *byte = g711::encode(codec, sample);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_100_ms_of_growing_duration_and_three_ends() {
        let mut sender = DigitSender::default();
        sender.push("4");
        let event = |duration, end| TelephoneEvent { event: 4, end, volume: 10, duration };
        let rows = [(160, false), (320, false), (480, false), (640, false), (800, true)];
        let mut expected: Vec<KeyTick> = rows
            .iter()
            .chain([&(800, true); 2])
            .enumerate()
            .map(|(tick, (duration, end))| KeyTick::Event {
                event: event(*duration, *end),
                marker: tick == 0,
                sounding: tick < 5,
            })
            .collect();
        expected.extend([KeyTick::Pause; 3]);
        let sent: Vec<KeyTick> = (0..10).map(|_| sender.tick(true)).collect();
        assert_eq!(sent, expected);
        assert!(sender.is_idle());
        assert_eq!(sender.tick(true), KeyTick::Pause);
    }

    #[test]
    fn waits_are_silent_and_foreign_letters_are_dropped() {
        let mut sender = DigitSender::default();
        sender.push("w5x?a");
        let starts: Vec<(usize, u8)> = (0..60)
            .filter_map(|tick| match sender.tick(true) {
                KeyTick::Event { event, marker: true, .. } => Some((tick, event.event)),
                _ => None,
            })
            .collect();
        assert_eq!(starts, [(25, 5), (35, 12)]);
        sender.push(&"1".repeat(1_000));
        assert_eq!(sender.keys.len(), KEYS_MAX);
    }

    #[test]
    fn without_agreement_the_key_is_100_ms_of_two_tones() {
        let mut sender = DigitSender::default();
        sender.push("9");
        let sounds: Vec<KeyTick> = (0..10).map(|_| sender.tick(false)).collect();
        assert_eq!(sounds[4], KeyTick::Sound { key: '9', from: 640 });
        assert_eq!(sounds[5..], [KeyTick::Pause; 5]);
        let bytes = key_sound('9', 160, Codec::Pcma);
        let decoded: Vec<i16> =
            bytes.iter().map(|byte| g711::PCMA_TO_LINEAR[usize::from(*byte)]).collect();
        let level = crate::tone::synthesis::level_db(&decoded);
        assert!((-15.5..-9.5).contains(&level), "{level}");
    }
}
