use std::collections::HashSet;

use endpoint_api::{
    Error, ErrorKind, Ingestion, Reject, RejectQuery, Result, StoredReject,
    batch::{Aliases, Parent, Rank, RejectEnvelope},
};
use relational::{
    state::{stage, unsigned},
    support::REJECT_RECORD,
};
use tokio_postgres::{Row, types::Type};

use crate::{
    endpoint::PgCdm,
    session::{Session, column},
    state::SupportTables,
};

/// Whether the table of rejects has the columns that came later: see [`REJECT_RECORD`].
pub(crate) async fn keeps_records(session: &Session, table: &str) -> Result<bool> {
    let statement = "select count(*) from pg_attribute where attrelid = to_regclass($1) and attname = any($2) \
                     and not attisdropped";
    let parameters = [(&table as _, Type::TEXT), (&REJECT_RECORD as _, Type::TEXT_ARRAY)];
    let found: i64 = column(&session.query_one("look up rejects", statement, &parameters).await?, 0)?;
    Ok(usize::try_from(found).is_ok_and(|found| found == REJECT_RECORD.len()))
}

/// The ids under which rejects are kept, of which an earlier version may have given some.
pub(crate) async fn ids(
    session: &Session,
    tables: &SupportTables,
    ingestion: &Ingestion,
    rejects: &[Reject],
) -> Result<Vec<String>> {
    let earlier: Vec<String> = rejects.iter().map(|reject| reject.earlier_id(ingestion)).collect();
    let statement = format!("select id from {} where id = any($1)", tables.reject);
    let rows = session.query("look up rejects", &statement, &[(&earlier, Type::TEXT_ARRAY)]).await?;
    let known = rows.iter().map(|row| column(row, 0)).collect::<Result<HashSet<String>>>()?;
    let id = |(reject, earlier): (&Reject, String)| {
        if known.contains(&earlier) { earlier } else { reject.id(ingestion) }
    };
    Ok(rejects.iter().zip(earlier).map(id).collect())
}

/// What is read of a reject with its record, in the order in which [`stored`] takes it.
pub(crate) fn columns(keeps_records: bool) -> String {
    let aliases = if keeps_records { "aliases" } else { "null::text" };
    format!("raw, {aliases}, {COLUMNS}")
}

/// What is read of a reject without its record, in the same order.
pub(crate) fn listed_columns() -> String {
    format!("''::bytea, null::text, {COLUMNS}")
}

/// How many columns [`columns`] and [`listed_columns`] are.
pub(crate) const WIDTH: usize = 17;

const COLUMNS: &str = "ingestion, run_id, stage, reason, field, origin, key, raw_length, raw_hash, id, \
     to_char(rejected_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), \
     parent_id, parent_key, coalesce(rank, 1::smallint), observation";

/// The newest rejects first.
pub(crate) async fn list(endpoint: &PgCdm, query: &RejectQuery) -> Result<Vec<StoredReject>> {
    let session = Session::open(endpoint.connector()).await?;
    let tables = SupportTables::of(endpoint.schema());
    let statement = format!(
        "select {} from {} where ($1::text is null or ingestion = $1) and ($2::text is null or id = $2) \
         order by rejected_at desc, origin, id limit $3 offset $4",
        columns(keeps_records(&session, &tables.reject).await?),
        tables.reject,
    );
    let ingestion = query.ingestion.as_ref().map(ToString::to_string);
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let (limit, offset) = (number(query.limit), number(query.offset));
    let rows = session
        .query(
            "list rejects",
            &statement,
            &[(&ingestion, Type::TEXT), (&query.id, Type::TEXT), (&limit, Type::INT8), (&offset, Type::INT8)],
        )
        .await
        .map_err(|error| unprovisioned(endpoint, error))?;
    rows.iter().map(stored).collect()
}

/// Names the command to run where the sink has no place for rejects.
pub(crate) fn unprovisioned(endpoint: &PgCdm, error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotProvisioned => {
            let message = format!(
                "the sink holds no rejects, because nothing is provisioned on it yet; run `cdm provision {}`",
                endpoint.id()
            );
            Error::new(ErrorKind::NotProvisioned, "list rejects", message)
        }
        _ => error,
    }
}

/// The reject in a row that begins with [`columns`].
pub(crate) fn stored(row: &Row) -> Result<StoredReject> {
    Ok(StoredReject {
        raw: column(row, 0)?,
        ingestion: column(row, 2)?,
        run_id: column(row, 3)?,
        stage: stage(column(row, 4)?),
        reason: column(row, 5)?,
        field: column(row, 6)?,
        origin: column(row, 7)?,
        key: column(row, 8)?,
        raw_length: unsigned(column(row, 9)?),
        raw_hash: column(row, 10)?,
        id: column(row, 11)?,
        rejected_at: column(row, 12)?,
        envelope: {
            let parent = Parent { id: column(row, 13)?, key: column(row, 14)? };
            RejectEnvelope::new(Some(parent), Rank::of_number(column::<i16>(row, 15)?.into()))
                .with_aliases(Aliases::new(column(row, 1)?))
        },
        observation: unsigned(column(row, 16)?),
    })
}
