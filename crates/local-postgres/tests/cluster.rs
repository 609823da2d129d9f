//! A cluster starts, answers, and is gone when its owner is.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use local_postgres::{Cluster, Options, Programs, Shutdown, TestDatabase};
use tokio_postgres::NoTls;

async fn ask(url: &str, query: &str) -> Result<String, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client.query_one(query, &[]).await?.get(0))
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen within 30 s");
        thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn a_cluster_answers_to_its_password_and_leaves_nothing_behind() {
    let options = Options::default().setting("max_connections", "33").setting("cluster_name", "it's mine");
    let cluster = Cluster::start(&Programs::find().unwrap(), &options).unwrap();
    assert_eq!(ask(&cluster.url("postgres"), "show max_connections").await.unwrap(), "33");
    assert_eq!(ask(&cluster.url("postgres"), "show cluster_name").await.unwrap(), "it's mine");
    let stranger = cluster.url("postgres").replace(cluster.password(), "guess");
    assert!(ask(&stranger, "select 'in'").await.is_err(), "a wrong password must not open the door");

    let (port, folder) = (cluster.port(), cluster.data_folder());
    drop(cluster);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(!folder.parent().unwrap().exists());
}

#[tokio::test]
async fn a_cluster_that_is_restarted_keeps_its_port_and_what_was_committed_and_still_ends_with_its_owner() {
    let cluster = Cluster::start(&Programs::find().unwrap(), &Options::default()).unwrap();
    cluster.query("postgres", "create table kept (number int)").unwrap();
    for shutdown in [Shutdown::Fast, Shutdown::Immediate, Shutdown::Fast] {
        let (client, connection) = tokio_postgres::connect(&cluster.url("postgres"), NoTls).await.unwrap();
        let session = tokio::spawn(connection);
        cluster.query("postgres", "insert into kept values (1)").unwrap();
        cluster.restart(shutdown).unwrap();
        session.await.unwrap().unwrap_err();
        assert!(client.is_closed(), "no session outlives a restart");
    }
    let kept = cluster.query("postgres", "select count(*) from kept").unwrap();
    assert_eq!(kept, [[Some("3".to_owned())]]);

    let (port, folder) = (cluster.port(), cluster.data_folder());
    drop(cluster);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(!folder.parent().unwrap().exists());
}

/// The process that [`a_cluster_ends_when_its_owner_is_killed`] kills.
#[test]
fn an_owner_that_waits_to_be_killed() {
    if env::var_os("CDM_TEST_OWNER").is_some() {
        let cluster = Cluster::start(&Programs::find().unwrap(), &Options::default()).unwrap();
        println!("\nowner: {} {}", cluster.port(), cluster.data_folder().display());
        thread::sleep(Duration::from_secs(600));
    }
}

#[test]
fn a_cluster_ends_when_its_owner_is_killed() {
    ends_with_its_owner(|_| ());
}

#[test]
fn a_cluster_whose_server_is_stopped_ends_when_its_owner_is_killed() {
    ends_with_its_owner(|folder| {
        let postmaster = fs::read_to_string(folder.join("postmaster.pid")).unwrap();
        let stopped = Command::new("kill").args(["-STOP", postmaster.lines().next().unwrap()]).status().unwrap();
        assert!(stopped.success());
    });
}

/// Kills the owner of a cluster, after something was done to the cluster with that data folder.
fn ends_with_its_owner(before: impl Fn(&Path)) {
    let mut owner = Command::new(env::current_exe().unwrap())
        .args(["--exact", "an_owner_that_waits_to_be_killed", "--nocapture"])
        .env("CDM_TEST_OWNER", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let told = BufReader::new(owner.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("owner: ").map(str::to_owned))
        .unwrap();
    let (port, folder) = told.split_once(' ').unwrap();
    let port: u16 = port.parse().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    before(Path::new(folder));
    owner.kill().unwrap(); // SIGKILL: nothing of the owner runs any more
    owner.wait().unwrap();
    wait_until("the end of the server", || TcpStream::connect(("127.0.0.1", port)).is_err());
    wait_until("the end of its files", || !Path::new(folder).parent().unwrap().exists());
}

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let (one, other) = (TestDatabase::create(), TestDatabase::create());
    assert_ne!(one.name(), other.name());
    assert_eq!(ask(one.url(), "select current_database()::text").await.unwrap(), one.name());
    let (gone, url) = (one.name().to_owned(), one.url().to_owned());
    drop(one);
    let error = ask(&url, "select 'still there'").await.unwrap_err();
    assert!(format!("{error:?}").contains(&gone), "{error:?}");
}
