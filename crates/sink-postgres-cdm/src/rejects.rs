use std::collections::HashMap;

use endpoint_api::{
    Error, ErrorKind, Ingestion, Reject, RejectQuery, Result, StoredReject,
    batch::{Parent, Rank, RejectEnvelope},
};
use relational::state::{signed, stage, unsigned, without_nul};
use tokio_postgres::{Row, types::Type};

use crate::{
    endpoint::PgCdm,
    session::{Session, column},
    state::SupportTables,
};

/// Stores rejects. One that is there already is only touched when it now says something else.
pub(crate) async fn store(
    session: &Session,
    tables: &SupportTables,
    ingestion: &Ingestion,
    run_id: &str,
    observation: i64,
    rejects: &[Reject],
) -> Result<()> {
    // The same reject twice is one, also within one statement.
    let distinct: HashMap<String, &Reject> = rejects.iter().map(|reject| (reject.id(ingestion), reject)).collect();
    let (ids, rejects): (Vec<&str>, Vec<&Reject>) = distinct.iter().map(|(id, reject)| (id.as_str(), *reject)).unzip();
    let stages: Vec<String> = rejects.iter().map(|reject| reject.stage.to_string()).collect();
    let reasons: Vec<String> = rejects.iter().map(|reject| without_nul(&reject.reason)).collect();
    let fields: Vec<Option<String>> = rejects.iter().map(|reject| reject.field.as_deref().map(without_nul)).collect();
    let origins: Vec<String> = rejects.iter().map(|reject| without_nul(&reject.origin)).collect();
    let keys: Vec<Option<String>> = rejects.iter().map(|reject| reject.key.as_deref().map(without_nul)).collect();
    let raws: Vec<&[u8]> = rejects.iter().map(|reject| reject.raw.as_slice()).collect();
    let lengths: Vec<i64> = rejects.iter().map(|reject| signed(reject.raw_length)).collect();
    let parent_ids: Vec<Option<String>> =
        rejects.iter().map(|reject| reject.envelope.parent_id.as_deref().map(without_nul)).collect();
    let parent_keys: Vec<Option<String>> =
        rejects.iter().map(|reject| reject.envelope.parent_key.as_deref().map(without_nul)).collect();
    let ranks: Vec<i16> = rejects.iter().map(|reject| reject.envelope.rank.number()).collect();
    let hashes: Vec<&str> = rejects.iter().map(|reject| reject.raw_hash.as_str()).collect();
    let statement = format!(
        "insert into {table} as t (id, stage, reason, field, origin, key, raw, raw_length, raw_hash, \
         parent_id, parent_key, rank, ingestion, run_id, observation, rejected_at) \
         select r.*, $13, $14, $15, now() \
         from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) as r \
         on conflict (id) do update set stage = excluded.stage, reason = excluded.reason, field = excluded.field, \
         key = excluded.key, run_id = excluded.run_id, observation = excluded.observation \
         where (t.stage, t.reason, t.field, t.key) is distinct from \
         (excluded.stage, excluded.reason, excluded.field, excluded.key)",
        table = tables.reject,
    );
    session
        .execute(
            "store rejects",
            &statement,
            &[
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
                (&ingestion.to_string(), Type::TEXT),
                (&run_id, Type::TEXT),
                (&observation, Type::INT8),
            ],
        )
        .await?;
    Ok(())
}

/// What is read of a reject, in the order in which [`stored`] takes it.
pub(crate) const COLUMNS: &str = "ingestion, run_id, stage, reason, field, origin, key, raw, raw_length, raw_hash, id, \
     to_char(rejected_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), \
     parent_id, parent_key, coalesce(rank, 1::smallint), observation";

/// The newest rejects first.
pub(crate) async fn list(endpoint: &PgCdm, query: &RejectQuery) -> Result<Vec<StoredReject>> {
    let session = Session::open(endpoint.connector()).await?;
    let tables = SupportTables::of(endpoint.schema());
    let statement = format!(
        "select {COLUMNS} from {} where ($1::text is null or ingestion = $1) and ($2::text is null or id = $2) \
         order by rejected_at desc, origin, id limit $3 offset $4",
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

/// The reject in a row that begins with [`COLUMNS`].
pub(crate) fn stored(row: &Row) -> Result<StoredReject> {
    Ok(StoredReject {
        id: column(row, 10)?,
        ingestion: column(row, 0)?,
        run_id: column(row, 1)?,
        stage: stage(column(row, 2)?),
        reason: column(row, 3)?,
        field: column(row, 4)?,
        origin: column(row, 5)?,
        key: column(row, 6)?,
        raw: column(row, 7)?,
        raw_length: unsigned(column(row, 8)?),
        raw_hash: column(row, 9)?,
        rejected_at: column(row, 11)?,
        envelope: {
            let parent = Parent { id: column(row, 12)?, key: column(row, 13)? };
            RejectEnvelope::new(Some(parent), Rank::of_number(column::<i16>(row, 14)?.into()))
        },
        observation: unsigned(column(row, 15)?),
    })
}
