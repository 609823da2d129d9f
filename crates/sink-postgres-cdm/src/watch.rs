//! Which runs are alive.

use cdm_models::Timestamp;
use endpoint_api::{Ingestion, LivingRun, Result, RunWatch, async_trait};
use tokio_postgres::{Row, types::Type};

use crate::{
    endpoint::PgCdm,
    session::{Session, column},
    state::SupportTables,
};

/// Whether whoever opened the run of a line `i` of the ingestions is still there.
///
/// The holder is the run's backend, `PID START PROCESS`; behind a pooler, where no backend is the run's own, it is
/// `heartbeat PROCESS`, and the run is dead after ten seconds without a sign of life. Earlier versions wrote no process.
pub(crate) const IS_HELD: &str = "((split_part(i.holder, ' ', 1) = 'heartbeat' \
    and i.beat_at > clock_timestamp() - interval '10 seconds') is true \
    or exists (select from pg_stat_activity a where a.pid::text = split_part(i.holder, ' ', 1) \
    and (a.backend_start is not null or a.application_name like 'cdm%') \
    and coalesce(extract(epoch from a.backend_start)::text, split_part(i.holder, ' ', 2)) \
    = split_part(i.holder, ' ', 2)))";

/// The runs of an ingestion that are alive: one for each table that it is loaded into.
pub(crate) async fn living(session: &Session, tables: &SupportTables, ingestion: &Ingestion) -> Result<Vec<LivingRun>> {
    let statement = format!(
        "select i.run_id, i.holder, (extract(epoch from i.opened_at) * 1000000)::bigint from {} i \
         where (i.ingestion = $1 or starts_with(i.ingestion, $1 || '/')) and i.status = 'running' and {IS_HELD} \
         order by i.opened_at",
        tables.ingestion
    );
    let key = ingestion.to_string();
    let rows = session.query("look which runs are alive", &statement, &[(&key, Type::TEXT)]).await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<LivingRun> {
    let (run_id, holder): (&str, &str) = (column(row, 0)?, column(row, 1)?);
    let process = holder.rsplit(' ').next().and_then(|process| process.parse().ok());
    Ok(LivingRun::new(run_id.parse()?, process, Timestamp::from_microsecond(column(row, 2)?).ok()))
}

#[async_trait]
impl RunWatch for PgCdm {
    async fn living(&self, ingestion: &Ingestion) -> Result<Vec<LivingRun>> {
        let session = Session::open(self.connector()).await?;
        living(&session, &SupportTables::of(self.schema()), ingestion).await
    }
}
