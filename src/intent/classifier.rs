//! Text to intent, with a probability that means something and a way to say "none of these".
//!
//! ```text
//! sentence ─► features.rs ─► linear.rs: a score for each intent and for the background
//!                                │
//!                                ▼
//!            calibration.rs: score, lead, nearest example, known words ─► chance of being right
//! ```
//!
//! Trained from the example sentences at every start: a set of a dozen intents takes some tens of
//! milliseconds, and the same file gives the same classifier.

use crate::background;
use crate::calibration::{Calibration, Evidence};
use crate::features::{Features, Sparse, Vocabulary};
use crate::intent_set::IntentSet;
use crate::linear::Linear;
use crate::slot::Slot;
use domain::prompt::Understanding;
use std::sync::Arc;

/// Below this chance the best intent is not named at all.
const NAMED_ABOVE: f32 = 0.33;

/// The share of sentences out of scope that the calibration reckons with.
const OUT_OF_SCOPE_SHARE: f64 = 0.2;

/// Names the intent of a sentence.
#[derive(Clone, Debug)]
pub struct Classifier {
    intents: Vec<Arc<str>>,
    slots: Vec<Slot>,
    model: Model,
    calibration: Calibration,
}

/// Scorers and examples, without calibration.
#[derive(Clone, Debug)]
struct Model {
    vocabulary: Vocabulary,
    linear: Linear,
    /// By feature: the examples that have it.
    examples: Vec<Vec<(u32, f32)>>,
    examples_count: usize,
}

/// A sentence and its class; the class after the last intent is the background.
type Labelled<'a> = (&'a str, usize);

impl Classifier {
    /// Trains on a set. An empty set gives a classifier that never names an intent.
    pub fn train(set: &IntentSet) -> Self {
        let intents: Vec<Arc<str>> = set.intents.keys().cloned().collect();
        let mut labelled: Vec<Labelled<'_>> = Vec::new();
        for (class, sentences) in set.intents.values().enumerate() {
            labelled.extend(sentences.values().flatten().map(|text| (&**text, class)));
        }
        let background = intents.len();
        labelled.extend(set.background.values().flatten().map(|text| (&**text, background)));
        labelled.extend(background::SENTENCES.map(|text| (text, background)));
        let calibration = calibrate(&labelled, intents.len());
        let model = Model::train(&labelled, intents.len() + 1);
        Self { intents, slots: set.slots.clone(), model, calibration }
    }

    /// Names the intent of `text` and the values in it.
    ///
    /// `confidence` is the chance that the intent is the right one; where none is named, the chance
    /// that it is none of them. `runner_up` is the second best, if its chance is above 1 %.
    pub fn classify(&self, text: &str) -> Understanding {
        let slots = self.slots.iter();
        let slots = slots.filter_map(|slot| Some((slot.name.clone(), slot.find(text)?.into())));
        let slots: Vec<(Arc<str>, Arc<str>)> = slots.collect();
        let features = self.model.vocabulary.features(text);
        let none = Understanding { intent: None, confidence: 1.0, runner_up: None, slots };
        if features.vector.is_empty() {
            return none;
        }
        let Some(judged) = self.model.judge(&features) else { return none };
        let chance = self.calibration.chance(judged.best.1);
        let runner_up = judged.second.map(|(class, evidence)| {
            (self.intents[class].clone(), self.calibration.chance(evidence).min(1.0 - chance))
        });
        let runner_up = runner_up.filter(|(_, chance)| *chance > 0.01);
        if chance < NAMED_ABOVE {
            return Understanding { confidence: 1.0 - chance, ..none };
        }
        let intent = Some(self.intents[judged.best.0].clone());
        Understanding { intent, confidence: chance, runner_up, ..none }
    }

    /// The names of the intents it can give.
    pub fn intents(&self) -> &[Arc<str>] {
        &self.intents
    }

    /// How many features its examples have, for the record.
    pub fn features(&self) -> usize {
        self.model.vocabulary.len()
    }
}

/// What the scorers say of one sentence: intents with the evidence for each.
struct Judged {
    best: (usize, Evidence),
    second: Option<(usize, Evidence)>,
}

impl Model {
    fn train(labelled: &[Labelled<'_>], classes: usize) -> Self {
        let vocabulary =
            Vocabulary::count(labelled.iter().map(|(text, class)| (*text, class + 1 < classes)));
        let vectors: Vec<Sparse> =
            labelled.iter().map(|(text, _)| vocabulary.features(text).vector).collect();
        let classes_of = labelled.iter().map(|(_, class)| *class);
        let sentences: Vec<(&Sparse, usize)> = vectors.iter().zip(classes_of).collect();
        let linear = Linear::train(&sentences, vocabulary.len(), classes);
        let mut examples = vec![Vec::new(); vocabulary.len()];
        // The background has no examples to be near to: it is everything else.
        let intents = sentences.iter().filter(|(_, class)| *class + 1 < classes);
        let mut examples_count = 0;
        for (index, (vector, _)) in intents.enumerate() {
            for (place, value) in *vector {
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                examples[*place as usize].push((index, *value));
            }
            examples_count = index + 1;
        }
        Self { vocabulary, linear, examples, examples_count }
    }

    fn judge(&self, features: &Features) -> Option<Judged> {
        let mut scores = Vec::new();
        self.linear.score(&features.vector, &mut scores);
        let background = scores.pop()?;
        let alike = self.alike(&features.vector);
        let known_share = features.known_share;
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let evidence = |class: usize, rival: Option<usize>| {
            let rival = rival.map_or(background, |rival| scores[rival].max(background));
            let score = scores[class];
            Evidence { score, lead: score - rival, alike, known_share }
        };
        let first = *order.first()?;
        let second = order.get(1).copied();
        Some(Judged {
            best: (first, evidence(first, second)),
            second: second.map(|second| (second, evidence(second, Some(first)))),
        })
    }

    /// How alike the sentence is to the nearest example, 0 to 1.
    fn alike(&self, vector: &Sparse) -> f32 {
        let mut sums = vec![0.0_f32; self.examples_count];
        for (place, value) in vector {
            for (index, of_example) in &self.examples[*place as usize] {
                sums[*index as usize] += value * of_example;
            }
        }
        sums.into_iter().fold(0.0, f32::max)
    }
}

/// Learns the calibration from what the scorers have not seen: sentences held back, which are in
/// scope, and whole intents held back, whose sentences are then out of scope.
fn calibrate(labelled: &[Labelled<'_>], intents: usize) -> Calibration {
    /// Every fifth sentence and intent is held back at a time.
    const FOLDS: usize = 5;
    /// Enough sentences held back make another round needless.
    const SAMPLES_ENOUGH: usize = 1_000;
    if intents < 3 {
        return Calibration::default();
    }
    let mut samples: Vec<(Evidence, bool, bool)> = Vec::new();
    for fold in 0..FOLDS {
        if samples.len() > SAMPLES_ENOUGH {
            break;
        }
        let strange = |class: usize| class < intents && class % FOLDS == fold;
        let held_back =
            |(at, (_, class)): &(usize, &Labelled<'_>)| strange(*class) || at % FOLDS == fold;
        let (tested, trained): (Vec<_>, Vec<_>) = labelled.iter().enumerate().partition(held_back);
        let trained: Vec<Labelled<'_>> =
            trained.into_iter().map(|(_, labelled)| *labelled).collect();
        let model = Model::train(&trained, intents + 1);
        for (_, (text, class)) in tested {
            let Some(judged) = model.judge(&model.vocabulary.features(text)) else { continue };
            let in_scope = *class < intents && !strange(*class);
            samples.push((judged.best.1, in_scope && judged.best.0 == *class, in_scope));
        }
    }
    let count = |in_scope| samples.iter().filter(|(.., other)| *other == in_scope).count().max(1);
    #[allow(clippy::cast_precision_loss)] // Counts are far below 2^52.
    let (inside, outside) = (count(true) as f64, count(false) as f64);
    let weighted = samples.into_iter().map(|(evidence, right, in_scope)| {
        let share = if in_scope { 1.0 - OUT_OF_SCOPE_SHARE } else { OUT_OF_SCOPE_SHARE };
        let of = if in_scope { inside } else { outside };
        (evidence, right, share * (inside + outside) / of)
    });
    Calibration::fit(&weighted.collect::<Vec<_>>())
}
