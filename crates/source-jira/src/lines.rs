use std::io::{self, BufRead, BufReader, Read};

use crate::{
    buffer::{Content, Piece, RecordBuffer},
    decode::UTF_8_MARK,
};

/// Splits text into lines, at `\n` only: other characters that end a line elsewhere, such as U+2028,
/// stand inside the strings of records. What a line ends with before that, such as `\r`, is its own. A byte order
/// mark at its beginning, as concatenated files have it, is not.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: BufReader<R>,
    record: RecordBuffer,
    line: u64,
}

const CHUNK_BYTES: usize = 64 * 1024;

impl<R: Read> Lines<R> {
    /// The lines of `input`, of which the first has the number `first_line`. Lines longer than
    /// `limit` are not held in memory.
    pub(crate) fn new(input: R, first_line: u64, limit: usize) -> Self {
        Self {
            input: BufReader::with_capacity(CHUNK_BYTES, input),
            record: RecordBuffer::new(limit),
            line: first_line.saturating_sub(1),
        }
    }

    /// The bytes of the record that was read last.
    pub(crate) fn buffer(&mut self) -> &mut RecordBuffer {
        &mut self.record
    }

    /// The next line that is not blank.
    pub(crate) fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        while self.advance()? {
            if !self.is_blank() {
                let content = match self.record.content() {
                    Content::Whole(line) => Content::Whole(without_mark(line)),
                    oversized => oversized,
                };
                return Ok(Some(Piece { line: self.line, content }));
            }
        }
        Ok(None)
    }

    /// Reads a line into the buffer; `false` when there is none.
    fn advance(&mut self) -> io::Result<bool> {
        self.record.clear();
        let mut is_begun = false;
        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() && !is_begun {
                return Ok(false);
            }
            if !is_begun {
                is_begun = true;
                self.line += 1;
            }
            let newline = memchr::memchr(b'\n', chunk);
            self.record.push(chunk.get(..newline.unwrap_or(chunk.len())).unwrap_or_default());
            let used = newline.map_or(chunk.len(), |newline| newline + 1);
            self.input.consume(used);
            if newline.is_some() || used == 0 {
                return Ok(true);
            }
        }
    }

    fn is_blank(&self) -> bool {
        let is_space = |line: &[u8]| line.iter().all(u8::is_ascii_whitespace);
        matches!(self.record.content(), Content::Whole(line) if is_space(without_mark(line)))
    }
}

fn without_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix(UTF_8_MARK).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], first_line: u64, limit: usize) -> Vec<(u64, Vec<u8>)> {
        let mut lines = Lines::new(text, first_line, limit);
        let mut found = Vec::new();
        while let Some(Piece { line, content }) = lines.next().unwrap() {
            match content {
                Content::Whole(bytes) => found.push((line, bytes.to_vec())),
                Content::Oversized { length, .. } => found.push((line, format!("{length} bytes").into_bytes())),
            }
        }
        found
    }

    fn texts(found: &[(u64, Vec<u8>)]) -> Vec<(u64, &str)> {
        found.iter().map(|(line, bytes)| (*line, std::str::from_utf8(bytes).unwrap())).collect()
    }

    #[test]
    fn blank_lines_count_and_are_no_records() {
        let found = lines(b"{}\n\n \t\r\n[]\n", 1, 1024);
        assert_eq!(texts(&found), [(1, "{}"), (4, "[]")]);
        assert_eq!(texts(&lines(b"{}\n\n{}", 41, 1024)), [(41, "{}"), (43, "{}")]);
        assert_eq!(lines(b"", 1, 1024), []);
        assert_eq!(lines(b"\n\n", 1, 1024), []);
    }

    #[test]
    fn a_byte_order_mark_at_the_beginning_of_a_line_is_no_part_of_it() {
        let text = "\u{FEFF}{}\n\u{FEFF}\n\u{FEFF}{\"a\":\"\u{FEFF}\"}\n";
        assert_eq!(texts(&lines(text.as_bytes(), 1, 1024)), [(1, "{}"), (3, "{\"a\":\"\u{FEFF}\"}")]);
    }

    #[test]
    fn only_a_newline_ends_a_line() {
        let text = "{\"a\":\"\u{2028}\u{85}\"}\r\n{\"b\":1}\u{c}\n{\"c\":2}\r";
        let found = lines(text.as_bytes(), 1, 1024);
        assert_eq!(texts(&found), [(1, "{\"a\":\"\u{2028}\u{85}\"}\r"), (2, "{\"b\":1}\u{c}"), (3, "{\"c\":2}\r")]);
    }

    #[test]
    fn a_line_above_the_limit_takes_no_memory_and_the_next_one_is_read() {
        let long = 100 * 1024 * 1024;
        let input = io::repeat(b'x').take(long).chain(&b"\n{}\n"[..]);
        let mut lines = Lines::new(input, 1, 1024 * 1024);
        let Some(Piece { line: 1, content: Content::Oversized { head, length, hash } }) = lines.next().unwrap() else {
            panic!("not oversized");
        };
        assert_eq!((head.len(), length), (64 * 1024, long));
        let mut hasher = blake3::Hasher::new();
        io::copy(&mut io::repeat(b'x').take(long), &mut hasher).unwrap();
        assert_eq!(hash, hasher.finalize());
        assert!(lines.record.capacity() <= 1024 * 1024);
        assert!(matches!(lines.next().unwrap(), Some(Piece { line: 2, content: Content::Whole(b"{}") })));
        assert!(lines.next().unwrap().is_none());
    }
}
