//! Where everything stands below the sink's folder. Paths are built from validated ids and numbers alone.

use cdm_models::ModelId;
use endpoint_api::{Ingestion, RunId};
use object_store::path::Path;

/// The folder of the sink's own files. No model can be called so: its id has a dot.
const STATE: &str = "_acme";

/// All that is committed.
pub(crate) fn manifest() -> Path {
    Path::from_iter([STATE, "manifest.json"])
}

/// Locked by whoever changes the manifest.
pub(crate) fn lock() -> Path {
    Path::from_iter([STATE, "lock"])
}

/// Locked as long as the run with this fence is alive.
pub(crate) fn alive(fence: u64) -> Path {
    Path::from_iter([STATE, &format!("alive-{fence}")])
}

/// The rejects of one commit.
pub(crate) fn rejects(sequence: u64) -> Path {
    Path::from_iter([STATE, "rejects", &format!("{sequence:012}.parquet")])
}

/// What one commit of a run that is not done has seen of the rows that were stored before it.
pub(crate) fn seen(sequence: u64) -> Path {
    Path::from_iter([STATE, "seen", &format!("{sequence:012}")])
}

/// The folder of the sink's own files.
pub(crate) fn state() -> Path {
    Path::from(STATE)
}

/// The folder of a model.
pub(crate) fn model(model: &ModelId) -> Path {
    Path::from(model.as_str())
}

/// What the files of a model are made of.
pub(crate) fn schema(model: &ModelId) -> Path {
    Path::from_iter([model.as_str(), "schema.json"])
}

/// The rows of one slice. The folders are partitions as query engines know them.
pub(crate) fn part(model: &ModelId, ingestion: &Ingestion, run_id: &RunId, slice: u64, fence: u64) -> Path {
    Path::from_iter([
        model.as_str(),
        &format!("ingestion={}.{}", ingestion.source, ingestion.unit),
        &format!("run={run_id}"),
        &format!("slice-{slice:06}-{fence}.parquet"),
    ])
}

/// Whether the sink gives such names to files of rows, of rejects or of what was seen, which it never writes
/// again. While a file is being written, the object store gives it a number behind its name.
pub(crate) fn is_written_once(name: &str) -> bool {
    let name = name.split_once('#').map_or(name, |(name, _)| name);
    let stem = name.strip_suffix(".parquet").unwrap_or(name);
    let numbers = stem.strip_prefix("slice-").filter(|_| stem != name).unwrap_or(stem);
    !numbers.is_empty()
        && numbers.split('-').all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_files_are_known_by_their_names() {
        let model = ModelId::from_static("cdm.work.item");
        let ingestion = "acme/jira.issues/lake/cdm".parse().unwrap();
        for path in [part(&model, &ingestion, &"r".parse().unwrap(), 0, 7), rejects(1), seen(2)] {
            let name = path.filename().unwrap();
            assert!(is_written_once(name) && is_written_once(&format!("{name}#1")), "{name}");
        }
        for name in ["manifest.json", "schema.json", "lock", "notes.parquet", "slice-a.parquet", "slice-1", ""] {
            assert!(!is_written_once(name), "{name}");
        }
    }
}
