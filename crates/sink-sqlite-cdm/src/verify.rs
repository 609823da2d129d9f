use std::sync::Arc;

use cdm_models::{Date, ModelDescriptor};
use endpoint_api::{
    Error, Result, Verification,
    batch::{ContentHasher, HashValue},
};
use relational::{ColumnType, Naming, plumbing, repair, state::signed, support};
use rusqlite::{Connection, Row, params, types::ValueRef};

use crate::{
    cells,
    database::{Database, During as _, OWNER},
    settle::rows_inserted,
    target::Target,
};

const OPERATION: &str = "verify rows";

/// Reads every row of the models' tables, hashes it, and compares that with the hash it was stored with.
pub(crate) fn verify(
    database: &Database,
    naming: &Naming,
    models: &[Arc<ModelDescriptor>],
    repair: bool,
) -> Result<Vec<Verification>> {
    let connection = database.open()?;
    let mut found = Vec::with_capacity(models.len());
    for model in models {
        let target = Target::find(&connection, naming, Arc::clone(model));
        let target = target.map_err(|error| database.unprovisioned(error))?;
        // What is counted, read and marked is of one moment; only marking holds up other writers.
        connection.execute_batch(if repair { "begin immediate" } else { "begin" }).during(OPERATION)?;
        let verified = verify_table(&connection, &target, repair);
        let end = if verified.is_ok() { "commit" } else { "rollback" };
        connection.execute_batch(end).during(OPERATION)?;
        found.push(verified?);
    }
    Ok(found)
}

fn verify_table(connection: &Connection, target: &Target, repair: bool) -> Result<Verification> {
    let table = target.table.as_str();
    let mut found = Verification::new(target.model.id.clone(), table.to_owned());
    found.inserted = rows_inserted(connection, table)?;
    let fields: Vec<String> = target.fields.iter().map(|field| field.identifier().to_string()).collect();
    let statement = format!(
        "select {key}, {hash}, {fields} from {table}",
        key = target.key,
        hash = plumbing::CONTENT_HASH,
        fields = fields.join(", "),
        table = target.table,
    );
    let mut statement = connection.prepare(&statement).during(OPERATION)?;
    let mut rows = statement.query([]).during(OPERATION)?;
    let mut hasher = ContentHasher::new(&target.model);
    let mut changed = Vec::new();
    while let Some(row) = rows.next().during(OPERATION)? {
        found.rows += 1;
        let stored: Vec<u8> = row.get(1).during(OPERATION)?;
        if hash_of(row, target, &mut hasher)?.is_some_and(|hash| stored == hash) {
            continue;
        }
        found.changed += 1;
        let key: String = row.get(0).during(OPERATION)?;
        if found.keys.len() < Verification::MOST_KEYS {
            found.keys.push(key.clone());
        }
        if repair {
            changed.push(key);
        }
    }
    if repair && !found.ok() {
        found.marked = mark(connection, target, &changed)?;
        recount(connection, target, &found)?;
    }
    Ok(found)
}

/// A value of a row, owned where it is not what the file holds.
enum Owned {
    Nothing,
    Text(String),
    List(Vec<String>),
    Number(i64),
    Real(f64),
}

/// The hash of a row as it is stored; none of one that holds what no load has written.
fn hash_of(row: &Row<'_>, target: &Target, hasher: &mut ContentHasher) -> Result<Option<[u8; 16]>> {
    const FIRST_FIELD: usize = 2;
    let mut owned = Vec::with_capacity(target.fields.len());
    for (index, field) in target.fields.iter().enumerate() {
        let value = row.get_ref(FIRST_FIELD + index).during(OPERATION)?;
        match read(value, field.column_type) {
            Some(value) => owned.push(value),
            None => return Ok(None),
        }
    }
    let lists: Vec<Vec<&str>> = owned
        .iter()
        .map(|value| match value {
            Owned::List(texts) => texts.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        })
        .collect();
    let value = |index: usize| {
        let column_type = target.fields.get(index).map(|field| field.column_type);
        match (owned.get(index), column_type) {
            (Some(Owned::Text(text)), Some(ColumnType::Json)) => HashValue::Json(text),
            (Some(Owned::Text(text)), Some(ColumnType::RawJson)) => HashValue::RawJson(text),
            (Some(Owned::Text(text)), _) => HashValue::Text(text),
            (Some(Owned::List(_)), _) => HashValue::TextList(lists.get(index).map_or(&[], Vec::as_slice)),
            (Some(Owned::Number(number)), Some(ColumnType::Bool)) => HashValue::Bool(*number != 0),
            (Some(Owned::Number(days)), Some(ColumnType::Date)) => {
                HashValue::Date(i32::try_from(*days).unwrap_or(i32::MAX))
            }
            (Some(Owned::Number(number)), _) => HashValue::Int64(*number),
            (Some(Owned::Real(number)), _) => HashValue::Float64(*number),
            (Some(Owned::Nothing) | None, _) => HashValue::Null,
        }
    };
    Ok(hasher.hash(value).ok())
}

/// A value as it was before it was stored; `None` for one that is none of its column's type.
fn read(value: ValueRef<'_>, column_type: ColumnType) -> Option<Owned> {
    Some(match (value, column_type) {
        (ValueRef::Null, _) => Owned::Nothing,
        (ValueRef::Integer(number), ColumnType::Bool | ColumnType::Int64) => Owned::Number(number),
        (ValueRef::Real(number), ColumnType::Float64) => Owned::Real(number),
        (value, ColumnType::Date) => Owned::Number(Date::parse(value.as_str().ok()?).ok()?.days().into()),
        (value, ColumnType::Timestamp) => Owned::Number(cells::time(value.as_str().ok()?)?),
        (value, ColumnType::TextList) => Owned::List(serde_json::from_str(value.as_str().ok()?).ok()?),
        (value, ColumnType::Text | ColumnType::Json | ColumnType::RawJson) => {
            Owned::Text(value.as_str().ok()?.to_owned())
        }
        _ => return None,
    })
}

/// Makes rows ones that any record of their rank replaces.
fn mark(connection: &Connection, target: &Target, keys: &[String]) -> Result<u64> {
    let statement = format!(
        "update {table} set {replaceable} where {key} = ?1",
        table = target.table,
        key = target.key,
        replaceable = repair::as_replaceable("x''"),
    );
    let mut statement = connection.prepare(&statement).during(OPERATION)?;
    let mut marked = 0;
    for key in keys {
        let done = statement.execute([key]).map_err(|error| OWNER.classify(OPERATION, error));
        marked += done.map_err(|error: Error| error.with("table", target.table.as_str()))?;
    }
    Ok(u64::try_from(marked).unwrap_or(u64::MAX))
}

/// The next run of every ingestion that feeds the table reads all there is, and what is there now is what they
/// have inserted so far.
fn recount(connection: &Connection, target: &Target, found: &Verification) -> Result<()> {
    let missing = signed(found.inserted) - signed(found.rows);
    let statement = repair::recount(support::INGESTION, "?1", "?2");
    connection.execute(&statement, params![target.table.as_str(), missing]).during(OPERATION).map(drop)
}
