use std::collections::{BTreeMap, HashMap};

use cdm_models::{ModelId, major};
use endpoint_api::{
    Checkpoint, Error, ErrorKind, Ingestion, LoadReceipt, Result, Resume, RunEnd, RunId, RunSpec, Slice,
};
use serde::{Deserialize, Serialize};

use crate::{Observations, ObservedSlice, state::key_beside};

/// Where all ingestions of a sink stand: the last fence, and for each ingestion its newest run with its plan, its
/// committed slices and its checkpoint.
///
/// It is for sinks whose state is one document that is replaced as a whole: a method changes the value, and what
/// it did counts once the document is stored, together with the rows. Nobody else may change the document
/// meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The last fence that was given out.
    fence: u64,
    /// By their keys.
    ingestions: BTreeMap<String, Standing>,
}

/// Where an ingestion stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The model that it feeds.
    pub model: Option<ModelId>,
    /// The major version of that.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    major: u64,
    /// The fence of its newest run; whoever holds an older one commits nothing more.
    pub fence: u64,
    run_id: RunId,
    observation: u64,
    plan: Option<Vec<ObservedSlice>>,
    committed: BTreeMap<u64, Committed>,
    end: Option<End>,
    checkpoint: Option<Checkpoint>,
    resources: Observations,
    inserted: u64,
}

fn first() -> u64 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_first(major: &u64) -> bool {
    *major == first()
}

/// A committed slice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// What became of its records.
    pub receipt: LoadReceipt,
    /// The checkpoint once it and all slices before it are committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<Checkpoint>,
    /// The sink's note of what [`Judge::confirmed`](crate::Judge::confirmed) gave: the bytes as text, or the name
    /// of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum End {
    Succeeded,
    Failed,
    Interrupted,
    Abandoned,
}

impl End {
    fn of(end: RunEnd) -> Result<Self> {
        Ok(match end {
            RunEnd::Succeeded => Self::Succeeded,
            RunEnd::Failed => Self::Failed,
            RunEnd::Interrupted => Self::Interrupted,
            RunEnd::Abandoned => Self::Abandoned,
            _ => return Err(Error::unsupported("finish", "this end of a run")),
        })
    }

    /// Whether the next run begins anew.
    fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Abandoned)
    }
}

impl Ledger {
    /// Where each ingestion stands, by key.
    pub fn ingestions(&self) -> impl Iterator<Item = (&str, &Standing)> {
        self.ingestions.iter().map(|(key, standing)| (key.as_str(), standing))
    }

    /// The fence of the ingestion's newest run, when that has not ended: its process may be alive.
    pub fn open_fence(&self, ingestion: &Ingestion) -> Option<u64> {
        let standing = self.ingestions.get(&ingestion.to_string())?;
        standing.end.is_none().then_some(standing.fence)
    }

    /// Opens a run under a new fence: an unfinished one is continued, unless the spec asks for a restart. Whoever
    /// has opened the ingestion before commits nothing more. Where an ingestion stands with one model, or one major
    /// version of it, says nothing of where it stands with another.
    pub fn open(&mut self, spec: &RunSpec) -> Resume {
        self.fence += 1;
        let fence = self.fence;
        let key = spec.ingestion.to_string();
        let (model, major) = match &spec.model {
            Some(model) => (Some(model.id.clone()), major(&model.version)),
            None => (None, first()),
        };
        let mut known = self.ingestions.remove(&key);
        if known.as_ref().is_some_and(|known| (&known.model, known.major) != (&model, major)) {
            let name = |model: &Option<ModelId>, major| {
                let model = model.as_ref().map_or("", ModelId::as_str);
                key_beside(&key, &format!("{model}/v{major}"))
            };
            let of_model = self.ingestions.remove(&name(&model, major));
            if let Some(of_other) = std::mem::replace(&mut known, of_model) {
                self.ingestions.insert(name(&of_other.model, of_other.major), of_other);
            }
        }
        let continues = !spec.restart && known.as_ref().is_some_and(|known| !known.end.is_some_and(End::is_final));
        let abandoned = known.as_ref().filter(|known| spec.restart && !known.end.is_some_and(End::is_final));
        let abandoned = abandoned.map(|known| known.run_id.clone());
        let standing = match known {
            Some(known) if continues => Standing { fence, end: None, ..known },
            known => {
                let (checkpoint, resources, inserted) =
                    known.map(|known| (known.checkpoint, known.resources, known.inserted)).unwrap_or_default();
                Standing {
                    model,
                    major,
                    fence,
                    run_id: spec.run_id.clone(),
                    observation: fence,
                    plan: None,
                    committed: BTreeMap::new(),
                    end: None,
                    checkpoint,
                    resources,
                    inserted,
                }
            }
        };
        let mut resume = Resume::new(standing.run_id.clone(), fence, standing.checkpoint.clone());
        resume.observation = standing.observation;
        resume.abandoned = abandoned;
        resume.plan = standing.plan.as_ref().map(|plan| plan.iter().map(|planned| planned.slice.clone()).collect());
        resume.committed =
            standing.committed.iter().map(|(slice, committed)| (*slice, committed.receipt.clone())).collect();
        self.ingestions.insert(key, standing);
        resume
    }

    /// Where the ingestion stands, for the run with that fence.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Fenced`] when a newer run was opened, [`ErrorKind::Conflict`] when this one has ended.
    pub fn standing(&self, ingestion: &Ingestion, fence: u64, operation: &'static str) -> Result<&Standing> {
        match self.ingestions.get(&ingestion.to_string()) {
            Some(standing) if standing.fence == fence && standing.end.is_none() => Ok(standing),
            Some(standing) if standing.fence == fence => {
                let message = "the run has ended; open another one";
                Err(Error::new(ErrorKind::Conflict, operation, message).with("ingestion", ingestion))
            }
            _ => {
                let message = "a newer run has taken over; this one can commit nothing more";
                Err(Error::new(ErrorKind::Fenced, operation, message).with("ingestion", ingestion))
            }
        }
    }

    fn running(&mut self, ingestion: &Ingestion, fence: u64, operation: &'static str) -> Result<&mut Standing> {
        self.standing(ingestion, fence, operation)?;
        self.ingestions.get_mut(&ingestion.to_string()).ok_or_else(|| {
            Error::new(ErrorKind::Internal, operation, "an ingestion is gone").with("ingestion", ingestion)
        })
    }

    /// Stores the plan of a run; whether it had none before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] when the run has another plan already, and as [`standing`](Self::standing).
    pub fn record_plan(&mut self, ingestion: &Ingestion, fence: u64, plan: &[Slice]) -> Result<bool> {
        const RECORD: &str = "record the plan";
        let standing = self.running(ingestion, fence, RECORD)?;
        let plan = standing.resources.observe(plan, standing.observation);
        match &standing.plan {
            None => {
                standing.plan = Some(plan);
                Ok(true)
            }
            Some(known) if *known == plan => Ok(false),
            Some(_) => {
                let message = "the run has another plan already; go on with that or restart the run";
                Err(Error::new(ErrorKind::Conflict, RECORD, message).with("ingestion", ingestion))
            }
        }
    }

    /// Puts a slice among the committed ones and moves the checkpoint to the first gap. One that is there already
    /// must not be put there again: see [`Standing::committed`].
    ///
    /// # Errors
    ///
    /// As [`standing`](Self::standing).
    pub fn commit(&mut self, ingestion: &Ingestion, fence: u64, slice: u64, committed: Committed) -> Result<()> {
        let standing = self.running(ingestion, fence, "commit")?;
        standing.inserted += committed.receipt.counts.inserted;
        standing.committed.insert(slice, committed);
        let prefix = standing.committed.iter().zip(0_u64..).take_while(|((slice, _), place)| *slice == place);
        if let Some(reached) = prefix.filter_map(|((_, committed), _)| committed.resume_at.clone()).last() {
            standing.checkpoint = Some(reached);
        }
        Ok(())
    }

    /// Ends a run; says the checkpoint as it now stands. What only a run that continues this one would need is
    /// forgotten.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Internal`] when the run is to have succeeded and a slice of its plan is not committed, and as
    /// [`standing`](Self::standing).
    pub fn finish(&mut self, ingestion: &Ingestion, fence: u64, end: RunEnd) -> Result<Option<Checkpoint>> {
        const FINISH: &str = "finish";
        let end = End::of(end)?;
        let standing = self.running(ingestion, fence, FINISH)?;
        if end == End::Succeeded {
            let plan = standing.plan.as_deref().unwrap_or_default();
            let missing = plan.iter().find(|planned| !standing.committed.contains_key(&planned.slice.index));
            if let Some(missing) = missing {
                let message = "a run cannot have succeeded while a slice of its plan is not committed";
                return Err(Error::new(ErrorKind::Internal, FINISH, message)
                    .with("ingestion", ingestion)
                    .with("slice", missing.slice.index));
            }
            standing.resources.remember(plan);
        }
        standing.end = Some(end);
        if end.is_final() {
            standing.plan = None;
            standing.committed.clear();
        }
        Ok(standing.checkpoint.clone())
    }

    /// How many rows all ingestions have inserted into a model.
    pub fn rows(&self, model: &ModelId) -> u64 {
        let feeding = self.ingestions.values().filter(|standing| standing.model.as_ref() == Some(model));
        feeding.map(|standing| standing.inserted).sum()
    }
}

impl Standing {
    /// The slice, when it is committed.
    pub fn committed(&self, slice: u64) -> Option<&Committed> {
        self.committed.get(&slice)
    }

    /// All committed slices of its newest run, by index.
    pub fn all_committed(&self) -> impl Iterator<Item = (u64, &Committed)> {
        self.committed.iter().map(|(slice, committed)| (*slice, committed))
    }

    /// The observation of each slice of the plan; a slice that is not in it has that of the run.
    pub fn observations(&self) -> HashMap<u64, u64> {
        let plan = self.plan.as_deref().unwrap_or_default();
        plan.iter().map(|planned| (planned.slice.index, planned.observation)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cdm_models::ModelDescriptor;
    use endpoint_api::{Counts, Resource};
    use serde_json::json;

    use super::*;

    fn ingestion() -> Ingestion {
        "acme/test.things/lake/cdm".parse().unwrap()
    }

    fn spec(run: &str) -> RunSpec {
        RunSpec::new(ingestion(), run.parse().unwrap())
    }

    fn plan(slices: u64) -> Vec<Slice> {
        let file = Resource { name: "things.jsonl".to_owned(), fingerprint: "1".to_owned() };
        (0..slices).map(|index| Slice::new(index, json!({})).of(file.clone())).collect()
    }

    fn commit(ledger: &mut Ledger, fence: u64, slice: u64) -> Result<()> {
        let receipt = LoadReceipt::new(Counts { inserted: 1, ..Counts::default() }, Vec::new());
        let resume_at = Some(Checkpoint(slice.into()));
        ledger.commit(&ingestion(), fence, slice, Committed { receipt, resume_at, confirmed: None })
    }

    /// What a process finds that opens the document.
    fn stored(ledger: &Ledger) -> Ledger {
        serde_json::from_str(&serde_json::to_string(ledger).unwrap()).unwrap()
    }

    #[test]
    fn the_checkpoint_moves_to_the_first_gap() {
        let mut ledger = Ledger::default();
        let fence = ledger.open(&spec("run")).fence;
        for (slice, reached) in [(1, None), (3, None), (0, Some(1_u64)), (2, Some(3))] {
            commit(&mut ledger, fence, slice).unwrap();
            let standing = ledger.standing(&ingestion(), fence, "look").unwrap();
            assert_eq!(standing.checkpoint, reached.map(|reached| Checkpoint(reached.into())), "after slice {slice}");
        }
    }

    #[test]
    fn an_unfinished_run_is_continued_and_a_finished_one_is_not() {
        let mut ledger = Ledger::default();
        let first = ledger.open(&spec("first"));
        ledger.record_plan(&ingestion(), first.fence, &plan(2)).unwrap();
        commit(&mut ledger, first.fence, 0).unwrap();
        ledger.finish(&ingestion(), first.fence, RunEnd::Failed).unwrap();
        let mut ledger = stored(&ledger);
        let second = ledger.open(&spec("second"));
        assert_eq!((second.run_id.as_str(), second.observation, second.fence), ("first", 1, 2));
        assert_eq!((second.plan, second.committed.len()), (Some(plan(2)), 1));
        assert!(!ledger.record_plan(&ingestion(), 2, &plan(2)).unwrap());
        assert_eq!(ledger.record_plan(&ingestion(), 2, &plan(3)).unwrap_err().kind(), ErrorKind::Conflict);
        let early = ledger.finish(&ingestion(), 2, RunEnd::Succeeded).unwrap_err();
        assert_eq!(early.kind(), ErrorKind::Internal);
        commit(&mut ledger, 2, 1).unwrap();
        assert_eq!(ledger.finish(&ingestion(), 2, RunEnd::Succeeded).unwrap(), Some(Checkpoint(1.into())));
        let mut ledger = stored(&ledger);
        let third = ledger.open(&spec("third"));
        assert_eq!((third.run_id.as_str(), third.observation, third.plan), ("third", 3, None));
        assert_eq!((third.committed.len(), third.checkpoint), (0, Some(Checkpoint(1.into()))));

        // What stands in a resource that is as it was, was seen then.
        ledger.record_plan(&ingestion(), 3, &plan(1)).unwrap();
        assert_eq!(ledger.standing(&ingestion(), 3, "look").unwrap().observations(), HashMap::from([(0, 1)]));
    }

    #[test]
    fn each_major_version_of_a_model_stands_by_itself() {
        let model = |version: &'static str| {
            let mut model = ModelDescriptor::of::<cdm_models::work::Project<'_>>().unwrap();
            model.version = version.parse().unwrap();
            Arc::new(model)
        };
        let mut ledger = Ledger::default();
        let mut open = |run: &str, version: &'static str| {
            let resume = ledger.open(&spec(run).model(model(version)));
            if resume.plan.is_none() {
                ledger.record_plan(&ingestion(), resume.fence, &plan(1)).unwrap();
                commit(&mut ledger, resume.fence, 0).unwrap();
            }
            ledger.finish(&ingestion(), resume.fence, RunEnd::Failed).unwrap();
            ledger = stored(&ledger);
            (resume.run_id.to_string(), resume.checkpoint)
        };
        let reached = Some(Checkpoint(0.into()));
        assert_eq!(open("a", "1.0.0"), ("a".to_owned(), None));
        assert_eq!(open("b", "2.0.0"), ("b".to_owned(), None), "all of it is still to be read");
        assert_eq!(open("c", "1.1.0"), ("a".to_owned(), reached.clone()));
        assert_eq!(open("d", "2.0.0"), ("b".to_owned(), reached));
    }

    #[test]
    fn a_run_that_was_overtaken_or_has_ended_changes_nothing() {
        let mut ledger = Ledger::default();
        ledger.open(&spec("run"));
        assert_eq!(ledger.open_fence(&ingestion()), Some(1));
        ledger.open(&spec("run"));
        let before = ledger.clone();
        assert_eq!(commit(&mut ledger, 1, 0).unwrap_err().kind(), ErrorKind::Fenced);
        assert_eq!(ledger.record_plan(&ingestion(), 1, &plan(1)).unwrap_err().kind(), ErrorKind::Fenced);
        assert_eq!(ledger.finish(&ingestion(), 1, RunEnd::Failed).unwrap_err().kind(), ErrorKind::Fenced);
        assert_eq!(ledger, before);
        ledger.finish(&ingestion(), 2, RunEnd::Interrupted).unwrap();
        assert_eq!(ledger.open_fence(&ingestion()), None);
        assert_eq!(commit(&mut ledger, 2, 0).unwrap_err().kind(), ErrorKind::Conflict);
    }

    #[test]
    fn a_restart_begins_anew_and_keeps_the_checkpoint() {
        let mut ledger = Ledger::default();
        let fence = ledger.open(&spec("first")).fence;
        commit(&mut ledger, fence, 0).unwrap();
        let second = ledger.open(&spec("second").restart(true));
        assert_eq!((second.run_id.as_str(), second.committed.len()), ("second", 0));
        assert_eq!(second.checkpoint, Some(Checkpoint(0.into())));
    }
}
