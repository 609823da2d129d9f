//! Which runs are alive.

use cdm_models::Timestamp;
use endpoint_api::{Ingestion, LivingRun, Result, RunWatch, async_trait};
use relational::{state::unsigned, support};
use run_lock::RunLock;

use crate::{
    database::{Database, During as _, OWNER},
    endpoint::SqliteCdm,
    run::{lock_failed, lock_file},
};

const OPERATION: &str = "look which runs are alive";

#[async_trait]
impl RunWatch for SqliteCdm {
    async fn living(&self, ingestion: &Ingestion) -> Result<Vec<LivingRun>> {
        let (database, key) = (self.database().clone(), ingestion.to_string());
        OWNER.blocking(move || living(&database, &key)).await
    }
}

/// The runs of an ingestion that are alive: one for each table that it is loaded into.
fn living(database: &Database, key: &str) -> Result<Vec<LivingRun>> {
    let connection = database.open()?;
    let statement = format!(
        "select run_id, fence, opened_at from {} \
         where (ingestion = ?1 or substr(ingestion, 1, length(?1) + 1) = ?1 || '/') and status = 'running' \
         order by opened_at",
        support::INGESTION
    );
    let mut statement = connection.prepare(&statement).during(OPERATION)?;
    let lines = statement
        .query_map([key], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?)));
    let mut living = Vec::new();
    for line in lines.during(OPERATION)? {
        let (run_id, fence, opened_at) = line.during(OPERATION)?;
        let lock = lock_file(database, unsigned(fence));
        if RunLock::is_held(&lock).map_err(lock_failed(OPERATION))? {
            let holder = RunLock::signature(&lock).and_then(|(holder, _)| holder.parse().ok());
            let since = Timestamp::parse(&opened_at).ok();
            living.push(LivingRun::new(run_id.parse()?, holder, since));
        }
    }
    Ok(living)
}
