use std::{fmt, str::FromStr};

use cdm_models::ModelId;
use endpoint_api::{EndpointId, Error, ErrorKind, Result, UnitId};
use serde::{Deserialize, Serialize};

/// The id of a dataset: what it holds and where, as in `cdm.work.item@warehouse` and
/// `jira.issues@acme_jira`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatasetId(String);

impl DatasetId {
    /// The dataset of a model's rows in a sink. As each major version has a table of its own, it has from the second
    /// one on a dataset of its own: `cdm.work.item.v2@warehouse`.
    pub fn of_model(model: &ModelId, major: u64, sink: &EndpointId) -> Self {
        match major {
            0 | 1 => Self(format!("{model}@{sink}")),
            _ => Self(format!("{model}.v{major}@{sink}")),
        }
    }

    /// The dataset of a source's unit.
    pub fn of_unit(unit: &UnitId, source: &EndpointId) -> Self {
        Self(format!("{unit}@{source}"))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DatasetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DatasetId {
    type Err = Error;

    fn from_str(id: &str) -> Result<Self> {
        match id.split_once('@') {
            Some((what, place)) if cdm_models::is_dotted_id(what) && endpoint_api::is_name(place) => {
                Ok(Self(id.to_owned()))
            }
            _ => {
                let message = format!(
                    "`{id}` is malformed: a dataset id is a model or unit id, `@` and an endpoint id, \
                     such as `cdm.work.item@warehouse`"
                );
                Err(Error::new(ErrorKind::Config, "parse an id", message))
            }
        }
    }
}

impl TryFrom<String> for DatasetId {
    type Error = Error;

    fn try_from(id: String) -> Result<Self> {
        id.parse()
    }
}

impl From<DatasetId> for String {
    fn from(id: DatasetId) -> Self {
        id.0
    }
}
