//! The driver keeps the contract.
#![allow(clippy::unwrap_used)]

use std::{path::Path, process::ExitCode};

use endpoint_api::arrow::array::BooleanArray;
use endpoint_testkit::{Kit, Place, StoredRow};
use serde_json::json;
use sink_parquet_cdm::{Parquet, read_model};

fn rows(place: &Place, _: &str) -> Vec<StoredRow> {
    let folder = place.config()["path"].as_str().unwrap().to_owned();
    let read = async move { read_model(Path::new(&folder), &"testkit.thing".parse().unwrap()).await.unwrap() };
    // The kit asks from within its own runtime, which must not be blocked on.
    let rows = std::thread::spawn(move || tokio::runtime::Runtime::new().unwrap().block_on(read)).join().unwrap();
    let Some(deleted) = rows.column_by_name("_acme_deleted") else { return Vec::new() };
    let deleted = deleted.as_any().downcast_ref::<BooleanArray>().unwrap();
    (0..rows.num_rows()).map(|row| StoredRow::of_arrow(&rows, row, deleted.value(row))).collect()
}

fn main() -> ExitCode {
    Kit::of::<Parquet>().places(|| Ok(Place::in_folder(|dir| json!({ "path": dir.join("lake") })))).rows(rows).main()
}
