use cdm_models::Timestamp;
use endpoint_api::{Error, ErrorKind, ProvisionedModel, Result};

use super::{ATTEMPTS, Engine, Parameter, Row, cell::damaged, overtaken};
use crate::{
    Annotations, Dataset, DatasetFilter, DatasetId, DatasetKind, DatasetSpec, LoadFacts, Registration, Subject,
};

const REGISTER: &str = "register a dataset";
const ANNOTATE: &str = "annotate a dataset";
const RECORD: &str = "record a load";

pub(super) async fn register<E: Engine>(engine: &E, spec: &DatasetSpec, at: Timestamp) -> Result<Registration> {
    let id = spec.id();
    for _ in 0..ATTEMPTS {
        let Some(known) = find(engine, &id).await? else {
            if insert(engine, spec, at).await? {
                return Ok(Registration::new(true, 1));
            }
            continue;
        };
        let merged = spec.over(&known.spec)?;
        if merged == known.spec {
            return Ok(Registration::new(false, known.version));
        }
        if update(engine, &merged, known.version, at).await? {
            return Ok(Registration::new(true, known.version + 1));
        }
    }
    Err(overtaken(REGISTER).with("dataset", id))
}

async fn insert<E: Engine>(engine: &E, spec: &DatasetSpec, at: Timestamp) -> Result<bool> {
    let statement = format!(
        "insert into {schema}dataset (id, kind, endpoint_id, unit_id, model_id, model_version, provisioned_version,
             plan_hash, provisioned_at, location, description, fields, upstream, version, registered_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 1, $14, $14)
         on conflict (id) do nothing",
        schema = E::SCHEMA,
    );
    let mut parameters = columns(spec)?;
    parameters.push(Parameter::time(at));
    Ok(engine.execute(REGISTER, statement, parameters).await? == 1)
}

async fn update<E: Engine>(engine: &E, spec: &DatasetSpec, version: u64, at: Timestamp) -> Result<bool> {
    let statement = format!(
        "update {schema}dataset
         set kind = $2, endpoint_id = $3, unit_id = $4, model_id = $5, model_version = $6, provisioned_version = $7,
             plan_hash = $8, provisioned_at = $9, location = $10, description = $11, fields = $12, upstream = $13,
             version = version + 1, updated_at = $14
         where id = $1 and version = $15",
        schema = E::SCHEMA,
    );
    let mut parameters = columns(spec)?;
    parameters.extend([Parameter::time(at), Parameter::count(version)?]);
    Ok(engine.execute(REGISTER, statement, parameters).await? == 1)
}

/// The columns of a spec, in the order in which the statements have them.
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
    ])
}

pub(super) async fn record_load<E: Engine>(engine: &E, dataset: &DatasetId, load: &LoadFacts) -> Result<()> {
    must_exist(engine, RECORD, dataset).await?;
    // An update that changes nothing would still lock the row, so what is on record is left out before.
    let statement = format!(
        "insert into {schema}dataset_load as known (dataset_id, run_id, loaded_at, row_count)
         select $1, $2, $3, $4
         where not exists (select 1 from {schema}dataset_load as same where same.dataset_id = $1
             and same.run_id = $2 and same.loaded_at = $3 and same.row_count is not distinct from $4)
         on conflict (dataset_id) do update
         set run_id = excluded.run_id, loaded_at = excluded.loaded_at, row_count = excluded.row_count
         where excluded.loaded_at > known.loaded_at
            or (excluded.loaded_at = known.loaded_at
                and (excluded.run_id <> known.run_id or excluded.row_count is distinct from known.row_count))",
        schema = E::SCHEMA,
    );
    let parameters = vec![
        Parameter::text(dataset),
        Parameter::text(&load.run_id),
        Parameter::time(load.at),
        Parameter::optional_count(load.rows)?,
    ];
    engine.execute(RECORD, statement, parameters).await.map(|_| ())
}

pub(super) async fn annotate<E: Engine>(
    engine: &E,
    dataset: &DatasetId,
    annotations: &Annotations,
    at: Timestamp,
) -> Result<()> {
    must_exist(engine, ANNOTATE, dataset).await?;
    for _ in 0..ATTEMPTS {
        let statement = format!(
            "select description, owner, tags, version from {}dataset_annotation where dataset_id = $1",
            E::SCHEMA
        );
        let rows = engine.query(ANNOTATE, statement, vec![Parameter::text(dataset)]).await?;
        let (known, version) = match rows.first() {
            None => (Annotations::default(), 0),
            Some(row) => (read_annotations(row, "description")?, row.count("version")?),
        };
        let merged = annotations.over(&known);
        if merged == known {
            return Ok(());
        }
        let statement = if version == 0 {
            format!(
                "insert into {schema}dataset_annotation (dataset_id, description, owner, tags, annotated_at, version)
                 values ($1, $2, $3, $4, $5, $6 + 1)
                 on conflict (dataset_id) do nothing",
                schema = E::SCHEMA,
            )
        } else {
            format!(
                "update {schema}dataset_annotation
                 set description = $2, owner = $3, tags = $4, annotated_at = $5, version = version + 1
                 where dataset_id = $1 and version = $6",
                schema = E::SCHEMA,
            )
        };
        let parameters = vec![
            Parameter::text(dataset),
            Parameter::Text(merged.description),
            Parameter::Text(merged.owner),
            Parameter::optional_json(merged.tags.as_ref())?,
            Parameter::time(at),
            Parameter::count(version)?,
        ];
        if engine.execute(ANNOTATE, statement, parameters).await? == 1 {
            return Ok(());
        }
    }
    Err(overtaken(ANNOTATE).with("dataset", dataset))
}

/// A dataset is never removed: what is there now is there when the next statement runs.
async fn must_exist<E: Engine>(engine: &E, operation: &'static str, dataset: &DatasetId) -> Result<()> {
    let statement = format!("select id from {}dataset where id = $1", E::SCHEMA);
    if engine.query(operation, statement, vec![Parameter::text(dataset)]).await?.is_empty() {
        let message = "the catalog has no such dataset; it is there once it is registered";
        return Err(Error::new(ErrorKind::Config, operation, message).with("dataset", dataset));
    }
    Ok(())
}

fn select<E: Engine>(which: &str) -> String {
    format!(
        "select dataset.*, annotation.description as people_description, annotation.owner, annotation.tags,
             annotation.annotated_at, last_load.run_id, last_load.loaded_at, last_load.row_count
         from {schema}dataset as dataset
         left join {schema}dataset_annotation as annotation on annotation.dataset_id = dataset.id
         left join {schema}dataset_load as last_load on last_load.dataset_id = dataset.id
         where {which}
         order by dataset.id",
        schema = E::SCHEMA,
    )
}

pub(super) async fn find<E: Engine>(engine: &E, id: &DatasetId) -> Result<Option<Dataset>> {
    let statement = select::<E>("dataset.id = $1");
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
            annotations: read_annotations(row, "people_description")?,
            annotated_at: row.optional_time("annotated_at")?,
            last_load: match row.optional_parsed("run_id")? {
                None => None,
                Some(run_id) => Some(LoadFacts::new(run_id, row.time("loaded_at")?, row.optional_count("row_count")?)),
            },
            version: row.count("version")?,
            registered_at: row.time("registered_at")?,
            updated_at: row.time("updated_at")?,
        })
    };
    columns().map_err(|error: Error| match row.text("id") {
        Ok(id) => error.with("dataset", id),
        Err(_) => error,
    })
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
    })
}

fn read_annotations(row: &Row, description: &'static str) -> Result<Annotations> {
    Ok(Annotations {
        description: row.optional_text(description)?.map(str::to_owned),
        owner: row.optional_text("owner")?.map(str::to_owned),
        tags: row.optional_json("tags")?,
    })
}
