use std::collections::HashMap;

use cdm_models::ModelDescriptor;
use endpoint_api::{
    Change, GrantRequest, Grants, PlanState, ProvisionPlan, ProvisionReceipt, ProvisionedModel, Provisioner, Result,
    async_trait,
};
use relational::{Found, Identifier, Statement, recorded, support};
use tokio_postgres::Row;

use crate::{
    apply::apply,
    dialect::Postgres,
    endpoint::PgCdm,
    grants, introspect,
    session::{Microseconds, Session, column},
    views,
};

#[async_trait]
impl Provisioner for PgCdm {
    async fn plan(&self, models: &[&ModelDescriptor]) -> Result<ProvisionPlan> {
        let session = Session::open(self.connector()).await?;
        self.look_as_owner(&session).await?;
        self.plan_in(&session, models).await
    }

    async fn apply(&self, plan: &ProvisionPlan) -> Result<ProvisionReceipt> {
        apply(self, plan).await
    }

    async fn grants(&self, request: &GrantRequest, models: &[&ModelDescriptor]) -> Result<Grants> {
        grants::grants(self, request, models)
    }
}

impl PgCdm {
    pub(crate) async fn plan_in(&self, session: &Session, models: &[&ModelDescriptor]) -> Result<ProvisionPlan> {
        let names = relational::table_names(self.naming(), models)?;
        let schema = self.schema();
        let mut tables = introspect::tables(session, schema, &names).await?;
        let recorded = if tables.contains_key(support::MODEL) { self.recorded(session).await? } else { HashMap::new() };
        let older = relational::older_tables(self.naming(), models, &recorded)?;
        if !older.is_empty() {
            tables.extend(introspect::tables(session, schema, &older).await?);
        }
        let views = relational::view_names(self.naming(), models, &recorded)?;
        let views = views::views(session, schema, &views).await?;
        let dialect = Postgres { schema: schema.clone(), budget: self.budget(), lz4: has_lz4(session).await? };
        let has_schema = introspect::schema_exists(session, schema).await?;
        let mut first = Vec::new();
        if !has_schema {
            let Statement { sql, execution } = dialect.in_transaction(format!("create schema {schema}"), None);
            let change = Change::new("create schema", schema.as_str(), "the tables of the sink go there");
            first.push(change.by(sql, execution));
        }
        let state = PlanState::new().with(schema.as_str(), has_schema.then(|| "schema".to_owned()));
        relational::plan(models, self.naming(), &Found { state, tables, recorded, views }, first, &dialect)
    }

    /// What is on record of model tables.
    async fn recorded(&self, session: &Session) -> Result<HashMap<String, ProvisionedModel>> {
        let statement = format!(
            "select table_name, version, plan_hash, provisioned_at from {}.{}",
            self.schema(),
            Identifier::derived(support::MODEL),
        );
        let rows = session.query("read what is provisioned", &statement, &[]).await?;
        let read = |row: &Row| {
            let (table, version): (String, &str) = (column(row, 0)?, column(row, 1)?);
            let Microseconds(provisioned_at) = column(row, 3)?;
            Ok((table.clone(), recorded(&table, version, column(row, 2)?, provisioned_at)?))
        };
        rows.iter().map(read).collect()
    }
}

/// Whether the server was built with lz4.
async fn has_lz4(session: &Session) -> Result<bool> {
    let statement = "select exists (select from pg_settings \
                     where name = 'default_toast_compression' and 'lz4' = any(enumvals))";
    column(&session.query_one("look at the server", statement, &[]).await?, 0)
}
