use std::{error::Error as _, fs, io, sync::Arc};

use endpoint_api::{Error, ErrorKind, Incomplete, Mode, RawBatch, Reject, Result, Slice, UnitId};

use crate::{
    batches::{Batches, Envelope, FoundRecord, Lookup},
    buffer::{Content, Piece},
    error::{damaged, failed, outdated, stopped},
    export::Export,
    files::{ExportFile, Form},
    fingerprint::survey,
    gather::{Embedded, FEWER_CHANGES, changelog_is_cut, gather},
    hints::{Hint, Hints},
    issue_parent::ParentKeys,
    json,
    parent::IssueRef,
    pieces::{Pieces, origin},
    site::SiteWatch,
    slice_spec::{Records, SliceSpec},
    stop::Stop,
    units::Unit,
};

const NO_RECORDS: &str = "contains lines that are not records";
const USERS_CUT: &str = "the export has more users with several ids than are kept in memory; some may appear as two";
const USERS_UNREAD: &str =
    "cannot be read: users that it knows by several ids may appear as two; repair it and load with --full";
const OTHER_SITE: &str = "under one source_system, rows of two sites replace each other: give each site an endpoint and a \
                          source_system of its own, or set site_url if both are addresses of one site";
const NO_OBJECTS: &str = "holds no line that begins with `{`; is it one JSON value on many lines, or no JSON? A file of lines \
                          has one record a line, any other is called `.json`";
const OVERSIZED: &str = "holds records larger than `max_record_bytes`";

/// Reads a slice and hands its batches over, the last one when the file is known to be still the one
/// that was planned.
pub(crate) fn extract(
    export: &Export,
    unit_id: &UnitId,
    slice: &Slice,
    stop: &Stop,
    hand_over: &mut dyn FnMut(RawBatch) -> Result<()>,
) -> Result<()> {
    let unit = Unit::find(unit_id)?;
    let spec = SliceSpec::read(slice)?;
    if spec.records == Records::Notes {
        return hand_over_notes(export, unit, spec, hand_over);
    }
    if spec.records == Records::Unreadable {
        return Err(why_unreadable(export, &spec.file, stop));
    }
    let resource = Arc::from(spec.file.as_str());
    let unchecked = is_checked_when_mapped(unit, &spec);
    let is_mapped = spec.mode == Mode::Cdm;
    let users = if is_mapped { Some(export.users(stop)?) } else { None };
    let are_users_cut = users.as_ref().is_some_and(|users| users.is_cut());
    let unread_users = users.as_ref().and_then(|users| users.unreadable.clone());
    let projects = if is_mapped && unit == Unit::Issues { Some(export.projects(stop)?) } else { None };
    let projects = projects.filter(|projects| !projects.is_empty());
    let envelope = Envelope { unit, endpoint: export.endpoint().clone(), resource, unchecked, users, projects };
    let names_issues = unit.is_of_an_issue() || unit == Unit::Issues;
    let lookup = (is_mapped && names_issues).then(|| Lookup::new(export, stop));
    let mut batches = Batches::new(envelope, lookup, hand_over)?;
    if are_users_cut {
        batches.incomplete(Incomplete::new(&spec.file, USERS_CUT, &spec.file));
    }
    if let Some(unread) = unread_users.filter(|_| unit != Unit::Users) {
        batches.incomplete(Incomplete::new(&unread, USERS_UNREAD, &unread));
    }
    let mut sites = if is_mapped { SiteWatch::new(export) } else { None };
    let parents = is_mapped.then(|| ParentKeys::new(export.epic_link_field().or(spec.epic_link.as_deref())));
    let hints = &Hints::new(parents.iter().flat_map(|parents| parents.members()));
    for (name, state) in spec.files() {
        let file = &planned_file(export, name)?;
        let confirm = || export.confirmations.confirm(file, state, stop);
        // The contents of a file that has changed may be of another unit.
        confirm()?;
        let is_of_unit = match spec.records {
            Records::Own => file.unit == unit,
            Records::Embedded => unit.embedded_in().contains(&file.unit),
            Records::Notes | Records::Unreadable => false,
        };
        if !is_of_unit {
            let message = "the slice is one of another unit";
            return Err(Error::new(ErrorKind::Config, "read", message).with("unit", unit_id).with("file", name));
        }
        batches.turn_to(name);
        let parents = parents.as_ref();
        let extraction = Extraction { unit, file, spec: &spec, limit: export.record_limit, parents, hints, stop };
        // What is wrong with a file that has changed does not matter.
        extraction.run(sites.as_mut(), &mut batches).or_else(|error| confirm().and(Err(error)))?;
        confirm()?;
    }
    batches.finish(spec.resume_at)
}

/// The file of that name, which was there when the plan was made.
fn planned_file(export: &Export, name: &str) -> Result<ExportFile> {
    let file = export.file(name).map_err(|error| match error.kind() {
        ErrorKind::Config => outdated(name, "the export has been moved or removed").caused_by(error),
        _ => error,
    })?;
    file.ok_or_else(|| outdated(name, "the file has been removed"))
}

/// Why a file cannot be read that could not be read when the plan was made.
fn why_unreadable(export: &Export, name: &str, stop: &Stop) -> Error {
    let file = match export.file(name) {
        Ok(Some(file)) => file,
        Ok(None) => return outdated(name, "the file has been removed"),
        Err(error) => return error,
    };
    let is_link = file.path.is_symlink();
    let error = match fs::metadata(&file.path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_link => {
            return damaged(name, "the link leads to nothing; put the file in its place, or remove the link");
        }
        Err(error) => failed("read", "look at the file", name, error),
        Ok(_) => match survey(&file, export.slice_bytes, stop) {
            Ok(_) => return outdated(name, "the file has become readable"),
            Err(error) => error,
        },
    };
    if !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Config) {
        return error;
    }
    // It has not passed since the plan was made, so that it is not tried again and again.
    let unreadable = Error::new(ErrorKind::Data, "read", error.message().to_owned()).with("file", name);
    match error.source() {
        Some(cause) => unreadable.caused_by(cause.to_string()),
        None => unreadable,
    }
}

/// Hands over a batch without records that says what is missing in the export as a whole.
fn hand_over_notes(
    export: &Export,
    unit: Unit,
    spec: SliceSpec,
    hand_over: &mut dyn FnMut(RawBatch) -> Result<()>,
) -> Result<()> {
    let envelope = Envelope {
        unit,
        endpoint: export.endpoint().clone(),
        resource: Arc::from(spec.file.as_str()),
        unchecked: false,
        users: None,
        projects: None,
    };
    let mut batches = Batches::new(envelope, None, hand_over)?;
    spec.notes.into_iter().for_each(|note| batches.incomplete(note));
    batches.finish(spec.resume_at)
}

/// Whether nothing of a record is needed to read it, so that looking at it can wait until it is mapped.
fn is_checked_when_mapped(unit: Unit, spec: &SliceSpec) -> bool {
    spec.mode == Mode::Cdm && spec.records == Records::Own && !unit.is_of_an_issue()
}

struct Extraction<'e> {
    unit: Unit,
    file: &'e ExportFile,
    spec: &'e SliceSpec,
    limit: usize,
    /// How the parents of issues are found, where records are mapped.
    parents: Option<&'e ParentKeys<'e>>,
    /// Finds issues that may have a parent or a history.
    hints: &'e Hints,
    stop: &'e Stop,
}

impl Extraction<'_> {
    fn run(&self, mut sites: Option<&mut SiteWatch>, batches: &mut Batches<'_>) -> Result<()> {
        let pieces = Pieces::open(self.file, self.spec.lines.as_ref(), self.limit, self.stop)?;
        let mut pieces = pieces.wait_for_room(self.stop);
        let (mut count, mut objects) = (0_u64, 0_u64);
        let mut first_at = None;
        while let Some(piece) = pieces.next()? {
            if self.stop.is_set() {
                return Err(stopped());
            }
            count += 1;
            objects += u64::from(piece.begins_an_object());
            first_at.get_or_insert(piece.line);
            match self.spec.records {
                Records::Own => self.take_record(&piece, sites.as_deref_mut(), batches)?,
                Records::Embedded => self.take_embedded(&piece, batches)?,
                Records::Notes | Records::Unreadable => {}
            }
            // The batch has a copy: to hold the piece as well until somebody takes the batch would be twice as much. Of what
            // embeds records, nothing is left.
            let room = pieces.release()?;
            if self.spec.records == Records::Own {
                batches.hold(room);
            }
            batches.hand_over_when_full()?;
        }
        if let (0, Some(line), Form::Lines, Records::Own) = (objects, first_at, self.file.form, self.spec.records) {
            let note = Incomplete::new(&self.file.name, NO_OBJECTS, origin(&self.file.name, line));
            batches.incomplete(Incomplete { count, ..note });
        }
        Ok(())
    }

    /// Each piece of an own file is a record or a reject.
    fn take_record(&self, piece: &Piece<'_>, sites: Option<&mut SiteWatch>, batches: &mut Batches<'_>) -> Result<()> {
        let &Piece { line, ref content } = piece;
        let origin = || origin(&self.file.name, line);
        let reject = match content {
            Content::Whole(bytes) => match self.record_of(bytes) {
                Ok(json) => {
                    let hint = if self.unit == Unit::Issues { self.hints.of(bytes) } else { Hint::default() };
                    if hint.history && changelog_is_cut(json) {
                        batches.incomplete(Incomplete::new(&self.file.name, FEWER_CHANGES, origin()));
                    }
                    if let Some(site) = sites.and_then(|sites| sites.other(json)) {
                        let what = format!("holds records of another site (`{site}`); {OTHER_SITE}");
                        batches.incomplete(Incomplete::new(&self.file.name, what, origin()));
                    }
                    let issue = self.issue_of(json, hint);
                    return batches.record(FoundRecord { json, line, issue, ..FoundRecord::default() });
                }
                Err(reason) => Reject::at_source(origin(), reason, bytes),
            },
            &Content::Oversized { head, length, hash } => {
                let reason = format!("larger than `max_record_bytes`, which is {} bytes", self.limit);
                Reject::oversized(origin(), reason, head, length, hash)
            }
        };
        batches.reject(reject);
        Ok(())
    }

    /// The issue that a record belongs to: as the record says, and otherwise as the file's name does. Of an issue it is
    /// the parent, which only matters where records are mapped.
    fn issue_of<'p>(&'p self, json: &'p str, hint: Hint) -> IssueRef<'p> {
        match self.parents {
            Some(_) if self.unit == Unit::Issues && !hint.parent => IssueRef::default(),
            Some(parents) if self.unit == Unit::Issues => parents.of_issue(json),
            _ => IssueRef::of_record_in(self.file, self.unit, json),
        }
    }

    /// The text of a record, which is looked at now or when it is mapped.
    fn record_of<'p>(&self, bytes: &'p [u8]) -> std::result::Result<&'p str, String> {
        if is_checked_when_mapped(self.unit, self.spec) { json::text_of(bytes) } else { json::object(bytes) }
    }

    /// Of a piece of another unit's file only what it embeds counts; the piece itself is that unit's.
    fn take_embedded(&self, piece: &Piece<'_>, batches: &mut Batches<'_>) -> Result<()> {
        let &Piece { line, ref content } = piece;
        let note = |what| Incomplete::new(&self.file.name, what, origin(&self.file.name, line));
        let json = match content {
            Content::Whole(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
            Content::Oversized { .. } => {
                batches.incomplete(note(OVERSIZED));
                return Ok(());
            }
        };
        // A user that is embedded is shown in short; a comment or a worklog is all there.
        let is_part = self.unit == Unit::Users;
        let is_object = gather(self.unit, self.file.unit, json, &mut |embedded| match embedded {
            Embedded::Record { json, part, issue } => {
                batches.record(FoundRecord { json, line, part: Some(part), issue, is_part })?;
                batches.hand_over_when_full()
            }
            Embedded::Missing(what) => {
                batches.incomplete(note(what));
                Ok(())
            }
        })?;
        if !is_object {
            batches.incomplete(note(NO_RECORDS));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use endpoint_api::{EndpointId, PlanRequest};
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;
    use crate::key_index::KeyIndex;

    /// Origin and issue of each comment in `root`, with at most `budget` bytes of issue keys in memory.
    fn comments(root: &TempDir, budget: usize) -> (Vec<String>, usize) {
        let config = serde_json::from_value(json!({ "path": "." })).unwrap();
        let mut export = Export::new(EndpointId::from_static("acme_jira"), config, root.path());
        export.issue_keys = KeyIndex::new(budget);
        let stop = Stop::default();
        let slices = export.plan(Unit::Comments, &PlanRequest::new(Mode::Cdm, None), &stop).unwrap();
        let (mut found, mut batches) = (Vec::new(), 0);
        for slice in &slices {
            extract(&export, &Unit::Comments.id(), slice, &stop, &mut |batch| {
                batches += 1;
                assert!(batch.bytes() < 1024 * 1024 + 64 * 1024, "{} bytes", batch.bytes());
                found.extend(batch.records().map(|record| {
                    let parent = record.parent.map(|parent| (parent.id, parent.key));
                    format!("{} {parent:?} {}", record.origin, record.json.len())
                }));
                Ok(())
            })
            .unwrap();
        }
        (found, batches)
    }

    #[test]
    fn the_key_of_an_issue_that_is_named_by_its_id_is_looked_up_while_all_fit_into_memory() {
        let root = TempDir::new().unwrap();
        let issues =
            "{\"id\":\"1\",\"key\":\"AB-1\"}\n{\"id\":\"2\",\"key\":\"AB-2\"}\n{\"id\":\"2\",\"key\":\"CD-9\"}\n";
        let comments_of = ["1", "2", "3"].map(|id| format!("{{\"issueId\":\"{id}\"}}\n")).concat();
        fs::write(root.path().join("issues.jsonl"), issues).unwrap();
        fs::write(root.path().join("comments.jsonl"), comments_of).unwrap();
        let parents = |budget| {
            let found = comments(&root, budget).0;
            found.into_iter().map(|line| line.split(' ').skip(1).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
        };
        let of = |id: &str, key: &str| format!("Some((Some(\"{id}\"), {key})) 15");
        assert_eq!(parents(1 << 20), [of("1", "Some(\"AB-1\")"), of("2", "None"), of("3", "None")]);
        assert_eq!(parents(0), [of("1", "None"), of("2", "None"), of("3", "None")]);
    }

    #[test]
    fn the_same_records_come_in_the_same_order_whether_or_not_all_keys_fit_into_memory() {
        let root = TempDir::new().unwrap();
        let issues: String = (0..500).map(|id| format!("{{\"id\":\"{id}\",\"key\":\"AB-{}\"}}\n", id % 450)).collect();
        let comments_of = |number: usize| {
            let body = "x".repeat(1000 + number % 700);
            match number % 5 {
                0 => json!({ "issueId": "7", "issueKey": "AB-9", "body": body }),
                1 => json!({ "body": body }),
                _ => json!({ "issueKey": format!("AB-{}", number % 470), "body": body }),
            }
        };
        let lines: String = (0..3000).map(|number| format!("{}\n", comments_of(number))).collect();
        fs::write(root.path().join("issues.jsonl"), issues).unwrap();
        fs::write(root.path().join("comments.jsonl"), lines).unwrap();

        let (all, batches) = comments(&root, 1024 * 1024);
        assert_eq!(all.len(), 3000);
        assert!(batches > 3, "{batches} batches");
        assert!(all[52].contains(r#"(Some("52"), Some("AB-52"))"#));
        assert!(all[42].contains(r#"(None, Some("AB-42"))"#), "two issues have the key: {}", all[42]);
        assert!(all[462].contains(r#"(None, Some("AB-462"))"#), "no issue has the key: {}", all[462]);
        for budget in [0, 20_000] {
            assert_eq!(comments(&root, budget).0, all);
        }
    }
}
