//! Durations and times as people write and read them.

use std::time::Duration;

use cdm_models::Timestamp;
use jiff::{SignedDuration, Span, SpanRelativeTo, civil, tz::TimeZone};

/// A duration: `90s`, `2m`, `1h 30m`, `3d`. A day has 24 hours.
///
/// # Errors
///
/// When it is not a duration, or is below zero.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration; write one such as 90s, 2m, 1h or 3d");
    let span: Span = text.trim().parse().map_err(|_| wrong())?;
    let exact = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    Duration::try_from(exact).map_err(|_| wrong())
}

/// A point in the past: a duration before `now`, a time with its offset from UTC, or a day or time in UTC.
///
/// # Errors
///
/// When it is none of these.
pub(crate) fn parse_since(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(duration) = parse_duration(text) {
        let before =
            i64::try_from(duration.as_micros()).ok().and_then(|micros| now.as_microsecond().checked_sub(micros));
        return before
            .and_then(|at| Timestamp::from_microsecond(at).ok())
            .ok_or_else(|| format!("`{text}` is too long ago"));
    }
    let at = text
        .trim()
        .parse::<jiff::Timestamp>()
        .or_else(|_| TimeZone::UTC.to_timestamp(text.trim().parse::<civil::DateTime>()?));
    let at = at.ok().and_then(|at| Timestamp::from_microsecond(at.as_microsecond()).ok());
    at.ok_or_else(|| {
        format!("`{text}` is neither a duration such as 2h or 3d nor a time such as 2026-01-31 or 2026-01-31T18:00Z")
    })
}

/// A time as tables show it, in UTC and to the minute: `2026-01-31 18:00`.
pub(crate) fn to_the_minute(time: Timestamp) -> String {
    time.to_string().chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

/// A duration as tables show it: `0.4s`, `12.3s`, `1m 40s`, `2h 5m`.
pub(crate) fn shown(duration: Duration) -> String {
    if duration < Duration::from_secs(60) {
        return format!("{:.1}s", duration.as_secs_f64());
    }
    let seconds = duration.as_secs();
    let rounded = if seconds < 3600 { seconds } else { seconds / 60 * 60 };
    format!("{:#}", SignedDuration::from_secs(i64::try_from(rounded).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, seconds) in [("90s", 90), ("2m", 120), ("1h 30m", 5400), ("3d", 259_200), ("0s", 0)] {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        for wrong in ["", "2", "-2m", "2 apples", "1 month"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_point_in_the_past_is_a_duration_or_a_time() {
        let now = Timestamp::parse("2026-01-31T18:00:00Z").unwrap();
        for (text, expected) in [
            ("2h", "2026-01-31T16:00:00Z"),
            ("3d", "2026-01-28T18:00:00Z"),
            ("2026-01-30", "2026-01-30T00:00:00Z"),
            ("2026-01-30 12:30", "2026-01-30T12:30:00Z"),
            ("2026-01-30T12:30:00+02:00", "2026-01-30T10:30:00Z"),
        ] {
            assert_eq!(parse_since(text, now).unwrap(), Timestamp::parse(expected).unwrap(), "{text}");
        }
        assert!(parse_since("yesterday", now).is_err());
    }

    #[test]
    fn durations_and_times_are_shown() {
        for (milliseconds, text) in [(0, "0.0s"), (12_345, "12.3s"), (100_400, "1m 40s"), (7_530_000, "2h 5m")] {
            assert_eq!(shown(Duration::from_millis(milliseconds)), text);
        }
        assert_eq!(to_the_minute(Timestamp::parse("2026-01-31T18:05:59Z").unwrap()), "2026-01-31 18:05");
    }
}
