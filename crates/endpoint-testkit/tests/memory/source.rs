use endpoint_api::{
    Checkpoint, Error, ErrorKind, PlanRequest, RawBatch, Reject, Resource, Result, Slice, Source, SourceIdentity,
    UnitDescriptor, UnitField, UnitId, async_trait, batch::NewRecord,
};
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use serde_json::json;

use super::{Fault, Memory};

/// Seven records in two slices; the last line is none.
const LINES: [&str; 7] =
    [r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":3}"#, "{ }", r#"{"é":"\u0000"}"#, r#"{"id":6}"#, "no record"];
const OF_A_SLICE: usize = 4;

#[async_trait]
impl Source for Memory {
    fn identity(&self) -> &SourceIdentity {
        &self.identity
    }

    async fn units(&self) -> Result<Vec<UnitDescriptor>> {
        let field =
            UnitField { name: "id".to_owned(), json_type: "number".to_owned(), description: "Its id.".to_owned() };
        Ok(["memory.things", "memory.nothing"]
            .map(|unit| UnitDescriptor::new(UnitId::from_static(unit), "Things", vec![field.clone()]))
            .to_vec())
    }

    async fn plan(&self, unit: &UnitId, request: &PlanRequest) -> Result<Vec<Slice>> {
        let is_known = matches!(unit.as_str(), "memory.things" | "memory.nothing");
        if !is_known && self.fault != Fault::TakesAnyUnit {
            return Err(Error::new(ErrorKind::Config, "plan", "there is no such unit").with("unit", unit));
        }
        let is_done = request.checkpoint.is_some() && self.fault != Fault::IgnoresTheCheckpoint;
        if unit.as_str() != "memory.things" || is_done {
            return Ok(Vec::new());
        }
        let resource = Resource { name: "memory".to_owned(), fingerprint: "1".to_owned() };
        let from = (0..LINES.len()).step_by(OF_A_SLICE);
        Ok((0..)
            .zip(from)
            .map(|(index, from)| Slice::new(index, json!({ "from": from })).of(resource.clone()))
            .collect())
    }

    fn read<'a>(&'a self, unit: &'a UnitId, slice: &'a Slice) -> BoxStream<'a, Result<RawBatch>> {
        let from = usize::try_from(slice.spec["from"].as_u64().unwrap()).unwrap();
        let readings = {
            let mut state = self.state.lock().unwrap();
            let readings = state.readings.entry(slice.spec.to_string()).or_default();
            *readings += 1;
            *readings
        };
        let lines: Vec<(usize, &str)> = LINES.into_iter().enumerate().skip(from).take(OF_A_SLICE).collect();
        let is_last = from + OF_A_SLICE >= LINES.len();
        let forgets = self.fault == Fault::ForgetsARecordWhenReadAgain && readings > 1;
        let lines = if forgets { lines[1..].to_vec() } else { lines };
        let last = lines.len() - 1;
        // One line a batch.
        stream::iter(lines.into_iter().enumerate().map(move |(at, (line, json))| {
            let time = cdm_models::Timestamp::from_microsecond(0).unwrap();
            let mut batch = RawBatch::builder(unit.clone(), self.identity.endpoint.clone(), "memory", time);
            if json.starts_with('{') {
                batch.push(NewRecord { json, line: Some(line as u64 + 1), ..NewRecord::default() });
            } else {
                batch.reject(Reject::at_source(format!("memory:{}", line + 1), "no record", json.as_bytes()));
            }
            let resume_at = (is_last && at == last).then(|| Checkpoint(json!({ "done": true })));
            Ok(batch.finish_at(resume_at))
        }))
        .boxed()
    }
}
