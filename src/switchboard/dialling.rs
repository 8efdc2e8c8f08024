//! A number to be dialled → the trunk that takes it: one way for callers led through, agents who
//! dial and transfers. Whoever wants a number dialled asks [`Switchboard::way_out`] for the way and
//! has [`Switchboard::ring_out`] open the leg.

use crate::call::{Call, Dial, Leg, Onward, RingLimits, Signalling, Sound};
use crate::carriers;
use crate::event::{Action, LegRole, REJECTED_MAX, Rejected};
use crate::routing;
use crate::rules::{ROUTE_TRUNKS_MAX, RouteRule};
use crate::switchboard::Switchboard;
use domain::id::{LegId, TenantId, TrunkId};
use domain::now::Now;
use sip::event::{Caller, Target};
use std::collections::VecDeque;
use std::sync::Arc;

/// The way to a number.
pub(crate) struct WayOut {
    pub(crate) target: Target,
}

impl Switchboard {
    /// Where a number dialled from inside leads: the trunks of the first route that takes it.
    /// `None`: no route takes it.
    pub(crate) fn onward_number(&self, tenant: &TenantId, number: &str) -> Option<Onward> {
        routing::route_for(&self.rules, tenant, number).map(|route| onward(route, number))
    }

    /// As [`onward_number`](Self::onward_number), by the route of this name.
    pub(crate) fn onward_by_route(
        &self,
        tenant: &TenantId,
        name: &str,
        number: &str,
    ) -> Option<Onward> {
        routing::route_named(&self.rules, tenant, name).map(|route| onward(route, number))
    }

    /// Takes a channel of the first of `trunks` that has one, or of the first of all in an
    /// `emergency`; those before it are taken off the list and added to `rejected`. The channel is
    /// given back with the leg's end.
    pub(crate) fn way_out(
        &mut self,
        number: &Arc<str>,
        (trunks, emergency): (&mut VecDeque<TrunkId>, bool),
        rejected: &mut Vec<Rejected>,
        now: Now,
    ) -> Option<WayOut> {
        let id = self.first_with_room((trunks, emergency), rejected, now)?;
        // A call for help tries even a target that is down.
        let first = |board: &mut Self| {
            let random = board.ids.next_number();
            board.carriers.hops(&id, random, now).into_iter().next()
        };
        let hop = self.hop_of(&id, now).or_else(|| first(self))?;
        self.trunks.get_mut(&id)?.take_always(now.instant);
        Some(WayOut { target: Target::Trunk { trunk: id, hop, user: number.clone() } })
    }

    /// The first of `trunks` that bears another call; those before it are taken off the list and
    /// added to `rejected`. Takes nothing: a dry run asks the same.
    pub(crate) fn first_with_room(
        &self,
        (trunks, emergency): (&mut VecDeque<TrunkId>, bool),
        rejected: &mut Vec<Rejected>,
        now: Now,
    ) -> Option<TrunkId> {
        while let Some(id) = trunks.pop_front() {
            let candidate = || format!("trunk {}", id.name);
            let Some(cap) = self.trunks.get(&id) else {
                routing::reject(rejected, candidate, "known", || "there is no such trunk".into());
                continue;
            };
            let usable = carriers::usable_target(&self.carriers, &id, 0, now);
            // A dry run without the program knows nothing of where trunks are and how they do.
            let lenient = emergency || !self.carriers.is_started();
            if let (Err((test, why)), false) = (usable, lenient) {
                routing::reject(rejected, candidate, test, || why.to_string());
                continue;
            }
            let may_begin = cap.next(now.instant).is_some_and(|at| at <= now.instant);
            if emergency || (cap.has_channel() && may_begin) {
                return Some(id);
            }
            let why = || match cap.has_channel() {
                false => format!("all {} channels are in use", cap.channels_max()),
                true => format!("{} calls were begun in a second", cap.rate(now.instant)),
            };
            routing::reject(rejected, candidate, "caps", why);
        }
        None
    }

    /// Who is calling, as the trunk's callee is shown it: the caller's own number where he has one,
    /// else the trunk's.
    pub(crate) fn shown_to(&self, trunk: &TrunkId, caller: &Caller) -> Caller {
        let is_number = caller.user.strip_prefix('+').unwrap_or(&caller.user);
        let is_number = !is_number.is_empty() && is_number.bytes().all(|it| it.is_ascii_digit());
        if is_number || caller.private {
            return caller.clone();
        }
        let own = self.rules.trunks.get(trunk).and_then(|rule| rule.caller_id.as_ref());
        let user = own.map(|number| number.as_str().into()).unwrap_or_default();
        Caller { user, display: None, asserted: None, ..caller.clone() }
    }

    /// Opens a leg that rings `to` once its port is there.
    #[expect(clippy::too_many_arguments, reason = "each is a fact of the leg")]
    pub(crate) fn ring_out(
        &mut self,
        call: &mut Call,
        role: LegRole,
        target: Target,
        caller: Caller,
        limits: RingLimits,
        max_forwards: u8,
        now: Now,
        out: &mut Vec<Action>,
    ) -> LegId {
        let id = self.new_leg_id();
        let (trunk, agent, to) = match &target {
            Target::Trunk { trunk, user, .. } => (Some(trunk.clone()), None, user.clone()),
            Target::Agent(agent) => (None, Some(agent.clone()), agent.name.clone()),
        };
        let from = caller.user.clone();
        let dial = Dial {
            target,
            caller,
            ring_for: limits.ring_for,
            heard_within: limits.heard_within,
            max_forwards,
            call_id: None,
            attempt: None,
        };
        let leg = Leg {
            id,
            call: call.id,
            role,
            signalling: Signalling::NotBegun(Box::new(dial)),
            sound: Sound::Opening,
            sip_call_id: "".into(),
            holds_channel: trunk.is_some(),
            trunk,
            from,
            to,
            agent,
            replaces: None,
            holds: false,
            started_wall_ms: now.wall_ms,
            answered_wall_ms: None,
            ended_wall_ms: now.wall_ms,
        };
        self.open_leg(leg, call, now, out);
        id
    }
}

fn onward(route: &RouteRule, number: &str) -> Onward {
    Onward::Number {
        number: number.into(),
        route: route.name.clone(),
        trunks: route.trunks.iter().take(ROUTE_TRUNKS_MAX).cloned().collect(),
        limits: RingLimits { ring_for: route.ring_for, heard_within: route.heard_within },
        emergency: false,
    }
}

/// Adds what was tried in vain before, as long as there is room.
pub(crate) fn after(tried: &[Rejected], rejected: Vec<Rejected>) -> Vec<Rejected> {
    tried.iter().cloned().chain(rejected).take(REJECTED_MAX).collect()
}
