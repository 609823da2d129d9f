use std::collections::HashMap;

use cdm_models::ModelDescriptor;
use endpoint_api::{
    Error, GrantRequest, Grants, ProvisionPlan, ProvisionReceipt, ProvisionedModel, Provisioner, Result, async_trait,
};
use relational::{Due, Found, Naming, due, provisioned, recorded, support};
use rusqlite::{Connection, params};
use sqlite_client::Access;

use crate::{
    cells,
    database::{Database, During as _, OWNER},
    dialect::Sqlite,
    endpoint::SqliteCdm,
    introspect,
    views::views,
};

const APPLY: &str = "apply";

#[async_trait]
impl Provisioner for SqliteCdm {
    async fn plan(&self, models: &[&ModelDescriptor]) -> Result<ProvisionPlan> {
        let (database, naming) = (self.database().clone(), self.naming().clone());
        let models: Vec<ModelDescriptor> = models.iter().map(|model| (*model).clone()).collect();
        OWNER
            .blocking(move || {
                let models: Vec<&ModelDescriptor> = models.iter().collect();
                // Looking at a file that is not there must not make it.
                let connection = database.open_if_there(Access::Read)?;
                plan_in(connection.as_ref(), &naming, &models)
            })
            .await
    }

    async fn apply(&self, plan: &ProvisionPlan) -> Result<ProvisionReceipt> {
        let (database, naming, plan) = (self.database().clone(), self.naming().clone(), plan.clone());
        OWNER.blocking(move || apply(&database, &naming, &plan)).await
    }

    async fn grants(&self, _: &GrantRequest, _: &[&ModelDescriptor]) -> Result<Grants> {
        Err(Error::unsupported("say the rights", "saying the rights of roles, of which a file has none,"))
    }
}

fn plan_in(connection: Option<&Connection>, naming: &Naming, models: &[&ModelDescriptor]) -> Result<ProvisionPlan> {
    let mut found = Found::default();
    if let Some(connection) = connection {
        found.tables = introspect::tables(connection, &relational::table_names(naming, models)?)?;
        if found.tables.contains_key(support::MODEL) {
            found.recorded = records(connection)?;
        }
        found
            .tables
            .extend(introspect::tables(connection, &relational::older_tables(naming, models, &found.recorded)?)?);
        found.views = views(connection, &relational::view_names(naming, models, &found.recorded)?)?;
    }
    relational::plan(models, naming, &found, Vec::new(), &Sqlite)
}

/// What is on record of model tables.
fn records(connection: &Connection) -> Result<HashMap<String, ProvisionedModel>> {
    const OPERATION: &str = "read what is provisioned";
    let statement = format!("select table_name, version, plan_hash, provisioned_at from {}", support::MODEL);
    let mut statement = connection.prepare(&statement).during(OPERATION)?;
    let lines = statement.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get::<_, String>(3)?))
    });
    let mut records = HashMap::new();
    for line in lines.during(OPERATION)? {
        let (table, version, plan_hash, provisioned_at) = line.during(OPERATION)?;
        // A time that cannot be read is told as any other damage.
        let provisioned_at = cells::time(&provisioned_at).unwrap_or(i64::MAX);
        records.insert(table.clone(), recorded(&table, &version, plan_hash, provisioned_at)?);
    }
    Ok(records)
}

fn apply(database: &Database, naming: &Naming, plan: &ProvisionPlan) -> Result<ProvisionReceipt> {
    let models: Vec<&ModelDescriptor> = plan.models.iter().map(|model| model.descriptor.as_ref()).collect();
    let connection = database.open_or_make()?;
    // Nobody else writes from here on: what is found now is what the statements meet.
    connection.execute_batch("begin immediate").during(APPLY)?;
    // There are no changes that come after the transaction, and so no rest.
    let changed = due(plan, plan_in(Some(&connection), naming, &models)?)? == Due::All;
    if changed {
        carry_out(&connection, naming, plan)?;
    }
    connection.execute_batch("commit").during(APPLY)?;
    provisioned(changed, plan_in(Some(&connection), naming, &models)?)
}

fn carry_out(connection: &Connection, naming: &Naming, plan: &ProvisionPlan) -> Result<()> {
    for change in plan.changes() {
        if let Some(sql) = &change.sql {
            tracing::info!(action = %change.action, object = %change.object, "provisioning");
            let done = connection.execute_batch(sql).during(APPLY);
            done.map_err(|error| error.with("action", &change.action).with("object", &change.object))?;
        }
    }
    let (hash, now) = (plan.hash(), cells::now()?);
    let statement = format!(
        "insert into {} (table_name, model, version, plan_hash, provisioned_at) values (?1, ?2, ?3, ?4, ?5) \
         on conflict (table_name) do update set model = excluded.model, version = excluded.version, \
         plan_hash = excluded.plan_hash, provisioned_at = excluded.provisioned_at",
        support::MODEL,
    );
    for model in plan.models.iter().filter(|model| !model.changes.is_empty()) {
        let table = naming.table(&model.descriptor)?;
        let (id, version) = (model.descriptor.id.as_str(), model.descriptor.version.to_string());
        connection.execute(&statement, params![table.as_str(), id, version, hash, now]).during(APPLY)?;
    }
    Ok(())
}
