use std::{
    ffi::OsStr,
    io::{self, IsTerminal as _, Write},
};

use clap::ValueEnum;
use indicatif::MultiProgress;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// The target of the log lines that show progress where there is no terminal: they are shown without `-v`.
pub(crate) const PROGRESS: &str = "progress";

/// Sends logs to standard error, between redraws of `bars`: warnings, with `-v` what is done, with `-vv` how. `CDM_LOG`
/// decides in more detail, in the words of tracing's filters.
pub(crate) fn start(format: LogFormat, verbosity: u8, bars: MultiProgress) {
    let level = match verbosity {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("CDM_LOG").unwrap_or_else(|_| {
        // The database client speaks of statements, which are of no use to an operator.
        let quiet = "tokio_postgres=warn,rustls=warn,refinery=warn,refinery_core=warn";
        EnvFilter::new(format!("{level},{PROGRESS}=info,{quiet}"))
    });
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(BesideBars(bars)).with_target(false);
    let has_colors = has_colors(io::stderr().is_terminal(), std::env::var_os("NO_COLOR").as_deref());
    // A host that has its own subscriber keeps it.
    let _ = match format {
        LogFormat::Text => subscriber.with_ansi(has_colors).compact().try_init(),
        LogFormat::Json => subscriber.json().try_init(),
    };
}

/// Whether log lines have colors: on a terminal, unless `NO_COLOR` is set to something.
fn has_colors(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

/// Standard error, which progress bars share: they are taken away while something is written, and drawn again below
/// it, so that no log line stands on the line of a bar.
#[derive(Debug, Clone)]
struct BesideBars(MultiProgress);

impl MakeWriter<'_> for BesideBars {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Write for BesideBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_have_colors_on_a_terminal_that_is_not_told_otherwise() {
        assert!(has_colors(true, None));
        assert!(has_colors(true, Some(OsStr::new(""))));
        assert!(!has_colors(true, Some(OsStr::new("1"))));
        assert!(!has_colors(false, None));
    }
}
