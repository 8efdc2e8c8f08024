//! TN Authorization List (RFC 8226 §9): for which numbers a certificate may sign.

use crate::der::{Der, tag, unsigned};
use crate::number::NUMBER_MAX;

/// What one entry allows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TnEntry {
    /// Every number that this service provider holds; which those are is not in the certificate.
    ServiceProvider(Box<str>),
    /// So many numbers (at least 2) from this one on, all of one length.
    Range {
        /// The first.
        start: Box<str>,
        /// How many.
        count: u64,
    },
    /// This number.
    One(Box<str>),
}

/// What a certificate may sign for: at least one entry, at most [`ENTRIES_MAX`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TnList {
    entries: Vec<TnEntry>,
}

/// More entries are refused: a list of that length is given by reference (RFC 8226 §10.1).
pub const ENTRIES_MAX: usize = 4_096;

impl TnList {
    /// Reads the extension's value; `None` when it is malformed or too long.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let mut outer = Der::new(value);
        let mut list = outer.enter(tag::SEQUENCE)?;
        let mut entries = Vec::new();
        while let Some((kind, contents)) = list.next() {
            if entries.len() >= ENTRIES_MAX {
                return None;
            }
            entries.push(parse_entry(kind, contents)?);
        }
        (list.is_empty() && outer.is_empty() && !entries.is_empty()).then_some(Self { entries })
    }

    /// The entries.
    pub fn entries(&self) -> &[TnEntry] {
        &self.entries
    }

    /// The first service provider's code, for the record.
    pub fn provider(&self) -> Option<&str> {
        self.entries.iter().find_map(|entry| match entry {
            TnEntry::ServiceProvider(code) => Some(&**code),
            TnEntry::Range { .. } | TnEntry::One(_) => None,
        })
    }

    /// Whether a canonical `number` is covered. A service provider's code covers all numbers: the
    /// authority that gave it vouches for its holder, as SHAKEN has it.
    pub fn covers(&self, number: &str) -> bool {
        self.entries.iter().any(|entry| match entry {
            TnEntry::ServiceProvider(_) => true,
            TnEntry::One(one) => **one == *number,
            TnEntry::Range { start, count } => {
                start.len() == number.len()
                    && matches!((start.parse::<u64>(), number.parse::<u64>()), (Ok(first), Ok(number))
                        if number >= first && number - first < *count)
            }
        })
    }

    /// Whether all that `other` allows is allowed here too (RFC 8226 §9: a list in a CA certificate
    /// limits what is below it).
    pub fn encompasses(&self, other: &Self) -> bool {
        other.entries.iter().all(|entry| match entry {
            TnEntry::ServiceProvider(_) => self.entries.contains(entry),
            TnEntry::One(number) => self.covers(number),
            TnEntry::Range { start, count } => self.covers_range(start, *count),
        })
    }

    fn covers_range(&self, start: &str, count: u64) -> bool {
        let Ok(first) = start.parse::<u64>() else { return false };
        self.entries.iter().any(|entry| match entry {
            TnEntry::ServiceProvider(_) => true,
            TnEntry::One(_) => false,
            TnEntry::Range { start: ours, count: our_count } => {
                ours.len() == start.len()
                    && ours
                        .parse::<u64>()
                        .is_ok_and(|ours| first >= ours && first + count <= ours + our_count)
            }
        })
    }
}

/// The module of RFC 8226 has explicit tags: each choice wraps an element of its own.
fn parse_entry(kind: u8, contents: &[u8]) -> Option<TnEntry> {
    let mut inner = Der::new(contents);
    let entry = match kind {
        kind if kind == tag::context(0) => {
            let code = inner.take(tag::IA5_STRING)?;
            let plain = !code.is_empty() && code.len() <= 64 && code.is_ascii();
            TnEntry::ServiceProvider(plain.then(|| std::str::from_utf8(code).ok())??.into())
        }
        kind if kind == tag::context(1) => {
            let mut range = inner.enter(tag::SEQUENCE)?;
            let start = telephone_number(range.take(tag::IA5_STRING)?)?;
            let count = unsigned(range.take(tag::INTEGER)?)?;
            // RFC 8226 §9: digits only, and start + count stays below 10 to the number's length.
            let limit = 10_u64.pow(start.len() as u32);
            let first: u64 = start.parse().ok()?;
            if count < 2 || first.checked_add(count)? >= limit {
                return None;
            }
            TnEntry::Range { start: start.into(), count }
        }
        kind if kind == tag::context(2) => {
            TnEntry::One(telephone_number(inner.take(tag::IA5_STRING)?)?.into())
        }
        _ => return None,
    };
    inner.is_empty().then_some(entry)
}

fn telephone_number(text: &[u8]) -> Option<&str> {
    let fits = !text.is_empty() && text.len() <= NUMBER_MAX;
    let plain = text.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'#' | b'*'));
    (fits && plain).then(|| std::str::from_utf8(text).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_kit::{element, ia5};

    fn list(entries: &[Vec<u8>]) -> Option<TnList> {
        TnList::parse(&element(tag::SEQUENCE, &entries.concat()))
    }

    fn provider(code: &str) -> Vec<u8> {
        element(tag::context(0), &ia5(code))
    }

    fn range(start: &str, count: &[u8]) -> Vec<u8> {
        let inside = [ia5(start), element(tag::INTEGER, count)].concat();
        element(tag::context(1), &element(tag::SEQUENCE, &inside))
    }

    fn one(number: &str) -> Vec<u8> {
        element(tag::context(2), &ia5(number))
    }

    #[test]
    fn a_number_is_covered_by_provider_range_or_itself() {
        let held = list(&[provider("1234")]).unwrap();
        assert!(held.covers("12155551212") && held.provider() == Some("1234"));
        let held = list(&[range("12155551000", &[0x03, 0xe8]), one("*98")]).unwrap();
        for (number, covered) in [
            ("12155551000", true),
            ("12155551999", true),
            ("12155552000", false),
            ("12155550999", false),
            ("2155551000", false),
            ("*98", true),
            ("*99", false),
        ] {
            assert_eq!(held.covers(number), covered, "{number}");
        }
    }

    #[test]
    fn what_an_authority_may_not_give_is_not_had() {
        let authority = list(&[range("12155551000", &[0x03, 0xe8]), provider("1")]).unwrap();
        let narrow = list(&[range("12155551000", &[0x03, 0xe8])]).unwrap();
        for (subject, within) in [
            (one("12155551500"), true),
            (one("12155552500"), false),
            (range("12155551100", &[100]), true),
            (range("12155551990", &[100]), false),
            (provider("1"), false),
        ] {
            let subject = list(&[subject]).unwrap();
            assert_eq!(narrow.encompasses(&subject), within, "{subject:?}");
        }
        assert!(authority.encompasses(&list(&[provider("1")]).unwrap()));
        assert!(!authority.encompasses(&list(&[provider("2")]).unwrap()));
    }

    #[test]
    fn malformed_lists_are_no_lists() {
        for (entries, why) in [
            (vec![], "no entry"),
            (vec![range("10", &[90])], "the count makes the number longer (RFC 8226 §9)"),
            (vec![range("10", &[1])], "a range of one"),
            (vec![range("1#", &[2])], "a range of no number"),
            (vec![one("1234567890123456")], "sixteen digits"),
            (vec![one("+1")], "a plus"),
            (vec![element(tag::context(3), &ia5("1"))], "an unknown choice"),
            (vec![ia5("1")], "no choice"),
        ] {
            assert_eq!(list(&entries), None, "{why}");
        }
    }
}
