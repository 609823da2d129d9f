use endpoint_api::Result;

use super::{Engine, Parameter, datasets, no_such_dataset};
use crate::{DatasetId, LoadFacts};

const RECORD: &str = "record a load";

pub(super) async fn record<E: Engine>(engine: &E, dataset: &DatasetId, load: &LoadFacts) -> Result<()> {
    // A dataset is never removed: what is there now is there when the next statement runs.
    if datasets::find(engine, dataset).await?.is_none() {
        return Err(no_such_dataset(RECORD, dataset));
    }
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
