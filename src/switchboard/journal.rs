//! Facts on their way to the disk: who waits for which receipt.
//!
//! What has already happened (records, outcomes, states) is stored patiently: the store keeps it
//! through a fault of the disk. So is what the API was asked to change, because it has changed here
//! already and disk and exchange must not disagree; while the disk is known to fail, such requests
//! are refused before they change anything. A new promise fails at once instead, so that nobody is
//! told what is not on disk.

use crate::event::{Action, Fact, Live};
use domain::id::{AttemptId, CallId, CampaignId, RequestId, Token};
use std::collections::BTreeMap;

/// Who waits for a receipt, and so what may happen only after it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Waiting {
    /// A caller may be told that he will be called back.
    Promise { call: CallId, promise: Box<queue::event::Promise> },
    /// An API request may be answered.
    Request(RequestId),
    /// A campaign may count its attempt as closed, and the world may hear of it; `None`: it was not
    /// sent.
    Attempt { campaign: CampaignId, attempt: AttemptId, closed: Option<Box<Live>> },
}

/// Facts on their way. Its list is bounded by the calls, requests and attempts at once.
#[derive(Debug)]
pub(crate) struct Journal {
    next_token: u64,
    waiting: BTreeMap<Token, Waiting>,
    works: bool,
}

impl Journal {
    /// Nothing on its way, the disk at work.
    pub(crate) fn new() -> Self {
        Self { next_token: 0, waiting: BTreeMap::new(), works: true }
    }

    /// Whether new work may begin: the disk takes facts.
    pub(crate) fn works(&self) -> bool {
        self.works
    }

    /// The disk stopped or began to take facts.
    pub(crate) fn set_works(&mut self, works: bool) {
        self.works = works;
    }

    /// Puts facts on disk that nobody waits for.
    pub(crate) fn note(&mut self, facts: Vec<Fact>, out: &mut Vec<Action>) {
        out.push(Action::Store { token: None, facts, patient: true });
    }

    /// Puts facts on disk; `waiting` is handed back with the receipt.
    pub(crate) fn store(&mut self, waiting: Waiting, facts: Vec<Fact>, out: &mut Vec<Action>) {
        self.next_token += 1;
        let token = Token(self.next_token);
        let patient = match waiting {
            Waiting::Attempt { .. } | Waiting::Request(_) => true,
            Waiting::Promise { .. } => false,
        };
        self.waiting.insert(token, waiting);
        out.push(Action::Store { token: Some(token), facts, patient });
    }

    /// How many wait for a receipt.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The receipt, or the refusal, came: who waited for it?
    pub(crate) fn settled(&mut self, token: Token) -> Option<Waiting> {
        self.waiting.remove(&token)
    }
}
