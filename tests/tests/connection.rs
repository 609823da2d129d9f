//! What a connection takes from the environment, and which of several hosts is named.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use end_to_end::{Ran, Sandbox};

/// What `cdm check` says of the connection, with these variables.
fn connected(sandbox: &Sandbox, variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = sandbox.command(["check", "warehouse"]);
    command.env_remove("PGPASSWORD").env_remove("PGSSLMODE").envs(variables.iter().copied());
    let output = command.output().unwrap();
    let ran = Ran { code: output.status.code(), out: String::from_utf8(output.stdout).unwrap(), err: String::new() };
    let answer = ran.json();
    let checks = answer["endpoints"][0]["checks"].as_array();
    let Some(check) = checks.and_then(|checks| checks.iter().find(|check| check["name"] == "connect")) else {
        return (false, answer.to_string());
    };
    (check["ok"] == true, check["detail"].as_str().unwrap().to_owned())
}

/// A URL as it is, and its user, password, host and port, and database.
fn parts(url: &str) -> (&str, &str, &str, &str) {
    let (_, rest) = url.split_once("://").unwrap();
    let (login, rest) = rest.split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let (address, database) = rest.split_once('/').unwrap();
    (user, password, address, database)
}

#[test]
fn a_password_and_a_mode_of_the_environment_count_where_the_configuration_has_none() {
    let sandbox = Sandbox::new();
    let url = sandbox.database_url().to_owned();
    let (user, password, address, database) = parts(&url);
    sandbox.connect(&format!("postgres://{user}@{address}/{database}"));
    assert!(!connected(&sandbox, &[]).0);
    assert!(connected(&sandbox, &[("PGPASSWORD", password)]).0);
    let (is_connected, told) = connected(&sandbox, &[("PGPASSWORD", password), ("PGSSLMODE", "require")]);
    assert!(!is_connected, "the server has no TLS, which is demanded: {told}");
    assert!(!told.contains(password));
    let (is_connected, told) = connected(&sandbox, &[("PGPASSWORD", password), ("PGSSLMODE", "allow")]);
    assert!(!is_connected && told.contains("PGSSLMODE"), "{told}");
    sandbox.connect(&format!("{url}?sslmode=disable"));
    assert!(connected(&sandbox, &[("PGPASSWORD", "wrong"), ("PGSSLMODE", "require")]).0, "the URL comes first");
}

#[test]
fn of_several_hosts_all_are_named_and_the_one_that_answers() {
    let sandbox = Sandbox::new();
    let url = sandbox.database_url().to_owned();
    let (user, password, address, database) = parts(&url);
    sandbox.connect(&format!("postgres://{user}:{password}@127.0.0.1:1,{address}/{database}"));
    let (is_connected, told) = connected(&sandbox, &[]);
    assert!(is_connected, "{told}");
    assert_eq!(told, format!("connected to 127.0.0.1:1,{address}/{database}; {address} answered"));
    sandbox.connect(&format!("postgres://{user}:{password}@127.0.0.1:1,127.0.0.1:2/{database}"));
    let (is_connected, told) = connected(&sandbox, &[]);
    assert!(!is_connected && told.contains(&format!("127.0.0.1:1,127.0.0.1:2/{database}")), "{told}");
}
