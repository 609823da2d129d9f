use fastrand::Rng;

use super::{
    Fault,
    repair::{TEXTS, lack_rows, last_digit},
    with_tables,
};
use crate::torture::{
    Target,
    picture::MODELS,
    scene::{CANARY, Scene},
};

pub(super) const SWALLOW: Fault = Fault {
    name: "triggers that drop rows",
    is_possible: with_tables,
    strike: |scene, dice| load_with(scene, Kind::Swallow, dice),
};

pub(super) const REFUSE: Fault = Fault {
    name: "triggers that refuse rows",
    is_possible: with_tables,
    strike: |scene, dice| load_with(scene, Kind::Refuse, dice),
};

pub(super) const ALTER: Fault = Fault {
    name: "triggers that alter rows",
    is_possible: with_tables,
    strike: |scene, dice| {
        let is_altered = load_with(scene, Kind::Alter, dice);
        if is_altered {
            // It shows that rows are not as they were loaded.
            scene.run(["verify", "warehouse"]).expect(1);
        }
        is_altered
    },
};

pub(super) const REPLAY: Fault = Fault {
    name: "kill -9 in rejects replay",
    is_possible: with_tables,
    strike: |scene, dice| {
        load_with(scene, Kind::Refuse, dice);
        let kills: Vec<bool> =
            (0..dice.usize(1..=3)).map(|_| scene.kill_in(["rejects", "replay", "warehouse"], 0.2, dice)).collect();
        kills.contains(&true)
    },
};

#[derive(Clone, Copy)]
enum Kind {
    Swallow,
    Refuse,
    Alter,
}

/// Loads rows that are missing while triggers meddle with some of them, and removes the triggers; says whether they
/// did.
fn load_with(scene: &mut Scene<'_>, kind: Kind, dice: &mut Rng) -> bool {
    lack_rows(scene, dice);
    let which = dice.usize(..2);
    for (model, column) in MODELS.into_iter().zip(TEXTS) {
        scene.execute(&create(scene.stage.target, kind, model, column, which));
    }
    let parallel = scene.order.parallel();
    let ingest = || ["ingest", "--parallel", parallel].into_iter().chain(scene.stage.target.ingestions());
    scene.kill_in(ingest(), 0.5, dice);
    let ran = scene.run(ingest());
    // 4: every row of a small ingestion may be refused.
    assert!(ran.code == Some(0) || ran.code == Some(4), "{ran:?}");
    let meddled = match kind {
        Kind::Alter => altered(scene),
        Kind::Swallow | Kind::Refuse => rejects(scene),
    };
    for model in MODELS {
        scene.execute(&match scene.stage.target {
            Target::Postgres => format!("drop function {model}_meddle cascade"),
            _ => format!("drop trigger {model}_meddle"),
        });
    }
    meddled > 0
}

/// How many rows could not be stored.
fn rejects(scene: &Scene<'_>) -> usize {
    count(scene, &format!("select count(*) from {} where stage = 'sink'", scene.table("_cdm_reject")))
}

/// How many rows are not as they were loaded.
fn altered(scene: &Scene<'_>) -> usize {
    let rows =
        |(model, column)| format!("select cdm_id from {} where {column} = '{CANARY} altered'", scene.table(model));
    let all: Vec<String> = MODELS.into_iter().zip(TEXTS).map(rows).collect();
    count(scene, &format!("select count(*) from ({}) altered", all.join(" union all ")))
}

fn count(scene: &Scene<'_>, query: &str) -> usize {
    scene.query(query)[0][0].parse().unwrap()
}

/// The statements that make a trigger.
fn create(target: Target, kind: Kind, model: &str, column: &str, which: usize) -> String {
    let (name, condition) = (format!("{model}_meddle"), format!("{} % 2 = {which}", last_digit("new.cdm_id")));
    if target == Target::Postgres {
        let body = match kind {
            Kind::Swallow => "return null;".to_owned(),
            Kind::Refuse => format!("raise exception '{CANARY} %', new.{column};"),
            Kind::Alter => format!("new.{column} := '{CANARY} altered';"),
        };
        return format!(
            "create function {name}() returns trigger language plpgsql as $$ begin if {condition} then {body} end if; \
             return new; end $$; create trigger {name} before insert or update on cdm_work.{model} \
             for each row execute function {name}()"
        );
    }
    let (moment, body) = match kind {
        Kind::Swallow => ("before", "select raise(ignore)".to_owned()),
        Kind::Refuse => ("before", format!("select raise(abort, '{CANARY} ' || new.{column})")),
        Kind::Alter => ("after", format!("update {model} set {column} = '{CANARY} altered' where cdm_id = new.cdm_id")),
    };
    format!("create trigger {name} {moment} insert on {model} when {condition} begin {body}; end")
}
