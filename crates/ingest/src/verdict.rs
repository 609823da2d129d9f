//! Whether the records of a run came out well enough for it to have succeeded.

use std::collections::BTreeMap;

use endpoint_api::{Error, ErrorKind, Result};

use crate::{Job, RunReport};

/// Fails when a run that has loaded every slice has too many rejects: more than the limit allows, or nothing else.
pub(crate) fn judge(job: &Job<'_>, report: &mut RunReport) -> Result<()> {
    let (rejected, read) = (report.counts.rejected, report.counts.total());
    if rejected > 0 && rejected == read {
        let message = match read {
            1 => "the only record that was read was rejected".to_owned(),
            _ => format!("all {read} records that were read were rejected"),
        };
        return Err(too_many(job, report, &message));
    }
    match job.options.max_rejects {
        Some(limit) if limit.is_exceeded_by(&report.counts) => Err(over_the_limit(job, report, limit)),
        _ => Ok(()),
    }
}

/// Whether a run that has slices left has too many rejects already, whatever is still to come.
pub(crate) fn is_hopeless(job: &Job<'_>, report: &RunReport) -> bool {
    job.options.max_rejects.is_some_and(|limit| limit.is_hopeless_after(&report.counts))
}

/// Fails a run that has stopped early because of its rejects, with the counts of everything that was committed.
pub(crate) fn stopped_early(job: &Job<'_>, report: &mut RunReport, limit: crate::MaxRejects) -> Error {
    let slices = format!("{} of {} slices", report.slices, report.planned.unwrap_or_default());
    let next = match job.options.full {
        true => "run it with --full again; it reads everything again",
        false => "the next run begins after the last file that was loaded as a whole",
    };
    let next = format!(
        "the run stopped after {slices}; {next}, and stops again unless the export has changed or the limit is higher"
    );
    over_the_limit(job, report, limit).with("not everything was read", next)
}

/// The maximum number of unreadable slices whose errors the message gives.
const NAMED: usize = 20;

/// Fails when the source could not read some slices of a run that has loaded all others.
pub(crate) fn judge_unreadable(errors: Vec<Error>, report: &mut RunReport) -> Result<()> {
    report.is_partly_unreadable = !errors.is_empty();
    let is_denied = errors.iter().all(|error| error.kind() == ErrorKind::Denied);
    // Slices come to their ends in any order, and several may be of one file.
    let by_message: BTreeMap<String, Error> = errors.into_iter().map(|error| (error.to_string(), error)).collect();
    let total = by_message.len();
    if total < 2 {
        return by_message.into_values().next().map_or(Ok(()), Err);
    }
    let mut named = by_message.into_keys().take(NAMED).collect::<Vec<_>>().join("; ");
    if total > NAMED {
        named.push_str(&format!("; and {} more", total - NAMED));
    }
    let kind = if is_denied { ErrorKind::Denied } else { ErrorKind::Data };
    let message = format!("{total} parts of the source cannot be read, and everything else was loaded: {named}");
    Err(Error::new(kind, "read", message))
}

fn over_the_limit(job: &Job<'_>, report: &mut RunReport, limit: crate::MaxRejects) -> Error {
    let message = format!(
        "{} of {} records were rejected, which is more than --max-rejects {limit} allows; what was loaded stays",
        report.counts.rejected,
        report.counts.total(),
    );
    too_many(job, report, &message)
}

fn too_many(job: &Job<'_>, report: &mut RunReport, message: &str) -> Error {
    report.too_many_rejects = true;
    Error::new(ErrorKind::Data, "ingest", format!("{message}. See `cdm rejects list {}`", job.ingestion.sink))
}
