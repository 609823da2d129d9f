//! Which members an issue may have, told by one pass over its text: most issues have none of those that take a closer
//! look.

use aho_corasick::packed;
use memchr::memmem;

const HISTORY: &str = "changelog";

/// Looks for members by their names, at whatever depth.
#[derive(Debug)]
pub(crate) struct Hints {
    /// The names in quotes. The first one is the history, the others may name a parent.
    names: Vec<String>,
    /// Searches for all of them at once; `None` where the processor has no instructions for that.
    together: Option<packed::Searcher>,
}

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Hint {
    /// The issue may have a history.
    pub(crate) history: bool,
    /// The issue may have a parent.
    pub(crate) parent: bool,
}

impl Hints {
    /// Looks for histories, and for parents in the members with these names.
    pub(crate) fn new<'n>(parents: impl IntoIterator<Item = &'n str>) -> Self {
        let names = std::iter::once(HISTORY).chain(parents).map(|name| format!("\"{name}\""));
        let names: Vec<String> = names.collect();
        Self { together: packed::Searcher::new(&names), names }
    }

    /// What an issue may have. Text inside strings is escaped and never looks like a member.
    pub(crate) fn of(&self, issue: &[u8]) -> Hint {
        let Some(together) = &self.together else { return self.one_by_one(issue) };
        let mut hint = Hint::default();
        for found in together.find_iter(issue) {
            match found.pattern().as_usize() {
                0 => hint.history = true,
                _ => hint.parent = true,
            }
            if hint.history && hint.parent {
                break;
            }
        }
        hint
    }

    fn one_by_one(&self, issue: &[u8]) -> Hint {
        let has = |name: &String| memmem::find(issue, name.as_bytes()).is_some();
        let mut names = self.names.iter();
        Hint { history: names.next().is_some_and(has), parent: names.any(has) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_at_any_depth_and_not_in_strings() {
        let hints = Hints::new(["parent", "epic", "customfield_10014"]);
        let of = |issue: &str| {
            let Hint { history, parent } = hints.of(issue.as_bytes());
            assert_eq!(hints.one_by_one(issue.as_bytes()), Hint { history, parent }, "{issue}");
            (history, parent)
        };
        assert_eq!(of(r#"{"expand":"changelog","fields":{"summary":"\"parent\" and \"epic\""}}"#), (true, false));
        assert_eq!(of(r#"{"expand":"names,changelog","fields":{"customfield_10015":"A-1"}}"#), (false, false));
        assert_eq!(of(r#"{"fields":{"customfield_10014":"A-1"},"changelog":{}}"#), (true, true));
        assert_eq!(of(r#"{"fields":{"epic" : {"key":"A-1"}}}"#), (false, true));
        assert_eq!(of(r#"{"fields":{"x":{"parent":null}}}"#), (false, true));
    }
}
