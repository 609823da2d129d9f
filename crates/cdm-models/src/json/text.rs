use std::{borrow::Cow, fmt::Write as _};

use super::{JsonError, MAX_DEPTH};

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
    #[inline]
    pub(super) fn peek(&mut self) -> Result<u8, JsonError> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(byte) => return Ok(*byte),
                None => return Err(self.invalid()),
            }
        }
    }

    #[inline]
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek()? != byte {
            return Err(self.invalid());
        }
        self.at += 1;
        Ok(())
    }

    /// Consumes a comma if it is next.
    #[inline]
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

    /// A string.
    #[inline]
    pub(super) fn string(&mut self) -> Result<Quoted<'a>, JsonError> {
        let quote = self.at;
        let has_escapes = self.skip_string()?;
        let quoted = self.slice(quote)?;
        let decoded = match has_escapes {
            true => Some(serde_json::from_str(quoted).map_err(|_| JsonError::Invalid { at: quote })?),
            false => None,
        };
        Ok(Quoted { quoted, decoded })
    }

    /// Skips a value and looks at every character of it.
    pub(super) fn check(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth > MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        match self.peek()? {
            b'"' => self.check_string(),
            open @ (b'{' | b'[') => {
                let close = if open == b'{' { b'}' } else { b']' };
                self.at += 1;
                if self.peek()? != close {
                    loop {
                        if open == b'{' {
                            if self.peek()? != b'"' {
                                return Err(self.invalid());
                            }
                            self.check_string()?;
                            self.expect(b':')?;
                        }
                        // Most values are strings, which need no call of their own.
                        match self.peek()? {
                            b'"' if depth < MAX_DEPTH => self.check_string()?,
                            _ => self.check(depth + 1)?,
                        }
                        if !self.comma()? {
                            break;
                        }
                    }
                }
                self.expect(close)
            }
            b'-' | b'0'..=b'9' => self.number().map(drop),
            _ => self.literal().map(drop),
        }
    }

    #[inline]
    fn check_string(&mut self) -> Result<(), JsonError> {
        let quote = self.at;
        if self.skip_string()? { self.check_escapes(quote) } else { Ok(()) }
    }

    /// Looks at the escapes in the string that was skipped and began at `quote`.
    fn check_escapes(&self, quote: usize) -> Result<(), JsonError> {
        let quoted = self.slice(quote)?;
        let mut rest = quoted;
        while let Some((_, escape)) = rest.split_once('\\') {
            let length = match escape.as_bytes() {
                [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 1,
                [b'u', a, b, c, d, ..] if [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit) => 5,
                _ => return Err(JsonError::Invalid { at: quote }),
            };
            rest = escape.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    /// Skips a value, and looks at no more of it than it needs to find its end; its exact text.
    pub(super) fn skip(&mut self) -> Result<&'a str, JsonError> {
        let first = self.peek()?;
        let start = self.at;
        match first {
            b'"' => {
                self.skip_string()?;
            }
            b'{' | b'[' => {
                let mut depth = 0_usize;
                loop {
                    match self.text.as_bytes().get(self.at) {
                        Some(b'"') => {
                            self.skip_string()?;
                            continue;
                        }
                        Some(b'{' | b'[') => depth += 1,
                        Some(b'}' | b']') => depth -= 1,
                        Some(_) => {}
                        None => return Err(self.invalid()),
                    }
                    self.at += 1;
                    if depth == 0 {
                        break;
                    }
                }
            }
            _ => {
                let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
                self.at += self.rest().iter().position(ends).unwrap_or(self.text.len() - self.at);
                if self.at == start {
                    return Err(self.invalid());
                }
            }
        }
        self.slice(start)
    }

    /// Skips a string; says whether there are escapes in it.
    #[inline]
    fn skip_string(&mut self) -> Result<bool, JsonError> {
        let bytes = self.text.as_bytes();
        let mut at = self.at + 1;
        let mut has_escapes = false;
        loop {
            at += plain(bytes.get(at..).unwrap_or_default());
            match bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(has_escapes);
                }
                Some(b'\\') if at + 1 < bytes.len() => {
                    has_escapes = true;
                    at += 2;
                }
                _ => {
                    self.at = at.min(bytes.len());
                    return Err(self.invalid());
                }
            }
        }
    }
}

/// A string of JSON.
pub(super) struct Quoted<'a> {
    /// Its quotes and what is between them: without escapes that is its canonical form, too.
    quoted: &'a str,
    /// What it stands for, where there are escapes in it.
    decoded: Option<String>,
}

impl<'a> Quoted<'a> {
    /// Whether it was received with escapes.
    pub(super) fn is_escaped(&self) -> bool {
        self.decoded.is_some()
    }

    /// What it stands for; borrowed where it holds no escape.
    pub(super) fn into_text(self) -> Cow<'a, str> {
        match self.decoded {
            Some(decoded) => Cow::Owned(decoded),
            None => Cow::Borrowed(self.quoted.get(1..self.quoted.len() - 1).unwrap_or_default()),
        }
    }

    /// Appends it with the fewest escapes.
    pub(super) fn write(&self, out: &mut String) {
        match &self.decoded {
            Some(decoded) => quote(decoded, out),
            None => out.push_str(self.quoted),
        }
    }
}

/// How many bytes of a string come before its end, an escape or what may not stand in it.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    /// The high bit of each byte that is zero, and of none before the first of these.
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & HIGHS
    }
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quotes = zeros(word ^ (ONES * b'"' as u64));
        let escapes = zeros(word ^ (ONES * b'\\' as u64));
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let found = quotes | escapes | controls;
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let ends = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
    words.len() * 8 + rest.iter().position(ends).unwrap_or(rest.len())
}

/// Appends `text` as a JSON string with the fewest escapes.
pub fn quote(text: &str, out: &mut String) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut rest = text;
    loop {
        let (plain, special) = rest.split_at(plain(rest.as_bytes()));
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
    out.push('"');
}
