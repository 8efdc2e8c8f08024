//! Sound: packets to samples and words about them, and back. Pure: told the time, owns no socket.
//!
//! ```text
//!  packet ─► source ─► rtp ─┬─► partner's leg (bridge)
//!                           ├─► tone::telephone_event ─► Digit
//!                           └─► rtp::jitter_buffer ─► detect::speech ─► SpeechStarted, Utterance
//!  tick   ─► playout, tone::digit_sender, or silence ─► rtp ─► packet
//! ```
//!
//! `legs` holds the legs of one worker and is what a shell or the simulator drives; `leg` is one
//! of them; the rest are its parts.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod bridge;
pub mod clip;
pub mod event;
pub mod leg;
pub mod legs;
pub mod listening;
pub mod playout;
pub mod quality;
pub mod recording;
pub mod source;

/// The wire: RTP and RTCP (RFC 3550).
pub mod rtp {
    pub mod jitter_buffer;
    pub mod packet;
    pub mod report;
    pub mod sequence;
    pub mod session;
}

/// Samples to bytes and back.
pub mod codec {
    pub mod g711;
    pub mod resample;
}

/// Tones that mean something.
pub mod tone {
    pub mod digit_sender;
    pub mod synthesis;
    pub mod telephone_event;
}

/// What is heard in the samples.
pub mod detect {
    pub mod noise_floor;
    pub mod speech;
    pub mod tonality;
}

/// Samples a second of all sound inside: the telephone's.
pub const SAMPLE_RATE: u32 = 8_000;

/// Samples of one tick: 20 ms.
pub const FRAME_SAMPLES: usize = 160;

/// The time between two ticks of a leg, in milliseconds.
pub const TICK_MS: u16 = 20;
