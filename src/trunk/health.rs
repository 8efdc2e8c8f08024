//! Whether a trunk takes calls: told by probes (OPTIONS, RFC 3261 §11) and by its own traffic.
//!
//! ```text
//!        down_after failures in a row, 503 with Retry-After
//!   Up ────────────────────────────────────────────────────► Down ─┐ trial_every: one trial call
//!    ▲                                                         │ ◄──┘
//!    └───── up_after good probes, or one response to a call ───┘
//! ```
//!
//! Only calls begun after it went down tell that it is back; until its `Retry-After` is over nothing but
//! they do.
//!
//! One [`Target`] per hop; [`traffic`] judges the trunk as a whole. Calls nothing. Called by `trunks`.

pub mod traffic;

use crate::event::ProbeReply;
use crate::failover::{End, Outcome};
use crate::random::Random;
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
    /// A probe that is not answered for so long has failed.
    pub probe_within: Duration,
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

impl State {
    /// Whether it takes no calls.
    pub fn is_down(&self) -> bool {
        matches!(self, Self::Down { .. })
    }

    /// The word for it: `up`, `degraded`, `down`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded { .. } => "degraded",
            Self::Down { .. } => "down",
        }
    }

    /// On what ground; empty when it is up.
    pub fn why(&self) -> &str {
        match self {
            Self::Up => "",
            Self::Degraded { why } | Self::Down { why, .. } => why,
        }
    }
}

impl Default for HealthRules {
    /// As the embedded configuration has it.
    fn default() -> Self {
        Self {
            probe_every: Duration::from_secs(30),
            probe_within: Duration::from_secs(5),
            down_after: 3,
            up_after: 2,
            dead_statuses: vec![408, 503],
            trial_every: Duration::from_secs(30),
            retry_after_max: Duration::from_secs(3_600),
            window: Duration::from_secs(300),
            calls_min: 20,
            answer_ratio_min_pct: 0,
            effectiveness_min_pct: 50,
            post_dial_delay_max: Duration::from_secs(10),
            failures_max_pct: 80,
        }
    }
}

/// The health of one target.
#[derive(Clone, Debug)]
pub struct Target {
    down: Option<Down>,
    /// Failures in a row while it is up.
    failures: u32,
    /// Good probes in a row while it is down.
    good: u32,
    /// When the next probe is due; `None`: none is sent.
    probe_at: Option<Instant>,
    /// When the one under way counts as failed. Timer F (RFC 3261 §17.1.2.2) would take 32 s.
    awaited: Option<Instant>,
    round_trip: Option<Duration>,
}

#[derive(Clone, Debug)]
struct Down {
    why: Arc<str>,
    since: Instant,
    /// Until when it asked for no requests (RFC 3261 §21.5.4): no answer to a probe or REGISTER is
    /// another word on calls.
    not_before: Option<Instant>,
    /// When a call may try it.
    trial_at: Instant,
}

impl Target {
    /// A target nothing is known of: up. Its first probe falls anywhere within a tenth of the
    /// interval, so that many targets are not probed at once.
    pub fn new(rules: &HealthRules, now: Instant, random: &mut Random) -> Self {
        let probe_at = match rules.probe_every {
            Duration::ZERO => None,
            every => Some(now + random.share_of(every, 0, 10)),
        };
        Self { down: None, failures: 0, good: 0, probe_at, awaited: None, round_trip: None }
    }

    /// How it is.
    pub fn state(&self) -> State {
        match &self.down {
            None => State::Up,
            Some(down) => State::Down { why: down.why.clone(), since: down.since },
        }
    }

    /// Whether it is down.
    pub fn is_down(&self) -> bool {
        self.down.is_some()
    }

    /// Whether a call may try it though it is down.
    pub fn is_trial_due(&self, now: Instant) -> bool {
        self.down.as_ref().is_some_and(|down| down.trial_at <= now)
    }

    /// A call tries it: no other does for as long as `trial_every`.
    pub fn trial_begun(&mut self, rules: &HealthRules, now: Instant) {
        if let Some(down) = &mut self.down {
            down.trial_at = down.trial_at.max(now + rules.trial_every);
        }
    }

    /// How long its last answered probe took.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// When its next probe is due, or the one under way has failed.
    pub fn probe_at(&self) -> Option<Instant> {
        self.probe_at.into_iter().chain(self.awaited).min()
    }

    /// Asks for a probe now.
    pub fn probe_now(&mut self, now: Instant) {
        self.probe_at = Some(now);
    }

    /// Whether a probe is to be sent now; it then counts as sent.
    pub fn take_probe(&mut self, rules: &HealthRules, now: Instant, random: &mut Random) -> bool {
        if self.awaited.is_some_and(|until| until <= now) {
            self.awaited = None;
            self.fail("no answer to a probe".into(), rules, now);
        }
        let due = self.probe_at.is_some_and(|at| at <= now) && self.awaited.is_none();
        if due {
            self.awaited = Some(now + rules.probe_within);
            // The next falls between 90 and 110 % of the interval later.
            self.probe_at = match rules.probe_every {
                Duration::ZERO => None,
                every => Some(now + random.share_of(every, 90, 110)),
            };
        }
        due
    }

    /// No probe is sent any more.
    pub fn stop_probing(&mut self) {
        (self.probe_at, self.awaited) = (None, None);
    }

    /// Takes the outcome of a probe. One that counts as failed already fails no second time, but a
    /// late answer shows that somebody is there.
    pub fn probed(&mut self, reply: &ProbeReply, rules: &HealthRules, now: Instant) {
        let is_late = self.awaited.take().is_none();
        match reply.status {
            Some(status) if !rules.dead_statuses.contains(&status) => {
                self.round_trip = Some(reply.round_trip);
                self.failures = 0;
                self.good = self.good.saturating_add(1);
                if self.good >= rules.up_after {
                    self.come_back(now);
                }
            }
            // RFC 3261 §21.5.4: with Retry-After it says itself how long it takes no requests.
            Some(503) if reply.retry_after.is_some() => {
                self.round_trip = Some(reply.round_trip);
                self.take_down("503 to a probe".into(), reply.retry_after, rules, now);
            }
            Some(_) | None if is_late => (),
            Some(status) => self.fail(format!("{status} to a probe"), rules, now),
            None => self.fail("no answer to a probe".into(), rules, now),
        }
    }

    /// Takes the outcome of a call, begun at `begun`, that was not answered.
    pub fn called(&mut self, outcome: &Outcome, begun: Instant, rules: &HealthRules, now: Instant) {
        match (outcome.end, outcome.retry_after) {
            (End::Status(503), Some(wait)) => {
                self.take_down("503 to a call".into(), Some(wait), rules, now);
            }
            // Without Retry-After it speaks for itself alone (§21.5.4: as a 500), but several in a
            // row speak for the target.
            (End::Status(503), None) => self.fail("503 to a call".into(), rules, now),
            (End::NotSent, _) => self.fail("a call could not be sent".into(), rules, now),
            (End::Silent | End::EarlyFailover, _) if !outcome.rang => {
                self.fail("no answer at all to a call".into(), rules, now);
            }
            // A call that we gave up before anything was heard says nothing.
            (End::GivenUp, _) if !outcome.rang => (),
            // Every other response shows that somebody is there.
            (
                End::Status(_) | End::GivenUp | End::Answered | End::Silent | End::EarlyFailover,
                _,
            ) => self.heard(begun),
        }
    }

    /// A response to a call that was begun at `begun`: it is there. What an older call says is not of
    /// the time since it went down.
    pub fn heard(&mut self, begun: Instant) {
        self.failures = 0;
        if self.down.as_ref().is_some_and(|down| begun > down.since) {
            self.down = None;
        }
    }

    /// It took our registration: it is there.
    pub fn registered(&mut self, now: Instant) {
        self.failures = 0;
        self.come_back(now);
    }

    fn come_back(&mut self, now: Instant) {
        let waits = |down: &Down| down.not_before.is_some_and(|at| now < at);
        if !self.down.as_ref().is_some_and(waits) {
            self.down = None;
        }
    }

    fn fail(&mut self, why: String, rules: &HealthRules, now: Instant) {
        self.good = 0;
        self.failures = self.failures.saturating_add(1);
        if self.failures >= rules.down_after && self.down.is_none() {
            let why = format!("{why}, {} failures in a row", self.failures);
            self.take_down(why, None, rules, now);
        }
    }

    /// `wait`: its `Retry-After`.
    fn take_down(
        &mut self,
        why: String,
        wait: Option<Duration>,
        rules: &HealthRules,
        now: Instant,
    ) {
        self.good = 0;
        let asked = wait.map(|wait| wait.min(rules.retry_after_max));
        let trial_at = now + asked.unwrap_or_default().max(rules.trial_every);
        let since = self.down.as_ref().map_or(now, |down| down.since);
        let not_before = asked.map(|wait| now + wait);
        self.down = Some(Down { why: why.into(), since, not_before, trial_at });
    }
}

#[cfg(test)]
mod tests;
