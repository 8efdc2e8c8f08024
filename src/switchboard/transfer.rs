//! Transfers asked for by a telephone (RFC 3515, RFC 5589): who talks with somebody sends him on to
//! somebody else, and leaves.
//!
//! ```text
//!                      REFER                        answered: 200, joined with him, referrer leaves
//! Bridged, Through ─────────────► Transferring ───────────────────────────────────► Through
//!        ▲    │                   │ music for the party, NOTIFY for the referrer
//!        │    │                   │
//!        │    │                   ├── nobody takes it, the referrer is still there ──► as before
//!        │    │                   └── nobody takes it, the referrer has left ──► back in line, or over
//!        │    ├── REFER to a flow: 200 ─────────────────────────────────────────────► Asking
//!        │    └── REFER with Replaces: both parties are joined, both legs of his end ► Through
//!        └── INVITE with Replaces: another leg in the place of one (RFC 3891)
//! ```
//!
//! Only agents are obeyed, and only towards what they may dial themselves: whoever could send our
//! callers to numbers of his own choice would telephone at our expense.

use crate::call::{Call, Onward, Purpose, Treatment};
use crate::event::{Action, LegRole, Live};
use crate::routing;
use crate::rules::LeadsTo;
use crate::switchboard::{Inner, Switchboard};
use crate::transit::{may_try_another, refusal_of, target_name};
use domain::cause::Cause;
use domain::id::{AgentId, CallId, FlowId, LegId, TicketId};
use domain::media_plan::MediaPlan;
use domain::now::Now;
use domain::prompt::Prompt;
use media::event::MediaCommand;
use queue::event::Event as QueueEvent;
use sip::event::{Caller, LegCommand, MAX_FORWARDS, ReferTo, Target};
use std::sync::Arc;

/// What a transfer under way carries.
#[derive(Clone, Debug)]
pub(crate) struct Transferring {
    /// The leg whose telephone asked.
    pub(crate) referrer: LegId,
    /// Whether it is still there: the party goes back to it when nobody takes the call.
    pub(crate) referrer_waits: bool,
    /// The queue's ticket, as long as its agent counts as talking.
    pub(crate) ticket: Option<TicketId>,
    /// The leg of the one who is transferred.
    pub(crate) party: LegId,
    /// The leg that rings for him.
    pub(crate) leg: LegId,
    /// Whether it was heard to ring.
    pub(crate) rang: bool,
    onward: Onward,
    caller: Caller,
}

/// Where a REFER leads.
enum Destination {
    /// To somebody who has to be rung.
    Onward(Onward),
    /// To a flow of ours, which answers at once.
    Flow(FlowId),
    /// To whoever is at the other end of another leg of the referrer's.
    PartnerOf(LegId),
}

/// Why a REFER is refused: the status, and the ground for the call's trace.
type Refusal = (u16, String);

impl Switchboard {
    /// The other end of a leg asks that its partner be sent on.
    pub(crate) fn referred(
        &mut self,
        leg: LegId,
        to: &ReferTo,
        referred_by: Option<Arc<str>>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some(id) = self.legs.get(&leg).map(|leg| leg.call) else {
            return out.push(Action::Leg(LegCommand::RefuseRefer { leg, status: 603 }));
        };
        match self.destination(leg, to) {
            Ok(destination) => {
                let what = format!("transfer to {}", destination.name()).into();
                let why = format!("REFER to {} from the telephone of leg {leg}", to.uri).into();
                out.push(Action::Note { call: id, what, why });
                match destination {
                    Destination::Onward(onward) => {
                        self.transfer_onward(id, leg, onward, referred_by, now, out);
                    }
                    Destination::Flow(flow) => self.transfer_to_flow(id, leg, flow, out),
                    Destination::PartnerOf(other) => self.transfer_to_partner(id, leg, other, out),
                }
            }
            Err((status, why)) => {
                let what = format!("refuse the transfer to {}", to.uri).into();
                out.push(Action::Note { call: id, what, why: why.into() });
                out.push(Action::Leg(LegCommand::RefuseRefer { leg, status }));
            }
        }
    }

    fn destination(&self, leg: LegId, to: &ReferTo) -> Result<Destination, Refusal> {
        let referrer = self.legs.get(&leg).and_then(|leg| leg.agent.clone());
        let Some(agent) = referrer else {
            // RFC 3515 §5.2: a carrier could dial at our expense.
            return Err((403, "only agents may transfer".into()));
        };
        let Some(party) = self.joined_with(leg) else {
            return Err((603, "he is joined with nobody".into()));
        };
        if let Some(other) = to.replaces {
            return self.partner_to_join(leg, &agent, other);
        }
        if !to.is_here {
            return Err((403, format!("{} is not one of our hosts", to.host)));
        }
        let other = AgentId { tenant: agent.tenant.clone(), name: to.user.clone() };
        if self.rules.agents.contains(&other) {
            return Ok(Destination::Onward(Onward::Agent(other)));
        }
        if let Some(leads_to) = self.number_for(party, &to.user) {
            return self.led(leads_to, leg, &agent, &to.user);
        }
        if !routing::may_dial(&self.rules, &agent, &to.user) {
            return Err((403, format!("{agent} may not dial {}", to.user)));
        }
        match self.onward_number(&agent.tenant, &to.user) {
            Some(onward) => Ok(Destination::Onward(onward)),
            None => Err((404, format!("no route takes {}", to.user))),
        }
    }

    /// Where a number of ours leads the party, as if he had dialled it himself.
    fn number_for(&self, party: LegId, number: &str) -> Option<LeadsTo> {
        let trunk = self.legs.get(&party)?.trunk.as_ref()?;
        let numbers = &self.rules.numbers;
        routing::leads_to(numbers, trunk, number, &mut Vec::new()).cloned()
    }

    fn led(
        &self,
        leads_to: LeadsTo,
        leg: LegId,
        agent: &AgentId,
        number: &str,
    ) -> Result<Destination, Refusal> {
        match leads_to {
            LeadsTo::Agent(agent) => Ok(Destination::Onward(Onward::Agent(agent))),
            LeadsTo::Route(name) => self
                .onward_by_route(&agent.tenant, &name, number)
                .map(Destination::Onward)
                .ok_or_else(|| (404, format!("there is no route {name}"))),
            LeadsTo::Flow(flow) => {
                let call = self.legs.get(&leg).and_then(|leg| self.calls.get(&leg.call));
                match call.map(|call| &call.purpose) {
                    Some(Purpose::Inbound { .. } | Purpose::Transit(_)) => {
                        Ok(Destination::Flow(flow))
                    }
                    Some(
                        Purpose::FeatureCode { .. }
                        | Purpose::Callback { .. }
                        | Purpose::Attempt(_),
                    )
                    | None => Err((603, "a call of ours is not sent to a flow".into())),
                }
            }
        }
    }

    /// An attended transfer joins the partners of two legs of the same agent.
    fn partner_to_join(
        &self,
        leg: LegId,
        agent: &AgentId,
        other: LegId,
    ) -> Result<Destination, Refusal> {
        let found = self.legs.get(&other).filter(|other| other.agent.as_ref() == Some(agent));
        let Some(call) = found.and_then(|other| self.calls.get(&other.call)) else {
            return Err((403, "the call to be replaced is not his".into()));
        };
        let is_led_through = matches!(call.purpose, Purpose::Transit(_));
        let is_another = self.legs.get(&leg).is_some_and(|leg| leg.call != call.id);
        match is_led_through && is_another && self.joined_with(other).is_some() {
            true => Ok(Destination::PartnerOf(other)),
            false => Err((603, "nobody has answered the call to be replaced".into())),
        }
    }

    /// Whom a leg talks with, both having answered.
    fn joined_with(&self, leg: LegId) -> Option<LegId> {
        let call = self.calls.get(&self.legs.get(&leg)?.call)?;
        match call.treatment {
            Treatment::Bridged { .. } | Treatment::Through { .. } => self.partner_of(leg),
            Treatment::Setup { .. }
            | Treatment::Asking
            | Treatment::Waiting { .. }
            | Treatment::RingingAgent { .. }
            | Treatment::Reaching { .. }
            | Treatment::Transferring(_)
            | Treatment::Ending => None,
        }
    }

    fn transfer_onward(
        &mut self,
        id: CallId,
        referrer: LegId,
        onward: Onward,
        referred_by: Option<Arc<str>>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some(party) = self.joined_with(referrer) else { return };
        let Some(shown) = self.legs.get(&party).map(|leg| match leg.role {
            LegRole::Caller if leg.from.is_empty() => "anonymous".into(),
            LegRole::Caller => leg.from.clone(),
            // We rang him: what was dialled is he.
            LegRole::Agent | LegRole::Callback | LegRole::Contact | LegRole::Callee => {
                leg.to.clone()
            }
        }) else {
            return;
        };
        let Some(call) = self.calls.remove(&id) else { return };
        let ticket = match call.treatment {
            Treatment::Bridged { ticket, .. } => Some(ticket),
            _ => None,
        };
        let transfer = Transferring {
            referrer,
            referrer_waits: true,
            ticket,
            party,
            leg: referrer,
            rang: false,
            onward,
            caller: Caller { referred_by, ..Caller::shown(shown) },
        };
        // RFC 3515 §2.4.4: accepted, and told at once.
        progress(referrer, 100, out);
        self.transfer_reach(call, transfer, None, now, out);
    }

    /// Rings whoever is next; `failed` is how the one before ended.
    fn transfer_reach(
        &mut self,
        mut call: Call,
        mut transfer: Transferring,
        failed: Option<Cause>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let found = self.way_onward(&mut transfer.onward, failed, &mut Vec::new(), now);
        let (target, limits) = match found {
            Ok(found) => found,
            Err(cause) => return self.transfer_failed(call, transfer, cause, now, out),
        };
        let (role, caller) = match &target {
            Target::Trunk { trunk, .. } => {
                (LegRole::Callee, self.shown_to(trunk, &transfer.caller))
            }
            Target::Agent(agent) => {
                self.on_the_phone(agent, true);
                (LegRole::Agent, transfer.caller.clone())
            }
        };
        if failed.is_none() {
            // Nobody is left alone in silence, and the referrer hears no music.
            out.push(Action::Media(MediaCommand::Unbridge { leg: transfer.referrer }));
            music_for(&mut call, transfer.party, out);
        }
        transfer.rang = false;
        let max_forwards = MAX_FORWARDS;
        let number = target_name(&target);
        transfer.leg =
            self.ring_out(&mut call, role, target, caller, limits, max_forwards, now, out);
        self.reaching.entry(number).or_default().insert(transfer.leg);
        call.treatment = Treatment::Transferring(Box::new(transfer));
        self.calls.insert(call.id, call);
    }

    /// The telephone that rings for a transfer says how far it is; whether it was one.
    pub(crate) fn transfer_rings(
        &mut self,
        leg: LegId,
        status: u16,
        out: &mut Vec<Action>,
    ) -> bool {
        let Some(call) = self.legs.get(&leg).map(|leg| leg.call) else { return false };
        let Some(call) = self.calls.get_mut(&call) else { return false };
        let Treatment::Transferring(transfer) = &mut call.treatment else { return false };
        if transfer.leg == leg {
            transfer.rang |= status == 180;
            // RFC 6228 §4: 199 speaks of one fork only.
            if status != 199 {
                progress(transfer.referrer, status, out);
            }
        }
        true
    }

    /// Somebody takes the transferred call.
    pub(crate) fn transfer_answered(&mut self, id: CallId, leg: LegId, out: &mut Vec<Action>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Treatment::Transferring(transfer) = &call.treatment else { return };
        if transfer.leg != leg {
            return self.end_leg(leg, out);
        }
        let transfer = transfer.clone();
        call.first = transfer.party;
        call.treatment = Treatment::Through { leg };
        out.push(Action::Media(MediaCommand::Bridge { a: transfer.party, b: leg }));
        progress(transfer.referrer, 200, out);
        self.forget_reaching(leg);
        self.end_ticket(transfer.ticket);
        if transfer.referrer_waits {
            self.end_leg(transfer.referrer, out);
        }
        self.tell_joined(id, leg, "the transferred call was answered", out);
    }

    fn tell_joined(&self, id: CallId, leg: LegId, why: &'static str, out: &mut Vec<Action>) {
        let Some(leg) = self.legs.get(&leg) else { return };
        let (to, trunk) = (leg.to.clone(), leg.trunk.clone());
        out.push(Action::Note {
            call: id,
            what: format!("joined with {to}").into(),
            why: why.into(),
        });
        out.push(Action::Publish(Live::Through { call: id, to, trunk }));
    }

    /// A leg of a call that is being transferred is over. False: the call is treated as any other
    /// whose leg is over.
    pub(crate) fn transfer_leg_over(
        &mut self,
        id: CallId,
        leg: LegId,
        cause: Cause,
        now: Now,
        out: &mut Vec<Action>,
    ) -> bool {
        let Some(call) = self.calls.get_mut(&id) else { return false };
        let Treatment::Transferring(transfer) = &mut call.treatment else { return false };
        if leg == transfer.leg {
            let mut transfer = (**transfer).clone();
            let may_go_on = !transfer.rang && may_try_another(cause);
            if !may_go_on && let Onward::Number { trunks, .. } = &mut transfer.onward {
                trunks.clear();
            }
            let Some(call) = self.calls.remove(&id) else { return true };
            self.forget_reaching(leg);
            self.off_the_phone(leg);
            self.transfer_reach(call, transfer, Some(cause), now, out);
            return true;
        }
        if leg == transfer.referrer {
            // RFC 5589 §6.1: he need not wait for the outcome.
            transfer.referrer_waits = false;
            call.first = transfer.party;
            let ticket = transfer.ticket.take();
            self.end_ticket(ticket);
            self.off_the_phone(leg);
            return true;
        }
        if leg != transfer.party {
            return false;
        }
        let transfer = (**transfer).clone();
        call.treatment = Treatment::Ending;
        let is_first = call.first == leg;
        // RFC 3261 §21.4.25: given up before an answer.
        progress(transfer.referrer, 487, out);
        self.end_ticket(transfer.ticket);
        self.forget_reaching(transfer.leg);
        self.end_leg(transfer.leg, out);
        if transfer.referrer_waits {
            self.end_leg(transfer.referrer, out);
        }
        !is_first
    }

    /// Nobody takes the call: the party goes back to the referrer, or, where he has left, back in
    /// line.
    fn transfer_failed(
        &mut self,
        mut call: Call,
        transfer: Transferring,
        cause: Cause,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let (id, party, referrer) = (call.id, transfer.party, transfer.referrer);
        out.push(Action::Note {
            call: id,
            what: "nobody takes the transferred call".into(),
            why: cause.to_string().into(),
        });
        progress(referrer, refusal_of(cause), out);
        if transfer.referrer_waits {
            let leg = if call.first == party { referrer } else { party };
            call.treatment = match transfer.ticket {
                Some(ticket) => Treatment::Bridged { ticket, leg },
                None => Treatment::Through { leg },
            };
            // Nobody was rung at all: they still hear each other. One who holds takes him back first.
            let holds = self.legs.get(&referrer).is_some_and(|leg| leg.holds);
            if transfer.leg != referrer && !holds {
                out.push(Action::Media(MediaCommand::Bridge { a: party, b: referrer }));
            }
            self.calls.insert(id, call);
            return;
        }
        call.treatment = Treatment::Asking;
        let in_line = call.conversation.as_ref().and(call.queue.clone());
        self.calls.insert(id, call);
        match in_line {
            Some(queue) => self.enqueue(id, queue, 0, now),
            None => self.end_call(id, out),
        }
    }

    fn transfer_to_flow(&mut self, id: CallId, leg: LegId, flow: FlowId, out: &mut Vec<Action>) {
        let Some(party) = self.joined_with(leg) else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        let ticket = match call.treatment {
            Treatment::Bridged { ticket, .. } => Some(ticket),
            _ => None,
        };
        call.first = party;
        call.purpose = Purpose::Inbound { flow };
        call.queue = None;
        out.push(Action::Media(MediaCommand::Unbridge { leg }));
        progress(leg, 200, out);
        self.end_ticket(ticket);
        self.begin_conversation(id, out);
        self.end_leg(leg, out);
    }

    /// Joins the partners of two legs of one agent, and ends both legs (RFC 5589 §7).
    fn transfer_to_partner(&mut self, id: CallId, leg: LegId, other: LegId, out: &mut Vec<Action>) {
        let (Some(party), Some(callee)) = (self.joined_with(leg), self.joined_with(other)) else {
            return;
        };
        let Some(left) = self.legs.get(&other).map(|other| other.call) else { return };
        if let Some(left) = self.calls.get_mut(&left) {
            left.first = other;
            left.treatment = Treatment::Ending;
            left.legs_open -= 1;
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        let ticket = match call.treatment {
            Treatment::Bridged { ticket, .. } => Some(ticket),
            _ => None,
        };
        call.first = party;
        call.treatment = Treatment::Through { leg: callee };
        call.legs_open += 1;
        if let Some(moved) = self.legs.get_mut(&callee) {
            moved.call = id;
            let who = moved.agent.as_ref().map_or("callee".into(), |it| format!("agent {it}"));
            out.push(Action::TraceLeg { call: id, leg: callee, who: who.into() });
        }
        out.push(Action::Media(MediaCommand::Bridge { a: party, b: callee }));
        progress(leg, 200, out);
        self.end_ticket(ticket);
        self.end_leg(leg, out);
        self.end_leg(other, out);
        self.tell_joined(id, callee, "an agent joined both his calls and left", out);
    }

    /// A telephone changed its sound. An agent who holds gives the other music, until he is back
    /// (RFC 3264 §8.4: whoever holds listens to nobody).
    pub(crate) fn sound_changed(&mut self, leg: LegId, plan: MediaPlan, out: &mut Vec<Action>) {
        let is_held = !plan.direction.sends();
        out.push(Action::Media(MediaCommand::Connect { leg, plan }));
        let party = self.joined_with(leg);
        let Some(ours) = self.legs.get_mut(&leg).filter(|leg| leg.agent.is_some()) else { return };
        let is_new = std::mem::replace(&mut ours.holds, is_held) != is_held;
        let id = ours.call;
        let Some(party) = party.filter(|_| is_new) else { return };
        match is_held {
            true => {
                out.push(Action::Media(MediaCommand::Unbridge { leg }));
                let Some(call) = self.calls.get_mut(&id) else { return };
                music_for(call, party, out);
            }
            false => out.push(Action::Media(MediaCommand::Bridge { a: leg, b: party })),
        }
    }

    /// The agent of a queue's call has left it: he is free to write up.
    fn end_ticket(&mut self, ticket: Option<TicketId>) {
        let Some(ticket) = ticket else { return };
        self.tickets.remove(&ticket);
        self.inner.push_back(Inner::Queue(QueueEvent::TalkEnded { ticket }));
    }

    /// An agent's leg is over: unless he has another, queues may ring him again.
    pub(crate) fn off_the_phone(&mut self, leg: LegId) {
        let Some(agent) = self.legs.get(&leg).and_then(|leg| leg.agent.clone()) else { return };
        let is_his = |other: &&crate::call::Leg| {
            other.id != leg && other.agent.as_ref() == Some(&agent) && other.can_end()
        };
        if self.legs.values().find(is_his).is_none() {
            self.on_the_phone(&agent, false);
        }
    }
}

impl Destination {
    fn name(&self) -> String {
        match self {
            Self::Onward(onward) => onward.name(),
            Self::Flow(flow) => format!("flow {flow}"),
            Self::PartnerOf(leg) => format!("the partner of leg {leg}"),
        }
    }
}

fn progress(leg: LegId, status: u16, out: &mut Vec<Action>) {
    out.push(Action::Leg(LegCommand::ReferProgress { leg, status }));
}

/// Music on one leg of a call.
pub(crate) fn music_for(call: &mut Call, leg: LegId, out: &mut Vec<Action>) {
    let order = call.own_order();
    call.music = Some(order);
    out.push(Action::Play { leg, order, prompts: vec![Prompt::Music], repeat: true });
}
