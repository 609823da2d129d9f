use std::{fs, io, path::Path, sync::Arc};

use cdm_models::ModelDescriptor;
use endpoint_api::{
    Capabilities, CheckReport, Driver, Endpoint, Error, ErrorKind, Load, OpenContext, Outbox, Provisioner, RejectQuery,
    Replay, Result, Run, RunSpec, Sink, SinkCapabilities, Source, StoredReject, TemplateInfo, Verification,
    async_trait, register_driver,
};
use rustix::fs::Access;

use crate::{config::Config, error::blocking, open, rejects, store::Store};

/// The driver `acme.parquet`.
#[derive(Debug)]
pub struct Parquet;

impl Driver for Parquet {
    const ID: &'static str = "acme.parquet";
    const ALIASES: &'static [&'static str] = &[];
    const CAPABILITIES: Capabilities =
        Capabilities::NONE.sink(SinkCapabilities::NONE.cdm(&["**"]).autoprovision().transactional());
    type Config = Config;
    type Endpoint = ParquetEndpoint;

    fn template() -> TemplateInfo {
        TemplateInfo::new("Parquet files (CDM models)", "Acme", "files")
            .docs(
                "Rows of CDM models as Parquet files: one folder a model, one file a slice that had something new. \
                 Files are never changed; of several rows of one key the one with the greatest `_acme_commit` \
                 counts. What is committed stands in `_acme/manifest.json`. The folder belongs to one sink, and must \
                 be on a file system with file locks.",
            )
            .sample_config(serde_json::json!({ "path": "./lake" }))
    }

    fn validate(config: &Config) -> Result<()> {
        config.validate()
    }

    async fn open(config: Config, context: OpenContext) -> Result<ParquetEndpoint> {
        let root = std::path::absolute(context.base_dir.join(&config.path)).map_err(|error| {
            let message = "the path cannot be made absolute";
            Error::new(ErrorKind::Config, "open", message).with("key", "path").caused_by(error)
        })?;
        Ok(ParquetEndpoint { store: Arc::new(Store::at(root)) })
    }
}

register_driver!(Parquet);

/// A folder into which rows are loaded.
#[derive(Debug)]
pub struct ParquetEndpoint {
    store: Arc<Store>,
}

impl ParquetEndpoint {
    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }
}

#[async_trait]
impl Endpoint for ParquetEndpoint {
    async fn check(&self) -> Result<CheckReport> {
        let store = Arc::clone(&self.store);
        blocking("check", move || Ok(check(store.root()))).await
    }

    fn source(&self) -> Option<&dyn Source> {
        None
    }

    fn sink(&self) -> Option<&dyn Sink> {
        Some(self)
    }

    fn provisioner(&self) -> Option<&dyn Provisioner> {
        Some(self)
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Sink for ParquetEndpoint {
    async fn open_run(&self, spec: &RunSpec) -> Result<Box<dyn Run + '_>> {
        Ok(Box::new(open::open(&self.store, spec).await?))
    }

    async fn rejects(&self, query: &RejectQuery) -> Result<Vec<StoredReject>> {
        rejects::newest(&self.store, query).await
    }

    async fn replay(&self, _: &Replay) -> Result<Box<dyn Load + '_>> {
        Err(Error::unsupported("replay", "loading rejects again"))
    }

    async fn verify(&self, _: &[Arc<ModelDescriptor>], _: bool) -> Result<Vec<Verification>> {
        Err(Error::unsupported("verify", "looking for rows that are not as they were loaded"))
    }

    fn outbox(&self) -> Option<&dyn Outbox> {
        None
    }
}

fn check(root: &Path) -> CheckReport {
    let mut report = CheckReport::new();
    let (is_folder, detail) = match fs::metadata(root) {
        Ok(found) if found.is_dir() => (true, format!("`{}` is there", root.display())),
        Ok(_) => (false, format!("`{}` is a file; `path` must name a folder", root.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (true, format!("`{}` is missing; provisioning makes it", root.display()))
        }
        Err(error) => (false, format!("`{}` cannot be looked at: {error}", root.display())),
    };
    report.add("folder", is_folder, detail);
    // The folder, or the one in which it would be made.
    if let Some(folder) = root.ancestors().find(|folder| folder.exists()).filter(|_| is_folder) {
        let allowed = rustix::fs::access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK);
        let detail = match allowed {
            Ok(()) => "files can be created".to_owned(),
            Err(refusal) => format!("`{}` cannot be written: {}", folder.display(), io::Error::from(refusal)),
        };
        report.add("writable", allowed.is_ok(), detail);
    }
    report
}
