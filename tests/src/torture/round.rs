use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use fastrand::Rng;
use serde_json::Value;

use super::{
    Export, Order, Stage, Tally,
    picture::{Extent, Picture, differences_told, row_versions, unaccounted},
    scene::Scene,
    script::{Script, Strike},
};
use crate::Ran;

/// What the loads of the exports come to without a fault.
pub(super) struct Reference {
    loads: [Loaded; 2],
    /// After both loads and a full one, which also reads the files again that have not changed themselves.
    settled: Picture,
}

struct Loaded {
    export: Export,
    picture: Picture,
    /// What the command said of each run.
    told: Vec<Value>,
    took: Duration,
}

impl Reference {
    pub(super) fn of(stage: &Stage, exports: [Export; 2]) -> Self {
        let mut scene = Scene::plain(stage);
        provision(&scene);
        let loads = exports.map(|export| {
            export.write(&scene.sandbox);
            let began = Instant::now();
            let told = load(&mut scene, &[], &mut VecDeque::new(), 0, &mut Tally::default());
            Loaded { took: began.elapsed(), told, picture: Picture::of(&scene), export }
        });
        let slices = loads[0].picture.slices();
        assert!(slices >= 20, "a load of {slices} slices is too easy");
        load_all_again(&mut scene, &mut VecDeque::new(), 0, &mut Tally::default());
        Self { loads, settled: Picture::of(&scene) }
    }
}

/// One round with at most `most` faults.
pub(super) fn round(stage: &Stage, reference: &Reference, most: usize, dice: &mut Rng, tally: &mut Tally) {
    let mut scene = Scene::drawn(stage, reference.loads[0].took, dice);
    let Script { before, during, between } = Script::draw(&scene, most, dice);
    let mut during = VecDeque::from(during);
    if let Some(strike) = before {
        suffer(&mut scene, &strike, tally);
    }
    provision(&scene);
    let quotas = [during.len() / 2, during.len()];
    for (loaded, quota) in reference.loads.iter().zip(quotas) {
        let told = load_export(&mut scene, loaded, &mut during, quota, tally);
        let mut differences = Picture::of(&scene).differences(&loaded.picture, scene.order, Extent::Everything);
        differences.extend(differences_told(&scene, &told, &loaded.told));
        assert_same(&scene, &differences, "after the load of an export");
        assert_nothing_is_left(&scene);
    }
    assert_settles(&scene);
    for strike in &between {
        suffer(&mut scene, strike, tally);
        heal(&mut scene);
        assert_same_contents(&scene, reference, &format!("after: {}", strike.fault.name));
    }
    // The loads were done before the faults.
    while !during.is_empty() {
        let before = during.len();
        for loaded in &reference.loads {
            let quota = during.len().div_ceil(2);
            load_export(&mut scene, loaded, &mut during, quota, tally);
            let quota = during.len().div_ceil(2);
            load_all_again(&mut scene, &mut during, quota, tally);
        }
        assert_same_contents(&scene, reference, "after both exports were loaded again");
        if during.len() == before {
            during.drain(..).for_each(|strike| tally.count(strike.fault.name));
        }
    }
    assert_files_are_sound(&scene);
}

fn suffer(scene: &mut Scene<'_>, strike: &Strike, tally: &mut Tally) {
    // Counted also when it shows that something is wrong.
    tally.count(strike.fault.name);
    if strike.strike(scene) {
        tally.hit(strike.fault.name);
    }
}

fn provision(scene: &Scene<'_>) {
    if scene.stage.target.has_tables() {
        scene.run(["provision", scene.stage.target.sink()]).expect(0);
    }
}

fn load_export(
    scene: &mut Scene<'_>,
    loaded: &Loaded,
    strikes: &mut VecDeque<Strike>,
    quota: usize,
    tally: &mut Tally,
) -> Vec<Value> {
    loaded.export.write(&scene.sandbox);
    load(scene, &[], strikes, quota, tally)
}

fn load_all_again(scene: &mut Scene<'_>, strikes: &mut VecDeque<Strike>, quota: usize, tally: &mut Tally) {
    load(scene, &["--full"], strikes, quota, tally);
}

/// Loads by as many commands as it takes, while at most a number of faults happens; says what the last successful
/// command said of each run.
fn load(
    scene: &mut Scene<'_>,
    options: &[&'static str],
    strikes: &mut VecDeque<Strike>,
    mut quota: usize,
    tally: &mut Tally,
) -> Vec<Value> {
    let mut told: Vec<Value> = Vec::new();
    loop {
        let is_spared = quota == 0 || strikes.is_empty();
        if is_spared {
            scene.recover();
        }
        scene.launch(options, is_spared);
        while quota > 0
            && let Some(strike) = strikes.front().copied()
            && !scene.end_within(scene.usual.mul_f64(strike.after))
        {
            strikes.pop_front();
            quota -= 1;
            suffer(scene, &strike, tally);
        }
        let mut is_done = true;
        for ran in scene.finish() {
            if ran.code == Some(0) {
                for run in ran.json()["runs"].as_array().unwrap() {
                    assert_eq!(unaccounted(run), None, "{ran:?}");
                    told.retain(|known| known["name"] != run["name"]);
                    // Another command had the ingestion.
                    if run["status"] != "skipped" {
                        told.push(run.clone());
                    }
                }
                continue;
            }
            is_done = false;
            assert!(!is_spared, "no fault, and still it fails: {ran:?}");
            assert_failed_for_a_passing_reason(&ran);
        }
        if is_done {
            return told;
        }
    }
}

/// It was killed or stopped, or failed for something that another attempt may not meet.
fn assert_failed_for_a_passing_reason(ran: &Ran) {
    assert!(matches!(ran.code, None | Some(1 | 143)), "{ran:?}");
    if ran.code == Some(1) && !ran.out.is_empty() {
        ran.json();
    }
}

/// Does what an operator does after rows were changed, dropped or refused.
fn heal(scene: &mut Scene<'_>) {
    scene.recover();
    load(scene, &[], &mut VecDeque::new(), 0, &mut Tally::default());
    if scene.stage.target.has_tables() {
        let sink = scene.stage.target.sink();
        scene.run(["verify", sink, "--repair"]).expect(0);
        load(scene, &[], &mut VecDeque::new(), 0, &mut Tally::default());
        scene.run(["rejects", "replay", sink]).expect(0);
        if scene.order != Order::InTurn {
            // Of records that contradict each other and have no time, one that was refused before a stored one was seen
            // again is replayed as if it were newer; the next full load sets that right.
            load_all_again(scene, &mut VecDeque::new(), 0, &mut Tally::default());
        }
        scene.run(["verify", sink]).expect(0);
    }
    assert_nothing_is_left(scene);
}

fn assert_same_contents(scene: &Scene<'_>, reference: &Reference, when: &str) {
    let differences = Picture::of(scene).differences(&reference.settled, scene.order, Extent::Contents);
    assert_same(scene, &differences, when);
}

fn assert_same(scene: &Scene<'_>, differences: &[String], when: &str) {
    assert!(differences.is_empty(), "DIFFERENCES, slices {:?}, {when}:\n{}", scene.order, differences.join("\n"));
}

fn assert_nothing_is_left(scene: &Scene<'_>) {
    let ran = scene.run(["ingest"].into_iter().chain(scene.stage.target.ingestions()));
    let runs = ran.expect(0)["runs"].as_array().unwrap().clone();
    assert!(runs.iter().all(|run| run["read"] == 0), "something was left to be read: {ran:?}");
}

/// Loads all of it again: what has not changed must not be written.
///
/// That holds from the second time on. Of two records that contradict each other and have no time, in files that are
/// loaded at once, it is up to chance which one is met first, and with it whether the stored one, which is the
/// greater, is written again; once it was, it stays.
fn assert_settles(scene: &Scene<'_>) {
    if !scene.stage.target.has_tables() {
        return;
    }
    let all_again = || {
        let arguments = ["ingest", "--full", "--parallel", "1"];
        scene.run(arguments.into_iter().chain(scene.stage.target.ingestions())).expect(0);
    };
    all_again();
    let before = row_versions(scene);
    all_again();
    assert_eq!(row_versions(scene), before, "what has not changed was written again");
}

/// The catalog, and the sink where it is a file of SQLite, are what SQLite takes for sound, and are read.
fn assert_files_are_sound(scene: &Scene<'_>) {
    let mut files = vec![scene.catalog()];
    if scene.sandbox.path("work.db").exists() {
        files.push(scene.file());
    }
    for file in files {
        let sound: String = file.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok", "{:?}", file.path());
    }
    for arguments in [&["runs"][..], &["catalog", "list"]] {
        scene.run(arguments.iter().copied()).expect(0);
    }
}
