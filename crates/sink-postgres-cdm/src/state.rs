use std::sync::Arc;

use cdm_models::ModelDescriptor;
use endpoint_api::Result;
use relational::{Column, Identifier, Naming, require, support};

use crate::{budget::Budget, dialect::Postgres, introspect, session::Session};

/// The sink's own tables, as they stand in statements.
#[derive(Debug, Clone)]
pub(crate) struct SupportTables {
    pub(crate) site: String,
    pub(crate) fence: String,
    pub(crate) ingestion: String,
    pub(crate) load: String,
    pub(crate) reject: String,
    pub(crate) outbox: String,
}

impl SupportTables {
    pub(crate) fn of(schema: &Identifier) -> Self {
        let qualified = |name: &str| format!("{schema}.{}", Identifier::derived(name));
        Self {
            site: qualified(support::SITE),
            fence: qualified(support::FENCE),
            ingestion: qualified(support::INGESTION),
            load: qualified(support::LOAD),
            reject: qualified(support::REJECT),
            outbox: qualified(support::OUTBOX),
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
    /// As [`require`] says.
    pub(crate) async fn find(
        session: &Session,
        schema: &Identifier,
        naming: &Naming,
        model: Arc<ModelDescriptor>,
    ) -> Result<Self> {
        let name = naming.table(&model)?;
        let names = relational::table_names(naming, &[&model])?;
        let actual = introspect::tables(session, schema, &names).await?;
        let dialect = Postgres { schema: schema.clone(), budget: Budget::default(), lz4: false };
        let mut fields = require(&model, &name, &actual, &dialect)?.columns;
        fields.truncate(model.fields.len());
        Ok(Self {
            is_plain: introspect::is_plain(session, schema, &name).await?,
            table: format!("{schema}.{name}"),
            name,
            key: Identifier::derived(&model.key().name),
            fields,
            model,
        })
    }
}
