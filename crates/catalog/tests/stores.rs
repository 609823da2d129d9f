//! Opening a catalog: many at once, the wrong thing, the wrong place, without rights.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::{
    env, fs,
    process::{Command, Stdio},
    time::Duration,
};

use catalog::{Catalog, Cause, DatasetFilter};
use common::{Store, at, table_spec};
use endpoint_api::{Error, ErrorKind};
use local_postgres::TestDatabase;

/// Longer than it takes to open a catalog.
const A_MOMENT: Duration = Duration::from_millis(500);

async fn refused(url: &str, folder: &std::path::Path) -> Error {
    catalog::open(url, folder).await.err().unwrap_or_else(|| panic!("{url} was opened"))
}

async fn use_it(catalog: &dyn Catalog) {
    catalog.register_dataset(&table_spec("1.0.0"), &Cause::Discovery, at(1)).await.unwrap();
    assert_eq!(catalog.datasets(&DatasetFilter::all()).await.unwrap().len(), 1);
}

async fn sixteen_open(store: Store) {
    let store = std::sync::Arc::new(store);
    let mut at_work = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let store = std::sync::Arc::clone(&store);
        at_work.spawn(async move { use_it(store.open().await.as_ref()).await });
    }
    at_work.join_all().await;
    let dataset = store.open().await.dataset(&table_spec("1.0.0").id()).await.unwrap().unwrap();
    assert_eq!(dataset.version, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn sixteen_may_open_a_new_sqlite_catalog_at_once() {
    sixteen_open(Store::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn sixteen_may_open_a_new_postgres_catalog_at_once() {
    sixteen_open(Store::postgres()).await;
}

#[tokio::test]
async fn a_new_sqlite_catalog_waits_for_the_one_who_is_making_it() {
    let folder = tempfile::tempdir().unwrap();
    let other = rusqlite::Connection::open(folder.path().join("catalog.db")).unwrap();
    other.execute_batch("begin immediate").unwrap();
    let path = folder.path().to_owned();
    let opening =
        tokio::spawn(async move { use_it(catalog::open("sqlite:catalog.db", &path).await.unwrap().as_ref()).await });
    tokio::time::sleep(A_MOMENT).await;
    assert!(!opening.is_finished());
    other.execute_batch("commit").unwrap();
    opening.await.unwrap();
}

#[tokio::test]
async fn a_new_postgres_catalog_waits_for_the_one_who_is_making_it() {
    let Store::Postgres(database) = Store::postgres() else { panic!() };
    let (other, connection) = database.config().connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    // What all versions of the program agree on.
    let lock = "begin; select pg_advisory_xact_lock(hashtextextended('cdm catalog cdm_metadata', 0))";
    other.batch_execute(lock).await.unwrap();
    let url = database.url().to_owned();
    let opening = tokio::spawn(async move { use_it(catalog::open(&url, ".".as_ref()).await.unwrap().as_ref()).await });
    tokio::time::sleep(A_MOMENT).await;
    assert!(!opening.is_finished());
    assert_eq!(database.query("select 1 from pg_namespace where nspname = 'cdm_metadata'").len(), 0);
    other.batch_execute("commit").await.unwrap();
    opening.await.unwrap();
}

/// Names the folder for a process that this test program starts of itself.
const FOLDER: &str = "CDM_TEST_CATALOG_FOLDER";

#[tokio::test]
async fn one_of_sixteen_processes() {
    if let Some(folder) = env::var_os(FOLDER) {
        use_it(catalog::open("sqlite:catalog.db", folder.as_ref()).await.unwrap().as_ref()).await;
    }
}

#[tokio::test]
async fn sixteen_processes_may_open_a_new_sqlite_catalog_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let start = |_| {
        let mut process = Command::new(env::current_exe().unwrap());
        process.args(["--exact", "one_of_sixteen_processes"]).env(FOLDER, folder.path());
        process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let processes: Vec<_> = (0..16).map(start).collect();
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
    }
    let catalog = catalog::open("sqlite:catalog.db", folder.path()).await.unwrap();
    assert_eq!(catalog.dataset(&table_spec("1.0.0").id()).await.unwrap().unwrap().version, 1);
}

/// The tables of a catalog as the first release made them, with a dataset of which somebody has written.
fn as_the_first_release_left_it(store: &Store) {
    let tables = ["dataset_version", "annotation_version", "dataset_load", "endpoint", "run", "outbox"];
    let rows = |schema: &str, time: &str| {
        format!(
            "insert into {schema}dataset values ('test.thing@warehouse', 'cdm_table', 'warehouse', null, 'test.thing',
                 '1.1.0', '1.1.0', 'plan of 1.1.0', {time}, 'cdm_test.things', 'A thing.', '[]',
                 '[\"jira.issues@a\"]', 3, {time}, {time});
             insert into {schema}dataset_annotation values ('test.thing@warehouse', 'Ours', null, null, 2, {time});
             insert into {schema}dataset_load values ('test.thing@warehouse', 'r1', {time}, 7);"
        )
    };
    match store {
        Store::Sqlite(folder) => {
            let connection = rusqlite::Connection::open(folder.path().join("catalog.db")).unwrap();
            let drop: String = tables.iter().map(|table| format!("drop table {table};")).collect();
            connection.execute_batch(&format!("{drop} delete from migration where version > 1;")).unwrap();
            connection.execute_batch(include_str!("../migrations/sqlite/V1__catalog.sql")).unwrap();
            connection.execute_batch(&rows("", "1600000000000000")).unwrap();
        }
        Store::Postgres(database) => {
            let drop: String = tables.iter().map(|table| format!("drop table cdm_metadata.{table};")).collect();
            database.query(&format!("{drop} delete from cdm_metadata.migration where version > 1;"));
            database.query(include_str!("../migrations/postgres/V1__catalog.sql"));
            database.query(&rows("cdm_metadata.", "to_timestamp(1600000000)"));
        }
    }
}

async fn sixteen_open_a_catalog_of_the_first_release(store: Store) {
    let store = std::sync::Arc::new(store);
    store.open().await.close().await.unwrap();
    as_the_first_release_left_it(&store);
    let mut at_work = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let store = std::sync::Arc::clone(&store);
        at_work.spawn(async move { store.open().await.datasets(&DatasetFilter::all()).await.unwrap() });
    }
    for datasets in at_work.join_all().await {
        let [dataset] = &datasets[..] else { panic!("{datasets:?}") };
        assert_eq!((dataset.version, dataset.registered_at, dataset.updated_at), (3, at(0), at(0)));
        assert_eq!(dataset.spec.upstream().len(), 1);
        assert_eq!((dataset.annotations.description.as_deref(), dataset.annotated_at), (Some("Ours"), Some(at(0))));
        assert_eq!(dataset.last_load.as_ref().and_then(|load| load.rows), Some(7));
    }
    let catalog = store.open().await;
    catalog.register_dataset(&table_spec("1.1.0"), &Cause::Discovery, at(1)).await.unwrap();
    let history = catalog.history(&table_spec("1.1.0").id()).await.unwrap();
    let versions: Vec<_> = history.system.iter().map(|known| (known.version, known.cause.clone())).collect();
    assert_eq!(versions, [(3, None), (4, Some(Cause::Discovery))]);
    assert_eq!(history.people.iter().map(|written| written.version).collect::<Vec<_>>(), [2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn sixteen_may_bring_a_sqlite_catalog_up_to_date_at_once() {
    sixteen_open_a_catalog_of_the_first_release(Store::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn sixteen_may_bring_a_postgres_catalog_up_to_date_at_once() {
    sixteen_open_a_catalog_of_the_first_release(Store::postgres()).await;
}

#[tokio::test]
async fn a_catalog_of_a_newer_program_is_left_alone() {
    let store = Store::sqlite();
    let Store::Sqlite(folder) = &store else { panic!() };
    use_it(store.open().await.as_ref()).await;
    let connection = rusqlite::Connection::open(folder.path().join("catalog.db")).unwrap();
    connection.execute_batch("update migration set version = 99 where version = 3").unwrap();
    drop(connection);
    let before = store.rows().await;
    let error = refused("sqlite:catalog.db", folder.path()).await;
    assert_eq!(error.kind(), ErrorKind::Outdated, "{error}");
    assert!(error.to_string().contains("use the newer version"), "{error}");
    assert_eq!(store.rows().await, before);

    let store = Store::postgres();
    let Store::Postgres(database) = &store else { panic!() };
    use_it(store.open().await.as_ref()).await;
    database.query("update cdm_metadata.migration set version = 99 where version = 3");
    let before = store.rows().await;
    let error = refused(database.url(), ".".as_ref()).await;
    assert_eq!(error.kind(), ErrorKind::Outdated, "{error}");
    assert_eq!(store.rows().await, before);
}

#[tokio::test]
async fn what_is_no_catalog_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "these are my notes, and they are longer than a header of SQLite's")
        .unwrap();
    let error = refused("sqlite:notes.txt", folder.path()).await;
    assert!(error.to_string().contains("notes.txt"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");

    let other = folder.path().join("other.db");
    rusqlite::Connection::open(&other).unwrap().execute_batch("create table mine (a)").unwrap();
    let before = fs::read(&other).unwrap();
    let error = refused("sqlite:other.db", folder.path()).await;
    assert!(error.to_string().contains("another program's database"), "{error}");
    assert!(fs::read(&other).unwrap() == before, "not a byte of it is written");

    let error = refused("sqlite:no/such/folder/catalog.db", folder.path()).await;
    assert!(error.to_string().contains("the folder of the catalog's file does not exist"), "{error}");
    let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["notes.txt", "other.db"]);

    let store = Store::postgres();
    let Store::Postgres(database) = &store else { panic!() };
    database.query("create schema cdm_metadata; create table cdm_metadata.dataset (mine int)");
    let error = refused(database.url(), ".".as_ref()).await;
    assert!(error.to_string().contains("tables that are not the catalog's"), "{error}");
    assert_eq!(
        database
            .query("select count(*) from pg_class where relnamespace = 'cdm_metadata'::regnamespace and relkind = 'r'")
            [0][0]
            .as_deref(),
        Some("1")
    );
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_without_being_shown() {
    for (url, expected) in [
        ("mysql://ada:hunter2@db/x", "the metadata URL has an unknown scheme"),
        ("hunter2", "the metadata URL has an unknown scheme"),
        ("sqlite:", "names no file"),
        ("sqlite://host/hunter2", "has no host"),
        ("sqlite:a.db?key=hunter2", "takes no parameters"),
        ("postgres://ada:hunter2@/x", "names no host"),
        ("postgres://ada:hunter2@db/x?sslmode=maybe", "sslmode"),
    ] {
        let error = refused(url, ".".as_ref()).await;
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(expected), "{url}: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_told_without_its_password() {
    // A port that nothing listens on: it was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = refused(&format!("postgres://ada:hunter2@127.0.0.1:{port}/work"), ".".as_ref()).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}/work")), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");

    let Store::Postgres(database) = Store::postgres() else { panic!() };
    let gone = database.url().replace(database.name(), "no_such_database");
    let error = refused(&gone, ".".as_ref()).await;
    assert!(error.to_string().contains("the catalog's database does not exist"), "{error}");
}

/// A role of its own for a test, which may connect and no more; gone with it.
struct Role<'d> {
    name: String,
    database: &'d TestDatabase,
}

impl<'d> Role<'d> {
    fn create(database: &'d TestDatabase) -> Self {
        let name = format!("modest_{}", database.name());
        database.query(&format!("create role {name} login password 'pw'"));
        Self { name, database }
    }

    fn url(&self) -> String {
        let (_, place) = self.database.url().rsplit_once('@').unwrap();
        format!("postgres://{}:pw@{place}", self.name)
    }
}

impl Drop for Role<'_> {
    fn drop(&mut self) {
        self.database.query(&format!("drop owned by {0}; drop role {0}", self.name));
    }
}

#[tokio::test]
async fn a_role_that_may_not_make_schemas_uses_one_that_is_there() {
    let Store::Postgres(database) = Store::postgres() else { panic!() };
    let role = Role::create(&database);
    let error = refused(&role.url(), ".".as_ref()).await;
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("make it, and grant the role USAGE and CREATE on it"), "{error}");

    database.query(&format!("create schema cdm_metadata; grant usage, create on schema cdm_metadata to {}", role.name));
    use_it(catalog::open(&role.url(), ".".as_ref()).await.unwrap().as_ref()).await;
}

#[tokio::test]
async fn a_role_that_may_make_nothing_uses_a_catalog_that_another_one_made() {
    let store = Store::postgres();
    let Store::Postgres(database) = &store else { panic!() };
    store.open().await.close().await.unwrap();
    let role = Role::create(database);
    let error = refused(&role.url(), ".".as_ref()).await;
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("grant it USAGE on the schema cdm_metadata and SELECT, INSERT"), "{error}");

    database.query(&format!(
        "grant usage on schema cdm_metadata to {0};
         grant select, insert, update on all tables in schema cdm_metadata to {0}",
        role.name
    ));
    use_it(catalog::open(&role.url(), ".".as_ref()).await.unwrap().as_ref()).await;
}

#[tokio::test]
async fn a_lost_connection_is_made_anew() {
    let store = Store::postgres();
    let Store::Postgres(database) = &store else { panic!() };
    let catalog = store.open().await;
    use_it(catalog.as_ref()).await;
    database.query("select pg_terminate_backend(pid, 5000) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()");
    let once_more = catalog.datasets(&DatasetFilter::all()).await;
    // The call in which the loss shows may fail; the next one must not.
    if let Err(error) = once_more {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    assert_eq!(catalog.datasets(&DatasetFilter::all()).await.unwrap().len(), 1);
}

/// The errors of runs, in the order of their ids, after a catalog of an earlier version that holds them is opened.
async fn errors_after_an_upgrade(store: &Store, errors: &[&str]) -> Vec<String> {
    drop(store.open().await);
    let run = |schema: &str, time: &str, at: usize, error: &str| {
        format!(
            "insert into {schema}run (id, name, source, unit, sink, mode, status, attempt, started_at, continued_at, error)
             values ('run-{at}', 'n', 's', 'u', 'w', 'cdm', 'failed', 1, {time}, {time}, '{error}');
             insert into {schema}outbox (queue, number, id, about, payload) values ('q', {at}, 'm{at}', 'a',
             '{{\"run\":{{\"facets\":{{\"errorMessage\":{{\"message\":\"{error}\"}}}}}}}}');"
        )
    };
    let all = |schema: &str, time: &str| -> String {
        errors.iter().enumerate().map(|(at, error)| run(schema, time, at, error)).collect()
    };
    let shown = "select error from run order by id";
    match store {
        Store::Sqlite(folder) => {
            let connection = rusqlite::Connection::open(folder.path().join("catalog.db")).unwrap();
            connection.execute_batch(&format!("{} delete from migration where version > 5;", all("", "1"))).unwrap();
            drop(store.open().await);
            let texts = |statement: &str| -> Vec<String> {
                let mut statement = connection.prepare(statement).unwrap();
                statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
            };
            assert!(!texts("select payload from outbox").concat().contains("canary"));
            texts(shown)
        }
        Store::Postgres(database) => {
            let time = "to_timestamp(1600000000)";
            database.query(&format!(
                "{} delete from cdm_metadata.migration where version > 5;",
                all("cdm_metadata.", time)
            ));
            drop(store.open().await);
            let texts = |statement: &str| -> Vec<String> {
                database.query(statement).into_iter().map(|mut row| row.remove(0).unwrap()).collect()
            };
            assert!(!texts("select payload from cdm_metadata.outbox").concat().contains("canary"));
            texts("select error from cdm_metadata.run order by id")
        }
    }
}

#[tokio::test]
async fn words_of_a_database_that_earlier_versions_kept_are_removed() {
    let removed = "the text of this error was removed because it could hold the value of a cell";
    let errors = [
        "the role lacks a privilege: bad canary (SQLSTATE 42501)",
        "a row does not fit its table: bad canary",
        "SQLite refuses a statement of the sink: bad canary",
        "the server refuses the data: the data does not fit (SQLSTATE 23514)",
        "issues.jsonl ends in the middle of a record",
    ];
    let expected = [
        format!("{removed} (SQLSTATE 42501)"),
        removed.to_owned(),
        removed.to_owned(),
        errors[3].to_owned(),
        errors[4].to_owned(),
    ];
    for store in [Store::sqlite(), Store::postgres()] {
        assert_eq!(errors_after_an_upgrade(&store, &errors).await, expected);
    }
}
