use fastrand::Rng;

use super::{Fault, server, with_server};
use crate::torture::{picture::MODELS, scene::Scene};

/// Statements of a person who does not wait for long.
const IMPATIENT: &str = "options=-c%20lock_timeout%3D300ms";

pub(super) const VACUUM_FULL: Fault = Fault {
    name: "VACUUM FULL of tables",
    is_possible: with_server,
    strike: |scene, dice| {
        let tables = [&MODELS[..], &["_cdm_load", "_cdm_ingestion", "_cdm_reject"]].concat();
        let statement = |table: &str, _: &mut Rng| vec![format!("vacuum full cdm_work.{table}")];
        storm(scene, &tables, statement, dice)
    },
};

pub(super) const ALTER: Fault = Fault {
    name: "ALTER TABLE of tables",
    is_possible: with_server,
    strike: |scene, dice| storm(scene, &MODELS, altered, dice),
};

/// Changes a table and takes the change back.
fn altered(table: &str, dice: &mut Rng) -> Vec<String> {
    let table = format!("cdm_work.{table}");
    let pairs = [
        ("add column if not exists storm int default 1", "drop column if exists storm"),
        ("add constraint storm check (length(cdm_id) > 0) not valid", "drop constraint if exists storm"),
        ("set (fillfactor = 70)", "reset (fillfactor)"),
        ("alter column properties set statistics 10", "alter column properties set statistics -1"),
    ];
    let (there, back) = *dice.choice(&pairs).unwrap();
    [there, back].map(|change| format!("alter table {table} {change}")).into()
}

/// Several statements one after the other, of which those fail that wait for a lock too long.
fn storm(
    scene: &mut Scene<'_>,
    tables: &[&str],
    statements: impl Fn(&str, &mut Rng) -> Vec<String>,
    dice: &mut Rng,
) -> bool {
    let is_under_way = server::is_loading(scene);
    let cluster = scene.stage.cluster.as_ref().unwrap();
    let database = format!("{}?{IMPATIENT}", scene.sandbox.database().name());
    let mut has_done = false;
    for _ in 0..dice.usize(1..=4) {
        let statements = statements(dice.choice(tables).unwrap(), dice);
        has_done |= cluster.query(&database, &statements[0]).is_ok();
        for statement in &statements[1..] {
            // What was done has to be taken back.
            while cluster.query(&database, statement).is_err() {}
        }
    }
    is_under_way && has_done
}
