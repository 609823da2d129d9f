use catalog::{Catalog, DatasetId};
use endpoint_api::{Ingestion, Outbox, Result, UnitId, lineage::Lineage};

use super::{
    Courier, Transport,
    events::{Described, IngestionEvents, dataset_message},
};
use crate::{config::LineageSettings, endpoints::Opened};

/// What runs of one command are told of, and who delivers it.
pub(crate) struct Reporting<'a> {
    namespace: &'a str,
    catalog: &'a dyn Catalog,
    pub(crate) courier: Courier<'a>,
}

impl<'a> Reporting<'a> {
    /// Delivers from the outboxes of these endpoints and of the catalog.
    pub(crate) fn new(
        settings: &'a LineageSettings,
        transport: Transport,
        catalog: &'a dyn Catalog,
        endpoints: impl Iterator<Item = &'a Opened>,
    ) -> Self {
        let own = endpoints.filter_map(|opened| opened.endpoint.sink()?.outbox());
        let outboxes: Vec<&dyn Outbox> = own.chain([catalog.outbox()]).collect();
        let courier = Courier::new(transport, outboxes, Some(settings.timeout));
        Self { namespace: &settings.namespace, catalog, courier }
    }

    /// What is told of the runs of an ingestion into `dataset`, whose fields are made as `lineage` says. Datasets that
    /// are new or have changed are told of first.
    pub(crate) async fn events_of(
        &self,
        ingestion: &Ingestion,
        unit: &UnitId,
        dataset: Option<&DatasetId>,
        lineage: Option<&Lineage>,
    ) -> Result<IngestionEvents> {
        let input = self.described(DatasetId::of_unit(unit, &ingestion.source)).await?;
        let output = dataset.cloned().unwrap_or_else(|| DatasetId::of_unit(unit, &ingestion.sink));
        let output = self.described(output).await?;
        let output = match lineage {
            Some(lineage) => output.made_of(self.namespace, &input, lineage),
            None => output,
        };
        Ok(IngestionEvents::new(self.namespace, ingestion.clone(), input, output, self.courier.news()))
    }

    async fn described(&self, id: DatasetId) -> Result<Described> {
        let Some(registered) = self.catalog.dataset(&id).await? else { return Ok(Described::named(&id)) };
        self.catalog.outbox().put(&[dataset_message(self.namespace, &registered)?]).await?;
        Ok(Described::of(&registered))
    }
}
