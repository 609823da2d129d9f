//! Tables are planned, made and left alone.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use cdm_models::{Model, ModelDescriptor, registered_models, work};
use common::{Bench, model, open};
use endpoint_api::{Endpoint as _, ErrorKind, FindingClass, ProvisionPlan};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use sink_postgres_cdm::PgCdm;

fn show(plan: &ProvisionPlan) -> String {
    let changes = plan.changes().map(|change| {
        let notes = change.execution.as_ref().map(|execution| {
            let lock =
                execution.lock.as_ref().map_or("none".to_owned(), |lock| format!("{} on {}", lock.mode, lock.on));
            let work = [(execution.scans_table, ", scans it"), (execution.rewrites_table, ", rewrites it")];
            let work: String = work.into_iter().filter(|(does, _)| *does).map(|(_, text)| text).collect();
            let limits = [execution.lock_timeout_ms, execution.statement_timeout_ms].map(Option::unwrap);
            format!("--   {:?}; lock: {lock}{work}; at most {} and {} ms\n", execution.stage, limits[0], limits[1])
        });
        let sql = change.sql.as_deref().unwrap_or("-");
        let (action, object, reason, notes) =
            (&change.action, &change.object, &change.reason, notes.unwrap_or_default());
        format!("-- {action} {object}: {reason}\n{notes}{sql}\n")
    });
    let findings = plan.findings().into_iter().map(|finding| {
        format!("{}: {} {}\n  {}\n", finding.class.as_str(), finding.object, finding.difference, finding.way_out)
    });
    changes.chain(findings).collect()
}

/// What a thing has in the next version beside what it had.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct More {
    /// Its id.
    #[schemars(extend("x-cdm-key" = true))]
    cdm_id: String,
    /// Who has it, which the model had not before.
    #[schemars(extend("x-cdm-references" = "test.thing"))]
    owner: Option<String>,
}

impl Model for More {
    const ID: &'static str = "test.thing";
    const VERSION: &'static str = "1.1.0";
}

fn newer_model() -> ModelDescriptor {
    let (mut newer, more) = ((*model()).clone(), ModelDescriptor::of::<More>().unwrap());
    newer.version = more.version;
    newer.fields.extend(more.fields.into_iter().skip(1));
    newer
}

/// A sink on the bench's database that gives up soon.
async fn hasty(bench: &Bench, provisioning: serde_json::Value) -> PgCdm {
    open(json!({ "connection_url": bench.database.url(), "provisioning": provisioning })).await.unwrap()
}

#[tokio::test]
async fn the_plan_of_an_empty_database_is_shown_and_a_second_plan_is_empty() {
    let bench = Bench::bare().await;
    let provisioner = bench.sink.provisioner().unwrap();
    let plan = provisioner.plan(&[&model()]).await.unwrap();
    // Not every server was built with it.
    const LZ4: &str = " compression lz4";
    insta::assert_snapshot!(show(&plan).replace(LZ4, ""));
    let has_lz4 = "select 'lz4' = any(enumvals) from pg_settings where name = 'default_toast_compression'";
    assert_eq!(show(&plan).contains(LZ4), bench.value(has_lz4).await == "t");

    let receipt = provisioner.apply(&plan).await.unwrap();
    assert!(receipt.changed);
    assert_eq!(receipt.models[0].plan_hash, plan.hash());
    let second = provisioner.plan(&[&model()]).await.unwrap();
    assert!(second.is_empty() && second.findings().is_empty(), "{second:?}");
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
            "alter table cdm_work.cdm_test_thing drop column size cascade, add column theirs text;
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
            "drop view cdm_work.cdm_test_thing_live;
             alter table cdm_work.cdm_test_thing alter column count type text, alter column _cdm_run_id drop not null,
             alter column name set not null, drop column _cdm_rank, add column theirs text not null;
             alter table cdm_work.cdm_test_thing drop constraint cdm_test_thing_pkey;
             drop index cdm_work.cdm_test_thing_updated_at_idx;
             create index cdm_test_thing_updated_at_idx on cdm_work.cdm_test_thing (updated_at) where good",
        )
        .await;
    let provisioner = bench.sink.provisioner().unwrap();
    let plan = provisioner.plan(&[&model()]).await.unwrap();
    insta::assert_snapshot!(show(&plan));
    let error = provisioner.apply(&plan).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("(run `alter table \"cdm_work\".\"cdm_test_thing\" alter column"), "{error}");
    assert_eq!(provisioner.plan(&[&model()]).await.unwrap(), plan, "nothing was done");

    let bench = Bench::bare().await;
    bench.execute("create schema cdm_work; create view cdm_work.cdm_test_thing as select 1 as one").await;
    let provisioner = bench.sink.provisioner().unwrap();
    let error = provisioner.apply(&provisioner.plan(&[&model()]).await.unwrap()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "what is there cannot be mended by adding to it: `cdm_work.cdm_test_thing` is a view or a foreign table and \
         not a table (choose another table prefix or schema for the sink)"
    );
}

#[tokio::test]
async fn the_way_out_of_each_difference_leads_out() {
    let bench = Bench::new().await;
    bench
        .execute(
            "drop view cdm_work.cdm_test_thing_live;
             alter table cdm_work.cdm_test_thing alter column count type text, alter column _cdm_run_id drop not null,
             alter column name set not null, drop column _cdm_rank, add column theirs text not null;
             alter table cdm_work.cdm_test_thing drop constraint cdm_test_thing_pkey;
             drop index cdm_work.cdm_test_thing_updated_at_idx;
             create index cdm_test_thing_updated_at_idx on cdm_work.cdm_test_thing (updated_at) where good",
        )
        .await;
    let provisioner = bench.sink.provisioner().unwrap();
    let plan = provisioner.plan(&[&model()]).await.unwrap();
    for finding in plan.findings().iter().filter(|finding| finding.class == FindingClass::Incompatible) {
        let statement = finding.way_out.split('`').nth(1).unwrap_or_else(|| panic!("{finding:?}"));
        bench.execute(statement).await;
    }
    provisioner.apply(&provisioner.plan(&[&model()]).await.unwrap()).await.unwrap();
    assert!(provisioner.plan(&[&model()]).await.unwrap().is_empty());
    bench.load(&[&[&[common::put(common::Thing::named("a", "one"), 1)]]]).await;
}

#[tokio::test]
async fn a_plan_for_another_state_is_not_applied() {
    let bench = Bench::bare().await;
    let provisioner = bench.sink.provisioner().unwrap();
    let plan = provisioner.plan(&[&model()]).await.unwrap();
    bench.execute("create schema cdm_work").await;
    let error = provisioner.apply(&plan).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Outdated);
    assert_eq!(error.to_string(), "the sink has changed since the plan was made: cdm_work is there now; plan again");
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

#[tokio::test]
async fn a_newer_version_of_a_model_is_added_to_its_table_and_views_of_it_stay() {
    let bench = Bench::new().await;
    bench.load(&[&[&[common::put(common::Thing::named("a", "one"), 1)]]]).await;
    bench
        .execute(
            "create view cdm_work.named as select name, cdm_id from cdm_work.cdm_test_thing where name is not null;
             create materialized view cdm_work.everything as select * from cdm_work.cdm_test_thing",
        )
        .await;
    let file = "select pg_relation_filenode('cdm_work.cdm_test_thing'::regclass)";
    let before = bench.value(file).await;
    let provisioner = bench.sink.provisioner().unwrap();
    let plan = provisioner.plan(&[&newer_model()]).await.unwrap();
    insta::assert_snapshot!(show(&plan));
    assert!(provisioner.apply(&plan).await.unwrap().changed);
    let second = provisioner.plan(&[&newer_model()]).await.unwrap();
    assert!(second.is_empty(), "{}", show(&second));
    assert_eq!(bench.value(file).await, before, "the table was not rewritten");
    assert_eq!(bench.value("select name from cdm_work.named").await, "one");
    assert_eq!(bench.names().await, [("a".to_owned(), "one".to_owned())]);
    let older = provisioner.plan(&[&model()]).await.unwrap();
    assert!(older.is_empty() && older.findings().is_empty(), "the older version fits: {}", show(&older));
}

/// Writes to the table again and again until it is told to stop; says how long the slowest had to wait.
fn keep_writing(bench: &Bench, stop: &Arc<AtomicBool>) -> tokio::task::JoinHandle<Duration> {
    let (config, stop) = (bench.database.config(), Arc::clone(stop));
    tokio::spawn(async move {
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let mut longest = Duration::ZERO;
        while !stop.load(Ordering::SeqCst) {
            let since = Instant::now();
            client.batch_execute("update cdm_work.cdm_test_thing set name = name where false").await.unwrap();
            longest = longest.max(since.elapsed());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        longest
    })
}

/// What an error says, without the number of a session's process and how many seconds ago it began.
async fn without_numbers(error: &endpoint_api::Error, session: &tokio_postgres::Client) -> String {
    let process: i32 = session.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    let text = error.to_string().replace(&format!("process {process} "), "process PROCESS ");
    match text.split_once("begun ") {
        Some((before, after)) => {
            format!("{before}begun SOME{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => text,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_table_is_read_provisioning_gives_up_and_no_writer_waits_longer_than_the_budget() {
    const BUDGET: Duration = Duration::from_millis(300);
    // What the machine may be slower by.
    const SLACK: Duration = Duration::from_millis(700);
    let bench = Bench::new().await;
    bench.execute("alter table cdm_work.cdm_test_thing drop column size cascade").await;
    let sink = hasty(&bench, json!({ "lock_timeout_ms": BUDGET.as_millis() as u64, "lock_attempts": 3 })).await;
    let provisioner = sink.provisioner().unwrap();
    let plan = provisioner.plan(&[&model()]).await.unwrap();
    let reader = bench.client().await;
    let reads = "set application_name = 'the yearly report'; begin; select * from cdm_work.cdm_test_thing";
    reader.batch_execute(reads).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = keep_writing(&bench, &stop);

    let since = Instant::now();
    let applied = tokio::time::timeout(Duration::from_secs(20), provisioner.apply(&plan)).await;
    let elapsed = since.elapsed();
    stop.store(true, Ordering::SeqCst);
    let error = applied.expect("it gives up although the reader goes on").unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Conflict, endpoint_api::Retry::Backoff));
    insta::assert_snapshot!(without_numbers(&error, &reader).await);
    assert!(elapsed >= BUDGET * 3, "it has tried three times: {elapsed:?}");
    let longest = writer.await.unwrap();
    assert!(longest >= BUDGET / 2, "somebody has waited, or nothing is shown: {longest:?}");
    assert!(longest <= BUDGET + SLACK, "a writer waited {longest:?}");
    assert_eq!(provisioner.plan(&[&model()]).await.unwrap(), plan, "nothing was done");

    reader.batch_execute("commit").await.unwrap();
    assert!(provisioner.apply(&plan).await.unwrap().changed, "the same plan is carried out when nobody is in the way");
}

#[tokio::test]
async fn whoever_may_not_see_what_a_session_does_is_told_which_one_is_in_the_way() {
    let bench = Bench::bare().await;
    let role = format!("role_{}", bench.database.name());
    let url = bench.database.url().to_owned();
    let (_, address) = url.split_once('@').unwrap();
    bench
        .execute(&format!("create role {role} login password 'pw'; create schema cdm_work authorization {role}"))
        .await;
    let budget = json!({ "lock_timeout_ms": 300, "lock_attempts": 1 });
    let config = json!({ "connection_url": format!("postgres://{role}:pw@{address}"), "provisioning": budget });
    let sink = open(config).await.unwrap();
    let provisioner = sink.provisioner().unwrap();
    provisioner.apply(&provisioner.plan(&[&model()]).await.unwrap()).await.unwrap();

    let holder = bench.client().await;
    // What is on record is read and waited for at the very end.
    holder.batch_execute("begin; lock table cdm_work._cdm_model in share mode").await.unwrap();
    bench.execute("alter table cdm_work.cdm_test_thing drop column size cascade").await;
    let error = provisioner.apply(&provisioner.plan(&[&model()]).await.unwrap()).await.unwrap_err();
    let told = without_numbers(&error, &holder).await;
    assert!(told.ends_with("(held by: process PROCESS of postgres)"), "{told}");
    holder.batch_execute("rollback").await.unwrap();
    bench.execute(&format!("drop owned by {role}; drop role {role}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_built_beside_those_who_write_and_again_when_its_building_has_failed() {
    let bench = Bench::new().await;
    bench.execute("drop index cdm_work.cdm_test_thing_updated_at_idx").await;
    // Whoever wrote before has to end before the index can be used.
    let writer = bench.client().await;
    writer.batch_execute("begin; update cdm_work.cdm_test_thing set name = name where false").await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let others = keep_writing(&bench, &stop);
    let sink = hasty(&bench, json!({ "index_timeout_ms": 700 })).await;
    let provisioner = sink.provisioner().unwrap();
    let plan = provisioner.plan(&[&model()]).await.unwrap();
    let error = provisioner.apply(&plan).await.unwrap_err();
    stop.store(true, Ordering::SeqCst);
    let told = without_numbers(&error, &writer).await;
    assert!(told.contains("object: cdm_test_thing_updated_at_idx"), "{told}");
    assert!(told.contains("process PROCESS of postgres, idle in transaction, begun SOME s ago"), "{told}");
    let longest = others.await.unwrap();
    assert!(longest < Duration::from_millis(500), "nobody who writes waits for the building: {longest:?}");
    let invalid = "select count(*) from pg_index where not indisvalid";
    assert_eq!(bench.value(invalid).await, "1", "the failure has left an index that cannot be used");

    // The table itself is as it should be: rows are loaded meanwhile.
    let left = provisioner.plan(&[&model()]).await.unwrap();
    assert!(left.changes().all(|change| change.can_wait), "{}", show(&left));
    writer.batch_execute("commit").await.unwrap();
    bench.load(&[&[&[common::put(common::Thing::named("a", "one"), 1)]]]).await;
    insta::assert_snapshot!(show(&bench.sink.provisioner().unwrap().plan(&[&model()]).await.unwrap()));

    // The same plan once more does what is left of it.
    assert!(provisioner.apply(&plan).await.unwrap().changed);
    assert_eq!(bench.value(invalid).await, "0");
    assert!(provisioner.plan(&[&model()]).await.unwrap().is_empty());
    assert!(!provisioner.apply(&plan).await.unwrap().changed, "and now it is done");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixteen_who_apply_one_plan_with_an_index_one_does_it() {
    let bench = Bench::new().await;
    bench
        .execute(
            "drop index cdm_work.cdm_test_thing_updated_at_idx; alter table cdm_work.cdm_test_thing drop column size cascade",
        )
        .await;
    let plan = Arc::new(bench.sink.provisioner().unwrap().plan(&[&model()]).await.unwrap());
    let applying: Vec<_> = (0..16)
        .map(|_| {
            let (url, plan) = (bench.database.url().to_owned(), Arc::clone(&plan));
            tokio::spawn(async move {
                let sink = open(json!({ "connection_url": url })).await.unwrap();
                sink.provisioner().unwrap().apply(&plan).await.unwrap()
            })
        })
        .collect();
    let receipts = futures::future::join_all(applying).await;
    let receipts: Vec<_> = receipts.into_iter().map(Result::unwrap).collect();
    assert_eq!(receipts.iter().filter(|receipt| receipt.changed).count(), 1);
    assert!(receipts.iter().all(|receipt| receipt.models == receipts[0].models), "one receipt for all");
    assert!(bench.sink.provisioner().unwrap().plan(&[&model()]).await.unwrap().is_empty());
}

/// What a person does who takes the statements out of a plan and runs them.
async fn by_hand(bench: &Bench, change_table: impl Fn(&str) -> String) {
    let plan = bench.sink.provisioner().unwrap().plan(&[&model()]).await.unwrap();
    for change in plan.models[0].changes.iter().filter(|change| change.action == "create table") {
        bench.execute(&format!("create schema cdm_work; {}", change_table(change.sql.as_ref().unwrap()))).await;
    }
}

#[tokio::test]
async fn a_table_that_somebody_made_is_taken_over_only_when_a_person_says_so() {
    let bench = Bench::bare().await;
    by_hand(&bench, str::to_owned).await;
    let provisioner = bench.sink.provisioner().unwrap();
    let plan = provisioner.plan(&[&model()]).await.unwrap();
    let error = provisioner.apply(&plan).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(
        error.to_string(),
        "what is there cannot be mended by adding to it: `cdm_work.cdm_test_thing` is there and not on record: \
         somebody else has made it (`cdm provision SINK --adopt` takes it over; or choose another table prefix)"
    );
    assert_eq!(bench.value("select count(*) from pg_tables where schemaname = 'cdm_work'").await, "1");

    let receipt = provisioner.apply(&plan.clone().adopting(true)).await.unwrap();
    assert!(receipt.changed);
    assert_eq!(receipt.models[0].plan_hash, plan.clone().adopting(true).hash());
    assert!(provisioner.plan(&[&model()]).await.unwrap().is_empty());
    let comment = bench.value("select obj_description('cdm_work.cdm_test_thing'::regclass)").await;
    assert!(comment.contains("Model test.thing 1.0.0"), "it is described: {comment}");
    bench.load(&[&[&[common::put(common::Thing::named("a", "one"), 1)]]]).await;
}

#[tokio::test]
async fn an_index_is_never_built_on_a_partitioned_table_while_others_wait() {
    let bench = Bench::bare().await;
    by_hand(&bench, |create| {
        format!(
            "{create} partition by hash (cdm_id);
             create table cdm_work.part partition of cdm_work.cdm_test_thing for values with (modulus 1, remainder 0)"
        )
    })
    .await;
    let provisioner = bench.sink.provisioner().unwrap();
    provisioner.apply(&provisioner.plan(&[&model()]).await.unwrap().adopting(true)).await.unwrap();
    let second = provisioner.plan(&[&model()]).await.unwrap();
    assert!(second.is_empty(), "{}", show(&second));
    let told: Vec<String> =
        second.findings().into_iter().map(|finding| finding.object + " " + &finding.difference).collect();
    assert!(told.contains(&"cdm_test_thing_updated_at_idx is missing on a partitioned table".to_owned()), "{told:?}");
}
