use std::time::{Duration, Instant};

use endpoint_api::{
    Checkpoint, Error, ErrorKind, PlanRequest, Result, Resume, Run, RunEnd, RunId, RunReceipt, RunSpec, Slice,
};
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, error_span, field::Empty};

use crate::{
    Job, Observer, OnOverlap, RunReport, RunStatus, overlap,
    retry::{interrupted, passes, retry},
    slice,
    telling::Chronicle,
    verdict,
};

/// How often a run begins anew because its source changed while it was read.
const REPLANS: u32 = 3;

/// So many slices wait for their commits while others are read and written, where several are loaded at once.
const COMMITTING: usize = 1;

/// Carries a job out.
///
/// When `cancel` is cancelled, the load that is under way is aborted, or finished if it is being
/// committed, and the run ends as interrupted. Everything that went wrong is in the report.
///
/// A run that an earlier process left with every slice of its plan committed and with too many rejects is ended first;
/// the report is of the run that is planned after it.
pub async fn ingest(job: &Job<'_>, observer: &dyn Observer, cancel: &CancellationToken) -> RunReport {
    let mut replans = 0;
    loop {
        let started = Instant::now();
        let model = job.mapping.as_ref().map(|mapping| mapping.model().id.clone());
        let mut report = RunReport::new(job.run_id.clone(), job.ingestion.clone(), model);
        // Warnings are logged by default, so a span that says whose they are must have their level.
        let span = error_span!("run", ingestion = %job.ingestion, run = Empty, attempt = Empty);
        let work = carry_out(job, replans, &mut report, observer, cancel);
        let carried = work.instrument(span.clone()).await;
        report.elapsed = started.elapsed();
        let is_over_before = matches!(carried, Ok(Carried { was_complete: true, verdict: Err(_) }));
        let is_outdated = matches!(&carried, Err(error) if error.kind() == ErrorKind::Outdated) && replans < REPLANS;
        match carried {
            Ok(Carried { verdict: Ok(()), .. }) => report.status = RunStatus::Succeeded,
            Ok(Carried { verdict: Err(error), .. }) | Err(error) => report.end_with(error),
        }
        span.in_scope(|| log_end(&report));
        if is_outdated {
            // What was committed stays; unless it is a full one, the new run reads from the checkpoint.
            tracing::warn!(run = %report.run_id, "the source has changed since the run was planned; planning anew");
            replans += 1;
        } else if is_over_before {
            tracing::info!(run = %report.run_id, "the run had loaded everything before and has too many rejects; a new one is planned");
        } else {
            return report;
        }
        observer.ended(&report).await;
    }
}

fn log_end(report: &RunReport) {
    let (counts, status) = (&report.counts, report.status.as_str());
    let (read, rejected, written) = (counts.total(), counts.rejected, counts.inserted + counts.updated);
    let (slices, milliseconds) = (report.slices, report.elapsed.as_millis());
    tracing::info!(status, read, written, rejected, slices, milliseconds, "run ended");
}

/// The id of the run with the first plan, or with another one: what is committed is known by the run
/// and the slice of its plan, so two plans are never one run's.
fn run_id_of(job: &Job<'_>, replans: u32) -> Result<RunId> {
    if replans == 0 { Ok(job.run_id.clone()) } else { format!("{}-{replans}", job.run_id).parse() }
}

/// A run whose slices are all committed.
struct Carried {
    /// Whether it has succeeded with that.
    verdict: Result<()>,
    /// Whether an earlier process had committed all of them.
    was_complete: bool,
}

/// Opens a run, carries its plan out and ends it.
async fn carry_out(
    job: &Job<'_>,
    replans: u32,
    report: &mut RunReport,
    observer: &dyn Observer,
    cancel: &CancellationToken,
) -> Result<Carried> {
    let run = match open(job, run_id_of(job, replans)?, cancel).await {
        Err(error) => {
            let is_overlap = error.kind() == ErrorKind::Conflict && !passes(&error);
            report.is_skipped = is_overlap && job.options.on_overlap == OnOverlap::Skip;
            return Err(error);
        }
        Ok(run) => run,
    };
    let resume = run.resume();
    report.run_id = resume.run_id.clone();
    report.checkpoint = resume.checkpoint.clone();
    Span::current().record("run", report.run_id.as_str());
    if let Some(attempt) = observer.opened(&report.run_id).await {
        Span::current().record("attempt", attempt);
    }
    tracing::info!(continued = resume.continues(), committed = resume.committed.len(), "run opened");
    let was_complete = is_complete(resume);

    let chronicle = job.telling.map(|telling| Chronicle::of(telling, job.sink, run.resume()));
    // In raw mode records are written in the order in which they stand in the source.
    let at_once = if job.mapping.is_some() { job.options.parallel.get().min(Semaphore::MAX_PERMITS) } else { 1 };
    let places = Semaphore::new(at_once);
    let work = Work { job, run: run.as_ref(), chronicle: chronicle.as_ref(), observer, cancel, places: &places };
    let loaded = load_slices(&work, report).await;
    // Nobody but the newer run may say how this ends.
    if loaded.as_ref().is_err_and(|error| error.kind() == ErrorKind::Fenced) {
        return loaded.map(|()| Carried { verdict: Ok(()), was_complete });
    }
    let is_complete = loaded.is_ok() && report.is_complete();
    let mut outcome = loaded.and_then(|()| verdict::judge(job, report));
    let is_given_up = report.too_many_rejects || report.is_partly_unreadable;
    let mut end = end_of(&outcome, is_complete, is_given_up);
    let mut messages = Vec::new();
    if let Some(chronicle) = &chronicle {
        match chronicle.of_end(told_end_of(&outcome), &report.counts, outcome.as_ref().err()).await {
            Ok(told) => messages = told,
            Err(error) => {
                // The run stays open, so that the next one says how it ended.
                end = if is_complete { RunEnd::Failed } else { end };
                match outcome {
                    Ok(()) => outcome = Err(error),
                    Err(_) => tracing::warn!(%error, "the end of the run could not be reported"),
                }
            }
        }
    }
    match run.finish(end, &messages).await {
        Ok(RunReceipt { rows, checkpoint, .. }) => {
            report.rows = rows;
            report.checkpoint = checkpoint.or(report.checkpoint.take());
        }
        Err(error) if outcome.is_ok() => return Err(error),
        Err(error) => {
            tracing::debug!(%error, "the end of the run could not be written down");
            end = RunEnd::Failed;
        }
    }
    match end {
        RunEnd::Succeeded => Ok(Carried { verdict: outcome, was_complete }),
        _ => outcome.map(|()| Carried { verdict: Ok(()), was_complete: false }),
    }
}

/// Opens the run that this process works on.
async fn open<'s>(job: &Job<'s>, run_id: RunId, cancel: &CancellationToken) -> Result<Box<dyn Run + 's>> {
    let overlap = job.options.on_overlap.overlap();
    let mut spec = RunSpec::new(job.ingestion.clone(), run_id).overlap(overlap).restart(job.options.full);
    spec = spec.holder(job.holder.clone());
    if let Some(mapping) = &job.mapping {
        spec = spec.model(mapping.model().clone()).site(job.source.site().await?);
    }
    let retry_for = if job.options.retry_opening { job.options.retry_for } else { Duration::ZERO };
    retry("opening the run", retry_for, cancel, async || {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(interrupted()),
            run = job.sink.open_run(&spec) => run,
            never = overlap::tell_of_waiting(job) => match never {},
        }
    })
    .await
}

/// Whether the run has a plan of which every slice is committed.
fn is_complete(resume: &Resume) -> bool {
    let committed = |plan: &Vec<Slice>| plan.iter().all(|slice| resume.committed.contains_key(&slice.index));
    resume.plan.as_ref().is_some_and(committed)
}

/// How the run ends in the sink: a run is over once every slice of its plan is committed, whatever its verdict.
fn end_of(outcome: &Result<()>, is_complete: bool, is_given_up: bool) -> RunEnd {
    match told_end_of(outcome) {
        _ if is_complete => RunEnd::Succeeded,
        // Whoever replaces the export must not be held to the rejects or the damage of the old one, and what is new
        // beside a damaged file is to be loaded.
        RunEnd::Failed if is_given_up => RunEnd::Abandoned,
        end => end,
    }
}

/// How others hear that the run ends.
fn told_end_of(outcome: &Result<()>) -> RunEnd {
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

/// Loads every slice of the plan that is not committed yet. Slices that the source cannot read do not keep the others
/// from being loaded, and then fail the run.
async fn load_slices(work: &Work<'_, '_>, report: &mut RunReport) -> Result<()> {
    let Work { job, run, observer, cancel, .. } = *work;
    if let Some(chronicle) = work.chronicle {
        let attempt = async || chronicle.opened().await;
        retry("reporting that the run has begun", job.options.retry_for, cancel, attempt).await?;
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
    report.planned = Some(u64::try_from(plan.len()).unwrap_or(u64::MAX));
    resume.committed.values().for_each(|receipt| report.add(receipt));
    let mut open = plan.iter().filter(|slice| !resume.committed.contains_key(&slice.index)).peekable();
    observer.planned(open.clone().count());
    let at_once = match work.places.available_permits() {
        1 => 1,
        several => several + COMMITTING,
    };
    // After a slice has failed, those that are under way come to their end; none is begun or tried again.
    let stop = cancel.child_token();
    let mut loading = FuturesUnordered::new();
    let (mut outcome, mut is_hopeless) = (Ok(()), false);
    let mut unreadable = Vec::new();
    loop {
        while outcome.is_ok() && !is_hopeless && loading.len() < at_once && open.peek().is_some() {
            is_hopeless = verdict::is_hopeless(job, report);
            if cancel.is_cancelled() {
                outcome = Err(interrupted());
            }
            if outcome.is_err() || is_hopeless {
                stop.cancel();
                break;
            }
            loading.extend(open.next().map(|slice| load_slice(work, slice, &stop)));
        }
        match loading.next().await {
            Some(Ok(slice::Outcome::Committed(receipt))) => {
                report.add(&receipt);
                observer.committed(&report.counts);
            }
            Some(Ok(slice::Outcome::Unreadable(error))) => unreadable.push(error),
            Some(Err(error)) => {
                stop.cancel();
                outcome = outcome.and(Err(error));
            }
            // Only now every slice that was under way is counted.
            None => {
                return match job.options.max_rejects.filter(|_| is_hopeless) {
                    Some(limit) => Err(verdict::stopped_early(job, report, limit)),
                    None => outcome.and_then(|()| verdict::judge_unreadable(unreadable, report)),
                };
            }
        }
    }
}

/// Loads a slice, again and again while it fails for a passing reason.
async fn load_slice(work: &Work<'_, '_>, slice: &Slice, stop: &CancellationToken) -> Result<slice::Outcome> {
    let attempt = async || slice::load(work, slice, stop).await;
    let load = retry("loading the slice", work.job.options.retry_for, stop, attempt);
    load.instrument(error_span!("slice", slice = slice.index)).await
}
