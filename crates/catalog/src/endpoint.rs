use std::collections::BTreeSet;

use cdm_models::{
    Timestamp,
    json::{Numbers, canonicalize},
};
use endpoint_api::{EndpointId, Error, ErrorKind, Result};
use serde_json::Value;

use crate::text::storable;

/// What the system states of an endpoint when it registers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSpec {
    pub(crate) id: EndpointId,
    pub(crate) driver: String,
    pub(crate) roles: BTreeSet<String>,
    /// Canonical JSON, so that equal configurations are equal texts.
    pub(crate) config: String,
}

impl EndpointSpec {
    /// An endpoint of the driver with the id `driver`, with its roles (`source`, `sink`).
    ///
    /// `config` is stored and shown to people. The caller passes what is safe: references as they
    /// stand in the configuration file (`${env:NAME}`), and secrets masked
    /// ([`ConfigSchema::mask`](endpoint_api::ConfigSchema::mask)).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when the configuration is nested too deeply to be stored.
    pub fn new(
        id: EndpointId,
        driver: impl Into<String>,
        roles: impl IntoIterator<Item = impl Into<String>>,
        config: &Value,
    ) -> Result<Self> {
        let mut canonical = String::new();
        canonicalize(&config.to_string(), Numbers::AsReceived, &mut canonical).map_err(|error| {
            let message = "the configuration cannot be stored in the catalog";
            Error::new(ErrorKind::Config, "register an endpoint", message).with("endpoint", &id).caused_by(error)
        })?;
        Ok(Self { id, driver: storable(driver), roles: roles.into_iter().map(storable).collect(), config: canonical })
    }

    /// The endpoint's id.
    pub fn id(&self) -> &EndpointId {
        &self.id
    }

    /// The id of its driver.
    pub fn driver(&self) -> &str {
        &self.driver
    }

    /// Its roles.
    pub fn roles(&self) -> &BTreeSet<String> {
        &self.roles
    }

    /// Its configuration as it may be shown, as JSON text with sorted members.
    pub fn config(&self) -> &str {
        &self.config
    }
}

/// An endpoint as it stands in the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegisteredEndpoint {
    /// What the system knows of it.
    pub spec: EndpointSpec,
    /// From 1, one more with each change.
    pub version: u64,
    /// When it was registered first.
    pub registered_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
}

impl RegisteredEndpoint {
    /// An endpoint that was just registered.
    pub fn new(spec: EndpointSpec, at: Timestamp) -> Self {
        Self { spec, version: 1, registered_at: at, updated_at: at }
    }
}
