use super::live::Condition;
use super::*;
use crate::caller_id::{CallerIdRules, Mismatch};
use crate::failover::End;
use crate::health::{HealthRules, State};
use crate::lease::Full;
use crate::locate::{LocateRules, Place};
use crate::number::{DialPlan, NumberForm, NumberStyle};
use crate::rules::{Caps, TenantRules, TrunkRules};
use domain::hop::Transport;
use domain::now::epoch;
use std::collections::BTreeMap;
use std::time::Instant;

/// A world as it is set, without machines.
#[derive(Default)]
struct World {
    unregistered: Vec<TrunkId>,
    states: BTreeMap<TrunkId, State>,
    trials: Vec<TrunkId>,
    targets: BTreeMap<TrunkId, Vec<(Hop, Condition)>>,
    full: BTreeMap<TrunkId, Full>,
    tenant_full: Option<Full>,
}

impl Live for World {
    fn registered(&self, trunk: &TrunkId, _: Now) -> Result<(), Arc<str>> {
        match self.unregistered.contains(trunk) {
            true => Err("not registered".into()),
            false => Ok(()),
        }
    }

    fn state(&self, trunk: &TrunkId, _: Now) -> State {
        self.states.get(trunk).cloned().unwrap_or(State::Up)
    }

    fn is_trial_due(&self, trunk: &TrunkId, _: Now) -> bool {
        self.trials.contains(trunk)
    }

    fn targets(&self, trunk: &TrunkId, _: u64, _: Now) -> Vec<(Hop, Condition)> {
        self.targets
            .get(trunk)
            .cloned()
            .unwrap_or_else(|| vec![(hop(&trunk.name, 1), Condition::Up)])
    }

    fn trunk_room(&self, trunk: &TrunkId, _: Now) -> Result<(), Full> {
        self.full.get(trunk).map_or(Ok(()), |full| Err(*full))
    }

    fn tenant_room(&self, _: &TenantId, _: Now) -> Result<(), Full> {
        self.tenant_full.map_or(Ok(()), Err)
    }
}

fn hop(name: &str, last: u8) -> Hop {
    let net = name.bytes().next().unwrap_or(0);
    Hop::at(Transport::Udp, ([192, 0, net, last], 5060).into())
}

fn id(name: &str) -> TrunkId {
    TrunkId::new(&TenantId::default(), name)
}

fn plan() -> DialPlan {
    DialPlan {
        country_code: "49".into(),
        national_prefix: "0".into(),
        extension_digits_max: 5,
        emergency: vec!["110".into(), "112".into()],
        ..DialPlan::default()
    }
}

fn trunk(name: &str) -> (TrunkId, TrunkRules) {
    let rules = TrunkRules {
        place: Place::parse("192.0.2.1").unwrap(),
        enabled: name != "off",
        caps: Caps::NONE,
        health: HealthRules::default(),
        registration: None,
        failover: FailoverRules::default(),
        plan: plan(),
        dialled: NumberForm { style: NumberStyle::National, ..NumberForm::default() },
        caller: NumberForm::default(),
        caller_id: Some(plan().read("+4930555000")),
        heard_within: Duration::from_secs(3),
    };
    (id(name), rules)
}

fn route_to(name: &str, dialled: &[&str], trunks: &[(&str, u16, u16)]) -> Route {
    let to = |(name, priority, weight): &(&str, u16, u16)| RouteTrunk {
        trunk: id(name),
        priority: *priority,
        weight: *weight,
    };
    Route {
        name: name.into(),
        tenant: None,
        from: Vec::new(),
        dialled: dialled.iter().map(|pattern| Arc::from(*pattern)).collect(),
        caller: Vec::new(),
        emergency: false,
        refuse: None,
        open_minutes: Vec::new(),
        utc_offset_min: 0,
        trunks: trunks.iter().map(to).collect(),
        tries_max: 3,
        ring_for: Duration::from_secs(60),
    }
}

fn rules() -> Rules {
    let all = [("a", 0, 1), ("b", 1, 1), ("c", 2, 1)];
    let help = Route { emergency: true, ..route_to("help", &[], &[("e", 0, 1), ("b", 1, 1)]) };
    let premium = Route { refuse: Some(403), ..route_to("premium", &["+49900*"], &[]) };
    let agents = Route {
        from: vec![SourceMatch::Agents],
        caller: vec!["+49305550*".into()],
        ..route_to("agents", &["+1*"], &[("c", 0, 1)])
    };
    let night = Route {
        // Monday to Sunday 20:00 to 24:00, one hour east of UTC.
        open_minutes: (0..7).map(|day| (day * 1_440 + 1_200, day * 1_440 + 1_440)).collect(),
        utc_offset_min: 60,
        ..route_to("night", &["+44*"], &[("c", 0, 1)])
    };
    let other = Route {
        tenant: Some(TenantId("other".into())),
        ..route_to("other", &["*"], &[("a", 0, 1)])
    };
    let tenant = TenantRules {
        plan: plan(),
        caller_ids: CallerIdRules {
            allowed: vec!["+49305550*".into()],
            mismatch: Mismatch::Replace,
        },
        caps: Caps::NONE,
    };
    Rules {
        trunks: ["a", "b", "c", "e", "off"].map(trunk).into(),
        routes: vec![
            help,
            other,
            premium,
            agents,
            night,
            route_to("home", &["+49*"], &all),
            route_to("away", &["+*"], &[("c", 0, 1), ("a", 0, 1)]),
        ],
        tenants: BTreeMap::from([(TenantId::default(), tenant)]),
        locate: LocateRules::default(),
    }
}

fn request(dialled: &str) -> RouteRequest {
    RouteRequest {
        tenant: TenantId::default(),
        from: RouteSource::Flow,
        caller: "+49305550100".into(),
        private: false,
        dialled: dialled.into(),
        asked: Asked::Any,
        second_ring: true,
        random: 1,
    }
}

fn down(why: &str) -> State {
    State::Down { why: why.into(), since: instant() }
}

fn instant() -> Instant {
    epoch().instant
}

/// `trunk user`, or the refusal's status; then what was rejected as `what: test`.
fn told(decision: &Decision) -> (String, Vec<String>) {
    let chosen = match (&decision.chosen, &decision.refusal) {
        (Some(chosen), None) => format!("{} {}", chosen.trunk, chosen.user),
        (None, Some(refusal)) => refusal.status.to_string(),
        both => panic!("neither or both: {both:?}"),
    };
    let rejected = decision.rejected.iter();
    (chosen, rejected.map(|it| format!("{}: {}", it.candidate, it.test)).collect())
}

fn decided(request: &RouteRequest, world: &World) -> (String, Vec<String>) {
    told(&route(request, &rules(), world, epoch()))
}

const BEFORE_HOME: [&str; 5] = [
    "route help: emergency",
    "route other: tenant",
    "route premium: dialled",
    "route agents: source",
    "route night: dialled",
];

/// What is dialled; where it goes; what was rejected before or after.
#[test]
fn the_first_route_that_fits_takes_the_call() {
    let world = World::default();
    let (chosen, rejected) = decided(&request("030 123456"), &world);
    assert_eq!(chosen, "a 030123456");
    let preferred = ["trunk b: preferred", "trunk c: preferred"];
    assert_eq!(rejected, [&BEFORE_HOME[..], &preferred].concat());
    for (dialled, expected, last) in [
        ("+33123456789", "a 0033123456789", "trunk c: preferred"),
        ("0900123456", "403", "route premium: permit"),
        ("4000", "404", "route away: dialled"),
        ("alice", "404", "route away: dialled"),
        ("", "484", "the call: number"),
    ] {
        let (chosen, rejected) = decided(&request(dialled), &world);
        assert_eq!((&*chosen, rejected.last().map(String::as_str)), (expected, Some(last)));
    }
    let agent = RouteSource::Agent(AgentId::new(&TenantId::default(), "anna"));
    let from_agent = RouteRequest { from: agent, ..request("+12125551234") };
    assert_eq!(decided(&from_agent, &world).0, "c 0012125551234");
    let other_caller = RouteRequest { caller: "+4940999".into(), ..from_agent };
    let (chosen, rejected) = decided(&other_caller, &world);
    assert_eq!(chosen, "a 0012125551234");
    assert_eq!(rejected[3], "route agents: caller");
}

/// 2027-01-15 08:00 UTC, a Friday: the night route is shut; 20:30 there it is open.
#[test]
fn routes_have_hours() {
    let world = World::default();
    let at = |hour: u64, minute: u64| {
        let now = epoch();
        Now { wall_ms: now.wall_ms + (hour * 60 + minute) * 60_000, ..now }
    };
    let dialled = request("+442012345678");
    for (now, route_name) in [(at(0, 0), "away"), (at(11, 29), "night"), (at(10, 59), "away")] {
        let decision = route(&dialled, &rules(), &world, now);
        assert_eq!(decision.route.as_deref(), Some(route_name), "{now:?}");
    }
}

/// A name, the world, the trunk that is chosen, and what was rejected.
type Case = (&'static str, World, &'static str, &'static [&'static str]);

fn check_cases(table: Vec<Case>) {
    for (name, world, chosen, rejected) in table {
        let (to, why) = decided(&request("030 123456"), &world);
        assert_eq!(to.split(' ').next(), Some(chosen), "{name}");
        assert_eq!(why, [&BEFORE_HOME[..], rejected].concat(), "{name}");
    }
}

#[test]
fn each_test_is_the_reason_that_is_told() {
    let down = |trunk: &str| (id(trunk), down("3 failures in a row"));
    let degraded = State::Degraded { why: "slow".into() };
    let table: Vec<Case> = vec![
        (
            "down",
            World { states: [down("a")].into(), ..World::default() },
            "b",
            &["trunk a: health", "trunk c: preferred"],
        ),
        (
            "degraded comes after what is up",
            World { states: [(id("a"), degraded.clone())].into(), ..World::default() },
            "b",
            &["trunk c: preferred", "trunk a: preferred"],
        ),
        (
            "degraded is better than nothing",
            World {
                states: [(id("a"), degraded), down("b"), down("c")].into(),
                ..World::default()
            },
            "a",
            &["trunk b: health", "trunk c: health"],
        ),
        (
            "not registered",
            World { unregistered: vec![id("a")], ..World::default() },
            "b",
            &["trunk a: registered", "trunk c: preferred"],
        ),
    ];
    check_cases(table);
}

#[test]
fn caps_and_targets_are_reasons_too() {
    let down = |trunk: &str| (id(trunk), down("3 failures in a row"));
    let table: Vec<Case> = vec![
        (
            "channels and rate",
            World {
                full: [(id("a"), Full::Channels), (id("b"), Full::Rate(None))].into(),
                ..World::default()
            },
            "c",
            &["trunk a: channels", "trunk b: calls per second"],
        ),
        (
            "a dead target is passed over",
            World {
                targets: [(
                    id("a"),
                    vec![
                        (hop("a", 1), Condition::Down("dead".into())),
                        (hop("a", 2), Condition::Up),
                    ],
                )]
                .into(),
                ..World::default()
            },
            "a",
            &["trunk a at udp:192.0.97.1:5060: target", "trunk b: preferred", "trunk c: preferred"],
        ),
        (
            "not located",
            World { targets: [(id("a"), vec![])].into(), ..World::default() },
            "b",
            &["trunk a: located", "trunk c: preferred"],
        ),
        (
            "on trial, for a call that can go on",
            World { states: [down("a")].into(), trials: vec![id("a")], ..World::default() },
            "a",
            &["trunk b: preferred", "trunk c: preferred"],
        ),
    ];
    check_cases(table);
}

#[test]
fn a_call_with_no_way_is_refused_with_the_reason_of_it() {
    let all = |state: fn(&str) -> State| ["a", "b", "c"].map(|name| (id(name), state(name)));
    let refusal = |request: &RouteRequest, rules: &Rules, world: &World| {
        let refusal = route(request, rules, world, epoch()).refusal.unwrap();
        (refusal.status, refusal.retry_after.map(|wait| wait.as_secs()))
    };
    let home = request("030 123456");
    let dead = World { states: all(|_| down("dead")).into(), ..World::default() };
    assert_eq!(refusal(&home, &rules(), &dead), (500, None));
    let busy = World { tenant_full: Some(Full::Channels), ..World::default() };
    assert_eq!(refusal(&home, &rules(), &busy), (503, Some(2)));
    let mut strict = rules();
    strict.tenants.values_mut().for_each(|it| it.caller_ids.mismatch = Mismatch::Reject);
    let foreign = RouteRequest { caller: "+4940123456".into(), ..home.clone() };
    assert_eq!(refusal(&foreign, &strict, &World::default()), (403, None));
    let asked = |asked| RouteRequest { asked, ..home.clone() };
    for (asked, test) in [
        (Asked::Trunk(id("off")), Test::Enabled),
        (Asked::Trunk(id("none")), Test::Known),
        (Asked::Route("none".into()), Test::Known),
        (Asked::Route("other".into()), Test::Tenant),
    ] {
        let decision = route(&self::asked(&home, asked), &rules(), &World::default(), epoch());
        assert_eq!(decision.rejected[0].test, test);
        assert!(decision.chosen.is_none() && decision.refusal.is_some());
    }
    let named = asked(Asked::Route("away".into()));
    assert_eq!(decided(&named, &World::default()).0, "a 030123456");
    let back = RouteRequest { from: RouteSource::Trunk(id("a")), ..home.clone() };
    let (chosen, rejected) = decided(&back, &World::default());
    assert_eq!((&*chosen, &*rejected[5]), ("b 030123456", "trunk a: loop"));
}

fn asked(request: &RouteRequest, asked: Asked) -> RouteRequest {
    RouteRequest { asked, ..request.clone() }
}

/// No cap, permit, registration or state of health stops a call for help; nor does the campaign's or
/// queue's own trunk keep it from the way made for it.
#[test]
fn nothing_stops_an_emergency_call() {
    let full = ["a", "b", "c", "e"].map(|name| (id(name), Full::Channels));
    let mut world = World {
        full: full.into(),
        tenant_full: Some(Full::Channels),
        unregistered: vec![id("e")],
        ..World::default()
    };
    let help = asked(&request("112"), Asked::Trunk(id("a")));
    let foreign = RouteRequest { caller: "+1999".into(), ..help.clone() };
    assert_eq!(decided(&help, &world).0, "e 112");
    assert_eq!(decided(&foreign, &world).0, "e 112");
    world.states = [(id("e"), down("dead"))].into();
    assert_eq!(decided(&help, &world).0, "b 112", "one that is up comes first");
    world.states.insert(id("b"), down("dead"));
    world.targets = [(id("e"), vec![(hop("e", 1), Condition::Down("dead".into()))])].into();
    assert_eq!(decided(&help, &world).0, "e 112", "even a dead one is tried");
    // Without a route of its own it takes any that fits, caps or not.
    let mut bare = rules();
    bare.routes.retain(|route| !route.emergency);
    let world = World { full: [(id("a"), Full::Channels)].into(), ..World::default() };
    let decision = route(&help, &bare, &world, epoch());
    assert_eq!(told(&decision).0, "a 112");
    assert!(decision.emergency);
}

/// Whatever the tenant's rules do with numbers that are not its own, whoever calls for help shows his.
#[test]
fn a_call_for_help_shows_its_number() {
    for mismatch in [Mismatch::Send, Mismatch::Replace, Mismatch::Reject, Mismatch::Anonymous] {
        let mut rules = rules();
        rules.tenants.values_mut().for_each(|it| it.caller_ids.mismatch = mismatch.clone());
        for (caller, expected) in [("+4940123456", "+4940123456"), ("anonymous", "+4930555000")] {
            let help = RouteRequest { caller: caller.into(), private: true, ..request("112") };
            let shown = route(&help, &rules, &World::default(), epoch()).chosen.unwrap().shown;
            assert_eq!((&*shown.user, shown.private), (expected, false), "{mismatch:?}");
        }
    }
}

/// The last host of a trunk that is not down as a whole is tried too, when all others have failed.
#[test]
fn a_call_for_help_tries_dead_hosts_at_last() {
    let hosts = vec![(hop("e", 1), Condition::Up), (hop("e", 2), Condition::Down("dead".into()))];
    let dead = vec![(hop("b", 1), Condition::Down("dead".into()))];
    let targets = BTreeMap::from([(id("e"), hosts), (id("b"), dead)]);
    let world = World { targets, ..World::default() };
    let help = request("112");
    let silent = [End::Silent, End::Silent, End::Status(503)];
    assert_eq!(follow(&help, &world, &[]), "then e");
    // A host that lives is not given up for one that is dead.
    let first = route(&help, &rules(), &world, epoch()).chosen.unwrap();
    assert_eq!((first.trial, first.heard_within), (false, None));
    assert_eq!(follow(&help, &world, &silent), "e1 e2 b1 500");
    // Where no route is made for such calls, the way asked for is gone over in the same manner.
    let mut bare = rules();
    bare.routes.retain(|route| !route.emergency);
    let asked = asked(&help, Asked::Trunk(id("b")));
    assert_eq!(told(&route(&asked, &bare, &world, epoch())), ("b 112".into(), vec![]));
    let other = RouteRequest { dialled: "+49301234".into(), ..asked };
    assert_eq!(told(&route(&other, &bare, &world, epoch())).0, "500");
}

fn outcome(end: End) -> Outcome {
    Outcome { end, rang: false, retry_after: None }
}

/// Follows a call to its end; each step `trunk-of-hop.last` and the status at last.
fn follow(request: &RouteRequest, world: &World, ends: &[End]) -> String {
    let rules = rules();
    let mut decision = route(request, &rules, world, epoch());
    let mut steps = Vec::new();
    for end in ends {
        let Some(chosen) = &decision.chosen else { break };
        let last = chosen.hop.address.ip().to_string();
        steps.push(format!("{}{}", chosen.trunk, last.rsplit('.').next().unwrap_or_default()));
        decision = next(request, &decision, outcome(*end), (&rules, world), epoch());
    }
    match (&decision.chosen, &decision.refusal) {
        (Some(chosen), _) => steps.push(format!("then {}", chosen.trunk)),
        (None, Some(refusal)) => steps.push(refusal.status.to_string()),
        (None, None) => steps.push("nothing".into()),
    }
    assert!(decision.tried.len() <= ends.len());
    steps.join(" ")
}

/// RFC 3263 §4.3 for the targets of one trunk, our table for the trunks of a route.
#[test]
fn failed_tries_go_on_where_the_table_allows() {
    let two = |name: &str| vec![(hop(name, 1), Condition::Up), (hop(name, 2), Condition::Up)];
    let world = World { targets: [(id("a"), two("a"))].into(), ..World::default() };
    let home = request("030 123456");
    let once = RouteRequest { second_ring: false, ..home.clone() };
    let status = End::Status;
    for (request, ends, expected) in [
        (&home, vec![status(486)], "a1 486"),
        (&home, vec![status(603)], "a1 603"),
        (&home, vec![status(404)], "a1 404"),
        // 503 is of the target: the next target of the same trunk.
        (&home, vec![status(503), status(503)], "a1 a2 then b"),
        // 500 is of the call: the next trunk.
        (&home, vec![status(500)], "a1 then b"),
        (&home, vec![End::NotSent, End::Silent, status(500)], "a1 a2 b1 500"),
        (&home, vec![status(503), status(503), status(503)], "a1 a2 b1 500"),
        (&home, vec![End::GivenUp], "a1 487"),
        (&home, vec![End::EarlyFailover, status(486)], "a1 a2 486"),
        // A campaign's attempt: never after silence.
        (&once, vec![End::Silent], "a1 408"),
        (&once, vec![status(408)], "a1 408"),
        (&once, vec![status(503), End::EarlyFailover], "a1 a2 408"),
        (&once, vec![End::NotSent, status(500)], "a1 a2 then b"),
    ] {
        assert_eq!(follow(request, &world, &ends), expected, "{ends:?}");
    }
}

/// A host that is to prove itself is tried in its own place, or it would never be while another of the
/// trunk is up; a call that rings once, or is for help, takes the other first.
#[test]
fn a_host_on_trial_keeps_its_place_for_calls_that_can_go_on() {
    let hosts = vec![(hop("a", 1), Condition::Trial), (hop("a", 2), Condition::Up)];
    let world = World { targets: [(id("a"), hosts)].into(), ..World::default() };
    let home = request("030 123456");
    let once = RouteRequest { second_ring: false, ..home.clone() };
    assert_eq!(follow(&home, &world, &[End::Silent, End::Status(486)]), "a1 a2 486");
    assert_eq!(follow(&once, &world, &[End::Status(503), End::Status(486)]), "a2 a1 486");
}

#[test]
fn what_was_tried_is_told_and_what_is_offered_follows_the_trunk() {
    let (rules, world, home) = (rules(), World::default(), request("030 123456"));
    let first = route(&home, &rules, &world, epoch());
    let chosen = first.chosen.clone().unwrap();
    assert_eq!(chosen.heard_within, Some(Duration::from_secs(3)));
    assert_eq!(&*chosen.shown.user, "+49305550100");
    let second = next(&home, &first, outcome(End::Status(500)), (&rules, &world), epoch());
    assert_eq!(second.tried.len(), 1);
    let told: Vec<String> = second.rejected.iter().map(Rejected::to_string).collect();
    assert!(told.contains(&"trunk a: tried: 500".to_owned()), "{told:?}");
    let rang = Outcome { rang: true, ..outcome(End::Status(500)) };
    let third = next(&home, &second, rang, (&rules, &world), epoch());
    let why = third.refusal.unwrap().why;
    assert_eq!(&*why, "500: a telephone rang: a person may have been reached");
    let campaign = RouteRequest { second_ring: false, from: RouteSource::Campaign, ..home };
    let chosen = route(&campaign, &rules, &world, epoch()).chosen.unwrap();
    assert_eq!(chosen.heard_within, None, "in silence it is in doubt");
}

/// However many routes there are, a decision lists a bounded number.
#[test]
fn the_list_of_the_rejected_is_bounded() {
    let mut many = rules();
    many.routes = (0..1_000).map(|n| route_to(&format!("r{n}"), &["+7*"], &[])).collect();
    let decision = route(&request("+49301234567"), &many, &World::default(), epoch());
    assert_eq!((decision.rejected.len(), decision.rejected_more), (REJECTED_MAX, 936));
}

/// Calls of equal priority are shared by weight, and each random number always chooses the same.
#[test]
fn trunks_of_one_priority_share_by_weight() {
    let mut shared = rules();
    shared.routes = vec![route_to("all", &["+*"], &[("a", 0, 30), ("b", 0, 10), ("c", 1, 99)])];
    let mut firsts = BTreeMap::new();
    for random in 0..4_000 {
        let request = RouteRequest { random, ..request("+49301234567") };
        let decision = route(&request, &shared, &World::default(), epoch());
        assert_eq!(decision, route(&request, &shared, &World::default(), epoch()));
        *firsts.entry(decision.chosen.unwrap().trunk.name.to_string()).or_insert(0_u32) += 1;
    }
    let share = |name| firsts.get(name).copied().unwrap_or(0);
    assert!((2_850..3_250).contains(&share("a")) && share("c") == 0, "{firsts:?}");
}

/// Nobody gives up on a silent trunk when there is no other.
#[test]
fn the_last_one_is_waited_for() {
    let world = World::default();
    let waits = |asked: Asked| {
        let decision =
            route(&RouteRequest { asked, ..request("+49301") }, &rules(), &world, epoch());
        decision.chosen.unwrap().heard_within
    };
    assert_eq!(waits(Asked::Any), Some(Duration::from_secs(3)));
    assert_eq!(waits(Asked::Trunk(id("a"))), None);
}

/// A rule that names a route may lead a call back to the carrier it came from; a number alone does not.
#[test]
fn a_call_goes_back_to_its_trunk_only_where_a_rule_says_so() {
    let world = World::default();
    let from = RouteSource::Trunk(id("a"));
    let by_number = RouteRequest { from, ..request("+49301234") };
    assert_eq!(decided(&by_number, &world).0, "b 0301234");
    let by_name = RouteRequest { asked: Asked::Route("home".into()), ..by_number };
    assert_eq!(decided(&by_name, &world).0, "a 0301234");
}

/// Machines do not call for help, in whatever form the number stands in their lists.
#[test]
fn only_people_call_for_help() {
    let world = World::default();
    for from in [RouteSource::Campaign, RouteSource::Callback] {
        for dialled in ["112", "+49112"] {
            let asked = Asked::Trunk(id("a"));
            let by_machine = RouteRequest { from: from.clone(), asked, ..request(dialled) };
            assert_eq!(
                decided(&by_machine, &world),
                ("403".into(), vec!["the call: number".into()])
            );
        }
    }
}
