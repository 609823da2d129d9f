//! The driver keeps the contract.
#![allow(clippy::unwrap_used)]

use std::{path::Path, process::ExitCode};

use endpoint_api::arrow::array::{Array as _, BooleanArray, StringArray};
use endpoint_testkit::{Kit, Place, StoredRow};
use serde_json::json;
use sink_parquet_cdm::{Parquet, read_model};

fn rows(place: &Place, _: &str) -> Vec<StoredRow> {
    let folder = place.config()["path"].as_str().unwrap().to_owned();
    let read = async move { read_model(Path::new(&folder), &"testkit.thing".parse().unwrap()).await.unwrap() };
    // The kit asks from within its own runtime, which must not be blocked on.
    let rows = std::thread::spawn(move || tokio::runtime::Runtime::new().unwrap().block_on(read)).join().unwrap();
    if rows.num_rows() == 0 {
        return Vec::new();
    }
    let text = |name: &str| rows.column_by_name(name).unwrap().as_any().downcast_ref::<StringArray>().unwrap();
    let (keys, names) = (text("cdm_id"), text("name"));
    let deleted = rows.column_by_name("_acme_deleted").unwrap().as_any().downcast_ref::<BooleanArray>().unwrap();
    let name = |row: usize| names.is_valid(row).then(|| names.value(row).to_owned());
    let row = |row: usize| StoredRow { key: keys.value(row).to_owned(), name: name(row), deleted: deleted.value(row) };
    (0..rows.num_rows()).map(row).collect()
}

fn main() -> ExitCode {
    Kit::of::<Parquet>().places(|| Ok(Place::in_folder(|dir| json!({ "path": dir.join("lake") })))).rows(rows).main()
}
