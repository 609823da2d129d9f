use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Aliases, Origin, Parent, Rank, RawRecord};
use crate::{Error, ErrorKind, Ingestion, Rejection, Result};

/// Of a record above the source's limit so many bytes are kept.
const HEAD_BYTES: usize = 64 * 1024;

/// A record that could not be read, mapped or stored, with its reason and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reject {
    /// Who rejected it.
    pub stage: Stage,
    /// What was expected and what was found. It names no cell's value.
    pub reason: String,
    /// The member that is wrong, as a dotted path: `fields.created`.
    pub field: Option<String>,
    /// Where the record stands: `issues.jsonl:17`.
    pub origin: String,
    /// The record's id at the source, where it is known.
    pub key: Option<String>,
    /// The record as received; of one above the source's limit its beginning.
    pub raw: Vec<u8>,
    /// How many bytes the record has.
    pub raw_length: u64,
    /// BLAKE3 of all the record's bytes, in hexadecimal.
    pub raw_hash: String,
    /// What came with the record, so that it can be tried again.
    pub envelope: RejectEnvelope,
}

/// What a mapper is told of a record beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RejectEnvelope {
    /// See [`Parent::id`].
    pub parent_id: Option<String>,
    /// See [`Parent::key`].
    pub parent_key: Option<String>,
    /// The text of the record's [`Aliases`].
    pub aliases: Option<String>,
    /// The key of the row that the record would have become, where the mapper knows it.
    pub row_key: Option<String>,
    /// How much the record tells.
    pub rank: Rank,
}

impl RejectEnvelope {
    /// The envelope of a record of this rank that belongs to `parent`.
    pub fn new(parent: Option<Parent<'_>>, rank: Rank) -> Self {
        let owned = |of: fn(Parent<'_>) -> Option<&str>| parent.and_then(of).map(str::to_owned);
        let (parent_id, parent_key) = (owned(|parent| parent.id), owned(|parent| parent.key));
        Self { parent_id, parent_key, aliases: None, row_key: None, rank }
    }

    /// Sets the aliases that came with the record.
    #[must_use]
    pub fn with_aliases(self, aliases: Aliases<'_>) -> Self {
        Self { aliases: aliases.as_text().map(str::to_owned), ..self }
    }

    /// Sets the key of the row that the record would have become.
    #[must_use]
    pub fn of_row(self, key: Option<String>) -> Self {
        Self { row_key: key, ..self }
    }
}

/// Who rejected a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The source: it is no record.
    Source,
    /// The mapper: it cannot become a row.
    Map,
    /// The sink: the row cannot be stored.
    Sink,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Map => "map",
            Self::Sink => "sink",
        })
    }
}

impl Reject {
    /// Something at `origin` that a source could not read as a record.
    pub fn at_source(origin: impl fmt::Display, reason: impl Into<String>, bytes: &[u8]) -> Self {
        Self {
            stage: Stage::Source,
            reason: reason.into(),
            field: None,
            origin: origin.to_string(),
            key: None,
            raw: bytes.to_vec(),
            raw_length: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            raw_hash: blake3::hash(bytes).to_hex().to_string(),
            envelope: RejectEnvelope::new(None, Rank::Whole),
        }
    }

    /// As [`at_source`](Self::at_source), for a record that was never in memory as a whole: `head`
    /// is its beginning, `length` its size in bytes and `hash` the BLAKE3 of all of it.
    pub fn oversized(
        origin: impl fmt::Display,
        reason: impl Into<String>,
        head: &[u8],
        length: u64,
        hash: blake3::Hash,
    ) -> Self {
        let head = head.get(..HEAD_BYTES).unwrap_or(head);
        Self { raw_length: length, raw_hash: hash.to_hex().to_string(), ..Self::at_source(origin, reason, head) }
    }

    /// A record that `stage` could not map or store.
    pub fn of(record: &RawRecord<'_>, stage: Stage, rejection: Rejection) -> Self {
        Self {
            stage,
            field: rejection.field,
            key: rejection.key.or_else(|| record.key.map(str::to_owned)),
            envelope: RejectEnvelope::new(record.parent, record.rank).with_aliases(record.aliases),
            ..Self::at_source(record.origin, rejection.reason, record.json.as_bytes())
        }
    }

    /// Whether all of the record's bytes are kept.
    pub fn replayable(&self) -> bool {
        u64::try_from(self.raw.len()).is_ok_and(|kept| kept == self.raw_length)
    }

    /// The id under which a sink keeps the reject: the same record of the same resource that is rejected again in the
    /// same ingestion has the same id, also at another line or for another reason. A record that is embedded in another
    /// one is the same only in the same parent. 128 bits in hexadecimal.
    pub fn id(&self, ingestion: &Ingestion) -> String {
        let origin = Origin::parse(&self.origin);
        let parent = self.envelope.parent_id.as_deref().or(self.envelope.parent_key.as_deref());
        let parent = origin.part.and(parent).unwrap_or_default();
        hashed(&["2", &ingestion.to_string(), origin.resource, parent, &self.raw_hash])
    }

    /// The id that earlier versions gave the reject; it depends on the line. A sink that keeps a reject under this id
    /// goes on using it.
    pub fn earlier_id(&self, ingestion: &Ingestion) -> String {
        hashed(&[&ingestion.to_string(), &self.origin, &self.raw_hash])
    }

    /// About how many bytes of memory the reject holds.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.reason.len() + self.origin.len() + self.raw.len()
    }
}

/// The first 128 bits of the hash of these texts, in hexadecimal.
fn hashed(texts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for text in texts {
        hasher.update(text.as_bytes());
        hasher.update(&[0]);
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}

impl std::str::FromStr for Stage {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "source" => Ok(Self::Source),
            "map" => Ok(Self::Map),
            "sink" => Ok(Self::Sink),
            _ => {
                let message = format!("`{text}` is no stage; expected source, map or sink");
                Err(Error::new(ErrorKind::Config, "parse a stage", message))
            }
        }
    }
}

/// A reject that a sink keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredReject {
    /// See [`Reject::id`].
    pub id: String,
    /// The ingestion's key.
    pub ingestion: String,
    /// The run that rejected it last.
    pub run_id: String,
    /// Who rejected it.
    pub stage: Stage,
    /// Why.
    pub reason: String,
    /// Which member is wrong.
    pub field: Option<String>,
    /// Where the record stands.
    pub origin: String,
    /// The record's id at the source, where it is known.
    pub key: Option<String>,
    /// When it was rejected first: RFC 3339, by the sink's clock.
    pub rejected_at: String,
    /// The run's observation.
    #[serde(skip)]
    pub observation: u64,
    /// What came with the record.
    #[serde(skip)]
    pub envelope: RejectEnvelope,
    /// The record as received; of one above the source's limit its beginning. Empty in a
    /// [listing](crate::RejectListing).
    #[serde(skip)]
    pub raw: Vec<u8>,
    /// How many bytes the record has.
    pub raw_length: u64,
    /// BLAKE3 of all the record's bytes, in hexadecimal.
    pub raw_hash: String,
}

impl StoredReject {
    /// A reject as it is kept by a sink.
    pub fn new(reject: Reject, ingestion: &Ingestion, run_id: String, observation: u64, rejected_at: String) -> Self {
        Self {
            observation,
            envelope: reject.envelope.clone(),
            id: reject.id(ingestion),
            ingestion: ingestion.to_string(),
            run_id,
            stage: reject.stage,
            reason: reject.reason,
            field: reject.field,
            origin: reject.origin,
            key: reject.key,
            rejected_at,
            raw: reject.raw,
            raw_length: reject.raw_length,
            raw_hash: reject.raw_hash,
        }
    }

    /// Whether all of the record is kept, and it is one: what a source could not read as a record is none.
    pub fn replayable(&self) -> bool {
        self.stage != Stage::Source && u64::try_from(self.raw.len()).is_ok_and(|kept| kept == self.raw_length)
    }
}

/// Something that a source knows to exist and could not give, or a data file that it does not read. It is no record
/// and is not counted among them; a run that met it says so.
///
/// It is stored with receipts and shown to anybody who may see runs: it holds names and numbers, and no value of a
/// record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incomplete {
    /// The file or URL.
    pub resource: String,
    /// What is missing, as the rest of a sentence that begins with the resource.
    pub what: String,
    /// The member that is concerned, as a dotted path, where it is one: `fields.summary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// How often.
    pub count: u64,
    /// Where it was met first.
    pub first_at: String,
    /// How many records the source announces, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<u64>,
    /// How many of them were found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<u64>,
}

impl Incomplete {
    /// Something missing at one place in `resource`.
    pub fn new(resource: impl Into<String>, what: impl Into<String>, at: impl fmt::Display) -> Self {
        Self {
            resource: resource.into(),
            what: what.into(),
            member: None,
            count: 1,
            first_at: at.to_string(),
            announced: None,
            found: None,
        }
    }

    /// Sets how many records the source announces and how many of them were found.
    #[must_use]
    pub fn of(self, announced: u64, found: u64) -> Self {
        Self { announced: Some(announced), found: Some(found), ..self }
    }

    /// Names the member that is concerned.
    #[must_use]
    pub fn at_member(self, member: Option<&str>) -> Self {
        Self { member: member.map(str::to_owned), ..self }
    }

    /// Whether this is the same as `other`, met elsewhere in the same resource.
    fn is_same(&self, other: &Self) -> bool {
        (&self.resource, &self.what, &self.member) == (&other.resource, &other.what, &other.member)
    }

    /// Adds this to what is known to be missing: the same thing once more is one with a higher count.
    pub fn add_to(self, known: &mut Vec<Self>) {
        match known.iter_mut().find(|known| known.is_same(&self)) {
            Some(known) => known.count += self.count,
            None => known.push(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_id_of_a_reject_does_not_depend_on_its_line_or_reason() {
        let id = |reject: &Reject| reject.id(&"acme/jira.issues/warehouse/cdm".parse().unwrap());
        let at = |origin: &str, bytes: &[u8]| Reject::at_source(origin, "no record", bytes);
        let one = at("issues.jsonl:7", b"x");
        assert_eq!(id(&one), id(&Reject { reason: "other".into(), ..at("issues.jsonl:8", b"x") }));
        assert_ne!(id(&one), id(&at("issues.jsonl:7", b"y")), "another record");
        assert_ne!(id(&one), id(&at("issues-2.jsonl:7", b"x")), "another resource");
        assert_eq!(id(&one).len(), 32);
        let parent = |id| RejectEnvelope::new(Some(Parent { id: Some(id), key: None }), Rank::Whole);
        let embedded = |id| Reject { envelope: parent(id), ..at("issues.jsonl:7#/fields/comment/comments/0", b"x") };
        assert_ne!(id(&embedded("1")), id(&embedded("2")), "of another issue");
        let own = |id| Reject { envelope: parent(id), ..at("comments.jsonl:7", b"x") };
        assert_eq!(id(&own("1")), id(&own("2")), "the parent may be found later");
    }

    #[test]
    fn a_note_that_an_earlier_version_has_stored_is_still_read() {
        let stored =
            json!({ "resource": "issues.jsonl", "what": "holds less", "count": 3, "first_at": "issues.jsonl:7" });
        let note: Incomplete = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!((note.count, note.announced, note.found), (3, None, None));
        assert_eq!(serde_json::to_value(&note).unwrap(), stored, "and written as it was");
        let more = serde_json::to_value(note.of(120, 1)).unwrap();
        assert_eq!((&more["announced"], &more["found"]), (&json!(120), &json!(1)));
    }
}
