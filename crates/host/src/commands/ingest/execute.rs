use catalog::{Catalog, DatasetId, RunRecord};
use endpoint_api::{Counts, Error, ErrorKind, Ingestion, MapperEntry, RejectFilter, RunId, async_trait};
use ingest::{Job, Observer, RunReport, RunStatus, Telling, staging::MemoryStaging};
use tokio::sync::Mutex;

use super::{given_up::GivenUp, prepare::Ready, run_log::RunLog};
use crate::{
    app::App,
    endpoints::Opened,
    failure::{Exit, Failure, exit_of},
    lineage::Reporting,
    process,
    progress::{LOG_EVERY, Progress},
};

/// What became of a run.
pub(super) struct Ran {
    pub(super) record: RunRecord,
    /// Of a run that had nothing to read: how many rejects of earlier runs are open, where the sink counts them.
    pub(super) open_rejects: Option<u64>,
    pub(super) exit: Exit,
    pub(super) failure: Option<Failure>,
}

/// Carries out one run and writes down in the catalog how it began and how it ended.
pub(super) async fn execute(
    app: &App,
    catalog: &dyn Catalog,
    ready: Ready<'_>,
    reporting: Option<&Reporting<'_>>,
    given_up: &mut GivenUp,
) -> Ran {
    let settings = ready.settings;
    let model = ready.mapping.as_ref().map(|mapping| mapping.model().id.clone());
    let log = Mutex::new(RunLog::new(catalog, &settings.name, settings.ingestion(), model));
    let (sink, opened) = (settings.sink.clone(), ready.sink.clone());
    // What could not be asked of the sink is explained already.
    let was_admitted = ready.dataset.is_ok();
    let (mut report, dataset) = run(app, catalog, ready, &log, reporting, given_up.contains(&sink)).await;
    let mut log = log.into_inner();
    if was_admitted && report.planned.is_none() {
        report.error = report.error.map(|error| given_up.explain(&sink, error));
    }
    given_up.note(&sink, log.name, report.error.as_ref());

    let mut exit = match (report.status, &report.error) {
        (RunStatus::Succeeded | RunStatus::Skipped, _) => Exit::Ok,
        _ if report.too_many_rejects => Exit::TooManyRejects,
        (_, Some(error)) => exit_of(error.kind()),
        (_, None) => Exit::Failed,
    };
    let had_nothing_to_read = report.status == RunStatus::Succeeded && report.counts.total() == 0;
    let open_rejects = if had_nothing_to_read { open_rejects(&opened, &report.ingestion).await } else { None };
    let (record, told) = log.write_end(&report).await;
    let told = told.and(log.write_load(dataset.as_ref(), &report).await);
    let error = report.error.filter(|_| report.status != RunStatus::Skipped);
    let mut failure = error.map(|error| match given_up.has_told(&sink, log.name, &error) {
        Some(first) => Failure::from(error).shown_as(format!("the same error as ingest.{first}")),
        None => Failure::from(error),
    });
    if let Err(error) = told {
        exit = exit.or(Exit::Failed);
        let message = "the run has ended, and its end could not be written to the catalog; what was loaded stays";
        failure = failure.or(Some(Error::new(error.kind(), "end the run", message).caused_by(error).into()));
    }
    Ran { record, open_rejects, exit, failure: failure.map(|failure| failure.at(format!("ingest.{}", log.name))) }
}

/// How many rejects of the ingestion are open. The run has succeeded, whether that can be told or not.
async fn open_rejects(sink: &Opened, ingestion: &Ingestion) -> Option<u64> {
    let mut filter = RejectFilter::open();
    filter.ingestion = Some(ingestion.clone());
    match sink.reject_listing()?.count(&filter, &[]).await {
        Ok(groups) => Some(groups.iter().map(|group| group.count).sum()),
        Err(error) => {
            tracing::warn!(%error, "the open rejects of `{}` could not be counted", sink.id);
            None
        }
    }
}

/// Runs, and writes down which run was opened as soon as that is known.
async fn run(
    app: &App,
    catalog: &dyn Catalog,
    ready: Ready<'_>,
    log: &Mutex<RunLog<'_>>,
    reporting: Option<&Reporting<'_>>,
    has_given_up: bool,
) -> (RunReport, Option<DatasetId>) {
    let Ready { settings, source, sink, unit, run_id, mapping, dataset, mut options } = ready;
    let ingestion = settings.ingestion();
    let model = mapping.as_ref().map(|mapping| mapping.model().id.clone());
    let failed = |error| RunReport::failed(run_id.clone(), ingestion.clone(), model.clone(), error);
    let dataset = match dataset {
        Ok(dataset) => dataset,
        Err(error) => return (failed(error), None),
    };
    let (Some(source), Some(sink)) = (source.endpoint.source(), sink.endpoint.sink()) else {
        let message = "an endpoint has lost its role since it was opened";
        return (failed(Error::new(ErrorKind::Internal, "ingest", message)), None);
    };
    options.retry_opening = !has_given_up;
    let staging = MemoryStaging::default();
    let mapper = mapping.as_ref().and_then(|_| app.registry.mapper(&unit.id));
    let lineage = mapper.map(MapperEntry::lineage);
    let events = match reporting {
        Some(reporting) => match reporting.events_of(&ingestion, &unit.id, dataset.as_ref(), lineage).await {
            Ok(events) => Some(events),
            Err(error) => return (failed(error), dataset),
        },
        None => None,
    };
    let telling = events.as_ref().map(|events| Telling { teller: events, outbox: catalog.outbox() });
    let holder = Some(process::this());
    let (ingestion, run_id, staging) = (ingestion.clone(), run_id.clone(), &staging);
    let job = Job { ingestion, run_id, holder, source, staging, mapping, sink, telling, options };

    let watcher = Watcher { log, progress: Progress::start(&settings.name, &app.bars) };
    let report = tokio::select! {
        report = ingest::ingest(&job, &watcher, app.signals.cancel()) => report,
        never = watcher.progress.log(LOG_EVERY) => match never {},
    };
    (report, dataset)
}

/// Shows how a run gets on, and writes to the catalog when it begins and when it gives way to another one.
struct Watcher<'a, 'c> {
    log: &'a Mutex<RunLog<'c>>,
    progress: Progress,
}

#[async_trait]
impl Observer for Watcher<'_, '_> {
    async fn opened(&self, run: &RunId) -> Option<u64> {
        self.log.lock().await.write_begin(run).await.map(|attempt| attempt.number())
    }

    async fn ended(&self, report: &RunReport) {
        self.log.lock().await.write_given_up(report).await;
    }

    fn planned(&self, slices: usize) {
        self.progress.planned(slices);
    }

    fn read(&self, records: u64, bytes: u64) {
        self.progress.read(records, bytes);
    }

    fn discarded(&self, records: u64, bytes: u64) {
        self.progress.discarded(records, bytes);
    }

    fn committed(&self, _: &Counts) {
        self.progress.committed();
    }
}
