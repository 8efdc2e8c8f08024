//! Journey b: from a promise to a bridge.

use crate::call::{Purpose, Ring, Treatment};
use crate::decisions::Question;
use crate::dialling::{Refused, dialled_leg, rejected_of};
use crate::event::{Action, Fact, LegRole, Live, Reply};
use crate::journal::Waiting;
use crate::switchboard::{Inner, Switchboard, Timer};
use domain::cause::{Cause, CauseKind, EndedBy};
use domain::id::{CallId, CallbackId, LegId, QueueId, RequestId, TenantId, TicketId};
use domain::now::Now;
use domain::phone_number::PhoneNumber;
use domain::prompt::Language;
use ivr::conversation::Conversation;
use ivr::event::Event as IvrEvent;
use queue::callback::{Action as CallbackAction, Event as CallbackEvent, Made};
use queue::event::{CallbackState, Event as QueueEvent, Promise};
use sip::event::{Caller, MAX_FORWARDS};
use std::sync::Arc;
use std::time::Duration;
use trunk::route::{Asked, RouteRequest, RouteSource, Test};

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
        if !self.leads_back(&queue, &number, now) {
            // Offered only when it can be kept.
            let reason = format!("no trunk leads back from queue {queue} to {number}").into();
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
        let was_told_no = |talk: &Conversation| !talk.progress().promised && !talk.awaits_promise();
        if conversation.is_some_and(was_told_no) {
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
        // The next start keeps what is not begun at an end.
        let queue = queue.filter(|_| !self.is_draining());
        let random = self.ids.next_number();
        let request = queue.as_ref().and_then(|queue| self.way_back(queue, &number, random));
        let question = callback_question(&ring.agent.tenant, callback, &number);
        let way = request.map(|request| self.way(request, now));
        let mut way = match way {
            Some(Ok(way)) => way,
            // Not this try's fault, so it does not count.
            refused => {
                if let Some(Err(decision)) = refused {
                    let status = Refused::by(&decision).status;
                    self.refused_with(question, status, rejected_of(&decision), now, out);
                }
                self.callback_tickets.remove(&ticket);
                self.inner.push_back(Inner::Callback(CallbackEvent::TryFailed(ticket)));
                self.inner.push_back(Inner::Queue(QueueEvent::ReservationReleased { ticket }));
                return;
            }
        };
        let way_out = self.way_out(&mut way, None, &Caller::default(), now);
        // Between the two nothing else took a channel: it is there.
        let Ok(mut found) = way_out.to else { return };
        found.ring_for = ring_for;
        self.inner.push_back(Inner::Callback(CallbackEvent::Dialling(ticket)));
        let tenant = ring.agent.tenant.clone();
        let purpose = Purpose::Callback { ticket, way: Box::new(way), ring_for };
        let mut call = self.new_call(tenant, purpose, found.leg, now);
        call.queue = queue;
        out.push(Action::Note {
            call: call.id,
            what: format!("keep callback {callback}").into(),
            why: format!("agent {} is reserved for it", ring.agent).into(),
        });
        let question = Question { call: Some(call.id), ..question };
        self.decided(question, way_out.chosen, way_out.rejected, now, out);
        call.treatment = Treatment::Setup { then: Some(ring) };
        self.tickets.insert(ticket, call.id);
        let leg = dialled_leg(&call, LegRole::Callback, found, MAX_FORWARDS, now);
        self.begin_call(call, leg, now, out);
    }

    /// A promise's caller was not reached: whether the next trunk rings him, his agent being held
    /// still.
    pub(crate) fn callback_goes_on(
        &mut self,
        id: CallId,
        leg: LegId,
        cause: Cause,
        now: Now,
        out: &mut Vec<Action>,
    ) -> bool {
        let Some(failed) = self.legs.get(&leg).map(|leg| (cause, leg.rang)) else { return false };
        let Some(call) = self.calls.get_mut(&id) else { return false };
        let (Purpose::Callback { way, ring_for, .. }, Treatment::Setup { then: Some(ring) }) =
            (&call.purpose, &call.treatment)
        else {
            return false;
        };
        let (mut way, tenant) = (way.clone(), ring.agent.tenant.clone());
        let ring_for = *ring_for;
        let way_out = self.way_out(&mut way, Some(failed), &Caller::default(), now);
        let source = format!("callback of call {id}").into();
        let (from, to) = (way.request.caller.clone(), way.request.dialled.clone());
        let sip_call_id = "".into();
        let question = Question { call: Some(id), sip_call_id, tenant, source, from, to };
        let mut found = match way_out.to {
            Ok(found) => found,
            Err(no_way) => {
                // What was taken back by us was not refused by anybody.
                if cause.kind != CauseKind::Cancelled || cause.by != EndedBy::Us {
                    let status = no_way.refused.status;
                    self.refused_with(question, status, way_out.rejected, now, out);
                }
                return false;
            }
        };
        found.ring_for = ring_for;
        self.decided(question, way_out.chosen, way_out.rejected, now, out);
        let Some(mut call) = self.calls.remove(&id) else { return false };
        call.first = found.leg;
        if let Purpose::Callback { way: last, .. } = &mut call.purpose {
            *last = way;
        }
        self.ring_out(&mut call, LegRole::Callback, found, MAX_FORWARDS, now, out);
        self.calls.insert(id, call);
        true
    }

    /// Whether some route or trunk leads back to a number, now or when what stands against it now has
    /// passed: caps, health, registration, hours.
    fn leads_back(&self, queue: &QueueId, number: &PhoneNumber, now: Now) -> bool {
        let Some(request) = self.way_back(queue, number, 0) else { return false };
        let decision = self.carriers.route(&request, now);
        let saw = |is: fn(Test) -> bool| decision.rejected.iter().any(|it| is(it.test));
        // A route that is shut now stands before the one that refuses then.
        let stays = saw(|test| test.stays() && test != Test::Permit)
            || (saw(|test| test == Test::Permit) && !saw(|test| test == Test::Hours));
        // What was not kept of a long list may be such a ground.
        let passes = saw(Test::passes) || decision.rejected_more > 0;
        decision.chosen.is_some() || (passes && !stays)
    }

    /// How a promise's caller is dialled; `None`: the queue is gone.
    fn way_back(&self, queue: &QueueId, number: &PhoneNumber, random: u64) -> Option<RouteRequest> {
        let voice = self.rules.queue_voices.get(queue)?;
        let caller_id = voice.callback_caller_id.as_ref();
        Some(RouteRequest {
            tenant: queue.tenant.clone(),
            from: RouteSource::Callback,
            caller: caller_id.map_or("", PhoneNumber::as_str).into(),
            private: false,
            dialled: number.as_str().into(),
            asked: voice.callback_trunk.clone().map_or(Asked::Any, Asked::Trunk),
            second_ring: true,
            random,
        })
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

fn callback_question(tenant: &TenantId, callback: CallbackId, number: &PhoneNumber) -> Question {
    Question {
        call: None,
        sip_call_id: "".into(),
        tenant: tenant.clone(),
        source: format!("callback {callback}").into(),
        from: "".into(),
        to: number.as_str().into(),
    }
}
