use std::{borrow::Cow, fmt::Write as _};

use super::JsonError;

/// Reads JSON tokens.
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn invalid(&self) -> JsonError {
        JsonError::Invalid { at: self.at }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn slice(&self, from: usize) -> Result<&'a str, JsonError> {
        self.text.get(from..self.at).ok_or_else(|| self.invalid())
    }

    /// The next character that is not white space; it is not consumed.
    pub(super) fn peek(&mut self) -> Result<u8, JsonError> {
        let blank = self.rest().iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.at += blank;
        self.rest().first().copied().ok_or_else(|| self.invalid())
    }

    pub(super) fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek()? != byte {
            return Err(self.invalid());
        }
        self.at += 1;
        Ok(())
    }

    /// Consumes a comma if it is next.
    pub(super) fn comma(&mut self) -> Result<bool, JsonError> {
        let found = self.peek()? == b',';
        if found {
            self.at += 1;
        }
        Ok(found)
    }

    /// Nothing but white space may be left.
    pub(super) fn end(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Ok(_) => Err(self.invalid()),
            Err(_) => Ok(()),
        }
    }

    pub(super) fn literal(&mut self) -> Result<&'static str, JsonError> {
        for literal in ["true", "false", "null"] {
            if self.rest().starts_with(literal.as_bytes()) {
                self.at += literal.len();
                return Ok(literal);
            }
        }
        Err(self.invalid())
    }

    /// The exact text of a number.
    pub(super) fn number(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        self.skip_if(b"-");
        if !self.skip_if(b"0") {
            self.digits()?;
        }
        if self.skip_if(b".") {
            self.digits()?;
        }
        if self.skip_if(b"eE") {
            self.skip_if(b"+-");
            self.digits()?;
        }
        if self.rest().first().is_some_and(u8::is_ascii_digit) {
            return Err(self.invalid());
        }
        self.slice(start)
    }

    fn skip_if(&mut self, any_of: &[u8]) -> bool {
        let found = self.rest().first().is_some_and(|byte| any_of.contains(byte));
        if found {
            self.at += 1;
        }
        found
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.invalid());
        }
        self.at += count;
        Ok(())
    }

    /// A string, decoded; borrowed where it holds no escape.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let quote = self.at;
        self.at += 1;
        let mut escaped = false;
        loop {
            let plain = self.rest().iter().take_while(|&&byte| byte >= 0x20 && byte != b'"' && byte != b'\\').count();
            self.at += plain;
            match self.rest().first() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at = (self.at + 2).min(self.text.len());
                }
                _ => return Err(self.invalid()),
            }
        }
        if escaped {
            self.at += 1;
            let text = self.slice(quote)?;
            return serde_json::from_str(text).map(Cow::Owned).map_err(|_| JsonError::Invalid { at: quote });
        }
        let text = self.slice(quote + 1)?;
        self.at += 1;
        Ok(Cow::Borrowed(text))
    }
}

/// Appends `text` as a JSON string with the fewest escapes.
pub(super) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = special.chars();
        match chars.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(control) => {
                let _ = write!(out, "\\u{:04x}", u32::from(control)); // a String takes everything
            }
            None => break,
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}
