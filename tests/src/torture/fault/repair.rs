use fastrand::Rng;

use super::{Fault, with_tables};
use crate::torture::{
    picture::MODELS,
    scene::{CANARY, Scene},
};

/// Rows are edited and deleted by hand, and the command that repairs them is killed.
pub(super) const REPAIR: Fault = Fault {
    name: "kill -9 in verify --repair, after rows were edited and deleted",
    is_possible: with_tables,
    strike: |scene, dice| {
        let (edited, deleted) = (dice.usize(..3), dice.usize(..3));
        for (model, column) in MODELS.into_iter().zip(TEXTS) {
            edit(scene, model, column, edited);
            delete(scene, model, (edited + 1 + deleted % 2) % 3);
        }
        scene.run(["verify", "warehouse"]).expect(1);
        let is_hit = scene.kill_in(["verify", "warehouse", "--repair"], 0.2, dice);
        scene.run(["verify", "warehouse", "--repair"]).expect(0);
        let ingest = ["ingest"].into_iter().chain(scene.stage.target.ingestions());
        scene.kill_in(ingest, 0.5, dice) || is_hit
    },
};

/// A column of each model that holds text.
pub(super) const TEXTS: [&str; 5] = ["name", "display_name", "summary", "body", "comment"];

/// The last digit of a key.
pub(super) fn last_digit(key: &str) -> String {
    format!("cast(substr({key}, length({key}), 1) as integer)")
}

/// A condition that about a third of the keys meet.
fn third(which: usize) -> String {
    format!("{} % 3 = {which}", last_digit("cdm_id"))
}

fn edit(scene: &Scene<'_>, model: &str, column: &str, which: usize) {
    let condition = third(which);
    scene.execute(&format!("update {} set {column} = '{CANARY} edited' where {condition}", scene.table(model)));
}

fn delete(scene: &Scene<'_>, model: &str, which: usize) {
    scene.execute(&format!("delete from {} where {}", scene.table(model), third(which)));
}

/// Deletes some rows and lets the next load write them again.
pub(super) fn lack_rows(scene: &Scene<'_>, dice: &mut Rng) {
    let which = dice.usize(..3);
    for model in MODELS {
        delete(scene, model, which);
    }
    scene.run(["verify", "warehouse", "--repair"]).expect(0);
}
