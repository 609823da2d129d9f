//! An export in a folder of its own, opened and read as a host does it.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use endpoint_api::{
    Checkpoint, Endpoint, EndpointId, Error, Incomplete, Mode, OpenContext, PlanRequest, RawBatch, Registry, Reject,
    Result, Slice, UnitId, batch::Rank,
};
use flate2::write::GzEncoder;
use futures::StreamExt as _;
use serde_json::{Value, json};
use source_jira as _;
use tempfile::TempDir;

/// Files of an export.
pub(crate) struct Export {
    root: TempDir,
}

/// A record as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) origin: String,
    pub(crate) json: String,
    pub(crate) parent_id: Option<String>,
    pub(crate) parent_key: Option<String>,
    pub(crate) rank: Rank,
}

/// All that slices gave.
#[derive(Debug, Default)]
pub(crate) struct Harvest {
    pub(crate) slices: Vec<Slice>,
    pub(crate) records: Vec<Record>,
    pub(crate) rejects: Vec<Reject>,
    pub(crate) incomplete: Vec<Incomplete>,
    /// The last one that was given.
    pub(crate) checkpoint: Option<Checkpoint>,
}

impl Export {
    /// An export of these files.
    pub(crate) fn of<T: AsRef<[u8]>>(files: &[(&str, T)]) -> Self {
        let export = Self { root: TempDir::new().unwrap() };
        for (name, contents) in files {
            export.write(name, contents);
        }
        export
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Writes a file that looks as if it had been written an hour ago.
    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        self.write_now(name, contents);
        self.age(name, 3600);
    }

    /// Writes a file.
    pub(crate) fn write_now(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), contents).unwrap();
    }

    /// Sets when a file was modified.
    pub(crate) fn age(&self, name: &str, seconds: u64) {
        let modified = SystemTime::now() - Duration::from_secs(seconds);
        self.set_modified(name, modified);
    }

    pub(crate) fn set_modified(&self, name: &str, modified: SystemTime) {
        File::options().write(true).open(self.path(name)).unwrap().set_modified(modified).unwrap();
    }

    /// The export as an endpoint.
    pub(crate) async fn open(&self) -> Arc<dyn Endpoint> {
        self.open_with(json!({ "path": "." })).await
    }

    /// The export as an endpoint, configured like this.
    pub(crate) async fn open_with(&self, config: Value) -> Arc<dyn Endpoint> {
        open(self.root.path(), config).await.unwrap()
    }
}

/// Opens an endpoint of the driver in `base_dir`, as a host does it.
pub(crate) async fn open(base_dir: &Path, config: Value) -> Result<Arc<dyn Endpoint>> {
    let registry = Registry::load().unwrap();
    let driver = registry.driver("jira.export").unwrap();
    let problems = driver.config_schema().problems(&config);
    assert_eq!(problems, []);
    driver.open(config, OpenContext::new(EndpointId::from_static("acme_jira"), base_dir)).await
}

pub(crate) fn unit(name: &str) -> UnitId {
    format!("jira.{name}").parse().unwrap()
}

pub(crate) async fn plan(endpoint: &dyn Endpoint, name: &str, mode: Mode, from: Option<&Checkpoint>) -> Vec<Slice> {
    try_plan(endpoint, name, mode, from).await.unwrap()
}

pub(crate) async fn try_plan(
    endpoint: &dyn Endpoint,
    name: &str,
    mode: Mode,
    from: Option<&Checkpoint>,
) -> Result<Vec<Slice>> {
    endpoint.source().unwrap().plan(&unit(name), &PlanRequest::new(mode, from.cloned())).await
}

/// Plans and reads from the beginning.
pub(crate) async fn harvest(endpoint: &dyn Endpoint, name: &str, mode: Mode) -> Harvest {
    harvest_from(endpoint, name, mode, None).await
}

/// Plans and reads what came after `from`.
pub(crate) async fn harvest_from(
    endpoint: &dyn Endpoint,
    name: &str,
    mode: Mode,
    from: Option<&Checkpoint>,
) -> Harvest {
    let slices = plan(endpoint, name, mode, from).await;
    let mut harvest = Harvest { checkpoint: from.cloned(), ..Harvest::default() };
    for slice in &slices {
        harvest.add(batches(endpoint, name, slice).await.unwrap());
    }
    harvest.slices = slices;
    harvest
}

/// The batches of a slice.
pub(crate) async fn batches(endpoint: &dyn Endpoint, name: &str, slice: &Slice) -> Result<Vec<RawBatch>> {
    let unit = unit(name);
    let mut stream = endpoint.source().unwrap().read(&unit, slice);
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await {
        batches.push(batch?);
    }
    Ok(batches)
}

/// The error with which reading from the beginning ends.
pub(crate) async fn failure(endpoint: &dyn Endpoint, name: &str) -> Error {
    for slice in plan(endpoint, name, Mode::Raw, None).await {
        if let Err(error) = batches(endpoint, name, &slice).await {
            return error;
        }
    }
    panic!("everything was read");
}

impl Harvest {
    pub(crate) fn add(&mut self, batches: Vec<RawBatch>) {
        for mut batch in batches {
            for record in batch.records() {
                // As whoever maps them does it.
                match batch.check(&record) {
                    Err(reject) => self.rejects.push(*reject),
                    Ok(()) => self.records.push(Record {
                        origin: record.origin.to_string(),
                        json: record.json.to_owned(),
                        parent_id: record.parent.and_then(|parent| parent.id).map(str::to_owned),
                        parent_key: record.parent.and_then(|parent| parent.key).map(str::to_owned),
                        rank: record.rank,
                    }),
                }
            }
            self.checkpoint = batch.resume_at().cloned().or(self.checkpoint.take());
            batch.incomplete().iter().for_each(|note| note.clone().add_to(&mut self.incomplete));
            self.rejects.extend(batch.take_rejects());
        }
    }

    pub(crate) fn origins(&self) -> Vec<&str> {
        self.records.iter().map(|record| record.origin.as_str()).collect()
    }

    pub(crate) fn texts(&self) -> Vec<&str> {
        self.records.iter().map(|record| record.json.as_str()).collect()
    }

    pub(crate) fn values(&self) -> Vec<Value> {
        self.records.iter().map(|record| serde_json::from_str(&record.json).unwrap()).collect()
    }

    /// Origin and issue of each record: `comments.jsonl:1 10001 AB-1`, with `-` for what is not known.
    pub(crate) fn issues(&self) -> Vec<String> {
        let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        self.records
            .iter()
            .map(|record| format!("{} {} {}", record.origin, known(&record.parent_id), known(&record.parent_key)))
            .collect()
    }

    /// The names of the files in the checkpoint.
    pub(crate) fn files_read(&self) -> Vec<String> {
        match &self.checkpoint.as_ref().unwrap().0["files"] {
            Value::String(lines) => {
                lines.lines().map(|line| serde_json::from_str::<(String, Value)>(line).unwrap().0).collect()
            }
            files => files.as_object().unwrap().keys().cloned().collect(),
        }
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        let note = |note: &Incomplete| format!("{} {} ({}x, {})", note.resource, note.what, note.count, note.first_at);
        self.incomplete.iter().map(note).collect()
    }
}

pub(crate) fn gzip(contents: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(contents.as_ref()).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(contents: impl AsRef<[u8]>) -> Vec<u8> {
    zstd::encode_all(contents.as_ref(), 1).unwrap()
}
