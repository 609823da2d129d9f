use std::sync::Arc;

use cdm_models::ModelDescriptor;
use endpoint_api::{Error, ErrorKind, Result};
use relational::{Column, Identifier, Naming, Table, changes, support};

use crate::{dialect::Postgres, introspect, session::Session};

/// The sink's own tables, as they stand in statements.
#[derive(Debug, Clone)]
pub(crate) struct SupportTables {
    pub(crate) fence: String,
    pub(crate) ingestion: String,
    pub(crate) load: String,
    pub(crate) reject: String,
}

impl SupportTables {
    pub(crate) fn of(schema: &Identifier) -> Self {
        let qualified = |name: &str| format!("{schema}.{}", Identifier::derived(name));
        Self {
            fence: qualified(support::FENCE),
            ingestion: qualified(support::INGESTION),
            load: qualified(support::LOAD),
            reject: qualified(support::REJECT),
        }
    }
}

/// The table that a run loads into.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) model: Arc<ModelDescriptor>,
    /// Its bare name.
    pub(crate) name: Identifier,
    /// Its name as it stands in statements.
    pub(crate) table: String,
    /// The column of the key.
    pub(crate) key: Identifier,
    /// The columns of the model, in the order of its fields.
    pub(crate) fields: Vec<Column>,
    /// Whether nothing but its constraints has a say in what is inserted: no trigger, no rule, no policy.
    pub(crate) is_plain: bool,
}

impl Target {
    /// Finds the table of a model and looks whether rows of that model fit into it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotProvisioned`] when the table, a column or one of the sink's own tables is
    /// missing, and [`ErrorKind::Conflict`] when something there does not fit.
    pub(crate) async fn find(
        session: &Session,
        schema: &Identifier,
        naming: &Naming,
        model: Arc<ModelDescriptor>,
    ) -> Result<Self> {
        let name = naming.table(&model.id)?;
        let table = Table::of(&model, name.clone())?;
        let dialect = Postgres { schema: schema.clone(), lz4: false };
        let wanted: Vec<Table> = support::tables().into_iter().chain([table]).collect();
        let names: Vec<&str> = wanted.iter().map(|table| table.name.as_str()).collect();
        let actual = introspect::tables(session, schema, &names).await?;
        for table in &wanted {
            let missing = changes(table, actual.get(table.name.as_str()), "rows go there", &dialect)?;
            // A missing index or comment is no reason not to load.
            if let Some(change) = missing.iter().find(|change| matches!(change.action, "create table" | "add column")) {
                let message = format!("{} {} is not provisioned", model.id, model.version);
                return Err(
                    Error::new(ErrorKind::NotProvisioned, "open a run", message).with("missing", &change.object)
                );
            }
        }
        let fields = wanted.into_iter().next_back().map(|table| table.columns).unwrap_or_default();
        Ok(Self {
            is_plain: introspect::is_plain(session, schema, &name).await?,
            table: format!("{schema}.{name}"),
            name,
            key: Identifier::derived(&model.key().name),
            fields: fields.into_iter().take(model.fields.len()).collect(),
            model,
        })
    }
}
