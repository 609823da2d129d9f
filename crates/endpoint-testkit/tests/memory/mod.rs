//! A driver that keeps everything in memory: a source and a sink with every ability, and with a fault when it
//! is told to have one.
#![allow(dead_code, reason = "each test program uses its own part")]

pub(crate) mod careless;
pub(crate) mod fault;
mod load;
mod outbox;
mod provisioner;
mod rejects;
mod run;
mod sink;
mod source;
mod state;

use std::{
    collections::HashMap,
    fmt, fs,
    path::PathBuf,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
};

use cdm_models::ModelDescriptor;
use endpoint_api::{
    Capabilities, CheckReport, Driver, Endpoint, Error, ErrorKind, Ingestion, OpenContext, Provisioner, Result, Secret,
    Sink, SinkCapabilities, Source, SourceCapabilities, SourceIdentity, TemplateInfo, async_trait, register_driver,
};
use endpoint_testkit::{Kit, Place, StoredRow};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(crate) use fault::Fault;
use state::State;

/// A configuration with a description of each key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Which of the memories it is.
    name: String,
    /// A password, for the sake of having one.
    password: Option<Secret>,
    /// Whether it has no room left.
    #[serde(default)]
    full: bool,
    /// What is wrong with it.
    #[serde(default)]
    fault: Fault,
}

/// The endpoint.
pub(crate) struct Memory {
    state: Arc<Mutex<State>>,
    fault: Fault,
    identity: SourceIdentity,
    password: Option<Secret>,
    folder: PathBuf,
    is_full: bool,
    declares: SinkCapabilities,
    reading: Mutex<source::Reading>,
}

impl Memory {
    fn open(config: Config, context: OpenContext, declares: SinkCapabilities) -> Self {
        let mut state = memory(&config.name);
        if config.fault == Fault::CommitsToItselfOnly {
            let own = state.lock().unwrap().clone();
            state = Arc::new(Mutex::new(own));
        }
        Self {
            state,
            fault: config.fault,
            identity: SourceIdentity::new(context.endpoint, "memory"),
            password: config.password,
            folder: context.base_dir,
            is_full: config.full,
            declares,
            reading: Mutex::default(),
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Under which it is kept where an ingestion stands with a model.
    fn key(&self, ingestion: &Ingestion, model: Option<&ModelDescriptor>) -> String {
        match model {
            Some(model) if self.has(Fault::TakesMajorsForOne) => format!("{ingestion}/{}", model.id),
            Some(model) if !self.has(Fault::TakesModelsForOne) => {
                format!("{ingestion}/{}/{}", model.id, model.version.major)
            }
            _ => ingestion.to_string(),
        }
    }

    /// What it says to an ability that it does not declare, or only claims to have.
    fn refuses(&self, declared: bool, claimed: Fault, operation: &'static str) -> Result<()> {
        let is_undeclared = !declared && !self.has(Fault::AnswersWhatItDoesNotDeclare);
        if is_undeclared || (claimed != Fault::None && self.has(claimed)) {
            return Err(Error::unsupported(operation, operation));
        }
        Ok(())
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Memory");
        if self.has(Fault::LeaksThePassword) {
            shown.field("password", &self.password.as_ref().map(Secret::expose));
        }
        shown.field("source", &self.identity.endpoint).finish_non_exhaustive()
    }
}

const EVERYTHING: SinkCapabilities = SinkCapabilities::NONE
    .raw()
    .cdm(&["**"])
    .autoprovision()
    .transactional()
    .replay()
    .verify()
    .grants()
    .outbox()
    .reject_listing()
    .dismissals();
const LITTLE: SinkCapabilities = SinkCapabilities::NONE.cdm(&["**"]).autoprovision().transactional();
const SOURCE: SourceCapabilities = SourceCapabilities::NONE.incremental();

/// With every ability.
pub(crate) struct Whole;

impl Driver for Whole {
    const ID: &'static str = "testkit.memory";
    const ALIASES: &'static [&'static str] = &["testkit.ram"];
    const CAPABILITIES: Capabilities = Capabilities::NONE.source(SOURCE).sink(EVERYTHING);
    type Config = Config;
    type Endpoint = Memory;

    fn template() -> TemplateInfo {
        TemplateInfo::new("Memory", "nobody", "test").sample_config(json!({ "name": "sample" }))
    }

    fn validate(_: &Config) -> Result<()> {
        Ok(())
    }

    async fn open(config: Config, context: OpenContext) -> Result<Memory> {
        Ok(Memory::open(config, context, EVERYTHING))
    }
}

/// With fewer abilities.
pub(crate) struct Modest;

impl Driver for Modest {
    const ID: &'static str = "testkit.modest";
    const ALIASES: &'static [&'static str] = &[];
    const CAPABILITIES: Capabilities = Capabilities::NONE.source(SOURCE).sink(LITTLE);
    type Config = Config;
    type Endpoint = Memory;

    fn template() -> TemplateInfo {
        Whole::template()
    }

    fn validate(_: &Config) -> Result<()> {
        Ok(())
    }

    async fn open(config: Config, context: OpenContext) -> Result<Memory> {
        Ok(Memory::open(config, context, LITTLE))
    }
}

register_driver!(Whole);
register_driver!(Modest);

#[async_trait]
impl Endpoint for Memory {
    async fn check(&self) -> Result<CheckReport> {
        if self.has(Fault::LeavesAFileWhenItChecks) {
            fs::write(self.folder.join("checked"), "").unwrap();
        }
        if self.is_full && self.has(Fault::FailsToCheck) {
            return Err(Error::new(ErrorKind::Exhausted, "check", "the memory is full"));
        }
        let mut report = CheckReport::new();
        report.add("memory", !self.is_full, if self.is_full { "it is full" } else { "there is some" });
        Ok(report)
    }

    fn source(&self) -> Option<&dyn Source> {
        (!self.has(Fault::HidesARole)).then_some(self)
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

/// The memory of that name: whoever asks for one shares it.
fn memory(name: &str) -> Arc<Mutex<State>> {
    static MEMORIES: LazyLock<Mutex<HashMap<String, Arc<Mutex<State>>>>> = LazyLock::new(Mutex::default);
    Arc::clone(MEMORIES.lock().unwrap().entry(name.to_owned()).or_default())
}

fn place(fault: Fault) -> Place {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let fresh = NEXT.fetch_add(1, Ordering::Relaxed);
    Place::with(json!({ "name": format!("place-{fresh}"), "password": "correct horse", "fault": fault }), ())
}

/// The kit for a driver with a fault.
pub(crate) fn kit<D: Driver>(fault: Fault) -> Kit {
    let state = |place: &Place| memory(place.config()["name"].as_str().unwrap());
    Kit::of::<D>()
        .places(move || Ok(place(fault)))
        .rows(move |place, table| {
            let state = state(place);
            let state = state.lock().unwrap();
            let of_table = state.rows.iter().filter(|((model, _), _)| model == table);
            of_table.map(|(_, row)| StoredRow { values: row.values.clone(), deleted: row.stored.deleted }).collect()
        })
        .records(move |place, ingestion| {
            let state = state(place);
            let state = state.lock().unwrap();
            let of = state.raw.iter().filter(|((key, _), _)| *key == ingestion.to_string());
            of.flat_map(|(_, records)| records.clone()).collect()
        })
        .messages(move |place| state(place).lock().unwrap().messages.len())
        .units(&[("memory.things", 7), ("memory.nothing", 0)])
        .append("memory.things", move |place| {
            let added = [r#"{"id":8}"#, r#"{"id":9}"#];
            state(place).lock().unwrap().added.extend(added);
            added.len()
        })
        .damage(move |place, _, key| {
            let state = state(place);
            let mut state = state.lock().unwrap();
            let rows = state.rows.iter_mut().filter(|((_, of), _)| of == key);
            rows.for_each(|(_, row)| drop(row.values.insert("name".to_owned(), "damaged".into())));
        })
        .large("memory.large", move || Ok(place(fault)))
        .wrong(|place| {
            let mut config = place.config().clone();
            config["full"] = true.into();
            config
        })
}
