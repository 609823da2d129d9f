//! The catalog in SQL that every store understands.
//!
//! Each call is one statement that decides and writes, or a read followed by a write that holds only
//! when nothing has changed since the read, tried again until it does. So nothing is ever locked over
//! more than a statement, and an entry that is as it should be is only read.

mod annotations;
mod cell;
mod datasets;
mod endpoints;
mod loads;
mod outbox;
mod runs;

use std::{fmt, future::Future};

use async_trait::async_trait;
use cdm_models::Timestamp;
use endpoint_api::{EndpointId, Error, ErrorKind, Outbox, Result, Retry, RunId};

use crate::{
    AnnotationEdit, Annotations, Attempt, Catalog, Cause, Dataset, DatasetFilter, DatasetHistory, DatasetId,
    DatasetSpec, EndpointSpec, LoadFacts, RegisteredEndpoint, Registration, RunEndFacts, RunFilter, RunRecord,
    RunStart,
};
pub(crate) use cell::{Cell, Parameter, Row};

/// A database that runs statements, each in a transaction of its own. Parameters are `$1`, `$2`, ….
pub(crate) trait Engine: fmt::Debug + Send + Sync + 'static {
    /// What stands before the name of a table: its schema with the dot.
    const SCHEMA: &'static str;

    fn query(
        &self,
        operation: &'static str,
        statement: String,
        parameters: Vec<Parameter>,
    ) -> impl Future<Output = Result<Vec<Row>>> + Send;

    /// Says how many rows the statement wrote.
    fn execute(
        &self,
        operation: &'static str,
        statement: String,
        parameters: Vec<Parameter>,
    ) -> impl Future<Output = Result<u64>> + Send;

    fn close(&self) -> impl Future<Output = Result<()>> + Send;
}

/// How often a write is tried again because an entry changed in between. Each time another writer has
/// got through, so this many would have to come one after the other.
const ATTEMPTS: usize = 100;

fn overtaken(operation: &'static str) -> Error {
    let message = "others keep changing the same entry of the catalog; try again";
    Error::new(ErrorKind::Conflict, operation, message).with_retry(Retry::Backoff)
}

/// What is not in the catalog, and so cannot be written about.
fn no_such_dataset(operation: &'static str, dataset: &DatasetId) -> Error {
    let message = "the catalog has no such dataset; it is there once it is registered";
    Error::new(ErrorKind::Config, operation, message).with("dataset", dataset)
}

/// The catalog on an [`Engine`].
#[derive(Debug)]
pub(crate) struct SqlCatalog<E>(pub(crate) E);

#[async_trait]
impl<E: Engine> Catalog for SqlCatalog<E> {
    async fn register_endpoint(&self, spec: &EndpointSpec, at: Timestamp) -> Result<Registration> {
        endpoints::register(&self.0, spec, at).await
    }

    async fn endpoint(&self, id: &EndpointId) -> Result<Option<RegisteredEndpoint>> {
        endpoints::find(&self.0, id).await
    }

    async fn endpoints(&self) -> Result<Vec<RegisteredEndpoint>> {
        endpoints::list(&self.0).await
    }

    async fn register_dataset(&self, spec: &DatasetSpec, cause: &Cause, at: Timestamp) -> Result<Registration> {
        datasets::register(&self.0, spec, cause, at).await
    }

    async fn record_load(&self, dataset: &DatasetId, load: &LoadFacts) -> Result<()> {
        loads::record(&self.0, dataset, load).await
    }

    async fn annotate(&self, dataset: &DatasetId, edit: &AnnotationEdit, at: Timestamp) -> Result<Annotations> {
        annotations::annotate(&self.0, dataset, edit, at).await
    }

    async fn history(&self, dataset: &DatasetId) -> Result<DatasetHistory> {
        Ok(DatasetHistory {
            system: datasets::versions(&self.0, dataset).await?,
            people: annotations::versions(&self.0, dataset).await?,
        })
    }

    async fn dataset(&self, id: &DatasetId) -> Result<Option<Dataset>> {
        datasets::find(&self.0, id).await
    }

    async fn datasets(&self, filter: &DatasetFilter) -> Result<Vec<Dataset>> {
        datasets::list(&self.0, filter).await
    }

    async fn begin_run(&self, start: &RunStart) -> Result<Attempt> {
        runs::begin(&self.0, start).await
    }

    async fn end_run(&self, run: &RunId, attempt: Attempt, end: &RunEndFacts) -> Result<bool> {
        runs::end(&self.0, run, attempt, end).await
    }

    async fn run(&self, id: &RunId) -> Result<Option<RunRecord>> {
        runs::find(&self.0, id).await
    }

    async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRecord>> {
        runs::list(&self.0, filter).await
    }

    fn outbox(&self) -> &dyn Outbox {
        self
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}
