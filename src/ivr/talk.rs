//! What the machines of one conversation share: its variables, its language, the orders it gave.

use crate::event::Action;
use crate::flow::Timing;
use crate::flow::node::NodeIndex;
use crate::flow::words::{Variables, Words};
use domain::id::{OrderId, TenantId};
use domain::phone_number::PhoneNumber;
use domain::prompt::{Language, Prompt};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longer than any prompt: a `PlaybackEnded` that never comes must not hold a conversation.
pub(crate) const SAYING_MAX: Duration = Duration::from_secs(300);

/// For what the exchange answers in the same turn or after one write to disk.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Keys pressed before they were asked for; more are dropped.
const TYPED_AHEAD_MAX: usize = 20;

/// The memory of one conversation.
#[derive(Clone, Debug)]
pub(crate) struct Talk {
    pub tenant: TenantId,
    pub caller: Option<PhoneNumber>,
    pub language: Language,
    pub variables: Variables,
    pub timing: Timing,
    /// Variables that came with the caller's last sentence and were not yet used.
    pub slots: BTreeSet<Arc<str>>,
    /// The last intent accepted.
    pub intent: Option<Arc<str>>,
    /// Keys pressed before they were asked for.
    typed_ahead: Vec<char>,
    /// A key that ends a number which was already complete.
    pub swallow: Option<char>,
    last_order: u64,
}

impl Talk {
    pub fn new(tenant: TenantId, caller: Option<PhoneNumber>, language: Language) -> Self {
        Self {
            tenant,
            caller,
            language,
            variables: Variables::new(),
            timing: Timing::default(),
            slots: BTreeSet::new(),
            intent: None,
            typed_ahead: Vec::new(),
            swallow: None,
            last_order: 0,
        }
    }

    /// Keeps a key for the next question.
    pub fn type_ahead(&mut self, key: char) {
        if self.typed_ahead.len() < TYPED_AHEAD_MAX {
            self.typed_ahead.push(key);
        }
    }

    /// Takes the first of the keys kept.
    pub fn take_typed(&mut self) -> Option<char> {
        (!self.typed_ahead.is_empty()).then(|| self.typed_ahead.remove(0))
    }

    /// Forgets the keys kept: what follows was not foreseen by who pressed them.
    pub fn forget_typed(&mut self) {
        self.typed_ahead.clear();
    }

    /// The id of the last order given.
    pub fn last_order(&self) -> OrderId {
        OrderId(self.last_order)
    }
}

/// One turn of a conversation.
pub(crate) struct Turn<'a> {
    pub talk: &'a mut Talk,
    pub now: Instant,
    pub out: &'a mut Vec<Action>,
}

/// What a node's machine wants after an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// More events.
    Stay,
    /// Another node.
    Go(NodeIndex),
}

impl Turn<'_> {
    /// The next order id; they count from 1.
    pub fn order(&mut self) -> OrderId {
        self.talk.last_order += 1;
        OrderId(self.talk.last_order)
    }

    /// What the words are in the language spoken, variables filled in.
    pub fn prompts(&self, words: &Words) -> Vec<Prompt> {
        words.prompts(self.talk.language, &self.talk.variables)
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: &str) {
        self.talk.variables.insert(name.into(), value.into());
    }

    /// Begins to say something.
    pub fn say(&mut self, prompts: Vec<Prompt>) -> OrderId {
        let order = self.order();
        self.out.push(Action::Say { order, prompts });
        order
    }

    /// Records a decision and its ground.
    pub fn note(&mut self, what: impl Into<Arc<str>>, why: impl Into<Arc<str>>) {
        self.out.push(Action::Note { what: what.into(), why: why.into() });
    }
}
