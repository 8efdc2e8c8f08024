//! Whatever happens in whatever order: what must always hold, checked after every step.

use super::*;
use std::collections::BTreeMap;

/// A small generator of our own: the walk is the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

const AGENTS: [&str; 5] = ["anna", "ben", "cleo", "dora", "emil"];
const QUEUES: [&str; 3] = ["sales", "help", "vip"];

fn floor() -> Floor {
    let mut vip = rules("vip", &["anna", "emil"]);
    vip.wrap_up = Duration::ZERO;
    vip.wait_max = Duration::from_secs(90);
    let mut help = rules("help", &["anna", "cleo", "dora"]);
    help.length_max = 4;
    help.wait_without_agents = false;
    Floor::new(vec![rules("sales", &["anna", "ben", "cleo"]), help, vip])
}

/// What an outside observer knows of the tickets from the actions alone.
#[derive(Default)]
struct Observer {
    open: BTreeMap<u64, Option<AgentId>>,
    next: u64,
}

impl Observer {
    fn observe(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Admitted { ticket, .. } => {
                    assert_eq!(self.open.insert(ticket.0, None), None, "{ticket} admitted twice");
                }
                Action::Assigned { ticket, agent, .. } => {
                    let held_by_other = self.open.values().flatten().any(|other| other == agent);
                    assert!(!held_by_other, "{agent} has two tickets");
                    let before = self.open.insert(ticket.0, Some(agent.clone()));
                    assert_eq!(before, Some(None), "{ticket} assigned, but not waiting");
                }
                Action::Announce { ticket, .. } => {
                    assert_eq!(self.open.get(&ticket.0), Some(&None), "{ticket} is not waiting");
                }
                Action::WaitedTooLong { ticket } => {
                    assert_eq!(self.open.remove(&ticket.0), Some(None), "{ticket} not waiting");
                }
                Action::Refused { .. } | Action::AgentChanged { .. } => (),
            }
        }
    }
}

#[test]
fn invariants_hold_on_every_walk() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let mut floor = floor();
        let mut observer = Observer::default();
        for step in 0..600 {
            one_step(&mut floor, &mut observer, &mut dice);
            let actions: Vec<_> = floor.out.drain(..).collect();
            observer.observe(&actions);
            check(&floor, &observer, &format!("seed {seed}, step {step}"));
        }
    }
}

fn one_step(floor: &mut Floor, observer: &mut Observer, dice: &mut Dice) {
    let agent = AGENTS[dice.roll(5) as usize];
    let known: Vec<_> = observer.open.iter().map(|(id, agent)| (*id, agent.is_some())).collect();
    let chosen = known.get(dice.roll(known.len().max(1) as u64) as usize).copied();
    match (dice.roll(16), chosen) {
        (0..=3, _) => {
            observer.next += 1;
            let queue = QUEUES[dice.roll(3) as usize];
            floor.arrives(observer.next, queue, dice.roll(2) as u8);
        }
        (4, _) => {
            observer.next += 1;
            let (queue, ago) = (QUEUES[dice.roll(3) as usize], dice.roll(300));
            floor.callback_arrives(observer.next, queue, ago);
        }
        (5, _) => floor.wait(dice.roll(40)),
        (6, _) => floor.phone(agent, dice.roll(4) > 0),
        (7..=9, _) => {
            let says = match dice.roll(8) {
                0 => AgentSays::LogOut,
                1 => AgentSays::Pause { reason: "lunch".into() },
                2 => AgentSays::ExtendWrapUp,
                3 => AgentSays::LogIn,
                _ => AgentSays::Ready,
            };
            floor.says(agent, says);
        }
        (10, Some((id, true))) => floor.rings(id),
        (11..=12, Some((id, true))) => floor.answers(id),
        (13, Some((id, true))) if !is_talking(floor, id) => {
            observer.open.insert(id, None);
            floor.does_not_answer(id);
        }
        (14, Some((id, true))) if is_talking(floor, id) => {
            observer.open.remove(&id);
            floor.ends(id);
        }
        (15, Some((id, _))) => {
            observer.open.remove(&id);
            floor.leaves(id);
        }
        _ => (),
    }
}

fn is_talking(floor: &Floor, id: u64) -> bool {
    matches!(floor.dispatcher.whereabouts(TicketId(id)), Some(Whereabouts::Talking(_)))
}

fn check(floor: &Floor, observer: &Observer, at: &str) {
    let Floor { dispatcher, now, .. } = floor;
    assert!(dispatcher.deadline().is_none_or(|due| due >= now.instant), "{at}: late deadline");
    assert_eq!(dispatcher.tickets.len(), observer.open.len(), "{at}: tickets in hand");
    for (id, agent) in &observer.open {
        let agent = agent.clone();
        match dispatcher.whereabouts(TicketId(*id)) {
            Some(Whereabouts::Waiting) => assert_eq!(agent, None, "{at}: {id}"),
            Some(Whereabouts::Held(held_by) | Whereabouts::Talking(held_by)) => {
                assert_eq!(agent, Some(held_by), "{at}: {id}");
            }
            None => panic!("{at}: {id} was lost"),
        }
    }
    check_agents(dispatcher, at);
    for (desk, queue) in dispatcher.queues.iter().enumerate() {
        let idle = dispatcher.roster.idle(desk);
        assert!(queue.waiting.is_empty() || idle == 0, "{at}: somebody waits, somebody is free");
        let in_line: Vec<_> = dispatcher.waiting(&queue.rules.id).collect();
        let callers = in_line.iter().filter(|ticket| ticket.holder == Holder::Caller).count();
        assert_eq!(callers, queue.callers as usize, "{at}: callers in line");
        assert!(callers <= queue.rules.length_max as usize, "{at}: line too long");
        for (position, ticket) in in_line.iter().enumerate() {
            assert_eq!(dispatcher.position(ticket.id), Some(position as u32), "{at}");
        }
    }
}

/// The counters and the order of turns agree with the agents themselves.
fn check_agents(dispatcher: &Dispatcher, at: &str) {
    for (desk, queue) in dispatcher.queues.iter().enumerate() {
        let seats = queue.rules.agents.iter().filter_map(|id| dispatcher.roster.seat(id));
        let agents: Vec<_> = seats.map(|seat| dispatcher.roster.agent(seat)).collect();
        let count = |wanted: fn(&crate::agent::Agent) -> bool| {
            agents.iter().filter(|agent| wanted(agent)).count()
        };
        assert_eq!(dispatcher.roster.idle(desk), count(crate::agent::Agent::is_idle), "{at}");
        let serving = dispatcher.roster.serving(desk) as usize;
        assert_eq!(serving, count(crate::agent::Agent::is_serving), "{at}");
        let logged_in = dispatcher.roster.logged_in(desk) as usize;
        assert_eq!(logged_in, count(crate::agent::Agent::is_logged_in), "{at}");
        // Longest free first, as the wall clock sees it too (it never goes back in this walk).
        let longest =
            agents.iter().filter(|it| it.is_idle()).map(|it| it.idle_since_wall_ms()).min();
        let chosen = dispatcher.roster.idle_longest(desk);
        let chosen = chosen.map(|seat| dispatcher.roster.agent(seat).idle_since_wall_ms());
        assert_eq!(chosen, longest, "{at}: not the one free longest");
    }
}
