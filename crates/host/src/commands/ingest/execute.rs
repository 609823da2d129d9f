use catalog::{Catalog, DatasetId, LoadFacts, RunEndFacts, RunOutcome, RunRecord, RunStart};
use cdm_models::{ModelId, Timestamp};
use endpoint_api::{Error, ErrorKind, Ingestion, MapperEntry, Result, RunId};
use ingest::{Job, Options, RunReport, RunStatus, Telling, staging::MemoryStaging};
use tokio::sync::mpsc;

use super::prepare::Ready;
use crate::{
    app::App,
    failure::{Exit, Failure, exit_of},
    lineage::Reporting,
    metadata::now,
    progress::Progress,
};

/// What became of a run.
pub(super) struct Ran {
    pub(super) record: RunRecord,
    pub(super) exit: Exit,
    pub(super) failure: Option<Failure>,
}

/// Carries out one run and writes down in the catalog how it began and how it ended.
pub(super) async fn execute(
    app: &App,
    catalog: &dyn Catalog,
    ready: Ready<'_>,
    reporting: Option<&Reporting<'_>>,
    options: Options,
) -> Ran {
    let mut log = RunLog {
        catalog,
        name: &ready.settings.name,
        ingestion: ready.settings.ingestion(),
        model: ready.mapping.as_ref().map(|mapping| mapping.model().id.clone()),
        began: now(),
        written: None,
    };
    let (report, dataset) = run(app, ready, &mut log, reporting, options).await;
    let mut exit = match (report.status, &report.error) {
        (RunStatus::Succeeded, _) => Exit::Ok,
        _ if report.over_max_rejects => Exit::TooManyRejects,
        (_, Some(error)) => exit_of(error.kind()),
        (_, None) => Exit::Failed,
    };
    let end = end_of(&report);
    let told = log.write_end(&report.run_id, &end).await;
    let told = told.and(log.write_load(dataset.as_ref(), &report).await);

    let mut record = log.written.take().unwrap_or_else(|| RunRecord::new(log.start(report.run_id.clone())));
    record.end = Some(end);
    let mut failure = report.error.map(Failure::from);
    if let Err(error) = told {
        exit = exit.or(Exit::Failed);
        let message = "the run has ended, and the catalog could not be told; what was loaded stays";
        failure = failure.or(Some(Error::new(error.kind(), "end the run", message).caused_by(error).into()));
    }
    Ran { record, exit, failure: failure.map(|failure| failure.at(format!("ingest.{}", log.name))) }
}

/// Runs, and writes down which run was opened as soon as that is known.
async fn run(
    app: &App,
    ready: Ready<'_>,
    log: &mut RunLog<'_>,
    reporting: Option<&Reporting<'_>>,
    mut options: Options,
) -> (RunReport, Option<DatasetId>) {
    let Ready { settings, source, sink, unit, run_id, mapping, dataset } = ready;
    let failed = |error| RunReport::failed(run_id.clone(), log.ingestion.clone(), log.model.clone(), error);
    let dataset = match dataset {
        Ok(dataset) => dataset,
        Err(error) => return (failed(error), None),
    };
    let (Some(source), Some(sink)) = (source.endpoint.source(), sink.endpoint.sink()) else {
        let message = "an endpoint has lost its role since it was opened";
        return (failed(Error::new(ErrorKind::Internal, "ingest", message)), None);
    };
    options.max_rejects = options.max_rejects.or(settings.max_rejects);
    let staging = MemoryStaging::default();
    let ingestion = log.ingestion.clone();
    let mapper = mapping.as_ref().and_then(|_| app.registry.mapper(&unit.id));
    let lineage = mapper.map(MapperEntry::lineage);
    let events = match reporting {
        Some(reporting) => match reporting.events_of(&ingestion, &unit.id, dataset.as_ref(), lineage).await {
            Ok(events) => Some(events),
            Err(error) => return (failed(error), dataset),
        },
        None => None,
    };
    let telling = events.as_ref().map(|events| Telling { teller: events, outbox: log.catalog.outbox() });
    let job = Job { ingestion, run_id, source, staging: &staging, mapping, sink, telling, options };

    let (opened, mut announced) = mpsc::unbounded_channel();
    let work = async {
        // Gone when the run has ended, so that the other side hears no more.
        let progress = Progress::start(&settings.name, opened);
        ingest::ingest(&job, &progress, app.signals.cancel()).await
    };
    let write_down = async {
        while let Some(run_id) = announced.recv().await {
            log.write_begin(run_id).await;
        }
    };
    (tokio::join!(work, write_down).0, dataset)
}

/// How a run ended, for the catalog.
fn end_of(report: &RunReport) -> RunEndFacts {
    let outcome = match report.status {
        RunStatus::Succeeded => RunOutcome::Succeeded,
        RunStatus::Failed => RunOutcome::Failed,
        RunStatus::Interrupted => RunOutcome::Interrupted,
        RunStatus::Fenced => RunOutcome::Fenced,
    };
    let end = RunEndFacts::new(outcome, report.counts, now())
        .slices(report.slices)
        .incomplete(report.incomplete.clone())
        .checkpoint(report.checkpoint.clone());
    match &report.error {
        Some(error) => end.error(error.to_string()),
        None => end,
    }
}

/// The catalog's entries of one command's runs of an ingestion: one, or more when it had to be planned
/// anew.
struct RunLog<'c> {
    catalog: &'c dyn Catalog,
    name: &'c str,
    ingestion: Ingestion,
    model: Option<ModelId>,
    began: Timestamp,
    /// The run that was written down last.
    written: Option<RunRecord>,
}

impl RunLog<'_> {
    fn start(&self, run_id: RunId) -> RunStart {
        let start = RunStart::new(run_id, self.name, self.ingestion.clone(), self.began);
        match &self.model {
            Some(model) => start.model(model.clone()),
            None => start,
        }
    }

    /// Writes down that a run has begun. One that was written down before has been given up for it.
    ///
    /// A catalog that fails does not stop the run; its end will be written down, or that fails, too.
    async fn write_begin(&mut self, run_id: RunId) {
        if let Some(before) = self.written.take() {
            let end = RunEndFacts::new(RunOutcome::Failed, endpoint_api::Counts::default(), now())
                .error(format!("the source changed while it was read; planned anew as run {run_id}"));
            if let Err(error) = self.catalog.end_run(&before.run_id, before.attempt, &end).await {
                tracing::warn!(%error, run = %before.run_id, "the catalog could not be told how the run ended");
            }
        }
        if let Err(error) = self.begin(run_id).await {
            tracing::warn!(%error, "the catalog could not be told that the run has begun");
        }
    }

    async fn begin(&mut self, run_id: RunId) -> Result<()> {
        let mut record = RunRecord::new(self.start(run_id.clone()));
        record.attempt = self.catalog.begin_run(&self.start(run_id)).await?;
        self.written = Some(record);
        Ok(())
    }

    /// Writes down how the run ended, also of one that could not be opened.
    async fn write_end(&mut self, run_id: &RunId, end: &RunEndFacts) -> Result<()> {
        if self.written.as_ref().is_none_or(|written| written.run_id != *run_id) {
            self.begin(run_id.clone()).await?;
        }
        if let Some(RunRecord { run_id, attempt, .. }) = &self.written {
            self.catalog.end_run(run_id, *attempt, end).await?;
        }
        Ok(())
    }

    /// Writes down what the dataset holds since. A run that had nothing to load tells, too, that the
    /// dataset is up to date.
    async fn write_load(&self, dataset: Option<&DatasetId>, report: &RunReport) -> Result<()> {
        match dataset {
            Some(dataset) if report.slices > 0 || report.status == RunStatus::Succeeded => {
                let load = LoadFacts::new(report.run_id.clone(), now(), report.rows);
                self.catalog.record_load(dataset, &load).await
            }
            _ => Ok(()),
        }
    }
}
