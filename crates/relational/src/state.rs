//! What a sink remembers of each ingestion, and how it goes on from there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cdm_models::{ModelDescriptor, major};
use endpoint_api::{
    Checkpoint, Error, ErrorKind, Ingestion, LoadReceipt, Result, Resume, RunEnd, RunSpec, batch::Stage,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Observations, ObservedSlice};

/// For how long a sink keeps lines of its ledger and rejects, and how many of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// In days, of 24 hours.
    pub days: u32,
    /// Of each; `None` for any number.
    pub rows: Option<u32>,
}

/// A number of the contract as databases keep it.
pub fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number of a database as the contract has it; there is none below zero.
pub fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// State that a sink keeps as JSON.
///
/// # Errors
///
/// [`ErrorKind::Internal`] when it cannot be written as JSON.
pub fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorKind::Internal, "store state", "state is no JSON").caused_by(error))
}

/// Reads what [`to_json`] wrote; `what` names it in the error.
///
/// # Errors
///
/// [`ErrorKind::Data`] when it is something else.
pub fn from_json<T: DeserializeOwned>(what: &str, json: Option<&str>) -> Result<Option<T>> {
    json.map(serde_json::from_str).transpose().map_err(|error| {
        let message = format!("the {what} that is stored cannot be read; was it written by a newer version?");
        Error::new(ErrorKind::Data, "read state", message).caused_by(error)
    })
}

/// The names under which an ingestion can stand with a table, in the order in which a sink looks for it: the first is
/// taken by the table that the ingestion was loaded into first.
pub fn keys(ingestion: &Ingestion, model: &ModelDescriptor, table: &str) -> [String; 2] {
    let key = key(ingestion, model);
    let beside = key_beside(&key, table);
    [key, beside]
}

/// Under which name a sink keeps where an ingestion stands. Into each major version of a model it goes by itself,
/// with a checkpoint of its own: what was read for the one is still to be read for the other.
fn key(ingestion: &Ingestion, model: &ModelDescriptor) -> String {
    match major(&model.version) {
        1 => ingestion.to_string(),
        major => format!("{ingestion}/v{major}"),
    }
}

/// Under which name a sink keeps where an ingestion stands with a table, when the name of `key` stands for another
/// one: because the unit fed another model before, or the table was called otherwise. What was read for the one is
/// still to be read for the other.
pub(crate) fn key_beside(key: &str, table: &str) -> String {
    format!("{key}/{table}")
}

/// A newer run of the ingestion holds a newer fence.
pub fn fenced(ingestion: &Ingestion) -> Error {
    let message = "a newer run has taken over; this one commits nothing more";
    Error::new(ErrorKind::Fenced, "commit", message).with("ingestion", ingestion)
}

/// Another run of the ingestion is alive, and the command said to fail then.
pub fn overlapping(ingestion: &Ingestion) -> Error {
    let message = "another run of this ingestion is alive; \
                   wait for it with --on-overlap wait, leave it alone with --on-overlap skip, or stop it with \
                   --on-overlap takeover";
    Error::new(ErrorKind::Conflict, "open a run", message).with("ingestion", ingestion)
}

/// The plan of a run is stored once.
pub fn planned_otherwise() -> Error {
    Error::new(ErrorKind::Conflict, "store the plan", "the run has another plan already")
}

/// A run does not succeed with slices left.
pub fn incomplete_run(ingestion: &Ingestion) -> Error {
    let message = "the run has not committed every slice of its plan";
    Error::new(ErrorKind::Internal, "end the run", message).with("ingestion", ingestion)
}

/// Looks whether the database has kept what was written into a table of the sink's own.
///
/// # Errors
///
/// [`ErrorKind::Denied`] when it has not: somebody has put a trigger, a rule or a policy there.
pub fn kept(is_kept: bool, operation: &'static str, table: &str) -> Result<()> {
    if is_kept {
        return Ok(());
    }
    let message = "the database took a line of a table of the sink's own and did not keep it; remove the trigger, rule or \
                   policy that is on the table";
    Err(Error::new(ErrorKind::Denied, operation, message).with("table", table))
}

/// The receipt of a line of the ledger.
///
/// # Errors
///
/// [`ErrorKind::Data`] when it has none, or one that cannot be read.
pub fn receipt(json: Option<&str>) -> Result<LoadReceipt> {
    from_json("receipt", json)?
        .ok_or_else(|| Error::new(ErrorKind::Data, "begin a load", "the ledger has a line without a receipt"))
}

/// The name under which the state of a run is kept.
pub fn status(end: RunEnd) -> &'static str {
    match end {
        RunEnd::Succeeded => "succeeded",
        RunEnd::Interrupted => "interrupted",
        RunEnd::Abandoned => "abandoned",
        _ => "failed",
    }
}

/// The stage of a reject that is kept under this name.
pub fn stage(name: &str) -> Stage {
    match name {
        "source" => Stage::Source,
        "map" => Stage::Map,
        _ => Stage::Sink,
    }
}

/// A text of a reject, without the one character that no database takes.
pub fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// Where an ingestion stands: its newest run, and what earlier ones left behind.
#[derive(Debug, Clone)]
pub struct Standing {
    /// How that run is: `running`, `succeeded`, `failed`, `interrupted` or `abandoned`.
    pub status: String,
    /// Its fence.
    pub fence: u64,
    /// Its id.
    pub run_id: String,
    /// Its observation.
    pub observation: u64,
    /// Its plan, once it is stored.
    pub plan: Option<Vec<ObservedSlice>>,
    /// Since when each resource is as it is.
    pub observations: Observations,
    /// After which point the next run reads.
    pub checkpoint: Option<Checkpoint>,
    /// Whether whoever holds that run is still there.
    pub is_held: bool,
}

impl Standing {
    /// Whether its newest run is still at it.
    pub fn is_alive(&self) -> bool {
        self.status == "running" && self.is_held
    }
}

/// A run as it is opened.
#[derive(Debug)]
pub struct Opening {
    /// What the run is told.
    pub resume: Resume,
    /// Whether it goes on with an earlier one.
    pub continues: bool,
    /// Since when each resource is as it is.
    pub observations: Observations,
    /// The observation of each slice of the plan.
    pub observed: HashMap<u64, u64>,
}

impl Opening {
    /// The run that `spec` asks for, with a new fence: a new one, or the last one of the ingestion when that
    /// was neither completed nor given up.
    ///
    /// # Errors
    ///
    /// When the stored id of that is none.
    pub fn new(spec: &RunSpec, fence: u64, standing: Option<Standing>) -> Result<Self> {
        let mut opening = Self {
            resume: Resume::new(spec.run_id.clone(), fence, None),
            continues: false,
            observations: Observations::default(),
            observed: HashMap::new(),
        };
        let Some(standing) = standing else { return Ok(opening) };
        opening.resume.checkpoint = standing.checkpoint;
        opening.observations = standing.observations;
        opening.continues = !spec.restart && !is_over(&standing.status);
        if spec.restart && !is_over(&standing.status) {
            opening.resume.abandoned = Some(standing.run_id.parse()?);
        }
        if opening.continues {
            opening.resume.run_id = standing.run_id.parse()?;
            opening.resume.observation = standing.observation;
            if let Some(plan) = standing.plan {
                opening.observed = observed(&plan);
                opening.resume.plan = Some(plan.into_iter().map(|planned| planned.slice).collect());
            }
        }
        Ok(opening)
    }

    /// The slices that the run has committed before.
    #[must_use]
    pub fn committed(mut self, receipts: BTreeMap<u64, LoadReceipt>) -> Self {
        self.resume.committed = receipts;
        self
    }
}

/// Whether a run with that status is never gone on with.
fn is_over(status: &str) -> bool {
    matches!(status, "succeeded" | "abandoned")
}

/// The names of the resources of which a plan has slices.
pub fn resources(plan: &[ObservedSlice]) -> BTreeSet<&str> {
    plan.iter().flat_map(|planned| &planned.slice.resources).map(|resource| resource.name.as_str()).collect()
}

/// The observation of each slice of a plan.
pub fn observed(plan: &[ObservedSlice]) -> HashMap<u64, u64> {
    plan.iter().map(|planned| (planned.slice.index, planned.observation)).collect()
}
