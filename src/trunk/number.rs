//! A telephone number in its three forms: as it came, in E.164, and as one trunk wants it written.
//!
//! ```text
//!  raw "030 123456" ─ DialPlan::read ─► Number { raw, normalised: +4930123456, kind }
//!                                          │
//!                    NumberForm::write ◄───┘  "+4930123456", "004930123456", "030123456" …
//! ```
//!
//! Calls nothing. Called by `route`, and by the switchboard at its borders.

use std::fmt;
use std::sync::Arc;

/// What sort of number it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum NumberKind {
    /// Reachable from everywhere: `normalised` is `+` and 7 to 15 digits (E.164 §6.2.1).
    International,
    /// Of the country alone, such as 116117: never rewritten.
    Short,
    /// An emergency service's: routed on its own (see `route`).
    Emergency,
    /// Of the house: a number of our own, or one of a PBX.
    Extension,
    /// No number, or hidden: a name, `anonymous`, or nothing.
    Unknown,
}

/// A number as it came and as it is meant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Number {
    /// As it came, unchanged: for records.
    pub raw: Arc<str>,
    /// E.164 with `+` for an international one; digits alone for short, emergency and extension;
    /// the raw text for an unknown one.
    pub normalised: Arc<str>,
    /// What sort it is.
    pub kind: NumberKind,
}

/// How the numbers of one country (and house) are read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DialPlan {
    /// The country code, digits (E.164 §6.2): `49`.
    pub country_code: Arc<str>,
    /// What is dialled before a national number: `0`; empty where nothing is (Italy, Spain).
    pub national_prefix: Arc<str>,
    /// What is dialled before a country code: `00`, `011`.
    pub international_prefix: Arc<str>,
    /// Put before a number without any prefix: the area code where local dialling is meant; empty
    /// takes it as a whole national number (North America, Italy).
    pub area_code: Arc<str>,
    /// Digits without any prefix are a country code and number: some carriers leave the `+` out.
    pub digits_are_international: bool,
    /// The most digits an extension has; 0: there are none. A number without prefix that is not
    /// longer is one.
    pub extension_digits_max: u8,
    /// Short numbers; `*` at the end matches any rest: `116*`.
    pub short: Vec<Arc<str>>,
    /// Emergency numbers: `110`, `112`.
    pub emergency: Vec<Arc<str>>,
}

/// How a trunk wants numbers written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum NumberStyle {
    /// `+4930123456` (E.164, RFC 3966 §5.1.4).
    #[default]
    E164,
    /// `4930123456`.
    Digits,
    /// `004930123456`: with the plan's international prefix.
    International,
    /// `030123456` within the plan's country, else as `International`.
    National,
    /// As it came.
    Raw,
}

/// How a trunk wants numbers written, with what it strips and adds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NumberForm {
    /// The style.
    pub style: NumberStyle,
    /// Taken off the front of what the style gives, if it is there.
    pub strip: Arc<str>,
    /// Put before it then: a tech prefix.
    pub prefix: Arc<str>,
}

impl fmt::Display for NumberKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::International => "international",
            Self::Short => "short",
            Self::Emergency => "emergency",
            Self::Extension => "extension",
            Self::Unknown => "unknown",
        })
    }
}

/// Fewest and most digits of an international number, country code included: E.164 §6.2.1 allows
/// 15; no country has fewer than 7.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// As many digits as a short number has behind a country code.
const SHORT_DIGITS_MAX: usize = 6;

/// Longer texts than this are no number: nothing longer is kept.
const RAW_MAX: usize = 128;

impl Number {
    /// No number at all.
    pub fn none() -> Self {
        Self::unknown("")
    }

    /// A name, or nothing.
    fn unknown(raw: &str) -> Self {
        let mut end = raw.len().min(RAW_MAX);
        while !raw.is_char_boundary(end) {
            end -= 1;
        }
        let raw: Arc<str> = raw[..end].into();
        Self { normalised: raw.clone(), raw, kind: NumberKind::Unknown }
    }

    /// Whether it is no number, or a hidden one.
    pub fn is_unknown(&self) -> bool {
        self.kind == NumberKind::Unknown
    }

    /// Whether it is nothing that could be dialled back: a name, `anonymous`, nothing at all. Digits
    /// that the plan makes nothing of are a number nevertheless.
    pub fn is_nobody(&self) -> bool {
        self.is_unknown() && Written::read(&self.raw).is_none()
    }

    /// Whether it fits a pattern, normalised or as it came: the same text, or the same beginning
    /// where the pattern ends in `*`.
    pub fn matches(&self, pattern: &str) -> bool {
        fits(&self.normalised, pattern) || fits(&self.raw, pattern)
    }

    /// The number in the form shown to people: E.164 where it is international, else as it came.
    pub fn shown(&self) -> &str {
        match self.kind {
            NumberKind::International => &self.normalised,
            NumberKind::Short
            | NumberKind::Emergency
            | NumberKind::Extension
            | NumberKind::Unknown => &self.raw,
        }
    }
}

/// Whether a text fits a pattern: equal, or begun by what stands before its final `*`.
pub fn fits(text: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => text == pattern,
    }
}

impl Default for DialPlan {
    /// A plan that knows no country: only `+` and `00` lead anywhere.
    fn default() -> Self {
        Self {
            country_code: "".into(),
            national_prefix: "".into(),
            international_prefix: "00".into(),
            area_code: "".into(),
            digits_are_international: false,
            extension_digits_max: 0,
            short: Vec::new(),
            emergency: Vec::new(),
        }
    }
}

impl DialPlan {
    /// Reads a number: the user part of a SIP or tel URI, or what a person wrote.
    pub fn read(&self, raw: &str) -> Number {
        let found = Written::read(raw).and_then(|written| self.meaning(written));
        match found {
            Some((normalised, kind)) => {
                Number { raw: raw.into(), normalised: normalised.into(), kind }
            }
            None => Number::unknown(raw),
        }
    }

    fn meaning(&self, written: Written) -> Option<(String, NumberKind)> {
        let Written { plus, digits, trunk_zero, context } = written;
        if let Some(context) = context {
            // RFC 3966 §5.1.5: the digits are as they are dialled there; at home, where we dial too.
            return match self.is_home(&context).then(|| self.code(&digits)).flatten() {
                Some(kind) => Some((digits, kind)),
                None => self.international(&format!("{context}{digits}"), None),
            };
        }
        if plus {
            return self.international(&digits, trunk_zero);
        }
        if let Some(kind) = self.code(&digits) {
            return Some((digits, kind));
        }
        if digits.len() <= usize::from(self.extension_digits_max) {
            return Some((digits, NumberKind::Extension));
        }
        let abroad =
            digits.strip_prefix(&*self.country_code).filter(|_| self.digits_are_international);
        if let Some(help) = abroad.filter(|rest| self.is_emergency(rest)) {
            return Some((help.to_owned(), NumberKind::Emergency));
        }
        match self.national(&digits) {
            Whole::International(rest) => {
                let zero = trunk_zero.and_then(|at| at.checked_sub(digits.len() - rest.len()));
                self.international(rest, zero)
            }
            Whole::National(rest) if !self.country_code.is_empty() => {
                international(&format!("{}{rest}", self.country_code))
            }
            Whole::National(_) => None,
        }
    }

    /// What digits behind `+` or an international prefix mean. A telephone that writes every number
    /// with its country code writes +49112 too. `trunk_zero`: where among them a 0 in brackets stands,
    /// which is dialled at home alone.
    fn international(
        &self,
        digits: &str,
        trunk_zero: Option<usize>,
    ) -> Option<(String, NumberKind)> {
        let mut digits = digits.to_owned();
        let is_dialled = self.is_home(&digits) && &*self.national_prefix != "0";
        if let Some(at) = trunk_zero.filter(|at| *at > 0 && !is_dialled) {
            digits.remove(at);
        }
        let rest = digits.strip_prefix(&*self.country_code).unwrap_or_default();
        match self.code(rest) {
            Some(NumberKind::Short) if self.country_code.is_empty() => international(&digits),
            // Behind the country code a pattern such as 1* fits whole numbers too.
            Some(NumberKind::Short) if rest.len() > SHORT_DIGITS_MAX => international(&digits),
            Some(kind) => Some((rest.to_owned(), kind)),
            None => international(&digits),
        }
    }

    /// Whether digits begin with our country code.
    fn is_home(&self, digits: &str) -> bool {
        !self.country_code.is_empty() && digits.starts_with(&*self.country_code)
    }

    /// Whether a number without any prefix calls for help or is a short one.
    fn code(&self, digits: &str) -> Option<NumberKind> {
        let is_short = || self.short.iter().any(|pattern| fits(digits, pattern));
        match digits {
            "" => None,
            digits if self.is_emergency(digits) => Some(NumberKind::Emergency),
            _ if is_short() => Some(NumberKind::Short),
            _ => None,
        }
    }

    /// Whether a number without any prefix calls for help.
    fn is_emergency(&self, digits: &str) -> bool {
        !digits.is_empty() && self.emergency.iter().any(|number| **number == *digits)
    }

    /// Every form in which a number that calls for help is dialled, digits alone or behind a `+`.
    pub fn emergency_forms(&self) -> Vec<Arc<str>> {
        let mut prefixes = vec![String::new()];
        if !self.country_code.is_empty() {
            prefixes.push(format!("+{}", self.country_code));
            if !self.international_prefix.is_empty() {
                prefixes.push(format!("{}{}", self.international_prefix, self.country_code));
            }
            if self.digits_are_international {
                prefixes.push(self.country_code.to_string());
            }
        }
        let forms = |number: &Arc<str>| {
            prefixes.iter().map(|prefix| format!("{prefix}{number}").into()).collect::<Vec<_>>()
        };
        self.emergency.iter().filter(|number| !number.is_empty()).flat_map(forms).collect()
    }

    /// Takes the prefix off.
    fn national<'a>(&self, digits: &'a str) -> Whole<'a> {
        let prefix = |prefix: &str| match prefix {
            "" => None,
            prefix => digits.strip_prefix(prefix),
        };
        if let Some(rest) = prefix(&self.international_prefix) {
            return Whole::International(rest);
        }
        // No country code begins with 0 (E.164 list of assigned codes), but one may begin with the
        // 8 or the 1 that is dialled before national numbers elsewhere.
        if self.digits_are_international && !digits.starts_with('0') {
            return Whole::International(digits);
        }
        match prefix(&self.national_prefix) {
            Some(rest) => Whole::National(rest.into()),
            None => Whole::National(format!("{}{digits}", self.area_code)),
        }
    }
}

/// A number without its prefix.
enum Whole<'a> {
    International(&'a str),
    National(String),
}

/// A number as it stands in its text.
struct Written {
    /// Whether a `+` stands before it.
    plus: bool,
    /// Without separators (RFC 3966 §5.1.1) and parameters.
    digits: String,
    /// Where among them a 0 stands in brackets: `+49 (0)30`.
    trunk_zero: Option<usize>,
    /// The digits of a global `phone-context` (RFC 3966 §5.1.5), where it has no `+`.
    context: Option<String>,
}

impl Written {
    /// `None` for anything that is no number.
    fn read(raw: &str) -> Option<Self> {
        let text = raw.trim();
        let (number, parameters) = text.split_once(';').unwrap_or((text, ""));
        let (plus, number) = match number.strip_prefix('+') {
            Some(rest) => (true, rest),
            None => (false, number),
        };
        let context = parameters.split(';').find_map(|it| it.strip_prefix("phone-context=+"));
        let context = match context.filter(|_| !plus) {
            Some(context) => Some(digits_in(context)?),
            None => None,
        };
        let trunk_zero = number.find("(0)").and_then(|at| Some(digits_in(&number[..at])?.len()));
        Some(Self { plus, digits: digits_in(number)?, trunk_zero, context })
    }
}

/// The digits of a text that has nothing else but separators; `None`: it has, or no digits, or is too
/// long.
fn digits_in(text: &str) -> Option<String> {
    let is_separator = |letter: char| matches!(letter, '-' | '.' | '(' | ')' | ' ' | '/');
    let digits: String =
        text.chars().filter(|letter| !is_separator(*letter)).take(RAW_MAX + 1).collect();
    let is_number = (1..=RAW_MAX).contains(&digits.len());
    (is_number && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

/// Digits with their country code.
fn international(digits: &str) -> Option<(String, NumberKind)> {
    let valid = DIGITS.contains(&digits.len()) && !digits.starts_with('0');
    valid.then(|| (format!("+{digits}"), NumberKind::International))
}

impl NumberForm {
    /// A number as the trunk wants it. Short and emergency numbers, extensions and names are written
    /// as they are.
    pub fn write(&self, number: &Number, plan: &DialPlan) -> Arc<str> {
        if number.kind != NumberKind::International {
            return number.normalised.clone();
        }
        let digits = number.normalised.trim_start_matches('+');
        let international = || format!("{}{digits}", plan.international_prefix);
        let text = match self.style {
            NumberStyle::E164 => number.normalised.to_string(),
            NumberStyle::Digits => digits.to_owned(),
            NumberStyle::International => international(),
            NumberStyle::National => match digits.strip_prefix(&*plan.country_code) {
                Some(rest) if !plan.country_code.is_empty() => {
                    format!("{}{rest}", plan.national_prefix)
                }
                Some(_) | None => international(),
            },
            NumberStyle::Raw => number.raw.to_string(),
        };
        let rest = text.strip_prefix(&*self.strip).unwrap_or(&text);
        format!("{}{rest}", self.prefix).into()
    }
}

#[cfg(test)]
mod tests;
