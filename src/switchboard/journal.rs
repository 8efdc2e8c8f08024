//! Facts on their way to the disk: who waits for which receipt, and what is kept while the disk is
//! at fault.

use crate::event::{Action, Fact};
use domain::id::{AttemptId, CallId, CampaignId, RequestId, Token};
use std::collections::{BTreeMap, VecDeque};

/// Who waits for a receipt, and so what may happen only after it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Waiting {
    /// A caller may be told that he will be called back.
    Promise { call: CallId, promise: Box<queue::event::Promise> },
    /// An API request may be answered.
    Request(RequestId),
    /// A campaign may count its attempt as closed.
    Attempt { campaign: CampaignId, attempt: AttemptId },
    /// Nobody; the facts are written again if the disk refused them.
    Nobody,
}

/// Facts on their way.
pub(crate) struct Journal {
    next_token: u64,
    waiting: BTreeMap<Token, (Waiting, Vec<Fact>)>,
    unsaved: VecDeque<(Waiting, Vec<Fact>)>,
    unsaved_max: usize,
    works: bool,
    dropped: u64,
}

impl Journal {
    /// Keeps at most `unsaved_max` groups of facts while the disk is at fault; then the oldest group
    /// that nobody waits for goes, and is counted.
    pub(crate) fn new(unsaved_max: usize) -> Self {
        Self {
            next_token: 0,
            waiting: BTreeMap::new(),
            unsaved: VecDeque::new(),
            unsaved_max,
            works: true,
            dropped: 0,
        }
    }

    /// Whether new work may begin: the disk takes facts.
    pub(crate) fn works(&self) -> bool {
        self.works
    }

    /// Facts lost at the bound.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Puts facts on disk; `waiting` is handed back with the receipt.
    pub(crate) fn store(&mut self, waiting: Waiting, facts: Vec<Fact>, out: &mut Vec<Action>) {
        self.next_token += 1;
        let token = Token(self.next_token);
        self.waiting.insert(token, (waiting, facts.clone()));
        out.push(Action::Store { token: Some(token), facts });
    }

    /// The receipt came: who waited for it?
    pub(crate) fn stored(&mut self, token: Token) -> Option<Waiting> {
        self.waiting.remove(&token).map(|(waiting, _)| waiting)
    }

    /// The disk refused. Promises and requests are told so, which is an answer; facts of what has
    /// already happened are kept to be written again.
    pub(crate) fn not_stored(&mut self, token: Token) -> Option<Waiting> {
        let (waiting, facts) = self.waiting.remove(&token)?;
        match waiting {
            Waiting::Promise { .. } | Waiting::Request(_) => Some(waiting),
            Waiting::Attempt { .. } | Waiting::Nobody => {
                self.keep(waiting, facts);
                None
            }
        }
    }

    /// The disk stopped or began to work; in the latter case what was kept is written again.
    pub(crate) fn set_works(&mut self, works: bool, out: &mut Vec<Action>) {
        self.works = works;
        if works {
            for (waiting, facts) in std::mem::take(&mut self.unsaved) {
                self.store(waiting, facts, out);
            }
        }
    }

    fn keep(&mut self, waiting: Waiting, facts: Vec<Fact>) {
        if self.unsaved.len() >= self.unsaved_max {
            let oldest = self.unsaved.iter().position(|(waiting, _)| *waiting == Waiting::Nobody);
            self.unsaved.remove(oldest.unwrap_or(0));
            self.dropped += 1;
        }
        self.unsaved.push_back((waiting, facts));
    }
}
