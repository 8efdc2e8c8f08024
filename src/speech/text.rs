//! An engine's text as the layers above want it.

/// Longest text handed up, in characters; an utterance of 10 s has far fewer.
const CHARACTERS_MAX: usize = 500;

/// `text` without notes in brackets such as `[Music]`, with single spaces. Mandarin may be in
/// traditional characters: whoever compares texts brings them to one spelling.
pub fn tidied(text: &str) -> String {
    let mut kept = String::new();
    let mut depth = 0_u32;
    for character in text.chars().take(CHARACTERS_MAX) {
        match character {
            '[' | '(' | '（' | '【' => depth += 1,
            ']' | ')' | '）' | '】' => depth = depth.saturating_sub(1),
            _ if depth > 0 => (),
            '♪' | '*' => kept.push(' '),
            other => kept.push(other),
        }
    }
    let joined = kept.split_whitespace().collect::<Vec<_>>().join(" ");
    if joined.chars().any(char::is_alphanumeric) { joined } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_and_stray_signs_go_and_words_stay() {
        let table = [
            ("  Where is   my parcel? ", "Where is my parcel?"),
            ("[Music] (sighs) Yes.", "Yes."),
            ("♪ ♪", ""),
            ("[BLANK_AUDIO]", ""),
            ("a ) b ( c", "a b"),
            ("我想查詢訂單", "我想查詢訂單"),
            ("。", ""),
        ];
        for (before, after) in table {
            assert_eq!(tidied(before), after, "{before}");
        }
        assert_eq!(tidied(&"a".repeat(9_999)).len(), CHARACTERS_MAX);
    }
}
