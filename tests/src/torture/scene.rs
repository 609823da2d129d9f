use std::{
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;
use rusqlite::{Connection, types::ValueRef};

use super::{
    Order, Target,
    stage::{Stage, TABLESPACE},
};
use crate::{Line, Ran, Running, Sandbox, Wire, until};

/// After that long a command is taken to hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// A word that is in the values of cells and must not be in any output.
pub(super) const CANARY: &str = "canary";

/// Where a round happens.
pub(super) struct Scene<'s> {
    pub(super) stage: &'s Stage,
    pub(super) sandbox: Sandbox,
    /// The proxy between the program and the server: one that reads the protocol, or one that carries TLS.
    pub(super) line: Option<Line>,
    pub(super) wire: Option<Wire>,
    pub(super) order: Order,
    /// How long a load takes without a fault.
    pub(super) usual: Duration,
    retry_for: &'static str,
    /// The commands that are under way.
    pub(super) programs: Vec<Running>,
}

impl<'s> Scene<'s> {
    /// A scene without proxies, in which slices are loaded in their order.
    pub(super) fn plain(stage: &'s Stage) -> Self {
        let sandbox = Sandbox::within(stage.folder(), stage.cluster.as_ref());
        sandbox.configure(|configuration| stage.target.configure(&configuration));
        let scene = Self {
            stage,
            sandbox,
            line: None,
            wire: None,
            order: Order::InTurn,
            usual: Duration::from_secs(1),
            retry_for: "8s",
            programs: Vec::new(),
        };
        scene.use_tablespace();
        scene
    }

    /// A scene with what is drawn: the order of slices, the proxy, and for how long is tried again.
    pub(super) fn drawn(stage: &'s Stage, usual: Duration, dice: &mut Rng) -> Self {
        let mut scene = Self::plain(stage);
        scene.usual = usual;
        scene.order = *dice.choice(&[Order::InTurn, Order::AtOnce, Order::Crowd]).unwrap();
        scene.retry_for = *dice.choice(&["1s", "3s"]).unwrap();
        let encrypted = dice.bool();
        if let Some(cluster) = &stage.cluster {
            if encrypted {
                let wire = Wire::to_port(cluster.port());
                let place = |port: u16| format!(":{port}/");
                let url = scene.sandbox.database_url().replace(&place(cluster.port()), &place(wire.port()));
                scene.sandbox.connect(&format!("{url}?sslmode=verify-full"));
                scene.sandbox.write("authority.pem", &stage.authority);
                scene.sandbox.configure(|configuration| {
                    configuration.replace("connection_url", "ssl_root_cert = \"authority.pem\"\nconnection_url")
                });
                scene.wire = Some(wire);
            } else {
                let line = Line::to(&scene.sandbox);
                scene.sandbox.connect(&line.url(&scene.sandbox));
                scene.line = Some(line);
            }
        }
        scene
    }

    /// Lets new tables be on the disk that can be filled.
    pub(super) fn use_tablespace(&self) {
        if self.stage.server_disk.is_some() {
            let database = self.sandbox.database().name();
            self.sandbox.ask(&format!("alter database {database} set default_tablespace = {TABLESPACE}"));
        }
    }

    /// Starts the loads of a round.
    pub(super) fn launch(&mut self, options: &[&'static str], is_spared: bool) {
        let retry_for = if is_spared { "20s" } else { self.retry_for };
        let parallel = self.order.parallel();
        for ingestions in self.order.crews(&self.stage.target.ingestions()) {
            let mut arguments = vec!["ingest", "--parallel", parallel, "--retry-for", retry_for];
            arguments.extend(options);
            arguments.extend(ingestions);
            self.programs.push(self.sandbox.start(arguments));
        }
    }

    /// Starts one command more for all ingestions.
    pub(super) fn launch_rival(&mut self, on_overlap: &str) {
        let arguments =
            ["ingest", "--parallel", self.order.parallel(), "--retry-for", "1s", "--on-overlap", on_overlap];
        let arguments = arguments.into_iter().chain(self.stage.target.ingestions());
        self.programs.push(self.sandbox.start(arguments));
    }

    /// The commands that have not ended.
    pub(super) fn alive(&mut self) -> impl Iterator<Item = &mut Running> {
        self.programs.iter_mut().filter_map(|program| program.ended().is_none().then_some(program))
    }

    /// Whether all commands end within a time.
    pub(super) fn end_within(&mut self, time: Duration) -> bool {
        happens_within(time, || self.alive().next().is_none())
    }

    /// Waits for the end of all commands.
    pub(super) fn finish(&mut self) -> Vec<Ran> {
        let programs: Vec<Running> = self.programs.drain(..).collect();
        programs.into_iter().map(ended).collect()
    }

    /// Runs a command to its end.
    pub(super) fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Ran {
        ended(self.sandbox.start(arguments))
    }

    /// Runs a command and kills it at a moment, at most after a share of the time that a load takes; says whether it was
    /// under way.
    pub(super) fn kill_in<'a>(&self, arguments: impl IntoIterator<Item = &'a str>, share: f64, dice: &mut Rng) -> bool {
        let mut program = self.sandbox.start(arguments);
        let is_hit = !ends_within(&mut program, self.moment(share, dice));
        if is_hit {
            program.signal("KILL");
        }
        ended(program);
        is_hit
    }

    /// A moment, at most a share of the time that a load takes.
    pub(super) fn moment(&self, share: f64, dice: &mut Rng) -> Duration {
        self.usual.mul_f64(dice.f64() * share)
    }

    /// Waits until the server answers again.
    pub(super) fn recover(&self) {
        if let Some(cluster) = &self.stage.cluster {
            until("the server answers", || cluster.query("postgres", "select 1").is_ok());
        }
    }

    /// Executes a statement in the sink.
    pub(super) fn execute(&self, statement: &str) {
        match self.stage.target {
            Target::Postgres => drop(self.sandbox.ask(statement)),
            Target::Sqlite => {
                self.file().execute_batch(statement).unwrap_or_else(|error| panic!("{statement}: {error}"))
            }
            Target::RawFiles => panic!("raw files understand no statements"),
        }
    }

    /// The rows of a query in the sink, with each value as text.
    pub(super) fn query(&self, query: &str) -> Vec<Vec<String>> {
        match self.stage.target {
            Target::Postgres => self.sandbox.ask(query),
            Target::Sqlite => rows(&self.file(), query),
            Target::RawFiles => panic!("raw files understand no queries"),
        }
    }

    /// The name of a table of the sink.
    pub(super) fn table(&self, name: &str) -> String {
        if self.stage.target == Target::Postgres { format!("cdm_work.{name}") } else { name.to_owned() }
    }

    /// The SQLite sink.
    pub(super) fn file(&self) -> Connection {
        let file = Connection::open(self.sandbox.path("work.db")).unwrap();
        file.busy_timeout(Duration::from_secs(30)).unwrap();
        file
    }

    /// The catalog.
    pub(super) fn catalog(&self) -> Connection {
        Connection::open(self.sandbox.path("cdm-metadata.db")).unwrap()
    }
}

/// Of a SQLite file.
fn rows(file: &Connection, query: &str) -> Vec<Vec<String>> {
    let mut statement = file.prepare(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    let columns = statement.column_count();
    let text = |value: ValueRef<'_>| match value {
        ValueRef::Null => "null".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let rows = statement.query_map([], |row| (0..columns).map(|column| row.get_ref(column).map(text)).collect());
    rows.unwrap().map(Result::unwrap).collect()
}

/// Whether a command ends within a time.
pub(super) fn ends_within(program: &mut Running, time: Duration) -> bool {
    happens_within(time, || program.ended().is_some())
}

/// Waits until something has happened, for at most a time; says whether it has.
pub(super) fn happens_within(time: Duration, mut has_happened: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + time;
    while !has_happened() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Waits for the end of a command, which must not hang, panic, or show the value of a cell.
pub(super) fn ended(mut program: Running) -> Ran {
    if !ends_within(&mut program, PATIENCE) {
        program.signal("KILL");
        panic!("it hangs: {:?}", program.wait());
    }
    let ran = program.wait();
    assert!(ran.code != Some(101) && !ran.err.contains("panicked"), "it panicked: {ran:?}");
    assert!(!ran.err.contains(CANARY) && !ran.out.contains(CANARY), "it shows the value of a cell: {ran:?}");
    ran
}
