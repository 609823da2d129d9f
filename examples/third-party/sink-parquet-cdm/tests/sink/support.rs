//! What the tests have in common: a model with a field of every kind, batches of it, and a look at what is
//! stored.

use std::{
    borrow::Cow,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use cdm_models::{Date, Json, Model, ModelDescriptor, RawJson, Timestamp};
use endpoint_api::{
    Batch, Begun, CdmBatch, Commit, Counts, Endpoint, EndpointId, Error, Ingestion, Load, LoadReceipt, Mapped,
    Mentions, Mode, OpenContext, Provisioner, RawBatch, Registry, Reject, RejectQuery, Run, RunEnd, RunSpec, Slice,
    StoredReject, UnitId,
    arrow::array::{Array, BooleanArray, RecordBatch},
    batch::{CdmBatchBuilder, NewRecord, Rank, SourceHashes},
};
use endpoint_testkit::StoredRow;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use sink_parquet_cdm::read_model;
use tempfile::TempDir;

/// A thing: one field of every kind.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub(crate) struct Thing<'a> {
    /// Its id.
    #[schemars(extend("x-cdm-key" = true))]
    pub(crate) cdm_id: Cow<'a, str>,
    /// Its name.
    pub(crate) name: Option<Cow<'a, str>>,
    /// Whether it is good.
    pub(crate) good: Option<bool>,
    /// How many there are.
    pub(crate) count: Option<i64>,
    /// How large it is.
    pub(crate) size: Option<f64>,
    /// Since when.
    pub(crate) since: Option<Date>,
    /// When it changed.
    pub(crate) updated_at: Option<Timestamp>,
    /// Labels.
    pub(crate) labels: Option<Vec<Cow<'a, str>>>,
    /// As received.
    pub(crate) raw_source: Option<RawJson<'a>>,
    /// The rest.
    pub(crate) properties: Option<Json<'a>>,
}

impl Model for Thing<'_> {
    const ID: &'static str = "test.thing";
    const VERSION: &'static str = "1.0.0";
}

pub(crate) fn named<'a>(id: &'a str, name: &'a str) -> Thing<'a> {
    Thing { cdm_id: id.into(), name: Some(name.into()), ..Thing::default() }
}

/// What goes into a batch.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "tests have few of them")]
pub(crate) enum Row<'a> {
    /// A row with its rank and version time.
    Put(Thing<'a>, Rank, Option<i64>),
    /// The deletion of a key.
    Delete(&'a str),
}

pub(crate) fn put<'a>(id: &'a str, name: &'a str, version_at: i64) -> Row<'a> {
    Row::Put(named(id, name), Rank::Whole, Some(version_at))
}

pub(crate) fn timeless<'a>(id: &'a str, name: &'a str) -> Row<'a> {
    Row::Put(named(id, name), Rank::Whole, None)
}

pub(crate) fn part<'a>(id: &'a str, name: &'a str) -> Row<'a> {
    Row::Put(named(id, name), Rank::Part, None)
}

pub(crate) fn model() -> Arc<ModelDescriptor> {
    Arc::new(ModelDescriptor::of::<Thing<'_>>().unwrap())
}

pub(crate) fn raw_batch(records: usize) -> RawBatch {
    let at = Timestamp::from_microsecond(0).unwrap();
    let mut source =
        RawBatch::builder(UnitId::from_static("test.things"), EndpointId::from_static("acme"), "things.jsonl", at);
    for line in 1..=records as u64 {
        source.push(NewRecord { json: r#"{"some":"record"}"#, line: Some(line), ..NewRecord::default() });
    }
    source.finish()
}

/// The hashes of the records that rows were made of: of another name another hash.
pub(crate) fn hashes(rows: &[Row<'_>]) -> SourceHashes {
    let hash = |row: &Row<'_>| {
        let (key, text) = match row {
            Row::Put(thing, ..) => (Some(thing.cdm_id.to_string()), format!("{row:?}")),
            Row::Delete(_) => (None, String::new()),
        };
        let mut hash = [0; 16];
        for (place, byte) in text.bytes().enumerate() {
            hash[place % 16] = u8::wrapping_mul(hash[place % 16], 31).wrapping_add(byte);
        }
        (hash, key)
    };
    rows.iter().map(hash).collect()
}

pub(crate) fn batch(rows: &[Row<'_>]) -> CdmBatch {
    let at = |microsecond| Timestamp::from_microsecond(microsecond).unwrap();
    let mut builder = CdmBatchBuilder::new(model(), 1);
    for (index, row) in rows.iter().enumerate() {
        match row {
            Row::Put(thing, rank, version_at) => {
                let mapped = Mapped { row: thing.clone(), version_at: version_at.map(at) };
                builder.push(&mapped, *rank, 0, index).unwrap();
            }
            Row::Delete(key) => builder.push_delete(key, None, index),
        }
    }
    builder.finish_hashed(Arc::new(raw_batch(rows.len())), &hashes(rows)).unwrap()
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The endpoint of a configuration, as the host opens it.
pub(crate) async fn open(config: Value) -> Result<Arc<dyn Endpoint>, Error> {
    let driver = Registry::load().unwrap().driver("acme.parquet").unwrap();
    assert_eq!(driver.config_schema().problems(&config), []);
    driver.open(config, OpenContext::new(EndpointId::from_static("lake"), "/")).await
}

pub(crate) async fn endpoint(folder: &Path) -> Arc<dyn Endpoint> {
    open(json!({ "path": folder })).await.unwrap()
}

/// An endpoint whose folder has a place for things.
pub(crate) async fn provisioned(folder: &Path) -> Arc<dyn Endpoint> {
    let endpoint = endpoint(folder).await;
    provision(endpoint.provisioner().unwrap(), &model()).await;
    endpoint
}

/// Provisions a model; says whether anything was changed.
pub(crate) async fn provision(provisioner: &dyn Provisioner, model: &ModelDescriptor) -> bool {
    let plan = provisioner.plan(&[model]).await.unwrap();
    provisioner.apply(&plan).await.unwrap().changed
}

pub(crate) fn ingestion() -> Ingestion {
    Ingestion {
        source: EndpointId::from_static("acme"),
        unit: UnitId::from_static("test.things"),
        sink: EndpointId::from_static("lake"),
        mode: Mode::Cdm,
    }
}

pub(crate) fn spec(run: &str) -> RunSpec {
    RunSpec::new(ingestion(), run.parse().unwrap()).model(model())
}

pub(crate) async fn open_run<'e>(endpoint: &'e Arc<dyn Endpoint>, spec: &RunSpec) -> Box<dyn Run + 'e> {
    endpoint.sink().unwrap().open_run(spec).await.unwrap()
}

pub(crate) fn plan(slices: usize) -> Vec<Slice> {
    (0..slices as u64).map(|index| Slice::new(index, json!({ "part": index }))).collect()
}

pub(crate) async fn begin<'r>(run: &'r dyn Run, slice: &Slice) -> Box<dyn Load + 'r> {
    match run.begin(slice).await.unwrap() {
        Begun::Load(load) => load,
        Begun::Committed(receipt) => panic!("already committed: {receipt:?}"),
    }
}

pub(crate) async fn committed(run: &dyn Run, slice: &Slice) -> LoadReceipt {
    match run.begin(slice).await.unwrap() {
        Begun::Load(_) => panic!("slice {} is not committed", slice.index),
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

pub(crate) async fn write(load: &mut dyn Load, rows: &[Row<'_>]) {
    load.write(Batch::Cdm(Box::new(batch(rows)))).await.unwrap();
}

/// Loads a whole run, in which each slice has its batches; says the sum of its receipts.
pub(crate) async fn load(endpoint: &Arc<dyn Endpoint>, slices: &[&[&[Row<'_>]]]) -> Counts {
    static RUNS: AtomicU32 = AtomicU32::new(1);
    let run = open_run(endpoint, &spec(&format!("run-{}", RUNS.fetch_add(1, Ordering::Relaxed))).restart(true)).await;
    run.record_plan(&plan(slices.len())).await.unwrap();
    let mut counts = Counts::default();
    for (slice, batches) in plan(slices.len()).iter().zip(slices) {
        let mut load = begin(run.as_ref(), slice).await;
        for rows in *batches {
            write(load.as_mut(), rows).await;
        }
        counts += load.commit(Commit::default()).await.unwrap().counts;
    }
    run.finish(RunEnd::Succeeded, &[]).await.unwrap();
    // The conformance kit looks at the mentions.
    Counts { mentions: Mentions::default(), ..counts }
}

pub(crate) fn counts(inserted: u64, updated: u64, unchanged: u64, stale: u64, duplicate: u64) -> Counts {
    Counts { inserted, updated, unchanged, stale, duplicate, ..Counts::default() }
}

pub(crate) fn a_reject(line: u64) -> Reject {
    let record = [b"[\xff\x00]".as_slice(), line.to_string().as_bytes()].concat();
    Reject::at_source(format!("things.jsonl:{line}"), "expected an object", &record)
}

pub(crate) async fn rejects(endpoint: &Arc<dyn Endpoint>) -> Vec<StoredReject> {
    endpoint.sink().unwrap().rejects(&RejectQuery::newest(10)).await.unwrap()
}

/// The current rows of the model as JSON, without what is null and without the sink's own columns.
pub(crate) async fn rows(folder: &Path) -> Vec<Value> {
    let batch = read_model(folder, &model().id).await.unwrap();
    let deleted: Option<&BooleanArray> = column(&batch, "_acme_deleted");
    let row = |row: usize| {
        let StoredRow { mut values, deleted } = StoredRow::of_arrow(&batch, row, deleted.unwrap().value(row));
        values.retain(|name, value| {
            let column = batch.column_by_name(name).unwrap();
            let is_told = !name.starts_with('_') && column.is_valid(row);
            assert!(!is_told || !value.is_null(), "a column of type {}", column.data_type());
            is_told
        });
        values.insert("deleted".to_owned(), deleted.into());
        Value::Object(values)
    };
    (0..batch.num_rows()).map(row).collect()
}

/// The live things by id and name.
pub(crate) async fn names(folder: &Path) -> Vec<(String, String)> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let live = rows(folder).await.into_iter().filter(|row| row["deleted"] == false);
    live.map(|row| (text(&row, "cdm_id"), text(&row, "name"))).collect()
}

pub(crate) fn column<'b, A: Array + 'static>(batch: &'b RecordBatch, name: &str) -> Option<&'b A> {
    batch.column_by_name(name)?.as_any().downcast_ref()
}

/// The files of rows below a folder, by their names.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                found.push(path.file_name().unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}
