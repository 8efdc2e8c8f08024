//! The three journeys at their decisive points: what happens, and exactly what is wanted then.
//!
//! Each line is one event and the actions it brings, in order, in a few words each; legs are named
//! after who is at their other end. Traces, notes and what is told to the world are left out.

mod callbacks;
mod callers;
mod handing;
mod journeys;
mod losses;
mod transfer;
mod transit;

use crate::event::{Action, Command, Decision, Event, Fact, Live, Restored};
use crate::rules::{
    LeadsTo, Limits, Listening, NumberRule, QueueVoice, ReferPolicy, Rules, StirRules,
    TransferPolicy, TrunkRule, VerifyPolicy,
};
use crate::switchboard::Switchboard;
use crate::view::Census;
use domain::cause::Cause;
use domain::hop::Transport;
use domain::id::{
    AgentId, AttemptId, FlowId, IdSource, LegId, OrderId, QueueId, RequestId, TenantId, Token,
    TrunkId,
};
use domain::ip_version::IpVersion;
use domain::media_plan::{Codec, Direction, MediaPlan};
use domain::now::{Now, epoch};
use domain::prompt::{Language, Prompt};
use ivr::flow::{Flow, Known};
use media::event::{MediaCommand, MediaEvent, QualityReport};
use queue::callback::CallbackRules;
use queue::event::{AgentSays, QueueRules};
use sip::event::{IncomingCall, LegCommand, LegEvent, MAX_FORWARDS, Source, Target};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use trunk::locate::Place;
use trunk::number::DialPlan;
use trunk::route::Route;
use trunk::rules::{Caps, TenantRules, TrunkRules};

const FLOW: &str = r#"
version = 1
languages = ["en"]
start = "menu"

[nodes.menu]
kind = "menu"
say = "Press 1."
keys = { "1" = "support" }
no_match = ["Press 1."]
give_up = "goodbye"

[nodes.support]
kind = "queue"
queue = "support"
[nodes.support.refused]
otherwise = "offer"

[nodes.offer]
kind = "callback"
queue = "support"
offer = "Shall we call back?"
ask_number = "Your number?"
confirm_number = "{callback_number:digits}?"
promised = "We will."
no_input = ["Your number?"]
no_match = ["Your number?"]
declined = "goodbye"
refused = "goodbye"
give_up = "goodbye"
next = "goodbye"

[nodes.goodbye]
kind = "hangup"
say = "Goodbye."
"#;

const LOCAL: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 40_000);

pub(super) fn agent() -> AgentId {
    AgentId::new(&TenantId::default(), "anna")
}

pub(super) fn carrier() -> TrunkId {
    trunk_named("carrier")
}

pub(super) fn trunk_named(name: &str) -> TrunkId {
    TrunkId::new(&TenantId::default(), name)
}

pub(super) fn support() -> QueueId {
    QueueId::new(&TenantId::default(), "support")
}

fn rules() -> Rules {
    let tenant = TenantId::default();
    let flow_id = FlowId::new(&tenant, "hotline");
    let known = Known { queues: ["support".to_owned()].into(), ..Known::default() };
    let flow = Flow::parse("hotline.toml", FLOW, &known).unwrap();
    let queue = QueueRules {
        id: support(),
        agents: vec![agent()],
        length_max: 5,
        estimate_max: Duration::from_secs(900),
        wait_max: Duration::from_secs(300),
        ring_for: Duration::from_secs(15),
        wrap_up: Duration::ZERO,
        missed_rings_max: 3,
        announce_every: Duration::from_secs(45),
        wait_without_agents: false,
        open_minutes: Vec::new(),
        utc_offset_min: 0,
    };
    let trunk = TrunkRule {
        verify: VerifyPolicy::Off,
        sign: false,
        refer: ReferPolicy::Refuse,
        transfer: TransferPolicy::Bridge,
    };
    let voice = QueueVoice {
        language: Language::English,
        callback_trunk: Some(carrier()),
        callback_caller_id: None,
    };
    Rules {
        numbers: vec![
            number("4000", LeadsTo::Flow(flow_id.clone())),
            number("00*", LeadsTo::Route("onward".into())),
            number("4100", LeadsTo::Agent(agent())),
        ],
        agents_may_dial: BTreeMap::from([(agent(), vec!["+49*".into()])]),
        flows: BTreeMap::from([(flow_id, Arc::new(flow))]),
        variables: BTreeMap::new(),
        queues: vec![queue],
        queue_voices: BTreeMap::from([(support(), voice)]),
        agents: vec![agent(), AgentId::new(&TenantId::default(), "ben")],
        trunks: BTreeMap::from([(carrier(), trunk.clone()), (trunk_named("backup"), trunk)]),
        carriers: carriers(),
        callbacks: CallbackRules {
            gap: Duration::from_secs(120),
            tries_max: 3,
            lifetime: Duration::from_secs(3_600),
            ring_for: Duration::from_secs(25),
            priority: 0,
            open_max: 50,
        },
        feature_codes: Vec::new(),
        stir: StirRules::default(),
        listening: Listening { end_silence_ms: 700, utterance_max_ms: 8_000 },
        limits: Limits { calls_max: 10, call_length_max: Duration::from_secs(3_600) },
    }
}

fn carriers() -> trunk::rules::Rules {
    let tenant = TenantId::default();
    let caps = Caps { outgoing_per_second: 10, channels: 10, ..Caps::NONE };
    let plain = TrunkRules {
        caps,
        caller_id: Some(DialPlan::default().read("+4930555000")),
        heard_within: Duration::from_secs(4),
        ..TrunkRules::plain(Place::at(Transport::Udp, LOCAL))
    };
    let trunks = [carrier(), trunk_named("backup")];
    // Both lead to help, so only agents call for it.
    let plan = DialPlan { emergency: vec!["112".into()], ..DialPlan::default() };
    let rules = TenantRules { plan, caller_ids: Default::default(), caps: Caps::NONE };
    let onward = Route::new("onward", tenant.clone(), &trunks);
    trunk::rules::Rules {
        routes: vec![
            Route::to_help(tenant.clone(), &[trunk_named("backup"), carrier()]),
            Route { dialled: vec!["+49*".into()], ..onward },
        ],
        trunks: trunks.map(|trunk| (trunk, plain.clone())).into(),
        tenants: [(tenant, rules)].into(),
        ..Default::default()
    }
}

fn number(dialled: &str, leads_to: LeadsTo) -> NumberRule {
    NumberRule { dialled: dialled.into(), trunk: None, leads_to }
}

/// A switchboard, the time, and the last of everything that is answered by its number.
pub(super) struct Bench {
    pub(super) board: Switchboard,
    pub(super) now: Now,
    names: BTreeMap<LegId, String>,
    orders: BTreeMap<String, OrderId>,
    token: Token,
    attempt: AttemptId,
    pub(super) decisions: Vec<Decision>,
    pub(super) lives: Vec<Live>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(|_| ())
    }

    /// With other rules.
    pub(super) fn with(change: impl FnOnce(&mut Rules)) -> Self {
        let now = epoch();
        let mut rules = rules();
        change(&mut rules);
        let mut bench = Self {
            board: Switchboard::new(rules, IdSource::starting_at(now.wall_ms)),
            now,
            names: BTreeMap::new(),
            orders: BTreeMap::new(),
            token: Token(0),
            attempt: AttemptId(0),
            decisions: Vec::new(),
            lives: Vec::new(),
        };
        bench.board.restore(Restored::default(), now, &mut Vec::new());
        bench
    }

    /// With the agent at her desk, ready.
    pub(super) fn staffed() -> Self {
        Self::staffed_with(|_| ())
    }

    /// The same with other rules.
    pub(super) fn staffed_with(change: impl FnOnce(&mut Rules)) -> Self {
        let mut bench = Self::with(change);
        bench.event(Event::Leg(LegEvent::Registered { agent: agent(), ip: IpVersion::V4 }));
        bench.agent_says(AgentSays::LogIn);
        bench.agent_says(AgentSays::Ready);
        bench
    }

    pub(super) fn agent_says(&mut self, says: AgentSays) -> String {
        self.command(Command::Agent { agent: agent(), says })
    }

    pub(super) fn command(&mut self, command: Command) -> String {
        self.event(Event::Command { request: RequestId(1), command })
    }

    /// Each line of the table: what happens ─► what is wanted.
    pub(super) fn plays(&mut self, table: &[(&str, &str)]) {
        for (happens, wanted) in table {
            assert_eq!(self.step(happens), *wanted, "after `{happens}`");
        }
    }

    pub(super) fn event(&mut self, event: Event) -> String {
        let mut out = Vec::new();
        self.board.handle(event, self.now, &mut out);
        self.tell(&out)
    }

    /// Lets time pass, deadline by deadline.
    pub(super) fn wait(&mut self, seconds: u64) -> String {
        let until = self.now.after(Duration::from_secs(seconds));
        let mut out = Vec::new();
        while let Some(at) = self.board.deadline().filter(|at| *at <= until.instant) {
            self.now = self.now.after(at.saturating_duration_since(self.now.instant));
            self.board.handle_deadline(self.now, &mut out);
        }
        self.now = until;
        self.tell(&out)
    }

    fn step(&mut self, happens: &str) -> String {
        let words: Vec<&str> = happens.split(' ').collect();
        let event = match words[..] {
            ["wait", seconds] => return self.wait(seconds.parse().unwrap()),
            ["incoming"] => Event::Leg(LegEvent::Incoming {
                leg: LegId(1),
                source: Source::Trunk(carrier()),
                call: Box::new(IncomingCall {
                    from_user: "+4930123456".into(),
                    dialled: "4000".into(),
                    call_id: "call".into(),
                    max_forwards: MAX_FORWARDS,
                    ..IncomingCall::default()
                }),
                plan: None,
            }),
            ["stored"] => Event::Stored(self.token),
            ["unstored"] => Event::NotStored { token: self.token, reason: "full".into() },
            ["permitted"] => Event::Permitted { attempt: self.attempt, call_id: "fixed".into() },
            ["refused"] => {
                Event::PermitRefused { attempt: self.attempt, reason: "do_not_call".into() }
            }
            ["unpermitted"] => Event::PermitFailed { attempt: self.attempt },
            ["anna", "leaves"] => return self.agent_says(AgentSays::LogOut),
            ["anna", "comes"] => return self.agent_says(AgentSays::LogIn),
            ["anna", "is-ready"] => return self.agent_says(AgentSays::Ready),
            ["drain"] => Event::Drain,
            ["all-hang-up"] => {
                let calls: Vec<_> = self.board.call_views().map(|view| view.call).collect();
                let told = calls.into_iter().map(|call| self.command(Command::HangUp(call)));
                return told.collect::<Vec<_>>().join(" | ");
            }
            [who, what] => self.of_leg(who, what),
            _ => panic!("{happens}"),
        };
        self.event(event)
    }

    fn leg(&self, who: &str) -> LegId {
        let found = self.names.iter().rev().find(|(_, name)| **name == who);
        *found.unwrap_or_else(|| panic!("no leg of {who}")).0
    }

    fn of_leg(&self, who: &str, what: &str) -> Event {
        let leg = self.leg(who);
        match what {
            "opened" => Event::Media(MediaEvent::Opened { leg, local: LOCAL }),
            "unopened" => Event::Media(MediaEvent::OpenFailed { leg }),
            "closed" => Event::Media(MediaEvent::Closed { leg, report: QualityReport::default() }),
            "played" => {
                let order = self.orders[who];
                Event::Media(MediaEvent::PlaybackEnded { leg, order, stopped: false })
            }
            "up" => Event::Leg(LegEvent::Established { leg, plan: plan() }),
            "hangs-up" => {
                let cause = Cause::normal(domain::cause::EndedBy::Peer);
                Event::Leg(LegEvent::Ended { leg, cause })
            }
            "holds" | "resumes" => {
                let direction = match what {
                    "holds" => Direction::RecvOnly,
                    _ => Direction::SendRecv,
                };
                Event::Leg(LegEvent::Changed { leg, plan: MediaPlan { direction, ..plan() } })
            }
            "rings" => Event::Leg(LegEvent::Ringing { leg, status: 180, plan: None }),
            "plays" => Event::Leg(LegEvent::Ringing { leg, status: 183, plan: Some(plan()) }),
            "busy" => Event::Leg(LegEvent::Ended { leg, cause: Cause::from_status(486) }),
            key => Event::Media(MediaEvent::Digit {
                leg,
                digit: key.chars().next().unwrap(),
                order: OrderId(0),
            }),
        }
    }

    fn tell(&mut self, out: &[Action]) -> String {
        let told: Vec<String> = out.iter().filter_map(|action| self.tell_one(action)).collect();
        told.join(" | ")
    }

    fn tell_one(&mut self, action: &Action) -> Option<String> {
        Some(match action {
            Action::TraceLeg { leg, who, .. } => {
                let name = who.rsplit(' ').next().unwrap().rsplit('/').next().unwrap();
                self.names.insert(*leg, name.to_owned());
                return None;
            }
            Action::Note { .. } => return None,
            Action::Publish(live) => {
                self.lives.push(live.clone());
                return None;
            }
            Action::Leg(command) => self.tell_leg(command),
            Action::Media(command) => self.tell_media(command),
            Action::Play { leg, order, prompts, .. } => {
                let who = self.names[leg].clone();
                self.orders.insert(who.clone(), *order);
                let text = prompts.iter().map(|prompt| match prompt {
                    Prompt::Text { text, .. } => &**text,
                    Prompt::Recorded { .. } => "recording",
                    Prompt::Music => "music",
                });
                format!("play {who} {}", text.collect::<Vec<_>>().join(" + "))
            }
            Action::Listen { leg, .. } => format!("listen {}", self.names[leg]),
            Action::Classify { .. } => "classify".to_owned(),
            Action::Fetch { .. } => "fetch".to_owned(),
            // What was decided is looked at by tests of its own.
            Action::Store { facts, .. } if matches!(facts[..], [Fact::Decision(_)]) => {
                let Fact::Decision(decision) = facts[0].clone() else { return None };
                self.decisions.push(decision);
                return None;
            }
            Action::Verify { .. } => "verify".to_owned(),
            Action::Store { token, facts, patient } => {
                self.token = token.unwrap_or(self.token);
                let facts: Vec<String> = facts.iter().map(tell_fact).collect();
                let awaited = if token.is_some() { ", told when done" } else { "" };
                let patient = if *patient { "" } else { " at once" };
                format!("store{patient} {}{awaited}", facts.join(" + "))
            }
            Action::Claim { count, .. } => format!("claim {count}"),
            Action::Permit { attempt, .. } => {
                self.attempt = *attempt;
                "permit".to_owned()
            }
            Action::Return { contacts, .. } => format!("return {}", contacts.len()),
            Action::MarkSent { leg, .. } => format!("mark {}", self.names[leg]),
            Action::Reply { reply, .. } => format!("reply {reply:?}"),
            Action::Trunk(_) => "trunk".to_owned(),
            Action::Resolve(_) => "resolve".to_owned(),
            Action::Drained => "drained".to_owned(),
        })
    }

    fn tell_leg(&self, command: &LegCommand) -> String {
        let because = |q850: &Option<u8>| match q850 {
            Some(cause) => format!(" because {cause}"),
            None => String::new(),
        };
        match command {
            LegCommand::Dial { leg, target, call_id, caller, service_route, .. } => {
                let (who, way) = match target {
                    Target::Trunk { user, trunk, .. } => (user.to_string(), trunk.name.clone()),
                    Target::Agent(agent) => (agent.name.to_string(), "telephone".into()),
                };
                let mut told = format!("invite {} at {who}", self.names[leg]);
                told += &call_id.as_deref().map(|id| format!(" as {id}")).unwrap_or_default();
                told += &service_route.iter().map(|it| format!(" past {it}")).collect::<String>();
                // Whoever is led through is told apart by the way he goes and as whom.
                if self.names[leg] == "callee" {
                    told += &format!(" through {way}");
                    if *caller.user != *"+4930123456" {
                        told += &format!(" from {}", caller.user);
                    }
                }
                told
            }
            LegCommand::Progress { leg, status, local_media } => {
                let sound = if local_media.is_some() { " with sound" } else { "" };
                format!("ring {} {status}{sound}", self.names[leg])
            }
            LegCommand::Answer { leg, .. } => format!("answer {}", self.names[leg]),
            LegCommand::Refuse { status, q850, .. } => format!("refuse {status}{}", because(q850)),
            LegCommand::HangUp { leg, q850 } => {
                format!("hang up {}{}", self.names[leg], because(q850))
            }
            LegCommand::Hold { leg, on } => format!("hold {} {on}", self.names[leg]),
            LegCommand::Offer { leg, .. } => format!("offer {}", self.names[leg]),
            LegCommand::Transfer { leg, to } => format!("refer {} to {to:?}", self.names[leg]),
            LegCommand::ReferProgress { leg, status } => {
                format!("progress {} {status}", self.names[leg])
            }
            LegCommand::RefuseRefer { leg, status } => {
                format!("refuse-refer {} {status}", self.names[leg])
            }
        }
    }

    fn tell_media(&self, command: &MediaCommand) -> String {
        let name = |leg: &LegId| self.names[leg].as_str();
        match command {
            MediaCommand::Open { leg, ip: IpVersion::V4 } => format!("open {}", name(leg)),
            MediaCommand::Open { leg, ip: IpVersion::V6 } => format!("open6 {}", name(leg)),
            MediaCommand::Connect { leg, .. } => format!("connect {}", name(leg)),
            MediaCommand::StopPlayback { leg } => format!("silence {}", name(leg)),
            MediaCommand::StopListening { leg } => format!("deafen {}", name(leg)),
            MediaCommand::Bridge { a, b } => format!("bridge {} {}", name(a), name(b)),
            MediaCommand::Unbridge { leg } => format!("part {}", name(leg)),
            MediaCommand::Close { leg } => format!("close {}", name(leg)),
            other => format!("{other:?}"),
        }
    }

    /// No call, leg, ticket, agent or channel is held any more.
    pub(super) fn holds_nothing(&self) {
        assert_eq!(self.board.census(), Census::default());
    }
}

fn tell_fact(fact: &Fact) -> String {
    match fact {
        Fact::Promise(promise) => format!("promise {:?} {}", promise.state, promise.tries),
        Fact::CampaignState { state, .. } => format!("campaign {state:?}"),
        Fact::AttemptClosed(closed) => format!("attempt {:?}", closed.disposition),
        Fact::AttemptUnsent(_) => "attempt unsent".to_owned(),
        Fact::Leg(record) => format!("{:?} {:?}", record.role, record.cause.kind),
        Fact::Decision(decision) => format!("decision {}", decision.chosen),
        Fact::Agent { state, .. } => format!("{state:?}").split(' ').next().unwrap().to_owned(),
    }
}

fn plan() -> MediaPlan {
    MediaPlan {
        remote: LOCAL,
        also_from: None,
        codec: Codec::Pcmu,
        payload_type: 0,
        event_payload_type: None,
        event_receive_type: None,
        direction: Direction::SendRecv,
        ptime_ms: 20,
    }
}
