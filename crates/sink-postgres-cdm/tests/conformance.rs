//! The driver keeps the contract.
#![allow(clippy::unwrap_used)]

use std::process::ExitCode;

use endpoint_testkit::{Kit, Place, StoredRow};
use local_postgres::TestDatabase;
use serde_json::json;
use sink_postgres_cdm::CdmPostgres;
use tokio_postgres::{NoTls, Row};

fn ask(place: &Place, statement: String) -> Vec<Row> {
    let url = place.config()["connection_url"].as_str().unwrap().to_owned();
    let ask = async move {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.query(&statement, &[]).await.unwrap()
    };
    // The kit asks from within its own runtime, which must not be blocked on.
    std::thread::spawn(move || tokio::runtime::Runtime::new().unwrap().block_on(ask)).join().unwrap()
}

fn rows(place: &Place, table: &str) -> Vec<StoredRow> {
    // JSON goes as its text, to the character.
    let as_text = "jsonb_build_object('raw_source', raw_source::text, 'properties', properties::text)";
    let told = format!("(to_jsonb(stored) || {as_text})::text");
    let asked = ask(place, format!("select {told}, _cdm_deleted_at is not null from {table} stored"));
    let row = |row: &Row| StoredRow { values: serde_json::from_str(row.get(0)).unwrap(), deleted: row.get(1) };
    asked.iter().map(row).collect()
}

fn main() -> ExitCode {
    let place = || {
        let database = TestDatabase::create();
        Ok(Place::with(json!({ "connection_url": database.url() }), database))
    };
    let messages = |place: &Place| ask(place, "select from cdm_work._cdm_outbox".to_owned()).len();
    let damage = |place: &Place, table: &str, key: &str| {
        drop(ask(place, format!("update {table} set name = 'damaged' where cdm_id = '{key}'")));
    };
    // Nobody listens on that port.
    let wrong = |_: &Place| json!({ "connection_url": "postgres://nobody@127.0.0.1:1/nothing" });
    Kit::of::<CdmPostgres>().places(place).rows(rows).messages(messages).damage(damage).wrong(wrong).main()
}
