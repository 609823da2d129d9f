//! What the end-to-end tests have in common: a folder and a database of their own, and the built
//! program to run in them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "for tests")]

mod barrier;
mod certificates;
mod line;
mod pooler;
mod program;
mod receiver;
mod role;
mod roles;
mod sandbox;
mod small_disk;
pub mod torture;
mod wire;

pub use barrier::{Barrier, until};
pub use certificates::Certificates;
pub use line::{Direction, Line, Mishap, Moment};
pub use pooler::{Pooler, unprivileged_user};
pub use program::{Ran, Running, cdm};
pub use receiver::{Mood, Received, Receiver};
pub use role::Role;
pub use roles::Roles;
pub use sandbox::Sandbox;
pub use small_disk::SmallDisk;
pub use wire::{Harm, Wire};
