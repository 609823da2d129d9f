use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use endpoint_api::{EndpointId, Error, ErrorKind, PlanRequest, Result, Slice, SourceIdentity, UnitDescriptor};

use crate::{
    config::{Config, ConfiguredPath},
    files::{self, ExportFile, Listing, Looks, Unread},
    fingerprint::Confirmations,
    key_index::{IdsByKey, KeyIndex, RecordFiles},
    notes, plan,
    stop::Stop,
    survey,
    units::Unit,
    user_aliases::{KnownUsers, UserIndex},
};

/// How many bytes of issue keys are kept to find issues that are named only by key.
const ISSUE_KEY_BYTES: usize = 16 * 1024 * 1024;

/// How many bytes of project keys are kept to find projects that are named only by key.
const PROJECT_KEY_BYTES: usize = 2 * 1024 * 1024;

/// How many bytes of users' ids are kept to find users that are named by a lesser id.
const USER_ID_BYTES: usize = 8 * 1024 * 1024;

/// An export and what is known of it.
#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) identity: SourceIdentity,
    /// The endpoint whose rows are of the same site, where it is configured.
    pub(crate) same_site_as: Option<EndpointId>,
    pub(crate) paths: Vec<ConfiguredPath>,
    /// The size in bytes above which a record is rejected.
    pub(crate) record_limit: usize,
    pub(crate) slice_bytes: u64,
    pub(crate) follow_links: bool,
    looks: Looks,
    /// The files when they were last listed, so that not each slice lists them all again.
    listed: Mutex<Option<Arc<[ExportFile]>>>,
    pub(crate) confirmations: Confirmations,
    pub(crate) issue_keys: KeyIndex,
    project_keys: KeyIndex,
    user_index: UserIndex,
    epic_link_field: Option<String>,
    /// The one site that the beginnings of the files name, once they were looked at.
    found_site: Mutex<Option<String>>,
}

impl Export {
    pub(crate) fn new(endpoint: EndpointId, config: Config, base_dir: &Path) -> Self {
        let site_url = config.site_url();
        let paths = config.path.as_slice().iter();
        Self {
            paths: paths.map(|given| ConfiguredPath { given: given.clone(), path: base_dir.join(given) }).collect(),
            identity: SourceIdentity::new(endpoint, config.source_system).at_site(site_url),
            same_site_as: config.same_site_as,
            record_limit: usize::try_from(config.max_record_bytes).unwrap_or(usize::MAX),
            slice_bytes: config.slice_bytes,
            follow_links: config.follow_links,
            looks: Looks::default(),
            listed: Mutex::new(None),
            confirmations: Confirmations::default(),
            issue_keys: KeyIndex::new(ISSUE_KEY_BYTES),
            project_keys: KeyIndex::new(PROJECT_KEY_BYTES),
            user_index: UserIndex::new(USER_ID_BYTES),
            epic_link_field: config.epic_link_field,
            found_site: Mutex::default(),
        }
    }

    pub(crate) fn endpoint(&self) -> &EndpointId {
        &self.identity.endpoint
    }

    /// The field of an issue that holds the key of its epic, where it is known.
    pub(crate) fn epic_link_field(&self) -> Option<&str> {
        self.epic_link_field.as_deref()
    }

    pub(crate) fn found_site(&self) -> Option<String> {
        self.found_site.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_found_site(&self, site: Option<String>) {
        *self.found_site.lock().unwrap_or_else(PoisonError::into_inner) = site;
    }

    /// What its users' records tell of their ids.
    pub(crate) fn users(&self, stop: &Stop) -> Result<Arc<KnownUsers>> {
        self.user_index.users(&RecordFiles::among(&self.listed()?, Unit::Users, self.record_limit, stop))
    }

    /// The ids of its projects by their keys; none when they do not fit into memory.
    pub(crate) fn projects(&self, stop: &Stop) -> Result<Arc<IdsByKey>> {
        let files = RecordFiles::among(&self.listed()?, Unit::Projects, self.record_limit, stop);
        self.project_keys.all(&files).map(Option::unwrap_or_default)
    }

    /// Lists its files, sorted by name.
    pub(crate) fn list(&self) -> Result<Arc<[ExportFile]>> {
        self.listing().map(|listing| listing.files.into())
    }

    /// Lists its files and the data files that are not read.
    pub(crate) fn listing(&self) -> Result<Listing> {
        let listing = files::list(&self.paths, self.follow_links, &self.looks)?;
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = Some(listing.files.as_slice().into());
        Ok(listing)
    }

    /// Its files as they were last listed: some may be gone by now, and others not in it yet.
    pub(crate) fn listed(&self) -> Result<Arc<[ExportFile]>> {
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        listed.map_or_else(|| self.list(), Ok)
    }

    /// The file with that name, which may be gone by now.
    pub(crate) fn file(&self, name: &str) -> Result<Option<ExportFile>> {
        let find = |files: Arc<[ExportFile]>| files::find_by_name(&files, name).cloned();
        match find(self.listed()?) {
            Some(file) => Ok(Some(file)),
            None => Ok(find(self.list()?)),
        }
    }

    /// Cuts what has changed of a unit into slices.
    pub(crate) fn plan(&self, unit: Unit, request: &PlanRequest, stop: &Stop) -> Result<Vec<Slice>> {
        let listing = self.listing()?;
        if listing.files.is_empty() {
            let named = listing.unread.iter().take(NAMED_FILES);
            let named = named.map(|Unread { name, reason, .. }| format!(". `{name}` {reason}")).collect::<String>();
            let message = format!("{NO_FILES}{named}");
            return Err(Error::new(ErrorKind::Config, "plan", message).with("key", "path"));
        }
        if plan::files_of(&listing.files, unit, request.mode).next().is_none() {
            let (unit, mode) = (unit.id(), request.mode);
            tracing::warn!(endpoint = %self.endpoint(), %unit, %mode, "the export has no file that the unit reads");
        }
        let slices = plan::plan(self, &listing, unit, request, stop)?;
        if let ([], [first, ..]) = (slices.as_slice(), notes::of_unread(&listing, unit).as_slice()) {
            let (endpoint, files) = (self.endpoint(), listing.unread.len());
            let first = format!("{} {}", first.resource, first.what);
            tracing::warn!(%endpoint, files, first, "the export still has data files that are not read");
        }
        Ok(slices)
    }

    /// The units, with what the export says of the fields of its issues.
    pub(crate) fn units(&self, stop: &Stop) -> Vec<UnitDescriptor> {
        let mut units: Vec<UnitDescriptor> = Unit::ALL.into_iter().map(Unit::descriptor).collect();
        // Where the export cannot be listed, the units are what they usually are.
        let files = self.list().unwrap_or_default();
        if let Some(issues) = units.iter_mut().find(|unit| unit.id == Unit::Issues.id()) {
            let known: BTreeSet<String> = issues.fields.iter().map(|field| field.name.clone()).collect();
            let names = survey::field_names(&files, stop);
            issues.fields.extend(names.unit_fields().filter(|field| !known.contains(&field.name)));
        }
        units
    }
}

/// The maximum number of unread files that the error names when the export has no other files.
const NAMED_FILES: usize = 20;

/// What to say of paths at which there is no file of an export.
pub(crate) const NO_FILES: &str =
    "no file of an export is there; one is called `issues.jsonl`, `comments-0001.json.gz` or the like";
