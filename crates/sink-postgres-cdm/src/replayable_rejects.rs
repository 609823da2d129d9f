use endpoint_api::{PageLimit, RejectFilter, ReplayableRejects, Result, StoredReject, async_trait, batch::Stage};
use relational::state::unsigned;
use tokio_postgres::types::{ToSql, Type};

use crate::{
    endpoint::PgCdm,
    reject_listing::{Rejects, Wanted},
    rejects::{columns, keeps_records, stored},
    session::column,
};

const OPERATION: &str = "read rejects";

/// What a reject fulfils that can be loaded again; `$7` is the stage of those that are no records. The length of a value
/// is known without reading it. A comparison with `=` would make the planner expect few such rejects and sort them all for
/// each page, where it should follow the index.
const REPLAYABLE: &str = "(stage <> $7 and octet_length(raw) >= raw_length)";

/// How many rejects are looked at together when a reason is wanted, which the server cannot compare.
const CANDIDATES: usize = 1000;

/// A reject that may be on a page.
struct Candidate {
    id: String,
    bytes: u64,
    is_wanted: bool,
}

impl Rejects<'_> {
    /// The next rejects that match whatever is said of reasons, without their records.
    async fn candidates(&self, filter: &RejectFilter, after: &str, most: usize) -> Result<Vec<Candidate>> {
        let wanted = Wanted::but_reason(filter);
        let statement = format!(
            "select id, octet_length(raw)::int8, reason from {} where {} and {REPLAYABLE} \
             and id > $8 order by id limit $9",
            self.table,
            self.condition(wanted.state),
        );
        let (source, most) = (Stage::Source.to_string(), i64::try_from(most).unwrap_or(i64::MAX));
        let mut parameters = wanted.parameters().to_vec();
        parameters.extend([(&source as _, Type::TEXT), (&after as _, Type::TEXT), (&most as _, Type::INT8)]);
        let rows = self.session.query(OPERATION, &statement, &parameters).await;
        let rows = rows.map_err(|error| self.unprovisioned(error))?;
        let candidate = |row| {
            let is_wanted = filter.takes_reason(column(row, 2)?);
            Ok(Candidate { id: column(row, 0)?, bytes: unsigned(column(row, 1)?), is_wanted })
        };
        rows.iter().map(candidate).collect()
    }

    /// The rejects of these ids that are still there, with their records.
    async fn with_records(&self, ids: &[&str]) -> Result<Vec<StoredReject>> {
        let columns = columns(keeps_records(&self.session, &self.table).await?);
        let statement = format!("select {columns} from {} where id = any($1) order by id", self.table);
        let parameters = [(&ids as &(dyn ToSql + Sync), Type::TEXT_ARRAY)];
        self.session.query(OPERATION, &statement, &parameters).await?.iter().map(stored).collect()
    }
}

#[async_trait]
impl ReplayableRejects for PgCdm {
    async fn page(&self, filter: &RejectFilter, after: Option<&str>, limit: PageLimit) -> Result<Vec<StoredReject>> {
        let rejects = Rejects::open(self).await?;
        let most = if filter.reason.is_some() { CANDIDATES.max(limit.rejects) } else { limit.rejects };
        // No id is empty.
        let mut after = after.unwrap_or_default().to_owned();
        loop {
            let candidates = rejects.candidates(filter, &after, most).await?;
            let Some(last) = candidates.last() else { return Ok(Vec::new()) };
            let wanted: Vec<&Candidate> = candidates.iter().filter(|candidate| candidate.is_wanted).collect();
            let count = limit.take(wanted.iter().map(|candidate| candidate.bytes));
            let ids: Vec<&str> = wanted.iter().take(count).map(|candidate| candidate.id.as_str()).collect();
            let page = rejects.with_records(&ids).await?;
            if !page.is_empty() {
                return Ok(page);
            }
            // None of them is wanted, or somebody has removed them meanwhile.
            after = (*ids.last().unwrap_or(&last.id.as_str())).to_owned();
        }
    }

    async fn count_others(&self, filter: &RejectFilter) -> Result<u64> {
        let rejects = Rejects::open(self).await?;
        let wanted = rejects.wanted(filter).await?;
        let statement = format!(
            "select count(*) from {} where {} and not {REPLAYABLE}",
            rejects.table,
            rejects.condition(wanted.state),
        );
        let source = Stage::Source.to_string();
        let mut parameters = wanted.parameters().to_vec();
        parameters.push((&source as _, Type::TEXT));
        let row = rejects.session.query_one("count rejects", &statement, &parameters).await;
        Ok(unsigned(column(&row.map_err(|error| rejects.unprovisioned(error))?, 0)?))
    }
}
