use clap::{Args, ValueEnum};

use crate::steps::{Done, cargo, release_cdm, step};

/// Load while the program, the server, the disks and the connections fail again and again, and compare the result.
///
/// The program is the one that is released. Two exports are loaded into PostgreSQL (40 % of the faults), SQLite (30 %) and
/// raw files (30 %), all three at the same time, in rounds of 8 to 17 faults. A round has a database of its own. It loads in turn or four slices at once,
/// with one command or two, and, with PostgreSQL, through a proxy, encrypted or not. After the faults it loads without any
/// until that succeeds. Then rows, ledger, checkpoints, rejects and counts must be those of loads without faults.
///
/// A round also fails when a command panics, hangs for more than 60 s or shows the value of a cell. The other rounds go on.
/// An error of a command is no failure as long as faults happen.
///
/// During loads: the program is killed (also while it writes to the catalog), stopped, frozen, taken over, run twice; a
/// session or process of the server is ended or frozen, the server restarts or crashes; connections are cut, lose one
/// direction or a COMMIT, flip or leave out bytes (encrypted ones only: nothing guards a plain one), are slow or narrow;
/// VACUUM FULL and ALTER TABLE; a disk is full (where this user may mount one). Between loads: provision, verify --repair
/// and rejects replay are killed; triggers drop, refuse and alter rows; a command is frozen until another has taken over;
/// a backup is restored.
///
/// A table shows how many faults of each kind were tried, how many hit a command that was under way, and how many were in
/// a round that failed. For each failed round it prints the command that repeats it. `--kills 1000` is the form for a
/// night; `cargo xtask test` has 40 faults.
#[derive(Args)]
pub(crate) struct Torture {
    /// The number of faults.
    #[arg(long, default_value_t = 300)]
    kills: u32,
    /// The seed of the exports and of the rounds: their faults, the order and the moments of these; drawn from the clock
    /// where it is not given. What a fault hits at its moment depends on the machine, too.
    #[arg(long)]
    seed: Option<u64>,
    /// Only this target.
    #[arg(long)]
    target: Option<Target>,
    /// Only the round of the seed with this number, as the message about a failed round gives it.
    #[arg(long, requires = "seed", requires = "target")]
    round: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Target {
    Postgres,
    Sqlite,
    Raw,
}

impl Torture {
    pub(crate) fn run(&self) -> Done {
        let binary = release_cdm()?;
        let mut tests =
            cargo(&["test", "--quiet", "--package", "end-to-end", "--test", "torture", "--", "--nocapture"]);
        tests.args(self.target.map(|target| match target {
            Target::Postgres => "into_postgres",
            Target::Sqlite => "into_sqlite",
            Target::Raw => "into_raw_files",
        }));
        tests.env("CDM_BIN", binary).env("CDM_TORTURE_KILLS", self.kills.to_string());
        if let Some(seed) = self.seed {
            tests.env("CDM_TORTURE_SEED", seed.to_string());
        }
        if let Some(round) = self.round {
            tests.env("CDM_TORTURE_ROUND", round.to_string());
        }
        step(&format!("torture with {} faults", self.kills), &mut tests)
    }
}
