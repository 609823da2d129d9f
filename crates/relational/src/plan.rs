use std::{collections::HashMap, sync::Arc};

use cdm_models::{ModelDescriptor, Timestamp};
use endpoint_api::{
    Change, Error, ErrorKind, FindingClass, ModelPlan, PlanState, ProvisionPlan, ProvisionReceipt, ProvisionedModel,
    Result, Retry,
};

use crate::{
    ActualKind, ActualTable, ActualView, Dialect, Difference, Identifier, Naming, Statement, Table, compare, plumbing,
    support, versions,
};

/// What is there, of the tables that models need.
#[derive(Debug, Default)]
pub struct Found {
    /// What is there beside tables, such as the schema.
    pub state: PlanState,
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
/// As [`Naming::tables`] and [`Table::of`] say.
pub fn plan(
    models: &[&ModelDescriptor],
    naming: &Naming,
    found: &Found,
    first: Vec<Change>,
    dialect: &dyn Dialect,
) -> Result<ProvisionPlan> {
    let actual = |name: &Identifier| found.tables.get(name.as_str());
    let (mut state, mut support_changes, mut differences) = (found.state.clone(), first, Vec::new());
    for table in support::tables() {
        let actual = actual(&table.name);
        let difference = compare(&table, actual, "the sink keeps its own state there", dialect);
        state = state.with(dialect.shown(&table.name), actual.map(|actual| actual.fingerprint(None)));
        support_changes.extend(difference.changes);
        differences.extend(difference.findings);
    }
    let mut plans = Vec::with_capacity(models.len());
    let tables = naming.tables(models)?;
    for (model, name) in models.iter().zip(tables.iter().cloned()) {
        let (actual, recorded) = (actual(&name), found.recorded.get(name.as_str()));
        let version = recorded.map(|recorded| recorded.version.to_string());
        state = state.with(dialect.shown(&name), actual.map(|actual| actual.fingerprint(version.as_deref())));
        let table = Table::of(model, name.clone(), dialect)?;
        let mut difference = compare(&table, actual, &format!("rows of {} go there", model.id), dialect);
        // What a newer version of the model has added and says of the table stays.
        if recorded.is_some_and(|recorded| recorded.version > model.version) {
            let Difference { changes, findings } = &mut difference;
            changes.retain(|change| change.action != "describe");
            findings.retain(|finding| {
                finding.class == FindingClass::Incompatible
                    || changes.iter().any(|change| change.object == finding.object)
            });
        }
        // The hashes of the rows say that they are stored as a whole.
        if recorded.is_some_and(|recorded| recorded.version >= model.version) && comes_back(&difference) {
            let Statement { sql, execution } = dialect.mark_rows(&name);
            let reason = "a column that was dropped comes back empty; `cdm ingest --full` then writes all rows again";
            difference.changes.insert(0, Change::new(MARK_ROWS, dialect.shown(&name), reason).by(sql, execution));
        }
        let Difference { changes, findings } = versions::compare(model, naming, found, &tables, dialect)?;
        difference.changes.extend(changes);
        difference.findings.extend(findings);
        state = versions::observe(state, model, naming, found, dialect)?;
        let is_foreign = recorded.is_none() && actual.is_some_and(|actual| actual.kind != ActualKind::Other);
        let mut changes = difference.changes;
        if is_foreign {
            let reason = "the table exists and is not on record; it is taken over with its rows";
            changes.insert(0, Change::new("adopt", dialect.shown(&name), reason));
        }
        let is_recorded = recorded.is_some_and(|recorded| recorded.version >= model.version);
        if !is_recorded || !changes.is_empty() {
            let reason = format!("{} holds {} {}", name.as_str(), model.id, model.version);
            let record = Change::new("record", dialect.shown(&Identifier::derived(support::MODEL)), reason);
            let can_wait = is_recorded && changes.iter().all(|change| change.can_wait);
            changes.push(if can_wait { record.that_can_wait() } else { record });
        }
        differences.extend(difference.findings);
        let plan = ModelPlan::new(Arc::new((*model).clone()), dialect.shown(&name), changes, recorded.cloned());
        plans.push(plan.foreign(is_foreign));
    }
    Ok(ProvisionPlan::new(state, support_changes, plans).differing(differences))
}

/// What a change does after which all rows of a table are written again when they are read again.
pub const MARK_ROWS: &str = "mark rows";

/// Whether a column is added that is written with the rows.
fn comes_back(difference: &Difference) -> bool {
    let of_later = [plumbing::DELETED_AT, plumbing::SOURCE_HASH].map(|name| format!(".{name}"));
    difference.changes.iter().any(|change| {
        change.action == "add column" && !of_later.iter().any(|name| change.object.ends_with(name.as_str()))
    })
}

/// What is left to do of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// All of it.
    All,
    /// The plan was applied, but these changes, which come after its transaction, are still to be made: whoever
    /// applied it has been stopped, or they have failed.
    Rest(Vec<Change>),
    /// Nothing: it was applied, or there was nothing to do.
    Nothing,
}

/// What is left to do of `plan`, given what is planned for the same models under the lock.
///
/// # Errors
///
/// [`ErrorKind::Conflict`] when there is a difference that adding cannot mend (see
/// [`ProvisionPlan::refusal`]), and [`ErrorKind::Outdated`] when the sink has changed since the plan was made,
/// naming what has changed.
pub fn due(plan: &ProvisionPlan, fresh: ProvisionPlan) -> Result<Due> {
    if let Some(refusal) = plan.refusal() {
        return Err(refusal);
    }
    let fresh = fresh.asked_for_as(plan);
    let hash = plan.hash();
    if fresh.hash() == hash {
        return Ok(if plan.is_empty() { Due::Nothing } else { Due::All });
    }
    if is_applied(plan, &hash, &fresh) {
        let later: Vec<&Change> = plan.changes().filter(|change| change.is_concurrent()).collect();
        let is_left =
            |change: &&Change| change.is_concurrent() && later.iter().any(|planned| planned.object == change.object);
        let rest: Vec<Change> = fresh.changes().filter(is_left).cloned().collect();
        return Ok(if rest.is_empty() { Due::Nothing } else { Due::Rest(rest) });
    }
    let differences = plan.state.differences(&fresh.state);
    let message = if differences.is_empty() {
        "the plan was made by another version of this program or under another configuration, which does something \
         else; plan again"
            .to_owned()
    } else {
        format!("the sink has changed since the plan was made: {}; plan again", differences.join(", "))
    };
    Err(Error::new(ErrorKind::Outdated, "apply", message).with_retry(Retry::Backoff))
}

/// Whether the sink has that very plan on record. A plan that only makes tables of the sink's own leaves no
/// record, and is applied when nothing is left to do.
fn is_applied(plan: &ProvisionPlan, hash: &str, fresh: &ProvisionPlan) -> bool {
    let mut touched = plan.models.iter().zip(&fresh.models).filter(|(planned, _)| !planned.changes.is_empty());
    match touched.next() {
        None => fresh.is_empty(),
        Some(first) => std::iter::once(first)
            .chain(touched)
            .all(|(_, found)| found.recorded.as_ref().is_some_and(|recorded| recorded.plan_hash == hash)),
    }
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
    let wanted = Table::of(model, name.clone(), dialect)?;
    for table in support::tables().iter().chain([&wanted]) {
        let Difference { changes, findings } =
            compare(table, actual.get(table.name.as_str()), "rows go there", dialect);
        let plan = ProvisionPlan::new(PlanState::new(), changes, Vec::new()).differing(findings);
        if let Some(refusal) = plan.refusal() {
            return Err(refusal);
        }
        if let Some(change) = plan.support.iter().find(|change| !change.can_wait) {
            let message = format!("{} {} is not provisioned", model.id, model.version);
            return Err(Error::new(ErrorKind::NotProvisioned, "open a run", message).with("missing", &change.object));
        }
    }
    Ok(wanted)
}
