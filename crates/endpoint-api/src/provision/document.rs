//! A plan as a file.

use std::sync::Arc;

use cdm_models::{ModelDescriptor, ModelId};
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::{Change, Error, ErrorKind, Finding, ModelPlan, PlanState, PlannedFor, ProvisionPlan, Result};

/// The version of the file's form. A program reads its own.
const FORMAT: u64 = 1;

const OPERATION: &str = "read the plan";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u64,
    /// Over all of `plan`.
    hash: String,
    plan: Content,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    sink: Option<PlannedFor>,
    adopts: bool,
    state: State,
    support: Vec<Change>,
    models: Vec<Model>,
    findings: Vec<Finding>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// Over all of `objects`.
    fingerprint: String,
    objects: PlanState,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    model: ModelId,
    version: Version,
    table: String,
    is_foreign: bool,
    changes: Vec<Change>,
}

impl Content {
    fn of(plan: &ProvisionPlan) -> Self {
        let models = plan.models.iter().map(|model| Model {
            model: model.descriptor.id.clone(),
            version: model.descriptor.version.clone(),
            table: model.table.clone(),
            is_foreign: model.is_foreign,
            changes: model.changes.clone(),
        });
        Self {
            sink: plan.planned_for.clone(),
            adopts: plan.adopts,
            state: State { fingerprint: plan.state.fingerprint(), objects: plan.state.clone() },
            support: plan.support.clone(),
            models: models.collect(),
            findings: plan.differences.clone(),
        }
    }

    /// 128 bits in hexadecimal over the content in its one form: the members in their order, without space.
    fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        // A hasher takes everything, and every key is a text.
        let _ = serde_json::to_writer(&mut hasher, self);
        hasher.finalize().to_hex().chars().take(32).collect()
    }
}

impl ProvisionPlan {
    /// 128 bits over all of the plan, in hexadecimal: what would be done, how and why, for which endpoint, models
    /// and state. By it a sink knows a plan that it has applied.
    pub fn hash(&self) -> String {
        Content::of(self).hash()
    }

    /// The plan as a file for people to look at and [`from_file`](Self::from_file) to read. It holds no secret and
    /// no data.
    pub fn to_file(&self) -> String {
        let plan = Content::of(self);
        let file = File { format: FORMAT, hash: plan.hash(), plan };
        // Every key is a text, and a String takes everything.
        serde_json::to_string_pretty(&file).map(|text| text + "\n").unwrap_or_default()
    }

    /// Reads a plan from a file, with the descriptors of the models that the program knows.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] when it is truncated, malformed or was changed after it was written, and
    /// [`ErrorKind::Config`] when it has a form or a model that the program does not know.
    pub fn from_file(text: &str, known: &[Arc<ModelDescriptor>]) -> Result<Self> {
        let damaged = |message: String| Err(Error::new(ErrorKind::Data, OPERATION, message));
        let file: serde_json::Value = match serde_json::from_str(text) {
            Ok(file) => file,
            Err(error) if error.is_eof() => {
                return damaged("it ends too early; it was truncated. Plan again".to_owned());
            }
            Err(error) => {
                return damaged(format!("it is no JSON (line {}, column {})", error.line(), error.column()));
            }
        };
        match file.get("format").and_then(serde_json::Value::as_u64) {
            Some(FORMAT) => {}
            Some(other) => {
                let message = format!(
                    "it has format {other}, and this program reads format {FORMAT}; plan again with this program, or \
                     apply it with the one that made it"
                );
                return Err(Error::new(ErrorKind::Config, OPERATION, message));
            }
            None => return damaged("it is no plan: it has no `format`".to_owned()),
        }
        let file = match serde_json::from_value::<File>(file) {
            Ok(file) => file,
            Err(error) => return damaged(format!("it is no plan: {error}")),
        };
        if file.plan.hash() != file.hash {
            return damaged("it was changed after it was written: its hash is another. Plan again".to_owned());
        }
        file.plan.into_plan(known)
    }
}

impl Content {
    fn into_plan(self, known: &[Arc<ModelDescriptor>]) -> Result<ProvisionPlan> {
        let find = |model: Model| {
            let is_meant = |other: &&Arc<ModelDescriptor>| other.id == model.model && other.version == model.version;
            let Some(descriptor) = known.iter().find(is_meant) else {
                let known = known.iter().find(|other| other.id == model.model);
                let known = known.map_or("does not know it".to_owned(), |known| format!("has {}", known.version));
                let message = format!("it is for {} {}; this program {known}. Plan again", model.model, model.version);
                return Err(Error::new(ErrorKind::Config, OPERATION, message));
            };
            let plan = ModelPlan::new(Arc::clone(descriptor), model.table, model.changes, None);
            Ok(plan.foreign(model.is_foreign))
        };
        let models: Vec<ModelPlan> = self.models.into_iter().map(find).collect::<Result<_>>()?;
        let mut plan = ProvisionPlan::new(self.state.objects, self.support, models).differing(self.findings);
        (plan.planned_for, plan.adopts) = (self.sink, self.adopts);
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use cdm_models::work::Project;
    use serde_json::{Value, json};

    use super::*;
    use crate::{EndpointId, Execution, Stage, TableLock};

    fn known() -> Vec<Arc<ModelDescriptor>> {
        vec![Arc::new(ModelDescriptor::of::<Project<'_>>().unwrap())]
    }

    fn plan() -> ProvisionPlan {
        let execution = Execution {
            stage: Stage::Transaction,
            lock: Some(TableLock { mode: "access exclusive".into(), on: "work.project".to_owned() }),
            scans_table: false,
            rewrites_table: false,
            lock_timeout_ms: Some(2_000),
            statement_timeout_ms: None,
        };
        let change = Change::new("add column", "work.project.url", "the column is new");
        let change = change.by("alter table work.project add column url text".to_owned(), execution);
        let model = known().remove(0);
        let model = ModelPlan::new(model, "work.project".to_owned(), vec![change], None).foreign(true);
        let state = PlanState::new().with("work", Some("a".to_owned())).with("work.project", None);
        let record = Change::new("record", "_cdm_model", "it fits").that_can_wait();
        ProvisionPlan::new(state, vec![record], vec![model])
            .differing(vec![Finding::harmless("work.project.theirs", "is not the model's", "it is left alone")])
            .for_endpoint(&EndpointId::from_static("warehouse"), "cdm.postgres")
    }

    fn problem(text: &str) -> String {
        ProvisionPlan::from_file(text, &known()).unwrap_err().to_string()
    }

    #[test]
    fn a_plan_that_was_written_is_read_as_it_was() {
        let written = plan();
        let read = ProvisionPlan::from_file(&written.to_file(), &known()).unwrap();
        assert_eq!((&read, read.hash()), (&written, written.hash()));
        assert_eq!(read.adopting(true).hash().len(), 32);
        assert_ne!(plan().adopting(true).hash(), plan().hash());
    }

    /// Changes one leaf after the other, and leaves one member out after the other.
    #[test]
    fn nothing_in_a_file_can_be_changed_unnoticed() {
        fn leaves(value: &Value, path: String, found: &mut Vec<String>) {
            match value {
                Value::Object(members) => {
                    members.iter().for_each(|(name, value)| leaves(value, format!("{path}/{name}"), found));
                }
                Value::Array(values) => {
                    values.iter().enumerate().for_each(|(at, value)| leaves(value, format!("{path}/{at}"), found));
                }
                _ => found.push(path),
            }
        }
        let file: Value = serde_json::from_str(&plan().to_file()).unwrap();
        let mut found = Vec::new();
        leaves(&file, String::new(), &mut found);
        assert!(found.len() > 30, "{found:?}");
        for path in found {
            let leaf = file.pointer(&path).unwrap();
            let others = match leaf {
                Value::Bool(is) => vec![json!(!is)],
                Value::Number(number) => vec![json!(number.as_u64().unwrap() + 1)],
                Value::Null => vec![json!("something"), json!(1)],
                other => vec![json!(format!("{}x", other.as_str().unwrap())), json!("")],
            };
            for other in others {
                let mut tampered = file.clone();
                *tampered.pointer_mut(&path).unwrap() = other.clone();
                let read = ProvisionPlan::from_file(&tampered.to_string(), &known());
                assert!(read.is_err(), "{path} can be {other} instead of {leaf}");
            }
        }
        let mut more = file;
        more["plan"]["more"] = json!(true);
        assert!(problem(&more.to_string()).contains("more"));
    }

    #[test]
    fn a_file_that_ends_anywhere_is_refused() {
        let text = plan().to_file();
        for end in 0..text.trim_end().len() {
            let error = problem(&text[..end]);
            assert!(error.contains("truncated"), "{end}: {error}");
        }
        assert!(problem("{]").contains("is no JSON (line 1, column 2)"));
        assert!(problem("[1]").contains("is no plan: it has no `format`"));
    }

    #[test]
    fn what_the_program_does_not_know_is_named() {
        let mut file: Value = serde_json::from_str(&plan().to_file()).unwrap();
        file["format"] = json!(2);
        assert!(problem(&file.to_string()).contains("it has format 2, and this program reads format 1"));
        let error = ProvisionPlan::from_file(&plan().to_file(), &[]).unwrap_err();
        assert_eq!(error.to_string(), "it is for cdm.work.project 1.0.0; this program does not know it. Plan again");
        let mut newer = known();
        Arc::make_mut(&mut newer[0]).version = Version::new(1, 1, 0);
        let error = ProvisionPlan::from_file(&plan().to_file(), &newer).unwrap_err();
        assert!(error.to_string().contains("this program has 1.1.0"), "{error}");
    }
}
