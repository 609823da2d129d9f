//! Everything that this crate writes keeps to the schemas of OpenLineage.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod official;

use std::collections::BTreeMap;

use cdm_models::Timestamp;
use official::problems;
use openlineage::{
    ColumnLineage, ColumnMetrics, DataQualityMetrics, DataSource, Dataset, DatasetEvent, DatasetFacets, Documentation,
    ErrorMessage, FieldLineage, InputFacets, InputField, Job, JobFacets, JobType, OutputFacets, OutputStatistics,
    ProcessingEngine, Producer, Run, RunEvent, RunFacets, RunState, Schema, SchemaField, Transformation, run_id,
};
use serde_json::{Value, json};

const STATES: [RunState; 5] = [RunState::Start, RunState::Running, RunState::Complete, RunState::Abort, RunState::Fail];

fn producer() -> Producer {
    Producer::new("urn:x-cdm:host:0.1.0")
}

fn at() -> Timestamp {
    Timestamp::parse("2026-03-04T05:06:07.123456Z").unwrap()
}

/// Every facet of a dataset.
fn dataset_facets() -> DatasetFacets {
    let says = producer();
    let input = |field: &str, transformation| InputField {
        namespace: "cdm".to_owned(),
        name: "jira.issues@acme_jira".to_owned(),
        field: field.to_owned(),
        transformations: vec![transformation],
    };
    let fields = BTreeMap::from([
        ("summary".to_owned(), vec![input("fields.summary", Transformation::identity())]),
        ("cdm_id".to_owned(), vec![input("id", Transformation::transformed("with the source system"))]),
    ]);
    let field = |name: &str, description: &str| SchemaField {
        name: name.to_owned(),
        field_type: "text".to_owned(),
        description: description.to_owned(),
    };
    DatasetFacets {
        documentation: Some(says.says(Documentation { description: "Work items.".to_owned() })),
        schema: Some(says.says(Schema { fields: vec![field("cdm_id", "The key."), field("summary", "")] })),
        data_source: Some(
            says.says(DataSource { name: "warehouse".to_owned(), uri: "urn:x-cdm:endpoint:warehouse".to_owned() }),
        ),
        column_lineage: Some(says.says(ColumnLineage {
            fields: fields.into_iter().map(|(field, input_fields)| (field, FieldLineage { input_fields })).collect(),
        })),
    }
}

fn run_event(state: RunState) -> RunEvent {
    let says = producer();
    let run = Run::new(run_id("nightly")).facets(RunFacets {
        processing_engine: Some(says.says(ProcessingEngine { version: "0.1.0".to_owned(), name: "cdm".to_owned() })),
        error_message: Some(says.says(ErrorMessage {
            message: "the server cannot be reached".to_owned(),
            programming_language: "RUST".to_owned(),
        })),
    });
    let job = Job::new("cdm", "acme_jira/jira.issues/warehouse/cdm").facets(JobFacets {
        job_type: Some(says.says(JobType {
            processing_type: "BATCH".to_owned(),
            integration: "CDM".to_owned(),
            job_type: "INGESTION".to_owned(),
        })),
    });
    let metrics = DataQualityMetrics {
        row_count: u64::from(u32::MAX),
        bytes: Some(12),
        column_metrics: BTreeMap::from([("summary".to_owned(), ColumnMetrics { null_count: Some(1) })]),
    };
    let input = InputFacets { data_quality_metrics: Some(says.says(metrics)) };
    let output = OutputFacets { output_statistics: Some(says.says(OutputStatistics { row_count: 5 })) };
    RunEvent::new(state, at(), run, job, &says)
        .reads(Dataset::new("cdm", "jira.issues@acme_jira").facets(dataset_facets()).read(input))
        .writes(Dataset::new("cdm", "cdm.work.item@warehouse").facets(dataset_facets()).written(output))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn every_kind_of_run_event_with_every_facet_is_valid() {
    for state in STATES {
        let event = json(&run_event(state).to_json().unwrap());
        assert_eq!(problems(&event), [""; 0], "{event:#}");
    }
    let bare = RunEvent::new(RunState::Start, at(), Run::new(run_id("x")), Job::new("cdm", "x"), &producer());
    let bare = json(&bare.to_json().unwrap());
    assert_eq!(problems(&bare), [""; 0], "{bare:#}");
    assert!(bare["run"].get("facets").is_none(), "what nobody has anything to say about is left out");
}

#[test]
fn a_dataset_event_is_valid() {
    let dataset = Dataset::new("cdm", "cdm.work.item@warehouse").facets(dataset_facets());
    let event = json(&DatasetEvent::new(at(), dataset, &producer()).to_json().unwrap());
    assert_eq!(problems(&event), [""; 0], "{event:#}");
}

#[test]
fn the_schemas_find_what_is_wrong() {
    let good = json(&run_event(RunState::Complete).to_json().unwrap());
    let broken = |pointer: &str, value: Value| {
        let mut event = good.clone();
        *event.pointer_mut(pointer).unwrap_or_else(|| panic!("there is no {pointer}")) = value;
        problems(&event)
    };
    for (pointer, value) in [
        ("/eventType", json!("DONE")),
        ("/eventTime", json!("yesterday")),
        ("/run/runId", json!("nightly")),
        ("/producer", json!("not a URI")),
        ("/schemaURL", json!("https://openlineage.io/spec/1-0-0/OpenLineage.json")),
        ("/job/name", json!(null)),
        ("/run/facets/errorMessage/message", json!(1)),
        ("/run/facets/processing_engine/version", json!(1)),
        ("/job/facets/jobType/integration", json!(1)),
        ("/inputs/0/facets/documentation/description", json!(null)),
        ("/inputs/0/inputFacets/dataQualityMetrics/rowCount", json!("many")),
        ("/inputs/0/inputFacets/dataQualityMetrics/columnMetrics", json!([])),
        ("/outputs/0/outputFacets/outputStatistics/rowCount", json!("many")),
        ("/outputs/0/facets/columnLineage/fields/summary/inputFields/0", json!({ "name": "x" })),
        ("/outputs/0/facets/schema/fields/0", json!({ "type": "text" })),
        ("/outputs/0/facets/dataSource/uri", json!("not a URI")),
        ("/outputs/0/facets/schema/_schemaURL", json!("https://openlineage.io/spec/facets/9-9-9/Nothing.json")),
        ("/outputs/0/facets/schema/_producer", json!(null)),
    ] {
        assert_ne!(broken(pointer, value), [""; 0], "{pointer} is wrong, and nobody noticed");
    }
}
