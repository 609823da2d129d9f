use std::collections::BTreeSet;

use endpoint_api::Incomplete;
use twox_hash::XxHash3_128;

use crate::{
    files::{Listing, Unread},
    names,
    pages::Pages,
    spans::Spans,
    units::Unit,
};

/// The maximum number of unread files for which there is a note each.
const NAMED_FILES: usize = 50;

/// The data files that are not read, as a run of `unit` says it: those whose names speak of the unit, and in a run
/// of issues those whose names speak of none.
pub(crate) fn of_unread(listing: &Listing, unit: Unit) -> Vec<Incomplete> {
    let mine: Vec<&Unread> = listing.unread.iter().filter(|file| file.unit.unwrap_or(Unit::Issues) == unit).collect();
    let note = |file: &&Unread| Incomplete::new(&file.name, file.reason.to_string(), &file.name);
    let mut notes: Vec<Incomplete> = mine.iter().take(NAMED_FILES).map(note).collect();
    if let Some(first) = mine.get(NAMED_FILES) {
        let what = "and further data files are not read; `cdm check` names them all";
        let further = Incomplete::new(&first.name, what, &first.name);
        notes.push(Incomplete { count: u64::try_from(mine.len() - NAMED_FILES).unwrap_or(u64::MAX), ..further });
    }
    notes
}

/// The same for the same notes.
pub(crate) fn digest(notes: &[Incomplete]) -> Option<String> {
    let mut hasher = XxHash3_128::new();
    for note in notes {
        for part in [&note.resource, &note.what] {
            hasher.write(part.as_bytes());
            hasher.write(&[0]);
        }
    }
    (!notes.is_empty()).then(|| format!("{:032x}", hasher.finish_128()))
}

/// A file that an earlier run has read and that is gone.
pub(crate) fn of_vanished(name: &str) -> Incomplete {
    Incomplete::new(name, "is gone since an earlier run; what was loaded from it stays as it was", name)
}

/// What the pages of a unit's files announce and do not give, all of them together.
pub(crate) fn of_pages(unit: Unit, files: &[(String, Pages)]) -> Vec<Incomplete> {
    let mut notes: Vec<Incomplete> = of_totals(unit, files).into_iter().chain(of_next_pages(unit, files)).collect();
    for (name, pages) in files {
        for (member, entries) in &pages.problems {
            let what = format!("its pages tell of problems in `{member}`: records may be missing");
            notes.push(Incomplete { count: *entries, ..Incomplete::new(name, what, name) });
        }
        for (list, count) in &pages.other_lists {
            let what =
                format!("its pages also hold a list of {list}, which is not read; put it into a file of its own");
            notes.push(Incomplete { count: *count, ..Incomplete::new(name, what, name) });
        }
        if pages.without_list > 0 {
            let what = format!("holds pages without a list of {}, which are not read", unit.name());
            notes.push(Incomplete { count: pages.without_list, ..Incomplete::new(name, what, name) });
        }
    }
    notes
}

/// How many records the pages announce by their `total`, and how many they hold.
///
/// A page whose `startAt` is 0 begins a listing, such as that of one project, and its `total` is the listing's. Of
/// one listing the last page knows the total best: records may come and go while it is exported.
fn of_totals(unit: Unit, files: &[(String, Pages)]) -> Option<Incomplete> {
    let (first, _) = files.iter().find(|(_, pages)| pages.latest.is_some())?;
    let sum = |of: fn(&Pages) -> u64| files.iter().fold(0_u64, |sum, (_, pages)| sum.saturating_add(of(pages)));
    let (_, latest) = files.iter().filter_map(|(_, pages)| pages.latest).max()?;
    let announced = if sum(|pages| pages.starts) > 1 { sum(|pages| pages.announced) } else { latest };
    let held = sum(|pages| pages.held);
    let mut spans = Spans::default();
    files.iter().for_each(|(_, pages)| spans.add_all(&pages.spans));
    // With several listings, it is not known of which one a page is.
    let gap = spans.first_gap(announced).filter(|_| sum(|pages| pages.starts) <= 1);
    // Where a page is there twice, as many records as were announced may be found and others be missing.
    if held >= announced && gap.is_none() {
        return None;
    }
    let of_files = match files.iter().filter(|(_, pages)| pages.latest.is_some()).count() {
        1 => "its pages announce".to_owned(),
        several => format!("the pages of this and {} more files announce", several - 1),
    };
    let were = if held == 1 { "was" } else { "were" };
    let mut what = format!("{of_files} {announced} {} (`total`), {held} {were} found", unit.name());
    if let Some((start, end)) = gap {
        what.push_str(&match end - start {
            1 => format!("; no page holds the one at `startAt` {start}"),
            _ => format!("; no page holds those from `startAt` {start} to {}", end - 1),
        });
    }
    Some(Incomplete::new(first, what, first).of(announced, held))
}

/// The files after whose last page another one should follow and does not.
///
/// Files that differ only in their numbers (`issues-page-1.json`, `issues-page-2.json`) are one series, which is
/// complete when any of its pages is the last one of a listing.
fn of_next_pages(unit: Unit, files: &[(String, Pages)]) -> Vec<Incomplete> {
    let complete: BTreeSet<String> =
        files.iter().filter(|(_, pages)| pages.ends && !pages.continues).map(|(name, _)| series(unit, name)).collect();
    let mut reported = BTreeSet::new();
    let mut open: Vec<&String> = files.iter().filter(|(_, pages)| pages.continues).map(|(name, _)| name).collect();
    // The last page of a series is the one after which the next is missing.
    open.sort_by_key(|name| numbers(name));
    let mut notes = Vec::new();
    for name in open.into_iter().rev() {
        let series = series(unit, name);
        if !complete.contains(&series) && reported.insert(series) {
            let what = "its last page says that another page follows (`nextPageToken`, `isLast`), which is not there";
            notes.push(Incomplete::new(name, what, name));
        }
    }
    notes.reverse();
    notes
}

/// What the names of a series have in common: everything but their numbers. For records of an issue,
/// a name that speaks of an issue is a series of its own.
fn series(unit: Unit, name: &str) -> String {
    if unit.is_of_an_issue() && names::read(name).is_some_and(|named| named.issue_key.is_some()) {
        return name.to_owned();
    }
    let folder_end = name.rfind('/').map_or(0, |slash| slash + 1);
    let (folder, file) = name.split_at(folder_end);
    let stem = file.split('.').next().unwrap_or_default();
    let words = stem.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.chars().any(|c| c.is_ascii_digit()));
    let letters = stem.trim_end_matches(|c: char| !c.is_alphabetic());
    let is_numbered_word = !letters.contains(|c: char| !c.is_alphanumeric());
    let words = if is_numbered_word { letters.to_owned() } else { words.collect::<Vec<_>>().join(" ") };
    format!("{folder}{words}").to_lowercase()
}

/// The numbers in a name, by which a series is sorted.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(starts: u64, announced: u64, latest: (u64, u64), held: u64) -> Pages {
        Pages { starts, announced, latest: Some(latest), held, ..Pages::default() }
    }

    fn notes(unit: Unit, files: &[(&str, Pages)]) -> Vec<String> {
        let files: Vec<_> = files.iter().map(|(name, pages)| ((*name).to_owned(), pages.clone())).collect();
        of_pages(unit, &files).iter().map(|note| format!("{} {}", note.resource, note.what)).collect()
    }

    #[test]
    fn pages_of_one_listing_are_counted_together() {
        let page = |at, total, held| pages(u64::from(at == 0), if at == 0 { total } else { 0 }, (at, total), held);
        let all = [("a.json", page(0, 120, 50)), ("b.json", page(50, 121, 50)), ("c.json", page(100, 121, 21))];
        assert_eq!(notes(Unit::Issues, &all), [""; 0]);
        let expected = ["a.json the pages of this and 1 more files announce 121 issues (`total`), 100 were found"];
        assert_eq!(notes(Unit::Issues, &all[..2]), expected);
        let expected = ["c.json its pages announce 121 issues (`total`), 21 were found"];
        assert_eq!(notes(Unit::Issues, &all[2..]), expected, "without the first page");
        assert_eq!(
            notes(Unit::Comments, &[("a.json", page(0, 9, 1))]),
            ["a.json its pages announce 9 comments (`total`), 1 was found"]
        );
    }

    #[test]
    fn a_page_that_is_missing_is_told_by_its_place_also_where_another_one_is_there_twice() {
        let page = |at: u64| {
            let mut page = pages(u64::from(at == 0), if at == 0 { 150 } else { 0 }, (at, 150), 50);
            page.spans.add(at, at + 50);
            page
        };
        let twice = [("a.json", page(0)), ("b.json", page(100)), ("c.json", page(100))];
        let expected = "a.json the pages of this and 2 more files announce 150 issues (`total`), 150 were found; no page \
                        holds those from `startAt` 50 to 99";
        assert_eq!(notes(Unit::Issues, &twice), [expected]);
        let expected = "a.json its pages announce 150 issues (`total`), 50 were found; no page holds those from \
                        `startAt` 50 to 149";
        assert_eq!(notes(Unit::Issues, &twice[..1]), [expected]);
        let all = [("a.json", page(0)), ("b.json", page(50)), ("c.json", page(100)), ("d.json", page(100))];
        assert_eq!(notes(Unit::Issues, &all), [""; 0]);
    }

    #[test]
    fn listings_of_several_exports_are_added() {
        let listings = [("a.json", pages(1, 30, (0, 30), 30)), ("b.json", pages(2, 12, (0, 7), 12))];
        assert_eq!(notes(Unit::Issues, &listings), [""; 0]);
        let listings = [("a.json", pages(1, 30, (0, 30), 30)), ("b.json", pages(2, 12, (0, 7), 11))];
        assert!(notes(Unit::Issues, &listings)[0].contains("announce 42 issues (`total`), 41 were found"));
    }

    #[test]
    fn a_page_that_should_follow_is_missed_once_in_a_series() {
        let next = Pages { continues: true, ..Pages::default() };
        let last = Pages { ends: true, ..Pages::default() };
        let missed_of = |unit, files: &[(&str, &Pages)]| {
            let files: Vec<_> = files.iter().map(|(name, pages)| ((*name).to_owned(), (*pages).clone())).collect();
            of_next_pages(unit, &files).into_iter().map(|note| note.resource).collect::<Vec<_>>()
        };
        let missed = |files: &[(&str, &Pages)]| missed_of(Unit::Issues, files);
        assert_eq!(missed(&[("issues.json", &next)]), ["issues.json"]);
        assert_eq!(missed(&[("issues-1.json", &next), ("issues-10.json", &last), ("issues-2.json", &next)]), [""; 0]);
        assert_eq!(missed(&[("issues-10.json", &next), ("issues-9.json", &next)]), ["issues-10.json"]);
        assert_eq!(missed(&[("issues.json", &next), ("issues (2).json", &next), ("issues3.json", &last)]), [""; 0]);
        assert_eq!(missed(&[("issues_A-1.json", &last), ("issues_B-1.json", &next)]), ["issues_B-1.json"]);
        assert_eq!(missed(&[("issues-AB-1.json", &next), ("issues-AB-2.json", &last)]), [""; 0]);
        let comments = [("comments-AB-1.json", &next), ("comments-AB-2.json", &last)];
        assert_eq!(missed_of(Unit::Comments, &comments), ["comments-AB-1.json"], "two issues");
    }

    #[test]
    fn problems_are_counted_and_not_shown() {
        let problems = [("issueErrors".to_owned(), 3)].into();
        let files = [("a.json".to_owned(), Pages { problems, without_list: 2, ..Pages::default() })];
        let found: Vec<_> = of_pages(Unit::Issues, &files).into_iter().map(|note| (note.what, note.count)).collect();
        assert_eq!(
            found,
            [
                ("its pages tell of problems in `issueErrors`: records may be missing".to_owned(), 3),
                ("holds pages without a list of issues, which are not read".to_owned(), 2),
            ]
        );
    }

    #[test]
    fn many_files_that_are_not_read_are_summed_up() {
        let unread =
            |number| Unread { name: format!("{number:03}.json"), reason: crate::walk::Reason::NoUnit, unit: None };
        let listing = Listing { files: Vec::new(), unread: (0..60).map(unread).collect() };
        let notes = of_unread(&listing, Unit::Issues);
        assert_eq!((notes.len(), notes[50].resource.as_str(), notes[50].count), (51, "050.json", 10));
        assert_eq!(of_unread(&listing, Unit::Users), []);
        assert_ne!(digest(&notes), digest(&notes[1..]));
        assert_eq!(digest(&[]), None);
    }
}
