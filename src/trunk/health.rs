//! Whether a trunk takes calls: told by probes (OPTIONS, RFC 3261 §11) and by its own traffic.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// Whether a trunk, or one of its targets, takes calls.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// It does, as far as is known.
    Up,
    /// It does, but worse than its thresholds ask: used when nothing better is there.
    Degraded {
        /// Which threshold, for a person.
        why: Arc<str>,
    },
    /// It does not. A trial call or a probe may bring it back.
    Down {
        /// On what ground, for a person.
        why: Arc<str>,
        /// Since when.
        since: Instant,
    },
}

/// When a trunk counts as down, degraded and up again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HealthRules {
    /// Between two probes of a target; zero: none is sent.
    pub probe_every: Duration,
    /// Failed probes or calls in a row that take a target down.
    pub down_after: u32,
    /// Good probes in a row that bring it back; one good call does so at once.
    pub up_after: u32,
    /// Final statuses of a probe that count as failures. All others, 405 and 404 included, show that
    /// somebody is there.
    pub dead_statuses: Vec<u16>,
    /// How long a target that is down is left alone before one trial call is let through. A longer
    /// `Retry-After` (RFC 3261 §21.5.4) has the last word, up to `retry_after_max`.
    pub trial_every: Duration,
    /// What `Retry-After` may ask for at most.
    pub retry_after_max: Duration,
    /// Length of the window over which traffic is judged.
    pub window: Duration,
    /// Calls in the window below which nothing is judged.
    pub calls_min: u32,
    /// Answered share of calls below which the trunk is degraded, in percent; 0: not judged.
    pub answer_ratio_min_pct: u8,
    /// Share of calls that the network carried (answered, busy, no answer, declined: ITU-T E.425
    /// NER) below which it is degraded, in percent; 0: not judged.
    pub effectiveness_min_pct: u8,
    /// Mean post-dial delay above which it is degraded; zero: not judged.
    pub post_dial_delay_max: Duration,
    /// Share of calls ended by 5xx or silence above which it is down, in percent; 100: never.
    pub failures_max_pct: u8,
}
