use catalog::DatasetId;
use endpoint_api::{Change, ModelPlan, ProvisionPlan};

/// What has to be done so that models can be loaded and found: data, to be shown and then carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// What the sink needs.
    pub sink: ProvisionPlan,
    /// For each of the plan's models, in its order, the dataset and what the catalog lacks of it.
    pub registrations: Vec<(DatasetId, Option<Change>)>,
}

/// One model of a plan.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ModelStep<'p> {
    /// What the sink needs for it.
    pub plan: &'p ModelPlan,
    /// Its dataset in the catalog.
    pub dataset: &'p DatasetId,
    registration: Option<&'p Change>,
}

impl Plan {
    /// Whether something keeps it from being carried out, or is to be done.
    pub fn is_drift(&self) -> bool {
        !self.is_empty() || self.sink.refusal().is_some()
    }

    /// Whether the sink has everything and the catalog knows it.
    pub fn is_empty(&self) -> bool {
        self.sink.is_empty() && self.registrations.iter().all(|(_, change)| change.is_none())
    }

    /// What is to be done for each model.
    pub fn models(&self) -> impl Iterator<Item = ModelStep<'_>> {
        let steps = self.sink.models.iter().zip(&self.registrations);
        steps.map(|(plan, (dataset, change))| ModelStep { plan, dataset, registration: change.as_ref() })
    }
}

impl<'p> ModelStep<'p> {
    /// What is to be done, in order; the registration comes last.
    pub fn changes(self) -> impl Iterator<Item = &'p Change> {
        self.plan.changes.iter().chain(self.registration)
    }
}
