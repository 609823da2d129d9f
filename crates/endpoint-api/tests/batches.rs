//! Rows become batches: encoding, hashing, cleaning, rejecting.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{borrow::Cow, sync::Arc};

use cdm_models::{Date, Json, Model, ModelDescriptor, RawJson, Timestamp};
use endpoint_api::{
    CdmBatch, EndpointId, Mapped, Mapper, RawBatch, RecordMapper, Rejection, Result, SourceIdentity, UnitId,
    arrow::array::{Array, RecordBatch, StringArray, cast::AsArray},
    batch::{CdmBatchBuilder, ContentHasher, HashValue, NewRecord, Operation, Rank, RawRecord, Stage, plumbing},
    lineage::{Lineage, field, identity, source_system, transformed},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One field of every kind.
#[derive(Serialize, JsonSchema)]
struct Thing<'a> {
    #[schemars(extend("x-cdm-key" = true))]
    id: Cow<'a, str>,
    name: Option<Cow<'a, str>>,
    flag: Option<bool>,
    count: Option<i64>,
    ratio: Option<f64>,
    day: Option<Date>,
    at: Option<Timestamp>,
    labels: Option<Vec<&'a str>>,
    properties: Option<Json<'a>>,
    raw: Option<RawJson<'a>>,
}

impl Model for Thing<'_> {
    const ID: &'static str = "test.thing";
    const VERSION: &'static str = "1.0.0";
}

fn bare(id: &str) -> Thing<'_> {
    Thing {
        id: id.into(),
        name: None,
        flag: None,
        count: None,
        ratio: None,
        day: None,
        at: None,
        labels: None,
        properties: None,
        raw: None,
    }
}

fn full(name: &str) -> Thing<'_> {
    Thing {
        id: "k2".into(),
        name: Some(name.into()),
        flag: Some(true),
        count: Some(-5),
        ratio: Some(0.5),
        day: Some(Date::parse("1969-12-31").unwrap()),
        at: Some(Timestamp::from_microsecond(1_500_000).unwrap()),
        labels: Some(vec!["b", "a", "b"]),
        properties: Some(Json::parse(r#"{"b": [1, 2], "a": 1e3}"#).unwrap()),
        raw: Some(RawJson::new(r#"{"b": [1, 2], "a": 1e3}"#)),
    }
}

fn model() -> Arc<ModelDescriptor> {
    Arc::new(ModelDescriptor::of::<Thing>().unwrap())
}

fn source(records: &[&str]) -> Arc<RawBatch> {
    let observed_at = Timestamp::from_microsecond(0).unwrap();
    let mut batch = RawBatch::builder(
        UnitId::from_static("test.things"),
        EndpointId::from_static("acme"),
        "things.jsonl",
        observed_at,
    );
    for (line, json) in (1..).zip(records) {
        batch.push(NewRecord { json, line: Some(line), ..NewRecord::default() });
    }
    Arc::new(batch.finish())
}

fn push(builder: &mut CdmBatchBuilder, row: Thing<'_>, record: usize) -> Result<(), Rejection> {
    builder.push(&Mapped { row, version_at: None }, Rank::Whole, 0, record)
}

fn texts<'a>(rows: &'a RecordBatch, column: &str) -> &'a StringArray {
    rows.column_by_name(column).unwrap().as_string()
}

#[test]
fn a_row_arrives_in_typed_columns_with_its_plumbing() {
    let mut builder = CdmBatchBuilder::new(model(), 3);
    let version_at = Some(Timestamp::from_microsecond(7).unwrap());
    builder.push(&Mapped { row: full("nul \0 here"), version_at }, Rank::Part, 2, 0).unwrap();
    push(&mut builder, bare("k1"), 1).unwrap();
    builder.push_delete("k3", None, 1);
    let batch = builder.finish(source(&["{}", "{}"])).unwrap();

    assert_eq!((batch.len(), batch.mapper_revision()), (3, 3));
    let rows = batch.rows();
    assert_eq!(texts(rows, "name").value(0), "nul \u{FFFD} here");
    assert!(texts(rows, "name").is_null(1));
    assert_eq!(texts(rows, "properties").value(0), r#"{"a":1000,"b":[1,2]}"#);
    assert_eq!(texts(rows, "raw").value(0), r#"{"b": [1, 2], "a": 1e3}"#);
    let labels = rows.column_by_name("labels").unwrap().as_list::<i32>().value(0);
    assert_eq!(labels.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["b", "a", "b"]);
    assert_eq!(rows.schema().field(0).name(), "id");
    assert_eq!(rows.schema().fields().last().unwrap().name(), plumbing::CHANGES);

    assert_eq!((batch.key(0), batch.rank(0), batch.version_at(0), batch.changes(0)), ("k2", Rank::Part, Some(7), 3));
    assert_eq!((batch.key(1), batch.rank(1), batch.version_at(1), batch.changes(1)), ("k1", Rank::Whole, None, 0));
    assert_eq!((batch.key(2), batch.operation(2)), ("k3", Operation::Delete));
    assert_eq!((batch.operation(0), batch.operation(1)), (Operation::Upsert, Operation::Upsert));
    assert!(builder.is_empty(), "the builder can be used again");
}

/// Computed apart from this code, from the description of [`ContentHasher`].
const BARE_HASH: &str = "5a84ddac3340dc8afde4bef92106cf4f";
const FULL_HASH: &str = "c599be8a270718b77f3ded259eb28557";

fn hex(hash: [u8; 16]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_hash_is_the_one_that_is_written_down() {
    let mut builder = CdmBatchBuilder::new(model(), 1);
    push(&mut builder, bare("k1"), 0).unwrap();
    push(&mut builder, full("naïve \0"), 0).unwrap();
    let batch = builder.finish(source(&["{}"])).unwrap();
    assert_eq!((hex(batch.content_hash(0)).as_str(), hex(batch.content_hash(1)).as_str()), (BARE_HASH, FULL_HASH));
}

#[test]
fn a_stored_row_hashes_to_the_same_value() {
    let name = "naïve \u{FFFD}";
    let hash = ContentHasher::new(&model()).hash(|field| match field {
        0 => HashValue::Text("k2"),
        1 => HashValue::Text(name),
        2 => HashValue::Bool(true),
        3 => HashValue::Int64(-5),
        4 => HashValue::Float64(0.5),
        5 => HashValue::Date(-1),
        6 => HashValue::Int64(1_500_000),
        7 => HashValue::TextList(&["b", "a", "b"]),
        8 => HashValue::Json(r#"{"b": [1, 2], "a": 1000}"#),
        9 => HashValue::RawJson(r#"{"b": [1, 2], "a": 1e3}"#),
        _ => HashValue::Null,
    });
    assert_eq!(hex(hash.unwrap()), FULL_HASH);
}

#[test]
fn a_row_that_cannot_be_encoded_leaves_no_trace() {
    let mut builder = CdmBatchBuilder::new(model(), 1);
    let broken = Thing { raw: Some(RawJson::new("{")), ..bare("k1") };
    assert_eq!(push(&mut builder, broken, 0).unwrap_err().reason, "not JSON at byte 1");
    push(&mut builder, bare("k2"), 0).unwrap();
    let batch = builder.finish(source(&["{}"])).unwrap();
    assert_eq!((batch.len(), batch.key(0)), (1, "k2"));
}

#[test]
fn a_struct_of_another_model_is_refused() {
    #[derive(Serialize, JsonSchema)]
    struct Other {
        #[schemars(extend("x-cdm-key" = true))]
        id: String,
        surprise: bool,
    }
    impl Model for Other {
        const ID: &'static str = "test.other";
        const VERSION: &'static str = "1.0.0";
    }
    let mut builder = CdmBatchBuilder::new(model(), 1);
    let row = Other { id: "k".into(), surprise: true };
    let rejection = builder.push(&Mapped { row, version_at: None }, Rank::Whole, 0, 0).unwrap_err();
    assert_eq!(rejection.reason, "the row has an unexpected field `surprise`");
}

struct Things(String);

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

impl Mapper for Things {
    const UNIT: &'static str = "test.things";
    const REVISION: u32 = 1;
    const LINEAGE: Lineage = Lineage {
        fields: &[
            field("id", &[source_system(), transformed("id")]),
            field("name", &[identity("name")]),
            field("flag", &[]),
            field("count", &[]),
            field("ratio", &[]),
            field("day", &[]),
            field("at", &[]),
            field("labels", &[]),
            field("properties", &[]),
            field("raw", &[]),
        ],
        dropped: &[],
    };
    type Model<'a> = Thing<'a>;

    fn new(source: &SourceIdentity) -> Result<Self> {
        Ok(Self(source.system.clone()))
    }

    fn map<'a>(&'a self, record: &RawRecord<'a>) -> Result<Mapped<Thing<'a>>, Rejection> {
        let Record { id, name } = serde_json::from_str(record.json).map_err(|_| Rejection::new("not a thing"))?;
        let row = Thing { id: format!("{}:{id}", self.0).into(), name, ..bare("") };
        Ok(Mapped { row, version_at: None })
    }

    fn key(&self, _: &RawRecord<'_>) -> Option<String> {
        None
    }
}

fn map(records: &[&str]) -> (CdmBatch, Vec<Rejection>) {
    let identity = SourceIdentity::new(EndpointId::from_static("acme"), "s");
    let mapper: Box<dyn RecordMapper> = Box::new(Things::new(&identity).unwrap());
    let mut builder = CdmBatchBuilder::new(model(), Things::REVISION);
    let source = source(records);
    let mut rejections = Vec::new();
    for (index, record) in source.records().enumerate() {
        rejections.extend(mapper.map_into(&record, index, &mut builder).err());
    }
    (builder.finish(Arc::clone(&source)).unwrap(), rejections)
}

#[test]
fn a_mapper_is_given_text_without_nul_and_lone_surrogates() {
    let (batch, rejections) =
        map(&[r#"{"id":"1","name":"a\u0000b\ud800"}"#, r#"{"id":2}"#, r#"{"id":"3","name":"\u00e9"}"#]);
    assert_eq!(rejections, [Rejection::new("not a thing")]);
    assert_eq!((batch.key(0), batch.changes(0)), ("s:1", 2));
    assert_eq!(texts(batch.rows(), "name").value(0), "a\u{FFFD}b\u{FFFD}");
    assert_eq!((batch.key(1), batch.changes(1)), ("s:3", 0));
}

#[test]
fn a_sink_can_reject_a_row_with_the_bytes_of_its_record() {
    let (batch, _) = map(&[r#"{"id":2}"#, r#"{"id":"1\u0000"}"#]);
    let reject = batch.reject(0, Rejection::new("the table does not like it")).unwrap();
    assert_eq!((reject.stage, reject.origin.as_str()), (Stage::Sink, "things.jsonl:2"));
    assert_eq!(
        (reject.raw.as_slice(), reject.key.as_deref()),
        (br#"{"id":"1\u0000"}"#.as_slice(), Some("s:1\u{FFFD}"))
    );
    assert!(reject.replayable());
}
