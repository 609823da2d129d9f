//! Servers that are down, refuse, are full or go away, and what people are told.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::net::TcpListener;

use common::{Bench, Thing, batch, begin, open, plan, put, spec};
use endpoint_api::{Batch, CheckReport, Commit, Endpoint as _, ErrorKind, Retry, Sink as _};
use local_postgres::{Cluster, Options, Programs};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use serde_json::{Value, json};

fn show(report: &CheckReport) -> Vec<String> {
    report
        .checks
        .iter()
        .map(|check| format!("{} {}: {}", if check.ok { "ok" } else { "FAILED" }, check.name, check.detail))
        .collect()
}

#[tokio::test]
async fn a_check_tells_what_was_looked_at_and_changes_nothing() {
    let bench = Bench::bare().await;
    let report = bench.sink.check().await.unwrap();
    assert!(report.ok() && report.server_version.is_some());
    let lines = show(&report);
    assert_eq!(lines.len(), 7);
    assert_eq!(lines[4], "ok schema: schema cdm_work is not there yet; role postgres may make it");
    assert_eq!(bench.value("select count(*) from pg_namespace where nspname = 'cdm_work'").await, "0");
    bench.provision().await;
    let lines = show(&bench.sink.check().await.unwrap());
    let expected = [
        "ok schema: schema cdm_work is there",
        "ok provisioning: role postgres may provision",
        "ok loading: role postgres may load",
    ];
    assert_eq!(lines[4..], expected);
}

#[tokio::test]
async fn a_check_of_a_server_that_is_no_good_says_why() {
    let bench = Bench::bare().await;
    let role = format!("role_{}", bench.database.name());
    bench
        .execute(&format!(
            "create role {role} login password 'pw'; create schema cdm_work;
             revoke all on database {0} from public; grant connect on database {0} to {role};
             alter role {role} set default_transaction_read_only = on",
            bench.database.name()
        ))
        .await;
    let (_, address) = bench.database.url().split_once('@').unwrap();
    let sink = open(json!({ "connection_url": format!("postgres://{role}:pw@{address}") })).await.unwrap();
    let lines: Vec<String> =
        show(&sink.check().await.unwrap()).into_iter().filter(|line| line.starts_with("FAILED")).collect();
    assert_eq!(
        lines,
        [
            "FAILED writable: the server is read-only; connect to the primary".to_owned(),
            format!(
                "FAILED provisioning: role {role} may not provision; it lacks USAGE and CREATE on schema cdm_work \
                 (tables go there); `cdm grants warehouse` says what gives it"
            ),
            format!(
                "FAILED loading: role {role} may not load; it lacks TEMPORARY on the database (rows that have changed \
                 are staged), USAGE on schema cdm_work; `cdm grants warehouse` says what gives it"
            ),
        ]
    );
    bench.execute(&format!("drop owned by {role}; drop role {role}")).await;
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_told_apart() {
    let bench = Bench::new().await;
    let (_, address) = bench.database.url().split_once('@').unwrap();
    let (server, _) = address.split_once('/').unwrap();
    let free_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let attempt = async |url: String| {
        let sink = open(json!({ "connection_url": url })).await.unwrap();
        let report = sink.check().await.unwrap();
        let error = sink.open_run(&spec("run-1")).await.err().unwrap();
        assert!(!report.ok() && report.checks[0].detail == error.to_string(), "a check says the same");
        assert!(!format!("{error:?} {sink:?}").contains("hunter2"), "{error:?} {sink:?}");
        error
    };
    let down = attempt(format!("postgres://postgres:hunter2@127.0.0.1:{free_port}/db")).await;
    assert_eq!((down.kind(), down.retry()), (ErrorKind::Unavailable, Retry::Backoff));
    assert!(
        down.to_string().starts_with(&format!("the server cannot be reached (server: 127.0.0.1:{free_port}/db)")),
        "{down}"
    );
    let password = attempt(format!("postgres://postgres:hunter2@{address}")).await;
    assert_eq!((password.kind(), password.retry()), (ErrorKind::Denied, Retry::AfterOperator));
    assert!(
        password.to_string().starts_with("the server refuses the password; check `user` and `password`"),
        "{password}"
    );
    let (user, _) = bench.database.url().rsplit_once('@').unwrap();
    let database = attempt(format!("{user}@{server}/nowhere")).await;
    assert!(database.to_string().starts_with("the database does not exist"), "{database}");
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_worth_another_try() {
    let bench = Bench::new().await;
    let role = format!("role_{}", bench.database.name());
    bench.execute(&format!("create role {role} superuser login password 'pw' connection limit 0")).await;
    let (_, address) = bench.database.url().split_once('@').unwrap();
    bench.execute(&format!("alter role {role} nosuperuser")).await;
    let sink = open(json!({ "connection_url": format!("postgres://{role}:pw@{address}") })).await.unwrap();
    let error = sink.open_run(&spec("run-1")).await.err().unwrap();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Exhausted, Retry::Backoff));
    assert!(error.to_string().starts_with("the server has no connection left"), "{error}");
    bench.execute(&format!("drop role {role}")).await;
}

#[tokio::test]
async fn a_connection_that_is_lost_in_mid_load_leaves_nothing_and_can_be_tried_again() {
    let bench = Bench::new().await;
    let run = bench.sink.open_run(&spec("run-1")).await.unwrap();
    run.record_plan(&plan(1)).await.unwrap();
    let things = || Batch::Cdm(Box::new(batch(&[put(Thing::new("a"), 1)])));
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity
               where application_name like 'cdm%' and datname = current_database() and state = 'idle in transaction'";

    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    load.write(things()).await.unwrap();
    bench.execute(cut).await;
    let error = load.write(things()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Backoff));
    assert!(load.commit(Commit::default()).await.is_err());

    let mut load = begin(run.as_ref(), &plan(1)[0]).await;
    load.write(things()).await.unwrap();
    assert_eq!(load.commit(Commit::default()).await.unwrap().counts.inserted, 1);
}

#[tokio::test]
async fn a_read_only_server_is_told() {
    let bench = Bench::new().await;
    bench.execute(&format!("alter database {} set default_transaction_read_only = on", bench.database.name())).await;
    let error = bench.sink.open_run(&spec("run-1")).await.err().unwrap();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Denied, Retry::Backoff));
    assert!(error.to_string().starts_with("the server is read-only; connect to the primary"), "{error}");
}

/// An authority of the test's own and what it has signed for `localhost`.
fn certificates() -> (String, String, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(parameters, authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    (authority.pem(), server.pem(), key.serialize_pem())
}

#[tokio::test]
async fn tls_modes_demand_what_they_say() {
    let (authority, certificate, key) = certificates();
    let options = Options::default().file("server.crt", certificate).file("server.key", key).setting("ssl", "on");
    let cluster = Cluster::start(&Programs::find().unwrap(), &options).unwrap();
    let trusted = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(trusted.path(), authority).unwrap();
    let (stranger, ..) = certificates();
    let strange = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(strange.path(), stranger).unwrap();

    let attempt = async |host: &str, mode: &str, root: Option<&std::path::Path>| {
        let mut config = json!({
            "host": host, "port": cluster.port(), "user": "postgres", "password": cluster.password(), "ssl_mode": mode
        });
        if let Some(root) = root {
            config["ssl_root_cert"] = Value::from(root.to_str().unwrap());
        }
        let sink = open(config).await.unwrap();
        let report = sink.check().await.unwrap();
        if report.ok() { Ok(()) } else { Err(report.checks[0].detail.clone()) }
    };
    assert_eq!(attempt("127.0.0.1", "disable", None).await, Ok(()));
    assert_eq!(attempt("127.0.0.1", "prefer", None).await, Ok(()));
    assert_eq!(attempt("127.0.0.1", "require", None).await, Ok(()));
    assert_eq!(attempt("localhost", "verify-full", Some(trusted.path())).await, Ok(()));
    assert_eq!(attempt("127.0.0.1", "verify-ca", Some(trusted.path())).await, Ok(()));
    let other_host = attempt("127.0.0.1", "verify-full", Some(trusted.path())).await.unwrap_err();
    assert!(other_host.contains("certificate"), "{other_host}");
    for mode in ["verify-ca", "verify-full"] {
        let untrusted = attempt("localhost", mode, Some(strange.path())).await.unwrap_err();
        assert!(untrusted.contains("certificate"), "{untrusted}");
    }

    let plain = Cluster::start(&Programs::find().unwrap(), &Options::default()).unwrap();
    let config = json!({
        "host": "127.0.0.1", "port": plain.port(), "user": "postgres", "password": plain.password(), "ssl_mode": "require"
    });
    let report = open(config).await.unwrap().check().await.unwrap();
    assert!(!report.ok(), "a server without TLS is refused");

    let config = json!({ "host": "h", "user": "u", "ssl_mode": "verify-full", "ssl_root_cert": "no-such-file.pem" });
    let error = open(config).await.unwrap_err();
    let expected = "the file cannot be read: No such file or directory (os error 2) (key: ssl_root_cert, file: ";
    assert!(error.to_string().starts_with(expected), "{error}");
}
