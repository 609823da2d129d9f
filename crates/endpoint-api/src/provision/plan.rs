use std::{fmt::Write as _, sync::Arc};

use cdm_models::ModelDescriptor;
use serde::{Deserialize, Serialize};

use crate::{Change, EndpointId, Error, ErrorKind, Finding, FindingClass, PlanState, ProvisionedModel};

/// What has to be done so that models can be loaded: data, to be shown, kept in a file and then applied.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProvisionPlan {
    /// For which endpoint it is; whoever asks for the plan says so, see [`for_endpoint`](Self::for_endpoint).
    pub planned_for: Option<PlannedFor>,
    /// What was there when it was made.
    pub state: PlanState,
    /// What all models share: schemas, the sink's own tables.
    pub support: Vec<Change>,
    /// What each model needs, in the order in which they were asked for.
    pub models: Vec<ModelPlan>,
    /// How what is there differs from what is needed, beside what [`findings`](Self::findings) adds.
    pub differences: Vec<Finding>,
    /// Whether a person has said that tables which are there and not on record are to be taken over.
    pub adopts: bool,
}

/// The endpoint that a plan is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedFor {
    /// The sink's id.
    pub endpoint: EndpointId,
    /// Its driver's id.
    pub driver: String,
}

/// What one model needs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelPlan {
    /// The model.
    pub descriptor: Arc<ModelDescriptor>,
    /// Where its rows go: `cdm_work.cdm_work_item`.
    pub table: String,
    /// What has to be done, in order; empty when all is there.
    pub changes: Vec<Change>,
    /// What the sink has on record of the model; `None` before it is provisioned.
    pub recorded: Option<ProvisionedModel>,
    /// Whether its table is there all the same: somebody else has made it.
    pub is_foreign: bool,
}

impl ProvisionPlan {
    /// A plan for a state.
    pub fn new(state: PlanState, support: Vec<Change>, models: Vec<ModelPlan>) -> Self {
        Self { planned_for: None, state, support, models, differences: Vec::new(), adopts: false }
    }

    /// Adds how what is there differs from what is needed.
    #[must_use]
    pub fn differing(mut self, differences: Vec<Finding>) -> Self {
        self.differences = differences;
        self
    }

    /// The same plan for that endpoint.
    #[must_use]
    pub fn for_endpoint(mut self, endpoint: &EndpointId, driver: &str) -> Self {
        self.planned_for = Some(PlannedFor { endpoint: endpoint.clone(), driver: driver.to_owned() });
        self
    }

    /// The same plan, and tables which are there and not on record are to be taken over.
    #[must_use]
    pub fn adopting(mut self, adopts: bool) -> Self {
        self.adopts = adopts;
        self
    }

    /// What is planned here and now, as if it had been asked for as `other` was: the two have the same hash when
    /// `other` is to be carried out as it is.
    #[must_use]
    pub fn asked_for_as(mut self, other: &Self) -> Self {
        self.planned_for.clone_from(&other.planned_for);
        self.adopts = other.adopts;
        self
    }

    /// Whether everything is already there.
    pub fn is_empty(&self) -> bool {
        self.changes().next().is_none()
    }

    /// Every change in the order in which it is to be made; those that come after the transaction of the others
    /// ([`Change::is_concurrent`]) keep their place here.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.support.iter().chain(self.models.iter().flat_map(|model| &model.changes))
    }

    /// How what is there differs from what is needed: the plan's differences, and tables that are there and not on
    /// record.
    pub fn findings(&self) -> Vec<Finding> {
        let foreign = self.models.iter().filter(|model| model.is_foreign).map(|model| {
            let (object, difference) = (model.table.as_str(), "is there and not on record: somebody else has made it");
            if self.adopts {
                return Finding::additive(object, difference);
            }
            let sink = self.planned_for.as_ref().map_or("SINK", |sink| sink.endpoint.as_str());
            let way_out = format!("`cdm provision {sink} --adopt` takes it over; or choose another table prefix");
            Finding::incompatible(object, difference, way_out)
        });
        self.differences.iter().cloned().chain(foreign).collect()
    }

    /// Why it must not be carried out: the error that names everything which adding cannot mend, each with the way
    /// out.
    pub fn refusal(&self) -> Option<Error> {
        let mut findings = self.findings();
        findings.retain(|finding| finding.class == FindingClass::Incompatible);
        if findings.is_empty() {
            return None;
        }
        let mut message = "what is there cannot be mended by adding to it: ".to_owned();
        for (index, finding) in findings.iter().enumerate() {
            let Finding { object, difference, way_out, .. } = finding;
            // Writing to a String cannot fail.
            let _ = write!(message, "{}`{object}` {difference} ({way_out})", if index == 0 { "" } else { "; " });
        }
        Some(Error::new(ErrorKind::Conflict, "provision", message))
    }
}

impl ModelPlan {
    /// A plan for a model.
    pub fn new(
        descriptor: Arc<ModelDescriptor>,
        table: String,
        changes: Vec<Change>,
        recorded: Option<ProvisionedModel>,
    ) -> Self {
        Self { descriptor, table, changes, recorded, is_foreign: false }
    }

    /// Says whether the table is there although it is not on record.
    #[must_use]
    pub fn foreign(mut self, is_foreign: bool) -> Self {
        self.is_foreign = is_foreign;
        self
    }
}
