use std::fmt;
use std::sync::Arc;

use cdm_models::ModelDescriptor;
use endpoint_api::{
    Capabilities, CheckReport, Dismissals, Driver, Endpoint, Ingestion, Load, OpenContext, Outbox, Provisioner,
    RejectListing, RejectQuery, Replay, ReplayableRejects, Result, Run, RunSpec, RunWatch, Sink, SinkCapabilities,
    Source, SourceSite, StoredReject, TemplateInfo, Verification, async_trait, register_driver,
};
use relational::{Naming, state::Retention};
use sqlite_client::Access;

use crate::{
    check::check,
    config::Config,
    database::{Database, OWNER},
    load::SqliteLoad,
    loading::Loading,
    rejects, run, sites,
    target::Target,
    verify,
};

/// The driver.
pub struct CdmSqlite;

impl Driver for CdmSqlite {
    const ID: &'static str = "cdm.sqlite";
    const ALIASES: &'static [&'static str] = &[];
    const CAPABILITIES: Capabilities = Capabilities::NONE.sink(
        SinkCapabilities::NONE
            .cdm(&["**"])
            .autoprovision()
            .transactional()
            .replay()
            .verify()
            .outbox()
            .reject_listing()
            .dismissals(),
    );
    type Config = Config;
    type Endpoint = SqliteCdm;

    fn template() -> TemplateInfo {
        TemplateInfo::new("SQLite (CDM tables)", "SQLite", "database")
            .docs(
                "Creates one table for each CDM model in one file, with nothing to install: loading the same \
                 records again writes nothing, an older record never replaces a newer one, and a crash loses \
                 nothing. One load writes at a time; who reads is never held up. The file must be on a disk of \
                 this machine.",
            )
            .sample_config(serde_json::json!({ "path": "./work.db", "table_prefix": "cdm_" }))
    }

    fn validate(config: &Config) -> Result<()> {
        config.validate()
    }

    async fn open(config: Config, context: OpenContext) -> Result<SqliteCdm> {
        Ok(SqliteCdm {
            naming: config.naming()?,
            retention: config.retention(),
            database: Database::new(context.endpoint, context.base_dir.join(&config.path)),
        })
    }
}

register_driver!(CdmSqlite);

/// A SQLite file as an endpoint.
pub struct SqliteCdm {
    database: Database,
    naming: Naming,
    retention: Retention,
}

impl fmt::Debug for SqliteCdm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteCdm")
            .field("id", self.database.id())
            .field("path", &self.database.path())
            .finish_non_exhaustive()
    }
}

impl SqliteCdm {
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn naming(&self) -> &Naming {
        &self.naming
    }

    pub(crate) fn retention(&self) -> Retention {
        self.retention
    }
}

#[async_trait]
impl Endpoint for SqliteCdm {
    async fn check(&self) -> Result<CheckReport> {
        let database = self.database.clone();
        OWNER.blocking(move || check(&database)).await
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
impl Sink for SqliteCdm {
    async fn open_run(&self, spec: &RunSpec) -> Result<Box<dyn Run + '_>> {
        Ok(Box::new(run::open(self, spec).await?))
    }

    async fn check_site(&self, ingestion: &Ingestion, site: &SourceSite) -> Result<()> {
        let (database, naming) = (self.database.clone(), self.naming.clone());
        let (ingestion, site) = (ingestion.clone(), site.clone());
        let compare = move || match database.open_if_there(Access::Read)? {
            Some(connection) => sites::check(&connection, &naming, &ingestion, &site),
            None => Ok(()),
        };
        OWNER.blocking(compare).await
    }

    async fn rejects(&self, query: &RejectQuery) -> Result<Vec<StoredReject>> {
        let (database, query) = (self.database.clone(), query.clone());
        OWNER.blocking(move || rejects::list(&database, &query)).await
    }

    async fn replay(&self, replay: &Replay) -> Result<Box<dyn Load + '_>> {
        let (database, naming, model) = (self.database.clone(), self.naming.clone(), Arc::clone(&replay.model));
        let ingestion = replay.ingestion.clone();
        let find = move || {
            let connection = database.open()?;
            let target = Target::find(&connection, &naming, model).map_err(|error| database.unprovisioned(error))?;
            Ok((run::line(&connection, &target, &ingestion)?, target))
        };
        let (key, target) = OWNER.blocking(find).await?;
        // It has no fence: what it writes is ordered by the observation of the rejects.
        let loading =
            Loading::new(self.database.clone(), target, replay.ingestion.clone(), key, replay.run_id.clone(), 0);
        Ok(Box::new(SqliteLoad::replay(loading, replay.rejects.clone(), replay.observation).await?))
    }

    async fn verify(&self, models: &[Arc<ModelDescriptor>], repair: bool) -> Result<Vec<Verification>> {
        let (database, naming, models) = (self.database.clone(), self.naming.clone(), models.to_vec());
        OWNER.blocking(move || verify::verify(&database, &naming, &models, repair)).await
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
