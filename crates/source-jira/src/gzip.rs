use std::{
    fmt,
    io::{self, BufRead, Read},
};

use flate2::bufread::GzDecoder;

/// The text of a gzip file: of all its members, one after the other. Zero bytes after the last one are padding.
pub(crate) struct Members<R> {
    /// The member that is being read; `None` after the last one.
    member: Option<GzDecoder<R>>,
}

/// The first two bytes of a member.
pub(crate) const MAGIC: &[u8] = b"\x1F\x8B";

/// After the last member come bytes that are neither a member nor padding.
#[derive(Debug)]
pub(crate) struct TrailingBytes;

impl fmt::Display for TrailingBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("other bytes follow the compressed data")
    }
}

impl std::error::Error for TrailingBytes {}

impl<R: BufRead> Members<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { member: Some(GzDecoder::new(input)) }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            if let Some(ended) = self.member.take() {
                self.member = next_member(ended.into_inner())?;
            }
        }
        Ok(0)
    }
}

fn next_member<R: BufRead>(mut input: R) -> io::Result<Option<GzDecoder<R>>> {
    loop {
        let chunk = match input.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        match chunk.first() {
            None => return Ok(None),
            Some(0) => {
                let zeros = chunk.iter().take_while(|byte| **byte == 0).count();
                input.consume(zeros);
            }
            Some(first) if Some(first) == MAGIC.first() => return Ok(Some(GzDecoder::new(input))),
            Some(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, TrailingBytes)),
        }
    }
}
