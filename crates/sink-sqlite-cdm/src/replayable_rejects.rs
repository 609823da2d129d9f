use endpoint_api::{PageLimit, RejectFilter, ReplayableRejects, Result, StoredReject, async_trait};
use relational::{state::unsigned, support};
use sqlite_client::Access;

use crate::{
    database::{Database, During as _, OWNER},
    endpoint::SqliteCdm,
    reject_listing::{Wanted, condition, keeps_dismissals, with},
    rejects::{WIDTH, columns, keeps_records, open, read},
};

const OPERATION: &str = "read rejects";

/// What a reject fulfils that can be loaded again: it is a record, and is kept whole. The length of a value is known
/// without reading it.
const REPLAYABLE: &str = "(stage <> 'source' and length(raw) = raw_length)";

fn page(database: &Database, filter: &RejectFilter, after: &str, limit: PageLimit) -> Result<Vec<StoredReject>> {
    let connection = open(database, Access::Read)?;
    // The last two columns are looked at before the record, which may be long, is read.
    let columns = columns(keeps_records(&connection)?);
    let statement = format!(
        "select {columns}, length(raw), reason from {} where {} and {REPLAYABLE} \
         and id > :after order by id",
        support::REJECT,
        condition(filter.state, keeps_dismissals(&connection)?),
    );
    let parameters = Wanted::but_reason(filter).parameters();
    let mut statement = connection.prepare(&statement).during(OPERATION)?;
    let mut rows = statement.query(with(&parameters, &[(":after", &after)]).as_slice()).during(OPERATION)?;
    let (mut page, mut bytes) = (Vec::new(), 0_u64);
    while let Some(row) = rows.next().during(OPERATION)? {
        let reason: String = row.get(WIDTH + 1).during(OPERATION)?;
        if !filter.takes_reason(&reason) {
            continue;
        }
        bytes = bytes.saturating_add(unsigned(row.get(WIDTH).during(OPERATION)?));
        if !limit.has_room(page.len(), bytes) {
            break;
        }
        page.push(read(row).during(OPERATION)?);
    }
    Ok(page)
}

fn others(database: &Database, filter: &RejectFilter) -> Result<u64> {
    const OPERATION: &str = "count rejects";
    let connection = open(database, Access::Read)?;
    let statement = format!(
        "select count(*) from {} where {} and not {REPLAYABLE}",
        support::REJECT,
        condition(filter.state, keeps_dismissals(&connection)?),
    );
    let parameters = Wanted::of(&connection, filter)?.parameters();
    let parameters = with(&parameters, &[]);
    let count = connection.query_row(&statement, parameters.as_slice(), |row| row.get(0));
    Ok(unsigned(count.during(OPERATION)?))
}

#[async_trait]
impl ReplayableRejects for SqliteCdm {
    async fn page(&self, filter: &RejectFilter, after: Option<&str>, limit: PageLimit) -> Result<Vec<StoredReject>> {
        let (database, filter) = (self.database().clone(), filter.clone());
        // No id is empty.
        let after = after.unwrap_or_default().to_owned();
        OWNER.blocking(move || page(&database, &filter, &after, limit)).await
    }

    async fn count_others(&self, filter: &RejectFilter) -> Result<u64> {
        let (database, filter) = (self.database().clone(), filter.clone());
        OWNER.blocking(move || others(&database, &filter)).await
    }
}
