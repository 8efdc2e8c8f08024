//! Lawful hours where the contact is.
//!
//! Calls nothing. Called by `campaign`, and by the store when it decides a permit.

const DAY_MIN: u16 = 24 * 60;

/// Whether dialling is allowed at `wall_ms` (Unix milliseconds). `window_minutes` is `[from, to)`
/// in minutes of the day at `utc_offset_min` east of UTC; `(0, 1440)` is always, an end before the
/// beginning runs over midnight, and an empty one (`from == to`) is never.
pub fn is_open(window_minutes: (u16, u16), utc_offset_min: i16, wall_ms: u64) -> bool {
    contains(window_minutes, minute_of_day(wall_ms, utc_offset_min))
}

/// The next instant (Unix milliseconds) from `wall_ms` on at which dialling is allowed: `wall_ms`
/// itself while it is. `None` when it never is.
pub fn next_opening(window_minutes: (u16, u16), utc_offset_min: i16, wall_ms: u64) -> Option<u64> {
    if is_open(window_minutes, utc_offset_min, wall_ms) {
        return Some(wall_ms);
    }
    // A beginning at 24:00 is midnight; the window may still be empty.
    let opening = if window_minutes.0 < DAY_MIN { window_minutes.0 } else { 0 };
    if !contains(window_minutes, opening) {
        return None;
    }
    let minute = minute_of_day(wall_ms, utc_offset_min);
    let minutes_left = (opening + DAY_MIN - minute) % DAY_MIN;
    Some((wall_ms / 60_000 + u64::from(minutes_left)) * 60_000)
}

fn contains((from, to): (u16, u16), minute: u16) -> bool {
    if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to }
}

fn minute_of_day(wall_ms: u64, utc_offset_min: i16) -> u16 {
    let minutes = i64::try_from(wall_ms / 60_000).unwrap_or(i64::MAX / 2);
    let minute = (minutes + i64::from(utc_offset_min)).rem_euclid(i64::from(DAY_MIN));
    u16::try_from(minute).expect("a day has 1,440 minutes")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2027-01-15 08:00 UTC.
    const EIGHT: u64 = 1_800_000_000_000;
    const HOUR: u64 = 3_600_000;

    #[test]
    fn windows_by_day_over_midnight_always_and_never() {
        // (window, offset, at, open, next opening)
        let cases = [
            ((480, 1260), 0, EIGHT, true, Some(EIGHT)),
            ((480, 1260), 0, EIGHT - 1, false, Some(EIGHT)),
            ((480, 1260), 0, EIGHT + 13 * HOUR - 1, true, Some(EIGHT + 13 * HOUR - 1)),
            ((480, 1260), 0, EIGHT + 13 * HOUR, false, Some(EIGHT + 24 * HOUR)),
            // 13:00 in UTC+5, 03:00 in UTC-5: there it opens five hours later.
            ((480, 1260), 300, EIGHT, true, Some(EIGHT)),
            ((480, 1260), -300, EIGHT, false, Some(EIGHT + 5 * HOUR)),
            // Half past five in the east: India.
            ((810, 811), 330, EIGHT + 29_999, true, Some(EIGHT + 29_999)),
            ((810, 811), 330, EIGHT + 60_000, false, Some(EIGHT + 24 * HOUR)),
            // 22:00 to 06:00.
            ((1320, 360), 0, EIGHT, false, Some(EIGHT + 14 * HOUR)),
            ((1320, 360), 0, EIGHT + 14 * HOUR, true, Some(EIGHT + 14 * HOUR)),
            ((1320, 360), 0, EIGHT + 22 * HOUR - 1, true, Some(EIGHT + 22 * HOUR - 1)),
            ((1320, 360), 0, EIGHT + 22 * HOUR, false, Some(EIGHT + 38 * HOUR)),
            ((0, 1440), -720, EIGHT, true, Some(EIGHT)),
            ((600, 600), 0, EIGHT, false, None),
            ((1440, 1500), 0, EIGHT, false, None),
            // From midnight on, written as the end of the day.
            ((1440, 60), 0, EIGHT, false, Some(EIGHT + 16 * HOUR)),
        ];
        for (window, offset, at, open, next) in cases {
            assert_eq!(is_open(window, offset, at), open, "{window:?} {offset} {at}");
            assert_eq!(next_opening(window, offset, at), next, "{window:?} {offset} {at}");
        }
    }

    #[test]
    fn the_next_opening_is_open_and_nothing_before_it_is() {
        for from in (0..1440).step_by(97) {
            for to in (1..=1440).step_by(89) {
                let at = EIGHT + 12_345_678;
                let Some(next) = next_opening((from, to), 330, at) else {
                    assert_eq!(from, to);
                    continue;
                };
                assert!(is_open((from, to), 330, next));
                assert!((at / 60_000..next / 60_000).all(|m| !is_open(
                    (from, to),
                    330,
                    m * 60_000
                )));
            }
        }
    }
}
