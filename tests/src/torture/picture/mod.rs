mod raw;
mod tables;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Order, Target, scene::Scene};
pub(super) use tables::{MODELS, row_versions};

/// What a sink holds after a load, without what differs from one uninterrupted load to the next: times, ids of runs,
/// observations.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Picture {
    /// The rows of each part, sorted.
    parts: BTreeMap<String, Vec<Vec<String>>>,
}

/// How much of two pictures is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it: the loads were the same, but for the faults.
    Everything,
    /// What was loaded and what was rejected, and not how often and by which runs.
    Contents,
}

/// The parts that tell of runs.
const OF_RUNS: [&str; 2] = ["ledger", "standing"];

impl Picture {
    pub(super) fn of(scene: &Scene<'_>) -> Self {
        let mut parts = match scene.stage.target {
            Target::Postgres | Target::Sqlite => tables::parts(scene),
            Target::RawFiles => raw::parts(&scene.sandbox),
        };
        parts.values_mut().for_each(|rows| rows.sort());
        Self { parts }
    }

    /// What is other than in `reference`, at most a few lines of each part; empty when nothing is.
    pub(super) fn differences(&self, reference: &Self, order: Order, extent: Extent) -> Vec<String> {
        let mut differences = Vec::new();
        for (part, expected) in &reference.parts {
            let is_of_runs = OF_RUNS.contains(&part.as_str());
            if is_of_runs && extent == Extent::Contents {
                continue;
            }
            let seen = |rows: &[Vec<String>]| -> Vec<Vec<String>> {
                match (part.as_str(), order) {
                    ("ledger", Order::AtOnce | Order::Crowd) => rows.iter().map(|row| without_order(row)).collect(),
                    ("ledger", Order::InTurn) => rows.iter().map(|row| without_notes_of_members(row)).collect(),
                    // Raw files hold a record once for each time that it was read.
                    _ if extent == Extent::Contents => {
                        rows.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect()
                    }
                    _ => rows.to_vec(),
                }
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
pub(super) fn differences_told(scene: &Scene<'_>, told: &[Value], reference: &[Value]) -> Vec<String> {
    const ALWAYS: [&str; 4] = ["read", "inserted", "rejected", "slices"];
    let compared: &[&str] = if scene.order == Order::InTurn { &COUNTS } else { &ALWAYS };
    let loaded: Vec<String> = match scene.stage.target {
        Target::RawFiles => raw::runs_that_loaded(&scene.sandbox),
        _ => {
            let query = format!("select distinct run_id from {}", scene.table("_cdm_load"));
            scene.query(&query).into_iter().flatten().collect()
        }
    };
    let mut differences = Vec::new();
    for expected in reference {
        let Some(run) = told.iter().find(|run| run["name"] == expected["name"]) else {
            differences.push(format!("nothing was said about {}", expected["name"]));
            continue;
        };
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
    }
    differences
}

/// That not every record that a run has read is accounted for; nothing when all are.
pub(super) fn unaccounted(run: &Value) -> Option<String> {
    let sum: u64 = COUNTS[1..7].iter().map(|name| run[name].as_u64().unwrap()).sum();
    (run["read"] != sum).then(|| format!("{}: {} were read, and {sum} accounted for", run["name"], run["read"]))
}
