//! Tables are planned, made and left alone.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use cdm_models::{ModelDescriptor, registered_models, work};
use common::{Bench, model, open};
use endpoint_api::{Endpoint as _, ErrorKind, ProvisionPlan};
use serde_json::json;

fn show(plan: &ProvisionPlan) -> String {
    plan.changes()
        .map(|change| {
            format!(
                "-- {} {}: {}\n{}\n",
                change.action,
                change.object,
                change.reason,
                change.sql.as_deref().unwrap_or("-")
            )
        })
        .collect()
}

#[tokio::test]
async fn the_plan_of_an_empty_database_is_shown_and_a_second_plan_is_empty() {
    let bench = Bench::bare().await;
    let provisioner = bench.sink.provisioner().unwrap();
    let plan = provisioner.plan(&[&model()]).await.unwrap();
    insta::assert_snapshot!(show(&plan));

    let receipt = provisioner.apply(&plan).await.unwrap();
    assert!(receipt.changed);
    assert_eq!(receipt.models[0].plan_hash, plan.hash());
    let second = provisioner.plan(&[&model()]).await.unwrap();
    assert!(second.is_empty(), "{second:?}");
    assert!(!provisioner.apply(&plan).await.unwrap().changed, "applying it again does nothing");
}

#[tokio::test]
async fn the_work_models_can_be_provisioned_together() {
    let bench = Bench::bare().await;
    let provisioner = bench.sink.provisioner().unwrap();
    let models = registered_models().unwrap();
    let models: Vec<&ModelDescriptor> = models.iter().filter(|model| model.id.domain() == "cdm.work").collect();
    provisioner.apply(&provisioner.plan(&models).await.unwrap()).await.unwrap();
    assert!(provisioner.plan(&models).await.unwrap().is_empty());
    let item = ModelDescriptor::of::<work::Item<'_>>().unwrap();
    let columns = bench.value("select count(*) from information_schema.columns where table_schema = 'cdm_work' and table_name = 'cdm_work_item'").await;
    assert_eq!(columns, (item.fields.len() + 11).to_string());
}

#[tokio::test]
async fn sixteen_provisioners_at_once_make_one_set_of_tables() {
    let bench = Bench::bare().await;
    let url = bench.database.url().to_owned();
    let provisioners = (0..16).map(|_| {
        let url = url.clone();
        tokio::spawn(async move {
            let sink = open(json!({ "connection_url": url })).await.unwrap();
            let provisioner = sink.provisioner().unwrap();
            loop {
                let plan = provisioner.plan(&[&model()]).await.unwrap();
                match provisioner.apply(&plan).await {
                    Ok(receipt) => break (receipt.changed, receipt.models),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Outdated, "{error}"),
                }
            }
        })
    });
    let outcomes = futures::future::join_all(provisioners).await;
    let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|(changed, _)| *changed).count(), 1);
    assert!(outcomes.iter().all(|(_, models)| *models == outcomes[0].1), "all see one record");
}

#[tokio::test]
async fn what_is_missing_and_can_be_null_is_added() {
    let bench = Bench::new().await;
    bench
        .execute(
            "alter table cdm_work.cdm_test_thing drop column size, add column theirs text;
             drop index cdm_work.cdm_test_thing_updated_at_idx;
             comment on column cdm_work.cdm_test_thing.good is 'changed by hand'",
        )
        .await;
    let provisioner = bench.sink.provisioner().unwrap();
    let plan = provisioner.plan(&[&model()]).await.unwrap();
    insta::assert_snapshot!(show(&plan));
    provisioner.apply(&plan).await.unwrap();
    assert!(provisioner.plan(&[&model()]).await.unwrap().is_empty());
    assert_eq!(bench.value("select count(theirs) from cdm_work.cdm_test_thing").await, "0", "a foreign column stays");
}

#[tokio::test]
async fn any_other_difference_is_refused_with_the_way_out() {
    let bench = Bench::new().await;
    bench
        .execute(
            "alter table cdm_work.cdm_test_thing alter column count type text, alter column _cdm_run_id drop not null,
             alter column name set not null, drop column _cdm_rank, add column theirs text not null;
             alter table cdm_work.cdm_test_thing drop constraint cdm_test_thing_pkey;
             drop index cdm_work.cdm_test_thing_updated_at_idx;
             create index cdm_test_thing_updated_at_idx on cdm_work.cdm_test_thing (updated_at) where good",
        )
        .await;
    let error = bench.sink.provisioner().unwrap().plan(&[&model()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    insta::assert_snapshot!(error);
    let bench = Bench::bare().await;
    bench.execute("create schema cdm_work; create view cdm_work.cdm_test_thing as select 1 as one").await;
    let error = bench.sink.provisioner().unwrap().plan(&[&model()]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`cdm_work`.`cdm_test_thing` is a view or a foreign table and not a table; choose another table prefix"
    );
}

#[tokio::test]
async fn a_plan_for_another_state_is_not_applied() {
    let bench = Bench::bare().await;
    let provisioner = bench.sink.provisioner().unwrap();
    let plan = provisioner.plan(&[&model()]).await.unwrap();
    bench.execute("create schema cdm_work").await;
    let error = provisioner.apply(&plan).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Outdated);
    assert_eq!(bench.value("select count(*) from pg_tables where schemaname = 'cdm_work'").await, "0");
}

#[tokio::test]
async fn a_role_that_may_not_make_schemas_uses_one_that_is_there() {
    let bench = Bench::bare().await;
    let role = format!("role_{}", bench.database.name());
    bench
        .execute(&format!(
            "create role {role} login password 'pw'; create schema cdm_work; grant usage, create on schema cdm_work to {role}"
        ))
        .await;
    let url = bench.database.url().to_owned();
    let (_, address) = url.split_once('@').unwrap();
    let sink = open(json!({ "connection_url": format!("postgres://{role}:pw@{address}") })).await.unwrap();
    let provisioner = sink.provisioner().unwrap();
    let plan = provisioner.plan(&[&model()]).await.unwrap();
    assert!(provisioner.apply(&plan).await.unwrap().changed);

    let elsewhere =
        open(json!({ "connection_url": format!("postgres://{role}:pw@{address}"), "schema": "other" })).await.unwrap();
    let provisioner = elsewhere.provisioner().unwrap();
    let plan = provisioner.plan(&[&model()]).await.unwrap();
    let error = provisioner.apply(&plan).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(
        error.to_string().starts_with("the role lacks a privilege; grant it, or connect as another role"),
        "{error}"
    );
    bench.execute(&format!("drop owned by {role}; drop role {role}")).await;
}

#[tokio::test]
async fn hostile_names_are_names_and_nothing_else() {
    let bench = Bench::bare().await;
    for (schema, prefix) in
        [("x\"; drop schema public cascade; --", "p'\"; select 1; --"), ("Schema with Spaces", "ü_"), ("select", "\\")]
    {
        let config = json!({ "connection_url": bench.database.url(), "schema": schema, "table_prefix": prefix });
        let sink = open(config).await.unwrap();
        let provisioner = sink.provisioner().unwrap();
        provisioner.apply(&provisioner.plan(&[&model()]).await.unwrap()).await.unwrap();
        assert!(provisioner.plan(&[&model()]).await.unwrap().is_empty());
        common::load(&sink, &[&[&[common::put(common::Thing::named("a", "one"), 1)]]]).await.unwrap();
        let counts = common::load(&sink, &[&[&[common::put(common::Thing::named("a", "two"), 2)]]]).await.unwrap();
        assert_eq!(counts.updated, 1);
    }
    assert_eq!(bench.value("select count(*) from pg_namespace where nspname = 'public'").await, "1");
    let error = open(json!({ "connection_url": bench.database.url(), "schema": "s".repeat(64) })).await.unwrap_err();
    assert!(error.to_string().contains("has 64 bytes as a name"), "{error}");
}
