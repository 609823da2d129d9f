//! What is known of a driver before anything is configured, and of an endpoint before anything is done.

use endpoint_api::{ErrorKind, GrantRequest, OpenContext, Registry, RejectQuery, Replay, is_dotted_id};
use serde_json::{Value, json};

use super::{Test, test};
use crate::{
    model::model,
    workbench::{Author, SINK, Workbench, failure, ingestion, raw_spec, soon, spec},
};

macro_rules! placeless {
    ($body:ident, $($cite:literal),+) => {
        Test { needs_place: false, ..test!("driver", $body, |_, _| true, $($cite),+) }
    };
}

pub(super) const TESTS: &[Test] = &[
    placeless!(the_registry_finds_it_by_a_name_of_its_own, "DRV-01"),
    placeless!(the_sample_configuration_fits, "DRV-02", "DRV-06"),
    placeless!(an_unknown_key_is_refused, "DRV-03"),
    placeless!(every_key_of_the_configuration_is_described, "DRV-04"),
    placeless!(a_wrong_configuration_shows_no_secret, "DRV-05"),
    test!("driver", an_endpoint_has_the_roles_that_are_declared, |_, _| true, "EP-01"),
    test!("driver", a_check_succeeds_and_changes_nothing, |_, _| true, "EP-02"),
    test!("driver", what_is_wrong_shows_in_a_check, |_, author: &Author| author.wrong.is_some(), "EP-03"),
    test!("driver", an_endpoint_shows_no_secret, |_, _| true, "DRV-05"),
    test!(
        "driver",
        what_is_not_declared_is_unsupported,
        |capabilities, _: &Author| capabilities.sink.is_some(),
        "EP-04",
        "RUN-12"
    ),
];

async fn the_registry_finds_it_by_a_name_of_its_own(workbench: Workbench) {
    let registry = Registry::load().unwrap();
    let names = [workbench.entry.id()].into_iter().chain(workbench.entry.aliases().iter().copied());
    for name in names {
        assert!(is_dotted_id(name), "`{name}` is not dotted lower case");
        let found = registry.driver(name).unwrap_or_else(|| panic!("`{name}` is not registered with register_driver!"));
        assert_eq!(found.id(), workbench.entry.id(), "`{name}` belongs to another driver");
    }
}

async fn the_sample_configuration_fits(workbench: Workbench) {
    let template = workbench.entry.template();
    assert!(!template.title.is_empty() && !template.vendor.is_empty(), "the template says what the driver is");
    assert_eq!(workbench.entry.config_schema().problems(&template.sample_config), [], "the sample fits the schema");
    if template.sample_config.to_string().contains("${") {
        return; // what stands for a secret is put in by the host, before the driver sees it
    }
    for _ in 0..2 {
        workbench.entry.validate(&template.sample_config).expect("the sample is valid");
    }
}

async fn an_unknown_key_is_refused(workbench: Workbench) {
    let sample = workbench.entry.template().sample_config;
    let mut config = sample.clone();
    config.as_object_mut().expect("a configuration is an object").insert("no_such_key".to_owned(), json!(1));
    let schema = workbench.entry.config_schema();
    assert_ne!(schema.problems(&config), schema.problems(&sample), "the schema takes a key that nobody knows");
}

async fn every_key_of_the_configuration_is_described(workbench: Workbench) {
    let schema = serde_json::to_value(workbench.entry.config_schema()).unwrap();
    assert_eq!(schema["type"], "object");
    for (key, of_key) in schema["properties"].as_object().into_iter().flatten() {
        assert!(!of_key["description"].as_str().unwrap_or_default().is_empty(), "`{key}` has no description");
    }
}

const SENTINEL: &str = "hunter2-s3ntinel";

/// The keys of a configuration that hold secrets.
fn secret_keys(workbench: &Workbench) -> Vec<String> {
    let schema = serde_json::to_value(workbench.entry.config_schema()).unwrap();
    let is_secret = |of_key: &Value| of_key.to_string().contains("x-cdm-secret");
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    properties.into_iter().filter(|(_, of_key)| is_secret(of_key)).map(|(key, _)| key).collect()
}

async fn a_wrong_configuration_shows_no_secret(workbench: Workbench) {
    let mut sample = workbench.entry.template().sample_config;
    let keys = secret_keys(&workbench);
    for key in &keys {
        sample[key] = json!(format!("{SENTINEL}://{SENTINEL}@{SENTINEL}"));
    }
    for wrong in [sample.clone(), json!({ "no_such_key": SENTINEL }), json!(SENTINEL), json!([SENTINEL])] {
        for problem in workbench.entry.config_schema().problems(&wrong) {
            assert!(!problem.message.contains(SENTINEL), "the schema's problem shows a value: {problem:?}");
        }
        if let Err(error) = workbench.entry.validate(&wrong) {
            assert!(!format!("{error} {error:?}").contains(SENTINEL), "an error shows a value: {error:?}");
        }
    }
}

async fn an_endpoint_shows_no_secret(workbench: Workbench) {
    let keys = secret_keys(&workbench);
    let site = workbench.site().await;
    let debug = format!("{:?}", site.endpoint);
    for key in keys {
        let Some(secret) = site.place.config()[&key].as_str() else { continue };
        assert!(!debug.contains(secret), "`Debug` shows `{key}`: {debug}");
        // Of a URL, the password counts.
        let password =
            secret.rsplit_once('@').and_then(|(before, _)| before.rsplit_once(':')).map(|(_, password)| password);
        assert!(
            !password.is_some_and(|password| password.len() > 3 && debug.contains(password)),
            "`Debug` shows a password"
        );
    }
    // What cannot be reached says so without one.
    let mut config = site.place.config().clone();
    for key in secret_keys(&workbench) {
        if config[&key].is_string() {
            config[&key] = json!(SENTINEL);
        }
    }
    let context = OpenContext::new("elsewhere".parse().unwrap(), site.place.dir());
    match soon(workbench.entry.open(config, context)).await {
        Err(error) => assert!(!format!("{error} {error:?}").contains(SENTINEL), "{error:?}"),
        Ok(endpoint) => {
            assert!(!format!("{endpoint:?}").contains(SENTINEL));
            let told = format!("{:?}", soon(endpoint.check()).await);
            assert!(!told.contains(SENTINEL) || site.place.config().to_string().contains(SENTINEL), "{told}");
        }
    }
}

async fn an_endpoint_has_the_roles_that_are_declared(workbench: Workbench) {
    let site = workbench.site().await;
    let declared = workbench.entry.capabilities();
    let provisions = declared.sink.is_some_and(|sink| sink.autoprovision);
    assert_eq!(site.endpoint.source().is_some(), declared.source.is_some(), "source");
    assert_eq!(site.endpoint.sink().is_some(), declared.sink.is_some(), "sink");
    let outbox = site.endpoint.sink().and_then(endpoint_api::Sink::outbox);
    assert_eq!(outbox.is_some(), declared.sink.is_some_and(|sink| sink.outbox), "outbox");
    let listing = site.endpoint.sink().and_then(endpoint_api::Sink::reject_listing);
    assert_eq!(listing.is_some(), declared.sink.is_some_and(|sink| sink.reject_listing), "listing of rejects");
    let dismissals = site.endpoint.sink().and_then(endpoint_api::Sink::dismissals);
    assert_eq!(dismissals.is_some(), declared.sink.is_some_and(|sink| sink.dismissals), "dismissals");
    assert!(dismissals.is_none() || listing.is_some(), "dismissals need a listing");
    let replayable = site.endpoint.sink().and_then(endpoint_api::Sink::replayable_rejects);
    assert_eq!(replayable.is_some(), declared.sink.is_some_and(|sink| sink.replay), "rejects that can be replayed");
    assert_eq!(site.endpoint.provisioner().is_some(), provisions, "provisioner");
    soon(site.endpoint.close()).await.unwrap();
}

async fn a_check_succeeds_and_changes_nothing(workbench: Workbench) {
    let site = workbench.site().await;
    let before = everything_in(site.place.dir());
    let report = soon(site.endpoint.check()).await.expect("what is wrong is a failed check");
    assert!(!report.checks.is_empty(), "a check says what was looked at");
    assert!(report.ok(), "in a good place all is well: {report:?}");
    assert_eq!(everything_in(site.place.dir()), before, "a check changes nothing");
}

async fn what_is_wrong_shows_in_a_check(workbench: Workbench) {
    let place = workbench.place();
    let config = (workbench.author.wrong.as_ref().expect("it was given"))(&place);
    assert_eq!(workbench.entry.config_schema().problems(&config), [], "it is wrong in a way that no schema sees");
    let context = OpenContext::new(SINK, place.dir());
    let endpoint = match soon(workbench.entry.open(config, context)).await {
        Ok(endpoint) => endpoint,
        // It should open, but may need the other side for that.
        Err(error) => return assert_ne!(error.kind(), ErrorKind::Internal, "{error}"),
    };
    let before = everything_in(place.dir());
    let report = soon(endpoint.check()).await.expect("what is wrong is a failed check and no error");
    assert!(!report.ok(), "a check says what is wrong: {report:?}");
    assert!(
        report.checks.iter().filter(|check| !check.ok).all(|check| !check.detail.is_empty()),
        "and why: {report:?}"
    );
    assert_eq!(everything_in(place.dir()), before, "a check changes nothing");
}

/// The files below a folder, with their lengths.
fn everything_in(folder: &std::path::Path) -> Vec<(std::path::PathBuf, u64)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            match entry.metadata().unwrap() {
                found if found.is_dir() => folders.push(entry.path()),
                found => files.push((entry.path(), found.len())),
            }
        }
    }
    files.sort();
    files
}

async fn what_is_not_declared_is_unsupported(workbench: Workbench) {
    let site = workbench.ready().await;
    let declared = workbench.entry.capabilities().sink.unwrap();
    let sink = site.sink();
    let unsupported = |what: &str, error: endpoint_api::Error| {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{what} is not declared: {error}");
    };
    if !declared.raw {
        unsupported("raw mode", failure("a run in raw mode", soon(sink.open_run(&raw_spec("raw-1"))).await));
    }
    if !declared.supports(&model().id) {
        unsupported("the model", failure("a run of a model", soon(sink.open_run(&spec("cdm-1"))).await));
    }
    if !declared.replay {
        let mode = endpoint_api::Mode::Cdm;
        let replay = Replay::new(ingestion(mode), model(), "run-0".parse().unwrap(), 1, vec!["0".to_owned()]);
        unsupported("replay", failure("a replay", soon(sink.replay(&replay)).await));
    }
    if !declared.verify {
        unsupported("verify", failure("a verification", soon(sink.verify(&[model()], false)).await));
    }
    if let Some(provisioner) = site.endpoint.provisioner().filter(|_| !declared.grants) {
        let request = GrantRequest::new("provisioner", "loader", "reader");
        unsupported("grants", failure("asking for rights", soon(provisioner.grants(&request, &[&model()])).await));
    }
    // Rejects can be asked of every sink, once it has a place for them.
    match soon(sink.rejects(&RejectQuery::newest(1))).await {
        Ok(rejects) => assert_eq!(rejects, []),
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotProvisioned, "{error}"),
    }
}
