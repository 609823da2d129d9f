use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

use cdm_models::Timestamp;

use super::{Incomplete, Reject};
use crate::{Checkpoint, EndpointId, Room, SMALL_RECORD_BYTES, UnitId};

/// Records as the source has them: unparsed JSON objects, each with an envelope.
///
/// The bytes of all records stand one behind the other in one buffer, so that a batch costs a few
/// allocations, whatever the number of its records.
#[derive(Debug)]
pub struct RawBatch {
    unit: UnitId,
    endpoint: EndpointId,
    /// Those in which the records stand.
    resources: Vec<Arc<str>>,
    observed_at: Timestamp,
    text: String,
    entries: Vec<Entry>,
    rejects: Vec<Reject>,
    incomplete: Vec<Incomplete>,
    resume_at: Option<Checkpoint>,
    check: Option<Check>,
    /// The room of its large records, which is given back with the batch.
    rooms: Vec<Room>,
}

/// Looks whether a text is a record; says what was expected and what was found, and no value.
type Check = fn(&str) -> Result<(), String>;

#[derive(Debug)]
struct Entry {
    range: Range<usize>,
    line: Option<u64>,
    part: Option<Cow<'static, str>>,
    parent_id: Option<Box<str>>,
    parent_key: Option<Box<str>>,
    key: Option<Box<str>>,
    aliases: Option<Box<str>>,
    /// The place of its resource among those of the batch.
    resource: u32,
    rank: Rank,
}

/// One record of a [`RawBatch`] with its envelope.
#[derive(Debug, Clone, Copy)]
pub struct RawRecord<'a> {
    /// The record: one JSON object, as received.
    pub json: &'a str,
    /// Where it stands.
    pub origin: Origin<'a>,
    /// The record that it belongs to, where the source knows it.
    pub parent: Option<Parent<'a>>,
    /// The record's id at the source, where the source had to read it anyway.
    pub key: Option<&'a str>,
    /// The ids of users and projects that the record names by another id, as far as the source knows them.
    pub aliases: Aliases<'a>,
    /// How much it tells.
    pub rank: Rank,
}

/// Other ids of users and projects: a record names a user by the login name, say, or a project by its key, and the source
/// knows the user's key or the project's id from another record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Aliases<'a>(Option<&'a str>);

impl<'a> Aliases<'a> {
    /// Reads a text of lines with three parts and a tab between them: the member that holds the id in the record
    /// (`project` of a project's key), the id, and the id to use instead.
    pub fn new(text: Option<&'a str>) -> Self {
        Self(text)
    }

    /// The id to use instead of `id` in the member `member`; `None` when `id` is to be used itself.
    pub fn get(self, member: &str, id: &str) -> Option<&'a str> {
        let of_line = |line: &'a str| {
            let (known_member, ids) = line.split_once('\t')?;
            let (known_id, better) = ids.split_once('\t')?;
            (known_member == member && known_id == id).then_some(better)
        };
        self.0?.lines().find_map(of_line)
    }

    /// The text, where there are aliases.
    pub fn as_text(self) -> Option<&'a str> {
        self.0
    }
}

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The file (relative to the source's folder) or the URL.
    pub resource: &'a str,
    /// The line, from 1, or for a resource without lines the place of the record in it, from 1.
    pub line: Option<u64>,
    /// JSON pointer to the record within that, when it is embedded in another.
    pub part: Option<&'a str>,
}

impl<'a> Origin<'a> {
    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(text: &'a str) -> Self {
        let (place, part) = match text.find("#/") {
            Some(at) => (text.get(..at).unwrap_or(text), text.get(at + 1..)),
            None => (text, None),
        };
        let with_line = place.rsplit_once(':').and_then(|(resource, line)| Some((resource, line.parse().ok()?)));
        match with_line {
            Some((resource, line)) => Self { resource, line: Some(line), part },
            None => Self { resource: place, line: None, part },
        }
    }
}

impl fmt::Display for Origin<'_> {
    /// `issues.jsonl:17#/fields/assignee`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.resource)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(part) = self.part {
            write!(f, "#{part}")?;
        }
        Ok(())
    }
}

/// The record that another one belongs to, such as the issue of a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent<'a> {
    /// The parent's id at the source, which never changes.
    pub id: Option<&'a str>,
    /// The parent's key, which can change; never part of an id.
    pub key: Option<&'a str>,
}

/// How much a record tells of its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rank {
    /// Seen only as a part of another record, such as the assignee of an issue. It fills a gap and
    /// never replaces a whole record.
    Part = 0,
    /// The record itself.
    Whole = 1,
    /// The record itself, and it states who may read it. Of two records with the same version time it
    /// replaces one that does not: a copy from which the restriction was left out never wins.
    WithAccess = 2,
}

impl Rank {
    /// Whether the record was seen only as a part of another.
    pub const fn is_part(self) -> bool {
        matches!(self, Self::Part)
    }

    /// The number under which it is stored and sent.
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// The rank that is stored as this number; an unknown one is a whole record's.
    pub const fn of_number(number: i64) -> Self {
        match number {
            0 => Self::Part,
            2 => Self::WithAccess,
            _ => Self::Whole,
        }
    }
}

/// A record for [`RawBatchBuilder::push`].
#[derive(Debug, Default)]
pub struct NewRecord<'a> {
    /// The record: one JSON object, as received.
    pub json: &'a str,
    /// See [`Origin::line`].
    pub line: Option<u64>,
    /// See [`Origin::part`].
    pub part: Option<Cow<'static, str>>,
    /// See [`Parent::id`].
    pub parent_id: Option<&'a str>,
    /// See [`Parent::key`].
    pub parent_key: Option<&'a str>,
    /// See [`RawRecord::key`].
    pub key: Option<&'a str>,
    /// See [`Aliases::new`].
    pub aliases: Option<&'a str>,
    /// Whether the record was seen only as a part of another.
    pub is_part: bool,
    /// Whether the record states who may read it, be it everybody. Ignored for a part.
    pub states_access: bool,
}

impl NewRecord<'_> {
    fn rank(&self) -> Rank {
        match (self.is_part, self.states_access) {
            (true, _) => Rank::Part,
            (false, false) => Rank::Whole,
            (false, true) => Rank::WithAccess,
        }
    }
}

impl RawBatch {
    /// A builder for records of `unit` that stand in `resource` and were read at `observed_at`.
    pub fn builder(
        unit: UnitId,
        endpoint: EndpointId,
        resource: impl Into<Arc<str>>,
        observed_at: Timestamp,
    ) -> RawBatchBuilder {
        RawBatchBuilder(Self {
            unit,
            endpoint,
            resources: vec![resource.into()],
            observed_at,
            text: String::new(),
            entries: Vec::new(),
            rejects: Vec::new(),
            incomplete: Vec::new(),
            resume_at: None,
            check: None,
            rooms: Vec::new(),
        })
    }

    /// The unit whose records these are.
    pub fn unit(&self) -> &UnitId {
        &self.unit
    }

    /// The endpoint that they were read from.
    pub fn endpoint(&self) -> &EndpointId {
        &self.endpoint
    }

    /// When they were read, by the host's clock.
    pub fn observed_at(&self) -> Timestamp {
        self.observed_at
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no records; there may still be rejects or a point to resume at.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// About how many bytes of memory the batch holds.
    pub fn bytes(&self) -> usize {
        let rejects: usize = self.rejects.iter().map(Reject::bytes).sum();
        self.text.len() + self.entries.len() * size_of::<Entry>() + rejects
    }

    /// The record at `index`, from 0.
    pub fn record(&self, index: usize) -> Option<RawRecord<'_>> {
        let entry = self.entries.get(index)?;
        let parent = Parent { id: entry.parent_id.as_deref(), key: entry.parent_key.as_deref() };
        Some(RawRecord {
            json: self.text.get(entry.range.clone())?,
            origin: Origin { resource: self.resource(entry.resource), line: entry.line, part: entry.part.as_deref() },
            parent: (parent.id.is_some() || parent.key.is_some()).then_some(parent),
            key: entry.key.as_deref(),
            aliases: Aliases(entry.aliases.as_deref()),
            rank: entry.rank,
        })
    }

    fn resource(&self, place: u32) -> &str {
        usize::try_from(place).ok().and_then(|place| self.resources.get(place)).map_or("", AsRef::as_ref)
    }

    /// The place of the resource that was named last.
    fn last_resource(&self) -> u32 {
        u32::try_from(self.resources.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// The records in the order in which they were read.
    pub fn records(&self) -> impl Iterator<Item = RawRecord<'_>> {
        (0..self.entries.len()).filter_map(|index| self.record(index))
    }

    /// Looks whether a text that the batch holds as a record is one, where the source has left that to whoever
    /// reads the record; see [`RawBatchBuilder::unchecked`].
    ///
    /// # Errors
    ///
    /// The source's reject of what is none.
    pub fn check(&self, record: &RawRecord<'_>) -> Result<(), Box<Reject>> {
        let Some(check) = self.check else { return Ok(()) };
        check(record.json).map_err(|reason| Box::new(Reject::at_source(record.origin, reason, record.json.as_bytes())))
    }

    /// Keeps only the records at those places, from 0, for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let mut places = 0..;
        self.entries.retain(|_| places.next().is_some_and(&mut keep));
        let mut text = String::with_capacity(self.entries.iter().map(|entry| entry.range.len()).sum());
        for entry in &mut self.entries {
            let start = text.len();
            text.push_str(self.text.get(entry.range.clone()).unwrap_or_default());
            entry.range = start..text.len();
        }
        self.text = text;
        if self.text.len() <= SMALL_RECORD_BYTES {
            // The large ones are gone.
            self.rooms.clear();
        }
    }

    /// Adds all of a batch that was read later.
    ///
    /// # Errors
    ///
    /// The other batch, when it is of another unit or endpoint.
    pub fn append(&mut self, later: Self) -> Result<(), Box<Self>> {
        if !self.is_continued_by(&later) {
            return Err(Box::new(later));
        }
        let start = self.text.len();
        self.text.push_str(&later.text);
        let mut resources = later.resources;
        let first_resource = if self.resources.last() == resources.first() {
            resources.remove(0);
            self.last_resource()
        } else {
            self.last_resource() + 1
        };
        self.resources.append(&mut resources);
        self.entries.extend(later.entries.into_iter().map(|entry| Entry {
            range: start + entry.range.start..start + entry.range.end,
            resource: first_resource + entry.resource,
            ..entry
        }));
        self.rejects.extend(later.rejects);
        later.incomplete.into_iter().for_each(|note| note.add_to(&mut self.incomplete));
        self.resume_at = later.resume_at.or(self.resume_at.take());
        self.rooms.extend(later.rooms);
        Ok(())
    }

    fn is_continued_by(&self, later: &Self) -> bool {
        (&self.unit, &self.endpoint, self.check.is_some()) == (&later.unit, &later.endpoint, later.check.is_some())
    }

    /// What the source could not read as a record.
    pub fn rejects(&self) -> &[Reject] {
        &self.rejects
    }

    /// Takes the rejects out of the batch.
    pub fn take_rejects(&mut self) -> Vec<Reject> {
        std::mem::take(&mut self.rejects)
    }

    /// What the source found that it could not give.
    pub fn incomplete(&self) -> &[Incomplete] {
        &self.incomplete
    }

    /// From where a later run may resume once everything up to and with this batch is committed.
    pub fn resume_at(&self) -> Option<&Checkpoint> {
        self.resume_at.as_ref()
    }
}

/// Builds a [`RawBatch`].
#[derive(Debug)]
pub struct RawBatchBuilder(RawBatch);

impl RawBatchBuilder {
    /// The records that are added from now on stand in another resource.
    pub fn turn_to(&mut self, resource: impl Into<Arc<str>>) {
        let resource = resource.into();
        if self.0.entries.last().is_none_or(|entry| entry.resource != self.0.last_resource()) {
            // No record stands in the last one.
            self.0.resources.pop();
        }
        if self.0.resources.last() != Some(&resource) {
            self.0.resources.push(resource);
        }
    }

    /// Adds a record.
    pub fn push(&mut self, record: NewRecord<'_>) {
        let start = self.0.text.len();
        let rank = record.rank();
        self.0.text.push_str(record.json);
        self.0.entries.push(Entry {
            range: start..self.0.text.len(),
            line: record.line,
            part: record.part,
            parent_id: record.parent_id.map(Box::from),
            parent_key: record.parent_key.map(Box::from),
            key: record.key.map(Box::from),
            aliases: record.aliases.map(Box::from),
            resource: self.0.last_resource(),
            rank,
        });
    }

    /// The source has not looked whether what it puts into the batch are records: `check` does, and is called
    /// for each one that is mapped. Those that a sink recognises have been looked at when they were stored. In
    /// raw mode, where nobody looks at records again, a source looks itself.
    #[must_use]
    pub fn unchecked(mut self, check: fn(&str) -> Result<(), String>) -> Self {
        self.0.check = Some(check);
        self
    }

    /// Makes room for records of so many bytes in all.
    #[must_use]
    pub fn with_capacity(mut self, bytes: usize) -> Self {
        self.0.text.reserve(bytes);
        self
    }

    /// Adds what could not be read as a record.
    pub fn reject(&mut self, reject: Reject) {
        self.0.rejects.push(reject);
    }

    /// The batch holds a record that has this room. It is given back when nobody has the batch any more, and the rows
    /// that were made of it are written.
    pub fn hold(&mut self, room: Room) {
        self.0.rooms.push(room);
    }

    /// Notes something that the source could not give.
    pub fn incomplete(&mut self, note: Incomplete) {
        note.add_to(&mut self.0.incomplete);
    }

    /// About how many bytes of memory the batch holds so far.
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// Whether there is nothing in the batch yet.
    pub fn is_empty(&self) -> bool {
        self.0.entries.is_empty() && self.0.rejects.is_empty() && self.0.incomplete.is_empty()
    }

    /// The batch, from which no later run can resume.
    pub fn finish(self) -> RawBatch {
        self.0
    }

    /// The batch, after which a later run may resume at `checkpoint`.
    pub fn finish_at(mut self, checkpoint: Option<Checkpoint>) -> RawBatch {
        self.0.resume_at = checkpoint;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Origin;

    fn batch(resource: &str, from: u64, records: &[&str]) -> RawBatch {
        let at = Timestamp::from_microsecond(0).unwrap();
        let unit = UnitId::from_static("test.things");
        let mut batch = RawBatch::builder(unit, EndpointId::from_static("acme"), resource.to_owned(), at);
        for (line, json) in (from..).zip(records) {
            batch.push(NewRecord { json, line: Some(line), key: Some(json), ..NewRecord::default() });
        }
        batch.reject(Reject::at_source(Origin { resource, line: None, part: None }, "no record", b"x"));
        batch.finish_at(Some(Checkpoint(from.into())))
    }

    fn shown(batch: &RawBatch) -> Vec<(&str, Option<u64>, Option<&str>)> {
        batch.records().map(|record| (record.json, record.origin.line, record.key)).collect()
    }

    #[test]
    fn what_is_kept_and_added_keeps_its_envelope() {
        let mut kept = batch("a", 1, &["10", "200", "3"]);
        kept.retain(|index| index != 1);
        assert_eq!(shown(&kept), [("10", Some(1), Some("10")), ("3", Some(3), Some("3"))]);
        let mut later = batch("a", 4, &["4", "50", "6"]);
        later.retain(|index| index == 1);
        assert_eq!(kept.append(later).map_err(|_| ()), Ok(()));
        let expected = [("10", Some(1), Some("10")), ("3", Some(3), Some("3")), ("50", Some(5), Some("50"))];
        assert_eq!(shown(&kept), expected);
        assert_eq!((kept.rejects().len(), kept.resume_at()), (2, Some(&Checkpoint(4.into()))));

        let mut other = batch("a", 9, &["9"]);
        other.endpoint = EndpointId::from_static("other");
        let other = kept.append(other).unwrap_err();
        assert_eq!(shown(&other), [("9", Some(9), Some("9"))], "of another endpoint");
        assert_eq!(shown(&kept), expected);
        kept.retain(|_| false);
        assert!(kept.is_empty());
    }

    fn resources(batch: &RawBatch) -> String {
        batch.records().map(|record| format!("{}{} ", record.origin.resource, record.json)).collect()
    }

    #[test]
    fn records_of_several_resources_are_in_one_batch() {
        let at = Timestamp::from_microsecond(0).unwrap();
        let mut many =
            RawBatch::builder(UnitId::from_static("test.things"), EndpointId::from_static("acme"), "none", at);
        for (resource, records) in [("a", vec!["1", "2"]), ("b", vec![]), ("c", vec!["3"]), ("c", vec!["4"])] {
            many.turn_to(resource);
            for json in records {
                many.push(NewRecord { json, ..NewRecord::default() });
            }
        }
        let mut many = many.finish();
        assert_eq!(resources(&many), "a1 a2 c3 c4 ");
        assert_eq!(many.resources.len(), 2, "what has no records is not kept");
        many.append(batch("c", 1, &["5"])).unwrap();
        many.append(batch("a", 1, &["6"])).unwrap();
        assert_eq!(many.resources.len(), 3);
        many.retain(|index| index != 1);
        let mut first = batch("x", 1, &["0"]);
        first.append(many).unwrap();
        assert_eq!(resources(&first), "x0 a1 c3 c4 c5 a6 ");
    }
}
