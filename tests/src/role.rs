use crate::Sandbox;

/// A role of the server that is not its superuser, gone when the test is over.
pub struct Role<'s> {
    sandbox: &'s Sandbox,
    name: String,
    password: String,
}

impl<'s> Role<'s> {
    /// Creates a role that may log in, with further options: `connection limit 1`.
    pub fn create(sandbox: &'s Sandbox, password: &str, options: &str) -> Self {
        let name = format!("role_of_{}", sandbox.database().name());
        sandbox.ask(&format!("create role {name} login password '{password}' {options}"));
        Self { sandbox, name, password: password.to_owned() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL of the sandbox's database with this role.
    pub fn url(&self) -> String {
        let (_, place) = self.sandbox.database_url().rsplit_once('@').unwrap();
        format!("postgres://{}:{}@{place}", self.name, self.password)
    }
}

impl Drop for Role<'_> {
    fn drop(&mut self) {
        let Self { sandbox, name, .. } = self;
        sandbox.ask(&format!("drop owned by {name}; drop role {name}"));
    }
}
