use cdm_models::Timestamp;
use endpoint_api::{Error, ProvisionedModel, Result};

use super::{ATTEMPTS, Engine, Parameter, Row, annotations, cell::damaged, overtaken};
use crate::{
    Cause, Dataset, DatasetFilter, DatasetId, DatasetKind, DatasetSpec, DatasetVersion, LoadFacts, Registration,
    Subject,
};

const REGISTER: &str = "register a dataset";

pub(super) async fn register<E: Engine>(
    engine: &E,
    spec: &DatasetSpec,
    cause: &Cause,
    at: Timestamp,
) -> Result<Registration> {
    let id = spec.id();
    for _ in 0..ATTEMPTS {
        let (merged, version, registered_at) = match find(engine, &id).await? {
            None => (spec.clone(), 1, at),
            Some(known) => {
                let merged = spec.over(&known.spec)?;
                if merged == known.spec {
                    return Ok(Registration::new(false, known.version));
                }
                (merged, known.version + 1, known.registered_at)
            }
        };
        if insert(engine, &merged, version, cause, [registered_at, at]).await? {
            return Ok(Registration::new(true, version));
        }
    }
    Err(overtaken(REGISTER).with("dataset", id))
}

/// Adds a version. Says whether it was the first to do so: of several who follow the same version one gets through.
async fn insert<E: Engine>(
    engine: &E,
    spec: &DatasetSpec,
    version: u64,
    cause: &Cause,
    [registered_at, stated_at]: [Timestamp; 2],
) -> Result<bool> {
    let statement = format!(
        "insert into {schema}dataset_version (dataset_id, kind, endpoint_id, unit_id, model_id, model_version,
             provisioned_version, plan_hash, provisioned_at, location, description, fields, upstream, mapping,
             version, cause, cause_id, registered_at, stated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
         on conflict (dataset_id, version) do nothing",
        schema = E::SCHEMA,
    );
    let mut parameters = columns(spec)?;
    parameters.extend([
        Parameter::count(version)?,
        Parameter::text(cause.kind()),
        Parameter::optional_text(cause.id()),
        Parameter::time(registered_at),
        Parameter::time(stated_at),
    ]);
    Ok(engine.execute(REGISTER, statement, parameters).await? == 1)
}

/// The columns of a spec, in the order in which the statement has them.
fn columns(spec: &DatasetSpec) -> Result<Vec<Parameter>> {
    let (unit, version, provisioned) = match spec.subject() {
        Subject::SourceUnit { unit, .. } => (Some(unit), None, None),
        Subject::CdmTable { version, provisioned, .. } => (None, Some(version), Some(provisioned)),
    };
    Ok(vec![
        Parameter::text(spec.id()),
        Parameter::text(spec.kind().as_str()),
        Parameter::text(spec.endpoint()),
        Parameter::optional_text(unit),
        Parameter::optional_text(spec.cdm_model()),
        Parameter::optional_text(version),
        Parameter::optional_text(provisioned.map(|provisioned| &provisioned.version)),
        Parameter::optional_text(provisioned.map(|provisioned| &provisioned.plan_hash)),
        Parameter::Time(provisioned.map(|provisioned| provisioned.provisioned_at)),
        Parameter::text(spec.location()),
        Parameter::text(spec.description()),
        Parameter::json(&spec.fields())?,
        Parameter::json(spec.upstream())?,
        Parameter::optional_json(spec.mapping())?,
    ])
}

/// The newest version of each dataset that is wanted, with what people wrote and the last load.
fn select<E: Engine>(which: &str) -> String {
    format!(
        "select dataset.*, annotation.description as people_description, annotation.owner, annotation.tags,
             annotation.notes, annotation.expect_every_seconds, annotation.expect_rows_from, annotation.expect_rows_to,
             annotation.annotated_at, last_load.run_id, last_load.loaded_at, last_load.row_count
         from {schema}dataset_version as dataset
         left join {schema}annotation_version as annotation
             on annotation.dataset_id = dataset.dataset_id
             and annotation.version = (select max(newest.version) from {schema}annotation_version as newest
                 where newest.dataset_id = dataset.dataset_id)
         left join {schema}dataset_load as last_load on last_load.dataset_id = dataset.dataset_id
         where dataset.version = (select max(newest.version) from {schema}dataset_version as newest
                 where newest.dataset_id = dataset.dataset_id)
             and {which}
         order by dataset.dataset_id",
        schema = E::SCHEMA,
    )
}

pub(super) async fn find<E: Engine>(engine: &E, id: &DatasetId) -> Result<Option<Dataset>> {
    let statement = select::<E>("dataset.dataset_id = $1");
    let rows = engine.query("look a dataset up", statement, vec![Parameter::text(id)]).await?;
    rows.first().map(read).transpose()
}

pub(super) async fn list<E: Engine>(engine: &E, filter: &DatasetFilter) -> Result<Vec<Dataset>> {
    let statement = select::<E>(
        "($1 is null or dataset.kind = $1) and ($2 is null or dataset.endpoint_id = $2)
             and ($3 is null or dataset.model_id = $3)",
    );
    let parameters = vec![
        Parameter::optional_text(filter.kind.map(DatasetKind::as_str)),
        Parameter::optional_text(filter.endpoint.as_ref()),
        Parameter::optional_text(filter.cdm_model.as_ref()),
    ];
    engine.query("list datasets", statement, parameters).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Dataset> {
    let columns = || {
        Ok(Dataset {
            spec: read_spec(row)?,
            annotations: annotations::read(row, "people_description")?,
            annotated_at: row.optional_time("annotated_at")?,
            last_load: match row.optional_parsed("run_id")? {
                None => None,
                Some(run_id) => Some(LoadFacts::new(run_id, row.time("loaded_at")?, row.optional_count("row_count")?)),
            },
            version: row.count("version")?,
            registered_at: row.time("registered_at")?,
            updated_at: row.time("stated_at")?,
        })
    };
    columns().map_err(|error| of_dataset(row, error))
}

/// Every version of a dataset, the oldest first.
pub(super) async fn versions<E: Engine>(engine: &E, id: &DatasetId) -> Result<Vec<DatasetVersion>> {
    let statement = format!("select * from {}dataset_version where dataset_id = $1 order by version", E::SCHEMA);
    let rows = engine.query("look a dataset's history up", statement, vec![Parameter::text(id)]).await?;
    let version = |row: &Row| {
        Ok(DatasetVersion {
            version: row.count("version")?,
            at: row.time("stated_at")?,
            cause: read_cause(row)?,
            spec: read_spec(row)?,
        })
    };
    rows.iter().map(|row| version(row).map_err(|error| of_dataset(row, error))).collect()
}

fn read_cause(row: &Row) -> Result<Option<Cause>> {
    Ok(match row.optional_text("cause")? {
        None => None,
        Some("provisioning") => Some(Cause::Provisioning { plan_hash: row.text("cause_id")?.to_owned() }),
        Some("run") => Some(Cause::Run(row.parsed("cause_id")?)),
        Some("discovery") => Some(Cause::Discovery),
        Some(_) => return Err(damaged("cause")),
    })
}

fn of_dataset(row: &Row, error: Error) -> Error {
    match row.text("dataset_id") {
        Ok(id) => error.with("dataset", id),
        Err(_) => error,
    }
}

fn read_spec(row: &Row) -> Result<DatasetSpec> {
    let subject = match row.text("kind")? {
        kind if kind == DatasetKind::SourceUnit.as_str() => Subject::SourceUnit {
            unit: row.parsed("unit_id")?,
            source: row.parsed("endpoint_id")?,
            feeds: row.optional_parsed("model_id")?,
        },
        kind if kind == DatasetKind::CdmTable.as_str() => Subject::CdmTable {
            model: row.parsed("model_id")?,
            version: row.parsed("model_version")?,
            sink: row.parsed("endpoint_id")?,
            provisioned: ProvisionedModel::new(
                row.parsed("provisioned_version")?,
                row.text("plan_hash")?.to_owned(),
                row.time("provisioned_at")?,
            ),
        },
        _ => return Err(damaged("kind")),
    };
    Ok(DatasetSpec {
        subject,
        location: row.text("location")?.to_owned(),
        description: row.text("description")?.to_owned(),
        fields: row.json("fields")?,
        upstream: row.json("upstream")?,
        mapping: row.optional_json("mapping")?,
    })
}
