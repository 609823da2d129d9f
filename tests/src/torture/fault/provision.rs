use fastrand::Rng;

use super::{Fault, with_tables};
use crate::torture::scene::Scene;

/// Several times, before anything is there.
pub(super) const FIRST: Fault =
    Fault { name: "kill -9 in the first provision", is_possible: with_tables, strike: provision };

/// Some of the indexes are gone.
pub(super) const MISSING_INDEXES: Fault = Fault {
    name: "kill -9 in a provision that makes indexes",
    is_possible: with_tables,
    strike: |scene, dice| {
        let mut indexes =
            ["cdm_work_item_updated_at_idx", "cdm_work_item_project_cdm_id_idx", "cdm_work_comment_author_cdm_id_idx"];
        dice.shuffle(&mut indexes);
        for index in &indexes[..dice.usize(1..=3)] {
            scene.execute(&format!("drop index {}", scene.table(index)));
        }
        provision(scene, dice)
    },
};

/// Is killed in provisioning, provisions several times at once, and finds nothing left to do.
fn provision(scene: &mut Scene<'_>, dice: &mut Rng) -> bool {
    let provision = ["provision", scene.stage.target.sink()];
    let kills: Vec<bool> = (0..dice.usize(1..=3)).map(|_| scene.kill_in(provision, 0.15, dice)).collect();
    for _ in 0..dice.usize(1..=3) {
        scene.programs.push(scene.sandbox.start(provision));
    }
    for ran in scene.finish() {
        ran.expect(0);
    }
    scene.run(provision.into_iter().chain(["--check"])).expect(0);
    kills.contains(&true)
}
