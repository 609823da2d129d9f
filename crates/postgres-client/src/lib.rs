//! What everything here that talks to a PostgreSQL server has in common: how a URL is read, what TLS
//! demands, and how the server's errors are told.
//!
//! A message of the server may carry data: its detail, hint and context do, and whatever a function or trigger of
//! somebody's has raised. None of that may pass: see [`Dialogue::error`].

mod dialogue;
mod names;
mod own;
mod silence;
mod target;
mod tls;

pub use dialogue::{Dialogue, Fault, Meaning, ServerError};
pub use names::codes;
pub use target::{BadUrl, ConnectError, Connector, Target, read_url};
pub use tls::TlsMode;
