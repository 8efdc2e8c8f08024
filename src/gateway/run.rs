//! Puts the gateway together, starts it, and ends it.

use crate::config::{Config, TrunkConfig};
use crate::documents::Documents;
use crate::fetch::Fetcher;
use crate::intents::Intents;
use crate::listeners;
use crate::memory::Memory;
use crate::net::http::HttpListener;
use crate::net::resolve::Resolver;
use crate::net::tls::{Tls, TlsError};
use crate::perform::Performer;
use crate::prompts::Prompts;
use crate::replies::{ExchangeDoor, Replies};
use crate::secrets::Secrets;
use crate::signalling::{self, Inbox, Signalling, Told, now};
use crate::stir::Verifier;
use crate::stir::fetch::Fetch;
use crate::stir::signing::Signing;
use crate::telemetry;
use crate::telemetry::wire::Wire;
use crate::trace::Trace;
use crate::{engines, media_worker, webhook};
use api::state::{ApiState, Parts, Probe, Shared};
use api::views::LiveViews;
use domain::id::{FlowId, IdSource, LegId};
use domain::ip_version::IpVersions;
use domain::prompt::Prompt;
use ivr::flow::Flow;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sip::endpoint::Endpoint;
use sip::endpoint::config::{
    AgentAccount, Credentials, EndpointConfig, Limits, Listener, Network, TrunkAccess,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use store::ledger::{Ledger, StoreConfig};
use store::reader::Reader;
use switchboard::event::{Event, Live};
use switchboard::exchange::Exchange;
use switchboard::rules::{FeatureCode, Rules, StirRules};
use switchboard::switchboard::Switchboard;
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;
use trunk::locate::LocateRules;

/// What a gateway is made of.
pub struct Setup {
    /// The checked configuration.
    pub config: Config,
    /// The checked flows and trained classifiers.
    pub documents: Documents,
    /// Passwords of telephones and trunks.
    pub secrets: Secrets,
}

/// Why the gateway cannot start. Each names the key of the configuration that would mend it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The ledger cannot be opened.
    #[error("the ledger in [node] data: {0}")]
    Store(#[from] store::error::StoreError),
    /// A certificate cannot be used.
    #[error("a file of [tls] or of a trunk's tls: {0}")]
    Tls(#[from] TlsError),
    /// A listener cannot be bound.
    #[error("{key} = {address} cannot be listened on: {error}")]
    Listen {
        /// The key.
        key: String,
        /// Its value.
        address: SocketAddr,
        /// The system's reason.
        error: std::io::Error,
    },
    /// The prompt cache cannot be made.
    #[error("the prompt cache in [node] data: {0}")]
    Speech(#[from] speech::error::SpeechError),
    /// The trace folder, a thread or the HTTP client cannot be had.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's reason.
        error: std::io::Error,
    },
}

fn system(what: &'static str) -> impl Fn(std::io::Error) -> StartError {
    move |error| StartError::System { what, error }
}

/// A gateway at work.
pub struct Running {
    /// Where SIP is listened for first.
    pub sip: SocketAddr,
    /// All that is listened for.
    pub listeners: Vec<Listener>,
    /// Where the API is.
    pub api: SocketAddr,
    /// Where metrics and health are.
    pub operations: SocketAddr,
    /// What happens, for those who watch within the program.
    pub live: broadcast::Sender<Live>,
    /// The ledger.
    pub ledger: Ledger,
    /// What the recognisers can do.
    pub engines: engines::Engines,
    tls: Arc<Tls>,
    inbox: Inbox,
    replies: Replies,
    state: Shared,
    signalling: Option<oneshot::Receiver<()>>,
    helpers: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts a gateway. To be called within the runtime.
    ///
    /// # Errors
    /// [`StartError`] names what is in the way.
    pub async fn start(setup: Setup) -> Result<Self, StartError> {
        let Setup { config, documents, secrets } = setup;
        let (inbox, told) = Inbox::new();
        // Whatever may refuse to start comes before the exchange, which begins to dial at once.
        let doors = Doors::open(&config).await?;
        let metrics = metrics();
        let (ledger, restored) = open_ledger(&config, &inbox)?;
        let reader = Reader::open(ledger.path(), 4)?;
        let runtime = signalling::runtime().map_err(system("the runtime of signalling"))?;
        let sip = listeners::open(&config, &runtime)?;
        let engines = engines::Engines::start(&config, &inbox)?;
        let prompts = warm_prompts(&engines, &documents, &inbox);
        let media = media_worker::start(&config, &inbox, &engines)?;
        let trace = trace(&config)?;
        let exchange = exchange(&config, &documents, &secrets, &sip.listeners);
        let intents = Intents::start(documents.classifiers, inbox.clone())
            .map_err(system("the thread of the intents"))?;
        let fetcher = fetcher(&inbox)?;
        let verifier = verifier(&config, &inbox)?;
        let (replies, live) = (Replies::default(), broadcast::channel(65_536).0);
        let state = api_state(&config, &inbox, &replies, &ledger, reader, metrics);
        let performer = Performer {
            datagrams: sip.datagrams.clone(),
            streams: sip.streams,
            media,
            ledger: ledger.clone(),
            trace,
            records: config.records,
            prompts,
            recognizer: engines.recognizer.clone(),
            intents,
            fetcher,
            verifier,
            resolver: Resolver::new(&config.dns, inbox.clone()),
            api: state.clone(),
            live: live.clone(),
            replies: replies.clone(),
            inbox: inbox.clone(),
            failed: VecDeque::new(),
            received: None,
            memory: Memory::default(),
            playing: BTreeMap::new(),
            withheld: BTreeSet::new(),
            spans: BTreeMap::new(),
            wire: Wire::default(),
            done: false,
        };
        let (api, operations) = (doors.api.1, doors.operations.1);
        let helpers = helpers(doors, &config, &ledger, &state, &sip.tls)?;
        let signalling = Signalling::new(exchange, performer, (sip.datagrams, sip.events), told);
        let signalling =
            signalling.start(runtime, restored).map_err(system("the thread of signalling"))?;
        Ok(Self {
            sip: sip.listeners[0].local,
            listeners: sip.listeners,
            tls: sip.tls,
            api,
            operations,
            live,
            ledger,
            engines,
            inbox,
            replies,
            state,
            signalling: Some(signalling),
            helpers,
        })
    }

    /// Reads the certificates again; calls do not notice.
    pub fn reload_certificates(&self) {
        self.tls.reload_and_tell();
    }

    /// Takes no new calls; `finished` returns once the present ones have ended.
    pub fn drain(&self) {
        self.inbox.event(Event::Drain);
    }

    /// Ends the present calls and, some seconds later at most, stops.
    pub fn stop(&self) {
        self.inbox.tell(Told::Stop);
    }

    /// Waits for the end of the signalling loop, then closes what is open: the API, the ledger.
    ///
    /// # Errors
    /// [`LoopFailed`] when the loop did not end by itself; what is open is closed all the same.
    pub async fn finished(&mut self) -> Result<(), LoopFailed> {
        let mut ended = Ok(());
        if let Some(signalling) = &mut self.signalling {
            ended = signalling.await.map_err(|_| LoopFailed);
            self.signalling = None;
        }
        self.replies.stop();
        self.state.close_streams();
        for helper in self.helpers.drain(..) {
            helper.abort();
        }
        let ledger = self.ledger.clone();
        if tokio::task::spawn_blocking(move || ledger.close()).await.is_err() {
            tracing::error!("the ledger was not closed properly; the next start reads its log");
        }
        ended
    }
}

/// The signalling loop ended by a panic.
#[derive(Debug, thiserror::Error)]
#[error("the signalling loop failed, and all calls with it; its last words are above")]
pub struct LoopFailed;

/// The prompts, those that are always the same being spoken already.
fn warm_prompts(engines: &engines::Engines, documents: &Documents, inbox: &Inbox) -> Prompts {
    let prompts = Prompts::new(engines.synthesizer.clone(), inbox.clone());
    prompts.warm([Prompt::Music]);
    prompts.warm(documents.flows.values().flat_map(|flow| flow.fixed_prompts().to_vec()));
    prompts
}

/// The listeners of the API and of metrics and health, with their addresses.
struct Doors {
    api: (HttpListener, SocketAddr),
    operations: (HttpListener, SocketAddr),
}

impl Doors {
    async fn open(config: &Config) -> Result<Self, StartError> {
        Ok(Self {
            api: listen("[http] api", config.http.api).await?,
            operations: listen("[http] operations", config.http.operations).await?,
        })
    }

    fn serve(self, state: &Shared) -> [JoinHandle<()>; 2] {
        let operations = api::health::operations_router(state.clone());
        [
            tokio::spawn(self.api.0.serve(api::router::router(state.clone()))),
            tokio::spawn(self.operations.0.serve(operations)),
        ]
    }
}

/// The tasks beside the loop, which end with it.
fn helpers(
    doors: Doors,
    config: &Config,
    ledger: &Ledger,
    state: &Shared,
    tls: &Arc<Tls>,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let mut helpers = vec![tokio::spawn(state.clone().housekeeping()), webhooks(config, ledger)?];
    helpers.push(tokio::spawn(tls.clone().watch()));
    helpers.extend(doors.serve(state));
    Ok(helpers)
}

/// The recorder of figures, which may then be described.
fn metrics() -> metrics_exporter_prometheus::PrometheusHandle {
    let recorder = api::metrics::install();
    telemetry::describe();
    recorder
}

fn trace(config: &Config) -> Result<Trace, StartError> {
    Trace::start(&crate::cli::trace_folder(&config.data), &config.trace)
        .map_err(system("the trace in [node] data"))
}

fn fetcher(inbox: &Inbox) -> Result<Fetcher, StartError> {
    Fetcher::new(inbox.clone())
        .map_err(|error| system("the HTTP client")(std::io::Error::other(error)))
}

fn verifier(config: &Config, inbox: &Inbox) -> Result<Verifier, StartError> {
    let stir = &config.stir;
    let fetch = Fetch::new(stir.allow_hosts.clone(), stir.web_roots.as_deref())
        .map_err(|error| system("the HTTP client of [stir]")(std::io::Error::other(error)))?;
    Ok(Verifier::new(stir.rules.clone(), fetch, inbox.clone()))
}

async fn listen(
    key: &'static str,
    address: SocketAddr,
) -> Result<(HttpListener, SocketAddr), StartError> {
    let bind = |error| StartError::Listen { key: key.to_owned(), address, error };
    let listener = HttpListener::bind(address).await.map_err(bind)?;
    let bound = listener.address().map_err(bind)?;
    Ok((listener, bound))
}

fn open_ledger(
    config: &Config,
    inbox: &Inbox,
) -> Result<(Ledger, switchboard::event::Restored), StartError> {
    let health = inbox.clone();
    let store = StoreConfig {
        on_health: Box::new(move |works| health.event(Event::StoreHealth { works })),
        ..StoreConfig::in_folder(&config.data)
    };
    let (ledger, restored) = Ledger::open(store)?;
    let recovery = ledger.recovery();
    tracing::info!(?recovery, promises = restored.promises.len(), "the ledger is open");
    Ok((ledger, restored))
}

fn api_state(
    config: &Config,
    inbox: &Inbox,
    replies: &Replies,
    ledger: &Ledger,
    reader: Reader,
    metrics: metrics_exporter_prometheus::PrometheusHandle,
) -> Shared {
    let door = ExchangeDoor { replies: replies.clone(), inbox: inbox.clone() };
    let per_second = config.http.requests_per_second;
    let limits = api::state::Limits {
        rate: api::rate_limit::Rate { per_second, burst: per_second * 4 },
        ..api::state::Limits::default()
    };
    let draining = replies.clone();
    let probe = Probe {
        name: "exchange",
        check: Box::new(move || match draining.is_draining() {
            true => Err("it is stopping".to_owned()),
            false => Ok(()),
        }),
    };
    ApiState::new(Parts {
        exchange: Arc::new(door),
        ledger: ledger.clone(),
        reader,
        views: Arc::new(LiveViews::configured(&config.queues)),
        feed: Arc::new(api::feed::EventFeed::starting_at(now().wall_ms)),
        trunks: config.trunks.keys().cloned().collect(),
        tenants: BTreeMap::from([(config.tenant(), config.tenant_rules.clone())]),
        probes: vec![probe],
        limits,
        metrics,
    })
}

/// The task that delivers webhooks.
fn webhooks(config: &Config, ledger: &Ledger) -> Result<JoinHandle<()>, StartError> {
    let reader = Reader::open(ledger.path(), 1)?;
    let clock = Arc::new(|| now().wall_ms);
    let sender =
        webhook::WebhookSender::new(ledger.clone(), reader, clock, config.webhooks_allow_private)
            .map_err(|error| system("the HTTP client")(std::io::Error::other(error)))?;
    Ok(tokio::spawn(sender.run()))
}

/// Endpoint and switchboard by the configuration.
fn exchange(
    config: &Config,
    documents: &Documents,
    secrets: &Secrets,
    sip: &[Listener],
) -> Exchange {
    let seed = || Box::new(StdRng::from_os_rng());
    let endpoint = Endpoint::new(endpoint_config(config, secrets, sip), seed());
    let switchboard = Switchboard::new(
        rules(config, documents.flows.clone()),
        IdSource::starting_at(now().wall_ms),
    );
    let mut exchange = Exchange::new(endpoint, switchboard);
    if let Some(signer) = &config.stir.signer {
        exchange.sign_with(Box::new(Signing::new(Arc::clone(signer))));
    }
    exchange
}

fn endpoint_config(config: &Config, secrets: &Secrets, sip: &[Listener]) -> EndpointConfig {
    let agents = config
        .agents
        .iter()
        .filter_map(|agent| {
            let name = format!("agent/{}", agent.name);
            let Some(password) = secrets.named(&name) else {
                tracing::warn!(%agent, "cannot register: no secret; `trunkline secret set {name}`");
                return None;
            };
            let (agent, user) = (agent.clone(), agent.name.clone());
            Some(AgentAccount { agent, user, password: password.into() })
        })
        .collect();
    let first_leg = IdSource::starting_at(now().wall_ms).next_number() << 1 | 1;
    EndpointConfig {
        defence: config.defence.clone(),
        listeners: sip.to_vec(),
        strangers: config.sip.strangers,
        methods: config.sip.methods.clone(),
        internal_headers: config.sip.internal_headers.clone(),
        realm: config.sip.realm.clone(),
        digest_algorithms: config.sip.digest.clone(),
        agents,
        trunks: config.trunks.iter().map(|(id, trunk)| trunk_access(id, trunk, secrets)).collect(),
        agent_sessions: config.sip.agent_sessions,
        sound_ip: IpVersions::of(config.media.addresses.iter().copied()),
        codecs: config.sip.codecs.clone(),
        user_agent: concat!("Trunkline/", env!("CARGO_PKG_VERSION")).into(),
        limits: Limits {
            transactions: config.sip.transactions_max,
            legs: config.limits.calls_max * 2,
            contacts: 4,
            retry_after_s: 5,
        },
        first_leg: LegId(first_leg),
    }
}

fn trunk_access(id: &domain::id::TrunkId, trunk: &TrunkConfig, secrets: &Secrets) -> TrunkAccess {
    let name = format!("trunk/{}", id.name);
    let credentials = trunk.user.clone().and_then(|user| {
        let Some(password) = secrets.named(&name) else {
            tracing::warn!(trunk = %id, "cannot answer challenges: `trunkline secret set {name}`");
            return None;
        };
        Some(Credentials { user, password: password.into(), realm: trunk.realm.clone() })
    });
    let networks = trunk
        .allow
        .iter()
        .filter_map(|(address, length)| Network::parse(&format!("{address}/{length}")))
        .collect();
    TrunkAccess {
        trunk: id.clone(),
        networks,
        tls_names: trunk.tls.names.clone(),
        listener: trunk.listener.clone(),
        credentials,
        border: trunk.border.clone(),
        session: trunk.session,
        codecs: trunk.codecs.clone(),
    }
}

fn carriers(config: &Config) -> trunk::rules::Rules {
    let trunks = config.trunks.iter();
    // Targets of a family that we have no listener of cannot be reached.
    let listeners = || config.sip.listeners.iter().map(|listener| listener.address);
    let ipv4 = listeners().any(|address| address.is_ipv4());
    let ipv6 = listeners().any(|address| address.is_ipv6());
    let locate = LocateRules { ipv4, ipv6, ..LocateRules::default() };
    trunk::rules::Rules {
        trunks: trunks.map(|(id, trunk)| (id.clone(), trunk.carrier.clone())).collect(),
        routes: config.routes.clone(),
        tenants: [(config.tenant(), config.tenant_rules.clone())].into(),
        locate,
    }
}

/// What the exchange is told, with the flows as read.
pub(crate) fn rules(config: &Config, flows: BTreeMap<FlowId, Arc<Flow>>) -> Rules {
    Rules {
        numbers: config.numbers.clone(),
        agents_may_dial: config.agents_may_dial.clone(),
        flows,
        variables: BTreeMap::from([(config.tenant(), config.variables.clone())]),
        queues: config.queues.clone(),
        queue_voices: config.queue_voices.clone(),
        agents: config.agents.clone(),
        trunks: config.trunks.iter().map(|(id, trunk)| (id.clone(), trunk.rule.clone())).collect(),
        carriers: carriers(config),
        callbacks: config.callbacks.clone(),
        feature_codes: config
            .feature_codes
            .iter()
            .map(|(code, says, confirmation)| {
                let (says, confirmation) = (says.clone(), confirmation.clone());
                (code.clone(), FeatureCode { says, confirmation })
            })
            .collect(),
        listening: config.listening,
        stir: StirRules {
            wait: config.stir.wait,
            numbering: config.stir.rules.numbering.clone(),
            verified_numbers: [(config.tenant(), config.stir.verified_numbers.clone())].into(),
        },
        limits: config.limits,
    }
}
