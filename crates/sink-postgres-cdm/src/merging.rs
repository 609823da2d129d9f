//! The merging of what is staged, and what the table made of it.

use std::{collections::HashSet, sync::Arc};

use endpoint_api::{Result, batch::Rank};
use relational::state::{signed, unsigned};
use tokio_postgres::{Row, types::Type};

use crate::{
    load::PgLoad,
    session::{Parameter, column},
};

/// Has constraints and triggers that are deferred run at once, so that a row that they refuse can be told from others.
pub(crate) const IMMEDIATE: &str = "set constraints all immediate";

impl PgLoad<'_> {
    /// Merges what is staged. Answers with the keys of rows that were neither stored nor beaten by a stored row; then it
    /// counts nothing, and what it did is to be rolled back.
    pub(crate) async fn merge(&mut self) -> Result<HashSet<String>> {
        if !self.has_stage {
            return Ok(HashSet::new());
        }
        let operation = "merge rows";
        let loading = Arc::clone(&self.loading);
        let statements = &loading.statements;
        let counted = self.session.query_one(operation, &statements.count, &[]).await?;
        let [upserts, revivals, deletions, repeats, mention_rows] = counts::<5>(&counted)?;
        let [mentions] = match mention_rows {
            0 => [0],
            _ => counts::<1>(&self.session.query_one(operation, &statements.count_mentions, &[]).await?)?,
        };
        let mut merged = self.merged;
        merged.records.distinct += upserts.saturating_sub(mentions) + revivals + deletions;
        merged.mentions.distinct += mentions;
        let observation = signed(self.observation);
        let revision = i32::try_from(self.mapper_revision).unwrap_or(i32::MAX);
        let run_id = self.loading.run_id();
        let source = self.loading.ingestion.source.as_str();
        let parameters = [
            (&observation as _, Type::INT8),
            (&revision as _, Type::INT4),
            (&run_id as _, Type::TEXT),
            (&source as _, Type::TEXT),
        ];
        if upserts > 0 {
            let contested = self.judge.stages_stored_rows();
            if contested {
                let [observation, revision, ..] = parameters.clone();
                let row =
                    self.session.query_one(operation, &statements.count_unchanged, &[observation, revision]).await?;
                let [of_records, of_mentions] = counts::<2>(&row)?;
                merged.records.unchanged += of_records;
                merged.mentions.unchanged += of_mentions;
            }
            let statement = if contested { &statements.merge_contested } else { &statements.merge };
            let row = self.session.query_one(operation, statement, &parameters).await?;
            let [inserted, updated, mentions_inserted, mentions_updated] = counts::<4>(&row)?;
            merged.records.inserted += inserted;
            merged.records.updated += updated;
            merged.mentions.inserted += mentions_inserted;
            merged.mentions.updated += mentions_updated;
        }
        let mut repeated = [0; 4];
        if repeats > 0 {
            // They are duplicates, whatever this does; it inserts only where the first of a key was refused.
            repeated = counts(&self.session.query_one(operation, &statements.merge_again, &parameters).await?)?;
        }
        for (needed, statement) in [(revivals, &statements.revive), (deletions, &statements.delete)] {
            if needed > 0 {
                let parameters = [(&observation as _, Type::INT8), (&run_id as _, Type::TEXT)];
                merged.records.updated += self.session.execute(operation, statement, &parameters).await?;
            }
        }
        let [observation, revision, ..] = parameters;
        let dropped = self.dropped([observation, revision]).await?;
        if dropped.is_empty() {
            let [inserted, _, mentions_inserted, _] = repeated;
            self.tally.insert_repeated(Rank::Whole, inserted);
            self.tally.insert_repeated(Rank::Part, mentions_inserted);
            self.merged = merged;
        }
        Ok(dropped)
    }

    /// The keys of staged rows that are not in the table although nothing there is greater: a trigger has suppressed or
    /// undone the writing. A table without triggers, rules and policies is not asked.
    async fn dropped(&self, parameters: [Parameter<'_>; 2]) -> Result<HashSet<String>> {
        if self.loading.keeps_every_row() {
            return Ok(HashSet::new());
        }
        // What would run at the commit can drop rows as well.
        self.session.batch("merge rows", IMMEDIATE).await?;
        let rows = self.session.query("look for dropped rows", &self.loading.statements.dropped, &parameters).await?;
        rows.iter().map(|row| column(row, 0)).collect()
    }
}

/// The counts that a statement answers with.
fn counts<const N: usize>(row: &Row) -> Result<[u64; N]> {
    let mut counts = [0; N];
    for (place, count) in counts.iter_mut().enumerate() {
        *count = unsigned(column(row, place)?);
    }
    Ok(counts)
}
