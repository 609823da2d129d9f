use cdm_models::{LogicalType, ModelDescriptor};
use endpoint_api::{Error, ErrorKind, Result};

use crate::{Dialect, Identifier, plumbing};

/// A table as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: Identifier,
    /// Its columns in their order.
    pub columns: Vec<Column>,
    /// The columns of the primary key.
    pub primary_key: Vec<String>,
    /// The indexes beside the primary key.
    pub indexes: Vec<Index>,
    /// What it is, for people.
    pub comment: String,
}

/// A column as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub column_type: ColumnType,
    /// Whether a row may go without a value.
    pub nullable: bool,
    /// What it means, for people.
    pub comment: String,
}

/// An index on one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its name.
    pub name: Identifier,
    /// The column.
    pub column: String,
}

/// What a column holds. A dialect has a type of its database for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text.
    Text,
    /// True or false.
    Bool,
    /// A whole number of 16 bits.
    Int16,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// A floating-point number of 64 bits.
    Float64,
    /// A day.
    Date,
    /// A point in time.
    Timestamp,
    /// Texts in their order.
    TextList,
    /// JSON for queries.
    Json,
    /// JSON as received.
    RawJson,
    /// Bytes.
    Bytes,
}

impl From<LogicalType> for ColumnType {
    fn from(logical_type: LogicalType) -> Self {
        match logical_type {
            LogicalType::Bool => Self::Bool,
            LogicalType::Int64 => Self::Int64,
            LogicalType::Float64 => Self::Float64,
            LogicalType::Date => Self::Date,
            LogicalType::Timestamp => Self::Timestamp,
            LogicalType::TextList => Self::TextList,
            LogicalType::Json => Self::Json,
            LogicalType::RawJson => Self::RawJson,
            _ => Self::Text,
        }
    }
}

impl Column {
    /// A column that may be null.
    pub fn new(name: &str, column_type: ColumnType, comment: &str) -> Self {
        Self { name: name.to_owned(), column_type, nullable: true, comment: comment.to_owned() }
    }

    /// Every row must have a value.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.nullable = false;
        self
    }

    /// The column's name as an identifier. Names of columns are checked when a [`Table`] is made.
    pub fn identifier(&self) -> Identifier {
        Identifier::derived(&self.name)
    }
}

impl Table {
    /// The table of a model: its fields, then the [`plumbing`]; references and indexed fields are
    /// indexed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when a field has a name that a column cannot have, or one that the database does not tell
    /// from another's.
    pub fn of(model: &ModelDescriptor, name: Identifier, dialect: &dyn Dialect) -> Result<Self> {
        let mut columns = Vec::with_capacity(model.fields.len() + 10);
        for field in &model.fields {
            let column = Identifier::new(&field.name).map_err(|error| error.with("model", &model.id))?;
            if plumbing::is_plumbing(column.as_str()) {
                let message = format!("field `{}`: names that begin with `_cdm_` are the sink's own", field.name);
                return Err(Error::new(ErrorKind::Config, "make a table", message).with("model", &model.id));
            }
            columns.push(Column {
                name: field.name.clone(),
                column_type: field.logical_type.into(),
                nullable: field.nullable,
                comment: field.description.clone(),
            });
        }
        columns.extend(plumbing::columns());
        for (at, column) in columns.iter().enumerate() {
            let before = columns.iter().take(at).find(|before| dialect.is_same_name(&before.name, &column.name));
            if let Some(before) = before {
                let message =
                    format!("`{}` and `{}` are one name to this database; rename one", before.name, column.name);
                return Err(Error::new(ErrorKind::Config, "make a table", message).with("model", &model.id));
            }
        }
        let indexed = model.fields.iter().filter(|field| field.references.is_some() || field.indexed);
        Ok(Self {
            columns,
            primary_key: vec![model.key().name.clone()],
            indexes: indexed.map(|field| Index::on(&name, &field.name)).collect(),
            comment: format!("{} Model {} {}.", model.description, model.id, model.version),
            name,
        })
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl Index {
    /// An index on a column of `table`.
    pub fn on(table: &Identifier, column: &str) -> Self {
        Self { name: Identifier::derived(&format!("{}_{column}_idx", table.as_str())), column: column.to_owned() }
    }
}
