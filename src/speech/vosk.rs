//! The closed engine: Vosk with a grammar made from the question. English, fast (a fiftieth of
//! the sound's length), deaf to what the grammar does not list.

pub mod grammar;
pub mod library;

use crate::engine::{Engine, Recognised, WIRE_HZ};
use crate::error::SpeechError;
use crate::sound::resample::Resampler;
use domain::prompt::{Expect, Hearing, Transcript};
use grammar::{Grammar, UNKNOWN};
use library::{Model, Recognizer};
use parking_lot::Mutex;
use std::path::Path;

/// The rate the model was trained at; the library refuses less.
const MODEL_HZ: u32 = 16_000;
/// Recognisers kept ready, the longest unused goes first: one takes milliseconds to build.
const KEPT_MAX: usize = 24;
/// A reply to a closed question counts as certain from this confidence on.
const CERTAIN_CLOSED: f32 = 0.6;
/// An open question's guess counts as certain from this confidence on, if it is a whole phrase of
/// at least [`CERTAIN_WORDS`] words.
const CERTAIN_OPEN: f32 = 0.95;
/// Shorter phrases are too easily forced on other words.
const CERTAIN_WORDS: usize = 3;

/// Vosk with its model.
pub struct Vosk {
    model: Model,
    upsampler: Resampler,
    /// Recognisers at rest with the grammar they were built for, the longest unused first.
    kept: Mutex<Vec<(String, Recognizer)>>,
}

impl Vosk {
    /// Loads `vosk/libvosk.so` and the model in `vosk/model` under `models`.
    ///
    /// # Errors
    /// [`SpeechError::ModelMissing`], [`SpeechError::ModelBroken`].
    pub fn load(models: &Path) -> Result<Self, SpeechError> {
        let folder = models.join("vosk");
        let model = Model::load(&folder.join("libvosk.so"), &folder.join("model"))?;
        let upsampler = Resampler::new(WIRE_HZ, MODEL_HZ);
        Ok(Self { model, upsampler, kept: Mutex::new(Vec::new()) })
    }

    fn recognizer_for(&self, grammar: &str) -> Result<Recognizer, SpeechError> {
        let mut kept = self.kept.lock();
        if let Some(index) = kept.iter().position(|(other, _)| other == grammar) {
            return Ok(kept.remove(index).1);
        }
        drop(kept);
        Recognizer::new(&self.model, MODEL_HZ, grammar).ok_or_else(|| SpeechError::EngineFailed {
            engine: "grammar",
            reason: "the grammar was refused".to_owned(),
        })
    }

    fn keep(&self, grammar: String, recognizer: Recognizer) {
        let mut kept = self.kept.lock();
        if kept.len() == KEPT_MAX {
            kept.remove(0);
        }
        kept.push((grammar, recognizer));
    }
}

impl Engine for Vosk {
    fn recognise(&self, samples: &[i16], hearing: &Hearing) -> Result<Recognised, SpeechError> {
        let Some(grammar) = Grammar::of(hearing, |word| self.model.knows(word)) else {
            return Ok(Recognised::nothing("grammar"));
        };
        let json = grammar.to_json();
        let mut recognizer = self.recognizer_for(&json)?;
        let results = recognizer.recognise(&self.upsampler.resample(samples));
        self.keep(json, recognizer);
        Ok(judged(&results, &grammar, &hearing.expect))
    }
}

/// What the results of one utterance amount to.
fn judged(results: &[String], grammar: &Grammar, expect: &Expect) -> Recognised {
    let words = words_of(results);
    let text = |keep: fn(&str) -> bool| -> String {
        let kept: Vec<&str> =
            words.iter().map(|(word, _)| word.as_str()).filter(|word| keep(word)).collect();
        kept.join(" ")
    };
    let (heard, known) = (text(|_| true), text(|word| word != UNKNOWN));
    if known.is_empty() {
        return Recognised::nothing("grammar");
    }
    // The weakest word bounds the whole: one wrong digit makes a wrong number.
    let weakest = words.iter().map(|(_, confidence)| *confidence).fold(1.0, f32::min);
    let covered = grammar.covers(&heard);
    // Words beside the grammar were said too: what was understood may not be what was meant.
    let confidence = if covered { weakest } else { weakest * 0.5 };
    let certain = match expect {
        Expect::YesNo | Expect::Digits => covered && weakest >= CERTAIN_CLOSED,
        Expect::Open { .. } => covered && weakest >= CERTAIN_OPEN && words.len() >= CERTAIN_WORDS,
    };
    let transcript = Transcript { text: known.into(), confidence, engine: "grammar" };
    Recognised { transcript, certain }
}

/// The words of the library's JSON results with their confidences, 0–1.
fn words_of(results: &[String]) -> Vec<(String, f32)> {
    let mut words = Vec::new();
    for result in results {
        let Ok(result) = serde_json::from_str::<serde_json::Value>(result) else { continue };
        let listed = result["result"].as_array().map_or(&[][..], Vec::as_slice);
        for word in listed {
            let confidence = word["conf"].as_f64().unwrap_or(0.0).clamp(0.0, 1.0) as f32;
            words.extend(word["word"].as_str().map(|word| (word.to_owned(), confidence)));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::prompt::Language;

    /// (JSON results, expected text, confidence, certain)
    #[test]
    fn results_become_words_and_unknown_ones_cost_confidence() {
        let phrases: Expect = Expect::Open { phrases: ["where is my parcel".into()].into() };
        let word = |word: &str, conf: f32| format!(r#"{{"word":"{word}","conf":{conf}}}"#);
        let result = |words: &[String]| format!(r#"{{"result":[{}],"text":""}}"#, words.join(","));
        let whole = ["where", "is", "my", "parcel"].map(|w| word(w, 1.0));
        let mut unsure = whole.clone();
        unsure[1] = word("is", 0.75);
        let table: [(&Expect, Vec<String>, &str, f32, bool); 6] = [
            (&phrases, vec![result(&whole)], "where is my parcel", 1.0, true),
            (&phrases, vec![result(&unsure)], "where is my parcel", 0.75, false),
            (&phrases, vec![result(&whole[2..])], "my parcel", 0.5, false),
            (&phrases, vec![result(&[word(UNKNOWN, 1.0)])], "", 0.0, false),
            (
                &Expect::Digits,
                vec![result(&[word("one", 0.7)]), result(&[word("two", 1.0)])],
                "one two",
                0.7,
                true,
            ),
            (&Expect::YesNo, vec!["not json".into(), "{}".into()], "", 0.0, false),
        ];
        for (expect, results, text, confidence, certain) in table {
            let hearing = Hearing { language: Language::English, expect: expect.clone() };
            let grammar = Grammar::of(&hearing, |_| true).unwrap();
            let transcript = Transcript { text: text.into(), confidence, engine: "grammar" };
            let judged = judged(&results, &grammar, expect);
            assert_eq!(judged, Recognised { transcript, certain }, "{results:?}");
        }
    }

    #[test]
    fn missing_files_are_named() {
        let fault = Vosk::load(Path::new("/nonexistent")).err().unwrap();
        let path = "/nonexistent/vosk/libvosk.so".into();
        assert_eq!(fault, SpeechError::ModelMissing { path });
    }
}
