use std::collections::HashMap;

use cdm_models::ModelId;
use endpoint_api::Result;
use relational::{Effect, Stored};

use crate::{
    error::blocking,
    manifest::{Manifest, Part},
    part,
    store::Store,
};

/// What is stored for each key of a model, without the content: read from the files, of which only the
/// columns that matter are looked at. It takes some 200 bytes of memory a key.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// The manifest up to which it is known.
    sequence: u64,
    rows: HashMap<String, Stored>,
}

/// What a manifest has beyond an index.
pub(crate) struct News {
    sequence: u64,
    rows: Vec<(String, Stored)>,
}

impl Index {
    /// By key.
    pub(crate) fn rows(&self) -> &HashMap<String, Stored> {
        &self.rows
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Takes in what has come since.
    pub(crate) fn catch_up(&mut self, news: News) {
        self.rows.extend(news.rows);
        self.sequence = self.sequence.max(news.sequence);
    }

    /// Takes in what was committed with the manifest of that number, the next one.
    pub(crate) fn commit(&mut self, effects: Vec<Effect>, sequence: u64) {
        self.rows.extend(effects.into_iter().map(|effect| (effect.key, effect.stored)));
        self.sequence = sequence;
    }
}

impl News {
    /// What the manifest has of a model beyond the manifest of number `known`.
    pub(crate) async fn since(
        known: u64,
        manifest: &Manifest,
        model: &ModelId,
        key: &str,
        store: &Store,
        operation: &'static str,
    ) -> Result<Self> {
        let mut rows = Vec::new();
        let is_new = |part: &&Part| part.model == *model && part.sequence > known;
        for part in manifest.parts.iter().filter(is_new) {
            let bytes = store.read_named(&part.path, operation).await?;
            let (path, key) = (part.path.clone(), key.to_owned());
            rows.extend(blocking(operation, move || part::decode(&path, bytes, &key)).await?);
        }
        Ok(Self { sequence: manifest.sequence, rows })
    }
}
