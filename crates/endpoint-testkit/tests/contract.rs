//! Every promise of the contract is held by a test, and every citation is of one.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, fs, path::Path};

use endpoint_testkit::tests;
use regex::Regex;

#[test]
fn no_must_is_uncited_and_no_citation_is_of_nothing() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/driver-contract.md");
    let text = fs::read_to_string(path).unwrap();
    let line = Regex::new(r"(?m)^- `([A-Z]+-\d\d)` ((?:.|\n  )+)").unwrap();
    let (mut known, mut musts) = (BTreeSet::new(), BTreeSet::new());
    for found in line.captures_iter(&text) {
        let id = found.get(1).unwrap().as_str();
        assert!(known.insert(id), "{id} stands there twice");
        if found.get(2).unwrap().as_str().contains("MUST") {
            musts.insert(id);
        }
    }
    assert!(known.len() > 40, "{known:?}");
    let cited: BTreeSet<&str> = tests().iter().flat_map(|test| test.cites.iter().copied()).collect();
    assert_eq!(musts.difference(&cited).collect::<Vec<_>>(), [&""; 0], "no test cites these");
    assert_eq!(cited.difference(&known).collect::<Vec<_>>(), [&""; 0], "the contract does not have these");
    assert!(tests().iter().all(|test| !test.cites.is_empty()));
}
