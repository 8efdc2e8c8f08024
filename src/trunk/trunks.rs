//! All trunks together: their places, registrations, health and calls.
//!
//! ```text
//!  Event ─► handle ─► locate · registration · health ─► Action     (owned by the switchboard)
//!  RouteRequest ─► route ─► Decision ─► take ─► dial ─► Ringing, Answered, Over
//!                                └── outcome ─► next ─► Decision
//! ```

pub(crate) mod trunk;

use crate::event::{Action, Event};
use crate::failover::Outcome;
use crate::lease::{Full, Lease, Leases, Share, Way, Whose};
use crate::locate::{Answer, Question};
use crate::number::Number;
use crate::random::Random;
use crate::route::live::{Condition, Live};
use crate::route::{self, Candidate, Decision, RouteRequest, RouteSource};
use crate::rules::Rules;
use domain::hop::Hop;
use domain::id::{LegId, TenantId, TrunkId};
use domain::now::Now;
use domain::timers::TimerQueue;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use trunk::Trunk;

/// Between two first registrations at a start: 20 a second.
const STAGGER: Duration = Duration::from_millis(50);

/// All trunks.
pub struct Trunks {
    rules: Rules,
    random: Random,
    trunks: BTreeMap<TrunkId, Trunk>,
    leases: Leases,
    /// Who waits for which answer; 64 questions of each trunk at most.
    asked: BTreeMap<Question, BTreeSet<TrunkId>>,
    timers: TimerQueue<TrunkId>,
    draining: bool,
}

impl Trunks {
    /// Trunks that nothing is known of. `seed` decides all jitter and every choice among equals.
    pub fn new(rules: Rules, seed: u64) -> Self {
        let trunks = rules.trunks.iter();
        let caps = |(id, rules): (&TrunkId, &crate::rules::TrunkRules)| (id.clone(), rules.caps);
        let tenants = rules.tenants.iter().map(|(id, rules)| (id.clone(), rules.caps));
        Self {
            leases: Leases::new(rules.trunks.iter().map(caps), tenants),
            trunks: trunks.map(|(id, it)| (id.clone(), Trunk::new(it, &rules.locate))).collect(),
            random: Random::new(seed),
            asked: BTreeMap::new(),
            timers: TimerQueue::default(),
            draining: false,
            rules,
        }
    }

    /// Takes one event.
    pub fn handle(&mut self, event: Event, now: Now, out: &mut Vec<Action>) {
        match event {
            Event::Start => self.start(now, out),
            Event::Located { question, answer } => self.located(&question, &answer, now, out),
            Event::Probed { trunk, hop, reply } => {
                self.with(&trunk, now, out, |it, turn| it.probed(&hop, &reply, turn));
            }
            Event::Registered { trunk, hop, granted, service_route, associated } => {
                let values = (service_route, associated);
                self.with(&trunk, now, out, |it, turn| it.registered(hop, granted, values, turn));
            }
            Event::RegisterFailed { trunk, failure, .. } => {
                self.with(&trunk, now, out, |it, turn| it.register_failed(&failure, turn));
            }
            Event::Unregistered { trunk } => {
                self.with(&trunk, now, out, |it, _| it.unregistered());
            }
            Event::Ringing { leg, status } => self.ringing(leg, status, now, out),
            Event::Answered { leg } => {
                let Some(lease) = self.leases.of(leg) else { return };
                lease.answered = true;
                let lease = lease.clone();
                self.with(&lease.trunk, now, out, |it, _| it.answered(&lease));
            }
            Event::Over { leg, outcome } => {
                let Some(lease) = self.leases.release(leg) else { return };
                let trunk = lease.trunk.clone();
                self.with(&trunk, now, out, |it, turn| it.over(&lease, outcome, turn));
            }
            Event::Freed { leg } => {
                self.leases.release(leg);
            }
            Event::RetryAfter { leg, after } => {
                if let Some(lease) = self.leases.of(leg) {
                    lease.retry_after = Some(after);
                }
            }
            Event::Sounded { trunk, sound } => {
                self.with(&trunk, now, out, |it, turn| it.sounded(&sound, turn));
            }
            Event::ProbeNow { trunk } => {
                self.with(&trunk, now, out, |it, turn| it.probe_now(turn.now.instant));
            }
            Event::Drain => {
                self.draining = true;
                for trunk in self.ids() {
                    self.with(&trunk, now, out, |it, turn| it.drain(turn));
                }
            }
        }
    }

    /// Takes every deadline that has come.
    pub fn handle_deadline(&mut self, now: Now, out: &mut Vec<Action>) {
        while let Some(trunk) = self.timers.expire(now.instant) {
            self.with(&trunk, now, out, |_, _| ());
        }
    }

    /// When `handle_deadline` is wanted.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Where a call goes, and why not elsewhere. Changes nothing: a dry run is the same call.
    pub fn route(&self, request: &RouteRequest, now: Now) -> Decision {
        route::route(request, &self.rules, self, now)
    }

    /// Where a call goes after what `decision` chose ended in `outcome`. `chosen` is `None` when
    /// nothing more may be tried; `refusal` then says what the first side is told.
    pub fn next(
        &self,
        request: &RouteRequest,
        decision: &Decision,
        outcome: Outcome,
        now: Now,
    ) -> Decision {
        route::next(request, decision, outcome, (&self.rules, self), now)
    }

    /// Where a call goes after what `decision` had tried, now that its choice bears no call: as
    /// [`route`](Self::route), where nothing was tried.
    pub fn again(&self, request: &RouteRequest, decision: &Decision, now: Now) -> Decision {
        route::after(request, &decision.tried, &self.rules, self, now)
    }

    /// Leases the channel of what was chosen to `leg`, which is about to be dialled. False: another
    /// call was faster, route again. An emergency call always gets one. `Event::Over` gives it back.
    #[must_use = "the call may begin only if this is true"]
    pub fn take(
        &mut self,
        leg: LegId,
        candidate: &Candidate,
        tenant: &TenantId,
        emergency: bool,
        now: Now,
    ) -> bool {
        let lease = Lease {
            trunk: candidate.trunk.clone(),
            tenant: tenant.clone(),
            way: Way::Outgoing,
            hop: Some(candidate.hop.clone()),
            since: now.instant,
            rang_after: None,
            answered: false,
            retry_after: None,
        };
        let taken = self.leases.take(leg, lease, emergency).is_ok();
        if taken
            && let Some(trunk) = self.trunks.get_mut(&candidate.trunk)
            && let Some(rules) = self.rules.trunks.get(&candidate.trunk)
        {
            trunk.call_begun(&candidate.hop, &rules.health, now.instant);
        }
        taken
    }

    /// Leases the channel of a call that a trunk began. A call for help (`emergency`) is never refused.
    ///
    /// # Errors
    /// Which cap is full: refuse it with 503 and `Retry-After`.
    pub fn take_incoming(
        &mut self,
        leg: LegId,
        trunk: &TrunkId,
        emergency: bool,
        now: Now,
    ) -> Result<(), (Whose, Full)> {
        let lease = Lease {
            trunk: trunk.clone(),
            tenant: trunk.tenant.clone(),
            way: Way::Incoming,
            hop: None,
            since: now.instant,
            rang_after: None,
            answered: false,
            retry_after: None,
        };
        self.leases.take(leg, lease, emergency)
    }

    /// A number as whoever the call comes from writes it: by its trunk's dial plan, or its tenant's.
    pub fn read(&self, from: &RouteSource, tenant: &TenantId, raw: &str) -> Number {
        route::plan_of(from, tenant, &self.rules).read(raw)
    }

    /// Where calls through a trunk must pass, as its registrar said (RFC 3608 §6.1).
    pub fn service_route(&self, trunk: &TrunkId, now: Instant) -> &[Arc<str>] {
        self.trunks.get(trunk).map_or(&[], |trunk| trunk.service_route(now))
    }

    /// What the trunks were told.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Channels of all trunks in use.
    pub fn channels(&self) -> u32 {
        let trunks = self.trunks.keys().filter_map(|id| self.leases.trunk(id));
        trunks.map(Share::channels).sum()
    }

    /// The channels in use, to be looked at.
    pub fn leases(&self) -> &Leases {
        &self.leases
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&TrunkId, &Trunk)> {
        self.trunks.iter()
    }

    fn ids(&self) -> Vec<TrunkId> {
        self.trunks.keys().cloned().collect()
    }

    fn start(&mut self, now: Now, out: &mut Vec<Action>) {
        let mut delay = Duration::ZERO;
        for id in self.ids() {
            let mut registers = false;
            self.with(&id, now, out, |trunk, turn| registers = trunk.start(delay, turn));
            // All at once, they would meet at one registrar.
            delay += if registers { STAGGER } else { Duration::ZERO };
        }
    }

    fn located(&mut self, question: &Question, answer: &Answer, now: Now, out: &mut Vec<Action>) {
        for id in self.asked.remove(question).unwrap_or_default() {
            let answer = answer.clone();
            self.with(&id, now, out, |trunk, turn| trunk.located(question, answer, turn));
        }
    }

    fn ringing(&mut self, leg: LegId, status: u16, now: Now, out: &mut Vec<Action>) {
        let Some(lease) = self.leases.of(leg) else { return };
        let rings = (180..=183).contains(&status) && lease.rang_after.is_none();
        if rings {
            lease.rang_after = Some(now.instant.saturating_duration_since(lease.since));
        }
        let lease = lease.clone();
        let rang_after = lease.rang_after.filter(|_| rings);
        let trunk = lease.trunk.clone();
        self.with(&trunk, now, out, |it, turn| it.heard(&lease, rang_after, turn));
    }

    /// Gives a trunk a turn, and performs what it wants of the others.
    fn with(
        &mut self,
        id: &TrunkId,
        now: Now,
        out: &mut Vec<Action>,
        work: impl FnOnce(&mut Trunk, &mut trunk::Turn<'_>),
    ) {
        let Some(trunk) = self.trunks.get_mut(id) else { return };
        let Some(rules) = self.rules.trunks.get(id) else { return };
        let mut questions = Vec::new();
        let random = &mut self.random;
        let mut turn = trunk::Turn { id, rules, now, random, out, questions: &mut questions };
        work(trunk, &mut turn);
        trunk.settle(&mut turn, self.draining);
        // Never twice in the same instant, whatever a machine may ask for.
        let soonest = now.instant + Duration::from_millis(1);
        self.timers.update(id, trunk.deadline(rules).map(|at| at.max(soonest)));
        for question in questions {
            let waiting = self.asked.entry(question.clone()).or_default();
            if waiting.is_empty() {
                out.push(Action::Resolve(question));
            }
            waiting.insert(id.clone());
        }
    }
}

/// Before `Event::Start` (a dry run without the program) nothing is known of any trunk, and each is
/// taken to be up.
impl Live for Trunks {
    fn registered(&self, trunk: &TrunkId, now: Now) -> Result<(), Arc<str>> {
        let started = self.trunks.get(trunk).filter(|trunk| trunk.is_started());
        started.map_or(Ok(()), |trunk| trunk.is_registered(now.instant))
    }

    fn state(&self, trunk: &TrunkId, _: Now) -> crate::health::State {
        self.trunks.get(trunk).map_or(crate::health::State::Up, |trunk| trunk.state().clone())
    }

    fn is_trial_due(&self, trunk: &TrunkId, now: Now) -> bool {
        self.trunks.get(trunk).is_some_and(|trunk| trunk.is_trial_due(now.instant))
    }

    fn targets(&self, trunk: &TrunkId, random: u64, now: Now) -> Vec<(Hop, Condition)> {
        match self.trunks.get(trunk).zip(self.rules.trunks.get(trunk)) {
            Some((trunk, _)) if trunk.is_started() => trunk.targets(random, now.instant),
            Some((_, rules)) => vec![(rules.place.unlocated(), Condition::Up)],
            None => Vec::new(),
        }
    }

    fn trunk_room(&self, trunk: &TrunkId, now: Now) -> Result<(), Full> {
        let share = self.leases.trunk(trunk);
        share.map_or(Ok(()), |share| share.room(Way::Outgoing, now.instant))
    }

    fn tenant_room(&self, tenant: &TenantId, now: Now) -> Result<(), Full> {
        let share = self.leases.tenant(tenant);
        share.map_or(Ok(()), |share| share.room(Way::Outgoing, now.instant))
    }
}

#[cfg(test)]
mod tests;
