use std::{process::Command, thread, time::Duration};

use local_postgres::Shutdown;

use super::{Fault, with_server};
use crate::torture::scene::Scene;

pub(super) const TERMINATE_SESSION: Fault = Fault {
    name: "a session terminated",
    is_possible: with_server,
    strike: |scene, _| ask(scene, "select pg_terminate_backend(pid)", "order by random() limit 1") == ["t"],
};

pub(super) const KILL_BACKEND: Fault = Fault {
    name: "kill -9 of a server process",
    is_possible: with_server,
    strike: |scene, _| backends(scene).first().is_some_and(|process| signal("KILL", process)),
};

pub(super) const FREEZE_BACKEND: Fault = Fault {
    name: "SIGSTOP of a server process for a while",
    is_possible: with_server,
    strike: |scene, dice| {
        let backends = backends(scene);
        let Some(process) = backends.first() else { return false };
        let is_frozen = signal("STOP", process);
        thread::sleep(Duration::from_millis(dice.u64(..300)));
        signal("CONT", process) && is_frozen
    },
};

pub(super) const RESTART: Fault = Fault {
    name: "restart of the server",
    is_possible: with_server,
    strike: |scene, _| restart(scene, Shutdown::Fast),
};

pub(super) const CRASH: Fault = Fault {
    name: "crash of the server",
    is_possible: with_server,
    strike: |scene, _| restart(scene, Shutdown::Immediate),
};

fn restart(scene: &mut Scene<'_>, shutdown: Shutdown) -> bool {
    let is_under_way = is_loading(scene);
    scene.stage.cluster.as_ref().unwrap().restart(shutdown).unwrap();
    is_under_way
}

/// Whether one of the commands has begun to load.
pub(super) fn is_loading(scene: &mut Scene<'_>) -> bool {
    scene.alive().next().is_some() && (scene.stage.cluster.is_none() || !backends(scene).is_empty())
}

/// The processes that serve the commands.
fn backends(scene: &Scene<'_>) -> Vec<String> {
    ask(scene, "select pid", "order by random()")
}

/// Asks about the sessions of the commands; nothing when the server does not answer.
fn ask(scene: &Scene<'_>, what: &str, how: &str) -> Vec<String> {
    let database = scene.sandbox.database().name();
    let sessions = format!("from pg_stat_activity where datname = '{database}' and application_name like 'cdm%'");
    let cluster = scene.stage.cluster.as_ref().unwrap();
    let rows = cluster.query("postgres", &format!("{what} {sessions} {how}")).unwrap_or_default();
    rows.into_iter().flatten().flatten().collect()
}

fn signal(name: &str, process: &str) -> bool {
    Command::new("kill").args([&format!("-{name}"), process]).output().unwrap().status.success()
}
