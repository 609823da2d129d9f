//! The driver keeps the contract.
#![allow(clippy::unwrap_used)]

use std::process::ExitCode;

use endpoint_testkit::{Kit, Place, StoredRow};
use rusqlite::Connection;
use serde_json::json;
use sink_sqlite_cdm::CdmSqlite;

fn rows(place: &Place, table: &str) -> Vec<StoredRow> {
    let connection = Connection::open(place.config()["path"].as_str().unwrap()).unwrap();
    let mut statement =
        connection.prepare(&format!("select cdm_id, name, _cdm_deleted_at is not null from {table}")).unwrap();
    let rows = statement
        .query_map([], |row| Ok(StoredRow { key: row.get(0)?, name: row.get(1)?, deleted: row.get(2)? }))
        .unwrap();
    rows.map(Result::unwrap).collect()
}

fn messages(place: &Place) -> usize {
    let connection = Connection::open(place.config()["path"].as_str().unwrap()).unwrap();
    let kept: i64 = connection.query_row("select count(*) from _cdm_outbox", [], |row| row.get(0)).unwrap();
    usize::try_from(kept).unwrap()
}

fn main() -> ExitCode {
    let place = || Ok(Place::in_folder(|dir| json!({ "path": dir.join("work.db") })));
    Kit::of::<CdmSqlite>().places(place).rows(rows).messages(messages).main()
}
