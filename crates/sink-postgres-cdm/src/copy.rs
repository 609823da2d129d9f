//! Rows in the binary format of `COPY`.
//!
//! The format: <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4>.

use bytes::{BufMut, Bytes, BytesMut};
use endpoint_api::{
    Error, ErrorKind, Result,
    arrow::array::{
        Array, ArrayRef, BooleanArray, Date32Array, FixedSizeBinaryArray, Float64Array, Int16Array, Int32Array,
        Int64Array, ListArray, StringArray, TimestampMicrosecondArray,
    },
};
use relational::ColumnType;
use tokio_postgres::types::Type;

/// The signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: i16 = -1;
const NULL: i32 = -1;

/// Microseconds and days from 1970-01-01 to 2000-01-01, where PostgreSQL begins to count.
const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;
const EPOCH_DAYS: i32 = 10_957;

/// A column of a batch, seen as what it is copied as.
pub(crate) enum CopyColumn<'a> {
    Text(&'a StringArray),
    Bool(&'a BooleanArray),
    Int16(&'a Int16Array),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Float64(&'a Float64Array),
    Date(&'a Date32Array),
    Timestamp(&'a TimestampMicrosecondArray),
    TextList(&'a ListArray),
    Json(&'a StringArray),
    Bytes(&'a FixedSizeBinaryArray),
}

impl<'a> CopyColumn<'a> {
    /// An Arrow column as a column of that type.
    pub(crate) fn new(array: &'a ArrayRef, column_type: ColumnType) -> Result<Self> {
        let any = array.as_any();
        let column = match column_type {
            ColumnType::Text | ColumnType::RawJson => any.downcast_ref().map(Self::Text),
            ColumnType::Bool => any.downcast_ref().map(Self::Bool),
            ColumnType::Int16 => any.downcast_ref().map(Self::Int16),
            ColumnType::Int32 => any.downcast_ref().map(Self::Int32),
            ColumnType::Int64 => any.downcast_ref().map(Self::Int64),
            ColumnType::Float64 => any.downcast_ref().map(Self::Float64),
            ColumnType::Date => any.downcast_ref().map(Self::Date),
            ColumnType::Timestamp => any.downcast_ref().map(Self::Timestamp),
            ColumnType::TextList => any.downcast_ref().map(Self::TextList),
            ColumnType::Json => any.downcast_ref().map(Self::Json),
            ColumnType::Bytes => any.downcast_ref().map(Self::Bytes),
        };
        column.ok_or_else(|| {
            let message = format!("a column of the batch is {}, which is not {column_type:?}", array.data_type());
            Error::new(ErrorKind::Internal, "copy", message)
        })
    }

    /// Appends the value of a row.
    fn append(&self, row: usize, out: &mut BytesMut) -> Result<()> {
        match self {
            Self::Text(column) if column.is_valid(row) => sized(column.value(row).as_bytes(), out)?,
            Self::Json(column) if column.is_valid(row) => {
                // One byte for the version of the format of jsonb.
                let json = column.value(row).as_bytes();
                out.put_i32(length(json.len() + 1)?);
                out.put_u8(1);
                out.put_slice(json);
            }
            Self::Bytes(column) if column.is_valid(row) => sized(column.value(row), out)?,
            Self::Bool(column) if column.is_valid(row) => {
                out.put_i32(1);
                out.put_u8(u8::from(column.value(row)));
            }
            Self::Int16(column) if column.is_valid(row) => {
                out.put_i32(2);
                out.put_i16(column.value(row));
            }
            Self::Int32(column) if column.is_valid(row) => {
                out.put_i32(4);
                out.put_i32(column.value(row));
            }
            Self::Int64(column) if column.is_valid(row) => {
                out.put_i32(8);
                out.put_i64(column.value(row));
            }
            Self::Float64(column) if column.is_valid(row) => {
                out.put_i32(8);
                out.put_f64(column.value(row));
            }
            Self::Date(column) if column.is_valid(row) => {
                out.put_i32(4);
                out.put_i32(column.value(row).saturating_sub(EPOCH_DAYS));
            }
            Self::Timestamp(column) if column.is_valid(row) => {
                out.put_i32(8);
                out.put_i64(column.value(row).saturating_sub(EPOCH_MICROSECONDS));
            }
            Self::TextList(column) if column.is_valid(row) => {
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

/// Rows in the format: each is the given row of the columns, between cells of its own.
pub(crate) struct Encoder {
    out: BytesMut,
    fields: i16,
}

impl Encoder {
    /// For rows of `columns` and so many cells more, about `bytes` of them in all.
    pub(crate) fn new(columns: usize, cells: usize, bytes: usize) -> Result<Self> {
        let fields = i16::try_from(columns + cells)
            .map_err(|_| Error::new(ErrorKind::Internal, "copy", "a table has more columns than the format allows"))?;
        let mut out = BytesMut::with_capacity(bytes);
        out.put_slice(HEADER);
        Ok(Self { out, fields })
    }

    /// Appends a row: cells that are encoded already, the row of the columns, and cells again.
    pub(crate) fn row(&mut self, before: &[u8], columns: &[CopyColumn<'_>], row: usize, after: &[u8]) -> Result<()> {
        self.out.put_i16(self.fields);
        self.out.put_slice(before);
        for column in columns {
            column.append(row, &mut self.out)?;
        }
        self.out.put_slice(after);
        Ok(())
    }

    /// All of it.
    pub(crate) fn finish(mut self) -> Bytes {
        self.out.put_i16(TRAILER);
        self.out.freeze()
    }
}

/// A cell of one's own, encoded.
pub(crate) fn cell(value: &[u8]) -> Result<Vec<u8>> {
    let mut out = BytesMut::with_capacity(value.len() + 4);
    sized(value, &mut out)?;
    Ok(out.to_vec())
}

/// A time in microseconds since 1970 as the server keeps it.
pub(crate) fn timestamp(microseconds: i64) -> [u8; 8] {
    microseconds.saturating_sub(EPOCH_MICROSECONDS).to_be_bytes()
}
