//! Words for numbers, both ways: values read out to the caller, and the two closed answers that
//! are understood without a classifier, yes or no and digits.

use domain::prompt::Language;

/// How a value is read out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reading {
    /// A value of digits alone one by one, as order and telephone numbers are read; numbers inside
    /// a sentence as numbers.
    Plain,
    /// Every digit one by one.
    Digits,
    /// As a number.
    Number,
}

/// Longer runs of digits are read one by one: nobody follows a number of millions.
const NUMBER_DIGITS_MAX: usize = 6;

/// The value as it is spoken in `language`, without figures.
pub(crate) fn read_out(language: Language, value: &str, reading: Reading) -> String {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let bare = value.trim().trim_start_matches('+');
    match reading {
        Reading::Digits => one_by_one(language, value),
        Reading::Plain if is_digits(bare) => one_by_one(language, value),
        Reading::Plain | Reading::Number => in_sentence(language, value),
    }
}

fn one_by_one(language: Language, value: &str) -> String {
    let names = digit_names(language);
    let name = |c: char| c.to_digit(10).and_then(|digit| names.get(digit as usize)).copied();
    let words: Vec<String> = value
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| name(c).map_or_else(|| c.to_string(), str::to_owned))
        .collect();
    match language {
        Language::English => words.join(", "),
        Language::Mandarin => words.concat(),
    }
}

/// Every run of figures as a number; after a decimal point, or when long or led by 0, one by one.
fn in_sentence(language: Language, value: &str) -> String {
    let mut spoken = String::new();
    let mut rest = value;
    let mut after_point = false;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let length = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
        let (run, after) = from.split_at(length);
        after_point = before == "." && !spoken.is_empty() && !after_point;
        spoken.push_str(match (after_point, language) {
            (true, Language::English) => " point ",
            (true, Language::Mandarin) => "点",
            (false, _) => before,
        });
        let long = run.len() > NUMBER_DIGITS_MAX || (run.len() > 1 && run.starts_with('0'));
        match run.parse() {
            Ok(number) if !long && !after_point => spoken.push_str(&cardinal(language, number)),
            _ => spoken.push_str(&one_by_one(language, run)),
        }
        rest = after;
    }
    spoken.push_str(rest);
    spoken
}

fn digit_names(language: Language) -> [&'static str; 10] {
    match language {
        Language::English => {
            ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
        }
        Language::Mandarin => ["零", "一", "二", "三", "四", "五", "六", "七", "八", "九"],
    }
}

/// A number up to 999,999 in words.
fn cardinal(language: Language, number: u32) -> String {
    match language {
        Language::English => english_cardinal(number),
        Language::Mandarin => mandarin_cardinal(number),
    }
}

fn english_cardinal(number: u32) -> String {
    const TEENS: [&str; 10] = [
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
    ];
    const TENS: [&str; 10] =
        ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let joined = |head: String, rest: u32, glue: &str| match rest {
        0 => head,
        rest => format!("{head}{glue}{}", english_cardinal(rest)),
    };
    match number {
        0..=9 => digit_names(Language::English)[number as usize].to_owned(),
        10..=19 => TEENS[(number - 10) as usize].to_owned(),
        20..=99 => joined(TENS[(number / 10) as usize].to_owned(), number % 10, "-"),
        100..=999 => {
            let head = format!("{} hundred", english_cardinal(number / 100));
            joined(head, number % 100, " and ")
        }
        _ => {
            let head = format!("{} thousand", english_cardinal(number / 1000));
            joined(head, number % 1000, if number % 1000 < 100 { " and " } else { " " })
        }
    }
}

fn mandarin_cardinal(number: u32) -> String {
    let names = digit_names(Language::Mandarin);
    if number >= 10_000 {
        let rest = number % 10_000;
        let zero = if rest > 0 && rest < 1000 { "零" } else { "" };
        let rest = if rest == 0 { String::new() } else { mandarin_below_10_000(rest) };
        return format!("{}万{zero}{rest}", mandarin_cardinal(number / 10_000));
    }
    match number {
        0 => names[0].to_owned(),
        // 十二, not 一十二, where the number begins with it.
        10..=19 => mandarin_below_10_000(number).trim_start_matches('一').to_owned(),
        _ => mandarin_below_10_000(number),
    }
}

fn mandarin_below_10_000(number: u32) -> String {
    let names = digit_names(Language::Mandarin);
    let mut words = String::new();
    let mut gap = false;
    for (unit, name) in [(1000, "千"), (100, "百"), (10, "十"), (1, "")] {
        let digit = number / unit % 10;
        if digit == 0 {
            gap = !words.is_empty();
            continue;
        }
        if std::mem::take(&mut gap) {
            words.push_str(names[0]);
        }
        words.push_str(names[digit as usize]);
        words.push_str(name);
    }
    words
}

/// Yes or no, whichever the text says first; `None` if neither.
pub(crate) fn yes_or_no(language: Language, text: &str) -> Option<bool> {
    match language {
        Language::English => english_yes_or_no(text),
        Language::Mandarin => mandarin_yes_or_no(text),
    }
}

fn english_yes_or_no(text: &str) -> Option<bool> {
    const YES: [&str; 15] = [
        "yes",
        "yeah",
        "yep",
        "yup",
        "ya",
        "sure",
        "correct",
        "exactly",
        "absolutely",
        "definitely",
        "indeed",
        "certainly",
        "agree",
        "agreed",
        "affirmative",
    ];
    /// Said beside a no as well: they agree only where nothing else is said.
    const WEAK_YES: [&str; 5] = ["ok", "okay", "right", "please", "fine"];
    const NO: [&str; 10] = [
        "no",
        "nope",
        "nah",
        "not",
        "never",
        "wrong",
        "incorrect",
        "negative",
        "disagree",
        "cancel",
    ];
    let mut text = text.to_lowercase().replace('’', "'");
    for neither in ["not sure", "don't know", "no idea", "do not know"] {
        text = text.replace(neither, " ");
    }
    for agreed in ["no problem", "why not", "go ahead"] {
        text = text.replace(agreed, "yes");
    }
    let words = || text.split(|c: char| !c.is_alphanumeric() && c != '\'');
    let strong = words().find_map(|word| {
        let no = NO.contains(&word) || word.ends_with("n't");
        (no || YES.contains(&word)).then_some(!no)
    });
    strong.or_else(|| words().any(|word| WEAK_YES.contains(&word)).then_some(true))
}

fn mandarin_yes_or_no(text: &str) -> Option<bool> {
    /// Longer before shorter, since the first that fits is taken: 没错 holds a "not" and means yes,
    /// 对不起 holds a "right" and means neither.
    const WORDS: [(&str, Option<bool>); 33] = [
        ("不好意思", None),
        ("没有问题", Some(true)),
        ("对不起", None),
        ("不知道", None),
        ("不清楚", None),
        ("不确定", None),
        ("是不是", None),
        ("要不要", None),
        ("好不好", None),
        ("没问题", Some(true)),
        ("没错", Some(true)),
        ("不错", Some(true)),
        ("好像", None),
        ("可以", Some(true)),
        ("确认", Some(true)),
        ("当然", Some(true)),
        ("同意", Some(true)),
        ("算了", Some(false)),
        ("拒绝", Some(false)),
        ("取消", Some(false)),
        ("是", Some(true)),
        ("对", Some(true)),
        ("好", Some(true)),
        ("行", Some(true)),
        ("嗯", Some(true)),
        ("要", Some(true)),
        ("中", Some(true)),
        ("不", Some(false)),
        ("没", Some(false)),
        ("错", Some(false)),
        ("否", Some(false)),
        ("别", Some(false)),
        ("免", Some(false)),
    ];
    /// Recognisers write traditional characters too.
    const SIMPLE: [(char, char); 8] = [
        ('對', '对'),
        ('沒', '没'),
        ('錯', '错'),
        ('確', '确'),
        ('認', '认'),
        ('問', '问'),
        ('題', '题'),
        ('別', '别'),
    ];
    let simple = |c: char| SIMPLE.iter().find(|(from, _)| *from == c).map_or(c, |(_, to)| *to);
    let text: String = text.chars().map(simple).collect();
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let word = WORDS.iter().find(|(word, _)| rest.starts_with(word));
        match word {
            Some((_, Some(verdict))) => return Some(*verdict),
            Some((word, None)) => rest = &rest[word.len()..],
            None => rest = &rest[first.len_utf8()..],
        }
    }
    None
}

/// The digits of a text in which digits are spoken or written one by one; `None` if another word
/// stands among them that says something.
pub(crate) fn digits(language: Language, text: &str) -> Option<String> {
    let found = match language {
        Language::English => english_digits(text)?,
        Language::Mandarin => mandarin_digits(text)?,
    };
    (!found.is_empty()).then_some(found)
}

fn english_digits(text: &str) -> Option<String> {
    /// Said around a number.
    const AROUND: [&str; 16] = [
        "it's", "it", "is", "my", "the", "number", "and", "um", "uh", "er", "order", "that's",
        "please", "yes", "okay", "a",
    ];
    let text = text.to_lowercase().replace('’', "'");
    let mut found = String::new();
    let mut repeat = 1;
    for word in text.split(|c: char| !c.is_alphanumeric() && c != '\'') {
        let names = digit_names(Language::English);
        let digit = match word {
            "oh" | "o" | "nought" => Some(0),
            "for" if !found.is_empty() => Some(4),
            "to" | "too" if !found.is_empty() => Some(2),
            other => names.iter().position(|name| *name == other),
        };
        match (word, digit) {
            ("double", _) => repeat = 2,
            ("triple", _) => repeat = 3,
            (_, Some(digit)) => {
                found.push_str(&digit.to_string().repeat(std::mem::replace(&mut repeat, 1)));
            }
            ("", None) => (),
            (figures, None) if figures.bytes().all(|b| b.is_ascii_digit()) => {
                found.push_str(&figures.repeat(std::mem::replace(&mut repeat, 1)));
            }
            (other, None) if AROUND.contains(&other) => (),
            _ => return None,
        }
    }
    Some(found)
}

fn mandarin_digits(text: &str) -> Option<String> {
    /// Said around a number.
    const AROUND: &str = "我的号码是订单號碼訂單嗯那个個就呃啊哦请請电话電話，。、？！ ,.?!-";
    let mut found = String::new();
    for character in text.chars() {
        let digit = match character {
            '〇' | '○' | '洞' => Some(0),
            // 幺 is how telephone numbers say 1, 两 is the 2 of counting.
            '幺' | '么' | '腰' => Some(1),
            '两' | '兩' => Some(2),
            '０'..='９' => u32::from(character).checked_sub(u32::from('０')),
            other => {
                let names = digit_names(Language::Mandarin);
                let position = names.iter().position(|name| name.starts_with(other));
                position.and_then(|index| u32::try_from(index).ok()).or(other.to_digit(10))
            }
        };
        match digit {
            Some(digit) => found.push_str(&digit.to_string()),
            None if AROUND.contains(character) => (),
            None => return None,
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Language::{English, Mandarin};

    #[test]
    fn values_are_read_without_figures() {
        let table = [
            (English, "4071", Reading::Plain, "four, zero, seven, one"),
            (English, "+4930", Reading::Plain, "four, nine, three, zero"),
            (English, "shipped on 12 May", Reading::Plain, "shipped on twelve May"),
            (English, "45.90 euros", Reading::Plain, "forty-five point nine, zero euros"),
            (
                English,
                "123456",
                Reading::Number,
                "one hundred and twenty-three thousand four hundred and fifty-six",
            ),
            (English, "2005", Reading::Number, "two thousand and five"),
            (English, "A12", Reading::Digits, "A, one, two"),
            (
                English,
                "1234567 items",
                Reading::Plain,
                "one, two, three, four, five, six, seven items",
            ),
            (English, "", Reading::Plain, ""),
            (Mandarin, "4071", Reading::Plain, "四零七一"),
            (Mandarin, "12", Reading::Number, "十二"),
            (Mandarin, "1005", Reading::Number, "一千零五"),
            (Mandarin, "20030", Reading::Number, "二万零三十"),
            (Mandarin, "110", Reading::Number, "一百一十"),
            (Mandarin, "5月12日", Reading::Plain, "五月十二日"),
            (Mandarin, "3.5", Reading::Number, "三点五"),
        ];
        for (language, value, reading, expected) in table {
            assert_eq!(read_out(language, value, reading), expected, "{value} {reading:?}");
        }
    }

    #[test]
    fn yes_and_no_are_told_apart() {
        let table = [
            (English, "Yes, please.", Some(true)),
            (English, "no thank you", Some(false)),
            (English, "No, that's not right", Some(false)),
            (English, "I don’t think so", Some(false)),
            (English, "no problem", Some(true)),
            (English, "yes, I said no onions", Some(true)),
            (English, "okay no", Some(false)),
            (English, "please don't", Some(false)),
            (English, "that's right", Some(true)),
            (English, "I am not sure", None),
            (English, "the weather", None),
            (Mandarin, "是的", Some(true)),
            (Mandarin, "不是", Some(false)),
            (Mandarin, "没错", Some(true)),
            (Mandarin, "對", Some(true)),
            (Mandarin, "对不起我没听清", Some(false)),
            (Mandarin, "不好意思", None),
            (Mandarin, "好的，没问题", Some(true)),
            (Mandarin, "天气", None),
            (Mandarin, "", None),
        ];
        for (language, text, expected) in table {
            assert_eq!(yes_or_no(language, text), expected, "{text}");
        }
    }

    #[test]
    fn spoken_digits_are_found_and_sentences_are_not() {
        let table = [
            (English, "four oh seven one", Some("4071")),
            (English, "It's double 5, 12.", Some("5512")),
            (English, "4 7 1 1", Some("4711")),
            (English, "one to for", Some("124")),
            (English, "I lost my card", None),
            (English, "", None),
            (Mandarin, "四零七一", Some("4071")),
            (Mandarin, "订单号是幺三八", Some("138")),
            (Mandarin, "１２3", Some("123")),
            (Mandarin, "我要退款", None),
        ];
        for (language, text, expected) in table {
            assert_eq!(digits(language, text).as_deref(), expected, "{text}");
        }
    }
}
