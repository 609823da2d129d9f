use endpoint_api::{Change, Finding};

use crate::Statement;

/// What is wrong with a table that its columns, its key and its indexes do not show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// What is wrong: `is unlogged: …`.
    pub difference: String,
    /// What mends it.
    pub mending: Mending,
}

/// What mends a flaw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mending {
    /// Provisioning does, with this statement; until then rows can be loaded.
    Provisioning {
        /// What it does, in a word or two.
        action: &'static str,
        /// The statement.
        statement: Statement,
    },
    /// A person does, in this way.
    Person(String),
}

impl Flaw {
    /// The finding, and the change that mends it where provisioning does.
    pub(crate) fn told(&self, object: &str) -> (Finding, Option<Change>) {
        match &self.mending {
            Mending::Provisioning { action, statement } => {
                let Statement { sql, execution } = statement.clone();
                let change = Change::new(action, object, self.difference.clone()).by(sql, execution).that_can_wait();
                (Finding::additive(object, self.difference.clone()), Some(change))
            }
            Mending::Person(way_out) => (Finding::incompatible(object, self.difference.clone(), way_out.clone()), None),
        }
    }
}
