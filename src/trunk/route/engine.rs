//! The tests of a route, one after the other; the first that fails is the reason that is told.

use super::live::{Condition, Live};
use super::{
    Asked, Candidate, Decision, REJECTED_MAX, Refusal, Rejected, Rejectee, Route, RouteRequest,
    RouteSource, RouteTrunk, SourceMatch, Test, Tried, told_of,
};
use crate::caller_id::{self, Shown};
use crate::health::State;
use crate::lease::Full;
use crate::locate::weight;
use crate::number::{DialPlan, Number, NumberKind};
use crate::random::Random;
use crate::rules::{Rules, TrunkRules};
use domain::hop::Hop;
use domain::id::{TenantId, TrunkId};
use domain::now::Now;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// What a caller is told to wait when a cap is full.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A trunk that has said nothing to a call for help for this long is given up for the next: two INVITEs
/// lost in a row (RFC 3261 §17.1.1.2 sends them at 0, 0.5 and 1.5 s).
const HELP_HEARD_WITHIN: Duration = Duration::from_secs(2);

/// `despairs`: whether a call for help that finds no living host goes to one that is down.
pub(super) fn decide(
    request: &RouteRequest,
    (tried, despairs): (&[Tried], bool),
    rules: &Rules,
    live: &dyn Live,
    now: Now,
) -> Decision {
    let plan = plan_of(&request.from, &request.tenant, rules);
    let dialled = plan.read(&request.dialled);
    let caller = plan.read(&request.caller);
    // Machines do not call for help.
    let by_people = !matches!(request.from, RouteSource::Campaign | RouteSource::Callback);
    let emergency = dialled.kind == NumberKind::Emergency && by_people;
    let decision = Decision {
        dialled,
        caller,
        emergency,
        route: None,
        chosen: None,
        rejected: Vec::new(),
        rejected_more: 0,
        tried: tried.to_vec(),
        refusal: None,
    };
    let mut engine = Engine {
        request,
        rules,
        live,
        now,
        decision,
        retry_after: None,
        despairs,
        desperate: false,
    };
    engine.run();
    engine.decision
}

/// How the numbers of a call are read: as the trunk it comes from writes them, or its tenant.
pub(crate) fn plan_of<'a>(
    from: &RouteSource,
    tenant: &TenantId,
    rules: &'a Rules,
) -> Cow<'a, DialPlan> {
    let from_trunk = match from {
        RouteSource::Trunk(trunk) => rules.trunks.get(trunk).map(|trunk| &trunk.plan),
        RouteSource::Agent(_)
        | RouteSource::Campaign
        | RouteSource::Callback
        | RouteSource::Flow => None,
    };
    let of_tenant = rules.tenants.get(tenant).map(|tenant| &tenant.plan);
    from_trunk.or(of_tenant).map_or_else(|| Cow::Owned(DialPlan::default()), Cow::Borrowed)
}

struct Engine<'a> {
    request: &'a RouteRequest,
    rules: &'a Rules,
    live: &'a dyn Live,
    now: Now,
    decision: Decision,
    /// When a cap that stood against it gives way.
    retry_after: Option<Duration>,
    /// Whether dead hosts are tried too: a call for help found nothing else.
    despairs: bool,
    desperate: bool,
}

/// Why a candidate is out.
type No = (Test, Arc<str>);

impl<'a> Engine<'a> {
    fn run(&mut self) {
        if self.decision.dialled.raw.is_empty() {
            self.reject(Rejectee::Call, (Test::Number, "no number was dialled".into()));
            return self.refuse(484, "no number was dialled");
        }
        if self.decision.dialled.kind == NumberKind::Emergency && !self.decision.emergency {
            let why = "it calls for help, which only people do";
            self.reject(Rejectee::Call, (Test::Number, why.into()));
            return self.refuse(403, why);
        }
        if self.decision.emergency {
            self.search(Self::by_emergency_routes);
        }
        if self.decision.chosen.is_none() {
            self.search(Self::by_what_is_asked);
        }
        if self.decision.chosen.is_none() && self.decision.refusal.is_none() {
            self.refuse_for_the_reasons_seen();
        }
    }

    /// Goes over some ways; a call for help that found nothing goes over them once more, down to hosts
    /// that are down.
    fn search(&mut self, over: impl Fn(&mut Self)) {
        let before = (self.decision.rejected.len(), self.decision.rejected_more);
        over(self);
        if self.decision.emergency && self.despairs && self.decision.chosen.is_none() {
            self.decision.rejected.truncate(before.0);
            self.decision.rejected_more = before.1;
            self.desperate = true;
            over(self);
            self.desperate = false;
        }
    }

    fn by_what_is_asked(&mut self) {
        let rules = self.rules;
        match &self.request.asked {
            Asked::Trunk(trunk) => {
                let trunk = RouteTrunk { trunk: trunk.clone(), priority: 0, weight: 0 };
                self.by_trunks(None, &[trunk]);
            }
            Asked::Route(name) => match rules.routes.iter().find(|route| route.name == *name) {
                Some(route) => match self.named(route) {
                    Ok(()) => self.by_route(route),
                    Err(no) => self.reject_route(route, no),
                },
                None => {
                    let no = (Test::Known, "there is no such route".into());
                    self.reject(Rejectee::Route(name.clone()), no);
                }
            },
            Asked::Any => {
                for route in &rules.routes {
                    match self.fits(route) {
                        Ok(()) => {
                            self.by_route(route);
                            break;
                        }
                        Err(no) => self.reject_route(route, no),
                    }
                }
            }
        }
    }

    /// A call for help tries every route made for such, one after the other.
    fn by_emergency_routes(&mut self) {
        let rules = self.rules;
        let made_for_it = rules.routes.iter().filter(|route| route.emergency);
        for route in made_for_it {
            match self.fits(route) {
                Ok(()) => self.by_route(route),
                Err(no) => self.reject_route(route, no),
            }
            if self.decision.chosen.is_some() {
                return;
            }
        }
    }

    /// What a route that is asked for by name must fulfil.
    fn named(&self, route: &Route) -> Result<(), No> {
        let tenant = &self.request.tenant;
        if let Some(owner) = route.tenant.as_ref().filter(|owner| *owner != tenant) {
            return Err((Test::Tenant, format!("it is {owner}'s").into()));
        }
        match is_open(route, self.now) || self.decision.emergency {
            true => Ok(()),
            false => Err((Test::Hours, "it is not open now".into())),
        }
    }

    fn fits(&self, route: &Route) -> Result<(), No> {
        let decision = &self.decision;
        let no = |test, why: String| Err((test, why.into()));
        if let Some(owner) = route.tenant.as_ref().filter(|it| **it != self.request.tenant) {
            return no(Test::Tenant, format!("it is {owner}'s"));
        }
        if route.emergency && !decision.emergency {
            return no(Test::Emergency, "it is for emergency calls alone".into());
        }
        let from = &self.request.from;
        if !route.from.is_empty() && !route.from.iter().any(|wanted| wanted.fits(from)) {
            return no(Test::Source, format!("it takes no calls from {from}"));
        }
        let number = &decision.dialled;
        let takes = |patterns: &[Arc<str>], number: &Number| {
            patterns.iter().any(|pattern| number.matches(pattern))
        };
        // A route for emergencies takes every one of them unless it names some.
        let every = route.emergency && route.dialled.is_empty();
        if !every && !takes(&route.dialled, number) {
            let normalised = &number.normalised;
            return no(Test::Dialled, format!("it does not take {normalised}"));
        }
        if !route.caller.is_empty() && !takes(&route.caller, &decision.caller) {
            return no(Test::Caller, "it does not take this caller".into());
        }
        self.named(route)
    }

    /// The route is found: nothing beside it is asked.
    fn by_route(&mut self, route: &'a Route) {
        self.decision.route = Some(route.name.clone());
        if let Some(status) = route.refuse.filter(|_| !self.decision.emergency) {
            let why = format!("it refuses its calls with {status}");
            self.reject_route(route, (Test::Permit, why.into()));
            return self.refuse(status, "a route refuses this number");
        }
        self.by_trunks(Some(&route.name), &route.trunks);
    }

    /// Tries the trunks by priority and weight: first those that are up, then the degraded, then
    /// those that are due for a trial, and in an emergency all.
    fn by_trunks(&mut self, route: Option<&Arc<str>>, trunks: &[RouteTrunk]) {
        let mut held_back: Vec<(u8, TrunkId)> = Vec::new();
        let mut ordered = self.ordered(trunks).into_iter();
        while let Some(trunk) = ordered.next() {
            let round = match self.round_of(&trunk) {
                Ok(0) => 0,
                Ok(round) => {
                    held_back.push((round, trunk));
                    continue;
                }
                Err(no) => {
                    self.reject(Rejectee::Trunk(trunk), no);
                    continue;
                }
            };
            self.take(route, &trunk, round);
            if self.decision.chosen.is_some() {
                let rest = ordered.chain(held_back.into_iter().map(|(_, trunk)| trunk));
                return self.reject_the_rest(rest.collect());
            }
        }
        held_back.sort_by_key(|(round, _)| *round);
        let mut held_back = held_back.into_iter();
        while let Some((round, trunk)) = held_back.next() {
            self.take(route, &trunk, round);
            if self.decision.chosen.is_some() {
                return self.reject_the_rest(held_back.map(|(_, trunk)| trunk).collect());
            }
        }
    }

    fn reject_the_rest(&mut self, rest: Vec<TrunkId>) {
        let Some(chosen) = self.decision.chosen.as_ref().map(|it| it.trunk.clone()) else { return };
        for trunk in rest {
            let why = format!("{chosen} comes before it");
            self.reject(Rejectee::Trunk(trunk), (Test::Preferred, why.into()));
        }
    }

    /// By priority, and within one by weight (as RFC 2782 orders hosts).
    fn ordered(&self, trunks: &[RouteTrunk]) -> Vec<TrunkId> {
        let mut sorted: Vec<&RouteTrunk> = trunks.iter().collect();
        sorted.sort_by_key(|trunk| trunk.priority);
        let mut random = Random::new(self.request.random);
        let mut ordered = Vec::with_capacity(sorted.len());
        for group in sorted.chunk_by(|a, b| a.priority == b.priority) {
            let weights: Vec<u16> = group.iter().map(|trunk| trunk.weight).collect();
            let order = weight::shuffled(&weights, &mut random);
            ordered.extend(order.into_iter().map(|index| group[index].trunk.clone()));
        }
        ordered
    }

    /// In which round a trunk is tried: 0 up, 1 degraded, 2 on trial, 3 down in an emergency.
    fn round_of(&self, trunk: &TrunkId) -> Result<u8, No> {
        let emergency = self.decision.emergency;
        let Some(rules) = self.rules.trunks.get(trunk) else {
            return Err((Test::Known, "there is no such trunk".into()));
        };
        if !rules.enabled {
            return Err((Test::Enabled, "it is switched off".into()));
        }
        // Where a rule names the route, whoever wrote it knows where the calls come from.
        let by_name = matches!(self.request.asked, Asked::Route(_)) && !emergency;
        if self.request.from == RouteSource::Trunk(trunk.clone()) && !by_name {
            return Err((Test::Loop, "the call came from there".into()));
        }
        let of_trunk = self
            .decision
            .tried
            .iter()
            .find(|tried| tried.trunk == *trunk && !tried.outcome.is_of_target());
        if let Some(tried) = of_trunk {
            return Err((Test::Tried, tried.outcome.end.to_string().into()));
        }
        if let Err(why) = self.live.registered(trunk, self.now)
            && !emergency
        {
            return Err((Test::Registered, why));
        }
        match self.live.state(trunk, self.now) {
            State::Up => Ok(0),
            State::Degraded { .. } => Ok(1),
            // A trial may fail: it comes first only for a call that can then go on elsewhere.
            State::Down { .. } if self.live.is_trial_due(trunk, self.now) => {
                Ok(if self.request.second_ring && !emergency { 0 } else { 2 })
            }
            State::Down { .. } if emergency => Ok(3),
            State::Down { why, .. } => Err((Test::Health, why)),
        }
    }

    /// Takes a trunk if nothing stands against it.
    fn take(&mut self, route: Option<&Arc<str>>, trunk: &TrunkId, round: u8) {
        let Some(rules) = self.rules.trunks.get(trunk) else { return };
        let shown = match self.shown(rules) {
            Ok(shown) => shown,
            Err(no) => return self.reject(Rejectee::Trunk(trunk.clone()), no),
        };
        if let Err(no) = self.room(trunk) {
            return self.reject(Rejectee::Trunk(trunk.clone()), no);
        }
        let mut targets = self.live.targets(trunk, self.request.random, self.now);
        // A trial may fail: it keeps its place only for a call that can then go on elsewhere.
        if !self.request.second_ring || self.decision.emergency {
            targets.sort_by_key(|(_, condition)| *condition == Condition::Trial);
        }
        if targets.is_empty() {
            let no = (Test::Located, "its place is not known".into());
            return self.reject(Rejectee::Trunk(trunk.clone()), no);
        }
        for (hop, condition) in targets {
            match self.target(trunk, &hop, &condition, round) {
                Ok(()) => {
                    let user = rules.dialled.write(&self.decision.dialled, &rules.plan);
                    let heard_within = match self.decision.emergency {
                        true => Some(HELP_HEARD_WITHIN),
                        false => Some(rules.heard_within)
                            .filter(|wait| *wait > Duration::ZERO && self.request.second_ring),
                    };
                    let trial =
                        condition != Condition::Up || self.live.state(trunk, self.now).is_down();
                    self.decision.chosen = Some(Candidate {
                        route: route.cloned(),
                        trunk: trunk.clone(),
                        hop,
                        user,
                        shown,
                        ring_for: self.ring_for(route),
                        heard_within,
                        trial,
                    });
                    return;
                }
                Err(no) => self.reject(Rejectee::Hop(trunk.clone(), hop), no),
            }
        }
    }

    fn ring_for(&self, route: Option<&Arc<str>>) -> Option<Duration> {
        let route = self.rules.routes.iter().find(|it| Some(&it.name) == route)?;
        Some(route.ring_for)
    }

    fn target(
        &self,
        trunk: &TrunkId,
        hop: &Hop,
        condition: &Condition,
        round: u8,
    ) -> Result<(), No> {
        let tried = &self.decision.tried;
        if let Some(tried) = tried.iter().find(|it| it.trunk == *trunk && it.hop == *hop) {
            return Err((Test::Tried, tried.outcome.end.to_string().into()));
        }
        match condition {
            Condition::Up | Condition::Trial => Ok(()),
            Condition::Down(_) if round == 3 || self.desperate => Ok(()),
            Condition::Down(why) => Err((Test::Target, why.clone())),
        }
    }

    fn shown(&self, rules: &TrunkRules) -> Result<Shown, No> {
        let (request, decision) = (self.request, &self.decision);
        let (own, form) = (rules.caller_id.as_ref(), (&rules.caller, &rules.plan));
        // Who calls for help must be found: no rule hides or replaces his number.
        if decision.emergency {
            return Ok(caller_id::for_help(&decision.caller, own, form));
        }
        let tenant = self.rules.tenants.get(&request.tenant);
        let default = Default::default();
        let allowed = tenant.map_or(&default, |tenant| &tenant.caller_ids);
        let shown = allowed.show(&decision.caller, request.private, own, form);
        shown.map_err(|refused| {
            let why = format!("{} is not one of the tenant's numbers", refused.number);
            (Test::CallerId, why.into())
        })
    }

    fn room(&mut self, trunk: &TrunkId) -> Result<(), No> {
        if self.decision.emergency {
            return Ok(());
        }
        let tenant = self.live.tenant_room(&self.request.tenant, self.now);
        let of_trunk = self.live.trunk_room(trunk, self.now);
        let tests = [
            (tenant, Test::TenantRate, Test::TenantChannels),
            (of_trunk, Test::Rate, Test::Channels),
        ];
        for (room, rate, channels) in tests {
            let Err(full) = room else { continue };
            self.retry_after = Some(RETRY_AFTER);
            return Err(match full {
                Full::Rate(_) => (rate, "as many calls as allowed began in this second".into()),
                Full::Channels => (channels, "as many calls as allowed are up".into()),
            });
        }
        Ok(())
    }

    fn reject_route(&mut self, route: &Route, no: No) {
        self.reject(Rejectee::Route(route.name.clone()), no);
    }

    fn reject(&mut self, candidate: Rejectee, (test, why): No) {
        if self.decision.rejected.len() < REJECTED_MAX {
            self.decision.rejected.push(Rejected { candidate, test, why });
        } else {
            self.decision.rejected_more = self.decision.rejected_more.saturating_add(1);
        }
    }

    fn refuse(&mut self, status: u16, why: &str) {
        let (retry_after, why) = (None, why.into());
        self.decision.refusal = Some(Refusal { status, retry_after, why });
    }

    fn refuse_for_the_reasons_seen(&mut self) {
        if let Some(last) = self.decision.tried.last() {
            let (status, end) = (told_of(&last.outcome), last.outcome.end);
            return self.refuse(status, &format!("{end}, and nothing is left to try"));
        }
        let decision = &self.decision;
        let saw = |test| decision.rejected.iter().any(|rejected| rejected.test == test);
        let asked_for_trunk = matches!(self.request.asked, Asked::Trunk(_));
        if decision.route.is_none() && !asked_for_trunk {
            return self.refuse(404, "no route takes this number");
        }
        if let Some(retry_after) = self.retry_after {
            let why = "every trunk of the route has as many calls as allowed".into();
            let refusal = Refusal { status: 503, retry_after: Some(retry_after), why };
            self.decision.refusal = Some(refusal);
            return;
        }
        match saw(Test::CallerId) {
            true => self.refuse(403, "the number may not be shown"),
            false => self.refuse(500, "no trunk of the route takes calls"),
        }
    }
}

impl SourceMatch {
    fn fits(&self, source: &RouteSource) -> bool {
        match (self, source) {
            (Self::Trunk(wanted), RouteSource::Trunk(trunk)) => wanted == trunk,
            (Self::Agents, RouteSource::Agent(_))
            | (Self::Campaigns, RouteSource::Campaign)
            | (Self::Callbacks, RouteSource::Callback)
            | (Self::Flows, RouteSource::Flow) => true,
            (
                Self::Trunk(_) | Self::Agents | Self::Campaigns | Self::Callbacks | Self::Flows,
                _,
            ) => false,
        }
    }
}

impl std::fmt::Display for RouteSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Trunk(trunk) => write!(f, "trunk {trunk}"),
            Self::Agent(agent) => write!(f, "agent {agent}"),
            Self::Campaign => f.write_str("campaigns"),
            Self::Callback => f.write_str("callbacks"),
            Self::Flow => f.write_str("flows"),
        }
    }
}

/// Whether a route is open at this minute of its week.
fn is_open(route: &Route, now: Now) -> bool {
    const WEEK_MIN: i64 = 7 * 24 * 60;
    /// 1970-01-01 was a Thursday, the fourth day of a week that begins on Monday.
    const EPOCH_MIN: i64 = 3 * 24 * 60;
    let minutes = i64::try_from(now.wall_ms / 60_000).unwrap_or(i64::MAX / 2);
    let minute = (minutes + EPOCH_MIN + i64::from(route.utc_offset_min)).rem_euclid(WEEK_MIN);
    let holds = |(from, to): &(u16, u16)| (i64::from(*from)..i64::from(*to)).contains(&minute);
    route.open_minutes.is_empty() || route.open_minutes.iter().any(holds)
}
