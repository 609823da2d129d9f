use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::Value;

use crate::Sandbox;

/// What the manifests of the folder name, and what is in the files that they name.
pub(super) fn parts(sandbox: &Sandbox) -> BTreeMap<String, Vec<Vec<String>>> {
    let (mut ledger, mut standing, mut records, mut rejects) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (ingestion, manifests) in manifests(sandbox) {
        let mut runs: Vec<&str> = Vec::new();
        let mut end = vec![ingestion.clone(), "null".to_owned(), "null".to_owned()];
        for manifest in &manifests {
            let run_id = manifest["run_id"].as_str().unwrap();
            if !manifest["checkpoint"].is_null() {
                end[2] = manifest["checkpoint"].to_string();
            }
            match manifest["kind"].as_str().unwrap() {
                "open" => end[1] = "running".to_owned(),
                "end" => end[1] = manifest["how"].to_string(),
                "slice" => {
                    if !runs.contains(&run_id) {
                        runs.push(run_id);
                    }
                    let text = |name: &str| manifest[name].to_string();
                    let (run, slice) = (runs.len().to_string(), text("slice"));
                    ledger.push(vec![ingestion.clone(), run, slice, text("receipt"), text("resume_at")]);
                    let files = |name: &str| lines(sandbox, &manifest["files"][name]);
                    for (record, envelope) in files("records").into_iter().zip(files("envelopes")) {
                        let envelope: Value = serde_json::from_str(&envelope).unwrap();
                        let place = ["origin", "line", "rank"].map(|name| envelope[name].to_string());
                        records.push([vec![ingestion.clone(), record], place.into()].concat());
                    }
                    rejects.extend(files("rejects").into_iter().map(|reject| vec![ingestion.clone(), reject]));
                }
                _ => {}
            }
        }
        standing.push(end);
    }
    BTreeMap::from(
        [("ledger", ledger), ("standing", standing), ("records", records), ("rejects", rejects)]
            .map(|(part, rows)| (part.to_owned(), rows)),
    )
}

/// The ids of the runs that have committed slices.
pub(super) fn runs_that_loaded(sandbox: &Sandbox) -> Vec<String> {
    let all = manifests(sandbox).into_values().flatten();
    all.filter(|manifest| manifest["kind"] == "slice")
        .map(|manifest| manifest["run_id"].as_str().unwrap().to_owned())
        .collect()
}

/// The manifests of each ingestion, in their order.
fn manifests(sandbox: &Sandbox) -> BTreeMap<String, Vec<Value>> {
    let mut all = BTreeMap::new();
    for folder in fs::read_dir(sandbox.path("raw/_cdm")).unwrap().map(|entry| entry.unwrap().path()) {
        let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let manifest = |file: PathBuf| -> Value {
            let whole: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
            whole["manifest"].clone()
        };
        if !files.is_empty() {
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            all.insert(name, files.into_iter().map(manifest).collect());
        }
    }
    all
}

/// The lines of a file that a manifest names, which must be as many as it says.
fn lines(sandbox: &Sandbox, file: &Value) -> Vec<String> {
    let Some(path) = file["path"].as_str() else { return Vec::new() };
    let text = fs::read_to_string(sandbox.path("raw").join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(file["bytes"], text.len(), "{path} is not as long as its manifest says");
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(file["lines"], lines.len(), "{path} has not the lines that its manifest says");
    lines
}
