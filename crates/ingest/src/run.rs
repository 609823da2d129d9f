use std::time::Instant;

use endpoint_api::{Checkpoint, Error, ErrorKind, PlanRequest, Result, Run, RunEnd, RunId, RunReceipt, RunSpec};
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    Job, Observer, RunReport, RunStatus,
    retry::{interrupted, retry},
    slice,
    telling::Chronicle,
};

/// How often a run begins anew because its source changed while it was read.
const REPLANS: u32 = 3;

/// So many slices wait for their commits while others are read and written, where several are loaded at once.
const COMMITTING: usize = 1;

/// Carries a job out.
///
/// When `cancel` is cancelled, the load that is under way is aborted, or finished if it is being
/// committed, and the run ends as interrupted. Everything that went wrong is in the report.
pub async fn ingest(job: &Job<'_>, observer: &dyn Observer, cancel: &CancellationToken) -> RunReport {
    let started = Instant::now();
    let model = job.mapping.as_ref().map(|mapping| mapping.model().id.clone());
    let mut report = RunReport::new(job.run_id.clone(), job.ingestion.clone(), model.clone());
    for replans in 0.. {
        let done = match run_id_of(job, replans) {
            Ok(run_id) => carry_out(job, run_id, &mut report, observer, cancel).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => report.status = RunStatus::Succeeded,
            Err(error) if error.kind() == ErrorKind::Outdated && replans < REPLANS => {
                tracing::warn!(%error, "the source has changed since the run was planned; planning anew");
                // What was committed stays; unless it is a full one, the new run reads from the checkpoint.
                report = RunReport::new(job.run_id.clone(), job.ingestion.clone(), model.clone());
                continue;
            }
            Err(error) => report.end_with(error),
        }
        break;
    }
    report.elapsed = started.elapsed();
    report
}

/// The id of the run with the first plan, or with another one: what is committed is known by the run
/// and the slice of its plan, so two plans are never one run's.
fn run_id_of(job: &Job<'_>, replans: u32) -> Result<RunId> {
    if replans == 0 { Ok(job.run_id.clone()) } else { format!("{}-{replans}", job.run_id).parse() }
}

/// Opens a run, carries its plan out and ends it.
async fn carry_out(
    job: &Job<'_>,
    run_id: RunId,
    report: &mut RunReport,
    observer: &dyn Observer,
    cancel: &CancellationToken,
) -> Result<()> {
    let mut spec = RunSpec::new(job.ingestion.clone(), run_id).overlap(job.options.overlap).restart(job.options.full);
    if let Some(mapping) = &job.mapping {
        spec = spec.model(mapping.model().clone()).site(job.source.site().await?);
    }
    let run = retry("opening the run", cancel, async || {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(interrupted()),
            run = job.sink.open_run(&spec) => run,
        }
    })
    .await?;
    report.run_id = run.resume().run_id.clone();
    report.checkpoint = run.resume().checkpoint.clone();
    tracing::info!(run = %report.run_id, ingestion = %job.ingestion, "run opened");
    observer.opened(&report.run_id);

    let chronicle = job.telling.map(|telling| Chronicle::of(telling, job.sink, run.resume()));
    // In raw mode records are written in the order in which they stand in the source.
    let at_once = if job.mapping.is_some() { job.options.parallel.get().min(Semaphore::MAX_PERMITS) } else { 1 };
    let places = Semaphore::new(at_once);
    let work = Work { job, run: run.as_ref(), chronicle: chronicle.as_ref(), observer, cancel, places: &places };
    let mut outcome = load_slices(&work, report).await;
    let mut end = end_of(&outcome);
    // Nobody but the newer run may say how this ends.
    if outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::Fenced) {
        return outcome;
    }
    let mut messages = Vec::new();
    if let Some(chronicle) = &chronicle {
        match chronicle.of_end(end, &report.counts, outcome.as_ref().err()).await {
            Ok(told) => messages = told,
            Err(error) if outcome.is_ok() => {
                outcome = Err(error);
                end = RunEnd::Failed;
            }
            Err(error) => tracing::warn!(%error, "nobody is told how the run has ended"),
        }
    }
    match run.finish(end, &messages).await {
        Ok(RunReceipt { rows, checkpoint, .. }) => {
            report.rows = rows;
            report.checkpoint = checkpoint.or(report.checkpoint.take());
        }
        Err(error) if outcome.is_ok() => return Err(error),
        Err(error) => tracing::debug!(%error, "the end of the run could not be written down"),
    }
    outcome?;
    refuse_too_many_rejects(job, report, |limit, counts| limit.is_exceeded_by(counts))
}

/// How a run ends that came to this.
fn end_of(outcome: &Result<()>) -> RunEnd {
    match outcome.as_ref().map_err(Error::kind) {
        Ok(()) => RunEnd::Succeeded,
        Err(ErrorKind::Outdated) => RunEnd::Abandoned,
        Err(ErrorKind::Interrupted) => RunEnd::Interrupted,
        Err(_) => RunEnd::Failed,
    }
}

/// What the loading of slices works with.
#[derive(Clone, Copy)]
pub(crate) struct Work<'w, 'j> {
    pub(crate) job: &'w Job<'j>,
    pub(crate) run: &'w dyn Run,
    pub(crate) chronicle: Option<&'w Chronicle<'w>>,
    pub(crate) observer: &'w dyn Observer,
    pub(crate) cancel: &'w CancellationToken,
    /// For the slices that are read and written at once: one that waits for its commit has none, and the next one
    /// is under way meanwhile.
    pub(crate) places: &'w Semaphore,
}

/// Loads every slice of the plan that is not committed yet.
async fn load_slices(work: &Work<'_, '_>, report: &mut RunReport) -> Result<()> {
    let Work { job, run, observer, cancel, .. } = *work;
    if let Some(chronicle) = work.chronicle {
        retry("telling that the run has begun", cancel, async || chronicle.opened().await).await?;
    }
    let resume = run.resume();
    let plan = match &resume.plan {
        Some(plan) => plan.clone(),
        None => {
            let checkpoint: Option<Checkpoint> = if job.options.full { None } else { resume.checkpoint.clone() };
            let request = PlanRequest::new(job.ingestion.mode, checkpoint).knowing(resume.checkpoint.clone());
            let plan = job.source.plan(&job.ingestion.unit, &request).await?;
            run.record_plan(&plan).await?;
            plan
        }
    };
    resume.committed.values().for_each(|receipt| report.add(receipt));
    let mut open = plan.iter().filter(|slice| !resume.committed.contains_key(&slice.index));
    observer.planned(open.clone().count());
    let at_once = match work.places.available_permits() {
        1 => 1,
        several => several + COMMITTING,
    };
    // After a slice has failed, those that are under way come to their end; none is begun or tried again.
    let stop = cancel.child_token();
    let stopped = &stop;
    let load = |slice| retry("loading a slice", stopped, async move || slice::load(work, slice, stopped).await);
    let mut loading = FuturesUnordered::new();
    let mut outcome = Ok(());
    loop {
        while outcome.is_ok() && loading.len() < at_once {
            outcome = refuse_too_many_rejects(job, report, |limit, counts| limit.is_hopeless_after(counts));
            if cancel.is_cancelled() {
                outcome = outcome.and(Err(interrupted()));
            }
            if outcome.is_err() {
                stop.cancel();
            }
            match open.next().filter(|_| outcome.is_ok()) {
                Some(slice) => loading.push(load(slice)),
                None => break,
            }
        }
        match loading.next().await {
            Some(Ok(receipt)) => {
                report.add(&receipt);
                observer.committed(&report.counts);
            }
            Some(Err(error)) => {
                stop.cancel();
                outcome = outcome.and(Err(error));
            }
            None => return outcome,
        }
    }
}

fn refuse_too_many_rejects(
    job: &Job<'_>,
    report: &mut RunReport,
    is_too_much: impl Fn(crate::MaxRejects, &endpoint_api::Counts) -> bool,
) -> Result<()> {
    match job.options.max_rejects {
        Some(limit) if is_too_much(limit, &report.counts) => {
            report.over_max_rejects = true;
            let message = format!(
                "{} of {} records were rejected, which is more than --max-rejects {limit} allows; \
                 what was loaded stays. See `cdm rejects list {}`",
                report.counts.rejected,
                report.counts.total(),
                job.ingestion.sink,
            );
            Err(Error::new(ErrorKind::Data, "ingest", message))
        }
        _ => Ok(()),
    }
}
