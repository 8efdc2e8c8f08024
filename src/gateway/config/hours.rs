//! Opening hours: `"Mon-Fri 08:00-18:00"` → minutes of the week.

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_MIN: u16 = 24 * 60;

/// Reads one entry: a day or a range of days, then a range of times. A range of times over midnight
/// runs into the next day. Gives `[from, to)` minutes of the week from Monday 00:00.
///
/// # Errors
/// What is wrong, for a person.
pub(super) fn parse(text: &str) -> Result<Vec<(u16, u16)>, String> {
    let (days, times) = text.split_once(' ').ok_or("has no space between days and times")?;
    let (first, last) = days.split_once('-').unwrap_or((days, days));
    let (first, last) = (day(first)?, day(last)?);
    let (from, to) = times.trim().split_once('-').ok_or("has no `-` between two times")?;
    let (from, to) = (time(from)?, time(to)?);
    let length = match (to + DAY_MIN - from) % DAY_MIN {
        0 => DAY_MIN,
        length => length,
    };
    let days = if last >= first { last - first } else { last + 7 - first };
    let mut minutes = Vec::new();
    for day in first..=first + days {
        let start = (day % 7) * DAY_MIN + from;
        let end = start + length;
        let week = 7 * DAY_MIN;
        minutes.push((start, end.min(week)));
        if end > week {
            minutes.push((0, end - week));
        }
    }
    Ok(minutes)
}

fn day(text: &str) -> Result<u16, String> {
    let lower = text.trim().to_lowercase();
    DAYS.iter()
        .position(|day| *day == lower)
        .and_then(|index| u16::try_from(index).ok())
        .ok_or_else(|| format!("`{text}` is no day"))
}

fn time(text: &str) -> Result<u16, String> {
    let wrong = || format!("`{text}` is no time of day");
    let (hours, minutes) = text.trim().split_once(':').ok_or_else(wrong)?;
    let (hours, minutes): (u16, u16) =
        (hours.parse().map_err(|_| wrong())?, minutes.parse().map_err(|_| wrong())?);
    match (hours, minutes) {
        (0..=23, 0..=59) | (24, 0) => Ok(hours * 60 + minutes),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_become_minutes_of_the_week() {
        assert_eq!(parse("Mon 08:00-18:00"), Ok(vec![(480, 1080)]));
        assert_eq!(parse("Sat-Sun 00:00-24:00"), Ok(vec![(7200, 8640), (8640, 10080)]));
        assert_eq!(parse("Sun 22:00-02:00"), Ok(vec![(9960, 10080), (0, 120)]));
        assert_eq!(parse("Fri-Mon 09:00-10:00").map(|minutes| minutes.len()), Ok(4));
        assert!(parse("Mon08:00-18:00").is_err());
        assert!(parse("Moon 08:00-18:00").is_err());
        assert!(parse("Mon 25:00-26:00").is_err());
    }
}
