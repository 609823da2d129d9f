use std::{
    collections::HashSet,
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use endpoint_api::{
    Batch, Commit, Counts, Error, ErrorKind, Ingestion, Load, LoadReceipt, RawBatch, Reject, Result, RunId,
    async_trait,
    batch::{RawRecord, SourceHashes},
};
use serde::Serialize;

use crate::{
    config::Compression,
    error::{blocking, failed},
    layout::{Content, Layout, LoadName, make_folder, remove_file, sync_folder},
    lines::LineWriter,
    manifest::Files,
    mode::FileMode,
    rejects::RejectLine,
    run::OpenRun,
};

/// So many ids of rejects are remembered, so that the same one is not stored twice. Where it still is,
/// whoever reads the rejects merges them.
const REMEMBERED_REJECTS: usize = 16 * 1024;

/// The writing of one slice.
pub(crate) struct FilesLoad {
    run: Arc<OpenRun>,
    slice: u64,
    /// `None` after an operation that failed or was cut short: what was written is gone, and nothing
    /// can be committed any more.
    files: Option<LoadFiles>,
}

impl FilesLoad {
    pub(crate) fn new(run: Arc<OpenRun>, slice: u64, files: LoadFiles) -> Self {
        Self { run, slice, files: Some(files) }
    }

    fn take_files(&mut self, operation: &'static str) -> Result<LoadFiles> {
        self.files.take().ok_or_else(|| {
            let message = "the load has failed before or was cut short; begin the slice again";
            Error::new(ErrorKind::Conflict, operation, message).with("slice", self.slice)
        })
    }

    async fn write_files(
        &mut self,
        operation: &'static str,
        write: impl FnOnce(&mut LoadFiles) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let mut files = self.take_files(operation)?;
        let run = Arc::clone(&self.run);
        let write = move || match write(&mut files) {
            Ok(()) => Ok(files),
            Err(error) => Err(run.explain(error, operation)),
        };
        self.files = Some(blocking(operation, write).await?);
        Ok(())
    }
}

#[async_trait]
impl Load for FilesLoad {
    async fn recognize(&mut self, records: &SourceHashes) -> Result<Vec<bool>> {
        Ok(vec![false; records.len()])
    }

    async fn write(&mut self, batch: Batch) -> Result<()> {
        let Batch::Raw(batch) = batch else {
            return Err(Error::unsupported("write", "a batch of mapped rows"));
        };
        self.write_files("write", move |files| files.write(&batch)).await
    }

    async fn reject(&mut self, rejects: Vec<Reject>) -> Result<()> {
        self.write_files("reject", move |files| files.reject(&rejects)).await
    }

    async fn commit(mut self: Box<Self>, commit: Commit) -> Result<LoadReceipt> {
        let files = self.take_files("commit")?;
        let (run, slice) = (Arc::clone(&self.run), self.slice);
        blocking("commit", move || run.commit(slice, files, commit)).await
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        match self.files.take() {
            Some(files) => blocking("abort", move || files.remove()).await,
            None => Ok(()),
        }
    }
}

/// The files of one load. They are removed when the value is dropped.
pub(crate) struct LoadFiles {
    home: Home,
    records: LineWriter,
    envelopes: LineWriter,
    rejects: Option<LineWriter>,
    reject_ids: HashSet<String>,
    counts: Counts,
    written: WrittenFiles,
}

/// What the names of a load's files are made of.
pub(crate) struct Home {
    pub(crate) layout: Layout,
    pub(crate) compression: Compression,
    pub(crate) ingestion: Ingestion,
    pub(crate) run_id: RunId,
    pub(crate) name: LoadName,
}

impl Home {
    fn path(&self, content: Content) -> String {
        self.name.path(&self.ingestion, &self.run_id, content, self.compression)
    }

    fn create(&self, content: Content, written: &mut WrittenFiles, operation: &'static str) -> Result<LineWriter> {
        let path = self.layout.file(&self.path(content));
        let mode = match content {
            Content::Records | Content::Envelopes => self.layout.file_mode(),
            Content::Rejects => FileMode::OWNER,
        };
        let file = LineWriter::create(path, self.compression, mode, operation)?;
        written.0.push(file.path().to_owned());
        Ok(file)
    }

    fn folder(&self) -> PathBuf {
        self.layout.records(&self.ingestion).join(self.run_id.as_str())
    }
}

/// Files that are removed when the value is dropped, unless they are kept.
pub(crate) struct WrittenFiles(Vec<PathBuf>);

impl WrittenFiles {
    /// They stay.
    pub(crate) fn keep(mut self) {
        self.0.clear();
    }

    /// Removes all that can be removed; the first error tells of the others.
    fn remove(&mut self) -> Result<()> {
        let removed =
            self.0.drain(..).map(|path| remove_file(&path).map_err(failed("abort", "remove the file", &path)));
        removed.fold(Ok(()), Result::and)
    }
}

impl Drop for WrittenFiles {
    fn drop(&mut self) {
        // What stays behind here, the next run sweeps.
        let _ = self.remove();
    }
}

/// A line of the sidecar: what is known of a record beside itself.
#[derive(Serialize)]
struct Envelope<'a> {
    origin: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    observed_at: &'a str,
    rank: i16,
}

impl<'a> Envelope<'a> {
    fn of(record: &RawRecord<'a>, observed_at: &'a str) -> Self {
        Self {
            origin: record.origin.resource,
            line: record.origin.line,
            part: record.origin.part,
            parent_id: record.parent.and_then(|parent| parent.id),
            parent_key: record.parent.and_then(|parent| parent.key),
            key: record.key,
            observed_at,
            rank: record.rank.number(),
        }
    }
}

impl LoadFiles {
    pub(crate) fn create(home: Home) -> Result<Self> {
        const BEGIN: &str = "begin";
        let folder = home.folder();
        make_folder(&folder, home.layout.file_mode()).map_err(failed(BEGIN, "make the folder", &folder))?;
        let mut written = WrittenFiles(Vec::new());
        Ok(Self {
            records: home.create(Content::Records, &mut written, BEGIN)?,
            envelopes: home.create(Content::Envelopes, &mut written, BEGIN)?,
            rejects: None,
            reject_ids: HashSet::new(),
            counts: Counts::default(),
            written,
            home,
        })
    }

    /// The number of the load.
    pub(crate) fn load(&self) -> u64 {
        self.home.name.load
    }

    fn write(&mut self, batch: &RawBatch) -> Result<()> {
        const WRITE: &str = "write";
        let Ingestion { source, unit, .. } = &self.home.ingestion;
        if batch.unit() != unit || batch.endpoint() != source {
            let message = "the batch is of another unit or source than the run";
            return Err(Error::new(ErrorKind::Internal, WRITE, message)
                .with("expected", format!("{source}/{unit}"))
                .with("found", format!("{}/{}", batch.endpoint(), batch.unit())));
        }
        let observed_at = batch.observed_at().to_string();
        for record in batch.records() {
            self.records.line(WRITE, |output| write_on_one_line(output, record.json))?;
            let envelope = Envelope::of(&record, &observed_at);
            self.envelopes.line(WRITE, |output| Ok(serde_json::to_writer(output, &envelope)?))?;
            self.counts.inserted += 1;
        }
        Ok(())
    }

    fn reject(&mut self, rejects: &[Reject]) -> Result<()> {
        const REJECT: &str = "reject";
        for reject in rejects {
            self.counts.rejected += 1;
            let id = reject.id(&self.home.ingestion);
            if self.reject_ids.contains(&id) {
                continue;
            }
            let file = match &mut self.rejects {
                Some(file) => file,
                missing => missing.insert(self.home.create(Content::Rejects, &mut self.written, REJECT)?),
            };
            let line = RejectLine::of(reject, &id);
            file.line(REJECT, |output| Ok(serde_json::to_writer(output, &line)?))?;
            if self.reject_ids.len() == REMEMBERED_REJECTS {
                self.reject_ids.clear();
            }
            self.reject_ids.insert(id);
        }
        Ok(())
    }

    /// Makes the files durable and says what is in them. They are still removed with the value.
    pub(crate) fn finish(self, operation: &'static str) -> Result<(Files, Counts, WrittenFiles)> {
        let Self { home, records, envelopes, rejects, counts, written, .. } = self;
        let files = Files {
            records: records.finish(home.path(Content::Records), operation)?,
            envelopes: envelopes.finish(home.path(Content::Envelopes), operation)?,
            rejects: rejects.map(|file| file.finish(home.path(Content::Rejects), operation)).transpose()?,
        };
        let folder = home.folder();
        for folder in folder.ancestors().take_while(|folder| folder.starts_with(home.layout.root())) {
            sync_folder(folder).map_err(failed(operation, "make the folder durable", folder))?;
        }
        Ok((files, counts, written))
    }

    fn remove(self) -> Result<()> {
        let Self { records, envelopes, rejects, mut written, .. } = self;
        drop((records, envelopes, rejects));
        written.remove()
    }
}

/// A record is one line: a line break can only stand between two tokens of its JSON, where a space
/// means the same. Every other byte, a carriage return too, stays as it is.
fn write_on_one_line(output: &mut dyn Write, json: &str) -> io::Result<()> {
    for (index, part) in json.split('\n').enumerate() {
        if index > 0 {
            output.write_all(b" ")?;
        }
        output.write_all(part.as_bytes())?;
    }
    Ok(())
}
