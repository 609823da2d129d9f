use std::{
    borrow::Cow,
    ffi::OsStr,
    io::{self, IsTerminal as _, Write},
};

use clap::ValueEnum;
use indicatif::MultiProgress;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::printable::log_line;

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
    let writer = BesideBars { bars, format };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_target(false);
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
/// it, so that no log line stands on the line of a bar. What comes from elsewhere into a line in text does not end it
/// and moves no cursor.
#[derive(Debug, Clone)]
struct BesideBars {
    bars: MultiProgress,
    format: LogFormat,
}

/// A log line as it is written. The formatter hands it over whole, with its end.
fn shown(line: &[u8], format: LogFormat) -> Cow<'_, [u8]> {
    let text = std::str::from_utf8(line).ok().filter(|_| format == LogFormat::Text);
    let Some((text, end)) = text.map(|text| text.strip_suffix('\n').map_or((text, ""), |line| (line, "\n"))) else {
        return Cow::Borrowed(line);
    };
    match log_line(text) {
        Cow::Borrowed(_) => Cow::Borrowed(line),
        Cow::Owned(text) => Cow::Owned((text + end).into_bytes()),
    }
}

impl MakeWriter<'_> for BesideBars {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Write for BesideBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = shown(bytes, self.format);
        self.bars.suspend(|| io::stderr().write_all(&line)).map(|()| bytes.len())
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

    #[test]
    fn nothing_that_is_logged_ends_its_line_or_moves_the_cursor() {
        let line = b"WARN a\nfake \r\x1b[0m \xE2\x80\xAE\n".as_slice();
        let expected = "WARN a\\nfake \\r\u{1b}[0m \\u{202e}\n";
        assert_eq!(shown(line, LogFormat::Text), expected.as_bytes());
        assert!(matches!(shown(b"WARN a\n", LogFormat::Text), Cow::Borrowed(_)));
        assert!(matches!(shown(b"{\"a\":1}\n", LogFormat::Json), Cow::Borrowed(_)));
    }
}
