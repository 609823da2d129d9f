//! A source and a sink in memory that keep the contract, and can be told to fail.
#![allow(dead_code, reason = "each test program uses its own part")]

pub(crate) mod faulty;

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use cdm_models::{Model, ModelDescriptor, Timestamp};
use endpoint_api::{
    Batch, Begun, Checkpoint, Commit, Counts, EndpointId, Error, ErrorKind, Incomplete, Ingestion, Load, LoadReceipt,
    Mapped, Mapper, MapperEntry, Message, Mode, Outbox, Overlap, PlanRequest, RawBatch, Reject, RejectQuery, Rejection,
    Replay, Result, Resume, Retry, Run, RunEnd, RunId, RunReceipt, RunSpec, Sink, Slice, Source, SourceIdentity,
    StoredReject, UnitDescriptor, UnitId, Verification, Waiting, async_trait,
    batch::{NewRecord, RawRecord, SourceHashes},
    lineage::{Lineage, field, identity},
};
use futures::{StreamExt as _, stream, stream::BoxStream};
use ingest::{Job, Mapping, Options, RunReport, Silent, Telling, ingest, staging::MemoryStaging};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// A thing.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Thing<'a> {
    #[schemars(extend("x-cdm-key" = true))]
    cdm_id: Cow<'a, str>,
    name: Option<Cow<'a, str>>,
}

impl Model for Thing<'_> {
    const ID: &'static str = "test.thing";
    const VERSION: &'static str = "1.0.0";
}

pub(crate) struct Things;

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

impl Mapper for Things {
    const UNIT: &'static str = "test.things";
    const REVISION: u32 = 1;
    const LINEAGE: Lineage =
        Lineage { fields: &[field("cdm_id", &[identity("id")]), field("name", &[identity("name")])], dropped: &[] };
    type Model<'a> = Thing<'a>;

    fn new(_: &SourceIdentity) -> Result<Self> {
        Ok(Self)
    }

    fn map<'a>(&'a self, record: &RawRecord<'a>) -> Result<Mapped<Thing<'a>>, Rejection> {
        let Record { id, name } = serde_json::from_str(record.json).map_err(|_| Rejection::new("no thing"))?;
        Ok(Mapped { row: Thing { cdm_id: id, name }, version_at: None })
    }

    fn key(&self, record: &RawRecord<'_>) -> Option<String> {
        serde_json::from_str::<Record<'_>>(record.json).ok().map(|Record { id, .. }| id.into_owned())
    }
}

/// Records, slice by slice, each a batch of its own; a record that begins with `!` is none.
pub(crate) struct TestSource {
    pub(crate) slices: Mutex<Vec<Vec<String>>>,
    pub(crate) planned: Mutex<Vec<PlanRequest>>,
    pub(crate) read: Mutex<Vec<u64>>,
    /// What to answer with, one a read, before all else; with `None` that read goes well.
    pub(crate) failures: Mutex<VecDeque<Option<Error>>>,
    /// Never come to an end of the first slice.
    pub(crate) hangs: bool,
    /// Before each batch.
    pub(crate) pause: Duration,
    identity: SourceIdentity,
}

impl TestSource {
    pub(crate) fn new(slices: &[&[&str]]) -> Self {
        let slices = slices.iter().map(|slice| slice.iter().map(|&record| record.to_owned()).collect()).collect();
        Self {
            slices: Mutex::new(slices),
            planned: Mutex::default(),
            read: Mutex::default(),
            failures: Mutex::default(),
            hangs: false,
            pause: Duration::ZERO,
            identity: SourceIdentity::new(EndpointId::from_static("acme"), "s"),
        }
    }
}

#[async_trait]
impl Source for TestSource {
    fn identity(&self) -> &SourceIdentity {
        &self.identity
    }

    async fn units(&self) -> Result<Vec<UnitDescriptor>> {
        Ok(Vec::new())
    }

    async fn plan(&self, _: &UnitId, request: &PlanRequest) -> Result<Vec<Slice>> {
        let first = request.checkpoint.as_ref().and_then(|checkpoint| checkpoint.0.as_u64()).unwrap_or(0);
        self.planned.lock().unwrap().push(request.clone());
        let slices = self.slices.lock().unwrap().len() as u64;
        Ok((first..slices).zip(0..).map(|(slice, index)| Slice::new(index, json!(slice))).collect())
    }

    fn read<'a>(&'a self, unit: &'a UnitId, slice: &'a Slice) -> BoxStream<'a, Result<RawBatch>> {
        let number = slice.spec.as_u64().unwrap();
        self.read.lock().unwrap().push(number);
        if let Some(Some(error)) = self.failures.lock().unwrap().pop_front() {
            return stream::iter([Err(error)]).boxed();
        }
        let records = self.slices.lock().unwrap()[number as usize].clone();
        let at = Timestamp::from_microsecond(0).unwrap();
        let batches: Vec<Result<RawBatch>> = (1..)
            .zip(records)
            .map(|(line, record)| {
                let endpoint = self.identity.endpoint.clone();
                let mut batch = RawBatch::builder(unit.clone(), endpoint, format!("file-{number}"), at);
                match record.strip_prefix('!') {
                    Some(bad) => {
                        batch.reject(Reject::at_source(format!("file-{number}:{line}"), "no record", bad.as_bytes()))
                    }
                    None => batch.push(NewRecord { json: &record, line: Some(line), ..NewRecord::default() }),
                }
                batch.incomplete(Incomplete::new("file", "misses something", line));
                Ok(batch.finish_at(Some(Checkpoint(json!(number + 1)))))
            })
            .collect();
        let pause = self.pause;
        let batches = stream::iter(batches).then(move |batch| async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            batch
        });
        if self.hangs && number == 0 { batches.chain(stream::pending()).boxed() } else { batches.boxed() }
    }
}

/// What a sink keeps of an ingestion.
#[derive(Default)]
pub(crate) struct State {
    fence: u64,
    pub(crate) run: Option<(RunId, u64, Option<RunEnd>)>,
    plan: Option<Vec<Slice>>,
    /// By run and slice, of all runs.
    ledger: BTreeMap<(String, u64), (LoadReceipt, Option<Checkpoint>)>,
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) rows: BTreeMap<String, String>,
    pub(crate) raw: Vec<String>,
    pub(crate) rejects: BTreeMap<String, Reject>,
    /// The hashes of the records that the rows were made of.
    hashes: BTreeMap<String, [u8; 16]>,
    /// How many rows were written in all, and in how many batches.
    pub(crate) written: usize,
    pub(crate) batches: usize,
    pub(crate) aborted: u32,
    pub(crate) ends: Vec<RunEnd>,
    /// What is in the outbox.
    pub(crate) told: Vec<Message>,
}

impl State {
    fn tell(&mut self, messages: &[Message]) {
        let news = messages.iter().filter(|message| self.told.iter().all(|told| told.id != message.id));
        self.told.extend(news.cloned().collect::<Vec<_>>());
    }

    /// What the ledger says of each slice of the last run.
    pub(crate) fn receipts(&self) -> impl Iterator<Item = (u64, &LoadReceipt)> {
        let run = self.run.as_ref().map(|(run, ..)| run.as_str()).unwrap_or_default();
        self.ledger.iter().filter(move |((of, _), _)| of == run).map(|((_, slice), (receipt, _))| (*slice, receipt))
    }
}

/// Where a sink is to fail, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Before anything is committed.
    Write(Retry),
    /// The commit takes effect, and its answer is lost.
    LostAnswer,
    /// A newer run opens meanwhile.
    Overtaken,
    /// One row too many is accounted for.
    Miscount,
}

#[derive(Default)]
pub(crate) struct TestSink {
    pub(crate) state: Mutex<State>,
    pub(crate) faults: Mutex<VecDeque<Fault>>,
    /// Whether it has an outbox of its own.
    pub(crate) keeps_messages: bool,
    /// Whether another run is alive.
    pub(crate) is_busy: bool,
}

struct TestRun<'s> {
    sink: &'s TestSink,
    resume: Resume,
    ingestion: Ingestion,
}

struct TestLoad<'r> {
    run: &'r TestRun<'r>,
    slice: u64,
    rows: Vec<(String, String, [u8; 16])>,
    batches: usize,
    recognized: u64,
    raw: Vec<String>,
    rejects: Vec<Reject>,
}

fn passing() -> Error {
    Error::new(ErrorKind::Unavailable, "test", "passing")
}

#[async_trait]
impl Sink for TestSink {
    async fn open_run(&self, spec: &RunSpec) -> Result<Box<dyn Run + '_>> {
        if self.is_busy && spec.overlap == Overlap::Fail {
            return Err(Error::new(ErrorKind::Conflict, "open", "another run is alive"));
        }
        let mut state = self.state.lock().unwrap();
        state.fence += 1;
        let mut resume = Resume::new(spec.run_id.clone(), state.fence, state.checkpoint.clone());
        match &state.run {
            Some((run_id, observation, end))
                if !spec.restart && !matches!(end, Some(RunEnd::Succeeded | RunEnd::Abandoned)) =>
            {
                resume.run_id = run_id.clone();
                resume.observation = *observation;
                resume.plan = state.plan.clone();
                let mine = state.ledger.iter().filter(|((run, _), _)| run == resume.run_id.as_str());
                resume.committed = mine.map(|((_, slice), (receipt, _))| (*slice, receipt.clone())).collect();
            }
            _ => state.plan = None,
        }
        state.run = Some((resume.run_id.clone(), resume.observation, None));
        Ok(Box::new(TestRun { sink: self, resume, ingestion: spec.ingestion.clone() }))
    }

    async fn rejects(&self, _: &RejectQuery) -> Result<Vec<StoredReject>> {
        Ok(Vec::new())
    }

    async fn replay(&self, _: &Replay) -> Result<Box<dyn Load + '_>> {
        Err(Error::unsupported("replay", "loading rejects again"))
    }

    async fn verify(&self, _: &[Arc<ModelDescriptor>], _: bool) -> Result<Vec<Verification>> {
        Err(Error::unsupported("verify", "looking at rows"))
    }

    fn outbox(&self) -> Option<&dyn Outbox> {
        self.keeps_messages.then_some(self)
    }
}

#[async_trait]
impl Outbox for TestSink {
    async fn put(&self, messages: &[Message]) -> Result<()> {
        self.state.lock().unwrap().tell(messages);
        Ok(())
    }

    async fn waiting(&self, _: usize) -> Result<Vec<Waiting>> {
        let state = self.state.lock().unwrap();
        let waiting = state.told.iter().zip(1..);
        Ok(waiting.map(|(told, at)| Waiting::new(&told.queue, at, &told.id, &told.payload)).collect())
    }

    async fn delivered(&self, _: &[Waiting]) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Run for TestRun<'_> {
    fn resume(&self) -> &Resume {
        &self.resume
    }

    async fn record_plan(&self, plan: &[Slice]) -> Result<()> {
        self.sink.state.lock().unwrap().plan = Some(plan.to_vec());
        Ok(())
    }

    async fn begin(&self, slice: &Slice) -> Result<Begun<'_>> {
        let state = self.sink.state.lock().unwrap();
        if let Some((receipt, _)) = state.ledger.get(&(self.resume.run_id.to_string(), slice.index)) {
            return Ok(Begun::Committed(receipt.clone()));
        }
        let load = TestLoad {
            run: self,
            slice: slice.index,
            rows: Vec::new(),
            batches: 0,
            raw: Vec::new(),
            rejects: Vec::new(),
            recognized: 0,
        };
        Ok(Begun::Load(Box::new(load)))
    }

    async fn finish(self: Box<Self>, end: RunEnd, messages: &[Message]) -> Result<RunReceipt> {
        let mut state = self.sink.state.lock().unwrap();
        state.tell(messages);
        state.ends.push(end);
        if let Some(run) = &mut state.run {
            run.2 = Some(end);
        }
        Ok(RunReceipt::new(Some(state.rows.len() as u64), state.checkpoint.clone()))
    }
}

#[async_trait]
impl Load for TestLoad<'_> {
    async fn recognize(&mut self, records: &SourceHashes) -> Result<Vec<bool>> {
        let state = self.run.sink.state.lock().unwrap();
        let known: Vec<bool> =
            records.iter().map(|(hash, key)| key.is_some_and(|key| state.hashes.get(key) == Some(&hash))).collect();
        self.recognized += known.iter().filter(|is_known| **is_known).count() as u64;
        Ok(known)
    }

    async fn write(&mut self, batch: Batch) -> Result<()> {
        let mut faults = self.run.sink.faults.lock().unwrap();
        if let Some(Fault::Write(retry)) = faults.front().copied() {
            faults.pop_front();
            return Err(passing().with_retry(retry));
        }
        match batch {
            Batch::Raw(batch) => self.raw.extend(batch.records().map(|record| record.json.to_owned())),
            Batch::Cdm(batch) => {
                self.batches += 1;
                // A reject tells the record that the row was made of.
                let record = |row| batch.reject(row, Rejection::new("")).unwrap().raw;
                let json = |row: usize| String::from_utf8(record(row)).unwrap();
                let row = |row: usize| (batch.key(row).to_owned(), json(row), batch.source_hash(row).unwrap());
                self.rows.extend((0..batch.len()).map(row));
            }
        }
        Ok(())
    }

    async fn reject(&mut self, rejects: Vec<Reject>) -> Result<()> {
        self.rejects.extend(rejects);
        Ok(())
    }

    async fn commit(self: Box<Self>, commit: Commit) -> Result<LoadReceipt> {
        let fault = self.run.sink.faults.lock().unwrap().pop_front();
        let mut state = self.run.sink.state.lock().unwrap();
        if fault == Some(Fault::Overtaken) {
            state.fence += 1;
        }
        if state.fence != self.run.resume.fence {
            return Err(Error::new(ErrorKind::Fenced, "commit", "overtaken"));
        }
        let mut counts = Counts {
            rejected: self.rejects.len() as u64,
            inserted: self.raw.len() as u64,
            unchanged: self.recognized,
            ..Counts::default()
        };
        state.written += self.rows.len();
        state.batches += self.batches;
        for (key, json, hash) in self.rows {
            state.hashes.insert(key.clone(), hash);
            match state.rows.insert(key, json) {
                None => counts.inserted += 1,
                Some(_) => counts.unchanged += 1,
            }
        }
        if fault == Some(Fault::Miscount) {
            counts.stale += 1;
        }
        state.raw.extend(self.raw);
        for reject in self.rejects {
            state.rejects.insert(reject.id(&self.run.ingestion), reject);
        }
        let receipt = LoadReceipt::new(counts, commit.incomplete);
        state.tell(&commit.messages);
        let key = |slice| (self.run.resume.run_id.to_string(), slice);
        state.ledger.insert(key(self.slice), (receipt.clone(), commit.resume_at));
        let prefix = (0..).map_while(|slice| state.ledger.get(&key(slice)));
        let reached = prefix.filter_map(|(_, resume_at)| resume_at.clone()).last();
        state.checkpoint = reached.or(state.checkpoint.take());
        match fault {
            Some(Fault::LostAnswer) => Err(passing().with_retry(Retry::OutcomeUnknown)),
            _ => Ok(receipt),
        }
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.run.sink.state.lock().unwrap().aborted += 1;
        Ok(())
    }
}

pub(crate) async fn run(source: &TestSource, sink: &TestSink, mode: Mode, options: Options) -> RunReport {
    run_until(source, sink, mode, options, &CancellationToken::new()).await
}

pub(crate) async fn run_until(
    source: &TestSource,
    sink: &TestSink,
    mode: Mode,
    options: Options,
    cancel: &CancellationToken,
) -> RunReport {
    run_into(source, sink, mode, options, cancel).await
}

pub(crate) async fn run_into(
    source: &TestSource,
    sink: &dyn Sink,
    mode: Mode,
    options: Options,
    cancel: &CancellationToken,
) -> RunReport {
    run_telling(source, sink, mode, options, cancel, None).await
}

pub(crate) async fn run_telling(
    source: &TestSource,
    sink: &dyn Sink,
    mode: Mode,
    options: Options,
    cancel: &CancellationToken,
    telling: Option<Telling<'_>>,
) -> RunReport {
    static RUNS: AtomicU32 = AtomicU32::new(1);
    let model = Arc::new(ModelDescriptor::of::<Thing<'_>>().unwrap());
    let mapping = (mode == Mode::Cdm)
        .then(|| Arc::new(Mapping::new(&MapperEntry::of::<Things>(), model, source.identity()).unwrap()));
    let job = Job {
        ingestion: Ingestion {
            source: EndpointId::from_static("acme"),
            unit: UnitId::from_static("test.things"),
            sink: EndpointId::from_static("warehouse"),
            mode,
        },
        run_id: format!("run-{}", RUNS.fetch_add(1, Ordering::Relaxed)).parse().unwrap(),
        holder: None,
        source,
        staging: &MemoryStaging::default(),
        mapping,
        sink,
        telling,
        options,
    };
    ingest(&job, &Silent, cancel).await
}
