use std::collections::BTreeMap;

use serde_json::Value;

use crate::Sandbox;

/// What a warehouse holds after a load, without what differs from one uninterrupted load to the next: times of
/// the server, ids of runs, observations.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Picture {
    parts: BTreeMap<&'static str, Vec<Vec<String>>>,
}

const MODELS: [&str; 5] =
    ["cdm_work_project", "cdm_work_user", "cdm_work_item", "cdm_work_comment", "cdm_work_worklog"];

/// Every reject.
const REJECTS: &str = "select id, ingestion, stage, reason, field, origin, key, raw_length, raw_hash \
     from cdm_work._cdm_reject order by id";

/// Every committed slice with what became of it; runs of an ingestion are counted from the first.
const LEDGER: &str = "with runs as (select ingestion, run_id, \
     row_number() over (partition by ingestion order by min(fence)) as run from cdm_work._cdm_load group by 1, 2) \
     select ingestion, run, slice, receipt, resume_at from cdm_work._cdm_load join runs using (ingestion, run_id) \
     order by 1, 2, 3";

/// Where each ingestion stands.
const STANDING: &str = "select ingestion, model, table_name, status, rows_inserted, checkpoint, holder, \
     (select string_agg(r.key || ' ' || (r.value->>'fingerprint'), ' ' order by r.key) from json_each(resources) r) \
     from cdm_work._cdm_ingestion order by 1";

impl Picture {
    pub(super) fn of(sandbox: &Sandbox) -> Self {
        let mut parts = BTreeMap::from([
            ("rejects", sandbox.ask(REJECTS)),
            ("ledger", sandbox.ask(LEDGER)),
            ("standing", sandbox.ask(STANDING)),
        ]);
        for model in MODELS {
            // As it stands, and not as `jsonb` would have it.
            let rows = format!(
                "select cdm_id, (to_jsonb(t) - array['_cdm_observation', '_cdm_run_id', '_cdm_ingested_at', \
                 '_cdm_source_hash', '_cdm_deleted_at', 'raw_source'])::text, raw_source, _cdm_deleted_at is not null \
                 from cdm_work.{model} t order by cdm_id collate \"C\""
            );
            parts.insert(model, sandbox.ask(&rows));
        }
        Self { parts }
    }

    /// What is other than in `reference`, at most a few lines of each part; empty when nothing is.
    pub(super) fn differences(&self, reference: &Self, order: Order) -> Vec<String> {
        let mut differences = Vec::new();
        for (part, expected) in &reference.parts {
            let seen = |rows: &[Vec<String>]| match (*part, order) {
                ("ledger", Order::AtOnce) => rows.iter().map(|row| without_order(row)).collect(),
                ("ledger", Order::InTurn) => rows.iter().map(|row| without_notes_of_members(row)).collect(),
                _ => rows.to_vec(),
            };
            let (found, expected) = (&seen(&self.parts[part]), &seen(expected));
            let missing = expected.iter().filter(|row| !found.contains(row)).map(|row| format!("{part} lacks {row:?}"));
            let extra = found.iter().filter(|row| !expected.contains(row)).map(|row| format!("{part} has {row:?}"));
            differences.extend(missing.take(4).chain(extra.take(4)));
            if found.len() != expected.len() {
                differences.push(format!("{part} has {} lines, not {}", found.len(), expected.len()));
            }
        }
        differences
    }

    /// How many slices are in the ledger.
    pub(super) fn slices(&self) -> usize {
        self.parts["ledger"].len()
    }
}

/// Which version of each row of the models there is: another one where a row was written since.
pub(super) fn row_versions(sandbox: &Sandbox) -> Vec<Vec<String>> {
    let of_model =
        |model| format!("select '{model}', cdm_id, xmin::text, xmax::text, ctid::text from cdm_work.{model}");
    sandbox.ask(&format!("{} order by 1, 2", MODELS.map(of_model).join(" union all ")))
}

/// In which order slices are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// One after the other, as the reference was.
    InTurn,
    /// Two at once: which of two records of a key is the first depends on which of two slices is, and with it
    /// whether a record is inserted, updated or stale.
    AtOnce,
}

impl Order {
    /// What `--parallel` is told.
    pub(super) fn parallel(self) -> &'static str {
        match self {
            Self::InTurn => "1",
            Self::AtOnce => "2",
        }
    }
}

/// A line of the ledger without the notes of members. They are of records that were mapped, and whether a record was
/// mapped depends on the copy of it that is stored (`_cdm_source_hash`, which is not compared either): a record with the
/// hash of that copy is recognised and not mapped again.
fn without_notes_of_members(row: &[String]) -> Vec<String> {
    let mut row = row.to_vec();
    let mut receipt: Value = serde_json::from_str(&row[3]).unwrap();
    let counts = receipt.as_object_mut().unwrap();
    if let Some(notes) = counts.get_mut("incomplete").and_then(Value::as_array_mut) {
        notes.retain(|note| note.get("member").is_none());
        if notes.is_empty() {
            counts.remove("incomplete");
        }
    }
    row[3] = receipt.to_string();
    row
}

/// A line of the ledger with the sum of what depends on the order of slices.
fn without_order(row: &[String]) -> Vec<String> {
    let mut row = without_notes_of_members(row);
    let mut receipt: Value = serde_json::from_str(&row[3]).unwrap();
    let counts = receipt.as_object_mut().unwrap();
    let depends = ["inserted", "updated", "unchanged", "stale", "duplicate"];
    let sum: u64 = depends.iter().map(|name| counts.remove(*name).unwrap().as_u64().unwrap()).sum();
    // Mentions are counted above as well.
    counts.remove("mentions");
    row[3] = format!("{sum} stored, {receipt}");
    row
}

/// The counts of a run.
const COUNTS: [&str; 8] = ["read", "inserted", "updated", "unchanged", "stale", "duplicate", "rejected", "slices"];

/// What the last of several commands that together made one load says, where it is other than what the only
/// one of the reference said.
pub(super) fn differences_told(sandbox: &Sandbox, told: &[Value], reference: &[Value], order: Order) -> Vec<String> {
    const ALWAYS: [&str; 4] = ["read", "inserted", "rejected", "slices"];
    let compared: &[&str] = if order == Order::InTurn { &COUNTS } else { &ALWAYS };
    let newest = "select run_id from cdm_work._cdm_load order by fence desc, committed_at desc";
    let loaded: Vec<String> = sandbox.ask(newest).into_iter().flatten().collect();
    let mut differences = Vec::new();
    for (run, expected) in told.iter().zip(reference) {
        let run_id = run["run_id"].as_str().unwrap();
        // The run that loaded, with the counts of all its parts; or one after it, which found nothing to read.
        let expects = |name: &str| match loaded.iter().any(|loaded| loaded == run_id) {
            true => expected[name].clone(),
            false => Value::from(0),
        };
        for &name in compared {
            if run[name] != expects(name) {
                differences.push(format!("{}: {name} is {}, not {}", run["name"], run[name], expects(name)));
            }
        }
        let sum: u64 = COUNTS[1..7].iter().map(|name| run[name].as_u64().unwrap()).sum();
        if run["read"] != sum {
            differences.push(format!("{}: {} were read, and {sum} accounted for", run["name"], run["read"]));
        }
    }
    differences
}
