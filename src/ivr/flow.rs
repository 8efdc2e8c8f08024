//! A checked flow: every branch leads somewhere, every text is there in every language, every
//! recording, queue and intent exists, and nobody is led in circles.
//!
//! ```text
//! text ─► toml_edit document ─► document::section (typed values, faults with places)
//!                                   ├─► words.rs   texts, recordings, {variables}
//!                                   ├─► read_*.rs  one node kind after the other
//!                                   └─► check.rs   reachable? circles?
//! ```
//!
//! The format is described for its writers in `docs/write-a-flow.md`.

mod check;
pub(crate) mod node;
mod read;
mod read_question;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod words;

use domain::fault::{Fault, Faults};
use domain::prompt::{Language, Prompt};
use node::{Node, NodeIndex};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use toml_edit::ImDocument;

/// What exists outside the file and may be named in it.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Recorded prompts, named relative to `config/prompts`.
    pub recordings: BTreeSet<String>,
    /// Queues of the tenant.
    pub queues: BTreeSet<String>,
    /// Sets of intents, by the names of their files without `.toml`.
    pub intent_sets: BTreeMap<String, KnownIntents>,
}

/// What a flow must know of a set of intents.
#[derive(Clone, Debug, Default)]
pub struct KnownIntents {
    /// Its intents.
    pub intents: BTreeSet<String>,
    /// The values that may be found in a sentence, such as `order_number`.
    pub slots: BTreeSet<String>,
    /// Typical sentences by language, for the recogniser's grammar.
    pub phrases: BTreeMap<Language, Arc<[Arc<str>]>>,
}

/// How long the machine waits for the caller and for its engines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    /// From the end of a prompt to the first key or word.
    pub no_input: Duration,
    /// From one key to the next.
    pub inter_digit: Duration,
    /// From the end of an utterance to the recogniser's result; then keys take over.
    pub hearing: Duration,
    /// From the text to its intent; then keys take over.
    pub classify: Duration,
}

impl Default for Timing {
    /// 5 s, 3 s, 4 s and 2 s.
    fn default() -> Self {
        Self {
            no_input: Duration::from_secs(5),
            inter_digit: Duration::from_secs(3),
            hearing: Duration::from_secs(4),
            classify: Duration::from_secs(2),
        }
    }
}

/// A conversation as its writer planned it. Never changes: a new version of the file is a new
/// `Flow`, and a call in progress keeps the one it began with.
#[derive(Clone, Debug)]
pub struct Flow {
    pub(crate) name: Arc<str>,
    pub(crate) version: u32,
    pub(crate) languages: Vec<Language>,
    pub(crate) start: NodeIndex,
    pub(crate) variables: BTreeMap<Arc<str>, Arc<str>>,
    pub(crate) timing: Timing,
    pub(crate) nodes: Vec<(Arc<str>, Node)>,
    pub(crate) fixed_prompts: Vec<Prompt>,
}

impl Flow {
    /// As many nodes as a flow may have.
    pub const NODES_MAX: usize = 1_000;

    /// Reads and checks a flow file.
    ///
    /// `file_name` is used in faults, and its stem (`config/flows/hotline.toml` → `hotline`) is the
    /// flow's name. `text` is the file's content. `known` is what may be named from outside.
    ///
    /// # Errors
    /// Every fault found, in the order of the file; a fault of TOML's own grammar hides the others.
    pub fn parse(file_name: &str, text: &str, known: &Known) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::new(file_name, text);
        let document = match ImDocument::parse(text) {
            Ok(document) => document,
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                let problem = error.message().trim().replace('\n', ", ");
                faults.add(offset, "", problem, "write it as TOML 1.0".to_owned());
                return faults.into_result(()).map(|()| unreachable_flow());
            }
        };
        let faults = RefCell::new(faults);
        let flow = read::flow(stem(file_name), document.as_table(), known, &faults);
        faults.into_inner().into_result(flow)
    }

    /// The flow's name: the stem of its file.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The version its writer gave it.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The languages it speaks; the first is spoken at the start.
    pub fn languages(&self) -> &[Language] {
        &self.languages
    }

    /// The variables it has from the beginning, with their defaults: configuration may override
    /// these and no others.
    pub fn variables(&self) -> &BTreeMap<Arc<str>, Arc<str>> {
        &self.variables
    }

    /// The prompts that are the same in every conversation, so that they can be spoken before the
    /// first caller waits for them.
    pub fn fixed_prompts(&self) -> &[Prompt] {
        &self.fixed_prompts
    }

    /// The names of its nodes, in the order of the file.
    pub fn node_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.nodes.iter().map(|(name, _)| name)
    }

    pub(crate) fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.0].1
    }

    pub(crate) fn node_name(&self, index: NodeIndex) -> &Arc<str> {
        &self.nodes[index.0].0
    }
}

/// The file's name without folder and ending.
fn stem(file_name: &str) -> &str {
    let name = file_name.rsplit(['/', '\\']).next().unwrap_or(file_name);
    name.strip_suffix(".toml").unwrap_or(name)
}

/// Stands where a fault was just added, so that a flow cannot come.
fn unreachable_flow() -> Flow {
    Flow {
        name: "".into(),
        version: 0,
        languages: vec![Language::English],
        start: NodeIndex(0),
        variables: BTreeMap::new(),
        timing: Timing::default(),
        nodes: vec![("".into(), Node::hangup())],
        fixed_prompts: Vec::new(),
    }
}
