use std::path::PathBuf;

use endpoint_api::{Error, ErrorKind, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// Where the files go and how they are written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder of the files; relative to the configuration file, and made when it is missing. It
    /// belongs to this endpoint alone.
    pub(crate) path: PathBuf,
    /// How the files are compressed; those that are already there stay as they are.
    #[serde(default)]
    pub(crate) compression: Compression,
}

/// How files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    /// Not at all: `.jsonl`. The default.
    #[default]
    None,
    /// With Zstandard: `.jsonl.zst`.
    Zstd,
}

impl Config {
    pub(crate) fn validate(&self) -> Result<()> {
        let path = self.path.as_os_str().as_encoded_bytes();
        if path.is_empty() || path.contains(&0) {
            let message = "must be the path of a folder, such as `./raw`";
            return Err(Error::new(ErrorKind::Config, "read the configuration", message).with("key", "path"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_that_no_folder_can_have_is_refused() {
        for path in ["", "a\0b"] {
            let config: Config = serde_json::from_value(json!({ "path": path })).unwrap();
            let error = config.validate().unwrap_err();
            assert_eq!(error.to_string(), "must be the path of a folder, such as `./raw` (key: path)");
        }
        let config: Config = serde_json::from_value(json!({ "path": "./raw" })).unwrap();
        config.validate().unwrap();
        assert_eq!(config.compression, Compression::None);
    }
}
