use std::path::PathBuf;

use endpoint_api::Registry;
use indicatif::MultiProgress;

use crate::{answer::Output, config::Settings, failure::Failure, signals::Signals, table::Width};

/// What every command works with.
pub(crate) struct App {
    pub(crate) registry: Registry,
    /// The configuration file.
    pub(crate) config: PathBuf,
    pub(crate) signals: Signals,
    /// The form of results.
    pub(crate) output: Output,
    /// How wide tables may be.
    pub(crate) width: Width,
    /// The progress bars, beside which logs are written.
    pub(crate) bars: MultiProgress,
}

impl App {
    /// Reads the configuration file.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        Settings::read(&self.config)
    }
}
