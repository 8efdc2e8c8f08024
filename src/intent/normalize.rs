//! One spelling for what is the same: widths, case, contractions, number words, and simplified
//! characters for traditional ones.

use crate::simplify::simplified;

/// The longest text looked at, in characters; what follows is dropped. A spoken sentence has at
/// most a few hundred.
pub const TEXT_MAX: usize = 1_000;

/// Words of a text in one spelling: lower case, full-width letters made narrow, traditional
/// characters made simplified, contractions written out, punctuation dropped, each Han character a
/// word of its own.
///
/// # Examples
///
/// ```
/// use intent::normalize::words;
///
/// assert_eq!(words("Where's my ORDER?"), ["where", "is", "my", "order"]);
/// assert_eq!(words("查詢訂單１２"), ["查", "询", "订", "单", "12"]);
/// ```
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for character in text.chars().take(TEXT_MAX).map(narrow) {
        if is_han(character) {
            push_word(&mut word, &mut words);
            words.push(simplified(character).to_string());
        } else if character.is_alphanumeric() || (character == '\'' && !word.is_empty()) {
            // Some letters have a lower case of several; their first is enough to compare by.
            word.extend(character.to_lowercase().next());
        } else {
            push_word(&mut word, &mut words);
        }
    }
    push_word(&mut word, &mut words);
    words
}

/// The words, with what is said about numbers replaced by `<num>`: one order number is as good as
/// another for naming an intent.
pub fn words_without_numbers(text: &str) -> Vec<String> {
    let words = words(text);
    let mut kept: Vec<String> = Vec::with_capacity(words.len());
    let is_number = |word: &str| is_figure(word) || NUMBER_WORDS.contains(&word);
    for (index, word) in words.iter().enumerate() {
        // A number word alone is often none: "which one", 一下.
        let neighbour = |at: Option<usize>| at.and_then(|at| words.get(at)).map(String::as_str);
        let beside = [neighbour(index.checked_sub(1)), neighbour(index.checked_add(1))];
        let counts =
            is_figure(word) || (is_number(word) && beside.into_iter().flatten().any(is_number));
        if !counts {
            kept.push(word.clone());
        } else if kept.last().is_none_or(|last| last != NUMBER) {
            kept.push(NUMBER.to_owned());
        }
    }
    kept
}

/// What stands for a number.
pub const NUMBER: &str = "<num>";

/// Words that make up numbers, in both languages.
const NUMBER_WORDS: [&str; 44] = [
    "zero",
    "oh",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
    "double",
    "triple",
    "零",
    "一",
    "二",
    "三",
    "四",
    "五",
    "六",
    "七",
    "八",
    "九",
    "十",
    "幺",
    "两",
];

fn is_figure(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|character| character.is_ascii_digit())
}

/// Whether the character is Han: it is then a word by itself.
pub fn is_han(character: char) -> bool {
    matches!(character, '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}' | '〇')
}

/// The narrow form of a full-width character, and the plain one of typographic apostrophes.
fn narrow(character: char) -> char {
    /// From `！` (U+FF01) to `!` (U+0021), and so for all 94 characters of ASCII that print.
    const WIDTH: u32 = 0xFF01 - 0x21;
    match character {
        '\u{ff01}'..='\u{ff5e}' => {
            char::from_u32(u32::from(character) - WIDTH).unwrap_or(character)
        }
        '\u{3000}' => ' ',
        '’' | '‘' | '`' => '\'',
        other => other,
    }
}

/// Ends the word being read: adds it, written out.
fn push_word(word: &mut String, words: &mut Vec<String>) {
    let finished = std::mem::take(word);
    let finished = finished.trim_end_matches('\'');
    if finished.is_empty() {
        return;
    }
    let whole = match finished {
        "won't" => Some(["will", "not"]),
        "can't" => Some(["can", "not"]),
        "cannot" => Some(["can", "not"]),
        "shan't" => Some(["shall", "not"]),
        "ain't" => Some(["is", "not"]),
        "wanna" => Some(["want", "to"]),
        "gonna" => Some(["going", "to"]),
        "gotta" => Some(["got", "to"]),
        "let's" => Some(["let", "us"]),
        _ => None,
    };
    if let Some(whole) = whole {
        words.extend(whole.map(str::to_owned));
        return;
    }
    /// Endings and what they stand for; `'s` after a noun is a genitive and stands for nothing, but
    /// "is" does no harm there.
    const ENDINGS: [(&str, &str); 7] = [
        ("n't", "not"),
        ("'re", "are"),
        ("'ve", "have"),
        ("'ll", "will"),
        ("'m", "am"),
        ("'d", "would"),
        ("'s", "is"),
    ];
    for (ending, written_out) in ENDINGS {
        if let Some(stem) = finished.strip_suffix(ending).filter(|stem| !stem.is_empty()) {
            words.extend([stem.to_owned(), written_out.to_owned()]);
            return;
        }
    }
    words.push(finished.replace('\'', ""));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_is_spelled_the_same() {
        let table: [(&str, &[&str]); 8] = [
            ("I'm calling about my order", &["i", "am", "calling", "about", "my", "order"]),
            ("I don’t, can't, won't", &["i", "do", "not", "can", "not", "will", "not"]),
            ("ＡＢＣ　１２", &["abc", "12"]),
            ("訂單no.5", &["订", "单", "no", "5"]),
            ("'quoted' rock'n'roll", &["quoted", "rocknroll"]),
            ("", &[]),
            ("...!?", &[]),
            ("İstanbul", &["istanbul"]),
        ];
        for (text, expected) in table {
            assert_eq!(words(text), expected, "{text}");
        }
        assert_eq!(words(&"a ".repeat(10_000)).len(), TEXT_MAX / 2);
    }

    #[test]
    fn numbers_become_one_word_and_a_lone_number_word_stays() {
        let table: [(&str, &[&str]); 5] = [
            ("order 4711 please", &["order", "<num>", "please"]),
            ("order four seven one one", &["order", "<num>"]),
            ("which one", &["which", "one"]),
            ("查一下", &["查", "一", "下"]),
            ("单号一二三", &["单", "号", "<num>"]),
        ];
        for (text, expected) in table {
            assert_eq!(words_without_numbers(text), expected, "{text}");
        }
    }
}
