use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Whether `id` is a dotted lower-case id such as `cdm.work.item` or `jira.issues`: two or more
/// segments of `a-z`, `0-9` and `_`, each beginning with a letter.
///
/// It is `const`, so that a registration macro can refuse a malformed id at compile time.
pub const fn is_dotted_id(id: &str) -> bool {
    let mut rest = id.as_bytes();
    let mut segments = 1;
    let mut segment_length = 0;
    while let [byte, tail @ ..] = rest {
        match byte {
            b'a'..=b'z' => segment_length += 1,
            b'0'..=b'9' | b'_' if segment_length > 0 => segment_length += 1,
            b'.' if segment_length > 0 => {
                segments += 1;
                segment_length = 0;
            }
            _ => return false,
        }
        rest = tail;
    }
    segments > 1 && segment_length > 0
}

/// The id of a model: `cdm.work.item`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ModelId(Cow<'static, str>);

impl ModelId {
    /// A model id from a constant.
    ///
    /// ```
    /// const ITEM: cdm_models::ModelId = cdm_models::ModelId::from_static("cdm.work.item");
    /// ```
    ///
    /// # Panics
    ///
    /// When `id` is not a dotted lower-case id; in a `const` that is a compile error.
    #[allow(clippy::panic, reason = "meant for constants, where it is a compile error")]
    pub const fn from_static(id: &'static str) -> Self {
        assert!(is_dotted_id(id), "a model id is dotted lower case, such as `cdm.work.item`");
        Self(Cow::Borrowed(id))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Everything before the last dot: `cdm.work` for `cdm.work.item`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('.').map_or("", |(domain, _)| domain)
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ModelId {
    type Err = InvalidId;

    fn from_str(id: &str) -> Result<Self, InvalidId> {
        if is_dotted_id(id) { Ok(Self(Cow::Owned(id.to_owned()))) } else { Err(InvalidId) }
    }
}

impl<'de> Deserialize<'de> for ModelId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The text is not a dotted lower-case id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected two or more dotted lower-case segments, such as `cdm.work.item`")
    }
}

impl std::error::Error for InvalidId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_two_or_more_lower_case_segments() {
        for good in ["cdm.work.item", "a.b", "acme.team_2"] {
            assert!(is_dotted_id(good), "{good}");
        }
        for bad in ["", "cdm", "cdm.", ".cdm", "cdm..item", "Cdm.item", "cdm.2", "cdm.it em", "cdm.é"] {
            assert!(!is_dotted_id(bad), "{bad}");
            assert!(bad.parse::<ModelId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_domain_is_all_but_the_last_segment() {
        assert_eq!(ModelId::from_static("cdm.work.item").domain(), "cdm.work");
    }
}
