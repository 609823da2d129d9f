//! What docs/security.md says is shown by a test is shown by one that is there.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{fs, path::Path};

/// All that is written in Rust in a folder and below.
fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().unwrap() != "target" {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_test_that_the_document_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let document = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let mut all = String::new();
    sources(&root.join("crates"), &mut all);
    sources(&root.join("tests"), &mut all);
    let threats = document.split("\n## Threats").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = threats
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| attempt") && !line.starts_with("| ---"));
    let mut named = 0;
    for row in rows {
        let shown_by = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let tests: Vec<&str> =
            shown_by.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() > 2).collect();
        assert!(!tests.is_empty() || shown_by.contains("(#"), "no test shows: {row}");
        for test in tests {
            assert!(all.contains(&format!("fn {test}(")), "there is no test `{test}`");
            named += 1;
        }
    }
    assert!(named > 30, "{named}");
}
