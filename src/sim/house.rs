//! The house being simulated: the sample hotline, two queues, two agents, one carrier.

use campaign::event::{CampaignRules, CampaignState, RetryPolicy};
use domain::id::{AgentId, CampaignId, FlowId, LegId, QueueId, TenantId, TrunkId};
use domain::ip_version::IpVersions;
use domain::media_plan::Codec;
use domain::phone_number::PhoneNumber;
use domain::prompt::Language;
use intent::classifier::Classifier;
use intent::intent_set::IntentSet;
use ivr::flow::{Flow, Known, KnownIntents};
use queue::callback::CallbackRules;
use queue::event::{AgentSays, QueueRules};
use sip::digest::Algorithm;
use sip::endpoint::config::{
    AgentAccount, EndpointConfig, Limits as SipLimits, Listener, Network, SessionPolicy, Strangers,
    TrunkAccess,
};
use sip::event::Transport;
use sip::identity::border::{Border, Methods};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use switchboard::event::{CampaignDefinition, KeyAnswer, Message};
use switchboard::rules::{
    FeatureCode, LeadsTo, Limits, Listening, NumberRule, QueueVoice, ReferPolicy, Rules, StirRules,
    TransferPolicy, TrunkRule, VerifyPolicy,
};
use trunk::locate::Place;
use trunk::number::DialPlan;
use trunk::route::Route;
use trunk::rules::{Caps, TenantRules, TrunkRules};

const FLOW: &str = include_str!("../../config/flows/hotline.toml");
const INTENTS: &str = include_str!("../../config/intents/hotline.toml");

/// Where the exchange listens.
pub const GATEWAY: SocketAddr = address([10, 0, 0, 1]);
/// The carrier, with all callers and contacts behind it.
pub const CARRIER: SocketAddr = address([10, 0, 2, 1]);
/// Somebody in the carrier's network who keeps no rules.
pub const RUDE: SocketAddr = address([10, 0, 2, 66]);
/// Two carriers far away, to whom callers are led through; the second when the first fails.
pub const FAR: [SocketAddr; 2] = [address([10, 0, 4, 1]), address([10, 0, 5, 1])];
/// Their names.
pub const FAR_NAMES: [&str; 2] = ["near", "far"];
/// The names of the agents; the telephone of the first is at 10.0.3.1.
pub const AGENTS: [&str; 2] = ["anna", "ben"];
/// The realm of the exchange.
pub const REALM: &str = "trunkline";

const fn address(ip: [u8; 4]) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3])), 5060)
}

/// Where an agent's telephone is.
pub fn desk(index: usize) -> SocketAddr {
    address([10, 0, 3, 1 + index as u8])
}

/// What is read and trained once for all runs.
pub struct House {
    pub(crate) flow: Arc<Flow>,
    pub(crate) classifier: Arc<Classifier>,
}

/// How the house differs from run to run.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// Callers that may wait in each queue.
    pub length_max: u32,
    /// Whether callers may wait while nobody is logged in.
    pub wait_without_agents: bool,
    /// The longest a caller may wait.
    pub wait_max: Duration,
    /// Channels of the carrier.
    pub channels_max: u32,
    /// Calls at once.
    pub calls_max: usize,
    /// How long a promise is held.
    pub lifetime: Duration,
    /// The longest a call may last.
    pub call_length_max: Duration,
    /// Which extensions all sessions use: the exchange's and the telephones'.
    pub sessions: SessionPolicy,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            length_max: 5,
            wait_without_agents: false,
            wait_max: Duration::from_secs(300),
            channels_max: 30,
            calls_max: 40,
            lifetime: Duration::from_secs(3_600),
            call_length_max: Duration::from_secs(3_600),
            sessions: SessionPolicy::PLAIN,
        }
    }
}

impl House {
    /// Reads the sample hotline and trains its intents.
    ///
    /// # Panics
    /// If the sample has a fault: it is part of the repository.
    pub fn build() -> Self {
        let set = IntentSet::parse("config/intents/hotline.toml", INTENTS)
            .expect("the sample intents have no fault");
        let known_intents = KnownIntents {
            intents: set.intents().map(|name| name.to_string()).collect(),
            slots: set.slots().map(|name| name.to_string()).collect(),
            phrases: set.languages().into_iter().map(|it| (it, set.phrases(it))).collect(),
        };
        let known = Known {
            recordings: Default::default(),
            queues: ["support".to_owned(), "sales".to_owned()].into(),
            intent_sets: [("hotline".to_owned(), known_intents)].into(),
        };
        let flow = Flow::parse("config/flows/hotline.toml", FLOW, &known)
            .expect("the sample flow has no fault");
        Self { flow: Arc::new(flow), classifier: Arc::new(Classifier::train(&set)) }
    }

    /// The rules of the exchange.
    pub(crate) fn rules(&self, tuning: &Tuning) -> Rules {
        let tenant = TenantId::default();
        let flow = FlowId::new(&tenant, "hotline");
        let voice = QueueVoice {
            language: Language::English,
            callback_trunk: Some(carrier()),
            callback_caller_id: PhoneNumber::parse("+4930555000").ok(),
        };
        let queues = ["support", "sales"].map(|name| QueueId::new(&tenant, name));
        let trunk = TrunkRule {
            verify: VerifyPolicy::Off,
            sign: false,
            refer: ReferPolicy::Refuse,
            transfer: TransferPolicy::Bridge,
        };
        Rules {
            numbers: numbers(&flow),
            agents_may_dial: AGENTS.map(|name| (agent(name), vec!["+49*".into()])).into(),
            flows: BTreeMap::from([(flow, self.flow.clone())]),
            variables: BTreeMap::new(),
            queues: queues.iter().map(|queue| queue_rules(queue, tuning)).collect(),
            queue_voices: queues.into_iter().map(|queue| (queue, voice.clone())).collect(),
            agents: AGENTS.map(agent).to_vec(),
            trunks: trunks(&tenant, trunk),
            carriers: carriers(&tenant, tuning),
            callbacks: CallbackRules {
                gap: Duration::from_secs(120),
                tries_max: 3,
                lifetime: tuning.lifetime,
                ring_for: Duration::from_secs(25),
                priority: 0,
                open_max: 50,
            },
            feature_codes: feature_codes(),
            stir: StirRules::default(),
            listening: Listening { end_silence_ms: 700, utterance_max_ms: 8_000 },
            limits: Limits { calls_max: tuning.calls_max, call_length_max: tuning.call_length_max },
        }
    }
}

/// The carrier, and the two far ones beside it.
fn trunks(tenant: &TenantId, rule: TrunkRule) -> BTreeMap<TrunkId, TrunkRule> {
    let far = FAR_NAMES.map(|name| TrunkId::new(tenant, name));
    far.into_iter().chain([carrier()]).map(|trunk| (trunk, rule.clone())).collect()
}

/// Where they are; neither probed nor registered at: the ladders show calls alone.
fn carriers(tenant: &TenantId, tuning: &Tuning) -> trunk::rules::Rules {
    let far = FAR_NAMES.into_iter().zip(FAR);
    let far = far.map(|(name, address)| (TrunkId::new(tenant, name), address));
    let caps = Caps { outgoing_per_second: 20, channels: tuning.channels_max, ..Caps::NONE };
    let own = DialPlan::default().read("+4930555000");
    let at = |(trunk, address)| {
        let plain = TrunkRules::plain(Place::at(Transport::Udp, address));
        (trunk, TrunkRules { caps, caller_id: Some(own.clone()), ..plain })
    };
    let trunks: BTreeMap<TrunkId, TrunkRules> = far.chain([(carrier(), CARRIER)]).map(at).collect();
    // Agents may call for help; what comes from trunks, all of which lead there, does not.
    let plan = DialPlan { emergency: vec!["112".into()], ..DialPlan::default() };
    let tenant_rules = TenantRules { plan, caller_ids: Default::default(), caps: Caps::NONE };
    let all: Vec<TrunkId> = trunks.keys().cloned().collect();
    trunk::rules::Rules {
        trunks,
        routes: vec![Route::to_help(tenant.clone(), &all), onward(tenant)],
        tenants: [(tenant.clone(), tenant_rules)].into(),
        ..Default::default()
    }
}

/// 4000 is the hotline, 4100 rings anna, and what begins with 00 goes on through the carrier.
fn numbers(flow: &FlowId) -> Vec<NumberRule> {
    let number = |dialled: &str, leads_to| NumberRule {
        dialled: dialled.into(),
        trunk: Some(carrier()),
        leads_to,
    };
    vec![
        number("4000", LeadsTo::Flow(flow.clone())),
        number("4100", LeadsTo::Agent(agent(AGENTS[0]))),
        number("00*", LeadsTo::Route("onward".into())),
    ]
}

/// Onward by one of two carriers, the second when the first fails.
fn onward(tenant: &TenantId) -> Route {
    let far = FAR_NAMES.map(|name| TrunkId::new(tenant, name));
    Route {
        dialled: vec!["+49*".into()],
        ring_for: Duration::from_secs(30),
        ..Route::new("onward", tenant.clone(), &far)
    }
}

fn feature_codes() -> Vec<(Arc<str>, FeatureCode)> {
    let code = |says, confirmation: &str| FeatureCode { says, confirmation: confirmation.into() };
    vec![
        ("*61".into(), code(AgentSays::LogIn, "You are logged in.")),
        ("*63".into(), code(AgentSays::Ready, "You are ready for calls.")),
    ]
}

fn queue_rules(queue: &QueueId, tuning: &Tuning) -> QueueRules {
    QueueRules {
        id: queue.clone(),
        agents: AGENTS.map(agent).to_vec(),
        length_max: tuning.length_max,
        estimate_max: Duration::from_secs(900),
        wait_max: tuning.wait_max,
        ring_for: Duration::from_secs(15),
        wrap_up: Duration::from_secs(10),
        missed_rings_max: 3,
        announce_every: Duration::from_secs(45),
        wait_without_agents: tuning.wait_without_agents,
        open_minutes: Vec::new(),
        utc_offset_min: 0,
    }
}

/// An agent of the house.
pub fn agent(name: &str) -> AgentId {
    AgentId::new(&TenantId::default(), name)
}

/// The carrier's trunk.
pub fn carrier() -> TrunkId {
    TrunkId::new(&TenantId::default(), "carrier")
}

/// The exchange's SIP side.
pub(crate) fn gateway_sip(first_leg: LegId, sessions: SessionPolicy) -> EndpointConfig {
    let account = |name: &str| AgentAccount {
        agent: agent(name),
        user: name.into(),
        password: "secret".into(),
    };
    EndpointConfig {
        defence: sip::endpoint::defence::DefenceRules::default(),
        agents: AGENTS.map(account).to_vec(),
        trunks: vec![
            access("carrier", "10.0.2.0/24", sessions),
            access(FAR_NAMES[0], "10.0.4.0/24", sessions),
            access(FAR_NAMES[1], "10.0.5.0/24", sessions),
        ],
        first_leg,
        ..telephone_sip(GATEWAY, REALM, sessions)
    }
}

/// A telephone's SIP side: it takes calls from the exchange alone.
pub(crate) fn telephone_sip(
    local: SocketAddr,
    realm: &str,
    sessions: SessionPolicy,
) -> EndpointConfig {
    EndpointConfig {
        defence: sip::endpoint::defence::DefenceRules::default(),
        listeners: vec![Listener::at(Transport::Udp, local)],
        strangers: Strangers::Refuse,
        methods: Methods::All,
        internal_headers: "X-Trunkline-".into(),
        realm: realm.into(),
        digest_algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
        agents: Vec::new(),
        trunks: vec![access("gateway", "10.0.0.1", sessions)],
        agent_sessions: sessions,
        sound_ip: IpVersions::of([local.ip()]),
        codecs: vec![Codec::Pcmu, Codec::Pcma],
        user_agent: "Simulated".into(),
        limits: SipLimits { transactions: 2_000, legs: 200, contacts: 3, retry_after_s: 5 },
        first_leg: LegId(1),
    }
}

fn access(name: &str, network: &str, session: SessionPolicy) -> TrunkAccess {
    TrunkAccess {
        trunk: TrunkId::new(&TenantId::default(), name),
        networks: Network::parse(network).into_iter().collect(),
        tls_names: Vec::new(),
        listener: None,
        credentials: None,
        border: Border::default(),
        session,
        codecs: Vec::new(),
    }
}

/// A campaign of the house: key 1 leads to the support queue.
pub fn campaign(id: u64) -> CampaignDefinition {
    let queue = QueueId::new(&TenantId::default(), "support");
    CampaignDefinition {
        tenant: TenantId::default(),
        name: format!("campaign {id}").into(),
        rules: CampaignRules {
            id: CampaignId(id),
            trunk: carrier(),
            caller_id: PhoneNumber::parse("+4930555000").expect("it is a number"),
            rate_per_minute_max: 120,
            channels_max: 8,
            ring_for: Duration::from_secs(20),
            retry: RetryPolicy {
                attempts_max: 3,
                busy_after: Duration::from_secs(60),
                no_answer_after: Duration::from_secs(120),
                failed_after: Duration::from_secs(30),
                in_doubt_after: Duration::from_secs(900),
            },
            window_minutes: (0, 1_440),
            utc_offset_min: 0,
        },
        message: Message {
            language: Language::English,
            text: "Your appointment is tomorrow at nine. Press 1 to speak to somebody.".into(),
            keys: vec![
                ('1', KeyAnswer::Queue(queue)),
                ('2', KeyAnswer::Say("Thank you.".into())),
                ('9', KeyAnswer::Repeat),
            ],
            wait_for_key_ms: 4_000,
        },
        webhook_url: None,
        state: CampaignState::Draft,
    }
}
