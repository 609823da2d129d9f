use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::{
    failure::{Exit, Failure},
    logging::LogFormat,
    metadata::now,
    printable::{self, on_lines, on_one_line},
};

/// In which form results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    Json,
}

/// What a command found or did, in both forms.
#[derive(Debug)]
pub(crate) struct Answer {
    json: Map<String, Value>,
    text: String,
    /// What failed, the first one first.
    failures: Vec<Failure>,
    exit: Exit,
    /// Whether writing it succeeded, when the command has printed it itself.
    printed: Option<Result<(), Failure>>,
}

impl Answer {
    /// An answer whose JSON has one member.
    pub(crate) fn new(member: &str, value: impl Into<Value>, text: impl Into<String>) -> Self {
        Self::of(Map::from_iter([(member.to_owned(), value.into())]), text)
    }

    /// An answer whose JSON is that object. Whoever makes the text has put what comes from elsewhere on one line each.
    pub(crate) fn of(json: Map<String, Value>, text: impl Into<String>) -> Self {
        let text: String = text.into();
        Self::verbatim(json, on_lines(&text))
    }

    /// An answer whose text is printed as it is: it has colours, or is a program.
    pub(crate) fn verbatim(json: Map<String, Value>, text: impl Into<String>) -> Self {
        Self { json, text: text.into(), failures: Vec::new(), exit: Exit::Ok, printed: None }
    }

    /// An answer that the command has printed itself, with the failure in JSON, where it could be written.
    pub(crate) fn printed(written: Result<(), Failure>, failure: Option<Failure>) -> Self {
        let exit = failure.as_ref().map_or(Exit::Ok, Failure::exit);
        Self { printed: Some(written), ..Self::verbatim(Map::new(), "").failed(failure).exit(exit) }
    }

    /// What people see.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What scripts see, of an answer without a failure.
    pub(crate) fn json(&self) -> Value {
        Value::Object(self.json.clone())
    }

    /// The first failure, if something failed.
    pub(crate) fn ok(self) -> Result<(), Failure> {
        self.failures.into_iter().next().map_or(Ok(()), Err)
    }

    /// Sets how the command ends.
    #[must_use]
    pub(crate) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Something failed although there is something to show. Scripts see the first failure, people all of them; the
    /// text says nothing of them, or they would be printed twice.
    #[must_use]
    pub(crate) fn failed(mut self, failures: impl IntoIterator<Item = Failure>) -> Self {
        self.failures.extend(failures);
        self
    }
}

/// Prints what a command came to: results on standard output, failures for people on standard error in the form of the
/// log lines there.
///
/// An answer that could not be written is a failure, however the work went.
pub(crate) fn print(output: Output, logs: LogFormat, result: Result<Answer, Failure>) -> Exit {
    let answer = result.unwrap_or_else(|failure| {
        let exit = failure.exit();
        Answer { json: Map::new(), text: String::new(), failures: vec![failure], exit, printed: None }
    });
    let written = answer.printed.unwrap_or_else(|| match output {
        Output::Json => {
            let mut json = answer.json;
            if let Some(failure) = answer.failures.first() {
                json.insert("error".to_owned(), failure.to_json());
            }
            write_out(&format!("{}\n", to_text(&Value::Object(json))))
        }
        Output::Table => write_out(&answer.text),
    });
    if output == Output::Table {
        answer.failures.iter().for_each(|failure| print_failure(logs, failure));
    }
    match written {
        Ok(()) => answer.exit,
        Err(failure) => {
            print_failure(logs, &failure);
            answer.exit.or(failure.exit())
        }
    }
}

/// Prints a failure on standard error, on one line.
pub(crate) fn print_failure(logs: LogFormat, failure: &Failure) {
    let line = match logs {
        LogFormat::Text => on_one_line(&format!("error: {failure}")).into_owned(),
        LogFormat::Json => log_line(failure).to_string(),
    };
    // Nothing can be done when standard error is gone.
    let _ = writeln!(io::stderr(), "{line}");
}

/// A failure in the form of the log lines in JSON. It is no log line, so that no filter of log lines hides it.
fn log_line(failure: &Failure) -> Value {
    json!({ "timestamp": now().to_string(), "level": "ERROR", "fields": failure.to_json() })
}

/// One line for programs, indented lines on a terminal.
pub(crate) fn to_text(json: &Value) -> String {
    if io::stdout().is_terminal() { printable::json(&format!("{json:#}")).into_owned() } else { json.to_string() }
}

/// Writes to standard output.
///
/// # Errors
///
/// When not all of it was written, as on a disk that is full. A reader that went away, as `head` does, is no failure.
pub(crate) fn write_out(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// What the outcome of writing to standard output means.
pub(crate) fn written(outcome: io::Result<()>) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::failed(format!(
            "the answer could not be written to standard output, and is not complete there: {error}"
        ))),
        _ => Ok(()),
    }
}
