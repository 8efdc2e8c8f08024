//! The book of promises: each is kept, reported broken, or cancelled, and exactly one of them.
//!
//! ```text
//! promise ─► (not on disk) ─stored─► Promised ──due: ticket, then agent──► Reserved
//!                │ not stored          ▲   │ expired                          │ dial
//!                ▼                     │   ▼                                  ▼
//!             forgotten       try left │ Broken ◄── no try left, expired ── Dialling ──joined──► Kept
//!                                      └──────────── not reached ─────────────┘
//! ```
//! `Cancelled` can follow any state that is not final. A promise that comes due takes a ticket in
//! its caller's old place; a ticket is one try, and a new try has a new one, so that a late word
//! about an old try is known by its ticket and ignored. One person has one place per queue: who
//! asks again is told of the promise he has.
//!
//! Calls nothing. Called by the switchboard, which carries tickets to the dispatcher, dials when
//! told to, and puts every `Save` on disk.

use crate::event::{CallbackState, Holder, Promise, Ticket};
use domain::id::{CallbackId, IdSource, QueueId, TicketId};
use domain::now::Now;
use domain::phone_number::PhoneNumber;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// The wall clock may be set: while promises are open the book looks at it this often.
const WALL_CLOCK_CHECK: Duration = Duration::from_secs(60);

/// How promises are kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CallbackRules {
    /// Time between a failed try and the next: 5 min by default.
    pub gap: Duration,
    /// Tries in all: 3 by default; 0 counts as 1.
    pub tries_max: u8,
    /// How long a promise is held, from when it may first be tried.
    pub lifetime: Duration,
    /// How long the caller's telephone rings.
    pub ring_for: Duration,
    /// The priority of its tickets: 0 keeps the old place, neither jumping nor starving the line.
    pub priority: u8,
    /// The most promises open at once; beyond it none is made.
    pub open_max: u32,
}

/// What happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// A new promise is on disk: from now on it comes due.
    Stored(CallbackId),
    /// It is not and will not be: it was never made.
    NotStored(CallbackId),
    /// The dispatcher has assigned an agent to this ticket. Once the caller is on the line (his
    /// first agent did not answer) another assignment changes nothing here.
    AgentReserved(TicketId),
    /// The caller's telephone is about to be rung: the try counts.
    Dialling(TicketId),
    /// This try has failed: not reached, a machine, or gone before an agent was there; or, before
    /// `Dialling`, it could not be dialled (then it does not count). The ticket is gone.
    TryFailed(TicketId),
    /// The queue of this ticket is no more.
    Refused(TicketId),
    /// Both hear each other.
    Joined(TicketId),
    /// Withdrawn through the API, or the caller rang again and is served.
    Cancel(CallbackId),
}

/// What to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Put the promise on disk as it now stands, and tell the world. Of a new promise the book
    /// wants to hear `Stored` or `NotStored`.
    Save(Promise),
    /// This ticket arrives at the dispatcher.
    Arrive(Ticket),
    /// This ticket leaves the dispatcher; if its caller is being rung, stop.
    Leave(TicketId),
    /// Ring the caller; say `Dialling` when it begins, `TryFailed` if it cannot.
    Dial {
        /// The try.
        ticket: TicketId,
        /// The promise.
        callback: CallbackId,
        /// Whom.
        number: PhoneNumber,
        /// How long.
        ring_for: Duration,
    },
}

/// What became of a wish for a call back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Made {
    /// A new promise; it may be said aloud once it is on disk.
    New(Promise),
    /// The same person holds this promise of the same queue already. `stored` says whether it may
    /// be said aloud now.
    Present {
        /// It, with the place it has.
        promise: Promise,
        /// On disk.
        stored: bool,
    },
}

/// No promise was made: as many are open as may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("as many callbacks are open as may be")]
pub struct BookFull;

/// All open promises.
#[derive(Clone, Debug)]
pub struct Callbacks {
    rules: CallbackRules,
    open: BTreeMap<CallbackId, Open>,
    by_person: BTreeMap<(QueueId, PhoneNumber), CallbackId>,
    by_ticket: BTreeMap<TicketId, CallbackId>,
    /// When each is to be looked at, on the wall clock.
    due: BTreeSet<(u64, CallbackId)>,
    wake: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Open {
    promise: Promise,
    stored: bool,
    ticket: Option<TicketId>,
    /// Its entry in `due`.
    look_at_wall_ms: Option<u64>,
}

impl Callbacks {
    /// An empty book.
    pub fn new(rules: CallbackRules) -> Self {
        Self {
            rules,
            open: BTreeMap::new(),
            by_person: BTreeMap::new(),
            by_ticket: BTreeMap::new(),
            due: BTreeSet::new(),
            wake: None,
        }
    }

    /// Makes a promise, unless the same person has one of the same queue. `promise` names id,
    /// queue, number, place and earliest time; an `expires_wall_ms` of 0 means by the rules; tries
    /// and state are set here.
    ///
    /// # Errors
    /// [`BookFull`]: nothing was promised.
    pub fn promise(
        &mut self,
        mut promise: Promise,
        now: Now,
        out: &mut Vec<Action>,
    ) -> Result<Made, BookFull> {
        if let Some(present) = self.present(&promise) {
            return Ok(present);
        }
        if self.open.len() >= self.rules.open_max as usize {
            return Err(BookFull);
        }
        self.set_expiry(&mut promise, now);
        promise.state = CallbackState::Promised;
        promise.tries = 0;
        out.push(Action::Save(promise.clone()));
        self.enter_book(promise.clone(), false);
        self.set_wake(now);
        Ok(Made::New(promise))
    }

    /// Takes a promise that is on disk already: made through the API. If the same person has one
    /// of the same queue, or the book is full, the row on disk is cancelled.
    ///
    /// # Errors
    /// [`BookFull`]: it was cancelled.
    pub fn adopt(
        &mut self,
        promise: Promise,
        now: Now,
        out: &mut Vec<Action>,
    ) -> Result<Made, BookFull> {
        let refused = match self.present(&promise) {
            Some(Made::Present { promise: present, .. }) if present.id == promise.id => {
                return Ok(Made::Present { promise: present, stored: true });
            }
            Some(present) => Ok(present),
            None if self.open.len() >= self.rules.open_max as usize => Err(BookFull),
            None => {
                self.restore(promise.clone(), now, out);
                return Ok(Made::New(promise));
            }
        };
        out.push(Action::Save(Promise { state: CallbackState::Cancelled, ..promise }));
        refused
    }

    /// Takes a promise back after a restart, however many there are: it was made. One that was
    /// being tried waits the usual gap first, for its caller may have been reached. A second one of
    /// the same person and queue is cancelled.
    pub fn restore(&mut self, mut promise: Promise, now: Now, out: &mut Vec<Action>) {
        if promise.state.is_final() {
            return;
        }
        if self.present(&promise).is_some() {
            out.push(Action::Save(Promise { state: CallbackState::Cancelled, ..promise }));
            return;
        }
        if promise.tries > 0 || promise.state != CallbackState::Promised {
            let after_gap = now.wall_ms.saturating_add(milliseconds(self.rules.gap));
            promise.not_before_wall_ms = promise.not_before_wall_ms.max(after_gap);
        }
        promise.state = CallbackState::Promised;
        self.set_expiry(&mut promise, now);
        self.enter_book(promise, true);
        self.set_wake(now);
    }

    /// Takes one event. Those about unknown promises or past tries are ignored.
    pub fn handle(&mut self, event: Event, now: Now, out: &mut Vec<Action>) {
        match event {
            Event::Stored(id) => {
                if let Some(open) = self.open.get_mut(&id) {
                    open.stored = true;
                    self.plan(id);
                }
            }
            Event::NotStored(id) => {
                if self.open.get(&id).is_some_and(|open| !open.stored) {
                    self.forget(id);
                }
            }
            Event::AgentReserved(ticket) => self.reserve(ticket, out),
            Event::Dialling(ticket) => {
                if let Some(open) = self.tried_by(ticket)
                    && open.promise.state == CallbackState::Reserved
                {
                    open.promise.tries = open.promise.tries.saturating_add(1);
                    open.promise.state = CallbackState::Dialling;
                    out.push(Action::Save(open.promise.clone()));
                }
            }
            Event::TryFailed(ticket) => self.try_failed(ticket, now, out),
            Event::Refused(ticket) => self.end(ticket, CallbackState::Broken, out),
            Event::Joined(ticket) => self.end(ticket, CallbackState::Kept, out),
            Event::Cancel(id) => self.give_up(id, CallbackState::Cancelled, out),
        }
        self.set_wake(now);
    }

    /// Does what is due: tickets for promises whose time has come, an end to expired ones. `ids`
    /// numbers the tickets.
    pub fn handle_deadline(&mut self, now: Now, ids: &mut IdSource, out: &mut Vec<Action>) {
        while let Some(&(at, id)) = self.due.first() {
            if at > now.wall_ms {
                break;
            }
            let Some(open) = self.open.get_mut(&id) else { break };
            let no_try_left = open.promise.tries >= self.rules.tries_max.max(1);
            if no_try_left || open.promise.expires_wall_ms <= now.wall_ms {
                self.give_up(id, CallbackState::Broken, out);
                continue;
            }
            let ticket = TicketId(ids.next_number());
            open.ticket = Some(ticket);
            self.by_ticket.insert(ticket, id);
            out.push(Action::Arrive(Ticket {
                id: ticket,
                queue: open.promise.queue.clone(),
                priority: self.rules.priority,
                arrived_wall_ms: open.promise.arrived_wall_ms,
                holder: Holder::Callback(id),
            }));
            self.plan(id);
        }
        self.set_wake(now);
    }

    /// The earliest deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.wake
    }

    /// An open promise.
    pub fn get(&self, id: CallbackId) -> Option<&Promise> {
        self.open.get(&id).map(|open| &open.promise)
    }

    /// The open promise that `number` holds in `queue`.
    pub fn find(&self, queue: &QueueId, number: &PhoneNumber) -> Option<&Promise> {
        self.get(*self.by_person.get(&(queue.clone(), number.clone()))?)
    }

    /// The promise whose present try this ticket is.
    pub fn of_ticket(&self, ticket: TicketId) -> Option<&Promise> {
        self.get(*self.by_ticket.get(&ticket)?)
    }

    /// The ticket of a promise's present try.
    pub fn ticket_of(&self, id: CallbackId) -> Option<TicketId> {
        self.open.get(&id)?.ticket
    }

    /// All open promises, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Promise> {
        self.open.values().map(|open| &open.promise)
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn present(&self, promise: &Promise) -> Option<Made> {
        let person = (promise.queue.clone(), promise.number.clone());
        let id = self.by_person.get(&person).copied();
        // A number given twice is the same promise, whatever the second one says.
        let open = self.open.get(&id.unwrap_or(promise.id))?;
        Some(Made::Present { promise: open.promise.clone(), stored: open.stored })
    }

    /// An expiry of 0 means by the rules.
    fn set_expiry(&self, promise: &mut Promise, now: Now) {
        if promise.expires_wall_ms == 0 {
            let first = promise.not_before_wall_ms.max(now.wall_ms);
            promise.expires_wall_ms = first.saturating_add(milliseconds(self.rules.lifetime));
        }
    }

    fn enter_book(&mut self, promise: Promise, stored: bool) {
        let id = promise.id;
        self.by_person.insert((promise.queue.clone(), promise.number.clone()), id);
        self.open.insert(id, Open { promise, stored, ticket: None, look_at_wall_ms: None });
        self.plan(id);
    }

    fn reserve(&mut self, ticket: TicketId, out: &mut Vec<Action>) {
        let ring_for = self.rules.ring_for;
        let Some(open) = self.tried_by(ticket) else { return };
        if open.promise.state != CallbackState::Promised {
            return;
        }
        open.promise.state = CallbackState::Reserved;
        let Promise { id: callback, number, .. } = open.promise.clone();
        out.push(Action::Save(open.promise.clone()));
        out.push(Action::Dial { ticket, callback, number, ring_for });
        self.plan(callback);
    }

    fn try_failed(&mut self, ticket: TicketId, now: Now, out: &mut Vec<Action>) {
        let Some(id) = self.by_ticket.remove(&ticket) else { return };
        let (gap, tries_max) = (milliseconds(self.rules.gap), self.rules.tries_max.max(1));
        let Some(open) = self.open.get_mut(&id) else { return };
        open.ticket = None;
        let again_at = now.wall_ms.saturating_add(gap);
        if open.promise.tries >= tries_max || again_at >= open.promise.expires_wall_ms {
            return self.give_up(id, CallbackState::Broken, out);
        }
        open.promise.state = CallbackState::Promised;
        open.promise.not_before_wall_ms = again_at;
        out.push(Action::Save(open.promise.clone()));
        self.plan(id);
    }

    /// The try's ticket has left the dispatcher by itself.
    fn end(&mut self, ticket: TicketId, state: CallbackState, out: &mut Vec<Action>) {
        let Some(id) = self.by_ticket.remove(&ticket) else { return };
        if let Some(open) = self.open.get_mut(&id) {
            open.ticket = None;
        }
        self.give_up(id, state, out);
    }

    /// Ends a promise; a ticket still in line is withdrawn.
    fn give_up(&mut self, id: CallbackId, state: CallbackState, out: &mut Vec<Action>) {
        let Some(mut open) = self.forget(id) else { return };
        if let Some(ticket) = open.ticket {
            out.push(Action::Leave(ticket));
        }
        open.promise.state = state;
        out.push(Action::Save(open.promise));
    }

    fn forget(&mut self, id: CallbackId) -> Option<Open> {
        let open = self.open.remove(&id)?;
        self.by_person.remove(&(open.promise.queue.clone(), open.promise.number.clone()));
        if let Some(ticket) = open.ticket {
            self.by_ticket.remove(&ticket);
        }
        if let Some(at) = open.look_at_wall_ms {
            self.due.remove(&(at, id));
        }
        Some(open)
    }

    fn tried_by(&mut self, ticket: TicketId) -> Option<&mut Open> {
        self.open.get_mut(self.by_ticket.get(&ticket)?)
    }

    /// Notes when a promise is to be looked at next. A try under way is not cut off by expiry.
    fn plan(&mut self, id: CallbackId) {
        let tries_max = self.rules.tries_max.max(1);
        let Some(open) = self.open.get_mut(&id) else { return };
        let Promise { not_before_wall_ms, expires_wall_ms, tries, state, .. } = open.promise;
        let at = match state {
            CallbackState::Promised if !open.stored => None,
            CallbackState::Promised if tries >= tries_max => Some(0),
            CallbackState::Promised if open.ticket.is_some() => Some(expires_wall_ms),
            CallbackState::Promised => Some(not_before_wall_ms.min(expires_wall_ms)),
            CallbackState::Reserved
            | CallbackState::Dialling
            | CallbackState::Kept
            | CallbackState::Broken
            | CallbackState::Cancelled => None,
        };
        if let Some(before) = std::mem::replace(&mut open.look_at_wall_ms, at) {
            self.due.remove(&(before, id));
        }
        if let Some(at) = at {
            self.due.insert((at, id));
        }
    }

    fn set_wake(&mut self, now: Now) {
        self.wake =
            self.due.first().map(|(at, _)| now.instant_of(*at).min(now.instant + WALL_CLOCK_CHECK));
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
