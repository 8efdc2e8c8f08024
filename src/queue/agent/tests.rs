use super::*;
use domain::now::epoch;

const TICKET: TicketId = TicketId(1);

fn events() -> Vec<Event> {
    vec![
        Event::Says(AgentSays::LogIn),
        Event::Says(AgentSays::LogOut),
        Event::Says(AgentSays::Ready),
        Event::Says(AgentSays::Pause { reason: "lunch".into() }),
        Event::Says(AgentSays::ExtendWrapUp),
        Event::AssignedCaller(TICKET),
        Event::AssignedCallback(TICKET),
        Event::Rings,
        Event::Answered,
        Event::Missed { missed_rings_max: 3 },
        Event::Released,
        Event::TalkEnded { wrap_up: Duration::from_secs(5) },
        Event::WrapUpOver,
    ]
}

/// The events that bring an agent into a state from the beginning.
fn agent_in(state: &str) -> Agent {
    let path: &[Event] = match state {
        "logged_out" => &[],
        "paused" => &[Event::Says(AgentSays::LogIn)],
        "available" => &[Event::Says(AgentSays::Ready)],
        "reserved" => &[Event::Says(AgentSays::Ready), Event::AssignedCallback(TICKET)],
        "ringing" => &[Event::Says(AgentSays::Ready), Event::AssignedCaller(TICKET)],
        "talking" => {
            &[Event::Says(AgentSays::Ready), Event::AssignedCaller(TICKET), Event::Answered]
        }
        "wrap_up" => &[
            Event::Says(AgentSays::Ready),
            Event::AssignedCaller(TICKET),
            Event::Answered,
            Event::TalkEnded { wrap_up: Duration::from_secs(5) },
        ],
        other => panic!("no state {other}"),
    };
    let mut agent = Agent::default();
    for event in path {
        agent.handle(event.clone(), epoch());
    }
    assert_eq!(agent.state().as_str(), state);
    agent
}

/// Every state against every event, in the order of `events`; `.` stands for no change.
#[test]
fn the_whole_table() {
    let table = [
        ("logged_out", "paused . available . . . . . . . . . ."),
        ("paused", ". logged_out available . . . . . . . . . ."),
        ("available", ". logged_out . paused . ringing reserved . . . . . ."),
        ("reserved", ". . . . . . . ringing talking available available . ."),
        ("ringing", ". . . . . . . . talking available available . ."),
        ("talking", ". . . . . . . . . . . wrap_up ."),
        ("wrap_up", ". logged_out available paused . . . . . . . . available"),
    ];
    for (state, row) in table {
        for (event, expected) in events().into_iter().zip(row.split(' ')) {
            let mut agent = agent_in(state);
            agent.handle(event.clone(), epoch());
            let expected = if expected == "." { state } else { expected };
            assert_eq!(agent.state().as_str(), expected, "{state}, {event:?}");
        }
    }
}

#[test]
fn the_limit_of_missed_rings_pauses_and_is_at_least_one() {
    for (limit, paused_after) in [(0, 1), (1, 1), (3, 3)] {
        let mut agent = agent_in("available");
        let missed = (1..10).find(|_| {
            agent.handle(Event::AssignedCaller(TICKET), epoch());
            agent.handle(Event::Missed { missed_rings_max: limit }, epoch());
            agent.state() == &AgentState::Paused { reason: "no answer".into() }
        });
        assert_eq!(missed, Some(paused_after));
        // Ready again, he has all his rings again.
        agent.handle(Event::Says(AgentSays::Ready), epoch());
        agent.handle(Event::AssignedCaller(TICKET), epoch());
        agent.handle(Event::Missed { missed_rings_max: 2 }, epoch());
        assert_eq!(agent.state().as_str(), "available");
    }
}

#[test]
fn a_caller_who_left_gives_the_turn_back_a_missed_ring_does_not() {
    let start = epoch();
    let later = start.after(Duration::from_secs(20));
    let mut agent = Agent::default();
    agent.handle(Event::Says(AgentSays::Ready), start);
    agent.handle(Event::AssignedCallback(TICKET), later);
    agent.handle(Event::Released, later);
    assert_eq!(agent.state(), &AgentState::Available { since_wall_ms: start.wall_ms });
    agent.handle(Event::AssignedCaller(TICKET), later);
    agent.handle(Event::Missed { missed_rings_max: 3 }, later);
    assert_eq!(agent.state(), &AgentState::Available { since_wall_ms: later.wall_ms });
}

#[test]
fn wrap_up_has_a_deadline_unless_none_is_wanted() {
    let agent = agent_in("wrap_up");
    assert!(agent.deadline().is_some());
    let mut extended = agent.clone();
    extended.handle(Event::Says(AgentSays::ExtendWrapUp), epoch());
    assert_eq!((extended.state(), extended.deadline()), (&AgentState::WrapUp, None));
    let mut none = agent_in("talking");
    none.handle(Event::TalkEnded { wrap_up: Duration::ZERO }, epoch());
    assert_eq!(none.state().as_str(), "available");
}
