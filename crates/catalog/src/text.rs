/// Text that every store can hold: U+0000, which PostgreSQL cannot, becomes U+FFFD.
pub(crate) fn storable(text: impl Into<String>) -> String {
    let text = text.into();
    if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text }
}
