use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use endpoint_api::{
    Checkpoint, Error, ErrorKind, PlanRequest, RawBatch, Reject, Resource, Result, Secret, Slice, Source,
    SourceIdentity, UnitDescriptor, UnitField, UnitId, async_trait,
    batch::{NewRecord, RawBatchBuilder},
};
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use serde_json::json;

use super::{Fault, Memory};

/// How many records of 64 KiB a large memory has.
const OF_A_LARGE_ONE: u64 = 1100;

/// Seven records in two slices, to which others may be added; the last line is none.
const LINES: [&str; 7] =
    [r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":3}"#, "{ }", r#"{"é":"\u0000"}"#, r#"{"id":6}"#, "no record"];
const OF_A_SLICE: usize = 4;

/// What an endpoint with a fault knows of what it has read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    has_planned: bool,
    /// How often each slice was read.
    times: HashMap<String, u32>,
    /// How many batches of each slice were given the last time.
    given: HashMap<String, usize>,
    /// What was read, for those who keep it.
    kept: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Source for Memory {
    fn identity(&self) -> &SourceIdentity {
        &self.identity
    }

    async fn units(&self) -> Result<Vec<UnitDescriptor>> {
        let field =
            UnitField { name: "id".to_owned(), json_type: "number".to_owned(), description: "Its id.".to_owned() };
        let mut units = vec!["memory.things", "memory.nothing", "memory.large"];
        if self.has(Fault::ListsAUnitTwice) {
            units.push("memory.things");
        }
        let unit = |unit| UnitDescriptor::new(UnitId::from_static(unit), "Things", vec![field.clone()]);
        Ok(units.into_iter().map(unit).collect())
    }

    async fn plan(&self, unit: &UnitId, request: &PlanRequest) -> Result<Vec<Slice>> {
        let is_known = matches!(unit.as_str(), "memory.things" | "memory.nothing" | "memory.large");
        if !is_known && !self.has(Fault::TakesAnyUnit) {
            return Err(Error::new(ErrorKind::Config, "plan", "there is no such unit").with("unit", unit));
        }
        self.reading.lock().unwrap().has_planned = true;
        match unit.as_str() {
            "memory.things" => {}
            "memory.large" => return Ok(vec![Slice::new(0, json!({ "large": true }))]),
            _ => return Ok(Vec::new()),
        }
        let lines = self.lines();
        let done = request.checkpoint.as_ref().and_then(|checkpoint| checkpoint.0["done"].as_u64()).unwrap_or(0);
        let begin = match self.fault {
            Fault::MissesWhatIsAdded if done > 0 => lines.len(),
            Fault::IgnoresTheCheckpoint => 0,
            Fault::SkipsARecordAfterACheckpoint if done > 0 => usize::try_from(done).unwrap() + 1,
            _ => usize::try_from(done).unwrap(),
        };
        let fingerprint = if self.has(Fault::KeepsItsFingerprint) { 1 } else { lines.len() };
        let resource = Resource { name: "memory".to_owned(), fingerprint: fingerprint.to_string() };
        let password = self.password.as_ref().filter(|_| self.has(Fault::PlansWithThePassword)).map(Secret::expose);
        let slice = |(index, from)| {
            let spec = match password {
                Some(password) => json!({ "from": from, "password": password }),
                None => json!({ "from": from }),
            };
            Slice::new(index, spec).of(resource.clone())
        };
        let first = u64::from(self.has(Fault::NumbersSlicesFromOne));
        Ok((first..).zip((begin..lines.len()).step_by(OF_A_SLICE)).map(slice).collect())
    }

    fn read<'a>(&'a self, unit: &'a UnitId, slice: &'a Slice) -> BoxStream<'a, Result<RawBatch>> {
        if slice.spec["large"] == true {
            return self.read_large(unit);
        }
        let from = usize::try_from(slice.spec["from"].as_u64().unwrap()).unwrap();
        let name = slice.spec.to_string();
        let mut lines: Vec<(usize, &str)> = self.lines().into_iter().enumerate().skip(from).take(OF_A_SLICE).collect();
        {
            let mut reading = self.reading.lock().unwrap();
            let times = reading.times.entry(name.clone()).or_default();
            *times += 1;
            match self.fault {
                Fault::ForgetsARecordWhenReadAgain if *times > 1 => drop(lines.remove(0)),
                Fault::GivesARecordTwice => lines.push(lines[0]),
                Fault::ReadsOnlyWhatItPlanned if !reading.has_planned => lines.clear(),
                Fault::GoesOnWhereItWasGivenUp => {
                    let given = reading.given.remove(&name).filter(|given| *given < lines.len());
                    lines.drain(..given.unwrap_or(0));
                }
                _ => {}
            }
        }
        let many = lines.len();
        // One line a batch.
        let batch = move |(at, (line, json)): (usize, (usize, &str))| {
            self.reading.lock().unwrap().given.insert(name.clone(), at + 1);
            let mut batch = self.batch(unit);
            if json.starts_with('{') {
                batch.push(NewRecord { json, line: Some(line as u64 + 1), ..NewRecord::default() });
            } else {
                let bytes = if self.has(Fault::RejectsWithoutBytes) { b"" } else { json.as_bytes() };
                batch.reject(Reject::at_source(format!("memory:{}", line + 1), "no record", bytes));
            }
            if self.has(Fault::GivesAllAtOnce) {
                batch.push(NewRecord { json: &"x".repeat(33 << 20), ..NewRecord::default() });
            }
            let is_last = at + 1 == many && !self.has(Fault::TellsNoCheckpoint);
            Ok(batch.finish_at(is_last.then(|| Checkpoint(json!({ "done": line + 1 })))))
        };
        stream::iter(lines.into_iter().enumerate().map(batch)).boxed()
    }
}

impl Memory {
    fn lines(&self) -> Vec<&'static str> {
        LINES.into_iter().chain(self.lock().added.iter().copied()).collect()
    }

    fn batch(&self, unit: &UnitId) -> RawBatchBuilder {
        let time = cdm_models::Timestamp::from_microsecond(0).unwrap();
        let unit = if self.has(Fault::GivesAnothersBatches) { &UnitId::from_static("memory.nothing") } else { unit };
        RawBatch::builder(unit.clone(), self.identity.endpoint.clone(), "memory", time)
    }

    /// Records of 64 KiB, one a batch, made as they are asked for.
    fn read_large<'a>(&'a self, unit: &'a UnitId) -> BoxStream<'a, Result<RawBatch>> {
        let record = || format!("{{\"text\":\"{}\"}}", "x".repeat(64 << 10));
        let ready: Vec<String> =
            (0..OF_A_LARGE_ONE).filter(|_| self.has(Fault::ReadsASliceAtOnce)).map(|_| record()).collect();
        if self.has(Fault::ReadsAhead) {
            let ahead = Arc::clone(&self.reading.lock().unwrap().kept);
            std::thread::spawn(move || (0..OF_A_LARGE_ONE).for_each(|_| ahead.lock().unwrap().push(record())));
        }
        let mut kept = Vec::new();
        let batch = move |line| {
            let record = ready.first().cloned().unwrap_or_else(record);
            let mut batch = self.batch(unit);
            batch.push(NewRecord { json: &record, line: Some(line), ..NewRecord::default() });
            match self.fault {
                Fault::KeepsWhatItHasRead => self.reading.lock().unwrap().kept.lock().unwrap().push(record),
                Fault::KeepsASliceUntilItsEnd => kept.push(record),
                _ => {}
            }
            Ok(batch.finish())
        };
        stream::iter((1..=OF_A_LARGE_ONE).map(batch)).boxed()
    }
}
