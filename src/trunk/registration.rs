//! When we register at a trunk (RFC 3261 §10.2), with the back-off of RFC 5626 §4.5.
//!
//! ```text
//!  Idle ─start─► Asking ─accepted─► Registered ─80 to 90 % of it─► Asking
//!                 │  ▲                                     drain ─► Leaving ─► Left
//!   failed: next hop  └────── gap ──── Waiting (failures · refused credentials · Retry-After)
//! ```
//!
//! It asks for requests and is told their outcomes; the endpoint writes them, and answers challenges.
//! Calls nothing. Called by `trunks`.

use crate::event::RegisterFailure;
use crate::random::Random;
use domain::hop::Hop;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is registered.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Account {
    /// The user part of the address of record; empty: the user of the trunk's credentials.
    pub user: Arc<str>,
    /// The user part of the Contact: what the trunk dials for us; empty: as `user`.
    pub contact: Arc<str>,
}

/// How we register at one trunk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RegistrationRules {
    /// What is registered.
    pub account: Account,
    /// How long a registration is asked for.
    pub expires: Duration,
    /// RFC 5626 §4.5: the longest wait after the first failure is this times two.
    pub retry_base: Duration,
    /// The longest wait of all.
    pub retry_max: Duration,
    /// The wait after wrong credentials (401, 403, 407): somebody must act first, and many tries
    /// get an account barred.
    pub refused_retry: Duration,
}

impl Default for RegistrationRules {
    /// As the embedded configuration has it.
    fn default() -> Self {
        Self {
            account: Account::default(),
            expires: Duration::from_secs(600),
            retry_base: Duration::from_secs(30),
            retry_max: Duration::from_secs(1_800),
            refused_retry: Duration::from_secs(1_800),
        }
    }
}

/// What a `Retry-After` or a `Min-Expires` may ask for at most.
const ASKED_MAX: Duration = Duration::from_secs(24 * 3_600);
/// A grant shorter than this is refreshed as if it were this long: a registrar that grants a
/// second must not make us ask every second.
const GRANTED_MIN: Duration = Duration::from_secs(10);
/// How long a REGISTER may take: Timer F (32 s) for each of the challenge, a stale nonce and 423.
const REQUEST_MAX: Duration = Duration::from_secs(120);

/// What it wants sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Order {
    /// A REGISTER to this hop for so long.
    Register(Hop, Duration),
    /// One that takes it back.
    Unregister(Hop),
}

/// Where it stands, for people.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Not yet asked.
    Idle,
    /// Registered, and until when unless it is refreshed.
    Registered {
        /// When it runs out.
        until: Instant,
    },
    /// Asked, and not registered.
    Asking,
    /// Not registered, and asked again at `retry_at`.
    Failed {
        /// Why, for a person.
        why: Arc<str>,
        /// When it is tried again.
        retry_at: Instant,
        /// Whether somebody must act: the credentials are refused.
        alarm: bool,
    },
    /// Taken back, because the program ends.
    Left,
}

#[derive(Clone, Debug)]
enum State {
    Idle,
    /// A REGISTER is under way, given up at `until`.
    Asking {
        hop: Hop,
        until: Instant,
    },
    /// Nothing is under way; the next REGISTER is due.
    Resting {
        at: Instant,
    },
    Leaving,
    Left,
}

/// The machine of one registration.
#[derive(Clone, Debug)]
pub struct Registration {
    rules: RegistrationRules,
    state: State,
    /// How long is asked for: a 423 raises it.
    expires: Duration,
    /// At which hop we are registered, and until when.
    held: Option<(Hop, Instant)>,
    /// In a row.
    failures: u32,
    /// Why the last try failed; whether for good.
    failed: Option<(Arc<str>, bool)>,
    /// Hops that failed in this round.
    tried: Vec<Hop>,
    /// `Service-Route` of the last acceptance (RFC 3608 §5, §6.1).
    service_route: Vec<Arc<str>>,
    /// `P-Associated-URI` of the last acceptance (RFC 7315 §4.1).
    associated: Vec<Arc<str>>,
}

/// As many values of one header field as are kept.
const VALUES_MAX: usize = 16;

impl Registration {
    /// Not registered, and nothing asked.
    pub fn new(rules: RegistrationRules) -> Self {
        let expires = rules.expires;
        Self {
            rules,
            state: State::Idle,
            expires,
            held: None,
            failures: 0,
            failed: None,
            tried: Vec::new(),
            service_route: Vec::new(),
            associated: Vec::new(),
        }
    }

    /// Registers after `delay`: at a start with many trunks they do not all ask at once.
    pub fn start(&mut self, delay: Duration, now: Instant) {
        self.state = State::Resting { at: now + delay };
    }

    /// The hops that are there now, in the order they are to be tried. If the one we are registered
    /// at is gone or down, another is asked at once.
    pub fn hops_changed(&mut self, hops: &[Hop], now: Instant) {
        let gone = self.held.as_ref().is_some_and(|(hop, _)| !hops.contains(hop));
        if gone && let State::Resting { at } = &mut self.state {
            *at = now;
        }
        let waits_for_hops = self.failed.as_ref().is_some_and(|(why, _)| &**why == NOT_LOCATED);
        if waits_for_hops
            && !hops.is_empty()
            && let State::Resting { at } = &mut self.state
        {
            *at = now;
        }
    }

    /// Does what is due; `hops`, in the order they are to be tried, those that are down last.
    pub fn handle_deadline(
        &mut self,
        hops: &[Hop],
        now: Instant,
        random: &mut Random,
        out: &mut Vec<Order>,
    ) {
        if !self.is_registered(now) {
            self.held = None;
        }
        match &self.state {
            State::Asking { until, .. } if *until <= now => {
                // The endpoint always answers; this is for the case that it forgot.
                let failure =
                    RegisterFailure { status: None, retry_after: None, min_expires: None };
                self.failed(&failure, hops, now, random, out);
            }
            State::Resting { at } if *at <= now => {
                self.tried.clear();
                self.ask(hops, now, random, out);
            }
            State::Idle
            | State::Asking { .. }
            | State::Resting { .. }
            | State::Leaving
            | State::Left => (),
        }
    }

    /// When `handle_deadline` is wanted.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Asking { until, .. } => Some(*until),
            State::Resting { at } => Some(*at),
            State::Idle | State::Leaving | State::Left => None,
        }
    }

    /// When what was granted runs out.
    pub fn runs_out(&self) -> Option<Instant> {
        self.held.as_ref().map(|(_, until)| *until)
    }

    /// Our REGISTER was accepted. It is refreshed after 80 to 90 % of what was granted.
    pub fn accepted(
        &mut self,
        hop: Hop,
        granted: Duration,
        (mut service_route, mut associated): (Vec<Arc<str>>, Vec<Arc<str>>),
        now: Instant,
        random: &mut Random,
    ) {
        if matches!(self.state, State::Leaving | State::Left) {
            return;
        }
        service_route.truncate(VALUES_MAX);
        associated.truncate(VALUES_MAX);
        let granted = granted.clamp(GRANTED_MIN, ASKED_MAX);
        self.held = Some((hop, now + granted));
        (self.service_route, self.associated) = (service_route, associated);
        self.failures = 0;
        self.failed = None;
        self.tried.clear();
        self.state = State::Resting { at: now + random.share_of(granted, 80, 90) };
    }

    /// It was not.
    pub fn failed(
        &mut self,
        failure: &RegisterFailure,
        hops: &[Hop],
        now: Instant,
        random: &mut Random,
        out: &mut Vec<Order>,
    ) {
        let State::Asking { hop, .. } = &self.state else { return };
        let hop = hop.clone();
        let raised = failure.min_expires.filter(|least| {
            failure.status == Some(423) && *least > self.expires && *least <= ASKED_MAX
        });
        if let Some(least) = raised {
            // RFC 3261 §10.2.8: asked again for as long as the registrar wants.
            self.expires = least;
            return self.send(hop, now, out);
        }
        let refused = matches!(failure.status, Some(401 | 403 | 407));
        let why: Arc<str> = match failure.status {
            Some(status) if refused => format!("{status}: the credentials are refused").into(),
            Some(status) => status.to_string().into(),
            None => "no answer".into(),
        };
        self.failed = Some((why, refused));
        if refused {
            // RFC 3608 §6.1.
            self.service_route.clear();
        }
        let of_target = matches!(failure.status, None | Some(408 | 500..=599));
        self.tried.push(hop);
        if of_target && failure.retry_after.is_none() && self.ask_next(hops, now, out) {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let wait = match refused {
            true => random.share_of(self.rules.refused_retry, 90, 110),
            false => self.back_off(random),
        };
        // RFC 5626 §4.5: Retry-After of a 503 may make it longer.
        let asked = failure.retry_after.unwrap_or_default().min(ASKED_MAX);
        self.state = State::Resting { at: now + wait.max(asked) };
    }

    /// Takes the registration back, if there is one.
    pub fn leave(&mut self, out: &mut Vec<Order>) {
        self.state = match self.held.take() {
            Some((hop, _)) => {
                out.push(Order::Unregister(hop));
                State::Leaving
            }
            None => State::Left,
        };
    }

    /// It was taken back.
    pub fn left(&mut self) {
        if matches!(self.state, State::Leaving) {
            self.state = State::Left;
        }
    }

    /// Whether we are registered: also while a refresh fails, until what was granted runs out.
    pub fn is_registered(&self, now: Instant) -> bool {
        self.held.as_ref().is_some_and(|(_, until)| now < *until)
    }

    /// At which hop we are registered.
    pub fn hop(&self, now: Instant) -> Option<&Hop> {
        self.held.as_ref().filter(|(_, until)| now < *until).map(|(hop, _)| hop)
    }

    /// Where calls through this trunk must pass, as long as we are registered (RFC 3608 §6.1).
    pub fn service_route(&self, now: Instant) -> &[Arc<str>] {
        if self.is_registered(now) { &self.service_route } else { &[] }
    }

    /// The numbers that are ours there (RFC 7315 §4.1).
    pub fn associated(&self) -> &[Arc<str>] {
        &self.associated
    }

    /// Where it stands.
    pub fn standing(&self, now: Instant) -> Standing {
        if let Some((_, until)) = self.held.as_ref().filter(|(_, until)| now < *until) {
            return Standing::Registered { until: *until };
        }
        match (&self.state, &self.failed) {
            (State::Leaving | State::Left, _) => Standing::Left,
            (State::Resting { at }, Some((why, alarm))) => {
                Standing::Failed { why: why.clone(), retry_at: *at, alarm: *alarm }
            }
            (State::Asking { .. }, _) => Standing::Asking,
            (State::Idle | State::Resting { .. }, _) => Standing::Idle,
        }
    }

    /// Asks the best hop, or waits for one.
    fn ask(&mut self, hops: &[Hop], now: Instant, random: &mut Random, out: &mut Vec<Order>) {
        // A refresh goes where the registration is, as long as that is there.
        let held = self.held.as_ref().map(|(hop, _)| hop).filter(|hop| hops.contains(hop));
        if let Some(hop) = held.cloned() {
            return self.send(hop, now, out);
        }
        if !self.ask_next(hops, now, out) {
            self.failed = Some((NOT_LOCATED.into(), false));
            self.failures = self.failures.saturating_add(1);
            self.state = State::Resting { at: now + self.back_off(random) };
        }
    }

    /// Asks the next hop of this round; false: there is none.
    fn ask_next(&mut self, hops: &[Hop], now: Instant, out: &mut Vec<Order>) -> bool {
        let next = hops.iter().find(|hop| !self.tried.contains(hop)).cloned();
        next.map(|hop| self.send(hop, now, out)).is_some()
    }

    fn send(&mut self, hop: Hop, now: Instant, out: &mut Vec<Order>) {
        out.push(Order::Register(hop.clone(), self.expires));
        self.state = State::Asking { hop, until: now + REQUEST_MAX };
    }

    /// RFC 5626 §4.5: 50 to 100 % of base-time * 2 ^ failures, but of max-time at most.
    fn back_off(&self, random: &mut Random) -> Duration {
        let times = 1_u32.checked_shl(self.failures.min(20)).unwrap_or(1);
        let most = self.rules.retry_base.saturating_mul(times).min(self.rules.retry_max);
        random.share_of(most, 50, 100)
    }
}

/// Why nothing was asked.
const NOT_LOCATED: &str = "the trunk has not been located";

#[cfg(test)]
mod tests;
