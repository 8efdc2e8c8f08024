//! What a node of a flow is, after checking: indexes instead of names, nothing missing.

use super::words::{Template, Words};
use crate::event::QueueRefusal;
use domain::prompt::Language;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A node, by its place in the flow.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub(crate) struct NodeIndex(pub usize);

/// One step of a conversation.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Say(Say),
    Ask(Box<Ask>),
    Menu(Menu),
    Collect(Box<Collect>),
    Fetch(Fetch),
    Branch(Branch),
    Queue(Queue),
    Callback(Box<Callback>),
    Language(SwitchLanguage),
    Hangup(Hangup),
}

impl Node {
    /// Ends the call without a word.
    pub fn hangup() -> Self {
        Self::Hangup(Hangup { say: Words::default() })
    }
}

/// Says something and goes on.
#[derive(Clone, Debug)]
pub(crate) struct Say {
    pub say: Words,
    pub next: NodeIndex,
}

/// What is said after silence and after what was not understood, one after the other, and where the
/// conversation goes when they are used up.
#[derive(Clone, Debug)]
pub(crate) struct Phrases {
    pub no_input: Vec<Words>,
    pub no_match: Vec<Words>,
    pub give_up: NodeIndex,
}

/// An open question, answered by speech or by key.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub say: Words,
    /// Said when the recogniser cannot help, so that keys take over.
    pub say_keys: Words,
    pub intents: Arc<str>,
    pub phrases: BTreeMap<Language, Arc<[Arc<str>]>>,
    pub replies: Vec<AskReply>,
    /// Keys that mean no intent, such as one that repeats the question.
    pub keys: BTreeMap<char, NodeIndex>,
    /// Asked between `confirm_above` and `accept_above`; `{means}` is the reply's.
    pub confirm: Words,
    /// Asked when two intents are near each other; `{first}` and `{second}` are their meanings.
    pub either: Option<Words>,
    pub accept_above: f32,
    pub confirm_above: f32,
    /// A transcript less sure than this is confirmed, whatever its intent.
    pub clear_above: f32,
    /// Two intents are near when their probabilities differ by less.
    pub near: f32,
    pub barge_in: bool,
    pub phrases_after: Phrases,
    /// Said instead of `no_match` when the sentence fits no intent; empty: `no_match` is said.
    pub out_of_scope: Vec<Words>,
    pub no_input_after: Option<Duration>,
}

/// One intent that a question leads on from.
#[derive(Clone, Debug)]
pub(crate) struct AskReply {
    pub intent: Arc<str>,
    pub key: Option<char>,
    pub means: Words,
    pub next: NodeIndex,
}

/// A question answered by one key.
#[derive(Clone, Debug)]
pub(crate) struct Menu {
    pub say: Words,
    pub keys: BTreeMap<char, NodeIndex>,
    pub phrases_after: Phrases,
    pub barge_in: bool,
    pub no_input_after: Option<Duration>,
}

/// Takes digits into a variable.
#[derive(Clone, Debug)]
pub(crate) struct Collect {
    pub say: Words,
    pub into: Arc<str>,
    pub digits_min: u8,
    pub digits_max: u8,
    pub terminator: char,
    pub first_digit: Option<Duration>,
    pub inter_digit: Option<Duration>,
    /// Digits may be spoken as well.
    pub speech: bool,
    /// A value found in the caller's sentence is taken without asking.
    pub take_slot: bool,
    pub confirm: Option<Words>,
    pub barge_in: bool,
    pub phrases_after: Phrases,
    pub next: NodeIndex,
}

/// Asks an HTTP service and takes values from its answer.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    pub url: Template,
    pub take: Vec<(Arc<str>, Arc<str>)>,
    pub timeout: Duration,
    /// Said while the service is asked.
    pub say: Option<Words>,
    pub next: NodeIndex,
    pub on_failure: NodeIndex,
}

/// Goes on by the value of a variable.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub variable: Arc<str>,
    pub cases: BTreeMap<Arc<str>, NodeIndex>,
    pub otherwise: NodeIndex,
}

/// Hands the caller to a queue.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub queue: Arc<str>,
    pub priority: u8,
    pub say: Option<Words>,
    pub refused: BTreeMap<QueueRefusal, NodeIndex>,
    pub otherwise: NodeIndex,
}

/// Offers to call back.
#[derive(Clone, Debug)]
pub(crate) struct Callback {
    pub queue: Arc<str>,
    /// Answered by yes or no, 1 or 2.
    pub offer: Words,
    pub ask_number: Words,
    /// Answered by yes or no, 1 or 2; `{callback_number}` is read digit by digit.
    pub confirm_number: Words,
    /// Said after the promise is on disk, never before.
    pub promised: Words,
    pub phrases_after: Phrases,
    pub declined: NodeIndex,
    pub refused: NodeIndex,
    pub next: NodeIndex,
}

/// Speaks another language from here on.
#[derive(Clone, Debug)]
pub(crate) struct SwitchLanguage {
    pub to: Language,
    pub next: NodeIndex,
}

/// Ends the call.
#[derive(Clone, Debug)]
pub(crate) struct Hangup {
    pub say: Words,
}
