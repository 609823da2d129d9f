use catalog::{Attempt, Catalog, DatasetId, LoadFacts, RunEndFacts, RunFilter, RunOutcome, RunRecord, RunStart};
use cdm_models::{ModelId, Timestamp};
use endpoint_api::{Counts, Ingestion, Result, RunId};
use ingest::{RunReport, RunStatus};

use crate::{metadata::now, process};

/// No more runs than these are looked through for those that another one has replaced.
const MOST_REPLACED: usize = 1000;

/// The catalog's entries of one command's runs of an ingestion: one, or more when it had to be planned
/// anew.
pub(super) struct RunLog<'c> {
    catalog: &'c dyn Catalog,
    pub(super) name: &'c str,
    pub(super) ingestion: Ingestion,
    pub(super) model: Option<ModelId>,
    began: Timestamp,
    /// The run that was written down last, and has not ended.
    written: Option<RunRecord>,
}

impl<'c> RunLog<'c> {
    pub(super) fn new(catalog: &'c dyn Catalog, name: &'c str, ingestion: Ingestion, model: Option<ModelId>) -> Self {
        Self { catalog, name, ingestion, model, began: now(), written: None }
    }

    fn start(&self, run_id: RunId) -> RunStart {
        let start = RunStart::new(run_id, self.name, self.ingestion.clone(), self.began);
        let start = start.holder(Some(process::this()));
        match &self.model {
            Some(model) => start.model(model.clone()),
            None => start,
        }
    }

    /// Writes down that a run has begun. Says which attempt at it this is.
    ///
    /// A catalog that fails does not stop the run; its end will be written down, or that fails, too.
    pub(super) async fn write_begin(&mut self, run_id: &RunId) -> Option<Attempt> {
        let attempt = match self.begin(run_id).await {
            Ok(attempt) => attempt,
            Err(error) => {
                tracing::warn!(%error, "the begin of the run could not be written to the catalog");
                return None;
            }
        };
        if let Err(error) = self.end_replaced(run_id).await {
            tracing::warn!(%error, "the end of the runs before this one could not be written to the catalog");
        }
        Some(attempt)
    }

    /// Writes down the end of runs that this one has replaced. The sink has opened it, so that none of them can load
    /// any more: their processes have died, or are about to find out, and then say themselves how they ended.
    async fn end_replaced(&self, run_id: &RunId) -> Result<()> {
        let open = RunFilter::newest(MOST_REPLACED).with_status(catalog::RunStatus::Running);
        for run in self.catalog.runs(&open).await? {
            let is_replaced = run.ingestion == self.ingestion && run.model == self.model && run.run_id != *run_id;
            // One that was opened since replaces this one.
            if is_replaced && run.continued_at <= self.began {
                let error = format!("its process ended without a report, and run {run_id} began anew in its place");
                let end = RunEndFacts::new(RunOutcome::Fenced, Counts::default(), now()).error(error);
                self.catalog.end_run(&run.run_id, run.attempt, &end).await?;
            }
        }
        Ok(())
    }

    async fn begin(&mut self, run_id: &RunId) -> Result<Attempt> {
        let start = self.start(run_id.clone());
        let mut record = RunRecord::new(start.clone());
        record.attempt = self.catalog.begin_run(&start).await?;
        let attempt = record.attempt;
        self.written = Some(record);
        Ok(attempt)
    }

    /// Writes down how a run has ended after which another one begins.
    pub(super) async fn write_given_up(&mut self, report: &RunReport) {
        if let Err(error) = self.write_end(report).await.1 {
            tracing::warn!(%error, run = %report.run_id, "the end of the run could not be written to the catalog");
        }
        self.written = None;
        self.began = now();
    }

    /// Writes down how the run ended, also of one that could not be opened. Gives its record in any case.
    pub(super) async fn write_end(&mut self, report: &RunReport) -> (RunRecord, Result<()>) {
        let end = end_of(report);
        let told = self.end(&report.run_id, &end).await;
        let written = self.written.take().filter(|written| written.run_id == report.run_id);
        let mut record = written.unwrap_or_else(|| RunRecord::new(self.start(report.run_id.clone())));
        record.end = Some(end);
        (record, told)
    }

    async fn end(&mut self, run_id: &RunId, end: &RunEndFacts) -> Result<()> {
        if self.written.as_ref().is_none_or(|written| written.run_id != *run_id) {
            self.begin(run_id).await?;
        }
        if let Some(RunRecord { run_id, attempt, .. }) = &self.written {
            self.catalog.end_run(run_id, *attempt, end).await?;
        }
        Ok(())
    }

    /// Writes down what the dataset holds since, when the sink took records of the run or had them already.
    pub(super) async fn write_load(&self, dataset: Option<&DatasetId>, report: &RunReport) -> Result<()> {
        match dataset {
            Some(dataset) if report.counts.total() > report.counts.rejected => {
                let load = LoadFacts::new(report.run_id.clone(), now(), report.rows);
                self.catalog.record_load(dataset, &load).await
            }
            _ => Ok(()),
        }
    }
}

/// How a run ended, for the catalog.
fn end_of(report: &RunReport) -> RunEndFacts {
    let outcome = match report.status {
        RunStatus::Succeeded => RunOutcome::Succeeded,
        RunStatus::Failed => RunOutcome::Failed,
        RunStatus::Interrupted => RunOutcome::Interrupted,
        RunStatus::Fenced => RunOutcome::Fenced,
        RunStatus::Skipped => RunOutcome::Skipped,
    };
    let end = RunEndFacts::new(outcome, report.counts, now())
        .slices(report.slices)
        .planned(report.planned)
        .incomplete(report.incomplete.clone())
        .checkpoint(report.checkpoint.clone());
    match &report.error {
        Some(error) => end.error(error.to_string()),
        None => end,
    }
}
