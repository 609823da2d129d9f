use std::{thread, time::Duration};

use fastrand::Rng;

use super::{Fault, TO_STRIKE, server};
use crate::{
    Direction, Harm,
    torture::scene::{Scene, happens_within},
};

/// Only where the connection is encrypted: on a plain one nothing guards against bytes that are changed on the way.
fn with_wire(scene: &Scene<'_>) -> bool {
    scene.wire.is_some()
}

pub(super) const CORRUPT: Fault = Fault {
    name: "a bit flipped on the way",
    is_possible: with_wire,
    strike: |scene, dice| harm(scene, Harm::Corrupted, dice),
};

pub(super) const LOSE: Fault = Fault {
    name: "bytes left out on the way",
    is_possible: with_wire,
    strike: |scene, dice| harm(scene, Harm::Lost, dice),
};

pub(super) const CUT: Fault = Fault {
    name: "a connection cut within a message",
    is_possible: with_wire,
    strike: |scene, dice| harm(scene, Harm::Cut, dice),
};

pub(super) const DELAY: Fault = Fault {
    name: "each message delayed for a while",
    is_possible: with_wire,
    strike: |scene, dice| {
        let delay = Duration::from_millis(dice.u64(5..40));
        slow(scene, delay, None, dice)
    },
};

pub(super) const NARROW: Fault = Fault {
    name: "few bytes a second for a while",
    is_possible: with_wire,
    strike: |scene, dice| {
        let bytes_per_second = dice.u32(20_000..200_000);
        slow(scene, Duration::ZERO, Some(bytes_per_second), dice)
    },
};

fn harm(scene: &mut Scene<'_>, harm: Harm, dice: &mut Rng) -> bool {
    let direction = if dice.bool() { Direction::ToServer } else { Direction::ToClient };
    scene.wire.as_ref().unwrap().harm(harm, direction, dice.usize(..20_000));
    happens_within(TO_STRIKE, || scene.wire.as_ref().unwrap().has_struck() || scene.alive().next().is_none());
    let wire = scene.wire.as_ref().unwrap();
    let is_hit = wire.spare();
    if is_hit {
        // Where a length was changed, both ends wait for bytes that do not come: a client waits for two hours as long as the
        // server answers on other connections.
        thread::sleep(Duration::from_millis(dice.u64(..300)));
        wire.snap();
    }
    is_hit
}

fn slow(scene: &mut Scene<'_>, delay: Duration, bytes_per_second: Option<u32>, dice: &mut Rng) -> bool {
    let is_under_way = server::is_loading(scene);
    let wire = scene.wire.as_ref().unwrap();
    wire.slow(delay, bytes_per_second);
    thread::sleep(Duration::from_millis(dice.u64(100..400)));
    wire.slow(Duration::ZERO, None);
    is_under_way
}
