//! The person at the other end of a leg: what he does each time he is listened to.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::VecDeque;
use std::sync::Arc;

/// What somebody does when he is listened to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply {
    /// Nothing.
    Silence,
    /// Presses keys, one after another.
    Keys(Arc<str>),
    /// Speaks; `early`: into what is being said.
    Says {
        /// What.
        text: Arc<str>,
        /// Before the prompt is over.
        early: bool,
    },
    /// Puts the receiver down.
    HangsUp,
}

impl Reply {
    /// Speaks after the prompt.
    pub fn says(text: &str) -> Self {
        Self::Says { text: text.into(), early: false }
    }

    /// Presses keys.
    pub fn keys(keys: &str) -> Self {
        Self::Keys(keys.into())
    }
}

/// Somebody with a plan: first the replies he has in mind, then whatever comes.
#[derive(Clone, Debug)]
pub struct Person {
    planned: VecDeque<Reply>,
    /// Decides what he does when his plan is over; `None`: nothing.
    luck: Option<StdRng>,
    /// Whether his sound stops without a word (a dead telephone), some time after the start.
    pub falls_silent: bool,
}

/// What callers say: to be understood, misunderstood, confirmed and denied.
const SENTENCES: [&str; 12] = [
    "where is my order",
    "i want a refund",
    "i have a complaint",
    "i would like to buy something",
    "when are you open",
    "i want to speak to somebody",
    "yes",
    "no",
    "four seven one one",
    "the weather is nice in lisbon",
    "goodbye",
    "mumble",
];

const KEYS: [&str; 10] = ["1", "2", "3", "4", "5", "0", "4711#", "9", "#", "0301234567#"];

impl Person {
    /// Somebody who does exactly this and then nothing more.
    pub fn with(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self { planned: replies.into_iter().collect(), luck: None, falls_silent: false }
    }

    /// Somebody who does this first and then whatever `seed` brings.
    pub fn moody(replies: impl IntoIterator<Item = Reply>, seed: u64) -> Self {
        Self {
            planned: replies.into_iter().collect(),
            luck: Some(StdRng::seed_from_u64(seed)),
            falls_silent: false,
        }
    }

    /// What he does now.
    pub fn next_reply(&mut self) -> Reply {
        if let Some(reply) = self.planned.pop_front() {
            return reply;
        }
        let Some(luck) = &mut self.luck else { return Reply::Silence };
        match luck.random_range(0..100) {
            0..40 => Reply::keys(KEYS[luck.random_range(0..KEYS.len())]),
            40..80 => Reply::Says {
                text: SENTENCES[luck.random_range(0..SENTENCES.len())].into(),
                early: luck.random_bool(0.4),
            },
            80..95 => Reply::Silence,
            _ => Reply::HangsUp,
        }
    }
}
