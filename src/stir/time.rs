//! Dates as certificates and `Date` headers write them, in Unix seconds.

/// The Unix second of a `Date` header's value (RFC 3261 §20.17: always GMT), such as
/// `Sat, 13 Nov 2010 23:29:00 GMT`; `None` when it is no such date. The day of the week is not
/// compared.
pub fn parse_sip_date(value: &str) -> Option<u64> {
    let (_, date) = value.trim().split_once(',')?;
    let mut words = date.split_ascii_whitespace();
    let day = number(words.next()?, 1, 2)?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))? as u64 + 1;
    let year = number(words.next()?, 4, 4)?;
    let mut time = words.next()?.split(':');
    let (hour, minute) = (number(time.next()?, 2, 2)?, number(time.next()?, 2, 2)?);
    let second = number(time.next()?, 2, 2)?;
    if !words.next()?.eq_ignore_ascii_case("GMT") || words.next().is_some() || time.next().is_some()
    {
        return None;
    }
    unix_seconds([year, month, day, hour, minute, second])
}

/// A `Date` header's value for a Unix second.
pub fn print_sip_date(unix_s: u64) -> String {
    let days = unix_s / 86_400;
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (unix_s / 3_600 % 24, unix_s / 60 % 60, unix_s % 60);
    // 1 January 1970 was a Thursday.
    let weekday = WEEKDAYS[(days + 3) as usize % 7];
    let month = MONTHS[month as usize - 1];
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

/// UTCTime as RFC 5280 §4.1.2.5.1 has it: `YYMMDDHHMMSSZ`, years 50–99 in the last century.
pub(crate) fn parse_utc_time(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let year = number(text.get(..2)?, 2, 2)?;
    let century = if year >= 50 { 1900 } else { 2000 };
    parse_after_year(century + year, text.get(2..)?)
}

/// GeneralizedTime as RFC 5280 §4.1.2.5.2 has it: `YYYYMMDDHHMMSSZ`.
pub(crate) fn parse_generalized_time(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    parse_after_year(number(text.get(..4)?, 4, 4)?, text.get(4..)?)
}

fn parse_after_year(year: u64, rest: &str) -> Option<u64> {
    let digits = rest.strip_suffix('Z').filter(|digits| digits.len() == 10)?;
    let two = |at: usize| number(digits.get(at..at + 2)?, 2, 2);
    unix_seconds([year, two(0)?, two(2)?, two(4)?, two(6)?, two(8)?])
}

fn number(text: &str, shortest: usize, longest: usize) -> Option<u64> {
    let fits = (shortest..=longest).contains(&text.len());
    (fits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Days since 1970 by the arithmetic of the Gregorian calendar: years begin in March, so that the
/// day of a leap year comes last.
fn unix_seconds([year, month, day, hour, minute, second]: [u64; 6]) -> Option<u64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let longest = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    // 60 is a leap second.
    if !(1..=longest).contains(&day) || hour > 23 || minute > 59 || second > 60 || year < 1970 {
        return None;
    }
    let (shifted, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400;
    // 719,468 days lie between 1 March of year 0 and 1 January 1970.
    let days = before + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// The inverse of the above: year, month from 1 and day from 1.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_sip_are_read_and_printed() {
        let table = [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sat, 13 Nov 2010 23:29:00 GMT", Some(1_289_690_940)),
            ("Tue, 29 Feb 2000 12:00:00 GMT", Some(951_825_600)),
            ("Fri, 25 Sep 2015 19:12:25 GMT", Some(1_443_208_345)),
        ];
        for (text, unix) in table {
            assert_eq!(parse_sip_date(text), unix, "{text}");
            assert_eq!(unix.map(print_sip_date).as_deref(), Some(text));
        }
        for malformed in [
            "",
            "Sat, 13 Nov 2010 23:29:00 CET",
            "Sat, 31 Nov 2010 23:29:00 GMT",
            "Sat, 13 Nov 2010 24:29:00 GMT",
            "Mon, 29 Feb 2100 12:00:00 GMT",
            "Sat, 13 Nov 2010 23:29 GMT",
            "13 Nov 2010 23:29:00 GMT",
            "Sat, 13 Nov 2010 23:29:00 GMT and more",
        ] {
            assert_eq!(parse_sip_date(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn both_times_of_certificates_are_read() {
        assert_eq!(parse_utc_time(b"700101000000Z"), Some(0));
        assert_eq!(parse_utc_time(b"491231235959Z"), Some(2_524_607_999));
        assert_eq!(parse_generalized_time(b"20500101000000Z"), Some(2_524_608_000));
        assert_eq!(parse_utc_time(b"700101000000"), None);
        assert_eq!(parse_generalized_time("2050010100000\u{fc}".as_bytes()), None);
    }
}
