use std::collections::{HashMap, HashSet};

use endpoint_api::{
    Error, ErrorKind, Ingestion, Reject, RejectQuery, Result, StoredReject,
    batch::{Aliases, Parent, Rank, RejectEnvelope},
};
use relational::{
    state::{kept, signed, stage, unsigned, without_nul},
    support::{self, REJECT_RECORD},
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

/// Stores rejects under these ids. One that is there already is only touched when it now says something else or is
/// of another run.
pub(crate) async fn store(
    session: &Session,
    tables: &SupportTables,
    ingestion: &Ingestion,
    run_id: &str,
    observation: i64,
    rejects: &[Reject],
    ids: &[String],
) -> Result<()> {
    // The same reject twice is one, also within one statement.
    let distinct: HashMap<&str, &Reject> = ids.iter().map(String::as_str).zip(rejects).collect();
    let (ids, rejects): (Vec<&str>, Vec<&Reject>) = distinct.into_iter().unzip();
    let texts = |of: fn(&Reject) -> Option<&str>| -> Vec<Option<String>> {
        rejects.iter().map(|reject| of(reject).map(without_nul)).collect()
    };
    let stages: Vec<String> = rejects.iter().map(|reject| reject.stage.to_string()).collect();
    let reasons = texts(|reject| Some(&reject.reason));
    let fields = texts(|reject| reject.field.as_deref());
    let origins = texts(|reject| Some(&reject.origin));
    let keys = texts(|reject| reject.key.as_deref());
    let raws: Vec<&[u8]> = rejects.iter().map(|reject| reject.raw.as_slice()).collect();
    let lengths: Vec<i64> = rejects.iter().map(|reject| signed(reject.raw_length)).collect();
    let parent_ids = texts(|reject| reject.envelope.parent_id.as_deref());
    let parent_keys = texts(|reject| reject.envelope.parent_key.as_deref());
    let ranks: Vec<i16> = rejects.iter().map(|reject| reject.envelope.rank.number()).collect();
    let hashes: Vec<&str> = rejects.iter().map(|reject| reject.raw_hash.as_str()).collect();
    let aliases = texts(|reject| reject.envelope.aliases.as_deref());
    let row_keys = texts(|reject| reject.envelope.row_key.as_deref());
    let ingestion = ingestion.to_string();
    let mut parameters: Vec<(&(dyn tokio_postgres::types::ToSql + Sync), Type)> = vec![
        (&ids, Type::TEXT_ARRAY),
        (&stages, Type::TEXT_ARRAY),
        (&reasons, Type::TEXT_ARRAY),
        (&fields, Type::TEXT_ARRAY),
        (&origins, Type::TEXT_ARRAY),
        (&keys, Type::TEXT_ARRAY),
        (&raws, Type::BYTEA_ARRAY),
        (&lengths, Type::INT8_ARRAY),
        (&hashes, Type::TEXT_ARRAY),
        (&parent_ids, Type::TEXT_ARRAY),
        (&parent_keys, Type::TEXT_ARRAY),
        (&ranks, Type::INT2_ARRAY),
        (&ingestion, Type::TEXT),
        (&run_id, Type::TEXT),
        (&observation, Type::INT8),
    ];
    let (mut columns, mut unnested, mut replaced) = ("", "", "");
    if keeps_records(session, &tables.reject).await? {
        parameters.extend([(&aliases as _, Type::TEXT_ARRAY), (&row_keys as _, Type::TEXT_ARRAY)]);
        (columns, unnested) = (", aliases, row_key", ", $16, $17");
        replaced = ", aliases = excluded.aliases, row_key = excluded.row_key";
    }
    let statement = format!(
        "insert into {table} as t (id, stage, reason, field, origin, key, raw, raw_length, raw_hash, \
         parent_id, parent_key, rank{columns}, ingestion, run_id, observation, rejected_at) \
         select r.*, $13, $14, $15, now() \
         from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12{unnested}) as r \
         on conflict (id) do update set stage = excluded.stage, reason = excluded.reason, field = excluded.field, \
         key = excluded.key, run_id = excluded.run_id, observation = excluded.observation, origin = excluded.origin, \
         parent_id = excluded.parent_id, parent_key = excluded.parent_key, rank = excluded.rank{replaced} \
         where (t.stage, t.reason, t.field, t.key, t.origin, t.run_id) is distinct from \
         (excluded.stage, excluded.reason, excluded.field, excluded.key, excluded.origin, excluded.run_id)",
        table = tables.reject,
    );
    let written = session.execute("store rejects", &statement, &parameters).await?;
    if usize::try_from(written).is_ok_and(|written| written == rejects.len()) {
        return Ok(());
    }
    // Those that were there and say the same were not written.
    let statement = format!("select count(*) from {} where id = any($1)", tables.reject);
    let there: i64 = column(&session.query_one("store rejects", &statement, &[(&ids, Type::TEXT_ARRAY)]).await?, 0)?;
    kept(usize::try_from(there).is_ok_and(|there| there == rejects.len()), "store rejects", support::REJECT)
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
