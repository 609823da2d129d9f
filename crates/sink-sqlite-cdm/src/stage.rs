use endpoint_api::{CdmBatch, Result};
use relational::{Identifier, batch_columns, plumbing, row_columns};
use rusqlite::{Connection, ToSql, params_from_iter, types::ToSqlOutput};

use crate::{cells, database::During as _, target::Target};

/// The temporary table into which a load puts its rows, on its own connection.
pub(crate) const STAGE: &str = "temp._cdm_stage";

const OPERATION: &str = "stage rows";

/// What a staged row is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Upsert = 0,
    Revive = 1,
    Delete = 2,
}

/// The statements that fill the stage.
pub(crate) struct Staging {
    columns: Vec<(String, relational::ColumnType)>,
    create: String,
    insert: String,
}

impl Staging {
    pub(crate) fn of(target: &Target) -> Self {
        let columns = row_columns(&target.fields);
        let names: Vec<String> = columns.iter().map(|(name, _)| Identifier::derived(name).to_string()).collect();
        let places = vec!["?"; names.len() + 2].join(", ");
        Self {
            create: format!(
                "create table if not exists {STAGE} (_cdm_purpose, _cdm_row, {names}); \
                 create index if not exists temp._cdm_stage_key on _cdm_stage (_cdm_purpose, {key}, {rank})",
                names = names.join(", "),
                key = target.key,
                rank = plumbing::RANK,
            ),
            insert: format!("insert into {STAGE} values ({places})"),
            columns,
        }
    }

    /// Stages rows of a batch; says which ones cannot be stored, and why.
    pub(crate) fn fill(
        &self,
        connection: &Connection,
        batch: &CdmBatch,
        rows: &[(usize, Purpose)],
    ) -> Result<Vec<(usize, String)>> {
        let columns = batch_columns(batch, &self.columns)?;
        connection.execute_batch(&self.create).during(OPERATION)?;
        let mut statement = connection.prepare_cached(&self.insert).during(OPERATION)?;
        let mut refused = Vec::new();
        // One transaction, unless one is open already: of the temporary file only.
        let is_own = connection.is_autocommit();
        if is_own {
            connection.execute_batch("begin").during(OPERATION)?;
        }
        for &(row, purpose) in rows {
            let values: Result<Vec<ToSqlOutput<'_>>> = columns.iter().map(|column| cells::value(column, row)).collect();
            match values {
                Ok(values) => {
                    let place = i64::try_from(row).unwrap_or(i64::MAX);
                    let before = [purpose as i64, place];
                    let before = before.iter().map(|value| value as &dyn ToSql);
                    let values = before.chain(values.iter().map(|value| value as &dyn ToSql));
                    statement.execute(params_from_iter(values)).during(OPERATION)?;
                }
                Err(error) => refused.push((row, error.message().to_owned())),
            }
        }
        if is_own {
            connection.execute_batch("commit").during(OPERATION)?;
        }
        Ok(refused)
    }
}
