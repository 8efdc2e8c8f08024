//! One trunk: its locator, its targets' health, its traffic and its registration, settled together
//! after each event.

use crate::event::{Action, ProbeReply, RegisterFailure, Sound};
use crate::failover::Outcome;
use crate::health::traffic::{Figures, Judgement, Traffic};
use crate::health::{HealthRules, State, Target};
use crate::lease::{Lease, Way};
use crate::locate::{Answer, LocateRules, Locator, Question};
use crate::random::Random;
use crate::registration::{Order, Registration, Standing};
use crate::route::live::Condition;
use crate::rules::TrunkRules;
use domain::hop::Hop;
use domain::id::TrunkId;
use domain::now::Now;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a trunk has at hand in a turn.
pub(super) struct Turn<'a> {
    pub id: &'a TrunkId,
    pub rules: &'a TrunkRules,
    pub now: Now,
    pub random: &'a mut Random,
    pub out: &'a mut Vec<Action>,
    pub questions: &'a mut Vec<Question>,
}

/// One trunk.
pub(crate) struct Trunk {
    locator: Locator,
    /// The targets located, each with its health; as many as a search gives.
    targets: BTreeMap<Hop, Target>,
    traffic: Traffic,
    /// Too many of its calls fail: since when, why, and when one may try it.
    failing: Option<Failing>,
    registration: Option<Registration>,
    started: bool,
    state: State,
    /// What was last told of it.
    told: (&'static str, Option<Standing>),
    /// How many targets were down at the last look.
    down: usize,
}

struct Failing {
    why: Arc<str>,
    since: Instant,
    trial_at: Instant,
}

impl Trunk {
    pub(super) fn new(rules: &TrunkRules, locate: &LocateRules) -> Self {
        Self {
            locator: Locator::new(rules.place.clone(), locate.clone()),
            targets: BTreeMap::new(),
            traffic: Traffic::default(),
            failing: None,
            registration: rules.registration.clone().map(Registration::new),
            started: false,
            state: State::Up,
            told: (State::Up.word(), None),
            down: 0,
        }
    }

    pub(super) fn is_started(&self) -> bool {
        self.started
    }

    /// Whether it registers.
    pub(super) fn start(&mut self, delay: Duration, turn: &mut Turn<'_>) -> bool {
        self.started = true;
        self.locator.start(turn.now.instant, turn.questions);
        match &mut self.registration {
            Some(registration) => {
                registration.start(delay, turn.now.instant);
                true
            }
            None => false,
        }
    }

    pub(super) fn located(&mut self, question: &Question, answer: Answer, turn: &mut Turn<'_>) {
        self.locator.answer(question, answer, turn.now.instant, turn.questions);
    }

    pub(super) fn probed(&mut self, hop: &Hop, reply: &ProbeReply, turn: &mut Turn<'_>) {
        let rules = &turn.rules.health;
        if let Some(target) = self.targets.get_mut(hop) {
            target.probed(reply, rules, turn.now.instant);
        }
    }

    pub(super) fn registered(
        &mut self,
        hop: Hop,
        granted: Duration,
        values: (Vec<Arc<str>>, Vec<Arc<str>>),
        turn: &mut Turn<'_>,
    ) {
        if let Some(target) = self.targets.get_mut(&hop) {
            target.registered(turn.now.instant);
        }
        if let Some(registration) = &mut self.registration {
            registration.accepted(hop, granted, values, turn.now.instant, turn.random);
        }
    }

    pub(super) fn register_failed(&mut self, failure: &RegisterFailure, turn: &mut Turn<'_>) {
        let hops = self.hops_for_registration(turn.random);
        let Some(registration) = &mut self.registration else { return };
        let mut orders = Vec::new();
        registration.failed(failure, &hops, turn.now.instant, turn.random, &mut orders);
        send(orders, turn);
    }

    pub(super) fn unregistered(&mut self) {
        if let Some(registration) = &mut self.registration {
            registration.left();
        }
    }

    pub(super) fn probe_now(&mut self, now: Instant) {
        for target in self.targets.values_mut() {
            target.probe_now(now);
        }
    }

    pub(super) fn drain(&mut self, turn: &mut Turn<'_>) {
        let mut orders = Vec::new();
        if let Some(registration) = &mut self.registration {
            registration.leave(&mut orders);
        }
        for target in self.targets.values_mut() {
            target.stop_probing();
        }
        send(orders, turn);
    }

    /// A call to it is about to be dialled.
    pub(super) fn call_begun(&mut self, hop: &Hop, rules: &HealthRules, now: Instant) {
        if let Some(target) = self.targets.get_mut(hop) {
            target.trial_begun(rules, now);
        }
        if let Some(failing) = &mut self.failing {
            failing.trial_at = failing.trial_at.max(now + rules.trial_every);
        }
    }

    /// A provisional response to a call; `rang_after`: the first that rings.
    pub(super) fn heard(&mut self, lease: &Lease, rang_after: Option<Duration>, turn: &Turn<'_>) {
        let (rules, now) = (&turn.rules.health, turn.now.instant);
        if let Some(target) = self.target_of(lease) {
            target.heard(lease.since);
        }
        if let Some(delay) = rang_after {
            self.traffic.ringing(delay, rules, now);
        }
    }

    /// A call was answered. That it ends some day says nothing new.
    pub(super) fn answered(&mut self, lease: &Lease) {
        if let Some(target) = self.target_of(lease) {
            target.heard(lease.since);
        }
        self.proves_itself(lease);
    }

    /// A call is over.
    pub(super) fn over(&mut self, lease: &Lease, outcome: Option<Outcome>, turn: &Turn<'_>) {
        let (rules, now) = (&turn.rules.health, turn.now.instant);
        if lease.way == Way::Incoming {
            return;
        }
        let rang = |outcome: Outcome| Outcome {
            rang: outcome.rang || lease.rang_after.is_some(),
            retry_after: outcome.retry_after.or(lease.retry_after),
            ..outcome
        };
        let outcome = outcome.filter(|_| !lease.answered).map(rang);
        self.traffic.over(outcome.as_ref(), rules, now);
        let Some(outcome) = outcome else { return };
        if let Some(target) = self.target_of(lease) {
            target.called(&outcome, lease.since, rules, now);
        }
        if lease.rang_after.is_some() {
            self.proves_itself(lease);
        }
    }

    /// A trial that was answered, or at least rang: what the window remembers is past.
    fn proves_itself(&mut self, lease: &Lease) {
        let is_after = |failing: &Failing| failing.since < lease.since;
        if lease.way == Way::Outgoing && self.failing.as_ref().is_some_and(is_after) {
            self.failing = None;
            self.traffic.clear();
        }
    }

    /// The target that a call of ours went to.
    fn target_of(&mut self, lease: &Lease) -> Option<&mut Target> {
        self.targets.get_mut(lease.hop.as_ref()?)
    }

    pub(super) fn sounded(&mut self, sound: &Sound, turn: &Turn<'_>) {
        self.traffic.sounded(sound, &turn.rules.health, turn.now.instant);
    }

    /// After each event: what is due, and what follows for all parts from one another.
    pub(super) fn settle(&mut self, turn: &mut Turn<'_>, draining: bool) {
        if !self.started {
            return;
        }
        let now = turn.now.instant;
        self.locator.handle_deadline(now, turn.questions);
        self.match_targets(turn, draining);
        let hops = self.hops_for_registration(turn.random);
        // Before the first search is over there is nobody to ask.
        let located = !self.locator.is_searching();
        if let Some(registration) = self.registration.as_mut().filter(|_| located) {
            let mut orders = Vec::new();
            let usable = self.targets.values().any(|target| !target.is_down());
            let alive = |hop: &&Hop| {
                !usable || self.targets.get(*hop).is_some_and(|target| !target.is_down())
            };
            let alive: Vec<Hop> = hops.iter().filter(alive).cloned().collect();
            registration.hops_changed(&alive, now);
            registration.handle_deadline(&alive, now, turn.random, &mut orders);
            send(orders, turn);
        }
        for (hop, target) in &mut self.targets {
            if target.take_probe(&turn.rules.health, now, turn.random) && !draining {
                turn.out.push(Action::Probe { trunk: turn.id.clone(), hop: hop.clone() });
            }
        }
        self.judge(turn);
        self.tell(turn);
    }

    /// When the next thing is due.
    pub(super) fn deadline(&self, rules: &TrunkRules) -> Option<Instant> {
        if !self.started {
            return None;
        }
        let probes = self.targets.values().filter_map(Target::probe_at).min();
        let registration = self.registration.as_ref().filter(|_| !self.locator.is_searching());
        let all = [
            self.locator.deadline(),
            probes,
            registration.and_then(Registration::deadline),
            registration.and_then(Registration::runs_out),
            self.traffic.deadline(&rules.health),
        ];
        all.into_iter().flatten().min()
    }

    /// Those located get a health of their own; those gone are forgotten.
    fn match_targets(&mut self, turn: &mut Turn<'_>, draining: bool) {
        let hops = self.locator.hops(0);
        self.targets.retain(|hop, _| hops.contains(hop));
        for hop in hops {
            let (rules, now) = (&turn.rules.health, turn.now.instant);
            let random = &mut *turn.random;
            self.targets.entry(hop).or_insert_with(|| {
                let mut target = Target::new(rules, now, random);
                if draining {
                    target.stop_probing();
                }
                target
            });
        }
    }

    fn judge(&mut self, turn: &Turn<'_>) {
        let (rules, now) = (&turn.rules.health, turn.now.instant);
        self.traffic.expire(rules, now);
        let judgement = self.traffic.judge(rules, now);
        if let (Judgement::Failing(why), None) = (&judgement, &self.failing) {
            let (why, trial_at) = (Arc::from(&**why), now + rules.trial_every);
            self.failing = Some(Failing { why, since: now, trial_at });
        }
        // Nobody calls it, so the window runs empty: it may prove itself again.
        if self.failing.is_some() && self.traffic.figures(rules, now).calls == 0 {
            self.failing = None;
        }
        self.state = self.new_state(judgement, now);
    }

    fn new_state(&self, judgement: Judgement, now: Instant) -> State {
        let since = match self.state {
            State::Down { since, .. } => since,
            State::Up | State::Degraded { .. } => now,
        };
        if let Some(failing) = &self.failing {
            return State::Down { why: failing.why.clone(), since: failing.since };
        }
        if self.targets.is_empty() && !self.locator.is_searching() {
            return State::Down { why: "DNS knows no place for it".into(), since };
        }
        let down: Vec<State> =
            self.targets.values().filter(|it| it.is_down()).map(Target::state).collect();
        if let (Some(first), true) = (down.first(), down.len() == self.targets.len()) {
            let why = match down.len() {
                1 => first.why().into(),
                several => format!("all {several} targets are down: {}", first.why()).into(),
            };
            return State::Down { why, since };
        }
        match judgement {
            Judgement::Degraded(why) => State::Degraded { why: why.into() },
            Judgement::Good | Judgement::Failing(_) => State::Up,
        }
    }

    /// Tells what has changed, and looks for new targets where old ones died.
    fn tell(&mut self, turn: &mut Turn<'_>) {
        let down = self.targets.values().filter(|target| target.is_down()).count();
        if down > self.down {
            // A host that died may have been moved: nothing sticks to it longer than DNS does.
            self.locator.refresh(turn.now.instant, turn.questions);
        }
        self.down = down;
        let trunk = turn.id;
        if self.state.word() != self.told.0 {
            self.told.0 = self.state.word();
            let (trunk, state) = (trunk.clone(), self.state.clone());
            turn.out.push(Action::Changed { trunk, state });
        }
        let now = turn.now.instant;
        let standing = self.registration.as_ref().map(|it| it.standing(now));
        let is_new = match (&standing, &self.told.1) {
            (Some(Standing::Registered { .. }), Some(Standing::Registered { .. })) => false,
            (Some(Standing::Failed { why, .. }), Some(Standing::Failed { why: told, .. })) => {
                why != told
            }
            // A try says nothing before its outcome.
            (Some(Standing::Idle | Standing::Asking), _) | (None, _) => false,
            (
                Some(Standing::Registered { .. } | Standing::Failed { .. } | Standing::Left),
                told,
            ) => standing != *told,
        };
        if is_new && let Some(standing) = standing {
            self.told.1 = Some(standing.clone());
            let trunk = trunk.clone();
            turn.out.push(Action::RegistrationChanged { trunk, standing });
        }
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn is_registered(&self, now: Instant) -> Result<(), Arc<str>> {
        let Some(registration) = &self.registration else { return Ok(()) };
        if registration.is_registered(now) {
            return Ok(());
        }
        Err(match registration.standing(now) {
            Standing::Failed { why, .. } => format!("not registered: {why}").into(),
            Standing::Left => "not registered any more: the program ends".into(),
            Standing::Idle | Standing::Asking | Standing::Registered { .. } => {
                "not registered yet".into()
            }
        })
    }

    pub(super) fn is_trial_due(&self, now: Instant) -> bool {
        match &self.failing {
            Some(failing) => failing.trial_at <= now,
            None => self.targets.values().any(|target| target.is_trial_due(now)),
        }
    }

    /// The targets in the order they are tried; where we are registered comes first.
    pub(super) fn targets(&self, random: u64, now: Instant) -> Vec<(Hop, Condition)> {
        let mut hops = self.locator.hops(random);
        let home = self.registration.as_ref().and_then(|registration| registration.hop(now));
        hops.sort_by_key(|hop| Some(hop) != home);
        let condition = |hop: &Hop| match self.targets.get(hop) {
            Some(target) if target.is_trial_due(now) => Condition::Trial,
            Some(target) => match target.state() {
                State::Down { why, .. } => Condition::Down(why),
                State::Up | State::Degraded { .. } => Condition::Up,
            },
            None => Condition::Up,
        };
        let with_condition = |hop: Hop| {
            let condition = condition(&hop);
            (hop, condition)
        };
        hops.into_iter().map(with_condition).collect()
    }

    pub(super) fn service_route(&self, now: Instant) -> &[Arc<str>] {
        self.registration.as_ref().map_or(&[], |it| it.service_route(now))
    }

    /// What is shown of it.
    pub(crate) fn figures(&self, rules: &HealthRules, now: Instant) -> Figures {
        self.traffic.figures(rules, now)
    }

    pub(crate) fn locator(&self) -> &Locator {
        &self.locator
    }

    pub(crate) fn health(&self) -> &BTreeMap<Hop, Target> {
        &self.targets
    }

    pub(crate) fn registration(&self) -> Option<&Registration> {
        self.registration.as_ref()
    }

    fn hops_for_registration(&self, random: &mut Random) -> Vec<Hop> {
        let mut hops = self.locator.hops(random.next_number());
        hops.sort_by_key(|hop| self.targets.get(hop).is_some_and(Target::is_down));
        hops
    }
}

fn send(orders: Vec<Order>, turn: &mut Turn<'_>) {
    for order in orders {
        let trunk = turn.id.clone();
        let account = turn.rules.registration.as_ref().map(|rules| rules.account.clone());
        let account = account.unwrap_or_default();
        turn.out.push(match order {
            Order::Register(hop, expires) => Action::Register { trunk, hop, account, expires },
            Order::Unregister(hop) => Action::Unregister { trunk, hop, account },
        });
    }
}
