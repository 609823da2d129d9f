use std::collections::{BTreeMap, HashSet};

use cdm_models::ModelId;
use endpoint_api::{Checkpoint, Error, ErrorKind, Ingestion, LoadReceipt, Result, RunEnd, RunId};
use relational::{Observations, ObservedSlice};
use serde::{Deserialize, Serialize};

use crate::error::overtaken;

/// The version of the manifests that are written, and the only one that is read.
pub(crate) const FORMAT: u32 = 1;

/// All that is committed, in one object that is replaced as a whole: what it does not name is not there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    /// How often it was replaced.
    pub(crate) sequence: u64,
    /// The last fence that was given out.
    pub(crate) fence: u64,
    pub(crate) models: BTreeMap<ModelId, ModelRecord>,
    /// By their keys.
    pub(crate) ingestions: BTreeMap<String, IngestionState>,
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

/// Where an ingestion stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct IngestionState {
    pub(crate) model: ModelId,
    /// Of its newest run; whoever holds an older one commits nothing more.
    pub(crate) fence: u64,
    pub(crate) run_id: RunId,
    /// The first fence of that run.
    pub(crate) observation: u64,
    pub(crate) plan: Option<Vec<ObservedSlice>>,
    /// The ledger of that run.
    pub(crate) committed: BTreeMap<u64, Committed>,
    /// How that run ended, unless it is open.
    pub(crate) end: Option<End>,
    pub(crate) checkpoint: Option<Checkpoint>,
    /// Since which observation each resource has been as it is.
    pub(crate) resources: Observations,
    /// How many rows all its runs have inserted.
    pub(crate) inserted: u64,
}

/// A committed slice.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Committed {
    pub(crate) receipt: LoadReceipt,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resume_at: Option<Checkpoint>,
    /// The file of what it has seen of the rows that were stored before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seen: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum End {
    Succeeded,
    Failed,
    Interrupted,
    Abandoned,
}

impl End {
    pub(crate) fn of(end: RunEnd) -> Result<Self> {
        Ok(match end {
            RunEnd::Succeeded => Self::Succeeded,
            RunEnd::Failed => Self::Failed,
            RunEnd::Interrupted => Self::Interrupted,
            RunEnd::Abandoned => Self::Abandoned,
            _ => return Err(Error::unsupported("finish", "this end of a run")),
        })
    }

    /// Whether the next run begins anew.
    pub(crate) fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Abandoned)
    }
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
            fence: 0,
            models: BTreeMap::new(),
            ingestions: BTreeMap::new(),
            parts: Vec::new(),
            rejects: Vec::new(),
        }
    }

    /// The ingestion's state, when the run with that fence is its newest and has not ended.
    pub(crate) fn running(
        &mut self,
        ingestion: &Ingestion,
        fence: u64,
        operation: &'static str,
    ) -> Result<&mut IngestionState> {
        match self.ingestions.get_mut(&ingestion.to_string()) {
            Some(state) if state.fence == fence && state.end.is_none() => Ok(state),
            Some(state) if state.fence == fence => {
                let message = "the run has ended; open another one";
                Err(Error::new(ErrorKind::Conflict, operation, message).with("ingestion", ingestion))
            }
            _ => Err(overtaken(operation, ingestion)),
        }
    }

    /// How many rows all ingestions have inserted into a model.
    pub(crate) fn rows(&self, model: &ModelId) -> u64 {
        self.ingestions.values().filter(|state| state.model == *model).map(|state| state.inserted).sum()
    }

    /// The files that it names.
    pub(crate) fn files(&self) -> HashSet<&str> {
        let seen = self.ingestions.values().flat_map(|state| state.committed.values());
        let parts = self.parts.iter().map(|part| part.path.as_str());
        let rejects = self.rejects.iter().map(|file| file.path.as_str());
        parts.chain(rejects).chain(seen.filter_map(|committed| committed.seen.as_deref())).collect()
    }
}

impl IngestionState {
    /// Moves the checkpoint over the slices that are committed before the first gap.
    pub(crate) fn advance(&mut self) {
        let prefix = self.committed.iter().zip(0_u64..).take_while(|((slice, _), place)| *slice == place);
        if let Some(reached) = prefix.filter_map(|((_, committed), _)| committed.resume_at.clone()).last() {
            self.checkpoint = Some(reached);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkpoint_moves_to_the_first_gap() {
        let mut state = IngestionState {
            model: "test.thing".parse().unwrap(),
            fence: 1,
            run_id: "run".parse().unwrap(),
            observation: 1,
            plan: None,
            committed: BTreeMap::new(),
            end: None,
            checkpoint: None,
            resources: Observations::default(),
            inserted: 0,
        };
        for (slice, reached) in [(1, None), (3, None), (0, Some(1)), (2, Some(3))] {
            let resume_at = Some(Checkpoint(slice.into()));
            state.committed.insert(slice, Committed { receipt: LoadReceipt::default(), resume_at, seen: None });
            state.advance();
            assert_eq!(state.checkpoint, reached.map(|reached: u64| Checkpoint(reached.into())), "after slice {slice}");
        }
    }
}
