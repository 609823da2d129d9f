//! Creates the tables of models on a sink and registers them in the metadata catalog.
//!
//! A [`Target`] is a sink and the catalog in which its tables are to be found. It makes a [`Plan`]:
//! what the sink needs, as the sink's own provisioner sees it, and what the catalog lacks. Carrying the
//! plan out ends with the registration, which may be repeated. What the sink has on record is the truth:
//! when a process dies between the two, the next [`Target::provision`] or [`Target::admit`] registers
//! what is there.
//!
//! It knows no driver and speaks no SQL, and it must never do more than the plan says.

mod plan;
mod target;

pub use plan::{ModelStep, Plan};
pub use target::{Provisioned, Target};
