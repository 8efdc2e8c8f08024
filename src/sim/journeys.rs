//! The journeys in fair weather, as their golden ladders show them.

use crate::house::{House, Tuning, agent, campaign};
use crate::ledger::{Contact, ContactState};
use crate::network::Weather;
use crate::person::{Person, Reply};
use crate::phone::Manner;
use crate::world::{Order, Setting, World};
use domain::id::ContactId;
use domain::phone_number::PhoneNumber;
use queue::event::AgentSays;
use std::sync::Arc;
use std::time::Duration;
use switchboard::event::Command;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A world in fair weather with anna at work; she answers after two seconds and talks for twenty.
fn fair(house: Arc<House>, length_max: u32) -> World {
    let setting = Setting {
        seed: 1,
        weather: Weather::FAIR,
        tuning: Tuning { length_max, ..Tuning::default() },
        slow_disk_ms: 1,
        faults: 0,
        sabotage: None,
    };
    let mut world = World::new(house, setting);
    world.plan(seconds(1), Order::Register(0, true));
    for (at, says) in [(2, AgentSays::LogIn), (3, AgentSays::Ready)] {
        world.plan(seconds(at), Order::Ask(Command::Agent { agent: agent("anna"), says }));
    }
    world.desks[0].set_otherwise(vec![Manner::Answers { after: seconds(2), talks: seconds(20) }]);
    world
}

fn caller(world: &mut World, number: &str, at: u64, replies: &[Reply]) {
    world.people.insert(number.into(), Person::with(replies.iter().cloned()));
    world.plan(seconds(at), Order::CallIn(number.into(), seconds(600)));
}

/// (a) A caller asks for his order, then for a person, and is joined with one.
pub fn inbound(house: Arc<House>) -> World {
    let mut world = fair(house, 5);
    let replies = [
        Reply::says("where is my order"),
        Reply::keys("4711#"),
        Reply::keys("1"),
        Reply::keys("0"),
    ];
    caller(&mut world, "+4930111", 10, &replies);
    world
}

/// (b) A second caller while anna talks: he is promised a call, and called.
pub fn callback(house: Arc<House>) -> World {
    let mut world = fair(house, 0);
    let asks = Reply::says("i want to speak to somebody");
    caller(&mut world, "+4930111", 10, std::slice::from_ref(&asks));
    caller(&mut world, "+4930222", 14, &[asks, Reply::keys("1")]);
    let answers = Manner::Answers { after: seconds(3), talks: seconds(600) };
    world.carrier.set_manners("+4930222", vec![answers]);
    world
}

/// (c) Three contacts: one presses 1 and is joined with anna, one is busy and called again, one
/// listens and says nothing.
pub fn outbound(house: Arc<House>) -> World {
    let mut world = fair(house, 5);
    let mut definition = campaign(1);
    definition.rules.rate_per_minute_max = 6;
    let id = definition.rules.id;
    world.ledger().disk.campaigns.insert(id, definition);
    let answers = Manner::Answers { after: seconds(3), talks: seconds(600) };
    let busy = Manner::Refuses { after: seconds(1), status: 486 };
    let contacts = [
        ("+49701", answers, vec![Reply::keys("1")]),
        ("+49702", busy, vec![]),
        ("+49703", answers, vec![Reply::Silence]),
    ];
    for (index, (number, manner, replies)) in (0..).zip(contacts) {
        world.people.insert(number.into(), Person::with(replies));
        world.carrier.set_manners(number, vec![manner]);
        let contact = Contact {
            campaign: id,
            number: PhoneNumber::parse(number).expect("it is a number"),
            state: ContactState::Ready,
            attempts: 0,
            fence: 0,
            // After anna has logged in.
            next_wall_ms: world.began.wall_ms + 5_000,
            disposition: None,
        };
        world.ledger().disk.contacts.insert(ContactId(index + 1), contact);
    }
    world
}

/// (d) A caller is led through: the first far carrier has no way, the second one's callee answers
/// and hangs up.
pub fn transit(house: Arc<House>) -> World {
    let mut world = fair(house, 5);
    let number: Arc<str> = "004989123456".into();
    world.far[0].set_manners(&number, vec![Manner::Refuses { after: seconds(0), status: 503 }]);
    let answers = Manner::Answers { after: seconds(2), talks: seconds(20) };
    world.far[1].set_manners(&number, vec![answers]);
    world.plan(seconds(10), Order::CallNumber("+4930111".into(), number, seconds(600)));
    world
}

/// (e) Anna sends her caller on to Ben, who takes the call and hangs up.
pub fn transfer(house: Arc<House>) -> World {
    sent_on(house, Manner::Transfers { after: seconds(2), talks: seconds(5), to: "ben" })
}

/// (f) The same, but she asks Ben first.
pub fn attended_transfer(house: Arc<House>) -> World {
    sent_on(house, Manner::Consults { after: seconds(2), talks: seconds(5), to: "ben" })
}

fn sent_on(house: Arc<House>, sends: Manner) -> World {
    let mut world = fair(house, 5);
    world.plan(seconds(4), Order::Register(1, true));
    world.desks[0].set_otherwise(vec![sends]);
    world.desks[1].set_otherwise(vec![Manner::Answers { after: seconds(3), talks: seconds(10) }]);
    caller(&mut world, "+4930111", 10, &[Reply::says("i want to speak to somebody")]);
    world
}
