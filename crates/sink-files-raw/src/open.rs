use std::time::Duration;

use endpoint_api::{Error, ErrorKind, Ingestion, LivingRun, Mode, Overlap, Result, Resume, RunId, RunSpec};

use crate::{
    config::Compression,
    error::{blocking, failed},
    fence::Fences,
    layout::{Layout, make_folder, sync_folder},
    lock::RunLock,
    log::Log,
    manifest::Entry,
    mode::FileMode,
    run::{FilesRun, OpenRun},
    state::RunState,
    sweep::sweep,
};

const OPEN: &str = "open a run";

/// How often a run that waits for another looks whether that is still alive.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How often a run that waits for another opener asks for its turn; it takes milliseconds.
const ASK_AGAIN: Duration = Duration::from_millis(5);

/// After so long another opener is no longer believed to be at work.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an attempt to open a run has come to.
enum Attempt {
    Opened(Box<FilesRun>),
    /// Another run of the ingestion is alive.
    Alive(Log),
    /// Another run, of whatever ingestion, is being opened.
    Busy(Log),
}

/// Opens a run. Nothing is held while it waits.
pub(crate) async fn open(layout: &Layout, compression: Compression, spec: &RunSpec) -> Result<FilesRun> {
    if spec.ingestion.mode != Mode::Raw || spec.model.is_some() {
        return Err(Error::unsupported(OPEN, "a run of mapped rows").with("ingestion", &spec.ingestion));
    }
    let mut log = None;
    let mut asked = Duration::ZERO;
    loop {
        let (layout, spec) = (layout.clone(), spec.clone());
        let overlap = spec.overlap;
        match blocking(OPEN, move || attempt(&layout, compression, &spec, log)).await? {
            Attempt::Opened(run) => return Ok(*run),
            Attempt::Alive(known) if overlap == Overlap::Wait => {
                log = Some(known);
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Attempt::Alive(known) => return Err(alive(&known)),
            Attempt::Busy(_) if asked >= PATIENCE => {
                let message = "another program has been opening a run for too long; look whether it hangs";
                return Err(Error::new(ErrorKind::Unavailable, OPEN, message));
            }
            Attempt::Busy(known) => {
                log = Some(known);
                asked += ASK_AGAIN;
                tokio::time::sleep(ASK_AGAIN).await;
            }
        }
    }
}

fn alive(log: &Log) -> Error {
    let message = "another run of this ingestion is alive; wait for it with --on-overlap wait, leave it alone with \
                   --on-overlap skip, or stop it with --on-overlap takeover";
    let error = Error::new(ErrorKind::Conflict, OPEN, message).with("ingestion", log.ingestion());
    match log.state().run() {
        Some(run) => living_run(log, run).describe(error),
        None => error,
    }
}

fn living_run(log: &Log, run: &RunState) -> LivingRun {
    let (holder, since) = RunLock::signature(log.folder(), run.fence);
    LivingRun::new(run.id.clone(), holder, since)
}

/// The run of an ingestion that is alive, if there is one.
pub(crate) fn living(layout: &Layout, ingestion: &Ingestion) -> Result<Option<LivingRun>> {
    const LOOK: &str = "look which runs are alive";
    let log = Log::read(layout, ingestion, LOOK)?;
    match log.state().run() {
        Some(run) if !run.has_ended() && RunLock::is_held(log.folder(), run.fence, LOOK)? => {
            Ok(Some(living_run(&log, run)))
        }
        _ => Ok(None),
    }
}

/// Opens the run, unless something stands in the way. `log` is what an earlier attempt has read.
fn attempt(layout: &Layout, compression: Compression, spec: &RunSpec, log: Option<Log>) -> Result<Attempt> {
    let ingestion = &spec.ingestion;
    let mut log = match log {
        Some(log) => log,
        None => {
            make_folders(layout, &layout.state(ingestion))?;
            Log::read(layout, ingestion, OPEN)?
        }
    };
    if stands_in_the_way(&mut log, spec)? {
        return Ok(Attempt::Alive(log));
    }
    // From here on nobody else opens a run. One that was opened since the first look is seen now.
    let Some(fences) = Fences::try_lock(layout, OPEN)? else { return Ok(Attempt::Busy(log)) };
    if stands_in_the_way(&mut log, spec)? {
        return Ok(Attempt::Alive(log));
    }
    let fence = fences.take(log.state().fence(), ingestion, OPEN)?;
    // The lock comes before the manifest: whoever reads that must find the run alive.
    let lock = RunLock::hold(log.folder(), fence, spec.holder.as_ref(), OPEN)?;
    let run_id = loop {
        // A run that is being taken over may end at any moment, and then there is none to continue.
        let (run_id, observation) = match log.state().unfinished() {
            Some(run) if !spec.restart => (run.id.clone(), run.observation),
            _ => (spec.run_id.clone(), fence),
        };
        if log.try_append(fence, &run_id, Entry::Open { observation }, OPEN)? {
            break run_id;
        }
    };
    drop(fences);
    if let Err(error) = sweep(layout, ingestion, fence, &log.take_loads()) {
        tracing::warn!(%ingestion, %error, "files that nothing refers to could not be swept");
    }
    let resume = resume(&log, &run_id, fence);
    let run = OpenRun::new(layout.clone(), compression, ingestion.clone(), run_id, fence, log);
    Ok(Attempt::Opened(Box::new(FilesRun::new(run, resume, lock))))
}

fn make_folders(layout: &Layout, state: &std::path::Path) -> Result<()> {
    // Readers follow the manifests, and have no business with the fences.
    for (folder, mode) in [(state, layout.file_mode()), (&layout.fences(), FileMode::OWNER)] {
        make_folder(folder, mode).map_err(failed(OPEN, "make the folder", folder))?;
    }
    for folder in [layout.states().as_path(), layout.root()] {
        sync_folder(folder).map_err(failed(OPEN, "make the folder durable", folder))?;
    }
    Ok(())
}

/// Whether a run is alive that this one must respect.
fn stands_in_the_way(log: &mut Log, spec: &RunSpec) -> Result<bool> {
    log.catch_up(OPEN)?;
    match log.state().run() {
        Some(run) if spec.overlap != Overlap::Takeover && !run.has_ended() => {
            RunLock::is_held(log.folder(), run.fence, OPEN)
        }
        _ => Ok(false),
    }
}

fn resume(log: &Log, run_id: &RunId, fence: u64) -> Resume {
    let state = log.state();
    let mut resume = Resume::new(run_id.clone(), fence, state.checkpoint().cloned());
    if let Some(run) = state.run() {
        resume.observation = run.observation;
        resume.plan = run.plan.clone();
        resume.committed = run.committed.iter().map(|(slice, done)| (*slice, done.receipt.clone())).collect();
    }
    resume
}
