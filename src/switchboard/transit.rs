//! A caller is led through to somebody else: two SIP dialogs, the first following the second (a
//! back-to-back user agent, RFC 7092 §3.2.3), with the sound bridged between them.
//!
//! ```text
//! caller            exchange                       callee
//!   │──INVITE──────────►│ decided, port bound          │
//!   │                   │──INVITE─────────────────────►│  Reaching
//!   │◄─180 / 183────────│◄─180 / 183 with early sound──│
//!   │                   │◄─486, 503 …: the next trunk, or refused likewise
//!   │◄─200──────────────│◄─200─────────────────────────│  Through
//!   │◄═══════sound, keys═══════════════════════════════►│
//!   │──BYE─────────────►│──BYE (Reason: Q.850)─────────►│
//! ```
//!
//! Hold is answered on the side that asked for it: that leg neither sends nor is listened to, and
//! its partner hears what the holder sends, or nothing (RFC 3264 §8.4).

use crate::call::{Call, Onward, Purpose, Signalling, Transit, Treatment};
use crate::decisions::Question;
use crate::dialling::{Found, NoWay, Refused, WayOut, route_source};
use crate::event::{Action, LegRole, Live, Rejected};
use crate::inbound::{incoming_leg, refuse};
use crate::switchboard::{Inner, Switchboard};
use domain::cause::{Cause, CauseKind};
use domain::id::{AgentId, CallId, LegId};
use domain::media_plan::MediaPlan;
use domain::now::Now;
use media::event::MediaCommand;
use queue::event::{AgentState, Event as QueueEvent};
use sip::event::{Caller, IncomingCall, LegCommand, MAX_FORWARDS, Source, Target};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use stir::verdict::Verdict;

/// Calls of one caller to one number, from the trunk they go to, that wait for an answer at most.
const PASSES_MAX: usize = 256;

/// How long an agent's telephone rings for a call that is led straight to it.
const AGENT_RINGS_FOR: Duration = Duration::from_secs(60);

impl Switchboard {
    /// Takes up a call that goes on to somebody else, or refuses it.
    pub(crate) fn lead_through(
        &mut self,
        incoming: Incoming,
        onward: Onward,
        rejected: Vec<Rejected>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Incoming { leg, source, call: offered, offer, mut question, verdict } = incoming;
        let emergency = onward.is_emergency();
        if let Some((status, test, why)) = self.cannot_go_on(&source, &offered, emergency) {
            let mut rejected = rejected;
            let candidate = || onward.name();
            crate::routing::reject(&mut rejected, candidate, test, || why.into());
            self.refused_with(question, status, rejected, now, out);
            return refuse(leg, status, None, out);
        }
        let (trunk, agent) = match source {
            Source::Trunk(trunk) => (Some(trunk), None),
            Source::Agent(agent) => (None, Some(agent)),
        };
        if !self.take_incoming(leg, trunk.as_ref(), emergency, &question, now, out) {
            return;
        }
        let transit = Transit {
            onward,
            // Who calls for help must be found: he is never hidden.
            caller: Caller { private: offered.private && !emergency, ..caller_of(&offered) },
            offer,
            local: None,
            max_forwards: offered.max_forwards.saturating_sub(1),
            early: false,
        };
        let chosen = transit.onward.name().into();
        let tenant = question.tenant.clone();
        let mut call = self.new_call(tenant, Purpose::Transit(Box::new(transit)), leg, now);
        question.call = Some(call.id);
        self.decided(question, chosen, rejected, now, out);
        out.extend(verdict.as_ref().map(|verdict| crate::verification::note(call.id, verdict)));
        call.verdict = verdict;
        let mut first = incoming_leg(leg, call.id, LegRole::Caller, offered, now);
        first.trunk = trunk;
        if let Some(agent) = agent {
            self.on_the_phone(&agent, true);
            first.agent = Some(agent);
        }
        self.begin_call(call, first, now, out);
    }

    /// Why a call must not go on to anybody: the status to refuse it with, the test, what it found.
    fn cannot_go_on(
        &self,
        source: &Source,
        offered: &IncomingCall,
        emergency: bool,
    ) -> Option<(u16, &'static str, &'static str)> {
        if offered.max_forwards == 0 {
            // RFC 3261 §16.3 step 3, §21.4.21: it has been handed on too often.
            return Some((483, "Max-Forwards", "it is 0"));
        }
        // Two who call for help from one telephone system may look alike.
        if !emergency && self.has_come_back(source, offered) {
            // RFC 3261 §21.4.20, RFC 5393 §4: what we sent out comes in again.
            return Some((482, "loop", "it is a call of ours that has come back"));
        }
        None
    }

    /// Whether an INVITE is one of ours: sent to this very trunk, not yet answered, and handed back
    /// unchanged by a proxy (the same Call-ID) or by a gateway: the same caller and callee, and fewer
    /// hops left than ours had. A gateway that gives it all hops again is known by its number of them:
    /// so many calls of one caller to one number may well wait for an answer, but not more.
    fn has_come_back(&self, source: &Source, offered: &IncomingCall) -> bool {
        let Source::Trunk(trunk) = source else { return false };
        let read =
            |raw: &str| self.carriers.read(&route_source(source), &trunk.tenant, raw).normalised;
        let Some(legs) = self.reaching.get(&read(&offered.dialled)) else { return false };
        let legs = || legs.iter().filter_map(|leg| self.legs.get(leg));
        if legs().any(|leg| leg.sip_call_id == offered.call_id) {
            return true;
        }
        let caller = read(&offered.from_user);
        let is_alike = |leg: &&crate::call::Leg| {
            leg.trunk.as_ref() == Some(trunk) && !leg.from.is_empty() && read(&leg.from) == caller
        };
        let sent = |leg: &crate::call::Leg| match self.calls.get(&leg.call).map(|it| &it.purpose) {
            Some(Purpose::Transit(transit)) => transit.max_forwards,
            _ => MAX_FORWARDS,
        };
        let mut alike = legs().filter(is_alike);
        let passes = alike.clone().take(PASSES_MAX).count();
        passes >= PASSES_MAX || alike.any(|leg| offered.max_forwards < sent(leg))
    }

    /// The caller's port is there: now the callee is reached.
    pub(crate) fn transit_port_opened(
        &mut self,
        id: CallId,
        local: SocketAddr,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        if let Some(Purpose::Transit(transit)) = self.calls.get_mut(&id).map(|it| &mut it.purpose) {
            transit.local = Some(local);
            self.reach(id, None, now, out);
        }
    }

    /// Rings whoever is next; `failed` is how the one before ended, and whether it was heard to ring.
    fn reach(
        &mut self,
        id: CallId,
        failed: Option<(Cause, bool)>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some(mut call) = self.calls.remove(&id) else { return };
        let Purpose::Transit(transit) = &mut call.purpose else {
            self.calls.insert(id, call);
            return;
        };
        let (caller, max_forwards) = (transit.caller.clone(), transit.max_forwards);
        let way = self.way_onward(&mut transit.onward, failed, &caller, now);
        let question = self.question_of(&call);
        match way.to {
            Ok(found) => {
                let leg = self.reach_out(&mut call, found, max_forwards, now, out);
                call.treatment = Treatment::Reaching { leg, rang: false };
                self.calls.insert(id, call);
                self.decided(question, way.chosen, way.rejected, now, out);
            }
            Err(no_way) => {
                call.treatment = Treatment::Setup { then: None };
                let first = call.first;
                self.calls.insert(id, call);
                self.refused_with(question, no_way.refused.status, way.rejected, now, out);
                self.refuse_first(first, no_way, out);
            }
        }
    }

    /// Opens the leg of whoever was found; until it is answered, a call that comes back is known by
    /// its number.
    pub(crate) fn reach_out(
        &mut self,
        call: &mut Call,
        found: Found,
        max_forwards: u8,
        now: Now,
        out: &mut Vec<Action>,
    ) -> LegId {
        let role = match &found.target {
            Target::Trunk { .. } => LegRole::Callee,
            Target::Agent(agent) => {
                self.on_the_phone(agent, true);
                LegRole::Agent
            }
        };
        let number = found.reaches.clone();
        let leg = self.ring_out(call, role, found, max_forwards, now, out);
        if let Some(leg) = self.legs.get_mut(&leg) {
            leg.reaches = Some(number.clone());
        }
        self.reaching.entry(number).or_default().insert(leg);
        leg
    }

    /// Whom to ring next; `failed` is how the one before ended, and whether it was heard to ring.
    pub(crate) fn way_onward(
        &mut self,
        onward: &mut Onward,
        failed: Option<(Cause, bool)>,
        caller: &Caller,
        now: Now,
    ) -> WayOut {
        let agent = match onward {
            Onward::Agent(agent) => agent,
            Onward::Number(way) => return self.way_out(way, failed, caller, now),
        };
        let name: Arc<str> = format!("agent {}", agent.name).into();
        let answer = |(cause, _): (Cause, bool)| {
            let (test, why) = ("answer".into(), cause.to_string().into());
            Rejected { candidate: name.clone(), test, why }
        };
        let rejected = failed.map(answer).into_iter().collect();
        match self.why_not_the_agent(agent, failed) {
            None => {
                let found = Found {
                    leg: self.new_leg_id(),
                    target: Target::Agent(agent.clone()),
                    caller: caller.clone(),
                    ring_for: AGENT_RINGS_FOR,
                    heard_within: None,
                    reaches: agent.name.clone(),
                };
                WayOut { to: Ok(found), chosen: name, rejected }
            }
            Some(cause) => {
                let refused = Refused::with(refusal_of(cause));
                let chosen = format!("refused with {}", refused.status).into();
                WayOut { to: Err(NoWay { cause, refused }), chosen, rejected }
            }
        }
    }

    /// An agent is called only while he is in no other call.
    fn why_not_the_agent(&self, agent: &AgentId, failed: Option<(Cause, bool)>) -> Option<Cause> {
        if let Some((cause, _)) = failed {
            return Some(cause);
        }
        let state = self.dispatcher.agents().find(|(id, _)| *id == agent).map(|(_, state)| state);
        let in_queue_call = state.is_some_and(|state| match state {
            AgentState::Reserved { .. }
            | AgentState::Ringing { .. }
            | AgentState::Talking { .. } => true,
            AgentState::LoggedOut
            | AgentState::Available { .. }
            | AgentState::WrapUp
            | AgentState::Paused { .. } => false,
        });
        let has_leg = |leg: &crate::call::Leg| leg.agent.as_ref() == Some(agent) && leg.can_end();
        let is_busy = in_queue_call || self.legs.values().any(has_leg);
        // RFC 3261 §21.4.24: he is there and cannot take another call.
        is_busy.then(|| Cause::from_status(486))
    }

    /// A provisional answer of the callee: the caller is told the same.
    pub(crate) fn transit_rings(
        &mut self,
        leg: LegId,
        status: u16,
        plan: Option<MediaPlan>,
        out: &mut Vec<Action>,
    ) {
        let Some(id) = self.legs.get(&leg).map(|leg| leg.call) else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        let (Treatment::Reaching { leg: reached, rang }, Purpose::Transit(transit)) =
            (&mut call.treatment, &mut call.purpose)
        else {
            return;
        };
        if *reached != leg {
            return;
        }
        *rang |= status == 180;
        let first = call.first;
        // Early sound (RFC 3960 §3.1) goes through where the caller's offer is known: without one,
        // nothing can be agreed on before the answer.
        if let (Some(plan), Some(offer), Some(local)) = (plan, &transit.offer, transit.local) {
            out.push(Action::Media(MediaCommand::Connect { leg, plan }));
            if !transit.early {
                transit.early = true;
                let plan = offer.clone();
                out.push(Action::Media(MediaCommand::Connect { leg: first, plan }));
                out.push(Action::Media(MediaCommand::Bridge { a: first, b: leg }));
            }
            return progress(first, 183, Some(local), out);
        }
        // RFC 3261 §16.7 step 5: 199 (RFC 6228) speaks of one fork only.
        if status != 199 {
            progress(first, status, None, out);
        }
    }

    /// The callee has answered: so do we.
    pub(crate) fn reached(&mut self, id: CallId, leg: LegId, out: &mut Vec<Action>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let first = call.first;
        let is_begun = |leg: &crate::call::Leg| matches!(leg.signalling, Signalling::Begun);
        let waits = self.legs.get(&first).is_some_and(is_begun);
        let (Treatment::Reaching { leg: reached, .. }, Purpose::Transit(transit)) =
            (&call.treatment, &call.purpose)
        else {
            return self.end_leg(leg, out);
        };
        let (true, Some(local)) = (*reached == leg && waits, transit.local) else {
            return self.end_leg(leg, out);
        };
        if !transit.early {
            out.push(Action::Media(MediaCommand::Bridge { a: first, b: leg }));
        }
        out.push(Action::Leg(LegCommand::Answer { leg: first, local_media: local }));
        call.treatment = Treatment::Through { leg };
        self.forget_reaching(leg);
        let Some(leg) = self.legs.get(&leg) else { return };
        let (to, trunk) = (leg.to.clone(), leg.trunk.clone());
        out.push(Action::Note {
            call: id,
            what: format!("joined with {to}").into(),
            why: "the call was answered".into(),
        });
        out.push(Action::Publish(Live::Through { call: id, to, trunk }));
    }

    /// The callee's leg is over: before the answer the next one is tried or the caller is refused
    /// likewise, after it the caller's leg ends for the same cause.
    pub(crate) fn callee_over(
        &mut self,
        id: CallId,
        leg: LegId,
        cause: Cause,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let rang = self.forget_reaching(leg);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let first = call.first;
        match (&call.treatment, &mut call.purpose) {
            (Treatment::Through { leg: joined }, _) if *joined == leg => {
                call.treatment = Treatment::Ending;
                self.end_leg_because(first, Some(cause.q850), out);
            }
            (Treatment::Reaching { leg: reached, .. }, Purpose::Transit(transit))
                if *reached == leg =>
            {
                transit.early = false;
                self.reach(id, Some((cause, rang)), now, out);
            }
            // Given up before: the caller has gone, or another was reached.
            _ => (),
        }
    }

    /// Refuses the caller as the callee has refused us.
    fn refuse_first(&mut self, first: LegId, no_way: NoWay, out: &mut Vec<Action>) {
        let Some(leg) = self.legs.get_mut(&first).filter(|leg| leg.can_end()) else { return };
        leg.signalling = Signalling::Ending;
        let Refused { status, retry_after_s } = no_way.refused;
        let q850 = Some(no_way.cause.q850);
        out.push(Action::Leg(LegCommand::Refuse { leg: first, status, retry_after_s, q850 }));
    }

    /// No queue rings an agent who is in a call of his own.
    pub(crate) fn on_the_phone(&mut self, agent: &AgentId, busy: bool) {
        let event = QueueEvent::AgentOnThePhone { agent: agent.clone(), busy };
        self.inner.push_back(Inner::Queue(event));
    }

    /// Calls that come back are no more looked for under this leg; whether it was heard to ring.
    pub(crate) fn forget_reaching(&mut self, leg: LegId) -> bool {
        let Some(left) = self.legs.get_mut(&leg) else { return false };
        let rang = left.rang;
        if let Some(number) = left.reaches.take()
            && let Some(legs) = self.reaching.get_mut(&number)
        {
            legs.remove(&leg);
            if legs.is_empty() {
                self.reaching.remove(&number);
            }
        }
        rang
    }

    pub(crate) fn question_of(&self, call: &crate::call::Call) -> Question {
        let first = self.legs.get(&call.first);
        let source = first.map(|leg| match (&leg.trunk, &leg.agent) {
            (_, Some(agent)) => format!("agent {}", agent.name),
            (Some(trunk), None) => format!("trunk {}", trunk.name),
            (None, None) => "somebody".to_owned(),
        });
        Question {
            call: Some(call.id),
            sip_call_id: first.map(|leg| leg.sip_call_id.clone()).unwrap_or_default(),
            tenant: call.tenant.clone(),
            source: source.unwrap_or_default().into(),
            from: first.map(|leg| leg.from.clone()).unwrap_or_default(),
            to: first.map(|leg| leg.to.clone()).unwrap_or_default(),
        }
    }
}

/// An INVITE that is being decided on.
pub(crate) struct Incoming {
    pub(crate) leg: LegId,
    pub(crate) source: Source,
    pub(crate) call: IncomingCall,
    /// What its offer came to.
    pub(crate) offer: Option<MediaPlan>,
    pub(crate) question: Question,
    /// What is known of the caller's number, where it was asked.
    pub(crate) verdict: Option<Verdict>,
}

impl Onward {
    /// Whether it is a call for help.
    pub(crate) fn is_emergency(&self) -> bool {
        matches!(self, Self::Number(way) if way.decision.emergency)
    }

    /// What it is called in decisions.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Agent(agent) => format!("agent {}", agent.name),
            Self::Number(way) => match &way.decision.route {
                Some(route) => format!("route {route}"),
                None => format!("number {}", way.request.dialled),
            },
        }
    }
}

fn caller_of(offered: &IncomingCall) -> Caller {
    let display = Some(&offered.from_display).filter(|name| !name.is_empty()).cloned();
    Caller {
        user: offered.from_user.clone(),
        display,
        private: offered.private,
        asserted: offered.asserted.clone(),
        // A passport goes on with the call it was signed for (RFC 8224 §4.3), and with the date that
        // it is held against.
        date: offered.date.clone(),
        identity: offered.identity.first().cloned(),
        // A transfer is between the two who are in it.
        referred_by: None,
    }
}

fn progress(leg: LegId, status: u16, local_media: Option<SocketAddr>, out: &mut Vec<Action>) {
    out.push(Action::Leg(LegCommand::Progress { leg, status, local_media }));
}

/// The status that a caller is refused with when the call to the callee has ended so.
pub(crate) fn refusal_of(cause: Cause) -> u16 {
    match cause.status {
        // What says something about the callee is passed on as it is.
        status @ (404 | 408 | 410 | 480 | 484..=486 | 488 | 600 | 603 | 604 | 606..=608) => status,
        403 => 403,
        406 => 488,
        // It rang for as long as it may, or was given up before an answer: he is not there.
        487 => 480,
        // RFC 3261 §22.3: who we are to our carrier is not the caller's affair, nor can he answer
        // its challenge; so too where it finds fault with our own request.
        400..=499 => 500,
        // Nobody is led on to where a redirection points: the caller's contract is with us.
        300..=399 => 480,
        // No way out just now (our own limits): later there may be one.
        503 if cause.kind == CauseKind::NotAdmitted => 503,
        // RFC 3261 §16.7 step 6: a 503 would say that we can take no call at all.
        503 => 500,
        504 => 504,
        500..=599 => 500,
        600.. => 603,
        // RFC 3398 §8.2.6.1: no answer in time from whom we asked.
        _ if cause.kind == CauseKind::Silent => 504,
        _ => 480,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_passed_on_where_they_speak_of_the_callee() {
        for (status, expected) in [
            (486, 486),
            (600, 600),
            (603, 603),
            (608, 608),
            (404, 404),
            (484, 484),
            (480, 480),
            (487, 480),
            (488, 488),
            (401, 500),
            (407, 500),
            (403, 403),
            (420, 500),
            (302, 480),
            (500, 500),
            (503, 500),
            (504, 504),
            (699, 603),
        ] {
            assert_eq!(refusal_of(Cause::from_status(status)), expected, "{status}");
        }
        assert_eq!(refusal_of(Cause::silent()), 504);
        assert_eq!(refusal_of(Cause::not_admitted()), 503);
        assert_eq!(refusal_of(Cause::rang_out()), 480);
    }
}
