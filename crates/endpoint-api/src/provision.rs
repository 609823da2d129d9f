use std::sync::Arc;

use async_trait::async_trait;
use cdm_models::{ModelDescriptor, Timestamp};
use semver::Version;
use serde::Serialize;

use crate::{GrantRequest, Grants, Result};

/// An endpoint that creates the tables of a model.
///
/// Provisioning converges: a plan that was applied is followed by an empty one. It never drops or
/// rewrites what it did not create.
#[async_trait]
pub trait Provisioner: Send + Sync {
    /// Compares what the models need with what is there. MUST change nothing.
    ///
    /// A difference that cannot be mended by adding something is
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) and names the difference and the way out.
    async fn plan(&self, models: &[&ModelDescriptor]) -> Result<ProvisionPlan>;

    /// Carries a plan out.
    ///
    /// Any number of provisioners may apply the same plan at once: all succeed, and one of them does
    /// the work. When the state has changed in another way since the plan was made, nothing is done
    /// and the answer is [`ErrorKind::Outdated`](crate::ErrorKind::Outdated).
    async fn apply(&self, plan: &ProvisionPlan) -> Result<ProvisionReceipt>;

    /// Says which rights provisioning, loading and reading these models need at the least, and how they are
    /// given. Requires [`SinkCapabilities::grants`](crate::SinkCapabilities::grants).
    ///
    /// MUST change nothing, and MUST NOT need the roles, or the tables, to be there already. What gives the
    /// rights MUST be safe to run again. A name that no role can have is
    /// [`ErrorKind::Config`](crate::ErrorKind::Config).
    async fn grants(&self, request: &GrantRequest, models: &[&ModelDescriptor]) -> Result<Grants>;
}

/// What has to be done so that models can be loaded: data, to be shown and then applied.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProvisionPlan {
    /// What all models share: schemas, the sink's own tables.
    pub support: Vec<Change>,
    /// What each model needs, in the order in which they were asked for.
    pub models: Vec<ModelPlan>,
}

impl ProvisionPlan {
    /// A plan.
    pub fn new(support: Vec<Change>, models: Vec<ModelPlan>) -> Self {
        Self { support, models }
    }

    /// Whether everything is already there.
    pub fn is_empty(&self) -> bool {
        self.changes().next().is_none()
    }

    /// Every change in the order in which it is to be made.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.support.iter().chain(self.models.iter().flat_map(|model| &model.changes))
    }

    /// 128 bits over all that would be done, in hexadecimal.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut field = |text: &str| {
            hasher.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        for model in &self.models {
            field(model.descriptor.id.as_str());
            field(&model.descriptor.version.to_string());
            field(&model.table);
        }
        for change in self.changes() {
            field(change.action);
            field(&change.object);
            field(change.sql.as_deref().unwrap_or_default());
        }
        hasher.finalize().to_hex().chars().take(32).collect()
    }
}

/// What one model needs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelPlan {
    /// The model.
    pub descriptor: Arc<ModelDescriptor>,
    /// Where its rows go: `cdm_work.cdm_work_item`.
    pub table: String,
    /// What has to be done, in order; empty when all is there.
    pub changes: Vec<Change>,
    /// What the sink has on record of the model; `None` before it is provisioned.
    pub recorded: Option<ProvisionedModel>,
}

impl ModelPlan {
    /// A plan for a model.
    pub fn new(
        descriptor: Arc<ModelDescriptor>,
        table: String,
        changes: Vec<Change>,
        recorded: Option<ProvisionedModel>,
    ) -> Self {
        Self { descriptor, table, changes, recorded }
    }
}

/// One statement of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it does, in a word or two: `create table`, `add column`.
    pub action: &'static str,
    /// To what: `cdm_work.cdm_work_item`.
    pub object: String,
    /// Why it is needed.
    pub reason: String,
    /// The statement, where the sink speaks SQL.
    pub sql: Option<String>,
}

/// What a sink has on record of a provisioned model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProvisionedModel {
    /// The version of the model that its table was last made to fit.
    pub version: Version,
    /// The hash of the plan that did it.
    pub plan_hash: String,
    /// When, by the sink's clock.
    #[serde(serialize_with = "as_text")]
    pub provisioned_at: Timestamp,
}

impl ProvisionedModel {
    /// A record.
    pub fn new(version: Version, plan_hash: String, provisioned_at: Timestamp) -> Self {
        Self { version, plan_hash, provisioned_at }
    }
}

fn as_text<S: serde::Serializer>(time: &Timestamp, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// What became of a plan.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProvisionReceipt {
    /// Whether this call changed anything; not so when another one had applied the plan.
    pub changed: bool,
    /// What is on record of each of the plan's models, in the plan's order.
    pub models: Vec<ProvisionedModel>,
}

impl ProvisionReceipt {
    /// A receipt.
    pub fn new(changed: bool, models: Vec<ProvisionedModel>) -> Self {
        Self { changed, models }
    }
}
