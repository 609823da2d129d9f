//! What the tests have in common: endpoints, batches, and a look at the files.

use std::{
    fs,
    io::{BufRead as _, Read as _},
    path::Path,
    sync::Arc,
};

use cdm_models::Timestamp;
use endpoint_api::{
    Batch, Begun, Checkpoint, Commit, Endpoint, EndpointId, Error, Ingestion, Load, LoadReceipt, Mode, OpenContext,
    RawBatch, Registry, Run, RunSpec, Slice, UnitId, batch::NewRecord,
};
use serde_json::{Value, json};
use sink_files_raw::{CommittedFile, CommittedSlice, committed_slices};
use tempfile::TempDir;

pub(crate) const OBSERVED_AT: &str = "2024-05-06T07:08:09.5Z";

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The endpoint of a configuration, as the host opens it.
pub(crate) async fn open(config: Value, base_dir: &Path) -> Result<Arc<dyn Endpoint>, Error> {
    let driver = Registry::load().unwrap().driver("raw.files").unwrap();
    assert_eq!(driver.config_schema().problems(&config), []);
    driver.open(config, OpenContext::new(EndpointId::from_static("archive"), base_dir)).await
}

/// A sink that writes plain files into a folder.
pub(crate) async fn sink(folder: &Path) -> Arc<dyn Endpoint> {
    open(json!({ "path": folder }), folder).await.unwrap()
}

/// A sink that compresses its files.
pub(crate) async fn compressing_sink(folder: &Path) -> Arc<dyn Endpoint> {
    open(json!({ "path": folder, "compression": "zstd" }), folder).await.unwrap()
}

pub(crate) fn ingestion() -> Ingestion {
    ingestion_of("test.things")
}

pub(crate) fn ingestion_of(unit: &str) -> Ingestion {
    Ingestion {
        source: EndpointId::from_static("acme"),
        unit: unit.parse().unwrap(),
        sink: EndpointId::from_static("archive"),
        mode: Mode::Raw,
    }
}

pub(crate) fn spec(run: &str) -> RunSpec {
    RunSpec::new(ingestion(), run.parse().unwrap())
}

pub(crate) async fn open_run<'a>(endpoint: &'a Arc<dyn Endpoint>, spec: &RunSpec) -> Box<dyn Run + 'a> {
    endpoint.sink().unwrap().open_run(spec).await.unwrap()
}

pub(crate) fn slice(index: u64) -> Slice {
    Slice::new(index, json!({ "part": index }))
}

pub(crate) fn plan(slices: u64) -> Vec<Slice> {
    (0..slices).map(slice).collect()
}

pub(crate) async fn begin(run: &dyn Run, index: u64) -> Box<dyn Load + '_> {
    match run.begin(&slice(index)).await.unwrap() {
        Begun::Load(load) => load,
        Begun::Committed(_) => panic!("slice {index} is committed"),
    }
}

pub(crate) async fn committed(run: &dyn Run, index: u64) -> LoadReceipt {
    match run.begin(&slice(index)).await.unwrap() {
        Begun::Load(_) => panic!("slice {index} is not committed"),
        Begun::Committed(receipt) => receipt,
    }
}

/// The error of an operation whose result is not `Debug`.
pub(crate) fn error<T>(result: Result<T, Error>) -> Error {
    match result {
        Ok(_) => panic!("it succeeded"),
        Err(error) => error,
    }
}

pub(crate) fn raw_batch(records: &[NewRecord<'_>]) -> RawBatch {
    let mut batch = RawBatch::builder(
        UnitId::from_static("test.things"),
        EndpointId::from_static("acme"),
        "things.jsonl",
        Timestamp::parse(OBSERVED_AT).unwrap(),
    );
    for record in records {
        batch.push(NewRecord { part: record.part.clone(), ..*record });
    }
    batch.finish()
}

/// A batch of records without more.
pub(crate) fn batch(records: &[impl AsRef<str>]) -> Batch {
    let records: Vec<_> =
        records.iter().map(|json| NewRecord { json: json.as_ref(), ..NewRecord::default() }).collect();
    Batch::Raw(Box::new(raw_batch(&records)))
}

pub(crate) fn checkpoint(at: u64) -> Checkpoint {
    Checkpoint(json!({ "at": at }))
}

/// Loads a slice of one record, after which a later run resumes at the slice's index.
pub(crate) async fn load(run: &dyn Run, index: u64) -> LoadReceipt {
    let mut load = begin(run, index).await;
    load.write(batch(&[record(index)])).await.unwrap();
    load.commit(Commit::new(Some(checkpoint(index)), Vec::new())).await.unwrap()
}

pub(crate) fn record(index: u64) -> String {
    format!(r#"{{"id":{index}}}"#)
}

pub(crate) fn slices(folder: &Path) -> Vec<CommittedSlice> {
    committed_slices(folder, &ingestion()).unwrap().collect::<Result<_, _>>().unwrap()
}

/// The lines of a file, after a look whether it is the one that its manifest names.
pub(crate) fn lines(file: &CommittedFile) -> Vec<String> {
    let stored = fs::read(&file.path).unwrap();
    assert_eq!((stored.len() as u64, blake3::hash(&stored).to_hex().to_string()), (file.bytes, file.blake3.clone()));
    let mut text = String::new();
    file.open().unwrap().read_to_string(&mut text).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    let lines: Vec<String> = file.open().unwrap().lines().map(Result::unwrap).collect();
    assert_eq!(lines.len() as u64, file.lines);
    lines
}

/// All records that are committed, in order.
pub(crate) fn records(folder: &Path) -> Vec<String> {
    slices(folder).iter().flat_map(|slice| lines(&slice.records)).collect()
}

/// The files in a folder and below, with their paths from there, sorted.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    fn collect(root: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    if folder.exists() {
        collect(folder, folder, &mut found);
    }
    found.sort();
    found
}

/// The files of records, envelopes and rejects, whether or not they are committed.
pub(crate) fn record_files(folder: &Path) -> Vec<String> {
    files(&folder.join("acme"))
}

/// The files that the manifests name.
pub(crate) fn named_files(folder: &Path) -> Vec<String> {
    let mut named: Vec<String> = slices(folder)
        .into_iter()
        .flat_map(|slice| [Some(slice.records), Some(slice.envelopes), slice.rejects])
        .flatten()
        .map(|file| file.path.strip_prefix(folder.join("acme")).unwrap().to_str().unwrap().to_owned())
        .collect();
    named.sort();
    named
}
