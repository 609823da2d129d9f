use std::{
    collections::{BTreeMap, HashMap},
    sync::Weak,
};

use endpoint_api::{Checkpoint, LoadReceipt, Message, ProvisionedModel, StoredReject};
use relational::{Observations, ObservedSlice, Stored};

use super::Fault;

/// What is in a memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) fence: u64,
    /// What was provisioned, with the names of the fields.
    pub(crate) tables: HashMap<String, (ProvisionedModel, Vec<String>)>,
    pub(crate) rows: BTreeMap<String, Kept>,
    pub(crate) inserted: u64,
    pub(crate) ingestions: HashMap<String, Standing>,
    /// By ingestion, run and slice.
    pub(crate) ledger: BTreeMap<(String, String, u64), (LoadReceipt, Option<Checkpoint>)>,
    /// The oldest first.
    pub(crate) rejects: Vec<StoredReject>,
    /// By number, with whether each was delivered.
    pub(crate) messages: BTreeMap<u64, (Message, bool)>,
    /// By ingestion and slice.
    pub(crate) raw: BTreeMap<(String, u64), Vec<Vec<u8>>>,
    pub(crate) clock: u64,
    /// How often each slice of the source was read.
    pub(crate) readings: HashMap<String, u32>,
}

/// A row.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) stored: Stored,
    pub(crate) name: Option<String>,
}

/// Where an ingestion stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    pub(crate) fence: u64,
    pub(crate) run_id: String,
    pub(crate) status: &'static str,
    pub(crate) observation: u64,
    pub(crate) plan: Option<Vec<ObservedSlice>>,
    pub(crate) observations: Observations,
    pub(crate) prefix: u64,
    pub(crate) checkpoint: Option<Checkpoint>,
    /// Upgrades as long as the run lives.
    pub(crate) alive: Weak<()>,
}

impl State {
    /// Puts messages at the end; what was delivered of other runs goes.
    pub(crate) fn tell(&mut self, messages: &[Message], fault: Fault) {
        for message in messages {
            let is_known =
                self.messages.values().any(|(known, _)| known.queue == message.queue && known.id == message.id);
            if !is_known || fault == Fault::TellsTwice {
                if fault != Fault::KeepsWhatWasDelivered {
                    self.messages.retain(|_, (known, delivered)| !*delivered || known.about == message.about);
                }
                let next = self.messages.keys().next_back().map_or(1, |last| last + 1);
                self.messages.insert(next, (message.clone(), false));
            }
        }
    }

    /// A time that rises.
    pub(crate) fn now(&mut self) -> String {
        self.clock += 1;
        format!("2021-01-01T00:00:00.{:06}Z", self.clock)
    }
}
