//! What a sink says to its database to have rows loaded again that are not as they were stored.

use crate::plumbing;

/// The assignments that make a row one that any record of its rank replaces, written as the database writes an empty
/// sequence of bytes.
pub fn as_replaceable(empty: &str) -> String {
    format!(
        "{hash} = {empty}, {source_hash} = null, {version_at} = null, {observation} = 0, {revision} = 0",
        hash = plumbing::CONTENT_HASH,
        source_hash = plumbing::SOURCE_HASH,
        version_at = plumbing::VERSION_AT,
        observation = plumbing::OBSERVATION,
        revision = plumbing::MAPPER_REVISION,
    )
}

/// The statement that makes every row of a table one that a record of the same version replaces, written as
/// [`as_replaceable`] is.
pub fn mark_rows(table: &str, empty: &str) -> String {
    format!(
        "update {table} set {hash} = {empty}, {source_hash} = null where {hash} <> {empty}",
        hash = plumbing::CONTENT_HASH,
        source_hash = plumbing::SOURCE_HASH,
    )
}

/// The statement after which the next run of every ingestion that feeds a table reads all there is, and after which
/// they have inserted so many rows less; `table` and `missing` are what stands for the two values.
pub fn recount(ingestions: &str, table: &str, missing: &str) -> String {
    format!(
        "update {ingestions} set checkpoint = null, rows_inserted = rows_inserted - \
         case when ingestion = (select m.ingestion from {ingestions} m where m.table_name = {table} \
         order by m.rows_inserted desc, m.ingestion limit 1) then {missing} else 0 end \
         where table_name = {table}"
    )
}
