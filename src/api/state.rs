//! What the handlers share.

use crate::auth::Caller;
use crate::event_json;
use crate::events::Places;
use crate::exchange::{Exchange, Herald};
use crate::feed::EventFeed;
use crate::idempotency::InFlight;
use crate::metrics;
use crate::problem::{Kind, Problem};
use crate::rate_limit::{Rate, RateLimiter};
use crate::time;
use crate::views::LiveViews;
use domain::id::{TenantId, TrunkId};
use metrics_exporter_prometheus::PrometheusHandle;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::error::StoreError;
use store::ledger::Ledger;
use store::operation::Operation;
use store::reader::Reader;
use switchboard::event::{Command, Live};
use tokio::sync::{Semaphore, oneshot, watch};
use trunk::rules::TenantRules;

/// The bounds of the API.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests of one key.
    pub rate: Rate,
    /// Requests without a valid key, of all who have none.
    pub strangers: Rate,
    /// Bytes of a JSON list of contacts.
    pub json_list_bytes: usize,
    /// Bytes of a CSV list of contacts.
    pub csv_list_bytes: usize,
    /// Rows of a list of contacts.
    pub list_rows: u64,
    /// Lists read at the same time; each holds its body in memory.
    pub lists: usize,
    /// Reads of the ledger at the same time.
    pub reads: usize,
    /// Open event streams of all keys.
    pub streams: usize,
    /// Open event streams of one tenant.
    pub streams_of_tenant: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rate: Rate { per_second: 50, burst: 200 },
            strangers: Rate { per_second: 20, burst: 100 },
            json_list_bytes: 8 << 20,
            csv_list_bytes: 10 << 20,
            list_rows: 500_000,
            lists: 4,
            reads: 16,
            streams: 256,
            streams_of_tenant: 64,
        }
    }
}

/// A question to a part of the program, for `/readyz`.
pub struct Probe {
    /// What is asked, such as `trunk`.
    pub name: &'static str,
    /// Answers at once: `Err` says why calls should not be sent here.
    #[allow(clippy::type_complexity)] // A name for the closure would say no more.
    pub check: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
}

/// What the gateway gives the API to work with.
pub struct Parts {
    /// Takes orders.
    pub exchange: Arc<dyn Exchange>,
    /// Takes what must last.
    pub ledger: Ledger,
    /// Gives it back.
    pub reader: Reader,
    /// What is going on now.
    pub views: Arc<LiveViews>,
    /// What has happened lately.
    pub feed: Arc<EventFeed>,
    /// The trunks there are.
    pub trunks: Vec<TrunkId>,
    /// What tenants may show; who is not named may show anything.
    pub tenants: BTreeMap<TenantId, TenantRules>,
    /// What `/readyz` asks besides the ledger.
    pub probes: Vec<Probe>,
    /// The bounds.
    pub limits: Limits,
    /// The figures.
    pub metrics: PrometheusHandle,
}

/// What the handlers share.
pub struct ApiState {
    pub(crate) exchange: Arc<dyn Exchange>,
    pub(crate) herald: Herald,
    pub(crate) ledger: Ledger,
    reader: Reader,
    /// What is going on now.
    pub views: Arc<LiveViews>,
    /// What has happened lately.
    pub feed: Arc<EventFeed>,
    pub(crate) trunks: Vec<TrunkId>,
    pub(crate) tenants: BTreeMap<TenantId, TenantRules>,
    pub(crate) probes: Vec<Probe>,
    pub(crate) limits: Limits,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) rates: RateLimiter,
    pub(crate) strangers: RateLimiter,
    pub(crate) in_flight: InFlight,
    pub(crate) lists: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    pub(crate) places: Places,
    pub(crate) stopping: watch::Sender<bool>,
    pub(crate) callback_ids: crate::callbacks::CallbackIds,
}

/// The state as handlers get it.
pub type Shared = Arc<ApiState>;

impl ApiState {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Shared {
        let limits = parts.limits;
        Arc::new(Self {
            herald: Herald::new(parts.exchange.clone()),
            exchange: parts.exchange,
            ledger: parts.ledger,
            reader: parts.reader,
            views: parts.views,
            feed: parts.feed,
            trunks: parts.trunks,
            tenants: parts.tenants,
            probes: parts.probes,
            limits,
            metrics: parts.metrics,
            rates: RateLimiter::new(limits.rate),
            strangers: RateLimiter::new(limits.strangers),
            in_flight: InFlight::default(),
            lists: Arc::new(Semaphore::new(limits.lists)),
            reads: Arc::new(Semaphore::new(limits.reads)),
            places: Places::new(limits.streams, limits.streams_of_tenant),
            stopping: watch::Sender::new(false),
            callback_ids: crate::callbacks::CallbackIds::starting_at(time::now_ms()),
        })
    }

    /// Takes an event of the exchange into views, figures and feed. Called by the one who performs
    /// `Action::Publish`, in order; takes a few microseconds and never waits.
    pub fn publish(&self, live: &Live, wall_ms: u64) {
        let tenant = self.views.tenant_of(live);
        self.views.apply(live, wall_ms);
        metrics::live(live);
        if let Some(tenant) = tenant {
            let (length, live) = (event_json::length(live), live.clone());
            self.feed.publish(tenant, length, move |sequence| {
                event_json::print(&live, sequence, wall_ms)
            });
        }
    }

    /// Lets what is kept after a peak take less memory: takes some milliseconds.
    pub fn pack(&self) {
        self.feed.pack();
        self.views.calls.shrink_to_fit();
    }

    /// Ends the event streams with a close frame that asks to come back (at shutdown).
    pub fn close_streams(&self) {
        self.stopping.send_replace(true);
    }

    /// Does what must be done now and then: the gateway runs it beside the listeners.
    pub async fn housekeeping(self: Shared) {
        let mut every = tokio::time::interval(Duration::from_secs(5));
        loop {
            every.tick().await;
            // Without it, histograms that nobody scrapes would grow.
            self.metrics.run_upkeep();
            self.rates.forget_full(Instant::now());
        }
    }

    /// Reads the ledger off the runtime's threads.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Shared,
        read: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let place = self.reads.clone().acquire_owned().await;
        let state = self.clone();
        let work = tokio::task::spawn_blocking(move || {
            let result = read(&state.reader);
            drop(place);
            result
        });
        work.await.map_err(|error| internal(&error))?.map_err(Problem::from)
    }

    /// Does an operation of the ledger; returns when it is on disk.
    pub(crate) async fn write<O: Operation>(&self, operation: O) -> Result<O::Receipt, Problem> {
        let (sender, receiver) = oneshot::channel();
        // The asker may have gone away; what is on disk stays there.
        self.ledger.submit(operation, move |result| drop(sender.send(result)))?;
        Ok(receiver.await.map_err(|_| Problem::from(StoreError::Stopped))??)
    }

    /// Gives an order to the exchange; see [`crate::exchange::order`].
    pub(crate) async fn order(
        &self,
        command: Command,
        what: &str,
        name: &str,
    ) -> Result<(), Problem> {
        crate::exchange::order(&*self.exchange, command, what, name).await
    }

    /// The names of the tenant's trunks.
    pub(crate) fn trunks_of(&self, tenant: &TenantId) -> Vec<String> {
        let own = self.trunks.iter().filter(|trunk| trunk.tenant == *tenant);
        own.map(|trunk| trunk.name.to_string()).collect()
    }

    /// The names of the tenant's queues, sorted.
    pub(crate) fn queues_of(&self, caller: &Caller) -> Vec<String> {
        let all = self.views.queues.iter();
        let own = all.filter(|queue| queue.key().tenant == caller.tenant);
        let mut names: Vec<String> = own.map(|queue| queue.key().name.to_string()).collect();
        names.sort();
        names
    }
}

/// A fault of ours; the reason goes to the log, not to the client.
pub(crate) fn internal(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "the API failed at its own work");
    Problem::new(Kind::Internal, "the reason is in the log")
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Overloaded => {
                metrics::overload_rejected("ledger");
                Self::new(Kind::Busy, error.to_string()).retry_after(1)
            }
            StoreError::Stopped => Self::new(Kind::Stopping, error.to_string()).retry_after(10),
            StoreError::Disk { .. } | StoreError::Damaged { .. } => {
                Self::new(Kind::StoreFailed, error.to_string()).retry_after(5)
            }
            StoreError::NotFound { what } => {
                Self::new(Kind::NotFound, format!("there is no such {what}"))
            }
            StoreError::Conflict { reason } => Self::new(Kind::Conflict, reason),
            StoreError::KeyReused => Self::new(
                Kind::IdempotencyMismatch,
                "the first request with this key had another method, path or body",
            ),
            StoreError::TooMany { .. } => Self::new(Kind::TooManyRows, error.to_string()),
            _ => internal(&error),
        }
    }
}
