use cdm_models::Timestamp;
use endpoint_api::{Error, ErrorKind, Result};

use super::{ATTEMPTS, Engine, Parameter, Row, cell::damaged, datasets, no_such_dataset, overtaken};
use crate::{
    AnnotationEdit, AnnotationVersion, Annotations, Dataset, DatasetId, DatasetKind, Expectations, Interval, RowBand,
};

const ANNOTATE: &str = "annotate a dataset";

pub(super) async fn annotate<E: Engine>(
    engine: &E,
    id: &DatasetId,
    edit: &AnnotationEdit,
    at: Timestamp,
) -> Result<Annotations> {
    let dataset = datasets::find(engine, id).await?.ok_or_else(|| no_such_dataset(ANNOTATE, id))?;
    must_have_fields(&dataset, edit)?;
    for _ in 0..ATTEMPTS {
        let known = versions(engine, id).await?.pop();
        let (known, version) = known.map(|known| (known.annotations, known.version)).unwrap_or_default();
        let edited = edit.over(&known);
        if edited == known || insert(engine, id, &edited, version + 1, at).await? {
            return Ok(edited);
        }
    }
    Err(overtaken(ANNOTATE).with("dataset", id))
}

fn must_have_fields(dataset: &Dataset, edit: &AnnotationEdit) -> Result<()> {
    if dataset.spec.kind() != DatasetKind::CdmTable {
        return Ok(());
    }
    let fields = dataset.spec.fields();
    match edit.noted_fields().find(|noted| fields.iter().all(|field| field.name != *noted)) {
        None => Ok(()),
        Some(unknown) => {
            let known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            let message = format!("the dataset has no field `{unknown}`; it has {}", known.join(", "));
            Err(Error::new(ErrorKind::Config, ANNOTATE, message).with("dataset", dataset.spec.id()))
        }
    }
}

/// Adds a version. Says whether it was the first to do so: of several who follow the same version one gets through.
async fn insert<E: Engine>(
    engine: &E,
    id: &DatasetId,
    annotations: &Annotations,
    version: u64,
    at: Timestamp,
) -> Result<bool> {
    let statement = format!(
        "insert into {schema}annotation_version (dataset_id, version, description, owner, tags, notes,
             expect_every_seconds, expect_rows_from, expect_rows_to, annotated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (dataset_id, version) do nothing",
        schema = E::SCHEMA,
    );
    let Expectations { every, rows } = annotations.expectations;
    let parameters = vec![
        Parameter::text(id),
        Parameter::count(version)?,
        Parameter::Text(annotations.description.clone()),
        Parameter::Text(annotations.owner.clone()),
        Parameter::json(&annotations.tags)?,
        Parameter::json(&annotations.notes)?,
        Parameter::optional_count(every.map(|every| every.seconds().into()))?,
        Parameter::optional_count(rows.and_then(RowBand::from))?,
        Parameter::optional_count(rows.and_then(RowBand::to))?,
        Parameter::time(at),
    ];
    Ok(engine.execute(ANNOTATE, statement, parameters).await? == 1)
}

/// Every version of what people wrote about a dataset, the oldest first.
pub(super) async fn versions<E: Engine>(engine: &E, id: &DatasetId) -> Result<Vec<AnnotationVersion>> {
    let statement = format!("select * from {}annotation_version where dataset_id = $1 order by version", E::SCHEMA);
    let rows = engine.query("look up what people wrote", statement, vec![Parameter::text(id)]).await?;
    let version = |row: &Row| {
        Ok(AnnotationVersion {
            version: row.count("version")?,
            at: row.time("annotated_at")?,
            annotations: read(row, "description")?,
        })
    };
    rows.iter().map(|row| version(row).map_err(|error: Error| error.with("dataset", id))).collect()
}

/// What people wrote, with their description in that column; nothing where no version of it is.
pub(super) fn read(row: &Row, description: &'static str) -> Result<Annotations> {
    let every = row.optional_count("expect_every_seconds")?;
    let every = every.map(|seconds| {
        u32::try_from(seconds).ok().and_then(Interval::of_seconds).ok_or_else(|| damaged("expect_every_seconds"))
    });
    let rows = match (row.optional_count("expect_rows_from")?, row.optional_count("expect_rows_to")?) {
        (None, None) => None,
        (from, to) => Some(RowBand::new(from, to).ok_or_else(|| damaged("expect_rows_to"))?),
    };
    Ok(Annotations {
        description: row.optional_text(description)?.map(str::to_owned),
        owner: row.optional_text("owner")?.map(str::to_owned),
        tags: row.optional_json("tags")?.unwrap_or_default(),
        notes: row.optional_json("notes")?.unwrap_or_default(),
        expectations: Expectations { every: every.transpose()?, rows },
    })
}
