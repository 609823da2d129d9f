//! Major versions of a model, each in a table of its own, and the views for readers: of the live rows of each version,
//! and of all rows of each version where there are several.

use std::collections::HashMap;

use cdm_models::{ModelDescriptor, ModelId, major};
use endpoint_api::{Change, Finding, PlanState, ProvisionedModel, Result};

use crate::{ActualTable, Dialect, Difference, Found, Identifier, Naming, Statement, plumbing};

/// By this, in its comment or its text, a view is known to be one that provisioning made.
pub const VIEW_MARK: &str = "Made by cdm";

const ELSEWHERE: &str = "choose another table prefix or schema for the sink";

/// What stands under the name of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActualView {
    /// Whether it is a view at all.
    pub is_view: bool,
    /// The names of its columns, in their order.
    pub columns: Vec<String>,
    /// Whether provisioning made it: it bears the [`VIEW_MARK`].
    pub is_ours: bool,
}

/// A view as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its name.
    pub name: Identifier,
    /// The table that it selects from.
    pub table: Identifier,
    /// The columns that it selects, in their order.
    pub columns: Vec<String>,
    /// Whether it selects the live rows only: those without a time in [`plumbing::DELETED_AT`].
    pub is_live: bool,
    /// What it is, for people; bears the [`VIEW_MARK`].
    pub comment: String,
}

/// The tables of older major versions of models, as far as they are on record.
///
/// # Errors
///
/// As [`Naming::of_major`] says.
pub fn older_tables(
    naming: &Naming,
    models: &[&ModelDescriptor],
    recorded: &HashMap<String, ProvisionedModel>,
) -> Result<Vec<Identifier>> {
    let mut tables = Vec::new();
    for model in models {
        tables.extend(older(naming, model, recorded)?.into_iter().map(|(_, table)| table));
    }
    Ok(tables)
}

/// The names of the views of models: of their own version and of the older ones that are on record.
///
/// # Errors
///
/// As [`Naming::view`] says.
pub fn view_names(
    naming: &Naming,
    models: &[&ModelDescriptor],
    recorded: &HashMap<String, ProvisionedModel>,
) -> Result<Vec<Identifier>> {
    let mut names = Vec::new();
    for model in models {
        for (major, _) in older(naming, model, recorded)? {
            names.push(naming.view(&model.id, major)?);
            names.extend(naming.live_view(&model.id, major));
        }
        names.extend(own_view(naming, model)?);
        names.extend(naming.live_view(&model.id, model.version.major));
    }
    Ok(names)
}

/// What has to be done so that readers find each major version of a model in a view of its own.
///
/// Each version has a view of its live rows, with the columns of the version and no plumbing. From the second major
/// version on a model also has a view of all rows of each version that is there. A view that is there grows with its
/// model. Under the name of a view of a version nothing of somebody else's may stand that lacks a column; somebody
/// else's under the name of a view of live rows is left alone and reported. `tables` are those of all models of the plan.
///
/// # Errors
///
/// As [`Naming::view`] says.
pub(crate) fn compare(
    model: &ModelDescriptor,
    naming: &Naming,
    found: &Found,
    tables: &[Identifier],
    dialect: &dyn Dialect,
) -> Result<Difference> {
    let mut difference = compare_versions(model, naming, found, dialect)?;
    let mut views = Vec::new();
    for (major, table) in older(naming, model, &found.recorded)? {
        let Some(actual) = found.tables.get(table.as_str()) else { continue };
        views.push((major, table, columns_of(actual), false));
    }
    let (major, table) = (model.version.major, naming.table(model)?);
    let is_new_table = !found.tables.contains_key(table.as_str());
    views.push((major, table, model.fields.iter().map(|field| field.name.clone()).collect(), is_new_table));
    for (major, table, columns, is_new_table) in views {
        // Where the name of the table leaves no room for that of the view, there is none.
        let Ok(name) = naming.live_view(&model.id, major) else { continue };
        let object = dialect.shown(&name);
        let reason = "shows the rows that are not deleted";
        match found.views.get(name.as_str()) {
            None if tables.contains(&name) => {
                let way_out = "there is no view of the live rows; read those whose _cdm_deleted_at is null";
                difference.findings.push(Finding::harmless(object, "is the table of another model", way_out));
            }
            None => {
                let view = View::live(&model.id, major, name, table, columns);
                let statement = dialect.create_view(&view, is_new_table);
                difference.changes.push(change("create view", &view, reason, statement, dialect));
            }
            Some(actual) if !actual.is_ours => {
                let way_out = "it is left alone; rename it to get the view of the live rows";
                difference.findings.push(Finding::harmless(object, "is not a view that provisioning made", way_out));
            }
            Some(actual) if major == model.version.major => {
                let missing: Vec<String> =
                    columns.into_iter().filter(|column| !actual.columns.contains(column)).collect();
                if missing.is_empty() {
                    continue;
                }
                difference.findings.push(Finding::additive(object, format!("lacks {}", missing.join(", "))));
                let columns = actual.columns.iter().cloned().chain(missing).collect();
                let view = View::live(&model.id, major, name, table, columns);
                difference.changes.push(change("extend view", &view, reason, dialect.extend_view(&view), dialect));
            }
            Some(_) => {}
        }
    }
    Ok(difference)
}

/// The columns of a table that are a model's.
fn columns_of(table: &ActualTable) -> Vec<String> {
    let names = table.columns.iter().map(|column| column.name.clone());
    names.filter(|column| !plumbing::is_plumbing(column)).collect()
}

/// What has to be done so that there is a view of each version, where there are several.
fn compare_versions(
    model: &ModelDescriptor,
    naming: &Naming,
    found: &Found,
    dialect: &dyn Dialect,
) -> Result<Difference> {
    let mut difference = Difference::default();
    for (major, table) in older(naming, model, &found.recorded)? {
        let name = naming.view(&model.id, major)?;
        let Some(actual) = found.tables.get(table.as_str()) else { continue };
        // What that version had stands nowhere but in its table.
        let columns = columns_of(actual);
        match found.views.get(name.as_str()) {
            None => {
                let view = View::of(&model.id, major, name, table, columns);
                let statement = dialect.create_view(&view, false);
                let reason = "for readers of the older version";
                difference.changes.push(change("create view", &view, reason, statement, dialect));
            }
            Some(actual) if !actual.is_view => difference.findings.push(no_view(&name, dialect)),
            Some(_) => {}
        }
    }

    let Some(name) = own_view(naming, model)? else { return Ok(difference) };
    let table = naming.table(model)?;
    let fields = model.fields.iter().map(|field| field.name.clone());
    let reason = format!("for readers of version {}", model.version.major);
    match found.views.get(name.as_str()) {
        None if has_views(model) => {
            let is_new_table = !found.tables.contains_key(table.as_str());
            let view = View::of(&model.id, model.version.major, name, table, fields.collect());
            let statement = dialect.create_view(&view, is_new_table);
            difference.changes.push(change("create view", &view, &reason, statement, dialect));
        }
        Some(actual) if actual.is_ours || has_views(model) => {
            if !actual.is_view {
                difference.findings.push(no_view(&name, dialect));
                return Ok(difference);
            }
            let missing: Vec<String> = fields.filter(|field| !actual.columns.contains(field)).collect();
            if missing.is_empty() {
                return Ok(difference);
            }
            let (object, lacks) = (dialect.shown(&name), format!("lacks {}", missing.join(", ")));
            if !actual.is_ours {
                let lacks = format!("is a view that provisioning did not make, and it {lacks}");
                difference.findings.push(Finding::incompatible(object, lacks, format!("rename it, or {ELSEWHERE}")));
                return Ok(difference);
            }
            difference.findings.push(Finding::additive(object, lacks));
            let columns = actual.columns.iter().cloned().chain(missing).collect();
            let view = View::of(&model.id, model.version.major, name, table, columns);
            difference.changes.push(change("extend view", &view, &reason, dialect.extend_view(&view), dialect));
        }
        _ => {}
    }
    Ok(difference)
}

/// Adds what [`compare`] depends on to the state that a plan is made for: the tables of older major versions, and
/// the views.
///
/// # Errors
///
/// As [`Naming::view`] says.
pub(crate) fn observe(
    mut state: PlanState,
    model: &ModelDescriptor,
    naming: &Naming,
    found: &Found,
    dialect: &dyn Dialect,
) -> Result<PlanState> {
    let mut views = Vec::new();
    for (major, table) in older(naming, model, &found.recorded)? {
        let version = found.recorded.get(table.as_str()).map(|recorded| recorded.version.to_string());
        let actual = found.tables.get(table.as_str());
        state = state.with(dialect.shown(&table), actual.map(|actual| actual.fingerprint(version.as_deref())));
        views.push(naming.view(&model.id, major)?);
        views.extend(naming.live_view(&model.id, major));
    }
    views.extend(naming.live_view(&model.id, model.version.major));
    // A first version that stands alone needs no view, and where there is none, none is told of.
    let is_told = |name: &Identifier| has_views(model) || found.views.contains_key(name.as_str());
    views.extend(own_view(naming, model)?.filter(is_told));
    for name in views {
        let actual = found.views.get(name.as_str());
        state = state.with(dialect.shown(&name), actual.map(ActualView::fingerprint));
    }
    Ok(state)
}

/// Rows can be loaded before a view is there.
fn change(
    action: &'static str,
    view: &View,
    reason: &str,
    Statement { sql, execution }: Statement,
    dialect: &dyn Dialect,
) -> Change {
    Change::new(action, dialect.shown(&view.name), reason).by(sql, execution).that_can_wait()
}

fn no_view(name: &Identifier, dialect: &dyn Dialect) -> Finding {
    let difference = "is no view, and one of that name is to be made";
    Finding::incompatible(dialect.shown(name), difference, format!("rename it, or {ELSEWHERE}"))
}

impl ActualView {
    fn fingerprint(&self) -> String {
        let kind = [self.is_view, self.is_ours].map(|is| if is { "yes" } else { "no" });
        PlanState::fingerprint_of(kind.into_iter().chain(self.columns.iter().map(String::as_str)))
    }
}

impl View {
    fn of(model: &ModelId, major: u64, name: Identifier, table: Identifier, columns: Vec<String>) -> Self {
        let comment = format!("What {model} is in version {major}, for readers. {VIEW_MARK}.");
        Self { name, table, columns, is_live: false, comment }
    }

    fn live(model: &ModelId, major: u64, name: Identifier, table: Identifier, columns: Vec<String>) -> Self {
        let comment = format!("The rows of {model} in version {major} that are not deleted, for readers. {VIEW_MARK}.");
        Self { name, table, columns, is_live: true, comment }
    }

    /// The end of the statement that selects its rows: ` where …`, or nothing.
    pub fn condition(&self) -> String {
        match self.is_live {
            true => format!(" where {} is null", plumbing::DELETED_AT),
            false => String::new(),
        }
    }
}

/// Whether a model of this version has a view whatever else there is.
fn has_views(model: &ModelDescriptor) -> bool {
    model.version.major > 1
}

/// The view of a model's own version. A first version has one only beside a second one, and needs no name for it.
fn own_view(naming: &Naming, model: &ModelDescriptor) -> Result<Option<Identifier>> {
    match naming.view(&model.id, model.version.major) {
        Err(_) if !has_views(model) => Ok(None),
        name => name.map(Some),
    }
}

/// The older major versions of a model that are on record, with their tables, the oldest first.
fn older(
    naming: &Naming,
    model: &ModelDescriptor,
    recorded: &HashMap<String, ProvisionedModel>,
) -> Result<Vec<(u64, Identifier)>> {
    let mut older = Vec::new();
    for (table, record) in recorded {
        let major = major(&record.version);
        if major < model.version.major {
            let name = naming.of_major(&model.id, major)?;
            if name.as_str() == table {
                older.push((major, name));
            }
        }
    }
    older.sort_unstable();
    Ok(older)
}
