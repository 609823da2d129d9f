use std::sync::Arc;

use endpoint_api::{
    Dismissals, DriverEntry, Endpoint, EndpointId, OpenContext, RejectListing, ReplayableRejects, Sink, Source,
};
use serde_json::Value;

use crate::{
    app::App,
    config::{EndpointSettings, Settings, resolve},
    failure::{Failure, unknown},
};

/// An endpoint that was opened.
#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) id: EndpointId,
    pub(crate) driver: &'static DriverEntry,
    pub(crate) endpoint: Arc<dyn Endpoint>,
    /// The configuration as it may be shown and stored: references stay, other secrets are masked.
    pub(crate) shown_config: Value,
}

impl Opened {
    /// The endpoint as a source.
    pub(crate) fn source(&self) -> Result<&dyn Source, Failure> {
        let declared = self.driver.capabilities().source.and_then(|_| self.endpoint.source());
        declared.ok_or_else(|| Failure::usage(format!("`{}` ({}) is no source", self.id, self.driver.id())))
    }

    /// The endpoint as a sink.
    pub(crate) fn sink(&self) -> Result<&dyn Sink, Failure> {
        let declared = self.driver.capabilities().sink.and_then(|_| self.endpoint.sink());
        declared.ok_or_else(|| Failure::usage(format!("`{}` ({}) is no sink", self.id, self.driver.id())))
    }
}

impl Opened {
    /// How the sink lists rejects by what they have in common, where the driver declares that.
    pub(crate) fn reject_listing(&self) -> Option<&dyn RejectListing> {
        let declared = self.driver.capabilities().sink.is_some_and(|sink| sink.reject_listing);
        self.endpoint.sink().filter(|_| declared)?.reject_listing()
    }

    /// Where the sink dismisses rejects, where the driver declares that.
    pub(crate) fn dismissals(&self) -> Option<&dyn Dismissals> {
        let declared = self.driver.capabilities().sink.is_some_and(|sink| sink.dismissals);
        self.endpoint.sink().filter(|_| declared)?.dismissals()
    }

    /// How the sink reads the rejects that can be loaded again, where the driver declares that.
    pub(crate) fn replayable_rejects(&self) -> Option<&dyn ReplayableRejects> {
        let declared = self.driver.capabilities().sink.is_some_and(|sink| sink.replay);
        self.endpoint.sink().filter(|_| declared)?.replayable_rejects()
    }
}

/// The settings of an endpoint that people named.
pub(crate) fn find<'s>(settings: &'s Settings, id: &str) -> Result<&'s EndpointSettings, Failure> {
    settings.endpoint(id).ok_or_else(|| {
        let known: Vec<&str> = settings.endpoints.iter().map(|endpoint| endpoint.id.as_str()).collect();
        Failure::usage(unknown("endpoint", id, "configured", &known))
    })
}

/// Checks the configuration of an endpoint and opens it.
pub(crate) async fn open(app: &App, settings: &Settings, endpoint: &EndpointSettings) -> Result<Opened, Failure> {
    let (driver, config) = check_config(app, settings, endpoint)?;
    let mut shown_config = endpoint.config.clone();
    mask(driver, &endpoint.config, &mut shown_config);
    let context = OpenContext::new(endpoint.id.clone(), &settings.base_dir);
    let opened = driver.open(config, context).await.map_err(|error| config_failure(endpoint, &error))?;
    Ok(Opened { id: endpoint.id.clone(), driver, endpoint: opened, shown_config })
}

/// Checks the configuration of an endpoint without touching anything: its references, its schema, and
/// what the driver knows beyond that.
pub(crate) fn check_config(
    app: &App,
    settings: &Settings,
    endpoint: &EndpointSettings,
) -> Result<(&'static DriverEntry, Value), Failure> {
    let place = format!("endpoints.{}", endpoint.id);
    let driver = app.registry.driver(&endpoint.driver).ok_or_else(|| {
        let known: Vec<&str> = app.registry.drivers().iter().map(|driver| driver.id()).collect();
        let message = unknown("driver", &endpoint.driver, "linked", &known);
        Failure::config(format!("{place}.driver"), message)
    })?;
    let schema = driver.config_schema();
    let config = resolve(&endpoint.config, Some(&schema), &place, &settings.base_dir)?;
    let mut problems = schema.problems(&config).into_iter();
    if let Some(first) = problems.next() {
        let path = |path: &str| if path.is_empty() { place.clone() } else { format!("{place}.{path}") };
        let others: Vec<String> = problems.map(|other| format!("{}: {}", path(&other.path), other.message)).collect();
        let also = if others.is_empty() { String::new() } else { format!("; also {}", others.join("; ")) };
        return Err(Failure::config(path(&first.path), format!("{}{also}", first.message)));
    }
    driver.validate(&config).map_err(|error| config_failure(endpoint, &error))?;
    Ok((driver, config))
}

/// An error of a driver about its configuration, at the key that it names.
fn config_failure(endpoint: &EndpointSettings, error: &endpoint_api::Error) -> Failure {
    let key = error.context().find(|(name, _)| *name == "key").map(|(_, key)| format!(".{key}")).unwrap_or_default();
    Failure::config(format!("endpoints.{}{key}", endpoint.id), error.message())
}

/// Masks the secrets that the file itself holds; one that is a reference tells nothing.
fn mask(driver: &DriverEntry, original: &Value, shown: &mut Value) {
    driver.config_schema().mask(shown);
    keep_references(original, shown);
}

fn keep_references(original: &Value, shown: &mut Value) {
    match (original, shown) {
        (Value::String(original), Value::String(shown))
            if original.starts_with("${") && original.find('}') == Some(original.len() - 1) =>
        {
            shown.clone_from(original);
        }
        (Value::Object(original), Value::Object(shown)) => {
            for (name, shown) in shown {
                if let Some(original) = original.get(name) {
                    keep_references(original, shown);
                }
            }
        }
        (Value::Array(original), Value::Array(shown)) => {
            original.iter().zip(shown).for_each(|(original, shown)| keep_references(original, shown));
        }
        _ => {}
    }
}
