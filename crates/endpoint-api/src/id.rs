use std::{borrow::Cow, fmt, str::FromStr};

use cdm_models::is_dotted_id;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $check:expr, $expected:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Cow<'static, str>);

        impl $name {
            /// From a constant.
            ///
            /// # Panics
            ///
            /// When `id` is malformed; in a `const` that is a compile error.
            #[allow(clippy::panic, reason = "meant for constants, where it is a compile error")]
            pub const fn from_static(id: &'static str) -> Self {
                assert!($check(id), $expected);
                Self(Cow::Borrowed(id))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(id: &str) -> Result<Self, Error> {
                if $check(id) {
                    Ok(Self(Cow::Owned(id.to_owned())))
                } else {
                    Err(Error::new(ErrorKind::Config, "parse an id", format!(concat!("`{}` is malformed: ", $expected), id)))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(id: String) -> Result<Self, Error> {
                id.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.into_owned()
            }
        }
    };
}

text_id! {
    /// The id of a unit, one extractable collection of a source: `jira.issues`.
    UnitId, is_dotted_id, "a unit id is dotted lower case, such as `jira.issues`"
}

text_id! {
    /// The id that people gave a configured endpoint: `acme_jira`.
    EndpointId, is_name,
    "an endpoint id is at most 63 of a-z, 0-9, `_` and `-`, beginning with a letter, such as `acme_jira`"
}

text_id! {
    /// The id of a run: one execution of one ingestion.
    RunId, is_run_id, "a run id is at most 63 of a-z, 0-9 and `-`"
}

/// Whether `text` is a name that people give in a configuration: at most 63 of `a-z`, `0-9`, `_`
/// and `-`, beginning with a letter.
pub const fn is_name(text: &str) -> bool {
    let mut rest = text.as_bytes();
    if rest.len() > 63 || !matches!(rest, [b'a'..=b'z', ..]) {
        return false;
    }
    while let [byte, tail @ ..] = rest {
        if !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-') {
            return false;
        }
        rest = tail;
    }
    true
}

const fn is_run_id(text: &str) -> bool {
    let mut rest = text.as_bytes();
    if rest.is_empty() || rest.len() > 63 {
        return false;
    }
    while let [byte, tail @ ..] = rest {
        if !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-') {
            return false;
        }
        rest = tail;
    }
    true
}

/// In which shape records reach the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// As the source has them, to the byte.
    Raw,
    /// Mapped to a CDM model.
    Cdm,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw => "raw",
            Self::Cdm => "cdm",
        })
    }
}

/// What has a checkpoint and a fence: a unit of a source, on its way into a sink, in one mode.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ingestion {
    /// Where the records come from.
    pub source: EndpointId,
    /// Which of its collections.
    pub unit: UnitId,
    /// Where they go.
    pub sink: EndpointId,
    /// In which shape.
    pub mode: Mode,
}

impl fmt::Display for Ingestion {
    /// The key under which sinks keep state: `acme_jira/jira.issues/warehouse/cdm`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.source, self.unit, self.sink, self.mode)
    }
}

impl FromStr for Ingestion {
    type Err = Error;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(key: &str) -> Result<Self, Error> {
        let no_key = || Error::new(ErrorKind::Data, "read an ingestion's key", "it is not source/unit/sink/mode");
        let parts: Vec<&str> = key.split('/').collect();
        let [source, unit, sink, mode] = parts.as_slice() else { return Err(no_key()) };
        let mode = match *mode {
            "raw" => Mode::Raw,
            "cdm" => Mode::Cdm,
            _ => return Err(no_key()),
        };
        Ok(Self { source: source.parse()?, unit: unit.parse()?, sink: sink.parse()?, mode })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked_where_they_enter() {
        assert!("jira.issues".parse::<UnitId>().is_ok());
        assert!("issues".parse::<UnitId>().is_err());
        assert!("acme_jira-2".parse::<EndpointId>().is_ok());
        for bad in ["", "2acme", "Acme", "a/b", "a.b", "a b", &"a".repeat(64)] {
            let error = bad.parse::<EndpointId>().unwrap_err();
            assert!(error.to_string().contains("an endpoint id is at most 63"), "{error}");
        }
        assert!(serde_json::from_str::<RunId>(r#""../../etc""#).is_err());
    }

    #[test]
    fn an_ingestion_is_read_from_its_key() {
        let key = "acme_jira/jira.issues/warehouse/cdm";
        assert_eq!(key.parse::<Ingestion>().unwrap().to_string(), key);
        for bad in ["", "a/b.c/d", "a/b.c/d/sql", "a/b.c/d/cdm/e", "/b.c/d/cdm"] {
            assert!(bad.parse::<Ingestion>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_ingestion_has_one_key() {
        let ingestion = Ingestion {
            source: EndpointId::from_static("acme_jira"),
            unit: UnitId::from_static("jira.issues"),
            sink: EndpointId::from_static("warehouse"),
            mode: Mode::Cdm,
        };
        assert_eq!(ingestion.to_string(), "acme_jira/jira.issues/warehouse/cdm");
    }
}
