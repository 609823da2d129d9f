use std::path::PathBuf;

use endpoint_api::{Error, ErrorKind, Result};
use relational::{Naming, state::Retention};
use schemars::JsonSchema;
use serde::Deserialize;

/// Where the file is and what its tables are called.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file; relative to the configuration file. Provisioning makes it when it is missing, in a folder
    /// that is there, on a disk of this machine.
    pub(crate) path: PathBuf,
    /// What the names of the model tables begin with: with `cdm_` the items are in `cdm_work_item`.
    #[serde(default = "default_prefix")]
    table_prefix: String,
    /// For how many days rejects, and the ledger of runs that have ended, are kept.
    #[serde(default = "default_retention_days")]
    #[schemars(range(min = 1))]
    retention_days: u32,
    /// The highest number of rejects and of lines of that ledger that are kept. Without it there is no limit.
    #[schemars(range(min = 1))]
    retention_rows: Option<u32>,
}

fn default_prefix() -> String {
    "cdm_".to_owned()
}

fn default_retention_days() -> u32 {
    30
}

/// Names that begin so are SQLite's own.
const RESERVED: &str = "sqlite_";

impl Config {
    pub(crate) fn validate(&self) -> Result<()> {
        let path = self.path.as_os_str().as_encoded_bytes();
        if path.is_empty() || path.contains(&0) {
            return Err(wrong("path", "must be the path of a file, such as `./work.db`"));
        }
        self.naming().map(drop)
    }

    pub(crate) fn naming(&self) -> Result<Naming> {
        if self.table_prefix.contains('\0') {
            return Err(wrong("table_prefix", "a table prefix must not hold U+0000"));
        }
        if self.table_prefix.to_ascii_lowercase().starts_with(RESERVED) {
            return Err(wrong("table_prefix", "names that begin with `sqlite_` are SQLite's own"));
        }
        Ok(Naming::new(&self.table_prefix))
    }

    pub(crate) fn retention(&self) -> Retention {
        Retention { days: self.retention_days, rows: self.retention_rows }
    }
}

fn wrong(key: &'static str, message: &str) -> Error {
    Error::new(ErrorKind::Config, "read the configuration", message).with("key", key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_a_file_or_a_name_is_refused_by_its_key() {
        for (config, key) in [
            (json!({ "path": "" }), "path"),
            (json!({ "path": "a\0b" }), "path"),
            (json!({ "path": "a", "table_prefix": "a\0" }), "table_prefix"),
            (json!({ "path": "a", "table_prefix": "SQLite_x" }), "table_prefix"),
        ] {
            let error = serde_json::from_value::<Config>(config).unwrap().validate().unwrap_err();
            assert!(error.to_string().contains(&format!("key: {key}")), "{error}");
        }
        assert!(serde_json::from_value::<Config>(json!({ "path": "a" })).unwrap().validate().is_ok());
    }
}
