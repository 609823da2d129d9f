//! The tests, by what they ask of a driver.

mod driver;
mod grants;
mod loads;
mod outbox;
mod provision;
mod raw;
mod rejects;
mod runs;
mod sink;
mod source;
mod values;

use std::{future::Future, pin::Pin};

use endpoint_api::Capabilities;

use crate::workbench::{Author, Workbench};

/// What a test does: panics when the driver does not keep to it.
type Body = fn(Workbench) -> Pin<Box<dyn Future<Output = ()>>>;

/// A test of the kit.
pub struct Test {
    /// Its name: `sink::a_stale_version_never_wins`.
    pub name: &'static str,
    /// The lines of the contract that it holds a driver to.
    pub cites: &'static [&'static str],
    pub(crate) needs_place: bool,
    /// Whether no other test may run meanwhile in the same process.
    pub(crate) alone: bool,
    /// Whether it is due, given what the driver declares and what its author has given.
    pub(crate) applies: fn(&Capabilities, &Author) -> bool,
    pub(crate) body: Body,
}

/// Every test, suite by suite.
pub fn tests() -> &'static [Test] {
    const SUITES: [&[Test]; 11] = [
        driver::TESTS,
        source::TESTS,
        raw::TESTS,
        sink::TESTS,
        values::TESTS,
        loads::TESTS,
        runs::TESTS,
        provision::TESTS,
        grants::TESTS,
        outbox::TESTS,
        rejects::TESTS,
    ];
    static ALL: std::sync::OnceLock<Vec<Test>> = std::sync::OnceLock::new();
    let copy = |test: &Test| Test { ..*test };
    ALL.get_or_init(|| SUITES.iter().flat_map(|suite| suite.iter().map(copy)).collect())
}

/// A test that needs a place.
macro_rules! test {
    ($suite:literal, $body:ident, $applies:expr, $($cite:literal),+) => {
        $crate::suites::Test {
            name: concat!($suite, "::", stringify!($body)),
            cites: &[$($cite),+],
            needs_place: true,
            alone: false,
            applies: $applies,
            body: |workbench| Box::pin($body(workbench)),
        }
    };
}
use test;

/// A sink that takes the kit's model.
fn takes_things(capabilities: &Capabilities, _: &Author) -> bool {
    capabilities.sink.is_some_and(|sink| sink.supports(&crate::model::model().id))
}

fn is_transactional(capabilities: &Capabilities, author: &Author) -> bool {
    takes_things(capabilities, author) && capabilities.sink.is_some_and(|sink| sink.transactional)
}
