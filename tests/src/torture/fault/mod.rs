//! The kinds of faults, each with what it does.

mod disk;
mod line;
mod overtake;
mod program;
mod provision;
mod repair;
mod restore;
mod server;
mod storm;
mod trigger;
mod wire;

use std::time::Duration;

use fastrand::Rng;

use super::scene::Scene;

/// A kind of fault.
#[derive(Clone, Copy)]
pub(super) struct Fault {
    pub(super) name: &'static str,
    /// Whether it is possible in a scene.
    pub(super) is_possible: fn(&Scene<'_>) -> bool,
    /// Lets it happen, and takes back what would hinder later loads; says whether it hit a command that was under way.
    pub(super) strike: fn(&mut Scene<'_>, &mut Rng) -> bool,
}

/// Those that happen while loads are under way, which then fail or go on.
pub(super) const DURING_LOADS: [Fault; 22] = [
    program::KILL,
    program::KILL_IN_CATALOG_WRITE,
    program::STOP,
    program::FREEZE,
    program::TAKE_OVER,
    program::COMPETE,
    server::TERMINATE_SESSION,
    server::KILL_BACKEND,
    server::FREEZE_BACKEND,
    server::RESTART,
    server::CRASH,
    line::CUT,
    line::HALVE,
    line::LOSE_COMMIT,
    wire::CORRUPT,
    wire::LOSE,
    wire::CUT,
    wire::DELAY,
    wire::NARROW,
    storm::VACUUM_FULL,
    storm::ALTER,
    disk::FULL,
];

/// Those that happen between loads and begin commands of their own.
pub(super) const BETWEEN_LOADS: [Fault; 8] = [
    overtake::OVERTAKE,
    provision::MISSING_INDEXES,
    repair::REPAIR,
    restore::RESTORE,
    trigger::SWALLOW,
    trigger::REFUSE,
    trigger::ALTER,
    trigger::REPLAY,
];

/// The time that a fault of a connection has to find what it is to strike.
const TO_STRIKE: Duration = Duration::from_millis(400);

/// Happens before the first load.
pub(super) const BEFORE_LOADS: Fault = provision::FIRST;

pub(super) const fn always(_: &Scene<'_>) -> bool {
    true
}

pub(super) fn with_tables(scene: &Scene<'_>) -> bool {
    scene.stage.target.has_tables()
}

pub(super) fn with_server(scene: &Scene<'_>) -> bool {
    scene.stage.cluster.is_some()
}
