//! Making places for models: a plan, which is data, and what carries it out.

mod change;
mod document;
mod finding;
mod plan;
mod state;

use async_trait::async_trait;
use cdm_models::{ModelDescriptor, Timestamp};
use semver::Version;
use serde::Serialize;

pub use change::{Change, Execution, Stage, TableLock};
pub use finding::{Finding, FindingClass};
pub use plan::{ModelPlan, PlannedFor, ProvisionPlan};
pub use state::PlanState;

use crate::{GrantRequest, Grants, Result};

/// An endpoint that creates the tables of a model.
///
/// Provisioning converges: a plan that was applied is followed by an empty one. It never drops or
/// rewrites what it did not create.
#[async_trait]
pub trait Provisioner: Send + Sync {
    /// Compares what the models need with what is there. MUST change nothing.
    ///
    /// The plan tells how what is there differs: what is missing and is added, what is somebody else's and stays,
    /// and what adding cannot mend ([`FindingClass::Incompatible`]), each with the way out. It names the state that
    /// it was made for, object by object.
    async fn plan(&self, models: &[&ModelDescriptor]) -> Result<ProvisionPlan>;

    /// Carries a plan out: exactly its changes, and only where they are what the sink itself would plan.
    ///
    /// Any number of provisioners may apply the same plan at once: all succeed, and one of them does
    /// the work. A plan that the sink has on record as applied is answered with that record, whatever has changed
    /// since. When otherwise the state is not the one that the plan was made for, nothing is done and the answer is
    /// [`ErrorKind::Outdated`](crate::ErrorKind::Outdated), which names what has changed.
    ///
    /// A plan that [`ProvisionPlan::refusal`] speaks against MUST be refused with that error, with nothing done.
    async fn apply(&self, plan: &ProvisionPlan) -> Result<ProvisionReceipt>;

    /// Says which rights provisioning, loading and reading these models need at the least, and how they are
    /// given. Requires [`SinkCapabilities::grants`](crate::SinkCapabilities::grants).
    ///
    /// MUST change nothing, and MUST NOT need the roles, or the tables, to be there already. What gives the
    /// rights MUST be safe to run again. A name that no role can have is
    /// [`ErrorKind::Config`](crate::ErrorKind::Config).
    async fn grants(&self, request: &GrantRequest, models: &[&ModelDescriptor]) -> Result<Grants>;
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
