//! Stores to test with, and what to put into them.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::borrow::Cow;

use catalog::{Catalog, DatasetSpec, UnitMapping};
use cdm_models::{Model, ModelDescriptor, Timestamp};
use endpoint_api::{EndpointId, Ingestion, Mode, ProvisionedModel, RunId, UnitDescriptor, UnitField, UnitId};
use local_postgres::TestDatabase;
use schemars::JsonSchema;
use serde::Serialize;
use tempfile::TempDir;

/// Where a catalog is kept.
#[allow(clippy::large_enum_variant, reason = "tests have few of them")]
pub(crate) enum Store {
    Sqlite(TempDir),
    Postgres(TestDatabase),
}

impl Store {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(crate) fn postgres() -> Self {
        Self::Postgres(TestDatabase::create())
    }

    pub(crate) async fn open(&self) -> Box<dyn Catalog> {
        match self {
            Self::Sqlite(folder) => catalog::open("sqlite:catalog.db", folder.path()).await.unwrap(),
            Self::Postgres(database) => catalog::open(database.url(), ".".as_ref()).await.unwrap(),
        }
    }

    /// Every row of every table, with what shows in PostgreSQL that it was written again or locked.
    pub(crate) async fn rows(&self) -> Vec<String> {
        let tables = ["endpoint", "dataset_version", "annotation_version", "dataset_load", "run", "outbox"];
        let mut rows = Vec::new();
        for table in tables {
            match self {
                Self::Sqlite(folder) => {
                    let connection = rusqlite::Connection::open(folder.path().join("catalog.db")).unwrap();
                    let mut statement = connection.prepare(&format!("select * from {table} order by 1")).unwrap();
                    let columns = statement.column_count();
                    let mut found = statement.query([]).unwrap();
                    while let Some(row) = found.next().unwrap() {
                        let cells: Vec<_> = (0..columns).map(|column| row.get_ref(column).unwrap()).collect();
                        rows.push(format!("{table} {cells:?}"));
                    }
                }
                Self::Postgres(database) => {
                    let query = format!("select xmin, xmax, ctid, t::text from cdm_metadata.{table} t order by 4");
                    rows.extend(database.query(&query).into_iter().map(|row| format!("{table} {row:?}")));
                }
            }
        }
        rows
    }
}

/// A thing.
#[derive(Serialize, JsonSchema)]
struct Thing<'a> {
    /// Its key.
    #[schemars(extend("x-cdm-key" = true))]
    cdm_id: Cow<'a, str>,
    /// What it is a part of.
    #[schemars(extend("x-cdm-references" = "test.thing"))]
    part_of: Option<Cow<'a, str>>,
    labels: Vec<Cow<'a, str>>,
}

impl Model for Thing<'_> {
    const ID: &'static str = "test.thing";
    const VERSION: &'static str = "1.0.0";
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_microsecond(1_600_000_000_000_000 + second * 1_000_000).unwrap()
}

pub(crate) fn endpoint(id: &str) -> EndpointId {
    id.parse().unwrap()
}

pub(crate) fn run_id(id: &str) -> RunId {
    id.parse().unwrap()
}

pub(crate) fn ingestion() -> Ingestion {
    let unit = UnitId::from_static("test.things");
    Ingestion { source: endpoint("acme"), unit, sink: endpoint("warehouse"), mode: Mode::Cdm }
}

fn spec(version: &str, provisioned: &str, sink: &str) -> DatasetSpec {
    let mut model = ModelDescriptor::of::<Thing<'_>>().unwrap();
    model.version = version.parse().unwrap();
    let provisioned = ProvisionedModel::new(provisioned.parse().unwrap(), format!("plan of {provisioned}"), at(0));
    DatasetSpec::of_model(&model, &endpoint(sink), "cdm_test.things", &provisioned)
}

/// The table of a version of the model, in the warehouse.
pub(crate) fn table_spec(version: &str) -> DatasetSpec {
    spec(version, version, "warehouse")
}

/// As a program that knows `version` sees a table that was made for `provisioned`.
pub(crate) fn table_spec_of(version: &str, provisioned: &str) -> DatasetSpec {
    spec(version, provisioned, "warehouse")
}

/// The table of the model in that sink.
pub(crate) fn table_at(sink: &str) -> DatasetSpec {
    spec("1.0.0", "1.0.0", sink)
}

/// A unit that has the model's id, of all names.
pub(crate) fn unit_at(source: &str) -> DatasetSpec {
    let unit = UnitDescriptor::new(UnitId::from_static("test.thing"), "Things", Vec::new());
    DatasetSpec::of_unit(&unit, &endpoint(source), "somewhere", None)
}

pub(crate) fn unit_spec() -> DatasetSpec {
    let field = UnitField { name: "name".into(), json_type: "string".into(), description: "What it is called.".into() };
    let unit = UnitDescriptor::new(UnitId::from_static("test.things"), "Things", vec![field]);
    DatasetSpec::of_unit(&unit, &endpoint("acme"), "https://acme.example", Some(&"test.thing".parse().unwrap()))
}

/// How things become rows, by a revision of their mapper.
pub(crate) fn mapping(revision: u32) -> UnitMapping {
    let mapping = serde_json::json!({
        "revision": revision,
        "fields": [
            { "field": "cdm_id", "inputs": [
                { "place": "configuration", "path": "source_system", "derivation": "transformed" },
                { "place": "record", "path": "id", "derivation": "transformed" },
            ] },
            { "field": "part_of", "inputs": [
                { "place": "record", "path": "whole.id", "derivation": "transformed", "when": "it is not whole" },
            ] },
            { "field": "labels", "inputs": [{ "place": "record", "path": "labels", "derivation": "identity" }] },
        ],
        "dropped": [{ "path": "picture", "why": "nobody looks at it" }],
    });
    serde_json::from_value(mapping).unwrap()
}
