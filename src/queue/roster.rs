//! All agents, and who of them is free longest in each queue.
//!
//! Calls `agent`. Called by `dispatcher`.

use crate::agent::{Agent, Event};
use crate::event::{Action, AgentState, QueueRules};
use domain::id::AgentId;
use domain::now::Now;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// An agent's number in the roster: its index in the order of `AgentId`.
pub type Seat = usize;
/// A queue's number: its index in the rules.
pub type Desk = usize;

/// All agents of all queues.
#[derive(Clone, Debug)]
pub struct Roster {
    seats: Vec<Occupied>,
    by_id: BTreeMap<AgentId, Seat>,
    desks: Vec<Staff>,
    next_turn: u64,
}

/// One agent at his seat.
#[derive(Clone, Debug)]
struct Occupied {
    id: AgentId,
    agent: Agent,
    desks: Vec<Desk>,
    /// Smaller is free longer. Kept while he is held for a caller who then leaves.
    turn: u64,
    work: Option<Work>,
}

/// The call he is busy with.
#[derive(Clone, Copy, Debug)]
struct Work {
    desk: Desk,
    began: Instant,
    talked: bool,
}

/// The agents of one queue.
#[derive(Clone, Debug, Default)]
struct Staff {
    idle: BTreeSet<(u64, Seat)>,
    logged_in: u32,
    serving: u32,
}

/// A call has left an agent free again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Handled {
    /// For which queue it was.
    pub desk: Desk,
    /// How long it kept him, ringing and wrap-up included.
    pub time: Duration,
}

impl Roster {
    /// Everybody named in `rules`, logged out.
    pub fn new(rules: &[QueueRules]) -> Self {
        let mut memberships: BTreeMap<AgentId, Vec<Desk>> = BTreeMap::new();
        for (desk, rules) in rules.iter().enumerate() {
            for agent in &rules.agents {
                let desks = memberships.entry(agent.clone()).or_default();
                if desks.last() != Some(&desk) {
                    desks.push(desk);
                }
            }
        }
        let seats: Vec<_> = memberships
            .into_iter()
            .map(|(id, desks)| Occupied { id, agent: Agent::default(), desks, turn: 0, work: None })
            .collect();
        let by_id = seats.iter().enumerate().map(|(seat, it)| (it.id.clone(), seat)).collect();
        Self { seats, by_id, desks: vec![Staff::default(); rules.len()], next_turn: 0 }
    }

    /// Where `agent` sits, if he serves any queue.
    pub fn seat(&self, agent: &AgentId) -> Option<Seat> {
        self.by_id.get(agent).copied()
    }

    /// Who sits there.
    pub fn id(&self, seat: Seat) -> &AgentId {
        &self.seats[seat].id
    }

    /// The agent who sits there.
    pub fn agent(&self, seat: Seat) -> &Agent {
        &self.seats[seat].agent
    }

    /// The queues he serves.
    pub fn desks(&self, seat: Seat) -> &[Desk] {
        &self.seats[seat].desks
    }

    /// Everybody, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&AgentId, &AgentState)> {
        self.seats.iter().map(|it| (&it.id, it.agent.state()))
    }

    /// The one who is free longest in a queue.
    pub fn idle_longest(&self, desk: Desk) -> Option<Seat> {
        self.desks[desk].idle.first().map(|(_, seat)| *seat)
    }

    /// How many are free in a queue.
    pub fn idle(&self, desk: Desk) -> usize {
        self.desks[desk].idle.len()
    }

    /// How many are logged in to a queue, paused or not.
    pub fn logged_in(&self, desk: Desk) -> u32 {
        self.desks[desk].logged_in
    }

    /// Through how many the line of a queue moves.
    pub fn serving(&self, desk: Desk) -> u32 {
        self.desks[desk].serving
    }

    /// Notes for which queue the agent is now held.
    pub fn begin_work(&mut self, seat: Seat, desk: Desk, now: Now) {
        self.seats[seat].work = Some(Work { desk, began: now.instant, talked: false });
    }

    /// Hands an event to one agent and keeps the books; tells when his state has changed, and
    /// returns the call that he has done with, if a talk took place.
    pub fn handle(
        &mut self,
        seat: Seat,
        event: Event,
        now: Now,
        out: &mut Vec<Action>,
    ) -> Option<Handled> {
        let keeps_turn = event == Event::Released;
        let before = self.seats[seat].agent.clone();
        self.seats[seat].agent.handle(event, now);
        let after = self.seats[seat].agent.clone();

        let was_idle_at = self.seats[seat].turn;
        if is_free(&after) && !is_free(&before) && !keeps_turn {
            self.next_turn += 1;
            self.seats[seat].turn = self.next_turn;
        }
        self.keep_books(seat, was_idle_at, &before, &after);
        if after.state() != before.state() {
            let agent = self.seats[seat].id.clone();
            out.push(Action::AgentChanged { agent, state: after.state().clone() });
        }
        self.end_work(seat, &after, now)
    }

    fn keep_books(&mut self, seat: Seat, was_idle_at: u64, before: &Agent, after: &Agent) {
        let Occupied { desks, turn, .. } = &self.seats[seat];
        for desk in desks {
            let staff = &mut self.desks[*desk];
            if before.is_idle() {
                staff.idle.remove(&(was_idle_at, seat));
            }
            if after.is_idle() {
                staff.idle.insert((*turn, seat));
            }
            staff.logged_in += u32::from(after.is_logged_in());
            staff.logged_in -= u32::from(before.is_logged_in());
            staff.serving += u32::from(after.is_serving());
            staff.serving -= u32::from(before.is_serving());
        }
    }

    fn end_work(&mut self, seat: Seat, after: &Agent, now: Now) -> Option<Handled> {
        match after.state() {
            AgentState::Talking { .. } => {
                self.seats[seat].work.as_mut()?.talked = true;
                None
            }
            AgentState::Reserved { .. } | AgentState::Ringing { .. } | AgentState::WrapUp => None,
            AgentState::LoggedOut | AgentState::Available { .. } | AgentState::Paused { .. } => {
                let work = self.seats[seat].work.take()?;
                let time = now.instant.saturating_duration_since(work.began);
                work.talked.then_some(Handled { desk: work.desk, time })
            }
        }
    }
}

fn is_free(agent: &Agent) -> bool {
    matches!(agent.state(), AgentState::Available { .. })
}
