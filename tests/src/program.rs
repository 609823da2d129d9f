use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

/// The built `cdm` program: the one that `CDM_BIN` names, else the one that cargo builds.
pub fn cdm() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(binary) = env::var_os("CDM_BIN") {
            return PathBuf::from(binary);
        }
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let build = ["build", "--quiet", "--package", "host", "--bin", "cdm"];
        let built = Command::new(cargo).args(build).current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(built.is_ok_and(|status| status.success()), "cdm cannot be built");
        // This test stands in target/<profile>/deps, the program one folder up.
        let test = env::current_exe().unwrap();
        test.ancestors().nth(2).unwrap().join(format!("cdm{}", env::consts::EXE_SUFFIX))
    })
}

/// What a run of the program came to.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Standard output as the one JSON object that it must be.
    pub fn json(&self) -> Value {
        let json: Value = serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert!(json.is_object(), "{self:?}");
        json
    }

    /// Standard output as JSON, of a run that must have ended with that exit code.
    pub fn expect(&self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{self:?}");
        self.json()
    }

    /// The message of the error in the JSON, of a run that must have ended with that exit code.
    pub fn error(&self, code: i32) -> String {
        let json = self.expect(code);
        let error = &json["error"];
        let message = error["message"].as_str().unwrap_or_else(|| panic!("no error in {json}"));
        match error["path"].as_str() {
            Some(path) => format!("{path}: {message}"),
            None => message.to_owned(),
        }
    }
}

/// A run of the program that has not ended yet.
pub struct Running(pub(crate) Child);

impl Running {
    /// Sends a signal by its name: `INT`, `TERM`, `KILL`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    /// Waits for its end.
    pub fn wait(self) -> Ran {
        Ran::of(self.0.wait_with_output().unwrap())
    }
}

pub(crate) fn start(command: &mut Command) -> Running {
    Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}
