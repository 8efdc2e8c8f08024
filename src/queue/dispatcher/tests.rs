//! Tables of what is told and what follows, in virtual time.

mod random_walk;

use super::*;
use crate::event::AgentSays;
use domain::id::{CallbackId, TenantId};
use domain::now::epoch;

pub(crate) fn rules(name: &str, agents: &[&str]) -> QueueRules {
    let tenant = TenantId::default();
    QueueRules {
        id: QueueId::new(&tenant, name),
        agents: agents.iter().map(|agent| AgentId::new(&tenant, agent)).collect(),
        length_max: 100,
        estimate_max: Duration::from_secs(86_400),
        wait_max: Duration::from_secs(600),
        ring_for: Duration::from_secs(15),
        wrap_up: Duration::from_secs(10),
        missed_rings_max: 2,
        announce_every: Duration::from_secs(30),
        wait_without_agents: true,
        open_minutes: vec![],
        utc_offset_min: 0,
    }
}

/// Queues and agents under test, with a clock.
pub(crate) struct Floor {
    pub(crate) dispatcher: Dispatcher,
    pub(crate) now: Now,
    out: Vec<Action>,
}

impl Floor {
    pub(crate) fn new(rules: Vec<QueueRules>) -> Self {
        Self { dispatcher: Dispatcher::new(rules), now: epoch(), out: Vec::new() }
    }

    /// These agents log in, have a telephone and are ready, in this order; it is told to nobody.
    pub(crate) fn with(mut self, agents: &[&str]) -> Self {
        for agent in agents {
            self.phone(agent, true);
            self.says(agent, AgentSays::LogIn);
            self.says(agent, AgentSays::Ready);
        }
        self.out.clear();
        self
    }

    /// Lets time pass, doing what is due when it is.
    pub(crate) fn wait(&mut self, seconds: u64) {
        let end = self.now.after(Duration::from_secs(seconds));
        while let Some(at) = self.dispatcher.deadline().filter(|at| *at <= end.instant) {
            self.now = self.now.after(at.saturating_duration_since(self.now.instant));
            self.dispatcher.handle_deadline(self.now, &mut self.out);
        }
        self.now = end;
    }

    pub(crate) fn handle(&mut self, event: Event) {
        self.dispatcher.handle(event, self.now, &mut self.out);
    }

    fn ticket(&self, id: u64, queue: &str, priority: u8, holder: Holder) -> Ticket {
        Ticket {
            id: TicketId(id),
            queue: QueueId::new(&TenantId::default(), queue),
            priority,
            arrived_wall_ms: self.now.wall_ms,
            holder,
        }
    }

    fn arrives(&mut self, id: u64, queue: &str, priority: u8) {
        let ticket = self.ticket(id, queue, priority, Holder::Caller);
        self.handle(Event::Arrived(ticket));
    }

    /// A callback whose caller first came `ago` seconds ago.
    fn callback_arrives(&mut self, id: u64, queue: &str, ago: u64) {
        let mut ticket = self.ticket(id, queue, 0, Holder::Callback(CallbackId(id)));
        ticket.arrived_wall_ms -= ago * 1000;
        self.handle(Event::Arrived(ticket));
    }

    pub(crate) fn says(&mut self, agent: &str, says: AgentSays) {
        let agent = AgentId::new(&TenantId::default(), agent);
        self.handle(Event::AgentSays { agent, says });
    }

    pub(crate) fn phone(&mut self, agent: &str, reachable: bool) {
        let agent = AgentId::new(&TenantId::default(), agent);
        self.handle(Event::AgentPhone { agent, reachable });
    }

    fn rings(&mut self, id: u64) {
        self.handle(Event::AgentRinging { ticket: TicketId(id) });
    }

    fn answers(&mut self, id: u64) {
        self.handle(Event::AgentAnswered { ticket: TicketId(id) });
    }

    fn does_not_answer(&mut self, id: u64) {
        self.handle(Event::AgentDidNotAnswer { ticket: TicketId(id) });
    }

    fn ends(&mut self, id: u64) {
        self.handle(Event::TalkEnded { ticket: TicketId(id) });
    }

    fn leaves(&mut self, id: u64) {
        self.handle(Event::Left(TicketId(id)));
    }

    /// Everything told since the last time, in short words.
    fn told(&mut self) -> Vec<String> {
        self.out.drain(..).map(|action| short(&action)).collect()
    }
}

fn seconds(estimate: Option<Duration>) -> String {
    estimate.map_or("?".to_owned(), |estimate| format!("{} s", estimate.as_secs()))
}

fn short(action: &Action) -> String {
    match action {
        Action::Admitted { ticket, position, estimate } => {
            format!("{ticket} admitted after {position}, {}", seconds(*estimate))
        }
        Action::Refused { ticket, reason } => format!("{ticket} refused: {}", reason.as_str()),
        Action::Assigned { ticket, agent, .. } => format!("{ticket} to {agent}"),
        Action::Announce { ticket, position, estimate } => {
            format!("{ticket} is after {position}, {}", seconds(*estimate))
        }
        Action::WaitedTooLong { ticket } => format!("{ticket} waited too long"),
        Action::AgentChanged { agent, state } => match state {
            AgentState::Reserved { ticket } => format!("{agent} reserved {ticket}"),
            AgentState::Ringing { ticket } => format!("{agent} ringing {ticket}"),
            AgentState::Talking { ticket } => format!("{agent} talking {ticket}"),
            AgentState::Paused { reason } => format!("{agent} paused: {reason}"),
            other => format!("{agent} {}", other.as_str()),
        },
    }
}

#[test]
fn a_caller_meets_a_free_agent_talks_and_leaves_him_to_write_up() {
    let mut floor = Floor::new(vec![rules("sales", &["anna"])]).with(&["anna"]);
    floor.wait(7);
    floor.arrives(1, "sales", 0);
    let assigned = floor.out[1].clone();
    assert_eq!(
        assigned,
        Action::Assigned {
            ticket: TicketId(1),
            agent: AgentId::new(&TenantId::default(), "anna"),
            ring_for: Duration::from_secs(15),
            why: "free longest: 7 s, of 1".into(),
        }
    );
    assert_eq!(floor.told(), ["1 admitted after 0, 0 s", "1 to anna", "anna ringing 1"]);
    floor.rings(1);
    floor.answers(1);
    assert_eq!(floor.told(), ["anna talking 1"]);
    floor.wait(100);
    floor.ends(1);
    assert_eq!(floor.told(), ["anna wrap_up"]);
    floor.wait(9);
    assert_eq!(floor.told(), [""; 0]);
    floor.wait(1);
    assert_eq!(floor.told(), ["anna available"]);
    assert_eq!(floor.dispatcher.deadline(), None);
    assert_eq!(floor.dispatcher.ticket(TicketId(1)), None);
}

#[test]
fn the_agent_free_longest_is_rung_first_even_in_the_same_instant() {
    let mut floor =
        Floor::new(vec![rules("sales", &["anna", "ben", "cleo"])]).with(&["cleo", "anna", "ben"]);
    for id in 1..=4 {
        floor.arrives(id, "sales", 0);
    }
    let told = floor.told();
    let assigned: Vec<_> = told.iter().filter(|line| line.contains(" to ")).collect();
    assert_eq!(assigned, ["1 to cleo", "2 to anna", "3 to ben"]);
    assert_eq!(floor.dispatcher.whereabouts(TicketId(4)), Some(Whereabouts::Waiting));
}

#[test]
fn urgency_comes_before_arrival_and_an_agent_serves_the_most_urgent_of_all_his_queues() {
    let mut floor = Floor::new(vec![rules("sales", &["anna"]), rules("help", &["anna", "ben"])]);
    floor.arrives(1, "sales", 0);
    floor.wait(1);
    floor.arrives(2, "help", 0);
    floor.arrives(3, "help", 5);
    floor = floor.with(&["anna"]);
    for id in [3, 1, 2] {
        let anna = AgentId::new(&TenantId::default(), "anna");
        assert_eq!(floor.dispatcher.whereabouts(TicketId(id)), Some(Whereabouts::Held(anna)));
        floor.answers(id);
        floor.ends(id);
        floor.says("anna", AgentSays::Ready);
    }
}

#[test]
fn a_ticket_whose_agent_did_not_answer_keeps_its_place_and_goes_to_another() {
    let mut floor = Floor::new(vec![rules("sales", &["anna", "ben"])]).with(&["anna", "ben"]);
    floor.arrives(1, "sales", 0);
    floor.rings(1);
    floor.wait(15);
    floor.told();
    floor.does_not_answer(1);
    assert_eq!(floor.told(), ["1 to ben", "ben ringing 1", "anna available"]);
    // Ben does not answer either: Anna, who just missed it, is the last choice but a choice.
    floor.wait(15);
    floor.does_not_answer(1);
    assert_eq!(floor.told(), ["1 to anna", "anna ringing 1", "ben available"]);
    // Her second in a row: paused. Ben again, then nobody; the place is kept all the time.
    floor.does_not_answer(1);
    assert_eq!(floor.told(), ["1 to ben", "ben ringing 1", "anna paused: no answer"]);
    floor.arrives(2, "sales", 0);
    floor.does_not_answer(1);
    assert_eq!(floor.told(), ["2 admitted after 1, 360 s", "ben paused: no answer"]);
    assert_eq!(floor.dispatcher.position(TicketId(1)), Some(0));
    floor.says("ben", AgentSays::Ready);
    assert_eq!(floor.told(), ["ben available", "1 to ben", "ben ringing 1"]);
}

#[test]
fn an_answered_call_forgets_missed_rings() {
    let mut floor = Floor::new(vec![rules("sales", &["anna"])]).with(&["anna"]);
    for id in [1, 2, 3] {
        floor.arrives(id, "sales", 0);
        floor.does_not_answer(id);
        floor.answers(id);
        floor.ends(id);
        floor.wait(10);
    }
    let paused = floor.told().into_iter().filter(|line| line.contains("paused")).count();
    assert_eq!(paused, 0);
}

#[test]
fn a_caller_who_hangs_up_while_an_agent_is_rung_costs_that_agent_nothing() {
    let mut floor = Floor::new(vec![rules("sales", &["anna", "ben"])]).with(&["anna", "ben"]);
    floor.arrives(1, "sales", 0);
    floor.wait(3);
    floor.leaves(1);
    floor.told();
    // Anna is still the one free longest, and no ring was missed by her.
    floor.arrives(2, "sales", 0);
    assert_eq!(floor.told()[1], "2 to anna");
}

#[test]
fn what_an_agent_says_in_a_call_takes_effect_at_its_end() {
    let lunch = AgentSays::Pause { reason: "lunch".into() };
    let cases = [
        (vec![lunch.clone()], "anna paused: lunch"),
        (vec![AgentSays::LogOut], "anna logged_out"),
        (vec![AgentSays::LogOut, lunch.clone()], "anna paused: lunch"),
        (vec![lunch.clone(), AgentSays::Ready], "anna wrap_up"),
        (vec![AgentSays::LogOut, AgentSays::LogIn], "anna wrap_up"),
    ];
    for (said, after) in cases {
        let mut floor = Floor::new(vec![rules("sales", &["anna"])]).with(&["anna"]);
        floor.arrives(1, "sales", 0);
        floor.answers(1);
        floor.told();
        for says in said {
            floor.says("anna", says);
        }
        assert_eq!(floor.told(), [""; 0]);
        floor.ends(1);
        assert_eq!(floor.told(), [after]);
    }
    // While ringing too: the ring is not broken off, and a missed one ends in the pause he wished.
    let mut floor = Floor::new(vec![rules("sales", &["anna"])]).with(&["anna"]);
    floor.arrives(1, "sales", 0);
    floor.says("anna", lunch);
    floor.told();
    floor.does_not_answer(1);
    assert_eq!(floor.told(), ["anna paused: lunch"]);
}

#[test]
fn more_time_for_writing_up_lasts_until_ready() {
    let mut floor = Floor::new(vec![rules("sales", &["anna"])]).with(&["anna"]);
    floor.arrives(1, "sales", 0);
    floor.answers(1);
    floor.says("anna", AgentSays::ExtendWrapUp);
    floor.ends(1);
    floor.wait(3_600);
    floor.told();
    floor.says("anna", AgentSays::Ready);
    assert_eq!(floor.told(), ["anna available"]);
}

#[test]
fn an_agent_without_a_telephone_keeps_his_state_and_is_not_rung() {
    let mut floor = Floor::new(vec![rules("sales", &["anna"])]).with(&["anna"]);
    floor.phone("anna", false);
    floor.arrives(1, "sales", 0);
    // Nobody can serve the line: no estimate is honest.
    assert_eq!(floor.told(), ["1 admitted after 0, ?"]);
    floor.phone("anna", true);
    assert_eq!(floor.told(), ["1 to anna", "anna ringing 1"]);
}

#[test]
fn waiting_callers_hear_their_place_until_the_wait_is_too_long() {
    let mut floor = Floor::new(vec![rules("sales", &["anna"])]).with(&["anna"]);
    for id in [1, 2, 3] {
        floor.arrives(id, "sales", 0);
    }
    floor.answers(1);
    floor.told();
    floor.wait(60);
    assert_eq!(
        floor.told(),
        [
            "2 is after 0, 180 s",
            "3 is after 1, 360 s",
            "2 is after 0, 180 s",
            "3 is after 1, 360 s"
        ]
    );
    floor.leaves(2);
    floor.wait(539);
    assert_eq!(floor.told().len(), 17);
    floor.wait(1);
    // At the same instant the twentieth announcement would be due: he is not told his place first.
    assert_eq!(floor.told().last().map(String::as_str), Some("3 waited too long"));
    assert_eq!(floor.dispatcher.deadline(), None);
}

/// The limit strikes while an agent is being rung: the ring decides.
#[test]
fn nobody_is_sent_away_while_an_agent_is_being_rung_for_him() {
    let mut floor = Floor::new(vec![rules("sales", &["anna"])]);
    floor.arrives(1, "sales", 0);
    floor.wait(595);
    let mut floor = floor.with(&["anna"]);
    floor.wait(10);
    assert_eq!(floor.told(), [""; 0]);
    floor.does_not_answer(1);
    assert_eq!(floor.told(), ["1 waited too long", "anna available"]);
}

#[test]
fn a_callback_keeps_its_callers_place_and_holds_an_agent_while_he_is_rung() {
    let mut floor = Floor::new(vec![rules("sales", &["anna"])]).with(&["anna"]);
    floor.arrives(1, "sales", 0);
    floor.answers(1);
    floor.arrives(2, "sales", 0);
    floor.told();
    // Came 20 minutes ago: before the caller on the line. Nothing is announced to it.
    floor.callback_arrives(3, "sales", 1_200);
    assert_eq!(floor.told(), ["3 admitted after 0, 180 s"]);
    assert_eq!(floor.dispatcher.position(TicketId(2)), Some(1));
    floor.wait(20);
    floor.ends(1);
    floor.wait(10);
    assert_eq!(
        floor.told(),
        ["anna wrap_up", "2 is after 1, 360 s", "anna available", "3 to anna", "anna reserved 3"]
    );
    floor.wait(25);
    floor.rings(3);
    floor.answers(3);
    assert_eq!(floor.told(), ["anna ringing 3", "anna talking 3"]);
    floor.leaves(2);
    // Waits for ever, if need be: its limit is the promise's own.
    floor.callback_arrives(4, "sales", 0);
    floor.told();
    floor.wait(100_000);
    assert_eq!(floor.told(), [""; 0]);
}

#[test]
fn an_agent_whose_callback_is_not_reached_is_free_at_once_and_in_his_old_turn() {
    let mut floor = Floor::new(vec![rules("sales", &["anna", "ben"])]).with(&["anna", "ben"]);
    floor.callback_arrives(1, "sales", 60);
    floor.wait(40);
    floor.told();
    floor.handle(Event::ReservationReleased { ticket: TicketId(1) });
    assert_eq!(floor.told(), ["anna available"]);
    assert_eq!(floor.dispatcher.ticket(TicketId(1)), None);
    floor.arrives(2, "sales", 0);
    assert_eq!(floor.told()[1], "2 to anna");
}

/// The promised caller is on the line, his agent does not answer: he waits as any caller does.
#[test]
fn a_reached_callback_whose_agent_does_not_answer_waits_on_the_line() {
    let mut floor = Floor::new(vec![rules("sales", &["anna"])]).with(&["anna"]);
    floor.callback_arrives(1, "sales", 60);
    floor.rings(1);
    floor.says("anna", AgentSays::LogOut);
    floor.told();
    floor.does_not_answer(1);
    assert_eq!(floor.told(), ["anna logged_out"]);
    floor.wait(30);
    assert_eq!(floor.told(), ["1 is after 0, ?"]);
    floor = floor.with(&["anna"]);
    let anna = AgentId::new(&TenantId::default(), "anna");
    let ringing = AgentState::Ringing { ticket: TicketId(1) };
    assert_eq!(floor.dispatcher.agent(&anna), Some(&ringing));
    floor.does_not_answer(1);
    floor.says("anna", AgentSays::LogOut);
    floor.leaves(1);
    assert_eq!(floor.dispatcher.deadline(), None);
}

#[test]
fn callers_are_refused_by_rule_and_callbacks_never() {
    let mut few = rules("sales", &["anna"]);
    few.length_max = 1;
    few.wait_without_agents = false;
    let mut floor = Floor::new(vec![few]);
    floor.arrives(1, "sales", 0);
    floor.arrives(2, "support", 0);
    floor = floor.with(&["anna"]);
    floor.arrives(3, "sales", 0);
    floor.answers(3);
    for id in [4, 5] {
        floor.arrives(id, "sales", 0);
    }
    floor.told();
    floor.callback_arrives(6, "sales", 0);
    let queue = QueueId::new(&TenantId::default(), "sales");
    floor.handle(Event::SetOpen { queue: queue.clone(), open: false });
    floor.arrives(7, "sales", 0);
    floor.callback_arrives(8, "sales", 0);
    assert_eq!(
        floor.told(),
        ["6 admitted after 1, 360 s", "7 refused: closed", "8 admitted after 2, 540 s"]
    );
    floor.handle(Event::SetOpen { queue: queue.clone(), open: true });
    floor.leaves(4);
    floor.arrives(9, "sales", 0);
    assert_eq!(floor.told(), ["9 admitted after 2, 540 s"]);
    let waiting: Vec<_> = floor.dispatcher.waiting(&queue).map(|ticket| ticket.id.0).collect();
    assert_eq!(waiting, [6, 8, 9]);
    let view = floor.dispatcher.queue(&queue, floor.now).unwrap();
    assert_eq!((view.callers, view.callbacks, view.logged_in, view.idle), (1, 2, 1, 0));
}

#[test]
fn the_estimate_counts_neighbours_as_far_as_they_share_agents() {
    let mut floor = Floor::new(vec![
        rules("sales", &["anna", "ben"]),
        rules("help", &["anna", "cleo"]),
        rules("far", &["dora"]),
    ]);
    for agent in ["anna", "ben"] {
        floor = floor.with(&[agent]);
    }
    for id in 1..=2 {
        floor.arrives(id, "sales", 0);
        floor.answers(id);
    }
    floor.told();
    for id in 3..=6 {
        floor.arrives(id, "help", 0);
        floor.arrives(id + 10, "far", 0);
    }
    floor.told();
    floor.wait(1);
    // Four wait for help, whose agents are half ours: two before him, two agents, 180 s each.
    floor.arrives(20, "sales", 0);
    assert_eq!(floor.told(), ["20 admitted after 0, 270 s"]);
}

#[test]
fn late_and_unknown_events_change_nothing() {
    let mut floor = Floor::new(vec![rules("sales", &["anna"])]).with(&["anna"]);
    for id in [1, 99] {
        floor.rings(id);
        floor.answers(id);
        floor.does_not_answer(id);
        floor.ends(id);
        floor.leaves(id);
    }
    floor.says("nobody", AgentSays::Ready);
    floor.says("anna", AgentSays::Ready);
    floor.says("anna", AgentSays::LogIn);
    assert_eq!(floor.told(), [""; 0]);
    floor.arrives(1, "sales", 0);
    floor.answers(1);
    floor.told();
    floor.arrives(1, "sales", 0);
    floor.does_not_answer(1);
    floor.rings(1);
    assert_eq!(floor.told(), [""; 0]);
    floor.leaves(1);
    floor.ends(1);
    assert_eq!(floor.told(), ["anna wrap_up"]);
}
