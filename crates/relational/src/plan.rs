use std::{collections::HashMap, sync::Arc};

use cdm_models::{ModelDescriptor, Timestamp};
use endpoint_api::{Change, Error, ErrorKind, ModelPlan, ProvisionPlan, ProvisionReceipt, ProvisionedModel, Result};

use crate::{ActualTable, ActualView, Dialect, Identifier, Naming, Table, changes, support, versions};

/// What is there, of the tables that models need.
#[derive(Debug, Default)]
pub struct Found {
    /// The tables that exist, by name.
    pub tables: HashMap<String, ActualTable>,
    /// What is on record of model tables, by name.
    pub recorded: HashMap<String, ProvisionedModel>,
    /// The views of models that exist, by name; see [`view_names`](crate::view_names).
    pub views: HashMap<String, ActualView>,
}

/// What is on record of a model table, from the columns of [`support::MODEL`]; the time in microseconds since
/// the epoch.
///
/// # Errors
///
/// [`ErrorKind::Data`] when the line is damaged.
pub fn recorded(table: &str, version: &str, plan_hash: String, provisioned_at: i64) -> Result<ProvisionedModel> {
    let damaged = || {
        let message = "the record of a model is damaged";
        Error::new(ErrorKind::Data, "read what is provisioned", message).with("table", table)
    };
    let version = version.parse().map_err(|_| damaged())?;
    let provisioned_at = Timestamp::from_microsecond(provisioned_at).map_err(|_| damaged())?;
    Ok(ProvisionedModel::new(version, plan_hash, provisioned_at))
}

/// The names of all tables that models need: those of the sink's own, and one for each model. Of older major
/// versions see [`older_tables`](crate::older_tables).
///
/// # Errors
///
/// As [`Naming::tables`] says.
pub fn table_names(naming: &Naming, models: &[&ModelDescriptor]) -> Result<Vec<Identifier>> {
    let own = support::tables().into_iter().map(|table| table.name);
    Ok(own.chain(naming.tables(models)?).collect())
}

/// What has to be done so that models can be loaded. `first` is what the dialect needs before any table.
///
/// # Errors
///
/// [`ErrorKind::Conflict`] when something is there that adding cannot mend; see [`changes`].
pub fn plan(
    models: &[&ModelDescriptor],
    naming: &Naming,
    found: &Found,
    first: Vec<Change>,
    dialect: &dyn Dialect,
) -> Result<ProvisionPlan> {
    let actual = |name: &Identifier| found.tables.get(name.as_str());
    let mut support_changes = first;
    for table in support::tables() {
        support_changes.extend(changes(&table, actual(&table.name), "the sink keeps its own state there", dialect)?);
    }
    let mut plans = Vec::with_capacity(models.len());
    for (model, name) in models.iter().zip(naming.tables(models)?) {
        let recorded = found.recorded.get(name.as_str()).cloned();
        let table = Table::of(model, name.clone())?;
        let mut model_changes = changes(&table, actual(&name), &format!("rows of {} go there", model.id), dialect)?;
        // What a newer version of the model says of the table stays.
        if recorded.as_ref().is_some_and(|recorded| recorded.version > model.version) {
            model_changes.retain(|change| change.action != "describe");
        }
        model_changes.extend(versions::views(model, naming, found, dialect)?);
        let is_recorded = recorded.as_ref().is_some_and(|recorded| recorded.version >= model.version);
        if !is_recorded || !model_changes.is_empty() {
            model_changes.push(Change {
                action: "record",
                object: dialect.shown(&Identifier::derived(support::MODEL)),
                reason: format!("{} is known to fit {} {}", name.as_str(), model.id, model.version),
                sql: None,
            });
        }
        plans.push(ModelPlan::new(Arc::new((*model).clone()), dialect.shown(&name), model_changes, recorded));
    }
    Ok(ProvisionPlan::new(support_changes, plans))
}

/// Whether `plan` is to be carried out, given what is found to be needed under the lock: not when somebody
/// else has done it.
///
/// # Errors
///
/// [`ErrorKind::Outdated`] when the sink has changed in another way since.
pub fn is_needed(plan: &ProvisionPlan, fresh: &ProvisionPlan) -> Result<bool> {
    if fresh.is_empty() || fresh.hash() == plan.hash() {
        return Ok(!fresh.is_empty());
    }
    let message = "the sink has changed since the plan was made; plan again";
    Err(Error::new(ErrorKind::Outdated, "apply", message).with_retry(endpoint_api::Retry::Backoff))
}

/// The receipt of a plan, given what is planned after it.
///
/// # Errors
///
/// [`ErrorKind::Internal`] when a model is not on record.
pub fn provisioned(changed: bool, after: ProvisionPlan) -> Result<ProvisionReceipt> {
    let records = after.models.into_iter().map(|model| {
        let lost = || Error::new(ErrorKind::Internal, "apply", "a model is not on record after it was provisioned");
        model.recorded.ok_or_else(|| lost().with("model", &model.descriptor.id))
    });
    Ok(ProvisionReceipt::new(changed, records.collect::<Result<_>>()?))
}

/// Looks whether rows of a model fit into its table, and the sink's own state into its own; gives the table
/// as it should be.
///
/// # Errors
///
/// [`ErrorKind::NotProvisioned`] when a table or a column is missing, and [`ErrorKind::Conflict`] when
/// something there does not fit.
pub fn require(
    model: &ModelDescriptor,
    name: &Identifier,
    actual: &HashMap<String, ActualTable>,
    dialect: &dyn Dialect,
) -> Result<Table> {
    let wanted = Table::of(model, name.clone())?;
    for table in support::tables().iter().chain([&wanted]) {
        let missing = changes(table, actual.get(table.name.as_str()), "rows go there", dialect)?;
        // A missing index or comment is no reason not to load.
        if let Some(change) = missing.iter().find(|change| matches!(change.action, "create table" | "add column")) {
            let message = format!("{} {} is not provisioned", model.id, model.version);
            return Err(Error::new(ErrorKind::NotProvisioned, "open a run", message).with("missing", &change.object));
        }
    }
    Ok(wanted)
}
