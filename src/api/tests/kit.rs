//! What the tests share: the API over a real ledger and a fake exchange, and two tenants.

use crate::exchange::{Answer, Ban, Bans, Busy, Exchange};
use crate::feed::EventFeed;
use crate::health::operations_router;
use crate::metrics;
use crate::rate_limit::Rate;
use crate::router::router;
use crate::state::{ApiState, Limits, Parts, Probe, Shared};
use crate::views::LiveViews;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use campaign::event::CampaignState;
use domain::id::{AgentId, CallId, QueueId, TenantId, TrunkId};
use parking_lot::Mutex;
use queue::event::QueueRules;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use store::api_key::CreateApiKey;
use store::fact::StoreFacts;
use store::ledger::{Ledger, StoreConfig};
use store::reader::Reader;
use switchboard::event::{CampaignOrder, Command, Fact, LegRole, Live, Reply};
use tower::ServiceExt;
use trunk::caller_id::{CallerIdRules, Mismatch};
use trunk::number::DialPlan;
use trunk::rules::{Caps, TenantRules};

/// An exchange that does as it is told and remembers it.
pub struct FakeExchange {
    ledger: Ledger,
    /// What came, in order.
    pub taken: Mutex<Vec<Command>>,
    /// Replies to give instead of `Done`.
    pub replies: Mutex<VecDeque<Result<Reply, Busy>>>,
    /// Who is banned.
    pub bans: Mutex<Vec<Ban>>,
}

impl Exchange for FakeExchange {
    fn command(&self, command: Command) -> Answer<'_> {
        let reply = self.replies.lock().pop_front().unwrap_or(Ok(Reply::Done));
        if let (Ok(Reply::Done), Command::Campaign { campaign, order }) = (&reply, &command) {
            // As the real one: the reply comes after the new state is on disk.
            let state = match order {
                CampaignOrder::Start => CampaignState::Running,
                CampaignOrder::Pause => CampaignState::Paused,
                CampaignOrder::Cancel => CampaignState::Cancelled,
            };
            let facts = vec![Fact::CampaignState { campaign: *campaign, state }];
            self.ledger.perform(StoreFacts::new(facts)).unwrap();
        }
        self.taken.lock().push(command);
        Box::pin(async { reply })
    }

    fn bans(&self) -> Bans<'_> {
        let bans = self.bans.lock().clone();
        Box::pin(async { Ok(bans) })
    }

    fn unban(&self, source: IpAddr) -> Answer<'_> {
        let mut bans = self.bans.lock();
        let before = bans.len();
        bans.retain(|ban| ban.source != source);
        let reply = if bans.len() < before { Reply::Done } else { Reply::NotFound };
        Box::pin(async { Ok(reply) })
    }
}

/// The API with its surroundings.
pub struct Kit {
    pub state: Shared,
    pub api: Router,
    pub operations: Router,
    pub exchange: Arc<FakeExchange>,
    pub ledger: Ledger,
    /// Keys of the tenants `default` and `other`.
    pub keys: [String; 2],
    /// Whether the trunk's probe says yes.
    pub trunk_up: Arc<AtomicBool>,
    folder: PathBuf,
}

impl Drop for Kit {
    fn drop(&mut self) {
        self.ledger.close();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A reply, read to its end.
#[derive(Debug)]
pub struct Got {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    /// Null if the text is no JSON.
    pub body: Value,
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Kit {
    pub fn new() -> Self {
        let unlimited = Rate { per_second: 0, burst: 0 };
        Self::with(Limits { rate: unlimited, strangers: unlimited, ..Limits::default() }, 65_536)
    }

    /// With these bounds and a feed that keeps so many events.
    pub fn with(limits: Limits, kept: usize) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("trunkline-api-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let (ledger, _) = Ledger::open(StoreConfig::in_folder(&folder)).unwrap();
        let keys = ["default", "other"].map(|tenant| {
            let tenant = TenantId(tenant.into());
            ledger.perform(CreateApiKey { tenant, name: "test".into() }).unwrap().text
        });
        let exchange = Arc::new(FakeExchange {
            ledger: ledger.clone(),
            taken: Mutex::default(),
            replies: Mutex::default(),
            bans: Mutex::default(),
        });
        let trunk_up = Arc::new(AtomicBool::new(true));
        let up = trunk_up.clone();
        let check = move || match up.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err("no trunk is up".to_owned()),
        };
        let state = ApiState::new(Parts {
            exchange: exchange.clone(),
            ledger: ledger.clone(),
            reader: Reader::open(ledger.path(), 2).unwrap(),
            views: Arc::new(LiveViews::configured(&[rules()])),
            feed: Arc::new(EventFeed::with_capacity(1_800_000_000_000, kept)),
            trunks: vec![TrunkId::new(&TenantId::default(), "carrier")],
            tenants: BTreeMap::from([(TenantId::default(), shows_numbers_of_berlin())]),
            probes: vec![Probe { name: "trunk", check: Box::new(check) }],
            limits,
            metrics: metrics::install(),
        });
        let (api, operations) = (router(state.clone()), operations_router(state.clone()));
        Self { state, api, operations, exchange, ledger, keys, trunk_up, folder }
    }

    /// Sends a request as it is.
    pub async fn send(&self, request: Request<Body>) -> Got {
        send(&self.api, request).await
    }

    /// A request of the tenant `default`.
    pub fn request(&self, method: Method, path: &str) -> axum::http::request::Builder {
        let bearer = format!("Bearer {}", self.keys[0]);
        Request::builder().method(method).uri(path).header("authorization", bearer)
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Got {
        self.send(self.request(Method::GET, path).body(Body::empty()).unwrap()).await
    }

    /// PUT, POST or DELETE without a body.
    pub async fn order(&self, method: Method, path: &str) -> Got {
        self.send(self.request(method, path).body(Body::empty()).unwrap()).await
    }

    /// PUT with a JSON body.
    pub async fn put(&self, path: &str, body: Value) -> Got {
        let request = self.request(Method::PUT, path).header("content-type", "application/json");
        self.send(request.body(body.to_string().into()).unwrap()).await
    }

    /// POST of something to be created, with a JSON body.
    pub async fn create(&self, path: &str, key: &str, body: &Value) -> Got {
        self.post(path, key, "application/json", &body.to_string()).await
    }

    /// POST with an Idempotency-Key.
    pub async fn post(&self, path: &str, key: &str, media_type: &str, body: &str) -> Got {
        let request = self.request(Method::POST, path);
        let request = request.header("content-type", media_type).header("idempotency-key", key);
        self.send(request.body(body.to_owned().into()).unwrap()).await
    }

    /// Makes a campaign and gives its number.
    pub async fn campaign(&self) -> u64 {
        let made = self.create("/v1/campaigns", &fresh_key(), &campaign_form()).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        made.body["id"].as_u64().unwrap()
    }

    /// Begins a call of a tenant.
    pub fn call_started(&self, tenant: &str, call: u64) {
        let tenant = TenantId(tenant.into());
        let (from, to) = ("+4930123".into(), "100".into());
        let role = LegRole::Caller;
        let live = Live::CallStarted { call: CallId(call), tenant, role, from, to };
        self.state.publish(&live, 1_800_000_000_000);
    }
}

pub async fn send(router: &Router, request: Request<Body>) -> Got {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 50 << 20).await.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Got { status: parts.status, headers: parts.headers, text, body }
}

/// A key not used before in this process.
pub fn fresh_key() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("key-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

pub fn campaign_form() -> Value {
    json!({
        "name": "renewals",
        "trunk": "carrier",
        "caller_id": "+49 30 1234567",
        "rate_per_minute_max": 6000,
        "channels_max": 500,
        "window": {"from": "08:00", "to": "21:00", "utc_offset_min": 60},
        "message": {"language": "en", "text": "Hello.", "keys": [{"key": "1", "queue": "support"}]},
    })
}

fn rules() -> QueueRules {
    let tenant = TenantId::default();
    QueueRules {
        id: QueueId::new(&tenant, "support"),
        agents: vec![AgentId::new(&tenant, "anna")],
        length_max: 10,
        estimate_max: Duration::from_secs(600),
        wait_max: Duration::from_secs(600),
        ring_for: Duration::from_secs(20),
        wrap_up: Duration::from_secs(10),
        missed_rings_max: 3,
        announce_every: Duration::from_secs(30),
        wait_without_agents: true,
        open_minutes: Vec::new(),
        utc_offset_min: 0,
    }
}

/// The tenant shows numbers that begin with +49 30, and no other.
fn shows_numbers_of_berlin() -> TenantRules {
    let caller_ids = CallerIdRules { allowed: vec!["+4930*".into()], mismatch: Mismatch::Reject };
    let plan = DialPlan { emergency: vec!["112".into()], ..DialPlan::default() };
    TenantRules { plan, caller_ids, caps: Caps::NONE }
}
