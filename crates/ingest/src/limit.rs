use std::{fmt, str::FromStr};

use endpoint_api::{Counts, Error, ErrorKind};

/// How many rejects a run may have: a number, or a part of all records that were read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxRejects {
    /// So many.
    Count(u64),
    /// So many of a hundred.
    Percent(f64),
}

impl MaxRejects {
    /// Whether a run that is at an end has too many rejects.
    pub(crate) fn is_exceeded_by(self, counts: &Counts) -> bool {
        match self {
            Self::Count(most) => counts.rejected > most,
            #[allow(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
            Self::Percent(most) => counts.rejected as f64 * 100.0 > most * counts.total() as f64,
        }
    }

    /// Whether a run that goes on has too many already, whatever is still to come.
    pub(crate) fn is_hopeless_after(self, counts: &Counts) -> bool {
        matches!(self, Self::Count(_)) && self.is_exceeded_by(counts)
    }
}

impl fmt::Display for MaxRejects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(most) => write!(f, "{most}"),
            Self::Percent(most) => write!(f, "{most}%"),
        }
    }
}

impl FromStr for MaxRejects {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parsed = match text.strip_suffix('%') {
            Some(percent) => {
                percent.trim().parse().ok().filter(|percent| (0.0..=100.0).contains(percent)).map(Self::Percent)
            }
            None => text.trim().parse().ok().map(Self::Count),
        };
        parsed.ok_or_else(|| {
            let message = format!("`{text}` is no limit: expected a number of records or a share, such as 100 or 0.5%");
            Error::new(ErrorKind::Config, "read a limit", message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_or_a_share() {
        let rejected = |rejected, inserted| Counts { rejected, inserted, ..Counts::default() };
        let limit = |text: &str| text.parse::<MaxRejects>().unwrap();
        assert!(!limit("2").is_exceeded_by(&rejected(2, 0)));
        assert!(limit("2").is_hopeless_after(&rejected(3, 1000)));
        assert!(!limit("10%").is_exceeded_by(&rejected(1, 9)));
        assert!(limit("0.5%").is_exceeded_by(&rejected(1, 100)));
        assert!(!limit("10%").is_hopeless_after(&rejected(1, 0)), "good records may follow");
        assert!(!limit("0%").is_exceeded_by(&rejected(0, 0)));
        for bad in ["", "many", "-1", "101%", "-1%", "NaN%", "1.5"] {
            assert!(bad.parse::<MaxRejects>().is_err(), "{bad}");
        }
    }
}
