//! Which trunk takes a call: the one engine for calls, for failover, and for a dry run.
//!
//! ```text
//!  RouteRequest ─► numbers read ─► first route that fits ─► its trunks by priority and weight
//!                                                             │ each: the first test it fails
//!                  Decision { chosen, rejected } ◄────────────┘
//!       outcome ─► next ─► another Decision over what is left, or the end
//! ```
//!
//! Pure: it takes no channel and changes nothing, so `would-route` is the same call. Whoever dials
//! what was chosen takes its channel with `Trunks::take`.

mod engine;
pub mod live;

pub(crate) use engine::plan_of;

use crate::caller_id::Shown;
use crate::failover::{End, FailoverRules, Outcome, Verdict};
use crate::number::Number;
use crate::rules::Rules;
use domain::hop::Hop;
use domain::id::{AgentId, TenantId, TrunkId};
use domain::now::Now;
use live::Live;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A call that wants to leave.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RouteRequest {
    /// Whose call it is.
    pub tenant: TenantId,
    /// What it comes from.
    pub from: RouteSource,
    /// The number it would show, as it came; empty: none.
    pub caller: Arc<str>,
    /// Whether the caller asked to be hidden (RFC 3323 §4.2).
    pub private: bool,
    /// The number wanted, as it came.
    pub dialled: Arc<str>,
    /// Which trunks it may take.
    pub asked: Asked,
    /// Whether a telephone may be rung that an earlier try may already have rung. Never for a
    /// campaign: its attempt in silence is in doubt.
    pub second_ring: bool,
    /// Chooses among equals (RFC 2782); the same number chooses the same.
    pub random: u64,
}

/// What a call comes from.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum RouteSource {
    /// Another carrier or PBX: transit.
    Trunk(TrunkId),
    /// An agent's telephone.
    Agent(AgentId),
    /// A campaign's attempt.
    Campaign,
    /// A promised call.
    Callback,
    /// A flow that transfers its caller.
    Flow,
}

/// Which trunks a call may take.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Asked {
    /// Those of the first route that fits.
    Any,
    /// This one alone, as a campaign or queue names it.
    Trunk(TrunkId),
    /// Those of the route of this name.
    Route(Arc<str>),
}

/// Which calls go where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// For whom; `None`: every tenant.
    pub tenant: Option<TenantId>,
    /// What the calls come from; empty: anything.
    pub from: Vec<SourceMatch>,
    /// Numbers, normalised; `*` at the end matches any rest: `+49*`, `*`. Empty: none, so it must
    /// be asked for by name.
    pub dialled: Vec<Arc<str>>,
    /// Of the caller, in the same way; empty: any.
    pub caller: Vec<Arc<str>>,
    /// The way of emergency calls: it takes them and only them, and no cap, permit or state of
    /// health stops it.
    pub emergency: bool,
    /// Refuses its calls with this status: numbers that nobody may call.
    pub refuse: Option<u16>,
    /// When it is open, minutes of the week from Monday 00:00, `[from, to)`; empty: always.
    pub open_minutes: Vec<(u16, u16)>,
    /// Minutes east of UTC that those are told in.
    pub utc_offset_min: i16,
    /// Its trunks.
    pub trunks: Vec<RouteTrunk>,
    /// How many targets are tried at most.
    pub tries_max: u8,
    /// How long the callee's telephone rings.
    pub ring_for: Duration,
}

impl Route {
    /// By these trunks in this order, for calls that are led to it by its name.
    pub fn new(name: &str, tenant: TenantId, trunks: &[TrunkId]) -> Self {
        let priorities = 0_u16..;
        let one = |(priority, trunk): (u16, &TrunkId)| RouteTrunk {
            trunk: trunk.clone(),
            priority,
            weight: 1,
        };
        Self {
            name: name.into(),
            tenant: Some(tenant),
            from: Vec::new(),
            dialled: Vec::new(),
            caller: Vec::new(),
            emergency: false,
            refuse: None,
            open_minutes: Vec::new(),
            utc_offset_min: 0,
            trunks: priorities.zip(trunks).map(one).collect(),
            tries_max: TRIES_MAX,
            ring_for: Duration::from_secs(60),
        }
    }

    /// The way of calls for help: all its trunks are tried, and help may be slow to answer: nobody
    /// gives up before the caller does.
    pub fn to_help(tenant: TenantId, trunks: &[TrunkId]) -> Self {
        Self {
            emergency: true,
            tries_max: u8::MAX,
            ring_for: Duration::from_secs(300),
            ..Self::new("emergency", tenant, trunks)
        }
    }
}

/// One trunk of a route.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RouteTrunk {
    /// Which.
    pub trunk: TrunkId,
    /// Lower comes first.
    pub priority: u16,
    /// Share of the calls within a priority.
    pub weight: u16,
}

/// What a call comes from, as routes say it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SourceMatch {
    /// This trunk.
    Trunk(TrunkId),
    /// Any agent.
    Agents,
    /// Campaigns.
    Campaigns,
    /// Callbacks.
    Callbacks,
    /// Flows.
    Flows,
}

/// What was decided, and why not otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The number wanted.
    pub dialled: Number,
    /// The number it came with.
    pub caller: Number,
    /// Whether it is an emergency call.
    pub emergency: bool,
    /// The route that fits, if one does.
    pub route: Option<Arc<str>>,
    /// Where it goes; `None`: nowhere, see `refusal`.
    pub chosen: Option<Candidate>,
    /// What was not chosen, each with the first test it failed, in the order they were looked at;
    /// [`REJECTED_MAX`] at most.
    pub rejected: Vec<Rejected>,
    /// How many more were rejected and are not listed.
    pub rejected_more: u32,
    /// What was tried before.
    pub tried: Vec<Tried>,
    /// How the call is refused when nothing is chosen.
    pub refusal: Option<Refusal>,
}

/// As many alternatives as a decision lists.
pub const REJECTED_MAX: usize = 64;

/// A way for a call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Candidate {
    /// By which route; `None`: the trunk was asked for.
    pub route: Option<Arc<str>>,
    /// Through which trunk.
    pub trunk: TrunkId,
    /// To which of its targets.
    pub hop: Hop,
    /// The dialled number as this trunk wants it.
    pub user: Arc<str>,
    /// What it shows of the caller.
    pub shown: Shown,
    /// How long the callee's telephone rings, where a route says it.
    pub ring_for: Option<Duration>,
    /// How long to wait for any response at all before the next is tried; `None`: as long as
    /// Timer B, since nothing would be tried after it.
    pub heard_within: Option<Duration>,
    /// Whether its trunk is down and this call is its trial.
    pub trial: bool,
}

/// An alternative that was not taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rejected {
    /// What.
    pub candidate: Rejectee,
    /// The first test it failed.
    pub test: Test,
    /// How, for a person.
    pub why: Arc<str>,
}

/// What can be rejected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Rejectee {
    /// A route, with all its trunks.
    Route(Arc<str>),
    /// A trunk, with all its targets.
    Trunk(TrunkId),
    /// One target.
    Hop(TrunkId, Hop),
    /// The call as a whole.
    Call,
}

/// The tests, in the order they are made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Test {
    /// The number can be dialled.
    Number,
    /// The route is this tenant's.
    Tenant,
    /// The route takes emergency calls, or other ones.
    Emergency,
    /// The route takes calls from there.
    Source,
    /// The route takes this number.
    Dialled,
    /// The route takes this caller.
    Caller,
    /// The route is open now.
    Hours,
    /// The route does not refuse.
    Permit,
    /// The trunk exists.
    Known,
    /// The trunk is enabled.
    Enabled,
    /// A call does not go back to where it came from.
    Loop,
    /// It was not yet tried, and may be.
    Tried,
    /// The trunk has us registered.
    Registered,
    /// The trunk takes calls.
    Health,
    /// The number may be shown.
    CallerId,
    /// The tenant's calls per second.
    TenantRate,
    /// The tenant's calls at once.
    TenantChannels,
    /// The trunk's calls per second.
    Rate,
    /// The trunk's calls at once.
    Channels,
    /// Its place is known.
    Located,
    /// The target takes calls.
    Target,
    /// Nothing: another was preferred.
    Preferred,
}

/// A try that failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tried {
    /// What was tried.
    pub trunk: TrunkId,
    /// To which target.
    pub hop: Hop,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a call with no way is refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The status for whoever asked.
    pub status: u16,
    /// What `Retry-After` says, if anything.
    pub retry_after: Option<Duration>,
    /// Why, for a person.
    pub why: Arc<str>,
}

/// Where a call goes, and why not elsewhere. Changes nothing.
pub fn route(request: &RouteRequest, rules: &Rules, live: &dyn Live, now: Now) -> Decision {
    after(request, &[], rules, live, now)
}

/// Where a call goes after what was `tried`; the verdict on the last of it was to go on.
pub fn after(
    request: &RouteRequest,
    tried: &[Tried],
    rules: &Rules,
    live: &dyn Live,
    now: Now,
) -> Decision {
    let mut decision = engine::decide(request, (tried, true), rules, live, now);
    let waits = decision.chosen.as_ref().filter(|chosen| chosen.heard_within.is_some());
    if let Some(chosen) = waits {
        // Nobody gives up on a silent target when there is no other.
        let silent = Outcome { end: End::EarlyFailover, rang: false, retry_after: None };
        let may_be = decision.rejected.iter().any(|it| it.test == Test::Preferred)
            || live.targets(&chosen.trunk, request.random, now).len() > 1;
        // Nor on a living one for a dead one, though a call for help would try that at last.
        let despairs = chosen.trial;
        let goes_on = |tried: Vec<_>| {
            engine::decide(request, (&tried, despairs), rules, live, now).chosen.is_some()
        };
        let other = may_be && judge(request, &decision, silent, rules).is_ok_and(goes_on);
        if let (false, Some(chosen)) = (other, &mut decision.chosen) {
            chosen.heard_within = None;
        }
    }
    decision
}

/// Where a call goes after what `decision` chose ended in `outcome`. `chosen` is `None` when nothing
/// more may be tried: `refusal` then says what the first side is told.
pub fn next(
    request: &RouteRequest,
    decision: &Decision,
    outcome: Outcome,
    (rules, live): (&Rules, &dyn Live),
    now: Now,
) -> Decision {
    match judge(request, decision, outcome, rules) {
        Ok(tried) => after(request, &tried, rules, live, now),
        Err(end) => *end,
    }
}

/// What was tried, if something else may be tried after this outcome.
///
/// # Errors
/// The call has failed.
fn judge(
    request: &RouteRequest,
    decision: &Decision,
    outcome: Outcome,
    rules: &Rules,
) -> Result<Vec<Tried>, Box<Decision>> {
    let mut tried = decision.tried.clone();
    let Some(chosen) = &decision.chosen else { return Err(Box::new(decision.clone())) };
    let route = rules.routes.iter().find(|route| Some(&route.name) == chosen.route.as_ref());
    let of_trunk = rules.trunks.get(&chosen.trunk).map(|trunk| &trunk.failover);
    let default = FailoverRules::default();
    let failover = of_trunk.unwrap_or(&default);
    // Whoever calls for help is rung for again, whatever was said before.
    let verdict = match decision.emergency && outcome.end != End::Answered {
        true => Verdict::TryNext,
        false => failover.judge(&outcome, request.second_ring),
    };
    tried.push(Tried { trunk: chosen.trunk.clone(), hop: chosen.hop.clone(), outcome });
    let tries_max = usize::from(route.map_or(TRIES_MAX, |route| route.tries_max));
    let why = match verdict {
        Verdict::TryNext if tried.len() < tries_max => return Ok(tried),
        Verdict::TryNext => "as many targets as allowed were tried",
        Verdict::Final(why) => why,
    };
    let (candidate, test, why) = (Rejectee::Call, Test::Tried, Arc::from(why));
    let refusal = Refusal {
        status: told_of(&outcome),
        retry_after: None,
        why: format!("{}: {why}", outcome.end).into(),
    };
    Err(Box::new(Decision {
        chosen: None,
        rejected: vec![Rejected { candidate, test, why }],
        rejected_more: 0,
        tried,
        refusal: Some(refusal),
        ..decision.clone()
    }))
}

/// How many targets are tried where no route says it.
pub const TRIES_MAX: u8 = 4;

/// What the first side is told of a failed try. RFC 3261 §16.7 step 6: a 503 speaks of the trunk, and
/// passed on it would speak of us.
fn told_of(outcome: &Outcome) -> u16 {
    match outcome.status() {
        503 => 500,
        status => status,
    }
}

impl Test {
    /// Whether what fails it may pass it a while later.
    pub fn passes(self) -> bool {
        matches!(
            self,
            Self::Hours
                | Self::Registered
                | Self::Health
                | Self::TenantRate
                | Self::TenantChannels
                | Self::Rate
                | Self::Channels
                | Self::Located
                | Self::Target
        )
    }

    /// Whether what fails it fails it wherever the call goes, as long as the rules are what they are.
    pub fn stays(self) -> bool {
        matches!(self, Self::Number | Self::Permit | Self::CallerId)
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "number",
            Self::Tenant => "tenant",
            Self::Emergency => "emergency",
            Self::Source => "source",
            Self::Dialled => "dialled",
            Self::Caller => "caller",
            Self::Hours => "hours",
            Self::Permit => "permit",
            Self::Known => "known",
            Self::Enabled => "enabled",
            Self::Loop => "loop",
            Self::Tried => "tried",
            Self::Registered => "registered",
            Self::Health => "health",
            Self::CallerId => "caller id",
            Self::TenantRate => "calls per second of the tenant",
            Self::TenantChannels => "channels of the tenant",
            Self::Rate => "calls per second",
            Self::Channels => "channels",
            Self::Located => "located",
            Self::Target => "target",
            Self::Preferred => "preferred",
        })
    }
}

impl fmt::Display for Rejectee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route(name) => write!(f, "route {name}"),
            Self::Trunk(trunk) => write!(f, "trunk {trunk}"),
            Self::Hop(trunk, hop) => write!(f, "trunk {trunk} at {hop}"),
            Self::Call => f.write_str("the call"),
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.candidate, self.test, self.why)
    }
}

#[cfg(test)]
mod tests;
