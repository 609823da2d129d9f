//! A plan for people.

use std::{fmt::Write as _, io, path::Path};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use autoprovision::Plan;
use endpoint_api::{Change, Finding, FindingClass, ProvisionedModel};

use crate::printable::{on_lines, on_one_line};

/// What the plan is shown for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Summary<'a> {
    /// It was carried out.
    Done,
    /// It is that of a file, and was carried out by this call or before it.
    Applied { hash: &'a str, record: Option<&'a ProvisionedModel>, by_this_call: bool },
    /// It is shown with its statements, and was written to that file.
    Planned(Option<&'a Path>),
    /// It is shown without them.
    Checked,
}

/// The colours of a plan; none where nobody would see them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Palette {
    add: Style,
    change: Style,
    refuse: Style,
    aside: Style,
}

impl Palette {
    const COLOURED: Self = Self {
        add: AnsiColor::Green.on_default(),
        change: AnsiColor::Yellow.on_default(),
        refuse: AnsiColor::Red.on_default().bold(),
        aside: Style::new().dimmed(),
    };

    /// The colours of what goes to standard output: on a terminal, unless `NO_COLOR` is set.
    pub(super) fn of_stdout() -> Self {
        match AutoStream::choice(&io::stdout()) {
            ColorChoice::Never => Self::default(),
            _ => Self::COLOURED,
        }
    }

    /// The sign of a change, in its colour: what is made, what is removed (only what this program has left
    /// behind), and what changes.
    fn sign(&self, change: &Change) -> (char, Style) {
        match change.action.split(' ').next() {
            Some("create" | "add" | "register") => ('+', self.add),
            Some("drop") => ('-', self.refuse),
            _ => ('~', self.change),
        }
    }
}

/// The plan, with the statements when it is only shown.
pub(super) fn to_text(sink: &str, plan: &Plan, summary: &Summary<'_>, palette: &Palette) -> String {
    let with_statements = matches!(summary, Summary::Planned(_));
    let mut page = Page { text: String::new(), palette, count: 0 };
    page.section("the sink's own tables", &mut plan.sink.support.iter(), with_statements);
    for model in plan.models() {
        let title = format!("{} {} in {}", model.plan.descriptor.id, model.plan.descriptor.version, model.plan.table);
        page.section(&title, &mut model.changes(), with_statements);
    }
    let findings = plan.sink.findings();
    let of = |class| findings.iter().filter(move |finding| finding.class == class);
    let (left, refused) = (of(FindingClass::Harmless).count(), of(FindingClass::Incompatible).count());
    page.findings("what is somebody else's", '=', palette.aside, &mut of(FindingClass::Harmless));
    page.findings("what is in the way", '!', palette.refuse, &mut of(FindingClass::Incompatible));
    page.end(sink, plan, summary, left, refused);
    page.text
}

/// A text that is being written. Writing to a String cannot fail.
struct Page<'a> {
    text: String,
    palette: &'a Palette,
    /// The changes so far.
    count: usize,
}

impl Page<'_> {
    fn section(&mut self, title: &str, changes: &mut dyn Iterator<Item = &Change>, with_statements: bool) {
        for (index, change) in changes.enumerate() {
            if index == 0 {
                let _ = writeln!(self.text, "{title}");
            }
            self.count += 1;
            let (sign, style) = self.palette.sign(change);
            let Change { action, object, reason, .. } = change;
            let what = format!("{action} {object}: {reason}");
            let _ = writeln!(self.text, "  {style}{sign}{style:#} {}", on_one_line(&what));
            if with_statements {
                self.statement(change);
            }
        }
    }

    fn statement(&mut self, change: &Change) {
        let Some(sql) = &change.sql else { return };
        for line in sql.lines() {
            let _ = writeln!(self.text, "      {}", on_one_line(line));
        }
        let Some(execution) = &change.execution else { return };
        let Some(lock) = &execution.lock else { return };
        let aside = self.palette.aside;
        let mut notes = vec![format!("locks {}: {}", lock.on, lock.mode)];
        notes.extend(execution.lock_timeout_ms.map(|limit| format!("waits for it {limit} ms at the most")));
        let effect = match (execution.scans_table, execution.rewrites_table) {
            (_, true) => "writes the whole table",
            (true, false) => "reads the whole table",
            (false, false) => "does not touch its rows",
        };
        notes.push(effect.to_owned());
        if change.is_concurrent() {
            notes.push("after the transaction of the others".to_owned());
        }
        let _ = writeln!(self.text, "      {aside}-- {}{aside:#}", notes.join("; "));
    }

    fn findings(&mut self, title: &str, sign: char, style: Style, findings: &mut dyn Iterator<Item = &Finding>) {
        for (index, finding) in findings.enumerate() {
            if index == 0 {
                let _ = writeln!(self.text, "{title}");
            }
            let Finding { object, difference, way_out, .. } = finding;
            let (what, way_out) = (format!("{object} {difference}"), on_lines(way_out));
            let _ = writeln!(self.text, "  {style}{sign}{style:#} {}\n      {way_out}", on_one_line(&what));
        }
    }

    fn end(&mut self, sink: &str, plan: &Plan, summary: &Summary<'_>, left: usize, refused: usize) {
        let verb = match summary {
            Summary::Done | Summary::Applied { by_this_call: true, .. } => "made",
            Summary::Applied { .. } => "made before",
            _ => "to make",
        };
        let mut line = match self.count {
            0 if refused == 0 => format!("{sink} has everything already; nothing {verb}"),
            0 => format!("{sink}: nothing {verb}"),
            1 => format!("{sink}: 1 change {verb}"),
            count => format!("{sink}: {count} changes {verb}"),
        };
        for (count, what) in [(left, "left alone"), (refused, "in the way")] {
            let _ = match count {
                0 => Ok(()),
                1 => write!(line, "; 1 difference {what}"),
                _ => write!(line, "; {count} differences {what}"),
            };
        }
        let _ = writeln!(self.text, "{line}");
        match summary {
            Summary::Planned(Some(path)) => {
                let (hash, path) = (plan.sink.hash(), path.display());
                let _ = writeln!(
                    self.text,
                    "Plan {hash} is in {path}; carry it out with `cdm provision {sink} --apply {path}`"
                );
            }
            Summary::Applied { hash, record: Some(ProvisionedModel { provisioned_at, .. }), by_this_call } => {
                let _ = match by_this_call {
                    true => writeln!(self.text, "Plan {hash} was applied at {provisioned_at}"),
                    false => writeln!(
                        self.text,
                        "Plan {hash} had been applied at {provisioned_at}; this call has changed nothing"
                    ),
                };
            }
            _ => {}
        }
    }
}
