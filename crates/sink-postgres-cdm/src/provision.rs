use std::{sync::Arc, time::Duration};

use cdm_models::{ModelDescriptor, Timestamp};
use endpoint_api::{
    Change, Error, ErrorKind, ModelPlan, ProvisionPlan, ProvisionReceipt, ProvisionedModel, Provisioner, Result, Retry,
    async_trait,
};
use relational::{Identifier, Table, changes, support};
use tokio::time::{Instant, sleep};
use tokio_postgres::types::Type;

use crate::{
    dialect::Postgres,
    endpoint::PgCdm,
    introspect,
    session::{Microseconds, Session, column},
};

/// How long to wait for another provisioner.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a statement may wait for a lock on a table: nobody who writes waits behind us for longer.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '5s'; set local search_path = ''";

#[async_trait]
impl Provisioner for PgCdm {
    async fn plan(&self, models: &[&ModelDescriptor]) -> Result<ProvisionPlan> {
        let session = Session::open(self.connector()).await?;
        self.plan_in(&session, models).await
    }

    async fn apply(&self, plan: &ProvisionPlan) -> Result<ProvisionReceipt> {
        let models: Vec<&ModelDescriptor> = plan.models.iter().map(|model| model.descriptor.as_ref()).collect();
        let session = Session::open(self.connector()).await?;
        self.lock(&session).await?;
        // Under the lock nobody else provisions: what is found now is what the statements meet.
        let fresh = self.plan_in(&session, &models).await?;
        let changed = if fresh.is_empty() {
            false
        } else if fresh.hash() == plan.hash() {
            self.carry_out(&session, plan).await?;
            true
        } else {
            session.batch("apply", "rollback").await?;
            let message = "the sink has changed since the plan was made; plan again";
            return Err(Error::new(ErrorKind::Outdated, "apply", message).with_retry(Retry::Backoff));
        };
        session.batch("apply", "commit").await?;
        let after = self.plan_in(&session, &models).await?;
        let records = after.models.into_iter().map(|model| {
            let lost = || Error::new(ErrorKind::Internal, "apply", "a model is not on record after it was provisioned");
            model.recorded.ok_or_else(|| lost().with("model", &model.descriptor.id))
        });
        Ok(ProvisionReceipt::new(changed, records.collect::<Result<_>>()?))
    }
}

impl PgCdm {
    async fn plan_in(&self, session: &Session, models: &[&ModelDescriptor]) -> Result<ProvisionPlan> {
        let naming = self.naming();
        let names = naming.tables(models)?;
        let support_tables = support::tables();
        let all_names: Vec<&str> = support_tables
            .iter()
            .map(|table| table.name.as_str())
            .chain(names.iter().map(Identifier::as_str))
            .collect();
        let schema = self.schema();
        let actual = introspect::tables(session, schema, &all_names).await?;
        let dialect = Postgres { schema: schema.clone(), lz4: has_lz4(session).await? };

        let mut support_changes = Vec::new();
        if !introspect::schema_exists(session, schema).await? {
            support_changes.push(Change {
                action: "create schema",
                object: schema.as_str().to_owned(),
                reason: "the tables of the sink go there".to_owned(),
                sql: Some(format!("create schema {schema}")),
            });
        }
        for table in &support_tables {
            let reason = "the sink keeps its own state there";
            support_changes.extend(changes(table, actual.get(table.name.as_str()), reason, &dialect)?);
        }
        let mut plans = Vec::with_capacity(models.len());
        for (model, name) in models.iter().zip(names) {
            let recorded = match actual.contains_key(support::MODEL) {
                true => self.recorded(session, &name).await?,
                false => None,
            };
            let table = Table::of(model, name.clone())?;
            let reason = format!("rows of {} go there", model.id);
            let mut model_changes = changes(&table, actual.get(name.as_str()), &reason, &dialect)?;
            let is_recorded = recorded.as_ref().is_some_and(|recorded| recorded.version >= model.version);
            if !is_recorded || !model_changes.is_empty() {
                model_changes.push(Change {
                    action: "record",
                    object: format!("{}.{}", schema.as_str(), support::MODEL),
                    reason: format!("{} is known to fit {} {}", name.as_str(), model.id, model.version),
                    sql: None,
                });
            }
            let location = format!("{}.{}", schema.as_str(), name.as_str());
            plans.push(ModelPlan::new(Arc::new((*model).clone()), location, model_changes, recorded));
        }
        Ok(ProvisionPlan::new(support_changes, plans))
    }

    /// What is on record of a model table.
    pub(crate) async fn recorded(&self, session: &Session, table: &Identifier) -> Result<Option<ProvisionedModel>> {
        let statement = format!(
            "select version, plan_hash, provisioned_at from {}.{} where table_name = $1",
            self.schema(),
            Identifier::derived(support::MODEL),
        );
        let row = session.query_opt("read what is provisioned", &statement, &[(&table.as_str(), Type::TEXT)]).await?;
        let Some(row) = row else { return Ok(None) };
        let damaged = || Error::new(ErrorKind::Data, "read what is provisioned", "the record of a model is damaged");
        let version = column::<&str>(&row, 0)?.parse().map_err(|_| damaged().with("table", table.as_str()))?;
        let provisioned_at = Timestamp::from_microsecond(column::<Microseconds>(&row, 2)?.0).map_err(|_| damaged())?;
        Ok(Some(ProvisionedModel::new(version, column(&row, 1)?, provisioned_at)))
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
            let table = self.naming().table(&model.descriptor.id)?;
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
