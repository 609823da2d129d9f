use std::{thread, time::Duration};

use super::{Fault, TO_STRIKE, server};
use crate::{
    Direction, Mishap, Moment,
    torture::scene::{Scene, happens_within},
};

fn with_line(scene: &Scene<'_>) -> bool {
    scene.line.is_some()
}

pub(super) const CUT: Fault = Fault {
    name: "all connections cut",
    is_possible: with_line,
    strike: |scene, dice| {
        let is_under_way = server::is_loading(scene);
        let line = scene.line.as_ref().unwrap();
        line.cut();
        thread::sleep(Duration::from_millis(dice.u64(..200)));
        line.mend();
        is_under_way
    },
};

pub(super) const HALVE: Fault = Fault {
    name: "all that is said in one direction lost for a while, then connections cut",
    is_possible: with_line,
    strike: |scene, dice| {
        let is_under_way = server::is_loading(scene);
        let line = scene.line.as_ref().unwrap();
        line.halve(if dice.bool() { Direction::ToServer } else { Direction::ToClient });
        thread::sleep(Duration::from_millis(dice.u64(..200)));
        line.snap();
        is_under_way
    },
};

pub(super) const LOSE_COMMIT: Fault = Fault {
    name: "a COMMIT or its answer lost",
    is_possible: with_line,
    strike: |scene, dice| {
        let mishap = if dice.bool() { Mishap::LostOnTheWay } else { Mishap::AnswerLost };
        scene.line.as_ref().unwrap().strike(Moment::commit(1), mishap);
        happens_within(TO_STRIKE, || scene.line.as_ref().unwrap().has_struck() || scene.alive().next().is_none());
        scene.line.as_ref().unwrap().spare()
    },
};
