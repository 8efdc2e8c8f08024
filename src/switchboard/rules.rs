//! What the exchange is told to be: numbers, flows, queues, agents, trunks. Built by the shell from
//! its configuration; the machines receive the numbers they need, never the file.

use domain::id::{AgentId, FlowId, QueueId, TenantId, TrunkId};
use domain::phone_number::PhoneNumber;
use domain::prompt::Language;
use ivr::flow::Flow;
use queue::callback::CallbackRules;
use queue::event::{AgentSays, QueueRules};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use stir::number::Numbering;

/// Everything the exchange is told.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Which number leads where, the first match wins.
    pub numbers: Vec<NumberRule>,
    /// Which numbers an agent may dial from his telephone, as patterns; agents who are not named
    /// may dial none.
    pub agents_may_dial: BTreeMap<AgentId, Vec<Arc<str>>>,
    /// The checked flows.
    pub flows: BTreeMap<FlowId, Arc<Flow>>,
    /// Values for the flows' variables, over their own defaults, per tenant.
    pub variables: BTreeMap<TenantId, BTreeMap<Arc<str>, Arc<str>>>,
    /// The queues.
    pub queues: Vec<QueueRules>,
    /// How each queue calls back, and in which language it speaks to those who wait.
    pub queue_voices: BTreeMap<QueueId, QueueVoice>,
    /// The agents.
    pub agents: Vec<AgentId>,
    /// The trunks.
    pub trunks: BTreeMap<TrunkId, TrunkRule>,
    /// The same as `trunk` knows them: their places, registrations, health and numbers; and the routes
    /// over them, calls for help among them.
    pub carriers: trunk::rules::Rules,
    /// How promises are kept.
    pub callbacks: CallbackRules,
    /// What an agent may dial from his own telephone.
    pub feature_codes: Vec<(Arc<str>, FeatureCode)>,
    /// How callers are listened to.
    pub listening: Listening,
    /// Who vouches for callers.
    pub stir: StirRules,
    /// Bounds.
    pub limits: Limits,
}

/// Which number leads where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NumberRule {
    /// The number dialled, as it comes or normalised; `*` at its end matches any rest, `*` alone
    /// anything.
    pub dialled: Arc<str>,
    /// Only for calls from this trunk; `None` is any.
    pub trunk: Option<TrunkId>,
    /// Where it leads.
    pub leads_to: LeadsTo,
}

/// Where a number leads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LeadsTo {
    /// To a flow, which answers.
    Flow(FlowId),
    /// Straight to an agent's telephone.
    Agent(AgentId),
    /// On through a trunk, by the route of this name.
    Route(Arc<str>),
}

impl LeadsTo {
    /// The flow, if it is one.
    pub fn flow(&self) -> Option<&FlowId> {
        match self {
            Self::Flow(flow) => Some(flow),
            Self::Agent(_) | Self::Route(_) => None,
        }
    }
}

/// How a queue speaks and calls back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QueueVoice {
    /// In which language waiting callers hear their place.
    pub language: Language,
    /// Through which trunk promises are kept; `None`: by the route that their numbers take.
    pub callback_trunk: Option<TrunkId>,
    /// The number shown when calling back.
    pub callback_caller_id: Option<PhoneNumber>,
}

/// What is done with the calls of a carrier or PBX.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrunkRule {
    /// What is done about the numbers its callers show.
    pub verify: VerifyPolicy,
    /// Whether calls to it are signed (RFC 8224 §6.1).
    pub sign: bool,
    /// Whether it may send our end of a call on to somebody else.
    pub refer: ReferPolicy,
    /// Who makes the new call when an agent sends somebody on who is reached through it.
    pub transfer: TransferPolicy,
}

/// What is done about REFER from a trunk (RFC 3515).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ReferPolicy {
    /// Refused.
    #[default]
    Refuse,
    /// Followed to wherever a call from this trunk would be led.
    Follow,
}

/// Who makes the new call of a blind transfer to a number outside.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TransferPolicy {
    /// We do, and stay between the two.
    #[default]
    Bridge,
    /// The trunk is asked to by REFER; where it does not, we do.
    Refer,
}

/// What is done about the numbers that callers show (RFC 8224 §6.2).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum VerifyPolicy {
    /// Nothing: they are taken as they come.
    #[default]
    Off,
    /// They are verified, and the verdict is told to flow and record.
    Report,
    /// As `Report`, and a call whose number is not shown to be true is refused.
    Require,
}

/// Who vouches for callers.
#[derive(Clone, Debug, Default)]
pub struct StirRules {
    /// How long a call waits for its verdict; then it goes on without.
    pub wait: Duration,
    /// How numbers are written.
    pub numbering: Numbering,
    /// Canonical numbers that each tenant is known to hold: calls that show one are signed `A`.
    pub verified_numbers: BTreeMap<TenantId, Vec<Box<str>>>,
}

/// What a code dialled from an agent's telephone does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FeatureCode {
    /// What it says of the agent.
    pub says: AgentSays,
    /// What the agent hears when it is done.
    pub confirmation: Arc<str>,
}

/// How callers are listened to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Listening {
    /// Silence that ends an utterance, in milliseconds.
    pub end_silence_ms: u16,
    /// The longest utterance, in milliseconds.
    pub utterance_max_ms: u16,
}

/// Bounds of the exchange; each says what happens at it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Calls at once; more are refused with 503 and Retry-After (RFC 3261 §21.5.4).
    pub calls_max: usize,
    /// The longest a call may last; then it is ended.
    pub call_length_max: Duration,
}
