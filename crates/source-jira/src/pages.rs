use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{json, spans::Spans};

/// What the pages of a file say about themselves and about what is not in them.
///
/// It has the same size whatever the number of pages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Pages {
    /// How many pages with a `total` begin a listing (`startAt` is 0 or absent).
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) starts: u64,
    /// The sum of the totals of those pages.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) announced: u64,
    /// Of the page with a `total` that begins furthest along: its `startAt` and its `total`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latest: Option<(u64, u64)>,
    /// How many records are in pages that have a `total`.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) held: u64,
    /// Whether the last page says that another one follows.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) continues: bool,
    /// Whether some page is the last one of its listing.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) ends: bool,
    /// How many entries the members have by which a server says that something went wrong.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) problems: BTreeMap<String, u64>,
    /// How many pages hold no list of the file's unit.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) without_list: u64,
    /// How many pages hold, beside the list of the file's unit, a list of other records, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) other_lists: BTreeMap<String, u64>,
    /// Which places of one listing the pages hold: where each stretch of records begins and ends.
    #[serde(skip_serializing_if = "Spans::is_empty")]
    pub(crate) spans: Spans,
    /// The field that a page's `schema` says to hold the key of an issue's epic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) epic_link: Option<String>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(value: &bool) -> bool {
    !value
}

/// The page that is being read.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Whether it has a list of the unit's records.
    pub(crate) has_list: bool,
    /// How many records are in the list.
    pub(crate) held: u64,
    /// Whether it has a member that only pages and error responses have.
    is_page: bool,
    total: Option<u64>,
    start_at: Option<u64>,
    is_last: Option<bool>,
    has_token: bool,
    problems: BTreeMap<&'static str, u64>,
    other_lists: Vec<&'static str>,
}

/// A member of an object that tells whether it is a page or a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Member {
    /// A list of the file's records, if its value is an array.
    List,
    /// A list of the records of another unit, if its value is an array.
    OtherList(&'static str),
    /// Only a record has it.
    OfRecord,
    /// Says something about a page.
    OfPage(&'static str),
    /// What the fields of the page's issues are called, or what they hold.
    OfFields(FieldsMember),
}

/// The two members of a page that describe the fields of its issues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldsMember {
    Names,
    Schema,
}

/// Members by which a page says how it goes on.
const PAGING: [&str; 6] = ["total", "startAt", "maxResults", "isLast", "nextPageToken", "nextPage"];

/// Members by which a server says that something is missing or went wrong.
const PROBLEMS: [&str; 5] = ["issueErrors", "errorMessages", "errors", "warningMessages", "warnings"];

/// The lists of pages, whatever their unit.
pub(crate) const LISTS: [&str; 6] = ["values", "issues", "comments", "worklogs", "projects", "users"];

/// Members that a record has near its beginning, and a page never.
const OF_RECORD: [&str; 8] = ["id", "key", "fields", "accountId", "displayName", "author", "body", "name"];

impl Member {
    /// What the member `name` says of an object in a file whose list is called `list`.
    pub(crate) fn of(name: &str, list: &str) -> Option<Self> {
        if name == list || name == "values" {
            return Some(Self::List);
        }
        match name {
            "names" => return Some(Self::OfFields(FieldsMember::Names)),
            "schema" => return Some(Self::OfFields(FieldsMember::Schema)),
            _ => {}
        }
        if let Some(other) = LISTS.into_iter().find(|other| *other == name) {
            return Some(Self::OtherList(other));
        }
        if OF_RECORD.contains(&name) {
            return Some(Self::OfRecord);
        }
        PAGING.into_iter().chain(PROBLEMS).find(|known| *known == name).map(Self::OfPage)
    }
}

impl Page {
    /// Takes note of a member of the page.
    pub(crate) fn note(&mut self, name: &'static str, value: &[u8]) {
        self.is_page = true;
        let value = std::str::from_utf8(value).unwrap_or_default();
        let number = || value.trim_matches('"').parse().ok();
        match name {
            "total" => self.total = number(),
            "startAt" => self.start_at = number(),
            "isLast" => self.is_last = serde_json::from_str(value).ok(),
            "nextPageToken" | "nextPage" => {
                self.has_token |=
                    serde_json::from_str::<&RawValue>(value).is_ok_and(|value| json::text(value).is_some());
            }
            "maxResults" => {}
            problem => {
                let entries = match serde_json::from_str(value) {
                    Ok(Value::Array(entries)) => entries.len(),
                    Ok(Value::Object(entries)) => entries.len(),
                    Ok(Value::Null) => 0,
                    // One thing, or too much to be looked at.
                    _ => 1,
                };
                if entries > 0 {
                    *self.problems.entry(problem).or_default() += u64::try_from(entries).unwrap_or(u64::MAX);
                }
            }
        }
    }

    /// Takes note of a list of another unit's records: its text, unless that is long.
    pub(crate) fn note_other_list(&mut self, name: &'static str, list: Option<&[u8]>) {
        self.is_page = true;
        let is_empty = list
            .and_then(|list| list.strip_prefix(b"[")?.strip_suffix(b"]"))
            .is_some_and(|inner| inner.trim_ascii().is_empty());
        if !is_empty {
            self.other_lists.push(name);
        }
    }

    /// Whether the object is a page although it has no list.
    pub(crate) fn is_page(&self) -> bool {
        self.is_page || self.has_list
    }
}

impl Pages {
    /// Adds a page that was read to its end.
    pub(crate) fn add(&mut self, page: Page) {
        if let Some(total) = page.total {
            let start_at = page.start_at.unwrap_or(0);
            if start_at == 0 {
                self.starts += 1;
                self.announced = self.announced.saturating_add(total);
            }
            self.latest = self.latest.max(Some((start_at, total)));
            self.held += page.held;
            self.spans.add(start_at, start_at.saturating_add(page.held));
        }
        let continues = page.is_last != Some(true) && (page.has_token || page.is_last == Some(false));
        if page.has_list {
            self.continues = continues;
            self.ends |= !continues;
            for name in page.other_lists {
                *self.other_lists.entry(name.to_owned()).or_default() += 1;
            }
        } else {
            self.without_list += u64::from(page.problems.is_empty() && page.total != Some(0));
        }
        for (name, entries) in page.problems {
            *self.problems.entry(name.to_owned()).or_default() += entries;
        }
    }

    /// Whether the pages say nothing.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(members: &[(&'static str, &str)], held: u64) -> Page {
        let mut page = Page { has_list: true, held, ..Page::default() };
        for (name, value) in members {
            page.note(name, value.as_bytes());
        }
        page
    }

    #[test]
    fn totals_of_several_listings_are_added_and_each_is_counted_once() {
        let mut pages = Pages::default();
        pages.add(page(&[("total", "120"), ("startAt", "0")], 50));
        pages.add(page(&[("total", "121"), ("startAt", "50")], 50));
        pages.add(page(&[("total", "\"7\"")], 7));
        assert_eq!((pages.starts, pages.announced, pages.held), (2, 127, 107));
        assert_eq!(pages.latest, Some((50, 121)));
    }

    #[test]
    fn the_last_page_says_whether_another_one_follows() {
        for (members, continues) in [
            (&[("nextPageToken", "\"made-up\"")][..], true),
            (&[("nextPageToken", "\"made-up\""), ("isLast", "true")], false),
            (&[("nextPageToken", "null")], false),
            (&[("nextPageToken", "\"\"")], false),
            (&[("isLast", "false")], true),
            (&[("nextPage", "\"https://x/rest/api/3/project/search?startAt=50\"")], true),
            (&[("total", "3")], false),
        ] {
            let mut pages = Pages::default();
            pages.add(page(&[("nextPageToken", "\"another\"")], 1));
            pages.add(page(members, 1));
            assert_eq!((pages.continues, pages.ends), (continues, !continues), "{members:?}");
        }
    }

    #[test]
    fn entries_that_tell_of_problems_are_counted() {
        let mut pages = Pages::default();
        pages.add(page(&[("issueErrors", "[{},{}]"), ("warningMessages", "[]"), ("errors", "{}")], 1));
        pages.add(page(&[("issueErrors", "[{}]"), ("errorMessages", "\"no\""), ("warnings", "null")], 1));
        let problems: Vec<_> = pages.problems.iter().map(|(name, entries)| (name.as_str(), *entries)).collect();
        assert_eq!(problems, [("errorMessages", 1), ("issueErrors", 3)]);
        let written = serde_json::to_value(&pages).unwrap();
        assert_eq!(serde_json::from_value::<Pages>(written).unwrap(), pages);
        assert!(serde_json::to_value(Pages::default()).unwrap().as_object().unwrap().is_empty());
    }
}
