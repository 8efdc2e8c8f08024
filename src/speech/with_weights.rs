//! Real engines on real and synthesised speech. Every floor was measured, then given some room.
//!
//! Where the weights are absent, each test says so on one line and tests nothing, unless
//! `TRUNKLINE_MODELS_REQUIRED=1`: then it fails. Material from outside is under
//! `TRUNKLINE_CORPORA`.

mod clips;
mod engines;
mod telephone;

use crate::vosk::Vosk;
use crate::whisper::Whisper;
use domain::prompt::{Expect, Hearing, Language};
use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Both engines, loaded once for all tests.
struct Engines {
    models: PathBuf,
    vosk: Vosk,
    whisper: Whisper,
}

/// The engines, for one test at a time, so that none waits for a core longer than a caller would;
/// `None` after saying that they are absent.
fn engines(test: &str) -> Option<MappedMutexGuard<'static, Engines>> {
    static ENGINES: OnceLock<Option<Mutex<Engines>>> = OnceLock::new();
    let engines = ENGINES.get_or_init(|| {
        let models = std::env::var_os("TRUNKLINE_MODELS").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/models"),
            PathBuf::from,
        );
        let required = std::env::var("TRUNKLINE_MODELS_REQUIRED").is_ok_and(|value| value == "1");
        match (Vosk::load(&models), Whisper::load(&models, 1)) {
            (Ok(vosk), Ok(whisper)) => Some(Mutex::new(Engines { models, vosk, whisper })),
            (Err(fault), _) | (_, Err(fault)) => {
                assert!(!required, "TRUNKLINE_MODELS_REQUIRED is 1, and {fault}");
                None
            }
        }
    });
    if engines.is_none() {
        println!("not tested: {test}: no speech models (scripts/fetch-models)");
    }
    engines.as_ref().map(|engines| MutexGuard::map(engines.lock(), |engines| engines))
}

/// The folder of outside material; `None` after saying that it is absent.
fn corpora(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("TRUNKLINE_CORPORA").map(PathBuf::from);
    if folder.is_none() {
        println!("not tested: {test}: TRUNKLINE_CORPORA is not set");
    }
    folder
}

fn english(expect: Expect) -> Hearing {
    Hearing { language: Language::English, expect }
}

fn open(phrases: &[&str]) -> Expect {
    Expect::Open { phrases: phrases.iter().map(|&phrase| phrase.into()).collect() }
}

/// Words compared as heard: no case, no punctuation.
fn words(text: &str) -> Vec<String> {
    let plain: String = text
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-'))
        .map(|c| if c == '-' { ' ' } else { c })
        .collect();
    plain.split_whitespace().map(str::to_owned).collect()
}

/// How many words must be changed, added or left out (Levenshtein).
fn differences<T: PartialEq>(expected: &[T], heard: &[T]) -> usize {
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (index, word) in expected.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (at, other) in heard.iter().enumerate() {
            let changed = diagonal + usize::from(word != other);
            diagonal = row[at + 1];
            row[at + 1] = changed.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[heard.len()]
}
