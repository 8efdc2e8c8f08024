//! A free agent meets the right ticket.
//!
//! ```text
//!          admitted           agent chosen            agent took it        talk ended
//! Arrived ─────────► Waiting ─────────────► Held ─────────────────► Talking ─────────► gone
//!    │ refused          ▲ │ hung up,          │ agent did not answer
//!    ▼                  │ ▼ waited too long   │ (the place is kept)
//!   gone                │ gone                │
//!                       └─────────────────────┘
//! ```
//! Two rules decide everything. A ticket takes the agent of its queue who has been free longest;
//! one who has just let it ring has been free shortest and is so the last choice. An agent who
//! becomes free takes the most urgent ticket over all his queues: priority, then arrival. After
//! every event no queue has both a waiting ticket and a free agent.
//!
//! Each `Assigned` is answered by the exchange with one of `AgentAnswered`, `AgentDidNotAnswer`,
//! `ReservationReleased` or `Left`: the ring limit is the leg's, and two clocks for one ring would
//! one day disagree.
//!
//! Calls `admission`, `waiting_line`, `wait_estimate`, `roster`. Called by the switchboard.

use crate::admission::{self, Facts};
use crate::agent;
use crate::event::{Action, AgentState, Event, Holder, QueueRules, Refusal, Ticket};
use crate::roster::{Desk, Roster, Seat};
use crate::wait_estimate::WaitEstimate;
use crate::waiting_line::{Place, WaitingLine};
use domain::id::{AgentId, QueueId, TicketId};
use domain::now::Now;
use domain::timers::TimerQueue;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// All queues and their agents.
#[derive(Clone, Debug)]
pub struct Dispatcher {
    queues: Vec<Queue>,
    by_id: BTreeMap<QueueId, Desk>,
    roster: Roster,
    tickets: BTreeMap<TicketId, Held>,
    timers: TimerQueue<Timer>,
}

/// One queue.
#[derive(Clone, Debug)]
struct Queue {
    rules: QueueRules,
    /// All who have not yet met their agent: the place counts those too whose agent is being rung.
    line: WaitingLine,
    /// Those of the line who have no agent yet.
    waiting: BTreeSet<Place>,
    callers: u32,
    closed_by_hand: bool,
    estimate: WaitEstimate,
    /// Queues that share agents with this one, and which share of their agents.
    neighbours: Vec<(Desk, f64)>,
}

/// One ticket, from its admission to the end of the talk.
#[derive(Clone, Debug)]
struct Held {
    ticket: Ticket,
    desk: Desk,
    stage: Stage,
    since: Instant,
    /// Somebody is on the line and hears announcements: at once for a caller, once his agent has
    /// been rung for a callback.
    on_line: bool,
    gives_up_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Waiting,
    Held { seat: Seat },
    Talking { seat: Seat },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
enum Timer {
    /// Tell him where he stands.
    Announce(TicketId),
    /// He waited as long as the queue allows.
    WaitedTooLong(TicketId),
    /// The time for writing up is over.
    WrapUp(Seat),
}

/// Where a ticket is, for live views.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Whereabouts {
    /// In line, no agent chosen.
    Waiting,
    /// This agent is reserved or rung for it.
    Held(AgentId),
    /// It talks with this agent.
    Talking(AgentId),
}

/// A queue at a glance, for live views.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QueueView {
    /// Callers in line; those whose agent is being rung count.
    pub callers: u32,
    /// Callbacks in line.
    pub callbacks: u32,
    /// When the first in line took his place, Unix milliseconds.
    pub oldest_wall_ms: Option<u64>,
    /// Agents logged in, paused or not.
    pub logged_in: u32,
    /// Agents free and reachable.
    pub idle: u32,
    /// Whether it takes callers now, by its hours and by hand.
    pub open: bool,
    /// The estimated wait of one who came now.
    pub estimate: Option<Duration>,
}

impl Dispatcher {
    /// All queues, empty, their agents logged out and without a telephone until `AgentPhone` says
    /// otherwise. Of two queues with one name the first counts.
    pub fn new(rules: Vec<QueueRules>) -> Self {
        let roster = Roster::new(&rules);
        let mut by_id = BTreeMap::new();
        for (desk, rules) in rules.iter().enumerate() {
            by_id.entry(rules.id.clone()).or_insert(desk);
        }
        let neighbours: Vec<_> = (0..rules.len()).map(|desk| neighbours(&rules, desk)).collect();
        let queues = rules
            .into_iter()
            .zip(neighbours)
            .map(|(rules, neighbours)| Queue {
                rules,
                line: WaitingLine::default(),
                waiting: BTreeSet::new(),
                callers: 0,
                closed_by_hand: false,
                estimate: WaitEstimate::default(),
                neighbours,
            })
            .collect();
        let timers = TimerQueue::default();
        Self { queues, by_id, roster, tickets: BTreeMap::new(), timers }
    }

    /// Takes one event. Those that speak of unknown tickets or agents, or come late, are ignored.
    pub fn handle(&mut self, event: Event, now: Now, out: &mut Vec<Action>) {
        match event {
            Event::Arrived(ticket) => self.arrive(ticket, now, out),
            Event::Left(ticket) => self.leave(ticket, now, out),
            Event::AgentRinging { ticket } => self.agent_rings(ticket, now, out),
            Event::AgentAnswered { ticket } => self.agent_answered(ticket, now, out),
            Event::AgentDidNotAnswer { ticket } => self.agent_did_not_answer(ticket, now, out),
            Event::TalkEnded { ticket } => self.talk_ended(ticket, now, out),
            Event::ReservationReleased { ticket } => self.leave(ticket, now, out),
            Event::AgentSays { agent, says } => {
                if let Some(seat) = self.roster.seat(&agent) {
                    self.tell_agent(seat, agent::Event::Says(says), now, out);
                    self.offer_agent(seat, now, out);
                }
            }
            Event::AgentPhone { agent, reachable } => {
                if let Some(seat) = self.roster.seat(&agent) {
                    self.tell_agent(seat, agent::Event::Phone { reachable }, now, out);
                    self.offer_agent(seat, now, out);
                }
            }
            Event::AgentOnThePhone { agent, busy } => {
                if let Some(seat) = self.roster.seat(&agent) {
                    self.tell_agent(seat, agent::Event::OnThePhone { busy }, now, out);
                    self.offer_agent(seat, now, out);
                }
            }
            Event::SetOpen { queue, open } => {
                if let Some(desk) = self.by_id.get(&queue) {
                    self.queues[*desk].closed_by_hand = !open;
                }
            }
        }
    }

    /// Does what is due.
    pub fn handle_deadline(&mut self, now: Now, out: &mut Vec<Action>) {
        while let Some(timer) = self.timers.expire(now.instant) {
            match timer {
                Timer::Announce(ticket) => self.announce(ticket, now, out),
                Timer::WaitedTooLong(ticket) => self.waited_too_long(ticket, now, out),
                Timer::WrapUp(seat) => {
                    self.tell_agent(seat, agent::Event::WrapUpOver, now, out);
                    self.offer_agent(seat, now, out);
                }
            }
        }
    }

    /// The earliest deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    fn arrive(&mut self, ticket: Ticket, now: Now, out: &mut Vec<Action>) {
        // Only a bug of ours gives a number twice; the ticket in hand is the one that counts.
        if self.tickets.contains_key(&ticket.id) {
            return;
        }
        let Some(&desk) = self.by_id.get(&ticket.queue) else {
            out.push(Action::Refused { ticket: ticket.id, reason: Refusal::Unknown });
            return;
        };
        let place = Place::of(&ticket);
        let estimate = self.estimate_at(desk, place);
        let queue = &mut self.queues[desk];
        let facts = Facts {
            closed_by_hand: queue.closed_by_hand,
            wall_ms: now.wall_ms,
            callers: queue.callers,
            logged_in: self.roster.logged_in(desk),
            agent_free: self.roster.idle(desk) > 0,
            estimate,
        };
        if let Err(reason) = admission::admit(ticket.holder, &queue.rules, &facts) {
            out.push(Action::Refused { ticket: ticket.id, reason });
            return;
        }
        let (id, on_line) = (ticket.id, ticket.holder == Holder::Caller);
        queue.line.insert(place);
        queue.waiting.insert(place);
        queue.callers += u32::from(on_line);
        out.push(Action::Admitted { ticket: id, position: queue.line.before(place), estimate });
        let since = now.instant;
        let held = Held { ticket, desk, stage: Stage::Waiting, since, on_line, gives_up_at: None };
        self.tickets.insert(id, held);
        if on_line {
            self.begin_waiting_on_line(id, now);
        }
        self.offer_ticket(desk, now, out);
    }

    /// From now on somebody listens: announcements, and an end to his patience.
    fn begin_waiting_on_line(&mut self, id: TicketId, now: Now) {
        let Some(held) = self.tickets.get_mut(&id) else { return };
        let rules = &self.queues[held.desk].rules;
        held.on_line = true;
        held.since = now.instant;
        // A limit beyond the clock's own end is no limit.
        held.gives_up_at = now.instant.checked_add(rules.wait_max);
        self.timers.update(&Timer::WaitedTooLong(id), held.gives_up_at);
        if !rules.announce_every.is_zero() {
            let next = now.instant.checked_add(rules.announce_every);
            self.timers.update(&Timer::Announce(id), next);
        }
    }

    fn leave(&mut self, id: TicketId, now: Now, out: &mut Vec<Action>) {
        let Some(held) = self.tickets.get(&id) else { return };
        match held.stage {
            Stage::Waiting => {
                if let Some(waited) = self.waited_on_line(id, now) {
                    self.queues[self.tickets[&id].desk].estimate.gave_up_after(waited);
                }
                self.forget(id);
            }
            Stage::Held { seat } => {
                self.forget(id);
                self.tell_agent(seat, agent::Event::Released, now, out);
                self.offer_agent(seat, now, out);
            }
            Stage::Talking { .. } => self.talk_ended(id, now, out),
        }
    }

    fn agent_rings(&mut self, id: TicketId, now: Now, out: &mut Vec<Action>) {
        let Some(Held { stage: Stage::Held { seat }, on_line, .. }) = self.tickets.get(&id) else {
            return;
        };
        let seat = *seat;
        if !on_line {
            self.begin_waiting_on_line(id, now);
        }
        self.tell_agent(seat, agent::Event::Rings, now, out);
    }

    fn agent_answered(&mut self, id: TicketId, now: Now, out: &mut Vec<Action>) {
        let Some(Held { stage: Stage::Held { seat }, desk, .. }) = self.tickets.get(&id) else {
            return;
        };
        let (seat, desk) = (*seat, *desk);
        if let Some(waited) = self.waited_on_line(id, now) {
            self.queues[desk].estimate.waited(waited);
        }
        self.leave_line(id);
        if let Some(held) = self.tickets.get_mut(&id) {
            held.stage = Stage::Talking { seat };
        }
        self.tell_agent(seat, agent::Event::Answered, now, out);
    }

    fn agent_did_not_answer(&mut self, id: TicketId, now: Now, out: &mut Vec<Action>) {
        let Some(held) = self.tickets.get_mut(&id) else { return };
        let Stage::Held { seat } = held.stage else { return };
        let desk = held.desk;
        held.stage = Stage::Waiting;
        let too_long = held.gives_up_at.is_some_and(|at| at <= now.instant);
        let queue = &mut self.queues[desk];
        queue.waiting.insert(Place::of(&held.ticket));
        let missed_rings_max = queue.rules.missed_rings_max;
        if too_long {
            self.waited_too_long(id, now, out);
        }
        // First the others, then he: so he is the last choice for this ticket.
        self.offer_ticket(desk, now, out);
        self.tell_agent(seat, agent::Event::Missed { missed_rings_max }, now, out);
        self.offer_agent(seat, now, out);
    }

    fn talk_ended(&mut self, id: TicketId, now: Now, out: &mut Vec<Action>) {
        let Some(Held { stage: Stage::Talking { seat }, desk, .. }) = self.tickets.get(&id) else {
            return;
        };
        let (seat, wrap_up) = (*seat, self.queues[*desk].rules.wrap_up);
        self.forget(id);
        self.tell_agent(seat, agent::Event::TalkEnded { wrap_up }, now, out);
        self.offer_agent(seat, now, out);
    }

    fn announce(&mut self, id: TicketId, now: Now, out: &mut Vec<Action>) {
        let Some(held) = self.tickets.get(&id) else { return };
        let (desk, place) = (held.desk, Place::of(&held.ticket));
        let queue = &self.queues[desk];
        // Nothing is said while his agent is being rung; the rhythm goes on.
        if held.stage == Stage::Waiting {
            let estimate = self.estimate_at(desk, place);
            out.push(Action::Announce { ticket: id, position: queue.line.before(place), estimate });
        }
        let next = now.instant.checked_add(queue.rules.announce_every);
        self.timers.update(&Timer::Announce(id), next);
    }

    /// His agent may be being rung at this moment; then it is decided when he does not answer.
    fn waited_too_long(&mut self, id: TicketId, now: Now, out: &mut Vec<Action>) {
        let Some(Held { stage: Stage::Waiting, desk, .. }) = self.tickets.get(&id) else { return };
        let desk = *desk;
        if let Some(waited) = self.waited_on_line(id, now) {
            self.queues[desk].estimate.waited(waited);
        }
        self.forget(id);
        out.push(Action::WaitedTooLong { ticket: id });
    }

    /// A ticket has begun to wait: the agent who is free longest takes it.
    fn offer_ticket(&mut self, desk: Desk, now: Now, out: &mut Vec<Action>) {
        let Some(seat) = self.roster.idle_longest(desk) else { return };
        if let Some(place) = self.queues[desk].waiting.first().copied() {
            self.assign(place, desk, seat, now, out);
        }
    }

    /// An agent may have become free: he takes the most urgent ticket over all his queues.
    fn offer_agent(&mut self, seat: Seat, now: Now, out: &mut Vec<Action>) {
        if !self.roster.agent(seat).is_idle() {
            return;
        }
        let most_urgent = self
            .roster
            .desks(seat)
            .iter()
            .filter_map(|desk| Some((*self.queues[*desk].waiting.first()?, *desk)))
            .min();
        if let Some((place, desk)) = most_urgent {
            self.assign(place, desk, seat, now, out);
        }
    }

    fn assign(&mut self, place: Place, desk: Desk, seat: Seat, now: Now, out: &mut Vec<Action>) {
        let id = place.ticket();
        let held = self.tickets.get_mut(&id).expect("each place belongs to a ticket in hand");
        held.stage = Stage::Held { seat };
        let queue = &mut self.queues[desk];
        queue.waiting.remove(&place);
        let free_ms = now.wall_ms.saturating_sub(self.roster.agent(seat).idle_since_wall_ms());
        let why = format!("free longest: {} s, of {}", free_ms / 1000, self.roster.idle(desk));
        out.push(Action::Assigned {
            ticket: id,
            agent: self.roster.id(seat).clone(),
            ring_for: queue.rules.ring_for,
            why: why.into(),
        });
        let event = if held.on_line {
            agent::Event::AssignedCaller(id)
        } else {
            agent::Event::AssignedCallback(id)
        };
        self.roster.begin_work(seat, desk, now);
        self.tell_agent(seat, event, now, out);
    }

    /// Hands an event to an agent; what follows for the estimate and his deadline is kept here.
    fn tell_agent(&mut self, seat: Seat, event: agent::Event, now: Now, out: &mut Vec<Action>) {
        if let Some(handled) = self.roster.handle(seat, event, now, out) {
            self.queues[handled.desk].estimate.handled(handled.time);
        }
        self.timers.update(&Timer::WrapUp(seat), self.roster.agent(seat).deadline());
    }

    /// How long the holder has been listening; `None` when nobody is.
    fn waited_on_line(&self, id: TicketId, now: Now) -> Option<Duration> {
        let held = self.tickets.get(&id).filter(|held| held.on_line)?;
        Some(now.instant.saturating_duration_since(held.since))
    }

    /// The ticket needs its place no more.
    fn leave_line(&mut self, id: TicketId) {
        let Some(held) = self.tickets.get(&id) else { return };
        if matches!(held.stage, Stage::Talking { .. }) {
            return;
        }
        let (place, queue) = (Place::of(&held.ticket), &mut self.queues[held.desk]);
        queue.line.remove(place);
        queue.waiting.remove(&place);
        queue.callers -= u32::from(held.ticket.holder == Holder::Caller);
        self.timers.update(&Timer::Announce(id), None);
        self.timers.update(&Timer::WaitedTooLong(id), None);
    }

    fn forget(&mut self, id: TicketId) {
        self.leave_line(id);
        self.tickets.remove(&id);
    }

    /// The estimated wait at a place of a queue: zero when an agent is free for it. Callers of
    /// other queues who are more urgent count as far as they take agents of this one.
    fn estimate_at(&self, desk: Desk, place: Place) -> Option<Duration> {
        let queue = &self.queues[desk];
        if self.roster.idle(desk) > 0 {
            return Some(Duration::ZERO);
        }
        let others: f64 = queue
            .neighbours
            .iter()
            .map(|(other, share)| f64::from(self.queues[*other].line.before(place)) * share)
            .sum();
        let ahead = f64::from(queue.line.before(place)) + others;
        queue.estimate.wait(ahead, self.roster.serving(desk))
    }
}

/// What others may look at.
impl Dispatcher {
    /// A ticket in hand: waiting, held or talking.
    pub fn ticket(&self, id: TicketId) -> Option<&Ticket> {
        self.tickets.get(&id).map(|held| &held.ticket)
    }

    /// Where a ticket in hand is.
    pub fn whereabouts(&self, id: TicketId) -> Option<Whereabouts> {
        Some(match self.tickets.get(&id)?.stage {
            Stage::Waiting => Whereabouts::Waiting,
            Stage::Held { seat } => Whereabouts::Held(self.roster.id(seat).clone()),
            Stage::Talking { seat } => Whereabouts::Talking(self.roster.id(seat).clone()),
        })
    }

    /// How many are before a ticket in line, those whose agent is being rung included; `None` when
    /// it is not in line.
    pub fn position(&self, id: TicketId) -> Option<u32> {
        let held = self.tickets.get(&id)?;
        match held.stage {
            Stage::Waiting | Stage::Held { .. } => {
                Some(self.queues[held.desk].line.before(Place::of(&held.ticket)))
            }
            Stage::Talking { .. } => None,
        }
    }

    /// The estimated wait of a ticket in line; `None` also when there is no honest estimate.
    pub fn estimate(&self, id: TicketId) -> Option<Duration> {
        let held = self.tickets.get(&id)?;
        self.estimate_at(held.desk, Place::of(&held.ticket))
    }

    /// The tickets in line of a queue, the first to be served first; those whose agent is being
    /// rung are in it still. Empty for an unknown queue.
    pub fn waiting(&self, queue: &QueueId) -> impl Iterator<Item = &Ticket> {
        let desk = self.by_id.get(queue);
        let line = desk.into_iter().flat_map(|desk| self.queues[*desk].line.iter());
        line.filter_map(|place| self.ticket(place.ticket()))
    }

    /// A queue at a glance; `None` when there is none of that name.
    pub fn queue(&self, queue: &QueueId, now: Now) -> Option<QueueView> {
        let desk = *self.by_id.get(queue)?;
        let queue = &self.queues[desk];
        let first = queue.line.iter().next().and_then(|place| self.ticket(place.ticket()));
        let newcomer = Place::of(&Ticket {
            id: TicketId(u64::MAX),
            queue: queue.rules.id.clone(),
            priority: 0,
            arrived_wall_ms: now.wall_ms,
            holder: Holder::Caller,
        });
        Some(QueueView {
            callers: queue.callers,
            callbacks: queue.line.len() - queue.callers,
            oldest_wall_ms: first.map(|ticket| ticket.arrived_wall_ms),
            logged_in: self.roster.logged_in(desk),
            idle: u32::try_from(self.roster.idle(desk)).unwrap_or(u32::MAX),
            open: !queue.closed_by_hand && admission::is_open(&queue.rules, now.wall_ms),
            estimate: self.estimate_at(desk, newcomer),
        })
    }

    /// The rules of all queues, in the order given.
    pub fn rules(&self) -> impl Iterator<Item = &QueueRules> {
        self.queues.iter().map(|queue| &queue.rules)
    }

    /// All agents of all queues and what they are doing, in the order of their names.
    pub fn agents(&self) -> impl Iterator<Item = (&AgentId, &AgentState)> {
        self.roster.iter()
    }

    /// What an agent is doing; `None` when he serves no queue.
    pub fn agent(&self, agent: &AgentId) -> Option<&AgentState> {
        self.roster.seat(agent).map(|seat| self.roster.agent(seat).state())
    }

    /// The zone of a queue has changed its offset (summer time).
    pub fn set_utc_offset(&mut self, queue: &QueueId, utc_offset_min: i16) {
        if let Some(desk) = self.by_id.get(queue) {
            self.queues[*desk].rules.utc_offset_min = utc_offset_min;
        }
    }
}

/// The queues that share agents with `desk`, and which share of their agents.
fn neighbours(rules: &[QueueRules], desk: Desk) -> Vec<(Desk, f64)> {
    let own: BTreeSet<_> = rules[desk].agents.iter().collect();
    let others = rules.iter().enumerate().filter(|(other, _)| *other != desk);
    others
        .filter_map(|(other, rules)| {
            let theirs: BTreeSet<_> = rules.agents.iter().collect();
            let shared = theirs.intersection(&own).count();
            (shared > 0).then(|| (other, shared as f64 / theirs.len() as f64))
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests;
