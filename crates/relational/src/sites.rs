//! Of which site the rows of a source system are, and when a run of another site is refused.

use endpoint_api::{SourceSite, StoredSite};

/// What a sink does about the site of a run that it opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The run is of the site of the rows, and that is on record.
    Open,
    /// The run is of the site of the rows; what is on record becomes this.
    Record(StoredSite),
    /// Nothing is on record: the sink was loaded by an earlier version, or holds no rows of the system. Rows of
    /// another endpoint than these are of an unknown site, see [`of_rows`]; where there are none, the site of the run
    /// is put on record.
    LookForRowsOfOthers,
    /// The rows are of another site. The run is refused, unless there is neither a row of the system nor a run that
    /// may be loading some.
    Refuse(StoredSite),
}

/// What a sink does, given what it has on record of the system's rows.
pub fn step(site: &SourceSite, recorded: Option<StoredSite>) -> Step {
    match recorded {
        None => Step::LookForRowsOfOthers,
        Some(recorded) if !site.is_of(&recorded) => Step::Refuse(recorded),
        Some(recorded) => site.renamed(&recorded).map_or(Step::Open, Step::Record),
    }
}

/// The endpoints whose rows are of the run's site, when nothing is on record.
pub fn own_endpoints(site: &SourceSite) -> Vec<&str> {
    std::iter::once(&site.endpoint).chain(&site.same_site_as).map(|endpoint| endpoint.as_str()).collect()
}

/// What is known of rows that an endpoint has loaded while nothing is on record.
pub fn of_rows(endpoint: String) -> StoredSite {
    StoredSite { endpoint, site: None }
}

/// Whether an ingestion, by the name under which a sink keeps its state, reads from this endpoint.
pub fn is_of_endpoint(ingestion: &str, endpoint: &str) -> bool {
    ingestion.split('/').next() == Some(endpoint)
}

#[cfg(test)]
mod tests {
    use endpoint_api::{EndpointId, SourceIdentity};

    use super::*;

    #[test]
    fn a_site_is_recorded_once_it_is_known_and_another_is_refused() {
        let identity = SourceIdentity::new(EndpointId::from_static("acme"), "jira");
        let acme = SourceSite::new(&identity).at(Some("acme.example".into()));
        let stored = |endpoint: &str, site: Option<&str>| StoredSite {
            endpoint: endpoint.to_owned(),
            site: site.map(str::to_owned),
        };
        assert_eq!(step(&acme, None), Step::LookForRowsOfOthers);
        assert_eq!(step(&acme, Some(stored("acme", None))), Step::Record(stored("acme", Some("acme.example"))));
        assert_eq!(step(&acme, Some(stored("first", Some("acme.example")))), Step::Open);
        let other = stored("lab", Some("lab.example"));
        assert_eq!(step(&acme, Some(other.clone())), Step::Refuse(other.clone()));
        let declared = acme.same_as(Some(EndpointId::from_static("lab")));
        assert_eq!(step(&declared, Some(other)), Step::Open);
        assert_eq!(own_endpoints(&declared), ["acme", "lab"]);
        assert!(is_of_endpoint("lab/jira.issues/warehouse/cdm", "lab"));
        assert!(!is_of_endpoint("lab2/jira.issues/warehouse/cdm", "lab"));
    }
}
