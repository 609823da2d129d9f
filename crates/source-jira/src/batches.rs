use std::{borrow::Cow, collections::HashSet, sync::Arc, time::SystemTime};

use cdm_models::Timestamp;
use endpoint_api::{
    Checkpoint, EndpointId, Incomplete, RawBatch, Reject, Result, Room,
    batch::{NewRecord, RawBatchBuilder},
};

use crate::{
    access::states_access,
    export::Export,
    issue_project::key_without_id,
    json,
    key_index::{IdsByKey, RecordFiles},
    parent::IssueRef,
    stop::Stop,
    units::Unit,
    user_aliases::KnownUsers,
};

/// A batch is handed over when it holds so many bytes; it is larger only by its last record.
const BATCH_BYTES: usize = 1024 * 1024;

/// Whose records are put into batches, and where they stand.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    pub(crate) unit: Unit,
    pub(crate) endpoint: EndpointId,
    /// The name of the file.
    pub(crate) resource: Arc<str>,
    /// Whether the records are looked at only when they are mapped.
    pub(crate) unchecked: bool,
    /// The users by whose better ids the records are completed.
    pub(crate) users: Option<Arc<KnownUsers>>,
    /// The projects by whose ids issues are completed.
    pub(crate) projects: Option<Arc<IdsByKey>>,
}

/// Puts records into batches of about one size and hands these over.
pub(crate) struct Batches<'h> {
    envelope: Envelope,
    batch: RawBatchBuilder,
    /// Records that wait until their issues are looked up together, and those behind them.
    waiting: Vec<WaitingRecord>,
    waiting_bytes: usize,
    lookup: Option<Lookup<'h>>,
    /// Whether it was said that keys are not looked up.
    are_keys_cut: bool,
    hand_over: &'h mut dyn FnMut(RawBatch) -> Result<()>,
}

/// A record and what is known of it.
#[derive(Debug, Default)]
pub(crate) struct FoundRecord<'a> {
    pub(crate) json: &'a str,
    pub(crate) line: u64,
    pub(crate) part: Option<Cow<'static, str>>,
    pub(crate) issue: IssueRef<'a>,
    pub(crate) is_part: bool,
}

#[derive(Debug)]
struct WaitingRecord {
    /// The name of its file.
    resource: Arc<str>,
    json: Box<str>,
    line: u64,
    part: Option<Cow<'static, str>>,
    id: Option<Box<str>>,
    key: Option<Box<str>>,
    is_part: bool,
}

/// How the ids of issues are found that are named only by key, and the keys of those that are named only by id.
pub(crate) struct Lookup<'e> {
    export: &'e Export,
    stop: &'e Stop,
    /// Once it was needed: where they are looked up, and all of them where they fit into memory.
    issues: Option<(RecordFiles<'e>, Option<Arc<IdsByKey>>)>,
    /// Once it was needed: the keys by the ids, where they fit into memory.
    keys: Option<Option<Arc<IdsByKey>>>,
}

/// What to say where keys are not looked up.
const KEYS_CUT: &str = "names issues by id, and the export has more issues than are kept in memory: the records have no \
                        `source_url`";

impl<'e> Lookup<'e> {
    /// In the issues of `export`.
    pub(crate) fn new(export: &'e Export, stop: &'e Stop) -> Self {
        Self { export, stop, issues: None, keys: None }
    }

    fn files(&self) -> Result<RecordFiles<'e>> {
        Ok(RecordFiles::among(&self.export.listed()?, Unit::Issues, self.export.record_limit, self.stop))
    }

    /// All keys by the ids, where they fit into memory.
    fn keys(&mut self) -> Result<Option<&IdsByKey>> {
        if self.keys.is_none() {
            self.keys = Some(self.export.issue_keys.all_by_id(&self.files()?)?);
        }
        Ok(self.keys.as_ref().and_then(Option::as_deref))
    }

    /// All ids, where they fit into memory.
    fn all(&mut self) -> Result<Option<&IdsByKey>> {
        if self.issues.is_none() {
            let files = self.files()?;
            let all = self.export.issue_keys.all(&files)?;
            self.issues = Some((files, all));
        }
        Ok(self.issues.as_ref().and_then(|(_, all)| all.as_deref()))
    }

    /// The ids of these.
    fn some(&self, keys: &HashSet<&str>) -> Result<IdsByKey> {
        match &self.issues {
            Some((files, _)) if !keys.is_empty() => self.export.issue_keys.some(keys, files),
            _ => Ok(IdsByKey::default()),
        }
    }
}

impl<'h> Batches<'h> {
    /// Hands batches over with `hand_over`. Without a `lookup`, an issue stays as its record tells it.
    pub(crate) fn new(
        envelope: Envelope,
        lookup: Option<Lookup<'h>>,
        hand_over: &'h mut dyn FnMut(RawBatch) -> Result<()>,
    ) -> Result<Self> {
        let batch = begin(&envelope);
        Ok(Self { envelope, batch, waiting: Vec::new(), waiting_bytes: 0, lookup, are_keys_cut: false, hand_over })
    }

    /// The records that are added from now on stand in the file `name`.
    pub(crate) fn turn_to(&mut self, name: &str) {
        if *self.envelope.resource != *name {
            self.envelope.resource = Arc::from(name);
            self.batch.turn_to(Arc::clone(&self.envelope.resource));
        }
    }

    /// Adds a record.
    pub(crate) fn record(&mut self, mut record: FoundRecord<'_>) -> Result<()> {
        let mut waits = !self.waiting.is_empty();
        self.complete_key(&mut record.issue)?;
        if let (None, Some(key), Some(lookup)) = (&record.issue.id, &record.issue.key, &mut self.lookup) {
            match lookup.all()? {
                Some(ids) => record.issue.id = ids.get(key).map(|id| Cow::Owned(id.to_owned())),
                None => waits = true,
            }
        }
        if waits {
            let record = WaitingRecord::new(record, &self.envelope.resource);
            self.waiting_bytes += record.bytes();
            self.waiting.push(record);
        } else {
            push(&mut self.batch, &self.envelope, &record);
        }
        Ok(())
    }

    /// The batch holds a record that has this room.
    pub(crate) fn hold(&mut self, room: Option<Room>) {
        if let Some(room) = room {
            self.batch.hold(room);
        }
    }

    /// Looks up the key of the issue that a comment or a worklog names by its id alone.
    fn complete_key(&mut self, issue: &mut IssueRef<'_>) -> Result<()> {
        let (Some(id), None, Some(lookup)) = (&issue.id, &issue.key, &mut self.lookup) else { return Ok(()) };
        match lookup.keys()? {
            Some(keys) => issue.key = keys.get(id).map(|key| Cow::Owned(key.to_owned())),
            None if self.are_keys_cut => {}
            None => {
                self.are_keys_cut = true;
                let resource = Arc::clone(&self.envelope.resource);
                self.incomplete(Incomplete::new(&*resource, KEYS_CUT, &*resource));
            }
        }
        Ok(())
    }

    /// Adds what is no record.
    pub(crate) fn reject(&mut self, reject: Reject) {
        self.batch.reject(reject);
    }

    /// Notes what is missing.
    pub(crate) fn incomplete(&mut self, note: Incomplete) {
        self.batch.incomplete(note);
    }

    /// Hands over the last batch, also when nothing is in it.
    pub(crate) fn finish(mut self, resume_at: Option<Checkpoint>) -> Result<()> {
        self.look_up_waiting()?;
        (self.hand_over)(self.batch.finish_at(resume_at))
    }

    /// Hands the batch over when it is as large as batches are.
    pub(crate) fn hand_over_when_full(&mut self) -> Result<()> {
        if self.batch.bytes() + self.waiting_bytes < BATCH_BYTES {
            return Ok(());
        }
        self.look_up_waiting()?;
        let full = std::mem::replace(&mut self.batch, begin(&self.envelope));
        (self.hand_over)(full.finish())
    }

    /// Looks up the issues of the records that wait, all at once.
    fn look_up_waiting(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let keys: HashSet<&str> =
            waiting.iter().filter(|record| record.id.is_none()).filter_map(|record| record.key.as_deref()).collect();
        let ids = self.lookup.as_ref().map(|lookup| lookup.some(&keys)).transpose()?.unwrap_or_default();
        for record in &waiting {
            let WaitingRecord { resource, json, part, id, key, .. } = record;
            let id = id.as_deref().or_else(|| ids.get(key.as_deref()?));
            let issue = IssueRef { id: id.map(Cow::Borrowed), key: key.as_deref().map(Cow::Borrowed) };
            let (line, is_part) = (record.line, record.is_part);
            let record = FoundRecord { json, line, part: part.clone(), issue, is_part };
            self.batch.turn_to(Arc::clone(resource));
            push(&mut self.batch, &self.envelope, &record);
        }
        self.batch.turn_to(Arc::clone(&self.envelope.resource));
        Ok(())
    }
}

impl WaitingRecord {
    fn new(record: FoundRecord<'_>, resource: &Arc<str>) -> Self {
        let FoundRecord { json, line, part, issue, is_part } = record;
        let (id, key) = (issue.id.map(Into::into), issue.key.map(Into::into));
        Self { resource: Arc::clone(resource), json: json.into(), line, part, id, key, is_part }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.json.len()
    }
}

fn push(batch: &mut RawBatchBuilder, envelope: &Envelope, record: &FoundRecord<'_>) {
    let users = envelope.users.as_ref();
    let mut aliases = users.and_then(|users| users.of_record(envelope.unit, record.json));
    if let Some(projects) = envelope.projects.as_ref()
        && let Some(key) = key_without_id(record.json)
        && let Some(id) = projects.get(&key)
    {
        aliases.get_or_insert_default().push_str(&format!("project\t{key}\t{id}\n"));
    }
    batch.push(NewRecord {
        json: record.json,
        line: Some(record.line),
        part: record.part.clone(),
        parent_id: record.issue.id.as_deref(),
        parent_key: record.issue.key.as_deref(),
        key: None,
        aliases: aliases.as_deref(),
        is_part: record.is_part,
        states_access: states_access(envelope.unit, record.json),
    });
}

fn begin(envelope: &Envelope) -> RawBatchBuilder {
    let Envelope { unit, endpoint, resource, unchecked, .. } = envelope.clone();
    // The record that fills a batch up makes it larger than is asked for.
    let bytes = BATCH_BYTES + BATCH_BYTES / 16;
    let batch =
        RawBatch::builder(unit.id(), endpoint, resource, Timestamp::from(SystemTime::now())).with_capacity(bytes);
    if unchecked { batch.unchecked(json::check_object) } else { batch }
}
