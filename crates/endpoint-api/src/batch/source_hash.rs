use cdm_models::ModelDescriptor;
use twox_hash::XxHash3_128;

use super::RawRecord;
use crate::SourceIdentity;

/// Hashes source records, each together with all else that its row depends on.
///
/// Mapping is pure: a record, the mapper with its revision, the model with its version and the source
/// decide what the row is. So a row that was stored with the hash of a record need not be made again.
///
/// The hash is 128 bits of XXH3. It tells a record from what it was before, which is all that it is for, and
/// takes a tenth of the time of a cryptographic one, which for a record that has not changed would be most of
/// the work. What the row holds is told by the [content hash](super::ContentHasher), which is cryptographic.
#[derive(Debug, Clone)]
pub struct SourceHasher {
    /// What is the same for all records.
    key: [u8; blake3::OUT_LEN],
}

/// The hashes of a batch's records, each with the key of the row that the record becomes.
#[derive(Debug, Clone, Default)]
pub struct SourceHashes {
    records: Vec<([u8; 16], Option<String>)>,
}

impl SourceHasher {
    /// A hasher for the records of a source, as the mapper of `unit` turns them into rows of `model`.
    pub fn new(unit: &str, mapper_revision: u32, model: &ModelDescriptor, source: &SourceIdentity) -> Self {
        let mut key = blake3::Hasher::new();
        let parts = [unit, model.id.as_str(), &model.version.to_string(), source.endpoint.as_str(), &source.system];
        for part in parts {
            key.update(&size(Some(part)).to_le_bytes()).update(part.as_bytes());
        }
        key.update(&mapper_revision.to_le_bytes());
        if let Some(site) = &source.site_url {
            key.update(&size(Some(site)).to_le_bytes()).update(site.as_bytes());
        }
        Self { key: key.finalize().into() }
    }

    /// The hash of a record: of its bytes, its rank, its parent, its key and its aliases, but not of its place.
    pub fn hash(&self, record: &RawRecord<'_>) -> [u8; 16] {
        let parent = record.parent;
        let beside = [parent.and_then(|parent| parent.id), parent.and_then(|parent| parent.key), record.key];
        let mut all = Vec::with_capacity(256);
        all.extend_from_slice(&self.key);
        all.extend_from_slice(&XxHash3_128::oneshot(record.json.as_bytes()).to_le_bytes());
        let [id, key, of_record] = beside.map(size);
        for length in [size(Some(record.json)), id, key, of_record, record.rank.number().unsigned_abs().into()] {
            all.extend_from_slice(&length.to_le_bytes());
        }
        for part in beside {
            all.extend_from_slice(part.unwrap_or_default().as_bytes());
        }
        if let Some(aliases) = record.aliases.as_text() {
            all.extend_from_slice(&size(Some(aliases)).to_le_bytes());
            all.extend_from_slice(aliases.as_bytes());
        }
        XxHash3_128::oneshot(&all).to_le_bytes()
    }
}

/// The length of a text; that of none is one that no text has.
fn size(text: Option<&str>) -> u64 {
    text.map_or(u64::MAX, |text| u64::try_from(text.len()).unwrap_or(u64::MAX))
}

impl SourceHashes {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The hash of the record at `index` of the batch.
    pub fn hash(&self, index: usize) -> Option<[u8; 16]> {
        self.records.get(index).map(|(hash, _)| *hash)
    }

    /// As [`RawBatch::retain`](super::RawBatch::retain).
    pub fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let mut places = 0..;
        self.records.retain(|_| places.next().is_some_and(&mut keep));
    }

    /// As [`RawBatch::append`](super::RawBatch::append).
    pub fn append(&mut self, later: Self) {
        self.records.extend(later.records);
    }

    /// The records in the order of the batch: the hash, and the key of the row where it is told without
    /// mapping.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ([u8; 16], Option<&str>)> {
        self.records.iter().map(|(hash, key)| (*hash, key.as_deref()))
    }
}

impl FromIterator<([u8; 16], Option<String>)> for SourceHashes {
    fn from_iter<I: IntoIterator<Item = ([u8; 16], Option<String>)>>(records: I) -> Self {
        Self { records: records.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use cdm_models::work::{Item, User};

    use super::*;
    use crate::{
        EndpointId,
        batch::{Aliases, Origin, Parent, Rank},
    };

    fn record<'a>(json: &'a str, parent: Option<Parent<'a>>, key: Option<&'a str>, rank: Rank) -> RawRecord<'a> {
        let origin = Origin { resource: "a.jsonl", line: Some(1), part: None };
        RawRecord { json, origin, parent, key, aliases: Aliases::default(), rank }
    }

    fn source(endpoint: &'static str, system: &str) -> SourceIdentity {
        SourceIdentity::new(EndpointId::from_static(endpoint), system)
    }

    #[test]
    fn the_hash_tells_apart_all_that_a_row_depends_on() {
        let item = ModelDescriptor::of::<Item<'_>>().unwrap();
        let user = ModelDescriptor::of::<User<'_>>().unwrap();
        let hashers = [
            SourceHasher::new("jira.issues", 1, &item, &source("acme", "jira")),
            SourceHasher::new("jira.issues", 2, &item, &source("acme", "jira")),
            SourceHasher::new("jira.issue", 1, &item, &source("acme", "jira")),
            SourceHasher::new("jira.issues", 1, &user, &source("acme", "jira")),
            SourceHasher::new("jira.issues", 1, &item, &source("acm", "ejira")),
            SourceHasher::new("jira.issues", 1, &item, &source("acme", "other")),
            SourceHasher::new("jira.issues", 1, &item, &source("acme", "jira").at_site(Some("https://a".to_owned()))),
        ];
        let parent = |id, key| Some(Parent { id, key });
        let records = [
            record("{}", None, None, Rank::Whole),
            record("{}", None, None, Rank::Part),
            record("{} ", None, None, Rank::Whole),
            record("{}", None, Some(""), Rank::Whole),
            record("{}", None, Some("1"), Rank::Whole),
            record("{}1", None, None, Rank::Whole),
            record("{}", parent(Some("1"), None), None, Rank::Whole),
            record("{}", parent(None, Some("1")), None, Rank::Whole),
            record("{}", parent(Some("1"), Some("1")), None, Rank::Whole),
            record("{}", parent(Some("11"), None), None, Rank::Whole),
            RawRecord { aliases: Aliases::new(Some("name\ta\tb\n")), ..record("{}", None, None, Rank::Whole) },
        ];
        let hashes: HashSet<[u8; 16]> =
            hashers.iter().flat_map(|hasher| records.iter().map(|record| hasher.hash(record))).collect();
        assert_eq!(hashes.len(), hashers.len() * records.len());

        let elsewhere = RawRecord { origin: Origin { resource: "b", line: None, part: None }, ..records[0] };
        assert_eq!(hashers[0].hash(&elsewhere), hashers[0].hash(&records[0]), "the place is no part of it");
    }
}
