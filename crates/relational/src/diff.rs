use endpoint_api::{Change, Execution, Finding, PlanState};

use crate::{Column, ColumnType, Flaw, Identifier, Index, Table, View, support};

/// A table as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActualTable {
    /// What stands under the table's name.
    pub kind: ActualKind,
    /// Its columns.
    pub columns: Vec<ActualColumn>,
    /// The columns of the primary key; empty when there is none.
    pub primary_key: Vec<String>,
    /// The indexes beside the primary key.
    pub indexes: Vec<ActualIndex>,
    /// Its comment.
    pub comment: Option<String>,
    /// What else is wrong with it.
    pub flaws: Vec<Flaw>,
}

/// What stands under a table's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActualKind {
    /// A table.
    Table,
    /// A table in parts, on which no index can be built beside those who write.
    Partitioned,
    /// A view, a foreign table or the like: something else.
    Other,
}

/// A column as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActualColumn {
    /// Its name.
    pub name: String,
    /// Its type, in the words of the database.
    pub sql_type: String,
    /// Whether a row may go without a value.
    pub nullable: bool,
    /// Whether the database fills it where a statement does not.
    pub has_default: bool,
    /// Its comment.
    pub comment: Option<String>,
}

/// An index as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActualIndex {
    /// Its name.
    pub name: String,
    /// The one column of a plain index; `None` for any other kind of index.
    pub plain_column: Option<String>,
    /// Whether it refuses rows that have the same values as another.
    pub is_unique: bool,
    /// Whether it can be used; not so when its building has failed.
    pub is_valid: bool,
}

/// A statement and how it is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The statement.
    pub sql: String,
    /// How it is carried out.
    pub execution: Execution,
}

/// What a person may do about a difference that adding cannot mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy<'a> {
    /// Give a column the type that it should have.
    Retype(&'a Column),
    /// Let a column be null.
    AllowNull(&'a str),
    /// Let a column not be null.
    RefuseNull(&'a str),
    /// Add a column that must not be null, which only an empty table can take.
    AddRequired(&'a Column),
    /// Give the table its primary key.
    AddKey(&'a [String]),
    /// Give an index another name.
    RenameIndex(&'a Identifier),
}

/// How a database writes what a plan does.
pub trait Dialect {
    /// The type of a column, in the words in which the database shows it.
    fn column_type(&self, column_type: ColumnType) -> &'static str;

    /// Whether the database takes two names of columns for one.
    fn is_same_name(&self, one: &str, other: &str) -> bool;

    /// A table's name as people see it.
    fn shown(&self, table: &Identifier) -> String;

    /// The statement that makes a table, without its indexes and comments.
    fn create_table(&self, table: &Table) -> Statement;

    /// The statement that adds a column that may be null. It does not rewrite the table.
    fn add_column(&self, table: &Identifier, column: &Column) -> Statement;

    /// The statement that makes every row one that a record of its version replaces, although it was made of it.
    fn mark_rows(&self, table: &Identifier) -> Statement;

    /// The statement that makes an index on a table that the same plan makes, or on one that was there before:
    /// then those who write go on meanwhile, where the database can do that.
    fn create_index(&self, table: &Identifier, index: &Index, is_new_table: bool) -> Statement;

    /// The statement that makes a view, with its comment where the database has one, on a table that the same plan
    /// makes, or on one that was there before.
    fn create_view(&self, view: &View, is_new_table: bool) -> Statement;

    /// The statement that adds columns at the end of a view.
    fn extend_view(&self, view: &View) -> Statement;

    /// The statement that drops an index whose building has failed; `None` where that leaves nothing behind.
    fn drop_failed_index(&self, table: &Identifier, index: &Index) -> Option<Statement>;

    /// The statement that sets comments, each of a column or, without one, of the table; `None` where the database
    /// has none.
    fn describe(&self, table: &Identifier, comments: &[(Option<&str>, &str)], is_new_table: bool) -> Option<Statement>;

    /// The statement by which a person mends a difference; `None` where the database has none.
    fn remedy(&self, table: &Identifier, remedy: Remedy<'_>) -> Option<String>;
}

/// The difference between a table as it should be and as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// What mends it, as far as adding can: missing columns that may be null, indexes and comments.
    pub changes: Vec<Change>,
    /// How what is there differs; nothing when there is no table.
    pub findings: Vec<Finding>,
}

/// Compares a table as it is (`None` when there is none) with the table as it should be. What is there and belongs
/// to somebody else stays.
pub fn compare(table: &Table, actual: Option<&ActualTable>, reason: &str, dialect: &dyn Dialect) -> Difference {
    let mut comparison = Comparison {
        table,
        dialect,
        object: dialect.shown(&table.name),
        is_new: actual.is_none(),
        found: Difference::default(),
    };
    match actual {
        None => comparison.change("create table", comparison.object.clone(), reason, dialect.create_table(table)),
        Some(actual) if actual.kind == ActualKind::Other => {
            let object = comparison.object.clone();
            comparison.refuse(object, "is a view or a foreign table and not a table".to_owned(), None);
            return comparison.found;
        }
        Some(actual) => {
            comparison.flaws(actual);
            comparison.columns(actual, reason);
            comparison.foreign_columns(actual);
            comparison.primary_key(actual);
        }
    }
    comparison.indexes(actual);
    comparison.comments(actual);
    if let Some(actual) = actual {
        comparison.foreign_indexes(actual);
    }
    comparison.found
}

/// A comparison that is going on.
struct Comparison<'a> {
    table: &'a Table,
    dialect: &'a dyn Dialect,
    object: String,
    is_new: bool,
    found: Difference,
}

impl Comparison<'_> {
    fn change(&mut self, action: &'static str, object: String, reason: &str, statement: Statement) {
        self.found.changes.push(Change::new(action, object, reason).by(statement.sql, statement.execution));
    }

    fn change_later(&mut self, action: &'static str, object: String, reason: &str, statement: Statement) {
        let change = Change::new(action, object, reason).by(statement.sql, statement.execution);
        self.found.changes.push(change.that_can_wait());
    }

    fn refuse(&mut self, object: String, difference: String, remedy: Option<Remedy<'_>>) {
        let statement = remedy.and_then(|remedy| {
            let statement = self.dialect.remedy(&self.table.name, remedy)?;
            Some(match remedy {
                Remedy::RefuseNull(_) => format!("once no row lacks it, run `{statement}`"),
                Remedy::AddRequired(_) => format!("if the table is empty, run `{statement}`"),
                _ => format!("run `{statement}`"),
            })
        });
        let elsewhere = "choose another table prefix or schema for the sink";
        let way_out =
            statement.map_or_else(|| elsewhere.to_owned(), |statement| format!("{statement}, or {elsewhere}"));
        self.found.findings.push(Finding::incompatible(object, difference, way_out));
    }

    fn flaws(&mut self, actual: &ActualTable) {
        for flaw in &actual.flaws {
            let (finding, change) = flaw.told(&self.object);
            self.found.findings.push(finding);
            self.found.changes.extend(change);
        }
        if actual.kind == ActualKind::Partitioned {
            let way_out = "it is left alone; rows for which it has no partition are rejected";
            self.found.findings.push(Finding::harmless(self.object.clone(), "is a partitioned table", way_out));
        }
    }

    fn of(&self, column: &str) -> String {
        format!("{}.{column}", self.object)
    }

    fn columns(&mut self, actual: &ActualTable, reason: &str) {
        for column in &self.table.columns {
            let (object, wanted) = (self.of(&column.name), self.dialect.column_type(column.column_type));
            match actual.column(&column.name) {
                Some(found) if found.sql_type != wanted => {
                    let difference = format!("is {}, not {wanted}", found.sql_type);
                    self.refuse(object, difference, Some(Remedy::Retype(column)));
                }
                Some(found) if !found.nullable && column.nullable => {
                    self.refuse(object, "refuses null".to_owned(), Some(Remedy::AllowNull(&column.name)));
                }
                Some(found) if found.nullable && !column.nullable => {
                    self.refuse(object, "allows null".to_owned(), Some(Remedy::RefuseNull(&column.name)));
                }
                Some(_) => {}
                None if !column.nullable => {
                    let difference = format!("({wanted}, not null) is missing");
                    self.refuse(object, difference, Some(Remedy::AddRequired(column)));
                }
                None => {
                    self.found.findings.push(Finding::additive(object.clone(), "is missing"));
                    let statement = self.dialect.add_column(&self.table.name, column);
                    let reason = format!("{reason}; the column is new");
                    if support::can_wait(self.table.name.as_str(), &column.name) {
                        self.change_later("add column", object, &reason, statement);
                    } else {
                        self.change("add column", object, &reason, statement);
                    }
                }
            }
        }
    }

    fn foreign_columns(&mut self, actual: &ActualTable) {
        for foreign in actual.columns.iter().filter(|column| self.table.column(&column.name).is_none()) {
            let object = self.of(&foreign.name);
            if foreign.nullable || foreign.has_default {
                let left = if foreign.has_default { "its default" } else { "null" };
                let way_out = format!("it is left alone; rows that are loaded have {left} there");
                self.found.findings.push(Finding::harmless(object, "is a column of somebody else's", way_out));
            } else {
                let difference = "is a column of somebody else's that refuses null and has no default".to_owned();
                self.refuse(object, difference, Some(Remedy::AllowNull(&foreign.name)));
            }
        }
    }

    fn primary_key(&mut self, actual: &ActualTable) {
        let (found, wanted) = (&actual.primary_key, &self.table.primary_key);
        if found.is_empty() {
            let difference = format!("has no primary key; it should be {}", wanted.join(", "));
            self.refuse(self.object.clone(), difference, Some(Remedy::AddKey(wanted)));
        } else if found != wanted {
            let difference = format!("has the primary key {}, not {}", found.join(", "), wanted.join(", "));
            self.refuse(self.object.clone(), difference, None);
        }
    }

    fn indexes(&mut self, actual: Option<&ActualTable>) {
        for index in &self.table.indexes {
            let object = index.name.as_str().to_owned();
            let reason = format!("for `{}`", index.column);
            let Some(actual) = actual else {
                let statement = self.dialect.create_index(&self.table.name, index, true);
                self.change_later("create index", object, &reason, statement);
                continue;
            };
            let on_column = |found: &&ActualIndex| found.plain_column.as_deref() == Some(&index.column);
            if actual.indexes.iter().filter(on_column).any(|found| found.is_valid) {
                continue;
            }
            match actual.indexes.iter().find(|found| found.name == index.name.as_str()) {
                Some(found) if !on_column(&found) => {
                    let difference = format!("is no index on `{}` alone", index.column);
                    self.refuse(object, difference, Some(Remedy::RenameIndex(&index.name)));
                    continue;
                }
                Some(_) => {
                    let difference = "is invalid: its building has failed, or goes on just now";
                    self.found.findings.push(Finding::additive(object.clone(), difference));
                    if let Some(statement) = self.dialect.drop_failed_index(&self.table.name, index) {
                        let reason = "its building has failed, and it cannot be used";
                        self.change_later("drop index", object.clone(), reason, statement);
                    }
                }
                None if actual.kind == ActualKind::Partitioned => {
                    let way_out = "those who load would have to wait while it is built: make it by hand, part by part";
                    self.found.findings.push(Finding::harmless(object, "is missing on a partitioned table", way_out));
                    continue;
                }
                None => self.found.findings.push(Finding::additive(object.clone(), "is missing")),
            }
            let statement = self.dialect.create_index(&self.table.name, index, false);
            self.change_later("create index", object, &reason, statement);
        }
    }

    fn foreign_indexes(&mut self, actual: &ActualTable) {
        let is_wanted = |found: &ActualIndex| {
            let is_ours = self.table.indexes.iter().any(|index| index.name.as_str() == found.name);
            is_ours || self.table.indexes.iter().any(|index| found.plain_column.as_deref() == Some(&index.column))
        };
        for foreign in actual.indexes.iter().filter(|found| found.is_unique || !is_wanted(found)) {
            let (difference, way_out) = if foreign.is_unique {
                ("is a unique index of somebody else's", "it is left alone; rows that it refuses are rejected")
            } else {
                ("is an index of somebody else's", "it is left alone; loads keep it up to date")
            };
            self.found.findings.push(Finding::harmless(foreign.name.clone(), difference, way_out));
        }
    }

    /// The comments that are missing or say something else.
    fn comments(&mut self, actual: Option<&ActualTable>) {
        let of_table = (None, &self.table.comment, actual.and_then(|actual| actual.comment.as_deref()));
        // One that is missing and cannot be added has nothing to describe.
        let is_there = |name: &str| actual.is_none_or(|actual| actual.column(name).is_some());
        let described = self.table.columns.iter().filter(|column| column.nullable || is_there(&column.name));
        let of_columns = described.map(|column| {
            let found = actual.and_then(|actual| actual.column(&column.name));
            (Some(column.name.as_str()), &column.comment, found.and_then(|found| found.comment.as_deref()))
        });
        let differing: Vec<_> = std::iter::once(of_table)
            .chain(of_columns)
            .filter(|(_, wanted, found)| !wanted.is_empty() && *found != Some(wanted.as_str()))
            .collect();
        let comments: Vec<_> = differing.iter().map(|(column, wanted, _)| (*column, wanted.as_str())).collect();
        if comments.is_empty() {
            return;
        }
        let Some(statement) = self.dialect.describe(&self.table.name, &comments, self.is_new) else { return };
        for (column, ..) in &differing {
            // A column that is added has no comment yet, which is no difference of its own.
            let is_there = |column: &str| actual.is_some_and(|actual| actual.column(column).is_some());
            if !self.is_new && column.is_none_or(is_there) {
                let object = column.map_or_else(|| self.object.clone(), |column| self.of(column));
                self.found.findings.push(Finding::additive(object, "has another description"));
            }
        }
        let reason = "what the table and its columns hold, for those who query the database";
        self.change_later("describe", self.object.clone(), reason, statement);
    }
}

impl ActualTable {
    fn column(&self, name: &str) -> Option<&ActualColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// A fingerprint of all that is known of it, and of what is on record of it.
    pub(crate) fn fingerprint(&self, recorded: Option<&str>) -> String {
        let flag = |is: bool| if is { "yes" } else { "no" };
        let mut texts = vec![match self.kind {
            ActualKind::Table => "table",
            ActualKind::Partitioned => "partitioned",
            ActualKind::Other => "other",
        }];
        for text in [self.comment.as_deref(), recorded] {
            texts.extend([flag(text.is_some()), text.unwrap_or_default()]);
        }
        for column in &self.columns {
            let comment = column.comment.as_deref().unwrap_or_default();
            let (nullable, has_default) = (flag(column.nullable), flag(column.has_default));
            texts.extend(["column", &column.name, &column.sql_type, nullable, has_default, comment]);
        }
        texts.extend(self.flaws.iter().flat_map(|flaw| ["flaw", &flaw.difference]));
        texts.extend(self.primary_key.iter().flat_map(|name| ["key", name]));
        for index in &self.indexes {
            let column = index.plain_column.as_deref();
            let kind = [flag(column.is_some()), flag(index.is_unique), flag(index.is_valid)];
            texts.extend(["index", &index.name, column.unwrap_or_default()]);
            texts.extend(kind);
        }
        PlanState::fingerprint_of(texts)
    }
}
