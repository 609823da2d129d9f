//! Mapping a record as a host does, with the row as JSON.
#![allow(dead_code, reason = "each test program uses its own part")]

pub(crate) mod generators;
pub(crate) mod leaves;
pub(crate) mod observed;
pub(crate) mod verdict;

use cdm_models::Model;
use endpoint_api::{
    EndpointId, Mapped, Mapper, Rejection, SourceIdentity,
    batch::{Origin, Parent, Rank, RawRecord},
};
use serde_json::Value;

pub(crate) fn mapper<M: Mapper>() -> M {
    mapper_of("jira")
}

fn mapper_of<M: Mapper>(system: &str) -> M {
    M::new(&SourceIdentity::new(EndpointId::from_static("acme_jira"), system)).unwrap()
}

pub(crate) fn record<'a>(json: &'a str, parent: Option<Parent<'a>>) -> RawRecord<'a> {
    let origin = Origin { resource: "records.jsonl", line: Some(1), part: None };
    RawRecord { json, origin, parent, key: None, rank: Rank::Whole }
}

/// On the issue with the id 10001.
pub(crate) const ON_ISSUE: Option<Parent<'static>> = Some(Parent { id: Some("10001"), key: None });

/// The row that a record becomes, as JSON in which fields that are null are left out, and its
/// version time.
pub(crate) fn map<M: Mapper>(json: &str, parent: Option<Parent<'_>>) -> Result<(Value, Option<String>), Rejection> {
    map_from::<M>("jira", json, parent)
}

/// As [`map`], of a record of the source `system`.
pub(crate) fn map_from<M: Mapper>(
    system: &str,
    json: &str,
    parent: Option<Parent<'_>>,
) -> Result<(Value, Option<String>), Rejection> {
    let mapper = mapper_of::<M>(system);
    let record = record(json, parent);
    let Mapped { row, version_at } = mapper.map(&record)?;
    let row = to_json(&row);
    assert_eq!(mapper.key(&record).as_deref(), row["cdm_id"].as_str(), "the key is told without mapping");
    Ok((row, version_at.map(|time| time.to_string())))
}

fn to_json(row: &impl Model) -> Value {
    let mut json = serde_json::to_value(row).unwrap();
    json.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    json
}
