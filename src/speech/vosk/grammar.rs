//! The words that a closed recogniser may hear, made from the question being asked.
//!
//! The library takes a JSON list of phrases and makes a two-word model of them: words may follow
//! one another in ways that no phrase has, so whoever reads the result compares it with the
//! phrases again. `[unk]` stands for everything else; without it the recogniser would force any
//! noise into the grammar.

use domain::prompt::{Expect, Hearing, Language};
use std::collections::BTreeSet;

/// Stands for any other word or noise.
pub const UNKNOWN: &str = "[unk]";

/// Phrases beyond this many are left out: building a grammar takes time in their number.
const PHRASES_MAX: usize = 1_000;

const YES_NO: [&str; 36] = [
    "yes",
    "yes please",
    "yes it is",
    "yes that's right",
    "yes i do",
    "yes i am",
    "yeah",
    "yep",
    "yup",
    "sure",
    "of course",
    "correct",
    "that's correct",
    "that's right",
    "right",
    "okay",
    "absolutely",
    "definitely",
    "please do",
    "go ahead",
    "no",
    "no thanks",
    "no thank you",
    "no it's not",
    "no that's wrong",
    "no i don't",
    "nope",
    "nah",
    "not really",
    "not now",
    "wrong",
    "that's wrong",
    "that's not right",
    "incorrect",
    "never",
    "i don't think so",
];

/// Without "oh": measured, it took the place of one "four" in three of a speaker, at full
/// confidence. Said, it comes out as unknown, and so the open engine is asked.
const DIGITS: [&str; 10] =
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

/// A closed grammar.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grammar {
    /// The phrases as they may be heard, lower case, single spaces; `[unk]` for unknown words.
    phrases: BTreeSet<String>,
    /// Whether any sequence of the words is as good as a listed one (digits).
    any_order: bool,
}

impl Grammar {
    /// The grammar for `hearing`; `None` where a closed grammar cannot help: another language
    /// than the model's English, or an open question without phrases.
    ///
    /// `knows` tells whether a word is in the model's vocabulary.
    pub fn of(hearing: &Hearing, knows: impl Fn(&str) -> bool) -> Option<Self> {
        if hearing.language != Language::English {
            return None;
        }
        let spell = |phrase: &str| spelled(phrase, &knows);
        let (phrases, any_order): (BTreeSet<String>, bool) = match &hearing.expect {
            Expect::YesNo => (YES_NO.iter().filter_map(|phrase| spell(phrase)).collect(), false),
            Expect::Digits => (digit_pairs(), true),
            Expect::Open { phrases } => {
                let listed = phrases.iter().take(PHRASES_MAX);
                (listed.filter_map(|phrase| spell(phrase)).collect(), false)
            }
        };
        (!phrases.is_empty()).then_some(Self { phrases, any_order })
    }

    /// As the library takes it; also the name under which a recogniser of it is kept.
    pub fn to_json(&self) -> String {
        let phrases: Vec<&str> = self.phrases.iter().map(String::as_str).chain([UNKNOWN]).collect();
        serde_json::Value::from(phrases).to_string()
    }

    /// Whether the words heard are one of the phrases, whole.
    pub fn covers(&self, text: &str) -> bool {
        !text.contains(UNKNOWN) && (self.any_order || self.phrases.contains(text))
    }
}

/// Each digit after each: all successions are equally likely, any length.
fn digit_pairs() -> BTreeSet<String> {
    let pairs = DIGITS.iter().flat_map(|a| DIGITS.iter().map(move |b| format!("{a} {b}")));
    pairs.chain(DIGITS.iter().map(|&digit| digit.to_owned())).collect()
}

/// A phrase in the model's spelling; `None` when no word of it is known.
fn spelled(phrase: &str, knows: &impl Fn(&str) -> bool) -> Option<String> {
    let kept: String = phrase
        .to_lowercase()
        .chars()
        .map(|c| match c {
            '’' => '\'',
            c if c.is_alphanumeric() || c == '\'' => c,
            _ => ' ',
        })
        .collect();
    let words: Vec<&str> =
        kept.split_whitespace().map(|word| if knows(word) { word } else { UNKNOWN }).collect();
    words.iter().any(|word| *word != UNKNOWN).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grammar(expect: Expect, language: Language) -> Option<Grammar> {
        Grammar::of(&Hearing { language, expect }, |word| word != "trunkline")
    }

    fn open(phrases: &[&str]) -> Expect {
        Expect::Open { phrases: phrases.iter().map(|&phrase| phrase.into()).collect() }
    }

    #[test]
    fn phrases_are_spelled_as_the_model_spells_and_foreign_words_become_unknown() {
        let listed = open(&["Where's my PARCEL?", "trunkline", "ask Trunkline, please", "", "…"]);
        let made = grammar(listed, Language::English).unwrap();
        assert_eq!(made.to_json(), r#"["ask [unk] please","where's my parcel","[unk]"]"#);
    }

    #[test]
    fn only_a_whole_listed_phrase_is_covered() {
        let made = grammar(open(&["where is my parcel", "my order"]), Language::English).unwrap();
        let table = [
            ("where is my parcel", true),
            ("my order", true),
            ("where is my order", false),
            ("my order [unk]", false),
            ("", false),
        ];
        for (text, covered) in table {
            assert_eq!(made.covers(text), covered, "{text}");
        }
    }

    #[test]
    fn digits_may_follow_in_any_order() {
        let made = grammar(Expect::Digits, Language::English).unwrap();
        assert_eq!(made.phrases.len(), 10 * 10 + 10);
        assert!(made.covers("four seven one one") && !made.covers("four [unk]"));
    }

    #[test]
    fn no_grammar_for_mandarin_or_for_nothing() {
        assert_eq!(grammar(Expect::YesNo, Language::Mandarin), None);
        assert_eq!(grammar(open(&[]), Language::English), None);
        assert_eq!(grammar(open(&["trunkline"]), Language::English), None);
    }

    #[test]
    fn a_flood_of_phrases_is_cut() {
        let many: Vec<String> = (0..3_000).map(|n| format!("phrase {n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(grammar(open(&many), Language::English).unwrap().phrases.len(), PHRASES_MAX);
    }
}
