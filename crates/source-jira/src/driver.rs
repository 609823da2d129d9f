use std::{
    fs::{self, File},
    sync::Arc,
};

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
    files::{self, ExportFile, Listing, Unread},
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

fn check(export: &Export) -> CheckReport {
    let mut report = CheckReport::new();
    let roots: Vec<_> = export.paths.iter().filter_map(|configured| fs::canonicalize(&configured.path).ok()).collect();
    for configured in &export.paths {
        match files::find_at(configured, &roots, export.follow_links) {
            Ok(found) => report.add("path", true, format!("`{}`: {}", configured.given, count(found.files.len()))),
            Err(error) => report.add("path", false, error.to_string()),
        }
    }
    if !report.ok() {
        return report;
    }
    let Listing { files, unread } = match export.listing() {
        Ok(listing) => listing,
        Err(error) => {
            report.add("files", false, error.to_string());
            return report;
        }
    };
    if files.is_empty() {
        report.add("files", false, NO_FILES);
    } else {
        check_units(&files, &mut report);
        check_users(export, &mut report);
    }
    for Unread { name, reason, .. } in unread {
        report.add("unread", true, format!("`{name}` {reason}"));
    }
    report
}

fn check_units(files: &[ExportFile], report: &mut CheckReport) {
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
}

/// Says how many users the export names by two ids.
fn check_users(export: &Export, report: &mut CheckReport) {
    match export.users(&Stop::default()).map(|users| users.pairs()) {
        Ok(0) => {}
        Ok(pairs) => {
            let what = format!("{pairs} of the users are there under two ids and become one user each");
            report.add("user ids", true, what);
        }
        Err(error) => report.add("user ids", false, error.to_string()),
    }
}

fn count(files: usize) -> String {
    match files {
        0 => "no files".to_owned(),
        1 => "1 file".to_owned(),
        many => format!("{many} files"),
    }
}
