use std::{fs, sync::Arc};

use cdm_models::{Model, ModelDescriptor};
use endpoint_api::ErrorKind;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::support::*;

/// A thing of tomorrow: one field more.
#[derive(Serialize, JsonSchema)]
struct Later {
    #[schemars(extend("x-cdm-key" = true))]
    cdm_id: String,
    name: Option<String>,
    color: Option<String>,
}

impl Model for Later {
    const ID: &'static str = "test.thing";
    const VERSION: &'static str = "1.1.0";
}

/// A thing of which a field has another type.
#[derive(Serialize, JsonSchema)]
struct Other {
    #[schemars(extend("x-cdm-key" = true))]
    cdm_id: String,
    name: Option<i64>,
}

impl Model for Other {
    const ID: &'static str = "test.thing";
    const VERSION: &'static str = "2.0.0";
}

/// A thing with a field that the sink keeps for itself.
#[derive(Serialize, JsonSchema)]
struct Greedy {
    #[schemars(extend("x-cdm-key" = true))]
    cdm_id: String,
    _acme_commit: Option<i64>,
}

impl Model for Greedy {
    const ID: &'static str = "test.greedy";
    const VERSION: &'static str = "1.0.0";
}

#[tokio::test]
async fn a_second_plan_is_empty() {
    let folder = folder();
    let endpoint = endpoint(&folder.path().join("not there yet")).await;
    let provisioner = endpoint.provisioner().unwrap();
    let plan = provisioner.plan(&[&model()]).await.unwrap();
    let changes: Vec<(&str, &str)> = plan.changes().map(|change| (&*change.action, change.object.as_str())).collect();
    let expected =
        [("create", "_acme/manifest.json"), ("create", "test.thing/schema.json"), ("record", "_acme/manifest.json")];
    assert_eq!(changes, expected);
    assert!(!folder.path().join("not there yet").exists(), "a plan changes nothing");

    let receipt = provisioner.apply(&plan).await.unwrap();
    assert!(receipt.changed);
    let second = provisioner.plan(&[&model()]).await.unwrap();
    assert!(second.is_empty(), "{second:?}");
    assert_eq!(second.models[0].recorded.as_ref(), receipt.models.first());
    assert!(!provisioner.apply(&second).await.unwrap().changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_provisioners_at_once_one_does_the_work() {
    let folder = folder();
    let endpoint = endpoint(folder.path()).await;
    let plan = Arc::new(endpoint.provisioner().unwrap().plan(&[&model()]).await.unwrap());
    let applying: Vec<_> = (0..8)
        .map(|_| {
            let (plan, folder) = (Arc::clone(&plan), folder.path().to_owned());
            tokio::spawn(async move {
                let endpoint = crate::support::endpoint(&folder).await;
                endpoint.provisioner().unwrap().apply(&plan).await.unwrap().changed
            })
        })
        .collect();
    let mut changed = 0;
    for apply in applying {
        changed += usize::from(apply.await.unwrap());
    }
    assert_eq!(changed, 1);
}

#[tokio::test]
async fn a_field_that_is_added_is_null_in_the_rows_before() {
    let folder = folder();
    let endpoint = provisioned(folder.path()).await;
    load(&endpoint, &[&[&[put("a", "x", 1)]]]).await;
    let later = ModelDescriptor::of::<Later>().unwrap();
    let spec = spec("later").model(Arc::new(later.clone()));
    let refused = error(endpoint.sink().unwrap().open_run(&spec).await);
    assert_eq!(refused.kind(), ErrorKind::NotProvisioned, "{refused}");

    let provisioner = endpoint.provisioner().unwrap();
    assert!(provision(provisioner, &later).await);
    assert!(!provision(provisioner, &later).await);
    assert!(!provision(provisioner, &model()).await, "the older version still fits");
    endpoint.sink().unwrap().open_run(&spec).await.unwrap();
    assert_eq!(rows(folder.path()).await, [json!({ "cdm_id": "a", "name": "x", "deleted": false })]);
    let schema: Value =
        serde_json::from_slice(&fs::read(folder.path().join("test.thing/schema.json")).unwrap()).unwrap();
    assert_eq!(schema["version"], "1.1.0");
    assert_eq!(schema["fields"].as_array().unwrap().last().unwrap()["name"], "color");
}

#[tokio::test]
async fn what_cannot_be_mended_is_refused() {
    let folder = folder();
    let endpoint = provisioned(folder.path()).await;
    let provisioner = endpoint.provisioner().unwrap();
    let plan = provisioner.plan(&[&ModelDescriptor::of::<Other>().unwrap()]).await.unwrap();
    let refused = error(provisioner.apply(&plan).await);
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    let expected = "`test.thing/schema.json` has `name` as text, and the model as int64 (move the model's folder away, \
                    provision again and load with --full)";
    assert!(refused.message().ends_with(expected), "{refused}");
    let refused = error(provisioner.plan(&[&ModelDescriptor::of::<Greedy>().unwrap()]).await);
    assert_eq!(refused.kind(), ErrorKind::Config, "{refused}");
}

#[tokio::test]
async fn a_plan_for_another_state_is_outdated() {
    let folder = folder();
    let endpoint = endpoint(folder.path()).await;
    let provisioner = endpoint.provisioner().unwrap();
    let plan = provisioner.plan(&[&model()]).await.unwrap();
    let other = ModelDescriptor::of::<Later>().unwrap();
    provision(provisioner, &other).await;
    // The later version has fields that this one has not, and the other way round.
    assert_eq!(error(provisioner.apply(&plan).await).kind(), ErrorKind::Outdated);
}

#[tokio::test]
async fn a_check_changes_nothing_and_tells_what_is_wrong() {
    let folder = folder();
    let missing = folder.path().join("missing");
    assert!(endpoint(&missing).await.check().await.unwrap().ok());
    assert!(!missing.exists());
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let report = endpoint(&file).await.check().await.unwrap();
    assert!(!report.ok() && report.checks[0].detail.contains("is a file"), "{report:?}");
    assert_eq!(error(open(json!({ "path": "" })).await).kind(), ErrorKind::Config);
}
