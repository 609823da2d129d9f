use std::{
    fmt,
    io::{self, BufRead, BufReader, Read},
};

use crate::{
    buffer::{Piece, RecordBuffer},
    decode::UTF_8_MARK,
    field_names::FieldNames,
    pages::{Member, Page, Pages},
    scan::Scan,
};

/// Splits JSON text into records, of whatever size, without holding it in memory.
///
/// The text is any sequence of records, of pages of Jira's (`{"total":2,"issues":[…]}`), and of arrays
/// of records or pages. A record is given as it stands there, except that a line break between two of
/// its tokens becomes a space, so that it is one line. Only where it ends is known of it: what is
/// between may be no JSON. Byte order marks between values are passed over.
///
/// An object outside of a page's list is a page when it has a list of records, or a member that only a
/// page or an error response has, before any member that only a record has.
#[derive(Debug)]
pub(crate) struct Elements<R> {
    input: BufReader<R>,
    record: RecordBuffer,
    /// A member's name, or the value of a page's member.
    side: RecordBuffer,
    /// The member of a page that is its list of records.
    list: &'static str,
    /// How many bytes have gone by.
    offset: u64,
    /// How many elements have.
    elements: u64,
    place: Place,
    page: Page,
    pages: Pages,
    /// What pages say of the fields of their issues, when only the pages are read. Of records only their number
    /// is known then.
    fields: Option<FieldNames>,
}

/// Between which tokens the reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before a value that stands for itself, or at the end.
    Outside { is_first: bool },
    /// In an array that stands for itself, before an element or its end.
    Array { is_first: bool },
    /// In a page, before a member or its end.
    Page { is_first: bool, in_array: bool },
    /// In the list of a page, before an element or its end.
    List { is_first: bool, in_array: bool },
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Object {
    /// A record, which has been read.
    Record,
    /// A page, of which the beginning has been read, or all of it.
    Page,
}

/// Where the bytes of a value go.
#[derive(Debug, Clone, Copy)]
struct Keep {
    record: bool,
    side: bool,
}

impl Keep {
    const NOTHING: Self = Self { record: false, side: false };
    const RECORD: Self = Self { record: true, side: false };
    const SIDE: Self = Self { record: false, side: true };
    const BOTH: Self = Self { record: true, side: true };
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

/// Members are known by their names up to this length.
const NAME_BYTES: usize = 64;

/// The values of a page's own members are looked at up to this length.
const MEMBER_BYTES: usize = 64 * 1024;

/// `names` and `schema` are looked at up to this length.
const FIELDS_BYTES: usize = 8 * 1024 * 1024;

const CUT_SHORT: &str = "the text ends in the middle of a value";
const NO_LIST: &str = "expected the list of a page to be an array";
const NO_MEMBER: &str = "expected the name of a member";
const NO_COLON: &str = "expected `:`";
const NO_VALUE: &str = "expected a value";

impl<R: Read> Elements<R> {
    /// The records in `input`, whose pages call their list `list` or `values`. Records longer than
    /// `limit` are not held in memory.
    pub(crate) fn new(input: R, list: &'static str, limit: usize) -> Self {
        Self {
            input: BufReader::with_capacity(CHUNK_BYTES, input),
            record: RecordBuffer::new(limit),
            side: RecordBuffer::new(NAME_BYTES),
            list,
            offset: 0,
            elements: 0,
            place: Place::Outside { is_first: true },
            page: Page::default(),
            pages: Pages::default(),
            fields: None,
        }
    }

    /// Reads to the end, or as far as the text is what it should be, for what the pages say of themselves and of the
    /// fields of their issues.
    pub(crate) fn survey(input: R, list: &'static str) -> (Pages, FieldNames, Result<(), SplitError>) {
        let mut elements = Self { fields: Some(FieldNames::default()), ..Self::new(input, list, NAME_BYTES) };
        let outcome = loop {
            match elements.next() {
                Ok(Some(_)) => {}
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        (elements.pages, elements.fields.unwrap_or_default(), outcome)
    }

    /// The bytes of the record that was read last.
    pub(crate) fn buffer(&mut self) -> &mut RecordBuffer {
        &mut self.record
    }

    /// The next record. After an error there is nothing more to be had.
    pub(crate) fn next(&mut self) -> Result<Option<Piece<'_>>, SplitError> {
        loop {
            self.skip_space(Keep::NOTHING)?;
            match (self.place, self.peek()?) {
                (Place::Outside { is_first: true }, None) => {
                    return Err(self.malformed("expected an array or a page of records, found nothing"));
                }
                (Place::Outside { is_first: false }, None) => return Ok(None),
                (_, None) => return Err(self.malformed(CUT_SHORT)),
                (Place::Outside { .. }, Some(b'[')) => {
                    self.pass();
                    self.place = Place::Array { is_first: true };
                }
                (Place::Outside { .. }, Some(b'{')) => {
                    self.place = Place::Outside { is_first: false };
                    if self.pass_object(false)? == Object::Record {
                        return Ok(Some(self.piece()));
                    }
                }
                (Place::Outside { .. }, Some(_)) => {
                    return Err(self.malformed("expected an array or a page of records"));
                }
                (Place::Page { in_array, .. }, Some(b'}')) => {
                    self.pass();
                    self.end_page(in_array);
                }
                (Place::Page { is_first, in_array }, Some(_)) => self.pass_member(is_first, in_array)?,
                (Place::Array { .. }, Some(b']')) => {
                    self.pass();
                    self.place = Place::Outside { is_first: false };
                }
                (Place::List { in_array, .. }, Some(b']')) => {
                    self.pass();
                    self.place = Place::Page { is_first: false, in_array };
                }
                (Place::Array { is_first }, Some(_)) => {
                    self.pass_comma(is_first, "expected `,` or `]`")?;
                    self.place = Place::Array { is_first: false };
                    if self.peek()? != Some(b'{') {
                        self.pass_record()?;
                    } else if self.pass_object(true)? == Object::Page {
                        continue;
                    }
                    return Ok(Some(self.piece()));
                }
                (Place::List { is_first, in_array }, Some(_)) => {
                    self.pass_comma(is_first, "expected `,` or `]`")?;
                    self.pass_record()?;
                    self.place = Place::List { is_first: false, in_array };
                    self.page.held += 1;
                    return Ok(Some(self.piece()));
                }
            }
        }
    }

    /// The record that has been read.
    fn piece(&mut self) -> Piece<'_> {
        self.elements += 1;
        Piece { line: self.elements, content: self.record.content() }
    }

    fn pass_record(&mut self) -> Result<(), SplitError> {
        self.record.clear();
        self.pass_value(self.of_record())
    }

    fn end_page(&mut self, in_array: bool) {
        self.pages.add(std::mem::take(&mut self.page));
        self.place = if in_array { Place::Array { is_first: false } } else { Place::Outside { is_first: false } };
    }

    /// Reads a member of a page, or of its list the beginning.
    fn pass_member(&mut self, is_first: bool, in_array: bool) -> Result<(), SplitError> {
        self.pass_comma(is_first, "expected `,` or `}`")?;
        self.expect(b'"', NO_MEMBER)?;
        let member = self.pass_name(Keep::SIDE)?;
        self.skip_space(Keep::NOTHING)?;
        self.expect(b':', NO_COLON)?;
        self.pass();
        self.skip_space(Keep::NOTHING)?;
        self.place = Place::Page { is_first: false, in_array };
        self.pass_member_value(member, in_array, Keep::NOTHING)
    }

    /// Reads the name of a member, and what it says of the object.
    fn pass_name(&mut self, keep: Keep) -> Result<Option<Member>, SplitError> {
        self.side = RecordBuffer::new(NAME_BYTES);
        self.pass_value(keep)?;
        Ok(self.side.text().and_then(|name| Member::of(name, self.list)))
    }

    /// Reads the value of a member of what is a page or not known yet, or of its list the beginning.
    fn pass_member_value(&mut self, member: Option<Member>, in_array: bool, keep: Keep) -> Result<(), SplitError> {
        let is_array = self.peek()? == Some(b'[');
        match member {
            Some(Member::List) if is_array => {
                self.pass();
                self.page.has_list = true;
                self.place = Place::List { is_first: true, in_array };
                Ok(())
            }
            Some(Member::OtherList(name)) if is_array => {
                self.place = Place::Page { is_first: false, in_array };
                self.pass_value_aside(NAME_BYTES, keep)?;
                self.page.note_other_list(name, self.side.whole());
                Ok(())
            }
            Some(Member::OfPage(name)) => {
                self.pass_value_aside(MEMBER_BYTES, keep)?;
                self.page.note(name, self.side.whole().unwrap_or_default());
                Ok(())
            }
            Some(Member::OfFields(fields)) if self.fields.is_some() => {
                self.pass_value_aside(FIELDS_BYTES, keep)?;
                if let (Some(known), Some(value)) = (&mut self.fields, self.side.whole()) {
                    known.note(fields, value);
                }
                self.side = RecordBuffer::new(NAME_BYTES);
                Ok(())
            }
            _ => self.pass_value(keep),
        }
    }

    /// Reads a value, and holds up to `limit` bytes of it aside.
    fn pass_value_aside(&mut self, limit: usize, keep: Keep) -> Result<(), SplitError> {
        self.side = RecordBuffer::new(limit);
        self.pass_value(Keep { side: true, ..keep })
    }

    /// Reads the comma before all but the first.
    fn pass_comma(&mut self, is_first: bool, expected: &'static str) -> Result<(), SplitError> {
        if !is_first {
            self.expect(b',', expected)?;
            self.pass();
            self.skip_space(Keep::NOTHING)?;
        }
        Ok(())
    }

    /// Reads a value.
    fn pass_value(&mut self, keep: Keep) -> Result<(), SplitError> {
        let scan = match self.peek()? {
            None => return Err(self.malformed(CUT_SHORT)),
            Some(b',' | b':' | b']' | b'}') => return Err(self.malformed(NO_VALUE)),
            Some(b'"' | b'[' | b'{') => Scan::Nested { depth: 0, string: None },
            Some(_) => Scan::Scalar,
        };
        self.pass_with(scan, keep)
    }

    fn pass_with(&mut self, mut scan: Scan, keep: Keep) -> Result<(), SplitError> {
        loop {
            let chunk = fill(&mut self.input)?;
            if chunk.is_empty() {
                // A scalar ends with the text, which whatever it stands in then finds cut short.
                return if scan == Scan::Scalar { Ok(()) } else { Err(self.malformed(CUT_SHORT)) };
            }
            let (record, side) = (&mut self.record, &mut self.side);
            let (used, is_done) = scan.advance(chunk, |piece| {
                if keep.record {
                    record.push(piece);
                }
                if keep.side {
                    side.push(piece);
                }
            });
            self.input.consume(used);
            self.offset += u64::try_from(used).unwrap_or(u64::MAX);
            if is_done {
                return Ok(());
            }
        }
    }

    /// Goes past white space, of which line breaks are kept as spaces. Byte order marks are kept nowhere.
    fn skip_space(&mut self, keep: Keep) -> Result<(), SplitError> {
        loop {
            let chunk = fill(&mut self.input)?;
            let length = chunk.len();
            let space = chunk.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
            if keep.record {
                for byte in chunk.get(..space).unwrap_or_default() {
                    self.record.push(if matches!(byte, b'\n' | b'\r') { b" " } else { std::slice::from_ref(byte) });
                }
            }
            let is_mark = chunk.get(space) == UTF_8_MARK.first();
            self.input.consume(space);
            self.offset += u64::try_from(space).unwrap_or(u64::MAX);
            if is_mark {
                for &byte in UTF_8_MARK {
                    self.expect(byte, "expected a value, found a character that begins none")?;
                    self.pass();
                }
            } else if space < length || length == 0 {
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

mod objects;
#[cfg(test)]
mod tests;
