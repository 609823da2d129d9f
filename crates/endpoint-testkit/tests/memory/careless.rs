use endpoint_api::{
    Capabilities, Driver, Error, ErrorKind, OpenContext, Result, Secret, SinkCapabilities, TemplateInfo,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Config, Fault, Memory};

/// A driver of which everything is wrong that can be seen before it is opened, and that is not registered.
pub(crate) struct Careless;

/// It takes every key, and says of none what it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "that is what is wrong with it")]
pub(crate) struct CarelessConfig {
    password: Option<Secret>,
    #[schemars(range(max = 9))]
    level: u32,
}

impl Driver for Careless {
    const ID: &'static str = "testkit.careless";
    const ALIASES: &'static [&'static str] = &[];
    const CAPABILITIES: Capabilities = Capabilities::NONE.sink(SinkCapabilities::NONE.raw());
    type Config = CarelessConfig;
    type Endpoint = Memory;

    fn template() -> TemplateInfo {
        TemplateInfo::new("Careless", "nobody", "test").sample_config(json!({ "level": 12 }))
    }

    fn validate(config: &CarelessConfig) -> Result<()> {
        match &config.password {
            Some(password) => {
                let message = format!("{} is no good password", password.expose());
                Err(Error::new(ErrorKind::Config, "validate", message))
            }
            None => Ok(()),
        }
    }

    async fn open(config: CarelessConfig, context: OpenContext) -> Result<Memory> {
        let config =
            Config { name: config.level.to_string(), password: config.password, full: false, fault: Fault::None };
        Ok(Memory::open(config, context, SinkCapabilities::NONE.raw()))
    }
}
