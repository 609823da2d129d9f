use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::Value;

/// One thing that was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finding {
    /// What.
    pub(crate) what: String,
    /// The figure that is compared with the target.
    pub(crate) figure: f64,
    /// The figure for people.
    pub(crate) shown: String,
    /// What it is to be.
    pub(crate) target: Option<Target>,
    /// What else was measured, for people.
    pub(crate) beside: String,
    /// Every single measurement, for programs.
    pub(crate) measured: Value,
}

/// What a figure is to be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Finding {
    /// Whether the target is met; `None` where there is none.
    pub(crate) fn is_met(&self) -> Option<bool> {
        self.target.map(|target| match target {
            Target::AtMost(most) => self.figure <= most,
            Target::AtLeast(least) => self.figure >= least,
        })
    }
}

/// What was found, for people.
pub(crate) fn table(findings: &[Finding]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["WHAT", "FOUND", "TARGET", "", "BESIDE"]);
    for finding in findings {
        let target = match finding.target {
            Some(Target::AtMost(most)) => format!("≤ {most}"),
            Some(Target::AtLeast(least)) => format!("≥ {least}"),
            None => String::new(),
        };
        let verdict = match finding.is_met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        table.add_row([finding.what.as_str(), &finding.shown, &target, verdict, &finding.beside]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_stands_beside_its_target() {
        let finding = |what: &str, figure: f64, target| Finding {
            what: what.to_owned(),
            figure,
            shown: format!("{figure:.2} × psql"),
            target,
            beside: "3 pairs".to_owned(),
            measured: Value::Null,
        };
        insta::assert_snapshot!(table(&[
            finding("first load", 0.65, Some(Target::AtMost(0.7))),
            finding("load again", 0.2, Some(Target::AtMost(0.15))),
            finding("mapping", 90_000.0, Some(Target::AtLeast(80_000.0))),
            finding("large", 0.8, None),
        ]), @"
        WHAT        FOUND            TARGET           BESIDE
        first load  0.65 × psql      ≤ 0.7    met     3 pairs
        load again  0.20 × psql      ≤ 0.15   MISSED  3 pairs
        mapping     90000.00 × psql  ≥ 80000  met     3 pairs
        large       0.80 × psql                       3 pairs
        ");
    }
}
