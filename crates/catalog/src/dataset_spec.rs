use std::collections::BTreeSet;

use cdm_models::{LogicalType, ModelDescriptor, ModelId, major};
use endpoint_api::{EndpointId, Error, ErrorKind, ProvisionedModel, Result, UnitDescriptor, UnitId};
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{DatasetId, UnitMapping, text::storable};

/// What a dataset is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject {
    /// A unit of a source.
    SourceUnit {
        /// The unit.
        unit: UnitId,
        /// The source's endpoint.
        source: EndpointId,
        /// The CDM model that the unit's records are mapped to, if there is one.
        feeds: Option<ModelId>,
    },
    /// A table of a CDM model.
    CdmTable {
        /// The model.
        model: ModelId,
        /// The version of the model that the fields are those of.
        version: Version,
        /// The sink's endpoint.
        sink: EndpointId,
        /// What the sink has on record of it.
        provisioned: ProvisionedModel,
    },
}

/// The kinds of dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatasetKind {
    /// A unit of a source.
    SourceUnit,
    /// A table of a CDM model.
    CdmTable,
}

impl DatasetKind {
    /// The kind as scripts see it: `source_unit`, `cdm_table`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SourceUnit => "source_unit",
            Self::CdmTable => "cdm_table",
        }
    }
}

/// One field of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetField {
    /// A column's name, or the dotted path of a member: `fields.summary`.
    pub name: String,
    /// For a CDM table the logical type (`text_list`), for a source's unit the JSON type (`object`).
    #[serde(rename = "type")]
    pub field_type: String,
    /// Whether a row may go without a value; `None` where nobody promises either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nullable: Option<bool>,
    /// What the field means.
    pub description: String,
    /// The model to whose key the values point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<ModelId>,
}

/// What the system knows of a dataset and states when it registers it.
///
/// What people write about a dataset is not here: see [`Annotations`](crate::Annotations).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetSpec {
    pub(crate) subject: Subject,
    pub(crate) location: String,
    pub(crate) description: String,
    pub(crate) fields: Vec<DatasetField>,
    pub(crate) upstream: BTreeSet<DatasetId>,
    pub(crate) mapping: Option<UnitMapping>,
}

impl DatasetSpec {
    /// The table at `location` (`cdm_work.cdm_work_item`) that `sink` was provisioned with for a model.
    pub fn of_model(
        model: &ModelDescriptor,
        sink: &EndpointId,
        location: impl Into<String>,
        provisioned: &ProvisionedModel,
    ) -> Self {
        let fields = model.fields.iter().map(|field| DatasetField {
            name: field.name.clone(),
            field_type: type_name(field.logical_type),
            nullable: Some(field.nullable),
            description: field.description.clone(),
            references: field.references.clone(),
        });
        Self {
            subject: Subject::CdmTable {
                model: model.id.clone(),
                version: model.version.clone(),
                sink: sink.clone(),
                provisioned: provisioned.clone(),
            },
            location: storable(location),
            description: storable(&*model.description),
            fields: fields.collect(),
            upstream: BTreeSet::new(),
            mapping: None,
        }
    }

    /// A unit of `source`. The location is in the source's own words: a folder, a site's address. It
    /// must not hold a secret. `feeds` is the CDM model that the unit's records are mapped to.
    pub fn of_unit(
        unit: &UnitDescriptor,
        source: &EndpointId,
        location: impl Into<String>,
        feeds: Option<&ModelId>,
    ) -> Self {
        let fields = unit.fields.iter().map(|field| DatasetField {
            name: field.name.clone(),
            field_type: field.json_type.clone(),
            nullable: None,
            description: field.description.clone(),
            references: None,
        });
        Self {
            subject: Subject::SourceUnit { unit: unit.id.clone(), source: source.clone(), feeds: feeds.cloned() },
            location: storable(location),
            description: storable(unit.title),
            fields: fields.collect(),
            upstream: BTreeSet::new(),
            mapping: None,
        }
    }

    /// The dataset is made from these. They are added to those that are known already: a spec cannot
    /// take one away, since the rows that came from it are still there.
    #[must_use]
    pub fn fed_by(mut self, upstream: impl IntoIterator<Item = DatasetId>) -> Self {
        self.upstream.extend(upstream);
        self
    }

    /// The unit's records become rows of the model that it feeds in this way.
    ///
    /// What an earlier revision of the mapper declares does not take back what a later one did.
    #[must_use]
    pub fn mapped_by(mut self, mapping: UnitMapping) -> Self {
        self.mapping = Some(mapping);
        self
    }

    /// The dataset's id.
    pub fn id(&self) -> DatasetId {
        match &self.subject {
            Subject::SourceUnit { unit, source, .. } => DatasetId::of_unit(unit, source),
            Subject::CdmTable { model, version, sink, .. } => DatasetId::of_model(model, version.major, sink),
        }
    }

    /// What the dataset is.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Which kind of dataset it is.
    pub fn kind(&self) -> DatasetKind {
        match self.subject {
            Subject::SourceUnit { .. } => DatasetKind::SourceUnit,
            Subject::CdmTable { .. } => DatasetKind::CdmTable,
        }
    }

    /// The endpoint that has it.
    pub fn endpoint(&self) -> &EndpointId {
        match &self.subject {
            Subject::SourceUnit { source: endpoint, .. } | Subject::CdmTable { sink: endpoint, .. } => endpoint,
        }
    }

    /// The model of its rows, or for a source's unit the one that it feeds.
    pub fn cdm_model(&self) -> Option<&ModelId> {
        match &self.subject {
            Subject::SourceUnit { feeds, .. } => feeds.as_ref(),
            Subject::CdmTable { model, .. } => Some(model),
        }
    }

    /// Whether its rows are those that records become by a mapping.
    pub(crate) fn is_fed_by(&self, mapping: &UnitMapping) -> bool {
        match &self.subject {
            Subject::CdmTable { version, .. } => major(version) == mapping.model_major,
            Subject::SourceUnit { .. } => false,
        }
    }

    /// Where it is: `schema.table`, or what the source calls it.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// What it belongs to: `cdm.work` for `cdm.work.item`, `jira` for `jira.issues`.
    pub fn domain(&self) -> &str {
        let id = match &self.subject {
            Subject::SourceUnit { unit, .. } => unit.as_str(),
            Subject::CdmTable { model, .. } => model.as_str(),
        };
        id.rsplit_once('.').map_or(id, |(domain, _)| domain)
    }

    /// What people search by: `cdm_model:cdm.work.item` and `sink-endpoint:warehouse`, or
    /// `unit:jira.issues` and `source-endpoint:acme_jira`.
    pub fn labels(&self) -> Vec<String> {
        match &self.subject {
            Subject::SourceUnit { unit, source, .. } => {
                vec![format!("unit:{unit}"), format!("source-endpoint:{source}")]
            }
            Subject::CdmTable { model, sink, .. } => {
                vec![format!("cdm_model:{model}"), format!("sink-endpoint:{sink}")]
            }
        }
    }

    /// What it is, in the words of the model or of the source.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Its fields, in their order.
    pub fn fields(&self) -> &[DatasetField] {
        &self.fields
    }

    /// The datasets that it is made from.
    pub fn upstream(&self) -> &BTreeSet<DatasetId> {
        &self.upstream
    }

    /// How the unit's records become rows of the model that it feeds; `None` where no mapper was linked.
    pub fn mapping(&self) -> Option<&UnitMapping> {
        self.mapping.as_ref()
    }

    /// Whether registering this would change what is on record.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] when the two are of different kinds.
    pub fn changes(&self, known: &Self) -> Result<bool> {
        Ok(self.over(known)? != *known)
    }

    /// What is to be on record when `known` is and `self` is registered: `self`, with what `known` is
    /// made from as well.
    ///
    /// A program that is older than the table describes less than is there. What it states is passed
    /// over, or the entry would change to and fro between two programs that both change nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] when the two are of different kinds.
    pub(crate) fn over(&self, known: &Self) -> Result<Self> {
        if self.kind() != known.kind() {
            let message = format!(
                "the dataset is a {} in the catalog and cannot become a {}; rename the endpoint",
                known.kind().as_str(),
                self.kind().as_str()
            );
            return Err(Error::new(ErrorKind::Conflict, "register a dataset", message).with("dataset", self.id()));
        }
        let mut merged = if self.is_behind(known) { known.clone() } else { self.clone() };
        merged.upstream = self.upstream.union(&known.upstream).cloned().collect();
        if let (Some(new), Some(old)) = (&self.mapping, &known.mapping)
            && new.is_behind(old)
            && self.cdm_model() == known.cdm_model()
        {
            merged.mapping = known.mapping.clone();
        }
        Ok(merged)
    }

    fn is_behind(&self, known: &Self) -> bool {
        match (&self.subject, &known.subject) {
            (Subject::CdmTable { version, provisioned, .. }, Subject::CdmTable { version: known, .. }) => {
                version < known && *version < provisioned.version
            }
            _ => false,
        }
    }
}

/// The name of a logical type as scripts see it: `text_list`.
fn type_name(logical_type: LogicalType) -> String {
    match serde_json::to_value(logical_type) {
        Ok(Value::String(name)) => name,
        _ => logical_type.to_string(),
    }
}
