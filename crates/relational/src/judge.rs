use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use endpoint_api::{CdmBatch, batch::Operation};

use crate::{Recorded, Stored, Verdict, Version, judge};

/// Judges the rows of a load, batch by batch.
///
/// A row that is unchanged is not written, and so the table does not show that the run has seen it.
/// Where a run sees two records of one key and of one version time, one of them as it is stored, the
/// other must not take its place because it looks newer: inside one run the greater hash wins. A run
/// therefore remembers which of the stored rows it has seen again, and which it has contested
/// ([`Seen`]). Dropping a judge takes back what it contested, unless [`keep`](Self::keep) was called.
#[derive(Debug)]
pub struct Judge {
    observation: u64,
    seen: Arc<Seen>,
    /// Whether no other load of the run is under way.
    alone: bool,
    /// Keys for which this load has accepted a row that contests a stored one.
    contested: HashSet<u64>,
    /// Keys of which this load has seen the rows again; another load, or an attempt at this one that failed, may have seen
    /// them before.
    confirmed: HashSet<u64>,
    stages_stored_rows: bool,
}

/// What a run has seen of the rows that were stored before it.
///
/// It is kept with each slice that is committed ([`Judge::confirmed`]), so that a run that is continued by
/// another process still knows it ([`remember`](Self::remember)).
///
/// Its memory is bounded: beyond some two million keys no more are remembered. A record that
/// contests one of those wins in this run although it should not, and the next run sets that right.
#[derive(Debug)]
pub struct Seen {
    secret: [u8; 32],
    keys: Mutex<Keys>,
}

#[derive(Debug, Default)]
struct Keys {
    /// Of rows that were seen again exactly as they are stored.
    confirmed: HashSet<u64>,
    /// Of rows that loads, so many, have another record for.
    contested: HashMap<u64, u32>,
}

/// Another load of the run has, or had in the meantime, another record for a row that this one takes
/// to be unchanged: which of the two is greater shows only when this load is repeated alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contended;

/// Keeps a set of keys within about 32 MiB.
const MOST_KEYS: usize = 1_800_000;

impl Seen {
    /// The memory of a run that has seen nothing yet. Keys are hashed together with the run's id, so
    /// that nobody can make two of them collide on purpose.
    pub fn new(run_id: &str) -> Self {
        Self { secret: *blake3::hash(run_id.as_bytes()).as_bytes(), keys: Mutex::default() }
    }

    /// What a slice has seen that was committed before: as [`Judge::confirmed`] gave it.
    pub fn remember(&self, confirmed: &[u8]) {
        let (hashes, _) = confirmed.as_chunks::<8>();
        let mut keys = self.keys();
        let room = MOST_KEYS.saturating_sub(keys.confirmed.len());
        keys.confirmed.extend(hashes.iter().take(room).map(|hash| u64::from_le_bytes(*hash)));
    }

    fn fingerprint(&self, key: &str) -> u64 {
        let mut bytes = [0; 8];
        blake3::Hasher::new_keyed(&self.secret).update(key.as_bytes()).finalize_xof().fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Judge {
    /// For the load of a slice with this observation; `alone` says that no other load of the run is
    /// under way until this one is done.
    pub fn new(observation: u64, seen: Arc<Seen>, alone: bool) -> Self {
        Self {
            observation,
            seen,
            alone,
            contested: HashSet::new(),
            confirmed: HashSet::new(),
            stages_stored_rows: false,
        }
    }

    /// What becomes of each row, given what is stored for the keys of the batch.
    ///
    /// # Errors
    ///
    /// [`Contended`] when the load is to be repeated alone; not when it is.
    pub fn verdicts(&mut self, batch: &CdmBatch, stored: &HashMap<String, Stored>) -> Result<Vec<Verdict>, Contended> {
        let rows: Vec<(Operation, Version, Option<&Stored>)> = (0..batch.len())
            .map(|row| {
                let version = Version {
                    rank: batch.rank(row),
                    version_at: batch.version_at(row),
                    observation: self.observation,
                    mapper_revision: batch.mapper_revision(),
                    content_hash: batch.content_hash(row),
                };
                (batch.operation(row), version, stored.get(batch.key(row)))
            })
            .collect();
        self.judge_rows(&rows, |row| batch.key(row))
    }

    /// Which records need not be mapped, given their keys, what is stored for these, and the records' hashes:
    /// those of which the stored rows were made.
    ///
    /// # Errors
    ///
    /// As [`verdicts`](Self::verdicts).
    pub fn recognize<'s>(
        &mut self,
        records: impl IntoIterator<Item = Option<(&'s str, &'s Stored, [u8; 16])>>,
    ) -> Result<Vec<bool>, Contended> {
        let observation = self.observation;
        self.recognize_found(records.into_iter().map(|record| {
            let (key, stored, source_hash) = record?;
            Some((key, stored.found(source_hash, observation)))
        }))
    }

    /// As [`recognize`](Self::recognize), where the database has compared the hashes itself.
    ///
    /// # Errors
    ///
    /// As [`verdicts`](Self::verdicts).
    pub fn recognize_found<'s>(
        &mut self,
        records: impl IntoIterator<Item = Option<(&'s str, Recorded)>>,
    ) -> Result<Vec<bool>, Contended> {
        let seen = Arc::clone(&self.seen);
        let mut keys = seen.keys();
        let mut recognize = |record: Option<(&str, Recorded)>| match record {
            None | Some((_, Recorded::Missing | Recorded::Otherwise)) => Ok(false),
            Some((_, Recorded::Exactly | Recorded::ExactlyMention)) => Ok(true),
            // What this load itself contests is to be compared by the merge, and for that it is needed.
            Some((key, Recorded::ExactlyBefore)) => {
                self.confirm(&mut keys, seen.fingerprint(key)).map(|is_contested| !is_contested)
            }
        };
        records.into_iter().map(&mut recognize).collect()
    }

    /// Whether rows were to be staged that are stored exactly so already, to be compared with those
    /// that contest them: the merge must then leave out what is not above the stored row.
    pub fn stages_stored_rows(&self) -> bool {
        self.stages_stored_rows
    }

    /// Another load has stored rows of which this one was told that none is there.
    pub fn contest(&mut self) {
        self.stages_stored_rows = true;
    }

    /// What the run is to remember of this load, should it be continued by another process: 8 bytes for each
    /// stored row that the load has seen again. `None` when there is none.
    pub fn confirmed(&self) -> Option<Vec<u8>> {
        let bytes: Vec<u8> = self.confirmed.iter().flat_map(|key| key.to_le_bytes()).collect();
        Some(bytes).filter(|bytes| !bytes.is_empty())
    }

    /// What the load contested is being committed.
    pub fn keep(&mut self) {
        self.contested.clear();
    }

    /// Notes that a stored row was seen again; says whether this load contests it.
    fn confirm(&mut self, keys: &mut Keys, key: u64) -> Result<bool, Contended> {
        let is_mine = self.contested.contains(&key);
        let contests = keys.contested.get(&key).copied().unwrap_or(0);
        if !self.alone && contests > u32::from(is_mine) && !keys.confirmed.contains(&key) {
            return Err(Contended);
        }
        if keys.confirmed.len() < MOST_KEYS || keys.confirmed.contains(&key) {
            keys.confirmed.insert(key);
            self.confirmed.insert(key);
        }
        Ok(is_mine)
    }

    fn judge_rows<'k>(
        &mut self,
        rows: &[(Operation, Version, Option<&Stored>)],
        key: impl Fn(usize) -> &'k str,
    ) -> Result<Vec<Verdict>, Contended> {
        let mut verdicts: Vec<Verdict> =
            rows.iter().map(|(operation, version, stored)| judge(*operation, version, *stored)).collect();
        // First what confirms stored rows, then what contests them: so the order within the batch
        // does not matter.
        let seen = Arc::clone(&self.seen);
        let mut keys = seen.keys();
        for (row, ((_, version, stored), verdict)) in rows.iter().zip(&mut verdicts).enumerate() {
            let Some(stored) = stored.filter(|stored| is_same_register(version, stored)) else { continue };
            if *verdict == Verdict::Unchanged && version.same_content(&stored.version) {
                // An earlier batch of this load contests the stored row: let the merge compare them.
                if self.confirm(&mut keys, seen.fingerprint(key(row)))? {
                    *verdict = Verdict::Store;
                    self.stages_stored_rows = true;
                }
            }
        }
        for (row, ((_, version, stored), verdict)) in rows.iter().zip(&mut verdicts).enumerate() {
            let Some(stored) = stored.filter(|stored| is_same_register(version, stored)) else { continue };
            if *verdict == Verdict::Store && !version.same_content(&stored.version) {
                let key = seen.fingerprint(key(row));
                let seen_now = Version { observation: version.observation, ..stored.version };
                if keys.confirmed.contains(&key) && *version < seen_now {
                    *verdict = Verdict::Stale;
                } else if self.contested.insert(key) && keys.contested.len() < MOST_KEYS {
                    *keys.contested.entry(key).or_default() += 1;
                }
            }
        }
        Ok(verdicts)
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        if self.contested.is_empty() {
            return;
        }
        let mut keys = self.seen.keys();
        for key in &self.contested {
            if let Some(contests) = keys.contested.get_mut(key) {
                *contests = contests.saturating_sub(1);
            }
        }
    }
}

/// Whether an incoming row and a stored one differ by nothing that orders them but their observations,
/// and the incoming one's is newer.
fn is_same_register(incoming: &Version, stored: &Stored) -> bool {
    !incoming.rank.is_part()
        && incoming.rank == stored.version.rank
        && incoming.version_at == stored.version.version_at
        && incoming.observation > stored.version.observation
}

#[cfg(test)]
mod tests {
    use endpoint_api::batch::Rank;
    use proptest::prelude::*;

    use super::*;

    /// A key, a version time (0 for none) and a content.
    type Record = (u8, i64, u8);

    fn version((_, time, content): Record, observation: u64) -> Version {
        let version_at = (time > 0).then_some(time);
        Version { rank: Rank::Whole, version_at, observation, mapper_revision: 1, content_hash: [content; 16] }
    }

    fn source_hash((key, time, content): Record) -> [u8; 16] {
        let mut hash = [0; 16];
        hash[0..3].copy_from_slice(&[key, u8::try_from(time).unwrap(), content]);
        hash
    }

    /// Loads a run slice by slice, each in batches of two, as a sink does; counts the rows written.
    fn load(table: &mut HashMap<u8, Stored>, observation: u64, slices: &[Vec<Record>], recognizes: bool) -> usize {
        let seen = Arc::new(Seen::new("run"));
        let mut written = 0;
        for slice in slices {
            let mut judge = Judge::new(observation, Arc::clone(&seen), false);
            let mut staged: HashMap<u8, (Version, Record)> = HashMap::new();
            for batch in slice.chunks(2) {
                let keys: Vec<String> = batch.iter().map(|record| record.0.to_string()).collect();
                let known = match recognizes {
                    true => {
                        let found = batch.iter().zip(&keys).map(|(record, key)| {
                            table.get(&record.0).map(|stored| (key.as_str(), stored, source_hash(*record)))
                        });
                        judge.recognize(found).unwrap()
                    }
                    false => vec![false; batch.len()],
                };
                let batch = batch.iter().zip(known).filter(|(_, is_known)| !is_known).map(|(record, _)| *record);
                let batch: Vec<Record> = batch.collect();
                let keys: Vec<String> = batch.iter().map(|record| record.0.to_string()).collect();
                let rows: Vec<_> = batch
                    .iter()
                    .map(|record| (Operation::Upsert, version(*record, observation), table.get(&record.0)))
                    .collect();
                let verdicts = judge.judge_rows(&rows, |row| keys[row].as_str()).unwrap();
                for (record, verdict) in batch.iter().zip(verdicts) {
                    if verdict == Verdict::Store {
                        let version = version(*record, observation);
                        let greatest = staged.entry(record.0).or_insert((version, *record));
                        if version > greatest.0 {
                            *greatest = (version, *record);
                        }
                    }
                }
            }
            judge.keep();
            for (key, (version, record)) in staged {
                let newer = table
                    .get(&key)
                    .is_none_or(|stored| version > stored.version && !version.same_content(&stored.version));
                if newer {
                    table.insert(key, Stored { version, deleted: false, source_hash: Some(source_hash(record)) });
                    written += 1;
                }
            }
        }
        written
    }

    #[test]
    fn what_was_seen_again_is_kept_with_the_attempt_that_is_committed() {
        let seen = Arc::new(Seen::new("run"));
        let stored = Stored { version: version((1, 0, 1), 1), deleted: false, source_hash: None };
        let attempt = || {
            let mut judge = Judge::new(2, Arc::clone(&seen), false);
            let row = [(Operation::Upsert, version((1, 0, 1), 2), Some(&stored))];
            assert_eq!(judge.judge_rows(&row, |_| "1").unwrap(), [Verdict::Unchanged]);
            judge.confirmed()
        };
        assert_eq!(attempt().map(|keys| keys.len()), Some(8));
        assert_eq!(attempt().map(|keys| keys.len()), Some(8), "the first attempt was rolled back");
    }

    fn run() -> impl Strategy<Value = Vec<Vec<Record>>> {
        let record = (0..3u8, prop_oneof![Just(0), Just(1), Just(2)], 1..5u8);
        prop::collection::vec(prop::collection::vec(record, 0..5), 1..4)
    }

    proptest! {
        /// The oracle rewrites every row that is seen again, with the newest observation; we rewrite
        /// only what changes and must end in the same table.
        #[test]
        fn a_table_is_as_if_every_row_seen_had_been_written(
            runs in prop::collection::vec(run(), 1..5),
            recognizes: bool,
        ) {
            let mut table = HashMap::new();
            let mut oracle: HashMap<u8, Version> = HashMap::new();
            for (observation, slices) in (1..).zip(&runs) {
                load(&mut table, observation, slices, recognizes);
                for record in slices.iter().flatten() {
                    let version = version(*record, observation);
                    let greatest = oracle.entry(record.0).or_insert(version);
                    *greatest = (*greatest).max(version);
                }
                let content = |version: &Version| (version.version_at, version.content_hash);
                let expected: HashMap<u8, _> = oracle.iter().map(|(key, version)| (*key, content(version))).collect();
                let found: HashMap<u8, _> = table.iter().map(|(key, row)| (*key, content(&row.version))).collect();
                prop_assert_eq!(found, expected, "after run {}", observation);
            }
        }

        /// The same records again, however they are cut and ordered, write nothing.
        #[test]
        fn the_same_run_again_writes_nothing(
            (slices, again) in run().prop_flat_map(|slices| {
                let all: Vec<Record> = slices.iter().flatten().copied().collect();
                (Just(slices), Just(all).prop_shuffle())
            }),
            cut in 1..4usize,
            recognizes: bool,
        ) {
            let mut table = HashMap::new();
            load(&mut table, 1, &slices, recognizes);
            let before = table.clone();
            let recut: Vec<Vec<Record>> = again.chunks(cut).map(<[Record]>::to_vec).collect();
            // A load that meets the lesser record in an earlier slice takes it for a change.
            let one_slice = vec![again.clone()];
            prop_assert_eq!(load(&mut table, 2, &one_slice, recognizes), 0);
            prop_assert_eq!(&table, &before);
            load(&mut table, 3, &recut, recognizes);
            let content = |table: &HashMap<u8, Stored>| -> HashMap<u8, _> {
                table.iter().map(|(key, row)| (*key, (row.version.version_at, row.version.content_hash))).collect()
            };
            prop_assert_eq!(content(&table), content(&before));
        }
    }
}
