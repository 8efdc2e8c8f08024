//! A sentence as a sparse vector: words, their pairs, and pieces of words, weighted by how rare
//! they are in the training phrases.
//!
//! Pieces of words (2 to 4 letters) forgive endings and slips of the recogniser; Mandarin gets
//! pairs and triples of characters instead, which are its words.

use crate::normalize::{is_han, words_without_numbers};
use std::collections::HashMap;

/// As many features as one sentence may have; a spoken one has about 150.
const FEATURES_MAX: usize = 2_000;

/// A sparse vector: feature and value, in the order of features, of length 1 (or 0).
pub(crate) type Sparse = Vec<(u32, f32)>;

/// Which features there are and how rare each is.
#[derive(Clone, Debug)]
pub(crate) struct Vocabulary {
    /// By the hash of a feature's text. Only looked up, never iterated.
    places: HashMap<u64, u32>,
    /// By place: the natural logarithm of how rare the feature is, at least 1.
    rarity: Vec<f32>,
    /// By place: whether an intent's sentence has it; the background alone makes nothing known.
    of_intent: Vec<bool>,
    /// Rarity of a feature never seen.
    rarity_unseen: f32,
}

/// A sentence as the classifier sees it.
#[derive(Clone, Debug)]
pub(crate) struct Features {
    pub vector: Sparse,
    /// The share of its words, weighted by rarity, that occur in sentences of intents; 0 if it has
    /// no words.
    pub known_share: f32,
}

/// The two kinds of features are weighed apart, so that the many pieces do not drown the words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Word,
    Piece,
}

impl Vocabulary {
    /// Counts the features of the training sentences; each comes with whether it is an intent's.
    pub fn count<'a>(sentences: impl Iterator<Item = (&'a str, bool)>) -> Self {
        let mut places: HashMap<u64, u32> = HashMap::new();
        let mut counts: Vec<u32> = Vec::new();
        let mut of_intent: Vec<bool> = Vec::new();
        let mut total = 0_u32;
        for (sentence, is_intents) in sentences {
            total += 1;
            let mut hashes: Vec<u64> =
                extract(sentence).into_iter().map(|(hash, ..)| hash).collect();
            hashes.sort_unstable();
            hashes.dedup();
            for hash in hashes {
                let next = u32::try_from(counts.len()).unwrap_or(u32::MAX);
                let place = *places.entry(hash).or_insert(next);
                if place == next {
                    counts.push(0);
                    of_intent.push(false);
                }
                counts[place as usize] += 1;
                of_intent[place as usize] |= is_intents;
            }
        }
        // The smoothed inverse document frequency: ln((1 + n) / (1 + count)) + 1.
        let rarity = |count: u32| ((1.0 + f64::from(total)) / (1.0 + f64::from(count))).ln() + 1.0;
        #[allow(clippy::cast_possible_truncation)] // A weight needs no more digits.
        let rarity = |count: u32| rarity(count) as f32;
        let rarity_unseen = rarity(0);
        let rarity = counts.into_iter().map(rarity).collect();
        Self { places, rarity, of_intent, rarity_unseen }
    }

    /// How many features there are.
    pub fn len(&self) -> usize {
        self.rarity.len()
    }

    /// The sentence's features among these.
    pub fn features(&self, sentence: &str) -> Features {
        let mut counted: Vec<(u32, Kind, u32)> = Vec::new();
        let (mut known, mut all) = (0.0_f32, 0.0_f32);
        for (hash, kind, single) in extract(sentence) {
            let place = self.places.get(&hash).copied();
            let rarity = place.map_or(self.rarity_unseen, |place| self.rarity[place as usize]);
            if single {
                all += rarity;
                let is_known = place.is_some_and(|place| self.of_intent[place as usize]);
                known += if is_known { rarity } else { 0.0 };
            }
            counted.extend(place.map(|place| (place, kind, 1)));
        }
        counted.sort_unstable_by_key(|(place, ..)| *place);
        counted.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.2 += if same { next.2 } else { 0 };
            same
        });
        let vector = self.weighted(&counted);
        let known_share = if all > 0.0 { known / all } else { 0.0 };
        Features { vector, known_share }
    }

    fn weighted(&self, counted: &[(u32, Kind, u32)]) -> Sparse {
        #[allow(clippy::cast_precision_loss)] // Counts are below 2,000.
        let value =
            |place: u32, count: u32| (1.0 + (count as f32).ln()) * self.rarity[place as usize];
        let length = |kind: Kind| {
            let of_kind = counted.iter().filter(|(_, other, _)| *other == kind);
            let squares = of_kind.map(|(place, _, count)| value(*place, *count).powi(2));
            squares.sum::<f32>().sqrt()
        };
        let lengths = [length(Kind::Word), length(Kind::Piece)];
        let kinds = lengths.iter().filter(|length| **length > 0.0).count();
        #[allow(clippy::cast_precision_loss)] // 0, 1 or 2.
        let share = (kinds.max(1) as f32).sqrt();
        let scaled = |(place, kind, count): &(u32, Kind, u32)| {
            let length = match kind {
                Kind::Word => lengths[0],
                Kind::Piece => lengths[1],
            };
            (*place, value(*place, *count) / (length * share))
        };
        counted.iter().map(scaled).collect()
    }
}

/// All features of a sentence: the hash of each, its kind, and whether it is a single word.
fn extract(sentence: &str) -> Vec<(u64, Kind, bool)> {
    let words = words_without_numbers(sentence);
    let mut features = Vec::new();
    let han = |word: &String| word.chars().next().is_some_and(is_han);
    for (index, word) in words.iter().enumerate() {
        features.push((hash(&["w", word]), Kind::Word, true));
        let (next, third) = (words.get(index + 1), words.get(index + 2));
        if let Some(next) = next {
            features.push((hash(&["p", word, next]), Kind::Word, false));
        }
        if han(word) {
            features.push((hash(&["c", word]), Kind::Piece, false));
            if let Some(next) = next.filter(|next| han(next)) {
                features.push((hash(&["c", word, next]), Kind::Piece, false));
                if let Some(third) = third.filter(|third| han(third)) {
                    features.push((hash(&["c", word, next, third]), Kind::Piece, false));
                }
            }
        } else {
            extract_pieces(word, &mut features);
        }
        if features.len() >= FEATURES_MAX {
            features.truncate(FEATURES_MAX);
            break;
        }
    }
    features
}

/// Two to four letters beside each other, the word's ends marked.
fn extract_pieces(word: &str, features: &mut Vec<(u64, Kind, bool)>) {
    let marked: Vec<char> = std::iter::once('_').chain(word.chars()).chain(['_']).collect();
    let mut piece = String::new();
    for length in 2..=4 {
        for letters in marked.windows(length) {
            piece.clear();
            piece.extend(letters);
            features.push((hash(&["l", &piece]), Kind::Piece, false));
        }
    }
}

/// FNV-1a of 64 bits: the same on every machine and in every run.
fn hash(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_have_length_one_and_strangers_have_none() {
        let sentences = ["where is my order", "我要退款", "open on sunday"];
        let vocabulary = Vocabulary::count(sentences.into_iter().map(|text| (text, true)));
        for sentence in sentences {
            let features = vocabulary.features(sentence);
            let length: f32 = features.vector.iter().map(|(_, value)| value * value).sum();
            assert!((length - 1.0).abs() < 1e-5, "{sentence}: {length}");
            assert!((features.known_share - 1.0).abs() < 1e-6);
            assert!((cosine(&features.vector, &features.vector) - 1.0).abs() < 1e-5);
        }
        let strange = vocabulary.features("zzqxk");
        assert_eq!((strange.vector.len(), strange.known_share), (0, 0.0));
        let near = vocabulary.features("my orders").vector;
        let [order, refund] = [0, 1].map(|at| vocabulary.features(sentences[at]).vector);
        assert!(cosine(&near, &order) > 0.3);
        assert!(cosine(&near, &refund) < 0.01);
    }

    #[test]
    fn a_long_text_has_a_bounded_number_of_features() {
        assert_eq!(extract(&"abcdefgh ".repeat(5_000)).len(), FEATURES_MAX);
    }

    /// How alike two sentences are, from 0 to 1.
    fn cosine(a: &Sparse, b: &Sparse) -> f32 {
        let (mut i, mut j, mut sum) = (0, 0, 0.0);
        while let (Some((place_a, value_a)), Some((place_b, value_b))) = (a.get(i), b.get(j)) {
            match place_a.cmp(place_b) {
                std::cmp::Ordering::Less => i += 1,
                std::cmp::Ordering::Greater => j += 1,
                std::cmp::Ordering::Equal => {
                    sum += value_a * value_b;
                    (i, j) = (i + 1, j + 1);
                }
            }
        }
        sum
    }
}
