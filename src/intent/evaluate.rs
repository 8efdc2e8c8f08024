//! How good a classifier is on labelled sentences: accuracy, what it refuses, what it confuses, and
//! whether its confidence can be believed.

use crate::classifier::Classifier;
use std::collections::BTreeMap;
use std::fmt;

/// The outcome on one list of labelled sentences.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// Sentences that have an intent.
    pub in_scope: u32,
    /// Of these, given the right one.
    pub right: u32,
    /// Of these, given none.
    pub refused: u32,
    /// Sentences that have no intent.
    pub out_of_scope: u32,
    /// Of these, given none.
    pub out_of_scope_refused: u32,
    /// `(right intent, given intent)` and how often, for wrong ones.
    pub confused: BTreeMap<(String, String), u32>,
    /// For each tenth of confidence: how many intents were named with it, how many were right, and
    /// the sum of their confidences.
    pub tenths: [(u32, u32, f64); 10],
}

/// Classifies every `(text, intent)`; `None` is a sentence of no intent.
pub fn evaluate<'a>(
    classifier: &Classifier,
    labelled: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
) -> Evaluation {
    let mut evaluation = Evaluation::default();
    for (text, wanted) in labelled {
        let understanding = classifier.classify(text);
        let given = understanding.intent.as_deref();
        match (wanted, given) {
            (Some(_), None) => evaluation.refused += 1,
            (None, None) => evaluation.out_of_scope_refused += 1,
            (Some(wanted), Some(given)) if wanted == given => evaluation.right += 1,
            (Some(wanted), Some(given)) => {
                let pair = (wanted.to_owned(), given.to_owned());
                *evaluation.confused.entry(pair).or_default() += 1;
            }
            (None, Some(_)) => (),
        }
        match wanted {
            Some(_) => evaluation.in_scope += 1,
            None => evaluation.out_of_scope += 1,
        }
        if given.is_some() {
            let confidence = f64::from(understanding.confidence);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 10.
            let tenth = &mut evaluation.tenths[((confidence * 10.0) as usize).min(9)];
            tenth.0 += 1;
            tenth.1 += u32::from(wanted == given);
            tenth.2 += confidence;
        }
    }
    evaluation
}

impl Evaluation {
    /// The share of in-scope sentences given the right intent, 0 to 1; 0 if there are none.
    pub fn accuracy(&self) -> f64 {
        share(self.right, self.in_scope)
    }

    /// The share of out-of-scope sentences given none; 0 if there are none.
    pub fn out_of_scope_recall(&self) -> f64 {
        share(self.out_of_scope_refused, self.out_of_scope)
    }

    /// The share of in-scope sentences given none; 0 if there are none.
    pub fn refusal(&self) -> f64 {
        share(self.refused, self.in_scope)
    }

    /// How far confidence is from the truth on average (expected calibration error over tenths,
    /// 0 to 1), among the sentences given an intent.
    pub fn calibration_error(&self) -> f64 {
        let named: u32 = self.tenths.iter().map(|(count, ..)| count).sum();
        let error = |(_, right, sum): &(u32, u32, f64)| (f64::from(*right) - sum).abs();
        self.tenths.iter().map(error).sum::<f64>() / f64::from(named.max(1))
    }

    /// The pairs confused most often, the worst first.
    pub fn worst(&self, count: usize) -> Vec<(&(String, String), u32)> {
        let mut pairs: Vec<_> = self.confused.iter().map(|(pair, count)| (pair, *count)).collect();
        pairs.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        pairs.truncate(count);
        pairs
    }
}

fn share(part: u32, whole: u32) -> f64 {
    f64::from(part) / f64::from(whole.max(1))
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "accuracy {:.1} % of {}, refused {:.1} %; out of scope refused {:.1} % of {}; \
             confidence off by {:.1} %",
            100.0 * self.accuracy(),
            self.in_scope,
            100.0 * self.refusal(),
            100.0 * self.out_of_scope_recall(),
            self.out_of_scope,
            100.0 * self.calibration_error(),
        )
    }
}
