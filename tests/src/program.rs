use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        OnceLock,
        mpsc::{self, Receiver},
    },
    thread::{self, JoinHandle},
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
        let build = ["build", "--quiet", "--workspace", "--bins"];
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

/// A process that does not outlive the test, however that ends.
struct Owned(Option<Child>);

impl Owned {
    fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    fn id(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill(); // it may have ended
            let _ = child.wait();
        }
    }
}

/// A run of the program that has not ended yet.
pub struct Running {
    child: Owned,
    /// Reads standard output: a pipe that nobody empties would stop the program.
    out: JoinHandle<String>,
    /// The lines of standard error, which are read as they come for the same reason.
    err: Receiver<String>,
    /// What was read of standard error so far.
    said: String,
}

impl Running {
    /// Sends a signal by its name: `INT`, `TERM`, `KILL`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.child().try_wait().unwrap()
    }

    /// The most memory that it has held so far, in bytes, as far as the system tells; `None` once it has
    /// ended.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
    }

    /// Waits until it has said something on standard error.
    pub fn until_it_says(&mut self, text: &str) {
        loop {
            let line = self.err.recv().unwrap_or_else(|_| panic!("it never said `{text}`, but {}", self.said));
            self.said.push_str(&line);
            if line.contains(text) {
                return;
            }
        }
    }

    /// Waits for its end.
    pub fn wait(self) -> Ran {
        let Self { mut child, out, err, mut said } = self;
        let status = child.child().wait().unwrap();
        said.extend(err);
        Ran { code: status.code(), out: out.join().unwrap(), err: said }
    }
}

pub(crate) fn start(command: &mut Command) -> Running {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), BufReader::new(child.stderr.take().unwrap()));
    let out = thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        text
    });
    let (said, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        // Whoever listens may be gone.
        while err.read_line(&mut line).unwrap() > 0 && said.send(std::mem::take(&mut line)).is_ok() {}
    });
    Running { child: Owned(Some(child)), out, err: lines, said: String::new() }
}
