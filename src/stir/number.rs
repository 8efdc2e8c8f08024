//! Telephone numbers as a signature holds them (RFC 8224 §8.3).

/// How numbers are dialled where a call came from, to give each its country code.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Numbering {
    /// Country code, digits only; empty: numbers are taken as they are.
    pub country_code: Box<str>,
    /// What stands before a number of the same country, such as `0` or `1`; may be empty.
    pub national_prefix: Box<str>,
    /// What stands before a country code, such as `00` or `011`; may be empty.
    pub international_prefix: Box<str>,
}

/// The longest number held (RFC 8226 §9: `TelephoneNumber` has up to 15 characters).
pub const NUMBER_MAX: usize = 15;

/// The canonical form of a user part: digits, `#` and `*` only, with country code where `numbering`
/// tells how to find it. `None` when nothing of a telephone number is in it, or more than
/// [`NUMBER_MAX`] characters.
pub fn canonical(user: &str, numbering: &Numbering) -> Option<String> {
    // Parameters of the user part (RFC 3966 §3, `npdi`, `phone-context`) are none of the number.
    let user = user.split(';').next().unwrap_or_default().trim();
    // A name is no telephone number, whatever digits it has (RFC 8224 §8.1).
    if !user.bytes().all(|byte| byte.is_ascii_digit() || b"+-.() #*".contains(&byte)) {
        return None;
    }
    let global = user.starts_with('+');
    // §8.3: everything but digits, `#` and `*` is dropped.
    let kept: String =
        user.chars().filter(|kept| kept.is_ascii_digit() || matches!(kept, '#' | '*')).collect();
    let number = match global || numbering.country_code.is_empty() {
        true => kept,
        false => with_country(&kept, numbering),
    };
    (!number.is_empty() && number.len() <= NUMBER_MAX).then_some(number)
}

fn with_country(kept: &str, numbering: &Numbering) -> String {
    let after = |prefix: &str| kept.strip_prefix(prefix).filter(|_| !prefix.is_empty());
    // §8.3: service numbers (`112`, `*98`) have no global form and stay as they are.
    if kept.len() <= SERVICE_MAX || kept.contains(['#', '*']) {
        kept.into()
    } else if let Some(rest) = after(&numbering.international_prefix) {
        rest.into()
    } else if let Some(rest) = after(&numbering.national_prefix) {
        format!("{}{rest}", numbering.country_code)
    } else if kept.starts_with(&*numbering.country_code)
        && kept.len() >= GLOBAL_MIN + numbering.country_code.len()
    {
        kept.into()
    } else {
        format!("{}{kept}", numbering.country_code)
    }
}

/// Numbers up to this length are short codes of a country.
const SERVICE_MAX: usize = 6;
/// A number that begins with the country code is global if at least so many digits follow it.
const GLOBAL_MIN: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_their_canonical_form() {
        let america = Numbering {
            country_code: "1".into(),
            national_prefix: "1".into(),
            international_prefix: "011".into(),
        };
        let germany = Numbering {
            country_code: "49".into(),
            national_prefix: "0".into(),
            international_prefix: "00".into(),
        };
        let plain = Numbering::default();
        for (numbering, user, canonical_form) in [
            (&plain, "+12155551212", Some("12155551212")),
            (&plain, "+1-215-555-1212", Some("12155551212")),
            (&plain, "(215) 555.1212", Some("2155551212")),
            (&plain, "+12155551212;npdi", Some("12155551212")),
            (&plain, "*98", Some("*98")),
            (&plain, "anonymous", None),
            (&plain, "alice42", None),
            (&plain, "", None),
            (&plain, "+", None),
            (&plain, "1234567890123456", None),
            (&america, "2155551212", Some("12155551212")),
            (&america, "12155551212", Some("12155551212")),
            (&america, "01149301234567", Some("49301234567")),
            (&america, "911", Some("911")),
            (&germany, "030 1234567", Some("49301234567")),
            (&germany, "004930123456", Some("4930123456")),
            (&germany, "+4930123456", Some("4930123456")),
            (&germany, "112", Some("112")),
        ] {
            assert_eq!(canonical(user, numbering).as_deref(), canonical_form, "{user}");
        }
    }
}
