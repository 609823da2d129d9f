//! Other tools that load the same rows into the same server: Meltano's target-postgres and dlt.
//!
//! They have less to do than we: they are given the finished rows, and we the raw issues. Each is used as its
//! documentation shows it, with `cdm_id` as the primary key and an upsert; each loads into a schema that is
//! not there yet, and that all rows have arrived is made sure.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::{Map, Value, json};

use crate::{
    bench::{Bench, Done, ITEMS, Used},
    generate::{Export, Profile},
    report::{Finding, Target},
    statistics::Sample,
};

/// What of another tool is installed, and the schema into which it loads.
struct Peer {
    name: &'static str,
    package: &'static str,
    program: &'static str,
    schema: &'static str,
    /// So many times faster we are to be.
    target: f64,
}

const TARGET_POSTGRES: Peer = Peer {
    name: "target-postgres",
    package: "meltanolabs-target-postgres==0.8.1",
    program: "target-postgres",
    schema: "peer_target_postgres",
    target: 7.0,
};

const DLT: Peer =
    Peer { name: "dlt", package: "dlt[postgres]==1.31.0", program: "python", schema: "peer_dlt", target: 10.0 };

/// Lets cdm and the others take turns. Their programs are installed into `folder`, once.
pub(crate) fn compare(bench: &Bench, turns: usize, issues: usize, folder: &Path) -> Done<Vec<Finding>> {
    let target_postgres = installed(folder, &TARGET_POSTGRES)?;
    let python = installed(folder, &DLT)?;

    bench.export(Export { issues, profile: Profile::Small, changed_percent: 0 })?;
    let ours = || -> Done<Used> {
        bench.empty_sink()?;
        bench.cdm(&["ingest", "issues", "--full"])
    };
    ours()?;
    let messages = bench.path("messages.jsonl");
    write_messages(bench, &messages)?;
    let config = bench.path("target-postgres.json");
    let settings = json!({
        "sqlalchemy_url": bench.url().replacen("postgres://", "postgresql+psycopg2://", 1),
        "default_target_schema": TARGET_POSTGRES.schema,
    });
    fs::write(&config, settings.to_string())?;
    let script = bench.path("load.py");
    fs::write(&script, include_str!("load.py"))?;

    let (mut cdm, mut theirs) = (Vec::new(), [Vec::new(), Vec::new()]);
    for turn in 1..=turns {
        cdm.push(ours()?);
        let mut singer = Command::new(&target_postgres);
        singer.arg("--config").arg(&config).stdin(File::open(&messages)?);
        let mut dlt = Command::new(&python);
        dlt.args([&script, &messages]).arg(bench.url()).arg(DLT.schema).arg(bench.path(&format!("dlt-{turn}")));
        dlt.env("RUNTIME__DLTHUB_TELEMETRY", "false").stdin(Stdio::null());
        for (used, (peer, command)) in theirs.iter_mut().zip([(TARGET_POSTGRES, singer), (DLT, dlt)]) {
            used.push(into_empty(bench, &peer, command, issues)?);
        }
        let seconds = |used: &[Used]| used.last().map_or(0.0, |used| used.seconds);
        let [singer, dlt] = &theirs;
        eprintln!(
            "    {turn}/{turns}: {:.2} s, target-postgres {:.2} s, dlt {:.2} s",
            seconds(&cdm),
            seconds(singer),
            seconds(dlt)
        );
    }
    let findings = theirs.iter().zip([TARGET_POSTGRES, DLT]).map(|(theirs, peer)| {
        let mut ratios = Sample::default();
        cdm.iter().zip(theirs).for_each(|(ours, theirs)| ratios.push(theirs.seconds / ours.seconds));
        let (low, high) = ratios.spread();
        Finding {
            what: format!("faster than {}", peer.name),
            figure: ratios.median(),
            shown: format!("{:.1} × ({low:.1} to {high:.1})", ratios.median()),
            target: Some(Target::AtLeast(peer.target)),
            beside: format!("{}, {issues} finished rows against our raw issues", peer.package),
            measured: json!({ "ours": cdm, "theirs": theirs }),
        }
    });
    Ok(findings.collect())
}

/// Runs another tool into a schema that is not there; all rows are to be in it then.
fn into_empty(bench: &Bench, peer: &Peer, mut command: Command, issues: usize) -> Done<Used> {
    bench.run(&format!("drop schema if exists {} cascade; checkpoint", peer.schema))?;
    let used = bench.measure(&mut command)?;
    let rows = bench.number(&format!("select count(*) from {}.item", peer.schema))?;
    if usize::try_from(rows) != Ok(issues) {
        return Err(format!("{} was to load {issues} rows and loaded {rows}", peer.name).into());
    }
    Ok(used)
}

/// A program of a Python package, in a virtual environment that is made when it is not there.
fn installed(folder: &Path, peer: &Peer) -> Done<PathBuf> {
    let environment = folder.join(peer.name);
    let marker = environment.join("installed");
    if fs::read_to_string(&marker).ok().as_deref() != Some(peer.package) {
        eprintln!("==> install {}", peer.package);
        succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", peer.package];
        succeed(Command::new(environment.join("bin/python")).args(pip))?;
        fs::write(&marker, peer.package)?;
    }
    Ok(environment.join("bin").join(peer.program))
}

fn succeed(command: &mut Command) -> Done {
    let described = format!("{command:?}");
    let Output { status, stderr, .. } =
        command.stdin(Stdio::null()).output().map_err(|error| format!("{described}: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&stderr);
    let last: Vec<&str> = said.lines().rev().take(10).collect();
    Err(format!("{described} failed:\n{}", last.into_iter().rev().collect::<Vec<_>>().join("\n")).into())
}

/// Writes the finished rows as Singer messages.
fn write_messages(bench: &Bench, file: &Path) -> Done {
    let rows = bench.path("rows.json");
    // Of CSV with these two signs, which occur in no JSON, nothing but the JSON itself is left.
    let format = r"csv quote E'\x01' delimiter E'\x02'";
    bench.psql(&format!("\\copy (select row_to_json(t) from {ITEMS} t) to '{}' {format}", rows.display()))?;
    let mut out = BufWriter::new(File::create(file)?);
    let schema = json!({
        "type": "SCHEMA",
        "stream": "item",
        "key_properties": ["cdm_id"],
        "schema": { "type": "object", "properties": json_types(bench)? },
    });
    writeln!(out, "{schema}")?;
    for row in BufReader::new(File::open(rows)?).split(b'\n') {
        out.write_all(b"{\"type\":\"RECORD\",\"stream\":\"item\",\"record\":")?;
        out.write_all(&row?)?;
        out.write_all(b"}\n")?;
    }
    Ok(out.flush()?)
}

/// The JSON Schemas of the table's columns.
fn json_types(bench: &Bench) -> Done<Map<String, Value>> {
    let columns = bench.texts(&format!(
        "select attname || ' ' || format_type(atttypid, null) from pg_attribute \
         where attrelid = '{ITEMS}'::regclass and attnum > 0 and not attisdropped order by attnum"
    ))?;
    let schema = |column: &String| {
        let (name, column_type) = column.split_once(' ')?;
        let schema = match column_type {
            "timestamp with time zone" => json!({ "type": ["string", "null"], "format": "date-time" }),
            "date" => json!({ "type": ["string", "null"], "format": "date" }),
            "boolean" => json!({ "type": ["boolean", "null"] }),
            "smallint" | "integer" | "bigint" => json!({ "type": ["integer", "null"] }),
            "json" | "jsonb" => json!({ "type": ["object", "null"] }),
            "text[]" => json!({ "type": ["array", "null"], "items": { "type": "string" } }),
            _ => json!({ "type": ["string", "null"] }),
        };
        Some((name.to_owned(), schema))
    };
    Ok(columns.iter().filter_map(schema).collect())
}
