//! Tables are made by a plan that converges.

use std::sync::Arc;

use cdm_models::ModelDescriptor;
use endpoint_api::{Capabilities, CdmBatch, Counts, Endpoint, ErrorKind, Finding, ProvisionPlan, Result};

use super::{Test, takes_things, test};
use crate::{
    model::{Colliding, Hostile, Long, NewerThing, batch_of, model, newer_model, put},
    workbench::{Author, SINK, Site, Workbench, counts, failure, new_run, plan as slices, soon, spec},
};

pub(super) const TESTS: &[Test] = &[
    test!("provision", planning_changes_nothing, provisions, "PROV-01"),
    test!("provision", what_was_applied_is_followed_by_an_empty_plan, provisions, "PROV-02"),
    test!("provision", many_apply_one_plan_at_once, provisions, "PROV-03"),
    test!("provision", a_newer_model_is_added_to_its_table, provisions, "PROV-04"),
    test!("provision", a_plan_for_another_state_is_refused, provisions, "PROV-05", "PROV-06"),
    test!("provision", what_adding_cannot_mend_is_refused, provisions, "PROV-07"),
    test!("provision", a_plan_that_was_kept_is_carried_out_as_it_is, provisions, "PROV-08"),
    test!("provision", hostile_names_are_names_and_nothing_else, provisions, "PROV-09", "CDM-05"),
    test!("provision", names_that_are_alike_are_told_apart_or_refused, provisions, "PROV-09"),
];

pub(super) fn provisions(capabilities: &Capabilities, author: &Author) -> bool {
    takes_things(capabilities, author) && capabilities.sink.is_some_and(|sink| sink.autoprovision)
}

async fn plan_of(endpoint: &dyn Endpoint, model: &ModelDescriptor) -> ProvisionPlan {
    soon(endpoint.provisioner().expect("it is declared").plan(&[model])).await.unwrap()
}

async fn apply(endpoint: &dyn Endpoint, plan: &ProvisionPlan) -> Result<endpoint_api::ProvisionReceipt> {
    soon(endpoint.provisioner().expect("it is declared").apply(plan)).await
}

async fn planning_changes_nothing(workbench: Workbench) {
    let site = workbench.site().await;
    let first = plan_of(&*site.endpoint, &model()).await;
    assert!(!first.is_empty(), "something is to be made");
    assert_eq!((first.models.len(), &first.models[0].descriptor.id), (1, &model().id));
    assert!(first.models[0].recorded.is_none(), "nothing is on record");
    assert!(first.changes().all(|change| !change.reason.is_empty() && !change.object.is_empty()));
    let second = plan_of(&*site.endpoint, &model()).await;
    assert_eq!(second, first, "the same plan again");
    assert_eq!(second.hash(), first.hash());
}

async fn what_was_applied_is_followed_by_an_empty_plan(workbench: Workbench) {
    let site = workbench.site().await;
    let plan = plan_of(&*site.endpoint, &model()).await;
    let receipt = apply(&*site.endpoint, &plan).await.unwrap();
    assert!(receipt.changed);
    assert_eq!((receipt.models.len(), &receipt.models[0].version), (1, &model().version));
    assert_eq!(receipt.models[0].plan_hash, plan.hash(), "the receipt names the plan");
    let second = plan_of(&*site.endpoint, &model()).await;
    assert!(second.is_empty(), "{second:?}");
    assert_eq!(second.models[0].recorded.as_ref(), Some(&receipt.models[0]), "what is on record is the receipt");
    assert_eq!(second.models[0].table, plan.models[0].table);
    for plan in [&second, &plan] {
        let again = apply(&*site.endpoint, plan).await.unwrap();
        assert!(!again.changed, "everything is there already");
        assert_eq!(again.models, receipt.models);
    }
    let elsewhere = site.reopened().await;
    assert!(plan_of(&*elsewhere, &model()).await.is_empty(), "another process sees the same");
}

async fn many_apply_one_plan_at_once(workbench: Workbench) {
    let site = workbench.site().await;
    let plan = Arc::new(plan_of(&*site.endpoint, &model()).await);
    let mut applying = Vec::new();
    for _ in 0..8 {
        let (endpoint, plan) = (site.reopened().await, Arc::clone(&plan));
        applying.push(tokio::spawn(async move { apply(&*endpoint, &plan).await }));
    }
    let mut receipts = Vec::new();
    for applied in applying {
        receipts.push(applied.await.unwrap().expect("all who apply a plan succeed"));
    }
    assert_eq!(receipts.iter().filter(|receipt| receipt.changed).count(), 1, "one of them does the work");
    assert!(receipts.iter().all(|receipt| receipt.models == receipts[0].models), "one receipt for all");
    assert!(plan_of(&*site.endpoint, &model()).await.is_empty());
}

async fn a_newer_model_is_added_to_its_table(workbench: Workbench) {
    let site = workbench.ready().await;
    let rows = [put("a", "one", 1)];
    site.load(&[&[&rows]]).await;
    let plan = plan_of(&*site.endpoint, &newer_model()).await;
    assert!(!plan.is_empty(), "the new field is to be added");
    let receipt = apply(&*site.endpoint, &plan).await.unwrap();
    assert_eq!((receipt.changed, &receipt.models[0].version), (true, &newer_model().version));
    assert!(plan_of(&*site.endpoint, &newer_model()).await.is_empty());
    // A host that knows the older version finds everything that it needs.
    assert!(plan_of(&*site.endpoint, &model()).await.is_empty(), "the older version fits");
    assert_eq!(site.load(&[&[&rows]]).await, counts(0, 0, 1, 0, 0), "the rows that were there stay as they are");
    site.assert_stored(&[("a", "one")]).await;

    let newer = NewerThing {
        cdm_id: "a".into(),
        name: Some("newer".into()),
        colour: Some("red".into()),
        ..NewerThing::default()
    };
    assert_eq!(load(&site, &batch_of(newer, 2)).await, counts(0, 1, 0, 0, 0));
}

/// Loads a batch in a run of its model, and compares what is stored then.
async fn load(site: &Site, batch: &CdmBatch) -> Counts {
    let spec = spec(&new_run()).model(Arc::clone(batch.model()));
    let counted = site.load_batch(&spec, &slices(1)[0], batch).await;
    site.assert_holds(batch).await;
    counted
}

async fn hostile_names_are_names_and_nothing_else(workbench: Workbench) {
    let hostile = Hostile {
        key: "k".into(),
        quoted: Some("quoted".into()),
        injected: Some("injected".into()),
        unicode: Some(1),
        ..Hostile::default()
    };
    has_a_place_or_is_refused(&workbench, &batch_of(hostile, 1)).await;
}

async fn names_that_are_alike_are_told_apart_or_refused(workbench: Workbench) {
    let (one, other) = (Some("one".into()), Some("other".into()));
    let colliding = Colliding { cdm_id: "k".into(), name: one.clone(), other: other.clone(), ..Colliding::default() };
    has_a_place_or_is_refused(&workbench, &batch_of(colliding, 1)).await;
    let long = Long { cdm_id: "k".into(), one, other, ..Long::default() };
    has_a_place_or_is_refused(&workbench, &batch_of(long, 1)).await;
}

/// Makes a place for a model and loads a row there, unless the sink cannot have its names.
async fn has_a_place_or_is_refused(workbench: &Workbench, batch: &CdmBatch) {
    let site = workbench.ready().await;
    site.load(&[&[&[put("a", "one", 1)]]]).await;
    let provisioner = site.endpoint.provisioner().expect("it is declared");
    match soon(provisioner.plan(&[batch.model()])).await {
        Ok(plan) => {
            apply(&*site.endpoint, &plan).await.unwrap();
            assert!(plan_of(&*site.endpoint, batch.model()).await.is_empty(), "all is as it was asked for");
            assert_eq!(load(&site, batch).await, counts(1, 0, 0, 0, 0));
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::Config, "{error}"),
    }
    assert!(plan_of(&*site.endpoint, &model()).await.is_empty(), "nothing else was touched");
    site.assert_stored(&[("a", "one")]).await;
}

async fn a_plan_for_another_state_is_refused(workbench: Workbench) {
    let site: Site = workbench.ready().await;
    let plan = plan_of(&*site.endpoint, &newer_model()).await;
    // A plan of an empty place, for a place that is not empty and lacks something else.
    let elsewhere = workbench.site().await;
    let of_nothing = plan_of(&*elsewhere.endpoint, &newer_model()).await;
    assert_ne!(plan.hash(), of_nothing.hash());
    let error = failure("applying a plan for another state", apply(&*site.endpoint, &of_nothing).await);
    assert_eq!(error.kind(), ErrorKind::Outdated, "{error}");
    // The two places may have names of their own for what is in them.
    let objects: Vec<&str> = plan.state.objects().chain(of_nothing.state.objects()).map(|(object, _)| object).collect();
    let of_table = objects.iter().any(|object| object.contains(&plan.models[0].table));
    assert!(of_table, "a plan names the state that it was made for: {objects:?}");
    assert!(objects.iter().any(|object| error.to_string().contains(object)), "{error} names none of {objects:?}");
    assert_eq!(plan_of(&*site.endpoint, &newer_model()).await, plan, "nothing was done");
}

async fn what_adding_cannot_mend_is_refused(workbench: Workbench) {
    let site = workbench.site().await;
    let before = plan_of(&*site.endpoint, &model()).await;
    // As if something were in the way: whoever is asked to carry that out must not.
    let in_the_way = Finding::incompatible("testkit", "is in the way", "put it away");
    let refused = before.clone().differing(vec![in_the_way]);
    let error = failure("applying a plan with something in the way", apply(&*site.endpoint, &refused).await);
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains("put it away"), "the way out is told: {error}");
    assert_eq!(plan_of(&*site.endpoint, &model()).await, before, "nothing was done");
}

async fn a_plan_that_was_kept_is_carried_out_as_it_is(workbench: Workbench) {
    let site = workbench.site().await;
    let plan = plan_of(&*site.endpoint, &model()).await.for_endpoint(&SINK, "testkit.any");
    let read = || ProvisionPlan::from_file(&plan.to_file(), &[model()]).unwrap();
    let receipt = apply(&*site.endpoint, &read()).await.unwrap();
    assert_eq!((receipt.changed, &receipt.models[0].plan_hash), (true, &plan.hash()), "the receipt names the plan");
    let again = apply(&*site.reopened().await, &read()).await.unwrap();
    assert_eq!((again.changed, again.models), (false, receipt.models), "the same receipt again");

    // A plan that says something else than the sink would, although it is well formed, is not carried out.
    let mut other = plan_of(&*site.endpoint, &newer_model()).await;
    let before = other.clone();
    let change = other.models[0].changes.first_mut().expect("the new field is to be added");
    change.sql = Some("drop table somebody_elses".to_owned());
    let error = failure("applying what the sink would not plan", apply(&*site.endpoint, &other).await);
    assert_eq!(error.kind(), ErrorKind::Outdated, "{error}");
    assert_eq!(plan_of(&*site.endpoint, &newer_model()).await, before, "nothing was done");
}
