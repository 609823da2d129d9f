//! Provisioning against a sink that is a double and a catalog that is real: the faults that a real sink
//! has only at certain moments are made here.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use autoprovision::{Plan, Target};
use catalog::{Catalog, Cause, DatasetFilter, Subject};
use cdm_models::{
    ModelDescriptor, Timestamp,
    work::{Item, User},
};
use endpoint_api::{
    Change, EndpointId, Error, ErrorKind, Finding, GrantRequest, Grants, ModelPlan, PlanState, ProvisionPlan,
    ProvisionReceipt, ProvisionedModel, Provisioner, Result, RunId, async_trait,
};

fn run() -> RunId {
    "run-1".parse().unwrap()
}

/// A sink that keeps on record which models it was provisioned with, and counts what it was asked.
#[derive(Default)]
struct Shelf {
    recorded: Mutex<Vec<(String, ProvisionedModel)>>,
    applied: AtomicU32,
    /// So many times still, `apply` finds that somebody else has changed something.
    outdated: AtomicU32,
    /// What another provisioner puts on record between the next plan and its being carried out.
    meanwhile: Mutex<Option<Vec<(String, ProvisionedModel)>>>,
    /// What is in the way.
    finds: Vec<Finding>,
}

#[async_trait]
impl Provisioner for Shelf {
    async fn plan(&self, models: &[&ModelDescriptor]) -> Result<ProvisionPlan> {
        let others = self.meanwhile.lock().unwrap().take();
        if let Some(others) = others {
            let plan = self.plan(models).await?;
            self.recorded.lock().unwrap().extend(others);
            return Ok(plan);
        }
        let recorded = self.recorded.lock().unwrap();
        let models = models.iter().map(|model| {
            let found = recorded.iter().find(|(id, _)| id == model.id.as_str()).map(|(_, record)| record.clone());
            let change = Change::new("create table", model.id.to_string(), "rows go there");
            let changes = if found.is_some() { Vec::new() } else { vec![change] };
            ModelPlan::new(Arc::new((*model).clone()), format!("shelf.{}", model.id), changes, found)
        });
        Ok(ProvisionPlan::new(PlanState::new(), Vec::new(), models.collect()).differing(self.finds.clone()))
    }

    async fn apply(&self, plan: &ProvisionPlan) -> Result<ProvisionReceipt> {
        if self.outdated.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(Error::new(ErrorKind::Outdated, "apply", "the sink has changed since the plan was made"));
        }
        self.applied.fetch_add(1, Ordering::SeqCst);
        let found = self.plan(&plan.models.iter().map(|model| &*model.descriptor).collect::<Vec<_>>()).await?;
        if found.is_empty() {
            let records = found.models.into_iter().filter_map(|model| model.recorded);
            return Ok(ProvisionReceipt::new(false, records.collect()));
        }
        let mut recorded = self.recorded.lock().unwrap();
        let mut records = Vec::new();
        for model in &plan.models {
            let record = ProvisionedModel::new(model.descriptor.version.clone(), plan.hash(), at(1));
            recorded.push((model.descriptor.id.to_string(), record.clone()));
            records.push(record);
        }
        Ok(ProvisionReceipt::new(true, records))
    }

    async fn grants(&self, _: &GrantRequest, _: &[&ModelDescriptor]) -> Result<Grants> {
        Err(Error::unsupported("say the rights", "saying the rights of roles, of which a shelf has none,"))
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_microsecond(second * 1_000_000).unwrap()
}

fn models() -> Vec<Arc<ModelDescriptor>> {
    vec![Arc::new(ModelDescriptor::of::<Item>().unwrap()), Arc::new(ModelDescriptor::of::<User>().unwrap())]
}

async fn memory() -> Box<dyn Catalog> {
    catalog::open("sqlite::memory:", ".".as_ref()).await.unwrap()
}

fn steps(plan: &Plan) -> Vec<String> {
    plan.models()
        .flat_map(|model| model.changes().map(|change| format!("{} {}", change.action, change.object)))
        .collect()
}

static WAREHOUSE: EndpointId = EndpointId::from_static("warehouse");

#[tokio::test]
async fn a_plan_ends_with_the_registration_and_a_second_one_is_empty() {
    let (shelf, catalog) = (Shelf::default(), memory().await);
    let target = Target::new(&WAREHOUSE, "test.shelf", &shelf, catalog.as_ref());
    let expected = [
        "create table cdm.work.item",
        "register cdm.work.item@warehouse",
        "create table cdm.work.user",
        "register cdm.work.user@warehouse",
    ];
    assert_eq!(steps(&target.plan(&models()).await.unwrap()), expected);
    assert!(catalog.datasets(&DatasetFilter::all()).await.unwrap().is_empty(), "a plan changes nothing");

    let done = target.provision(&models(), at(5)).await.unwrap();
    assert!(done.changed);
    assert_eq!(steps(&done.plan), expected);
    let again = target.provision(&models(), at(6)).await.unwrap();
    assert!(!again.changed && again.plan.is_empty(), "{:?}", again.plan);
    assert_eq!(shelf.applied.load(Ordering::SeqCst), 1, "an empty plan is not applied");
    for dataset in catalog.datasets(&DatasetFilter::all()).await.unwrap() {
        assert_eq!((dataset.version, dataset.updated_at), (1, at(5)), "{:?}", dataset.spec);
    }
}

#[tokio::test]
async fn what_a_crash_left_unregistered_is_registered_by_the_next_provision() {
    let (shelf, catalog) = (Shelf::default(), memory().await);
    shelf.apply(&shelf.plan(&[&models()[0]]).await.unwrap()).await.unwrap();
    let target = Target::new(&WAREHOUSE, "test.shelf", &shelf, catalog.as_ref());
    let plan = target.plan(&models()[..1]).await.unwrap();
    assert_eq!(steps(&plan), ["register cdm.work.item@warehouse"]);
    let done = target.provision(&models()[..1], at(7)).await.unwrap();
    assert!(done.changed);
    assert_eq!(shelf.applied.load(Ordering::SeqCst), 1, "the sink has everything");
    let dataset = catalog.dataset(&"cdm.work.item@warehouse".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(dataset.spec.location(), "shelf.cdm.work.item");
}

#[tokio::test]
async fn what_a_crash_left_unregistered_is_registered_before_rows_are_loaded() {
    let (shelf, catalog) = (Shelf::default(), memory().await);
    shelf.apply(&shelf.plan(&[&models()[0]]).await.unwrap()).await.unwrap();
    let target = Target::new(&WAREHOUSE, "test.shelf", &shelf, catalog.as_ref());
    let issues = "jira.issues@acme_jira".parse().unwrap();
    let id = target.admit(&models()[0], &issues, &run(), at(7)).await.unwrap();
    let dataset = catalog.dataset(&id).await.unwrap().unwrap();
    assert!(dataset.spec.upstream().contains(&issues));
    // What feeds it is not a difference of the table's, and stays.
    assert!(!target.provision(&models()[..1], at(8)).await.unwrap().changed);
    assert!(catalog.dataset(&id).await.unwrap().unwrap().spec.upstream().contains(&issues));
    let causes: Vec<_> = catalog.history(&id).await.unwrap().system.into_iter().map(|version| version.cause).collect();
    assert_eq!(causes, [Some(Cause::Run(run()))]);
}

#[tokio::test]
async fn the_catalog_says_which_plan_made_a_table_and_which_run_fed_it() {
    let (shelf, catalog) = (Shelf::default(), memory().await);
    let target = Target::new(&WAREHOUSE, "test.shelf", &shelf, catalog.as_ref());
    target.provision(&models()[..1], at(7)).await.unwrap();
    let id = target.admit(&models()[0], &"jira.issues@acme_jira".parse().unwrap(), &run(), at(8)).await.unwrap();
    target.admit(&models()[0], &"jira.issues@acme_jira".parse().unwrap(), &run(), at(9)).await.unwrap();
    let Subject::CdmTable { provisioned, .. } = catalog.dataset(&id).await.unwrap().unwrap().spec.subject().clone()
    else {
        panic!("{id} is no table")
    };
    let provisioning = Cause::Provisioning { plan_hash: provisioned.plan_hash };
    let versions = catalog.history(&id).await.unwrap().system;
    let causes: Vec<_> = versions.into_iter().map(|version| (version.at, version.cause.unwrap())).collect();
    assert_eq!(causes, [(at(7), provisioning), (at(8), Cause::Run(run()))]);
}

#[tokio::test]
async fn rows_are_not_admitted_before_the_sink_is_provisioned() {
    let (shelf, catalog) = (Shelf::default(), memory().await);
    let target = Target::new(&WAREHOUSE, "test.shelf", &shelf, catalog.as_ref());
    let error = target.admit(&models()[0], &"jira.issues@acme_jira".parse().unwrap(), &run(), at(7)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotProvisioned);
    assert_eq!(
        error.to_string(),
        "the sink `warehouse` is not provisioned for cdm.work.item 1.0.0; run `cdm provision warehouse`"
    );
    assert!(catalog.datasets(&DatasetFilter::all()).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_another_did_at_the_same_moment_is_not_told_as_done() {
    let (shelf, catalog) = (Shelf::default(), memory().await);
    let record = ProvisionedModel::new(models()[0].version.clone(), "theirs".into(), at(1));
    *shelf.meanwhile.lock().unwrap() = Some(vec![("cdm.work.item".into(), record)]);
    let done =
        Target::new(&WAREHOUSE, "test.shelf", &shelf, catalog.as_ref()).provision(&models()[..1], at(5)).await.unwrap();
    assert_eq!(steps(&done.plan), ["register cdm.work.item@warehouse"]);
    let dataset = catalog.dataset(&"cdm.work.item@warehouse".parse().unwrap()).await.unwrap().unwrap();
    let Subject::CdmTable { provisioned, .. } = dataset.spec.subject() else { panic!("{dataset:?}") };
    assert_eq!(provisioned.plan_hash, "theirs");
}

#[tokio::test]
async fn a_plan_that_is_outdated_is_made_anew_but_not_for_ever() {
    let (shelf, catalog) = (Shelf::default(), memory().await);
    let target = Target::new(&WAREHOUSE, "test.shelf", &shelf, catalog.as_ref());
    shelf.outdated.store(3, Ordering::SeqCst);
    assert!(target.provision(&models(), at(5)).await.unwrap().changed);

    let shelf = Shelf::default();
    shelf.outdated.store(100, Ordering::SeqCst);
    let error =
        Target::new(&WAREHOUSE, "test.shelf", &shelf, catalog.as_ref()).provision(&models(), at(5)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Outdated);
}

#[tokio::test]
async fn a_catalog_that_tells_something_else_is_put_right() {
    let (shelf, catalog) = (Shelf::default(), memory().await);
    let target = Target::new(&WAREHOUSE, "test.shelf", &shelf, catalog.as_ref());
    target.provision(&models()[..1], at(5)).await.unwrap();
    shelf.recorded.lock().unwrap()[0].1.plan_hash = "another".into();
    let plan = target.plan(&models()[..1]).await.unwrap();
    assert_eq!(
        plan.models().next().unwrap().changes().next().unwrap().reason,
        "what the catalog has of it is out of date"
    );
    assert!(target.provision(&models()[..1], at(6)).await.unwrap().changed);
    assert!(target.plan(&models()[..1]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_plan_that_was_kept_is_carried_out_once_and_registered() {
    let (shelf, catalog) = (Shelf::default(), memory().await);
    let target = Target::new(&WAREHOUSE, "test.shelf", &shelf, catalog.as_ref());
    let kept = target.plan(&models()).await.unwrap().sink.to_file();
    let read = || ProvisionPlan::from_file(&kept, &models()).unwrap();
    let done = target.apply(read(), at(5)).await.unwrap();
    assert!(done.changed);
    assert!(done.records.iter().all(|record| record.plan_hash == read().hash()), "{:?}", done.records);
    let dataset = catalog.dataset(&"cdm.work.item@warehouse".parse().unwrap()).await.unwrap().unwrap();
    let Subject::CdmTable { provisioned, .. } = dataset.spec.subject() else { panic!("{dataset:?}") };
    assert_eq!(provisioned.plan_hash, read().hash(), "the catalog names the plan");

    // The sink is there, but the process died before the catalog knew.
    let other = memory().await;
    let again = Target::new(&WAREHOUSE, "test.shelf", &shelf, other.as_ref()).apply(read(), at(6)).await;
    let again = again.unwrap();
    assert_eq!((again.changed, &again.records), (false, &done.records), "the receipt of the one that did it");
    assert_eq!(steps(&again.plan), ["register cdm.work.item@warehouse", "register cdm.work.user@warehouse"]);
    assert!(other.dataset(&"cdm.work.item@warehouse".parse().unwrap()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_plan_of_another_endpoint_is_refused() {
    let (shelf, catalog) = (Shelf::default(), memory().await);
    let plan = Target::new(&WAREHOUSE, "test.shelf", &shelf, catalog.as_ref()).plan(&models()).await.unwrap().sink;
    static LAKE: EndpointId = EndpointId::from_static("lake");
    for (sink, driver) in [(&LAKE, "test.shelf"), (&WAREHOUSE, "test.rack")] {
        let target = Target::new(sink, driver, &shelf, catalog.as_ref());
        let error = target.apply(plan.clone(), at(5)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let expected = format!("the plan is for the endpoint `warehouse` (test.shelf) and not for `{sink}` ({driver})");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
    assert_eq!(shelf.applied.load(Ordering::SeqCst), 0);
    assert!(catalog.datasets(&DatasetFilter::all()).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_adding_cannot_mend_is_planned_and_not_carried_out() {
    let shelf =
        Shelf { finds: vec![Finding::incompatible("shelf.item", "is full", "buy another")], ..Shelf::default() };
    let catalog = memory().await;
    let target = Target::new(&WAREHOUSE, "test.shelf", &shelf, catalog.as_ref());
    let plan = target.plan(&models()).await.unwrap();
    assert!(plan.is_drift());
    let error = target.provision(&models(), at(5)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().ends_with("`shelf.item` is full (buy another)"), "{error}");
    let admitted = target.admit(&models()[0], &"jira.issues@acme_jira".parse().unwrap(), &run(), at(7)).await;
    assert_eq!(admitted.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(shelf.applied.load(Ordering::SeqCst), 0);
}
