//! Configurations, plans and catalogs that are not what they should be.

use std::fs;

use rusqlite::Connection;

use crate::{
    damage::damaged,
    ground::{Bounds, Ground},
    rng, scaled,
};

#[test]
fn configurations_of_any_shape() {
    let mut rng = rng();
    let ground = Ground::new();
    let good = fs::read(ground.path("cdm.toml")).unwrap();
    let deep = scaled(20_000, 250_000);
    let mut shapes = vec![
        format!("a = {}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("a = {}1{}", "{ a = ".repeat(deep), " }".repeat(deep)),
        format!("{}a = 1", "a.".repeat(deep)),
        format!("[{}a]", "a.".repeat(deep)),
        "[[a]]\n".repeat(deep),
        format!("a = \"{}\"", "x".repeat(1 << 19)),
        format!("a = {}", "9".repeat(deep)),
        format!("[endpoints.x]\ndriver = \"cdm.sqlite\"\npath = \"{}\"", "${env:".repeat(deep)),
        "[endpoints.\"\\u001b[2J\\nerror: fake\"]\ndriver = \"raw.files\"\n".to_owned(),
        "[ingest.issues]\nsource = \"\\u202e\"\nunit = \"\\u009b\"\nsink = \"\\r\\n\"\nmode = \"\\u0007\"\n".to_owned(),
        "[metadata]\nurl = \"sqlite:\\u0000\"\n".to_owned(),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect::<Vec<_>>();
    shapes.extend((0..scaled(20, 3000)).map(|_| damaged(&good, &mut rng)));
    for (number, shape) in shapes.into_iter().enumerate() {
        ground.write("hostile.toml", shape);
        let ended =
            ground.run(&format!("configuration {number}"), &["--config", "hostile.toml", "runs"], Bounds::SMALL);
        assert!(ended.code <= 2, "{ended:?}");
    }
}

#[test]
fn plans_of_any_shape() {
    let mut rng = rng();
    let ground = Ground::new();
    fs::remove_file(ground.path("work.db")).unwrap();
    ground.run("setup", &["provision", "warehouse", "--plan", "--out", "plan.json"], Bounds::SMALL);
    let good = fs::read(ground.path("plan.json")).unwrap();
    let deep = scaled(100_000, 500_000);
    let mut shapes = vec![
        "[".repeat(deep).into_bytes(),
        "{\"plan\":".repeat(deep / 10).into_bytes(),
        String::from_utf8(good.clone()).unwrap().replacen("create table", "drop table", 1).into_bytes(),
        b"{}".to_vec(),
        b"null".to_vec(),
    ];
    shapes.extend((0..scaled(20, 3000)).map(|_| damaged(&good, &mut rng)));
    for (number, shape) in shapes.into_iter().enumerate() {
        let is_good = serde_json::from_slice::<serde_json::Value>(&shape).ok() == serde_json::from_slice(&good).ok();
        ground.write("plan.json", shape);
        let ended =
            ground.run(&format!("plan {number}"), &["provision", "warehouse", "--apply", "plan.json"], Bounds::SMALL);
        assert!(matches!(ended.code, 1 | 2) || is_good, "plan {number}: {ended:?}");
        assert!(is_good || !ground.path("work.db").exists(), "plan {number} made tables");
        if is_good {
            let _ = fs::remove_file(ground.path("work.db"));
        }
    }
}

#[test]
fn catalogs_of_any_shape() {
    let mut rng = rng();
    let ground = Ground::new();
    ground.write("export/issues.jsonl", "{\"id\":\"1\",\"key\":\"A-1\"}\n");
    assert_eq!(ground.run("setup", &["ingest", "issues"], Bounds::SMALL).code, 0);
    let catalog = ground.path("cdm-metadata.db");
    let good = fs::read(&catalog).unwrap();
    let survive = |what: &str| {
        ground.run(what, &["runs"], Bounds::SMALL);
        ground.run(what, &["catalog", "list"], Bounds::SMALL);
        ground.run(what, &["catalog", "show", "cdm.work.item@warehouse"], Bounds::SMALL);
        ground.run(what, &["catalog", "history", "cdm.work.item@warehouse"], Bounds::SMALL);
    };
    for round in 0..scaled(4, 300) {
        fs::write(&catalog, damaged(&good, &mut rng)).unwrap();
        survive(&format!("catalog {round}"));
    }
    // Cells that are not what the program writes.
    let evil = format!("{}\u{1b}[2J\r\nerror: fake{}", "[".repeat(50_000), "x".repeat(scaled(1 << 20, 16 << 20)));
    fs::write(&catalog, &good).unwrap();
    let mut columns = columns(&Connection::open(&catalog).unwrap());
    rng.shuffle(&mut columns);
    for (table, column) in columns.into_iter().take(scaled(10, usize::MAX)) {
        fs::write(&catalog, &good).unwrap();
        let open = Connection::open(&catalog).unwrap();
        open.execute_batch("pragma ignore_check_constraints = on; pragma foreign_keys = off").unwrap();
        // A column may be stricter than that.
        let _ = open.execute(&format!("update \"{table}\" set \"{column}\" = ?1"), [&evil]);
        drop(open);
        survive(&format!("{table}.{column}"));
    }
}

/// The columns of the program's own tables.
fn columns(catalog: &Connection) -> Vec<(String, String)> {
    let columns = "select s.name, c.name from sqlite_schema s join pragma_table_info(s.name) c
                   where s.type = 'table' and s.name in ('run', 'endpoint', 'dataset_version', 'annotation_version', 'dataset_load', 'outbox')";
    let mut statement = catalog.prepare(columns).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}
