use std::{collections::BTreeMap, sync::Arc};

use cdm_models::{ModelDescriptor, ModelId, registered_models};

use crate::{Capabilities, DriverEntry, Error, ErrorKind, MapperEntry, Result, UnitId};

/// Everything that is linked into this program: drivers, models and mappers, sorted by their ids.
#[derive(Clone)]
pub struct Registry {
    drivers: Vec<&'static DriverEntry>,
    models: Vec<Arc<ModelDescriptor>>,
    mappers: Vec<&'static MapperEntry>,
}

impl Registry {
    /// Collects what is linked.
    ///
    /// # Errors
    ///
    /// When two drivers claim the same id or alias, two mappers the same unit, two models the same id, or when a
    /// mapper makes a model that is not registered or declares a lineage that is not one of all its fields:
    /// programming errors of the linked crates.
    pub fn load() -> Result<Self> {
        let mut drivers: Vec<&DriverEntry> = inventory::iter::<DriverEntry>.into_iter().collect();
        drivers.sort_by_key(|driver| driver.id());
        let ids = drivers.iter().map(|driver| driver.id());
        let aliases = drivers.iter().flat_map(|driver| driver.aliases().iter().copied());
        unique("driver id or alias", ids.chain(aliases))?;

        let mut mappers: Vec<&MapperEntry> = inventory::iter::<MapperEntry>.into_iter().collect();
        mappers.sort_by_key(|mapper| mapper.unit());
        unique("mapper for the unit", mappers.iter().map(|mapper| mapper.unit()))?;

        let models = registered_models().map_err(|error| broken(error.to_string()))?;
        for mapper in &mappers {
            let Some(model) = models.iter().find(|model| model.id.as_str() == mapper.model()) else {
                let (unit, model) = (mapper.unit(), mapper.model());
                return Err(broken(format!("the mapper of `{unit}` makes `{model}`, which is no model")));
            };
            if let Some(problem) = mapper.lineage().problem(model) {
                return Err(broken(format!("the lineage of the mapper of `{}` is wrong: {problem}", mapper.unit())));
            }
        }
        Ok(Self { drivers, models: models.into_iter().map(Arc::new).collect(), mappers })
    }

    /// The drivers, sorted by id.
    pub fn drivers(&self) -> &[&'static DriverEntry] {
        &self.drivers
    }

    /// The driver with that id or alias.
    pub fn driver(&self, name: &str) -> Option<&'static DriverEntry> {
        self.drivers.iter().find(|driver| driver.id() == name || driver.aliases().contains(&name)).copied()
    }

    /// The models, sorted by id.
    pub fn models(&self) -> &[Arc<ModelDescriptor>] {
        &self.models
    }

    /// The model with that id.
    pub fn model(&self, id: &str) -> Option<&Arc<ModelDescriptor>> {
        self.models.iter().find(|model| model.id.as_str() == id)
    }

    /// The models whose rows a driver takes.
    pub fn supported_models(&self, capabilities: Capabilities) -> impl Iterator<Item = &Arc<ModelDescriptor>> {
        self.models.iter().filter(move |model| capabilities.sink.is_some_and(|sink| sink.supports(&model.id)))
    }

    /// The mapper of a unit's records.
    pub fn mapper(&self, unit: &UnitId) -> Option<&'static MapperEntry> {
        self.mappers.iter().find(|mapper| mapper.unit() == unit.as_str()).copied()
    }

    /// The model that a unit feeds.
    pub fn model_of(&self, unit: &UnitId) -> Option<ModelId> {
        self.mapper(unit).and_then(|mapper| mapper.model().parse().ok())
    }
}

fn broken(message: String) -> Error {
    Error::new(ErrorKind::Internal, "load the registry", message)
}

fn unique(what: &str, names: impl IntoIterator<Item = &'static str>) -> Result<()> {
    let mut seen = BTreeMap::new();
    for name in names {
        let times = seen.entry(name).or_insert(0);
        *times += 1;
        if *times > 1 {
            return Err(broken(format!("the {what} `{name}` is registered twice")));
        }
    }
    Ok(())
}
