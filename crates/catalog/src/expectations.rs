use std::{fmt, str::FromStr};

use endpoint_api::{Error, ErrorKind, Result};
use jiff::{SignedDuration, Span, SpanRelativeTo};

/// What people expect of a dataset. [`health`](crate::health) says whether it is so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expectations {
    /// It is loaded at least that often.
    pub every: Option<Interval>,
    /// It has so many rows.
    pub rows: Option<RowBand>,
}

/// A length of time, in whole seconds and at least one: `24h`, `1d 12h`, `90m`. A day is 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(u32);

impl Interval {
    /// That many seconds; `None` of none.
    pub fn of_seconds(seconds: u32) -> Option<Self> {
        (seconds > 0).then_some(Self(seconds))
    }

    /// Its length in seconds.
    pub const fn seconds(self) -> u32 {
        self.0
    }
}

impl FromStr for Interval {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let message = "an interval is a length of time of at least a second, such as 24h, 90m or 1d 12h";
            Error::new(ErrorKind::Config, "read an interval", message)
        };
        let span: Span = text.parse().map_err(|error| wrong().caused_by(error))?;
        let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|error| wrong().caused_by(error))?;
        let seconds = u32::try_from(length.as_secs()).ok().filter(|_| length.subsec_nanos() == 0);
        seconds.and_then(Self::of_seconds).ok_or_else(wrong)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", SignedDuration::from_secs(self.0.into()))
    }
}

/// A band of row counts with both ends in it: `100..5000`, `1..`, `..5000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowBand {
    from: Option<u64>,
    to: Option<u64>,
}

impl RowBand {
    /// From so many rows to so many; `None` when there is no end or no row count is within.
    pub fn new(from: Option<u64>, to: Option<u64>) -> Option<Self> {
        let is_band = match (from, to) {
            (None, None) => false,
            (Some(from), Some(to)) => from <= to,
            _ => true,
        };
        is_band.then_some(Self { from, to })
    }

    /// The fewest rows.
    pub const fn from(self) -> Option<u64> {
        self.from
    }

    /// The most rows.
    pub const fn to(self) -> Option<u64> {
        self.to
    }

    /// Whether that many rows are within.
    pub fn contains(self, rows: u64) -> bool {
        self.from.is_none_or(|from| from <= rows) && self.to.is_none_or(|to| rows <= to)
    }
}

impl FromStr for RowBand {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let message = "a band of rows has the fewest, the most or both: 100..5000, 1.. or ..5000";
            Error::new(ErrorKind::Config, "read a band of rows", message)
        };
        let (from, to) = text.split_once("..").ok_or_else(wrong)?;
        let end = |text: &str| match text.trim() {
            "" => Ok(None),
            number => number.parse().map(Some).map_err(|_| wrong()),
        };
        Self::new(end(from)?, end(to)?).ok_or_else(wrong)
    }
}

impl fmt::Display for RowBand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |end: Option<u64>| end.map(|rows| rows.to_string()).unwrap_or_default();
        write!(f, "{}..{}", end(self.from), end(self.to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_read_and_written_as_people_do() {
        for (text, seconds, shown) in
            [("24h", 86_400, "24h"), ("90m", 5400, "1h 30m"), ("1d 12h", 129_600, "36h"), ("1 week", 604_800, "168h")]
        {
            let interval: Interval = text.parse().unwrap();
            assert_eq!((interval.seconds(), interval.to_string().as_str()), (seconds, shown), "{text}");
            assert_eq!(interval.to_string().parse::<Interval>().unwrap(), interval);
        }
        for text in ["", "soon", "0s", "-1h", "1 month", "500ms", "200 years"] {
            assert_eq!(text.parse::<Interval>().unwrap_err().kind(), ErrorKind::Config, "{text}");
        }
    }

    #[test]
    fn a_band_has_both_its_ends_in_it() {
        let band: RowBand = "100..5000".parse().unwrap();
        assert!(band.contains(100) && band.contains(5000) && !band.contains(99) && !band.contains(5001));
        assert!("1..".parse::<RowBand>().unwrap().contains(u64::MAX));
        assert!("..0".parse::<RowBand>().unwrap().contains(0));
        for text in ["1..", "..5", "3..3"] {
            assert_eq!(text.parse::<RowBand>().unwrap().to_string(), text);
        }
        for text in ["", "..", "5", "9..1", "a..b", "-1..5", "1...5"] {
            assert_eq!(text.parse::<RowBand>().unwrap_err().kind(), ErrorKind::Config, "{text}");
        }
    }
}
