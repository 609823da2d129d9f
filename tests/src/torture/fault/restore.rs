use std::{fs, path::Path};

use super::{Fault, always};
use crate::{
    torture::{Target, scene::Scene},
    until,
};

/// What the sink held before is put back, and loads go on from there; once from before a load, once from its midst.
pub(super) const RESTORE: Fault = Fault {
    name: "a backup restored",
    is_possible: always,
    strike: |scene, dice| {
        let backup = Backup::of(scene, "copy_of_one");
        let ingest = || ["ingest", "--full"].into_iter().chain(scene.stage.target.ingestions());
        let is_hit = scene.kill_in(ingest(), 0.5, dice);
        let in_the_midst = Backup::of(scene, "copy_of_another");
        scene.run(ingest()).expect(0);
        in_the_midst.restore(scene);
        scene.kill_in(ingest(), 0.5, dice);
        if dice.bool() {
            backup.restore(scene);
        }
        in_the_midst.discard(scene);
        backup.discard(scene);
        is_hit
    },
};

/// A copy of what a sink holds, while no command is under way.
struct Backup {
    name: &'static str,
}

impl Backup {
    fn of(scene: &Scene<'_>, name: &'static str) -> Self {
        let sandbox = &scene.sandbox;
        match scene.stage.target {
            Target::Postgres => {
                let database = sandbox.database().name();
                copy_database(scene, database, &copy_of(scene, name));
            }
            Target::Sqlite => copy_folder(sandbox.folder(), &sandbox.path(name), is_sink),
            Target::RawFiles => copy_folder(&sandbox.path("raw"), &sandbox.path(name), |_| true),
        }
        Self { name }
    }

    fn restore(&self, scene: &Scene<'_>) {
        let sandbox = &scene.sandbox;
        match scene.stage.target {
            Target::Postgres => {
                let database = sandbox.database().name();
                let cluster = scene.stage.cluster.as_ref().unwrap();
                cluster.query("postgres", &format!("drop database {database} with (force)")).unwrap();
                copy_database(scene, &copy_of(scene, self.name), database);
                scene.use_tablespace();
            }
            Target::Sqlite => {
                let files = fs::read_dir(sandbox.folder()).unwrap().map(|entry| entry.unwrap());
                for file in files.filter(|file| is_sink(&file.file_name().to_string_lossy())) {
                    fs::remove_file(file.path()).unwrap();
                }
                copy_folder(&sandbox.path(self.name), sandbox.folder(), is_sink);
            }
            Target::RawFiles => {
                fs::remove_dir_all(sandbox.path("raw")).unwrap();
                copy_folder(&sandbox.path(self.name), &sandbox.path("raw"), |_| true);
            }
        }
    }

    fn discard(self, scene: &Scene<'_>) {
        match &scene.stage.cluster {
            Some(cluster) => {
                let copy = copy_of(scene, self.name);
                cluster.query("postgres", &format!("drop database {copy}")).unwrap();
            }
            None => fs::remove_dir_all(scene.sandbox.path(self.name)).unwrap(),
        }
    }
}

fn copy_of(scene: &Scene<'_>, name: &str) -> String {
    format!("{}_{name}", scene.sandbox.database().name())
}

/// Copies a database of the server; ends what uses it.
fn copy_database(scene: &Scene<'_>, from: &str, to: &str) {
    let cluster = scene.stage.cluster.as_ref().unwrap();
    until("nobody uses the database", || {
        let end = format!("select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{from}'");
        cluster.query("postgres", &end).unwrap();
        cluster.query("postgres", &format!("create database {to} template {from}")).is_ok()
    });
}

/// Whether a file belongs to the SQLite sink.
fn is_sink(name: &str) -> bool {
    name.starts_with("work.db") && !name.contains("-run-")
}

/// Copies files and folders whose names are wanted.
fn copy_folder(from: &Path, to: &Path, is_wanted: fn(&str) -> bool) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let (name, to) = (entry.file_name().to_string_lossy().into_owned(), to.join(entry.file_name()));
        match entry.file_type().unwrap().is_dir() {
            _ if !is_wanted(&name) => {}
            true => copy_folder(&entry.path(), &to, is_wanted),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}
