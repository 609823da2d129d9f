//! Major versions of a model, each in a table of its own, and the views by which readers tell them apart.

use std::collections::HashMap;

use cdm_models::{ModelDescriptor, ModelId};
use endpoint_api::{Change, Error, ErrorKind, ProvisionedModel, Result};

use crate::{Dialect, Found, Identifier, Naming, plumbing};

/// By this, in its comment or its text, a view is known to be one that provisioning made.
pub const VIEW_MARK: &str = "Made by cdm";

/// A view as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActualView {
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
        }
        names.extend(own_view(naming, model)?);
    }
    Ok(names)
}

/// What has to be done so that readers find each major version of a model in a view of its own.
///
/// A model has views from its second major version on: then one of each version that is there, with the columns
/// of that version and no plumbing. A view that is there grows with its model.
///
/// # Errors
///
/// [`ErrorKind::Conflict`] when there is a view of that name that is somebody else's and lacks a column.
pub(crate) fn views(
    model: &ModelDescriptor,
    naming: &Naming,
    found: &Found,
    dialect: &dyn Dialect,
) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    for (major, table) in older(naming, model, &found.recorded)? {
        let name = naming.view(&model.id, major)?;
        let Some(actual) = found.tables.get(table.as_str()).filter(|_| !found.views.contains_key(name.as_str())) else {
            continue;
        };
        // What that version had stands nowhere but in its table.
        let columns = actual.columns.iter().map(|column| column.name.clone());
        let columns = columns.filter(|column| !plumbing::is_plumbing(column)).collect();
        let view = View::of(&model.id, major, name, table, columns);
        changes.push(make(&view, dialect, "who reads the older version finds it there"));
    }

    let Some(name) = own_view(naming, model)? else { return Ok(changes) };
    let table = naming.table(model)?;
    let fields = model.fields.iter().map(|field| field.name.clone());
    let reason = format!("who reads version {} finds it there", model.version.major);
    match found.views.get(name.as_str()) {
        None if has_views(model) => {
            let view = View::of(&model.id, model.version.major, name, table, fields.collect());
            changes.push(make(&view, dialect, &reason));
        }
        None => {}
        Some(actual) => {
            let missing: Vec<String> = fields.filter(|field| !actual.columns.contains(field)).collect();
            if missing.is_empty() {
                return Ok(changes);
            }
            if !actual.is_ours {
                let message = format!(
                    "`{}` is a view that provisioning did not make, and it lacks {}; rename it, or choose another table \
                     prefix or schema for the sink",
                    dialect.shown(&name),
                    missing.join(", ")
                );
                return Err(Error::new(ErrorKind::Conflict, "plan", message));
            }
            let columns = actual.columns.iter().cloned().chain(missing).collect();
            let view = View::of(&model.id, model.version.major, name, table, columns);
            let sql = Some(dialect.extend_view(&view));
            changes.push(Change { action: "extend view", object: dialect.shown(&view.name), reason, sql });
        }
    }
    Ok(changes)
}

fn make(view: &View, dialect: &dyn Dialect, reason: &str) -> Change {
    Change {
        action: "create view",
        object: dialect.shown(&view.name),
        reason: reason.to_owned(),
        sql: Some(dialect.create_view(view)),
    }
}

impl View {
    fn of(model: &ModelId, major: u64, name: Identifier, table: Identifier, columns: Vec<String>) -> Self {
        let comment = format!("What {model} is in version {major}, for readers. {VIEW_MARK}.");
        Self { name, table, columns, comment }
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
        let major = record.version.major.max(1);
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
