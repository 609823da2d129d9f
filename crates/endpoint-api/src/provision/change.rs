use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Change {
    /// What it does, in a word or two: `create table`, `add column`.
    pub action: Cow<'static, str>,
    /// To what: `cdm_work.cdm_work_item`.
    pub object: String,
    /// Why it is needed.
    pub reason: String,
    /// Whether rows can be loaded before it is made, as they can without an index or a comment.
    pub can_wait: bool,
    /// The statement, where the sink speaks SQL.
    pub sql: Option<String>,
    /// How the statement is carried out, where there is one.
    pub execution: Option<Execution>,
}

/// How a statement is carried out, and what others notice of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Execution {
    /// When, and in which transaction.
    pub stage: Stage,
    /// The strongest lock that it takes on something that was there before the plan; `None` when nobody else can
    /// be waiting for what it touches.
    pub lock: Option<TableLock>,
    /// Whether it reads the whole of a table that was there before.
    pub scans_table: bool,
    /// Whether it writes the whole of a table that was there before.
    pub rewrites_table: bool,
    /// For how many milliseconds it waits for its locks; `None` where the sink has no such limit.
    pub lock_timeout_ms: Option<u64>,
    /// For how many milliseconds it may go on in all; `None` where the sink has no such limit.
    pub statement_timeout_ms: Option<u64>,
}

/// When a statement is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// In the one transaction in which all such changes of the plan become visible together.
    Transaction,
    /// After that transaction and in none, beside those who write.
    Concurrently,
}

/// A lock on a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableLock {
    /// Its mode, in the words of the database: `access exclusive`.
    pub mode: Cow<'static, str>,
    /// The table.
    pub on: String,
}

impl Change {
    /// A step that no statement does.
    pub fn new(action: &'static str, object: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            action: Cow::Borrowed(action),
            object: object.into(),
            reason: reason.into(),
            can_wait: false,
            sql: None,
            execution: None,
        }
    }

    /// Adds the statement that does it.
    #[must_use]
    pub fn by(mut self, sql: String, execution: Execution) -> Self {
        (self.sql, self.execution) = (Some(sql), Some(execution));
        self
    }

    /// Rows can be loaded before it is made.
    #[must_use]
    pub fn that_can_wait(mut self) -> Self {
        self.can_wait = true;
        self
    }

    /// Whether it comes after the transaction of the others.
    pub fn is_concurrent(&self) -> bool {
        self.execution.as_ref().is_some_and(|execution| execution.stage == Stage::Concurrently)
    }
}
