use std::{pin::pin, sync::Arc};

use cdm_models::ModelDescriptor;
use endpoint_api::{
    Error, ErrorKind, Result, Verification,
    batch::{ContentHasher, HashValue},
};
use futures::TryStreamExt as _;
use relational::{ColumnType, Identifier, plumbing, repair, state::signed};
use tokio_postgres::{Row, types::Type};

use crate::{
    endpoint::PgCdm,
    session::{Microseconds, Session, column},
    sqlstate::classify,
    state::{SupportTables, Target},
};

const OPERATION: &str = "verify rows";

/// So many rows are marked by one statement.
const MARK_ROWS: usize = 1000;

/// Reads every row of the models' tables, hashes it, and compares that with the hash it was stored with.
pub(crate) async fn verify(
    endpoint: &PgCdm,
    models: &[Arc<ModelDescriptor>],
    repair: bool,
) -> Result<Vec<Verification>> {
    let reader = Session::open(endpoint.connector()).await?;
    let marker = Session::open(endpoint.connector()).await?;
    let mut found = Vec::with_capacity(models.len());
    for model in models {
        let target = endpoint.target(&reader, Arc::clone(model)).await?;
        found.push(verify_table(&reader, &marker, endpoint.schema(), &target, repair).await?);
    }
    Ok(found)
}

async fn verify_table(
    reader: &Session,
    marker: &Session,
    schema: &Identifier,
    target: &Target,
    repair: bool,
) -> Result<Verification> {
    let tables = SupportTables::of(schema);
    // What is counted and what is read are of one moment, whatever is loaded meanwhile.
    reader.batch(OPERATION, "begin isolation level repeatable read read only").await?;
    let mut found = Verification::new(target.model.id.clone(), format!("{}.{}", schema.as_str(), target.name.as_str()));
    let statement =
        format!("select coalesce(sum(rows_inserted), 0)::bigint from {} where table_name = $1", tables.ingestion);
    let inserted: i64 =
        column(&reader.query_one(OPERATION, &statement, &[(&target.name.as_str(), Type::TEXT)]).await?, 0)?;
    found.inserted = u64::try_from(inserted).unwrap_or(0);

    let fields: Vec<String> = target.fields.iter().map(|field| selected(&field.name, field.column_type)).collect();
    let statement = format!(
        "select {key}, xmin::text, {hash}, {fields} from {table}",
        key = target.key,
        hash = plumbing::CONTENT_HASH,
        fields = fields.join(", "),
        table = target.table,
    );
    let failed = |error: tokio_postgres::Error| classify(OPERATION, &error);
    let no_parameters: [(&str, Type); 0] = [];
    let mut rows = pin!(reader.client().query_typed_raw(&statement, no_parameters).await.map_err(failed)?);
    let mut hasher = ContentHasher::new(&target.model);
    // What is to be marked: keys, and the version of the row that was read.
    let mut changed: (Vec<String>, Vec<String>) = Default::default();
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        found.rows += 1;
        if column::<&[u8]>(&row, 2)? == hash_of(&row, target, &mut hasher)?.as_slice() {
            continue;
        }
        found.changed += 1;
        let key: String = column(&row, 0)?;
        if found.keys.len() < Verification::MOST_KEYS {
            found.keys.push(key.clone());
        }
        if repair {
            changed.0.push(key);
            changed.1.push(column(&row, 1)?);
            if changed.0.len() == MARK_ROWS {
                found.marked += mark(marker, target, std::mem::take(&mut changed)).await?;
            }
        }
    }
    if !changed.0.is_empty() {
        found.marked += mark(marker, target, changed).await?;
    }
    reader.batch(OPERATION, "commit").await?;
    if repair && !found.ok() {
        recount(marker, &tables, target, &found).await?;
    }
    Ok(found)
}

/// A field as it is read for its hash: JSON as text, since its hash is one of its text.
fn selected(name: &str, column_type: ColumnType) -> String {
    let name = Identifier::derived(name);
    match column_type {
        ColumnType::Json | ColumnType::RawJson => format!("{name}::text"),
        _ => name.to_string(),
    }
}

/// The hash of a row as it is stored. One that cannot be hashed has none.
fn hash_of(row: &Row, target: &Target, hasher: &mut ContentHasher) -> Result<Vec<u8>> {
    const FIRST_FIELD: usize = 3;
    let mut lists: Vec<Option<Vec<&str>>> = Vec::new();
    for (index, field) in target.fields.iter().enumerate() {
        lists.push(match field.column_type {
            ColumnType::TextList => column(row, FIRST_FIELD + index)?,
            _ => None,
        });
    }
    let mut values = Vec::with_capacity(target.fields.len());
    for ((index, field), list) in target.fields.iter().enumerate().zip(&lists) {
        let index = FIRST_FIELD + index;
        values.push(match field.column_type {
            ColumnType::Text => column::<Option<&str>>(row, index)?.map(HashValue::Text),
            ColumnType::Json => column::<Option<&str>>(row, index)?.map(HashValue::Json),
            ColumnType::RawJson => column::<Option<&str>>(row, index)?.map(HashValue::RawJson),
            ColumnType::Bool => column::<Option<bool>>(row, index)?.map(HashValue::Bool),
            ColumnType::Int64 => column::<Option<i64>>(row, index)?.map(HashValue::Int64),
            ColumnType::Float64 => column::<Option<f64>>(row, index)?.map(HashValue::Float64),
            ColumnType::Date => column::<Option<Days>>(row, index)?.map(|Days(days)| HashValue::Date(days)),
            ColumnType::Timestamp => {
                column::<Option<Microseconds>>(row, index)?.map(|Microseconds(time)| HashValue::Int64(time))
            }
            ColumnType::TextList => list.as_deref().map(HashValue::TextList),
            other => {
                let message = format!("no model has a field of type {other:?}");
                return Err(Error::new(ErrorKind::Internal, OPERATION, message).with("column", &field.name));
            }
        });
    }
    let value = |index: usize| values.get(index).copied().flatten().unwrap_or(HashValue::Null);
    Ok(hasher.hash(value).map(Vec::from).unwrap_or_default())
}

/// Makes rows ones that any record of their rank replaces, unless they have been written since they were read.
async fn mark(marker: &Session, target: &Target, (keys, versions): (Vec<String>, Vec<String>)) -> Result<u64> {
    let statement = format!(
        "update {table} t set {replaceable} from unnest($1, $2) as c (key, version) \
         where t.{key} = c.key and t.xmin::text = c.version",
        table = target.table,
        key = target.key,
        replaceable = repair::as_replaceable("''"),
    );
    marker.execute("mark rows", &statement, &[(&keys, Type::TEXT_ARRAY), (&versions, Type::TEXT_ARRAY)]).await
}

/// The next run of every ingestion that feeds the table reads all there is, and what is there now is what
/// they have inserted so far.
async fn recount(marker: &Session, tables: &SupportTables, target: &Target, found: &Verification) -> Result<()> {
    let missing = signed(found.inserted) - signed(found.rows);
    let statement = repair::recount(&tables.ingestion.to_string(), "$1", "$2");
    let table = target.name.as_str();
    marker.execute("mark rows", &statement, &[(&table, Type::TEXT), (&missing, Type::INT8)]).await.map(drop)
}

/// A day as the server keeps it, in days since 1970.
struct Days(i32);

impl<'a> tokio_postgres::types::FromSql<'a> for Days {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        const SINCE_2000: i32 = 10_957;
        Ok(Self(i32::from_be_bytes(raw.try_into()?).saturating_add(SINCE_2000)))
    }

    fn accepts(column_type: &Type) -> bool {
        *column_type == Type::DATE
    }
}
