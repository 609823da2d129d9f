use std::sync::Arc;

use catalog::{Catalog, Cause, DatasetId, DatasetSpec};
use cdm_models::{ModelDescriptor, Timestamp};
use endpoint_api::{
    Change, EndpointId, Error, ErrorKind, ModelPlan, PlannedFor, ProvisionPlan, ProvisionedModel, Provisioner, Result,
    RunId,
};

use crate::Plan;

/// How often a plan is made anew because the sink changed before it could be carried out.
const ATTEMPTS: u32 = 5;

/// A sink and the catalog in which its tables are to be found.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    sink: &'a EndpointId,
    driver: &'a str,
    adopts: bool,
    provisioner: &'a dyn Provisioner,
    catalog: &'a dyn Catalog,
}

/// What became of a plan.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Provisioned {
    /// What this call did.
    pub plan: Plan,
    /// Whether this call changed anything.
    pub changed: bool,
    /// What the sink has on record of each of the plan's models, in its order.
    pub records: Vec<ProvisionedModel>,
}

impl<'a> Target<'a> {
    /// The sink of that id, which `provisioner` is a part of, and its driver's id.
    pub fn new(
        sink: &'a EndpointId,
        driver: &'a str,
        provisioner: &'a dyn Provisioner,
        catalog: &'a dyn Catalog,
    ) -> Self {
        Self { sink, driver, adopts: false, provisioner, catalog }
    }

    /// Whether tables that are there and not on record are taken over, because a person has said so. Else they are
    /// in the way.
    #[must_use]
    pub fn adopting(mut self, adopts: bool) -> Self {
        self.adopts = adopts;
        self
    }

    /// Compares what the models need with what is there, in the sink and in the catalog. Changes nothing. What
    /// adding cannot mend is among the plan's findings.
    ///
    /// # Errors
    ///
    /// As [`Provisioner::plan`] and [`Catalog`] say.
    pub async fn plan(&self, models: &[Arc<ModelDescriptor>]) -> Result<Plan> {
        let models: Vec<&ModelDescriptor> = models.iter().map(Arc::as_ref).collect();
        let sink = self.provisioner.plan(&models).await?;
        self.with_registrations(sink.for_endpoint(self.sink, self.driver).adopting(self.adopts)).await
    }

    async fn with_registrations(&self, sink: ProvisionPlan) -> Result<Plan> {
        let mut registrations = Vec::with_capacity(sink.models.len());
        for model in &sink.models {
            let ModelDescriptor { id, version, .. } = &*model.descriptor;
            let dataset = DatasetId::of_model(id, version.major, self.sink);
            let reason = self.what_the_catalog_lacks(model, &dataset).await?;
            let change = reason.map(|reason| Change::new("register", dataset.to_string(), reason));
            registrations.push((dataset, change));
        }
        Ok(Plan { sink, registrations })
    }

    /// Plans and carries the plan out. Any number of processes may do so at once.
    ///
    /// # Errors
    ///
    /// As [`plan`](Self::plan) and [`Provisioner::apply`] say; a difference that cannot be mended by adding
    /// something is [`ErrorKind::Conflict`]. What was done on the sink before the catalog failed stays, and the
    /// next call registers it.
    pub async fn provision(&self, models: &[Arc<ModelDescriptor>], at: Timestamp) -> Result<Provisioned> {
        let mut attempts = 1;
        loop {
            let plan = self.plan(models).await?;
            match self.carry_out(&plan, at).await {
                // Another has done it at the same moment: what is left is planned, and told, anew.
                Ok((false, _)) if !plan.is_empty() && attempts < ATTEMPTS => {}
                Ok((changed, records)) => return Ok(Provisioned { plan, changed, records }),
                Err(error) if error.kind() == ErrorKind::Outdated && attempts < ATTEMPTS => {
                    tracing::info!(%error, "planning anew");
                }
                Err(error) => return Err(error),
            }
            attempts += 1;
        }
    }

    /// Carries out a plan that was made before, such as one from a file, exactly as it is. Any number of processes
    /// may do so at once: all get the receipt of the one that did it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when the plan is for another endpoint; else as [`Provisioner::apply`] and [`Catalog`]
    /// say.
    pub async fn apply(&self, mut plan: ProvisionPlan, at: Timestamp) -> Result<Provisioned> {
        match &plan.planned_for {
            Some(PlannedFor { endpoint, driver }) if endpoint == self.sink && driver == self.driver => {}
            planned_for => {
                let other = planned_for.as_ref().map_or_else(
                    || "no endpoint".to_owned(),
                    |PlannedFor { endpoint, driver }| format!("the endpoint `{endpoint}` ({driver})"),
                );
                let message =
                    format!("the plan is for {other} and not for `{}` ({}); plan for it", self.sink, self.driver);
                return Err(Error::new(ErrorKind::Config, "apply", message));
            }
        }
        // The sink looks at the plan also when it is empty: it may be one for another state.
        let receipt = self.provisioner.apply(&plan).await?;
        let only_registers = plan.is_empty();
        if !receipt.changed {
            // Another has done it: what is told is what this call does.
            plan.support.clear();
            plan.models.iter_mut().for_each(|model| model.changes.clear());
        }
        for (model, recorded) in plan.models.iter_mut().zip(&receipt.models) {
            model.recorded = Some(recorded.clone());
        }
        let plan = self.with_registrations(plan).await?;
        let registered = self.register(&plan, &receipt.models, at).await?;
        // Of many who apply one plan, one has changed something, whoever comes first to the catalog.
        let changed = receipt.changed || (only_registers && registered);
        Ok(Provisioned { plan, changed, records: receipt.models })
    }

    /// Sees to it, before a model's rows are loaded, that its table is there and in the catalog, as
    /// made from `upstream`. Says the dataset. `run` is the run that is to load.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotProvisioned`] when the sink lacks something that rows need and provisioning would make, and
    /// [`ErrorKind::Conflict`] when something is in the way.
    pub async fn admit(
        &self,
        model: &Arc<ModelDescriptor>,
        upstream: &DatasetId,
        run: &RunId,
        at: Timestamp,
    ) -> Result<DatasetId> {
        let plan = self.provisioner.plan(&[model]).await?.for_endpoint(self.sink, self.driver);
        if let Some(refusal) = plan.refusal() {
            return Err(refusal);
        }
        let is_ready = plan.changes().all(|change| change.can_wait);
        let recorded =
            plan.models.first().filter(|_| is_ready).and_then(|model| Some((model, model.recorded.as_ref()?)));
        let Some((model_plan, recorded)) = recorded else {
            let message = format!(
                "the sink `{sink}` is not provisioned for {} {}; run `cdm provision {sink}`",
                model.id,
                model.version,
                sink = self.sink
            );
            return Err(Error::new(ErrorKind::NotProvisioned, "open the run", message));
        };
        let spec = self.dataset_of(model_plan, recorded).fed_by([upstream.clone()]);
        self.catalog.register_dataset(&spec, &Cause::Run(run.clone()), at).await?;
        Ok(spec.id())
    }

    /// Says whether anything was changed, and what is on record. When another has changed the sink at the same
    /// moment, nothing is.
    async fn carry_out(&self, plan: &Plan, at: Timestamp) -> Result<(bool, Vec<ProvisionedModel>)> {
        if let Some(refusal) = plan.sink.refusal() {
            return Err(refusal);
        }
        let (changed, records) = if plan.sink.is_empty() {
            (false, plan.sink.models.iter().filter_map(|model| model.recorded.clone()).collect())
        } else {
            let receipt = self.provisioner.apply(&plan.sink).await?;
            if !receipt.changed {
                return Ok((false, receipt.models));
            }
            (true, receipt.models)
        };
        let registered = self.register(plan, &records, at).await?;
        Ok((changed | registered, records))
    }

    /// Registers what is on record of the plan's models; says whether the catalog did not have it.
    async fn register(&self, plan: &Plan, records: &[ProvisionedModel], at: Timestamp) -> Result<bool> {
        if records.len() != plan.sink.models.len() {
            let message = "the driver does not say what is on record of each model that it provisioned";
            return Err(Error::new(ErrorKind::Internal, "apply", message).with("sink", self.sink));
        }
        let mut changed = false;
        for (model, recorded) in plan.sink.models.iter().zip(records) {
            let cause = Cause::Provisioning { plan_hash: recorded.plan_hash.clone() };
            changed |= self.catalog.register_dataset(&self.dataset_of(model, recorded), &cause, at).await?.changed;
        }
        Ok(changed)
    }

    async fn what_the_catalog_lacks(&self, model: &ModelPlan, dataset: &DatasetId) -> Result<Option<&'static str>> {
        let Some(known) = self.catalog.dataset(dataset).await? else {
            return Ok(Some("the catalog does not have it"));
        };
        Ok(match &model.recorded {
            Some(recorded) if model.changes.is_empty() => {
                let differs = self.dataset_of(model, recorded).changes(&known.spec)?;
                differs.then_some("what the catalog has of it is out of date")
            }
            _ => Some("its table changes"),
        })
    }

    fn dataset_of(&self, model: &ModelPlan, recorded: &ProvisionedModel) -> DatasetSpec {
        DatasetSpec::of_model(&model.descriptor, self.sink, model.table.clone(), recorded)
    }
}
