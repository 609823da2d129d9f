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
    /// The sites that the records tell, where these are several and the configuration does not say which it is.
    pub several: Vec<String>,
    /// The sites that the records tell where the configuration names another one, such as the address of an API gateway.
    pub told: Vec<String>,
    /// The endpoint whose rows are of the same site, as the operator has configured it.
    pub same_site_as: Option<EndpointId>,
}

impl SourceSite {
    /// An unknown site.
    pub fn new(identity: &SourceIdentity) -> Self {
        let (endpoint, system) = (identity.endpoint.clone(), identity.system.clone());
        Self { endpoint, system, site: None, several: Vec::new(), told: Vec::new(), same_site_as: None }
    }

    /// Sets which site it is.
    #[must_use]
    pub fn at(mut self, site: Option<String>) -> Self {
        self.site = site;
        self
    }

    /// The records are of several sites.
    #[must_use]
    pub fn of_several(mut self, sites: Vec<String>) -> Self {
        self.several = sites;
        self
    }

    /// The records tell these sites, and the configuration names the one that they are.
    #[must_use]
    pub fn told_by_records(mut self, sites: Vec<String>) -> Self {
        self.told = sites;
        self
    }

    /// Sets the endpoint whose rows are of the same site.
    #[must_use]
    pub fn same_as(mut self, endpoint: Option<EndpointId>) -> Self {
        self.same_site_as = endpoint;
        self
    }

    /// Whether rows under the same name that are on record as `stored` are of this site: the operator says so, both
    /// sites are known and equal, or the endpoint is the same and one of the sites is unknown or the one on record is
    /// what the records still tell, and the configuration now names it. Records of several sites are not of a known
    /// one: those of the others would replace its rows.
    pub fn is_of(&self, stored: &StoredSite) -> bool {
        let is_mine = self.endpoint.as_str() == stored.endpoint;
        self.is_declared(stored)
            || match (&self.site, &stored.site) {
                (Some(site), Some(stored)) => site == stored || is_mine && self.told.contains(stored),
                (None, Some(_)) if !self.several.is_empty() => false,
                _ => is_mine,
            }
    }

    /// What a sink keeps on record when the first rows of this site are loaded. Which site it is stays open where
    /// another endpoint's rows are of the same one: that endpoint may know the site by another name.
    pub fn to_stored(&self) -> StoredSite {
        match &self.same_site_as {
            Some(other) if *other != self.endpoint => StoredSite { endpoint: other.to_string(), site: None },
            _ => StoredSite { endpoint: self.endpoint.to_string(), site: self.site.clone() },
        }
    }

    /// What a sink has to keep on record instead of `stored`, which is of this site: the name of the site, when the
    /// endpoint on record now names it. `None` when nothing changes.
    pub fn renamed(&self, stored: &StoredSite) -> Option<StoredSite> {
        let is_new = stored.site.is_none() || stored.site != self.site && !self.is_declared(stored);
        let name = self.site.clone().filter(|_| is_new && self.endpoint.as_str() == stored.endpoint)?;
        Some(StoredSite { endpoint: stored.endpoint.clone(), site: Some(name) })
    }

    /// Whether the operator says that the rows are of this site.
    fn is_declared(&self, stored: &StoredSite) -> bool {
        self.same_site_as.as_ref().is_some_and(|endpoint| endpoint.as_str() == stored.endpoint)
    }

    /// A run of this site is refused, because the rows that are in `sink` under its name are of another one.
    pub fn conflict(&self, stored: &StoredSite, sink: &EndpointId) -> Error {
        let Self { endpoint, system, .. } = self;
        let mine = match &self.site {
            Some(site) => format!("gives records of the site `{site}`"),
            None if self.several.is_empty() => "gives records of an unknown site".to_owned(),
            None => format!("gives records of several sites (`{}`)", self.several.join("`, `")),
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
    fn the_endpoint_on_record_may_name_the_site_that_its_records_tell() {
        let (gateway, acme) = ("api.atlassian.com/ex/jira/0f6c", Some("acme.atlassian.net"));
        let stored = |site: Option<&str>| StoredSite { endpoint: "acme".into(), site: site.map(str::to_owned) };
        let named = |endpoint, told: &str| site(endpoint, acme).told_by_records(vec![told.to_owned()]);
        for (claim, recorded, is_of, renamed) in [
            (named("acme", gateway), Some(gateway), true, Some(stored(acme))),
            (named("acme", gateway), acme, true, None),
            (named("acme", gateway), None, true, Some(stored(acme))),
            (named("acme", "api.atlassian.com/ex/jira/77"), Some(gateway), false, Some(stored(acme))),
            (named("other", gateway), Some(gateway), false, None),
            (site("acme", Some(gateway)), acme, false, Some(stored(Some(gateway)))),
            (site("acme", None), acme, true, None),
        ] {
            assert_eq!(claim.is_of(&stored(recorded)), is_of, "{claim:?} {recorded:?}");
            assert_eq!(claim.renamed(&stored(recorded)), renamed, "{claim:?} {recorded:?}");
        }
    }

    #[test]
    fn an_endpoint_of_the_same_site_as_another_leaves_the_name_of_the_site_to_that_one() {
        let first = site("b", Some("acme.example")).same_as(Some(EndpointId::from_static("a")));
        let stored = first.to_stored();
        assert_eq!(stored, StoredSite { endpoint: "a".into(), site: None });
        assert_eq!((first.is_of(&stored), first.renamed(&stored)), (true, None));
        let named = site("a", Some("api.atlassian.com/ex/jira/0f6c"));
        assert!(named.is_of(&stored));
        let stored = named.renamed(&stored).unwrap();
        assert_eq!((first.is_of(&stored), first.renamed(&stored)), (true, None));
        assert!(!site("c", Some("acme.example")).is_of(&stored));
        // An endpoint that names itself has changed its address, and keeps the one on record.
        let moved = site("a", Some("new.example")).same_as(Some(EndpointId::from_static("a")));
        assert_eq!((moved.is_of(&stored), moved.renamed(&stored)), (true, None));
        assert_eq!(moved.to_stored(), StoredSite { endpoint: "a".into(), site: Some("new.example".into()) });
    }

    #[test]
    fn records_of_several_sites_are_not_of_a_known_one() {
        let stored = |site: Option<&str>| StoredSite { endpoint: "acme".into(), site: site.map(str::to_owned) };
        let several = site("acme", None).of_several(vec!["acme.example".into(), "lab.example".into()]);
        assert!(several.is_of(&stored(None)), "as at its first load");
        assert!(!several.is_of(&stored(Some("acme.example"))));
        let told = several.conflict(&stored(Some("acme.example")), &EndpointId::from_static("warehouse")).to_string();
        assert!(told.contains("records of several sites (`acme.example`, `lab.example`)"), "{told}");
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
