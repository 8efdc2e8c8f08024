//! Engines that hear and speak, on threads of their own, behind bounded queues.
//!
//! ```text
//! media threads ──frames──► recognizer ─┬─► vosk     (closed: grammar of the question)
//!                                       └─► whisper  (open: any sentence)
//! prompts ──► synthesizer ─┬─► prompt_cache (memory, disk)
//!                          ├─► flite, espeak-ng (programs of their own)
//!                          └─► recordings, hold music
//! ```
//!
//! Names `domain` only: samples are plain 8 kHz `i16`. Callers are the gateway's.
#![deny(unsafe_code)] // Allowed in two named modules: `vosk::library` and `low_priority`.
#![warn(missing_docs)]

pub mod engine;
pub mod error;
mod low_priority;
mod mel;
pub mod prompt_cache;
pub mod recognizer;
pub mod sound;
pub mod synthesizer;
mod text;
pub mod vosk;
pub mod whisper;

#[cfg(test)]
mod with_weights;
