use std::{fmt, io::Read};

use endpoint_api::{Error, Result, Room, batch::Origin};

use crate::{
    buffer::{Content, Piece, RecordBuffer},
    decode::{self, unreadable},
    elements::{Elements, SplitError},
    error::{damaged, stopped},
    files::{ExportFile, Form},
    fingerprint::LineRange,
    lines::Lines,
    stop::Stop,
};

/// What should be the records of a file, one after the other, in whatever way they stand there.
pub(crate) struct Pieces {
    name: String,
    splitter: Splitter,
}

enum Splitter {
    Lines(Lines<Box<dyn Read>>),
    Elements(Box<Elements<Box<dyn Read>>>),
}

impl Pieces {
    /// Opens a file, or a range of one that has ranges. Of a piece longer than `limit` bytes only the
    /// beginning is held in memory.
    pub(crate) fn open(file: &ExportFile, range: Option<&LineRange>, limit: usize, stop: &Stop) -> Result<Self> {
        let text = decode::open(file, range, stop)?;
        Ok(Self::of_text(file, text, range.map_or(1, |range| range.first_line), limit))
    }

    /// The pieces of a text of the file, whose first line has the number `first_line`.
    pub(crate) fn of_text(file: &ExportFile, text: Box<dyn Read>, first_line: u64, limit: usize) -> Self {
        let splitter = match file.form {
            Form::Lines => Splitter::Lines(Lines::new(text, first_line, limit)),
            Form::Values => Splitter::Elements(Box::new(Elements::new(text, file.unit.name(), limit))),
        };
        Self { name: file.name.clone(), splitter }
    }

    /// The next piece.
    pub(crate) fn next(&mut self) -> Result<Option<Piece<'_>>> {
        match &mut self.splitter {
            Splitter::Lines(lines) => lines.next().map_err(|error| unreadable(&self.name, error)),
            Splitter::Elements(elements) => elements.next().map_err(|error| unsplit(&self.name, error)),
        }
    }

    /// From now on large records wait for room, and what [`next`](Self::next) gives is to be followed by
    /// [`release`](Self::release).
    pub(crate) fn wait_for_room(mut self, stop: &Stop) -> Self {
        self.buffer().wait_for_room(stop);
        self
    }

    /// Gives up the memory of the last piece when that was a large one; its room goes where the record went.
    ///
    /// # Errors
    ///
    /// Why there was no room: the piece was not all of it then.
    pub(crate) fn release(&mut self) -> Result<Option<Room>> {
        let buffer = self.buffer();
        buffer.take_failure().map_or_else(|| Ok(buffer.release()), Err)
    }

    fn buffer(&mut self) -> &mut RecordBuffer {
        match &mut self.splitter {
            Splitter::Lines(lines) => lines.buffer(),
            Splitter::Elements(elements) => elements.buffer(),
        }
    }
}

/// Shows `look` the text of each whole record of a file, until it has seen enough and says `false`. Says whether it has
/// not. What is longer than `limit` bytes, or not text, is left out.
pub(crate) fn each_text(
    file: &ExportFile,
    limit: usize,
    stop: &Stop,
    look: &mut dyn FnMut(&str) -> bool,
) -> Result<bool> {
    let mut pieces = Pieces::open(file, None, limit, stop)?;
    while let Some(Piece { content, .. }) = pieces.next()? {
        if stop.is_set() {
            return Err(stopped());
        }
        let Content::Whole(bytes) = content else { continue };
        let Ok(json) = std::str::from_utf8(bytes) else { continue };
        if !look(json) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn unsplit(name: &str, error: SplitError) -> Error {
    match error {
        SplitError::Read(error) => unreadable(name, error),
        SplitError::Malformed { offset, what } => {
            let message = format!("{what}; export it again, or call it `.jsonl` if it has one record a line");
            damaged(name, message).with("byte", offset)
        }
    }
}

/// Where a piece of the file `name` stands, as people read it.
pub(crate) fn origin(name: &str, line: u64) -> impl fmt::Display + '_ {
    Origin { resource: name, line: Some(line), part: None }
}
