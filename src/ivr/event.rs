//! What passes between a conversation and the call it is part of.

use domain::id::{OrderId, QueueId};
use domain::phone_number::PhoneNumber;
use domain::prompt::{Hearing, Prompt, Transcript, Understanding};
use std::sync::Arc;

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The caller can hear us: begin at the flow's start.
    Started,
    /// What was said under this order is over.
    PlaybackEnded {
        /// Of which `Say`.
        order: OrderId,
        /// Stopped before its end (by a key or by speech).
        stopped: bool,
    },
    /// A key was pressed.
    Digit(char),
    /// The caller began to speak.
    SpeechStarted {
        /// Of which `Listen`.
        order: OrderId,
    },
    /// The caller stopped speaking; `Heard` or `NotHeard` follows or the deadline does.
    SpeechEnded {
        /// Of which `Listen`.
        order: OrderId,
    },
    /// The recogniser's result.
    Heard {
        /// Of which `Listen`.
        order: OrderId,
        /// What it heard.
        transcript: Transcript,
    },
    /// The recogniser has none: overloaded, missing or failed.
    NotHeard {
        /// Of which `Listen`.
        order: OrderId,
    },
    /// The classifier's result.
    Understood {
        /// Of which `Classify`.
        order: OrderId,
        /// What it made of the text.
        understanding: Understanding,
    },
    /// An HTTP answer: named values taken from it.
    Fetched {
        /// Of which `Fetch`.
        order: OrderId,
        /// `(name, text)` of each value found; set as variables.
        values: Vec<(Arc<str>, Arc<str>)>,
    },
    /// The HTTP call failed: no connection, too slow, not 2xx, not JSON, value missing.
    FetchFailed {
        /// Of which `Fetch`.
        order: OrderId,
        /// Why, for the record.
        reason: Arc<str>,
    },
    /// The queue took the caller: the conversation rests until `Resumed` or its end.
    Queued,
    /// The queue refused the caller, or gave up on him.
    QueueRefused(QueueRefusal),
    /// The promise is on disk: now, and only now, it may be told.
    PromiseStored,
    /// The promise could not be made.
    PromiseRefused {
        /// Why, for the record.
        reason: Arc<str>,
    },
}

/// Why a queue does not take a caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum QueueRefusal {
    /// As many wait as may.
    Full,
    /// Outside its hours, or closed by hand.
    Closed,
    /// Nobody is logged in.
    NobodyThere,
    /// The estimated wait is longer than allowed, or he waited as long as allowed.
    TooLong,
    /// There is no such queue (configuration changed under a call).
    Unknown,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Speak. Ends with `PlaybackEnded`.
    Say {
        /// Its id.
        order: OrderId,
        /// What.
        prompts: Vec<Prompt>,
    },
    /// Stop speaking.
    StopSaying,
    /// Listen for speech and keys, until `StopListening` or another `Listen`.
    Listen {
        /// Its id.
        order: OrderId,
        /// What to expect; `None` when only keys are awaited.
        hearing: Option<Hearing>,
        /// Whether speech or a key stops what is being said.
        barge_in: bool,
    },
    /// Stop listening.
    StopListening,
    /// Name the intent of a text.
    Classify {
        /// Its id.
        order: OrderId,
        /// Which set of intents (a file of `config/intents`, without `.toml`).
        intents: Arc<str>,
        /// The text.
        text: Arc<str>,
    },
    /// Ask an HTTP service.
    Fetch {
        /// Its id.
        order: OrderId,
        /// What.
        request: FetchRequest,
    },
    /// Hand the caller to a queue. Answered by `Queued` or `QueueRefused`.
    Enqueue {
        /// Which queue.
        queue: QueueId,
        /// 0 is ordinary, higher is sooner.
        priority: u8,
    },
    /// Promise a call back. Answered by `PromiseStored` or `PromiseRefused`.
    Promise {
        /// For which queue.
        queue: QueueId,
        /// The number to call.
        number: PhoneNumber,
    },
    /// The conversation is over: end the call.
    Finish,
    /// A decision, for the record and the trace: `(what, why)`.
    Note {
        /// What was decided, such as `intent order_status`.
        what: Arc<str>,
        /// On what ground, such as `confidence 0.93, runner-up refund 0.04`.
        why: Arc<str>,
    },
}

/// An HTTP call for self-service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FetchRequest {
    /// With variables already filled in and percent-encoded.
    pub url: Arc<str>,
    /// `(name, path)`: which values to take; a path is dot-separated keys into the JSON answer.
    pub take: Vec<(Arc<str>, Arc<str>)>,
    /// The whole call may take this long, in milliseconds.
    pub timeout_ms: u32,
}
