use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use endpoint_api::{Begun, Checkpoint, Commit, Error, ErrorKind, Incomplete, Load, LoadReceipt, Result, Slice};
use futures::{StreamExt as _, TryFutureExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Job, Observer, portions::Portions, retry::interrupted, run::Work, staging::StageWriter};

/// What was handed to a load.
#[derive(Default)]
struct Handed {
    records: u64,
    resume_at: Option<Checkpoint>,
    incomplete: Vec<Incomplete>,
}

/// What became of a slice.
pub(crate) enum Outcome {
    /// It is committed.
    Committed(LoadReceipt),
    /// The source cannot read it, and trying again does not help: a damaged file, or one that may not be read. Nothing
    /// of it was loaded, and the other slices are not concerned.
    Unreadable(Error),
}

/// Loads one slice: reads it into a stage and takes it from there into the sink. It waits for a place among those
/// that are loaded at once, and is not begun after `stop`.
pub(crate) async fn load(work: &Work<'_, '_>, slice: &Slice, stop: &CancellationToken) -> Result<Outcome> {
    let began = Instant::now();
    let receipt = match load_into_sink(work, slice, stop).await? {
        Outcome::Committed(receipt) => receipt,
        unreadable => return Ok(unreadable),
    };
    let (counts, milliseconds) = (&receipt.counts, began.elapsed().as_millis());
    let written = counts.inserted + counts.updated;
    tracing::info!(records = counts.total(), written, rejected = counts.rejected, milliseconds, "slice committed");
    if let Some(chronicle) = work.chronicle {
        chronicle.loaded(slice.index, receipt.counts.total()).await?;
    }
    Ok(Outcome::Committed(receipt))
}

async fn load_into_sink(work: &Work<'_, '_>, slice: &Slice, stop: &CancellationToken) -> Result<Outcome> {
    let Work { job, run, observer, cancel, .. } = *work;
    let place = work.places.acquire().await;
    if stop.is_cancelled() {
        return Err(interrupted());
    }
    let mut load = match run.begin(slice).await? {
        Begun::Load(load) => load,
        Begun::Committed(receipt) => return Ok(Outcome::Committed(receipt)),
    };
    let (writer, reader) = job.staging.open(&run.resume().run_id, slice.index).await?;
    let reading = Reading::default();
    let discard = || observer.discarded(reading.records.load(Ordering::Relaxed), reading.bytes.load(Ordering::Relaxed));
    let handed = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(interrupted()),
        handed = async {
            let portions = Portions::of(job.mapping.as_ref(), reader);
            let read = read(job, slice, writer, observer, &reading);
            let (handed, ()) = futures::try_join!(hand_over(load.as_mut(), portions), read)?;
            Ok(handed)
        } => handed,
    };
    let handed = match handed {
        Ok(handed) => handed,
        Err(error) => {
            if let Err(second) = load.abort().await {
                tracing::debug!(error = %second, "the load could not be aborted in good order");
            }
            discard();
            let is_unreadable = matches!(error.kind(), ErrorKind::Data | ErrorKind::Denied);
            return if is_unreadable && reading.failed.load(Ordering::Relaxed) {
                Ok(Outcome::Unreadable(error))
            } else {
                Err(error)
            };
        }
    };
    drop(place);
    let mut commit = Commit::new(handed.resume_at, handed.incomplete);
    if let Some(chronicle) = work.chronicle {
        commit = chronicle.of_commit(commit, slice.index, handed.records)?;
    }
    let receipt = load.commit(commit).await.inspect_err(|_| discard())?;
    let accounted = receipt.counts.total();
    if accounted != handed.records {
        let message = format!("{} records were read, and {accounted} are accounted for", handed.records);
        return Err(Error::new(ErrorKind::Internal, "account", message).with("slice", slice.index));
    }
    Ok(Outcome::Committed(receipt))
}

/// How the reading of a slice gets on.
#[derive(Default)]
struct Reading {
    records: AtomicU64,
    bytes: AtomicU64,
    /// The source has failed.
    failed: AtomicBool,
}

/// Reads the slice into its stage.
async fn read(
    job: &Job<'_>,
    slice: &Slice,
    mut stage: Box<dyn StageWriter>,
    observer: &dyn Observer,
    reading: &Reading,
) -> Result<()> {
    let mut batches = job.source.read(&job.ingestion.unit, slice);
    while let Some(batch) = batches.next().await {
        let batch = batch.inspect_err(|_| reading.failed.store(true, Ordering::Relaxed))?;
        let (records, bytes) = (number(batch.len() + batch.rejects().len()), number(batch.bytes()));
        reading.records.fetch_add(records, Ordering::Relaxed);
        reading.bytes.fetch_add(bytes, Ordering::Relaxed);
        observer.read(records, bytes);
        stage.put(batch).await?;
    }
    stage.seal().await
}

/// Hands the slice to the load, portion by portion.
async fn hand_over(load: &mut dyn Load, mut portions: Portions) -> Result<Handed> {
    let mut handed = Handed::default();
    while let Some(portion) = portions.next(load).await? {
        handed.records += portion.records;
        handed.resume_at = portion.resume_at.or(handed.resume_at);
        portion.incomplete.into_iter().for_each(|note| note.add_to(&mut handed.incomplete));
        if !portion.rejects.is_empty() {
            load.reject(portion.rejects).map_err(|error| error.with("what", "rejects")).await?;
        }
        if let Some(batch) = portion.batch {
            load.write(batch).await?;
        }
    }
    Ok(handed)
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
