use std::{fmt, process::Command, thread, time::Duration};

use fastrand::Rng;
use local_postgres::{Cluster, Shutdown};

use crate::{Direction, Line, Mishap, Moment, Running, Sandbox};

/// What befalls a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The program is killed.
    KillProgram,
    /// One of its sessions is terminated.
    TerminateSession,
    /// The process of one of its sessions is killed, after which the server recovers as from a crash.
    KillBackend,
    /// The server is stopped in good order and started again.
    RestartFast,
    /// The server is stopped as in a crash and started again.
    RestartImmediate,
    /// All connections break, and for a while no new one comes about.
    CutLine,
    /// For a while nothing comes from the program to the server, or nothing back; then the connections break.
    HalveLine,
    /// The next COMMIT does not come to the server, or the answer to it does not come back.
    LoseCommit,
    /// The program is frozen, another one takes its ingestion over, and then the first wakes up.
    Overtake,
}

impl Fault {
    /// Those after which the same load goes on.
    pub const ALL: [Self; 8] = [
        Self::KillProgram,
        Self::TerminateSession,
        Self::KillBackend,
        Self::RestartFast,
        Self::RestartImmediate,
        Self::CutLine,
        Self::HalveLine,
        Self::LoseCommit,
    ];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KillProgram => "kill -9 of the program",
            Self::TerminateSession => "a session terminated",
            Self::KillBackend => "kill -9 of a server process",
            Self::RestartFast => "restart of the server",
            Self::RestartImmediate => "crash of the server",
            Self::CutLine => "all connections cut",
            Self::HalveLine => "all connections halved",
            Self::LoseCommit => "a COMMIT or its answer lost",
            Self::Overtake => "frozen, overtaken and thawed",
        })
    }
}

/// What a fault is to befall.
pub(super) struct Victim<'v> {
    pub(super) cluster: &'v Cluster,
    pub(super) sandbox: &'v Sandbox,
    pub(super) line: &'v Line,
    pub(super) program: &'v mut Running,
}

/// The sessions of the program in a database.
fn sessions(database: &str) -> String {
    format!("from pg_stat_activity where datname = '{database}' and application_name like 'cdm%'")
}

impl Victim<'_> {
    /// Lets the fault befall it; says whether that hit a run that was under way, and nothing when there was
    /// nothing that it could befall.
    pub(super) fn suffer(&mut self, fault: Fault, dice: &mut Rng) -> Option<bool> {
        let backends = self.ask("select pid", "order by random()"); // none of a server that is just coming up
        if self.program.ended().is_some() {
            return None;
        }
        let is_under_way = !backends.is_empty();
        let a_while = Duration::from_millis(dice.u64(..200));
        match fault {
            Fault::KillProgram => self.program.signal("KILL"),
            Fault::TerminateSession => {
                let terminated = self.ask("select pg_terminate_backend(pid)", "order by random() limit 1");
                return (terminated == ["t"]).then_some(true);
            }
            Fault::KillBackend => {
                let killed = Command::new("kill").args(["-KILL", backends.first()?]).output().unwrap();
                return killed.status.success().then_some(true);
            }
            Fault::RestartFast => self.cluster.restart(Shutdown::Fast).unwrap(),
            Fault::RestartImmediate => self.cluster.restart(Shutdown::Immediate).unwrap(),
            Fault::CutLine => {
                self.line.cut();
                thread::sleep(a_while);
                self.line.mend();
            }
            Fault::HalveLine => {
                self.line.halve(if dice.bool() { Direction::ToServer } else { Direction::ToClient });
                thread::sleep(a_while);
                self.line.snap();
            }
            Fault::LoseCommit => {
                let mishap = if dice.bool() { Mishap::LostOnTheWay } else { Mishap::AnswerLost };
                self.line.strike(Moment::commit(1), mishap);
                for _ in 0..50 {
                    if self.line.has_struck() || self.program.ended().is_some() {
                        break;
                    }
                    thread::sleep(Duration::from_millis(2));
                }
                return self.line.spare().then_some(true);
            }
            Fault::Overtake => return None, // it takes two programs
        }
        Some(is_under_way)
    }

    /// Asks about the program's sessions; nothing when the server does not answer.
    fn ask(&self, what: &str, how: &str) -> Vec<String> {
        let question = format!("{what} {} {how}", sessions(self.sandbox.database().name()));
        let rows = self.cluster.query("postgres", &question).unwrap_or_default();
        rows.into_iter().flatten().flatten().collect()
    }
}
