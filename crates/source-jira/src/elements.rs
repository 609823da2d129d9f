use std::{
    fmt,
    io::{self, BufRead, BufReader, Read},
};

use crate::buffer::{Piece, RecordBuffer};

/// Splits JSON text into the elements of its arrays, of whatever size, without holding it in memory.
///
/// The text is arrays of records and pages of Jira's (`{"total":2,"issues":[…]}`), one after the
/// other. An element is given as it stands there, except that a line break between two of its tokens
/// becomes a space, so that a record is one line. That it ends where it does is all that is known of
/// it: what is between may still be no JSON.
#[derive(Debug)]
pub(crate) struct Elements<R> {
    input: BufReader<R>,
    record: RecordBuffer,
    /// The member of a page that is its list of records.
    list: &'static str,
    /// How many bytes have gone by.
    offset: u64,
    /// How many elements have.
    elements: u64,
    place: Place,
}

/// Between which tokens the reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before a value that stands for itself, or at the end.
    Outside { is_first: bool },
    /// In a page, before a member or its end.
    Page { is_first: bool, start: u64, has_list: bool },
    /// In an array, before an element or its end; `page` is where the page begins that it is of.
    Array { is_first: bool, page: Option<u64> },
}

/// Why no more elements are found.
#[derive(Debug)]
pub(crate) enum SplitError {
    /// The file cannot be read.
    Read(io::Error),
    /// It is not what a `.json` file of an export is.
    Malformed {
        /// The byte of the text, from 0.
        offset: u64,
        /// What was expected and what was found.
        what: &'static str,
    },
}

impl From<io::Error> for SplitError {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Malformed { offset, what } => write!(f, "{what} at byte {offset}"),
        }
    }
}

const CHUNK_BYTES: usize = 64 * 1024;

/// The member names of a page are compared up to this length; longer ones are not a list's.
const NAME_BYTES: usize = 64;

/// The list of a page that does not call it by what is in it.
const VALUES: &str = "values";

const CUT_SHORT: &str = "the text ends in the middle of a value";
const NO_PAGE: &str =
    "expected a page with a list of records, such as `issues` or `values`, found an object without one";

impl<R: Read> Elements<R> {
    /// The elements of `input`, whose pages call their list `list` or `values`. Elements longer than
    /// `limit` are not held in memory.
    pub(crate) fn new(input: R, list: &'static str, limit: usize) -> Self {
        Self {
            input: BufReader::with_capacity(CHUNK_BYTES, input),
            record: RecordBuffer::new(limit),
            list,
            offset: 0,
            elements: 0,
            place: Place::Outside { is_first: true },
        }
    }

    /// The next element. After an error there is nothing more to be had.
    pub(crate) fn next(&mut self) -> Result<Option<Piece<'_>>, SplitError> {
        loop {
            self.skip_space()?;
            match (self.place, self.peek()?) {
                (Place::Outside { is_first: true }, None) => {
                    return Err(self.malformed("expected an array or a page of records, found nothing"));
                }
                (Place::Outside { is_first: false }, None) => return Ok(None),
                (_, None) => return Err(self.malformed(CUT_SHORT)),
                (Place::Outside { .. }, Some(b'[')) => {
                    self.pass();
                    self.place = Place::Array { is_first: true, page: None };
                }
                (Place::Outside { .. }, Some(b'{')) => {
                    self.place = Place::Page { is_first: true, start: self.offset, has_list: false };
                    self.pass();
                }
                (Place::Outside { .. }, Some(_)) => {
                    return Err(self.malformed("expected an array or a page of records"));
                }
                (Place::Page { start, has_list, .. }, Some(b'}')) => {
                    if !has_list {
                        return Err(SplitError::Malformed { offset: start, what: NO_PAGE });
                    }
                    self.pass();
                    self.place = Place::Outside { is_first: false };
                }
                (Place::Page { is_first, start, has_list }, Some(_)) => self.pass_member(is_first, start, has_list)?,
                (Place::Array { page: None, .. }, Some(b']')) => {
                    self.pass();
                    self.place = Place::Outside { is_first: false };
                }
                (Place::Array { page: Some(start), .. }, Some(b']')) => {
                    self.pass();
                    self.place = Place::Page { is_first: false, start, has_list: true };
                }
                (Place::Array { is_first, page }, Some(_)) => {
                    self.pass_comma(is_first, "expected `,` or `]`")?;
                    self.record.clear();
                    self.pass_value(true)?;
                    self.place = Place::Array { is_first: false, page };
                    self.elements += 1;
                    return Ok(Some(Piece { line: self.elements, content: self.record.content() }));
                }
            }
        }
    }

    /// Reads a member of a page, or of its list the beginning.
    fn pass_member(&mut self, is_first: bool, start: u64, has_list: bool) -> Result<(), SplitError> {
        self.pass_comma(is_first, "expected `,` or `}`")?;
        self.expect(b'"', "expected the name of a member")?;
        let mut name = RecordBuffer::new(NAME_BYTES);
        std::mem::swap(&mut name, &mut self.record);
        let passed = self.pass_value(true);
        std::mem::swap(&mut name, &mut self.record);
        passed?;
        self.skip_space()?;
        self.expect(b':', "expected `:`")?;
        self.pass();
        self.skip_space()?;
        let is_list = name.is_text(self.list) || name.is_text(VALUES);
        if is_list && self.peek()? == Some(b'[') {
            self.pass();
            self.place = Place::Array { is_first: true, page: Some(start) };
        } else {
            self.pass_value(false)?;
            self.place = Place::Page { is_first: false, start, has_list };
        }
        Ok(())
    }

    /// Reads the comma before all but the first.
    fn pass_comma(&mut self, is_first: bool, expected: &'static str) -> Result<(), SplitError> {
        if !is_first {
            self.expect(b',', expected)?;
            self.pass();
            self.skip_space()?;
        }
        Ok(())
    }

    /// Reads a value, and keeps it as a record or not.
    fn pass_value(&mut self, keep: bool) -> Result<(), SplitError> {
        let mut scan = match self.peek()? {
            None => return Err(self.malformed(CUT_SHORT)),
            Some(b',' | b':' | b']' | b'}') => return Err(self.malformed("expected a value")),
            Some(b'"' | b'[' | b'{') => Scan::Nested { depth: 0, string: None },
            Some(_) => Scan::Scalar,
        };
        loop {
            let chunk = fill(&mut self.input)?;
            if chunk.is_empty() {
                // A scalar ends with the text, which whatever it stands in then finds cut short.
                return if scan == Scan::Scalar { Ok(()) } else { Err(self.malformed(CUT_SHORT)) };
            }
            let record = &mut self.record;
            let (used, is_done) = scan.advance(chunk, |piece| {
                if keep {
                    record.push(piece);
                }
            });
            self.input.consume(used);
            self.offset += u64::try_from(used).unwrap_or(u64::MAX);
            if is_done {
                return Ok(());
            }
        }
    }

    fn skip_space(&mut self) -> Result<(), SplitError> {
        loop {
            let chunk = fill(&mut self.input)?;
            let length = chunk.len();
            let space = chunk.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
            self.input.consume(space);
            self.offset += u64::try_from(space).unwrap_or(u64::MAX);
            if space < length || length == 0 {
                return Ok(());
            }
        }
    }

    fn peek(&mut self) -> Result<Option<u8>, SplitError> {
        Ok(fill(&mut self.input)?.first().copied())
    }

    /// Makes sure of the next byte.
    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), SplitError> {
        match self.peek()? {
            Some(found) if found == byte => Ok(()),
            Some(_) => Err(self.malformed(what)),
            None => Err(self.malformed(CUT_SHORT)),
        }
    }

    /// Goes past the byte that was peeked at.
    fn pass(&mut self) {
        self.input.consume(1);
        self.offset += 1;
    }

    fn malformed(&self, what: &'static str) -> SplitError {
        SplitError::Malformed { offset: self.offset, what }
    }
}

fn fill<R: Read>(input: &mut BufReader<R>) -> io::Result<&[u8]> {
    while let Err(error) = input.fill_buf() {
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(input.buffer())
}

/// How far into a value the reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scan {
    /// A number or a word, or what stands in the place of one.
    Scalar,
    /// So many open brackets, and within a string whether its next character is escaped.
    Nested { depth: u64, string: Option<bool> },
}

impl Scan {
    /// Goes through `chunk`: how much of it is of the value, and whether that ends there. What is of
    /// the value is given to `keep`, with a space for each line break between tokens.
    fn advance(&mut self, chunk: &[u8], mut keep: impl FnMut(&[u8])) -> (usize, bool) {
        match self {
            Self::Scalar => {
                let end = chunk.iter().position(|byte| {
                    matches!(byte, b',' | b':' | b'"' | b'[' | b']' | b'{' | b'}' | b' ' | b'\t' | b'\n' | b'\r')
                });
                let used = end.unwrap_or(chunk.len());
                keep(chunk.get(..used).unwrap_or_default());
                (used, end.is_some())
            }
            Self::Nested { depth, string } => {
                let mut kept = 0;
                let mut at = 0;
                while let Some(&byte) = chunk.get(at) {
                    let next = at + 1;
                    match (&*string, byte) {
                        (Some(true), _) => *string = Some(false),
                        (Some(false), b'\\') => *string = Some(true),
                        (Some(false), b'"') => *string = None,
                        (Some(false), _) => {
                            let rest = chunk.get(next..).unwrap_or_default();
                            at = memchr::memchr2(b'"', b'\\', rest).map_or(chunk.len(), |found| next + found);
                            continue;
                        }
                        (None, b'"') => *string = Some(false),
                        (None, b'[' | b'{') => *depth += 1,
                        (None, b']' | b'}') => *depth = depth.saturating_sub(1),
                        (None, b'\n' | b'\r') => {
                            keep(chunk.get(kept..at).unwrap_or_default());
                            keep(b" ");
                            kept = next;
                        }
                        (None, _) => {}
                    }
                    at = next;
                    if *depth == 0 && string.is_none() {
                        keep(chunk.get(kept..at).unwrap_or_default());
                        return (at, true);
                    }
                }
                keep(chunk.get(kept..).unwrap_or_default());
                (chunk.len(), false)
            }
        }
    }
}

#[cfg(test)]
mod tests;
