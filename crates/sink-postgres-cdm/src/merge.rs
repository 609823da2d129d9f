use relational::{Identifier, newer, plumbing, row_columns};

use crate::state::Target;

/// The temporary table into which a load copies its rows.
pub(crate) const STAGE: &str = "pg_temp._cdm_stage";

/// What a staged row is for, in the first column of the stage.
pub(crate) const UPSERT: i16 = 0;
pub(crate) const REVIVE: i16 = 1;
pub(crate) const DELETE: i16 = 2;
/// As `UPSERT`, of a key that the load has merged or inserted before.
pub(crate) const AGAIN: i16 = 3;

/// Below all times.
const LEAST_TIME: &str = "'-infinity'";

/// The statements that a load into one table needs.
///
/// In those that merge, `$1` is the observation, `$2` the mapper's revision, `$3` the run's id and
/// `$4` the source endpoint.
#[derive(Debug)]
pub(crate) struct Statements {
    /// Makes the stage: gone at the end of the transaction.
    pub(crate) create_stage: String,
    /// Copies rows into the stage.
    pub(crate) copy: String,
    /// How many different keys there are to store, to revive and to delete, how many rows of keys that were merged
    /// before, and how many mentions to store.
    pub(crate) count: String,
    /// To how many of the keys to store there are mentions only.
    pub(crate) count_mentions: String,
    /// How many of the greatest rows of their keys are stored exactly so already: records, then mentions.
    pub(crate) count_unchanged: String,
    /// Merges the rows to store; answers how many were inserted and how many replaced one, of the records and then of
    /// the mentions.
    pub(crate) merge: String,
    /// As `merge`, where rows that are not above the stored one may be staged: they are left out
    /// beforehand, for the merge itself would lock the stored row.
    pub(crate) merge_contested: String,
    /// As `merge`, for the rows whose keys the load has merged or inserted before.
    pub(crate) merge_again: String,
    /// Copies rows that are not there yet straight into the table.
    pub(crate) copy_straight: String,
    /// Empties the stage.
    pub(crate) clear_stage: String,
    /// Brings deleted records back to life.
    pub(crate) revive: String,
    /// Marks records as deleted.
    pub(crate) delete: String,
    /// After the merge: the keys of staged rows that are not in the table, or not as the row says, although nothing there
    /// is greater. `$1` and `$2` are as in those that merge.
    pub(crate) dropped: String,
}

/// The plumbing columns that are the same for all rows of a load, in the order in which they are copied
/// straight into the table.
pub(crate) const LOAD_PLUMBING: [&str; 5] = [
    plumbing::OBSERVATION,
    plumbing::MAPPER_REVISION,
    plumbing::RUN_ID,
    plumbing::SOURCE_ENDPOINT,
    plumbing::INGESTED_AT,
];

impl Statements {
    pub(crate) fn of(target: &Target) -> Self {
        let table = &target.table;
        let key = &target.key;
        let quoted: Vec<String> =
            row_columns(&target.fields).iter().map(|(name, _)| Identifier::derived(name).to_string()).collect();
        let columns = quoted.join(", ");
        let from_winner: Vec<String> = quoted.iter().map(|column| format!("w.{column}")).collect();
        let replaced: Vec<String> = quoted.iter().map(|column| format!("{column} = excluded.{column}")).collect();

        // Of the rows of one key the greatest, with what is the same for all of them.
        let winners = |purpose: i16| {
            format!(
                "(select distinct on (s.{key} collate \"C\") s.*, $1::bigint as {observation}, $2::integer as {revision} \
             from {STAGE} s where s._cdm_purpose = {purpose} \
             order by s.{key} collate \"C\", s.{rank} > 0 desc, \
             s.{version_at} desc nulls last, s.{rank} desc, s.{hash} desc) w",
                observation = plumbing::OBSERVATION,
                revision = plumbing::MAPPER_REVISION,
                rank = plumbing::RANK,
                version_at = plumbing::VERSION_AT,
                hash = plumbing::CONTENT_HASH,
            )
        };
        let merge = |purpose: i16, only: &str| {
            format!(
                "with merged as (insert into {table} as t \
                 ({columns}, {observation}, {revision}, {run_id}, {source}, {ingested_at}) \
                 select {from_winner}, w.{observation}, w.{revision}, $3, $4, now() from {winners} {only} \
                 order by w.{key} collate \"C\" \
                 on conflict ({key}) do update set {replaced}, {revision} = excluded.{revision}, \
                 {run_id} = excluded.{run_id}, {source} = excluded.{source}, {ingested_at} = excluded.{ingested_at}, \
                 {observation} = greatest(t.{observation}, excluded.{observation}), \
                 {deleted_at} = case when excluded.{observation} > t.{observation} \
                 and (excluded.{rank} > 0 or t.{rank} = 0) then null else t.{deleted_at} end \
                 where {is_newer} \
                 returning xmax = 0 as inserted, t.{rank} > 0 as is_record) \
                 select count(*) filter (where inserted and is_record), \
                 count(*) filter (where not inserted and is_record), \
                 count(*) filter (where inserted and not is_record), \
                 count(*) filter (where not inserted and not is_record) from merged",
                winners = winners(purpose),
                from_winner = from_winner.join(", "),
                replaced = replaced.join(", "),
                observation = plumbing::OBSERVATION,
                revision = plumbing::MAPPER_REVISION,
                run_id = plumbing::RUN_ID,
                source = plumbing::SOURCE_ENDPOINT,
                ingested_at = plumbing::INGESTED_AT,
                deleted_at = plumbing::DELETED_AT,
                rank = plumbing::RANK,
                is_newer = newer("excluded", "t", LEAST_TIME),
            )
        };
        let presence = |purpose: i16, deleted_at: &str, condition: &str| {
            format!(
                "with touched as (select t.{key} from {table} t where exists \
                 (select from {STAGE} s where s._cdm_purpose = {purpose} and s.{key} = t.{key}) and {condition} \
                 order by t.{key} collate \"C\" for update) \
                 update {table} t set {deleted_at_column} = {deleted_at}, {run_id} = $2, {ingested_at} = now(), \
                 {observation} = greatest(t.{observation}, $1) \
                 from touched where t.{key} = touched.{key}",
                deleted_at_column = plumbing::DELETED_AT,
                run_id = plumbing::RUN_ID,
                ingested_at = plumbing::INGESTED_AT,
                observation = plumbing::OBSERVATION,
            )
        };
        let (deleted, observed) = (plumbing::DELETED_AT, plumbing::OBSERVATION);
        let is_revived_later = format!("t.{deleted} is not null and t.{observed} < $1");
        let is_deleted_later = format!("t.{deleted} is null and t.{observed} <= $1");
        Self {
            create_stage: format!(
                "create temporary table _cdm_stage on commit drop as \
                 select 0::smallint as _cdm_purpose, {columns} from {table} with no data"
            ),
            copy: format!("copy {STAGE} (_cdm_purpose, {columns}) from stdin (format binary)"),
            count: format!(
                "select count(distinct {key}) filter (where _cdm_purpose = {UPSERT}), \
                 count(distinct {key}) filter (where _cdm_purpose = {REVIVE}), \
                 count(distinct {key}) filter (where _cdm_purpose = {DELETE}), \
                 count(*) filter (where _cdm_purpose = {AGAIN}), \
                 count(*) filter (where _cdm_purpose = {UPSERT} and {rank} = 0) from {STAGE}",
                rank = plumbing::RANK,
            ),
            count_mentions: format!(
                "select count(distinct {key}) - count(distinct {key}) filter (where {rank} > 0) from {STAGE} \
                 where _cdm_purpose = {UPSERT}",
                rank = plumbing::RANK,
            ),
            count_unchanged: format!(
                "select count(*) filter (where w.{rank} > 0), count(*) filter (where w.{rank} = 0) \
                 from {winners} join {table} x on x.{key} = w.{key} \
                 where (x.{rank}, coalesce(x.{version_at}, {LEAST_TIME}), x.{hash}) = \
                 (w.{rank}, coalesce(w.{version_at}, {LEAST_TIME}), w.{hash})",
                winners = winners(UPSERT),
                rank = plumbing::RANK,
                version_at = plumbing::VERSION_AT,
                hash = plumbing::CONTENT_HASH,
            ),
            merge: merge(UPSERT, ""),
            merge_contested: merge(
                UPSERT,
                &format!(
                    "where not exists (select from {table} x where x.{key} = w.{key} and not ({}))",
                    newer("w", "x", LEAST_TIME)
                ),
            ),
            merge_again: merge(AGAIN, ""),
            copy_straight: format!("copy {table} ({columns}, {}) from stdin (format binary)", LOAD_PLUMBING.join(", ")),
            clear_stage: format!("delete from {STAGE}"),
            dropped: format!(
                "select distinct w.{key} from (select s.*, $1::bigint as {observed}, $2::integer as {revision} \
                 from {STAGE} s) w left join {table} t on t.{key} = w.{key} \
                 where case when w._cdm_purpose = {DELETE} then t.{key} is not null and {is_deleted_later} \
                 when t.{key} is null then true when w._cdm_purpose = {REVIVE} then {is_revived_later} \
                 else {is_newer} end",
                revision = plumbing::MAPPER_REVISION,
                is_newer = newer("w", "t", LEAST_TIME),
            ),
            revive: presence(REVIVE, "null", &is_revived_later),
            delete: presence(DELETE, "now()", &is_deleted_later),
        }
    }
}
