//! Journey b: from a promise to a bridge.

use crate::call::{Dial, Leg, Purpose, Ring, Signalling, Sound, Treatment};
use crate::event::{Action, Fact, LegRole, Live, Reply};
use crate::journal::Waiting;
use crate::switchboard::{Inner, Switchboard, Timer};
use domain::id::{CallId, CallbackId, QueueId, RequestId, TicketId};
use domain::now::Now;
use domain::phone_number::PhoneNumber;
use domain::prompt::Language;
use ivr::event::Event as IvrEvent;
use queue::callback::{Action as CallbackAction, Event as CallbackEvent, Made};
use queue::event::{CallbackState, Event as QueueEvent, Promise};
use sip::event::{Caller, MAX_FORWARDS, Target};
use std::sync::Arc;
use std::time::Duration;

/// Whoever is promised a call is still on the line: called at once, he would be busy with us.
const HANGS_UP_WITHIN_MS: u64 = 20_000;

impl Switchboard {
    pub(crate) fn callback(&mut self, event: CallbackEvent, now: Now, out: &mut Vec<Action>) {
        let mut actions = Vec::new();
        self.callbacks.handle(event, now, &mut actions);
        self.callback_actions(actions, None, now, out);
    }

    pub(crate) fn callbacks_deadline(&mut self, now: Now, out: &mut Vec<Action>) {
        let mut actions = Vec::new();
        self.callbacks.handle_deadline(now, &mut self.ids, &mut actions);
        self.callback_actions(actions, None, now, out);
    }

    /// Carries out what the book of promises wants. `waiting` waits for the first thing saved.
    fn callback_actions(
        &mut self,
        actions: Vec<CallbackAction>,
        mut waiting: Option<Waiting>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        for action in actions {
            match action {
                CallbackAction::Save(promise) => self.save_promise(promise, waiting.take(), out),
                CallbackAction::Arrive(ticket) => {
                    if let queue::event::Holder::Callback(callback) = ticket.holder {
                        self.callback_tickets.insert(ticket.id, callback);
                    }
                    self.inner.push_back(Inner::Queue(QueueEvent::Arrived(ticket)));
                }
                CallbackAction::Leave(ticket) => self.withdraw(ticket, out),
                CallbackAction::Dial { ticket, callback, number, ring_for } => {
                    self.dial_promise(ticket, callback, number, ring_for, now, out);
                }
            }
        }
        self.timers.update(&Timer::Callbacks, self.callbacks.deadline());
    }

    fn save_promise(&mut self, promise: Promise, waiting: Option<Waiting>, out: &mut Vec<Action>) {
        let facts = vec![Fact::Promise(promise.clone())];
        match waiting {
            // It is told to the world once it is on disk.
            Some(waiting @ Waiting::Promise { .. }) => self.journal.store(waiting, facts, out),
            Some(waiting) => {
                self.journal.store(waiting, facts, out);
                out.push(Action::Publish(Live::CallbackChanged(promise)));
            }
            None => {
                self.journal.note(facts, out);
                out.push(Action::Publish(Live::CallbackChanged(promise)));
            }
        }
    }

    /// A conversation promises its caller a call back.
    pub(crate) fn promise(
        &mut self,
        call: CallId,
        queue: QueueId,
        number: PhoneNumber,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some(arrived_wall_ms) = self.calls.get(&call).map(|call| call.arrived_wall_ms) else {
            return;
        };
        let reachable = self.rules.queue_voices.get(&queue).and_then(|voice| {
            voice.callback_trunk.as_ref().filter(|trunk| self.rules.trunks.contains_key(trunk))
        });
        if reachable.is_none() {
            // Offered only when it can be kept.
            let reason = format!("queue {queue} has no trunk to call back through").into();
            self.inner.push_back(Inner::Talk(call, IvrEvent::PromiseRefused { reason }));
            return;
        }
        let promise = Promise {
            id: CallbackId(self.ids.next_number()),
            queue,
            number,
            arrived_wall_ms,
            not_before_wall_ms: now.wall_ms + HANGS_UP_WITHIN_MS,
            expires_wall_ms: 0,
            tries: 0,
            state: CallbackState::Promised,
        };
        let mut actions = Vec::new();
        match self.callbacks.promise(promise, now, &mut actions) {
            Ok(Made::New(promise)) => {
                let promise = Box::new(promise);
                let waiting = Some(Waiting::Promise { call, promise });
                self.callback_actions(actions, waiting, now, out);
            }
            // One person, one place: he keeps the one he has.
            Ok(Made::Present { stored: true, .. }) => {
                self.inner.push_back(Inner::Talk(call, IvrEvent::PromiseStored));
            }
            Ok(Made::Present { promise, stored: false }) => {
                let waiting = Waiting::Promise { call, promise: Box::new(promise.clone()) };
                self.save_promise(promise, Some(waiting), out);
            }
            Err(full) => {
                let reason = full.to_string().into();
                self.inner.push_back(Inner::Talk(call, IvrEvent::PromiseRefused { reason }));
            }
        }
    }

    /// The promise is on disk: now it may be told. A caller who hung up meanwhile has said yes to it;
    /// one who was already told that we cannot call back is not called.
    pub(crate) fn promise_stored(
        &mut self,
        call: CallId,
        promise: Promise,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        out.push(Action::Note {
            call,
            what: format!("callback {} promised", promise.id).into(),
            why: "the promise is on disk".into(),
        });
        let id = promise.id;
        self.inner.push_back(Inner::Callback(CallbackEvent::Stored(id)));
        out.push(Action::Publish(Live::CallbackChanged(promise)));
        self.talk(call, IvrEvent::PromiseStored, now, out);
        let conversation = self.calls.get(&call).and_then(|call| call.conversation.as_ref());
        if conversation.is_some_and(|talk| !talk.progress().promised) {
            self.inner.push_back(Inner::Callback(CallbackEvent::Cancel(id)));
        }
    }

    /// It is not: it was never made.
    pub(crate) fn promise_not_stored(&mut self, call: CallId, id: CallbackId, reason: Arc<str>) {
        self.inner.push_back(Inner::Callback(CallbackEvent::NotStored(id)));
        self.inner.push_back(Inner::Talk(call, IvrEvent::PromiseRefused { reason }));
    }

    /// Takes a promise made through the API, already on disk.
    pub(crate) fn adopt_promise(&mut self, promise: Promise, now: Now, out: &mut Vec<Action>) {
        let mut actions = Vec::new();
        out.push(Action::Publish(Live::CallbackChanged(promise.clone())));
        // If the book is full, the row on disk is cancelled by an action of the same call.
        let _ = self.callbacks.adopt(promise, now, &mut actions);
        self.callback_actions(actions, None, now, out);
    }

    /// Takes a promise back after a restart.
    pub(crate) fn restore_promise(&mut self, promise: Promise, now: Now, out: &mut Vec<Action>) {
        let mut actions = Vec::new();
        self.callbacks.restore(promise, now, &mut actions);
        self.callback_actions(actions, None, now, out);
    }

    pub(crate) fn cancel_callback(
        &mut self,
        request: RequestId,
        id: CallbackId,
        now: Now,
        out: &mut Vec<Action>,
    ) -> Option<Reply> {
        if self.callbacks.get(id).is_none() {
            return Some(Reply::NotFound);
        }
        let mut actions = Vec::new();
        self.callbacks.handle(CallbackEvent::Cancel(id), now, &mut actions);
        self.callback_actions(actions, Some(Waiting::Request(request)), now, out);
        None
    }

    /// Somebody with an open promise of this queue rang again and is served: it is kept no more.
    pub(crate) fn cancel_promise_of(&mut self, queue: &QueueId, number: &PhoneNumber) {
        if let Some(promise) = self.callbacks.find(queue, number) {
            self.inner.push_back(Inner::Callback(CallbackEvent::Cancel(promise.id)));
        }
    }

    /// An agent was found for a promise's ticket: he is held while its caller is rung.
    pub(crate) fn callback_reserved(&mut self, ring: Ring) {
        let ticket = ring.ticket;
        self.reserved.insert(ticket, ring);
        self.inner.push_back(Inner::Callback(CallbackEvent::AgentReserved(ticket)));
    }

    fn dial_promise(
        &mut self,
        ticket: TicketId,
        callback: CallbackId,
        number: PhoneNumber,
        ring_for: Duration,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some(ring) = self.reserved.remove(&ticket) else { return };
        let queue = self.callbacks.get(callback).map(|promise| promise.queue.clone());
        let Some((dial, trunk)) =
            queue.as_ref().and_then(|queue| self.callback_dial(queue, &number, ring_for, now))
        else {
            // No trunk, its caps are reached, or we are ending: not this try's fault, so it does
            // not count.
            self.callback_tickets.remove(&ticket);
            self.inner.push_back(Inner::Callback(CallbackEvent::TryFailed(ticket)));
            self.inner.push_back(Inner::Queue(QueueEvent::ReservationReleased { ticket }));
            return;
        };
        self.inner.push_back(Inner::Callback(CallbackEvent::Dialling(ticket)));
        let id = self.new_leg_id();
        let tenant = ring.agent.tenant.clone();
        let mut call = self.new_call(tenant, Purpose::Callback { ticket }, id, now);
        call.queue = queue;
        out.push(Action::Note {
            call: call.id,
            what: format!("keep callback {callback}").into(),
            why: format!("agent {} is reserved for it", ring.agent).into(),
        });
        call.treatment = Treatment::Setup { then: Some(ring) };
        self.tickets.insert(ticket, call.id);
        let leg = Leg {
            id,
            call: call.id,
            role: LegRole::Callback,
            from: dial.caller.user.clone(),
            to: number.as_str().into(),
            signalling: Signalling::NotBegun(Box::new(dial)),
            sound: Sound::Opening,
            sip_call_id: "".into(),
            trunk: Some(trunk),
            holds_channel: true,
            agent: None,
            replaces: None,
            holds: false,
            started_wall_ms: now.wall_ms,
            answered_wall_ms: None,
            ended_wall_ms: now.wall_ms,
        };
        self.begin_call(call, leg, now, out);
    }

    /// How a promise's caller is dialled; `None` when the queue's trunk is gone or at its caps, or no
    /// new call may begin.
    fn callback_dial(
        &mut self,
        queue: &QueueId,
        number: &PhoneNumber,
        ring_for: Duration,
        now: Now,
    ) -> Option<(Dial, domain::id::TrunkId)> {
        if self.is_draining() {
            // The next start keeps it.
            return None;
        }
        let voice = self.rules.queue_voices.get(queue)?;
        let trunk_id = voice.callback_trunk.clone()?;
        let trunk = self.rules.trunks.get(&trunk_id)?;
        let caller_id = voice.callback_caller_id.as_ref().or(trunk.caller_id.as_ref());
        let from_user: Arc<str> = caller_id.map_or("anonymous", PhoneNumber::as_str).into();
        let hop = self.hop_of(&trunk_id, now)?;
        let target = Target::Trunk { trunk: trunk_id.clone(), hop, user: number.as_str().into() };
        if !self.trunks.get_mut(&trunk_id)?.take(now.instant) {
            return None;
        }
        let caller = Caller::shown(from_user);
        Some((
            Dial {
                target,
                caller,
                ring_for,
                heard_within: None,
                max_forwards: MAX_FORWARDS,
                call_id: None,
                attempt: None,
            },
            trunk_id,
        ))
    }

    /// The caller took the call: the reserved agent is rung.
    pub(crate) fn callback_answered(&mut self, id: CallId, now: Now, out: &mut Vec<Action>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let treatment = std::mem::replace(&mut call.treatment, Treatment::Asking);
        let Treatment::Setup { then: Some(ring) } = treatment else {
            call.treatment = treatment;
            return;
        };
        let language =
            self.calls.get(&id).map_or(Language::English, |call| self.queue_language(call));
        let text = match language {
            Language::English => {
                "Hello, this is the call back that you asked for. I am connecting you now."
            }
            Language::Mandarin => "您好，这是您预约的回电。现在为您接通客服。",
        };
        self.say(id, language, text, out);
        self.ring_agent(id, ring, now, out);
    }

    /// The call of a promise is over without its caller having met an agent: the try has failed.
    pub(crate) fn callback_call_over(&mut self, ticket: TicketId) {
        self.callback_tickets.remove(&ticket);
        // Ignored by the book once both were joined.
        self.inner.push_back(Inner::Callback(CallbackEvent::TryFailed(ticket)));
    }

    /// A promise is withdrawn: its ticket leaves the line, and a telephone that rings for it stops.
    fn withdraw(&mut self, ticket: TicketId, out: &mut Vec<Action>) {
        self.callback_tickets.remove(&ticket);
        self.reserved.remove(&ticket);
        match self.tickets.get(&ticket).copied() {
            Some(call) => self.end_call(call, out),
            None => self.inner.push_back(Inner::Queue(QueueEvent::Left(ticket))),
        }
    }
}
