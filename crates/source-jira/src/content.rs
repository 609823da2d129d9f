use crate::{
    decode::UTF_8_MARK,
    files::Form,
    pages::{LISTS, Member},
    scan::Scan,
    units::Unit,
};

/// So much of a text is looked at to see what is in it.
pub(crate) const LOOKED_AT_BYTES: usize = 64 * 1024;

/// The members of an answer that only tells of errors.
const OF_ERRORS: [&str; 6] = ["errorMessages", "errors", "warningMessages", "status", "status-code", "message"];

/// What the beginning of a text says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    /// How its records stand in it; `None` when that is not seen.
    pub(crate) form: Option<Form>,
    pub(crate) unit: Seen,
}

/// Of which unit the first record or page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// There is nothing in the text.
    Nothing,
    /// Certainly of this one.
    Certain(Unit),
    /// It may be of each of these, and is of no other.
    Possible(&'static [Unit]),
    /// It is no record of any unit.
    Other,
}

/// A value that a text begins with.
struct Start<'t> {
    /// What it is, as far as the text goes.
    text: &'t [u8],
    /// Where it ends; `None` when the text ends before.
    end: Option<usize>,
}

/// Looks at the beginning of a text. `named` is the form that the file's name tells.
pub(crate) fn look(head: &[u8], named: Form) -> Content {
    let text = trimmed(head);
    match text.first() {
        None => Content { form: None, unit: Seen::Nothing },
        Some(b'[') => {
            let first = trimmed(text.get(1..).unwrap_or_default());
            let is_array_of_objects = matches!(first.first(), Some(b'{'));
            let form = (is_array_of_objects || named == Form::Values).then_some(Form::Values);
            let unit = match first.first() {
                Some(b'{') => of_object(first),
                Some(b']') | None => Seen::Nothing,
                Some(_) => Seen::Other,
            };
            Content { form, unit }
        }
        Some(b'{') => {
            let form = form_of(text, named);
            let unit = match of_object(text) {
                // What one line does not tell, a later one may.
                Seen::Nothing | Seen::Possible(&[]) if form == Some(Form::Lines) => {
                    let rest = after_line(text);
                    certain_line(rest).unwrap_or_else(|| of_object(text))
                }
                // An answer that only tells of errors says nothing of what follows.
                Seen::Nothing => match start(text).end.map(|end| trimmed(text.get(end..).unwrap_or_default())) {
                    Some(rest) if rest.first() == Some(&b'{') => look(rest, named).unit,
                    _ => Seen::Nothing,
                },
                unit => unit,
            };
            Content { form, unit }
        }
        // A line that is no JSON costs itself only, and the next one may tell.
        Some(_) => match line_with_object(after_line(text)) {
            Some(rest) if named == Form::Lines => look(rest, named),
            _ => Content { form: None, unit: Seen::Other },
        },
    }
}

/// What follows the first line.
fn after_line(text: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', text).and_then(|line| text.get(line + 1..)).unwrap_or_default()
}

/// The text from the first line on that begins an object.
fn line_with_object(mut text: &[u8]) -> Option<&[u8]> {
    while !text.is_empty() {
        let line = trimmed(text);
        if line.first() == Some(&b'{') {
            return Some(line);
        }
        text = after_line(line);
    }
    None
}

/// The unit of the first line that certainly is of one.
fn certain_line(mut text: &[u8]) -> Option<Seen> {
    while let Some(line) = line_with_object(text) {
        match of_object(line) {
            unit @ Seen::Certain(_) => return Some(unit),
            _ => text = after_line(line),
        }
    }
    None
}

/// The text without the white space and the byte order marks that it begins with.
fn trimmed(text: &[u8]) -> &[u8] {
    let mut text = text.trim_ascii_start();
    while let Some(rest) = text.strip_prefix(UTF_8_MARK) {
        text = rest.trim_ascii_start();
    }
    text
}

/// How the records stand in a text that begins with an object.
fn form_of(text: &[u8], named: Form) -> Option<Form> {
    if members(text).any(|(name, value)| is_list(name, value)) {
        return Some(Form::Values);
    }
    let line = memchr::memchr(b'\n', text);
    match (start(text).end, line) {
        // One object on a line, and another one on the next.
        (Some(end), Some(line)) if end <= line => {
            let next = trimmed(text.get(line..).unwrap_or_default());
            (next.first() == Some(&b'{')).then_some(Form::Lines).or(Some(named))
        }
        // One object on several lines: its first line is not one that was cut off.
        (_, Some(line)) => {
            let next = trimmed(text.get(line..).unwrap_or_default());
            matches!(next.first(), Some(b'"' | b'}')).then_some(Form::Values).or(Some(named))
        }
        (_, None) => Some(named),
    }
}

/// Of which unit the object is that the text begins with, or the first record of it when it is a page.
fn of_object(text: &[u8]) -> Seen {
    let names: Vec<&str> = members(text).map(|(name, _)| name).collect();
    let list = members(text)
        .take_while(|(name, _)| Member::of(name, "") != Some(Member::OfRecord))
        .find(|(name, value)| is_list(name, value));
    match list {
        Some(("values", list)) => {
            let first = trimmed(list.get(1..).unwrap_or_default());
            if first.first() == Some(&b'{') {
                of_members(&members(first).map(|(name, _)| name).collect::<Vec<_>>())
            } else {
                Seen::Nothing
            }
        }
        Some((name, _)) => Unit::ALL.into_iter().find(|unit| unit.name() == name).map_or(Seen::Other, Seen::Certain),
        // What a search answers first may be longer than what is looked at, and the issues come behind it.
        None if start(text).end.is_none() && names.iter().any(|name| ["names", "schema"].contains(name)) => {
            Seen::Certain(Unit::Issues)
        }
        None => of_members(&names),
    }
}

fn is_list(name: &str, value: &[u8]) -> bool {
    LISTS.contains(&name) && value.first() == Some(&b'[')
}

/// Of which unit a record with members of these names is.
fn of_members(names: &[&str]) -> Seen {
    let has = |name: &str| names.contains(&name);
    let has_any = |of: &[&str]| of.iter().any(|name| has(name));
    if has_any(&["timeSpentSeconds", "timeSpent"]) {
        Seen::Certain(Unit::Worklogs)
    } else if has("fields") {
        Seen::Certain(Unit::Issues)
    } else if has("body") {
        Seen::Certain(Unit::Comments)
    } else if has_any(&["accountId", "emailAddress", "accountType"]) {
        Seen::Certain(Unit::Users)
    } else if has("projectTypeKey") {
        Seen::Certain(Unit::Projects)
    } else if !names.is_empty() && names.iter().all(|name| OF_ERRORS.contains(name)) {
        Seen::Nothing
    } else if has_any(&["errorMessages", "navigable", "searchable", "subtask", "statusCategory"]) {
        Seen::Other
    } else if has("displayName") {
        Seen::Possible(&[Unit::Users])
    } else if has_any(&["author", "issueId", "issueKey", "updateAuthor"]) {
        Seen::Possible(&[Unit::Comments, Unit::Worklogs])
    } else if has("started") {
        Seen::Possible(&[Unit::Worklogs])
    } else if has("key") && has("name") {
        Seen::Possible(&[Unit::Projects, Unit::Users])
    } else if has("key") {
        Seen::Possible(&[Unit::Issues, Unit::Projects, Unit::Users])
    } else {
        Seen::Possible(&[])
    }
}

/// The value that a text begins with.
fn start(text: &[u8]) -> Start<'_> {
    let mut scan = match text.first() {
        Some(b'"' | b'[' | b'{') => Scan::Nested { depth: 0, string: None },
        _ => Scan::Scalar,
    };
    let (used, is_done) = scan.advance(text, |_| {});
    Start { text: text.get(..used).unwrap_or_default(), end: is_done.then_some(used) }
}

/// The members of the object that a text begins with, as far as the text goes: their names and values.
fn members(text: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    let mut rest = text.get(1..).unwrap_or_default();
    std::iter::from_fn(move || {
        rest = trimmed(rest);
        rest = trimmed(rest.strip_prefix(b",").unwrap_or(rest));
        if rest.first() != Some(&b'"') {
            return None;
        }
        let name = start(rest);
        let after = trimmed(rest.get(name.end?..)?);
        let value = start(trimmed(after.strip_prefix(b":")?));
        let quoted = std::str::from_utf8(name.text).ok()?;
        let name = quoted.strip_prefix('"')?.strip_suffix('"')?;
        let value_text = trimmed(after.strip_prefix(b":")?);
        rest = value.end.and_then(|end| value_text.get(end..)).unwrap_or_default();
        Some((name, value.text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_seen_whatever_the_name_says() {
        let form = |text: &str, named| look(text.as_bytes(), named).form;
        for named in [Form::Lines, Form::Values] {
            assert_eq!(form("{\"id\":\"1\"}\n{\"id\":\"2\"}\n", named), Some(Form::Lines));
            assert_eq!(form("\u{FEFF}{\"id\":\"1\"}\r\n\u{FEFF}{\"id\":\"2\"", named), Some(Form::Lines));
            assert_eq!(form("{\"total\":1,\"issues\":[{\"id\":\"1\"}]}\n", named), Some(Form::Values));
            assert_eq!(form("{\n  \"id\": \"1\"\n}\n", named), Some(Form::Values));
            assert_eq!(form("{ \"id\": \"1\",\n  \"key\"", named), Some(Form::Values));
            assert_eq!(form("[{\"id\":\"1\"}]", named), Some(Form::Values));
            assert_eq!(form("[\n  {\"issues\": [", named), Some(Form::Values));
            assert_eq!(form("", named), None);
            assert_eq!(form("{\"id\":\"1\"}", named), Some(named));
            assert_eq!(form(&format!("{{\"id\":\"{}", "x".repeat(100)), named), Some(named));
            assert_eq!(form("{\"id\":\"1\"\n{\"id\":\"2\"}\n", named), Some(named), "a line that was cut off");
        }
        assert_eq!(form("[]\n{\"id\":\"1\"}", Form::Lines), None);
        assert_eq!(form("[]", Form::Values), Some(Form::Values));
    }

    #[test]
    fn the_unit_is_seen_in_the_first_record() {
        let unit = |text: &str| look(text.as_bytes(), Form::Values).unit;
        for (text, expected) in [
            (r#"{"issues":[]}"#, Unit::Issues),
            (r#"{"startAt":0,"comments":["#, Unit::Comments),
            (r#"{"self":"x","values":[{"id":"1","projectTypeKey":"software"}]}"#, Unit::Projects),
            (r#"[{"worklogs":[{"x":1}]}]"#, Unit::Worklogs),
            (r#"{"expand":"x","id":"1","key":"AB-1","fields":{"comments":[1]"#, Unit::Issues),
            (r#"[ {"self":"x","accountId":"5"}]"#, Unit::Users),
            (r#"{"id":"1","timeSpentSeconds":5,"comment":"x"}"#, Unit::Worklogs),
            (r#"{"id":"1","body":{"content":[]}}"#, Unit::Comments),
        ] {
            assert_eq!(unit(text), Seen::Certain(expected), "{text}");
        }
        assert_eq!(unit(r#"{"id":"1","key":"AB-1"}"#), Seen::Possible(&[Unit::Issues, Unit::Projects, Unit::Users]));
        assert_eq!(unit(r#"[{"id":"1","name":"Bug"}]"#), Seen::Possible(&[]));
        assert_eq!(unit(r#"[{"id":"x","key":"x","name":"X","navigable":true}]"#), Seen::Other);
        assert_eq!(unit(r#"{"errorMessages":["no"],"errors":{}}"#), Seen::Nothing);
        assert_eq!(unit(r#"{"errorMessages":["no"]} {"issues":[]}"#), Seen::Certain(Unit::Issues));
        assert_eq!(unit("[]"), Seen::Nothing);
        assert_eq!(unit(r#"{"values":[]}"#), Seen::Nothing);
        assert_eq!(unit("17"), Seen::Other);
    }

    #[test]
    fn a_line_that_tells_nothing_does_not_hide_the_next_ones() {
        let unit = |text: &str| look(text.as_bytes(), Form::Lines).unit;
        let issue = r#"{"id":"1","fields":{}}"#;
        for first in ["garbage", "17", "\"x\"", "{\"id\":\"0\"}", "{}", "{garbage}", r#"{"errorMessages":["no"]}"#] {
            assert_eq!(unit(&format!("{first}\n{issue}\n")), Seen::Certain(Unit::Issues), "{first}");
            assert_eq!(unit(&format!("{first}\n\ngarbage\n{issue}\n")), Seen::Certain(Unit::Issues), "{first}");
        }
        assert_eq!(unit("garbage\nmore garbage"), Seen::Other);
        assert_eq!(look(format!("garbage\n{issue}\n{issue}").as_bytes(), Form::Lines).form, Some(Form::Lines));
    }

    #[test]
    fn a_page_of_issues_is_seen_before_its_issues_come() {
        let unit = |text: &str| look(text.as_bytes(), Form::Values).unit;
        assert_eq!(unit(r#"{"expand":"names,schema","names":{"customfield_1":"A","#), Seen::Certain(Unit::Issues));
        assert_eq!(unit(r#"{"schema":{"customfield_1":{"type":"str"#), Seen::Certain(Unit::Issues));
        assert_ne!(unit(r#"{"names":{"a":"b"}}"#), Seen::Certain(Unit::Issues), "all of it is seen");
    }
}
