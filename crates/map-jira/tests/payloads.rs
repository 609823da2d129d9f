//! Comments and worklogs that real servers embedded in issues, straight into the mappers. Runs where
//! `CDM_REAL_PAYLOADS` names a folder of them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod common;

use std::{env, fs, path::Path};

use common::map;
use endpoint_api::{Mapper, batch::Parent};
use map_jira::{JiraComments, JiraWorklogs};
use serde_json::Value;

/// Maps each line of `<name>.jsonl` with the parent that `<name>.origin.csv` tells for it.
fn embedded_records_are_mapped<M: Mapper>(folder: &Path, name: &str, entity: &str, text: &str) {
    let records = fs::read_to_string(folder.join(format!("{name}.jsonl"))).unwrap();
    let origins = fs::read_to_string(folder.join(format!("{name}.origin.csv"))).unwrap();
    let (mut identified, mut rejections) = (0, Vec::new());
    for (json, origin) in records.split_terminator('\n').zip(origins.lines().skip(1)) {
        let cells: Vec<&str> = origin.split(',').collect();
        let cell = |index: usize| cells.get(index).copied().filter(|cell: &&str| !cell.is_empty());
        let (parent_key, parent_id) = (cell(2), cell(3));
        let record: Value = serde_json::from_str(json).unwrap();
        let (Some(id), Some(parent_id)) = (record["id"].as_str(), parent_id) else { continue };
        identified += 1;
        let parent = Parent { id: Some(parent_id), key: parent_key };
        match map::<M>(json, Some(parent)) {
            Ok((row, version_at)) => {
                assert_eq!(row["cdm_id"], format!("cdm:work:{entity}:jira:{parent_id}:{id}"));
                assert_eq!(row["item_cdm_id"], format!("cdm:work:item:jira:{parent_id}"));
                assert_eq!(version_at.is_some(), record["updated"].is_string(), "{origin}");
                if let Some(typed) = record[text].as_str() {
                    // What the host's cleaning would have replaced is not in question here.
                    assert_eq!(row[text], *typed, "{origin}");
                }
            }
            Err(rejection) => rejections.push(format!("{origin}: {} {:?}", rejection.reason, rejection.field)),
        }
    }
    println!("{name}: {identified} with an id and a parent, {} rejected", rejections.len());
    assert!(identified > 0);
    assert!(rejections.len() * 1000 <= identified * 5, "{rejections:#?}");
}

#[test]
fn comments_and_worklogs_that_issues_embed_are_mapped() {
    let Some(folder) = env::var_os("CDM_REAL_PAYLOADS") else { return };
    embedded_records_are_mapped::<JiraComments>(folder.as_ref(), "comments_embedded", "comment", "body");
    embedded_records_are_mapped::<JiraWorklogs>(folder.as_ref(), "worklogs_embedded", "worklog", "comment");
}
