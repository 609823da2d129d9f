use std::path::PathBuf;

use endpoint_api::{Error, ErrorKind, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::mode::FileMode;

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
    /// The rights on files of records and on manifests, in octal, such as `0640`: at most these, and not those that the
    /// umask takes away. Folders have them, too, with the right to enter. Without it only the umask counts. Rejects and
    /// locks are always their owner's alone.
    file_mode: Option<String>,
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
        self.file_mode().map(drop)
    }

    /// Who may read the files that readers follow.
    pub(crate) fn file_mode(&self) -> Result<FileMode> {
        let Some(mode) = &self.file_mode else { return Ok(FileMode::UMASK) };
        FileMode::parse(mode).ok_or_else(|| {
            let message = "must be an octal mode of files that the owner may read and write, such as \"0640\"";
            Error::new(ErrorKind::Config, "read the configuration", message).with("key", "file_mode")
        })
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

    #[test]
    fn a_mode_that_is_none_is_refused() {
        let validate =
            |mode| serde_json::from_value::<Config>(json!({ "path": "x", "file_mode": mode })).unwrap().validate();
        validate("0640").unwrap();
        for wrong in ["0777", "0440", "rw-r-----"] {
            let error = validate(wrong).unwrap_err().to_string();
            let expected =
                "must be an octal mode of files that the owner may read and write, such as \"0640\" (key: file_mode)";
            assert_eq!(error, expected);
        }
    }
}
