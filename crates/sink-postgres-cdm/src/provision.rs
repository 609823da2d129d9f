use std::{collections::HashMap, time::Duration};

use cdm_models::ModelDescriptor;
use endpoint_api::{
    Change, Error, ErrorKind, GrantRequest, Grants, ProvisionPlan, ProvisionReceipt, ProvisionedModel, Provisioner,
    Result, async_trait,
};
use relational::{Found, Identifier, is_needed, provisioned, recorded, support};
use tokio::time::{Instant, sleep};
use tokio_postgres::{Row, types::Type};

use crate::{
    dialect::Postgres,
    endpoint::PgCdm,
    grants, introspect,
    session::{Microseconds, Session, column},
    views,
};

/// How long to wait for another provisioner.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a statement may wait for a lock on a table: nobody who writes waits behind us for longer.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '5s'; set local search_path = ''";

#[async_trait]
impl Provisioner for PgCdm {
    async fn plan(&self, models: &[&ModelDescriptor]) -> Result<ProvisionPlan> {
        let session = Session::open(self.connector()).await?;
        self.look_as_owner(&session).await?;
        self.plan_in(&session, models).await
    }

    async fn apply(&self, plan: &ProvisionPlan) -> Result<ProvisionReceipt> {
        let models: Vec<&ModelDescriptor> = plan.models.iter().map(|model| model.descriptor.as_ref()).collect();
        let session = Session::open(self.connector()).await?;
        self.lock(&session).await?;
        self.act_as_owner(&session).await?;
        // Under the lock nobody else provisions: what is found now is what the statements meet.
        let fresh = self.plan_in(&session, &models).await?;
        let changed = is_needed(plan, &fresh)?;
        if changed {
            self.carry_out(&session, plan).await?;
        }
        session.batch("apply", "commit").await?;
        self.look_as_owner(&session).await?;
        provisioned(changed, self.plan_in(&session, &models).await?)
    }

    async fn grants(&self, request: &GrantRequest, models: &[&ModelDescriptor]) -> Result<Grants> {
        grants::grants(self, request, models)
    }
}

impl PgCdm {
    async fn plan_in(&self, session: &Session, models: &[&ModelDescriptor]) -> Result<ProvisionPlan> {
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
        let dialect = Postgres { schema: schema.clone(), lz4: has_lz4(session).await? };
        let mut first = Vec::new();
        if !introspect::schema_exists(session, schema).await? {
            first.push(Change {
                action: "create schema",
                object: schema.as_str().to_owned(),
                reason: "the tables of the sink go there".to_owned(),
                sql: Some(format!("create schema {schema}")),
            });
        }
        relational::plan(models, self.naming(), &Found { tables, recorded, views }, first, &dialect)
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

    /// Begins a transaction that is alone in provisioning this schema.
    ///
    /// The lock is asked for again and again, each time in a transaction of its own, and not waited
    /// for: a session that waits for it would hold a snapshot that a concurrent index build waits for.
    async fn lock(&self, session: &Session) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let key = format!("cdm provision {}", self.schema().as_str());
        loop {
            session.batch("apply", "begin").await?;
            session.batch("apply", LOCK_TIMEOUT).await?;
            let statement = "select pg_try_advisory_xact_lock(hashtextextended($1, 0))";
            if column(&session.query_one("apply", statement, &[(&key, Type::TEXT)]).await?, 0)? {
                return Ok(());
            }
            session.batch("apply", "rollback").await?;
            if Instant::now() > deadline {
                let message =
                    "another session has been provisioning this schema for a minute; try again when it is done";
                return Err(Error::new(ErrorKind::Conflict, "apply", message).with("schema", self.schema().as_str()));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn carry_out(&self, session: &Session, plan: &ProvisionPlan) -> Result<()> {
        for change in plan.changes() {
            if let Some(sql) = &change.sql {
                tracing::info!(action = change.action, object = %change.object, "provisioning");
                let done = session.batch("apply", sql).await;
                done.map_err(|error| error.with("action", change.action).with("object", &change.object))?;
            }
        }
        let hash = plan.hash();
        let statement = format!(
            "insert into {}.{} (table_name, model, version, plan_hash, provisioned_at) values ($1, $2, $3, $4, now()) \
             on conflict (table_name) do update set model = excluded.model, version = excluded.version, \
             plan_hash = excluded.plan_hash, provisioned_at = excluded.provisioned_at",
            self.schema(),
            Identifier::derived(support::MODEL),
        );
        for model in plan.models.iter().filter(|model| !model.changes.is_empty()) {
            let table = self.naming().table(&model.descriptor)?;
            let (id, version) = (model.descriptor.id.as_str(), model.descriptor.version.to_string());
            session
                .execute(
                    "apply",
                    &statement,
                    &[(&table.as_str(), Type::TEXT), (&id, Type::TEXT), (&version, Type::TEXT), (&hash, Type::TEXT)],
                )
                .await?;
        }
        Ok(())
    }
}

/// Whether the server was built with lz4.
async fn has_lz4(session: &Session) -> Result<bool> {
    let statement = "select exists (select from pg_settings \
                     where name = 'default_toast_compression' and 'lz4' = any(enumvals))";
    column(&session.query_one("look at the server", statement, &[]).await?, 0)
}
