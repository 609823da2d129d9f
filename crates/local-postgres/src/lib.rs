//! A private PostgreSQL cluster: made from the server programs that are installed, in a folder of
//! its own, on a free port of the loopback interface, behind a random password, and gone when its
//! owner is gone, even when that was killed.
//!
//! It is for demonstrations, tests and benchmarks. It must never be pointed at data that anybody
//! wants to keep.
//!
//! ```no_run
//! use local_postgres::{Cluster, Options, Programs};
//!
//! let cluster = Cluster::start(&Programs::find()?, &Options::default())?;
//! println!("{}", cluster.url("postgres"));
//! # Ok::<(), local_postgres::Error>(())
//! ```

mod cluster;
mod error;
mod programs;
#[cfg(feature = "query")]
mod query;
#[cfg(feature = "query")]
mod test_database;

pub use cluster::{Cluster, Options, Shutdown};
pub use error::Error;
pub use programs::Programs;
#[cfg(feature = "query")]
pub use query::Row;
#[cfg(feature = "query")]
pub use test_database::TestDatabase;

/// The environment variable that names a running cluster for tests, by the URL of its superuser.
/// Where it is not set, every test process starts a cluster of its own.
pub const CLUSTER_VARIABLE: &str = "CDM_TEST_POSTGRES";
