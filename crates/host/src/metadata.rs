use std::time::SystemTime;

use catalog::{Catalog, Cause, DatasetId, DatasetSpec, EndpointSpec, UnitMapping};
use cdm_models::{ModelId, Timestamp};
use endpoint_api::{ErrorKind, MapperEntry, UnitDescriptor};
use serde_json::Value;

use crate::{
    config::{Settings, resolve},
    endpoints::Opened,
    failure::Failure,
};

/// Opens the catalog that the configuration names.
pub(crate) async fn open_catalog(settings: &Settings) -> Result<Box<dyn Catalog>, Failure> {
    const PLACE: &str = "metadata.url";
    let url = resolve(&Value::from(settings.metadata_url.as_str()), None, PLACE, &settings.base_dir)?;
    let opened = catalog::open(url.as_str().unwrap_or_default(), &settings.base_dir).await;
    opened.map_err(|error| match error.kind() {
        ErrorKind::Config => Failure::config(PLACE, error.to_string()),
        _ => Failure::from(error).at(PLACE),
    })
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
