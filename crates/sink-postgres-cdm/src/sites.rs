//! Of which site the rows of a source system are.

use endpoint_api::{Ingestion, Result, SourceSite, StoredSite};
use relational::{
    Identifier, plumbing,
    sites::{Step, is_of_endpoint, of_rows, own_endpoints, step},
};
use tokio_postgres::types::Type;

use crate::{
    endpoint::PgCdm,
    session::{Session, column},
    state::SupportTables,
};

const OPERATION: &str = "compare the sites";

/// The column that holds the name of the system, in the models that have one.
const SYSTEM: &str = "source_system";

/// Compares the site of a run with that of the rows that are there, and puts it on record. In the transaction that
/// opens the run, after it has taken the fence: so runs that are opened at once are compared one after the other.
///
/// # Errors
///
/// [`SourceSite::conflict`] when the rows are of another site.
pub(crate) async fn claim(endpoint: &PgCdm, session: &Session, ingestion: &Ingestion, site: &SourceSite) -> Result<()> {
    let (comparison, tables) = (Comparison { endpoint, session, site }, SupportTables::of(endpoint.schema()));
    let Some(stored) = comparison.settle(ingestion).await? else { return Ok(()) };
    let statement = format!(
        "insert into {} as s (table_prefix, source_system, endpoint, site, recorded_at) values ($1, $2, $3, $4, now()) \
         on conflict (table_prefix, source_system) do update \
         set endpoint = excluded.endpoint, site = excluded.site, recorded_at = excluded.recorded_at",
        tables.site
    );
    let parameters = [
        (&endpoint.naming().prefix() as _, Type::TEXT),
        (&site.system.as_str() as _, Type::TEXT),
        (&stored.endpoint.as_str() as _, Type::TEXT),
        (&stored.site.as_deref() as _, Type::TEXT),
    ];
    session.execute(OPERATION, &statement, &parameters).await.map(drop)
}

/// As [`claim`], and changes nothing. A sink that is not provisioned has nothing to compare with.
pub(crate) async fn check(endpoint: &PgCdm, ingestion: &Ingestion, site: &SourceSite) -> Result<()> {
    let session = Session::open(endpoint.connector()).await?;
    let tables = SupportTables::of(endpoint.schema());
    let statement = "select to_regclass($1) is not null";
    let is_there = session.query_one(OPERATION, statement, &[(&tables.site, Type::TEXT)]).await?;
    if column(&is_there, 0)? {
        Comparison { endpoint, session: &session, site }.settle(ingestion).await?;
    }
    Ok(())
}

struct Comparison<'a> {
    endpoint: &'a PgCdm,
    session: &'a Session,
    site: &'a SourceSite,
}

impl Comparison<'_> {
    /// What is to be put on record, if anything.
    async fn settle(&self, ingestion: &Ingestion) -> Result<Option<StoredSite>> {
        let site = self.site;
        match step(site, self.recorded().await?) {
            Step::Open => Ok(None),
            Step::Record(stored) => Ok(Some(stored)),
            Step::LookForRowsOfOthers => match self.rows(&own_endpoints(site), None).await? {
                Some(other) => Err(site.conflict(&of_rows(other), &ingestion.sink)),
                None => Ok(Some(site.to_stored())),
            },
            Step::Refuse(stored) => {
                if (stored.endpoint != site.endpoint.as_str() && self.is_another_loading().await?)
                    || self.rows(&[], Some(&stored.endpoint)).await?.is_some()
                {
                    return Err(site.conflict(&stored, &ingestion.sink));
                }
                Ok(Some(site.to_stored()))
            }
        }
    }

    async fn recorded(&self) -> Result<Option<StoredSite>> {
        let statement = format!(
            "select endpoint, site from {} where table_prefix = $1 and source_system = $2",
            SupportTables::of(self.endpoint.schema()).site
        );
        let prefix = self.endpoint.naming().prefix();
        let parameters = [(&prefix as _, Type::TEXT), (&self.site.system.as_str() as _, Type::TEXT)];
        let row = self.session.query_opt(OPERATION, &statement, &parameters).await?;
        row.map(|row| Ok(StoredSite { endpoint: column(&row, 0)?, site: column(&row, 1)? })).transpose()
    }

    /// An endpoint other than `own` that has rows of the system here. In the table of a model that does not name the
    /// system, these are the rows of the endpoint `recorded`.
    async fn rows(&self, own: &[&str], recorded: Option<&str>) -> Result<Option<String>> {
        for (table, names_system) in self.tables(own).await? {
            let (condition, wanted) = match names_system {
                true => (format!("{SYSTEM} = $1"), self.site.system.as_str()),
                false => (format!("{} = $1", plumbing::SOURCE_ENDPOINT), recorded.unwrap_or_default()),
            };
            let statement = format!(
                "select {endpoint} from {}.{} where {condition} and {endpoint} <> all ($2) limit 1",
                self.endpoint.schema(),
                Identifier::derived(&table),
                endpoint = plumbing::SOURCE_ENDPOINT,
            );
            let parameters = [(&wanted as _, Type::TEXT), (&own as _, Type::TEXT_ARRAY)];
            if let Some(row) = self.session.query_opt(OPERATION, &statement, &parameters).await? {
                return column(&row, 0).map(Some);
            }
        }
        Ok(None)
    }

    /// The tables under the same prefix that other endpoints than `own` have loaded into, and whether they name the
    /// system of their rows.
    async fn tables(&self, own: &[&str]) -> Result<Vec<(String, bool)>> {
        let statement = format!(
            "select i.ingestion, i.model, i.table_name, exists (select from pg_attribute a where a.attrelid = c.oid \
             and a.attname = '{SYSTEM}' and not a.attisdropped) \
             from {} i join pg_class c on c.relname = i.table_name \
             join pg_namespace n on n.oid = c.relnamespace and n.nspname = $1 where i.run_id <> ''",
            SupportTables::of(self.endpoint.schema()).ingestion
        );
        let schema = self.endpoint.schema().as_str();
        let mut tables: Vec<(String, bool)> = Vec::new();
        for row in self.session.query(OPERATION, &statement, &[(&schema, Type::TEXT)]).await? {
            let (ingestion, model, table): (&str, &str, String) =
                (column(&row, 0)?, column(&row, 1)?, column(&row, 2)?);
            let is_other = !own.iter().any(|endpoint| is_of_endpoint(ingestion, endpoint));
            if is_other
                && self.endpoint.naming().is_of(&table, model)
                && !tables.iter().any(|(known, _)| *known == table)
            {
                tables.push((table, column(&row, 3)?));
            }
        }
        Ok(tables)
    }

    /// Whether a run of another endpoint is under way. It may be any of them: the rows that an endpoint with
    /// `same_site_as` loads are on record under the endpoint that it names.
    async fn is_another_loading(&self) -> Result<bool> {
        let statement = format!(
            "select exists (select from {} where status = 'running' and split_part(ingestion, '/', 1) <> $1)",
            SupportTables::of(self.endpoint.schema()).ingestion
        );
        let own = self.site.endpoint.as_str();
        column(&self.session.query_one(OPERATION, &statement, &[(&own as _, Type::TEXT)]).await?, 0)
    }
}
