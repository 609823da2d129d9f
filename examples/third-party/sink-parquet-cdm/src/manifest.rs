use std::collections::{BTreeMap, HashSet};

use cdm_models::ModelId;
use endpoint_api::{Ingestion, RunId};
use relational::Ledger;
use serde::{Deserialize, Serialize};

/// The version of the manifests that are written, and the only one that is read.
pub(crate) const FORMAT: u32 = 1;

/// All that is committed, in one object that is replaced as a whole: what it does not name is not there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    /// How often it was replaced.
    pub(crate) sequence: u64,
    pub(crate) models: BTreeMap<ModelId, ModelRecord>,
    /// Where each ingestion stands.
    pub(crate) ledger: Ledger,
    /// In the order in which they were committed.
    pub(crate) parts: Vec<Part>,
    /// In the order in which they were committed.
    pub(crate) rejects: Vec<RejectFile>,
}

/// What is on record of a model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ModelRecord {
    pub(crate) version: semver::Version,
    pub(crate) plan_hash: String,
    /// By the clock of the machine: RFC 3339.
    pub(crate) provisioned_at: String,
}

/// A file of rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) model: ModelId,
    pub(crate) path: String,
    pub(crate) rows: u64,
    /// The manifest that named it first.
    pub(crate) sequence: u64,
}

/// A file of rejects.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RejectFile {
    pub(crate) path: String,
    pub(crate) ingestion: Ingestion,
    pub(crate) run_id: RunId,
    pub(crate) observation: u64,
    /// By the clock of the machine: RFC 3339.
    pub(crate) rejected_at: String,
}

impl Manifest {
    /// That of a folder in which there is nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            format: FORMAT,
            sequence: 0,
            models: BTreeMap::new(),
            ledger: Ledger::default(),
            parts: Vec::new(),
            rejects: Vec::new(),
        }
    }

    /// The files that it names.
    pub(crate) fn files(&self) -> HashSet<&str> {
        let committed = self.ledger.ingestions().flat_map(|(_, standing)| standing.all_committed());
        let parts = self.parts.iter().map(|part| part.path.as_str());
        let rejects = self.rejects.iter().map(|file| file.path.as_str());
        parts.chain(rejects).chain(committed.filter_map(|(_, committed)| committed.confirmed.as_deref())).collect()
    }
}
