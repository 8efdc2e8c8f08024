use super::*;
use crate::event::{ProbeReply, RegisterFailure};
use crate::failover::{End, FailoverRules};
use crate::health::{HealthRules, State};
use crate::locate::{LocateRules, Place, Record, RecordKind};
use crate::number::{DialPlan, NumberForm};
use crate::registration::{RegistrationRules, Standing};
use crate::route::{Asked, RouteSource};
use crate::rules::TrunkRules;
use domain::now::epoch;

fn id(name: &str) -> TrunkId {
    TrunkId::new(&TenantId::default(), name)
}

fn rules_of(place: &str, registers: bool) -> TrunkRules {
    TrunkRules {
        place: Place::parse(place).unwrap(),
        enabled: true,
        caps: Caps::NONE,
        health: HealthRules::default(),
        registration: registers.then(RegistrationRules::default),
        failover: FailoverRules::default(),
        plan: DialPlan::default(),
        dialled: NumberForm::default(),
        caller: NumberForm::default(),
        caller_id: None,
        heard_within: Duration::ZERO,
    }
}

use crate::rules::Caps;

/// Trunks in a world where DNS, probes and registrars answer as they are set.
struct World {
    trunks: Trunks,
    now: Now,
    /// The zone: what is not in it does not exist; `None`: DNS fails.
    zone: Option<BTreeMap<(RecordKind, &'static str), Vec<Record>>>,
    /// Hosts that answer neither OPTIONS nor REGISTER, by the last byte of their addresses.
    dead: BTreeSet<u8>,
    /// What happened, for the tests to read.
    log: Vec<String>,
    calls: u64,
}

impl World {
    fn new(trunks: &[(&str, TrunkRules)]) -> Self {
        let rules = Rules {
            trunks: trunks.iter().map(|(name, rules)| (id(name), rules.clone())).collect(),
            locate: LocateRules { ipv6: false, ..LocateRules::default() },
            ..Rules::default()
        };
        let trunks = Trunks::new(rules, 1);
        let (zone, dead, log) = (Some(BTreeMap::new()), BTreeSet::new(), Vec::new());
        Self { trunks, now: epoch(), zone, dead, log, calls: 0 }
    }

    /// Two hosts of one service, the first always preferred.
    fn with_service(mut self, hosts: &[(u16, &'static str, u8)]) -> Self {
        self.set_service(hosts);
        self
    }

    fn set_service(&mut self, hosts: &[(u16, &'static str, u8)]) {
        let mut zone = BTreeMap::new();
        let srv = |(priority, target, _): &(u16, &'static str, u8)| Record::Srv {
            priority: *priority,
            weight: 0,
            port: 5060,
            target: (*target).into(),
        };
        let name = (RecordKind::Srv, "_sip._udp.carrier.example");
        zone.insert(name, hosts.iter().map(srv).collect());
        for (_, target, last) in hosts {
            let address = Record::Address([192, 0, 2, *last].into());
            zone.insert((RecordKind::A, *target), vec![address]);
        }
        self.zone = Some(zone);
    }

    fn handle(&mut self, event: Event) {
        let mut out = Vec::new();
        self.trunks.handle(event, self.now, &mut out);
        self.perform(out);
    }

    fn perform(&mut self, mut actions: Vec<Action>) {
        while !actions.is_empty() {
            let event = match actions.remove(0) {
                Action::Resolve(question) => {
                    let answer = self.answer(&question);
                    Some(Event::Located { question, answer })
                }
                Action::Probe { trunk, hop } => {
                    let status = (!self.is_dead(&hop)).then_some(200);
                    let round_trip = Duration::from_millis(30);
                    let reply = ProbeReply { status, round_trip, retry_after: None };
                    Some(Event::Probed { trunk, hop, reply })
                }
                Action::Register { trunk, hop, expires, .. } => {
                    Some(self.register(trunk, hop, expires))
                }
                Action::Unregister { trunk, .. } => {
                    self.log.push(format!("{trunk} unregisters"));
                    Some(Event::Unregistered { trunk })
                }
                Action::Changed { trunk, state } => {
                    self.log.push(format!("{trunk} {} {}", state.word(), state.why()));
                    None
                }
                Action::RegistrationChanged { trunk, standing } => {
                    let word = match standing {
                        Standing::Registered { .. } => "registered".to_owned(),
                        Standing::Failed { why, alarm, .. } => {
                            format!("failed {why}, alarm {alarm}")
                        }
                        Standing::Left => "left".to_owned(),
                        Standing::Idle | Standing::Asking => panic!("not told"),
                    };
                    self.log.push(format!("{trunk} {word}"));
                    None
                }
            };
            if let Some(event) = event {
                self.trunks.handle(event, self.now, &mut actions);
            }
        }
    }

    fn register(&mut self, trunk: TrunkId, hop: Hop, expires: Duration) -> Event {
        self.log.push(format!("{trunk} registers at {}", hop.address.ip()));
        match self.is_dead(&hop) {
            true => {
                let failure =
                    RegisterFailure { status: None, retry_after: None, min_expires: None };
                Event::RegisterFailed { trunk, hop, failure }
            }
            false => {
                let (service_route, associated) = (vec!["<sip:edge;lr>".into()], Vec::new());
                Event::Registered { trunk, hop, granted: expires, service_route, associated }
            }
        }
    }

    fn is_dead(&self, hop: &Hop) -> bool {
        match hop.address.ip() {
            std::net::IpAddr::V4(address) => self.dead.contains(&address.octets()[3]),
            std::net::IpAddr::V6(_) => false,
        }
    }

    fn answer(&self, question: &Question) -> Answer {
        let Some(zone) = &self.zone else { return Answer::Failed };
        let found = zone
            .iter()
            .find(|((kind, name), _)| (*kind, *name) == (question.kind, &*question.name));
        let ttl = Duration::from_secs(60);
        match found {
            Some((_, records)) => Answer::Found { records: records.clone(), ttl },
            None => Answer::Nothing { ttl },
        }
    }

    /// Lets time pass.
    fn pass(&mut self, seconds: u64) {
        let end = self.now.instant + Duration::from_secs(seconds);
        while let Some(at) = self.trunks.deadline().filter(|at| *at <= end) {
            let by = at.saturating_duration_since(self.now.instant);
            self.now = self.now.after(by);
            let mut out = Vec::new();
            self.trunks.handle_deadline(self.now, &mut out);
            self.perform(out);
        }
        self.now = self.now.after(end.saturating_duration_since(self.now.instant));
    }

    fn route(&self, trunk: &str) -> Decision {
        self.trunks.route(&request(trunk), self.now)
    }

    /// Where a call goes: the last byte of the address.
    fn goes_to(&self, trunk: &str) -> Option<u8> {
        match self.route(trunk).chosen?.hop.address.ip() {
            std::net::IpAddr::V4(address) => Some(address.octets()[3]),
            std::net::IpAddr::V6(_) => None,
        }
    }

    fn begin(&mut self, trunk: &str) -> LegId {
        let Some(chosen) = self.route(trunk).chosen else { panic!("no way to {trunk}") };
        self.calls += 1;
        let leg = LegId(self.calls * 2);
        assert!(self.trunks.take(leg, &chosen, &TenantId::default(), false, self.now));
        leg
    }

    /// One call that ends so; `None`: it is answered.
    fn call(&mut self, trunk: &str, end: Option<End>) {
        let leg = self.begin(trunk);
        if end.is_none() {
            self.handle(Event::Ringing { leg, status: 180 });
            self.handle(Event::Answered { leg });
        }
        let outcome = end.map(|end| Outcome { end, rang: false, retry_after: None });
        self.handle(Event::Over { leg, outcome });
    }

    fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
}

fn request(trunk: &str) -> RouteRequest {
    RouteRequest {
        tenant: TenantId::default(),
        from: RouteSource::Flow,
        caller: "".into(),
        private: false,
        dialled: "+4930123456".into(),
        asked: Asked::Trunk(id(trunk)),
        second_ring: true,
        random: 9,
    }
}

fn service(registers: bool) -> World {
    World::new(&[("carrier", rules_of("carrier.example", registers))])
        .with_service(&[(0, "one.example", 1), (1, "two.example", 2)])
}

/// The complaint: OPTIONS stick to a dead SRV target for ever. Here calls leave it after three
/// probes, and leave its name when DNS has another.
#[test]
fn a_dead_target_does_not_stick() {
    let mut world = service(false);
    assert_eq!(world.goes_to("carrier"), Some(0), "by name alone before the start");
    world.handle(Event::Start);
    world.pass(10);
    assert_eq!(world.goes_to("carrier"), Some(1));
    world.dead.insert(1);
    world.pass(100);
    assert_eq!(world.goes_to("carrier"), Some(2), "after three probes");
    assert_eq!(world.log(), [""; 0], "the trunk is up all the while");
    world.set_service(&[(0, "new.example", 3), (1, "two.example", 2)]);
    world.pass(61);
    assert_eq!(world.goes_to("carrier"), Some(3));
    world.dead.extend([2, 3]);
    world.pass(120);
    let why = "all 2 targets are down: no answer to a probe, 3 failures in a row";
    assert_eq!(world.log(), [format!("carrier down {why}")]);
    world.dead.clear();
    world.pass(70);
    assert_eq!(world.log(), ["carrier up "]);
    assert_eq!(world.goes_to("carrier"), Some(3));
}

/// Probes off: three silent calls take it down, and a trial every 30 s brings it back.
#[test]
fn without_probes_calls_find_out() {
    let mut rules = rules_of("192.0.2.1", false);
    rules.health.probe_every = Duration::ZERO;
    let mut world = World::new(&[("pbx", rules)]);
    world.handle(Event::Start);
    for _ in 0..3 {
        world.call("pbx", Some(End::Silent));
    }
    assert!(world.log()[0].starts_with("pbx down no answer at all to a call"));
    assert_eq!(world.goes_to("pbx"), None);
    world.pass(29);
    assert_eq!(world.goes_to("pbx"), None);
    world.pass(1);
    assert!(world.route("pbx").chosen.is_some_and(|chosen| chosen.trial));
    world.call("pbx", Some(End::Silent));
    assert_eq!(world.goes_to("pbx"), None, "one trial, not two");
    world.pass(30);
    world.call("pbx", None);
    assert_eq!(world.log(), ["pbx up "]);
    assert_eq!(world.goes_to("pbx"), Some(1));
}

/// Calls that were answered before a host died are no sign of life, neither while they last nor when
/// they end.
#[test]
fn the_end_of_an_old_call_says_nothing_of_its_host() {
    let mut rules = rules_of("192.0.2.1", false);
    rules.health.probe_every = Duration::ZERO;
    let mut world = World::new(&[("pbx", rules)]);
    world.handle(Event::Start);
    let old: Vec<LegId> = (0..3).map(|_| world.begin("pbx")).collect();
    for leg in &old[..2] {
        world.handle(Event::Answered { leg: *leg });
    }
    world.pass(60);
    for leg in [old[0], old[1]] {
        world.call("pbx", Some(End::Silent));
        world.handle(Event::Over { leg, outcome: None });
    }
    world.call("pbx", Some(End::Silent));
    assert!(world.log()[0].starts_with("pbx down"), "two ends of old calls counted for nothing");
    world.handle(Event::Ringing { leg: old[2], status: 180 });
    world.handle(Event::Answered { leg: old[2] });
    world.handle(Event::Over { leg: old[2], outcome: None });
    assert_eq!(world.goes_to("pbx"), None);
    world.pass(30);
    let trial = world.begin("pbx");
    world.handle(Event::Answered { leg: trial });
    assert_eq!(world.log(), ["pbx up "], "at the answer, not at the end");
}

/// Probes off, two hosts: the first is tried again after 30 s though the second is up, and is the first
/// again once it answers.
#[test]
fn without_probes_a_host_is_tried_again_beside_one_that_is_up() {
    let mut rules = rules_of("carrier.example", false);
    rules.health.probe_every = Duration::ZERO;
    let mut world = World::new(&[("carrier", rules)])
        .with_service(&[(0, "one.example", 1), (1, "two.example", 2)]);
    world.handle(Event::Start);
    world.pass(1);
    for _ in 0..3 {
        world.call("carrier", Some(End::Silent));
    }
    assert_eq!(world.goes_to("carrier"), Some(2));
    world.pass(30);
    assert_eq!(world.goes_to("carrier"), Some(1), "a trial");
    world.call("carrier", Some(End::Silent));
    assert_eq!(world.goes_to("carrier"), Some(2), "one trial, not two");
    world.pass(30);
    world.call("carrier", None);
    assert_eq!(world.goes_to("carrier"), Some(1));
}

/// A trunk that answers probes and fails calls is down, until a trial call shows otherwise or its
/// window has run empty.
#[test]
fn failing_calls_take_a_trunk_down_though_it_answers_probes() {
    for trial in [true, false] {
        let mut world = World::new(&[("carrier", rules_of("192.0.2.1", false))]);
        world.handle(Event::Start);
        for _ in 0..20 {
            world.pass(1);
            world.call("carrier", Some(End::Status(500)));
        }
        assert_eq!(world.log(), ["carrier down 100 % of its last 20 calls failed, over 80 %"]);
        assert_eq!(world.goes_to("carrier"), None);
        if trial {
            world.pass(30);
            world.call("carrier", None);
        } else {
            world.pass(301);
        }
        assert_eq!(world.log(), ["carrier up "]);
        assert_eq!(world.goes_to("carrier"), Some(1));
    }
}

#[test]
fn we_register_at_once_stay_registered_and_take_it_back() {
    let mut world = service(true);
    world.handle(Event::Start);
    assert_eq!(world.log(), ["carrier registers at 192.0.2.1", "carrier registered"]);
    assert_eq!(
        world.trunks.service_route(&id("carrier"), world.now.instant),
        [Arc::from("<sip:edge;lr>")]
    );
    world.pass(3_600);
    let refreshes = world.log();
    assert!((6..=8).contains(&refreshes.len()), "{refreshes:?}");
    assert!(refreshes.iter().all(|line| line == "carrier registers at 192.0.2.1"));
    // Its host dies: registered at the other as soon as that is known, and calls go there.
    world.dead.insert(1);
    world.pass(130);
    let told = world.log();
    assert!(told.contains(&"carrier registers at 192.0.2.2".to_owned()), "{told:?}");
    assert_eq!(world.goes_to("carrier"), Some(2));
    world.dead.clear();
    world.pass(70);
    assert_eq!(world.goes_to("carrier"), Some(2), "where we are registered");
    world.log();
    world.handle(Event::Drain);
    assert_eq!(world.log(), ["carrier unregisters", "carrier left"]);
    world.pass(4_000);
    assert_eq!(world.log(), [""; 0]);
}

#[test]
fn an_unregistered_trunk_takes_no_calls_and_says_why() {
    let mut world = service(true);
    world.dead.extend([1, 2]);
    world.handle(Event::Start);
    let expected = [
        "carrier registers at 192.0.2.1",
        "carrier registers at 192.0.2.2",
        "carrier failed no answer, alarm false",
    ];
    assert_eq!(world.log(), expected);
    let decision = world.route("carrier");
    assert_eq!(
        decision.rejected[0].to_string(),
        "trunk carrier: registered: not registered: no answer"
    );
    world.dead.clear();
    world.pass(60);
    assert_eq!(world.log().last().map(String::as_str), Some("carrier registered"));
    // Wrong credentials alarm, and are tried rarely.
    let (trunk, hop) = (id("carrier"), world.route("carrier").chosen.unwrap().hop);
    world.zone = None;
    world.dead.clear();
    let failure = RegisterFailure { status: Some(403), retry_after: None, min_expires: None };
    world.handle(Event::RegisterFailed { trunk, hop, failure });
    assert_eq!(world.log(), [""; 0], "an answer to nothing");
}

/// Many trunks do not register in one burst, and each asks DNS for itself once.
#[test]
fn a_start_with_many_trunks_is_spread() {
    let many: Vec<String> = (0..100).map(|n| format!("t{n:03}")).collect();
    let rules = rules_of("carrier.example", true);
    let all: Vec<(&str, TrunkRules)> =
        many.iter().map(|name| (name.as_str(), rules.clone())).collect();
    let mut world = World::new(&all).with_service(&[(0, "one.example", 1)]);
    let mut out = Vec::new();
    world.trunks.handle(Event::Start, world.now, &mut out);
    let questions = out.iter().filter(|action| matches!(action, Action::Resolve(_))).count();
    assert_eq!((questions, out.len()), (1, 1), "one question serves all");
    world.perform(out);
    let registered = |log: &[String]| log.iter().filter(|it| it.ends_with(" registered")).count();
    let at_once = registered(&world.log);
    assert!(at_once <= 2, "{at_once}");
    world.pass(2);
    assert!((38..=44).contains(&registered(&world.log)));
    world.pass(4);
    assert_eq!(registered(&world.log), 100);
}

/// DNS goes away: the trunk stays where it was found, which is said.
#[test]
fn dns_may_fail() {
    let mut world = service(false);
    world.handle(Event::Start);
    world.zone = None;
    world.pass(3_600);
    assert_eq!(world.goes_to("carrier"), Some(1));
    assert!(world.trunks.views(world.now)[0].stale);
    let mut lost = service(false);
    lost.zone = None;
    lost.handle(Event::Start);
    assert_eq!(lost.log(), ["carrier down DNS knows no place for it"]);
    lost.set_service(&[(0, "one.example", 1)]);
    lost.pass(11);
    assert_eq!(lost.log(), ["carrier up "]);
}

#[test]
fn channels_are_leased_shown_and_given_back() {
    let caps = Caps { outgoing: 2, incoming: 1, outgoing_per_second: 5, ..Caps::NONE };
    let rules = TrunkRules { caps, ..rules_of("192.0.2.1", false) };
    let mut world = World::new(&[("pbx", rules)]);
    world.handle(Event::Start);
    let (tenant, trunk, now) = (TenantId::default(), id("pbx"), world.now);
    let chosen = world.route("pbx").chosen.unwrap();
    let mut take = |leg| world.trunks.take(LegId(leg), &chosen, &tenant, false, now);
    assert_eq!([take(2), take(4), take(6)], [true, true, false]);
    let refused = world.route("pbx");
    assert_eq!(refused.rejected[0].test, crate::route::Test::Channels);
    assert_eq!(world.trunks.take_incoming(LegId(1), &trunk, false, now), Ok(()));
    let full = Err((Whose::Trunk, Full::Channels));
    assert_eq!(world.trunks.take_incoming(LegId(3), &trunk, false, now), full);
    assert_eq!(world.trunks.take_incoming(LegId(5), &trunk, true, now), Ok(()), "for help");
    let view = &world.trunks.views(now)[0];
    assert_eq!((view.channels, view.rate, &view.state), ((2, 2), (2, 2), &State::Up));
    for leg in [1, 2, 3, 4, 5, 2] {
        world.handle(Event::Over { leg: LegId(leg), outcome: None });
    }
    assert_eq!(world.trunks.channels(), 0);
    assert_eq!(world.trunks.views(now)[0].figures.calls, 2, "those that came do not count");
}

/// Whatever comes in whatever order, nothing panics, no deadline lies in the past, and no channel is
/// lost.
#[test]
fn nothing_that_comes_out_of_turn_does_harm() {
    let mut world = service(true);
    world.handle(Event::Start);
    let mut random = Random::new(11);
    let hops = [Some(1_u8), Some(2), Some(9)];
    for step in 0..20_000_u64 {
        let leg = LegId(random.up_to(40));
        let last = hops[random.up_to(2) as usize].unwrap_or(1);
        let hop = Hop {
            host: Some("carrier.example".into()),
            ..Hop::at(domain::hop::Transport::Udp, ([192, 0, 2, last], 5060).into())
        };
        let status = Some(200 + u16::try_from(random.up_to(500)).unwrap_or(0));
        let retry_after = (random.up_to(3) == 0).then(|| Duration::from_secs(random.up_to(9_999)));
        let trunk = id("carrier");
        let event = match random.up_to(9) {
            0 => Event::Ringing { leg, status: 180 },
            1 => Event::Answered { leg },
            2 => Event::Over { leg, outcome: None },
            3 => Event::ProbeNow { trunk },
            4 => {
                let reply = ProbeReply { status, round_trip: Duration::ZERO, retry_after };
                Event::Probed { trunk, hop, reply }
            }
            5 => {
                let failure = RegisterFailure { status, retry_after, min_expires: retry_after };
                Event::RegisterFailed { trunk, hop, failure }
            }
            6 => {
                let granted = Duration::from_secs(random.up_to(4_000));
                let (service_route, associated) = (Vec::new(), Vec::new());
                Event::Registered { trunk, hop, granted, service_route, associated }
            }
            7 => {
                let question = Question { kind: RecordKind::A, name: "one.example".into() };
                Event::Located { question, answer: Answer::Failed }
            }
            8 => {
                let outcome = Outcome { end: End::Status(503), rang: false, retry_after };
                Event::Over { leg, outcome: Some(outcome) }
            }
            _ => {
                if let Some(chosen) = world.route("carrier").chosen {
                    let tenant = TenantId::default();
                    let _ = world.trunks.take(leg, &chosen, &tenant, false, world.now);
                }
                continue;
            }
        };
        world.handle(event);
        if step % 10 == 0 {
            world.pass(random.up_to(3));
        }
        assert!(world.trunks.deadline().is_none_or(|at| at > world.now.instant));
    }
    for leg in (0..=40).map(LegId) {
        world.handle(Event::Over { leg, outcome: None });
    }
    assert_eq!(world.trunks.channels(), 0);
}
