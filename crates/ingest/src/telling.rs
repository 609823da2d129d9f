use endpoint_api::{Commit, Counts, Error, Message, Outbox, Result, Resume, RunEnd, Sink};

/// Says what others are told of a run.
pub trait Teller: Send + Sync {
    /// The messages about this moment, in their order. The same moment of the same run gives messages with the same
    /// ids; what is told in them may differ, and the first one stands.
    ///
    /// # Errors
    ///
    /// When it cannot be put into words: a fault of the program.
    fn tell(&self, run: &Resume, moment: &Moment<'_>) -> Result<Vec<Message>>;
}

/// A moment of a run that others may want to know of.
#[derive(Debug, Clone, Copy)]
pub enum Moment<'a> {
    /// The run was opened: a new one, or one that is continued.
    Opened,
    /// A slice of so many records is committed.
    Loaded {
        /// The slice's place in the plan.
        slice: u64,
        /// How many records.
        records: u64,
    },
    /// The run has ended in this process.
    Ended {
        /// How.
        end: RunEnd,
        /// What became of the records, of the whole run.
        counts: &'a Counts,
        /// Why it did not succeed.
        error: Option<&'a Error>,
    },
}

/// Who says what is told of a run, and where that waits when the sink has no outbox of its own.
#[derive(Clone, Copy)]
pub struct Telling<'a> {
    /// Says it.
    pub teller: &'a dyn Teller,
    /// Takes it when the sink does not.
    pub outbox: &'a dyn Outbox,
}

/// The telling of one run.
///
/// Into a sink's own outbox messages go with what they tell of, in one transaction. Into another one they go as soon
/// as it is true, and again when the run is continued: whoever is killed between the two has told nothing wrong, and
/// loses nothing.
pub(crate) struct Chronicle<'a> {
    teller: &'a dyn Teller,
    outbox: &'a dyn Outbox,
    is_sinks: bool,
    run: Resume,
}

impl<'a> Chronicle<'a> {
    pub(crate) fn of(telling: Telling<'a>, sink: &'a dyn Sink, run: &Resume) -> Self {
        let own = sink.outbox();
        Self {
            teller: telling.teller,
            outbox: own.unwrap_or(telling.outbox),
            is_sinks: own.is_some(),
            run: run.clone(),
        }
    }

    /// The run was opened.
    pub(crate) async fn opened(&self) -> Result<()> {
        self.put(&Moment::Opened).await?;
        if !self.is_sinks {
            for (slice, receipt) in &self.run.committed {
                self.put(&Moment::Loaded { slice: *slice, records: receipt.counts.total() }).await?;
            }
        }
        Ok(())
    }

    /// The commit of a slice, with what is told of it when that goes with it.
    pub(crate) fn of_commit(&self, commit: Commit, slice: u64, records: u64) -> Result<Commit> {
        match self.is_sinks {
            true => Ok(commit.telling(self.teller.tell(&self.run, &Moment::Loaded { slice, records })?)),
            false => Ok(commit),
        }
    }

    /// A slice is committed.
    pub(crate) async fn loaded(&self, slice: u64, records: u64) -> Result<()> {
        if self.is_sinks { Ok(()) } else { self.put(&Moment::Loaded { slice, records }).await }
    }

    /// What goes with the end of the run. What goes elsewhere is there before it: every slice is committed, and
    /// should the end itself fail, the run is continued and tells the same again.
    pub(crate) async fn of_end(&self, end: RunEnd, counts: &Counts, error: Option<&Error>) -> Result<Vec<Message>> {
        let ended = Moment::Ended { end, counts, error };
        match self.is_sinks {
            true => self.teller.tell(&self.run, &ended),
            false => self.put(&ended).await.map(|()| Vec::new()),
        }
    }

    async fn put(&self, moment: &Moment<'_>) -> Result<()> {
        match self.teller.tell(&self.run, moment)?.as_slice() {
            [] => Ok(()),
            messages => self.outbox.put(messages).await,
        }
    }
}
