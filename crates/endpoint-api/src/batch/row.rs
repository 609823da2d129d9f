use std::{fmt, ops::Range};

use cdm_models::{FieldDescriptor, LogicalType, ModelDescriptor};
use serde::{
    Serialize,
    ser::{self, Impossible, SerializeSeq, SerializeStruct, Serializer},
};

use super::HashValue;

/// One row, cell by cell, before it is known to be good. Its memory is used again for the next row.
#[derive(Debug, Default)]
pub(super) struct RowBuffer {
    text: String,
    items: Vec<Range<usize>>,
    cells: Vec<Cell>,
    /// How many characters that no text can hold were replaced.
    changes: u32,
}

#[derive(Debug, Clone)]
enum Cell {
    Null,
    Text(Range<usize>),
    Bool(bool),
    Int(i64),
    Float(f64),
    List(Range<usize>),
}

/// The value of a cell, as it goes into a column.
#[derive(Debug, Clone, Copy)]
pub(super) enum CellValue<'a> {
    Null,
    Text(&'a str),
    Bool(bool),
    Int(i64),
    Float(f64),
    List(&'a [&'a str]),
}

/// What the buffer keeps for the next row after a large one.
const KEPT_BYTES: usize = 256 * 1024;

impl RowBuffer {
    /// Gives back the memory that a large row took.
    pub(super) fn release(&mut self) {
        if self.text.capacity() > KEPT_BYTES {
            self.text = String::new();
        }
    }

    /// Fills the buffer with the fields of `row`, which must be a struct of `model`.
    pub(super) fn fill<R: Serialize + ?Sized>(&mut self, model: &ModelDescriptor, row: &R) -> Result<(), RowError> {
        self.text.clear();
        self.items.clear();
        self.cells.clear();
        self.changes = 0;
        row.serialize(RowSerializer { fields: model.fields.iter(), buffer: self })?;
        if self.cells.len() != model.fields.len() {
            return Err(ser::Error::custom(format_args!("the row has fields other than those of `{}`", model.id)));
        }
        Ok(())
    }

    pub(super) fn changes(&self) -> u32 {
        self.changes
    }

    /// Every list's texts, in one row: what [`value`](Self::value) points into.
    pub(super) fn list_items(&self) -> Vec<&str> {
        self.items.iter().map(|range| self.slice(range)).collect()
    }

    /// The cell at `index`; `items` are this row's [`list_items`](Self::list_items).
    pub(super) fn value<'a>(&'a self, index: usize, items: &'a [&'a str]) -> CellValue<'a> {
        match self.cells.get(index) {
            None | Some(Cell::Null) => CellValue::Null,
            Some(Cell::Text(range)) => CellValue::Text(self.slice(range)),
            Some(Cell::Bool(value)) => CellValue::Bool(*value),
            Some(Cell::Int(value)) => CellValue::Int(*value),
            Some(Cell::Float(value)) => CellValue::Float(*value),
            Some(Cell::List(range)) => CellValue::List(items.get(range.clone()).unwrap_or_default()),
        }
    }

    fn slice(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }

    /// Appends text, with U+FFFD in the place of each U+0000.
    fn push_text(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        let mut rest = text;
        while let Some((piece, behind)) = memchr::memchr(0, rest.as_bytes()).and_then(|at| rest.split_at_checked(at)) {
            self.text.push_str(piece);
            self.text.push('\u{FFFD}');
            self.changes = self.changes.saturating_add(1);
            rest = behind.get(1..).unwrap_or_default();
        }
        if rest.len() > KEPT_BYTES {
            // Growing as usual, to twice what is there, would take as much memory once more.
            self.text.reserve_exact(rest.len());
        }
        self.text.push_str(rest);
        start..self.text.len()
    }
}

impl<'a> CellValue<'a> {
    /// The value as it is hashed in a field of `logical_type`.
    pub(super) fn hashed(self, logical_type: LogicalType) -> HashValue<'a> {
        match self {
            Self::Null => HashValue::Null,
            Self::Bool(value) => HashValue::Bool(value),
            Self::Float(value) => HashValue::Float64(value),
            Self::List(texts) => HashValue::TextList(texts),
            Self::Int(days) if logical_type == LogicalType::Date => {
                HashValue::Date(i32::try_from(days).unwrap_or(i32::MAX))
            }
            Self::Int(value) => HashValue::Int64(value),
            Self::Text(text) => match logical_type {
                LogicalType::Json => HashValue::CanonicalJson(text),
                LogicalType::RawJson => HashValue::RawJson(text),
                _ => HashValue::Text(text),
            },
        }
    }
}

/// A row that its model's struct made and that yet does not fit the model.
#[derive(Debug)]
pub(super) struct RowError {
    pub(super) field: Option<String>,
    pub(super) problem: String,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for RowError {}

impl ser::Error for RowError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { field: None, problem: message.to_string() }
    }
}

/// Takes the struct apart, field by field, against the fields of the model.
struct RowSerializer<'b> {
    fields: std::slice::Iter<'b, FieldDescriptor>,
    buffer: &'b mut RowBuffer,
}

impl SerializeStruct for RowSerializer<'_> {
    type Ok = ();
    type Error = RowError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), RowError> {
        let field = self.fields.next().filter(|field| field.name == name).ok_or_else(|| {
            <RowError as ser::Error>::custom(format_args!("the row has an unexpected field `{name}`"))
        })?;
        let cell = value
            .serialize(CellSerializer { logical_type: field.logical_type, buffer: self.buffer })
            .map_err(|error| RowError { field: Some(field.name.clone()), ..error })?;
        self.buffer.cells.push(cell);
        Ok(())
    }

    fn end(self) -> Result<(), RowError> {
        Ok(())
    }
}

/// Makes one cell of one value.
struct CellSerializer<'b> {
    logical_type: LogicalType,
    buffer: &'b mut RowBuffer,
}

impl CellSerializer<'_> {
    fn expect(&self, expected: &[LogicalType], found: &str) -> Result<(), RowError> {
        if expected.contains(&self.logical_type) {
            return Ok(());
        }
        Err(ser::Error::custom(format_args!("expected {}, found {found}", self.logical_type)))
    }

    fn text(self, text: &str) -> Result<Cell, RowError> {
        self.expect(&[LogicalType::Text, LogicalType::Json, LogicalType::RawJson], "text")?;
        Ok(Cell::Text(self.buffer.push_text(text)))
    }

    fn int(self, value: impl TryInto<i64>) -> Result<Cell, RowError> {
        self.expect(&[LogicalType::Int64, LogicalType::Timestamp, LogicalType::Date], "a whole number")?;
        value.try_into().map(Cell::Int).map_err(|_| ser::Error::custom("expected a whole number of 64 bits with sign"))
    }

    fn float(self, value: f64) -> Result<Cell, RowError> {
        self.expect(&[LogicalType::Float64], "a floating-point number")?;
        // Databases do not agree on whether zero has a sign.
        Ok(Cell::Float(value + 0.0))
    }
}

/// Collects a list of texts.
struct ListSerializer<'b> {
    start: usize,
    buffer: &'b mut RowBuffer,
}

impl SerializeSeq for ListSerializer<'_> {
    type Ok = Cell;
    type Error = RowError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), RowError> {
        match value.serialize(CellSerializer { logical_type: LogicalType::Text, buffer: self.buffer })? {
            Cell::Text(range) => {
                self.buffer.items.push(range);
                Ok(())
            }
            _ => Err(ser::Error::custom("expected a list of texts")),
        }
    }

    fn end(self) -> Result<Cell, RowError> {
        Ok(Cell::List(self.start..self.buffer.items.len()))
    }
}

/// Refuses each of the given serde types.
macro_rules! refuse {
    ($ok:ty: $($method:ident($($argument:ty),*)),* $(,)?) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$ok, RowError> {
            Err(ser::Error::custom(concat!("a value of a type that no column holds: ", stringify!($method))))
        })*
    };
}

/// What neither a row nor a cell can be.
macro_rules! refuse_compounds {
    ($ok:ty) => {
        type Ok = $ok;
        type Error = RowError;
        type SerializeTuple = Impossible<$ok, RowError>;
        type SerializeTupleStruct = Impossible<$ok, RowError>;
        type SerializeTupleVariant = Impossible<$ok, RowError>;
        type SerializeMap = Impossible<$ok, RowError>;
        type SerializeStructVariant = Impossible<$ok, RowError>;

        fn is_human_readable(&self) -> bool {
            false
        }

        fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<$ok, RowError> {
            value.serialize(self)
        }

        fn serialize_newtype_variant<T: Serialize + ?Sized>(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: &T,
        ) -> Result<$ok, RowError> {
            Err(ser::Error::custom("a value of a type that no column holds: an enum with data"))
        }

        refuse!($ok: serialize_unit(), serialize_unit_struct(&'static str), serialize_bytes(&[u8]));

        fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, RowError> {
            Err(ser::Error::custom("a value of a type that no column holds: a tuple"))
        }

        fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, RowError> {
            Err(ser::Error::custom("a value of a type that no column holds: a tuple"))
        }

        fn serialize_tuple_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeTupleVariant, RowError> {
            Err(ser::Error::custom("a value of a type that no column holds: an enum with data"))
        }

        fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, RowError> {
            Err(ser::Error::custom("a value of a type that no column holds: a map"))
        }

        fn serialize_struct_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeStructVariant, RowError> {
            Err(ser::Error::custom("a value of a type that no column holds: an enum with data"))
        }
    };
}

impl<'b> Serializer for RowSerializer<'b> {
    type SerializeSeq = Impossible<(), RowError>;
    type SerializeStruct = Self;

    refuse_compounds!(());
    refuse!((): serialize_bool(bool), serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
        serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64), serialize_f32(f32),
        serialize_f64(f64), serialize_char(char), serialize_str(&str), serialize_none(),
        serialize_unit_variant(&'static str, u32, &'static str));

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), RowError> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, RowError> {
        Err(ser::Error::custom("a row must be a struct, not a list"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, RowError> {
        Ok(self)
    }
}

impl<'b> Serializer for CellSerializer<'b> {
    type SerializeSeq = ListSerializer<'b>;
    type SerializeStruct = Impossible<Cell, RowError>;

    refuse_compounds!(Cell);

    fn serialize_bool(self, value: bool) -> Result<Cell, RowError> {
        self.expect(&[LogicalType::Bool], "true or false")?;
        Ok(Cell::Bool(value))
    }

    fn serialize_i8(self, value: i8) -> Result<Cell, RowError> {
        self.int(value)
    }

    fn serialize_i16(self, value: i16) -> Result<Cell, RowError> {
        self.int(value)
    }

    fn serialize_i32(self, value: i32) -> Result<Cell, RowError> {
        self.int(value)
    }

    fn serialize_i64(self, value: i64) -> Result<Cell, RowError> {
        self.int(value)
    }

    fn serialize_u8(self, value: u8) -> Result<Cell, RowError> {
        self.int(value)
    }

    fn serialize_u16(self, value: u16) -> Result<Cell, RowError> {
        self.int(value)
    }

    fn serialize_u32(self, value: u32) -> Result<Cell, RowError> {
        self.int(value)
    }

    fn serialize_u64(self, value: u64) -> Result<Cell, RowError> {
        self.int(value)
    }

    fn serialize_f32(self, value: f32) -> Result<Cell, RowError> {
        self.float(f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Result<Cell, RowError> {
        self.float(value)
    }

    fn serialize_char(self, value: char) -> Result<Cell, RowError> {
        self.text(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<Cell, RowError> {
        self.text(value)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Cell, RowError> {
        self.text(variant)
    }

    fn serialize_none(self) -> Result<Cell, RowError> {
        Ok(Cell::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Cell, RowError> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<ListSerializer<'b>, RowError> {
        self.expect(&[LogicalType::TextList], "a list")?;
        Ok(ListSerializer { start: self.buffer.items.len(), buffer: self.buffer })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, RowError> {
        Err(ser::Error::custom("a value of a type that no column holds: a struct"))
    }
}
