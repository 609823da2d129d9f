use std::io::{Read as _, Seek as _, SeekFrom};

use serde::{Deserialize, Serialize};

use crate::{files::ExportFile, fingerprint::LineRange};

/// Where a file of lines was cut into ranges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cuts {
    /// About how large the ranges were to be.
    slice_bytes: u64,
    /// Of each range but the first, where it begins and the number of its first line.
    at: Vec<(u64, u64)>,
}

impl Cuts {
    /// The cuts between the ranges of a file; `None` when it has none.
    pub(crate) fn of(ranges: &[LineRange], slice_bytes: u64) -> Option<Self> {
        let (_, rest) = ranges.split_first()?;
        Some(Self { slice_bytes, at: rest.iter().map(|range| (range.start, range.first_line)).collect() })
    }

    /// The ranges of a file of so many bytes, where they are to be as large as they were, and lines still begin
    /// where they begin.
    pub(crate) fn ranges(&self, file: &ExportFile, bytes: u64, slice_bytes: u64) -> Option<Vec<LineRange>> {
        if self.slice_bytes != slice_bytes || !self.at.is_sorted() {
            return None;
        }
        let mut input = local_files::open_regular(&file.path).ok()?;
        let mut ranges = vec![LineRange { start: 0, end: bytes, first_line: 1 }];
        for &(start, first_line) in &self.at {
            let mut before = [0];
            input.seek(SeekFrom::Start(start.checked_sub(1)?)).ok()?;
            input.read_exact(&mut before).ok()?;
            if before != *b"\n" {
                return None;
            }
            ranges.last_mut()?.end = start;
            ranges.push(LineRange { start, end: bytes, first_line });
        }
        Some(ranges)
    }
}
