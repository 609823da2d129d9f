use std::{borrow::Cow, fmt};

use cdm_models::{Model, Timestamp};

use crate::{
    Result, SourceIdentity,
    batch::{CdmBatchBuilder, RawRecord, clean},
    lineage::Lineage,
};

/// Turns the raw records of one unit into rows of one model.
///
/// Mapping is pure: the same record gives the same row, whenever and wherever it is mapped. A mapper
/// MUST NOT do I/O, read a clock or draw a random number, and where a record stands MUST NOT matter. A
/// record becomes exactly one row or one rejection.
///
/// A crate implements it on a type of its own and registers that with
/// [`register_mapper!`](crate::register_mapper); from then on the unit feeds the model.
pub trait Mapper: Send + Sync + Sized + 'static {
    /// The unit whose records are mapped: `jira.issues`.
    const UNIT: &'static str;
    /// Raised whenever the mapper gives another row for the same record: of two rows from the same
    /// observation the one from the later revision stays.
    const REVISION: u32;
    /// Which parts of a record feed which field, and what no field keeps. It MUST be true: a part of a record
    /// changes no field that it is not declared to feed.
    const LINEAGE: Lineage;
    /// The row; it may borrow from the record and from the mapper.
    type Model<'a>: Model;
    /// The members that every whole record of the unit has when its export was made with all fields, also where
    /// they are null: dotted paths, such as `fields.summary`. A run reports the records that lack some of them.
    const EXPECTED: &'static [&'static str] = &[];

    /// A mapper for the records of one source.
    fn new(source: &SourceIdentity) -> Result<Self>;

    /// Maps one record.
    ///
    /// The record's text has been cleaned: it holds no escape of U+0000 or of a lone surrogate.
    fn map<'a>(&'a self, record: &RawRecord<'a>) -> Result<Mapped<Self::Model<'a>>, Rejection>;

    /// As [`map`](Self::map), and adds to `notes` what a run has to report of a record that became a row.
    fn map_noting<'a>(
        &'a self,
        record: &RawRecord<'a>,
        notes: &mut Vec<Note>,
    ) -> Result<Mapped<Self::Model<'a>>, Rejection> {
        let _ = notes;
        self.map(record)
    }

    /// The key of the row that a record becomes, where that is told with little work; it helps to recognise
    /// what is stored already. `None`, and a key under which the row is not stored, cost time and nothing else.
    fn key(&self, record: &RawRecord<'_>) -> Option<String>;
}

/// What a mapper makes of a record.
#[derive(Debug, Clone)]
pub struct Mapped<M> {
    /// The row.
    pub row: M,
    /// When the record last changed at its source; `None` when the source does not tell.
    pub version_at: Option<Timestamp>,
}

/// What a run reports of a record although it became a row. It names members and shows no value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The value of this member cannot be read: it is null in the row and kept in `raw_source`.
    Unreadable(Cow<'static, str>),
    /// The restriction in this member cannot be read: the row says that it is restricted, and the value is kept in
    /// `raw_source`.
    Restricted(&'static str),
    /// The rich text of this member can be read only in part; all of it is kept in `raw_source`.
    PartlyRead(&'static str),
    /// A member is nested too deeply for `properties`: it is kept in `raw_source`, as a text.
    TooDeep,
    /// The record lacks this member, one of [`Mapper::EXPECTED`].
    Lacking(&'static str),
    /// The record names another record in this member by a key alone, and the export has none, or more than one,
    /// with that key: the reference is null in the row, and the key is kept in `raw_source` or `properties`.
    Unresolved(&'static str),
    /// The object in this member shows no id of what it names, such as a user with a name to show alone: the reference
    /// is null in the row, and the object is kept in `raw_source`.
    Unidentified(&'static str),
    /// The time of the last change in this member cannot be read: the record does not replace one whose time is known.
    Undated(&'static str),
}

impl Note {
    /// What is reported, as the rest of a sentence that begins with the file of the record.
    pub const fn what(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "has values that cannot be read; they are null in the rows and kept in `raw_source`",
            Self::Restricted(_) => {
                "has restrictions that cannot be read; their rows say `restricted:unreadable`, and none is shown as public"
            }
            Self::PartlyRead(_) => "has documents that can be read only in part; all of each is kept in `raw_source`",
            Self::TooDeep => "has members that are nested too deeply; they are kept in `raw_source` as text",
            Self::Lacking(_) => "has records without members that a full export has; was it made with few fields?",
            Self::Unresolved(_) => {
                "names issues by keys that no issue of the export has, or more than one; the references are null"
            }
            Self::Unidentified(_) => {
                "names users or projects without an id; the references are null, and what is there is kept in `raw_source`"
            }
            Self::Undated(_) => {
                "has records whose time of change cannot be read; they do not replace rows whose time is known, and count \
                 as stale then"
            }
        }
    }

    /// The member that it is about, as a dotted path.
    pub fn member(&self) -> Option<&str> {
        match self {
            Self::Unreadable(member) => Some(member),
            Self::PartlyRead(member)
            | Self::Lacking(member)
            | Self::Unresolved(member)
            | Self::Restricted(member)
            | Self::Unidentified(member)
            | Self::Undated(member) => Some(member),
            Self::TooDeep => None,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())?;
        self.member().map_or(Ok(()), |member| write!(f, " (`{member}`)"))
    }
}

/// Why a record became no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// What was expected and what was found. It MUST NOT show the value of a cell.
    pub reason: String,
    /// The member that is wrong, as a dotted path: `fields.created`.
    pub field: Option<String>,
    /// The record's id at the source, where it is known.
    pub key: Option<String>,
}

impl Rejection {
    /// For a reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), field: None, key: None }
    }

    /// Names the member that is wrong.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Names the record.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{field}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// A [`Mapper`] whose model is not named in its type.
pub trait RecordMapper: Send + Sync {
    /// Maps a record, which is the one at `index` of its batch, and adds the row to `rows`. Returns what a run has
    /// to report of the record.
    fn map_into(
        &self,
        record: &RawRecord<'_>,
        index: usize,
        rows: &mut CdmBatchBuilder,
    ) -> Result<Vec<Note>, Rejection>;

    /// See [`Mapper::key`].
    fn key(&self, record: &RawRecord<'_>) -> Option<String>;
}

impl<M: Mapper> RecordMapper for M {
    fn map_into(
        &self,
        record: &RawRecord<'_>,
        index: usize,
        rows: &mut CdmBatchBuilder,
    ) -> Result<Vec<Note>, Rejection> {
        let (json, changes) = clean(record.json);
        let record = RawRecord { json: &json, ..*record };
        let mut notes = Vec::new();
        let mapped = self.map_noting(&record, &mut notes)?;
        rows.push(&mapped, record.rank, changes, index)?;
        Ok(notes)
    }

    fn key(&self, record: &RawRecord<'_>) -> Option<String> {
        Mapper::key(self, record)
    }
}

/// A registered mapper. Made by [`register_mapper!`](crate::register_mapper).
pub struct MapperEntry {
    unit: &'static str,
    model: &'static str,
    model_version: &'static str,
    revision: u32,
    lineage: Lineage,
    build: fn(&SourceIdentity) -> Result<Box<dyn RecordMapper>>,
}

impl MapperEntry {
    /// The entry of mapper `M`.
    pub const fn of<M: Mapper>() -> Self {
        Self {
            unit: M::UNIT,
            model: <M::Model<'static> as Model>::ID,
            model_version: <M::Model<'static> as Model>::VERSION,
            revision: M::REVISION,
            lineage: M::LINEAGE,
            build: |source| Ok(Box::new(M::new(source)?)),
        }
    }

    /// The unit whose records are mapped.
    pub fn unit(&self) -> &'static str {
        self.unit
    }

    /// The id of the model that they become.
    pub fn model(&self) -> &'static str {
        self.model
    }

    /// The version of that model.
    pub fn model_version(&self) -> &'static str {
        self.model_version
    }

    /// The mapper's revision.
    pub fn revision(&self) -> u32 {
        self.revision
    }

    /// Which parts of a record feed which field, and what no field keeps.
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// A mapper for the records of one source.
    pub fn build(&self, source: &SourceIdentity) -> Result<Box<dyn RecordMapper>> {
        (self.build)(source)
    }
}

inventory::collect!(MapperEntry);

/// Registers a mapper, so that its unit feeds its model.
///
/// ```ignore
/// endpoint_api::register_mapper!(JiraIssues);
/// ```
#[macro_export]
macro_rules! register_mapper {
    ($mapper:ty) => {
        const _: () = assert!(
            $crate::is_dotted_id(<$mapper as $crate::Mapper>::UNIT),
            "a unit id is dotted lower case, such as `jira.issues`"
        );
        $crate::inventory::submit! { $crate::MapperEntry::of::<$mapper>() }
    };
}
