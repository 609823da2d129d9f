use crate::{EndpointId, Error, ErrorKind, SourceIdentity};

/// The site whose records a source gives, such as one Jira.
///
/// Ids of records contain the name of their system ([`SourceIdentity::system`]). Two sites under one name would replace
/// each other's rows wherever their own ids are equal. Therefore a sink keeps on record of which site the rows under a
/// name are, and refuses a run of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceSite {
    /// The endpoint that gives the records.
    pub endpoint: EndpointId,
    /// The name that stands in the ids of its records.
    pub system: String,
    /// Which site it is, in one form for each site: `acme.atlassian.net`, `acme.example/jira`. `None` when neither the
    /// configuration nor the records tell.
    pub site: Option<String>,
    /// The endpoint whose rows are of the same site, as the operator has configured it.
    pub same_site_as: Option<EndpointId>,
}

impl SourceSite {
    /// An unknown site.
    pub fn new(identity: &SourceIdentity) -> Self {
        Self { endpoint: identity.endpoint.clone(), system: identity.system.clone(), site: None, same_site_as: None }
    }

    /// Sets which site it is.
    #[must_use]
    pub fn at(mut self, site: Option<String>) -> Self {
        self.site = site;
        self
    }

    /// Sets the endpoint whose rows are of the same site.
    #[must_use]
    pub fn same_as(mut self, endpoint: Option<EndpointId>) -> Self {
        self.same_site_as = endpoint;
        self
    }

    /// Whether rows under the same name that are on record as `stored` are of this site: the operator says so, both
    /// sites are known and equal, or one of them is unknown and the endpoint is the same.
    pub fn is_of(&self, stored: &StoredSite) -> bool {
        if self.same_site_as.as_ref().is_some_and(|endpoint| endpoint.as_str() == stored.endpoint) {
            return true;
        }
        match (&self.site, &stored.site) {
            (Some(site), Some(stored)) => site == stored,
            _ => self.endpoint.as_str() == stored.endpoint,
        }
    }

    /// What a sink keeps on record when the first rows of this site are loaded.
    pub fn to_stored(&self) -> StoredSite {
        let endpoint = self.same_site_as.as_ref().unwrap_or(&self.endpoint);
        StoredSite { endpoint: endpoint.to_string(), site: self.site.clone() }
    }

    /// A run of this site is refused, because the rows that are in `sink` under its name are of another one.
    pub fn conflict(&self, stored: &StoredSite, sink: &EndpointId) -> Error {
        let Self { endpoint, system, .. } = self;
        let mine = match &self.site {
            Some(site) => format!("gives records of the site `{site}`"),
            None => "gives records of an unknown site".to_owned(),
        };
        let theirs = match &stored.site {
            Some(site) => format!("the site `{site}`, loaded by the endpoint `{}`", stored.endpoint),
            None => format!("an unknown site, loaded by the endpoint `{}`", stored.endpoint),
        };
        let is_mine = endpoint.as_str() == stored.endpoint;
        let same = match (is_mine, stored.site.is_some()) {
            (true, _) => {
                format!(
                    "If the site has only changed its address, set `endpoints.{endpoint}.site_url` to the old one, or"
                )
            }
            (false, true) => "If both are one site, set the same `site_url` for both endpoints, or".to_owned(),
            (false, false) => "If both are one site, set".to_owned(),
        };
        let message = format!(
            "`{endpoint}` {mine}, and the rows of source_system `{system}` in `{sink}` are of {theirs}; nothing was \
             replaced. For another site, set `endpoints.{endpoint}.source_system` to a name of its own. {same} \
             `endpoints.{endpoint}.same_site_as = \"{}\"`",
            stored.endpoint,
        );
        Error::new(ErrorKind::Config, "open a run", message)
    }
}

/// The site of the rows that a sink holds under the name of a system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSite {
    /// The endpoint that loaded them first.
    pub endpoint: String,
    /// Which site it is; `None` when that is not known.
    pub site: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(endpoint: &'static str, site: Option<&str>) -> SourceSite {
        let identity = SourceIdentity::new(EndpointId::from_static(endpoint), "jira");
        SourceSite::new(&identity).at(site.map(str::to_owned))
    }

    #[test]
    fn rows_are_of_a_site_when_the_sites_are_equal_or_the_endpoint_is_and_one_site_is_unknown() {
        let stored = |site: Option<&str>| StoredSite { endpoint: "acme".into(), site: site.map(str::to_owned) };
        let (acme, lab) = (Some("acme.atlassian.net"), Some("lab.example/jira"));
        for (claim, stored, expected) in [
            (site("acme", acme), stored(acme), true),
            (site("other", acme), stored(acme), true),
            (site("other", lab), stored(acme), false),
            (site("acme", lab), stored(acme), false),
            (site("acme", None), stored(acme), true),
            (site("other", None), stored(acme), false),
            (site("acme", acme), stored(None), true),
            (site("other", acme), stored(None), false),
            (site("other", None), stored(None), false),
        ] {
            assert_eq!(claim.is_of(&stored), expected, "{claim:?} {stored:?}");
            let declared = claim.same_as(Some(EndpointId::from_static("acme")));
            assert!(declared.is_of(&stored), "{declared:?} {stored:?}");
        }
    }

    #[test]
    fn a_refusal_names_both_sites_and_the_settings() {
        let stored = StoredSite { endpoint: "acme".into(), site: Some("acme.atlassian.net".into()) };
        let error = site("lab", Some("lab.example/jira")).conflict(&stored, &EndpointId::from_static("warehouse"));
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(
            error.to_string(),
            "`lab` gives records of the site `lab.example/jira`, and the rows of source_system `jira` in `warehouse` are \
             of the site `acme.atlassian.net`, loaded by the endpoint `acme`; nothing was replaced. For another site, set \
             `endpoints.lab.source_system` to a name of its own. If both are one site, set the same `site_url` for both \
             endpoints, or `endpoints.lab.same_site_as = \"acme\"`"
        );
        let unknown = StoredSite { endpoint: "lab".into(), site: None };
        let error = site("other", None).conflict(&unknown, &EndpointId::from_static("warehouse")).to_string();
        assert!(error.contains("records of an unknown site") && error.contains("are of an unknown site, loaded by"));
    }
}
