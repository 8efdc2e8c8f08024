//! A message with key answers, as a campaign plays it: a flow made in memory.

use crate::flow::node::{Hangup, Menu, Node, NodeIndex, Phrases, Queue};
use crate::flow::words::Words;
use crate::flow::{Flow, Timing};
use domain::prompt::{Language, Prompt};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What is said and what keys do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// In which language.
    pub language: Language,
    /// What is said, taken as it is: braces mean nothing.
    pub text: Arc<str>,
    /// What a key does; a key named twice does the last.
    pub keys: Vec<(char, KeyAnswer)>,
    /// How long to wait for a key after the message, in milliseconds; 0 ends at once.
    pub wait_for_key_ms: u32,
}

/// What a key does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeyAnswer {
    /// Leads to a queue of the call's tenant.
    Queue(Arc<str>),
    /// Says something and ends.
    Say(Arc<str>),
    /// Says the message again.
    Repeat,
}

impl Flow {
    /// The flow that plays `message`: its first node says the text and waits for a key; what a key
    /// leads to comes after; silence ends it. A key without meaning brings the text once more and
    /// is then passed over, five times at most.
    pub fn message(message: &Message) -> Self {
        const PASSED_OVER_MAX: usize = 5;
        let words = |text: &str| Words::literal(message.language, text);
        let (first, end, sorry) = (NodeIndex(0), NodeIndex(1), NodeIndex(2));
        let mut nodes: Vec<(Arc<str>, Node)> = vec![
            ("message".into(), Node::hangup()),
            ("end".into(), Node::hangup()),
            (
                "nobody free".into(),
                Node::Hangup(Hangup { say: words(nobody_free(message.language)) }),
            ),
        ];
        let mut keys = BTreeMap::new();
        for (key, answer) in &message.keys {
            let node = match answer {
                KeyAnswer::Repeat => {
                    keys.insert(*key, first);
                    continue;
                }
                KeyAnswer::Say(text) => Node::Hangup(Hangup { say: words(text) }),
                KeyAnswer::Queue(queue) => Node::Queue(Queue {
                    queue: queue.clone(),
                    priority: 0,
                    say: None,
                    refused: BTreeMap::new(),
                    otherwise: sorry,
                }),
            };
            keys.insert(*key, NodeIndex(nodes.len()));
            nodes.push((format!("key {key}").into(), node));
        }
        let mut no_match = vec![Words::default(); PASSED_OVER_MAX];
        no_match.insert(0, words(&message.text));
        let barge_in = !keys.is_empty();
        nodes[first.0].1 = Node::Menu(Menu {
            say: words(&message.text),
            keys,
            phrases_after: Phrases { no_input: Vec::new(), no_match, give_up: end },
            barge_in,
            no_input_after: Some(Duration::from_millis(u64::from(message.wait_for_key_ms))),
        });
        Self {
            name: "message".into(),
            version: 1,
            languages: vec![message.language],
            start: first,
            variables: BTreeMap::new(),
            timing: Timing::default(),
            nodes,
            fixed_prompts: vec![Prompt::text(message.language, &message.text)],
        }
    }
}

fn nobody_free(language: Language) -> &'static str {
    match language {
        Language::English => "Sorry, nobody is free at the moment. Goodbye.",
        Language::Mandarin => "很抱歉，现在没有空闲的客服。再见。",
    }
}
