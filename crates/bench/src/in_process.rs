//! What can be measured without a server and without a process.

use std::{path::Path, sync::Arc, time::Instant};

use cdm_models::{ModelDescriptor, Timestamp, work::Item};
use endpoint_api::{
    Batch, Begun, Commit, Counts, Driver as _, Endpoint as _, EndpointId, Ingestion, Load, LoadReceipt, MapperEntry,
    Message, Mode, OpenContext, Outbox, RawBatch, Reject, RejectQuery, Replay, Resume, Run, RunEnd, RunId, RunReceipt,
    RunSpec, Sink, Slice, SourceIdentity, StoredReject, UnitId, Verification, async_trait,
    batch::{CdmBatchBuilder, NewRecord, SourceHashes},
};
use ingest::{Job, Mapping, Options, RunStatus, Silent, staging::MemoryStaging};
use map_jira::JiraIssues;
use source_jira::JiraExport;
use tokio_util::sync::CancellationToken;

use crate::bench::Done;

const BATCH_BYTES: usize = 1024 * 1024;

/// Maps issues that are in memory to rows in memory; says how many seconds that takes.
pub(crate) fn map(issues: &str) -> Done<f64> {
    let acme = EndpointId::from_static("acme");
    let mut batches = Vec::new();
    let at = Timestamp::from_microsecond(0)?;
    let begin = || RawBatch::builder(UnitId::from_static("jira.issues"), acme.clone(), "issues.jsonl", at);
    let mut batch = begin();
    for (line, json) in (1..).zip(issues.lines()) {
        batch.push(NewRecord { json, line: Some(line), ..NewRecord::default() });
        if batch.bytes() >= BATCH_BYTES {
            batches.push(Arc::new(std::mem::replace(&mut batch, begin()).finish()));
        }
    }
    batches.push(Arc::new(batch.finish()));

    let source = SourceIdentity::new(acme, "jira");
    let mapper = MapperEntry::of::<JiraIssues>();
    let revision = mapper.revision();
    let mapper = mapper.build(&source)?;
    let mut rows = CdmBatchBuilder::new(Arc::new(ModelDescriptor::of::<Item<'_>>()?), revision);
    let started = Instant::now();
    for batch in &batches {
        for (index, record) in batch.records().enumerate() {
            mapper.map_into(&record, index, &mut rows).map_err(|rejection| rejection.reason)?;
        }
        std::hint::black_box(rows.finish(Arc::clone(batch))?);
    }
    Ok(started.elapsed().as_secs_f64())
}

/// Runs a whole ingestion into a sink that throws everything away; says how many seconds that takes.
pub(crate) fn run(folder: &Path, issues: usize) -> Done<f64> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let config = serde_json::from_value(serde_json::json!({ "path": "export" }))?;
        let jira = EndpointId::from_static("jira");
        let source = JiraExport::open(config, OpenContext::new(jira.clone(), folder)).await?;
        let source = source.source().ok_or("the export is no source")?;
        let model = Arc::new(ModelDescriptor::of::<Item<'_>>()?);
        let mapping = Mapping::new(&MapperEntry::of::<JiraIssues>(), model, source.identity())?;
        let job = Job {
            ingestion: Ingestion {
                source: jira,
                unit: UnitId::from_static("jira.issues"),
                sink: EndpointId::from_static("nowhere"),
                mode: Mode::Cdm,
            },
            run_id: RunId::from_static("run-1"),
            holder: None,
            source,
            staging: &MemoryStaging::default(),
            mapping: Some(Arc::new(mapping)),
            sink: &Nowhere,
            telling: None,
            options: Options::default(),
        };
        let report = ingest::ingest(&job, &Silent, &CancellationToken::new()).await;
        if report.status != RunStatus::Succeeded || usize::try_from(report.counts.inserted) != Ok(issues) {
            return Err(format!("the run came to {:?}: {:?}", report.counts, report.error).into());
        }
        Ok(report.elapsed.as_secs_f64())
    })
}

/// A sink that throws everything away.
struct Nowhere;

struct NowhereRun(Resume);

#[derive(Default)]
struct NowhereLoad(Counts);

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[async_trait]
impl Sink for Nowhere {
    async fn open_run(&self, spec: &RunSpec) -> endpoint_api::Result<Box<dyn Run + '_>> {
        Ok(Box::new(NowhereRun(Resume::new(spec.run_id.clone(), 1, None))))
    }

    async fn rejects(&self, _: &RejectQuery) -> endpoint_api::Result<Vec<StoredReject>> {
        Ok(Vec::new())
    }

    async fn replay(&self, _: &Replay) -> endpoint_api::Result<Box<dyn Load + '_>> {
        Ok(Box::new(NowhereLoad::default()))
    }

    async fn verify(&self, _: &[Arc<ModelDescriptor>], _: bool) -> endpoint_api::Result<Vec<Verification>> {
        Ok(Vec::new())
    }

    fn outbox(&self) -> Option<&dyn Outbox> {
        None
    }
}

#[async_trait]
impl Run for NowhereRun {
    fn resume(&self) -> &Resume {
        &self.0
    }

    async fn record_plan(&self, _: &[Slice]) -> endpoint_api::Result<()> {
        Ok(())
    }

    async fn begin(&self, _: &Slice) -> endpoint_api::Result<Begun<'_>> {
        Ok(Begun::Load(Box::new(NowhereLoad::default())))
    }

    async fn finish(self: Box<Self>, _: RunEnd, _: &[Message]) -> endpoint_api::Result<RunReceipt> {
        Ok(RunReceipt::default())
    }
}

#[async_trait]
impl Load for NowhereLoad {
    async fn recognize(&mut self, records: &SourceHashes) -> endpoint_api::Result<Vec<bool>> {
        Ok(vec![false; records.len()])
    }

    async fn write(&mut self, batch: Batch) -> endpoint_api::Result<()> {
        self.0.inserted += match batch {
            Batch::Raw(batch) => number(batch.len()),
            Batch::Cdm(batch) => number(batch.len()),
        };
        Ok(())
    }

    async fn reject(&mut self, rejects: Vec<Reject>) -> endpoint_api::Result<()> {
        self.0.rejected += number(rejects.len());
        Ok(())
    }

    async fn commit(self: Box<Self>, commit: Commit) -> endpoint_api::Result<LoadReceipt> {
        Ok(LoadReceipt::new(self.0, commit.incomplete))
    }

    async fn abort(self: Box<Self>) -> endpoint_api::Result<()> {
        Ok(())
    }
}
