use std::{collections::BTreeSet, sync::Arc};

use cdm_models::{ModelDescriptor, Timestamp};
use endpoint_api::{
    Change, Error, Finding, GrantRequest, Grants, ModelPlan, PlanState, ProvisionPlan, ProvisionReceipt,
    ProvisionedModel, Provisioner, Result, async_trait,
};
use relational::{Due, due};

use crate::{
    driver::ParquetEndpoint,
    error::{carry_through, damaged, internal},
    layout,
    manifest::{Manifest, ModelRecord},
    schema::ModelSchema,
    store::{Store, now, to_json},
};

const PLAN: &str = "plan";
const APPLY: &str = "apply";

#[async_trait]
impl Provisioner for ParquetEndpoint {
    async fn plan(&self, models: &[&ModelDescriptor]) -> Result<ProvisionPlan> {
        let store = self.store();
        let manifest = store.manifest(PLAN).await?;
        let models: Vec<Arc<ModelDescriptor>> = models.iter().map(|model| Arc::new((*model).clone())).collect();
        plan(store, &manifest, &models).await
    }

    async fn apply(&self, wanted: &ProvisionPlan) -> Result<ProvisionReceipt> {
        let (store, wanted) = (Arc::clone(self.store()), wanted.clone());
        carry_through(APPLY, async move { apply(&store, &wanted).await }).await
    }

    async fn grants(&self, _: &GrantRequest, _: &[&ModelDescriptor]) -> Result<Grants> {
        Err(Error::unsupported("say the rights", "saying the rights of roles, of which a folder has none,"))
    }
}

async fn plan(store: &Store, manifest: &Manifest, models: &[Arc<ModelDescriptor>]) -> Result<ProvisionPlan> {
    let mut support = Vec::new();
    let is_made = manifest.sequence != 0;
    let mut state = PlanState::new().with(layout::manifest().to_string(), is_made.then(|| "manifest".to_owned()));
    if !is_made {
        support.push(change("create", layout::manifest(), "the sink keeps there what is committed".to_owned()));
    }
    let mut plans = Vec::with_capacity(models.len());
    let mut differences = Vec::new();
    for model in models {
        let (existing, wanted) = (ModelSchema::read(store, &model.id, PLAN).await?, ModelSchema::of(model)?);
        let path = layout::schema(&model.id);
        let record = manifest.models.get(&model.id);
        let fingerprint = existing.as_ref().map(|existing| fingerprint(existing, record));
        state = state.with(path.to_string(), fingerprint);
        let mut changes = Vec::new();
        match existing.map(|existing| existing.extended(&wanted)) {
            None => changes.push(change("create", path, format!("files of rows of {} stand beside it", model.id))),
            Some(Ok(Some(_))) => {
                changes.push(change("extend", path, format!("{} {} has more fields", model.id, model.version)));
            }
            Some(Ok(None)) => {}
            Some(Err(difference)) => {
                let way_out = "move the model's folder away, provision again and load with --full";
                differences.push(Finding::incompatible(path.to_string(), difference, way_out));
            }
        }
        if !changes.is_empty() || record.is_none_or(|record| record.version < model.version) {
            let reason = format!("the folder is known to fit {} {}", model.id, model.version);
            changes.push(change("record", layout::manifest(), reason));
        }
        let recorded = record.map(recorded).transpose()?;
        plans.push(ModelPlan::new(Arc::clone(model), model.id.to_string(), changes, recorded));
    }
    Ok(ProvisionPlan::new(state, support, plans).differing(differences))
}

/// What a plan could depend on, of a model's folder.
fn fingerprint(schema: &ModelSchema, record: Option<&ModelRecord>) -> String {
    let version = record.map(|record| record.version.to_string()).unwrap_or_default();
    let fields = schema.fields.iter().map(|field| (field.name.as_str(), field.logical_type.to_string()));
    let fields: Vec<(&str, String)> = fields.collect();
    let schema_version = schema.version.to_string();
    let texts = [version.as_str(), &schema_version, &schema.key];
    PlanState::fingerprint_of(texts.into_iter().chain(fields.iter().flat_map(|(name, kind)| [*name, kind])))
}

fn change(action: &'static str, object: object_store::path::Path, reason: String) -> Change {
    Change::new(action, object.to_string(), reason)
}

fn recorded(record: &ModelRecord) -> Result<ProvisionedModel> {
    let at = Timestamp::parse(&record.provisioned_at)
        .map_err(|error| damaged(PLAN, layout::manifest(), "a model has no time").caused_by(error))?;
    Ok(ProvisionedModel::new(record.version.clone(), record.plan_hash.clone(), at))
}

async fn apply(store: &Arc<Store>, wanted: &ProvisionPlan) -> Result<ProvisionReceipt> {
    let models: Vec<Arc<ModelDescriptor>> = wanted.models.iter().map(|model| Arc::clone(&model.descriptor)).collect();
    let mut locked = store.lock(APPLY).await?;
    // Under the lock nobody else provisions: what is found now is what is changed.
    let changed = due(wanted, plan(store, &locked.manifest, &models).await?)? != Due::Nothing;
    if changed {
        let touched: BTreeSet<&str> =
            wanted.models.iter().filter(|model| !model.changes.is_empty()).map(|model| model.table.as_str()).collect();
        for model in models.iter().filter(|model| touched.contains(model.id.as_str())) {
            let needed = ModelSchema::of(model)?;
            let schema = match ModelSchema::read(store, &model.id, APPLY).await? {
                None => Some(needed),
                Some(existing) => existing
                    .extended(&needed)
                    .map_err(|_| internal(APPLY, "a schema does not fit that the plan fitted"))?,
            };
            if let Some(schema) = schema {
                store.write(&layout::schema(&model.id), to_json(&schema, APPLY)?, APPLY).await?;
            }
            let provisioned_at = now().to_string();
            let record = ModelRecord { version: model.version.clone(), plan_hash: wanted.hash(), provisioned_at };
            locked.manifest.models.insert(model.id.clone(), record);
        }
        locked = locked.publish(APPLY).await?;
    }
    let records = models.iter().map(|model| {
        let record = locked.manifest.models.get(&model.id);
        recorded(record.ok_or_else(|| internal(APPLY, "a model is not on record after it was provisioned"))?)
    });
    Ok(ProvisionReceipt::new(changed, records.collect::<Result<_>>()?))
}
