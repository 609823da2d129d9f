mod text;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use autoprovision::{Plan, Provisioned, Target};
use cdm_models::ModelDescriptor;
use endpoint_api::{ErrorKind, FindingClass, ModelPattern, ProvisionPlan, ProvisionedModel, Provisioner};
use serde_json::{Map, Value, json};

use crate::{
    answer::Answer,
    app::App,
    commands::provision::text::{Palette, Summary, to_text},
    endpoints::{Opened, check_config, find, open},
    failure::{Exit, Failure, or_meant},
    metadata::{now, open_catalog, register_endpoint},
};

/// What provisioning is to come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Do what is to be done.
    Apply,
    /// Do what a plan in a file says, and nothing else.
    ApplyFile(PathBuf),
    /// Show what is to be done, and write it to a file when one is named.
    Plan(Option<PathBuf>),
    /// Only tell whether there is something to do.
    Check,
}

/// Creates the tables of the models that match on a sink, and registers them. Where `adopts`, tables that are there
/// and not on record are taken over.
pub(crate) async fn provision(
    app: &App,
    sink: &str,
    patterns: &[ModelPattern],
    adopts: bool,
    purpose: &Purpose,
) -> Result<Answer, Failure> {
    let settings = app.settings()?;
    let endpoint = find(&settings, sink)?;
    let (driver, _) = check_config(app, &settings, endpoint)?;
    let declares = driver.capabilities().sink.is_some_and(|sink| sink.autoprovision);
    if !declares {
        let message = format!("`{sink}` ({}) has no tables to provision; see `cdm drivers`", driver.id());
        return Err(Failure::usage(message));
    }
    let supported: Vec<_> = app.registry.supported_models(driver.capabilities()).cloned().collect();
    let models = matching(&supported, patterns)?;
    let from_file = match purpose {
        Purpose::ApplyFile(path) => Some(read_plan(path, &supported)?),
        _ => None,
    };

    let opened = open(app, &settings, endpoint).await?;
    let catalog = open_catalog(&settings).await?;
    let target = Target::new(&opened.id, driver.id(), provisioner(&opened)?, catalog.as_ref()).adopting(adopts);
    let answer = match purpose {
        Purpose::Apply | Purpose::ApplyFile(_) => {
            register_endpoint(catalog.as_ref(), &opened).await?;
            let done = match &from_file {
                Some(plan) => target.apply(plan.clone(), now()).await,
                None => target.provision(&models, now()).await,
            };
            match (done, from_file) {
                (Ok(done), None) => {
                    let json = to_json(sink, &done.plan, done.changed, None, &done.records);
                    Answer::verbatim(json, to_text(sink, &done.plan, &Summary::Done, &Palette::of_stdout()))
                }
                (Ok(done), Some(file)) => applied(sink, done, file),
                // What is in the way is shown beside the error.
                (Err(error), None) if error.kind() == ErrorKind::Conflict => {
                    refused(sink, target.plan(&models).await?, error.into())
                }
                (Err(error), _) => return Err(error.into()),
            }
        }
        Purpose::Plan(out) => {
            let plan = target.plan(&models).await?;
            match (plan.sink.refusal(), out) {
                (Some(refusal), Some(_)) => refused(sink, plan, refusal.into()),
                (_, out) => {
                    if let Some(path) = out {
                        write_plan(path, &plan.sink)?;
                    }
                    planned(sink, &plan, &Summary::Planned(out.as_deref()))
                }
            }
        }
        Purpose::Check => planned(sink, &target.plan(&models).await?, &Summary::Checked),
    };
    catalog.close().await?;
    opened.endpoint.close().await?;
    Ok(answer)
}

/// The answer of a plan of a file: that plan, whoever carried it out, with the receipt of the sink.
fn applied(sink: &str, done: Provisioned, file: ProvisionPlan) -> Answer {
    let hash = file.hash();
    let mut json = to_json(sink, &done.plan, done.changed, Some(hash.clone()), &done.records);
    let mut shown = done.plan;
    (shown.sink.support, shown.sink.models) = (file.support, file.models);
    let models = shown.sink.models.iter().map(|model| {
        let ModelDescriptor { id, version, .. } = &*model.descriptor;
        json!({ "model": id, "version": version, "table": model.table, "changes": model.changes })
    });
    let applied_at = done.records.first().map(|record| &record.provisioned_at);
    let plan = json!({
        "plan_hash": hash,
        "applied_at": applied_at,
        "applied_by_this_call": done.changed,
        "support": { "changes": shown.sink.support },
        "models": models.collect::<Vec<Value>>(),
    });
    json.insert("applied_plan".to_owned(), plan);
    let summary = Summary::Applied { hash: &hash, record: done.records.first(), by_this_call: done.changed };
    Answer::verbatim(json, to_text(sink, &shown, &summary, &Palette::of_stdout()))
}

/// The answer of a plan that is only shown.
fn planned(sink: &str, plan: &Plan, summary: &Summary<'_>) -> Answer {
    let exit = if plan.is_drift() { Exit::Changes } else { Exit::Ok };
    let json = to_json(sink, plan, false, Some(plan.sink.hash()), &[]);
    Answer::verbatim(json, to_text(sink, plan, summary, &Palette::of_stdout())).exit(exit)
}

/// The answer of a plan that is not carried out.
fn refused(sink: &str, plan: Plan, failure: Failure) -> Answer {
    let exit = failure.exit();
    let in_the_way = plan.sink.findings().iter().filter(|finding| finding.class == FindingClass::Incompatible).count();
    let failure = match in_the_way {
        0 => failure,
        1 => failure.shown_as(format!("{sink}: the difference shown above is in the way; nothing was changed")),
        count => {
            failure.shown_as(format!("{sink}: the {count} differences shown above are in the way; nothing was changed"))
        }
    };
    planned(sink, &plan, &Summary::Checked).failed([failure]).exit(exit)
}

fn read_plan(path: &Path, known: &[Arc<ModelDescriptor>]) -> Result<ProvisionPlan, Failure> {
    let shown = path.display().to_string();
    let text = local_files::read_small_text(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Failure::failed("it is no plan: it is no text").at(shown.as_str()),
        _ => Failure::usage(format!("the plan cannot be read: {error}")).at(shown.as_str()),
    })?;
    ProvisionPlan::from_file(&text, known).map_err(|error| Failure::from(error).at(shown))
}

fn write_plan(path: &Path, plan: &ProvisionPlan) -> Result<(), Failure> {
    let written = local_files::replace(path, plan.to_file().as_bytes());
    written.map_err(|error| {
        let older = if path.exists() { "; the older file is as it was" } else { "" };
        Failure::usage(format!("the plan cannot be written: {error}{older}")).at(path.display().to_string())
    })
}

pub(super) fn provisioner(opened: &Opened) -> Result<&dyn Provisioner, Failure> {
    opened.endpoint.provisioner().ok_or_else(|| {
        let message = format!("the driver {} declares that it provisions, and does not", opened.driver.id());
        Failure::internal(message)
    })
}

/// The models that match one of the patterns; all when there is none. A pattern that matches nothing is
/// a mistake.
pub(super) fn matching(
    supported: &[Arc<ModelDescriptor>],
    patterns: &[ModelPattern],
) -> Result<Vec<Arc<ModelDescriptor>>, Failure> {
    if let Some(lost) = patterns.iter().find(|pattern| supported.iter().all(|model| !pattern.matches(&model.id))) {
        let known: Vec<&str> = supported.iter().map(|model| model.id.as_str()).collect();
        let (lost, meant) = (lost.as_str(), or_meant(lost.as_str(), &known));
        return Err(Failure::usage(format!("no model matches `{lost}`; the sink takes {}{meant}", known.join(", "))));
    }
    let matches =
        |model: &ModelDescriptor| patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(&model.id));
    Ok(supported.iter().filter(|model| matches(model)).cloned().collect())
}

fn to_json(
    sink: &str,
    plan: &Plan,
    changed: bool,
    hash: Option<String>,
    records: &[ProvisionedModel],
) -> Map<String, Value> {
    let models: Vec<Value> = plan
        .models()
        .enumerate()
        .map(|(index, model)| {
            json!({
                "model": model.plan.descriptor.id,
                "version": model.plan.descriptor.version,
                "table": model.plan.table,
                "dataset_id": model.dataset,
                "changes": model.changes().collect::<Vec<_>>(),
                "provisioned": records.get(index).or(model.plan.recorded.as_ref()),
            })
        })
        .collect();
    Map::from_iter([
        ("sink".to_owned(), Value::from(sink)),
        ("changed".to_owned(), Value::from(changed)),
        ("plan_hash".to_owned(), Value::from(hash.unwrap_or_else(|| plan.sink.hash()))),
        ("support".to_owned(), json!({ "changes": plan.sink.support })),
        ("models".to_owned(), Value::from(models)),
        ("findings".to_owned(), json!(plan.sink.findings())),
    ])
}
