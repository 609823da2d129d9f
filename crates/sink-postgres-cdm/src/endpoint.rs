use std::{fmt, sync::Arc};

use cdm_models::ModelDescriptor;
use endpoint_api::{
    Capabilities, CheckReport, Dismissals, Driver, Endpoint, EndpointId, ErrorKind, Ingestion, Load, OpenContext,
    Outbox, Provisioner, RejectListing, RejectQuery, Replay, ReplayableRejects, Result, Run, RunSpec, RunWatch, Sink,
    SinkCapabilities, Source, SourceSite, StoredReject, TemplateInfo, Verification, async_trait, register_driver,
};
use postgres_client::Connector;
use relational::{Identifier, Naming, state::Retention};

use crate::{
    budget::Budget,
    check::check,
    config::Config,
    load::PgLoad,
    loading::Loading,
    rejects, run,
    session::Session,
    sites,
    state::{SupportTables, Target},
    verify,
};

/// The driver.
pub struct CdmPostgres;

impl Driver for CdmPostgres {
    const ID: &'static str = "cdm.postgres";
    const ALIASES: &'static [&'static str] = &["cdm.jdbc"];
    const CAPABILITIES: Capabilities = Capabilities::NONE.sink(
        SinkCapabilities::NONE
            .cdm(&["**"])
            .autoprovision()
            .transactional()
            .replay()
            .verify()
            .grants()
            .outbox()
            .reject_listing()
            .dismissals(),
    );
    type Config = Config;
    type Endpoint = PgCdm;

    fn template() -> TemplateInfo {
        TemplateInfo::new("PostgreSQL (CDM tables)", "PostgreSQL", "database")
            .docs(
                "Creates one table for each CDM model and keeps it up to date: loading the same records again \
                 writes nothing, an older record never replaces a newer one, and a crash loses nothing. \
                 PostgreSQL 14 to 18, with a database in UTF-8.",
            )
            .sample_config(serde_json::json!({
                "connection_url": "${env:WAREHOUSE_URL}",
                "schema": "cdm_work",
                "table_prefix": "cdm_"
            }))
    }

    fn validate(config: &Config) -> Result<()> {
        config.target()?;
        config.schema()?;
        config.owner()?;
        config.naming().map(|_| ())
    }

    async fn open(config: Config, context: OpenContext) -> Result<PgCdm> {
        let root_cert = config.root_cert().map(|path| context.base_dir.join(path));
        let connector = Connector::new(config.target()?, root_cert.as_deref())?;
        Ok(PgCdm {
            id: context.endpoint,
            schema: config.schema()?,
            owner: config.owner()?,
            naming: config.naming()?,
            connector,
            retention: config.retention(),
            budget: config.budget(),
        })
    }
}

register_driver!(CdmPostgres);

/// A PostgreSQL server as an endpoint.
pub struct PgCdm {
    id: EndpointId,
    schema: Identifier,
    owner: Option<Identifier>,
    naming: Naming,
    connector: Connector,
    retention: Retention,
    budget: Budget,
}

impl fmt::Debug for PgCdm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgCdm")
            .field("id", &self.id)
            .field("server", &self.connector.server())
            .field("schema", &self.schema.as_str())
            .finish_non_exhaustive()
    }
}

impl PgCdm {
    pub(crate) fn schema(&self) -> &Identifier {
        &self.schema
    }

    /// The role that tables belong to, where it is not whoever makes them.
    pub(crate) fn owner(&self) -> Option<&Identifier> {
        self.owner.as_ref()
    }

    pub(crate) fn naming(&self) -> &Naming {
        &self.naming
    }

    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }

    pub(crate) fn id(&self) -> &EndpointId {
        &self.id
    }

    pub(crate) fn retention(&self) -> Retention {
        self.retention
    }

    pub(crate) fn budget(&self) -> Budget {
        self.budget
    }

    /// The table of a model.
    pub(crate) async fn target(&self, session: &Session, model: Arc<ModelDescriptor>) -> Result<Target> {
        let found = Target::find(session, &self.schema, &self.naming, model).await;
        found.map_err(|error| match error.kind() {
            ErrorKind::NotProvisioned => error.with("run", format!("cdm provision {}", self.id)),
            _ => error,
        })
    }
}

#[async_trait]
impl Endpoint for PgCdm {
    async fn check(&self) -> Result<CheckReport> {
        check(self).await
    }

    fn source(&self) -> Option<&dyn Source> {
        None
    }

    fn sink(&self) -> Option<&dyn Sink> {
        Some(self)
    }

    fn provisioner(&self) -> Option<&dyn Provisioner> {
        Some(self)
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Sink for PgCdm {
    async fn open_run(&self, spec: &RunSpec) -> Result<Box<dyn Run + '_>> {
        Ok(Box::new(run::open(self, spec).await?))
    }

    async fn check_site(&self, ingestion: &Ingestion, site: &SourceSite) -> Result<()> {
        sites::check(self, ingestion, site).await
    }

    async fn rejects(&self, query: &RejectQuery) -> Result<Vec<StoredReject>> {
        rejects::list(self, query).await
    }

    async fn replay(&self, replay: &Replay) -> Result<Box<dyn Load + '_>> {
        let session = Session::open(&self.connector).await?;
        let target = self.target(&session, Arc::clone(&replay.model)).await?;
        // It has no fence: what it writes is ordered by the observation of the rejects.
        let key = run::line(&session, &SupportTables::of(&self.schema), &target, &replay.ingestion).await?;
        let loading = Loading::new(self, target, replay.ingestion.clone(), key, replay.run_id.clone(), 0);
        loading.keep_idle(session);
        Ok(Box::new(PgLoad::replay(loading, replay.rejects.clone(), replay.observation).await?))
    }

    async fn verify(&self, models: &[Arc<ModelDescriptor>], repair: bool) -> Result<Vec<Verification>> {
        verify::verify(self, models, repair).await
    }

    fn run_watch(&self) -> Option<&dyn RunWatch> {
        Some(self)
    }

    fn outbox(&self) -> Option<&dyn Outbox> {
        Some(self)
    }

    fn reject_listing(&self) -> Option<&dyn RejectListing> {
        Some(self)
    }

    fn dismissals(&self) -> Option<&dyn Dismissals> {
        Some(self)
    }

    fn replayable_rejects(&self) -> Option<&dyn ReplayableRejects> {
        Some(self)
    }
}
