//! Flows and intents: read as documents beside the configuration, or from the embedded samples;
//! every fault of every file at once.

use crate::config::Config;
use domain::fault::Fault;
use domain::id::FlowId;
use intent::classifier::Classifier;
use intent::intent_set::IntentSet;
use ivr::flow::{Flow, Known, KnownIntents};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The sample hotline, embedded: what `demo` runs on.
const SAMPLE_FLOWS: &[(&str, &str)] = &[
    ("flows/hotline.toml", include_str!("../../config/flows/hotline.toml")),
    ("flows/hotline-zh.toml", include_str!("../../config/flows/hotline-zh.toml")),
];
const SAMPLE_INTENTS: &[(&str, &str)] =
    &[("intents/hotline.toml", include_str!("../../config/intents/hotline.toml"))];

/// Checked flows and trained classifiers.
#[derive(Debug)]
pub struct Documents {
    /// The flows.
    pub flows: BTreeMap<FlowId, Arc<Flow>>,
    /// The classifiers, by the name of their set.
    pub classifiers: BTreeMap<Arc<str>, Classifier>,
}

/// A file: its name for faults and its text.
struct File {
    name: String,
    text: String,
}

impl Documents {
    /// Reads everything that the configuration names.
    ///
    /// # Errors
    /// Every fault of every file; a number that leads to a flow that is not there is one.
    pub fn read(config: &Config) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let flow_files = files(config.folder.as_deref(), "flows", SAMPLE_FLOWS, &mut faults);
        let intent_files = files(config.folder.as_deref(), "intents", SAMPLE_INTENTS, &mut faults);
        let mut classifiers = BTreeMap::new();
        let mut known = Known {
            recordings: recordings(config.speech.prompts.as_deref()),
            queues: config.queues.iter().map(|rules| rules.id.name.to_string()).collect(),
            intent_sets: BTreeMap::new(),
        };
        for file in intent_files {
            match IntentSet::parse(&file.name, &file.text) {
                Ok(set) => {
                    let name = stem(&file.name);
                    known.intent_sets.insert(name.clone(), known_intents(&set));
                    classifiers.insert(Arc::from(name), Classifier::train(&set));
                }
                Err(found) => faults.extend(found),
            }
        }
        let mut flows = BTreeMap::new();
        for file in flow_files {
            match Flow::parse(&file.name, &file.text, &known) {
                Ok(flow) => {
                    let id = FlowId::new(&config.tenant(), &stem(&file.name));
                    flows.insert(id, Arc::new(flow));
                }
                Err(found) => faults.extend(found),
            }
        }
        missing_flows(config, &flows, &mut faults);
        match faults.is_empty() {
            true => Ok(Self { flows, classifiers }),
            false => Err(faults),
        }
    }
}

fn known_intents(set: &IntentSet) -> KnownIntents {
    KnownIntents {
        intents: set.intents().map(ToString::to_string).collect(),
        slots: set.slots().map(ToString::to_string).collect(),
        phrases: set
            .languages()
            .into_iter()
            .map(|language| (language, set.phrases(language)))
            .collect(),
    }
}

fn missing_flows(config: &Config, flows: &BTreeMap<FlowId, Arc<Flow>>, faults: &mut Vec<Fault>) {
    for (index, flow) in config.flows_used() {
        if !flows.contains_key(flow) && faults.iter().all(|fault| stem(&fault.file) != *flow.name) {
            let names = flows.keys().map(|flow| &*flow.name);
            faults.push(Fault {
                file: config.file.clone(),
                line: 1,
                column: 1,
                key: format!("numbers[{index}].flow"),
                problem: format!("there is no flow `{flow}`"),
                remedy: domain::fault::did_you_mean(&flow.name, names),
            });
        }
    }
}

/// The TOML files of a folder beside the configuration; the samples where it has no such folder.
fn files(
    folder: Option<&Path>,
    kind: &str,
    samples: &[(&str, &str)],
    faults: &mut Vec<Fault>,
) -> Vec<File> {
    let folder = folder.map(|folder| folder.join(kind)).filter(|folder| folder.is_dir());
    let Some(folder) = folder else {
        return samples
            .iter()
            .map(|(name, text)| File { name: (*name).to_owned(), text: (*text).to_owned() })
            .collect();
    };
    let mut files = Vec::new();
    for path in listed(&folder, "toml") {
        let name = path.display().to_string();
        match std::fs::read_to_string(&path) {
            Ok(text) => files.push(File { name, text }),
            Err(error) => faults.push(Fault {
                file: name.into(),
                line: 1,
                column: 1,
                key: String::new(),
                problem: format!("cannot be read: {error}"),
                remedy: "make it readable, as UTF-8 text".into(),
            }),
        }
    }
    files
}

fn listed(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    paths.sort();
    paths
}

fn recordings(folder: Option<&Path>) -> BTreeSet<String> {
    folder
        .map(|folder| listed(folder, "wav"))
        .unwrap_or_default()
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect()
}

fn stem(name: &str) -> String {
    Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or(name).to_owned()
}
