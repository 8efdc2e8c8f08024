//! Runs made from a seed: who calls when, who answers how, what breaks.

use crate::house::{AGENTS, House, Tuning, agent, campaign, desk};
use crate::ledger::{Contact, ContactState};
use crate::network::Weather;
use crate::person::{Person, Reply};
use crate::phone::Manner;
use crate::rude::{RUDE_PREFIX, Rudeness};
use crate::world::{Order, Sabotage, Setting, World};
use domain::id::{ContactId, QueueId};
use domain::phone_number::PhoneNumber;
use queue::event::AgentSays;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sip::endpoint::config::{Reliable, SessionPolicy};
use std::sync::Arc;
use std::time::Duration;
use switchboard::event::{CampaignOrder, Command};

/// What a run is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Theme {
    /// Callers who settle it with the machine, or give up.
    SelfService,
    /// Callers who wait for agents; agents who do not answer, decline, or hang up.
    Queue,
    /// More callers than agents: promises, kept and broken.
    Callback,
    /// Contacts called, with keys that lead to agents.
    Campaign,
    /// Callers led through to far carriers and to agents; agents who dial.
    Transit,
    /// All of it at once, and rude people.
    Mixture,
    /// As a mixture, with crashes and disks that break.
    Crashes,
}

impl Theme {
    /// All themes.
    pub const ALL: [Self; 7] = [
        Self::SelfService,
        Self::Queue,
        Self::Callback,
        Self::Campaign,
        Self::Transit,
        Self::Mixture,
        Self::Crashes,
    ];

    fn has(self, part: Self) -> bool {
        self == part || matches!(self, Self::Mixture | Self::Crashes)
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Half of the runs know no extension, the others all. Drawn apart, so that a seed stays the run that
/// it was before telephones knew any.
fn sessions(seed: u64) -> SessionPolicy {
    let mut luck = StdRng::seed_from_u64(seed ^ 0x3262_3311_4028);
    if luck.random() {
        return SessionPolicy::PLAIN;
    }
    SessionPolicy {
        reliable: if luck.random() { Reliable::Supported } else { Reliable::Required },
        interval_s: luck.random_range(90..600),
        late_offer: luck.random_bool(0.2),
    }
}

/// The run of `seed`. The same seed is the same run, to the byte.
pub fn build(house: Arc<House>, theme: Theme, seed: u64, sabotage: Option<Sabotage>) -> World {
    let mut luck = StdRng::seed_from_u64(seed ^ 0x7472_756e_6b6c_696e);
    let rough = luck.random_bool(0.6);
    let weather = Weather {
        lost: if rough { luck.random_range(0..=20) } else { 0 },
        twice: if rough { luck.random_range(0..=10) } else { 0 },
        delay_ms: luck.random_range(1..40),
        jitter_ms: if rough { luck.random_range(0..150) } else { 0 },
    };
    let tuning = Tuning {
        length_max: luck.random_range(0..4),
        wait_without_agents: luck.random_bool(0.3),
        wait_max: seconds(luck.random_range(60..400)),
        channels_max: luck.random_range(4..30),
        calls_max: luck.random_range(6..30),
        lifetime: seconds(luck.random_range(300..5_000)),
        call_length_max: match luck.random_bool(0.5) {
            true => seconds(luck.random_range(200..3_000)),
            false => seconds(72_000),
        },
        sessions: sessions(seed),
    };
    let setting = Setting {
        seed,
        weather,
        tuning,
        slow_disk_ms: if luck.random_bool(0.2) { 3_000 } else { 15 },
        faults: if luck.random_bool(0.4) { luck.random_range(0..15) } else { 0 },
        sabotage,
    };
    let mut world = World::new(house, setting);
    plan_agents(&mut world, theme, &mut luck);
    if theme != Theme::Campaign {
        plan_callers(&mut world, theme, &mut luck);
    }
    if theme.has(Theme::Campaign) {
        plan_campaign(&mut world, theme, &mut luck);
    }
    if theme.has(Theme::Transit) {
        plan_transit(&mut world, &mut luck);
    }
    if theme == Theme::Mixture || theme == Theme::Crashes {
        plan_mischief(&mut world, &mut luck);
    }
    if theme == Theme::Crashes {
        plan_disasters(&mut world, &mut luck);
    }
    world
}

fn plan_agents(world: &mut World, theme: Theme, luck: &mut StdRng) {
    for index in 0..AGENTS.len() {
        world.desks[index].set_otherwise(agents_manners(luck));
        if theme == Theme::SelfService || luck.random_bool(0.1) {
            continue;
        }
        let at = luck.random_range(0..30);
        world.plan(seconds(at), Order::Register(index, true));
        if luck.random_bool(0.2) {
            world.plan(seconds(at + 3), Order::AgentDials(index, "*61".into()));
            world.plan(seconds(at + 40), Order::AgentDials(index, "*63".into()));
        }
        says(world, index, at + 5, AgentSays::LogIn);
        says(world, index, at + 6, AgentSays::Ready);
        for _ in 0..luck.random_range(0..6) {
            let at = luck.random_range(60..1_200);
            let word = match luck.random_range(0..6) {
                0 => AgentSays::Pause { reason: "lunch".into() },
                1 => AgentSays::LogOut,
                2 => AgentSays::ExtendWrapUp,
                _ => AgentSays::Ready,
            };
            says(world, index, at, word);
        }
        if luck.random_bool(0.1) {
            let at = luck.random_range(60..600);
            world.plan(seconds(at), Order::Register(index, false));
            world.plan(seconds(at + 100), Order::Register(index, true));
        }
        // At last everybody works for a while, so that what waits is served.
        says(world, index, 1_300, AgentSays::LogIn);
        says(world, index, 1_301, AgentSays::Ready);
    }
}

fn says(world: &mut World, index: usize, at: u64, says: AgentSays) {
    let command = Command::Agent { agent: agent(AGENTS[index]), says };
    world.plan(seconds(at), Order::Ask(command));
}

/// Callers from the carrier to numbers behind the far ones, each called once; some straight to anna;
/// and agents who dial out themselves.
fn plan_transit(world: &mut World, luck: &mut StdRng) {
    for index in 0..luck.random_range(3..15) {
        let at = luck.random_range(20..900);
        let number: Arc<str> = format!("0049{index:05}").into();
        for far in &mut world.far {
            match luck.random_range(0..8) {
                0 => far.set_dead(&number),
                1 => far.set_manners(&number, vec![refuses(0, 503)]),
                2 => far.set_manners(&number, vec![refuses(0, 500)]),
                3 => far.set_manners(&number, vec![refuses(2, 486)]),
                4 => far.set_manners(&number, vec![refuses(1, 404)]),
                5 => far.set_manners(&number, vec![Manner::Ignores]),
                _ => far.set_manners(&number, vec![answers(2, luck.random_range(1..200))]),
            }
        }
        let from: Arc<str> = format!("+4930{index:05}").into();
        let stays = seconds(luck.random_range(1..200));
        world.plan(seconds(at), Order::CallNumber(from, number, stays));
    }
    for index in 0..luck.random_range(0..4) {
        let at = luck.random_range(20..900);
        let stays = seconds(luck.random_range(1..100));
        let from: Arc<str> = format!("+4940{index:05}").into();
        world.plan(seconds(at), Order::CallNumber(from, "4100".into(), stays));
    }
    for far in &mut world.far {
        far.set_otherwise(vec![answers(3, 40), refuses(2, 486)]);
    }
    for index in 0..luck.random_range(0..3) {
        let at = luck.random_range(60..900);
        let number: Arc<str> = format!("+4955{index:05}").into();
        let desk = luck.random_range(0..AGENTS.len());
        world.plan(seconds(at), Order::AgentDials(desk, number));
    }
}

fn answers(after: u64, talks: u64) -> Manner {
    Manner::Answers { after: seconds(after), talks: seconds(talks) }
}

fn refuses(after: u64, status: u16) -> Manner {
    Manner::Refuses { after: seconds(after), status }
}

fn agents_manners(luck: &mut StdRng) -> Vec<Manner> {
    let all = [
        answers(2, 60),
        answers(5, 30),
        answers(14, 40),
        // As the ring limit of 15 s strikes.
        Manner::Answers { after: Duration::from_millis(14_990), talks: seconds(20) },
        answers(1, 0),
        // Who does not hang up by himself.
        answers(3, 360_000),
        refuses(1, 486),
        refuses(4, 603),
        Manner::Ignores,
    ];
    let mut manners = vec![answers(3, luck.random_range(5..120))];
    manners.extend((0..luck.random_range(0..4)).map(|_| all[luck.random_range(0..all.len())]));
    manners
}

fn callees_manners(luck: &mut StdRng) -> Vec<Manner> {
    let all = [
        answers(3, 120),
        answers(8, 60),
        // Answered and hung up at once; answered as the ring limit strikes.
        answers(2, 0),
        Manner::Answers { after: Duration::from_millis(19_980), talks: seconds(30) },
        refuses(1, 486),
        refuses(2, 404),
        refuses(3, 503),
        refuses(5, 603),
        Manner::Ignores,
    ];
    (0..luck.random_range(1..3)).map(|_| all[luck.random_range(0..all.len())]).collect()
}

fn plan_callers(world: &mut World, theme: Theme, luck: &mut StdRng) {
    let count = luck.random_range(2..12);
    for index in 0..count {
        let number = format!("+4930555{index:04}");
        // One in ten hides his number.
        let hidden = luck.random_bool(0.1);
        let from: Arc<str> = if hidden { "anonymous".into() } else { number.as_str().into() };
        let planned = match theme {
            Theme::SelfService => vec![Reply::keys("1"), Reply::keys("4711#"), Reply::keys("1")],
            Theme::Queue => vec![Reply::says("i want to speak to somebody"), Reply::keys("1")],
            // Who is refused is offered a call back, and accepts.
            _ => vec![Reply::keys("0"), Reply::keys("1"), Reply::keys("0301234567#")],
        };
        let keep = luck.random_range(0..=planned.len());
        let mut person = Person::moody(planned.into_iter().take(keep), luck.random());
        person.falls_silent = luck.random_bool(0.03);
        world.people.insert(from.clone(), person);
        world.carrier.set_manners(&number, callees_manners(luck));
        world.carrier.set_manners("0301234567", callees_manners(luck));
        // All within minutes, so that they meet.
        let mut at = seconds(luck.random_range(10..400));
        for _ in 0..luck.random_range(1..3) {
            // The same number again: at another time, or at once from another telephone of it.
            at = match luck.random_bool(0.5) {
                true => at + Duration::from_millis(luck.random_range(0..3_000)),
                false => seconds(luck.random_range(10..400)),
            };
            // Some never hang up: the exchange must end it.
            let patient = luck.random_bool(0.3);
            let stays = seconds(if patient { 360_000 } else { luck.random_range(5..400) });
            world.plan(at, Order::CallIn(from.clone(), stays));
        }
    }
}

fn plan_campaign(world: &mut World, theme: Theme, luck: &mut StdRng) {
    let definition = campaign(1);
    let id = definition.rules.id;
    world.ledger().disk.campaigns.insert(id, definition);
    let count = luck.random_range(1..15);
    for index in 0..count {
        let rude = theme != Theme::Campaign && luck.random_bool(0.2);
        let number = match rude {
            true => format!("{RUDE_PREFIX}{index:02}{}", luck.random_range(0..10)),
            false => format!("+4970{index:04}"),
        };
        let replies = [
            vec![Reply::Silence],
            vec![Reply::keys("1")],
            vec![Reply::keys("2")],
            vec![Reply::keys("9"), Reply::keys("9"), Reply::keys("1")],
            vec![Reply::HangsUp],
        ];
        let replies = replies[luck.random_range(0..replies.len())].clone();
        world.people.insert(number.as_str().into(), Person::with(replies));
        world.carrier.set_manners(&number, callees_manners(luck));
        if luck.random_bool(0.1) {
            world.carrier.set_dead(&number);
        }
        let number = PhoneNumber::parse(&number).expect("it is a number");
        if luck.random_bool(0.05) {
            world.ledger().disk.do_not_call.insert(number.clone());
        }
        let contact = Contact {
            campaign: id,
            number,
            state: ContactState::Ready,
            attempts: 0,
            fence: 0,
            next_wall_ms: 0,
            disposition: None,
        };
        world.ledger().disk.contacts.insert(ContactId(100 + index), contact);
    }
    if luck.random_bool(0.3) {
        let at = luck.random_range(5..200);
        let pause = Command::Campaign { campaign: id, order: CampaignOrder::Pause };
        world.plan(seconds(at), Order::Ask(pause));
        world.plan(seconds(at + luck.random_range(1..100)), Order::StartCampaigns);
    }
    if luck.random_bool(0.1) {
        let cancel = Command::Campaign { campaign: id, order: CampaignOrder::Cancel };
        world.plan(seconds(luck.random_range(5..500)), Order::Ask(cancel));
    }
}

fn plan_mischief(world: &mut World, luck: &mut StdRng) {
    for _ in 0..luck.random_range(0..5) {
        let kind = Rudeness::ALL[luck.random_range(0..Rudeness::ALL.len())];
        world.plan(seconds(luck.random_range(5..500)), Order::CallRudely(kind));
    }
    for _ in 0..luck.random_range(0..4) {
        world.plan(seconds(luck.random_range(20..900)), Order::Meddle);
    }
    for _ in 0..luck.random_range(0..3) {
        let hosts = [crate::house::CARRIER, desk(0), desk(1)];
        let host = hosts[luck.random_range(0..hosts.len())];
        world.plan(seconds(luck.random_range(10..500)), Order::Unreachable(host));
    }
    if luck.random_bool(0.2) {
        let queue = QueueId::new(&Default::default(), "support");
        let order = |open| Order::Ask(Command::Queue { queue: queue.clone(), open });
        world.plan(seconds(luck.random_range(10..200)), order(false));
        world.plan(seconds(luck.random_range(200..500)), order(true));
    }
}

fn plan_disasters(world: &mut World, luck: &mut StdRng) {
    for _ in 0..luck.random_range(0..3) {
        let at = luck.random_range(10_000..700_000);
        let power_cut = luck.random_bool(0.3);
        world.plan(Duration::from_millis(at), Order::Crash { power_cut });
    }
    for _ in 0..luck.random_range(0..3) {
        let at = luck.random_range(10..500);
        world.plan(seconds(at), Order::DiskFault(true));
        world.plan(seconds(at + luck.random_range(1..60)), Order::DiskFault(false));
    }
    if luck.random_bool(0.3) {
        world.plan(seconds(luck.random_range(10..900)), Order::Drain);
    }
    for index in 0..AGENTS.len() {
        // After a restart an agent's telephone registers again sooner or later.
        world.plan(seconds(800), Order::Register(index, true));
    }
}
