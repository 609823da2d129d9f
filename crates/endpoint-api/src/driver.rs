use std::{future::Future, path::PathBuf, sync::Arc};

use cdm_models::is_dotted_id;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize as _, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    Capabilities, ConfigSchema, Endpoint, EndpointId, Error, ErrorKind, Result, capabilities::is_model_pattern,
};

/// The static half of a driver: what is known of it before anything is configured.
///
/// A crate implements it on a type of its own and registers that with
/// [`register_driver!`](crate::register_driver). The host finds it, shows its template, checks
/// configurations against it and opens endpoints; no other crate changes.
pub trait Driver: 'static {
    /// Dotted lower-case id, which is what is stored: `cdm.postgres`. A malformed id does not compile.
    const ID: &'static str;
    /// Other ids under which the driver is found. They share one namespace with the ids.
    const ALIASES: &'static [&'static str];
    /// What the driver can do. See [`Capabilities`].
    const CAPABILITIES: Capabilities;

    /// The configuration of an endpoint. Its doc comments are what people read in the template;
    /// secrets in it are [`Secret`](crate::Secret)s.
    type Config: DeserializeOwned + JsonSchema + Send;
    /// The opened endpoint.
    type Endpoint: Endpoint;

    /// What the host shows of the driver.
    fn template() -> TemplateInfo;

    /// Checks what the schema cannot say, such as two keys that exclude each other.
    ///
    /// MUST be pure: no I/O, no clock. The host calls it for every endpoint before any work starts.
    /// An error SHOULD name the key with [`Error::with`]`("key", …)`.
    fn validate(config: &Self::Config) -> Result<()>;

    /// Makes an endpoint of a configuration that [`validate`](Self::validate) accepted.
    ///
    /// It MAY connect, but a driver whose other side is down SHOULD open and report that from
    /// [`Endpoint::check`] and from the operations that need the connection.
    fn open(config: Self::Config, context: OpenContext) -> impl Future<Output = Result<Self::Endpoint>> + Send;
}

/// What the host shows of a driver beside its id, capabilities and schema.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TemplateInfo {
    /// What it is, in a few words: `PostgreSQL (CDM tables)`.
    pub title: &'static str,
    /// Who makes the other side: `PostgreSQL`.
    pub vendor: &'static str,
    /// The kind of the other side: `database`, `files`, `issue tracker`.
    pub family: &'static str,
    /// What people should know before they use it, in a paragraph.
    pub docs: &'static str,
    /// A configuration that is valid and says where values are to be filled in.
    pub sample_config: Value,
}

impl TemplateInfo {
    /// A template whose sample configuration is empty.
    pub fn new(title: &'static str, vendor: &'static str, family: &'static str) -> Self {
        Self { title, vendor, family, docs: "", sample_config: Value::Object(serde_json::Map::new()) }
    }

    /// Sets the paragraph of documentation.
    #[must_use]
    pub fn docs(mut self, docs: &'static str) -> Self {
        self.docs = docs;
        self
    }

    /// Sets the sample configuration: a JSON object.
    #[must_use]
    pub fn sample_config(mut self, sample: Value) -> Self {
        self.sample_config = sample;
        self
    }
}

/// What an endpoint is told when it is opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OpenContext {
    /// The id that people gave the endpoint.
    pub endpoint: EndpointId,
    /// The folder of the configuration file: relative paths are relative to it.
    pub base_dir: PathBuf,
}

impl OpenContext {
    /// For an endpoint configured in a file in `base_dir`.
    pub fn new(endpoint: EndpointId, base_dir: impl Into<PathBuf>) -> Self {
        Self { endpoint, base_dir: base_dir.into() }
    }
}

type Opening = BoxFuture<'static, Result<Arc<dyn Endpoint>>>;

/// A registered driver. Made by [`register_driver!`](crate::register_driver).
pub struct DriverEntry {
    id: &'static str,
    aliases: &'static [&'static str],
    capabilities: Capabilities,
    template: fn() -> TemplateInfo,
    config_schema: fn() -> ConfigSchema,
    validate: fn(&Value) -> Result<()>,
    open: fn(Value, OpenContext) -> Opening,
}

impl DriverEntry {
    /// The entry of driver `D`.
    pub const fn of<D: Driver>() -> Self {
        Self {
            id: D::ID,
            aliases: D::ALIASES,
            capabilities: D::CAPABILITIES,
            template: D::template,
            config_schema: ConfigSchema::of::<D::Config>,
            validate: |config| D::validate(&parse::<D>(config)?),
            open: |config, context| {
                Box::pin(async move {
                    let config = parse::<D>(&config)?;
                    D::validate(&config)?;
                    Ok(Arc::new(D::open(config, context).await?) as Arc<dyn Endpoint>)
                })
            },
        }
    }

    /// The driver's id.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// Other ids under which it is found.
    pub fn aliases(&self) -> &'static [&'static str] {
        self.aliases
    }

    /// What the driver can do.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// What the host shows of the driver.
    pub fn template(&self) -> TemplateInfo {
        (self.template)()
    }

    /// The JSON Schema of the driver's configuration.
    pub fn config_schema(&self) -> ConfigSchema {
        (self.config_schema)()
    }

    /// Checks a configuration that fits the schema with [`Driver::validate`].
    pub fn validate(&self, config: &Value) -> Result<()> {
        (self.validate)(config)
    }

    /// Opens an endpoint.
    pub async fn open(&self, config: Value, context: OpenContext) -> Result<Arc<dyn Endpoint>> {
        (self.open)(config, context).await
    }
}

fn parse<D: Driver>(config: &Value) -> Result<D::Config> {
    // serde's own message would show the offending value, which may be a secret.
    D::Config::deserialize(config)
        .map_err(|_| Error::new(ErrorKind::Config, "read the configuration", "does not fit the driver's schema"))
}

inventory::collect!(DriverEntry);

/// Whether a driver's constants are well-formed; called at compile time by `register_driver!`.
#[doc(hidden)]
pub const fn check_driver<D: Driver>() {
    assert!(is_dotted_id(D::ID), "a driver id is dotted lower case, such as `cdm.postgres`");
    let mut aliases = D::ALIASES;
    while let [alias, rest @ ..] = aliases {
        assert!(is_dotted_id(alias), "a driver alias is dotted lower case, such as `cdm.postgres`");
        aliases = rest;
    }
    if let Some(sink) = D::CAPABILITIES.sink {
        let mut patterns = sink.cdm_models;
        while let [pattern, rest @ ..] = patterns {
            assert!(is_model_pattern(pattern), "a model pattern is dotted, such as `cdm.work.*` or `**`");
            patterns = rest;
        }
    }
}

/// Registers a driver, so that every host that links its crate finds it.
///
/// ```ignore
/// endpoint_api::register_driver!(PgCdm);
/// ```
#[macro_export]
macro_rules! register_driver {
    ($driver:ty) => {
        const _: () = $crate::check_driver::<$driver>();
        $crate::inventory::submit! { $crate::DriverEntry::of::<$driver>() }
    };
}
