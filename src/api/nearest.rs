//! The known word nearest to a mistyped one.

/// Returns the word of `known` with the fewest edits from `found`, if it is near enough to be a
/// slip of the fingers: at most a third of the longer word's letters; two edits (a swap of two
/// letters) are always forgiven if not the whole word differs.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let found: Vec<char> = found.chars().take(LENGTH_MAX).collect();
    known
        .into_iter()
        .map(|word| (edits(&found, word), word))
        .min()
        .filter(|(edits, word)| {
            let letters = found.len().max(word.chars().count());
            *edits <= (letters / 3).max(2) && *edits < letters
        })
        .map(|(_, word)| word)
}

/// Longer names than this are compared by their beginning: the work stays bounded.
const LENGTH_MAX: usize = 64;

/// Insertions, removals and replacements between the two (Levenshtein).
fn edits(found: &[char], word: &str) -> usize {
    let mut row: Vec<usize> = (0..=found.len()).collect();
    for (line, letter) in word.chars().take(LENGTH_MAX).enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in found.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[found.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_nonsense_finds_none() {
        let known = ["name", "trunk", "caller_id", "rate_per_minute_max"];
        for (found, expected) in [
            ("nmae", Some("name")),
            ("nam", Some("name")),
            ("callerid", Some("caller_id")),
            ("rate_per_minute", Some("rate_per_minute_max")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(found, known), expected, "{found}");
        }
    }
}
