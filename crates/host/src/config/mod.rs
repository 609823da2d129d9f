//! The configuration file: what is configured, with references unresolved.

mod references;
mod settings;

pub(crate) use references::resolve;
pub(crate) use settings::{EndpointSettings, IngestionSettings, Settings};
