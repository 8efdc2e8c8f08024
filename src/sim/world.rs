//! One run: a virtual clock, the exchange, and everybody around it. The next thing to happen is
//! always the earliest of all; of two at one instant, the one that stands first in `next`.

use crate::engine::{EngineRules, Engines};
use crate::house::{
    AGENTS, CARRIER, FAR, FAR_NAMES, House, REALM, RUDE, Tuning, desk, gateway_sip,
};
use crate::invariant::Watch;
use crate::ladder::Ladder;
use crate::ledger::{Crashed, Ledger};
use crate::network::{Datagram, Network, Weather};
use crate::person::Person;
use crate::phone::Telephone;
use crate::rude::{Rude, Rudeness};
use crate::sound::{Sound, SoundRules};
use domain::id::{IdSource, LegId, RequestId};
use domain::now::{Now, epoch};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sip::endpoint::Endpoint;
use sip::event::{Flow, Transport};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use switchboard::event::{Command, Event};
use switchboard::exchange::{Effect, Exchange, Input};
use switchboard::switchboard::Switchboard;

/// How a run goes wrong on purpose, to see that it is noticed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sabotage {
    /// The side log of sent attempts is lost and trusted: what rang is dialled again.
    ForgetsWhatWasSent,
    /// Promises are acknowledged without being stored.
    LiesAboutPromises,
    /// Records of legs are not written.
    LosesRecords,
    /// Ports asked for are never answered.
    SwallowsPorts,
}

/// What surrounds the exchange in one run.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The whole run follows from it.
    pub seed: u64,
    /// What the network does.
    pub weather: Weather,
    /// How the house is set up.
    pub tuning: Tuning,
    /// How long a commit takes at most, in milliseconds.
    pub slow_disk_ms: u64,
    /// Of a hundred, how many ports, utterances, answers of engines fail.
    pub faults: u32,
    /// What goes wrong on purpose.
    pub sabotage: Option<Sabotage>,
}

/// Something that the scenario has planned.
#[derive(Clone, Debug)]
pub enum Order {
    /// Somebody rings the hotline: his number, and how long he stays at most.
    CallIn(Arc<str>, Duration),
    /// Somebody rude does so.
    CallRudely(Rudeness),
    /// Somebody rings another number: his number, the other, and how long he stays at most.
    CallNumber(Arc<str>, Arc<str>, Duration),
    /// An agent dials a code or a number from his telephone.
    AgentDials(usize, Arc<str>),
    /// An agent's telephone registers, or takes it back.
    Register(usize, bool),
    /// The API asks.
    Ask(Command),
    /// As `Ask`, for every campaign that is neither running nor over.
    StartCampaigns,
    /// Ends any one call, or withdraws any one promise, through the API.
    Meddle,
    /// The disk breaks, or works again.
    DiskFault(bool),
    /// The process dies; after a power cut the side log proves nothing.
    Crash {
        /// Whether the machine died with it.
        power_cut: bool,
    },
    /// The process starts again.
    Start,
    /// It is told to end once the present calls have (SIGTERM), and starts again.
    Drain,
    /// The network says that a host cannot be reached.
    Unreachable(std::net::SocketAddr),
}

/// The process dies after so many effects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doom {
    pub(crate) effects: u32,
    power_cut: bool,
}

/// Who acts next.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Agenda,
    Network,
    Ledger,
    Sound,
    Engines,
    Exchange,
    Carrier,
    Desk(usize),
    Far(usize),
    Rude,
}

/// One run.
pub struct World {
    pub(crate) setting: Setting,
    pub(crate) now: Now,
    pub(crate) began: Now,
    house: Arc<House>,
    pub(crate) exchange: Option<Exchange>,
    crashed: Option<Crashed>,
    pub(crate) network: Network,
    pub(crate) sound: Sound,
    pub(crate) engines: Engines,
    pub(crate) ledger: Ledger,
    /// The carrier, with callers and contacts behind it.
    pub carrier: Telephone,
    /// The agents' telephones.
    pub desks: Vec<Telephone>,
    /// The far carriers, with those behind them to whom callers are led through.
    pub far: Vec<Telephone>,
    pub(crate) rude: Rude,
    /// Those at the other ends, by their numbers.
    pub people: BTreeMap<Arc<str>, Person>,
    agenda: BTreeMap<(Instant, u64), Order>,
    serial: u64,
    luck: StdRng,
    pub(crate) inputs: VecDeque<Input>,
    effects: Vec<Effect>,
    outbox: Vec<Datagram>,
    pub(crate) watch: Watch,
    pub(crate) ladder: Ladder,
    pub(crate) doom: Option<Doom>,
    /// The process is to end, as it was told to.
    pub(crate) ends: bool,
    requests: u64,
    steps: u64,
    closing: bool,
}

/// How a run went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Things that happened.
    pub steps: u64,
    /// What the watch counted.
    pub counts: crate::invariant::Counts,
}

/// A run that broke a rule.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Of which run.
    pub seed: u64,
    /// Which rule, and how.
    pub what: String,
    /// The last part of the run.
    pub ladder: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\nseed {}: {}", self.ladder, self.seed, self.what)
    }
}

/// A run that has not come to rest after so many steps never will.
const STEPS_MAX: u64 = 400_000;
/// Nor one that goes on for so long.
const LENGTH_MAX: Duration = Duration::from_secs(48 * 3_600);

impl World {
    /// A world in which nothing has happened yet; the exchange starts at once.
    pub fn new(house: Arc<House>, setting: Setting) -> Self {
        let now = epoch();
        let mut luck = StdRng::seed_from_u64(setting.seed);
        let mut seed = || luck.random::<u64>();
        let faults = setting.faults;
        let sound_rules =
            SoundRules { ports_missing: faults.min(10), lost: faults, not_heard: faults };
        let engine_rules = EngineRules { lost: faults, failed: 2 * faults };
        let desks = AGENTS.iter().enumerate();
        let sessions = setting.tuning.sessions;
        let mut world = Self {
            network: Network::new(setting.weather, seed()),
            sound: Sound::new(sound_rules, seed()),
            engines: Engines::new(engine_rules, house.classifier.clone(), seed()),
            ledger: Ledger::new(setting.slow_disk_ms, seed()),
            carrier: Telephone::new("carrier", CARRIER, seed(), sessions),
            desks: desks
                .map(|(it, name)| Telephone::new(name, desk(it), seed(), sessions))
                .collect(),
            far: FAR
                .into_iter()
                .zip(FAR_NAMES)
                .map(|(address, name)| Telephone::new(name, address, seed(), sessions))
                .collect(),
            rude: Rude::new(seed()),
            setting,
            now,
            began: now,
            house,
            exchange: None,
            crashed: None,
            people: BTreeMap::new(),
            agenda: BTreeMap::new(),
            serial: 0,
            luck,
            inputs: VecDeque::new(),
            effects: Vec::new(),
            outbox: Vec::new(),
            watch: Watch::default(),
            ladder: Ladder::default(),
            doom: None,
            ends: false,
            requests: 0,
            steps: 0,
            closing: false,
        };
        world.plan(Duration::ZERO, Order::Start);
        world
    }

    /// Plans something for `at` after the start.
    pub fn plan(&mut self, at: Duration, order: Order) {
        self.serial += 1;
        self.agenda.insert((self.began.instant + at, self.serial), order);
    }

    /// What is on disk, to be filled before the start and looked at.
    pub fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// The run as a call-flow ladder.
    pub fn ladder(&self) -> String {
        self.ladder.print()
    }

    /// Lets everything happen until nothing more does.
    ///
    /// # Errors
    /// The first rule that was broken.
    pub fn run(&mut self) -> Result<Report, Box<Failure>> {
        loop {
            if !self.closing && self.has_settled() {
                self.close();
            }
            let Some((at, turn)) = self.next() else { break };
            self.pass_to(at);
            self.step(turn);
            if let Some(what) = self.watch.violation() {
                return Err(self.failure(what));
            }
        }
        self.watch.at_end(self.exchange.as_ref(), &self.ledger.disk, self.sound.open());
        match self.watch.violation() {
            Some(what) => Err(self.failure(what)),
            None => Ok(Report { steps: self.steps, counts: self.watch.counts }),
        }
    }

    fn failure(&self, what: String) -> Box<Failure> {
        Box::new(Failure { seed: self.setting.seed, what, ladder: self.ladder.print() })
    }

    fn next(&self) -> Option<(Instant, Turn)> {
        let agenda = self.agenda.first_key_value().map(|((at, _), _)| *at);
        let mut all = vec![
            (agenda, Turn::Agenda),
            (self.network.deadline(), Turn::Network),
            (self.ledger.deadline(), Turn::Ledger),
            (self.sound.deadline(), Turn::Sound),
            (self.engines.deadline(), Turn::Engines),
            (self.exchange.as_ref().and_then(Exchange::deadline), Turn::Exchange),
            (self.carrier.deadline(), Turn::Carrier),
            (self.rude.deadline(), Turn::Rude),
        ];
        all.extend(
            self.desks.iter().enumerate().map(|(it, desk)| (desk.deadline(), Turn::Desk(it))),
        );
        all.extend(self.far.iter().enumerate().map(|(it, far)| (far.deadline(), Turn::Far(it))));
        let due = all.into_iter().filter_map(|(at, turn)| Some((at?, turn)));
        due.min_by_key(|(at, _)| *at)
    }

    fn pass_to(&mut self, at: Instant) {
        let by = at.saturating_duration_since(self.now.instant);
        // The wall clock counts whole milliseconds of the same run.
        let since = (self.now.instant + by) - self.began.instant;
        let wall_ms = self.began.wall_ms + u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        self.now = Now { instant: self.now.instant + by, wall_ms };
        self.steps += 1;
        if self.steps > STEPS_MAX || since > LENGTH_MAX {
            let held = self.exchange.as_ref().map(|it| it.switchboard().census());
            let desks: usize = self.desks.iter().map(Telephone::calls).sum();
            let campaigns = self.ledger.disk.campaigns.values().map(|it| it.state);
            self.watch.broken(format!(
                "the run does not come to rest; planned: {}, held: {held:?}, in the ledger: {}, \
                 telephones: {} and {desks}, campaigns: {:?}",
                self.agenda.len(),
                self.ledger.waiting(),
                self.carrier.calls(),
                campaigns.collect::<Vec<_>>()
            ));
        }
    }

    fn step(&mut self, turn: Turn) {
        let now = self.now;
        match turn {
            Turn::Agenda => {
                if let Some((_, order)) = self.agenda.pop_first() {
                    self.obey(order);
                }
            }
            Turn::Network => {
                if let Some(datagram) = self.network.arrive(now.instant) {
                    self.arrive(datagram);
                }
            }
            Turn::Ledger => {
                let mut events = VecDeque::new();
                self.ledger.handle_deadline(now, &mut events);
                self.inputs.extend(events.into_iter().map(Input::Event));
            }
            Turn::Sound => {
                let event = self.sound.handle_deadline(now.instant);
                self.inputs.extend(event.map(Input::Event));
            }
            Turn::Engines => {
                let event = self.engines.handle_deadline(now.instant);
                self.inputs.extend(event.map(Input::Event));
            }
            Turn::Exchange => self.exchange_deadline(),
            Turn::Carrier => self.carrier.handle_deadline(now, &mut self.outbox),
            Turn::Desk(index) => self.desks[index].handle_deadline(now, &mut self.outbox),
            Turn::Far(index) => self.far[index].handle_deadline(now, &mut self.outbox),
            Turn::Rude => self.rude.handle_deadline(now.instant, &mut self.outbox),
        }
        self.take_inputs();
        if let Some(Doom { effects: 0, power_cut }) = self.doom {
            self.doom = None;
            self.crash(power_cut);
        }
        if std::mem::take(&mut self.ends) && self.exchange.is_some() {
            self.drained();
        }
        self.post();
        if let Some(exchange) = &self.exchange {
            self.watch.after_step(exchange, now);
        }
    }

    fn exchange_deadline(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        if let Some(exchange) = &mut self.exchange {
            exchange.handle_deadline(self.now, &mut effects);
        }
        self.perform(&mut effects);
        self.effects = effects;
    }

    /// Gives the exchange what waits for it; what fails at once is its next input.
    fn take_inputs(&mut self) {
        while let Some(input) = self.inputs.pop_front() {
            let mut effects = std::mem::take(&mut self.effects);
            if let Some(exchange) = &mut self.exchange {
                exchange.handle(input, self.now, &mut effects);
            }
            self.perform(&mut effects);
            self.effects = effects;
        }
    }

    /// What telephones have sent sets out.
    fn post(&mut self) {
        for datagram in std::mem::take(&mut self.outbox) {
            self.send(datagram);
        }
    }

    pub(crate) fn send(&mut self, datagram: Datagram) {
        self.watch.far_says(&datagram);
        self.ladder.message(self.now.instant - self.began.instant, &datagram);
        self.network.send(datagram, self.now.instant);
    }

    fn arrive(&mut self, datagram: Datagram) {
        let now = self.now;
        match datagram.to {
            crate::house::GATEWAY => {
                let (local, remote) = (datagram.to, datagram.from);
                let flow = Flow { transport: Transport::Udp, local, remote };
                let message = datagram.message;
                self.inputs.push_back(Input::Message { flow, message });
            }
            CARRIER | RUDE => {
                if datagram.to == CARRIER {
                    self.watch.carrier_sees(&datagram.message, &self.ledger.disk);
                }
                match self.rude.wants(&datagram) {
                    true => self.rude.receive(&datagram, now.instant),
                    false => self.carrier.receive(datagram, now, &mut self.outbox),
                }
            }
            _ => {
                self.watch.far_sees(&datagram);
                let others = self.desks.iter_mut().chain(&mut self.far);
                let desk = others.into_iter().find(|desk| desk.address() == datagram.to);
                if let Some(desk) = desk {
                    desk.receive(datagram, now, &mut self.outbox);
                }
            }
        }
    }

    fn obey(&mut self, order: Order) {
        let now = self.now;
        match order {
            Order::CallIn(from, stays) => {
                let times = (Duration::from_secs(20), stays);
                self.carrier.dial(&from, "4000", times, now, &mut self.outbox);
            }
            Order::CallNumber(from, number, stays) => {
                let times = (Duration::from_secs(60), stays);
                self.carrier.dial(&from, &number, times, now, &mut self.outbox);
            }
            Order::CallRudely(kind) => self.rude.call(kind, now.instant),
            Order::AgentDials(index, code) => {
                let times = (Duration::from_secs(10), Duration::from_secs(30));
                self.desks[index].dial(AGENTS[index], &code, times, now, &mut self.outbox);
            }
            Order::Register(index, true) => {
                self.desks[index].register(REALM, now, &mut self.outbox);
            }
            Order::Register(index, false) => self.desks[index].unregister(now, &mut self.outbox),
            Order::Ask(command) => self.ask(command),
            Order::StartCampaigns => self.start_campaigns(),
            Order::Meddle => self.meddle(),
            Order::DiskFault(faulty) => {
                self.note(format!("the disk {}", if faulty { "breaks" } else { "works again" }));
                let mut events = VecDeque::new();
                self.ledger.set_faulty(faulty, now, &mut events);
                self.inputs.extend(events.into_iter().map(Input::Event));
            }
            // Somewhere in what is done next, perhaps in the middle of a turn.
            Order::Crash { power_cut } => {
                let effects = self.luck.random_range(0..30);
                self.doom = Some(Doom { effects, power_cut });
            }
            Order::Drain => self.inputs.push_back(Input::Event(Event::Drain)),
            Order::Unreachable(remote) => {
                let (transport, local) = (Transport::Udp, crate::house::GATEWAY);
                let flow = Flow { transport, local, remote };
                self.inputs.push_back(Input::TransportFailed { flow });
            }
            Order::Start => self.start(),
        }
    }

    pub(crate) fn ask(&mut self, command: Command) {
        self.requests += 1;
        let request = RequestId(self.requests);
        if self.exchange.is_some() {
            self.watch.asked(request);
            self.inputs.push_back(Input::Event(Event::Command { request, command }));
        }
    }

    fn meddle(&mut self) {
        let Some(exchange) = &self.exchange else { return };
        let switchboard = exchange.switchboard();
        let calls: Vec<_> = switchboard.call_views().map(|view| view.call).collect();
        let promises: Vec<_> = switchboard.callbacks().iter().map(|promise| promise.id).collect();
        let pick = self.luck.random_range(0..(calls.len() + promises.len()).max(1));
        if let Some(call) = calls.get(pick) {
            self.ask(Command::HangUp(*call));
        } else if let Some(promise) = promises.get(pick - calls.len().min(pick)) {
            self.ask(Command::CancelCallback(*promise));
        }
    }

    fn start(&mut self) {
        let wall_ms = self.now.wall_ms;
        let first_leg = LegId(IdSource::starting_at(wall_ms).next_number() << 1 | 1);
        let random = Box::new(StdRng::seed_from_u64(self.luck.random()));
        let endpoint = Endpoint::new(gateway_sip(first_leg, self.setting.tuning.sessions), random);
        let rules = self.house.rules(&self.setting.tuning);
        let switchboard = Switchboard::new(rules, IdSource::starting_at(wall_ms));
        let restored = match self.crashed.take() {
            Some(crashed) => self.ledger.recover(&crashed, self.now),
            None => Default::default(),
        };
        self.note("the exchange starts".to_owned());
        let mut exchange = Exchange::new(endpoint, switchboard);
        let mut effects = Vec::new();
        exchange.restore(restored, self.now, &mut effects);
        self.exchange = Some(exchange);
        self.perform(&mut effects);
        self.start_campaigns();
    }

    fn crash(&mut self, power_cut: bool) {
        if self.exchange.take().is_none() {
            return;
        }
        self.note(if power_cut { "power cut" } else { "the exchange dies" }.to_owned());
        let mut crashed = self.ledger.crash(power_cut);
        if self.setting.sabotage == Some(Sabotage::ForgetsWhatWasSent) {
            crashed.forget_what_was_sent();
        }
        self.crashed = Some(crashed);
        self.sound.crash();
        self.engines.crash();
        self.inputs.clear();
        self.watch.crash();
        self.carrier.line_dies(self.now);
        let others = self.desks.iter_mut().chain(&mut self.far);
        others.for_each(|desk| desk.line_dies(self.now));
        self.start_later();
    }

    /// The last call has ended: the process stores what is left and goes, as it was told.
    pub(crate) fn drained(&mut self) {
        let mut events = VecDeque::new();
        self.ledger.set_faulty(false, self.now, &mut events);
        self.ledger.handle_deadline(self.now, &mut events);
        self.watch.drained(self.exchange.as_ref().map(|it| it.switchboard().census()));
        self.note("the exchange ends".to_owned());
        self.inputs.clear();
        self.exchange = None;
        self.crashed = Some(self.ledger.crash(false));
        self.sound.crash();
        self.engines.crash();
        self.start_later();
    }

    fn start_later(&mut self) {
        let down = Duration::from_millis(self.luck.random_range(300..20_000));
        self.plan(self.now.instant - self.began.instant + down, Order::Start);
    }

    /// Whether nothing more will happen by itself but registrations.
    fn has_settled(&self) -> bool {
        let Some(exchange) = &self.exchange else { return false };
        let switchboard = exchange.switchboard();
        self.agenda.is_empty()
            && switchboard.calls() == 0
            && switchboard.callbacks().is_empty()
            && self.ledger.waiting() == 0
            && self.carrier.calls() == 0
            && self.desks.iter().chain(&self.far).all(|desk| desk.calls() == 0)
            && self.rude.deadline().is_none()
            && self.watch.campaigns_rest(&self.ledger.disk)
    }

    /// The agents go home, so that registrations end too.
    fn close(&mut self) {
        self.closing = true;
        for desk in &mut self.desks {
            desk.unregister(self.now, &mut self.outbox);
        }
        self.post();
    }

    pub(crate) fn note(&mut self, note: String) {
        self.ladder.note(self.now.instant - self.began.instant, note);
    }
}
