//! A telephone number, parsed once at the border.

use std::fmt;
use std::sync::Arc;

/// A dialable number: an optional `+` and 2 to 15 digits (E.164 §6.1 allows 15 after the `+`;
/// shorter ones are extensions and service numbers).
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct PhoneNumber(Arc<str>);

/// Why a text is no telephone number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PhoneNumberError {
    /// It has a character other than digits, a leading `+`, and the separators `-`, `.`, `(`, `)`, space.
    Character(char),
    /// It has fewer than 2 digits.
    TooShort,
    /// It has more than 15 digits (E.164 §6.1).
    TooLong,
}

impl fmt::Display for PhoneNumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character(found) => write!(f, "a telephone number has no {found:?}"),
            Self::TooShort => f.write_str("a telephone number has at least 2 digits"),
            Self::TooLong => f.write_str("a telephone number has at most 15 digits"),
        }
    }
}

impl std::error::Error for PhoneNumberError {}

impl PhoneNumber {
    /// Reads a number, dropping visual separators (RFC 3966 §5.1.1).
    ///
    /// # Errors
    /// [`PhoneNumberError`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, PhoneNumberError> {
        let text = text.trim();
        let (plus, rest) = match text.strip_prefix('+') {
            Some(rest) => ("+", rest),
            None => ("", text),
        };
        let mut digits = String::from(plus);
        for character in rest.chars() {
            match character {
                '0'..='9' => digits.push(character),
                '-' | '.' | '(' | ')' | ' ' => (),
                other => return Err(PhoneNumberError::Character(other)),
            }
        }
        match digits.len() - plus.len() {
            0..=1 => Err(PhoneNumberError::TooShort),
            2..=15 => Ok(Self(digits.into())),
            _ => Err(PhoneNumberError::TooLong),
        }
    }

    /// The number as dialled: `+` if it had one, then digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits alone.
    pub fn digits(&self) -> &str {
        self.0.trim_start_matches('+')
    }

    /// All but the last four digits hidden, for logs.
    pub fn masked(&self) -> String {
        let digits = self.digits();
        let shown = digits.len().saturating_sub(4);
        format!("{}{}", "*".repeat(shown), &digits[shown..])
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_dropped_and_faults_are_named() {
        let parse = |text| PhoneNumber::parse(text).map(|number| number.as_str().to_owned());
        assert_eq!(parse(" +49 (30) 123-456 "), Ok("+4930123456".into()));
        assert_eq!(parse("110"), Ok("110".into()));
        assert_eq!(parse("1"), Err(PhoneNumberError::TooShort));
        assert_eq!(parse("+1234567890123456"), Err(PhoneNumberError::TooLong));
        assert_eq!(parse("12a4"), Err(PhoneNumberError::Character('a')));
        assert_eq!(parse("１２３"), Err(PhoneNumberError::Character('１')));
        assert_eq!(PhoneNumber::parse("+4930123456").unwrap().masked(), "******3456");
    }
}
