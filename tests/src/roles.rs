use crate::{Ran, Sandbox};

const PASSWORD: &str = "pw";

/// The purposes of the roles, which their names begin with.
const PURPOSES: [&str; 4] = ["owner", "provisioner", "loader", "reader"];

/// Roles with the rights that `cdm grants` prints and no others, gone when the test is over. What the server lets
/// everybody do in the sandbox's database, it lets nobody do.
pub struct Roles<'s> {
    sandbox: &'s Sandbox,
}

impl<'s> Roles<'s> {
    /// Creates them, and configures the owner.
    pub fn create(sandbox: &'s Sandbox) -> Self {
        let roles = Self { sandbox };
        let owner = format!("owner_role = \"{}\"\nconnection_url", roles.name("owner"));
        sandbox.configure(|configuration| configuration.replace("connection_url", &owner));
        sandbox.ask(&format!(
            "revoke all on database {} from public; revoke all on schema public from public",
            sandbox.database().name()
        ));
        roles.grant(&[]);
        for purpose in &PURPOSES[1..] {
            sandbox.ask(&format!("alter role {} password '{PASSWORD}'", roles.name(purpose)));
        }
        roles
    }

    /// Runs what `cdm grants` prints.
    pub fn grant(&self, options: &[&str]) {
        self.sandbox.ask(&self.script(options).out);
    }

    /// Prints it.
    pub fn script(&self, options: &[&str]) -> Ran {
        let mut arguments = vec!["grants".to_owned(), "warehouse".to_owned()];
        arguments.extend(PURPOSES[1..].iter().flat_map(|purpose| [format!("--{purpose}"), self.name(purpose)]));
        let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        arguments.extend(options);
        let ran = self.sandbox.people(&arguments);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran
    }

    /// The name of a role by its purpose: `loader`.
    pub fn name(&self, purpose: &str) -> String {
        assert!(PURPOSES.contains(&purpose), "{purpose}");
        format!("{purpose}_{}", self.sandbox.database().name())
    }

    /// The URL of the sandbox's database with that role.
    pub fn url(&self, purpose: &str) -> String {
        let (_, place) = self.sandbox.database_url().rsplit_once('@').unwrap();
        format!("postgres://{}:{PASSWORD}@{place}", self.name(purpose))
    }

    /// From now on the program connects as that role.
    pub fn connect(&self, purpose: &str) {
        self.sandbox.connect(&self.url(purpose));
    }

    /// What the server answers that role: how many rows, or why it refuses.
    pub fn ask(&self, purpose: &str, statement: &str) -> Result<usize, String> {
        let answer = self.sandbox.database().query_as(&self.name(purpose), PASSWORD, statement);
        answer.map(|rows| rows.len()).map_err(|error| error.to_string())
    }

    /// Asserts that the server refuses something to that role for the lack of a right.
    pub fn assert_denied(&self, purpose: &str, statement: &str) {
        let answer = self.ask(purpose, statement);
        let is_denied = |error: &String| error.contains("permission denied") || error.contains("must be owner");
        assert!(answer.as_ref().is_err_and(is_denied), "{purpose}: {statement}: {answer:?}");
    }
}

impl Drop for Roles<'_> {
    fn drop(&mut self) {
        for purpose in PURPOSES {
            let name = self.name(purpose);
            self.sandbox.ask(&format!("drop owned by {name} cascade; drop role {name}"));
        }
    }
}
