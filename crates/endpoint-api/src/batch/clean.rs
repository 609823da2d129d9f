use std::borrow::Cow;

/// Replaces what no text can hold, and what every database stumbles over sooner or later, in a JSON
/// text: the escapes of U+0000 and of lone surrogates become that of U+FFFD.
///
/// Says how many were replaced. Everything else stays to the byte.
pub(crate) fn clean(json: &str) -> (Cow<'_, str>, u32) {
    let bytes = json.as_bytes();
    if memchr::memmem::find(bytes, b"\\u").is_none() {
        return (Cow::Borrowed(json), 0);
    }
    let mut bad = Vec::new();
    let mut at = 0;
    while let Some(backslash) = bytes.get(at..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        at += backslash;
        match code_unit(bytes, at) {
            Some(0xD800..=0xDBFF) if matches!(code_unit(bytes, at + 6), Some(0xDC00..=0xDFFF)) => at += 12,
            Some(0 | 0xD800..=0xDFFF) => {
                bad.push(at);
                at += 6;
            }
            _ => at += 2,
        }
    }
    if bad.is_empty() {
        return (Cow::Borrowed(json), 0);
    }
    let mut cleaned = String::with_capacity(json.len());
    let mut from = 0;
    for &at in &bad {
        cleaned.push_str(json.get(from..at).unwrap_or_default());
        cleaned.push_str("\\ufffd");
        from = at + 6;
    }
    cleaned.push_str(json.get(from..).unwrap_or_default());
    (Cow::Owned(cleaned), u32::try_from(bad.len()).unwrap_or(u32::MAX))
}

/// The code unit of the escape `\uXXXX` at `at`; `None` when there is another escape or none.
fn code_unit(bytes: &[u8], at: usize) -> Option<u32> {
    let escape = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    escape.iter().try_fold(0, |code, &digit| Some(code * 16 + char::from(digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_text_is_replaced() {
        for fine in [
            r#"{"a":"b"}"#,
            r#"{"a":"\u00e9\ud83d\ude00\n"}"#,
            r#"{"a":"\\u0000 is how one writes it"}"#,
            r#"{"a":"\\\\ud800"}"#,
            r#"{"a":"\u001"#,
        ] {
            assert_eq!(clean(fine), (Cow::Borrowed(fine), 0));
        }
        for (text, cleaned, count) in [
            (r#"{"a":"x\u0000y"}"#, r#"{"a":"x\ufffdy"}"#, 1),
            (r#"{"a":"\\\u0000"}"#, r#"{"a":"\\\ufffd"}"#, 1),
            (r#"{"a":"\ud83d"}"#, r#"{"a":"\ufffd"}"#, 1),
            (r#"{"a":"\uDE00\uD83D"}"#, r#"{"a":"\ufffd\ufffd"}"#, 2),
            (r#"{"a":"\ud83d\ud83d\ude00"}"#, r#"{"a":"\ufffd\ud83d\ude00"}"#, 1),
            (r#"{"\u0000":"\u0000"}"#, r#"{"\ufffd":"\ufffd"}"#, 2),
        ] {
            assert_eq!(clean(text), (Cow::Borrowed(cleaned), count));
            assert!(serde_json::from_str::<serde_json::Value>(cleaned).is_ok());
        }
    }
}
