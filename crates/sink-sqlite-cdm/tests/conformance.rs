//! The driver keeps the contract.
#![allow(clippy::unwrap_used)]

use std::process::ExitCode;

use endpoint_testkit::{Kit, Place, StoredRow};
use rusqlite::{Connection, types::ValueRef};
use serde_json::{Map, Value, json};
use sink_sqlite_cdm::CdmSqlite;

fn rows(place: &Place, table: &str) -> Vec<StoredRow> {
    let connection = Connection::open(place.config()["path"].as_str().unwrap()).unwrap();
    let mut statement = connection.prepare(&format!("select * from {table}")).unwrap();
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let told = |cell: ValueRef<'_>| match cell {
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) if number.is_finite() => number.into(),
        ValueRef::Real(number) => number.to_string().into(),
        ValueRef::Text(text) => str::from_utf8(text).unwrap().into(),
        ValueRef::Null | ValueRef::Blob(_) => Value::Null,
    };
    let rows = statement.query_map([], |row| {
        let cells = columns.iter().enumerate().map(|(at, name)| Ok((name.clone(), told(row.get_ref(at)?))));
        let values = cells.collect::<rusqlite::Result<Map<String, Value>>>()?;
        Ok(StoredRow { deleted: values.get("_cdm_deleted_at").is_some_and(|at| !at.is_null()), values })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn messages(place: &Place) -> usize {
    let connection = Connection::open(place.config()["path"].as_str().unwrap()).unwrap();
    let kept: i64 = connection.query_row("select count(*) from _cdm_outbox", [], |row| row.get(0)).unwrap();
    usize::try_from(kept).unwrap()
}

fn main() -> ExitCode {
    let place = || Ok(Place::in_folder(|dir| json!({ "path": dir.join("work.db") })));
    let damage = |place: &Place, table: &str, key: &str| {
        let connection = Connection::open(place.config()["path"].as_str().unwrap()).unwrap();
        connection.execute(&format!("update {table} set name = 'damaged' where cdm_id = ?1"), [key]).unwrap();
    };
    let wrong = |place: &Place| json!({ "path": place.dir() });
    Kit::of::<CdmSqlite>().places(place).rows(rows).messages(messages).damage(damage).wrong(wrong).main()
}
