use schemars::JsonSchema;
use serde::Deserialize;

/// How long provisioning may be in the way of others, and how long it goes on.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Budget {
    /// For how many milliseconds a statement waits for a lock on a table, all of a transaction together. Whoever
    /// writes to the table waits behind it for no longer.
    #[schemars(range(min = 1, max = 600_000))]
    pub(crate) lock_timeout_ms: u32,
    /// How often it is tried to get such a lock, with growing pauses between in which nobody waits, before
    /// provisioning gives up.
    #[schemars(range(min = 1, max = 100))]
    pub(crate) lock_attempts: u32,
    /// For how many milliseconds a statement of the transaction may go on.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub(crate) statement_timeout_ms: u32,
    /// For how many milliseconds the building of an index on a table that is in use may go on.
    #[schemars(range(min = 1, max = 604_800_000))]
    pub(crate) index_timeout_ms: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { lock_timeout_ms: 2_000, lock_attempts: 5, statement_timeout_ms: 5_000, index_timeout_ms: 3_600_000 }
    }
}
