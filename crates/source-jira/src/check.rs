//! What `cdm check` says of an export. The work is bounded, whatever the size of the export: the text of each file is
//! looked at up to a limit, and so is the text of all files together.

use std::fs;

use endpoint_api::CheckReport;

use crate::{
    export::{Export, NO_FILES},
    files::{self, ExportFile, Listing, Unread},
    look::{Extent, Glance, Glances},
    stop::Stop,
    units::Unit,
    user_aliases::KnownUsers,
};

/// The maximum number of files that are named in one line of the report.
const NAMED_FILES: usize = 3;

/// The files of users are read to their ends where they have no more bytes than this.
const USERS_BYTES: u64 = 64 * 1024 * 1024;

pub(crate) fn check(export: &Export, stop: &Stop) -> CheckReport {
    let mut report = CheckReport::new();
    let roots: Vec<_> = export.paths.iter().filter_map(|configured| fs::canonicalize(&configured.path).ok()).collect();
    for configured in &export.paths {
        match files::find_at(configured, &roots, export.follow_links) {
            Ok(found) => report.add("path", true, format!("`{}`: {}", configured.given, count(found.files.len()))),
            Err(error) => report.add("path", false, error.to_string()),
        }
    }
    if !report.ok() {
        return report;
    }
    let Listing { files, unread } = match export.listing() {
        Ok(listing) => listing,
        Err(error) => {
            report.add("files", false, error.to_string());
            return report;
        }
    };
    if files.is_empty() {
        report.add("files", false, NO_FILES);
    } else {
        let mut glances = Glances::new(export.record_limit, stop);
        for unit in Unit::ALL {
            check_unit(unit, &files, &mut glances, &mut report);
        }
        check_users(export, &files, &glances.mentioned, stop, &mut report);
    }
    for Unread { name, reason, .. } in unread {
        report.warn("unread", format!("`{name}` {reason}"));
    }
    report
}

/// Looks at the files of a unit.
fn check_unit(unit: Unit, files: &[ExportFile], glances: &mut Glances<'_>, report: &mut CheckReport) {
    let of_unit: Vec<_> = files.iter().filter(|file| file.unit == unit).collect();
    let (mut failed, mut odd) = (Vec::new(), Vec::new());
    let (mut begun, mut unseen) = (0, 0);
    for file in &of_unit {
        let Glance { extent, failure, oddity } = glances.at(file);
        begun += usize::from(extent == Extent::Beginning);
        unseen += usize::from(extent == Extent::Nothing);
        failed.extend(failure);
        odd.extend(oddity);
    }
    let mut detail = match (of_unit.len(), embedding(unit, files)) {
        (0, Some(units)) => format!("no files of their own; those that {units} name or embed are read in mode `cdm`"),
        (files, _) => count(files),
    };
    for (number, what) in [(begun, "only the beginning was looked at"), (unseen, "the contents were not looked at")] {
        match (number, of_unit.len()) {
            (0, _) => {}
            (1, 1) => detail.push_str(&format!("; {what}")),
            (number, _) => detail.push_str(&format!("; of {number} of them {what}")),
        }
    }
    let (is_ok, is_odd) = (failed.is_empty(), !odd.is_empty());
    let problems: Vec<String> = failed.into_iter().chain(odd).collect();
    for problem in problems.iter().take(NAMED_FILES) {
        detail.push_str("; ");
        detail.push_str(problem);
    }
    if problems.len() > NAMED_FILES {
        detail.push_str(&format!("; and {} more", problems.len() - NAMED_FILES));
    }
    match (is_ok, is_odd) {
        (true, true) => report.warn(unit.name(), detail),
        (is_ok, _) => report.add(unit.name(), is_ok, detail),
    }
}

/// The units with files in which records of `unit` are embedded; `None` when there is no such file.
fn embedding(unit: Unit, files: &[ExportFile]) -> Option<String> {
    let is_there = |unit: &&Unit| files.iter().any(|file| file.unit == **unit);
    let names: Vec<&str> = unit.embedded_in().iter().filter(is_there).map(|unit| unit.name()).collect();
    match names.split_last() {
        None => None,
        Some((last, [])) => Some((*last).to_owned()),
        Some((last, others)) => Some(format!("{} and {last}", others.join(", "))),
    }
}

/// Says how many users the export names by two ids: as far as its users are concerned all of it, otherwise as far as
/// its files were looked at.
fn check_users(export: &Export, files: &[ExportFile], mentioned: &KnownUsers, stop: &Stop, report: &mut CheckReport) {
    const CHECK: &str = "user ids";
    let length = |file: &ExportFile| fs::metadata(&file.path).map_or(0, |metadata| metadata.len());
    let bytes: u64 = files.iter().filter(|file| file.unit == Unit::Users).map(length).sum();
    if bytes > USERS_BYTES {
        report.add(CHECK, true, "not counted: the files of users are larger than 64 MiB");
        return;
    }
    let users = match export.users(stop) {
        Ok(users) => users,
        Err(error) => return report.add(CHECK, false, error.to_string()),
    };
    let (resolved, unresolved) = users.pairs(mentioned);
    let mut details = Vec::new();
    if resolved > 0 {
        details.push(format!("{resolved} of the users are there under two ids and become one user each"));
    }
    if unresolved > 0 {
        details.push(format!(
            "{unresolved} of the users that records mention are there under two ids and become two users each; add a \
             file of users, such as `users.json`, that tells both ids"
        ));
    }
    match (details.is_empty(), unresolved) {
        (true, _) => {}
        (false, 0) => report.add(CHECK, true, details.join("; ")),
        (false, _) => report.warn(CHECK, details.join("; ")),
    }
}

fn count(files: usize) -> String {
    match files {
        0 => "no files".to_owned(),
        1 => "1 file".to_owned(),
        many => format!("{many} files"),
    }
}
