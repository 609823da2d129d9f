use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{EndpointId, Mode, RawBatch, Result, SourceSite, UnitId};

/// An endpoint from which records are read.
///
/// The host plans once a run and then reads slice by slice, several at once and in any order. A
/// slice may be read again, by this process or by a later one: after a failure, a deadlock in the
/// sink, a crash.
#[async_trait]
pub trait Source: Send + Sync {
    /// Who the records are from. Part of the ids that mapping gives them.
    fn identity(&self) -> &SourceIdentity;

    /// The site whose records these are, for sinks that keep the rows of two sites apart; `None` when the source knows
    /// no sites. It is asked before a run in CDM mode, and reads a bounded part of the source at most.
    async fn site(&self) -> Result<Option<SourceSite>> {
        Ok(None)
    }

    /// The units that can be read.
    async fn units(&self) -> Result<Vec<UnitDescriptor>>;

    /// Cuts what there is to read into slices.
    ///
    /// - With a checkpoint, only what came after it; the plan is empty when nothing did.
    /// - The indices of the slices MUST be 0, 1, 2, … in their order.
    /// - The same state of the source and the same request MUST give the same plan.
    /// - A plan that has one slice of a [`Resource`] MUST have all of them: when they are committed, the sink removes the
    ///   rejects of that resource that were not met again.
    /// - A slice may be of several resources, and is then all of each. They SHOULD have come into their states between
    ///   the same two runs: where they did not, all of them count as changed.
    /// - A slice SHOULD be some 10 to 100 MB of records: it is staged, loaded and retried as one.
    ///
    /// An unknown unit is [`ErrorKind::Config`](crate::ErrorKind::Config).
    async fn plan(&self, unit: &UnitId, request: &PlanRequest) -> Result<Vec<Slice>>;

    /// Reads one slice of a plan, which an earlier process may have made.
    ///
    /// - The stream MUST read on demand: what is not polled is not read.
    /// - Its memory MUST NOT grow with the size of the slice or of a record. A record above the
    ///   source's limit is a reject in the batch, not an error.
    /// - Every record of the slice MUST come exactly once, as a record or as a reject.
    /// - Reading a slice again MUST give the same records with the same origins. A source that has
    ///   changed since the plan was made says so with [`ErrorKind::Outdated`](crate::ErrorKind::Outdated)
    ///   before it hands out the last batch.
    /// - The last batch MUST say from where a later run may resume
    ///   ([`RawBatch::resume_at`]) when this slice and all before it have been committed, unless a
    ///   later slice of the plan says it.
    fn read<'a>(&'a self, unit: &'a UnitId, slice: &'a Slice) -> BoxStream<'a, Result<RawBatch>>;
}

/// Who the records of a source are from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceIdentity {
    /// The source's endpoint.
    pub endpoint: EndpointId,
    /// The name that stands in the ids of its records (`cdm:work:item:<system>:…`): two sources of
    /// one kind never collide when their systems differ.
    pub system: String,
    /// The address of the site that people open in a browser, without a slash at its end, where it is
    /// configured: `https://acme.atlassian.net`, `https://acme.example/jira`.
    pub site_url: Option<String>,
}

impl SourceIdentity {
    /// The records of `endpoint`, whose ids carry the name `system`; no address of a site is configured.
    pub fn new(endpoint: EndpointId, system: impl Into<String>) -> Self {
        Self { endpoint, system: system.into(), site_url: None }
    }

    /// The address of the site is configured as `url`.
    #[must_use]
    pub fn at_site(mut self, url: Option<String>) -> Self {
        self.site_url = url;
        self
    }
}

/// One extractable collection of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnitDescriptor {
    /// The unit's id: `jira.issues`.
    pub id: UnitId,
    /// What it is, in a few words.
    pub title: &'static str,
    /// The members that its records usually have.
    pub fields: Vec<UnitField>,
}

impl UnitDescriptor {
    /// A unit and its usual members.
    pub fn new(id: UnitId, title: &'static str, fields: Vec<UnitField>) -> Self {
        Self { id, title, fields }
    }
}

/// A member that the records of a unit usually have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitField {
    /// Dotted path within the record: `fields.summary`.
    pub name: String,
    /// The JSON type: `string`, `object`.
    #[serde(rename = "type")]
    pub json_type: String,
    /// What it is.
    pub description: String,
}

/// What [`Source::plan`] is asked for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PlanRequest {
    /// In which shape the records are wanted. In raw mode a unit is its own records only; in CDM
    /// mode a source adds the records that others of its records embed.
    pub mode: Mode,
    /// After which point to read; `None` reads from the beginning.
    pub checkpoint: Option<Checkpoint>,
    /// How far the ingestion has come, also when it is to be read from the beginning. It may spare a source
    /// work; it MUST NOT make it leave out a record.
    pub known: Option<Checkpoint>,
}

impl PlanRequest {
    /// Everything after `checkpoint`.
    pub fn new(mode: Mode, checkpoint: Option<Checkpoint>) -> Self {
        Self { mode, known: checkpoint.clone(), checkpoint }
    }

    /// The ingestion has come as far as `known`.
    #[must_use]
    pub fn knowing(mut self, known: Option<Checkpoint>) -> Self {
        self.known = known;
        self
    }
}

/// A bounded part of a unit that is read, staged and loaded as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Slice {
    /// Its place in the plan, from 0.
    pub index: u64,
    /// What to read, in the source's own words. It is stored with the plan, so that a later process
    /// can go on with it; it MUST NOT hold a secret.
    pub spec: Value,
    /// What it is a part of, or all of, where the source can tell one state of that from another.
    #[serde(default, rename = "resource", with = "one_or_more", skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
}

impl Slice {
    /// A slice of something whose states the source cannot tell apart.
    pub fn new(index: u64, spec: Value) -> Self {
        Self { index, spec, resources: Vec::new() }
    }

    /// The slice is of this state of a resource, beside those that were named before.
    #[must_use]
    pub fn of(mut self, resource: Resource) -> Self {
        self.resources.push(resource);
        self
    }
}

/// One state of something that slices are parts of, such as a file with certain contents.
///
/// A sink orders what it sees by when it was seen. What stands in a resource that has not changed
/// since an earlier run was seen then, and is no newer for being read again: so two records in it
/// that contradict each other do not take turns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Which one it is: `issues.jsonl`.
    pub name: String,
    /// The same for the same contents and another one for others.
    pub fingerprint: String,
}

/// From where a later run reads on, in the source's own words. It MUST NOT hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Checkpoint(pub Value);

/// One resource is written as an object, as it always was, and several as a list.
mod one_or_more {
    use serde::{Deserialize, Deserializer, Serialize as _, Serializer};

    use super::Resource;

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Resources {
        One(Resource),
        More(Vec<Resource>),
        None(()),
    }

    pub(super) fn serialize<S: Serializer>(resources: &[Resource], serializer: S) -> Result<S::Ok, S::Error> {
        match resources {
            [resource] => resource.serialize(serializer),
            resources => resources.serialize(serializer),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Resource>, D::Error> {
        Ok(match Resources::deserialize(deserializer)? {
            Resources::One(resource) => vec![resource],
            Resources::More(resources) => resources,
            Resources::None(()) => Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_resources_of_a_slice_are_stored_as_one_or_as_a_list() {
        let resource = |name: &str| Resource { name: name.to_owned(), fingerprint: "1".to_owned() };
        let stored = |slice: &Slice| serde_json::to_value(slice).unwrap();
        let mut slice = Slice::new(0, Value::Null);
        assert_eq!(stored(&slice), json!({ "index": 0, "spec": null }));
        for (name, expected) in [
            ("a", json!({ "name": "a", "fingerprint": "1" })),
            ("b", json!([{ "name": "a", "fingerprint": "1" }, { "name": "b", "fingerprint": "1" }])),
        ] {
            slice = slice.of(resource(name));
            let stored = stored(&slice);
            assert_eq!(stored["resource"], expected);
            assert_eq!(serde_json::from_value::<Slice>(stored).unwrap(), slice);
        }
        let without = json!({ "index": 0, "spec": null, "resource": null });
        assert_eq!(serde_json::from_value::<Slice>(without).unwrap().resources, []);
    }
}
