use serde::{Deserialize, Serialize};

/// A way in which something that is there differs from what is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// What becomes of it.
    pub class: FindingClass,
    /// What differs: `cdm_work.cdm_work_item.summary`.
    pub object: String,
    /// How: `is character varying(10), not text`.
    pub difference: String,
    /// What is done about it, or what a person may do.
    pub way_out: String,
}

/// What becomes of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingClass {
    /// Something is missing, and the plan adds it.
    Additive,
    /// It is in nobody's way and stays as it is.
    Harmless,
    /// Adding cannot mend it: the plan is refused until a person has acted.
    Incompatible,
}

impl FindingClass {
    /// The class as a script sees it: `additive`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Additive => "additive",
            Self::Harmless => "harmless",
            Self::Incompatible => "incompatible",
        }
    }
}

impl Finding {
    /// A difference that the plan mends.
    pub fn additive(object: impl Into<String>, difference: impl Into<String>) -> Self {
        Self::new(FindingClass::Additive, object, difference, "provisioning mends it")
    }

    /// A difference that stays.
    pub fn harmless(object: impl Into<String>, difference: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self::new(FindingClass::Harmless, object, difference, way_out)
    }

    /// A difference for which the plan is refused.
    pub fn incompatible(object: impl Into<String>, difference: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self::new(FindingClass::Incompatible, object, difference, way_out)
    }

    fn new(
        class: FindingClass,
        object: impl Into<String>,
        difference: impl Into<String>,
        way_out: impl Into<String>,
    ) -> Self {
        Self { class, object: object.into(), difference: difference.into(), way_out: way_out.into() }
    }
}
