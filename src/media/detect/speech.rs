//! Where speech begins and ends: by how loud a frame is above the noise of the line, and by what
//! it is not: a tone, a steady noise, a click, or the echo of what we say.
//!
//! ```text
//!          4 of 6 frames are speech              silence of the rule, or too long
//! Waiting ─────────────────────────► Speaking ───────────────────────────────────► Waiting
//! ```
//!
//! Calls `noise_floor`, `tonality`. Called by `leg`.

#[cfg(test)]
mod tests;

use super::noise_floor::NoiseFloor;
use super::tonality::prediction_gain_db;
use crate::{FRAME_SAMPLES, TICK_MS};

/// Nothing softer begins speech, in dBov. A voice is about −26, a soft one −40.
const START_MIN_DB: f32 = -50.0;

/// Speech begins this much above the floor, and is over below the lesser distance.
const START_ABOVE_DB: f32 = 9.0;
const STAY_ABOVE_DB: f32 = 6.0;

/// A frame this much below the loudest of an utterance is none of it: the neighbours' talk.
const BELOW_PEAK_DB: f32 = 32.0;

/// What comes back of our own sound is at least this much softer (the echo return loss of a bad
/// two-wire line, ITU-T G.122).
const ECHO_LOSS_DB: f32 = 12.0;

/// Frames for which our sound may come back: 240 ms.
const ECHO_FRAMES: usize = 12;

/// Gain of prediction from which a frame is a tone, and from which it is one if it is also as
/// loud as the frame before it.
const TONE_GAIN_DB: f32 = 27.0;
const STEADY_TONE_GAIN_DB: f32 = 21.0;

/// Frames that differ by less than this in level are as loud as each other.
const STEADY_DB: f32 = 1.5;

/// After this many frames of the same level, a sound is a noise, not speech.
const STEADY_FRAMES: u16 = 12;

/// Frames looked back on to find the start, and how many of them must be speech.
const START_WINDOW: u32 = 6;
const START_FRAMES: u32 = 4;

/// Frames of speech in a row that end a silence; one alone is a click.
const RESUME_FRAMES: u16 = 2;

/// What a frame changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SpeechChange {
    /// Somebody began to speak, up to 120 ms ago.
    Started,
    /// The silence that ends an utterance is over, or the utterance was too long.
    Ended,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// One bit a frame, the newest lowest: whether it was speech.
    Waiting {
        speech: u32,
    },
    Speaking {
        frames: u16,
        silent: u16,
        resumed: u16,
        peak_db: f32,
        floor_db: f32,
    },
}

/// The detector of one leg; about 120 bytes.
#[derive(Clone, Debug)]
pub struct SpeechDetector {
    floor: NoiseFloor,
    state: State,
    end_silence_frames: u16,
    utterance_frames_max: u16,
    /// High-pass filter: last input and output.
    filter: (f32, f32),
    last_db: f32,
    steady_db: f32,
    steady_frames: u16,
    said_db: [f32; ECHO_FRAMES],
    said_next: usize,
}

impl Default for SpeechDetector {
    fn default() -> Self {
        Self {
            floor: NoiseFloor::default(),
            state: State::Waiting { speech: 0 },
            end_silence_frames: 35,
            utterance_frames_max: 400,
            filter: (0.0, 0.0),
            last_db: f32::MIN,
            steady_db: f32::MIN,
            steady_frames: 0,
            said_db: [f32::MIN; ECHO_FRAMES],
            said_next: 0,
        }
    }
}

impl SpeechDetector {
    /// Frames that speech needs to be noticed: those come before the pre-roll proper.
    pub const FRAMES_TO_START: usize = START_WINDOW as usize;

    /// Waits for speech. What is known of the noise of the line stays.
    ///
    /// `end_silence_ms` ends an utterance (at least 100); `utterance_max_ms` bounds it (at least
    /// 500), counted from the moment it was noticed.
    pub fn begin(&mut self, end_silence_ms: u16, utterance_max_ms: u16) {
        self.state = State::Waiting { speech: 0 };
        self.end_silence_frames = end_silence_ms.max(100) / TICK_MS;
        self.utterance_frames_max = utterance_max_ms.max(500) / TICK_MS;
    }

    /// Takes 20 ms of sound. `said_db`: how loud we were in this tick, in dBov, for the echo;
    /// `f32::MIN` if we said nothing.
    pub fn hear(&mut self, frame: &[i16; FRAME_SAMPLES], said_db: f32) -> Option<SpeechChange> {
        let filtered = self.high_pass(frame);
        let level_db = level_db(&filtered);
        self.said_db[self.said_next] = said_db;
        self.said_next = (self.said_next + 1) % ECHO_FRAMES;
        let floor_db = self.floor.db();
        // Digital silence is no noise: packets that are missing, or not sent in pauses.
        if frame.iter().any(|sample| *sample != 0) {
            self.floor.hear(level_db);
        }
        self.count_steady(level_db);
        let is_tone = self.is_tone(&filtered, level_db, floor_db);
        self.last_db = level_db;
        let is_steady = self.steady_frames >= STEADY_FRAMES;
        match self.state {
            State::Waiting { speech } => {
                let echo_db = self.said_db.iter().copied().fold(f32::MIN, f32::max) - ECHO_LOSS_DB;
                let threshold = START_MIN_DB.max(floor_db + START_ABOVE_DB).max(echo_db);
                let is_speech = level_db > threshold && !is_tone && !is_steady;
                self.wait(speech, is_speech, level_db, floor_db)
            }
            State::Speaking { floor_db, peak_db, .. } => {
                let threshold = (floor_db + STAY_ABOVE_DB).max(peak_db - BELOW_PEAK_DB);
                self.speak(level_db > threshold && !is_tone && !is_steady, level_db)
            }
        }
    }

    fn wait(
        &mut self,
        speech: u32,
        is_speech: bool,
        level_db: f32,
        floor_db: f32,
    ) -> Option<SpeechChange> {
        let speech = (speech << 1 | u32::from(is_speech)) & ((1 << START_WINDOW) - 1);
        if speech.count_ones() < START_FRAMES {
            self.state = State::Waiting { speech };
            return None;
        }
        self.state =
            State::Speaking { frames: 0, silent: 0, resumed: 0, peak_db: level_db, floor_db };
        Some(SpeechChange::Started)
    }

    fn speak(&mut self, is_speech: bool, level_db: f32) -> Option<SpeechChange> {
        let noise_db = self.floor.db();
        let State::Speaking { frames, silent, resumed, peak_db, floor_db } = &mut self.state else {
            return None;
        };
        *frames += 1;
        // The floor may rise while somebody speaks (a window is opened), but slowly, 4 dB a
        // second: long vowels are loud for long.
        *floor_db = noise_db.min(*floor_db + 0.08);
        if is_speech {
            *peak_db = peak_db.max(level_db);
            *resumed += 1;
        } else {
            *resumed = 0;
        }
        *silent = if *resumed >= RESUME_FRAMES { 0 } else { *silent + 1 };
        if *silent >= self.end_silence_frames || *frames >= self.utterance_frames_max {
            self.state = State::Waiting { speech: 0 };
            return Some(SpeechChange::Ended);
        }
        None
    }

    /// First-order high-pass at about 100 Hz: neither hum nor an offset is loudness.
    fn high_pass(&mut self, frame: &[i16; FRAME_SAMPLES]) -> [f32; FRAME_SAMPLES] {
        let (mut input, mut output) = self.filter;
        let filtered = frame.map(|sample| {
            let sample = f32::from(sample);
            output = sample - input + 0.925 * output;
            input = sample;
            output
        });
        self.filter = (input, output);
        filtered
    }

    fn count_steady(&mut self, level_db: f32) {
        if (level_db - self.steady_db).abs() <= STEADY_DB {
            self.steady_frames = self.steady_frames.saturating_add(1);
            self.steady_db += (level_db - self.steady_db) / 8.0;
        } else {
            self.steady_frames = 0;
            self.steady_db = level_db;
        }
    }

    fn is_tone(&self, frame: &[f32; FRAME_SAMPLES], level_db: f32, floor_db: f32) -> bool {
        if level_db < START_MIN_DB.max(floor_db) {
            return false;
        }
        let gain_db = prediction_gain_db(frame);
        let is_steady = (level_db - self.last_db).abs() < STEADY_DB;
        gain_db > TONE_GAIN_DB || is_steady && gain_db > STEADY_TONE_GAIN_DB
    }
}

/// The level in dBov (RFC 6464 §3: 0 is a full-scale square wave).
fn level_db(frame: &[f32; FRAME_SAMPLES]) -> f32 {
    let energy: f32 = frame.iter().map(|sample| sample * sample).sum();
    10.0 * (energy / FRAME_SAMPLES as f32 / 32_768_f32.powi(2) + 1e-13).log10()
}
