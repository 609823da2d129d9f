use std::thread;
use std::time::Duration;

use super::Fault;

pub(super) const FULL: Fault = Fault {
    name: "a disk full for a while",
    is_possible: |scene| scene.stage.disk.is_some(),
    strike: |scene, dice| {
        let is_under_way = scene.alive().next().is_some();
        let ours = scene.stage.disk.as_ref();
        // That of the server, or that of the catalog and of files.
        let disk = match scene.stage.server_disk.as_ref() {
            Some(servers) if dice.bool() => servers,
            _ => ours.unwrap(),
        };
        disk.fill(if dice.bool() { 0 } else { dice.u64(..200_000) });
        thread::sleep(Duration::from_millis(dice.u64(20..400)));
        disk.clear();
        is_under_way
    },
};
