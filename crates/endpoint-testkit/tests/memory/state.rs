use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Weak,
};

use endpoint_api::{Checkpoint, LoadReceipt, Message, ProvisionedModel, StoredReject};
use relational::{Observations, ObservedSlice, Stored};
use serde_json::{Map, Value};

use super::{Fault, rejects::Given};

/// What is in a memory.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) fence: u64,
    /// What was provisioned, with the names of the fields.
    pub(super) tables: HashMap<String, (ProvisionedModel, Vec<String>)>,
    /// By model and key.
    pub(super) rows: BTreeMap<(String, String), Row>,
    /// How many rows were inserted, by model.
    pub(super) inserted: BTreeMap<String, u64>,
    pub(super) ingestions: HashMap<String, Standing>,
    /// By ingestion, run and slice.
    pub(super) ledger: BTreeMap<(String, String, u64), (LoadReceipt, Option<Checkpoint>)>,
    /// The oldest first.
    pub(super) rejects: Vec<StoredReject>,
    /// By the id of the reject.
    pub(super) dismissals: HashMap<String, Given>,
    /// By number, with whether each was delivered.
    pub(super) messages: BTreeMap<u64, (Message, bool)>,
    /// By ingestion and slice.
    pub(super) raw: BTreeMap<(String, u64), Vec<Vec<u8>>>,
    /// Records that were added to those that the source has from the beginning.
    pub(super) added: Vec<&'static str>,
    pub(super) clock: u64,
    /// Which slices are being loaded, for those who let only one load be at it.
    pub(super) loading: HashSet<u64>,
    /// Upgrades as long as the newest load is open.
    pub(super) newest_load: Weak<()>,
}

/// A row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) stored: Stored,
    pub(super) values: Map<String, Value>,
    /// The values as they were loaded.
    pub(super) as_loaded: Map<String, Value>,
}

/// Where an ingestion stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    pub(super) fence: u64,
    pub(super) run_id: String,
    pub(super) status: &'static str,
    pub(super) observation: u64,
    pub(super) plan: Option<Vec<ObservedSlice>>,
    pub(super) observations: Observations,
    pub(super) prefix: u64,
    pub(super) checkpoint: Option<Checkpoint>,
    /// Upgrades as long as the run lives.
    pub(super) alive: Weak<()>,
}

impl State {
    /// Puts messages at the end; what was delivered of other runs goes.
    pub(super) fn tell(&mut self, messages: &[Message], fault: Fault) {
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
    pub(super) fn now(&mut self) -> String {
        self.clock += 1;
        format!("2021-01-01T00:00:00.{:06}Z", self.clock)
    }
}
