//! The simulator's disk against the real ledger: the same operations must have the same outcome, or
//! what the simulator proves is proven of something else.

use campaign::event::{CampaignState, Disposition, LeasedContact, Outcome};
use domain::cause::Cause;
use domain::id::{AttemptId, CallbackId, CampaignId, ContactId, QueueId, TenantId};
use domain::phone_number::PhoneNumber;
use queue::event::{AgentState, CallbackState, Promise};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sim::house::{agent, campaign};
use sim::ledger::{Contact, ContactState, Disk};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::campaign_table::{AddContacts, CreateCampaign, NewContact};
use store::claim::{Claim, Return};
use store::fact::StoreFacts;
use store::ledger::{Ledger, StoreConfig};
use store::permit::{Permit, PermitDecision};
use switchboard::event::{AttemptClosed, Fact};

const CONTACTS: u64 = 12;

/// Both disks, and what the exchange would hold in hand.
struct Twins {
    folder: std::path::PathBuf,
    wall_ms: Arc<AtomicU64>,
    ledger: Option<Ledger>,
    disk: Disk,
    campaign: CampaignId,
    leased: Vec<LeasedContact>,
    dialling: Vec<(AttemptId, LeasedContact)>,
    sent: BTreeSet<AttemptId>,
    attempts: u64,
    luck: StdRng,
}

impl Twins {
    fn new(seed: u64) -> Self {
        let name = format!("trunkline-twins-{}-{seed}", std::process::id());
        let mut twins = Self {
            folder: std::env::temp_dir().join(name),
            wall_ms: Arc::new(AtomicU64::new(1_800_000_000_000)),
            ledger: None,
            disk: Disk::default(),
            campaign: CampaignId(0),
            leased: Vec::new(),
            dialling: Vec::new(),
            sent: BTreeSet::new(),
            attempts: 1_000,
            luck: StdRng::seed_from_u64(seed),
        };
        twins.open();
        let created = CreateCampaign { definition: campaign(1) };
        let definition = twins.ledger().perform(created).unwrap();
        let id = definition.rules.id;
        twins.campaign = id;
        twins.disk.campaigns.insert(id, (*definition).clone());
        let number = |index| PhoneNumber::parse(&format!("+4970{index:04}")).unwrap();
        let row =
            |index| NewContact { key: None, number: number(index), priority: 0, payload: None };
        let rows = (1..=CONTACTS).map(row).collect();
        let tenant = TenantId::default();
        twins.ledger().perform(AddContacts { tenant, campaign: id, rows }).unwrap();
        for index in 1..=CONTACTS {
            let contact = Contact {
                campaign: id,
                number: number(index),
                state: ContactState::Ready,
                attempts: 0,
                fence: 0,
                next_wall_ms: 0,
                disposition: None,
            };
            twins.disk.contacts.insert(ContactId(index), contact);
        }
        twins.put(Fact::CampaignState { campaign: id, state: CampaignState::Running });
        twins
    }

    fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    fn now_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::SeqCst)
    }

    fn open(&mut self) -> switchboard::event::Restored {
        self.ledger = None;
        let mut config = StoreConfig::in_folder(&self.folder);
        let wall_ms = Arc::clone(&self.wall_ms);
        config.clock = Arc::new(move || wall_ms.load(Ordering::SeqCst));
        let (ledger, restored) = Ledger::open(config).unwrap();
        self.ledger = Some(ledger);
        restored
    }

    fn put(&mut self, fact: Fact) {
        self.ledger().perform(StoreFacts::new(vec![fact.clone()])).unwrap();
        self.disk.put(fact);
    }

    /// One thing that the exchange could do, done to both.
    fn step(&mut self) {
        match self.luck.random_range(0..14) {
            0 | 1 => {
                self.wall_ms.fetch_add(self.luck.random_range(0..90_000), Ordering::SeqCst);
            }
            2..=4 => self.claim(),
            5..=7 => self.permit(),
            8 => {
                if let Some((attempt, _)) = self.any_dialling() {
                    self.ledger().mark_sent(attempt).unwrap();
                    self.sent.insert(attempt);
                }
            }
            9 | 10 => self.close(),
            11 => {
                let contacts: Vec<_> = self.leased.iter().take(2).cloned().collect();
                let campaign = self.campaign;
                let order = Return { campaign, contacts: contacts.clone() };
                self.ledger().perform(order).unwrap();
                self.disk.give_back(campaign, &contacts);
            }
            12 => self.say_something(),
            _ => self.crash(),
        }
    }

    fn claim(&mut self) {
        let (campaign, count) = (self.campaign, self.luck.random_range(1..4));
        let real = self.ledger().perform(Claim { campaign, count }).unwrap();
        let ours = self.disk.claim(campaign, count, self.now_ms());
        assert_eq!((real.contacts.clone(), real.next_due_wall_ms), ours);
        self.leased.extend(real.contacts);
    }

    fn permit(&mut self) {
        if self.leased.is_empty() {
            return;
        }
        // Sometimes one that was used before, or is long lost.
        let contact = self.leased[self.luck.random_range(0..self.leased.len())].clone();
        self.attempts += u64::from(self.luck.random_bool(0.9));
        let (campaign, attempt) = (self.campaign, AttemptId(self.attempts));
        let permit = Permit { campaign, attempt, contact: contact.clone() };
        let real = match self.ledger().perform(permit).unwrap() {
            PermitDecision::Granted { .. } => Ok(()),
            PermitDecision::Refused { reason } => Err(reason),
        };
        let ours = self.disk.permit(campaign, attempt, &contact, self.now_ms()).map(|_| ());
        assert_eq!(real, ours, "{contact:?}");
        if real.is_ok() {
            self.dialling.push((attempt, contact));
        }
    }

    fn any_dialling(&mut self) -> Option<(AttemptId, LeasedContact)> {
        let index = self.luck.random_range(0..self.dialling.len().max(1));
        self.dialling.get(index).cloned()
    }

    fn close(&mut self) {
        let Some((attempt, contact)) = self.any_dialling() else { return };
        let again = self.luck.random_bool(0.6);
        let busy = Cause::from_status(486);
        self.put(Fact::AttemptClosed(AttemptClosed {
            attempt,
            campaign: self.campaign,
            contact,
            call: None,
            disposition: Disposition::Busy,
            outcome: Outcome {
                cause: busy,
                answered: false,
                message_heard: false,
                key: None,
                asked_for_agent: false,
                joined_agent: false,
            },
            retry_wall_ms: again.then_some(self.now_ms() + 60_000),
            answered_wall_ms: None,
            ended_wall_ms: self.now_ms(),
        }));
    }

    fn say_something(&mut self) {
        use CallbackState::{Broken, Cancelled, Dialling, Kept, Promised, Reserved};
        let id = self.luck.random_range(1..6);
        let tries = self.luck.random_range(0..3);
        let states = [Promised, Promised, Reserved, Dialling, Kept, Broken, Cancelled];
        let state = states[self.luck.random_range(0..states.len())];
        self.put(Fact::Promise(Promise {
            id: CallbackId(id),
            queue: QueueId::new(&TenantId::default(), "support"),
            number: PhoneNumber::parse(&format!("+4930{id}11")).unwrap(),
            arrived_wall_ms: 1_000 * id,
            not_before_wall_ms: self.now_ms(),
            expires_wall_ms: self.now_ms() + 1,
            tries,
            state,
        }));
        let state = match self.luck.random_range(0..3) {
            0 => AgentState::LoggedOut,
            1 => AgentState::Available { since_wall_ms: self.now_ms() },
            _ => AgentState::Paused { reason: "lunch".into() },
        };
        self.put(Fact::Agent { agent: agent("anna"), state });
        let state = match self.luck.random_range(0..12) {
            0 => CampaignState::Paused,
            _ => CampaignState::Running,
        };
        self.put(Fact::CampaignState { campaign: self.campaign, state });
    }

    fn crash(&mut self) {
        self.wall_ms.fetch_add(2_000, Ordering::SeqCst);
        let real = self.open();
        let ours = self.disk.recover(Some(&self.sent), self.now_ms());
        assert_eq!(real.promises, ours.promises);
        assert_eq!(real.agents, ours.agents);
        assert_eq!(real.campaigns, ours.campaigns);
        self.sent.clear();
    }
}

impl Drop for Twins {
    fn drop(&mut self) {
        self.ledger = None;
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn the_simulated_disk_does_as_the_ledger_does() {
    for seed in 0..6 {
        let mut twins = Twins::new(seed);
        for _ in 0..150 {
            twins.step();
        }
    }
}
