use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use cdm_models::ModelDescriptor;
use endpoint_api::{
    Capabilities, CheckReport, Driver, EachReject, Endpoint, Error, ErrorKind, Ingestion, ListedReject, LivingRun,
    Load, OpenContext, Outbox, Provisioner, RejectColumn, RejectFilter, RejectGroup, RejectListing, RejectQuery,
    Replay, Result, Run, RunSpec, RunWatch, Sink, SinkCapabilities, Source, StoredReject, TemplateInfo, Verification,
    async_trait, register_driver,
};
use rustix::fs::Access;

use crate::{
    config::{Compression, Config},
    error::blocking,
    layout::Layout,
    open, rejects,
};

/// The driver `raw.files`.
#[derive(Debug)]
pub struct RawFiles;

impl Driver for RawFiles {
    const ID: &'static str = "raw.files";
    const ALIASES: &'static [&'static str] = &[];
    const CAPABILITIES: Capabilities =
        Capabilities::NONE.sink(SinkCapabilities::NONE.raw().transactional().reject_listing());
    type Config = Config;
    type Endpoint = FilesEndpoint;

    fn template() -> TemplateInfo {
        TemplateInfo::new("Raw files (JSON lines)", "CDM", "files")
            .docs(
                "Keeps records as the source has them: one JSON object a line, byte for byte, in one file a slice \
                 with a sidecar of envelopes. What is committed stands in the manifests below `_cdm`; readers follow \
                 those, and files that no manifest names are swept by the next run. The folder belongs to one sink \
                 and must be on a file system with hard links and file locks.",
            )
            .sample_config(serde_json::json!({ "path": "./raw", "compression": "zstd" }))
    }

    fn validate(config: &Config) -> Result<()> {
        config.validate()
    }

    async fn open(config: Config, context: OpenContext) -> Result<FilesEndpoint> {
        let root = std::path::absolute(context.base_dir.join(&config.path)).map_err(|error| {
            let message = "the path cannot be made absolute";
            Error::new(ErrorKind::Config, "open", message).with("key", "path").caused_by(error)
        })?;
        let layout = Layout::below(root).readable_by(config.file_mode()?);
        Ok(FilesEndpoint { layout, compression: config.compression })
    }
}

register_driver!(RawFiles);

/// A folder into which records are written.
#[derive(Debug)]
pub struct FilesEndpoint {
    layout: Layout,
    compression: Compression,
}

#[async_trait]
impl Endpoint for FilesEndpoint {
    async fn check(&self) -> Result<CheckReport> {
        let layout = self.layout.clone();
        blocking("check", move || Ok(check(&layout))).await
    }

    fn source(&self) -> Option<&dyn Source> {
        None
    }

    fn sink(&self) -> Option<&dyn Sink> {
        Some(self)
    }

    fn provisioner(&self) -> Option<&dyn Provisioner> {
        None
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Sink for FilesEndpoint {
    async fn open_run(&self, spec: &RunSpec) -> Result<Box<dyn Run + '_>> {
        Ok(Box::new(open::open(&self.layout, self.compression, spec).await?))
    }

    async fn rejects(&self, query: &RejectQuery) -> Result<Vec<StoredReject>> {
        let (layout, query) = (self.layout.clone(), query.clone());
        blocking("read rejects", move || rejects::newest(&layout, &query)).await
    }

    async fn replay(&self, _: &Replay) -> Result<Box<dyn Load + '_>> {
        Err(Error::unsupported("replay", "loading rejects again"))
    }

    async fn verify(&self, _: &[Arc<ModelDescriptor>], _: bool) -> Result<Vec<Verification>> {
        Err(Error::unsupported("verify", "looking for rows that are not as they were loaded"))
    }

    fn run_watch(&self) -> Option<&dyn RunWatch> {
        Some(self)
    }

    fn outbox(&self) -> Option<&dyn Outbox> {
        None
    }

    fn reject_listing(&self) -> Option<&dyn RejectListing> {
        Some(self)
    }
}

#[async_trait]
impl RejectListing for FilesEndpoint {
    async fn list(&self, filter: &RejectFilter, limit: usize, each: &mut EachReject<'_>) -> Result<()> {
        let (layout, filter) = (self.layout.clone(), filter.clone());
        let found = blocking("read rejects", move || rejects::listed(&layout, &filter, limit)).await?;
        // The oldest file tells when a reject was first met, so none can be given before all files are read.
        let mut found = found.into_iter().map(|reject| ListedReject::new(reject, None));
        while let Some(listed) = found.next()
            && each(listed).is_continue()
        {}
        Ok(())
    }

    async fn count(&self, filter: &RejectFilter, columns: &[RejectColumn]) -> Result<Vec<RejectGroup>> {
        let (layout, filter, columns) = (self.layout.clone(), filter.clone(), columns.to_vec());
        blocking("count rejects", move || rejects::counted(&layout, &filter, &columns)).await
    }
}

#[async_trait]
impl RunWatch for FilesEndpoint {
    async fn living(&self, ingestion: &Ingestion) -> Result<Vec<LivingRun>> {
        let (layout, ingestion) = (self.layout.clone(), ingestion.clone());
        let living = blocking("look which runs are alive", move || open::living(&layout, &ingestion)).await?;
        Ok(living.into_iter().collect())
    }
}

fn check(layout: &Layout) -> CheckReport {
    let mut report = CheckReport::new();
    let root = layout.root();
    let (is_folder, detail) = match fs::metadata(root) {
        Ok(found) if found.is_dir() => (true, format!("`{}` is there", root.display())),
        Ok(_) => (false, format!("`{}` is a file; `path` must name a folder", root.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (true, format!("`{}` is missing; the first run makes it", root.display()))
        }
        Err(error) => (false, format!("`{}` cannot be looked at: {error}", root.display())),
    };
    report.add("folder", is_folder, detail);
    if is_folder {
        let unwritable = writable_folders(layout).into_iter().find_map(|folder| {
            let refusal = rustix::fs::access(&folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).err()?;
            Some(format!("`{}` cannot be written: {}", folder.display(), io::Error::from(refusal)))
        });
        let writable = unwritable.is_none();
        report.add("writable", writable, unwritable.unwrap_or_else(|| "files can be created".to_owned()));
    }
    report
}

/// The folders in which a run makes files or other folders: those that are there, and above one that is
/// not, the one in which it would be made.
fn writable_folders(layout: &Layout) -> Vec<PathBuf> {
    let nearest = layout.root().ancestors().find(|folder| folder.is_dir()).map(Path::to_owned);
    let own = [layout.states(), layout.fences()].into_iter().filter(|folder| folder.is_dir());
    nearest.into_iter().chain(own).collect()
}
