use endpoint_api::{
    Error, ErrorKind, Ingestion, Reject, RejectQuery, Result, StoredReject,
    batch::{Aliases, Parent, Rank, RejectEnvelope},
};
use relational::{
    state::{kept, signed, stage, unsigned, without_nul},
    support,
};
use rusqlite::{Connection, Row, params};
use sqlite_client::Access;

use crate::database::{Database, During as _};

const STORE: &str = "store rejects";
pub(crate) const LIST: &str = "list rejects";

/// What is staged of rejects, in the order of the table.
const COLUMNS: &str = "id, stage, reason, field, origin, key, raw, raw_length, raw_hash, parent_id, parent_key, rank";

/// What is read of a reject with its record, in the order in which [`read`] takes it.
pub(crate) fn columns(keeps_records: bool) -> String {
    let aliases = if keeps_records { "aliases" } else { "null" };
    format!("raw, {aliases}, {LISTED}")
}

/// What is read of a reject without its record, in the same order.
pub(crate) fn listed_columns() -> String {
    format!("x'', null, {LISTED}")
}

const LISTED: &str = "id, stage, reason, field, origin, key, raw_length, raw_hash, parent_id, parent_key, rank, \
     ingestion, run_id, observation, rejected_at";

/// How many columns [`columns`] and [`listed_columns`] are.
pub(crate) const WIDTH: usize = 17;

/// Whether the table of rejects has the columns that came later: see [`REJECT_RECORD`](support::REJECT_RECORD).
pub(crate) fn keeps_records(connection: &Connection) -> Result<bool> {
    let wanted = serde_json::Value::from_iter(support::REJECT_RECORD.iter().copied()).to_string();
    let statement = "select count(*) from pragma_table_info(?1) where name in (select value from json_each(?2))";
    let found: i64 =
        connection.query_row(statement, params![support::REJECT, wanted], |row| row.get(0)).during(STORE)?;
    Ok(usize::try_from(found).is_ok_and(|found| found == support::REJECT_RECORD.len()))
}

/// Takes rejects, until the load is committed. The same one twice is one. Returns the ids under which they are kept.
pub(crate) fn stage_rejects(connection: &Connection, ingestion: &Ingestion, rejects: &[Reject]) -> Result<Vec<String>> {
    let create =
        format!("create table if not exists temp._cdm_stage_reject ({COLUMNS}, aliases, row_key, primary key (id))");
    connection.execute_batch(&create).during(STORE)?;
    let insert = "insert or replace into temp._cdm_stage_reject values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let mut statement = connection.prepare_cached(insert).during(STORE)?;
    let mut ids = Vec::with_capacity(rejects.len());
    for reject in rejects {
        let text = |text: &Option<String>| text.as_deref().map(without_nul);
        let id = id(connection, ingestion, reject)?;
        let row = params![
            id,
            reject.stage.to_string(),
            without_nul(&reject.reason),
            text(&reject.field),
            without_nul(&reject.origin),
            text(&reject.key),
            reject.raw,
            signed(reject.raw_length),
            reject.raw_hash,
            text(&reject.envelope.parent_id),
            text(&reject.envelope.parent_key),
            reject.envelope.rank.number(),
            text(&reject.envelope.aliases),
            text(&reject.envelope.row_key),
        ];
        statement.execute(row).during(STORE)?;
        ids.push(id);
    }
    Ok(ids)
}

/// The id under which a reject is kept, which an earlier version may have given.
fn id(connection: &Connection, ingestion: &Ingestion, reject: &Reject) -> Result<String> {
    let statement = format!("select exists (select 1 from {} where id = ?1)", support::REJECT);
    let mut statement = connection.prepare_cached(&statement).during(STORE)?;
    let earlier = reject.earlier_id(ingestion);
    let is_kept = statement.query_row([&earlier], |row| row.get(0)).during(STORE)?;
    Ok(if is_kept { earlier } else { reject.id(ingestion) })
}

/// Stores what was staged, within the load's write transaction. A reject that is there already is only touched
/// when it now says something else or is of another run.
pub(crate) fn store(
    connection: &Connection,
    ingestion: &Ingestion,
    run_id: &str,
    observation: u64,
    now: &str,
) -> Result<()> {
    let staged = "select exists (select 1 from sqlite_temp_schema where name = '_cdm_stage_reject')";
    if !connection.query_row(staged, [], |row| row.get(0)).during(STORE)? {
        return Ok(());
    }
    let (columns, replaced) = match keeps_records(connection)? {
        true => (format!("{COLUMNS}, aliases, row_key"), ", aliases = excluded.aliases, row_key = excluded.row_key"),
        false => (COLUMNS.to_owned(), ""),
    };
    let statement = format!(
        "insert into {table} as t ({columns}, ingestion, run_id, observation, rejected_at) \
         select {columns}, ?1, ?2, ?3, ?4 from temp._cdm_stage_reject where true \
         on conflict (id) do update set stage = excluded.stage, reason = excluded.reason, field = excluded.field, \
         key = excluded.key, run_id = excluded.run_id, observation = excluded.observation, origin = excluded.origin, \
         parent_id = excluded.parent_id, parent_key = excluded.parent_key, rank = excluded.rank{replaced} \
         where (t.stage, t.reason, t.field, t.key, t.origin, t.run_id) is not \
         (excluded.stage, excluded.reason, excluded.field, excluded.key, excluded.origin, excluded.run_id)",
        table = support::REJECT,
    );
    let parameters = params![ingestion.to_string(), run_id, signed(observation), now];
    connection.execute(&statement, parameters).during(STORE)?;
    let lost = format!(
        "select exists (select 1 from temp._cdm_stage_reject s left join {table} t on t.id = s.id where t.id is null)",
        table = support::REJECT,
    );
    let is_lost: bool = connection.query_row(&lost, [], |row| row.get(0)).during(STORE)?;
    kept(!is_lost, STORE, support::REJECT)
}

/// Removes rejects whose records were loaded.
pub(crate) fn remove<'a>(connection: &Connection, ids: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let statement = format!("delete from {} where id = ?1", support::REJECT);
    let mut statement = connection.prepare(&statement).during("remove rejects")?;
    ids.into_iter().try_for_each(|id| statement.execute([id]).during("remove rejects").map(drop))
}

/// Opens the file, where it holds a table of rejects.
pub(crate) fn open(database: &Database, access: Access) -> Result<Connection> {
    let there = database.open_if_there(access)?;
    let has_table = "select exists (select 1 from sqlite_schema where name = ?1)";
    let provisioned =
        there.filter(|connection| connection.query_row(has_table, [support::REJECT], |row| row.get(0)).unwrap_or(true));
    provisioned.ok_or_else(|| {
        let message = format!(
            "the sink holds no rejects, because nothing is provisioned on it yet; run `cdm provision {}`",
            database.id()
        );
        Error::new(ErrorKind::NotProvisioned, LIST, message)
    })
}

/// The newest rejects first.
pub(crate) fn list(database: &Database, query: &RejectQuery) -> Result<Vec<StoredReject>> {
    let connection = open(database, Access::Read)?;
    let statement = format!(
        "select {} from {} \
         where (?1 is null or ingestion = ?1) and (?2 is null or id = ?2) \
         order by rejected_at desc, origin, id limit ?3 offset ?4",
        columns(keeps_records(&connection)?),
        support::REJECT,
    );
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let ingestion = query.ingestion.as_ref().map(ToString::to_string);
    let parameters = params![ingestion, query.id, number(query.limit), number(query.offset)];
    let mut statement = connection.prepare(&statement).during(LIST)?;
    let rows = statement.query_map(parameters, read).during(LIST)?;
    rows.collect::<rusqlite::Result<_>>().during(LIST)
}

pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<StoredReject> {
    let aliases: Option<String> = row.get(1)?;
    let parent_id: Option<String> = row.get(10)?;
    let parent_key: Option<String> = row.get(11)?;
    let parent = Parent { id: parent_id.as_deref(), key: parent_key.as_deref() };
    let rank = Rank::of_number(row.get::<_, Option<i64>>(12)?.unwrap_or(1));
    Ok(StoredReject {
        raw: row.get(0)?,
        id: row.get(2)?,
        stage: stage(&row.get::<_, String>(3)?),
        reason: row.get(4)?,
        field: row.get(5)?,
        origin: row.get(6)?,
        key: row.get(7)?,
        raw_length: unsigned(row.get(8)?),
        raw_hash: row.get(9)?,
        envelope: RejectEnvelope::new(Some(parent), rank).with_aliases(Aliases::new(aliases.as_deref())),
        ingestion: row.get(13)?,
        run_id: row.get(14)?,
        observation: unsigned(row.get(15)?),
        rejected_at: row.get(16)?,
    })
}
