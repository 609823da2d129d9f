use serde_json::json;

use crate::{
    bench::{Bench, Done, Used},
    generate::{Export, Profile},
    in_process,
    report::{Finding, Target},
    statistics::Sample,
};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount {
    pub(crate) pairs: usize,
    pub(crate) issues: usize,
    pub(crate) growth_issues: usize,
}

impl Amount {
    fn small(self) -> Export {
        Export { issues: self.issues, profile: Profile::Small, changed_percent: 0 }
    }
}

fn mib(bytes: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    let bytes = bytes as f64;
    bytes / (1024.0 * 1024.0)
}

fn per_second(rows: usize, seconds: f64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    let rows = rows as f64;
    rows / seconds
}

/// Runs of ours and of the yardstick, one after the other.
#[derive(Default)]
struct Pairs {
    ours: Sample,
    psql: Sample,
    ratios: Sample,
    ours_used: Vec<Used>,
    psql_used: Vec<Used>,
}

impl Pairs {
    fn measure(count: usize, bench: &Bench, mut ours: impl FnMut() -> Done<Used>) -> Done<Self> {
        let mut pairs = Self::default();
        for pair in 1..=count {
            let mine = ours()?;
            bench.empty_yardstick()?;
            let theirs = bench.yardstick()?;
            eprintln!("    {pair}/{count}: {:.2} s, psql {:.2} s", mine.seconds, theirs.seconds);
            pairs.ours.push(mine.seconds);
            pairs.psql.push(theirs.seconds);
            pairs.ratios.push(mine.seconds / theirs.seconds);
            pairs.ours_used.push(mine);
            pairs.psql_used.push(theirs);
        }
        Ok(pairs)
    }

    fn finding(&self, what: &str, rows: usize, most: Option<f64>, also: &str) -> Finding {
        let (low, high) = self.ratios.spread();
        let peak = self.ours_used.iter().map(|used| used.peak_bytes).max().unwrap_or(0);
        let mut cpu = Sample::default();
        self.ours_used.iter().for_each(|used| cpu.push(used.cpu_seconds));
        Finding {
            what: what.to_owned(),
            figure: self.ratios.median(),
            shown: format!("{:.2} × psql ({low:.2} to {high:.2})", self.ratios.median()),
            target: most.map(Target::AtMost),
            beside: format!(
                "{:.2} s against {:.2} s, {:.0} rows/s, {:.1} CPU s, {:.0} MiB peak{also}",
                self.ours.median(),
                self.psql.median(),
                per_second(rows, self.ours.median()),
                cpu.median(),
                mib(peak),
            ),
            measured: json!({ "ours": self.ours_used, "psql": self.psql_used, "ratios": self.ratios }),
        }
    }

    /// The yardstick against itself: every second run against the others.
    fn control(&self, what: &str) -> Finding {
        let (even, odd) = (self.psql.every_second(0).median(), self.psql.every_second(1).median());
        let apart = if odd.is_nan() { 0.0 } else { (even / odd - 1.0).abs() * 100.0 };
        Finding {
            what: format!("psql against psql ({what})"),
            figure: apart,
            shown: format!("{apart:.1} % apart"),
            target: Some(Target::AtMost(10.0)),
            beside: format!("{} runs; above the target the ratios are void", self.psql.len()),
            measured: json!(self.psql),
        }
    }
}

/// The first load, the same again, and with a tenth changed.
pub(crate) fn loads(bench: &Bench, amount: Amount, wants: impl Fn(&str) -> bool) -> Done<Vec<Finding>> {
    let mut findings = Vec::new();
    let bytes = bench.export(amount.small())?;
    eprintln!("==> {} issues, {:.0} MiB", amount.issues, mib(bytes));
    let first_load = |bench: &Bench| -> Done<Used> {
        bench.empty_sink()?;
        bench.cdm(&["ingest", "issues", "--full"])
    };
    let warm_up = first_load(bench)?;
    bench.finish_rows()?;
    let dead = bench.dead_rows()?;
    if wants("first-load") {
        let pairs = Pairs::measure(amount.pairs, bench, || first_load(bench))?;
        let also = format!(", {:.0} MiB WAL, {dead} dead rows", mib(warm_up.wal_bytes));
        findings.push(pairs.finding("first load", amount.issues, Some(0.70), &also));
        findings.push(pairs.control("first load"));
    }
    if wants("reload-unchanged") {
        bench.settle_sink()?;
        let versions = "select coalesce(sum(('x' || substr(md5(t.xmin::text || t.xmax::text || t.ctid::text), 1, 8))::bit(32)::bigint), 0)::bigint from cdm_work.cdm_work_item t";
        let before = bench.number(versions)?;
        let pairs = Pairs::measure(amount.pairs, bench, || {
            bench.run("checkpoint")?;
            bench.cdm(&["ingest", "issues", "--full"])
        })?;
        let untouched = bench.number(versions)? == before;
        let also = if untouched { ", no row touched" } else { ", ROWS WERE TOUCHED" };
        findings.push(pairs.finding("the same again", amount.issues, Some(0.15), also));
        findings.push(pairs.control("the same again"));
        let wal = pairs.ours_used.iter().map(|used| used.wal_bytes).max().unwrap_or(0);
        #[allow(clippy::cast_precision_loss, reason = "a share")]
        let share = wal as f64 * 100.0 / warm_up.wal_bytes as f64;
        findings.push(Finding {
            what: "WAL of the same again".to_owned(),
            figure: if untouched { share } else { f64::INFINITY },
            shown: format!("{share:.2} % of the first load's"),
            target: Some(Target::AtMost(1.0)),
            beside: format!("{:.2} of {:.0} MiB", mib(wal), mib(warm_up.wal_bytes)),
            measured: json!({ "again": wal, "first": warm_up.wal_bytes, "untouched": untouched }),
        });
    }
    if wants("reload-changed") {
        // Each time the table is brought back by a first load, and then a tenth has changed.
        bench.export_aside(Export { changed_percent: 10, ..amount.small() })?;
        let pairs = Pairs::measure(amount.pairs, bench, || {
            first_load(bench)?;
            bench.settle_sink()?;
            bench.swap_exports()?;
            let used = bench.cdm(&["ingest", "issues", "--full"])?;
            bench.swap_exports()?;
            Ok(used)
        })?;
        findings.push(pairs.finding("again with 10 % changed", amount.issues, Some(0.30), ""));
        findings.push(pairs.control("again with 10 % changed"));
    }
    if wants("large") {
        let issues = amount.issues / 3;
        bench.export(Export { issues, profile: Profile::Large, changed_percent: 0 })?;
        first_load(bench)?;
        bench.finish_rows()?;
        let pairs = Pairs::measure(amount.pairs, bench, || first_load(bench))?;
        findings.push(pairs.finding("first load, issues of about 6 KB", issues, None, ""));
    }
    Ok(findings)
}

/// Mapping alone, and all of the pipeline but the server.
pub(crate) fn in_process(bench: &Bench, amount: Amount, wants: impl Fn(&str) -> bool) -> Done<Vec<Finding>> {
    let mut findings = Vec::new();
    bench.export(amount.small())?;
    if wants("mapping") {
        let issues = bench.exported()?;
        let mut rates = Sample::default();
        for _ in 0..amount.pairs {
            rates.push(per_second(amount.issues, in_process::map(&issues)?));
        }
        let (low, high) = rates.spread();
        findings.push(Finding {
            what: "mapping alone, one core".to_owned(),
            figure: rates.median(),
            shown: format!("{:.0} issues/s ({low:.0} to {high:.0})", rates.median()),
            target: Some(Target::AtLeast(80_000.0)),
            beside: format!("{:.1} µs an issue", 1e6 / rates.median()),
            measured: json!(rates),
        });
    }
    if wants("pipeline") {
        let mut rates = Sample::default();
        for _ in 0..amount.pairs {
            rates.push(per_second(amount.issues, in_process::run(bench.folder(), amount.issues)?));
        }
        findings.push(Finding {
            what: "read, map and throw away".to_owned(),
            figure: rates.median(),
            shown: format!("{:.0} issues/s", rates.median()),
            target: None,
            beside: "all of an ingestion but its server".to_owned(),
            measured: json!(rates),
        });
    }
    Ok(findings)
}

/// Memory and time at a hundred thousand and at a million.
pub(crate) fn growth(bench: &Bench, amount: Amount) -> Done<Vec<Finding>> {
    let mut measured = Vec::new();
    let few = amount.growth_issues / 10;
    for issues in [few, amount.growth_issues] {
        bench.export(Export { issues, ..amount.small() })?;
        let mut times = Sample::default();
        let mut peak = 0;
        // The shorter one varies with what else the machine does, and the longer one with its disk.
        for _ in 0..3 {
            bench.empty_sink()?;
            let used = bench.cdm(&["ingest", "issues", "--full"])?;
            eprintln!("    {issues} issues: {:.1} s, {:.0} MiB", used.seconds, mib(used.peak_bytes));
            times.push(used.seconds);
            peak = peak.max(used.peak_bytes);
        }
        measured.push((issues, times.median(), peak));
    }
    let mut findings: Vec<Finding> = measured
        .iter()
        .map(|(issues, seconds, peak)| Finding {
            what: format!("peak memory at {issues} issues"),
            figure: mib(*peak),
            shown: format!("{:.1} MiB", mib(*peak)),
            target: Some(Target::AtMost(64.0)),
            beside: format!("{seconds:.1} s, {:.0} rows/s", per_second(*issues, *seconds)),
            measured: json!({ "seconds": seconds, "peak_bytes": peak }),
        })
        .collect();
    if let [(_, short, _), (_, long, _)] = measured.as_slice() {
        findings.push(Finding {
            what: "growth to ten times as many".to_owned(),
            figure: long / short,
            shown: format!("{:.1} × the time", long / short),
            target: Some(Target::AtMost(11.0)),
            beside: format!("{long:.1} s against {short:.1} s"),
            measured: json!({ "long": long, "short": short }),
        });
    }
    Ok(findings)
}

/// Commands that have nothing to do.
pub(crate) fn commands(bench: &Bench, amount: Amount, wants: impl Fn(&str) -> bool) -> Done<Vec<Finding>> {
    let mut findings = Vec::new();
    let cases = [
        ("start-up", "cdm drivers", &["drivers"][..], 20.0),
        ("provision", "provisioning five models that are there", &["provision", "warehouse"][..], 100.0),
    ];
    for (_, what, arguments, most) in cases.into_iter().filter(|(name, ..)| wants(name)) {
        let mut times = Sample::default();
        for _ in 0..amount.pairs.max(9) {
            times.push(bench.cdm(arguments)?.seconds * 1000.0);
        }
        let (low, high) = times.spread();
        findings.push(Finding {
            what: what.to_owned(),
            figure: times.median(),
            shown: format!("{:.1} ms ({low:.1} to {high:.1})", times.median()),
            target: Some(Target::AtMost(most)),
            beside: format!("{} runs, from start to end of the process", times.len()),
            measured: json!(times),
        });
    }
    Ok(findings)
}
