use std::collections::BTreeSet;

use endpoint_api::{
    Dismissal, Dismissals, EachReject, ListedReject, PageLimit, RejectColumn, RejectFilter, RejectGroup, RejectListing,
    RejectState, ReplayableRejects, Result, StoredReject, async_trait,
    batch::{Origin, Stage},
};

use super::{Fault, Memory, state::State};

/// What a reject was dismissed for.
type Verdict = (Stage, Option<String>, String);

fn verdict(reject: &StoredReject) -> Verdict {
    (reject.stage, reject.field.clone(), reject.reason.clone())
}

/// A dismissal, with what it was given for.
#[derive(Debug, Clone)]
pub(super) struct Given {
    dismissal: Dismissal,
    verdict: Verdict,
}

impl State {
    /// Keeps a reject; one that is there already only says something else now.
    pub(super) fn keep_reject(&mut self, mut kept: StoredReject, fault: Fault) {
        if fault == Fault::ForgetsTheAliases {
            kept.envelope.aliases = None;
        }
        if fault == Fault::OpensWhatIsRejectedAgain {
            self.dismissals.remove(&kept.id);
        }
        match self.rejects.iter_mut().find(|known| known.id == kept.id) {
            Some(known) if fault == Fault::DatesRejectsAnew => *known = kept,
            Some(known) if fault != Fault::KeepsARejectTwice => {
                let origin = known.origin.clone();
                *known = StoredReject { rejected_at: known.rejected_at.clone(), ..kept };
                if fault == Fault::KeepsTheFirstOrigin {
                    known.origin = origin;
                }
            }
            _ => {
                // One that was replayed takes its dismissal with it.
                self.dismissals.remove(&kept.id);
                self.rejects.push(kept);
            }
        }
    }

    /// Removes the rejects of an ingestion for which there is a newer row.
    pub(super) fn remove_loaded(&mut self, ingestion: &str, model: &str, fault: Fault) {
        let rows = &self.rows;
        let is_loaded = |reject: &StoredReject| {
            let row = reject.envelope.row_key.as_ref().and_then(|key| rows.get(&(model.to_owned(), key.clone())));
            row.map(|row| row.stored.version).is_some_and(|version| {
                (version.observation > reject.observation || fault == Fault::SettlesByWhatWasLoadedBefore)
                    && (version.rank.number() >= reject.envelope.rank.number() || fault == Fault::SettlesByMentions)
            })
        };
        self.rejects
            .retain(|reject| reject.ingestion != ingestion || !is_loaded(reject) || fault == Fault::KeepsRejectsOfRows);
    }

    /// Removes the rejects of resources that a run has read without meeting them.
    pub(super) fn remove_absent(&mut self, ingestion: &str, run_id: &str, read: &BTreeSet<&str>, fault: Fault) {
        let is_read = |reject: &StoredReject| {
            read.contains(Origin::parse(&reject.origin).resource) || fault == Fault::RemovesRejectsOfOtherResources
        };
        self.rejects.retain(|reject| {
            let is_another = reject.ingestion != ingestion || reject.run_id == run_id;
            is_another || !is_read(reject) || fault == Fault::KeepsRejectsThatAreAbsent
        });
    }

    fn dismissal(&self, reject: &StoredReject, fault: Fault) -> Option<&Dismissal> {
        let holds = |given: &&Given| given.verdict == verdict(reject) || fault == Fault::DismissesForGood;
        self.dismissals.get(&reject.id).filter(holds).map(|given| &given.dismissal)
    }

    /// The rejects that match, whatever the filter says of dismissals: the newest first.
    fn matching(&self, filter: &RejectFilter, state: RejectState, fault: Fault) -> Vec<ListedReject> {
        let takes = |listed: &ListedReject| {
            let reject = &listed.reject;
            let is_wanted = match state {
                RejectState::Open => listed.dismissal.is_none(),
                RejectState::Dismissed => listed.dismissal.is_some(),
                RejectState::Any => true,
            };
            let takes_reason = match &filter.reason {
                Some(wanted) if fault == Fault::TakesReasonsToTheLetter => *wanted == reject.reason,
                _ => filter.takes_reason(&reject.reason),
            };
            let matches = takes_reason
                && (filter.takes_id(&reject.id) || fault == Fault::IgnoresTheIds)
                && filter
                    .ingestion
                    .as_ref()
                    .is_none_or(|of| of.to_string() == reject.ingestion || fault == Fault::IgnoresTheIngestion)
                && filter.stage.is_none_or(|stage| stage == reject.stage || fault == Fault::IgnoresTheStage)
                && filter
                    .field
                    .as_ref()
                    .is_none_or(|field| reject.field.as_ref() == Some(field) || fault == Fault::IgnoresTheField);
            is_wanted && (matches || fault == Fault::IgnoresTheFilter)
        };
        let listed = |reject: &StoredReject| ListedReject::new(reject.clone(), self.dismissal(reject, fault).cloned());
        let mut found: Vec<ListedReject> = self.rejects.iter().map(listed).filter(takes).collect();
        if fault != Fault::ListsTheOldestFirst {
            found.reverse();
        }
        found
    }
}

impl Memory {
    fn listed(&self, filter: &RejectFilter) -> Vec<ListedReject> {
        let which = match filter.state {
            RejectState::Open if self.has(Fault::ListsWhatIsDismissedAsOpen) => RejectState::Any,
            which => which,
        };
        self.lock().matching(filter, which, self.fault)
    }
}

#[async_trait]
impl RejectListing for Memory {
    async fn list(&self, filter: &RejectFilter, limit: usize, each: &mut EachReject<'_>) -> Result<()> {
        let limit = if self.has(Fault::IgnoresTheLimit) { usize::MAX } else { limit };
        for mut listed in self.listed(filter).into_iter().take(limit) {
            if !self.has(Fault::ListsRecords) {
                listed.reject.raw = Vec::new();
            }
            if each(listed).is_break() && !self.has(Fault::ListsOnAfterABreak) {
                break;
            }
        }
        Ok(())
    }

    async fn count(&self, filter: &RejectFilter, columns: &[RejectColumn]) -> Result<Vec<RejectGroup>> {
        let group = |listed: ListedReject| {
            let reject = listed.reject;
            let value = |column: &RejectColumn| match column {
                RejectColumn::Ingestion => Some(reject.ingestion.clone()),
                RejectColumn::Stage => Some(reject.stage.to_string()),
                RejectColumn::Field => reject.field.clone(),
                RejectColumn::Reason => Some(reject.reason.clone()),
            };
            RejectGroup::new(columns.iter().map(value).collect(), 1, reject.rejected_at.clone(), reject.id.clone())
        };
        let found = self.listed(filter);
        // Reasons are put together in their column only.
        let columns = if self.has(Fault::CountsEachReasonApart) { &[] } else { columns };
        let mut groups = RejectGroup::merged(found.into_iter().map(group).collect(), columns);
        match self.fault {
            Fault::CountsTheSmallestGroupFirst => groups.reverse(),
            Fault::GivesOneExampleForAll => {
                let example = groups.first().map(|group| group.example.clone()).unwrap_or_default();
                groups.iter_mut().for_each(|group| group.example.clone_from(&example));
            }
            _ => {}
        }
        Ok(groups)
    }
}

#[async_trait]
impl Dismissals for Memory {
    async fn dismiss(&self, filter: &RejectFilter, reason: &str, by: &str) -> Result<u64> {
        let mut state = self.lock();
        let which = if self.has(Fault::DismissesTwice) { RejectState::Any } else { RejectState::Open };
        let found = state.matching(filter, which, self.fault);
        let at = state.now();
        for ListedReject { reject, .. } in &found {
            let by = if self.has(Fault::ForgetsWhoDismissed) { "" } else { by };
            let at = if self.has(Fault::ForgetsWhenItDismissed) { "" } else { &at };
            let given = Given { dismissal: Dismissal::new(reason, by, at), verdict: verdict(reject) };
            state.dismissals.insert(reject.id.clone(), given);
            if self.has(Fault::RemovesWhatIsDismissed) {
                state.rejects.retain(|known| known.id != reject.id);
            }
        }
        Ok(found.len() as u64)
    }

    async fn reopen(&self, filter: &RejectFilter) -> Result<u64> {
        let mut state = self.lock();
        let found = state.matching(filter, RejectState::Dismissed, self.fault);
        for listed in found.iter().filter(|_| !self.has(Fault::ReopensNothing)) {
            state.dismissals.remove(&listed.reject.id);
        }
        Ok(found.len() as u64)
    }
}

#[async_trait]
impl ReplayableRejects for Memory {
    async fn page(&self, filter: &RejectFilter, after: Option<&str>, limit: PageLimit) -> Result<Vec<StoredReject>> {
        let mut found: Vec<StoredReject> = self.listed(filter).into_iter().map(|listed| listed.reject).collect();
        found.retain(|reject| reject.replayable() || self.has(Fault::ReplaysWhatIsNoRecord));
        if !self.has(Fault::PagesByTime) {
            found.sort_by(|one, other| one.id.cmp(&other.id));
        }
        let comes_after = |reject: &StoredReject| after.is_none_or(|after| reject.id.as_str() > after);
        found.retain(comes_after);
        let limit = if self.has(Fault::IgnoresThePageLimit) { PageLimit { bytes: u64::MAX, ..limit } } else { limit };
        found.truncate(limit.take(found.iter().map(|reject| reject.raw_length)));
        Ok(found)
    }

    async fn count_others(&self, filter: &RejectFilter) -> Result<u64> {
        let found = self.listed(filter);
        let others = found.iter().filter(|listed| !listed.reject.replayable() || self.has(Fault::CountsAllAsOthers));
        Ok(others.count() as u64)
    }
}
