use std::time::SystemTime;

use catalog::{Catalog, Cause, DatasetId, DatasetSpec, EndpointSpec, UnitMapping};
use cdm_models::{ModelId, Timestamp};
use endpoint_api::{Error, ErrorKind, MapperEntry, UnitDescriptor};
use serde_json::Value;

use crate::{
    config::{Settings, resolve},
    endpoints::Opened,
    failure::Failure,
};

const PLACE: &str = "metadata.url";

/// Opens the catalog that the configuration names.
pub(crate) async fn open_catalog(settings: &Settings) -> Result<Box<dyn Catalog>, Failure> {
    catalog::open(&url(settings)?, &settings.base_dir).await.map_err(failure)
}

/// Says whether the catalog can be opened, and which layout it has. One that is not there is not made.
pub(crate) async fn check_catalog(settings: &Settings) -> Result<String, Failure> {
    if catalog::is_to_be_made(&url(settings)?, &settings.base_dir).map_err(failure)? {
        return Ok("the catalog is not there yet; the next command that needs it makes it".to_owned());
    }
    open_catalog(settings).await?.close().await?;
    Ok(format!("the catalog can be opened; layout {}", catalog::layout()?))
}

fn url(settings: &Settings) -> Result<String, Failure> {
    let url = resolve(&Value::from(settings.metadata_url.as_str()), None, PLACE, &settings.base_dir)?;
    Ok(url.as_str().unwrap_or_default().to_owned())
}

fn failure(error: Error) -> Failure {
    match error.kind() {
        ErrorKind::Config => Failure::config(PLACE, error.to_string()),
        _ => Failure::from(error).at(PLACE),
    }
}

/// The time, for the catalog, which has no clock.
pub(crate) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

/// Registers an endpoint that is about to be used.
pub(crate) async fn register_endpoint(catalog: &dyn Catalog, opened: &Opened) -> Result<(), Failure> {
    let roles = opened.driver.capabilities().roles();
    let spec = EndpointSpec::new(opened.id.clone(), opened.driver.id(), roles, &opened.shown_config)?;
    catalog.register_endpoint(&spec, now()).await?;
    Ok(())
}

/// Registers a unit of a source, before its first record is read, with what the mapper of its records declares,
/// if one is linked. Says the dataset.
pub(crate) async fn register_unit(
    catalog: &dyn Catalog,
    source: &Opened,
    unit: &UnitDescriptor,
    mapper: Option<&MapperEntry>,
    cause: &Cause,
) -> Result<DatasetId, Failure> {
    let location = format!("{}/{}", source.id, unit.id);
    let feeds: Option<ModelId> = mapper.and_then(|mapper| mapper.model().parse().ok());
    let mut spec = DatasetSpec::of_unit(unit, &source.id, location, feeds.as_ref());
    if let Some(mapper) = mapper {
        spec = spec.mapped_by(UnitMapping::of(mapper));
    }
    catalog.register_dataset(&spec, cause, now()).await?;
    Ok(spec.id())
}
