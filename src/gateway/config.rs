//! `gateway.toml` → a checked configuration. Every key has its default in the embedded file
//! `config/gateway.toml` and nowhere else; a file of the user's own is laid over it, and all its
//! faults are reported at once.

mod border;
mod carriers;
mod defence;
mod dialling;
mod hours;
mod layered;
pub mod listeners;
mod parts;
mod routes;
pub mod stir;
#[cfg(test)]
mod tests;

use crate::net::tls::{TlsConfig, TrunkTls};
use document::section::Section;
use domain::fault::{Fault, Faults};
use domain::id::{AgentId, FlowId, QueueId, TenantId, TrunkId};
use domain::media_plan::Codec;
use layered::Layered;
use listeners::ListenerConfig;
use queue::event::{AgentSays, QueueRules};
use sip::digest::Algorithm;
use sip::endpoint::config::{SessionPolicy, Strangers};
use sip::identity::border::{Border, Methods};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use switchboard::event::Fact;
use switchboard::rules::{Limits, Listening, NumberRule, QueueVoice};
use toml_edit::ImDocument;

/// The embedded file: every key with its unit, default and reason.
pub const DEFAULT: &str = include_str!("../../config/gateway.toml");

/// What the embedded file is called where it does not fit what is laid over it.
const EMBEDDED: &str = "gateway.toml (embedded; lay a section of your own over this one)";

/// Everything the gateway is told by its file.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of the ledger and traces.
    pub data: PathBuf,
    /// How long calls may go on after SIGTERM.
    pub drain: Duration,
    /// SIP.
    pub sip: SipConfig,
    /// Certificates.
    pub tls: TlsConfig,
    /// RTP.
    pub media: MediaConfig,
    /// HTTP.
    pub http: HttpConfig,
    /// Bounds of the exchange.
    pub limits: Limits,
    /// How callers are listened to.
    pub listening: Listening,
    /// Engines and prompts.
    pub speech: SpeechConfig,
    /// How promises are kept.
    pub callbacks: queue::callback::CallbackRules,
    /// Whether webhooks may go to private addresses.
    pub webhooks_allow_private: bool,
    /// Traces kept, and where copies of messages go.
    pub trace: crate::trace::TraceConfig,
    /// What is written to the ledger of each call.
    pub records: Records,
    /// What keeps us standing under attack and overload.
    pub defence: sip::endpoint::defence::DefenceRules,
    /// Who vouches for callers.
    pub stir: stir::StirConfig,
    /// Trunks.
    pub trunks: BTreeMap<TrunkId, TrunkConfig>,
    /// `[dial_plan]`: how the numbers of the house are read.
    pub dial_plan: trunk::number::DialPlan,
    /// `[dns]`: the servers asked; empty: the system's.
    pub dns: Vec<SocketAddr>,
    /// Numbers.
    pub numbers: Vec<NumberRule>,
    /// How numbers are dialled out; the first is the way of calls for help.
    pub routes: Vec<trunk::route::Route>,
    /// `[tenant]`: what may be shown, and caps over all trunks.
    pub tenant_rules: trunk::rules::TenantRules,
    /// What agents may dial from their telephones, as patterns.
    pub agents_may_dial: BTreeMap<AgentId, Vec<Arc<str>>>,
    /// Queues.
    pub queues: Vec<QueueRules>,
    /// How queues speak and call back.
    pub queue_voices: BTreeMap<QueueId, QueueVoice>,
    /// Agents.
    pub agents: Vec<AgentId>,
    /// Codes: `(code, what it says, what is heard)`.
    pub feature_codes: Vec<(Arc<str>, AgentSays, Arc<str>)>,
    /// Values for the flows' variables.
    pub variables: BTreeMap<Arc<str>, Arc<str>>,
    /// The name of the file, for faults.
    pub file: Arc<str>,
    /// The folder of the file: flows, intents and prompts stand beside it.
    pub folder: Option<PathBuf>,
}

/// `[sip]`.
#[derive(Clone, Debug)]
pub struct SipConfig {
    /// Where it is listened for; one at least.
    pub listeners: Vec<ListenerConfig>,
    /// The digest realm.
    pub realm: Arc<str>,
    /// Hashes of the challenges to telephones, in the order they are offered.
    pub digest: Vec<Algorithm>,
    /// Which extensions the sessions of agents' telephones use.
    pub agent_sessions: SessionPolicy,
    /// What is answered to those whom nobody knows.
    pub strangers: Strangers,
    /// The methods that all but trunks may use.
    pub methods: Methods,
    /// The prefix of internal header fields.
    pub internal_headers: Arc<str>,
    /// In the order we like them.
    pub codecs: Vec<Codec>,
    /// Bytes.
    pub receive_buffer: usize,
    /// Transactions at once.
    pub transactions_max: usize,
    /// Connections at once.
    pub connections_max: usize,
    /// Connections from one source at once.
    pub connections_per_source_max: usize,
}

/// `[media]`.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// Of the RTP sockets; not empty, one of each version of IP at most.
    pub addresses: Vec<IpAddr>,
    /// First and last port.
    pub ports: (u16, u16),
    /// Threads.
    pub workers: usize,
}

/// `[http]`.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// The API.
    pub api: SocketAddr,
    /// Metrics and health.
    pub operations: SocketAddr,
    /// Per key.
    pub requests_per_second: u32,
}

/// `[speech]`.
#[derive(Clone, Debug)]
pub struct SpeechConfig {
    /// Folder of models; `None`: the cache of `scripts/fetch-models`.
    pub models: Option<PathBuf>,
    /// Whether the open recogniser is loaded.
    pub open: bool,
    /// English voice.
    pub voice: Arc<str>,
    /// Folder of recorded prompts; `None` when there is no folder at all (embedded default).
    pub prompts: Option<PathBuf>,
}

/// `[trunks.NAME]`.
#[derive(Clone, Debug)]
pub struct TrunkConfig {
    /// What is done with its calls.
    pub rule: switchboard::rules::TrunkRule,
    /// Its place, probes, registration, numbers and failover.
    pub carrier: trunk::rules::TrunkRules,
    /// What is spoken with it; empty: what the house speaks.
    pub codecs: Vec<Codec>,
    /// Networks its calls come from: `(address, prefix length)`.
    pub allow: Vec<(IpAddr, u8)>,
    /// Name for digest; its secret is kept apart.
    pub user: Option<Arc<str>>,
    /// The only realm whose challenges are answered.
    pub realm: Option<Arc<str>>,
    /// The listener its calls leave from.
    pub listener: Option<Arc<str>>,
    /// Certificates.
    pub tls: TrunkTls,
    /// Which extensions its sessions use.
    pub session: SessionPolicy,
    /// What holds at the border to it.
    pub border: Border,
}

/// `[records]`: what the ledger keeps of each call. Campaigns, promises, what agents said and
/// refusals are kept in any case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Records {
    /// Each leg (CDR).
    pub legs: bool,
    /// Where it was led, and why.
    pub decisions: bool,
}

impl Records {
    /// Whether this is kept.
    pub fn want(self, fact: &Fact) -> bool {
        match fact {
            Fact::Leg(_) => self.legs,
            Fact::Decision(decision) => self.decisions || decision.status != 0,
            Fact::Promise(_)
            | Fact::CampaignState { .. }
            | Fact::AttemptClosed(_)
            | Fact::AttemptUnsent(_)
            | Fact::Agent { .. } => true,
        }
    }
}

impl Config {
    /// The embedded default.
    pub fn embedded() -> Self {
        Self::parse("gateway.toml", "", None).expect("a test reads the embedded configuration")
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Every fault; a file that cannot be read is one fault.
    pub fn read(path: &Path) -> Result<Self, Vec<Fault>> {
        without_faults(Self::load(path))
    }

    /// Reads a file with all its faults. What could be read of it comes all the same, so that the
    /// documents beside it can be looked through too; `None` when it is no TOML at all.
    pub fn load(path: &Path) -> (Option<Self>, Vec<Fault>) {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let folder = path.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
                Self::take(&name, &text, Some(&folder))
            }
            Err(error) => {
                let fault = Fault {
                    file: name.into(),
                    line: 1,
                    column: 1,
                    key: String::new(),
                    problem: format!("cannot be read: {error}"),
                    remedy: "name a file with --config; config/gateway.toml is an example".into(),
                };
                (None, vec![fault])
            }
        }
    }

    /// Reads a text laid over the embedded default. Relative paths count from `folder`.
    ///
    /// # Errors
    /// Every fault, in the order of the file.
    pub fn parse(file: &str, text: &str, folder: Option<&Path>) -> Result<Self, Vec<Fault>> {
        without_faults(Self::take(file, text, folder))
    }

    fn take(file: &str, text: &str, folder: Option<&Path>) -> (Option<Self>, Vec<Fault>) {
        let default = ImDocument::parse(DEFAULT).expect("a test reads the embedded configuration");
        let default_faults = RefCell::new(Faults::new(EMBEDDED, DEFAULT));
        let default_root = Section::new(default.as_table(), String::new(), 0, &default_faults);
        let mut faults = Faults::new(file, text);
        let document = match ImDocument::parse(text) {
            Ok(document) => document,
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                let problem = error.message().trim().replace('\n', ", ");
                faults.add(offset, "", problem, "write it as TOML 1.0".to_owned());
                return (None, faults.into_result(()).err().unwrap_or_default());
            }
        };
        let faults = RefCell::new(faults);
        let root = Section::new(document.as_table(), String::new(), 0, &faults);
        let mut config = parts::read(Layered::root(root, default_root), folder);
        config.file = file.into();
        // Without faults of its own, it still may not fit what was laid over it: its queues name
        // agents and trunks that the user has replaced.
        let embedded = default_faults.into_inner().into_result(()).err().unwrap_or_default();
        let own = faults.into_inner().into_result(()).err().unwrap_or_default();
        (Some(config), own.into_iter().chain(embedded).collect())
    }

    /// The one tenant that the file describes.
    pub fn tenant(&self) -> TenantId {
        TenantId::default()
    }

    /// The flows that numbers lead to, with the place of the number in its list.
    pub fn flows_used(&self) -> impl Iterator<Item = (usize, &FlowId)> {
        let numbers = self.numbers.iter().enumerate();
        numbers.filter_map(|(index, rule)| Some((index, rule.leads_to.flow()?)))
    }
}

fn without_faults((config, faults): (Option<Config>, Vec<Fault>)) -> Result<Config, Vec<Fault>> {
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(faults),
    }
}
