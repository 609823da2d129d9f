//! Of which site the rows of a source system are.

use endpoint_api::{Ingestion, Result, SourceSite, StoredSite};
use relational::{
    Identifier, Naming, plumbing,
    sites::{Step, is_of_endpoint, of_rows, own_endpoints, step},
    support,
};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::{cells, database::During as _};

const OPERATION: &str = "compare the sites";

/// The column that holds the name of the system, in the models that have one.
const SYSTEM: &str = "source_system";

/// Compares the site of a run with that of the rows that are there, and puts it on record. In the write transaction
/// that opens the run: so runs that are opened at once are compared one after the other.
///
/// # Errors
///
/// [`SourceSite::conflict`] when the rows are of another site.
pub(crate) fn claim(connection: &Connection, naming: &Naming, ingestion: &Ingestion, site: &SourceSite) -> Result<()> {
    let comparison = Comparison { connection, naming, site };
    let Some(stored) = comparison.settle(ingestion)? else { return Ok(()) };
    let statement = format!(
        "insert into {} (table_prefix, source_system, endpoint, site, recorded_at) values (?1, ?2, ?3, ?4, ?5) \
         on conflict (table_prefix, source_system) do update \
         set endpoint = excluded.endpoint, site = excluded.site, recorded_at = excluded.recorded_at",
        support::SITE
    );
    let line = params![naming.prefix(), site.system, stored.endpoint, stored.site, cells::now()?];
    connection.execute(&statement, line).during(OPERATION).map(drop)
}

/// As [`claim`], and changes nothing. A sink that is not provisioned has nothing to compare with.
pub(crate) fn check(connection: &Connection, naming: &Naming, ingestion: &Ingestion, site: &SourceSite) -> Result<()> {
    let statement = "select exists (select 1 from sqlite_schema where name = ?1 and type = 'table')";
    let is_there: bool = connection.query_row(statement, [support::SITE], |row| row.get(0)).during(OPERATION)?;
    if is_there {
        Comparison { connection, naming, site }.settle(ingestion)?;
    }
    Ok(())
}

struct Comparison<'a> {
    connection: &'a Connection,
    naming: &'a Naming,
    site: &'a SourceSite,
}

impl Comparison<'_> {
    /// What is to be put on record, if anything.
    fn settle(&self, ingestion: &Ingestion) -> Result<Option<StoredSite>> {
        let site = self.site;
        match step(site, self.recorded()?) {
            Step::Open => Ok(None),
            Step::Record(stored) => Ok(Some(stored)),
            Step::LookForRowsOfOthers => match self.rows(&own_endpoints(site), None)? {
                Some(other) => Err(site.conflict(&of_rows(other), &ingestion.sink)),
                None => Ok(Some(site.to_stored())),
            },
            Step::Refuse(stored) => {
                if (stored.endpoint != site.endpoint.as_str() && self.is_another_loading()?)
                    || self.rows(&[], Some(&stored.endpoint))?.is_some()
                {
                    return Err(site.conflict(&stored, &ingestion.sink));
                }
                Ok(Some(site.to_stored()))
            }
        }
    }

    fn recorded(&self) -> Result<Option<StoredSite>> {
        let statement =
            format!("select endpoint, site from {} where table_prefix = ?1 and source_system = ?2", support::SITE);
        let read = self.connection.query_row(&statement, [self.naming.prefix(), &self.site.system], |row| {
            Ok(StoredSite { endpoint: row.get(0)?, site: row.get(1)? })
        });
        read.optional().during(OPERATION)
    }

    /// An endpoint other than `own` that has rows of the system here. In the table of a model that does not name the
    /// system, these are the rows of the endpoint `recorded`.
    fn rows(&self, own: &[&str], recorded: Option<&str>) -> Result<Option<String>> {
        let [first, second] = [0, 1].map(|place| own.get(place).copied().unwrap_or_default());
        for (table, names_system) in self.tables(own)? {
            let (condition, wanted) = match names_system {
                true => (SYSTEM, self.site.system.as_str()),
                false => (plumbing::SOURCE_ENDPOINT, recorded.unwrap_or_default()),
            };
            let statement = format!(
                "select {endpoint} from {} where {condition} = ?1 and {endpoint} not in (?2, ?3) limit 1",
                Identifier::derived(&table),
                endpoint = plumbing::SOURCE_ENDPOINT,
            );
            let found = self.connection.query_row(&statement, [wanted, first, second], |row| row.get(0));
            if let Some(endpoint) = found.optional().during(OPERATION)? {
                return Ok(Some(endpoint));
            }
        }
        Ok(None)
    }

    /// The tables under the same prefix that other endpoints than `own` have loaded into, and whether they name the
    /// system of their rows.
    fn tables(&self, own: &[&str]) -> Result<Vec<(String, bool)>> {
        let statement = format!(
            "select i.ingestion, i.model, i.table_name, \
             exists (select 1 from pragma_table_info(i.table_name) where name = '{SYSTEM}') \
             from {} i where i.run_id <> '' and exists (select 1 from sqlite_schema where name = i.table_name)",
            support::INGESTION
        );
        let mut statement = self.connection.prepare(&statement).during(OPERATION)?;
        let lines = statement.query_map([], |row| {
            let texts: [String; 3] = [row.get(0)?, row.get(1)?, row.get(2)?];
            Ok((texts, row.get::<_, bool>(3)?))
        });
        let mut tables: Vec<(String, bool)> = Vec::new();
        for line in lines.during(OPERATION)? {
            let ([ingestion, model, table], names_system) = line.during(OPERATION)?;
            let is_other = !own.iter().any(|endpoint| is_of_endpoint(&ingestion, endpoint));
            if is_other && self.naming.is_of(&table, &model) && !tables.iter().any(|(known, _)| *known == table) {
                tables.push((table, names_system));
            }
        }
        Ok(tables)
    }

    /// Whether a run of another endpoint is under way. It may be any of them: the rows that an endpoint with
    /// `same_site_as` loads are on record under the endpoint that it names.
    fn is_another_loading(&self) -> Result<bool> {
        let statement = format!(
            "select exists (select 1 from {} where status = 'running' \
             and substr(ingestion, 1, length(?1) + 1) <> ?1 || '/')",
            support::INGESTION
        );
        self.connection.query_row(&statement, [self.site.endpoint.as_str()], |row| row.get(0)).during(OPERATION)
    }
}
