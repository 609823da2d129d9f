use std::{any::Any, fmt, path::Path};

use serde_json::Value;
use tempfile::TempDir;

/// Where a driver is tested: a configuration, and what it needs to stay there as long as the test runs.
pub struct Place {
    config: Value,
    dir: TempDir,
    _kept: Box<dyn Any + Send + Sync>,
}

/// Why there is no place to test a driver in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable(pub String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Place {
    /// A new folder, which goes after the test, and the configuration of an endpoint in it.
    ///
    /// # Panics
    ///
    /// When no folder can be made.
    pub fn in_folder(config: impl FnOnce(&Path) -> Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { config: config(dir.path()), dir, _kept: Box::new(()) }
    }

    /// A configuration with what it needs, such as a database: that is dropped after the test.
    ///
    /// # Panics
    ///
    /// When no folder can be made.
    pub fn with(config: Value, kept: impl Any + Send + Sync) -> Self {
        Self { config, dir: tempfile::tempdir().unwrap(), _kept: Box::new(kept) }
    }

    /// The configuration of an endpoint.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// A folder of the place's own. Relative paths of the configuration are relative to it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}
