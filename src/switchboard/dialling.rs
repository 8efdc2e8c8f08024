//! A number to be dialled → the trunk that takes it: one way for callers led through, agents who
//! dial, transfers, callbacks and campaigns. The engine in `trunk::route` decides; here its choice
//! becomes a channel taken and a leg that rings.
//!
//! ```text
//! RouteRequest ─► way ─► Way ─► way_out ─► channel taken, Found ─► ring_out ─► INVITE
//!                         ▲                                                      │
//!                         └──────────── way_out(failed) ◄──── 503, silence ──────┘
//! ```

use crate::call::{Call, Dial, Leg, Signalling, Sound, Way};
use crate::event::{Action, LegRole, REJECTED_MAX, Rejected};
use crate::switchboard::Switchboard;
use crate::transit::refusal_of;
use domain::cause::Cause;
use domain::id::{LegId, TrunkId};
use domain::now::Now;
use sip::event::{Caller, Target};
use std::sync::Arc;
use std::time::Duration;
use trunk::caller_id::Shown;
use trunk::failover::Outcome;
use trunk::number::Number;
use trunk::route::{Candidate, Decision, Rejectee, RouteRequest, RouteSource, Test};

/// How long a telephone rings where neither route nor journey says it.
const RINGS_FOR: Duration = Duration::from_secs(60);

/// Somebody to be rung.
pub(crate) struct Found {
    /// The leg that holds the channel.
    pub(crate) leg: LegId,
    pub(crate) target: Target,
    /// Who is shown to him.
    pub(crate) caller: Caller,
    pub(crate) ring_for: Duration,
    pub(crate) heard_within: Option<Duration>,
    /// The number in its one form, by which a call that comes back is known.
    pub(crate) reaches: Arc<str>,
}

/// Nobody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoWay {
    /// How the last try ended, or that there was none.
    pub(crate) cause: Cause,
    /// What whoever asked is refused with.
    pub(crate) refused: Refused,
}

/// How a call is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) retry_after_s: Option<u32>,
}

/// What was decided: who is rung, in words too, and who is not.
pub(crate) struct WayOut {
    pub(crate) to: Result<Found, NoWay>,
    pub(crate) chosen: Arc<str>,
    pub(crate) rejected: Vec<Rejected>,
}

impl Refused {
    pub(crate) fn with(status: u16) -> Self {
        Self { status, retry_after_s: None }
    }

    /// As a decision without a choice says.
    pub(crate) fn by(decision: &Decision) -> Self {
        let refusal = decision.refusal.as_ref();
        let retry_after = refusal.and_then(|refusal| refusal.retry_after);
        Self {
            status: refusal.map_or(500, |refusal| refusal.status),
            retry_after_s: retry_after.map(|wait| u32::try_from(wait.as_secs()).unwrap_or(1)),
        }
    }
}

impl Switchboard {
    /// The way of a call.
    ///
    /// # Errors
    /// No trunk takes it: why.
    pub(crate) fn way(&self, request: RouteRequest, now: Now) -> Result<Way, Box<Decision>> {
        let decision = self.carriers.route(&request, now);
        match decision.chosen {
            Some(_) => Ok(Way { request, decision }),
            None => Err(Box::new(decision)),
        }
    }

    /// Takes a channel of the trunk that is chosen, which is given back with the leg's end. `failed`:
    /// how the last try ended, and whether it was heard to ring.
    pub(crate) fn way_out(
        &mut self,
        way: &mut Way,
        failed: Option<(Cause, bool)>,
        caller: &Caller,
        now: Now,
    ) -> WayOut {
        let leg = self.new_leg_id();
        if let Some((cause, rang)) = failed {
            let outcome = Outcome::of(&cause, rang, None);
            way.decision = self.carriers.next(&way.request, &way.decision, outcome, now);
        }
        while let Some(chosen) = &way.decision.chosen {
            let tenant = &way.request.tenant;
            if self.carriers.take(leg, chosen, tenant, way.decision.emergency, now) {
                break;
            }
            // Another call took the last channel since: that trunk is out now.
            way.decision = self.carriers.again(&way.request, &way.decision, now);
        }
        let decision = &way.decision;
        WayOut {
            to: match &decision.chosen {
                Some(chosen) => Ok(found(leg, decision, chosen, caller)),
                None => Err(no_way(decision, failed.map(|(cause, _)| cause))),
            },
            chosen: chosen_name(decision),
            rejected: rejected_of(decision),
        }
    }

    /// Opens a leg that rings whoever was found once its port is there.
    pub(crate) fn ring_out(
        &mut self,
        call: &mut Call,
        role: LegRole,
        found: Found,
        max_forwards: u8,
        now: Now,
        out: &mut Vec<Action>,
    ) -> LegId {
        let leg = dialled_leg(call, role, found, max_forwards, now);
        let id = leg.id;
        self.open_leg(leg, call, now, out);
        id
    }
}

/// A leg that is not yet dialled.
pub(crate) fn dialled_leg(
    call: &Call,
    role: LegRole,
    found: Found,
    max_forwards: u8,
    now: Now,
) -> Leg {
    let (trunk, agent, to) = match &found.target {
        Target::Trunk { trunk, user, .. } => (Some(trunk.clone()), None, user.clone()),
        Target::Agent(agent) => (None, Some(agent.clone()), agent.name.clone()),
    };
    let from = found.caller.user.clone();
    let dial = Dial {
        target: found.target,
        caller: found.caller,
        ring_for: found.ring_for,
        heard_within: found.heard_within,
        max_forwards,
        call_id: None,
        attempt: None,
    };
    Leg {
        id: found.leg,
        call: call.id,
        role,
        signalling: Signalling::NotBegun(Box::new(dial)),
        sound: Sound::Opening,
        sip_call_id: "".into(),
        trunk,
        from,
        to,
        agent,
        rang: false,
        reaches: None,
        replaces: None,
        holds: false,
        started_wall_ms: now.wall_ms,
        answered_wall_ms: None,
        ended_wall_ms: now.wall_ms,
    }
}

fn found(leg: LegId, decision: &Decision, chosen: &Candidate, caller: &Caller) -> Found {
    let (trunk, hop, user) = (chosen.trunk.clone(), chosen.hop.clone(), chosen.user.clone());
    Found {
        leg,
        target: Target::Trunk { trunk, hop, user },
        caller: shown_as(caller, &chosen.shown),
        ring_for: chosen.ring_for.unwrap_or(RINGS_FOR),
        heard_within: chosen.heard_within,
        reaches: decision.dialled.normalised.clone(),
    }
}

fn no_way(decision: &Decision, failed: Option<Cause>) -> NoWay {
    match failed {
        // What the callee said is told in our words.
        Some(cause) => NoWay { cause, refused: Refused::with(refusal_of(cause)) },
        None => NoWay { cause: Cause::not_admitted(), refused: Refused::by(decision) },
    }
}

/// Who calls, as the trunk is to show it. Where another number stands in the place of his own, his
/// name and the signature of his number do not go with it.
fn shown_as(caller: &Caller, shown: &Shown) -> Caller {
    let own = shown.changed.is_none();
    Caller {
        user: shown.user.clone(),
        display: caller.display.clone().filter(|_| own),
        private: shown.private,
        asserted: shown.asserted.clone().or_else(|| caller.asserted.clone().filter(|_| own)),
        identity: caller.identity.clone().filter(|_| own),
        referred_by: caller.referred_by.clone(),
        date: caller.date.clone().filter(|_| own),
    }
}

/// What was chosen, with the number as it is dialled and the one that is shown.
pub(crate) fn chosen_name(decision: &Decision) -> Arc<str> {
    let Some(chosen) = &decision.chosen else {
        return format!("refused with {}", Refused::by(decision).status).into();
    };
    let mut text = trunk_name(&chosen.trunk);
    text += &written_as(&decision.dialled, &chosen.user, " dials ");
    match &*chosen.shown.user {
        "" if decision.caller.raw.is_empty() => (),
        "" => text += ", shows no number",
        user => text += &written_as(&decision.caller, user, ", shows "),
    }
    if let Some(why) = &chosen.shown.changed {
        text += &format!(" ({why})");
    }
    if chosen.trial {
        text += ", which is on trial";
    }
    text.into()
}

/// A number that goes out in another form than it came in, with its normalised form where that is a
/// third.
fn written_as(number: &Number, user: &str, verb: &str) -> String {
    match (user == &*number.raw, user == &*number.normalised || number.is_unknown()) {
        (true, true) => String::new(),
        (_, true) => format!("{verb}{user}"),
        (true, false) | (false, false) => format!("{verb}{user} for {}", number.normalised),
    }
}

/// What was not chosen: what was tried in vain first.
pub(crate) fn rejected_of(decision: &Decision) -> Vec<Rejected> {
    let tried = decision.tried.iter().map(|tried| Rejected {
        candidate: format!("{} at {}", trunk_name(&tried.trunk), tried.hop).into(),
        test: "answer".into(),
        why: tried.outcome.to_string().into(),
    });
    // That it was tried is told above; that a call is none for help goes without saying.
    let tells = |it: &&trunk::route::Rejected| match it.test {
        Test::Tried => matches!(it.candidate, Rejectee::Call),
        Test::Emergency => false,
        _ => true,
    };
    let others = decision.rejected.iter().filter(tells);
    let others = others.map(|rejected| Rejected {
        candidate: match &rejected.candidate {
            Rejectee::Route(name) => format!("route {name}").into(),
            Rejectee::Trunk(trunk) => trunk_name(trunk).into(),
            Rejectee::Hop(trunk, hop) => format!("{} at {hop}", trunk_name(trunk)).into(),
            Rejectee::Call if rejected.test == Test::Tried => "another try".into(),
            Rejectee::Call => "the call".into(),
        },
        test: rejected.test.to_string().into(),
        why: rejected.why.clone(),
    });
    tried.chain(others).take(REJECTED_MAX).collect()
}

pub(crate) fn trunk_name(trunk: &TrunkId) -> String {
    format!("trunk {}", trunk.name)
}

/// What a call from `source` comes from, as routes know it.
pub(crate) fn route_source(source: &sip::event::Source) -> RouteSource {
    match source {
        sip::event::Source::Trunk(trunk) => RouteSource::Trunk(trunk.clone()),
        sip::event::Source::Agent(agent) => RouteSource::Agent(agent.clone()),
    }
}
