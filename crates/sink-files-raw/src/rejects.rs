use std::{
    borrow::Cow,
    collections::{HashMap, HashSet, VecDeque},
    io::BufRead as _,
    sync::Arc,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use cdm_models::Timestamp;
use endpoint_api::{
    Error, ErrorKind, Ingestion, Reject, RejectColumn, RejectFilter, RejectGroup, RejectQuery, RejectState, Result,
    StoredReject,
    batch::{Origin, Rank, RejectEnvelope, Stage},
};
use serde::{Deserialize, Serialize};

use crate::{
    error::{damaged, failed},
    layout::{Layout, is_state, manifest_name, names},
    lines::open_lines,
    log::Log,
    manifest::{End, Entry, Manifest},
};

const READ: &str = "read rejects";

/// A reject as a line of its file.
#[derive(Serialize, Deserialize)]
pub(crate) struct RejectLine<'a> {
    id: Cow<'a, str>,
    stage: Stage,
    reason: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<Cow<'a, str>>,
    origin: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Cow<'a, str>>,
    #[serde(flatten)]
    raw: Raw<'a>,
    raw_length: u64,
    raw_hash: Cow<'a, str>,
}

/// The bytes of a reject: as text where they are text, so that people can read them.
#[derive(Serialize, Deserialize)]
enum Raw<'a> {
    #[serde(rename = "raw")]
    Text(Cow<'a, str>),
    #[serde(rename = "raw_base64")]
    Base64(String),
}

impl<'a> RejectLine<'a> {
    pub(crate) fn of(reject: &'a Reject, id: &'a str) -> Self {
        let raw = match std::str::from_utf8(&reject.raw) {
            Ok(text) => Raw::Text(text.into()),
            Err(_) => Raw::Base64(BASE64_STANDARD.encode(&reject.raw)),
        };
        Self {
            id: id.into(),
            stage: reject.stage,
            reason: Cow::Borrowed(&reject.reason),
            field: reject.field.as_deref().map(Cow::Borrowed),
            origin: Cow::Borrowed(&reject.origin),
            key: reject.key.as_deref().map(Cow::Borrowed),
            raw,
            raw_length: reject.raw_length,
            raw_hash: Cow::Borrowed(&reject.raw_hash),
        }
    }
}

/// A committed file of rejects.
struct RejectFile {
    ingestion: Ingestion,
    run_id: String,
    rejected_at: Timestamp,
    fence: u64,
    sequence: u64,
    path: String,
    read: Arc<CompleteReads>,
}

/// By resource the place in the log at which the newest run was opened that has read all of it.
#[derive(Default)]
struct CompleteReads(HashMap<String, u64>);

impl CompleteReads {
    /// What the log of an ingestion says.
    fn add(&mut self, manifest: &Manifest, opened: &mut u64, plan: &mut Vec<String>) {
        match &manifest.entry {
            // A run that is continued has a fence that is greater than its observation.
            Entry::Open { observation } if *observation == manifest.fence => {
                (*opened, *plan) = (manifest.sequence, Vec::new());
            }
            Entry::Plan { slices } => {
                let resources = slices.iter().flat_map(|slice| &slice.resources);
                *plan = resources.map(|resource| resource.name.clone()).collect();
            }
            Entry::End { how: End::Succeeded } => {
                self.0.extend(plan.drain(..).map(|resource| (resource, *opened)));
            }
            _ => {}
        }
    }

    /// Whether a reject that was last met at this place in the log is there no longer.
    fn supersede(&self, origin: &str, sequence: u64) -> bool {
        self.0.get(Origin::parse(origin).resource).is_some_and(|opened| sequence < *opened)
    }
}

/// The newest rejects first: by the run that rejected them last. One is left out once its resource was read again
/// without it. Reads every committed file of rejects
/// that the query may concern, because the oldest one tells when a reject was first met; holds no more
/// rejects than are asked for.
pub(crate) fn newest(layout: &Layout, query: &RejectQuery) -> Result<Vec<StoredReject>> {
    let takes = |reject: &StoredReject| query.id.as_ref().is_none_or(|id| *id == reject.id);
    let wanted = query.offset.saturating_add(query.limit);
    let mut found = first(layout, query.ingestion.as_ref(), &takes, wanted, true)?;
    Ok(found.split_off(query.offset.min(found.len())))
}

/// As [`newest`], those that match a filter, without their records. None of them is dismissed.
pub(crate) fn listed(layout: &Layout, filter: &RejectFilter, limit: usize) -> Result<Vec<StoredReject>> {
    if filter.state == RejectState::Dismissed {
        return Ok(Vec::new());
    }
    first(layout, filter.ingestion.as_ref(), &|reject| takes(filter, reject), limit, false)
}

fn takes(filter: &RejectFilter, reject: &StoredReject) -> bool {
    filter.takes_id(&reject.id)
        && filter.stage.is_none_or(|stage| stage == reject.stage)
        && filter.field.as_ref().is_none_or(|field| reject.field.as_ref() == Some(field))
        && filter.takes_reason(&reject.reason)
}

/// Counts the rejects that match; holds a line for each, without the record.
pub(crate) fn counted(layout: &Layout, filter: &RejectFilter, columns: &[RejectColumn]) -> Result<Vec<RejectGroup>> {
    if filter.state == RejectState::Dismissed {
        return Ok(Vec::new());
    }
    // As it was rejected last, with the time of the first time.
    let mut found: HashMap<String, Option<RejectGroup>> = HashMap::new();
    for file in newest_files(layout, filter.ingestion.as_ref())? {
        file.read(layout, |reject| match found.get_mut(&reject.id) {
            Some(Some(known)) => known.newest = reject.rejected_at,
            Some(None) => {}
            None => {
                let is_open = !file.read.supersede(&reject.origin, file.sequence);
                let group = (is_open && takes(filter, &reject)).then(|| {
                    let value = |column: &RejectColumn| match column {
                        RejectColumn::Ingestion => Some(reject.ingestion.clone()),
                        RejectColumn::Stage => Some(reject.stage.to_string()),
                        RejectColumn::Field => reject.field.clone(),
                        RejectColumn::Reason => Some(reject.reason.clone()),
                    };
                    let values = columns.iter().map(value).collect();
                    RejectGroup::new(values, 1, reject.rejected_at.clone(), reject.id.clone())
                });
                found.insert(reject.id, group);
            }
        })?;
    }
    Ok(RejectGroup::merged(found.into_values().flatten().collect(), columns))
}

fn newest_files(layout: &Layout, ingestion: Option<&Ingestion>) -> Result<Vec<RejectFile>> {
    let mut files = committed_files(layout, ingestion)?;
    files.sort_by_key(|file| std::cmp::Reverse((file.rejected_at, file.fence, file.sequence)));
    Ok(files)
}

fn first(
    layout: &Layout,
    ingestion: Option<&Ingestion>,
    takes: &dyn Fn(&StoredReject) -> bool,
    wanted: usize,
    with_records: bool,
) -> Result<Vec<StoredReject>> {
    let mut found: Vec<StoredReject> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    // What does not match as it was rejected last does not match as it was rejected before.
    let mut passed: HashSet<String> = HashSet::new();
    if wanted == 0 {
        return Ok(found);
    }
    for file in newest_files(layout, ingestion)? {
        let missing = wanted - found.len();
        let mut last: VecDeque<StoredReject> = VecDeque::new();
        let mut ids: HashSet<String> = HashSet::new();
        file.read(layout, |mut reject| {
            if !with_records {
                reject.raw = Vec::new();
            }
            if let Some(known) = places.get(&reject.id).and_then(|place| found.get_mut(*place)) {
                known.rejected_at = reject.rejected_at;
            } else if missing == 0 || passed.contains(&reject.id) {
            } else if file.read.supersede(&reject.origin, file.sequence) || !takes(&reject) {
                passed.insert(reject.id);
            } else if ids.insert(reject.id.clone()) {
                if last.len() == missing
                    && let Some(dropped) = last.pop_front()
                {
                    ids.remove(&dropped.id);
                }
                last.push_back(reject);
            }
        })?;
        for reject in last.into_iter().rev() {
            places.insert(reject.id.clone(), found.len());
            found.push(reject);
        }
    }
    Ok(found)
}

impl RejectFile {
    fn read(&self, layout: &Layout, mut each: impl FnMut(StoredReject)) -> Result<()> {
        let path = layout.file(&self.path);
        let mut lines = open_lines(&path, READ)?;
        let mut bytes = Vec::new();
        for line in 1_u64.. {
            bytes.clear();
            if lines.read_until(b'\n', &mut bytes).map_err(failed(READ, "read the file", &path))? == 0 {
                break;
            }
            let reject = serde_json::from_slice(&bytes).ok().and_then(|line| self.stored(line));
            each(
                reject
                    .ok_or_else(|| damaged(READ, &path, "it holds something else than rejects").with("line", line))?,
            );
        }
        Ok(())
    }

    fn stored(&self, line: RejectLine<'_>) -> Option<StoredReject> {
        Some(StoredReject {
            id: line.id.into_owned(),
            ingestion: self.ingestion.to_string(),
            run_id: self.run_id.clone(),
            stage: line.stage,
            reason: line.reason.into_owned(),
            field: line.field.map(Cow::into_owned),
            origin: line.origin.into_owned(),
            key: line.key.map(Cow::into_owned),
            rejected_at: self.rejected_at.to_string(),
            raw: match line.raw {
                Raw::Text(text) => text.into_owned().into_bytes(),
                Raw::Base64(text) => BASE64_STANDARD.decode(text).ok()?,
            },
            raw_length: line.raw_length,
            raw_hash: line.raw_hash.into_owned(),
            // Of use only where rejects are mapped again.
            observation: 0,
            envelope: RejectEnvelope::new(None, Rank::Whole),
        })
    }
}

/// The committed files of rejects of one ingestion or of all.
fn committed_files(layout: &Layout, wanted: Option<&Ingestion>) -> Result<Vec<RejectFile>> {
    let states = layout.states();
    let folders = match wanted {
        Some(ingestion) => vec![layout.state(ingestion)],
        None => {
            let names = names(&states).map_err(failed(READ, "list the ingestions", &states))?;
            names.iter().filter(|name| is_state(name)).map(|name| states.join(name)).collect()
        }
    };
    let mut files = Vec::new();
    for folder in folders {
        // The first manifest says which sink and mode the folder is for.
        let Some(Manifest { ingestion, .. }) = Manifest::read(&folder, 1, READ)? else { continue };
        if wanted.is_some_and(|wanted| *wanted != ingestion) {
            continue;
        }
        if layout.state(&ingestion) != folder {
            return Err(damaged(READ, &folder.join(manifest_name(1)), "it stands in the folder of another ingestion"));
        }
        let mut log = Log::unread(layout, &ingestion);
        let (mut read, mut opened, mut plan) = (CompleteReads::default(), 0, Vec::new());
        let mut of_ingestion = Vec::new();
        while let Some(manifest) = log.advance(READ)? {
            read.add(&manifest, &mut opened, &mut plan);
            let Entry::Slice(entry) = manifest.entry else { continue };
            let Some(rejects) = entry.files.rejects else { continue };
            let rejected_at = Timestamp::parse(&manifest.at).map_err(|error| {
                let path = folder.join(manifest_name(manifest.sequence));
                Error::new(ErrorKind::Data, READ, "a manifest has no time")
                    .with("file", path.display())
                    .caused_by(error)
            })?;
            of_ingestion.push(RejectFile {
                ingestion: ingestion.clone(),
                run_id: manifest.run_id.to_string(),
                rejected_at,
                fence: manifest.fence,
                sequence: manifest.sequence,
                path: rejects.path,
                read: Arc::default(),
            });
        }
        log.refuse_gap(READ)?;
        let read = Arc::new(read);
        files.extend(of_ingestion.into_iter().map(|file| RejectFile { read: Arc::clone(&read), ..file }));
    }
    Ok(files)
}
