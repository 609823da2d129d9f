//! A driver that keeps everything in memory: a source and a sink with every ability, and with a fault when it
//! is told to have one.
#![allow(dead_code, reason = "each test program uses its own part")]

mod sink;
mod source;
mod state;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock, Mutex},
};

use endpoint_api::{
    Capabilities, CheckReport, Driver, Endpoint, OpenContext, Provisioner, Result, Secret, Sink, SinkCapabilities,
    Source, SourceCapabilities, SourceIdentity, TemplateInfo, async_trait, register_driver,
};
use endpoint_testkit::{Kit, Place, StoredRow};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub(crate) use state::State;

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Fault {
    None,
    LastWriteWins,
    PartReplacesWhole,
    SwallowsRejects,
    LosesTheLastRowOfABatch,
    LeaksThePassword,
    ClaimsReplay,
    ClaimsVerify,
    ClaimsGrants,
    ShowsPlumbingToReaders,
    AnswersWhatItDoesNotDeclare,
    CheckpointBeforeTheData,
    ComparesNoFence,
    KeepsWhatIsAborted,
    CommitsToItselfOnly,
    KeepsNoLedger,
    PlansForEver,
    AppliesTwice,
    MakesWhilePlanning,
    TellsNoState,
    AppliesWhatIsRefused,
    ForgetsARecordWhenReadAgain,
    IgnoresTheCheckpoint,
    RecognisesEverything,
    RewritesRawRecords,
    CountsDuplicatesAsInserted,
    FoldsTheCaseOfKeys,
    RepeatsFences,
    ReplacesPlans,
    RespectsNobody,
    IsBlockedByTheDead,
    DeletesForGood,
    ListsTheOldestFirst,
    StoresRejectsAtOnce,
    TakesAnyUnit,
    LoadsWithoutATable,
    SucceedsWithSlicesLeft,
    ChangesTheCheckpoint,
    TakesEveryKey,
    TellsBeforeTheCommit,
    TellsOfNoEnd,
    TellsTwice,
    TellsTheNewestFirst,
    DeliversAgain,
    KeepsWhatWasDelivered,
}

/// A configuration with a description of each key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Which of the memories it is.
    name: String,
    /// A password, for the sake of having one.
    password: Option<Secret>,
    /// What is wrong with it.
    #[serde(default = "no_fault")]
    fault: Fault,
}

/// A configuration that takes every key.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct LooseConfig {
    /// Which of the memories it is.
    name: String,
}

fn no_fault() -> Fault {
    Fault::None
}

/// The places, by name.
static PLACES: LazyLock<Mutex<HashMap<String, Arc<Mutex<State>>>>> = LazyLock::new(Mutex::default);

pub(crate) fn memory(name: &str) -> Arc<Mutex<State>> {
    Arc::clone(PLACES.lock().unwrap().entry(name.to_owned()).or_default())
}

/// The endpoint.
pub(crate) struct Memory {
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) fault: Fault,
    identity: SourceIdentity,
    password: Option<Secret>,
    declares: SinkCapabilities,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Memory");
        if self.fault == Fault::LeaksThePassword {
            shown.field("password", &self.password.as_ref().map(Secret::expose));
        }
        shown.field("source", &self.identity.endpoint).finish_non_exhaustive()
    }
}

const EVERYTHING: SinkCapabilities =
    SinkCapabilities::NONE.raw().cdm(&["**"]).autoprovision().transactional().replay().verify().grants().outbox();

/// With every ability.
pub(crate) struct Whole;

/// With fewer abilities.
pub(crate) struct Modest;

/// With a configuration that takes every key.
pub(crate) struct Loose;

fn template() -> TemplateInfo {
    TemplateInfo::new("Memory", "nobody", "test").sample_config(json!({ "name": "sample" }))
}

fn open(config: Config, context: OpenContext, declares: SinkCapabilities) -> Memory {
    let identity = SourceIdentity { endpoint: context.endpoint, system: "memory".to_owned() };
    let own = config.fault == Fault::CommitsToItselfOnly;
    let state =
        if own { Arc::new(Mutex::new(memory(&config.name).lock().unwrap().clone())) } else { memory(&config.name) };
    Memory { state, fault: config.fault, identity, password: config.password, declares }
}

impl Driver for Whole {
    const ID: &'static str = "testkit.memory";
    const ALIASES: &'static [&'static str] = &["testkit.ram"];
    const CAPABILITIES: Capabilities =
        Capabilities::NONE.source(SourceCapabilities::NONE.incremental()).sink(EVERYTHING);
    type Config = Config;
    type Endpoint = Memory;

    fn template() -> TemplateInfo {
        template()
    }

    fn validate(_: &Config) -> Result<()> {
        Ok(())
    }

    async fn open(config: Config, context: OpenContext) -> Result<Memory> {
        Ok(open(config, context, EVERYTHING))
    }
}

impl Driver for Modest {
    const ID: &'static str = "testkit.modest";
    const ALIASES: &'static [&'static str] = &[];
    const CAPABILITIES: Capabilities = Capabilities::NONE
        .source(SourceCapabilities::NONE.incremental())
        .sink(SinkCapabilities::NONE.cdm(&["**"]).autoprovision().transactional());
    type Config = Config;
    type Endpoint = Memory;

    fn template() -> TemplateInfo {
        template()
    }

    fn validate(_: &Config) -> Result<()> {
        Ok(())
    }

    async fn open(config: Config, context: OpenContext) -> Result<Memory> {
        Ok(open(config, context, SinkCapabilities::NONE.cdm(&["**"]).autoprovision().transactional()))
    }
}

impl Driver for Loose {
    const ID: &'static str = "testkit.loose";
    const ALIASES: &'static [&'static str] = &[];
    const CAPABILITIES: Capabilities = Whole::CAPABILITIES;
    type Config = LooseConfig;
    type Endpoint = Memory;

    fn template() -> TemplateInfo {
        template()
    }

    fn validate(_: &LooseConfig) -> Result<()> {
        Ok(())
    }

    async fn open(config: LooseConfig, context: OpenContext) -> Result<Memory> {
        Ok(open(Config { name: config.name, password: None, fault: Fault::None }, context, EVERYTHING))
    }
}

register_driver!(Whole);
register_driver!(Modest);
register_driver!(Loose);

#[async_trait]
impl Endpoint for Memory {
    async fn check(&self) -> Result<CheckReport> {
        let mut report = CheckReport::new();
        report.add("memory", true, "there is some");
        Ok(report)
    }

    fn source(&self) -> Option<&dyn Source> {
        Some(self)
    }

    fn sink(&self) -> Option<&dyn Sink> {
        Some(self)
    }

    fn provisioner(&self) -> Option<&dyn Provisioner> {
        Some(self)
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

fn place(fault: Fault) -> Place {
    let fresh = std::sync::atomic::AtomicU32::fetch_add(&NEXT, 1, std::sync::atomic::Ordering::Relaxed);
    Place::with(json!({ "name": format!("place-{fresh}"), "password": "correct horse", "fault": fault }), ())
}

static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);

/// The kit for a driver with a fault.
pub(crate) fn kit<D: Driver>(fault: Fault) -> Kit {
    let state = |place: &Place| memory(place.config()["name"].as_str().unwrap());
    Kit::of::<D>()
        .places(move || Ok(place(fault)))
        .rows(move |place, _| {
            let state = state(place);
            let state = state.lock().unwrap();
            let row = |(key, row): (&String, &state::Kept)| StoredRow {
                key: key.clone(),
                name: row.name.clone(),
                deleted: row.stored.deleted,
            };
            state.rows.iter().map(row).collect()
        })
        .records(move |place, ingestion| {
            let state = state(place);
            let state = state.lock().unwrap();
            let of = state.raw.iter().filter(|((key, _), _)| *key == ingestion.to_string());
            of.flat_map(|(_, records)| records.clone()).collect()
        })
        .messages(move |place| state(place).lock().unwrap().messages.len())
        .units(&[("memory.things", 7), ("memory.nothing", 0)])
}
