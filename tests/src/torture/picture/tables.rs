use std::collections::BTreeMap;

use super::super::{Target, scene::Scene};

/// The tables of the models.
pub(in super::super) const MODELS: [&str; 5] =
    ["cdm_work_project", "cdm_work_user", "cdm_work_item", "cdm_work_comment", "cdm_work_worklog"];

/// Columns whose values differ from load to load.
const VOLATILE: [&str; 5] =
    ["_cdm_observation", "_cdm_run_id", "_cdm_ingested_at", "_cdm_source_hash", "_cdm_deleted_at"];

/// What tables hold.
pub(super) fn parts(scene: &Scene<'_>) -> BTreeMap<String, Vec<Vec<String>>> {
    let (reject, load, ingestion) =
        (scene.table("_cdm_reject"), scene.table("_cdm_load"), scene.table("_cdm_ingestion"));
    let rejects =
        format!("select id, ingestion, stage, reason, field, origin, key, raw_length, raw_hash from {reject}");
    // Runs of an ingestion are counted from the first.
    let ledger = format!(
        "with runs as (select ingestion, run_id, \
         row_number() over (partition by ingestion order by min(fence)) as run from {load} group by 1, 2) \
         select ingestion, run, slice, receipt, resume_at from {load} join runs using (ingestion, run_id)"
    );
    let fingerprints = match scene.stage.target {
        Target::Postgres => "(r.value->>'fingerprint')",
        _ => "json_extract(r.value, '$.fingerprint')",
    };
    let standing = format!(
        "select ingestion, model, table_name, status, rows_inserted, checkpoint, \
         (select string_agg(r.key || ' ' || {fingerprints}, ' ' order by r.key) from json_each(resources) r) \
         from {ingestion}"
    );
    let mut parts = BTreeMap::from([
        ("rejects".to_owned(), scene.query(&rejects)),
        ("ledger".to_owned(), scene.query(&ledger)),
        ("standing".to_owned(), scene.query(&standing)),
    ]);
    for model in MODELS {
        parts.insert(model.to_owned(), scene.query(&rows(scene, model)));
    }
    parts
}

/// The query for the rows of a model as they are stored, which is not as `jsonb` would show them.
fn rows(scene: &Scene<'_>, model: &str) -> String {
    let table = scene.table(model);
    if scene.stage.target == Target::Postgres {
        let volatile = VOLATILE.map(|column| format!("'{column}'")).join(", ");
        return format!(
            "select cdm_id, (to_jsonb(t) - array[{volatile}, 'raw_source'])::text, raw_source, \
             _cdm_deleted_at is not null from {table} t"
        );
    }
    let columns = scene.query(&format!("select name from pragma_table_info('{model}')")).into_iter().flatten();
    let lasting: Vec<String> = columns.filter(|column| !VOLATILE.contains(&column.as_str())).collect();
    format!("select {}, _cdm_deleted_at is not null from {table}", lasting.join(", "))
}

/// Which version of each row of the models there is: another one where a row was written since.
pub(in super::super) fn row_versions(scene: &Scene<'_>) -> Vec<Vec<String>> {
    let version = match scene.stage.target {
        Target::Postgres => "xmin::text, xmax::text, ctid::text",
        _ => "rowid, _cdm_observation, _cdm_run_id, _cdm_ingested_at",
    };
    let of_model = |model| format!("select '{model}', cdm_id, {version} from {}", scene.table(model));
    scene.query(&format!("{} order by 1, 2", MODELS.map(of_model).join(" union all ")))
}
