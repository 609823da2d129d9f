use endpoint_api::{
    CdmBatch, Error, ErrorKind, Result,
    arrow::array::{
        Array as _, BooleanArray, Date32Array, FixedSizeBinaryArray, Float64Array, Int16Array, Int32Array, Int64Array,
        ListArray, StringArray, TimestampMicrosecondArray,
    },
};

use crate::{Column, ColumnType, plumbing};

/// A column of a batch, seen as what its table's column holds.
#[derive(Debug, Clone, Copy)]
pub enum BatchColumn<'a> {
    /// Text.
    Text(&'a StringArray),
    /// True or false.
    Bool(&'a BooleanArray),
    /// Whole numbers of 16 bits.
    Int16(&'a Int16Array),
    /// Whole numbers of 32 bits.
    Int32(&'a Int32Array),
    /// Whole numbers of 64 bits.
    Int64(&'a Int64Array),
    /// Floating-point numbers.
    Float64(&'a Float64Array),
    /// Days since 1970-01-01.
    Date(&'a Date32Array),
    /// Microseconds since 1970-01-01T00:00:00 UTC.
    Timestamp(&'a TimestampMicrosecondArray),
    /// Lists of texts.
    TextList(&'a ListArray),
    /// JSON for queries.
    Json(&'a StringArray),
    /// JSON as received.
    RawJson(&'a StringArray),
    /// Bytes.
    Bytes(&'a FixedSizeBinaryArray),
}

/// The columns that differ from row to row, in the order in which they are copied: the model's, then the
/// plumbing that comes with each row.
pub fn row_columns(fields: &[Column]) -> Vec<(String, ColumnType)> {
    let fields = fields.iter().map(|column| (column.name.clone(), column.column_type));
    fields.chain(plumbing::OF_A_ROW.map(|(name, column_type)| (name.to_owned(), column_type))).collect()
}

/// Those columns of a batch.
///
/// # Errors
///
/// [`ErrorKind::Internal`] when the batch lacks one, or has it with another type.
pub fn batch_columns<'b>(batch: &'b CdmBatch, columns: &[(String, ColumnType)]) -> Result<Vec<BatchColumn<'b>>> {
    let wrong =
        |message: String, name: &str| Err(Error::new(ErrorKind::Internal, "copy rows", message).with("column", name));
    let mut found = Vec::with_capacity(columns.len());
    for (name, column_type) in columns {
        let Some(array) = batch.rows().column_by_name(name) else {
            return wrong("a column of the batch is missing".to_owned(), name);
        };
        match BatchColumn::new(array.as_any(), *column_type) {
            Some(column) => found.push(column),
            None => {
                return wrong(format!("a column of the batch is {}, not {column_type:?}", array.data_type()), name);
            }
        }
    }
    Ok(found)
}

impl<'a> BatchColumn<'a> {
    fn new(array: &'a dyn std::any::Any, column_type: ColumnType) -> Option<Self> {
        match column_type {
            ColumnType::Text => array.downcast_ref().map(Self::Text),
            ColumnType::Bool => array.downcast_ref().map(Self::Bool),
            ColumnType::Int16 => array.downcast_ref().map(Self::Int16),
            ColumnType::Int32 => array.downcast_ref().map(Self::Int32),
            ColumnType::Int64 => array.downcast_ref().map(Self::Int64),
            ColumnType::Float64 => array.downcast_ref().map(Self::Float64),
            ColumnType::Date => array.downcast_ref().map(Self::Date),
            ColumnType::Timestamp => array.downcast_ref().map(Self::Timestamp),
            ColumnType::TextList => array.downcast_ref().map(Self::TextList),
            ColumnType::Json => array.downcast_ref().map(Self::Json),
            ColumnType::RawJson => array.downcast_ref().map(Self::RawJson),
            ColumnType::Bytes => array.downcast_ref().map(Self::Bytes),
        }
    }
}
