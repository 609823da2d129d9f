use std::{collections::BTreeMap, sync::Arc};

use catalog::{Dataset as Registered, DatasetId};
use endpoint_api::{
    Counts, Error, ErrorKind, Ingestion, Message, Result, Resume, RunEnd,
    lineage::{Derivation, Input, Lineage, Place},
};
use ingest::{Moment, Teller};
use openlineage::{
    ColumnLineage, DataQualityMetrics, DataSource, Dataset, DatasetEvent, DatasetFacets, Documentation, ErrorMessage,
    FieldLineage, InputFacets, InputField, Job, JobFacets, JobType, OutputFacets, OutputStatistics, ProcessingEngine,
    Producer, Run, RunEvent, RunFacets, RunState, Schema, SchemaField, Transformation, run_id,
};
use tokio::sync::Notify;

use crate::metadata::now;

const PRODUCER: &str = concat!("urn:x-cdm:host:", env!("CARGO_PKG_VERSION"));

/// A dataset as events name and describe it.
pub(crate) struct Described {
    name: String,
    facets: DatasetFacets,
}

impl Described {
    /// As the catalog has it.
    pub(crate) fn of(registered: &Registered) -> Self {
        let (producer, spec) = (Producer::new(PRODUCER), &registered.spec);
        let field = |field: &catalog::DatasetField| SchemaField {
            name: field.name.clone(),
            field_type: field.field_type.clone(),
            description: field.description.clone(),
        };
        let facets = DatasetFacets {
            documentation: Some(producer.says(Documentation { description: spec.description().to_owned() })),
            schema: Some(producer.says(Schema { fields: spec.fields().iter().map(field).collect() })),
            data_source: Some(producer.says(DataSource {
                name: spec.endpoint().to_string(),
                uri: format!("urn:x-cdm:endpoint:{}", spec.endpoint()),
            })),
            column_lineage: None,
        };
        Self { name: spec.id().to_string(), facets }
    }

    /// Its fields are made of those of `input`, as the mapper declares. What a field owes to the rest of a record, to
    /// its envelope or to the configuration is no field of the input, and is not told.
    #[must_use]
    pub(crate) fn made_of(mut self, namespace: &str, input: &Self, lineage: &Lineage) -> Self {
        let mut fields = BTreeMap::new();
        for field in lineage.fields {
            let made_of = field.inputs.iter().filter_map(|made_of| match made_of.place {
                Place::Record(path) => Some(InputField {
                    namespace: namespace.to_owned(),
                    name: input.name.clone(),
                    field: path.to_owned(),
                    transformations: vec![transformation(made_of)],
                }),
                _ => None,
            });
            let input_fields: Vec<InputField> = made_of.collect();
            if !input_fields.is_empty() {
                fields.insert(field.field.to_owned(), FieldLineage { input_fields });
            }
        }
        self.facets.column_lineage = Some(Producer::new(PRODUCER).says(ColumnLineage { fields }));
        self
    }

    /// One that the catalog does not have, such as the files of a sink.
    pub(crate) fn named(id: &DatasetId) -> Self {
        Self { name: id.to_string(), facets: DatasetFacets::default() }
    }
}

fn transformation(input: &Input) -> Transformation {
    let when = input.when.map(|when| format!("when {when}")).unwrap_or_default();
    let transformation = match input.derivation {
        Derivation::Identity => Transformation::identity(),
        Derivation::Kept => Transformation::transformed("kept under its own name"),
        Derivation::Transformed => Transformation::transformed(""),
    };
    let description = [transformation.description.as_str(), &when];
    let description: Vec<&str> = description.into_iter().filter(|part| !part.is_empty()).collect();
    Transformation { description: description.join(", "), ..transformation }
}

/// What is told of the runs of an ingestion.
pub(crate) struct IngestionEvents {
    namespace: String,
    ingestion: Ingestion,
    input: Described,
    output: Described,
    /// Told when something has been said.
    news: Arc<Notify>,
}

impl IngestionEvents {
    /// Of an ingestion that reads one dataset and writes another.
    pub(crate) fn new(
        namespace: &str,
        ingestion: Ingestion,
        input: Described,
        output: Described,
        news: Arc<Notify>,
    ) -> Self {
        Self { namespace: namespace.to_owned(), ingestion, input, output, news }
    }

    fn event(&self, state: RunState, run: &str, error: Option<String>) -> RunEvent {
        let producer = Producer::new(PRODUCER);
        let engine = ProcessingEngine { version: env!("CARGO_PKG_VERSION").to_owned(), name: "cdm".to_owned() };
        let error = error.map(|message| ErrorMessage { message, programming_language: "RUST".to_owned() });
        let run = Run::new(run_id(run)).facets(RunFacets {
            processing_engine: Some(producer.says(engine)),
            error_message: error.map(|error| producer.says(error)),
        });
        let job_type = JobType {
            processing_type: "BATCH".to_owned(),
            integration: "CDM".to_owned(),
            job_type: "INGESTION".to_owned(),
        };
        let job = Job::new(&self.namespace, self.ingestion.to_string())
            .facets(JobFacets { job_type: Some(producer.says(job_type)) });
        RunEvent::new(state, now(), run, job, &producer)
    }

    /// The event with its datasets: so many records were read, and so many rows written.
    fn with_datasets(&self, event: RunEvent, whole: bool, read: Option<u64>, written: Option<u64>) -> RunEvent {
        let producer = Producer::new(PRODUCER);
        let dataset = |described: &Described| {
            let dataset = Dataset::new(&self.namespace, &described.name);
            if whole { dataset.facets(described.facets.clone()) } else { dataset }
        };
        let metrics = read.map(|row_count| DataQualityMetrics { row_count, ..DataQualityMetrics::default() });
        let statistics = written.map(|row_count| OutputStatistics { row_count });
        let input = InputFacets { data_quality_metrics: metrics.map(|metrics| producer.says(metrics)) };
        let output = OutputFacets { output_statistics: statistics.map(|statistics| producer.says(statistics)) };
        event.reads(dataset(&self.input).read(input)).writes(dataset(&self.output).written(output))
    }

    fn message(&self, run: &str, id: &str, event: &RunEvent) -> Result<Message> {
        let payload = event.to_json().map_err(unwritable)?;
        Ok(Message::new(self.ingestion.to_string(), run, format!("{run}/{id}"), payload))
    }

    fn opened(&self, run: &Resume) -> Result<Vec<Message>> {
        let mut messages = Vec::new();
        if let Some(abandoned) = &run.abandoned {
            let reason = format!("given up for run {}, which reads from the beginning", run.run_id);
            let event = self.event(RunState::Abort, abandoned.as_str(), Some(reason));
            let event = self.with_datasets(event, false, None, None);
            messages.push(self.message(abandoned.as_str(), "abandoned", &event)?);
        }
        let id = run.run_id.as_str();
        // Also of a run that is continued: whoever began it may have been killed before saying so.
        let start = self.with_datasets(self.event(RunState::Start, id, None), true, None, None);
        messages.push(self.message(id, "start", &start)?);
        if run.continues() {
            let event = self.with_datasets(self.event(RunState::Running, id, None), false, None, None);
            messages.push(self.message(id, &format!("continued/{}", run.fence), &event)?);
        }
        Ok(messages)
    }

    fn ended(&self, run: &Resume, end: RunEnd, counts: &Counts, error: Option<&Error>) -> Result<Message> {
        let id = run.run_id.as_str();
        let (read, written) = (Some(counts.total()), Some(counts.inserted + counts.updated));
        let reason = error.map(ToString::to_string);
        let (state, name) = match end {
            RunEnd::Succeeded => {
                let event = self.with_datasets(self.event(RunState::Complete, id, None), true, read, written);
                return self.message(id, "complete", &event);
            }
            RunEnd::Interrupted | RunEnd::Abandoned => (RunState::Abort, "abort"),
            _ => (RunState::Fail, "fail"),
        };
        let event = self.with_datasets(self.event(state, id, reason), true, read, written);
        self.message(id, &format!("{name}/{}", run.fence), &event)
    }
}

impl Teller for IngestionEvents {
    fn tell(&self, run: &Resume, moment: &Moment<'_>) -> Result<Vec<Message>> {
        let messages = match *moment {
            Moment::Opened => self.opened(run)?,
            Moment::Loaded { slice, records } => {
                let id = run.run_id.as_str();
                let event = self.event(RunState::Running, id, None);
                let event = self.with_datasets(event, false, Some(records), None);
                vec![self.message(id, &format!("slice/{slice}"), &event)?]
            }
            Moment::Ended { end, counts, error } => vec![self.ended(run, end, counts, error)?],
        };
        self.news.notify_one();
        Ok(messages)
    }
}

/// What is told of a dataset, once for each version that the catalog has of it.
pub(crate) fn dataset_message(namespace: &str, registered: &Registered) -> Result<Message> {
    let Described { name, facets } = Described::of(registered);
    let dataset = Dataset::new(namespace, &name).facets(facets);
    let event = DatasetEvent::new(registered.updated_at, dataset, &Producer::new(PRODUCER));
    let version = format!("version/{}", registered.version);
    let payload = event.to_json().map_err(unwritable)?;
    Ok(Message::new(format!("dataset {name}"), &version, format!("{name}/{version}"), payload))
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Internal, "tell of a run", "an event cannot be written as JSON").caused_by(error)
}
