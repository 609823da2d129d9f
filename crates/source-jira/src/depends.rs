//! What the rows of a file are made from besides the file itself: settings, and other files of the export. A file whose
//! bytes are as before gives other rows when one of these has changed.

use std::{collections::BTreeMap, sync::Arc};

use endpoint_api::{ErrorKind, Result};
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use crate::{
    export::Export,
    files::ExportFile,
    gather::{Embedded, gather},
    issue_parent::ParentKeys,
    issue_project::key_without_id,
    parent::IssueRef,
    pieces::each_text,
    slice_spec::Records,
    stop::Stop,
    units::Unit,
    user_aliases::KnownUsers,
};

/// Digests of what a file's records look up in other files; `None` where that is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LookedUp {
    /// The users that have several ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) users: Option<String>,
    /// The files of issues, in which ids and keys of issues are looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issues: Option<String>,
    /// The ids of projects by their keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) projects: Option<String>,
}

impl LookedUp {
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// The fingerprint of a file with these contents, whose rows also depend on `settings` and on what is looked up.
    pub(crate) fn fingerprint(&self, contents: &str, settings: Option<&str>) -> String {
        let others = [settings, self.users.as_deref(), self.issues.as_deref()];
        let projects = self.projects.as_deref();
        if others.iter().all(Option::is_none) && projects.is_none() {
            return contents.to_owned();
        }
        // Without projects as earlier versions had it.
        digest([contents].into_iter().chain(others.map(Option::unwrap_or_default)).chain(projects))
    }
}

/// A digest of the settings that the mapping of the unit's records reads; `None` when none of them is set.
pub(crate) fn settings(export: &Export, unit: Unit) -> Option<String> {
    let epic_link = export.epic_link_field().filter(|_| unit == Unit::Issues);
    let settings = [export.identity.site_url.as_deref(), epic_link];
    settings.iter().any(Option::is_some).then(|| digest(settings.map(Option::unwrap_or_default)))
}

/// 128 bits over texts in their order, in hexadecimal.
pub(crate) fn digest<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let mut hasher = XxHash3_128::new();
    for text in texts {
        hasher.write(text.as_bytes());
        hasher.write(&[0]);
    }
    format!("{:032x}", hasher.finish_128())
}

/// What there is to look up at present, and how it is found out which files do so.
pub(crate) struct Neighbours<'e> {
    export: &'e Export,
    unit: Unit,
    stop: &'e Stop,
    users: Option<Arc<KnownUsers>>,
    now: LookedUp,
}

impl<'e> Neighbours<'e> {
    /// For records of `unit`. `issue_files` are the hashes of the export's issue files by their names.
    pub(crate) fn new(
        export: &'e Export,
        unit: Unit,
        issue_files: &BTreeMap<&str, &str>,
        stop: &'e Stop,
    ) -> Result<Self> {
        // A better id of a user becomes the key of the user's row: another id is another row, not another version.
        let users = if unit == Unit::Users { None } else { Some(export.users(stop)?) };
        let looks_issues_up = unit == Unit::Issues || unit.is_of_an_issue();
        let mut hashes: Vec<&str> = issue_files.values().copied().collect();
        hashes.sort_unstable();
        let now = LookedUp {
            users: users.as_ref().and_then(|users| users.digest()),
            issues: looks_issues_up.then(|| digest(hashes)),
            projects: if unit == Unit::Issues { export.projects(stop)?.digest() } else { None },
        };
        Ok(Self { export, unit, stop, users, now })
    }

    /// What the records of a file look up, whose pages tell the field `epic_link`. `before` is what they looked up when
    /// an earlier run read the same contents: it stays, as far as the file has no record to which the difference matters.
    pub(crate) fn of(
        &self,
        file: &ExportFile,
        records: Records,
        epic_link: Option<&str>,
        before: Option<&LookedUp>,
    ) -> Result<LookedUp> {
        let Some(before) = before.filter(|before| **before != self.now) else { return Ok(self.now.clone()) };
        let now = &self.now;
        // What differs, and of that what the file looks up.
        let mut differs = [before.users != now.users, before.issues != now.issues, before.projects != now.projects];
        let mut looks_up = [false; 3];
        let outcome = self.each_record(file, records, &mut |json, issue| {
            let users = || self.users.as_ref().is_some_and(|users| users.may_complete(self.unit, json));
            let issues = || self.looks_issue_up(json, &issue, epic_link);
            let projects = || key_without_id(json).is_some();
            let looks: [&dyn Fn() -> bool; 3] = [&users, &issues, &projects];
            for ((differs, looks_up), looks) in differs.iter_mut().zip(&mut looks_up).zip(looks) {
                if *differs && looks() {
                    (*looks_up, *differs) = (true, false);
                }
            }
            differs.contains(&true)
        });
        match outcome {
            Ok(()) => {}
            // Whoever reads its records says what is wrong with the file.
            Err(error) if error.kind() == ErrorKind::Data => looks_up = [true; 3],
            Err(error) => return Err(error),
        }
        let [users, issues, projects] = looks_up;
        let pick = |is_used, now: &Option<String>, before: &Option<String>| if is_used { now } else { before }.clone();
        Ok(LookedUp {
            users: pick(users, &now.users, &before.users),
            issues: pick(issues, &now.issues, &before.issues),
            projects: pick(projects, &now.projects, &before.projects),
        })
    }

    fn looks_issue_up(&self, json: &str, issue: &IssueRef<'_>, epic_link: Option<&str>) -> bool {
        match self.unit {
            Unit::Issues => ParentKeys::new(self.export.epic_link_field().or(epic_link)).of_issue(json).key.is_some(),
            Unit::Comments | Unit::Worklogs => issue.id.is_some() != issue.key.is_some(),
            Unit::Projects | Unit::Users => false,
        }
    }

    /// Shows `look` each record of the unit in a file, and the issue that it says it belongs to, until `look` says
    /// `false`.
    fn each_record(
        &self,
        file: &ExportFile,
        records: Records,
        look: &mut dyn FnMut(&str, IssueRef<'_>) -> bool,
    ) -> Result<()> {
        let mut gathered = Ok(());
        each_text(file, self.export.record_limit, self.stop, &mut |json| {
            if records != Records::Embedded {
                return look(json, IssueRef::of_record_in(file, self.unit, json));
            }
            let mut goes_on = true;
            gathered = gather(self.unit, file.unit, json, &mut |embedded| {
                if let Embedded::Record { json, issue, .. } = embedded {
                    goes_on = goes_on && look(json, issue);
                }
                Ok(())
            })
            .map(drop);
            goes_on && gathered.is_ok()
        })?;
        gathered
    }
}
