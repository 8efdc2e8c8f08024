//! Times as the API writes them: RFC 3339 in UTC with milliseconds.

use jiff::Timestamp;

/// The time now in Unix milliseconds.
pub fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// Prints Unix milliseconds as `2026-11-20T07:00:00.000Z`; beyond year 9999 as its last instant.
pub fn print(wall_ms: u64) -> String {
    let wall_ms = i64::try_from(wall_ms).unwrap_or(i64::MAX);
    let time = Timestamp::from_millisecond(wall_ms).unwrap_or(Timestamp::MAX);
    format!("{time:.3}")
}

/// Reads an RFC 3339 time with its offset; `None` for anything else and for times before 1970.
pub fn parse(text: &str) -> Option<u64> {
    let time: Timestamp = text.trim().parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_in_utc_and_read_with_any_offset() {
        assert_eq!(print(1_800_000_000_123), "2027-01-15T08:00:00.123Z");
        assert_eq!(parse("2027-01-15T08:00:00.123Z"), Some(1_800_000_000_123));
        assert_eq!(parse("2027-01-15T09:00:00+01:00"), Some(1_800_000_000_000));
        assert_eq!(parse("2027-01-15 09:00"), None);
        assert_eq!(parse("1969-01-01T00:00:00Z"), None);
        assert!(print(u64::MAX).starts_with("9999-12-3"));
    }
}
