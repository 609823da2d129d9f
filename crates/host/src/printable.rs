use std::borrow::Cow;

/// The text as one line that moves no cursor and fakes no other line: what does so is written as an escape.
pub(crate) fn on_one_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_harmful)
}

/// As [`on_one_line`], of a text that has lines and tabs.
pub(crate) fn on_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character| !matches!(character, '\n' | '\t') && is_harmful(character))
}

/// A JSON text in which nothing harms a terminal, and which means the same: beyond ASCII it stands in strings only, and
/// what is harmful below is escaped already, but for DEL.
pub(crate) fn json(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful_in_json) {
        return Cow::Borrowed(text);
    }
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        match is_harmful_in_json(character) {
            true => printable.push_str(&format!("\\u{:04x}", u32::from(character))),
            false => printable.push(character),
        }
    }
    Cow::Owned(printable)
}

/// A line of a log without its end. It may have colours: the formatter has escaped those that came from elsewhere.
pub(crate) fn log_line(line: &str) -> Cow<'_, str> {
    escaped(line, |character| character != '\u{1b}' && is_harmful(character))
}

fn is_harmful_in_json(character: char) -> bool {
    character > '\u{7e}' && is_harmful(character)
}

/// Control characters, line and paragraph separators, and what turns the direction of the text.
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, is_harmful: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut printable = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match is_harmful(character) {
            true => printable.extend(character.escape_default()),
            false => printable.push(character),
        }
    }
    Cow::Owned(printable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_the_cursor_is_shown_as_an_escape() {
        assert_eq!(on_one_line("10\n\u{1b}[2Jfake\r\u{9b}1A\u{7f}"), r"10\n\u{1b}[2Jfake\r\u{9b}1A\u{7f}");
        assert_eq!(on_one_line("a\u{202e}b\u{2028}c"), r"a\u{202e}b\u{2028}c");
        assert_eq!(on_lines("a\tb\nc\r\u{8}"), "a\tb\nc\\r\\u{8}");
        assert!(matches!(on_one_line("Zoë → 日本 🎉"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_means_the_same_when_it_is_made_printable() {
        let value = serde_json::json!({ "a\u{9b}\u{7f}": "\u{1b}\n\u{202e} ë" });
        let text = value.to_string();
        let printable = json(&text);
        assert!(!printable.contains(is_harmful), "{printable}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printable).unwrap(), value);
    }
}
