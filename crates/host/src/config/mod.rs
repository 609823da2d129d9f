//! The configuration file: what is configured, with references unresolved.

mod lineage;
mod references;
mod settings;

pub(crate) use lineage::{LineageSettings, Receiver};
pub(crate) use references::resolve;
pub(crate) use settings::{EndpointSettings, IngestionSettings, Settings};
