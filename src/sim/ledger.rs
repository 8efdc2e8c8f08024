//! Stands for the store: facts are on disk some milliseconds later, all that came together in one
//! commit; a disk that takes no writes; a crash that loses what was not committed.

pub use crate::disk::{Attempt, AttemptState, Contact, ContactState, Disk};

use campaign::event::LeasedContact;
use domain::id::{AttemptId, CampaignId, Token};
use domain::now::Now;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use switchboard::event::{Event, Fact, Restored};

/// What the writer is asked.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Facts { token: Option<Token>, facts: Vec<Fact>, patient: bool },
    Claim { campaign: CampaignId, count: u32 },
    Permit { campaign: CampaignId, attempt: AttemptId, contact: LeasedContact },
    Return { campaign: CampaignId, contacts: Vec<LeasedContact> },
}

/// The store.
pub struct Ledger {
    /// What is on disk.
    pub disk: Disk,
    luck: StdRng,
    /// How long a commit takes at most, in milliseconds.
    slow_ms: u64,
    waiting: Vec<Operation>,
    commit_at: Option<Instant>,
    /// The disk takes no writes.
    faulty: bool,
    /// The writer has met the fault and said so.
    stopped: bool,
    kept: Vec<Operation>,
    sent: BTreeSet<AttemptId>,
}

impl Ledger {
    /// An empty disk whose commits take up to `slow_ms`.
    pub fn new(slow_ms: u64, seed: u64) -> Self {
        Self {
            disk: Disk::default(),
            luck: StdRng::seed_from_u64(seed),
            slow_ms,
            waiting: Vec::new(),
            commit_at: None,
            faulty: false,
            stopped: false,
            kept: Vec::new(),
            sent: BTreeSet::new(),
        }
    }

    pub(crate) fn submit(&mut self, operation: Operation, now: Instant) {
        self.waiting.push(operation);
        if self.commit_at.is_none() {
            let delay = Duration::from_millis(self.luck.random_range(1..=self.slow_ms.max(1)));
            self.commit_at = Some(now + delay);
        }
    }

    /// Notes that an attempt's INVITE is about to leave.
    pub(crate) fn mark_sent(&mut self, attempt: AttemptId) {
        self.sent.insert(attempt);
    }

    /// When the next batch is on disk.
    pub fn deadline(&self) -> Option<Instant> {
        self.commit_at
    }

    /// How many operations are not yet on disk.
    pub fn waiting(&self) -> usize {
        self.waiting.len() + self.kept.len()
    }

    /// Commits what waits; the receipts follow.
    pub(crate) fn handle_deadline(&mut self, now: Now, out: &mut VecDeque<Event>) {
        self.commit_at = None;
        let batch = std::mem::take(&mut self.waiting);
        if !self.faulty {
            return batch.into_iter().for_each(|operation| self.apply(operation, now, out));
        }
        if !self.stopped {
            self.stopped = true;
            out.push_back(Event::StoreHealth { works: false });
        }
        for operation in batch {
            match operation {
                Operation::Facts { patient: true, .. } | Operation::Return { .. } => {
                    self.kept.push(operation);
                }
                refused => refuse(refused, now, out),
            }
        }
    }

    /// The disk breaks, or works again.
    pub(crate) fn set_faulty(&mut self, faulty: bool, now: Now, out: &mut VecDeque<Event>) {
        self.faulty = faulty;
        if !faulty && self.stopped {
            self.stopped = false;
            for operation in std::mem::take(&mut self.kept) {
                self.apply(operation, now, out);
            }
            out.push_back(Event::StoreHealth { works: true });
        }
    }

    /// The process dies: what is not on disk is lost. After a power cut the side log proves nothing.
    pub(crate) fn crash(&mut self, power_cut: bool) -> Crashed {
        self.waiting.clear();
        self.kept.clear();
        self.commit_at = None;
        self.faulty = false;
        self.stopped = false;
        let sent = std::mem::take(&mut self.sent);
        Crashed { sent: (!power_cut).then_some(sent) }
    }

    /// What the next start finds.
    pub(crate) fn recover(&mut self, crashed: &Crashed, now: Now) -> Restored {
        self.disk.recover(crashed.sent.as_ref(), now.wall_ms)
    }

    fn apply(&mut self, operation: Operation, now: Now, out: &mut VecDeque<Event>) {
        match operation {
            Operation::Facts { token, facts, .. } => {
                facts.into_iter().for_each(|fact| self.disk.put(fact));
                out.extend(token.map(Event::Stored));
            }
            Operation::Claim { campaign, count } => {
                let (contacts, next) = self.disk.claim(campaign, count, now.wall_ms);
                out.push_back(Event::Claimed { campaign, contacts, next_due_wall_ms: next });
            }
            Operation::Permit { campaign, attempt, contact } => {
                let decided = self.disk.permit(campaign, attempt, &contact, now.wall_ms);
                out.push_back(match decided {
                    Ok(call_id) => Event::Permitted { attempt, call_id },
                    Err(reason) => Event::PermitRefused { attempt, reason },
                });
            }
            Operation::Return { campaign, contacts } => self.disk.give_back(campaign, &contacts),
        }
    }
}

/// What is left when the process is gone, besides the disk.
pub(crate) struct Crashed {
    sent: Option<BTreeSet<AttemptId>>,
}

impl Crashed {
    /// The log is empty, and trusted.
    pub(crate) fn forget_what_was_sent(&mut self) {
        self.sent = Some(BTreeSet::new());
    }
}

/// What the gateway makes of an operation that the disk did not take.
fn refuse(operation: Operation, now: Now, out: &mut VecDeque<Event>) {
    let reason: Arc<str> = "the disk takes no writes".into();
    match operation {
        Operation::Facts { token, .. } => {
            out.extend(token.map(|token| Event::NotStored { token, reason }));
        }
        Operation::Claim { campaign, .. } => out.push_back(Event::Claimed {
            campaign,
            contacts: Vec::new(),
            next_due_wall_ms: Some(now.wall_ms + 1_000),
        }),
        Operation::Permit { attempt, .. } => out.push_back(Event::PermitFailed { attempt }),
        Operation::Return { .. } => (),
    }
}
