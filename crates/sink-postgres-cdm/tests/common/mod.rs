//! A model of the test's own, and a sink on a database of the test's own.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use cdm_models::{Json, Model, ModelDescriptor, RawJson, Timestamp};
use endpoint_api::{
    Batch, Begun, CdmBatch, Commit, Counts, Driver, Endpoint, EndpointId, Ingestion, Load, LoadReceipt, Mapped, Mode,
    OpenContext, Overlap, RawBatch, Resource, Result, Retry, Run, RunId, RunSpec, Sink, Slice, UnitId,
    batch::{CdmBatchBuilder, NewRecord, Rank, SourceHashes},
};
use local_postgres::TestDatabase;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use sink_postgres_cdm::{CdmPostgres, PgCdm};
use tokio_postgres::NoTls;

/// A thing: one field of every kind.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Thing<'a> {
    /// Its id.
    #[schemars(extend("x-cdm-key" = true))]
    pub(crate) cdm_id: Cow<'a, str>,
    /// Its name, in 'single' and "double" quotes, with a \ backslash.
    pub(crate) name: Option<Cow<'a, str>>,
    /// The thing that it is a part of.
    #[schemars(extend("x-cdm-references" = "test.thing"))]
    pub(crate) whole: Option<Cow<'a, str>>,
    /// Whether it is good.
    pub(crate) good: Option<bool>,
    /// How many there are.
    pub(crate) count: Option<i64>,
    /// How large it is.
    pub(crate) size: Option<f64>,
    /// Since when.
    pub(crate) since: Option<cdm_models::Date>,
    /// When it changed.
    #[schemars(extend("x-cdm-index" = true))]
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

impl<'a> Thing<'a> {
    pub(crate) fn new(id: impl Into<Cow<'a, str>>) -> Self {
        Self {
            cdm_id: id.into(),
            name: None,
            whole: None,
            good: None,
            count: None,
            size: None,
            since: None,
            updated_at: None,
            labels: None,
            raw_source: None,
            properties: None,
        }
    }

    pub(crate) fn named(id: impl Into<Cow<'a, str>>, name: impl Into<Cow<'a, str>>) -> Self {
        Self { name: Some(name.into()), ..Self::new(id) }
    }
}

/// What goes into a batch.
#[allow(clippy::large_enum_variant, reason = "tests have few of them")]
#[derive(Debug, Clone)]
pub(crate) enum Row<'a> {
    /// A row with its rank and version time.
    Put(Thing<'a>, Rank, Option<i64>),
    /// The deletion of a key.
    Delete(String),
}

impl Row<'_> {
    /// The name of the thing.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Put(thing, ..) => thing.name.as_deref().unwrap_or_default(),
            Self::Delete(_) => "",
        }
    }
}

/// Waits until a session of the database waits for another one.
pub(crate) async fn until_somebody_waits(bench: &Bench) {
    until_so_many_wait(bench, 1).await;
}

/// Waits until so many sessions of the database, or more, wait for others.
pub(crate) async fn until_so_many_wait(bench: &Bench, sessions: usize) {
    let waiting =
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
    for _ in 0..500 {
        if bench.value(waiting).await.parse::<usize>().unwrap() >= sessions {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("fewer than {sessions} wait");
}

pub(crate) fn put<'a>(thing: Thing<'a>, version_at: i64) -> Row<'a> {
    Row::Put(thing, Rank::Whole, Some(version_at))
}

pub(crate) fn timeless<'a>(thing: Thing<'a>) -> Row<'a> {
    Row::Put(thing, Rank::Whole, None)
}

pub(crate) fn part<'a>(thing: Thing<'a>) -> Row<'a> {
    Row::Put(thing, Rank::Part, None)
}

pub(crate) fn model() -> Arc<ModelDescriptor> {
    Arc::new(ModelDescriptor::of::<Thing<'_>>().unwrap())
}

/// The hashes of the records that rows were made of.
pub(crate) fn hashes(rows: &[Row<'_>]) -> SourceHashes {
    let hash = |row: &Row<'_>| {
        let key = match row {
            Row::Put(thing, ..) => Some(thing.cdm_id.to_string()),
            Row::Delete(_) => None,
        };
        let hash = blake3::hash(format!("{row:?}").as_bytes());
        (*hash.as_bytes().first_chunk().unwrap(), key)
    };
    rows.iter().map(hash).collect()
}

pub(crate) fn batch(rows: &[Row<'_>]) -> CdmBatch {
    unknown(rows, &[]).unwrap()
}

/// A batch of the rows that are not known, if there are any.
pub(crate) fn unknown(rows: &[Row<'_>], known: &[bool]) -> Option<CdmBatch> {
    let at = |microsecond| Timestamp::from_microsecond(microsecond).unwrap();
    let mut source =
        RawBatch::builder(UnitId::from_static("test.things"), EndpointId::from_static("acme"), "things.jsonl", at(0));
    let mut builder = CdmBatchBuilder::new(model(), 1);
    for (index, row) in rows.iter().enumerate() {
        // Also in another batch no other row has the same record: the same record twice is one reject.
        let key = match row {
            Row::Put(thing, ..) => thing.cdm_id.as_ref(),
            Row::Delete(key) => key.as_str(),
        };
        let json = format!("{{\"some\":\"record {index}\",\"of\":\"{key}\"}}");
        source.push(NewRecord { json: &json, line: Some(index as u64 + 1), ..NewRecord::default() });
        if known.get(index) == Some(&true) {
            continue;
        }
        match row {
            Row::Put(thing, rank, version_at) => {
                let mapped = Mapped { row: thing.clone(), version_at: version_at.map(at) };
                builder.push(&mapped, *rank, 0, index).unwrap();
            }
            Row::Delete(key) => builder.push_delete(key, None, index),
        }
    }
    let has_rows = !builder.is_empty();
    has_rows.then(|| builder.finish_hashed(Arc::new(source.finish()), &hashes(rows)).unwrap())
}

/// A database with a sink on it.
pub(crate) struct Bench {
    pub(crate) database: TestDatabase,
    pub(crate) sink: PgCdm,
}

impl Bench {
    /// Nothing is provisioned yet.
    pub(crate) async fn bare() -> Self {
        let database = TestDatabase::create();
        let sink = open(json!({ "connection_url": database.url() })).await.unwrap();
        Self { database, sink }
    }

    pub(crate) async fn new() -> Self {
        let bench = Self::bare().await;
        bench.provision().await;
        bench
    }

    pub(crate) async fn provision(&self) {
        let provisioner = self.sink.provisioner().unwrap();
        let plan = provisioner.plan(&[&model()]).await.unwrap();
        provisioner.apply(&plan).await.unwrap();
    }

    pub(crate) async fn client(&self) -> tokio_postgres::Client {
        let (client, connection) = self.database.config().connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Runs statements as the superuser.
    pub(crate) async fn execute(&self, statements: &str) {
        self.client().await.batch_execute(statements).await.unwrap();
    }

    /// The rows of a query, each as its columns' texts.
    pub(crate) async fn ask(&self, query: &str) -> Vec<Vec<String>> {
        let client = self.client().await;
        let messages = client.simple_query(query).await.unwrap();
        let rows = messages.into_iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|index| row.get(index).unwrap_or("null").to_owned()).collect())
            }
            _ => None,
        });
        rows.collect()
    }

    /// The one value of a query.
    pub(crate) async fn value(&self, query: &str) -> String {
        self.ask(query).await[0][0].clone()
    }

    /// The things by id and name.
    pub(crate) async fn names(&self) -> Vec<(String, String)> {
        let rows = self.ask("select cdm_id, name from cdm_work.cdm_test_thing order by cdm_id collate \"C\"").await;
        rows.into_iter().map(|row| (row[0].clone(), row[1].clone())).collect()
    }

    /// A run in which each slice has its batches, with nothing left behind that tells of resources.
    pub(crate) async fn load(&self, slices: &[&[&[Row<'_>]]]) -> Counts {
        load(&self.sink, slices).await.unwrap()
    }
}

pub(crate) async fn open(config: serde_json::Value) -> Result<PgCdm> {
    let config = serde_json::from_value(config).unwrap();
    CdmPostgres::validate(&config)?;
    CdmPostgres::open(config, OpenContext::new(EndpointId::from_static("warehouse"), ".")).await
}

pub(crate) fn ingestion() -> Ingestion {
    Ingestion {
        source: EndpointId::from_static("acme"),
        unit: UnitId::from_static("test.things"),
        sink: EndpointId::from_static("warehouse"),
        mode: Mode::Cdm,
    }
}

pub(crate) fn spec(run_id: &str) -> RunSpec {
    RunSpec::new(ingestion(), run_id.parse::<RunId>().unwrap()).model(model()).overlap(Overlap::Fail)
}

pub(crate) fn plan(slices: usize) -> Vec<Slice> {
    (0..slices as u64).map(|index| Slice::new(index, json!({ "part": index }))).collect()
}

pub(crate) fn resource(name: &str, fingerprint: &str) -> Resource {
    Resource { name: name.to_owned(), fingerprint: fingerprint.to_owned() }
}

pub(crate) async fn begin<'r>(run: &'r dyn Run, slice: &Slice) -> Box<dyn Load + 'r> {
    match run.begin(slice).await.unwrap() {
        Begun::Load(load) => load,
        Begun::Committed(receipt) => panic!("already committed: {receipt:?}"),
    }
}

/// Loads a whole run; says the sum of its receipts.
pub(crate) async fn load(sink: &PgCdm, slices: &[&[&[Row<'_>]]]) -> Result<Counts> {
    static RUNS: AtomicU32 = AtomicU32::new(1);
    let run_id = format!("run-{}", RUNS.fetch_add(1, Ordering::Relaxed));
    let run = sink.open_run(&spec(&run_id).restart(true)).await?;
    run.record_plan(&plan(slices.len())).await?;
    let mut counts = Counts::default();
    for (slice, batches) in plan(slices.len()).iter().zip(slices) {
        counts += load_slice(run.as_ref(), slice, batches).await?;
    }
    run.finish(endpoint_api::RunEnd::Succeeded, &[]).await?;
    Ok(counts)
}

/// Loads a slice, and once more when the sink asks for that.
pub(crate) async fn load_slice(run: &dyn Run, slice: &Slice, batches: &[&[Row<'_>]]) -> Result<Counts> {
    let attempt = async || {
        let mut load = begin(run, slice).await;
        for rows in batches {
            let known = load.recognize(&hashes(rows)).await?;
            if let Some(batch) = unknown(rows, &known) {
                load.write(Batch::Cdm(Box::new(batch))).await?;
            }
        }
        load.commit(Commit::default()).await
    };
    let receipt = match attempt().await {
        Err(error) if matches!(error.retry(), Retry::Backoff | Retry::AtOnce) => attempt().await,
        done => done,
    };
    receipt.map(|LoadReceipt { counts, .. }| counts)
}
