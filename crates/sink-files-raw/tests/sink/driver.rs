//! What the driver says of itself, and what it finds wrong with a folder.

use std::{fs, os::unix::fs::PermissionsExt as _};

use endpoint_api::{Endpoint, ErrorKind, Registry};
use serde_json::json;

use crate::support::{files, folder, open, open_run, sink, spec};

#[test]
fn the_driver_takes_records_and_no_models() {
    let registry = Registry::load().unwrap();
    let driver = registry.driver("raw.files").unwrap();
    let models: Vec<_> = registry.models().iter().map(|model| &model.id).collect();
    assert_eq!(driver.capabilities().keys(models), ["sink.raw", "sink.reject_listing", "sink.transactional"]);
    assert_eq!(registry.supported_models(driver.capabilities()).count(), 0);
    let template = driver.template();
    assert_eq!((template.title, template.vendor, template.family), ("Raw files (JSON lines)", "CDM", "files"));
    assert_eq!(driver.config_schema().problems(&template.sample_config), []);
    driver.validate(&template.sample_config).unwrap();
}

#[test]
fn a_configuration_that_does_not_fit_is_refused() {
    let driver = Registry::load().unwrap().driver("raw.files").unwrap();
    let problems = |config| {
        let problems = driver.config_schema().problems(&config);
        problems.into_iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect::<Vec<_>>()
    };
    assert_eq!(problems(json!({})), ["path: is missing"]);
    assert_eq!(problems(json!({ "path": "x", "colour": 1 })), ["colour: is not known here"]);
    assert_eq!(
        problems(json!({ "path": "x", "compression": "lz4" })),
        [r#"compression: expected one of "none", "zstd""#]
    );
    let error = driver.validate(&json!({ "path": "" })).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn a_relative_path_is_below_the_folder_of_the_configuration() {
    let folder = folder();
    let endpoint = open(json!({ "path": "./deep/raw" }), folder.path()).await.unwrap();
    assert_eq!(files(folder.path()), [""; 0]);
    drop(open_run(&endpoint, &spec("run-1")).await);
    assert!(folder.path().join("deep/raw/_cdm/acme.test.things/000000000001.json").is_file());
}

#[tokio::test]
async fn an_endpoint_has_the_role_of_a_sink_and_no_other() {
    let folder = folder();
    let endpoint = sink(folder.path()).await;
    assert!(endpoint.source().is_none() && endpoint.provisioner().is_none() && endpoint.sink().is_some());
    endpoint.close().await.unwrap();
}

async fn checks(endpoint: &dyn Endpoint) -> Vec<(&'static str, bool, String)> {
    let report = endpoint.check().await.unwrap();
    report.checks.into_iter().map(|check| (check.name, check.ok, check.detail)).collect()
}

#[tokio::test]
async fn a_check_changes_nothing() {
    let folder = folder();
    let endpoint = open(json!({ "path": "missing/raw" }), folder.path()).await.unwrap();
    let found = checks(&*endpoint).await;
    assert_eq!(
        found.iter().map(|check| (check.0, check.1)).collect::<Vec<_>>(),
        [("folder", true), ("writable", true)]
    );
    assert!(found[0].2.ends_with("raw` is missing; the first run makes it"), "{found:?}");
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[tokio::test]
async fn a_check_says_what_is_wrong_with_the_folder() {
    let folder = folder();
    fs::write(folder.path().join("file"), "").unwrap();
    let endpoint = open(json!({ "path": "file" }), folder.path()).await.unwrap();
    let found = checks(&*endpoint).await;
    assert!(matches!(found.as_slice(), [("folder", false, detail)] if detail.ends_with("`path` must name a folder")));

    let endpoint = open(json!({ "path": "file/below" }), folder.path()).await.unwrap();
    assert!(!checks(&*endpoint).await[0].1);

    let error = endpoint.sink().unwrap().open_run(&spec("run-1")).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("/file"), "{error}");
}

#[tokio::test]
async fn a_check_foresees_whether_files_can_be_created() {
    let folder = folder();
    let raw = folder.path().join("raw");
    fs::create_dir(&raw).unwrap();
    fs::set_permissions(&raw, fs::Permissions::from_mode(0o555)).unwrap();
    // One who may do everything can create files even here.
    let can_create = fs::write(raw.join("trial"), "").is_ok();
    let found = checks(&*sink(&raw).await).await;
    assert_eq!((found[1].0, found[1].1), ("writable", can_create), "{found:?}");
    fs::set_permissions(&raw, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(checks(&*sink(&raw).await).await[1].1);
}
