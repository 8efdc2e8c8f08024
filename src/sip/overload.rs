//! Overload: new calls are refused while it is cheap, so that those taken are served (RFC 7339).
//!
//! ```text
//!                    backlog > most                         backlog ≤ most
//! Open (all taken) ─────────────────► Held to a rate ◄──┐ each tenth of a second: down by 5 %,
//!        ▲                                │  └──────────┘ kept, or up by 2 %
//!        └──── rate above what is offered ┘
//! ```
//!
//! The backlog is how long a datagram has waited when the loop takes it: of a tenth of a second the
//! shortest, as in RFC 8289 §3. A loop that was kept from its processor for a moment has long waits and
//! then short ones; only where all are long, more comes than can be served. While the backlog falls by
//! itself the rate is kept. A rate, and not a share, is held, since the rate that can be served stays
//! the same however much is offered.
//!
//! Neighbours who speak RFC 7339 are told what share to leave out ([`Control::advice`]), and what they
//! tell us is kept to ([`Neighbours`]). Calls nothing. Called by `endpoint`.

pub mod neighbours;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

/// When it is too much.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OverloadRules {
    /// The longest that a datagram may have waited.
    pub backlog_max: Duration,
    /// New calls a second that are always taken, however far behind the loop is.
    pub calls_min_per_second: u32,
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

/// Decides which new calls are taken.
#[derive(Debug)]
pub struct Control {
    rules: OverloadRules,
    state: State,
    period: Period,
    /// How long the last datagram has waited.
    waited: Duration,
    /// Of the period before.
    last_backlog: Duration,
    /// New calls a second that could be taken of late.
    served: f64,
    sequence: u64,
    /// The share refused in the last period.
    loss_percent: u8,
    /// New calls refused since the start.
    refused: u64,
}

#[derive(Debug)]
enum State {
    Open,
    /// `rate`: new calls a second; `room`: how many may still be taken at once.
    Held {
        rate: f64,
        room: f64,
        refilled: Instant,
    },
}

/// What is seen within one period.
#[derive(Debug)]
struct Period {
    began: Instant,
    /// The shortest wait.
    backlog: Duration,
    datagrams: u32,
    offered: u32,
    taken: u32,
}

impl Period {
    fn begun(began: Instant) -> Self {
        Self { began, backlog: Duration::MAX, datagrams: 0, offered: 0, taken: 0 }
    }
}

/// After this the caller is about to send an INVITE again.
const STALE: Duration = Duration::from_millis(400);
/// How often the rate is looked at anew.
const PERIOD: Duration = Duration::from_millis(100);
/// How long advice is kept to that is not renewed (RFC 7339 §4.3).
const VALIDITY_MS: u32 = 500;
/// Down to this share of the rate, in a period whose backlog is too long.
const DOWN: f64 = 0.95;
/// A backlog below this share of that before it falls.
const FALLS: f64 = 0.95;
/// So few datagrams in a period tell nothing of a backlog.
const FEW: u32 = 4;
/// What could be taken once counts this much less with each period.
const FADES: f64 = 0.98;
/// Up to this multiple of the rate, in one whose backlog is not.
const UP: f64 = 1.02;

impl Control {
    /// Everything is taken at first. `started_wall_ms` begins the sequence, so that a restart's advice
    /// is later than the last one before (RFC 7339 §4.4).
    pub fn new(rules: OverloadRules, started_wall_ms: u64, now: Instant) -> Self {
        Self {
            rules,
            state: State::Open,
            period: Period::begun(now),
            waited: Duration::ZERO,
            last_backlog: Duration::ZERO,
            served: 0.0,
            sequence: started_wall_ms * 100,
            loss_percent: 0,
            refused: 0,
        }
    }

    /// A datagram has waited so long.
    pub fn backlog(&mut self, behind: Duration, now: Instant) {
        self.waited = behind;
        self.period.backlog = self.period.backlog.min(behind);
        self.period.datagrams += 1;
        self.end_period(now);
    }

    /// Whether a new call is taken. Requests in dialogs, ACK, CANCEL and emergency calls do not ask
    /// (RFC 7339 §5.10.1).
    pub fn takes_call(&mut self, now: Instant) -> bool {
        self.end_period(now);
        self.period.offered += 1;
        let least = f64::from(self.rules.calls_min_per_second.max(1));
        let takes = match &mut self.state {
            State::Open => true,
            State::Held { rate, room, refilled } => {
                let passed = now.saturating_duration_since(*refilled).as_secs_f64();
                *refilled = now;
                // At most what a period brings is saved up, or what is always taken.
                let most = (*rate * PERIOD.as_secs_f64()).max(least);
                *room = (*room + passed * *rate).min(most);
                let takes = *room >= 1.0;
                if takes {
                    *room -= 1.0;
                }
                takes
            }
        };
        self.period.taken += u32::from(takes);
        self.refused += u64::from(!takes);
        takes
    }

    /// Whether the last datagram, an INVITE, is to be left to its repetition: it has waited so long
    /// that one is on its way (RFC 3261 §17.1.1.2, T1), and to read and to refuse both would keep the
    /// backlog as long as it is.
    pub fn leaves_to_repetition(&mut self) -> bool {
        let leaves = matches!(self.state, State::Held { .. }) && self.waited > STALE;
        self.refused += u64::from(leaves);
        leaves
    }

    /// What to tell neighbours now.
    pub fn advice(&mut self, now: Instant) -> Advice {
        self.end_period(now);
        let (loss_percent, validity_ms) = match self.state {
            State::Open => (0, 0),
            State::Held { .. } => (self.loss_percent, VALIDITY_MS),
        };
        Advice { loss_percent, validity_ms, sequence: self.sequence }
    }

    /// The percentage of new calls that were refused in the last period.
    pub fn loss_percent(&self) -> u8 {
        self.loss_percent
    }

    /// New calls refused since the start.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    fn end_period(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.period.began);
        if passed < PERIOD {
            return;
        }
        let seconds = passed.as_secs_f64();
        let (offered, taken) =
            (f64::from(self.period.offered) / seconds, f64::from(self.period.taken) / seconds);
        let least = f64::from(self.rules.calls_min_per_second.max(1));
        self.served = taken.max(self.served * FADES);
        let backlog = match self.period.datagrams {
            0..FEW => Duration::ZERO,
            _ => self.period.backlog,
        };
        let is_behind = backlog > self.rules.backlog_max;
        let falls = backlog < self.last_backlog.mul_f64(FALLS);
        self.state = match (&self.state, is_behind) {
            (State::Open, false) => State::Open,
            (State::Open, true) => {
                let rate = (self.served * DOWN).max(least);
                State::Held { rate, room: least, refilled: now }
            }
            (State::Held { rate, room, refilled }, true) => {
                let rate = if falls { *rate } else { (rate * DOWN).max(least) };
                State::Held { rate, room: *room, refilled: *refilled }
            }
            // Nobody is refused any more: it is over.
            (State::Held { rate, .. }, false) if rate * UP > offered * 2.0 => State::Open,
            (State::Held { rate, room, refilled }, false) => {
                State::Held { rate: rate * UP, room: *room, refilled: *refilled }
            }
        };
        self.sequence += 1;
        self.loss_percent = match self.state {
            State::Open => 0,
            State::Held { rate, .. } => {
                ((1.0 - rate / offered.max(1.0)).clamp(0.0, 1.0) * 100.0).round() as u8
            }
        };
        self.last_backlog = backlog;
        self.period = Period::begun(now);
    }
}
