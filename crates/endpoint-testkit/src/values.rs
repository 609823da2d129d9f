//! The values of rows: as a driver's author tells them, and as they are compared.

use std::collections::BTreeMap;

use cdm_models::{Date, Json, LogicalType, ModelDescriptor, Timestamp};
use endpoint_api::{
    CdmBatch,
    arrow::array::{
        Array, BooleanArray, Date32Array, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    },
    batch::Operation,
};
use serde_json::{Map, Number, Value};

/// A row as a sink has stored it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRow {
    /// The values of the model's fields by name. What is null may be left out; what is no field of the model is
    /// not looked at. Of each type a value may be told in the ways in which stores keep it:
    ///
    /// | type | as |
    /// | --- | --- |
    /// | text | a string |
    /// | bool | `true` and `false`, or 1 and 0 |
    /// | int64 | a number |
    /// | float64 | a number, or its text as a string: `"0.1"`, `"NaN"`, `"Infinity"`, `"-inf"` |
    /// | date | `"2021-03-04"`, or days since 1970-01-01 as a number |
    /// | timestamp | RFC 3339 with an offset, or microseconds since 1970-01-01T00:00:00 UTC as a number |
    /// | list of text | an array, or the text of one |
    /// | JSON | its text, as a string |
    pub values: Map<String, Value>,
    /// Whether the record is known to be deleted.
    pub deleted: bool,
}

impl StoredRow {
    /// A row of a store that keeps the columns of a [`CdmBatch`] as they are.
    ///
    /// # Panics
    ///
    /// When there is no such row.
    pub fn of_arrow(rows: &RecordBatch, row: usize, deleted: bool) -> Self {
        let schema = rows.schema();
        let columns = schema.fields().iter().zip(rows.columns());
        let told = |column: &dyn Array| if column.is_valid(row) { cell(column, row) } else { Value::Null };
        Self { values: columns.map(|(field, column)| (field.name().clone(), told(column))).collect(), deleted }
    }
}

/// A value of an Arrow column; null when it is of a type that no model's field has.
fn cell(column: &dyn Array, row: usize) -> Value {
    let any = column.as_any();
    if let Some(column) = any.downcast_ref::<StringArray>() {
        column.value(row).into()
    } else if let Some(column) = any.downcast_ref::<BooleanArray>() {
        column.value(row).into()
    } else if let Some(column) = any.downcast_ref::<Int64Array>() {
        column.value(row).into()
    } else if let Some(column) = any.downcast_ref::<Float64Array>() {
        let number = column.value(row);
        Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number)
    } else if let Some(column) = any.downcast_ref::<Date32Array>() {
        column.value(row).into()
    } else if let Some(column) = any.downcast_ref::<TimestampMicrosecondArray>() {
        column.value(row).into()
    } else if let Some(column) = any.downcast_ref::<ListArray>() {
        let items = column.value(row);
        (0..items.len()).map(|item| cell(items.as_ref(), item)).collect()
    } else {
        Value::Null
    }
}

/// The values of a row in one form, by field.
pub(crate) type Values = BTreeMap<String, Value>;

/// The values of a stored row, brought into one form whatever way they are told in.
pub(crate) fn told(model: &ModelDescriptor, row: &StoredRow) -> Values {
    let value = |name: &str| row.values.get(name).unwrap_or(&Value::Null);
    model.fields.iter().map(|field| (field.name.clone(), plain(field.logical_type, value(&field.name)))).collect()
}

/// The values that the rows of a batch have.
pub(crate) fn of_batch(batch: &CdmBatch) -> Vec<Values> {
    let puts = (0..batch.len()).filter(|row| batch.operation(*row) == Operation::Upsert);
    puts.map(|row| told(batch.model(), &StoredRow::of_arrow(batch.rows(), row, false))).collect()
}

/// A value in the form in which it is compared; one that is not of its type stays as it is told.
fn plain(logical_type: LogicalType, told: &Value) -> Value {
    let plain = match logical_type {
        LogicalType::Bool => told.as_i64().filter(|told| matches!(told, 0 | 1)).map(|told| (told == 1).into()),
        LogicalType::Float64 => {
            let number = told.as_f64().or_else(|| told.as_str()?.parse().ok());
            number.map(|number: f64| if number == 0.0 { "0".into() } else { format!("{number:e}").into() })
        }
        LogicalType::Date => told.as_str().and_then(|told| Date::parse(told).ok()).map(|date| date.days().into()),
        LogicalType::Timestamp => {
            told.as_str().and_then(|told| Timestamp::parse(told).ok()).map(|time| time.as_microsecond().into())
        }
        LogicalType::TextList => told.as_str().and_then(|told| serde_json::from_str(told).ok()),
        LogicalType::Json => told.as_str().and_then(|told| Json::parse(told).ok()).map(|json| json.as_str().into()),
        _ => None,
    };
    plain.unwrap_or_else(|| told.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_the_same_in_whatever_way_it_is_told() {
        for (logical_type, ways) in [
            (LogicalType::Bool, vec![json!(true), json!(1)]),
            (LogicalType::Float64, vec![json!(1.5e3), json!(1500), json!("1500.0")]),
            (LogicalType::Float64, vec![json!("Infinity"), json!("inf")]),
            (LogicalType::Float64, vec![json!("NaN"), json!("nan")]),
            (LogicalType::Float64, vec![json!(0), json!(-0.0)]),
            (LogicalType::Date, vec![json!("1970-01-03"), json!(2)]),
            (
                LogicalType::Timestamp,
                vec![json!("1970-01-01T00:00:01.5Z"), json!("1970-01-01T02:00:01.500+02:00"), json!(1_500_000)],
            ),
            (LogicalType::TextList, vec![json!(["a", "b"]), json!(r#"["a", "b"]"#)]),
            (LogicalType::Json, vec![json!(r#"{"b":1.0,"a":[]}"#), json!(r#"{ "a": [], "b": 1.0 }"#)]),
        ] {
            let plain: Vec<Value> = ways.iter().map(|way| plain(logical_type, way)).collect();
            assert!(plain.iter().all(|other| *other == plain[0]), "{logical_type}: {plain:?}");
        }
    }

    #[test]
    fn what_is_another_value_differs() {
        for (logical_type, one, other) in [
            (LogicalType::Bool, json!(true), json!(2)),
            (LogicalType::Int64, json!(i64::MAX), json!(i64::MAX - 1)),
            (LogicalType::Float64, json!(f64::MAX), json!("Infinity")),
            (LogicalType::Float64, json!("NaN"), Value::Null),
            (LogicalType::Timestamp, json!("1970-01-01T00:00:01.5Z"), json!("1970-01-01T00:00:01Z")),
            (LogicalType::TextList, json!(["a", "b"]), json!(["b", "a"])),
            (LogicalType::TextList, json!([]), Value::Null),
            (LogicalType::RawJson, json!(r#"{"a":1}"#), json!(r#"{"a": 1}"#)),
            (LogicalType::RawJson, json!(r#"{"a":1}"#), json!({ "a": 1 })),
            (LogicalType::Text, json!(""), Value::Null),
        ] {
            assert_ne!(plain(logical_type, &one), plain(logical_type, &other), "{logical_type}");
        }
    }
}
