use std::borrow::Cow;

use cdm_models::{Json, Model, Timestamp, register_model};
use endpoint_api::{
    Capabilities, CheckReport, Checkpoint, Driver, Endpoint, Error, ErrorKind, Mapped, Mapper, OpenContext,
    PlanRequest, Provisioner, RawBatch, Rejection, Result, Sink, Slice, Source, SourceCapabilities, SourceIdentity,
    TemplateInfo, UnitDescriptor, UnitField, UnitId, async_trait,
    batch::{NewRecord, RawRecord},
    lineage::{Lineage, field, identity, source_system, transformed},
    register_driver, register_mapper,
};
use futures::{StreamExt as _, stream, stream::BoxStream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A ship of a fleet.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Ship<'a> {
    /// The ship's key.
    #[schemars(extend("x-cdm-key" = true))]
    cdm_id: String,
    /// What is painted on her side.
    name: Cow<'a, str>,
    /// How much she carries, in tonnes.
    tonnes: Option<f64>,
    /// How many she sails with.
    crew: Option<i64>,
    /// Where she has been.
    ports: Vec<Cow<'a, str>>,
    /// When she was launched.
    launched_at: Option<Timestamp>,
    /// What else is known of her.
    properties: Option<Json<'a>>,
}

impl Model for Ship<'_> {
    const ID: &'static str = "acme.fleet.ship";
    const VERSION: &'static str = "2.1.0";
}

register_model!(Ship<'_>);

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    tonnes: Option<f64>,
    crew: Option<i64>,
    #[serde(borrow, default)]
    ports: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    launched: Option<Cow<'a, str>>,
    #[serde(borrow)]
    more: Option<&'a serde_json::value::RawValue>,
}

/// Ships' records become rows.
struct Ships {
    system: String,
}

impl Mapper for Ships {
    const UNIT: &'static str = "fleet.ships";
    const REVISION: u32 = 1;
    const LINEAGE: Lineage = Lineage {
        fields: &[
            field("cdm_id", &[source_system(), transformed("id")]),
            field("name", &[identity("name")]),
            field("tonnes", &[identity("tonnes")]),
            field("crew", &[identity("crew")]),
            field("ports", &[identity("ports")]),
            field("launched_at", &[identity("launched")]),
            field("properties", &[identity("more")]),
        ],
        dropped: &[],
    };
    type Model<'a> = Ship<'a>;

    fn new(source: &SourceIdentity) -> Result<Self> {
        Ok(Self { system: source.system.clone() })
    }

    fn map<'a>(&'a self, record: &RawRecord<'a>) -> Result<Mapped<Ship<'a>>, Rejection> {
        let Record { id, name, tonnes, crew, ports, launched, more } =
            serde_json::from_str(record.json).map_err(|_| Rejection::new("expected a ship"))?;
        let launched_at = launched.map(|text| Timestamp::parse(&text)).transpose();
        let launched_at = launched_at.map_err(|_| Rejection::new("expected a time").field("launched").key(&*id))?;
        let properties = more.map(|more| Json::parse(more.get())).transpose();
        let properties = properties.map_err(|_| Rejection::new("expected JSON").field("more"))?;
        let cdm_id = format!("acme:fleet:ship:{}:{id}", self.system);
        let row = Ship { cdm_id, name, tonnes, crew, ports, launched_at, properties };
        Ok(Mapped { row, version_at: None })
    }

    fn key(&self, _: &RawRecord<'_>) -> Option<String> {
        None
    }
}

register_mapper!(Ships);

/// The records stand in the configuration.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The ships' records, each a JSON text.
    ships: Vec<String>,
    /// The records of the ports that they call at, each a JSON text.
    #[serde(default)]
    ports: Vec<String>,
}

#[derive(Debug)]
struct Fleet {
    identity: SourceIdentity,
    ships: Vec<String>,
    ports: Vec<String>,
}

impl Fleet {
    fn records(&self, unit: &UnitId) -> &[String] {
        if *unit == PORTS { &self.ports } else { &self.ships }
    }
}

impl Driver for Fleet {
    const ID: &'static str = "acme.fleet";
    const ALIASES: &'static [&'static str] = &[];
    const CAPABILITIES: Capabilities = Capabilities::NONE.source(SourceCapabilities::NONE.incremental());
    type Config = Config;
    type Endpoint = Fleet;

    fn template() -> TemplateInfo {
        TemplateInfo::new("A fleet", "Acme", "example")
            .docs("The ships of a fleet, written down in the configuration.")
            .sample_config(json!({ "ships": ["{\"id\":\"1\",\"name\":\"Vega\"}"] }))
    }

    fn validate(config: &Config) -> Result<()> {
        if config.ships.is_empty() {
            return Err(
                Error::new(ErrorKind::Config, "read the configuration", "a fleet has a ship").with("key", "ships")
            );
        }
        Ok(())
    }

    async fn open(config: Config, context: OpenContext) -> Result<Fleet> {
        let identity = SourceIdentity::new(context.endpoint, "acme");
        Ok(Fleet { identity, ships: config.ships, ports: config.ports })
    }
}

register_driver!(Fleet);

#[async_trait]
impl Endpoint for Fleet {
    async fn check(&self) -> Result<CheckReport> {
        let mut report = CheckReport::new();
        report.add("ships", true, format!("{} ships", self.ships.len()));
        Ok(report)
    }

    fn source(&self) -> Option<&dyn Source> {
        Some(self)
    }

    fn sink(&self) -> Option<&dyn Sink> {
        None
    }

    fn provisioner(&self) -> Option<&dyn Provisioner> {
        None
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

const SHIPS: UnitId = UnitId::from_static("fleet.ships");

/// No mapper makes rows of its records.
const PORTS: UnitId = UnitId::from_static("fleet.ports");

#[async_trait]
impl Source for Fleet {
    fn identity(&self) -> &SourceIdentity {
        &self.identity
    }

    async fn units(&self) -> Result<Vec<UnitDescriptor>> {
        let name = |description: &str| UnitField {
            name: "name".to_owned(),
            json_type: "string".to_owned(),
            description: description.to_owned(),
        };
        Ok(vec![
            UnitDescriptor::new(SHIPS, "Ships", vec![name("What is painted on her side.")]),
            UnitDescriptor::new(PORTS, "Ports", vec![name("What is written on the map.")]),
        ])
    }

    /// What comes after the records that were read is new: the configuration only grows.
    async fn plan(&self, unit: &UnitId, request: &PlanRequest) -> Result<Vec<Slice>> {
        let read = request.checkpoint.as_ref().and_then(|checkpoint| checkpoint.0.as_u64()).unwrap_or(0);
        let all = u64::try_from(self.records(unit).len()).unwrap_or(u64::MAX);
        Ok(if read < all { vec![Slice::new(0, json!({ "from": read, "to": all }))] } else { Vec::new() })
    }

    fn read<'a>(&'a self, unit: &'a UnitId, slice: &'a Slice) -> BoxStream<'a, Result<RawBatch>> {
        let place = |name: &str| slice.spec.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
        let (from, to) = (place("from"), place("to"));
        let at = Timestamp::from(std::time::SystemTime::now());
        let mut batch = RawBatch::builder(unit.clone(), self.identity.endpoint.clone(), "configuration", at);
        for (line, json) in (1..=to).zip(self.records(unit)).filter(|(line, _)| *line > from) {
            batch.push(NewRecord { json, line: Some(line), ..NewRecord::default() });
        }
        stream::iter([Ok(batch.finish_at(Some(Checkpoint(json!(to)))))]).boxed()
    }
}
