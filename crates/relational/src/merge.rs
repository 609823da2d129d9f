use std::{
    collections::{BTreeMap, HashMap},
    mem,
};

use endpoint_api::{CdmBatch, Counts, batch::Operation};

use crate::{Contended, Judge, Merged, MergedRows, Stored, Tally, Verdict, Version, judge};

/// What a load does to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The key.
    pub key: String,
    /// The batch and the row in it with the new content; `None` when only the presence changes.
    pub content: Option<(usize, usize)>,
    /// What is then stored for the key.
    pub stored: Stored,
}

/// The rows of one key in a load, as far as they have something to say.
#[derive(Debug, Default)]
struct Staged {
    content: Option<(Version, usize, usize)>,
    revives: bool,
    deletes: bool,
}

/// What the rows of a load do to what is stored, in the order of the keys, and what became of each of them: for
/// a sink that keeps the versions of its rows in memory, or has no merge of its own.
///
/// Nobody else may load meanwhile: `stored` is what the table holds, by key, until this is committed. `tally` has
/// counted what became of records before they were rows.
///
/// # Errors
///
/// [`Contended`] when the judge is not alone; see [`Judge::new`].
pub fn merge(
    batches: &[CdmBatch],
    stored: &HashMap<String, Stored>,
    judging: &mut Judge,
    mut tally: Tally,
    observation: u64,
) -> Result<(Vec<Effect>, Counts), Contended> {
    let mut staged: BTreeMap<&str, Staged> = BTreeMap::new();
    for (place, batch) in batches.iter().enumerate() {
        for (row, verdict) in judging.verdicts(batch, stored)?.into_iter().enumerate() {
            if !tally.judge(verdict, batch.rank(row)) {
                continue;
            }
            let of_key = staged.entry(batch.key(row)).or_default();
            match verdict {
                Verdict::Revive => of_key.revives = true,
                Verdict::Delete => of_key.deletes = true,
                _ => {
                    let version = version(batch, row, observation);
                    if of_key.content.is_none_or(|(greatest, ..)| version > greatest) {
                        of_key.content = Some((version, place, row));
                    }
                }
            }
        }
    }
    let mut merged = Merged::default();
    let mut effects = Vec::new();
    for (key, of_key) in staged {
        let before = stored.get(key).copied();
        effects.extend(settle(key, of_key, before, batches, observation, &mut merged));
    }
    Ok((effects, tally.settle(merged)))
}

/// Settles one key: first its content, then whether it is there. Within a load a deletion stands.
fn settle(
    key: &str,
    staged: Staged,
    before: Option<Stored>,
    batches: &[CdmBatch],
    observation: u64,
    merged: &mut Merged,
) -> Option<Effect> {
    let mut now = before;
    let mut place = None;
    let mut touched = false;
    if let Some((version, batch, row)) = staged.content {
        let of_rank: &mut MergedRows = merged.of(version.rank);
        of_rank.distinct += 1;
        match judge(Operation::Upsert, &version, before.as_ref()) {
            Verdict::Store => {
                now = Some(replaced(before, version, batches.get(batch).and_then(|batch| batch.source_hash(row))));
                place = Some((batch, row));
                touched = true;
                *(if before.is_none() { &mut of_rank.inserted } else { &mut of_rank.updated }) += 1;
            }
            Verdict::Unchanged => of_rank.unchanged += 1,
            _ => {}
        }
    }
    for (wanted, deleted) in [(staged.revives, false), (staged.deletes, true)] {
        if !wanted {
            continue;
        }
        merged.records.distinct += 1;
        let Some(row) = now.as_mut() else { continue };
        let is_newer =
            if deleted { row.version.observation <= observation } else { row.version.observation < observation };
        if is_newer && mem::replace(&mut row.deleted, deleted) != deleted {
            row.version.observation = observation;
            merged.records.updated += 1;
            touched = true;
        }
    }
    now.filter(|_| touched).map(|stored| Effect { key: key.to_owned(), content: place, stored })
}

/// What is stored once content of that version has taken its place. That it is seen again brings a deleted
/// record back; that an older sighting of it has the greater content does not.
fn replaced(before: Option<Stored>, version: Version, source_hash: Option<[u8; 16]>) -> Stored {
    let Some(before) = before else { return Stored { version, deleted: false, source_hash } };
    let revives = version.revives(&before.version);
    let observation = version.observation.max(before.version.observation);
    Stored { version: Version { observation, ..version }, deleted: before.deleted && !revives, source_hash }
}

fn version(batch: &CdmBatch, row: usize, observation: u64) -> Version {
    Version {
        rank: batch.rank(row),
        version_at: batch.version_at(row),
        observation,
        mapper_revision: batch.mapper_revision(),
        content_hash: batch.content_hash(row),
    }
}
