use crate::{
    files::{Compression, Form},
    units::Unit,
};

/// What the name of a data file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) form: Form,
    pub(crate) compression: Compression,
    /// The unit that the name speaks of.
    pub(crate) unit: Option<NamedUnit>,
    /// The issue that the name speaks of: `comments-AB-1.json`.
    pub(crate) issue_key: Option<String>,
}

/// A unit that a name speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NamedUnit {
    pub(crate) unit: Unit,
    /// Whether the name is that of the unit and nothing else but numbers and the like, so that it is believed when
    /// the contents do not tell.
    pub(crate) is_plain: bool,
}

/// Words that say nothing of what is in a file.
const PLAIN_WORDS: [&str; 16] = [
    "all", "backup", "batch", "chunk", "copy", "data", "dump", "export", "file", "full", "jira", "page", "pages",
    "part", "p", "of",
];

/// What the path of a file within the export says; `None` when it is no data file: it does not end in `.json`,
/// `.jsonl` or `.ndjson`, maybe with `.gz` or `.zst`. Where the file's name tells nothing, that of its folder does.
pub(crate) fn read(path: &str) -> Option<Named> {
    let mut parts = path.rsplit('/');
    let name = parts.next()?;
    let (name, compression) = match (strip_ending(name, ".gz"), strip_ending(name, ".zst")) {
        (Some(plain), _) => (plain, Compression::Gzip),
        (_, Some(plain)) => (plain, Compression::Zstd),
        _ => (name, Compression::None),
    };
    let endings = [(".jsonl", Form::Lines), (".ndjson", Form::Lines), (".json", Form::Values)];
    let (stem, form) = endings.into_iter().find_map(|(ending, form)| Some((strip_ending(name, ending)?, form)))?;
    let folder = parts.next().unwrap_or_default();
    Some(Named {
        form,
        compression,
        unit: unit(stem).or_else(|| unit(folder)),
        issue_key: issue_key(stem).or_else(|| issue_key(folder)),
    })
}

/// Whether a file that is no data file has the ending of one within its name: `issues.jsonl.bz2`, `issues.json.part`.
pub(crate) fn is_like_data(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.split('.').skip(1).any(|ending| matches!(ending, "json" | "jsonl" | "ndjson"))
}

/// The name without an ending, in whatever case that is.
fn strip_ending<'n>(name: &'n str, ending: &str) -> Option<&'n str> {
    let (stem, end) = name.split_at_checked(name.len().checked_sub(ending.len())?)?;
    end.eq_ignore_ascii_case(ending).then_some(stem)
}

fn unit(stem: &str) -> Option<NamedUnit> {
    let has_small_letters = stem.chars().any(char::is_lowercase);
    let words = || stem.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    // Of several the last one tells what there is, as in `issue-comments`.
    let unit = words().filter_map(|word| unit_of_word(&word.to_lowercase())).next_back()?;
    let is_plain_word = |word: &str| {
        let is_project_key = has_small_letters && word.len() > 1 && word.chars().all(char::is_uppercase);
        is_project_key || PLAIN_WORDS.contains(&word.to_lowercase().as_str())
    };
    let is_plain =
        words().next().is_some_and(|word| word.to_lowercase() == unit.name()) && words().skip(1).all(is_plain_word);
    Some(NamedUnit { unit, is_plain })
}

fn unit_of_word(word: &str) -> Option<Unit> {
    Unit::ALL.into_iter().find(|unit| word == unit.name() || unit.name().strip_suffix('s') == Some(word))
}

/// The key of an issue within a name: `AB-1` in `comments-AB-1`.
fn issue_key(stem: &str) -> Option<String> {
    let bytes = stem.as_bytes();
    let is_part = |at: usize| bytes.get(at).is_some_and(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    for (dash, _) in stem.match_indices('-') {
        let mut start = dash;
        while start > 0 && is_part(start - 1) {
            start -= 1;
        }
        let digits = stem.get(dash + 1..)?.bytes().take_while(u8::is_ascii_digit).count();
        let end = dash + 1 + digits;
        let begins = bytes.get(start).is_some_and(u8::is_ascii_uppercase);
        let is_word = |at: Option<&u8>| at.is_some_and(u8::is_ascii_alphanumeric);
        let is_whole = !is_word(start.checked_sub(1).and_then(|before| bytes.get(before))) && !is_word(bytes.get(end));
        if digits > 0 && begins && dash > start && is_whole {
            return stem.get(start..end).map(str::to_owned);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_tells_the_form_and_the_compression() {
        let read = |name: &str| read(name).map(|named| (named.form, named.compression)).unwrap();
        assert_eq!(read("issues.jsonl"), (Form::Lines, Compression::None));
        assert_eq!(read("issues.ndjson.GZ"), (Form::Lines, Compression::Gzip));
        assert_eq!(read("a/b/comments_2.JSON.zst"), (Form::Values, Compression::Zstd));
        for other in ["issues", "issues.csv", "issues.jsonl.bz2", "jsonl", "json", "issues.json.part", "é.gz", ""] {
            assert_eq!(super::read(other), None, "{other}");
        }
        assert!(is_like_data("issues.jsonl.bz2") && is_like_data("issues.JSON.part"));
        assert!(!is_like_data("issues.csv") && !is_like_data("json") && !is_like_data("json.txt"));
    }

    #[test]
    fn a_name_tells_the_unit_and_whether_it_is_to_be_believed() {
        let plain = |name: &str| {
            let unit = read(name).unwrap().unit?;
            Some((unit.unit, unit.is_plain))
        };
        for name in [
            "issues.json",
            "Issues-3.json",
            "issues (2).json",
            "issues1.json",
            "issues-page-1.json",
            "issues_ACME.jsonl",
            "Issues-AB2.json",
        ] {
            assert_eq!(plain(name), Some((Unit::Issues, true)), "{name}");
        }
        for name in
            ["issues-acme.jsonl", "ISSUES-STATUSES.JSON", "issue-AB-1.json", "acme-issues.json", "issue-types.json"]
        {
            assert_eq!(plain(name), Some((Unit::Issues, false)), "{name}");
        }
        assert_eq!(plain("issues-2024-01.jsonl"), Some((Unit::Issues, true)));
        assert_eq!(plain("issue-comments.json"), Some((Unit::Comments, false)));
        assert_eq!(plain("worklogs/0001.json"), Some((Unit::Worklogs, true)));
        assert_eq!(plain("worklogs/users.json"), Some((Unit::Users, true)));
        assert_eq!(plain("AB-1.json"), None);
        assert_eq!(plain("reissues.json"), None);
    }

    #[test]
    fn a_name_may_tell_the_issue() {
        let key = |name: &str| read(name).unwrap().issue_key;
        for name in
            ["comments-AB-1.json", "worklogs_AB-1.json", "AB-1.json", "AB-1/comments.json", "AB-1_comments.json"]
        {
            assert_eq!(key(name).as_deref(), Some("AB-1"), "{name}");
        }
        assert_eq!(key("A2B-17-worklogs.json").as_deref(), Some("A2B-17"));
        for none in ["comments-2024-01.json", "comments-1.json", "comments-aB-1.json", "comments-AB-.json", "-1.json"] {
            assert_eq!(key(none), None, "{none}");
        }
    }
}
