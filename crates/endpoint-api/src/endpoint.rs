use std::fmt::Debug;

use async_trait::async_trait;

use crate::{Provisioner, Result, Sink, Source};

/// A configured driver instance.
///
/// A role is `Some` if and only if the driver declares it: [`source`](Self::source) with
/// [`Capabilities::source`](crate::Capabilities::source), [`sink`](Self::sink) with
/// [`Capabilities::sink`](crate::Capabilities::sink), [`provisioner`](Self::provisioner) with
/// [`SinkCapabilities::autoprovision`](crate::SinkCapabilities::autoprovision).
///
/// `Debug` MUST NOT show a secret. Methods may be called from several tasks at once. A future that
/// is dropped before it is done MUST leave the other side as if it had not been called, or in a
/// state from which the same call succeeds.
#[async_trait]
pub trait Endpoint: Debug + Send + Sync {
    /// Looks whether the other side can be used: reachable, of a version that is supported, with the
    /// privileges that are needed. MUST change nothing there.
    ///
    /// What is wrong with the other side is a failed [`Check`], not an `Err`.
    async fn check(&self) -> Result<CheckReport>;

    /// The endpoint as a source.
    fn source(&self) -> Option<&dyn Source>;

    /// The endpoint as a sink.
    fn sink(&self) -> Option<&dyn Sink>;

    /// The endpoint as something that creates the tables of a model.
    fn provisioner(&self) -> Option<&dyn Provisioner>;

    /// Lets go of connections and files. Called once, when no run is open any more.
    async fn close(&self) -> Result<()>;
}

/// What [`Endpoint::check`] found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CheckReport {
    /// The version of the other side, where it has one and was reached.
    pub server_version: Option<String>,
    /// The checks in the order in which they were made.
    pub checks: Vec<Check>,
}

impl CheckReport {
    /// A report without checks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check.
    pub fn add(&mut self, name: &'static str, ok: bool, detail: impl Into<String>) {
        self.checks.push(Check { name, ok, is_warning: false, detail: detail.into() });
    }

    /// Adds a check that has succeeded, and whose detail somebody should see nevertheless.
    pub fn warn(&mut self, name: &'static str, detail: impl Into<String>) {
        self.checks.push(Check { name, ok: true, is_warning: true, detail: detail.into() });
    }

    /// Whether every check succeeded.
    pub fn ok(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Check {
    /// What was looked at: `connect`, `privileges`.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// Whether something is there that may not be meant, although the endpoint can be used as it is.
    pub is_warning: bool,
    /// What was found and, if it is wrong, what to do.
    pub detail: String,
}
