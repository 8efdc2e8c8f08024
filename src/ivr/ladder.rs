//! What is said after silence and after misunderstanding: a first phrase, a second, then no more.

use crate::flow::node::Phrases;
use crate::flow::words::Words;

/// How far up one question has come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Ladder {
    silent: usize,
    missed: usize,
}

impl Ladder {
    /// The phrase after one more silence; `None`: give up.
    pub fn after_silence<'f>(&mut self, phrases: &'f Phrases) -> Option<&'f Words> {
        self.silent += 1;
        phrases.no_input.get(self.silent - 1)
    }

    /// The phrase after one more reply that was not understood; `None`: give up.
    pub fn after_miss<'f>(&mut self, phrases: &'f Phrases) -> Option<&'f Words> {
        self.missed += 1;
        phrases.no_match.get(self.missed - 1)
    }

    /// The phrase after a sentence that fits no intent: its own where there is one, on the same
    /// step as other misunderstandings.
    pub fn after_out_of_scope<'f>(
        &mut self,
        phrases: &'f Phrases,
        own: &'f [Words],
    ) -> Option<&'f Words> {
        let step = self.missed;
        let ordinary = self.after_miss(phrases);
        own.get(step).or(ordinary)
    }

    /// Which try this is, from 1, for the record.
    pub fn tries(self) -> usize {
        self.silent + self.missed + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::node::NodeIndex;
    use domain::prompt::Language;

    #[test]
    fn silence_and_misses_climb_apart_and_end() {
        let words = |text| Words::literal(Language::English, text);
        let said = |words: Option<&Words>| {
            words.map(|words| words.text(Language::English, &Default::default()))
        };
        let phrases = Phrases {
            no_input: vec![words("silent 1"), words("silent 2")],
            no_match: vec![words("miss 1"), words("miss 2")],
            give_up: NodeIndex(0),
        };
        let own = [words("out of scope 1")];
        let mut ladder = Ladder::default();
        assert_eq!(said(ladder.after_silence(&phrases)).as_deref(), Some("silent 1"));
        let first = said(ladder.after_out_of_scope(&phrases, &own));
        assert_eq!(first.as_deref(), Some("out of scope 1"));
        assert_eq!(said(ladder.after_miss(&phrases)).as_deref(), Some("miss 2"));
        assert_eq!(said(ladder.after_silence(&phrases)).as_deref(), Some("silent 2"));
        assert_eq!(ladder.tries(), 5);
        assert_eq!(said(ladder.after_silence(&phrases)), None);
        assert_eq!(said(ladder.after_out_of_scope(&phrases, &own)), None);
    }
}
