//! From scores to a probability that can be believed: the chance that the best intent is the right
//! one, learned from sentences that the scorers had not seen, and from intents that they had not
//! seen, which stand for what callers say that nobody thought of.

/// What is known of one candidate when its chance is judged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Evidence {
    /// Its score.
    pub score: f32,
    /// How far it is above the best of the others, the background included.
    pub lead: f32,
    /// How alike the sentence is to the nearest training sentence, 0 to 1.
    pub alike: f32,
    /// The share of the sentence's words that are known, 0 to 1.
    pub known_share: f32,
}

const WEIGHTS: usize = 5;

impl Evidence {
    fn row(self) -> [f64; WEIGHTS] {
        let clamp = |value: f32| f64::from(value.clamp(-3.0, 3.0));
        [
            1.0,
            clamp(self.score),
            clamp(self.lead),
            f64::from(self.alike),
            f64::from(self.known_share),
        ]
    }
}

/// A logistic curve over the evidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Calibration {
    weights: [f64; WEIGHTS],
}

impl Default for Calibration {
    /// For sets too small to learn one from: a score of 0 with half the words known is a coin toss.
    fn default() -> Self {
        Self { weights: [-1.5, 2.0, 2.0, 1.0, 1.0] }
    }
}

impl Calibration {
    /// Fits the curve to `(evidence, right, weight)` by gradient descent with a pull towards the
    /// default, so that a few samples cannot bend it far. Takes `n` × 300 short steps.
    pub fn fit(samples: &[(Evidence, bool, f64)]) -> Self {
        const STEPS: usize = 300;
        const RATE: f64 = 0.5;
        /// The pull, in samples.
        const PULL: f64 = 2.0;
        let start = Self::default().weights;
        let total: f64 = samples.iter().map(|(_, _, weight)| weight).sum();
        if total <= 0.0 {
            return Self::default();
        }
        let mut weights = start;
        // The size of past gradients scales each step (AdaGrad): the inputs have unlike ranges.
        let mut seen = [1e-9_f64; WEIGHTS];
        for _ in 0..STEPS {
            let mut gradient = [0.0_f64; WEIGHTS];
            for at in 0..WEIGHTS {
                gradient[at] = PULL * (weights[at] - start[at]) / total;
            }
            for (evidence, right, weight) in samples {
                let row = evidence.row();
                let error = logistic(&weights, &row) - f64::from(u8::from(*right));
                for at in 0..WEIGHTS {
                    gradient[at] += weight * error * row[at] / total;
                }
            }
            for at in 0..WEIGHTS {
                seen[at] += gradient[at] * gradient[at];
                weights[at] -= RATE * gradient[at] / seen[at].sqrt();
                // More evidence never makes an intent less likely.
                if at > 0 {
                    weights[at] = weights[at].max(0.0);
                }
            }
        }
        Self { weights }
    }

    /// The chance that the candidate is right, 0 to 1.
    pub fn chance(&self, evidence: Evidence) -> f32 {
        #[allow(clippy::cast_possible_truncation)] // A probability needs no more digits.
        let chance = logistic(&self.weights, &evidence.row()) as f32;
        chance
    }
}

fn logistic(weights: &[f64; WEIGHTS], row: &[f64; WEIGHTS]) -> f64 {
    let sum: f64 = weights.iter().zip(row).map(|(weight, value)| weight * value).sum();
    1.0 / (1.0 + (-sum).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_learns_how_often_a_score_is_right() {
        let sample = |score: f32, right| {
            (Evidence { score, lead: score, alike: 0.5, known_share: 0.5 }, right, 1.0)
        };
        let mut samples = Vec::new();
        for n in 0..100 {
            samples.push(sample(0.5, n % 10 != 0));
            samples.push(sample(-0.5, n % 10 == 0));
        }
        let curve = Calibration::fit(&samples);
        let chance = |score| curve.chance(sample(score, true).0);
        assert!((chance(0.5) - 0.9).abs() < 0.05, "{}", chance(0.5));
        assert!((chance(-0.5) - 0.1).abs() < 0.05, "{}", chance(-0.5));
        assert!(chance(1.5) > chance(0.5));
        assert_eq!(Calibration::fit(&[]), Calibration::default());
    }
}
