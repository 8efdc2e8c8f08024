//! What passes between a leg's sound and the layers above and below it.

use crate::clip::Clip;
use crate::recording::RecordingPart;
use domain::id::{LegId, OrderId};
use domain::ip_version::IpVersion;
use domain::media_plan::MediaPlan;
use std::net::SocketAddr;
use std::sync::Arc;

/// How to listen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ListenRule {
    /// Whether speech is awaited (its frames then go to the recogniser). Keys always are.
    pub speech: bool,
    /// Whether the start of speech stops what is playing (barge-in).
    pub speech_stops_playback: bool,
    /// Whether a key stops what is playing.
    pub key_stops_playback: bool,
    /// Silence that ends an utterance, in milliseconds (usually 700).
    pub end_silence_ms: u16,
    /// The longest utterance, in milliseconds; longer ones are ended by force (usually 8,000).
    pub utterance_max_ms: u16,
}

/// An order to a leg's sound. Each that causes later events carries an id that they echo.
#[derive(Clone, Debug)]
pub enum MediaCommand {
    /// Binds a port. Answered by `Opened` or `OpenFailed`.
    Open {
        /// The leg it will serve.
        leg: LegId,
        /// The port's; where there are none of it, the port is of the other.
        ip: IpVersion,
    },
    /// Sends and receives by this plan from now on; again after each change.
    Connect {
        /// Which leg.
        leg: LegId,
        /// What was agreed.
        plan: MediaPlan,
    },
    /// Plays clips one after another, replacing what is playing. Ends with one `PlaybackEnded`.
    Play {
        /// Which leg.
        leg: LegId,
        /// The id echoed.
        order: OrderId,
        /// What to play.
        clips: Vec<Arc<Clip>>,
        /// Whether to begin again at the end (music), until stopped.
        repeat: bool,
    },
    /// Stops what is playing; its `PlaybackEnded` says `stopped`.
    StopPlayback {
        /// Which leg.
        leg: LegId,
    },
    /// Listens by this rule until `StopListening` or the next `Listen`.
    Listen {
        /// Which leg.
        leg: LegId,
        /// The id echoed.
        order: OrderId,
        /// How.
        rule: ListenRule,
    },
    /// Stops listening; keys are still reported, with the last order.
    StopListening {
        /// Which leg.
        leg: LegId,
    },
    /// Sends digits as RFC 4733 events, 100 ms each with 100 ms between.
    SendDigits {
        /// Which leg.
        leg: LegId,
        /// `0`–`9`, `*`, `#`, `A`–`D`; `w` waits 500 ms.
        digits: Arc<str>,
    },
    /// The two legs hear each other from now on; playback on both stops.
    Bridge {
        /// One.
        a: LegId,
        /// The other.
        b: LegId,
    },
    /// The leg hears its partner no more.
    Unbridge {
        /// Which leg (of either side).
        leg: LegId,
    },
    /// Writes what the leg hears and says to a stereo WAV of 8 kHz (left: from the peer).
    Record {
        /// Which leg.
        leg: LegId,
        /// Where; written under a temporary name until `Close`.
        path: Arc<str>,
    },
    /// Frees the leg's port (held back for 5 s, less where ports are scarce, so that late packets reach nobody).
    Close {
        /// Which leg.
        leg: LegId,
    },
}

/// What happened to a leg's sound.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaEvent {
    /// A port is bound.
    Opened {
        /// Which leg.
        leg: LegId,
        /// Its RTP address.
        local: SocketAddr,
    },
    /// No port is free.
    OpenFailed {
        /// Which leg.
        leg: LegId,
    },
    /// Playback is over. Exactly one for each `Play`.
    PlaybackEnded {
        /// Which leg.
        leg: LegId,
        /// Of which order.
        order: OrderId,
        /// `true` when it was stopped or replaced before its end.
        stopped: bool,
    },
    /// A key was pressed (RFC 4733), once per press.
    Digit {
        /// Which leg.
        leg: LegId,
        /// The order listening at that time; `OrderId(0)` if none was.
        order: OrderId,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
    },
    /// The caller began to speak.
    SpeechStarted {
        /// Which leg.
        leg: LegId,
        /// The order listening.
        order: OrderId,
        /// The playback that it stopped, if any.
        stopped: Option<OrderId>,
    },
    /// The caller stopped speaking; the recogniser has the whole utterance.
    SpeechEnded {
        /// Which leg.
        leg: LegId,
        /// The order listening.
        order: OrderId,
    },
    /// No valid packet for the time the leg may be silent (30 s while it should receive).
    Silent {
        /// Which leg.
        leg: LegId,
    },
    /// The leg is closed; the last event of a leg.
    Closed {
        /// Which leg.
        leg: LegId,
        /// How it went.
        report: QualityReport,
    },
}

/// How a leg's sound went (RFC 3550 §6.4 figures of the received stream).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QualityReport {
    /// Packets sent.
    pub sent: u64,
    /// Packets received and taken.
    pub received: u64,
    /// Packets expected and not seen.
    pub lost: u64,
    /// Packets from strangers, refused.
    pub refused: u64,
    /// Interarrival jitter in microseconds (RFC 3550 §6.4.1).
    pub jitter_us: u32,
    /// Mean opinion score, listening quality, 1–4.5 (G.107 with G.711 and random loss).
    pub mos: f32,
}

/// What a leg wants done by the thread that owns it.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaAction {
    /// Put this packet on the wire.
    Transmit {
        /// From which leg's socket.
        leg: LegId,
        /// Where to.
        remote: SocketAddr,
        /// RTP or RTCP.
        packet: bytes::Bytes,
    },
    /// Tell the layer above.
    Up(MediaEvent),
    /// A piece of an utterance for the recogniser; never goes through the switchboard.
    Utterance(UtterancePart),
    /// A second of a recording, for the thread that writes files.
    Recorded(RecordingPart),
}

/// A piece of an utterance.
#[derive(Clone, Debug, PartialEq)]
pub enum UtterancePart {
    /// Speech began; the frames that follow include 300 ms from before it was noticed.
    Started {
        /// Which leg.
        leg: LegId,
        /// The order listening.
        order: OrderId,
    },
    /// Samples, 8 kHz mono, usually 160.
    Frame {
        /// Which leg.
        leg: LegId,
        /// The order listening.
        order: OrderId,
        /// The samples.
        samples: Vec<i16>,
    },
    /// Speech ended: recognise.
    Ended {
        /// Which leg.
        leg: LegId,
        /// The order listening.
        order: OrderId,
    },
    /// Listening stopped: forget what was gathered.
    Dropped {
        /// Which leg.
        leg: LegId,
        /// The order that listened.
        order: OrderId,
    },
}
