//! The tables that a SQL sink keeps beside those of the models: what is provisioned, of which sites the rows
//! are, where each ingestion stands, what was loaded, what was rejected and what is to be told.

use crate::{Column, ColumnType, Identifier, Index, Table};

/// One line a model table: what it was last made to fit.
pub const MODEL: &str = "_cdm_model";
/// One line a table prefix and source system: of which site the rows are.
pub const SITE: &str = "_cdm_site";
/// One line: the last fence that was given out.
pub const FENCE: &str = "_cdm_fence";
/// One line an ingestion and table: its fence, its run, its plan and its checkpoint. The table that an ingestion was
/// loaded into first has the line under the ingestion's own name.
pub const INGESTION: &str = "_cdm_ingestion";
/// The ledger: one line a committed slice.
pub const LOAD: &str = "_cdm_load";
/// One line a reject.
pub const REJECT: &str = "_cdm_reject";
/// One line a message that waits or has been delivered.
pub const OUTBOX: &str = "_cdm_outbox";

/// The columns of [`REJECT`] that came later: without them rows can be loaded, and nothing be dismissed.
pub const DISMISSAL: &[&str] = &["dismissed_at", "dismissed_by", "dismissed_reason", "dismissed_verdict"];
/// The columns of [`REJECT`] that came later: without them rows can be loaded, a replay knows no aliases, and a reject
/// stays when its record is loaded from another file.
pub const REJECT_RECORD: &[&str] = &["aliases", "row_key"];
/// What a record is rejected for, in SQL. A dismissal holds for this and nothing else.
pub const VERDICT: &str = "stage || ':' || coalesce(field, '') || ':' || reason";

/// Whether loads go without a column of one of the sink's own tables.
pub(crate) fn can_wait(table: &str, column: &str) -> bool {
    table == REJECT && (DISMISSAL.contains(&column) || REJECT_RECORD.contains(&column))
}

/// The names of these tables.
pub const NAMES: &[&str] = &[MODEL, SITE, FENCE, INGESTION, LOAD, REJECT, OUTBOX];

/// The tables in the order in which they are made.
pub fn tables() -> Vec<Table> {
    use ColumnType::{Bytes, Int16, Int64, RawJson, Text, Timestamp};
    let required = |name, column_type, comment| Column::new(name, column_type, comment).required();
    vec![
        table(
            MODEL,
            "What was provisioned: one line a model table.",
            &["table_name"],
            &[],
            vec![
                required("table_name", Text, "The model table, in this schema."),
                required("model", Text, "The model's id."),
                required("version", Text, "The version of the model that the table was last made to fit."),
                required("plan_hash", Text, "The hash of the plan that did it."),
                required("provisioned_at", Timestamp, "When."),
            ],
        ),
        table(
            SITE,
            "Of which site the rows of each source system are, so that two sites never replace each other's rows.",
            &["table_prefix", "source_system"],
            &[],
            vec![
                required("table_prefix", Text, "What the names of the model tables begin with."),
                required("source_system", Text, "The name that stands in the ids of the rows."),
                required("endpoint", Text, "The source endpoint that loaded them first."),
                Column::new("site", Text, "The site, such as `acme.atlassian.net`; null while it is not known."),
                required("recorded_at", Timestamp, "When the line was written."),
            ],
        ),
        table(
            FENCE,
            "The last fence that was given out: one line.",
            &["name"],
            &[],
            vec![required("name", Text, "Always `fence`."), required("value", Int64, "The last fence.")],
        ),
        table(
            INGESTION,
            "Where each ingestion stands.",
            &["ingestion"],
            &[],
            vec![
                required("ingestion", Text, "Source endpoint, unit, sink endpoint and mode."),
                required("model", Text, "The model that it feeds."),
                required("table_name", Text, "The table of the model, in this schema."),
                required(
                    "fence",
                    Int64,
                    "The fence of its newest run; whoever holds an older one commits nothing more.",
                ),
                required("run_id", Text, "Its newest run."),
                required("status", Text, "How that run is: running, succeeded, failed, interrupted or abandoned."),
                required("observation", Int64, "The first fence of that run."),
                Column::new("plan", RawJson, "The slices of that run."),
                Column::new("resources", RawJson, "Since which observation each resource has been as it is."),
                required("prefix", Int64, "How many slices of the plan are committed before the first gap."),
                Column::new("checkpoint", RawJson, "After which point the next run reads."),
                Column::new(
                    "holder",
                    Text,
                    "Who holds that run: process id and start of a backend, or `heartbeat` behind a pooler.",
                ),
                Column::new("beat_at", Timestamp, "When the holder behind a pooler gave its last sign of life."),
                required("rows_inserted", Int64, "How many rows all runs of the ingestion have inserted."),
                required("started_at", Timestamp, "When that run was first opened."),
                required("opened_at", Timestamp, "When that run was last opened."),
                Column::new("ended_at", Timestamp, "When that run ended."),
            ],
        ),
        table(
            LOAD,
            "The ledger: one line a committed slice.",
            &["ingestion", "run_id", "slice"],
            &[],
            vec![
                required("ingestion", Text, "The ingestion."),
                required("run_id", Text, "The run."),
                required("slice", Int64, "The slice's place in the run's plan."),
                required("fence", Int64, "The fence under which it was committed."),
                Column::new("receipt", RawJson, "What became of the slice's records."),
                Column::new("resume_at", RawJson, "The checkpoint once this slice and all before it are committed."),
                required("committed_at", Timestamp, "When."),
                Column::new(
                    "confirmed",
                    Bytes,
                    "Hashes of the keys of rows that the slice has seen again as they are stored; until the run succeeds.",
                ),
            ],
        ),
        table(
            REJECT,
            "Records that could not be read, mapped or stored.",
            &["id"],
            &["rejected_at"],
            vec![
                required("id", Text, "The same record of the same resource that is rejected again has the same id."),
                required("ingestion", Text, "The ingestion."),
                required("run_id", Text, "The run that rejected it last."),
                required("observation", Int64, "That run's observation."),
                required("stage", Text, "Who rejected it: source, map or sink."),
                required("reason", Text, "Why."),
                Column::new("field", Text, "The member that is wrong."),
                required("origin", Text, "Where the record stands."),
                Column::new("key", Text, "The record's id at the source, where it is known."),
                Column::new("parent_id", Text, "The id of the record that it belongs to, where the source knew it."),
                Column::new("parent_key", Text, "The key of that record, where the source knew it."),
                Column::new("rank", Int16, "How much it tells: 0 a part of another record, else the record itself."),
                required("raw", Bytes, "The record as received; of one above the source's limit its beginning."),
                required("raw_length", Int64, "How many bytes the record has."),
                required("raw_hash", Text, "BLAKE3 of all the record's bytes."),
                required("rejected_at", Timestamp, "When it was rejected first."),
                Column::new("aliases", Text, "The other ids of users that came with the record."),
                Column::new(
                    "row_key",
                    Text,
                    "The key of the row that the record would have become, where it is known.",
                ),
                Column::new("dismissed_at", Timestamp, "When it was dismissed; null while it is open."),
                Column::new("dismissed_by", Text, "Who dismissed it."),
                Column::new("dismissed_reason", Text, "Why it was dismissed."),
                Column::new(
                    "dismissed_verdict",
                    Text,
                    "Stage, field and reason when it was dismissed; rejected for anything else it is open again.",
                ),
            ],
        ),
        table(
            OUTBOX,
            "Messages that wait to be delivered; the line of one that was delivered is used again.",
            &["queue", "number"],
            &[],
            vec![
                required("queue", Text, "The queue; that of a run is the ingestion."),
                required("number", Int64, "The message's place in the queue."),
                required("id", Text, "The message's id; the same is never put twice."),
                required("about", Text, "What it is about: the run."),
                Column::new("payload", Text, "What is to be told; until it is delivered."),
                required("created_at", Timestamp, "When it was put there."),
                Column::new("delivered_at", Timestamp, "When it was delivered; null while it waits."),
            ],
        ),
    ]
}

fn table(name: &str, comment: &str, primary_key: &[&str], indexed: &[&str], columns: Vec<Column>) -> Table {
    let name = Identifier::derived(name);
    Table {
        columns,
        primary_key: primary_key.iter().map(|&column| column.to_owned()).collect(),
        indexes: indexed.iter().map(|column| Index::on(&name, column)).collect(),
        comment: comment.to_owned(),
        name,
    }
}
