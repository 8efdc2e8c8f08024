//! Where speech begins and ends.

use crate::FRAME_SAMPLES;

/// What a frame changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SpeechChange {
    /// Somebody began to speak, up to 120 ms ago.
    Started,
    /// The silence that ends an utterance is over, or the utterance was too long.
    Ended,
}

/// The detector of one leg.
#[derive(Clone, Debug, Default)]
pub struct SpeechDetector {}

impl SpeechDetector {
    /// Frames that speech needs to be noticed.
    pub const FRAMES_TO_START: usize = 5;

    /// Forgets what was being said, but not the noise of the line.
    pub fn begin(&mut self, _end_silence_ms: u16, _utterance_max_ms: u16) {}

    /// Takes 20 ms of sound. `said_db`: how loud we were, for the echo.
    pub fn hear(&mut self, _frame: &[i16; FRAME_SAMPLES], _said_db: f32) -> Option<SpeechChange> {
        None
    }
}
