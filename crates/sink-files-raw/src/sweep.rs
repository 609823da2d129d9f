use std::{collections::HashSet, fs, path::Path};

use endpoint_api::{Ingestion, Result, RunId};

use crate::{
    error::failed,
    layout::{Layout, LoadName, names, number, remove_file},
    lock::LOCK,
    log::TEMPORARY,
};

const SWEEP: &str = "sweep";

/// Removes what runs have left behind that are gone or overtaken: files of loads that were never
/// committed, manifests that were never finished, locks.
///
/// Whatever bears a fence below `fence`, the newest, can no longer be committed; the loads in
/// `committed` have been. Files that the sink would not have called so are left alone.
pub(crate) fn sweep(layout: &Layout, ingestion: &Ingestion, fence: u64, committed: &HashSet<LoadName>) -> Result<()> {
    let state = layout.state(ingestion);
    for name in list(&state)? {
        let owner =
            name.strip_prefix(LOCK).or_else(|| name.strip_prefix(TEMPORARY)?.split_once('-').map(|parts| parts.0));
        if owner.and_then(number).is_some_and(|owner| owner < fence) {
            remove(&state.join(name))?;
        }
    }
    let records = layout.records(ingestion);
    for run in list(&records)?.into_iter().filter(|name| name.parse::<RunId>().is_ok()) {
        let folder = records.join(run);
        if !folder.is_dir() {
            continue;
        }
        let mut is_empty = true;
        for file in list(&folder)? {
            let left_behind =
                LoadName::parse(&file).is_some_and(|name| name.fence < fence && !committed.contains(&name));
            if left_behind {
                remove(&folder.join(file))?;
            } else {
                is_empty = false;
            }
        }
        if is_empty {
            // Only an empty folder can be removed so; one into which something has just come stays.
            let _ = fs::remove_dir(&folder);
        }
    }
    Ok(())
}

fn list(folder: &Path) -> Result<Vec<String>> {
    names(folder).map_err(failed(SWEEP, "list the folder", folder))
}

fn remove(path: &Path) -> Result<()> {
    remove_file(path).map_err(failed(SWEEP, "remove the file", path))
}
