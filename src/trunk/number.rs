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
        self.is_unknown() && digits_of(&self.raw).is_none()
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
        let Some((plus, digits)) = digits_of(raw) else { return Number::unknown(raw) };
        let known = |normalised: &str, kind| Number {
            raw: raw.into(),
            normalised: normalised.into(),
            kind,
        };
        let international = |digits: &str| {
            let valid = DIGITS.contains(&digits.len()) && !digits.starts_with('0');
            match valid {
                true => known(&format!("+{digits}"), NumberKind::International),
                false => Number::unknown(raw),
            }
        };
        if plus {
            // A telephone that writes every number with its country code writes +49112 too.
            return match digits.strip_prefix(&*self.country_code) {
                Some(rest) if self.is_emergency(rest) => known(rest, NumberKind::Emergency),
                Some(_) | None => international(&digits),
            };
        }
        if self.is_emergency(&digits) {
            return known(&digits, NumberKind::Emergency);
        }
        if self.short.iter().any(|pattern| fits(&digits, pattern)) {
            return known(&digits, NumberKind::Short);
        }
        if digits.len() <= usize::from(self.extension_digits_max) {
            return known(&digits, NumberKind::Extension);
        }
        match self.national(&digits) {
            Whole::International(digits) => international(digits),
            Whole::National(rest) if !self.country_code.is_empty() => {
                international(&format!("{}{rest}", self.country_code))
            }
            Whole::National(_) => Number::unknown(raw),
        }
    }

    /// Whether a number without any prefix calls for help.
    pub fn is_emergency(&self, digits: &str) -> bool {
        !digits.is_empty() && self.emergency.iter().any(|number| **number == *digits)
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

/// Whether there was a `+`, and the digits without separators (RFC 3966 §5.1.1) and parameters;
/// `None` for anything that is no number. A global `phone-context` (RFC 3966 §5.1.5) is put before.
fn digits_of(raw: &str) -> Option<(bool, String)> {
    let text = raw.trim();
    let (number, parameters) = text.split_once(';').unwrap_or((text, ""));
    let context = parameters
        .split(';')
        .find_map(|parameter| parameter.strip_prefix("phone-context=+"))
        .filter(|_| !number.starts_with('+'));
    let (plus, number) = match (number.strip_prefix('+'), context) {
        (Some(rest), _) => (true, rest.to_owned()),
        (None, Some(context)) => (true, format!("{context}{number}")),
        (None, None) => (false, number.to_owned()),
    };
    if number.len() > RAW_MAX {
        return None;
    }
    let is_separator = |character| matches!(character, '-' | '.' | '(' | ')' | ' ' | '/');
    let digits: String = number.chars().filter(|character| !is_separator(*character)).collect();
    let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    whole.then_some((plus, digits))
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
