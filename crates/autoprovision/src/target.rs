use std::sync::Arc;

use catalog::{Catalog, Cause, DatasetId, DatasetSpec};
use cdm_models::{ModelDescriptor, Timestamp};
use endpoint_api::{Change, EndpointId, Error, ErrorKind, ModelPlan, ProvisionedModel, Provisioner, Result, RunId};

use crate::Plan;

/// How often a plan is made anew because the sink changed before it could be carried out.
const ATTEMPTS: u32 = 5;

/// A sink and the catalog in which its tables are to be found.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    sink: &'a EndpointId,
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
}

impl<'a> Target<'a> {
    /// The sink of that id, which `provisioner` is a part of.
    pub fn new(sink: &'a EndpointId, provisioner: &'a dyn Provisioner, catalog: &'a dyn Catalog) -> Self {
        Self { sink, provisioner, catalog }
    }

    /// Compares what the models need with what is there, in the sink and in the catalog. Changes nothing.
    ///
    /// # Errors
    ///
    /// As [`Provisioner::plan`] and [`Catalog`] say; a difference that cannot be mended by adding
    /// something is [`ErrorKind::Conflict`].
    pub async fn plan(&self, models: &[Arc<ModelDescriptor>]) -> Result<Plan> {
        let models: Vec<&ModelDescriptor> = models.iter().map(Arc::as_ref).collect();
        let sink = self.provisioner.plan(&models).await?;
        let mut registrations = Vec::with_capacity(sink.models.len());
        for model in &sink.models {
            let dataset = DatasetId::of_model(&model.descriptor.id, self.sink);
            let reason = self.what_the_catalog_lacks(model, &dataset).await?;
            let change = reason.map(|reason| Change {
                action: "register",
                object: dataset.to_string(),
                reason: reason.to_owned(),
                sql: None,
            });
            registrations.push((dataset, change));
        }
        Ok(Plan { sink, registrations })
    }

    /// Plans and carries the plan out. Any number of processes may do so at once.
    ///
    /// # Errors
    ///
    /// As [`plan`](Self::plan) and [`Provisioner::apply`] say. What was done on the sink before the
    /// catalog failed stays, and the next call registers it.
    pub async fn provision(&self, models: &[Arc<ModelDescriptor>], at: Timestamp) -> Result<Provisioned> {
        let mut attempts = 1;
        loop {
            let plan = self.plan(models).await?;
            match self.carry_out(&plan, at).await {
                // Another has done it at the same moment: what is left is planned, and told, anew.
                Ok(false) if !plan.is_empty() && attempts < ATTEMPTS => {}
                Ok(changed) => return Ok(Provisioned { plan, changed }),
                Err(error) if error.kind() == ErrorKind::Outdated && attempts < ATTEMPTS => {
                    tracing::info!(%error, "planning anew");
                }
                Err(error) => return Err(error),
            }
            attempts += 1;
        }
    }

    /// Sees to it, before a model's rows are loaded, that its table is there and in the catalog, as
    /// made from `upstream`. Says the dataset. `run` is the run that is to load.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotProvisioned`] when the sink lacks something that provisioning would make.
    pub async fn admit(
        &self,
        model: &Arc<ModelDescriptor>,
        upstream: &DatasetId,
        run: &RunId,
        at: Timestamp,
    ) -> Result<DatasetId> {
        let plan = self.provisioner.plan(&[model]).await?;
        let recorded =
            plan.models.first().filter(|_| plan.is_empty()).and_then(|model| Some((model, model.recorded.as_ref()?)));
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

    /// Says whether anything was changed. When another has changed the sink at the same moment, nothing
    /// is.
    async fn carry_out(&self, plan: &Plan, at: Timestamp) -> Result<bool> {
        let (mut changed, records) = if plan.sink.is_empty() {
            (false, plan.sink.models.iter().filter_map(|model| model.recorded.clone()).collect())
        } else {
            let receipt = self.provisioner.apply(&plan.sink).await?;
            if !receipt.changed {
                return Ok(false);
            }
            (true, receipt.models)
        };
        if records.len() != plan.sink.models.len() {
            let message = "the driver does not say what is on record of each model that it provisioned";
            return Err(Error::new(ErrorKind::Internal, "apply", message).with("sink", self.sink));
        }
        for (model, recorded) in plan.sink.models.iter().zip(&records) {
            let cause = Cause::Provisioning { plan_hash: recorded.plan_hash.clone() };
            let registered = self.catalog.register_dataset(&self.dataset_of(model, recorded), &cause, at).await?;
            changed |= registered.changed;
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
