use std::{borrow::Cow, sync::Arc};

use cdm_models::{Date, Json, Model, ModelDescriptor, RawJson, Timestamp};
use endpoint_api::{
    CdmBatch, EndpointId, Mapped, RawBatch, UnitId,
    batch::{CdmBatchBuilder, NewRecord, Rank, SourceHashes},
};
use schemars::JsonSchema;
use serde::Serialize;

/// A thing of the kit: one field of every kind.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub(crate) struct Thing<'a> {
    /// Its id.
    #[schemars(extend("x-cdm-key" = true))]
    pub(crate) cdm_id: Cow<'a, str>,
    /// Its name, in 'single' and "double" quotes, with a \ backslash.
    pub(crate) name: Option<Cow<'a, str>>,
    /// The thing that it is a part of.
    #[schemars(extend("x-cdm-references" = "testkit.thing"))]
    pub(crate) whole: Option<Cow<'a, str>>,
    /// Whether it is good.
    pub(crate) good: Option<bool>,
    /// How many there are.
    pub(crate) count: Option<i64>,
    /// How large it is.
    pub(crate) size: Option<f64>,
    /// Since when.
    pub(crate) since: Option<Date>,
    /// When it changed.
    #[schemars(extend("x-cdm-index" = true))]
    pub(crate) updated_at: Option<Timestamp>,
    /// Labels.
    pub(crate) labels: Option<Vec<Cow<'a, str>>>,
    /// As received.
    pub(crate) raw_source: Option<RawJson<'a>>,
    /// The rest.
    pub(crate) properties: Option<Json<'a>>,
}

impl Model for Thing<'_> {
    const ID: &'static str = "testkit.thing";
    const VERSION: &'static str = "1.0.0";
}

/// A thing of the next version of the model: with one field more.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub(crate) struct NewerThing<'a> {
    /// Its id.
    #[schemars(extend("x-cdm-key" = true))]
    pub(crate) cdm_id: Cow<'a, str>,
    /// Its name, in 'single' and "double" quotes, with a \ backslash.
    pub(crate) name: Option<Cow<'a, str>>,
    /// The thing that it is a part of.
    #[schemars(extend("x-cdm-references" = "testkit.thing"))]
    pub(crate) whole: Option<Cow<'a, str>>,
    /// Whether it is good.
    pub(crate) good: Option<bool>,
    /// How many there are.
    pub(crate) count: Option<i64>,
    /// How large it is.
    pub(crate) size: Option<f64>,
    /// Since when.
    pub(crate) since: Option<Date>,
    /// When it changed.
    #[schemars(extend("x-cdm-index" = true))]
    pub(crate) updated_at: Option<Timestamp>,
    /// Labels.
    pub(crate) labels: Option<Vec<Cow<'a, str>>>,
    /// As received.
    pub(crate) raw_source: Option<RawJson<'a>>,
    /// The rest.
    pub(crate) properties: Option<Json<'a>>,
    /// Its colour, which the model had not before.
    pub(crate) colour: Option<Cow<'a, str>>,
}

impl Model for NewerThing<'_> {
    const ID: &'static str = "testkit.thing";
    const VERSION: &'static str = "1.1.0";
}

pub(crate) fn model() -> Arc<ModelDescriptor> {
    Arc::new(ModelDescriptor::of::<Thing<'_>>().unwrap())
}

pub(crate) fn newer_model() -> Arc<ModelDescriptor> {
    Arc::new(ModelDescriptor::of::<NewerThing<'_>>().unwrap())
}

/// A model whose fields have names that are none of a programming language's.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub(crate) struct Hostile<'a> {
    /// Its id. "); drop table things; --
    #[schemars(extend("x-cdm-key" = true))]
    #[serde(rename = "select")]
    pub(crate) key: Cow<'a, str>,
    /// Its name, */ or // not.
    #[serde(rename = "a\"b'c`d\\e")]
    #[schemars(extend("x-cdm-index" = true))]
    pub(crate) quoted: Option<Cow<'a, str>>,
    /// ${env:HOME} $1 %s {}
    #[serde(rename = "x\"; drop table things; --")]
    #[schemars(extend("x-cdm-references" = "testkit.thing"))]
    pub(crate) injected: Option<Cow<'a, str>>,
    /// 😀
    #[serde(rename = "naïve 😀 spaces")]
    pub(crate) unicode: Option<i64>,
    /// As received.
    pub(crate) raw_source: Option<RawJson<'a>>,
    /// The rest.
    pub(crate) properties: Option<Json<'a>>,
}

impl Model for Hostile<'_> {
    const ID: &'static str = "testkit.order.by";
    const VERSION: &'static str = "1.0.0";
}

/// Another model, with keys that things may have, too.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub(crate) struct Other<'a> {
    /// Its id.
    #[schemars(extend("x-cdm-key" = true))]
    pub(crate) cdm_id: Cow<'a, str>,
    /// Its name.
    pub(crate) name: Option<Cow<'a, str>>,
    /// As received.
    pub(crate) raw_source: Option<RawJson<'a>>,
    /// The rest.
    pub(crate) properties: Option<Json<'a>>,
}

impl Model for Other<'_> {
    const ID: &'static str = "testkit.other";
    const VERSION: &'static str = "1.0.0";
}

/// A model with two fields whose names differ in nothing but case.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub(crate) struct Colliding<'a> {
    /// Its id.
    #[schemars(extend("x-cdm-key" = true))]
    pub(crate) cdm_id: Cow<'a, str>,
    /// Its name.
    pub(crate) name: Option<Cow<'a, str>>,
    /// Another one.
    #[serde(rename = "NAME")]
    pub(crate) other: Option<Cow<'a, str>>,
    /// As received.
    pub(crate) raw_source: Option<RawJson<'a>>,
    /// The rest.
    pub(crate) properties: Option<Json<'a>>,
}

impl Model for Colliding<'_> {
    const ID: &'static str = "testkit.colliding";
    const VERSION: &'static str = "1.0.0";
}

/// A model with a field whose name is longer than many databases take.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub(crate) struct Long<'a> {
    /// Its id.
    #[schemars(extend("x-cdm-key" = true))]
    pub(crate) cdm_id: Cow<'a, str>,
    /// Its name.
    #[serde(rename = "a_name_that_is_longer_than_the_sixty_three_bytes_that_many_take_1")]
    pub(crate) one: Option<Cow<'a, str>>,
    /// Another one, which is the same when it is cut off.
    #[serde(rename = "a_name_that_is_longer_than_the_sixty_three_bytes_that_many_take_2")]
    pub(crate) other: Option<Cow<'a, str>>,
    /// As received.
    pub(crate) raw_source: Option<RawJson<'a>>,
    /// The rest.
    pub(crate) properties: Option<Json<'a>>,
}

impl Model for Long<'_> {
    const ID: &'static str = "testkit.long";
    const VERSION: &'static str = "1.0.0";
}

/// A batch of one row of a model, as a whole record with this version time.
pub(crate) fn batch_of<M: Model>(row: M, version_at: i64) -> CdmBatch {
    let at = |microsecond| Timestamp::from_microsecond(microsecond).unwrap();
    let mut source = RawBatch::builder(unit(), EndpointId::from_static("acme"), "things.jsonl", at(0));
    source.push(NewRecord { json: r#"{"some":"record"}"#, line: Some(1), ..NewRecord::default() });
    let mut builder = CdmBatchBuilder::new(Arc::new(ModelDescriptor::of::<M>().unwrap()), 1);
    builder.push(&Mapped { row, version_at: Some(at(version_at)) }, Rank::Whole, 0, 0).unwrap();
    builder.finish(Arc::new(source.finish())).unwrap()
}

/// What goes into a batch.
#[derive(Debug, Clone)]
pub(crate) enum Row {
    /// A row with its rank and version time.
    Put(Box<Thing<'static>>, Rank, Option<i64>),
    /// The deletion of a key.
    Delete(String),
}

/// A whole record with a version time.
pub(crate) fn put(key: &str, name: &str, version_at: i64) -> Row {
    Row::Put(Box::new(named(key, name)), Rank::Whole, Some(version_at))
}

/// As [`put`], of a record that states who may read it.
pub(crate) fn stated(key: &str, name: &str, version_at: i64) -> Row {
    Row::Put(Box::new(named(key, name)), Rank::WithAccess, Some(version_at))
}

/// A whole record without a version time.
pub(crate) fn timeless(key: &str, name: &str) -> Row {
    Row::Put(Box::new(named(key, name)), Rank::Whole, None)
}

/// A record that was seen only as a part of another.
pub(crate) fn part(key: &str, name: &str) -> Row {
    Row::Put(Box::new(named(key, name)), Rank::Part, None)
}

pub(crate) fn named(key: &str, name: &str) -> Thing<'static> {
    Thing { cdm_id: key.to_owned().into(), name: Some(name.to_owned().into()), ..Thing::default() }
}

pub(crate) fn unit() -> UnitId {
    UnitId::from_static("testkit.things")
}

/// The hashes of the records that rows were made of.
pub(crate) fn hashes(rows: &[Row]) -> SourceHashes {
    let hash = |row: &Row| {
        let key = match row {
            Row::Put(thing, ..) => Some(thing.cdm_id.to_string()),
            Row::Delete(_) => None,
        };
        (*blake3::hash(format!("{row:?}").as_bytes()).as_bytes().first_chunk().unwrap(), key)
    };
    rows.iter().map(hash).collect()
}

/// A batch of the rows that are not known, if there are any.
pub(crate) fn batch(rows: &[Row], known: &[bool]) -> Option<CdmBatch> {
    mapped(rows, known, 1)
}

/// As [`batch`], by a mapper of some revision.
pub(crate) fn mapped(rows: &[Row], known: &[bool], revision: u32) -> Option<CdmBatch> {
    let at = |microsecond| Timestamp::from_microsecond(microsecond).unwrap();
    let mut source = RawBatch::builder(unit(), EndpointId::from_static("acme"), "things.jsonl", at(0));
    let mut builder = CdmBatchBuilder::new(model(), revision);
    for (index, row) in rows.iter().enumerate() {
        source.push(NewRecord { json: r#"{"some":"record"}"#, line: Some(index as u64 + 1), ..NewRecord::default() });
        if known.get(index) == Some(&true) {
            continue;
        }
        match row {
            Row::Put(thing, rank, version_at) => {
                let mapped = Mapped { row: (**thing).clone(), version_at: version_at.map(at) };
                builder.push(&mapped, *rank, 0, index).unwrap();
            }
            Row::Delete(key) => builder.push_delete(key, None, index),
        }
    }
    let has_rows = !builder.is_empty();
    has_rows.then(|| builder.finish_hashed(Arc::new(source.finish()), &hashes(rows)).unwrap())
}
