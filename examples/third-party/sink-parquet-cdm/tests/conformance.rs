//! The driver keeps the contract.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path, process::ExitCode};

use endpoint_api::arrow::array::BooleanArray;
use endpoint_testkit::{Kit, Place, StoredRow};
use serde_json::json;
use sink_parquet_cdm::{Parquet, read_model};

fn rows(place: &Place, table: &str) -> Vec<StoredRow> {
    // The table is the folder that is called after the model.
    let (folder, model) = (place.config()["path"].as_str().unwrap().to_owned(), table.parse().unwrap());
    let read = async move { read_model(Path::new(&folder), &model).await.unwrap() };
    // The kit asks from within its own runtime, which must not be blocked on.
    let rows = std::thread::spawn(move || tokio::runtime::Runtime::new().unwrap().block_on(read)).join().unwrap();
    let Some(deleted) = rows.column_by_name("_acme_deleted") else { return Vec::new() };
    let deleted = deleted.as_any().downcast_ref::<BooleanArray>().unwrap();
    (0..rows.num_rows()).map(|row| StoredRow::of_arrow(&rows, row, deleted.value(row))).collect()
}

fn main() -> ExitCode {
    let place = || Ok(Place::in_folder(|dir| json!({ "path": dir.join("lake") })));
    // No folder is below a file.
    let wrong = |place: &Place| {
        fs::write(place.dir().join("file"), "").unwrap();
        json!({ "path": place.dir().join("file/lake") })
    };
    Kit::of::<Parquet>().places(place).rows(rows).wrong(wrong).main()
}
