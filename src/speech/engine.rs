//! What a recognition engine does, whichever it is.

use crate::error::SpeechError;
use domain::prompt::{Hearing, Transcript};

/// Samples a second on the wire, and so of every utterance.
pub const WIRE_HZ: u32 = 8_000;

/// Turns a whole utterance into words. Shared by the worker threads of its lane.
pub trait Engine: Send + Sync {
    /// What was said in `samples` (8 kHz mono), expected to be as `hearing` says. Empty text when
    /// nothing was understood.
    ///
    /// # Errors
    /// [`SpeechError::EngineFailed`].
    fn recognise(&self, samples: &[i16], hearing: &Hearing) -> Result<Recognised, SpeechError>;
}

/// An engine's result.
#[derive(Clone, Debug, PartialEq)]
pub struct Recognised {
    /// What was heard.
    pub transcript: Transcript,
    /// Whether it is so sure that no other engine need be asked.
    pub certain: bool,
}

impl Recognised {
    /// Nothing was understood.
    pub fn nothing(engine: &'static str) -> Self {
        let transcript = Transcript { text: "".into(), confidence: 0.0, engine };
        Self { transcript, certain: false }
    }
}
