use std::{fs::File, sync::Arc};

use endpoint_api::{
    Capabilities, CheckReport, Driver, Endpoint, OpenContext, PlanRequest, Provisioner, RawBatch, Result, Sink, Slice,
    Source, SourceCapabilities, SourceIdentity, SourceSite, TemplateInfo, UnitDescriptor, UnitId, async_trait,
    register_driver,
};
use futures::stream::BoxStream;

use crate::{
    config::Config,
    error::{joined, spawn},
    export::{Export, NO_FILES},
    extract::extract,
    files, read, site,
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
                "Reads what was exported from Jira's REST API: `projects`, `users`, `issues`, `comments` and `worklogs`, \
                 as `.jsonl` (one record a line) or `.json` (arrays, or pages as Jira sends them), plain, `.gz` or \
                 `.zst`, in any number of files (`issues-0001.jsonl`). Comments and worklogs are also taken out of \
                 issues that embed them, and users out of whatever names them. A later run reads only the files that \
                 have changed. A file is to be complete before it is read: write it elsewhere and move it there.",
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
        self.blocking("check", |export, _| Ok(check(export))).await
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
        Ok(Unit::ALL.into_iter().map(Unit::descriptor).collect())
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

fn check(export: &Export) -> CheckReport {
    let mut report = CheckReport::new();
    for configured in &export.paths {
        match files::find_at(configured) {
            Ok(found) => report.add("path", true, format!("`{}`: {}", configured.given, count(found.len()))),
            Err(error) => report.add("path", false, error.to_string()),
        }
    }
    if !report.ok() {
        return report;
    }
    let files = match export.list() {
        Ok(files) => files,
        Err(error) => {
            report.add("files", false, error.to_string());
            return report;
        }
    };
    if files.is_empty() {
        report.add("files", false, NO_FILES);
        return report;
    }
    for unit in Unit::ALL {
        let of_unit: Vec<_> = files.iter().filter(|file| file.unit == unit).collect();
        let unreadable = of_unit.iter().find_map(|file| Some((file, File::open(&file.path).err()?)));
        match unreadable {
            Some((file, error)) => {
                let error = crate::error::failed("check", "open the file", &file.name, error);
                report.add(unit.name(), false, error.to_string());
            }
            None => report.add(unit.name(), true, count(of_unit.len())),
        }
    }
    match export.users(&Stop::default()).map(|users| users.pairs()) {
        Ok(0) => {}
        Ok(pairs) => {
            let what = format!("{pairs} of the users are there under two ids and become one user each");
            report.add("user ids", true, what);
        }
        Err(error) => report.add("user ids", false, error.to_string()),
    }
    report
}

fn count(files: usize) -> String {
    match files {
        0 => "no files".to_owned(),
        1 => "1 file".to_owned(),
        many => format!("{many} files"),
    }
}
