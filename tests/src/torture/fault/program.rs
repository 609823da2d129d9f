use std::{
    fs, thread,
    time::{Duration, Instant, SystemTime},
};

use fastrand::Rng;

use super::{Fault, always, server};
use crate::torture::scene::Scene;

pub(super) const KILL: Fault = Fault {
    name: "kill -9 of the program",
    is_possible: always,
    strike: |scene, dice| {
        let is_under_way = server::is_loading(scene);
        signal(scene, "KILL", dice) && is_under_way
    },
};

pub(super) const KILL_IN_CATALOG_WRITE: Fault = Fault {
    name: "kill -9 while the catalog is written",
    is_possible: always,
    strike: |scene, dice| {
        let before = written(scene);
        let deadline = Instant::now() + Duration::from_millis(500);
        while written(scene) == before {
            if Instant::now() > deadline || scene.alive().next().is_none() {
                return false;
            }
            thread::sleep(Duration::from_micros(200));
        }
        thread::sleep(Duration::from_micros(dice.u64(..2000)));
        signal(scene, "KILL", dice)
    },
};

pub(super) const STOP: Fault =
    Fault { name: "SIGTERM to the program", is_possible: always, strike: |scene, dice| signal(scene, "TERM", dice) };

pub(super) const FREEZE: Fault = Fault {
    name: "SIGSTOP of the program for a while",
    is_possible: always,
    strike: |scene, dice| {
        let pause = Duration::from_millis(dice.u64(..300));
        let mut alive: Vec<_> = scene.alive().collect();
        let Some(program) = dice.choice(&mut alive) else { return false };
        program.signal("STOP");
        thread::sleep(pause);
        program.signal("CONT");
        true
    },
};

pub(super) const TAKE_OVER: Fault =
    Fault { name: "another command takes over", is_possible: always, strike: |scene, _| rival(scene, "takeover") };

pub(super) const COMPETE: Fault = Fault {
    name: "another command for the same ingestions",
    is_possible: always,
    strike: |scene, dice| rival(scene, dice.choice(["fail", "skip", "wait"]).unwrap()),
};

/// Starts another command for the same ingestions; says whether one was under way.
fn rival(scene: &mut Scene<'_>, on_overlap: &str) -> bool {
    let is_under_way = scene.alive().next().is_some();
    scene.launch_rival(on_overlap);
    is_under_way
}

/// Sends a signal to one of the commands that are under way.
fn signal(scene: &mut Scene<'_>, name: &str, dice: &mut Rng) -> bool {
    let mut alive: Vec<_> = scene.alive().collect();
    match dice.choice(&mut alive) {
        Some(program) => {
            program.signal(name);
            true
        }
        None => false,
    }
}

/// When the catalog's files were written last.
fn written(scene: &Scene<'_>) -> [Option<SystemTime>; 2] {
    ["cdm-metadata.db", "cdm-metadata.db-wal"]
        .map(|name| fs::metadata(scene.sandbox.path(name)).and_then(|file| file.modified()).ok())
}
