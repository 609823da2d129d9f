use std::path::PathBuf;

use endpoint_api::{Error, ErrorKind, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// Where the files go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder of the files; relative to the configuration file, and made when it is missing. It
    /// belongs to this endpoint alone.
    pub(crate) path: PathBuf,
}

impl Config {
    pub(crate) fn validate(&self) -> Result<()> {
        let path = self.path.as_os_str().as_encoded_bytes();
        if path.is_empty() || path.contains(&0) {
            let message = "must be the path of a folder, such as `./lake`";
            return Err(Error::new(ErrorKind::Config, "read the configuration", message).with("key", "path"));
        }
        Ok(())
    }
}
