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
//! Where somebody may be sent is decided in `destination`; a trunk that does transfers itself is
//! asked in `handing`.

use crate::call::{Call, Onward, Purpose, Treatment};
use crate::decisions::Question;
use crate::destination::Destination;
use crate::event::{Action, LegRole, Live, Rejected};
use crate::routing::reject;
use crate::switchboard::{Inner, Switchboard};
use crate::transit::refusal_of;
use domain::cause::Cause;
use domain::id::{CallId, FlowId, LegId, TicketId};
use domain::media_plan::MediaPlan;
use domain::now::Now;
use domain::prompt::Prompt;
use media::event::MediaCommand;
use queue::event::Event as QueueEvent;
use sip::event::{Caller, LegCommand, MAX_FORWARDS, ReferTo};
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
    /// Whether its agent is the one who is sent on.
    ticket_stays: bool,
    /// The leg of the one who is transferred.
    pub(crate) party: LegId,
    /// What is tried for him.
    pub(crate) attempt: Attempt,
    /// Whether it was heard to ring.
    pub(crate) rang: bool,
    /// Whether he has music, and the referrer silence.
    parted: bool,
    pub(crate) onward: Onward,
    caller: Caller,
    /// What the decisions answer.
    pub(crate) question: Question,
    /// What was tried in vain.
    pub(crate) tried: Vec<Rejected>,
}

/// What is tried for somebody who is transferred.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Attempt {
    /// Nothing yet.
    None,
    /// This leg rings for him.
    Rings(LegId),
    /// His own trunk was asked by REFER; whether it was heard to take it.
    Referred { heard: bool },
}

impl Attempt {
    fn rings(self, leg: LegId) -> bool {
        self == Self::Rings(leg)
    }
}

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
        let mut rejected = Vec::new();
        let Some(question) = self.question_of_transfer(id, leg, to) else { return };
        let random = self.ids.next_number();
        match self.destination(leg, to, (random, now), &mut rejected) {
            Ok(destination) => {
                let chosen = format!("transfer to {}", destination.name()).into();
                self.decided(question.clone(), chosen, rejected, now, out);
                match destination {
                    Destination::Onward(onward) => {
                        self.transfer_onward((id, leg), onward, referred_by, question, now, out);
                    }
                    Destination::Flow(flow) => self.transfer_to_flow(id, leg, flow, out),
                    Destination::PartnerOf(other) => self.transfer_to_partner(id, leg, other, out),
                    Destination::RingingFor(other) => {
                        self.transfer_to_ringing((id, leg), other, referred_by, question, out);
                    }
                }
            }
            Err((status, test, why)) => {
                reject(&mut rejected, || format!("transfer to {}", to.uri), test, || why);
                self.refused_with(question, status, rejected, now, out);
                out.push(Action::Leg(LegCommand::RefuseRefer { leg, status }));
            }
        }
    }

    fn question_of_transfer(&self, id: CallId, leg: LegId, to: &ReferTo) -> Option<Question> {
        let tenant = self.calls.get(&id)?.tenant.clone();
        let leg = self.legs.get(&leg)?;
        let source = match (&leg.agent, &leg.trunk) {
            (Some(agent), _) => format!("REFER of agent {}", agent.name),
            (None, Some(trunk)) => format!("REFER of trunk {}", trunk.name),
            (None, None) => "REFER".to_owned(),
        };
        let party = self.joined_with(leg.id);
        Some(Question {
            call: Some(id),
            sip_call_id: leg.sip_call_id.clone(),
            tenant,
            source: source.into(),
            from: party.and_then(|party| self.number_of(party)).unwrap_or_default(),
            to: if to.user.is_empty() { to.uri.clone() } else { to.user.clone() },
        })
    }

    /// By what number somebody is known who is sent on; empty where he shows none.
    pub(crate) fn number_of(&self, party: LegId) -> Option<Arc<str>> {
        self.legs.get(&party).map(|leg| match leg.role {
            LegRole::Caller => leg.from.clone(),
            // We rang him: what was dialled is he.
            LegRole::Agent | LegRole::Callback | LegRole::Contact | LegRole::Callee => {
                leg.to.clone()
            }
        })
    }

    /// Whom a leg talks with, both having answered.
    pub(crate) fn joined_with(&self, leg: LegId) -> Option<LegId> {
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
        (id, referrer): (CallId, LegId),
        onward: Onward,
        referred_by: Option<Arc<str>>,
        question: Question,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let found = self.begin_transfer((id, referrer), onward, referred_by, question, out);
        let Some((call, transfer)) = found else { return };
        match self.trunk_to_hand_to(&transfer) {
            Some((trunk, number)) => self.hand_over(call, transfer, &trunk, number, now, out),
            None => self.transfer_reach(call, transfer, None, now, out),
        }
    }

    /// Takes a call out of the table to be transferred.
    fn begin_transfer(
        &mut self,
        (id, referrer): (CallId, LegId),
        onward: Onward,
        referred_by: Option<Arc<str>>,
        question: Question,
        out: &mut Vec<Action>,
    ) -> Option<(Call, Transferring)> {
        let party = self.joined_with(referrer)?;
        let shown = match self.number_of(party) {
            Some(number) if !number.is_empty() => number,
            _ => "anonymous".into(),
        };
        let call = self.calls.remove(&id)?;
        let transfer = Transferring {
            referrer,
            referrer_waits: true,
            ticket: ticket_of(&call.treatment),
            ticket_stays: !self.is_agents(referrer),
            party,
            attempt: Attempt::None,
            rang: false,
            parted: false,
            onward,
            caller: Caller { referred_by, ..Caller::shown(shown) },
            question,
            tried: Vec::new(),
        };
        // RFC 3515 §2.4.4: accepted, and told at once.
        progress(referrer, 100, out);
        Some((call, transfer))
    }

    /// The telephone that rings for another leg of the referrer's rings for the party from now on;
    /// that leg ends.
    fn transfer_to_ringing(
        &mut self,
        (id, referrer): (CallId, LegId),
        other: LegId,
        referred_by: Option<Arc<str>>,
        question: Question,
        out: &mut Vec<Action>,
    ) {
        let Some(left) = self.legs.get(&other).map(|other| other.call) else { return };
        let Some(left) = self.calls.get_mut(&left) else { return };
        let (&Treatment::Reaching { leg, rang }, Purpose::Transit(transit)) =
            (&left.treatment, &left.purpose)
        else {
            return;
        };
        let onward = transit.onward.clone();
        left.treatment = Treatment::Ending;
        left.legs_open -= 1;
        let found = self.begin_transfer((id, referrer), onward, referred_by, question, out);
        let Some((mut call, mut transfer)) = found else { return };
        part(&mut call, &mut transfer, out);
        (transfer.attempt, transfer.rang) = (Attempt::Rings(leg), rang);
        self.take_leg(leg, &mut call, out);
        call.treatment = Treatment::Transferring(Box::new(transfer));
        self.calls.insert(id, call);
        if rang {
            progress(referrer, 180, out);
        }
        self.end_leg(other, out);
    }

    /// A leg of another call is this one's from now on.
    fn take_leg(&mut self, leg: LegId, call: &mut Call, out: &mut Vec<Action>) {
        call.legs_open += 1;
        if let Some(moved) = self.legs.get_mut(&leg) {
            moved.call = call.id;
            let who = moved.agent.as_ref().map_or("callee".into(), |it| format!("agent {it}"));
            out.push(Action::TraceLeg { call: call.id, leg, who: who.into() });
        }
    }

    pub(crate) fn is_agents(&self, leg: LegId) -> bool {
        self.legs.get(&leg).is_some_and(|leg| leg.agent.is_some())
    }

    /// Rings whoever is next; `failed` is how the one before ended, and whether it was heard to ring.
    pub(crate) fn transfer_reach(
        &mut self,
        mut call: Call,
        mut transfer: Transferring,
        failed: Option<(Cause, bool)>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let way = self.way_onward(&mut transfer.onward, failed, &transfer.caller, now);
        let rejected = transfer.tried.iter().cloned().chain(way.rejected).collect();
        let question = transfer.question.clone();
        let found = match way.to {
            Ok(found) => found,
            Err(no_way) => {
                self.refused_with(question, no_way.refused.status, rejected, now, out);
                return self.transfer_failed(call, transfer, no_way.cause, now, out);
            }
        };
        part(&mut call, &mut transfer, out);
        transfer.rang = false;
        let leg = self.reach_out(&mut call, found, MAX_FORWARDS, now, out);
        transfer.attempt = Attempt::Rings(leg);
        call.treatment = Treatment::Transferring(Box::new(transfer));
        self.calls.insert(call.id, call);
        self.decided(question, way.chosen, rejected, now, out);
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
        if transfer.attempt.rings(leg) {
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
        if !transfer.attempt.rings(leg) {
            return self.end_leg(leg, out);
        }
        let transfer = transfer.clone();
        call.first = transfer.party;
        let left = join(call, leg, transfer.ticket, transfer.ticket_stays);
        out.push(Action::Media(MediaCommand::Bridge { a: transfer.party, b: leg }));
        progress(transfer.referrer, 200, out);
        self.forget_reaching(leg);
        self.end_ticket(left);
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
        if transfer.attempt.rings(leg) {
            let transfer = (**transfer).clone();
            let Some(call) = self.calls.remove(&id) else { return true };
            let rang = self.forget_reaching(leg);
            self.transfer_reach(call, transfer, Some((cause, rang)), now, out);
            return true;
        }
        if leg == transfer.referrer {
            // RFC 5589 §6.1: he need not wait for the outcome.
            transfer.referrer_waits = false;
            call.first = transfer.party;
            let left = transfer.ticket.take_if(|_| !transfer.ticket_stays);
            self.end_ticket(left);
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
        if let Attempt::Rings(rings) = transfer.attempt {
            self.forget_reaching(rings);
            self.end_leg(rings, out);
        }
        if transfer.referrer_waits {
            self.end_leg(transfer.referrer, out);
        }
        !is_first
    }

    /// Nobody takes the call: the party goes back to the referrer, or, where he has left, back in
    /// line.
    pub(crate) fn transfer_failed(
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
            if transfer.parted && !holds {
                out.push(Action::Media(MediaCommand::Bridge { a: party, b: referrer }));
            }
            self.calls.insert(id, call);
            return;
        }
        call.treatment = Treatment::Asking;
        // An agent whom his caller sent on has no line to go back to.
        let in_line = call.conversation.as_ref().and(call.queue.clone());
        let in_line = in_line.filter(|_| !self.is_agents(party));
        self.calls.insert(id, call);
        self.end_ticket(transfer.ticket);
        match in_line {
            Some(queue) => self.enqueue(id, queue, 0, now),
            None => self.end_call(id, out),
        }
    }

    fn transfer_to_flow(&mut self, id: CallId, leg: LegId, flow: FlowId, out: &mut Vec<Action>) {
        let Some(party) = self.joined_with(leg) else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        let ticket = ticket_of(&call.treatment);
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
        let ticket_stays = !self.is_agents(leg);
        let Some(mut call) = self.calls.remove(&id) else { return };
        call.first = party;
        let ticket = ticket_of(&call.treatment);
        let abandoned = join(&mut call, callee, ticket, ticket_stays);
        self.take_leg(callee, &mut call, out);
        self.calls.insert(id, call);
        out.push(Action::Media(MediaCommand::Bridge { a: party, b: callee }));
        progress(leg, 200, out);
        self.end_ticket(abandoned);
        self.end_leg(leg, out);
        self.end_leg(other, out);
        self.tell_joined(id, callee, "both calls of one end were joined, and it left", out);
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
    pub(crate) fn end_ticket(&mut self, ticket: Option<TicketId>) {
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

pub(crate) fn progress(leg: LegId, status: u16, out: &mut Vec<Action>) {
    out.push(Action::Leg(LegCommand::ReferProgress { leg, status }));
}

fn ticket_of(treatment: &Treatment) -> Option<TicketId> {
    match treatment {
        Treatment::Bridged { ticket, .. } => Some(*ticket),
        _ => None,
    }
}

/// Joins the call's first leg with another one; the ticket that its agent leaves behind, if he does.
fn join(
    call: &mut Call,
    leg: LegId,
    ticket: Option<TicketId>,
    ticket_stays: bool,
) -> Option<TicketId> {
    match ticket {
        Some(ticket) if ticket_stays => {
            call.treatment = Treatment::Bridged { ticket, leg };
            None
        }
        left => {
            call.treatment = Treatment::Through { leg };
            left
        }
    }
}

/// Nobody is left alone in silence, and the referrer hears no music.
pub(crate) fn part(call: &mut Call, transfer: &mut Transferring, out: &mut Vec<Action>) {
    if !std::mem::replace(&mut transfer.parted, true) {
        out.push(Action::Media(MediaCommand::Unbridge { leg: transfer.referrer }));
        music_for(call, transfer.party, out);
    }
}

/// Music on one leg of a call.
pub(crate) fn music_for(call: &mut Call, leg: LegId, out: &mut Vec<Action>) {
    let order = call.own_order();
    call.music = Some(order);
    out.push(Action::Play { leg, order, prompts: vec![Prompt::Music], repeat: true });
}
