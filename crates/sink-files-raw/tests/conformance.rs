//! The driver keeps the contract.
#![allow(clippy::unwrap_used)]

use std::{fs, io::BufRead as _, process::ExitCode};

use endpoint_api::Ingestion;
use endpoint_testkit::{Kit, Place};
use serde_json::json;
use sink_files_raw::{RawFiles, committed_slices};

fn records(place: &Place, ingestion: &Ingestion) -> Vec<Vec<u8>> {
    let folder = place.config()["path"].as_str().unwrap();
    let slices = committed_slices(folder, ingestion).unwrap();
    slices
        .flat_map(|slice| slice.unwrap().records.open().unwrap().split(b'\n').map(Result::unwrap).collect::<Vec<_>>())
        .collect()
}

fn main() -> ExitCode {
    let place = || Ok(Place::in_folder(|dir| json!({ "path": dir.join("raw") })));
    // No folder is below a file.
    let wrong = |place: &Place| {
        fs::write(place.dir().join("file"), "").unwrap();
        json!({ "path": place.dir().join("file/raw") })
    };
    Kit::of::<RawFiles>().places(place).records(records).wrong(wrong).main()
}
