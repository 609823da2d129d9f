use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use cdm_models::ModelDescriptor;
use endpoint_api::{
    Batch, Begun, CdmBatch, Commit, Counts, DriverEntry, Endpoint, EndpointId, Error, ErrorKind, Ingestion, Load,
    LoadReceipt, Mode, OpenContext, Overlap, Reject, Resource, Result, Retry, Run, RunEnd, RunId, RunSpec, Sink, Slice,
    UnitId,
};
use serde_json::{Value, json};

use crate::{
    Place, StoredRow,
    model::{Row, batch, hashes, model, unit},
    values::{Values, of_batch, told},
};

type Rows = dyn Fn(&Place, &str) -> Vec<StoredRow> + Send + Sync;
type Messages = dyn Fn(&Place) -> usize + Send + Sync;
type Places = dyn Fn() -> crate::Result<Place> + Send + Sync;
type Damage = dyn Fn(&Place, &str, &str) + Send + Sync;
type Append = dyn Fn(&Place) -> usize + Send + Sync;
type Wrong = dyn Fn(&Place) -> Value + Send + Sync;
type Records = dyn Fn(&Place, &Ingestion) -> Vec<Vec<u8>> + Send + Sync;

/// What the driver's author has given.
#[derive(Default)]
pub(crate) struct Author {
    pub(crate) rows: Option<Box<Rows>>,
    pub(crate) records: Option<Box<Records>>,
    pub(crate) messages: Option<Box<Messages>>,
    pub(crate) units: Vec<(UnitId, usize)>,
    pub(crate) large: Option<(UnitId, Box<Places>)>,
    pub(crate) append: Option<(UnitId, Box<Append>)>,
    pub(crate) wrong: Option<Box<Wrong>>,
    pub(crate) damage: Option<Box<Damage>>,
}

impl Author {
    /// As if all had been given, to see what could be tested then.
    pub(crate) fn everything() -> Self {
        Self {
            rows: Some(Box::new(|_, _| Vec::new())),
            records: Some(Box::new(|_, _| Vec::new())),
            messages: Some(Box::new(|_| 0)),
            units: vec![(unit(), 0)],
            large: Some((unit(), Box::new(|| Err(crate::Unavailable(String::new()))))),
            append: Some((unit(), Box::new(|_| 0))),
            wrong: Some(Box::new(|_| Value::Null)),
            damage: Some(Box::new(|_, _, _| {})),
        }
    }
}

/// What a test works with.
pub(crate) struct Workbench {
    pub(crate) entry: Arc<DriverEntry>,
    places: Arc<Places>,
    pub(crate) author: Arc<Author>,
}

/// An opened endpoint in its place.
pub(crate) struct Site {
    pub(crate) place: Place,
    pub(crate) endpoint: Arc<dyn Endpoint>,
    entry: Arc<DriverEntry>,
    author: Arc<Author>,
}

pub(crate) const SINK: EndpointId = EndpointId::from_static("warehouse");

/// After that long a call is taken to hang.
const PATIENCE: Duration = Duration::from_secs(90);

/// After that long a run that has died must not stand in the way.
const DYING: Duration = Duration::from_secs(20);

/// A call that must come to an end.
pub(crate) async fn soon<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, call).await.expect("a call hangs")
}

impl Workbench {
    pub(crate) fn new(entry: Arc<DriverEntry>, places: Arc<Places>, author: Arc<Author>) -> Self {
        Self { entry, places, author }
    }

    pub(crate) fn place(&self) -> Place {
        (self.places)().unwrap_or_else(|unavailable| panic!("there is no place to test in: {unavailable}"))
    }

    /// A new place with an endpoint in it.
    pub(crate) async fn site(&self) -> Site {
        self.site_in(self.place()).await
    }

    /// A place with an endpoint in it.
    pub(crate) async fn site_in(&self, place: Place) -> Site {
        let endpoint = open(&self.entry, &place).await.unwrap();
        Site { place, endpoint, entry: Arc::clone(&self.entry), author: Arc::clone(&self.author) }
    }

    /// A site with the kit's model, where the driver makes places for models.
    pub(crate) async fn ready(&self) -> Site {
        let site = self.site().await;
        site.provision_for(&model()).await;
        site
    }
}

async fn open(entry: &DriverEntry, place: &Place) -> Result<Arc<dyn Endpoint>> {
    soon(entry.open(place.config().clone(), OpenContext::new(SINK, place.dir()))).await
}

impl Site {
    /// Another endpoint in the same place, as another process has it.
    pub(crate) async fn reopened(&self) -> Arc<dyn Endpoint> {
        open(&self.entry, &self.place).await.unwrap()
    }

    /// The same place with another endpoint instead of this one.
    pub(crate) async fn anew(self) -> Self {
        Self { endpoint: self.reopened().await, ..self }
    }

    pub(crate) fn sink(&self) -> &dyn Sink {
        self.endpoint.sink().expect("a sink is declared")
    }

    /// Makes a place for a model, where the driver makes places for models.
    pub(crate) async fn provision_for(&self, model: &ModelDescriptor) {
        if let Some(provisioner) = self.endpoint.provisioner() {
            let plan = soon(provisioner.plan(&[model])).await.unwrap();
            soon(provisioner.apply(&plan)).await.unwrap();
        }
    }

    /// Where the rows of the kit's model go.
    pub(crate) async fn table(&self) -> String {
        self.table_of(&model()).await
    }

    async fn table_of(&self, model: &ModelDescriptor) -> String {
        match self.endpoint.provisioner() {
            Some(provisioner) => soon(provisioner.plan(&[model])).await.unwrap().models[0].table.clone(),
            None => model.id.to_string(),
        }
    }

    /// What is stored and live of a model, by key; nothing when the author has not said how that is asked.
    pub(crate) async fn stored_of(&self, model: &ModelDescriptor) -> Option<BTreeMap<String, Values>> {
        let rows = self.author.rows.as_ref()?;
        let table = self.table_of(model).await;
        let mut stored = BTreeMap::new();
        for row in rows(&self.place, &table).iter().filter(|row| !row.deleted) {
            let (key, values) = keyed(model, told(model, row));
            assert!(stored.insert(key.clone(), values).is_none(), "there are two rows with the key {key:?}");
        }
        Some(stored)
    }

    /// As [`stored_of`](Self::stored_of), of the kit's model.
    pub(crate) async fn stored(&self) -> Option<BTreeMap<String, Values>> {
        self.stored_of(&model()).await
    }

    /// Compares the names of what is stored, by key.
    pub(crate) async fn assert_stored(&self, expected: &[(&str, &str)]) {
        if let Some(stored) = self.stored().await {
            let stored: BTreeMap<&str, &str> = stored
                .iter()
                .map(|(key, values)| (key.as_str(), values["name"].as_str().unwrap_or_default()))
                .collect();
            let expected: BTreeMap<&str, &str> = expected.iter().copied().collect();
            assert_eq!(stored, expected, "what is stored (left) is not what should be (right)");
        }
    }

    /// Compares all that is stored with the rows of a batch, value by value.
    pub(crate) async fn assert_holds(&self, batch: &CdmBatch) {
        if let Some(stored) = self.stored_of(batch.model()).await {
            let expected = by_key(batch);
            assert!(stored.keys().eq(expected.keys()), "stored are {:?}, not {:?}", stored.keys(), expected.keys());
            assert_alike(&stored, &expected);
        }
    }

    /// The records that were loaded in raw mode; nothing when the author has not said how they are read.
    pub(crate) fn records(&self) -> Option<Vec<Vec<u8>>> {
        Some(self.author.records.as_ref()?(&self.place, &ingestion(Mode::Raw)))
    }

    /// How many messages the outbox keeps, delivered or not; nothing when the author has not said how they are counted.
    pub(crate) fn messages(&self) -> Option<usize> {
        Some(self.author.messages.as_ref()?(&self.place))
    }

    /// Loads a whole run, each slice with its batches; says the sum of its receipts.
    pub(crate) async fn load(&self, slices: &[&[&[Row]]]) -> Counts {
        self.try_load(slices).await.unwrap()
    }

    /// Opens a run and stores a plan of slices.
    pub(crate) async fn planned(&self, run_id: &str, slices: usize) -> Box<dyn Run + '_> {
        let run = soon(self.sink().open_run(&spec(run_id))).await.unwrap();
        soon(run.record_plan(&plan(slices))).await.unwrap();
        run
    }

    /// Loads a batch as the one slice of a run, without asking what of it is known; says what became of its rows.
    pub(crate) async fn load_batch(&self, spec: &RunSpec, slice: &Slice, batch: &CdmBatch) -> Counts {
        let run = soon(self.sink().open_run(&spec.clone().restart(true))).await.unwrap();
        soon(run.record_plan(std::slice::from_ref(slice))).await.unwrap();
        let mut load = begin(run.as_ref(), slice).await;
        soon(load.write(Batch::Cdm(Box::new(batch.clone())))).await.unwrap();
        let counts = soon(load.commit(Commit::default())).await.unwrap().counts;
        soon(run.finish(RunEnd::Succeeded, &[])).await.unwrap();
        counts
    }

    pub(crate) async fn try_load(&self, slices: &[&[&[Row]]]) -> Result<Counts> {
        let run = soon(self.sink().open_run(&spec(&new_run()).restart(true))).await?;
        soon(run.record_plan(&plan(slices.len()))).await?;
        let mut counts = Counts::default();
        for (slice, batches) in plan(slices.len()).iter().zip(slices) {
            counts += load_slice(run.as_ref(), slice, batches).await?;
        }
        soon(run.finish(RunEnd::Succeeded, &[])).await?;
        Ok(counts)
    }
}

fn keyed(model: &ModelDescriptor, values: Values) -> (String, Values) {
    let key = values[&model.key().name].as_str();
    (key.unwrap_or_else(|| panic!("a row has no key: {values:?}")).to_owned(), values)
}

/// The values that the rows of a batch have, by key.
pub(crate) fn by_key(batch: &CdmBatch) -> BTreeMap<String, Values> {
    of_batch(batch).into_iter().map(|values| keyed(batch.model(), values)).collect()
}

/// Compares rows with what their keys should have; of what is not stored nothing is said.
pub(crate) fn assert_alike(stored: &BTreeMap<String, Values>, expected: &BTreeMap<String, Values>) {
    for (key, values) in stored {
        let expected = expected.get(key).unwrap_or_else(|| panic!("{key:?} is stored, and was never loaded"));
        for (field, value) in values {
            let should_be = &expected[field];
            assert_eq!(value, should_be, "{field} of {key:?} is stored (left) and should be (right)");
        }
    }
}

/// An id that no run has had.
pub(crate) fn new_run() -> String {
    static RUNS: AtomicU32 = AtomicU32::new(1);
    format!("run-{}", RUNS.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn ingestion(mode: Mode) -> Ingestion {
    Ingestion { source: EndpointId::from_static("acme"), unit: unit(), sink: SINK, mode }
}

pub(crate) fn spec(run_id: &str) -> RunSpec {
    let run_id: RunId = run_id.parse().unwrap();
    RunSpec::new(ingestion(Mode::Cdm), run_id).model(model()).overlap(Overlap::Fail)
}

pub(crate) fn raw_spec(run_id: &str) -> RunSpec {
    RunSpec::new(ingestion(Mode::Raw), run_id.parse().unwrap()).overlap(Overlap::Fail)
}

/// Opens a run where one has died: a sink may take some time to know that nobody holds it any more.
pub(crate) async fn open_after_the_dead<'s>(sink: &'s dyn Sink, spec: &RunSpec) -> Box<dyn Run + 's> {
    let began = Instant::now();
    loop {
        match soon(sink.open_run(spec)).await {
            Err(error) if error.kind() == ErrorKind::Conflict && began.elapsed() < DYING => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            opened => return opened.expect("nobody holds the run any more"),
        }
    }
}

/// A plan of slices that are parts of nothing that could be told from another state of it.
pub(crate) fn plan(slices: usize) -> Vec<Slice> {
    (0..slices as u64).map(|index| Slice::new(index, json!({ "part": index }))).collect()
}

pub(crate) fn resource(fingerprint: &str) -> Resource {
    Resource { name: "things.jsonl".to_owned(), fingerprint: fingerprint.to_owned() }
}

pub(crate) async fn begin<'r>(run: &'r dyn Run, slice: &Slice) -> Box<dyn Load + 'r> {
    match soon(run.begin(slice)).await.unwrap() {
        Begun::Load(load) => load,
        Begun::Committed(receipt) => {
            panic!("slice {} was never committed, and has a receipt: {receipt:?}", slice.index)
        }
    }
}

/// Begins a slice that another load of the run is at, which is committed in the meantime. Some sinks begin at once,
/// others wait for the first load.
pub(crate) async fn begin_beside<'r>(
    run: &'r dyn Run,
    slice: &'r Slice,
    first: Box<dyn Load + 'r>,
    commit: Commit,
) -> (LoadReceipt, Begun<'r>) {
    let mut second = run.begin(slice);
    let begun = tokio::time::timeout(Duration::from_millis(300), &mut second).await;
    let second = async {
        match begun {
            Ok(begun) => begun,
            Err(_) => soon(second).await,
        }
    };
    let (receipt, begun) = futures::join!(soon(first.commit(commit)), second);
    (receipt.unwrap(), begun.unwrap())
}

/// Hands rows over as the host does.
pub(crate) async fn write(load: &mut dyn Load, rows: &[Row]) -> Result<()> {
    let known = soon(load.recognize(&hashes(rows))).await?;
    assert_eq!(known.len(), rows.len(), "recognize says something of each record");
    match batch(rows, &known) {
        Some(batch) => soon(load.write(Batch::Cdm(Box::new(batch)))).await,
        None => Ok(()),
    }
}

/// Loads a slice, and again when the sink asks for that.
pub(crate) async fn load_slice(run: &dyn Run, slice: &Slice, batches: &[&[Row]]) -> Result<Counts> {
    let mut attempts: u64 = 0;
    loop {
        attempts += 1;
        let attempt = async {
            let mut load = match soon(run.begin(slice)).await? {
                Begun::Load(load) => load,
                Begun::Committed(receipt) => return Ok(receipt),
            };
            for rows in batches {
                write(load.as_mut(), rows).await?;
            }
            soon(load.commit(Commit::default())).await
        };
        match attempt.await {
            Ok(receipt) => {
                let records: usize = batches.iter().map(|rows| rows.len()).sum();
                assert_eq!(receipt.counts.total(), records as u64, "every record is accounted for: {receipt:?}");
                return Ok(receipt.counts);
            }
            Err(error) if matches!(error.retry(), Retry::Backoff | Retry::AtOnce) && attempts < 5 => {
                tokio::time::sleep(Duration::from_millis(20 * attempts)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// A reject of the source's.
pub(crate) fn reject(line: u64, reason: &str) -> Reject {
    let record = [b"{\"not\": \"a \x00thing \xff ".as_slice(), line.to_string().as_bytes()].concat();
    Reject::at_source(format!("things.jsonl:{line}"), reason, &record)
}

/// The error of a call that must fail.
pub(crate) fn failure<T>(what: &str, answer: Result<T>) -> Error {
    match answer {
        Ok(_) => panic!("{what} succeeds"),
        Err(error) => error,
    }
}

pub(crate) fn counts(inserted: u64, updated: u64, unchanged: u64, stale: u64, duplicate: u64) -> Counts {
    Counts { inserted, updated, unchanged, stale, duplicate, ..Counts::default() }
}
