use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Sends logs to standard error: warnings, with `-v` what is done, with `-vv` how. `CDM_LOG` decides in
/// more detail, in the words of tracing's filters.
pub(crate) fn start(format: LogFormat, verbosity: u8) {
    let level = match verbosity {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("CDM_LOG").unwrap_or_else(|_| {
        // The database client speaks of statements, which are of no use to an operator.
        EnvFilter::new(format!("{level},tokio_postgres=warn,rustls=warn,refinery=warn,refinery_core=warn"))
    });
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    // A host that has its own subscriber keeps it.
    let _ = match format {
        LogFormat::Text => subscriber.with_ansi(io::stderr().is_terminal()).compact().try_init(),
        LogFormat::Json => subscriber.json().try_init(),
    };
}
