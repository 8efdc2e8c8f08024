//! STIR/SHAKEN's effects: certificates are fetched and kept, verdicts told to the loop, outgoing
//! calls signed. What is decided is decided by the crate `stir`.
//!
//! ```text
//! Action::Verify ─► task: cache ─ or ─ https ─► stir::verify ─► Event::Verified
//! ```
//!
//! The exchange waits for a verdict as long as it was told to, and no longer; a certificate that
//! comes later is there for the next call.

pub mod cache;
pub mod fetch;
pub mod signing;

use crate::signalling::{Inbox, now};
use cache::Cache;
use domain::id::LegId;
use fetch::Fetch;
use metrics::counter;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use stir::chain::Chain;
use stir::verdict::{Fault, InfoFault, Verdict};
use stir::verify::{Credentials, Request, Rules, verify, wanted};
use switchboard::event::{Event, ToVerify};
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, Semaphore};

/// Certificates on their way at once; a further one is as one that did not come.
const FETCHES_MAX: usize = 64;

/// What came of a fetch, and until when (Unix seconds) it holds.
type Fetched = (Result<Arc<Chain>, Fault>, u64);

/// Verifies calls. Clones share what was fetched.
#[derive(Clone)]
pub struct Verifier {
    shared: Arc<Shared>,
    inbox: Inbox,
    runtime: Handle,
}

struct Shared {
    rules: Rules,
    fetch: Fetch,
    room: Semaphore,
    cache: Mutex<Cache>,
    /// One fetch for all calls that wait for the same certificate.
    under_way: Mutex<BTreeMap<Arc<str>, Arc<OnceCell<Fetched>>>>,
}

impl Verifier {
    /// Verdicts are told to `inbox`; the present runtime does the work.
    pub fn new(rules: Rules, fetch: Fetch, inbox: Inbox) -> Self {
        let shared = Shared {
            rules,
            fetch,
            room: Semaphore::new(FETCHES_MAX),
            cache: Mutex::default(),
            under_way: Mutex::default(),
        };
        Self { shared: Arc::new(shared), inbox, runtime: Handle::current() }
    }

    /// Verifies a call; its `Verified` follows, whatever happens.
    pub fn verify(&self, leg: LegId, call: ToVerify) {
        let (shared, inbox) = (Arc::clone(&self.shared), self.inbox.clone());
        self.runtime.spawn(async move {
            let verdict = shared.verify(&call).await;
            count(&verdict);
            inbox.event(Event::Verified { leg, verdict });
        });
    }
}

impl Shared {
    async fn verify(&self, call: &ToVerify) -> Verdict {
        let mut credentials = Credentials::new();
        // One after the other: a call has one Identity, seldom two.
        for url in wanted(&call.identities) {
            let chain = self.credential(&url).await;
            credentials.insert(url, chain);
        }
        let called: Vec<&str> = call.called.iter().map(|user| &**user).collect();
        let (identities, date) = (&call.identities, call.date.as_deref());
        let request = Request { identities, caller: &call.caller, called: &called, date };
        verify(&request, &credentials, &self.rules, now().wall_ms / 1_000)
    }

    async fn credential(&self, url: &Arc<str>) -> Result<Arc<Chain>, Fault> {
        let now_s = now().wall_ms / 1_000;
        if let Some(known) = self.cache.lock().get(url, now_s) {
            counter!("gw_stir_certificates_total", "from" => "cache").increment(1);
            return known;
        }
        let Ok(_place) = self.room.try_acquire() else {
            return Err(Fault::BadInfo(InfoFault::TimedOut));
        };
        let cell = Arc::clone(self.under_way.lock().entry(Arc::clone(url)).or_default());
        let fetch = || async {
            counter!("gw_stir_certificates_total", "from" => "network").increment(1);
            self.fetch.certificate(url, now_s).await
        };
        let (result, until_s) = cell.get_or_init(fetch).await.clone();
        self.under_way.lock().remove(url);
        self.cache.lock().put(url, result.clone(), until_s, now_s);
        result
    }
}

fn count(verdict: &Verdict) {
    let reason = match verdict {
        Verdict::Passed { attestation, .. } => stir::verify::attestation_letter(*attestation),
        Verdict::Failed(fault) => match fault.status() {
            403 => "stale",
            428 => "no_identity",
            433 => "anonymous",
            436 => "no_certificate",
            437 => "bad_certificate",
            _ => "invalid",
        },
    };
    let verstat = verdict.verstat().word();
    counter!("gw_stir_verdicts_total", "verstat" => verstat, "reason" => reason).increment(1);
}
