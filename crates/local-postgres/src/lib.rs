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
mod query;
mod test_database;

pub use cluster::{Cluster, Options, Shutdown};
pub use error::Error;
pub use programs::Programs;
pub use query::Row;
pub use test_database::{CLUSTER_VARIABLE, TestDatabase};
