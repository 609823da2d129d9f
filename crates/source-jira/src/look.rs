//! A bounded look at the contents of files.

use std::{
    cell::Cell,
    io::{self, Read, Seek as _, SeekFrom},
    rc::Rc,
};

use endpoint_api::Result;
use local_files::open_regular;

use crate::{
    buffer::{Content, Piece},
    decode,
    error::{damaged, failed},
    files::{Compression, ExportFile, Form},
    gather::{Embedded, gather},
    json,
    pieces::Pieces,
    stop::Stop,
    units::Unit,
    user_aliases::KnownUsers,
};

/// The maximum number of bytes of text that are read of one file, and of all files together.
const FILE_BYTES: u64 = 256 * 1024;
const ALL_BYTES: u64 = 64 * 1024 * 1024;

/// The number of bytes that are read at the end of a file that is not compressed.
const END_BYTES: u64 = 4096;

const CUT_SHORT: &str = "the text ends in the middle of a value; export it again";

/// How much the ids of users that were seen may take.
const USER_ID_BYTES: usize = 8 * 1024 * 1024;

/// How far a file was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    All,
    Beginning,
    /// It was only opened.
    Nothing,
}

/// What was seen in a file.
#[derive(Debug)]
pub(crate) struct Glance {
    pub(crate) extent: Extent,
    /// Why the file, or what is left of it, cannot be read.
    pub(crate) failure: Option<String>,
    /// What is odd in a file that can be read.
    pub(crate) oddity: Option<String>,
}

/// Looks at one file after the other, until the limit of all of them is reached.
pub(crate) struct Glances<'s> {
    record_limit: usize,
    left: u64,
    /// The users that were seen within records of others.
    pub(crate) mentioned: KnownUsers,
    stop: &'s Stop,
}

/// What was counted in a file.
#[derive(Default)]
struct Counts {
    pieces: u64,
    wrong: u64,
    first_wrong: Option<(u64, String)>,
}

impl<'s> Glances<'s> {
    /// A record of more than `record_limit` bytes is not looked at.
    pub(crate) fn new(record_limit: usize, stop: &'s Stop) -> Self {
        Self { record_limit, left: ALL_BYTES, mentioned: KnownUsers::default(), stop }
    }

    /// Looks at the beginning of a file, and at its end where it is not compressed.
    pub(crate) fn at(&mut self, file: &ExportFile) -> Glance {
        let mut counts = Counts::default();
        let limit = FILE_BYTES.min(self.left);
        let looked =
            if limit == 0 { opened(file).map(|()| Extent::Nothing) } else { self.read(file, limit, &mut counts) };
        let looked = looked.and_then(|extent| Ok((extent, extent != Extent::All && is_cut(file)?)));
        let mut oddity = counts.oddity(file);
        let (extent, mut failure) = match looked {
            Ok((extent, false)) => (extent, None),
            Ok((extent, true)) if file.form == Form::Lines => {
                let cut = || format!("`{}`: the last line is not complete; was the file cut short?", file.name);
                oddity.get_or_insert_with(cut);
                (extent, None)
            }
            Ok((extent, true)) => (extent, Some(damaged(&file.name, CUT_SHORT).to_string())),
            Err(error) => (Extent::All, Some(error.to_string())),
        };
        if counts.wrong > 0 && counts.wrong == counts.pieces && failure.is_none() {
            failure = oddity.take();
        }
        if counts.pieces == 0 && extent == Extent::All && failure.is_none() && file.form == Form::Lines {
            oddity = Some(format!("`{}` is empty", file.name));
        }
        Glance { extent, failure, oddity }
    }

    /// Reads up to `limit` bytes of the text of a file.
    fn read(&mut self, file: &ExportFile, limit: u64, counts: &mut Counts) -> Result<Extent> {
        let is_reached = Rc::new(Cell::new(false));
        let left = Rc::new(Cell::new(limit));
        let text = decode::open(file, None, self.stop)?;
        let text = Bounded { text, left: Rc::clone(&left), is_reached: Rc::clone(&is_reached) };
        let mut pieces = Pieces::of_text(file, Box::new(text), 1, self.record_limit);
        let outcome = loop {
            match pieces.next() {
                Ok(Some(piece)) => self.piece(file, &piece, counts),
                Ok(None) => break Ok(Extent::All),
                Err(_) if is_reached.get() => break Ok(Extent::Beginning),
                Err(error) => break Err(error),
            }
        };
        self.left = self.left.saturating_sub(limit - left.get());
        outcome
    }

    fn piece(&mut self, file: &ExportFile, piece: &Piece<'_>, counts: &mut Counts) {
        counts.pieces += 1;
        let Content::Whole(bytes) = piece.content else { return };
        let json = match json::object(bytes) {
            Ok(json) => json,
            Err(reason) => {
                counts.wrong += 1;
                counts.first_wrong.get_or_insert((piece.line, reason));
                return;
            }
        };
        // Gathering users does not fail.
        let _ = gather(Unit::Users, file.unit, json, &mut |embedded| {
            if let Embedded::Record { json, .. } = embedded {
                self.mentioned.add(json, USER_ID_BYTES);
            }
            Ok(())
        });
    }
}

impl Counts {
    /// What was seen that is no record.
    fn oddity(&self, file: &ExportFile) -> Option<String> {
        let (place, reason) = self.first_wrong.as_ref()?;
        let (of, name, Self { wrong, pieces, .. }) = (self.pieces, &file.name, self);
        let what = if file.form == Form::Lines { "line" } else { "record" };
        Some(match (wrong, pieces) {
            (1, 1) => format!("`{name}`: the only {what} is not a JSON object: {reason}"),
            _ => format!(
                "`{name}`: {wrong} of the {of} {what}s that were looked at are not JSON objects; the first is {what} \
                 {place}: {reason}"
            ),
        })
    }
}

/// Looks whether a file can be opened.
fn opened(file: &ExportFile) -> Result<()> {
    open_regular(&file.path).map(drop).map_err(|error| failed("check", "open the file", &file.name, error))
}

/// Whether a file of which only the beginning was read ends in the middle of a value.
fn is_cut(file: &ExportFile) -> Result<bool> {
    if file.compression != Compression::None {
        return Ok(false);
    }
    let unreadable = |error| failed("check", "read the file", &file.name, error);
    let mut opened = open_regular(&file.path).map_err(unreadable)?;
    let length = opened.metadata().map_err(unreadable)?.len();
    opened.seek(SeekFrom::Start(length.saturating_sub(END_BYTES))).map_err(unreadable)?;
    let mut end = Vec::new();
    opened.take(END_BYTES).read_to_end(&mut end).map_err(unreadable)?;
    Ok(end.trim_ascii_end().last().is_some_and(|last| !b"}]".contains(last)))
}

/// A text of which at most `left` bytes are read. Reading beyond them sets `is_reached` and fails.
struct Bounded {
    text: Box<dyn Read>,
    left: Rc<Cell<u64>>,
    is_reached: Rc<Cell<bool>>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.left.get()).unwrap_or(usize::MAX);
        if left > 0 {
            let length = buffer.len().min(left);
            let read = self.text.read(buffer.get_mut(..length).unwrap_or_default())?;
            self.left.set(self.left.get().saturating_sub(u64::try_from(read).unwrap_or_default()));
            return Ok(read);
        }
        // A text that ends exactly here was read to its end.
        if self.text.read(&mut [0])? == 0 {
            return Ok(0);
        }
        self.is_reached.set(true);
        Err(io::Error::other("enough was looked at"))
    }
}
