//! What everything here that talks to a PostgreSQL server has in common: how a URL is read, what TLS
//! demands, and how the server's errors are told.
//!
//! A message of the server may carry data: its detail and context do, and where data is at fault the
//! message itself. None of that may pass: see [`Dialogue::error`].

mod dialogue;
mod silence;
mod target;
mod tls;

pub use dialogue::{Dialogue, Fault, Meaning, ServerError};
pub use target::{BadUrl, ConnectError, Connector, Target, read_url};
pub use tls::TlsMode;
