//! What passes between the trunks and the layers around them.

use crate::failover::Outcome;
use crate::health::State;
use crate::locate::{Answer, Question};
use crate::registration::{Account, Standing};
use domain::hop::Hop;
use domain::id::{LegId, TrunkId};
use std::sync::Arc;
use std::time::Duration;

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The program is up: every trunk is resolved, registered and probed.
    Start,
    /// The answer to a `Resolve`.
    Located {
        /// The question, echoed.
        question: Question,
        /// The answer.
        answer: Answer,
    },
    /// The outcome of a `Probe`.
    Probed {
        /// Which trunk.
        trunk: TrunkId,
        /// Which of its targets.
        hop: Hop,
        /// What came back.
        reply: ProbeReply,
    },
    /// Our REGISTER was accepted (RFC 3261 §10.2.4), also a refresh.
    Registered {
        /// At which trunk.
        trunk: TrunkId,
        /// By which of its targets.
        hop: Hop,
        /// How long the registrar holds it.
        granted: Duration,
        /// `Service-Route` (RFC 3608 §5, §6.1), in order.
        service_route: Vec<Arc<str>>,
        /// `P-Associated-URI` (RFC 7315 §4.1): the numbers that are ours there.
        associated: Vec<Arc<str>>,
    },
    /// It was not.
    RegisterFailed {
        /// At which trunk.
        trunk: TrunkId,
        /// By which of its targets.
        hop: Hop,
        /// Why.
        failure: RegisterFailure,
    },
    /// Our registration was taken back.
    Unregistered {
        /// At which trunk.
        trunk: TrunkId,
    },
    /// A 101–199 for a call of ours: the first ringing one gives the post-dial delay.
    Ringing {
        /// Which, as given to `take`.
        leg: LegId,
        /// The status.
        status: u16,
    },
    /// A call was answered.
    Answered {
        /// Which.
        leg: LegId,
    },
    /// A call through a trunk is over, answered or not: its channel is given back.
    Over {
        /// Which.
        leg: LegId,
        /// How it failed; `None`: it was answered, or it was an incoming one.
        outcome: Option<Outcome>,
    },
    /// A call is given up before anything of it was sent, or its channel is given back a second
    /// time: it tells nothing of its trunk.
    Freed {
        /// Which.
        leg: LegId,
    },
    /// The final response to a call of ours that is about to be `Over` asks for a pause.
    RetryAfter {
        /// Which.
        leg: LegId,
        /// How long (RFC 3261 §20.33).
        after: Duration,
    },
    /// How a call of either direction sounded.
    Sounded {
        /// Through which trunk.
        trunk: TrunkId,
        /// How.
        sound: Sound,
    },
    /// A person asks for a probe of every target now.
    ProbeNow {
        /// Of which trunk.
        trunk: TrunkId,
    },
    /// No new calls: registrations are taken back.
    Drain,
}

/// What came back of an OPTIONS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProbeReply {
    /// The final status; `None`: none came, or it could not be sent.
    pub status: Option<u16>,
    /// From the first sending to the final response.
    pub round_trip: Duration,
    /// `Retry-After` (RFC 3261 §20.33).
    pub retry_after: Option<Duration>,
}

/// Why a REGISTER failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RegisterFailure {
    /// The final status; `None`: none came, or it could not be sent.
    pub status: Option<u16>,
    /// `Retry-After` (RFC 3261 §20.33).
    pub retry_after: Option<Duration>,
    /// `Min-Expires` of a 423 (RFC 3261 §20.23).
    pub min_expires: Option<Duration>,
}

/// How a call sounded, as its RTCP and jitter buffer told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sound {
    /// Packets that came.
    pub received: u64,
    /// Packets that did not.
    pub lost: u64,
    /// Mean deviation of their arrival (RFC 3550 §6.4.1), in microseconds.
    pub jitter_us: u32,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ask DNS; answered by `Located`.
    Resolve(Question),
    /// Send an OPTIONS; answered by `Probed`.
    Probe {
        /// To which trunk.
        trunk: TrunkId,
        /// To which of its targets.
        hop: Hop,
    },
    /// Send a REGISTER; answered by `Registered` or `RegisterFailed`. A challenge is answered below.
    Register {
        /// At which trunk.
        trunk: TrunkId,
        /// By which of its targets.
        hop: Hop,
        /// What is registered.
        account: Account,
        /// How long it is asked for.
        expires: Duration,
    },
    /// Take the registration back (RFC 3261 §10.2.2); answered by `Unregistered`.
    Unregister {
        /// At which trunk.
        trunk: TrunkId,
        /// By which of its targets.
        hop: Hop,
        /// What was registered.
        account: Account,
    },
    /// A registration changed: for log, event stream and metrics.
    RegistrationChanged {
        /// At which trunk.
        trunk: TrunkId,
        /// To what.
        standing: Standing,
    },
    /// A trunk changed: for log, event stream and metrics.
    Changed {
        /// Which.
        trunk: TrunkId,
        /// To what, and on what ground.
        state: State,
    },
}
