use std::{fmt, process::ExitCode};

use endpoint_api::{Error, ErrorKind, nearest};
use serde_json::{Value, json};

/// How a command ends: the contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Ok,
    /// The work failed.
    Failed,
    /// The command line, the configuration, the mode or the state of the sink is wrong.
    Usage,
    /// `provision --plan` or `--check` found changes.
    Changes,
    /// There were more rejects than allowed, or nothing else.
    TooManyRejects,
    /// SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Changes => 3,
            Exit::TooManyRejects => 4,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        })
    }
}

impl Exit {
    /// Of several ends the one that counts: the first that fits.
    pub(crate) fn or(self, other: Self) -> Self {
        const ORDER: [Exit; 6] =
            [Exit::Interrupted, Exit::Terminated, Exit::Usage, Exit::Failed, Exit::Changes, Exit::TooManyRejects];
        ORDER.into_iter().find(|exit| *exit == self || *exit == other).unwrap_or(Exit::Ok)
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: &'static str,
    /// The place in the configuration.
    path: Option<String>,
    message: String,
    /// What people read instead of the message, where the rest of it is shown already.
    short: Option<String>,
    exit: Exit,
}

impl Failure {
    /// Something in the configuration is wrong at `path`.
    pub(crate) fn config(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: "config", path: Some(path.into()), message: message.into(), short: None, exit: Exit::Usage }
    }

    /// The command line is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { kind: "usage", path: None, message: message.into(), short: None, exit: Exit::Usage }
    }

    /// There is nothing of the id that was named: a wrong argument, whatever it names.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { kind: "not_found", path: None, message: message.into(), short: None, exit: Exit::Usage }
    }

    /// The sink has no place yet for what the command is about.
    pub(crate) fn not_provisioned(message: impl Into<String>) -> Self {
        let kind = ErrorKind::NotProvisioned;
        Self { kind: kind.as_str(), path: None, message: message.into(), short: None, exit: exit_of(kind) }
    }

    /// The surroundings are not as the command needs them.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { kind: "failed", path: None, message: message.into(), short: None, exit: Exit::Failed }
    }

    /// A signal told the command to stop.
    pub(crate) fn interrupted(exit: Exit) -> Self {
        let message = "told to stop; what was committed stays, and the next run goes on from there";
        Self { kind: ErrorKind::Interrupted.as_str(), path: None, message: message.to_owned(), short: None, exit }
    }

    /// The program itself is at fault.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self { kind: "internal", path: None, message: message.into(), short: None, exit: Exit::Failed }
    }

    /// Names the place in the configuration that the failure comes from.
    #[must_use]
    pub(crate) fn at(mut self, path: impl Into<String>) -> Self {
        self.path.get_or_insert(path.into());
        self
    }

    /// Lets people read `short` instead, because the answer shows the details. Scripts get the whole message.
    #[must_use]
    pub(crate) fn shown_as(mut self, short: impl Into<String>) -> Self {
        self.short = Some(short.into());
        self
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// The failure for scripts.
    pub(crate) fn to_json(&self) -> Value {
        let mut error = json!({ "kind": self.kind, "message": self.message });
        if let (Some(path), Some(members)) = (&self.path, error.as_object_mut()) {
            members.insert("path".to_owned(), Value::from(path.as_str()));
        }
        error
    }
}

/// ``there is no endpoint `warehous`; configured are lake, warehouse; did you mean `warehouse`?``
pub(crate) fn unknown(what: &str, name: &str, there: &str, known: &[&str]) -> String {
    match known {
        [] => format!("there is no {what} `{name}`; none is {there}"),
        _ => format!("there is no {what} `{name}`; {there} are {}{}", known.join(", "), or_meant(name, known)),
    }
}

/// `; did you mean …?` with the name among `known` that may be meant; nothing where none is alike.
pub(crate) fn or_meant(name: &str, known: &[impl AsRef<str>]) -> String {
    nearest(name, known.iter().map(AsRef::as_ref)).map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default()
}

/// How a command ends that met this error.
pub(crate) fn exit_of(kind: ErrorKind) -> Exit {
    match kind {
        ErrorKind::Config | ErrorKind::Unsupported | ErrorKind::NotProvisioned => Exit::Usage,
        ErrorKind::Interrupted => Exit::Interrupted,
        _ => Exit::Failed,
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            kind: error.kind().as_str(),
            path: None,
            message: error.to_string(),
            short: None,
            exit: exit_of(error.kind()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.short.as_ref().unwrap_or(&self.message);
        match &self.path {
            Some(path) => write!(f, "{path}: {message}"),
            None => f.write_str(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_exit_that_fits_counts() {
        assert_eq!(Exit::Ok.or(Exit::Changes), Exit::Changes);
        assert_eq!(Exit::TooManyRejects.or(Exit::Failed), Exit::Failed);
        assert_eq!(Exit::Failed.or(Exit::Interrupted), Exit::Interrupted);
        assert_eq!(Exit::Usage.or(Exit::Failed), Exit::Usage);
        assert_eq!(Exit::Ok.or(Exit::Ok), Exit::Ok);
    }
}
