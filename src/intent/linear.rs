//! One linear scorer per class: support vector machines with squared hinge loss, trained by dual
//! coordinate descent (Hsieh and others 2008, "A Dual Coordinate Descent Method for Large-scale
//! Linear SVM", algorithm 1), all classes in one pass over the sentences.

use crate::features::Sparse;

/// The price of a training sentence on the wrong side, against the length of the weights.
const COST: f32 = 1.0;

/// Passes over the sentences at most. 4 to 30 suffice, by their number.
const PASSES_MAX: usize = 30;

/// Training stops when no sentence moved a scorer by more.
const MOVED_ENOUGH: f32 = 0.01;

/// The scorers.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    classes: usize,
    /// Row of the feature, column of the class.
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Linear {
    /// Trains on `(sentence, class)`. `features` and `classes` are how many there are. The same
    /// input gives the same weights, to the bit, on one machine.
    pub fn train(sentences: &[(&Sparse, usize)], features: usize, classes: usize) -> Self {
        let mut linear =
            Self { classes, weights: vec![0.0; features * classes], bias: vec![0.0; classes] };
        let mut duals = vec![0.0_f32; sentences.len() * classes];
        let mut order: Vec<usize> = (0..sentences.len()).collect();
        let mut shuffle = 0x9e37_79b9_7f4a_7c15_u64;
        let mut scores = vec![0.0; classes];
        for _ in 0..PASSES_MAX {
            for index in (1..order.len()).rev() {
                shuffle = shuffle.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let below = (u128::from(shuffle >> 11) * (index as u128 + 1)) >> 53;
                order.swap(index, usize::try_from(below).unwrap_or(0));
            }
            let mut moved = 0.0_f32;
            for &index in &order {
                let (vector, class) = sentences[index];
                let duals = &mut duals[index * classes..(index + 1) * classes];
                linear.score(vector, &mut scores);
                moved = moved.max(linear.learn(vector, class, duals, &scores));
            }
            if moved < MOVED_ENOUGH {
                break;
            }
        }
        linear
    }

    /// Moves every scorer that is not sure enough of this sentence; returns the largest move.
    fn learn(&mut self, vector: &Sparse, class: usize, duals: &mut [f32], scores: &[f32]) -> f32 {
        let squares: f32 = vector.iter().map(|(_, value)| value * value).sum();
        let diagonal = squares + 1.0 + 0.5 / COST;
        let mut moved = 0.0_f32;
        for (of, dual) in duals.iter_mut().enumerate() {
            let side = if of == class { 1.0 } else { -1.0 };
            let gradient = side * scores[of] - 1.0 + *dual * (0.5 / COST);
            if gradient >= 0.0 && *dual == 0.0 {
                continue;
            }
            let new = (*dual - gradient / diagonal).max(0.0);
            let step = (new - *dual) * side;
            *dual = new;
            moved = moved.max(step.abs());
            self.bias[of] += step;
            for (place, value) in vector {
                self.weights[*place as usize * self.classes + of] += step * value;
            }
        }
        moved
    }

    /// The score of every class: above 0 is on its side.
    pub fn score(&self, vector: &Sparse, scores: &mut Vec<f32>) {
        scores.clear();
        scores.extend_from_slice(&self.bias);
        for (place, value) in vector {
            let start = *place as usize * self.classes;
            let row = &self.weights[start..start + self.classes];
            for (score, weight) in scores.iter_mut().zip(row) {
                *score += value * weight;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separable_classes_are_separated_and_twice_the_same_way() {
        let vectors: Vec<Sparse> =
            (0..30_u32).map(|n| vec![(n % 3, 0.8), (3 + n % 5, 0.6)]).collect();
        let sentences: Vec<_> =
            vectors.iter().enumerate().map(|(n, vector)| (vector, n % 3)).collect();
        let train = || Linear::train(&sentences, 8, 3);
        let linear = train();
        let mut scores = Vec::new();
        for (vector, class) in &sentences {
            linear.score(vector, &mut scores);
            let best = (0..3).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
            assert_eq!(best, Some(*class));
        }
        assert_eq!(linear.weights, train().weights);
    }
}
