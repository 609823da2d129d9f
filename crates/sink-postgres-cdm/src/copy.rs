//! Rows in the binary format of `COPY`.
//!
//! The format: <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4>.

use bytes::{BufMut, Bytes, BytesMut};
use endpoint_api::{
    Error, ErrorKind, Result,
    arrow::array::{Array as _, StringArray},
};
use relational::BatchColumn;
use tokio_postgres::types::Type;

/// The signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: i16 = -1;
const NULL: i32 = -1;

/// Microseconds and days from 1970-01-01 to 2000-01-01, where PostgreSQL begins to count.
const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;
const EPOCH_DAYS: i32 = 10_957;

/// Appends the value of a column in a row.
fn append(column: &BatchColumn<'_>, row: usize, out: &mut BytesMut) -> Result<()> {
    match column {
        BatchColumn::Text(column) | BatchColumn::RawJson(column) if column.is_valid(row) => {
            sized(column.value(row).as_bytes(), out)?
        }
        BatchColumn::Json(column) if column.is_valid(row) => {
            // One byte for the version of the format of jsonb.
            let json = column.value(row).as_bytes();
            out.put_i32(length(json.len() + 1)?);
            out.put_u8(1);
            out.put_slice(json);
        }
        BatchColumn::Bytes(column) if column.is_valid(row) => sized(column.value(row), out)?,
        BatchColumn::Bool(column) if column.is_valid(row) => {
            out.put_i32(1);
            out.put_u8(u8::from(column.value(row)));
        }
        BatchColumn::Int16(column) if column.is_valid(row) => {
            out.put_i32(2);
            out.put_i16(column.value(row));
        }
        BatchColumn::Int32(column) if column.is_valid(row) => {
            out.put_i32(4);
            out.put_i32(column.value(row));
        }
        BatchColumn::Int64(column) if column.is_valid(row) => {
            out.put_i32(8);
            out.put_i64(column.value(row));
        }
        BatchColumn::Float64(column) if column.is_valid(row) => {
            out.put_i32(8);
            out.put_f64(column.value(row));
        }
        BatchColumn::Date(column) if column.is_valid(row) => {
            out.put_i32(4);
            out.put_i32(column.value(row).saturating_sub(EPOCH_DAYS));
        }
        BatchColumn::Timestamp(column) if column.is_valid(row) => {
            out.put_i32(8);
            out.put_i64(column.value(row).saturating_sub(EPOCH_MICROSECONDS));
        }
        BatchColumn::TextList(column) if column.is_valid(row) => {
            let texts = column.value(row);
            let texts = texts
                .as_any()
                .downcast_ref::<StringArray>()
                .ok_or_else(|| Error::new(ErrorKind::Internal, "copy", "a list holds something but text"))?;
            text_list(texts, out)?;
        }
        _ => out.put_i32(NULL),
    }
    Ok(())
}

/// An array of text with one dimension, or with none when it is empty.
fn text_list(texts: &StringArray, out: &mut BytesMut) -> Result<()> {
    let start = out.len();
    out.put_i32(0); // the size, known at the end
    out.put_i32(i32::from(!texts.is_empty()));
    out.put_i32(i32::from(texts.null_count() > 0));
    out.put_u32(Type::TEXT.oid());
    if !texts.is_empty() {
        out.put_i32(length(texts.len())?);
        out.put_i32(1);
    }
    for text in texts {
        match text {
            Some(text) => sized(text.as_bytes(), out)?,
            None => out.put_i32(NULL),
        }
    }
    let size = length(out.len() - start - 4)?;
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&size.to_be_bytes());
    }
    Ok(())
}

fn sized(bytes: &[u8], out: &mut BytesMut) -> Result<()> {
    out.put_i32(length(bytes.len())?);
    out.put_slice(bytes);
    Ok(())
}

fn length(length: usize) -> Result<i32> {
    i32::try_from(length).map_err(|_| Error::new(ErrorKind::Internal, "copy", "a value is larger than 2 GiB"))
}

/// The server takes what is sent in pieces of about so many bytes, and needs memory for one of them.
const PIECE_BYTES: usize = 64 * 1024;

/// Rows in the format, piece by piece: while the server takes one in, the next is made.
pub(crate) struct Encoder<'b> {
    columns: Vec<BatchColumn<'b>>,
    fields: i16,
    out: BytesMut,
    /// What is left of a large row: whoever sends a piece copies it.
    rest: Bytes,
    has_ended: bool,
}

impl<'b> Encoder<'b> {
    /// For rows of `columns` and so many cells more.
    pub(crate) fn new(columns: Vec<BatchColumn<'b>>, cells: usize) -> Result<Self> {
        let fields = i16::try_from(columns.len() + cells)
            .map_err(|_| Error::new(ErrorKind::Internal, "copy", "a table has more columns than the format allows"))?;
        let mut out = BytesMut::with_capacity(PIECE_BYTES + PIECE_BYTES / 4);
        out.put_slice(HEADER);
        Ok(Self { columns, fields, out, rest: Bytes::new(), has_ended: false })
    }

    /// The next piece; each row is cells that are encoded already, a row of the columns, and cells again. `None`
    /// behind the last one.
    pub(crate) fn piece<'c>(
        &mut self,
        rows: &mut impl Iterator<Item = (&'c [u8], usize, &'c [u8])>,
    ) -> Result<Option<Bytes>> {
        if !self.rest.is_empty() {
            return Ok(Some(self.rest.split_to(self.rest.len().min(PIECE_BYTES))));
        }
        while !self.has_ended && self.out.len() < PIECE_BYTES {
            let Some((before, row, after)) = rows.next() else {
                self.has_ended = true;
                self.out.put_i16(TRAILER);
                break;
            };
            self.out.put_i16(self.fields);
            self.out.put_slice(before);
            for column in &self.columns {
                append(column, row, &mut self.out)?;
            }
            self.out.put_slice(after);
        }
        if self.out.len() > 4 * PIECE_BYTES {
            // Its memory is free with the last piece of it.
            self.rest = std::mem::take(&mut self.out).freeze();
            return self.piece(rows);
        }
        let piece = self.out.split().freeze();
        self.out.reserve(PIECE_BYTES + PIECE_BYTES / 4);
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }
}

/// A cell of one's own, encoded.
pub(crate) fn cell(value: &[u8]) -> Result<Vec<u8>> {
    let mut out = BytesMut::with_capacity(value.len() + 4);
    sized(value, &mut out)?;
    Ok(out.to_vec())
}

/// A cell with a whole number of 16 bits, encoded.
pub(crate) fn int2(value: i16) -> [u8; 6] {
    let [high, low] = value.to_be_bytes();
    [0, 0, 0, 2, high, low]
}

/// A time in microseconds since 1970 as the server keeps it.
pub(crate) fn timestamp(microseconds: i64) -> [u8; 8] {
    microseconds.saturating_sub(EPOCH_MICROSECONDS).to_be_bytes()
}
