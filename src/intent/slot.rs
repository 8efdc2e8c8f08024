//! Values in a sentence: digits such as an order number, telephone numbers, numbers, yes or no,
//! and simple dates, in English and Mandarin.

use crate::normalize::words;
use std::sync::Arc;

/// What to look for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Slot {
    /// The variable it is given to.
    pub name: Arc<str>,
    /// What kind of value.
    pub kind: SlotKind,
    /// The least digits, for `Digits`.
    pub digits_min: u8,
    /// The most digits, for `Digits`.
    pub digits_max: u8,
}

/// A kind of value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SlotKind {
    /// A run of digits, spoken one by one or written: `4711`.
    Digits,
    /// A telephone number of 5 to 15 digits, with `+` if it was said: `+4930123456`.
    Phone,
    /// A whole number: `23` for "twenty-three" or 二十三.
    Number,
    /// `yes` or `no`.
    YesNo,
    /// A date as it was said, without a calendar: `today`, `tomorrow`, `day-after-tomorrow`,
    /// `yesterday`, `monday` … `sunday`, or `--05-12` for 12 May (ISO 8601 without a year).
    Date,
}

impl SlotKind {
    /// The words for the kinds in a file.
    pub const WORDS: [&'static str; 5] = ["digits", "phone", "number", "yes_no", "date"];

    /// The kind a file calls `word`.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "digits" => Some(Self::Digits),
            "phone" => Some(Self::Phone),
            "number" => Some(Self::Number),
            "yes_no" => Some(Self::YesNo),
            "date" => Some(Self::Date),
            _ => None,
        }
    }
}

impl Slot {
    /// The first value of this kind in `text`.
    pub fn find(&self, text: &str) -> Option<String> {
        match self.kind {
            SlotKind::Digits => {
                let length = usize::from(self.digits_min)..=usize::from(self.digits_max);
                digit_runs(text).into_iter().find(|run| length.contains(&run.len()))
            }
            SlotKind::Phone => phone(text),
            SlotKind::Number => number(text).map(|number| number.to_string()),
            SlotKind::YesNo => {
                yes_or_no(text).map(|yes| if yes { "yes".to_owned() } else { "no".to_owned() })
            }
            SlotKind::Date => date(text),
        }
    }
}

/// The digit that a word is, in English, Mandarin, or the numerals of Chinese bills.
fn digit(word: &str) -> Option<u8> {
    const NAMES: [[&str; 3]; 10] = [
        ["zero", "零", "〇"],
        ["one", "一", "壹"],
        ["two", "二", "贰"],
        ["three", "三", "叁"],
        ["four", "四", "肆"],
        ["five", "五", "伍"],
        ["six", "六", "陆"],
        ["seven", "七", "柒"],
        ["eight", "八", "捌"],
        ["nine", "九", "玖"],
    ];
    match word {
        "oh" | "o" | "nought" => return Some(0),
        "幺" => return Some(1),
        "两" | "貳" => return Some(2),
        "参" => return Some(3),
        _ => (),
    }
    let place = NAMES.iter().position(|names| names.contains(&word))?;
    u8::try_from(place).ok()
}

/// Digits that stand together, spoken or written, as one run each. "Double five" is 55.
fn digit_runs(text: &str) -> Vec<String> {
    let mut runs = Vec::new();
    let mut run = String::new();
    let mut spoken = 0_usize;
    let mut repeat = 1;
    let mut end_run = |run: &mut String, spoken: &mut usize| {
        // One digit word alone is a word: "that one", 一下.
        let run = std::mem::take(run);
        if !run.is_empty() && (run.len() > 1 || *spoken == 0) {
            runs.push(run);
        }
        *spoken = 0;
    };
    for word in words(text) {
        match (word.as_str(), digit(&word)) {
            ("double", _) => repeat = 2,
            ("triple", _) => repeat = 3,
            (_, Some(digit)) => {
                run.push_str(&digit.to_string().repeat(std::mem::replace(&mut repeat, 1)));
                spoken += 1;
            }
            (figures, None) if figures.bytes().all(|byte| byte.is_ascii_digit()) => {
                run.push_str(&figures.repeat(std::mem::replace(&mut repeat, 1)));
            }
            // Letters and digits in one word, as in AB1234: the digits count.
            (mixed, None) if mixed.bytes().any(|byte| byte.is_ascii_digit()) => {
                end_run(&mut run, &mut spoken);
                let parts = mixed.split(|c: char| !c.is_ascii_digit());
                if let Some(longest) = parts.max_by_key(|part| part.len()) {
                    run.push_str(longest);
                }
                end_run(&mut run, &mut spoken);
            }
            ("uh" | "um" | "er" | "and", None) if !run.is_empty() => (),
            _ => {
                end_run(&mut run, &mut spoken);
                repeat = 1;
            }
        }
    }
    end_run(&mut run, &mut spoken);
    runs
}

fn phone(text: &str) -> Option<String> {
    let run = digit_runs(text).into_iter().find(|run| (5..=15).contains(&run.len()))?;
    let plus = text.contains('+') || text.contains('＋') || words(text).iter().any(|w| w == "plus");
    Some(if plus { format!("+{run}") } else { run })
}

/// The first whole number below a million, in figures or words.
fn number(text: &str) -> Option<u32> {
    let words = words(&without_separators(text));
    for start in 0..words.len() {
        if let Ok(figures) = words[start].parse() {
            return Some(figures);
        }
        let rest = &words[start..];
        if let Some(number) = english_number(rest).or_else(|| mandarin_number(rest)) {
            return Some(number);
        }
    }
    None
}

/// The text without the commas inside figures: 12,000 becomes 12000.
fn without_separators(text: &str) -> String {
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let mut joined = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        let inside = is_digit(joined.chars().next_back()) && is_digit(rest.clone().next());
        if character != ',' || !inside {
            joined.push(character);
        }
    }
    joined
}

fn english_number(words: &[String]) -> Option<u32> {
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
    const TENS: [&str; 8] =
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let place = |list: &[&str], word: &str| {
        list.iter().position(|name| *name == word).and_then(|at| u32::try_from(at).ok())
    };
    let (mut thousands, mut below, mut found) = (0_u32, 0_u32, false);
    for word in words {
        let word = word.as_str();
        let unit = digit(word).filter(|_| word.is_ascii() && word.len() > 2).map(u32::from);
        let unit = unit.or(place(&TEENS, word).map(|at| at + 10));
        let unit = unit.or(place(&TENS, word).map(|at| (at + 2) * 10));
        match (word, unit) {
            (_, Some(unit)) => below = below.checked_add(unit)?,
            ("hundred", None) if below > 0 => below = below.checked_mul(100)?,
            ("thousand", None) if below > 0 => {
                thousands = below.checked_mul(1_000)?;
                below = 0;
            }
            ("and", None) if found => continue,
            _ => break,
        }
        found = true;
    }
    found.then(|| thousands.checked_add(below)).flatten()
}

fn mandarin_number(words: &[String]) -> Option<u32> {
    let (mut myriads, mut below, mut last, mut found) = (0_u32, 0_u32, None, false);
    // The unit that a last digit without one would have: 两千四百五 is 2,450.
    let mut next_unit = 1_u32;
    for word in words {
        let unit = match word.as_str() {
            "十" | "拾" => Some(10),
            "百" | "佰" => Some(100),
            "千" | "仟" => Some(1_000),
            _ => None,
        };
        if let Some(digit) = digit(word).filter(|_| !word.is_ascii()) {
            next_unit = if digit == 0 { 1 } else { next_unit };
            last = Some(u32::from(digit));
        } else if let Some(unit) = unit {
            // 十二 is 12: a unit without a digit is one of it.
            below = below.checked_add(last.take().unwrap_or(1) * unit)?;
            next_unit = unit / 10;
        } else if (word == "万" || word == "萬") && found {
            myriads = below.checked_add(last.take().unwrap_or(0))?.checked_mul(10_000)?;
            (below, next_unit) = (0, 1_000);
        } else {
            break;
        }
        found = true;
    }
    let rest = last.unwrap_or(0).checked_mul(next_unit)?;
    let whole = myriads.checked_add(below)?.checked_add(rest)?;
    found.then_some(whole)
}

/// Yes or no, whichever the text says first; `None` if neither.
pub fn yes_or_no(text: &str) -> Option<bool> {
    const YES: [&str; 16] = [
        "yes",
        "yeah",
        "yep",
        "yup",
        "sure",
        "correct",
        "exactly",
        "absolutely",
        "definitely",
        "indeed",
        "agree",
        "没错",
        "不错",
        "没问题",
        "可以",
        "确认",
    ];
    const NO: [&str; 14] = [
        "no",
        "nope",
        "nah",
        "not",
        "never",
        "wrong",
        "incorrect",
        "disagree",
        "不",
        "没",
        "错",
        "否",
        "别",
        "算了",
    ];
    /// They agree only where nothing else is said; Mandarin's stand in words of other meaning.
    const WEAK_YES: [&str; 9] = ["ok", "okay", "right", "是", "对", "好", "行", "嗯", "中"];
    const NEITHER: [&str; 7] =
        ["not sure", "do not know", "对 不 起", "不 知 道", "不 好 意 思", "好 像", "是 不 是"];
    let mut spaced = words(text).join(" ");
    for (phrase, meaning) in NEITHER.map(|phrase| (phrase, "")).into_iter().chain([
        ("no problem", "yes"),
        ("why not", "yes"),
        ("没 错", "没错"),
        ("不 错", "不错"),
        ("没 问 题", "没问题"),
        ("可 以", "可以"),
        ("确 认", "确认"),
        ("算 了", "算了"),
    ]) {
        spaced = spaced.replace(phrase, meaning);
    }
    let said = || spaced.split(' ');
    let strong = said().find_map(|word| {
        let no = NO.contains(&word);
        (no || YES.contains(&word)).then_some(!no)
    });
    strong.or_else(|| said().any(|word| WEAK_YES.contains(&word)).then_some(true))
}

fn date(text: &str) -> Option<String> {
    const DAYS: [&str; 7] =
        ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    const HAN_DAYS: [&str; 7] = ["一", "二", "三", "四", "五", "六", "日"];
    const SAID: [(&str, &str); 9] = [
        ("day after tomorrow", "day-after-tomorrow"),
        ("后天", "day-after-tomorrow"),
        ("tomorrow", "tomorrow"),
        ("明天", "tomorrow"),
        ("today", "today"),
        ("今天", "today"),
        ("yesterday", "yesterday"),
        ("昨天", "yesterday"),
        ("tonight", "today"),
    ];
    let words = words(text);
    let spaced = words.join(" ");
    let together = words.concat();
    let said = SAID.iter().find(|(said, _)| spaced.contains(said) || together.contains(said));
    if let Some((_, date)) = said {
        return Some((*date).to_owned());
    }
    if let Some(day) = DAYS.iter().find(|day| words.iter().any(|word| word == *day)) {
        return Some((*day).to_owned());
    }
    let han_day = ["星期", "礼拜", "周"].iter().find_map(|week| {
        let after = together.split(week).nth(1)?;
        let place = HAN_DAYS.iter().position(|day| after.starts_with(day));
        place.or(after.starts_with('天').then_some(6))
    });
    if let Some(day) = han_day {
        return Some(DAYS[day].to_owned());
    }
    month_and_day(&words).map(|(month, day)| format!("--{month:02}-{day:02}"))
}

/// "May 12", "the twelfth of May", "12 May", 五月十二号.
fn month_and_day(words: &[String]) -> Option<(usize, u32)> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let day_number = |words: &[String]| {
        let word = words.first()?;
        let figures = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let day = figures.parse().ok().or_else(|| ordinal(words)).or_else(|| english_number(words));
        day.filter(|day| (1..=31).contains(day))
    };
    for (at, word) in words.iter().enumerate() {
        if let Some(month) = MONTHS.iter().position(|name| name == word) {
            let after = words[at + 1..].iter().skip_while(|word| *word == "the");
            let after: Vec<String> = after.cloned().collect();
            let before = words[..at].iter().rev().find(|word| *word != "of");
            let before = before.and_then(|word| day_number(std::slice::from_ref(word)));
            return Some((month + 1, day_number(&after).or(before)?));
        }
        if word == "月" {
            let start = words[..at].iter().rposition(|w| !is_numeral(w)).map_or(0, |at| at + 1);
            let value = |words: &[String]| {
                let figures = words.first().and_then(|word| word.parse().ok());
                figures.or_else(|| mandarin_number(words))
            };
            let month = value(&words[start..at]).filter(|month| (1..=12).contains(month))?;
            let day = value(&words[at + 1..]).filter(|day| (1..=31).contains(day))?;
            return Some((usize::try_from(month).ok()?, day));
        }
    }
    None
}

fn is_numeral(word: &str) -> bool {
    word == "十" || digit(word).is_some() || word.bytes().all(|byte| byte.is_ascii_digit())
}

fn ordinal(words: &[String]) -> Option<u32> {
    const ORDINALS: [&str; 20] = [
        "first",
        "second",
        "third",
        "fourth",
        "fifth",
        "sixth",
        "seventh",
        "eighth",
        "ninth",
        "tenth",
        "eleventh",
        "twelfth",
        "thirteenth",
        "fourteenth",
        "fifteenth",
        "sixteenth",
        "seventeenth",
        "eighteenth",
        "nineteenth",
        "twentieth",
    ];
    let below = |word: &String| {
        let place = ORDINALS.iter().position(|name| name == word)?;
        u32::try_from(place + 1).ok()
    };
    let first = words.first()?;
    let tens = match first.as_str() {
        "twenty" => 20,
        "thirty" => 30,
        "thirtieth" => return Some(30),
        _ => return below(first),
    };
    words.get(1).and_then(below).map(|unit| tens + unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(kind: SlotKind, text: &str) -> Option<String> {
        Slot { name: "x".into(), kind, digits_min: 4, digits_max: 12 }.find(text)
    }

    #[test]
    fn values_are_found_in_both_languages() {
        use SlotKind::{Date, Digits, Number, Phone, YesNo};
        let table = [
            (Digits, "where is order 4711 please", Some("4711")),
            (Digits, "it's four seven one one", Some("4711")),
            (Digits, "double five 1 2", Some("5512")),
            (Digits, "order AB12345 thanks", Some("12345")),
            (Digits, "47 uh 11", Some("4711")),
            (Digits, "that one", None),
            (Digits, "order 12", None),
            (Digits, "订单号四七一一", Some("4711")),
            (Digits, "訂單１２３４５", Some("12345")),
            (Phone, "call me at +49 (30) 123-456", Some("+4930123456")),
            (Phone, "plus four nine three zero one two three", Some("+4930123")),
            (Phone, "我的电话是幺三八零零一三八零零零", Some("13800138000")),
            (Number, "twenty three of them", Some("23")),
            (Number, "one hundred and five", Some("105")),
            (Number, "two thousand and six", Some("2006")),
            (Number, "我要二十三个", Some("23")),
            (Number, "一万两千", Some("12000")),
            (Number, "十二", Some("12")),
            (Number, "两千四百五", Some("2450")),
            (Number, "两千零五", Some("2005")),
            (Number, "肆佰陸拾", Some("460")),
            (Number, "12,000 pieces", Some("12000")),
            (Number, "none", None),
            (YesNo, "yes that's right", Some("yes")),
            (YesNo, "no it isn't", Some("no")),
            (YesNo, "没错", Some("yes")),
            (YesNo, "不是", Some("no")),
            (YesNo, "yes, I said no onions", Some("yes")),
            (YesNo, "okay no", Some("no")),
            (YesNo, "I'm not sure", None),
            (YesNo, "对不起", None),
            (YesNo, "what", None),
            (Date, "the day after tomorrow", Some("day-after-tomorrow")),
            (Date, "next Monday", Some("monday")),
            (Date, "on May 12th", Some("--05-12")),
            (Date, "the twelfth of May", Some("--05-12")),
            (Date, "December twenty fifth", Some("--12-25")),
            (Date, "五月十二号", Some("--05-12")),
            (Date, "5月12日", Some("--05-12")),
            (Date, "礼拜天", Some("sunday")),
            (Date, "后天", Some("day-after-tomorrow")),
            (Date, "whenever", None),
        ];
        for (kind, text, expected) in table {
            assert_eq!(find(kind, text).as_deref(), expected, "{kind:?} in {text}");
        }
    }
}
