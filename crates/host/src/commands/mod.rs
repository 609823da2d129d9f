//! The commands, one module each.

pub(crate) mod catalog;
pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod drivers;
pub(crate) mod grants;
pub(crate) mod ingest;
pub(crate) mod init;
pub(crate) mod lineage;
pub(crate) mod new_driver;
pub(crate) mod provision;
pub(crate) mod rejects;
pub(crate) mod runs;
mod site;
pub(crate) mod units;
pub(crate) mod verify;
