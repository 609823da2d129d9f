use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use cdm_models::ModelDescriptor;
use endpoint_api::{Error, ErrorKind, Mode, Overlap, Result, RunSpec};
use relational::Seen;

use crate::{
    error::{blocking, carry_through, failed, internal},
    index::{Index, News},
    layout,
    run::{Loading, ParquetRun},
    schema::ModelSchema,
    store::{Locked, Store, open_lock, try_lock},
};

const OPEN: &str = "open a run";

/// How often a run that waits for another looks whether that is still alive.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The sign that the run with a fence is alive: a lock that the operating system takes back when the process
/// has gone, however it went. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Alive {
    path: PathBuf,
    _lock: File,
}

impl Alive {
    fn hold(store: &Store, fence: u64) -> Result<Self> {
        let path = store.file(&layout::alive(fence));
        let lock = open_lock(&path).map_err(failed(OPEN, "open the run's lock", path.display()))?;
        match try_lock(&lock).map_err(failed(OPEN, "take the run's lock", path.display()))? {
            true => Ok(Self { path, _lock: lock }),
            false => Err(internal(OPEN, "somebody has the lock of a fence that was just taken")),
        }
    }

    fn is_held(store: &Store, fence: u64) -> Result<bool> {
        let path = store.file(&layout::alive(fence));
        match File::open(&path) {
            // It is asked for under the lock of the store, so by one at a time.
            Ok(lock) => try_lock(&lock).map(|free| !free).map_err(failed(OPEN, "look at a lock", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed(OPEN, "look at a lock", path.display())(error)),
        }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        // What stays behind here is free, and the next run sweeps it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Opens a run. Nothing is held while it waits.
pub(crate) async fn open(store: &Arc<Store>, spec: &RunSpec) -> Result<ParquetRun> {
    let model = match (&spec.model, spec.ingestion.mode) {
        (Some(model), Mode::Cdm) => Arc::clone(model),
        _ => return Err(Error::unsupported(OPEN, "loading source-shaped records").with("ingestion", &spec.ingestion)),
    };
    loop {
        let (store, attempt, model) = (Arc::clone(store), spec.clone(), Arc::clone(&model));
        if let Some(run) = carry_through(OPEN, async move { attempt_to_open(&store, &attempt, model).await }).await? {
            return Ok(run);
        }
        if spec.overlap == Overlap::Fail {
            let message = "another run of this ingestion is alive; wait for it with --on-overlap wait or stop it with \
                           --on-overlap takeover";
            return Err(Error::new(ErrorKind::Conflict, OPEN, message).with("ingestion", &spec.ingestion));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// `None` when a run is alive that this one must respect.
async fn attempt_to_open(
    store: &Arc<Store>,
    spec: &RunSpec,
    model: Arc<ModelDescriptor>,
) -> Result<Option<ParquetRun>> {
    refuse_unprovisioned(store, &model).await?;
    let mut locked = store.lock(OPEN).await?;
    if spec.overlap != Overlap::Takeover
        && let Some(fence) = locked.manifest.ledger.open_fence(&spec.ingestion)
        && Alive::is_held(store, fence)?
    {
        return Ok(None);
    }
    let resume = locked.manifest.ledger.open(spec);
    // The lock comes before the manifest: whoever reads that must find the run alive.
    let alive = Alive::hold(store, resume.fence)?;
    let locked = locked.publish(OPEN).await?;

    let standing = locked.manifest.ledger.standing(&spec.ingestion, resume.fence, OPEN)?;
    let observed = standing.observations();
    let seen = Seen::new(resume.run_id.as_str());
    for path in standing.all_committed().filter_map(|(_, committed)| committed.confirmed.as_ref()) {
        seen.remember(&store.read_named(path, OPEN).await?);
    }
    let mut index = Index::default();
    index.catch_up(News::since(0, &locked.manifest, &model.id, &model.key().name, store, OPEN).await?);
    sweep(locked, &model).await;
    let loading = Loading::new(Arc::clone(store), spec.ingestion.clone(), model, &resume, index, seen);
    Ok(Some(ParquetRun::new(loading, resume, observed, alive)))
}

async fn refuse_unprovisioned(store: &Store, model: &ModelDescriptor) -> Result<()> {
    let fits = match ModelSchema::read(store, &model.id, OPEN).await? {
        Some(schema) => schema
            .extended(&ModelSchema::of(model)?)
            .map_err(|difference| {
                let message =
                    format!("the model's folder {difference}; move it away, provision again and load with --full");
                Error::new(ErrorKind::Conflict, OPEN, message).with("model", &model.id)
            })?
            .is_none(),
        None => false,
    };
    if fits && store.manifest(OPEN).await?.models.contains_key(&model.id) {
        return Ok(());
    }
    let message = format!("there is no place for {} {}; run `cdm provision`", model.id, model.version);
    Err(Error::new(ErrorKind::NotProvisioned, OPEN, message).with("path", store.root().display()))
}

/// Removes what runs have left behind that were killed: files that the manifest does not name. Under the lock
/// nobody is writing one.
async fn sweep(locked: Locked, model: &ModelDescriptor) {
    let folders = [layout::model(&model.id), layout::state()].map(|folder| locked.store().file(&folder));
    let swept = blocking(OPEN, move || {
        let named: HashSet<PathBuf> =
            locked.manifest.files().into_iter().map(|path| locked.store().root().join(path)).collect();
        let fences: HashSet<u64> = locked.manifest.ledger.ingestions().map(|(_, standing)| standing.fence).collect();
        let is_left_behind = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            match name.strip_prefix("alive-").map(str::parse::<u64>) {
                Some(fence) => fence.is_ok_and(|fence| !fences.contains(&fence)),
                // What people have put there stays.
                None => layout::is_written_once(name) && !named.contains(path),
            }
        };
        for folder in &folders {
            let found = files(folder).map_err(failed(OPEN, "list the folder", folder.display()))?;
            for path in found.into_iter().filter(is_left_behind) {
                fs::remove_file(&path).map_err(failed(OPEN, "remove the file", path.display()))?;
            }
        }
        Ok(())
    });
    if let Err(error) = swept.await {
        tracing::warn!(%error, "files that nothing refers to could not be swept");
    }
}

/// All files below a folder.
fn files(folder: &std::path::Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() { open.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    Ok(files)
}
