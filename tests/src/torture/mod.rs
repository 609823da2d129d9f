//! Loads that are made while the program, the server and the line between them fail at random, again and again,
//! and must come to what one uninterrupted load comes to.

mod export;
mod fault;
mod picture;

use std::{
    collections::BTreeMap,
    fmt, thread,
    time::{Duration, Instant},
};

use fastrand::Rng;
use local_postgres::{Cluster, Options, Programs};
use rusqlite::Connection;
use serde_json::Value;

use crate::{Line, Ran, Running, Sandbox, until};
use export::Export;
pub use fault::Fault;
use fault::Victim;
use picture::{Order, Picture, differences_told, row_versions};

/// What is ingested by one command.
const UNITS: [&str; 5] = ["projects", "users", "issues", "comments", "worklogs"];

fn ingest(order: Order) -> Vec<&'static str> {
    [&["ingest", "--parallel", order.parallel()], &UNITS[..]].concat()
}

/// After that long a run is taken to hang.
const PATIENCE: Duration = Duration::from_secs(120);

/// Of each kind of fault, how many there were and how many hit a run that was under way.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<Fault, (usize, usize)>);

impl Tally {
    /// How many faults there were.
    pub fn faults(&self) -> usize {
        self.0.values().map(|(faults, _)| faults).sum()
    }

    /// How many hit a run that was under way.
    pub fn hits(&self) -> usize {
        self.0.values().map(|(_, hits)| hits).sum()
    }

    /// How many kinds hit.
    pub fn kinds(&self) -> usize {
        self.0.values().filter(|(_, hits)| *hits > 0).count()
    }

    fn count(&mut self, fault: Fault, hit: bool) {
        let (faults, hits) = self.0.entry(fault).or_default();
        *faults += 1;
        *hits += usize::from(hit);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (fault, (faults, hits)) in &self.0 {
            writeln!(f, "{faults:5} {fault}, of which {hits} hit a run")?;
        }
        write!(f, "{:5} faults in all, of which {} hit a run", self.faults(), self.hits())
    }
}

/// Loads under so many faults, drawn from a seed, and compares with a load without any.
///
/// # Panics
///
/// When a load comes to something else, does not get through once the faults are over, or hangs.
pub fn torture(faults: usize, seed: u64) -> Tally {
    // A killed backend makes the server start anew: no other test may have this one.
    let cluster = Cluster::start(&Programs::find().unwrap(), &Options::default()).unwrap();
    let mut dice = Rng::with_seed(seed);
    let first = Export::generate(&mut dice);
    let second = first.changed(&mut dice);
    let reference = Reference::of(&cluster, [&first, &second]);
    let mut tally = Tally::default();
    while tally.faults() < faults {
        let sandbox = sandbox(&cluster);
        let line = Line::to(&sandbox);
        sandbox.connect(&line.url(&sandbox));
        let order = if dice.bool() { Order::InTurn } else { Order::AtOnce };
        let place = Place { cluster: &cluster, sandbox: &sandbox, line: &line, order };
        for (export, expected) in [&first, &second].into_iter().zip(&reference.loads) {
            export.write(&sandbox);
            let mut quota = dice.usize(2..=5).min(faults - tally.faults());
            let told = load(&place, expected.took, &mut quota, &mut dice, &mut tally);
            let mut differences = Picture::of(&sandbox).differences(&expected.picture, order);
            differences.extend(differences_told(&sandbox, &told, &expected.told, order));
            assert_eq!(
                differences,
                [""; 0],
                "slices {order:?}, after {} faults of seed {seed}:\n{tally}",
                tally.faults()
            );
            assert!(sandbox.ingest(&UNITS).iter().all(|run| run["read"] == 0), "something was left to be read");
        }
        assert_settles(&sandbox, &format!("of seed {seed}:\n{tally}"));
        if tally.faults() < faults {
            overtake(&place, reference.loads[1].took, &mut dice, &mut tally);
        }
    }
    tally
}

/// Loads all of it again: what has not changed must not be written.
///
/// That holds from the second time on. Of two records that contradict each other and have no time, in files that are
/// loaded at once, it is up to chance which one is met first, and with it whether the stored one, which is the
/// greater, is written again; once it was, it stays.
fn assert_settles(sandbox: &Sandbox, after: &str) {
    let all_again = [&ingest(Order::InTurn)[..], &["--full"]].concat();
    sandbox.cdm(all_again.clone()).expect(0);
    let before = row_versions(sandbox);
    sandbox.cdm(all_again.clone()).expect(0);
    assert_eq!(row_versions(sandbox), before, "what has not changed was written again, {after}");
}

/// A sandbox in the cluster with small slices.
fn sandbox(cluster: &Cluster) -> Sandbox {
    let sandbox = Sandbox::in_cluster(cluster);
    sandbox.configure(|configuration| {
        configuration.replace("path = \"export\"", "path = \"export\"\nslice_bytes = 16384")
    });
    sandbox.cdm(["provision", "warehouse"]).expect(0);
    sandbox
}

/// What the loads of the exports come to without a fault.
struct Reference {
    loads: Vec<Loaded>,
}

struct Loaded {
    picture: Picture,
    /// What the command said of each run.
    told: Vec<Value>,
    took: Duration,
}

impl Reference {
    fn of(cluster: &Cluster, exports: [&Export; 2]) -> Self {
        let sandbox = sandbox(cluster);
        let loads = exports.map(|export| {
            export.write(&sandbox);
            let began = Instant::now();
            let told = sandbox.cdm(ingest(Order::InTurn)).expect(0)["runs"].as_array().unwrap().clone();
            Loaded { took: began.elapsed(), told, picture: Picture::of(&sandbox) }
        });
        let slices = loads[0].picture.slices();
        assert!(slices >= 20, "a load of {slices} slices is too easy");
        Self { loads: loads.into() }
    }
}

/// Where a load is made, and how.
struct Place<'a> {
    cluster: &'a Cluster,
    sandbox: &'a Sandbox,
    line: &'a Line,
    order: Order,
}

/// Loads, with faults at random moments, by as many commands as it takes; says what the last one told of its
/// runs.
fn load(place: &Place<'_>, usual: Duration, quota: &mut usize, dice: &mut Rng, tally: &mut Tally) -> Vec<Value> {
    let &Place { cluster, sandbox, line, order } = place;
    loop {
        let is_spared = *quota == 0;
        let mut program = sandbox.start(ingest(order));
        while *quota > 0 && !ends_within(&mut program, usual.mul_f64(dice.f64() * 0.8)) {
            let fault = *dice.choice(&Fault::ALL).unwrap();
            if let Some(hit) = (Victim { cluster, sandbox, line, program: &mut program }).suffer(fault, dice) {
                tally.count(fault, hit);
                *quota -= 1;
            }
        }
        let ran = ended(program);
        if ran.code == Some(0) {
            return ran.json()["runs"].as_array().unwrap().clone();
        }
        assert!(!is_spared, "no fault, and still it fails: {ran:?}");
        assert_failed_for_a_passing_reason(&ran);
    }
}

/// Freezes a program in the midst of a full load, lets another one take over and load everything, and thaws the
/// first: it must say that it was overtaken, and change nothing.
fn overtake(place: &Place<'_>, usual: Duration, dice: &mut Rng, tally: &mut Tally) {
    let &Place { sandbox, order, .. } = place;
    let all_again = ["ingest", "issues", "--full", "--parallel", order.parallel()];
    let is_running = || {
        let status = "select status from cdm_work._cdm_ingestion where ingestion like '%/jira.issues/%'";
        sandbox.value(status) == "running"
    };
    let mut frozen = sandbox.start(all_again);
    until("a run is under way", || is_running() || frozen.ended().is_some());
    if ends_within(&mut frozen, usual.mul_f64(dice.f64() * 0.1)) {
        frozen.wait().expect(0);
        return;
    }
    loop {
        frozen.signal("STOP");
        // What it had sent is done by then.
        thread::sleep(Duration::from_millis(100));
        // Frozen while it writes to the catalog's file, it would hold everybody up, and not only its load.
        let catalog = Connection::open(sandbox.path("cdm-metadata.db")).unwrap();
        catalog.busy_timeout(Duration::ZERO).unwrap();
        if catalog.execute_batch("begin immediate; rollback").is_ok() {
            break;
        }
        frozen.signal("CONT");
        thread::sleep(Duration::from_millis(5));
    }
    if is_running() {
        sandbox.cdm([&all_again[..], &["--on-overlap", "takeover"]].concat()).expect(0);
        let before = Picture::of(sandbox);
        frozen.signal("CONT");
        let ran = ended(frozen);
        assert_eq!(Picture::of(sandbox).differences(&before, Order::InTurn), [""; 0], "overtaken: {ran:?}");
        assert_eq!(ran.expect(1)["error"]["kind"], "fenced", "{ran:?}");
        tally.count(Fault::Overtake, true);
    } else {
        // It was done already.
        frozen.signal("CONT");
        ended(frozen).expect(0);
    }
}

/// Whether the program ends within a time.
fn ends_within(program: &mut Running, time: Duration) -> bool {
    let deadline = Instant::now() + time;
    while program.ended().is_none() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

fn ended(mut program: Running) -> Ran {
    if !ends_within(&mut program, PATIENCE) {
        program.signal("KILL");
        panic!("it hangs: {:?}", program.wait());
    }
    program.wait()
}

/// It was killed, or says that the server was not there for it.
fn assert_failed_for_a_passing_reason(ran: &Ran) {
    if ran.code.is_some() {
        let kind = ran.expect(1)["error"]["kind"].clone();
        assert!(kind == "unavailable" || kind == "conflict", "{ran:?}");
    }
}
