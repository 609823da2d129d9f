use std::sync::Arc;

use cdm_models::ModelDescriptor;
use endpoint_api::Result;
use relational::{Column, Identifier, Naming, require};
use rusqlite::Connection;

use crate::{dialect::Sqlite, introspect};

/// The table that a run loads into.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) model: Arc<ModelDescriptor>,
    /// Its name; as it stands in statements when it is displayed.
    pub(crate) table: Identifier,
    /// The column of the key.
    pub(crate) key: Identifier,
    /// The columns of the model, in the order of its fields.
    pub(crate) fields: Vec<Column>,
}

impl Target {
    /// Finds the table of a model and looks whether rows of that model fit into it.
    ///
    /// # Errors
    ///
    /// As [`require`] says.
    pub(crate) fn find(connection: &Connection, naming: &Naming, model: Arc<ModelDescriptor>) -> Result<Self> {
        let table = naming.table(&model)?;
        let actual = introspect::tables(connection, &relational::table_names(naming, &[&model])?)?;
        let mut fields = require(&model, &table, &actual, &Sqlite)?.columns;
        fields.truncate(model.fields.len());
        Ok(Self { table, key: Identifier::derived(&model.key().name), fields, model })
    }
}
