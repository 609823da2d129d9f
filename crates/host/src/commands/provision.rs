use std::{fmt::Write as _, sync::Arc};

use autoprovision::{Plan, Target};
use cdm_models::ModelDescriptor;
use endpoint_api::{Change, ModelPattern, Provisioner};
use serde_json::{Map, Value, json};

use crate::{
    answer::Answer,
    app::App,
    endpoints::{Opened, check_config, find, open},
    failure::{Exit, Failure},
    metadata::{now, open_catalog, register_endpoint},
};

/// What provisioning is to come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Do what is to be done.
    Apply,
    /// Show it.
    Plan,
    /// Only tell whether there is something to do.
    Check,
}

/// Creates the tables of the models that match on a sink, and registers them.
pub(crate) async fn provision(
    app: &App,
    sink: &str,
    patterns: &[ModelPattern],
    purpose: Purpose,
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

    let opened = open(app, &settings, endpoint).await?;
    let catalog = open_catalog(&settings).await?;
    let target = Target::new(&opened.id, provisioner(&opened)?, catalog.as_ref());
    let (plan, changed, exit) = if purpose == Purpose::Apply {
        register_endpoint(catalog.as_ref(), &opened).await?;
        let done = target.provision(&models, now()).await?;
        (done.plan, done.changed, Exit::Ok)
    } else {
        let plan = target.plan(&models).await?;
        let exit = if plan.is_empty() { Exit::Ok } else { Exit::Changes };
        (plan, false, exit)
    };
    catalog.close().await?;
    opened.endpoint.close().await?;
    Ok(Answer::of(to_json(sink, &plan, changed), to_text(sink, &plan, purpose)).exit(exit))
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
        let message = format!("no model matches `{}`; the sink takes {}", lost.as_str(), known.join(", "));
        return Err(Failure::usage(message));
    }
    let matches =
        |model: &ModelDescriptor| patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(&model.id));
    Ok(supported.iter().filter(|model| matches(model)).cloned().collect())
}

fn to_json(sink: &str, plan: &Plan, changed: bool) -> Map<String, Value> {
    let models: Vec<Value> = plan
        .models()
        .map(|model| {
            json!({
                "model": model.plan.descriptor.id,
                "version": model.plan.descriptor.version,
                "table": model.plan.table,
                "dataset_id": model.dataset,
                "changes": model.changes().collect::<Vec<_>>(),
            })
        })
        .collect();
    Map::from_iter([
        ("sink".to_owned(), Value::from(sink)),
        ("changed".to_owned(), Value::from(changed)),
        ("support".to_owned(), json!({ "changes": plan.sink.support })),
        ("models".to_owned(), Value::from(models)),
    ])
}

/// The plan for people: with the statements when it is only shown, without them when it was carried out.
fn to_text(sink: &str, plan: &Plan, purpose: Purpose) -> String {
    let mut text = String::new();
    let mut count = 0;
    let mut section = |title: &str, changes: &mut dyn Iterator<Item = &Change>| {
        for (index, change) in changes.enumerate() {
            if index == 0 {
                let _ = writeln!(text, "{title}"); // writing to a String cannot fail
            }
            count += 1;
            let _ = writeln!(text, "  {} {}: {}", change.action, change.object, change.reason);
            if let (Purpose::Plan, Some(sql)) = (purpose, &change.sql) {
                for line in sql.lines() {
                    let _ = writeln!(text, "      {line}");
                }
            }
        }
    };
    section("the sink's own tables", &mut plan.sink.support.iter());
    for model in plan.models() {
        section(
            &format!("{} {} in {}", model.plan.descriptor.id, model.plan.descriptor.version, model.plan.table),
            &mut model.changes(),
        );
    }
    let verb = if purpose == Purpose::Apply { "made" } else { "to make" };
    let _ = match count {
        0 => writeln!(text, "{sink} has everything already; nothing {verb}"),
        1 => writeln!(text, "{sink}: 1 change {verb}"),
        _ => writeln!(text, "{sink}: {count} changes {verb}"),
    };
    text
}
