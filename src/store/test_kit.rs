//! What the tests of this crate share: a folder that goes away, a clock turned by hand, and the
//! usual campaign.

use crate::campaign_table::{AddContacts, CreateCampaign, NewContact};
use crate::error::StoreError;
use crate::ledger::{Ledger, StoreConfig};
use campaign::event::{CampaignRules, CampaignState, RetryPolicy};
use domain::id::{CampaignId, TenantId, TrunkId};
use domain::phone_number::PhoneNumber;
use domain::prompt::Language;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use switchboard::event::{CampaignDefinition, Fact, KeyAnswer, Message, Restored};

/// The moment at which the tests begin: a Friday, 08:00 UTC.
pub(crate) const START_MS: u64 = 1_800_000_000_000;

/// A folder for one test, removed at its end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "trunkline-store-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A ledger in its own folder, with a clock turned by hand.
pub(crate) struct Kit {
    pub(crate) folder: Folder,
    pub(crate) wall_ms: Arc<AtomicU64>,
    ledger: Option<Ledger>,
    pub(crate) restored: Restored,
}

impl Kit {
    pub(crate) fn new() -> Self {
        let mut kit = Self {
            folder: Folder::new(),
            wall_ms: Arc::new(AtomicU64::new(START_MS)),
            ledger: None,
            restored: Restored::default(),
        };
        kit.reopen_with(|_| ());
        kit
    }

    pub(crate) fn config(&self) -> StoreConfig {
        let mut config = StoreConfig::in_folder(self.folder.root());
        let wall_ms = Arc::clone(&self.wall_ms);
        config.clock = Arc::new(move || wall_ms.load(Ordering::SeqCst));
        config
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    /// Drops the ledger with all that is open, and starts again on what is on disk.
    pub(crate) fn crash(&mut self) {
        self.reopen_with(|_| ());
    }

    /// Starts again with other settings.
    pub(crate) fn reopen_with(&mut self, mut change: impl FnMut(&mut StoreConfig)) {
        self.ledger = None;
        let mut looks_left = 1_000_000;
        let (ledger, restored) = loop {
            let mut config = self.config();
            change(&mut config);
            match Ledger::open(config) {
                // A child that another test is just starting holds a copy of the lock until its exec.
                Err(StoreError::Held { .. }) if looks_left > 0 => {
                    looks_left -= 1;
                    std::thread::yield_now();
                }
                opened => break opened.unwrap(),
            }
        };
        self.ledger = Some(ledger);
        self.restored = restored;
    }

    pub(crate) fn pass(&self, by: Duration) {
        self.wall_ms.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn store(&self, facts: Vec<Fact>) {
        self.ledger().perform(crate::fact::StoreFacts::new(facts)).unwrap();
    }

    /// One value of the file, read past the writer.
    pub(crate) fn value<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        let reader = crate::sqlite::open_reader(self.ledger().path(), Duration::ZERO).unwrap();
        reader.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// A running campaign with contacts `+4930000001` … in order of their numbers.
    pub(crate) fn campaign(&self, contacts: u32) -> CampaignId {
        let created = self.ledger().perform(CreateCampaign { definition: definition() }).unwrap();
        let campaign = created.rules.id;
        let rows = (1..=contacts).map(|count| contact(&format!("+4930{count:06}"))).collect();
        let tenant = TenantId::default();
        let added = self.ledger().perform(AddContacts { tenant, campaign, rows }).unwrap();
        assert_eq!(added.added, contacts);
        self.store(vec![Fact::CampaignState { campaign, state: CampaignState::Running }]);
        campaign
    }
}

pub(crate) fn number(text: &str) -> PhoneNumber {
    PhoneNumber::parse(text).unwrap()
}

pub(crate) fn contact(text: &str) -> NewContact {
    NewContact { key: None, number: number(text), priority: 0, payload: None }
}

/// A campaign as the API would hand it over.
pub(crate) fn definition() -> CampaignDefinition {
    let tenant = TenantId::default();
    CampaignDefinition {
        name: "renewals".into(),
        rules: CampaignRules {
            id: CampaignId(0),
            trunk: TrunkId::new(&tenant, "carrier"),
            caller_id: number("+49301234567"),
            rate_per_minute_max: 6000,
            channels_max: 500,
            ring_for: Duration::from_secs(25),
            retry: RetryPolicy {
                attempts_max: 2,
                busy_after: Duration::from_secs(600),
                no_answer_after: Duration::from_secs(14_400),
                failed_after: Duration::from_secs(900),
                in_doubt_after: Duration::from_secs(3600),
            },
            window_minutes: (0, 1440),
            utc_offset_min: 60,
        },
        message: Message {
            language: Language::Mandarin,
            text: "您好".into(),
            keys: vec![
                ('1', KeyAnswer::Queue(domain::id::QueueId::new(&tenant, "sales"))),
                ('2', KeyAnswer::Say("再见".into())),
                ('9', KeyAnswer::Repeat),
            ],
            wait_for_key_ms: 5000,
        },
        webhook_url: Some("https://example.com/hook".into()),
        state: CampaignState::Draft,
        tenant,
    }
}
