//! Journey a, second part: a caller waits, an agent is rung, both hear each other, it ends.

use crate::call::{Call, Dial, Leg, Purpose, Ring, Signalling, Sound, Treatment};
use crate::event::{Action, Fact, LegRole, Live};
use crate::switchboard::{Inner, Switchboard, Timer};
use domain::cause::{Cause, EndedBy};
use domain::id::{AgentId, CallId, LegId, QueueId, TicketId};
use domain::now::Now;
use domain::phone_number::PhoneNumber;
use domain::prompt::Language;
use ivr::event::{Event as IvrEvent, QueueRefusal};
use media::event::MediaCommand;
use queue::callback::Event as CallbackEvent;
use queue::event::{
    Action as QueueAction, AgentState, Event as QueueEvent, Holder, Refusal, Ticket,
};
use sip::event::{Caller, MAX_FORWARDS, Target};
use std::sync::Arc;
use std::time::Duration;

impl Switchboard {
    pub(crate) fn queue(&mut self, event: QueueEvent, now: Now, out: &mut Vec<Action>) {
        let mut actions = Vec::new();
        self.dispatcher.handle(event, now, &mut actions);
        self.queue_actions(actions, now, out);
    }

    pub(crate) fn queues_deadline(&mut self, now: Now, out: &mut Vec<Action>) {
        let mut actions = Vec::new();
        self.dispatcher.handle_deadline(now, &mut actions);
        self.queue_actions(actions, now, out);
    }

    fn queue_actions(&mut self, actions: Vec<QueueAction>, now: Now, out: &mut Vec<Action>) {
        for action in actions {
            match action {
                QueueAction::Admitted { ticket, position, estimate } => {
                    self.admitted(ticket, position, estimate, now, out);
                }
                QueueAction::Refused { ticket, reason } => self.refused(ticket, reason, out),
                QueueAction::Assigned { ticket, agent, ring_for, why } => {
                    let ring = Ring { ticket, agent, ring_for };
                    self.assigned(ring, &why, now, out);
                }
                QueueAction::Announce { ticket, position, estimate } => {
                    self.announce(ticket, position, estimate, out);
                }
                QueueAction::WaitedTooLong { ticket } => self.waited_too_long(ticket, out),
                QueueAction::AgentChanged { agent, state } => {
                    self.agent_changed(agent, state, out);
                }
            }
        }
        self.timers.update(&Timer::Queues, self.dispatcher.deadline());
    }

    /// A conversation hands its caller to a queue.
    pub(crate) fn enqueue(&mut self, id: CallId, queue: QueueId, priority: u8, now: Now) {
        let ticket = TicketId(self.ids.next_number());
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.queue = Some(queue.clone());
        // The first queue of a call fixes the place of its caller; a second keeps it.
        if matches!(call.treatment, Treatment::Asking) && call.arrived_wall_ms == 0 {
            call.arrived_wall_ms = now.wall_ms;
        }
        call.treatment = Treatment::Waiting { ticket };
        self.tickets.insert(ticket, id);
        self.inner.push_back(Inner::Queue(QueueEvent::Arrived(Ticket {
            id: ticket,
            queue,
            priority,
            arrived_wall_ms: call.arrived_wall_ms,
            holder: Holder::Caller,
        })));
    }

    fn admitted(
        &mut self,
        ticket: TicketId,
        position: u32,
        estimate: Option<Duration>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some(id) = self.tickets.get(&ticket).copied() else { return };
        self.publish_queued(id, position, estimate, out);
        // Told at once: an agent may be assigned by the next action already, and a conversation that
        // never heard that its caller is in line would soon offer him something else.
        self.talk(id, IvrEvent::Queued, now, out);
        self.play_music(id, out);
    }

    fn publish_queued(
        &self,
        id: CallId,
        position: u32,
        estimate: Option<Duration>,
        out: &mut Vec<Action>,
    ) {
        let Some(queue) = self.calls.get(&id).and_then(|call| call.queue.clone()) else { return };
        let estimate_s = estimate.map(|wait| u32::try_from(wait.as_secs()).unwrap_or(u32::MAX));
        out.push(Action::Note {
            call: id,
            what: format!("wait in queue {queue}").into(),
            why: format!("{position} before him").into(),
        });
        out.push(Action::Publish(Live::Queued { call: id, queue, position, estimate_s }));
    }

    fn refused(&mut self, ticket: TicketId, reason: Refusal, out: &mut Vec<Action>) {
        if self.callback_tickets.remove(&ticket).is_some() {
            self.inner.push_back(Inner::Callback(CallbackEvent::Refused(ticket)));
            return;
        }
        let Some(id) = self.tickets.remove(&ticket) else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.treatment = Treatment::Asking;
        let reason = match reason {
            Refusal::Full => QueueRefusal::Full,
            Refusal::Closed => QueueRefusal::Closed,
            Refusal::NobodyThere => QueueRefusal::NobodyThere,
            Refusal::TooLong => QueueRefusal::TooLong,
            Refusal::Unknown => QueueRefusal::Unknown,
        };
        if let Some(queue) = call.queue.clone() {
            let reason: Arc<str> = refusal_word(reason).into();
            out.push(Action::Note {
                call: id,
                what: format!("queue {queue} refused").into(),
                why: reason.clone(),
            });
            out.push(Action::Publish(Live::QueueRefused { call: id, queue, reason }));
        }
        self.inner.push_back(Inner::Talk(id, IvrEvent::QueueRefused(reason)));
    }

    fn waited_too_long(&mut self, ticket: TicketId, out: &mut Vec<Action>) {
        let Some(id) = self.tickets.remove(&ticket) else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.treatment = Treatment::Asking;
        if call.conversation.is_none() {
            // A promise's caller: this try has failed, another will follow.
            return self.end_call(id, out);
        }
        self.inner.push_back(Inner::Talk(id, IvrEvent::QueueRefused(QueueRefusal::TooLong)));
    }

    fn announce(
        &mut self,
        ticket: TicketId,
        position: u32,
        estimate: Option<Duration>,
        out: &mut Vec<Action>,
    ) {
        let Some(id) = self.tickets.get(&ticket).copied() else { return };
        let Some(call) = self.calls.get(&id) else { return };
        if !matches!(call.treatment, Treatment::Waiting { .. }) {
            return;
        }
        let language = self.queue_language(call);
        let text = place_text(language, position, estimate);
        self.say(id, language, &text, out);
    }

    pub(crate) fn queue_language(&self, call: &Call) -> Language {
        call.queue
            .as_ref()
            .and_then(|queue| self.rules.queue_voices.get(queue))
            .map_or(Language::English, |voice| voice.language)
    }

    fn assigned(&mut self, ring: Ring, why: &Arc<str>, now: Now, out: &mut Vec<Action>) {
        match (self.tickets.get(&ring.ticket).copied(), self.callback_tickets.get(&ring.ticket)) {
            (Some(id), _) => {
                out.push(Action::Note {
                    call: id,
                    what: format!("ring agent {}", ring.agent).into(),
                    why: why.clone(),
                });
                self.ring_agent(id, ring, now, out);
            }
            (None, Some(_)) => self.callback_reserved(ring),
            // Its holder left within this very turn; the dispatcher hears of it next.
            (None, None) => (),
        }
    }

    /// Rings an agent's telephone for a call whose own leg is up.
    pub(crate) fn ring_agent(&mut self, id: CallId, ring: Ring, now: Now, out: &mut Vec<Action>) {
        let leg = self.new_leg_id();
        let from = self.calls.get(&id).and_then(|call| self.legs.get(&call.first)).map(|first| {
            match first.role {
                LegRole::Caller => first.from.clone(),
                // We rang him: the agent sees the number that was rung.
                LegRole::Callback | LegRole::Contact | LegRole::Agent | LegRole::Callee => {
                    first.to.clone()
                }
            }
        });
        let Some(mut call) = self.calls.remove(&id) else { return };
        let from: Arc<str> =
            from.filter(|from| !from.is_empty()).unwrap_or_else(|| "anonymous".into());
        let dial = Dial {
            target: Target::Agent(ring.agent.clone()),
            caller: Caller::shown(from.clone()),
            ring_for: ring.ring_for,
            heard_within: None,
            max_forwards: MAX_FORWARDS,
            call_id: None,
            attempt: None,
        };
        self.inner.push_back(Inner::Queue(QueueEvent::AgentRinging { ticket: ring.ticket }));
        out.push(Action::Publish(Live::AgentRung { call: id, agent: ring.agent.clone() }));
        let agent_leg = Leg {
            id: leg,
            call: id,
            role: LegRole::Agent,
            signalling: Signalling::NotBegun(Box::new(dial)),
            sound: Sound::Opening,
            sip_call_id: "".into(),
            trunk: None,
            rang: false,
            reaches: None,
            from,
            to: ring.agent.name.clone(),
            agent: Some(ring.agent.clone()),
            replaces: None,
            holds: false,
            started_wall_ms: now.wall_ms,
            answered_wall_ms: None,
            ended_wall_ms: now.wall_ms,
        };
        self.open_leg(agent_leg, &mut call, now, out);
        call.treatment = Treatment::RingingAgent { ring, leg };
        self.calls.insert(id, call);
    }

    /// The agent's leg is up: both hear each other.
    pub(crate) fn agent_answered(&mut self, id: CallId, leg: LegId, out: &mut Vec<Action>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Treatment::RingingAgent { ring, leg: rung } = &call.treatment else {
            return self.end_leg(leg, out);
        };
        if *rung != leg {
            return self.end_leg(leg, out);
        }
        let (ticket, agent) = (ring.ticket, ring.agent.clone());
        call.treatment = Treatment::Bridged { ticket, leg };
        out.push(Action::Media(MediaCommand::StopListening { leg: call.first }));
        out.push(Action::Media(MediaCommand::Bridge { a: call.first, b: leg }));
        out.push(Action::Note {
            call: id,
            what: format!("joined with agent {agent}").into(),
            why: "his telephone was answered".into(),
        });
        out.push(Action::Publish(Live::Bridged { call: id, agent }));
        self.inner.push_back(Inner::Queue(QueueEvent::AgentAnswered { ticket }));
        match &mut call.purpose {
            Purpose::Callback { .. } => {
                self.callback_tickets.remove(&ticket);
                self.inner.push_back(Inner::Callback(CallbackEvent::Joined(ticket)));
            }
            Purpose::Attempt(attempt) => attempt.joined_agent = true,
            Purpose::Inbound { .. } => self.served(id),
            Purpose::FeatureCode { .. } | Purpose::Transit(_) => (),
        }
    }

    /// A caller is being served: a promise he still holds of the same queue is done with.
    fn served(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let number = self.legs.get(&call.first).and_then(|leg| PhoneNumber::parse(&leg.from).ok());
        if let (Some(queue), Some(number)) = (call.queue.clone(), number) {
            self.cancel_promise_of(&queue, &number);
        }
    }

    /// The agent's leg is over: before an answer another is rung, after it the call ends.
    pub(crate) fn agent_over(
        &mut self,
        id: CallId,
        leg: LegId,
        cause: Cause,
        out: &mut Vec<Action>,
    ) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        match &call.treatment {
            Treatment::RingingAgent { ring, leg: rung } if *rung == leg => {
                let (ticket, agent) = (ring.ticket, ring.agent.clone());
                call.treatment = Treatment::Waiting { ticket };
                out.push(Action::Note {
                    call: id,
                    what: format!("agent {agent} did not take the call").into(),
                    why: cause.to_string().into(),
                });
                self.inner.push_back(Inner::Queue(QueueEvent::AgentDidNotAnswer { ticket }));
            }
            Treatment::Bridged { ticket, leg: joined } if *joined == leg => {
                let ticket = *ticket;
                call.treatment = Treatment::Ending;
                self.tickets.remove(&ticket);
                self.inner.push_back(Inner::Queue(QueueEvent::TalkEnded { ticket }));
                self.end_call(id, out);
            }
            Treatment::Through { leg: joined } if *joined == leg => {
                call.treatment = Treatment::Ending;
                self.end_call(id, out);
            }
            // An earlier agent's leg, already replaced or given up.
            Treatment::Setup { .. }
            | Treatment::Asking
            | Treatment::Waiting { .. }
            | Treatment::RingingAgent { .. }
            | Treatment::Bridged { .. }
            | Treatment::Reaching { .. }
            | Treatment::Through { .. }
            | Treatment::Transferring(_)
            | Treatment::Ending => (),
        }
    }

    /// The call is over while it was treated so: its ticket, its agent and his leg are let go.
    pub(crate) fn leave_queue(
        &mut self,
        id: CallId,
        treatment: Treatment,
        cause: Cause,
        out: &mut Vec<Action>,
    ) {
        let (ticket, leg, event): (_, _, fn(TicketId) -> QueueEvent) = match treatment {
            Treatment::Reaching { leg, .. } | Treatment::Through { leg } => {
                return self.end_leg_because(leg, Some(cause.q850), out);
            }
            Treatment::Waiting { ticket } => (ticket, None, QueueEvent::Left),
            Treatment::RingingAgent { ring, leg } => (ring.ticket, Some(leg), QueueEvent::Left),
            Treatment::Bridged { ticket, leg } => {
                (ticket, Some(leg), |ticket| QueueEvent::TalkEnded { ticket })
            }
            Treatment::Setup { then: Some(ring) } => {
                (ring.ticket, None, |ticket| QueueEvent::ReservationReleased { ticket })
            }
            // `transfer` lets go of all of it before.
            Treatment::Transferring(_)
            | Treatment::Setup { then: None }
            | Treatment::Asking
            | Treatment::Ending => return,
        };
        self.tickets.remove(&ticket);
        self.inner.push_back(Inner::Queue(event(ticket)));
        if let Some(leg) = leg {
            self.end_leg(leg, out);
        }
        if cause.by == EndedBy::Peer && leg.is_none() {
            out.push(Action::Note {
                call: id,
                what: "left the queue".into(),
                why: "the caller hung up".into(),
            });
        }
    }

    fn agent_changed(&mut self, agent: AgentId, state: AgentState, out: &mut Vec<Action>) {
        out.push(Action::Publish(Live::AgentChanged {
            agent: agent.clone(),
            state: state.clone(),
        }));
        // What is kept for the next start is what the agent said, not what he is busy with.
        let keep = match &state {
            AgentState::LoggedOut | AgentState::Available { .. } | AgentState::Paused { .. } => {
                true
            }
            AgentState::Reserved { .. }
            | AgentState::Ringing { .. }
            | AgentState::Talking { .. }
            | AgentState::WrapUp => false,
        };
        if keep {
            self.journal.note(vec![Fact::Agent { agent, state }], out);
        }
    }
}

/// The word for a refusal in records and events.
pub(crate) fn refusal_word(reason: QueueRefusal) -> &'static str {
    match reason {
        QueueRefusal::Full => "full",
        QueueRefusal::Closed => "closed",
        QueueRefusal::NobodyThere => "nobody there",
        QueueRefusal::TooLong => "too long",
        QueueRefusal::Unknown => "unknown queue",
    }
}

/// What a waiting caller is told. Minutes are rounded up, so that the truth is never worse than
/// what was said by the rounding alone.
fn place_text(language: Language, position: u32, estimate: Option<Duration>) -> String {
    let minutes = estimate.map(|wait| wait.as_secs().div_ceil(60).max(1));
    match (language, minutes) {
        (Language::English, None) => {
            format!("You are number {} in line. Please stay on the line.", position + 1)
        }
        (Language::English, Some(1)) => {
            format!("You are number {} in line. It will take about a minute.", position + 1)
        }
        (Language::English, Some(minutes)) => format!(
            "You are number {} in line. It will take about {minutes} minutes.",
            position + 1
        ),
        (Language::Mandarin, None) => format!("您排在第{}位，请不要挂机。", position + 1),
        (Language::Mandarin, Some(minutes)) => {
            format!("您排在第{}位，大约需要等待{minutes}分钟。", position + 1)
        }
    }
}
