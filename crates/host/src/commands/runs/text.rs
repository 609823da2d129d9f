use catalog::{RunOutcome, RunRecord, RunStatus};
use endpoint_api::{Counts, EndpointId, Incomplete};
use serde_json::Value;

use super::{
    alive::{Alive, Seen},
    to_json,
};
use crate::{
    printable::on_one_line,
    table::{Table, Width, grouped},
    times::{shown, to_the_minute},
};

/// Of an id this much is shown where there is little room: the random end of it.
const SHORT_ID: usize = 12;

/// The columns of counts, in the order of [`counts`].
const COUNTS: [&str; 8] = ["READ", "INSERTED", "UPDATED", "UNCHANGED", "STALE", "DUPLICATE", "REJECTED", "MENTIONS"];

/// A run of this command.
pub(crate) struct Outcome {
    pub(crate) run: RunRecord,
    /// Of a run that had nothing to read: how many rejects of earlier runs are open, where the sink counts them.
    pub(crate) open_rejects: Option<u64>,
}

impl Outcome {
    /// The run as scripts see it.
    pub(crate) fn to_json(&self) -> Value {
        let mut json = to_json(&self.run, None);
        if let Some(members) = json.as_object_mut() {
            members.insert("open_rejects".to_owned(), self.open_rejects.into());
        }
        json
    }

    fn open_rejects(&self) -> String {
        let RunRecord { name, ingestion, .. } = &self.run;
        let count = match self.open_rejects {
            None | Some(0) => return String::new(),
            Some(1) => "1 open reject".to_owned(),
            Some(count) => format!("{} open rejects", grouped(count)),
        };
        let sink = &ingestion.sink;
        format!("{name}: {count} of earlier runs; see `cdm rejects list {sink} --ingestion {name}`\n")
    }
}

/// The runs of one command: what became of the records, and below it what is missing. Why a run failed is not in it.
pub(crate) fn outcome(outcomes: &[Outcome], width: Width) -> String {
    let runs: Vec<&RunRecord> = outcomes.iter().map(|outcome| &outcome.run).collect();
    if runs.is_empty() {
        return "no runs\n".to_owned();
    }
    let heads: Vec<&str> = ["NAME", "MODE", "RUN", "STATUS"].into_iter().chain(COUNTS).chain(["SECONDS"]).collect();
    let optional = ["MODE", "DUPLICATE", "STALE", "MENTIONS", "SECONDS", "UPDATED", "INSERTED", "UNCHANGED"];
    let mut table = Table::new(&heads).numbers_from(4).optional(&optional);
    for run in &runs {
        let id = short_id(run, width);
        let mut cells = vec![run.name.clone(), run.ingestion.mode.to_string(), id, run.status().to_string()];
        cells.extend(counts(run));
        cells.push(run.elapsed().map(|elapsed| format!("{:.1}", elapsed.as_secs_f64())).unwrap_or_default());
        table.row(cells);
    }
    let mut below = legend(runs.iter().copied(), |head| table.shows(head, width));
    below.push_str(&notes(&runs));
    outcomes.iter().for_each(|outcome| below.push_str(&outcome.open_rejects()));
    for run in runs.into_iter().filter(|run| run.status() == RunStatus::Ended(RunOutcome::Skipped)) {
        below.push_str(&reason(run));
    }
    table.render(width) + &width.wrap(&below)
}

/// Runs of the past: when each ran and how it ended, and below it what went wrong or is missing.
pub(super) fn history(runs: &[Seen], width: Width) -> String {
    if runs.is_empty() {
        return "no runs\n".to_owned();
    }
    let first = ["NAME", "STATUS", "RUN", "STARTED", "ENDED"];
    let heads: Vec<&str> = first.into_iter().chain(["TOOK", "ATTEMPT"]).chain(COUNTS).chain(["MODE"]).collect();
    let optional =
        ["MODE", "DUPLICATE", "STALE", "MENTIONS", "ENDED", "ATTEMPT", "UNCHANGED", "UPDATED", "INSERTED", "TOOK"];
    let mut table = Table::new(&heads).numbers_from(first.len()).optional(&optional);
    for seen in runs {
        let run = &seen.run;
        let ended = run.end.as_ref().map(|end| to_the_minute(end.at)).unwrap_or_default();
        let mut cells =
            vec![run.name.clone(), status(seen), short_id(run, width), to_the_minute(run.started_at), ended];
        cells.push(run.elapsed().map(shown).unwrap_or_default());
        cells.push(run.attempt.number().to_string());
        cells.extend(counts(run));
        cells.push(run.ingestion.mode.to_string());
        table.row(cells);
    }
    let mut below = legend(runs.iter().map(|seen| &seen.run), |head| table.shows(head, width));
    for Seen { run, .. } in runs {
        below.push_str(&notes(&[run]));
        below.push_str(&reason(run));
    }
    table.render(width) + &width.wrap(&below)
}

/// All that is known of a run.
pub(super) fn details(seen: &Seen, width: Width) -> String {
    let run = &seen.run;
    let mut table = Table::of_pairs();
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    row("run", run.run_id.to_string());
    row("ingestion", format!("{} ({})", run.name, run.ingestion));
    if let Some(model) = &run.model {
        row("model", model.to_string());
    }
    row("status", status(seen));
    row("attempt", run.attempt.number().to_string());
    if let Some(holder) = &run.holder {
        row("host", format!("{}, process {}", holder.host, holder.process));
    }
    row("started", run.started_at.to_string());
    if run.continued_at != run.started_at {
        row("last attempt", run.continued_at.to_string());
    }
    if let Some(end) = &run.end {
        row("ended", end.at.to_string());
        let took = if run.continued_at == run.started_at { "took" } else { "last attempt took" };
        row(took, run.elapsed().map(shown).unwrap_or_default());
        let planned = end.planned.map(|planned| format!(" of {}", grouped(planned))).unwrap_or_default();
        row("slices", format!("{}{planned} committed", grouped(end.slices)));
        for (head, count) in COUNTS.iter().zip(counts(run)) {
            row(&head.to_lowercase(), count);
        }
        row("checkpoint", end.checkpoint.as_ref().map_or_else(|| "none".to_owned(), |point| point.0.to_string()));
        for notes in by_what(&end.incomplete) {
            row("incomplete", incomplete(&notes));
        }
        if let Some(error) = &end.error {
            row(if end.outcome == RunOutcome::Skipped { "reason" } else { "error" }, error.clone());
        }
    }
    let mut text = table.render(width);
    text.push_str(&width.wrap(&legend(std::iter::once(run), |head| head != "TOOK")));
    if seen.alive == Some(Alive::No) {
        text.push_str(&format!("The process of this run died; `cdm ingest {}` continues it.\n", run.name));
    }
    text
}

fn status(seen: &Seen) -> String {
    match seen.alive {
        Some(Alive::No) => "lost".to_owned(),
        Some(Alive::Unknown) => "running (not verified)".to_owned(),
        _ => seen.run.status().to_string(),
    }
}

fn short_id(run: &RunRecord, width: Width) -> String {
    let id = run.run_id.to_string();
    match id.char_indices().rev().nth(SHORT_ID - 1) {
        Some((start, _)) if width.is_limited() => id.get(start..).unwrap_or(&id).to_owned(),
        _ => id,
    }
}

/// The counts of a run that has ended; records that were seen only inside others are counted apart.
fn counts(run: &RunRecord) -> [String; 8] {
    let Some(end) = &run.end else { return Default::default() };
    let Counts { inserted, updated, unchanged, stale, duplicate, rejected, .. } = end.counts.without_mentions();
    let mentions = end.counts.mentions.total();
    let read = end.read.saturating_sub(mentions);
    [read, inserted, updated, unchanged, stale, duplicate, rejected, mentions].map(grouped)
}

/// What those columns mean that are shown and may be misread: counts that look like a loss and are none, where they are
/// not zero, and the figures of runs that were continued.
fn legend<'r>(runs: impl Iterator<Item = &'r RunRecord>, shows: impl Fn(&str) -> bool) -> String {
    let mut all = Counts::default();
    let mut continued = 0;
    for run in runs {
        all += run.end.as_ref().map(|end| end.counts).unwrap_or_default();
        continued += u64::from(run.continued_at != run.started_at);
    }
    let (mentions, counts) = (all.mentions.total(), all.without_mentions());
    let lines = [
        (counts.stale, "STALE", "records of which the sink has a newer version, or another one of the same time."),
        (counts.duplicate, "DUPLICATE", "further records of a key in the same slice; the newest one was taken."),
        (mentions, "MENTIONS", "records seen only inside others, such as users in issues, that are known already."),
        (continued, "TOOK", "of a run that was continued the time of its last attempt; counts are of all attempts."),
    ];
    let lines = lines.into_iter().filter(|(count, head, _)| *count > 0 && shows(head));
    lines.map(|(_, head, meaning)| format!("{head}: {meaning}\n")).collect()
}

/// What is missing, with the names of the runs that say so: units that are read from one file say the same of it.
fn notes(runs: &[&RunRecord]) -> String {
    let mut said: Vec<(&EndpointId, String, Vec<&str>)> = Vec::new();
    for run in runs {
        let source = &run.ingestion.source;
        for note in run.end.iter().flat_map(|end| by_what(&end.incomplete)).map(|notes| incomplete(&notes)) {
            match said.iter_mut().find(|(of, what, _)| *of == source && *what == note) {
                Some((.., names)) => names.push(&run.name),
                None => said.push((source, note, vec![&run.name])),
            }
        }
    }
    said.into_iter().map(|(_, note, names)| format!("{}: {note}\n", names.join(", "))).collect()
}

/// Notes that differ only in the member that they are about, together.
fn by_what(notes: &[Incomplete]) -> Vec<Vec<&Incomplete>> {
    let mut groups: Vec<Vec<&Incomplete>> = Vec::new();
    for note in notes {
        let is_same = |group: &&mut Vec<&Incomplete>| {
            group.first().is_some_and(|first| first.resource == note.resource && first.what == note.what)
        };
        match groups.iter_mut().find(is_same) {
            Some(group) => group.push(note),
            None => groups.push(vec![note]),
        }
    }
    groups
}

fn incomplete(notes: &[&Incomplete]) -> String {
    let [first, ..] = notes else { return String::new() };
    let times = |count| if count == 1 { "once".to_owned() } else { format!("{} times", grouped(count)) };
    let details: Vec<String> = notes
        .iter()
        .map(|note| match &note.member {
            Some(member) => format!("{member} {}", times(note.count)),
            None => times(note.count),
        })
        .collect();
    let is_once = notes.len() == 1 && first.count == 1;
    let place = if is_once { "" } else { ", first" };
    let note = format!("{}: {} ({}{place} at {})", first.resource, first.what, details.join(", "), first.first_at);
    on_one_line(&note).into_owned()
}

fn reason(run: &RunRecord) -> String {
    match run.end.as_ref().and_then(|end| end.error.as_ref()) {
        Some(error) => format!("{}: {}: {}\n", run.name, run.status(), on_one_line(error)),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_of_several_members_are_one_line() {
        let what = "has records without members";
        let of = |member, count, at| {
            let note = Incomplete::new("issues-2.json", what, at).at_member(Some(member));
            Incomplete { count, ..note }
        };
        let cut = Incomplete::new("issues-2.json", "holds less", "issues-2.json:7");
        let notes = [of("fields.summary", 1200, "issues-2.json:1"), cut, of("fields.status", 1, "issues-2.json:3")];
        let lines: Vec<String> = by_what(&notes).iter().map(|notes| incomplete(notes)).collect();
        assert_eq!(
            lines,
            [
                "issues-2.json: has records without members (fields.summary 1,200 times, fields.status once, first at \
                 issues-2.json:1)",
                "issues-2.json: holds less (once at issues-2.json:7)",
            ]
        );
    }
}
