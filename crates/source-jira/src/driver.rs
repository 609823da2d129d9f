use std::sync::Arc;

use endpoint_api::{
    Capabilities, CheckReport, Driver, Endpoint, OpenContext, PlanRequest, Provisioner, RawBatch, Result, Sink, Slice,
    Source, SourceCapabilities, SourceIdentity, SourceSite, TemplateInfo, UnitDescriptor, UnitId, async_trait,
    register_driver,
};
use futures::stream::BoxStream;

use crate::{
    check::check,
    config::Config,
    error::{joined, spawn},
    export::Export,
    extract::extract,
    read, site,
    stop::Stop,
    units::Unit,
};

/// The driver `jira.export`.
#[derive(Debug)]
pub struct JiraExport;

impl Driver for JiraExport {
    const ID: &'static str = "jira.export";
    const ALIASES: &'static [&'static str] = &[];
    const CAPABILITIES: Capabilities = Capabilities::NONE.source(SourceCapabilities::NONE.incremental());
    type Config = Config;
    type Endpoint = ExportEndpoint;

    fn template() -> TemplateInfo {
        TemplateInfo::new("Jira export (files)", "Atlassian", "issue tracker")
            .docs(
                "Reads what was exported from Jira's REST API: projects, users, issues, comments and worklogs, one record \
                 a line, in arrays, or in pages as Jira sends them, plain, `.gz` or `.zst`, in any number of files \
                 (`issues-page-1.json`, `comments-AB-1.json`) and folders. A data file ends in `.json`, `.jsonl` or \
                 `.ndjson`; what is in it is told by its name or its contents, and one that tells neither is named by \
                 `cdm check`. Comments and worklogs are also taken out of issues that embed them, and users out of \
                 whatever names them. A run says what pages announce and do not hold. A later run reads only the files \
                 that have changed. Write a file elsewhere and move it into the folder when it is complete.",
            )
            .sample_config(serde_json::json!({ "path": "./export", "source_system": "jira" }))
    }

    fn validate(config: &Config) -> Result<()> {
        config.validate()
    }

    async fn open(config: Config, context: OpenContext) -> Result<ExportEndpoint> {
        Ok(ExportEndpoint { export: Arc::new(Export::new(context.endpoint, config, &context.base_dir)) })
    }
}

register_driver!(JiraExport);

/// The files of an export, from which records are read.
#[derive(Debug)]
pub struct ExportEndpoint {
    export: Arc<Export>,
}

impl ExportEndpoint {
    /// Does file work where it may block, until the future is dropped.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Export, &Stop) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let export = Arc::clone(&self.export);
        let stop = Stop::default();
        let _stop_on_drop = stop.on_drop();
        joined(operation, spawn(operation, move || work(&export, &stop))?.await)
    }
}

#[async_trait]
impl Endpoint for ExportEndpoint {
    async fn check(&self) -> Result<CheckReport> {
        self.blocking("check", |export, stop| Ok(check(export, stop))).await
    }

    fn source(&self) -> Option<&dyn Source> {
        Some(self)
    }

    fn sink(&self) -> Option<&dyn Sink> {
        None
    }

    fn provisioner(&self) -> Option<&dyn Provisioner> {
        None
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Source for ExportEndpoint {
    fn identity(&self) -> &SourceIdentity {
        &self.export.identity
    }

    async fn site(&self) -> Result<Option<SourceSite>> {
        self.blocking("look for the site", |export, stop| site::of_export(export, stop).map(Some)).await
    }

    async fn units(&self) -> Result<Vec<UnitDescriptor>> {
        self.blocking("list the units", |export, stop| Ok(export.units(stop))).await
    }

    async fn plan(&self, unit: &UnitId, request: &PlanRequest) -> Result<Vec<Slice>> {
        let unit = Unit::find(unit)?;
        let request = request.clone();
        self.blocking("plan", move |export, stop| export.plan(unit, &request, stop)).await
    }

    fn read<'a>(&'a self, unit: &'a UnitId, slice: &'a Slice) -> BoxStream<'a, Result<RawBatch>> {
        let (export, unit, slice) = (Arc::clone(&self.export), unit.clone(), slice.clone());
        read::batches(move |stop, hand_over| extract(&export, &unit, &slice, stop, hand_over))
    }
}
