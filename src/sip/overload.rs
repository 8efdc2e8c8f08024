//! Overload: new calls wait their turn behind all else, and those that find no place are refused, so that
//! those taken are served (RFC 7339).
//!
//! ```text
//!            all have waited longer than the longest wait
//! All taken ─────────────────────────────────────────────► Held: as many wait as are taken within
//!     ▲                                                      the longest wait
//!     └───────── some wait less than a quarter of it ────────┘
//! ```
//!
//! What belongs to a call that was taken never waits here ([`Control::sort`] is for new calls only), so
//! the more calls there are, the less is left for new ones, and no rate need be known. It is looked at
//! each tenth of a second, and of the waits the shortest counts, as in RFC 8289 §3: a loop that was kept
//! from its processor for a moment has long waits and then short ones; only where all are long, more
//! comes than can be served.
//!
//! A call that finds no place is refused at once. Refusing has a bound too: so many for each call taken.
//! Beyond that, new calls are dropped unread: their repetitions are looked at anew. That costs about what
//! a refusal does if all of them come, and nothing if the caller has gone.
//!
//! Neighbours who speak RFC 7339 are told what share to leave out ([`Control::advice`]), and what they
//! tell us is kept to ([`Neighbours`](neighbours::Neighbours)). Calls nothing. Called by `endpoint`.

pub mod neighbours;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// When it is too much.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OverloadRules {
    /// The longest that a new call may wait.
    pub backlog_max: Duration,
}

/// What neighbours are told: the parameters of Via (RFC 7339 §4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Advice {
    /// `oc`: the percentage of requests to leave out.
    pub loss_percent: u8,
    /// `oc-validity`, in milliseconds; 0: there is no overload.
    pub validity_ms: u32,
    /// `oc-seq`: larger for each later advice.
    pub sequence: u64,
}

/// What becomes of a new call that comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// It waits: [`Control::enter`].
    Waits,
    /// It is refused.
    Refused,
    /// It is left unread.
    Dropped,
}

/// The queue of new calls, and who of them is taken.
#[derive(Debug)]
pub struct Control<T> {
    rules: OverloadRules,
    waiting: VecDeque<Waiting<T>>,
    /// `Some`: so many may wait.
    held: Option<usize>,
    /// How many may still be refused.
    refusals: f64,
    period: Period,
    sequence: u64,
    loss_percent: u8,
    /// New calls not taken since the start.
    refused: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    /// `None`: it only keeps its place behind those before it.
    arrived: Option<Instant>,
    what: T,
}

/// What is seen within one period.
#[derive(Debug)]
struct Period {
    began: Instant,
    /// Of those taken.
    shortest_wait: Duration,
    taken: u32,
    offered: u32,
}

impl Period {
    fn begun(began: Instant) -> Self {
        Self { began, shortest_wait: Duration::MAX, taken: 0, offered: 0 }
    }
}

/// New calls that wait at most.
pub const WAITING_MAX: usize = 4_096;
/// So many may always wait.
const PLACES_MIN: usize = 16;
/// Refusals for each call taken: a refusal costs a small part of a call, but not nothing.
const REFUSALS_PER_CALL: f64 = 3.0;
/// As many are saved up at most.
const REFUSALS_MAX: f64 = 1_000.0;
/// How often it is looked at anew.
const PERIOD: Duration = Duration::from_millis(100);
/// How long advice is kept to that is not renewed (RFC 7339 §4.3).
const VALIDITY_MS: u32 = 500;
/// So few taken in a period tell nothing of a backlog.
const FEW: u32 = 4;
/// By how much advice falls in a period without need: not at once, or neighbours who kept to it would
/// send all again.
const LOSS_FALLS: u8 = 5;

impl<T> Control<T> {
    /// Everything is taken at first. `started_wall_ms` begins the sequence, so that a restart's advice
    /// is later than the last one before (RFC 7339 §4.4).
    pub fn new(rules: OverloadRules, started_wall_ms: u64, now: Instant) -> Self {
        Self {
            rules,
            waiting: VecDeque::new(),
            held: None,
            refusals: REFUSALS_MAX,
            period: Period::begun(now),
            sequence: started_wall_ms * 100,
            loss_percent: 0,
            refused: 0,
        }
    }

    /// A new call comes. Requests in dialogs, ACK, CANCEL and emergency calls are none (RFC 7339
    /// §5.10.1).
    pub fn sort(&mut self, now: Instant) -> Place {
        self.end_period(now);
        self.period.offered += 1;
        if self.waiting.len() < self.held.unwrap_or(WAITING_MAX) {
            return Place::Waits;
        }
        self.refused += 1;
        if self.refusals < 1.0 {
            return Place::Dropped;
        }
        self.refusals -= 1.0;
        Place::Refused
    }

    /// It waits from now on; `waited`: how long it has already.
    pub fn enter(&mut self, call: T, waited: Duration, now: Instant) {
        let arrived = Some(now.checked_sub(waited).unwrap_or(now));
        self.waiting.push_back(Waiting { arrived, what: call });
    }

    /// What must not overtake a call that waits, as its CANCEL. It is given back where none waits, or
    /// too many.
    pub fn enter_behind(&mut self, what: T) -> Option<T> {
        if self.waiting.is_empty() || self.waiting.len() >= WAITING_MAX {
            return Some(what);
        }
        self.waiting.push_back(Waiting { arrived: None, what });
        None
    }

    /// The next whose turn it is; `None`: none waits.
    pub fn next(&mut self, now: Instant) -> Option<T> {
        let Waiting { arrived, what } = self.waiting.pop_front()?;
        self.end_period(now);
        if let Some(arrived) = arrived {
            let waited = now.saturating_duration_since(arrived);
            self.period.taken += 1;
            self.period.shortest_wait = self.period.shortest_wait.min(waited);
            self.refusals = (self.refusals + REFUSALS_PER_CALL).min(REFUSALS_MAX);
        }
        Some(what)
    }

    /// Those of whom `is` holds wait no longer.
    pub fn forget(&mut self, is: impl Fn(&T) -> bool) {
        self.waiting.retain(|waiting| !is(&waiting.what));
    }

    /// Whether only so many may wait.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Whether a call waits.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What to tell neighbours now.
    pub fn advice(&mut self, now: Instant) -> Advice {
        self.end_period(now);
        let validity_ms = if self.loss_percent > 0 { VALIDITY_MS } else { 0 };
        Advice { loss_percent: self.loss_percent, validity_ms, sequence: self.sequence }
    }

    /// The percentage of new calls that are refused now.
    pub fn loss_percent(&self) -> u8 {
        self.loss_percent
    }

    /// New calls refused or dropped since the start.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    fn end_period(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.period.began);
        if passed < PERIOD {
            return;
        }
        let taken = self.period.taken;
        let shortest = if taken < FEW { Duration::ZERO } else { self.period.shortest_wait };
        let longest = self.rules.backlog_max;
        let bound = if self.held.is_some() { longest / 4 } else { longest };
        // As many as were taken in so long a time.
        let places = f64::from(taken) / passed.as_secs_f64() * longest.as_secs_f64();
        self.held = (shortest > bound).then(|| (places as usize).clamp(PLACES_MIN, WAITING_MAX));
        let served = u64::from(taken) * 100 / u64::from(self.period.offered.max(1));
        let lost = match self.held {
            Some(_) => 100 - u8::try_from(served).unwrap_or(100).min(100),
            None => 0,
        };
        self.loss_percent = lost.max(self.loss_percent.saturating_sub(LOSS_FALLS));
        self.sequence += 1;
        self.period = Period::begun(now);
    }
}
