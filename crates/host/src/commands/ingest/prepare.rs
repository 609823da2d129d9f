use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use autoprovision::Target;
use catalog::{Catalog, Cause, DatasetId};
use endpoint_api::{EndpointId, Error, Mode, RunId, UnitDescriptor};
use ingest::{Mapping, Options, retry};
use uuid::Uuid;

use super::given_up::GivenUp;
use crate::{
    app::App,
    config::IngestionSettings,
    endpoints::Opened,
    failure::{Exit, Failure, exit_of, or_meant},
    metadata::{now, register_unit},
};

/// An ingestion whose parts are there and fit.
pub(super) struct Ready<'s> {
    pub(super) settings: &'s IngestionSettings,
    pub(super) source: Opened,
    pub(super) sink: Opened,
    pub(super) unit: UnitDescriptor,
    /// The id of the run, unless an unfinished one is continued.
    pub(super) run_id: RunId,
    /// How records become rows; `None` in raw mode.
    pub(super) mapping: Option<Arc<Mapping>>,
    pub(super) options: Options,
    /// The dataset that is loaded, where the catalog has one, or why the sink could not be asked.
    pub(super) dataset: Result<Option<DatasetId>, Error>,
}

/// Looks whether the source has the unit, and the sink takes it in that mode. Nothing is read yet.
pub(super) async fn prepare<'s>(
    app: &App,
    settings: &'s IngestionSettings,
    options: Options,
    endpoints: &BTreeMap<EndpointId, Opened>,
) -> Result<Ready<'s>, Failure> {
    let wrong = |key: &str, message: String| Failure::config(settings.path(key), message);
    let opened = |key: &str, id: &EndpointId| {
        endpoints.get(id).cloned().ok_or_else(|| wrong(key, format!("there is no endpoint `{id}`")))
    };
    let source = opened("source", &settings.source)?;
    let sink = opened("sink", &settings.sink)?;
    let units = source.source().map_err(|failure| failure.at(settings.path("source")))?.units().await?;
    sink.sink().map_err(|failure| failure.at(settings.path("sink")))?;

    let known: Vec<String> = units.iter().map(|unit| unit.id.to_string()).collect();
    let unit = units.into_iter().find(|unit| unit.id == settings.unit).ok_or_else(|| {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let (id, meant) = (settings.unit.as_str(), or_meant(settings.unit.as_str(), &known));
        wrong("unit", format!("`{}` has no unit `{id}`; it has {}{meant}", source.id, known.join(", ")))
    })?;
    let takes = sink.driver.capabilities().sink;
    let sink_name = format!("`{}` ({})", sink.id, sink.driver.id());
    let mapping = match settings.mode {
        Mode::Raw if takes.is_some_and(|takes| takes.raw) => None,
        Mode::Raw => {
            let message = format!("{sink_name} takes no source-shaped records; use mode \"cdm\" or another sink");
            return Err(wrong("mode", message));
        }
        Mode::Cdm => {
            let mapper = app.registry.mapper(&unit.id);
            let model = mapper.and_then(|mapper| app.registry.model(mapper.model()));
            let Some((mapper, model)) = mapper.zip(model) else {
                let message = format!("no mapper is linked for the unit `{}`; use mode \"raw\"", unit.id);
                return Err(wrong("mode", message));
            };
            if !takes.is_some_and(|takes| takes.supports(&model.id)) {
                let message = format!("{sink_name} takes no rows of {}; use mode \"raw\" or another sink", model.id);
                return Err(wrong("mode", message));
            }
            Some(Arc::new(Mapping::new(mapper, model.clone(), source.source()?.identity())?))
        }
    };
    let run_id = new_run_id(SystemTime::now()).to_string().parse()?;
    Ok(Ready { settings, source, sink, unit, run_id, mapping, options, dataset: Ok(None) })
}

/// An id that sorts by its time. The library has none for a clock before 1970, which a machine without a battery has.
fn new_run_id(now: SystemTime) -> Uuid {
    match now.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(_) => Uuid::now_v7(),
        Err(_) => Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 0, 0)),
    }
}

impl Ready<'_> {
    /// Registers what is read and what is loaded, before the first record is read.
    ///
    /// A sink that is not provisioned stops everything; one that cannot be asked fails its own run.
    pub(super) async fn admit(
        &mut self,
        app: &App,
        catalog: &dyn Catalog,
        given_up: &mut GivenUp,
    ) -> Result<(), Failure> {
        let model = self.mapping.as_ref().map(|mapping| mapping.model());
        let mapper = app.registry.mapper(&self.unit.id);
        let cause = Cause::Run(self.run_id.clone());
        let unit = register_unit(catalog, &self.source, &self.unit, mapper, &cause).await?;
        let (Some(model), Some(provisioner)) = (model, self.sink.endpoint.provisioner()) else { return Ok(()) };
        let target = Target::new(&self.sink.id, self.sink.driver.id(), provisioner, catalog);
        let attempt = async || target.admit(model, &unit, &self.run_id, now()).await;
        let sink = &self.settings.sink;
        let retry_for = if given_up.contains(sink) { Duration::ZERO } else { self.options.retry_for };
        let what = format!("asking `{sink}` for its tables");
        let admitted = retry(&what, retry_for, app.signals.cancel(), attempt).await;
        let admitted = admitted.map_err(|error| given_up.explain(sink, error));
        given_up.note(sink, &self.settings.name, admitted.as_ref().err());
        self.dataset = match admitted {
            Ok(dataset) => Ok(Some(dataset)),
            Err(error) if exit_of(error.kind()) == Exit::Usage => {
                return Err(Failure::from(error).at(self.settings.path("sink")));
            }
            Err(error) => Err(error),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_1970_gives_ids_too() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        let [one, other] = [new_run_id(before), new_run_id(before)];
        assert_ne!(one, other);
        assert_eq!(one.get_version_num(), 7);
        assert!(one < new_run_id(SystemTime::now()));
    }
}
