use std::{fs, thread, time::Duration};

use rusqlite::Connection;

use super::{Fault, always};
use crate::{
    Running,
    torture::{
        Order, Target,
        picture::{Extent, Picture},
        scene::{Scene, ended, ends_within},
    },
    until,
};

/// A command is frozen in the midst of a full load, another one takes over and loads everything, and the first goes
/// on: it must say that it was overtaken, and change nothing.
pub(super) const OVERTAKE: Fault = Fault {
    name: "SIGSTOP past a takeover",
    is_possible: always,
    strike: |scene, dice| {
        let issues = scene.stage.target.ingestions()[2];
        let all_again = ["ingest", issues, "--full", "--parallel", scene.order.parallel()];
        let mut frozen = scene.sandbox.start(all_again);
        until("a run is under way", || is_running(scene) || frozen.ended().is_some());
        if ends_within(&mut frozen, scene.moment(0.1, dice)) || !freeze(scene, &mut frozen) {
            ended(frozen).expect(0);
            return false;
        }
        let is_hit = is_running(scene);
        if is_hit {
            scene.run(all_again.into_iter().chain(["--on-overlap", "takeover"])).expect(0);
            let before = Picture::of(scene);
            frozen.signal("CONT");
            let ran = ended(frozen);
            let differences = Picture::of(scene).differences(&before, Order::InTurn, Extent::Everything);
            assert_eq!(differences, [""; 0], "overtaken: {ran:?}");
            assert_eq!(ran.expect(1)["error"]["kind"], "fenced", "{ran:?}");
        } else {
            frozen.signal("CONT");
            ended(frozen).expect(0);
        }
        is_hit
    },
};

/// Stops a command at a moment at which it holds nothing that everybody needs; says whether it has not ended before.
fn freeze(scene: &Scene<'_>, program: &mut Running) -> bool {
    loop {
        program.signal("STOP");
        // What it had sent is done by then.
        thread::sleep(Duration::from_millis(100));
        if !holds_up(scene) {
            return true;
        }
        program.signal("CONT");
        if ends_within(program, Duration::from_millis(5)) {
            return false;
        }
    }
}

/// Whether a file is locked that every load needs.
fn holds_up(scene: &Scene<'_>) -> bool {
    let is_locked = |file: &Connection| {
        file.busy_timeout(Duration::ZERO).unwrap();
        file.execute_batch("begin immediate; rollback").is_err()
    };
    let sink = match scene.stage.target {
        Target::Postgres => false,
        Target::Sqlite => is_locked(&scene.file()),
        Target::RawFiles => {
            let lock = fs::File::open(scene.sandbox.path("raw/_cdm/fences/lock")).unwrap();
            lock.try_lock().is_err()
        }
    };
    sink || is_locked(&scene.catalog())
}

/// Whether the sink says that a run of the issues has not ended.
fn is_running(scene: &Scene<'_>) -> bool {
    if scene.stage.target.has_tables() {
        let table = scene.table("_cdm_ingestion");
        let status = format!("select status from {table} where ingestion like '%/jira.issues/%'");
        return scene.query(&status) == [["running"]];
    }
    let folder = fs::read_dir(scene.sandbox.path("raw/_cdm/acme_jira.jira.issues")).unwrap();
    let manifests = folder.map(|entry| entry.unwrap().path());
    let newest = manifests.filter(|path| path.extension().is_some_and(|extension| extension == "json")).max();
    let text = newest.and_then(|path| fs::read_to_string(path).ok());
    text.is_some_and(|text| !text.contains("\"kind\":\"end\""))
}
