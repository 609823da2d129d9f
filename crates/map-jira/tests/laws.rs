//! What holds for whatever record.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{
    ON_ISSUE,
    generators::{anything, comment, identified_user, issue, project, worklog},
    leaves::{is_direct_null, leaves, without},
    map,
};
use endpoint_api::Mapper;
use map_jira::{JiraComments, JiraIssues, JiraProjects, JiraUsers, JiraWorklogs};
use proptest::prelude::*;
use serde_json::Value;

fn null_is_as_good_as_absent<M: Mapper>(record: &Value) -> Result<(), TestCaseError> {
    let row = map::<M>(&record.to_string(), ON_ISSUE).unwrap();
    for path in leaves(record).iter().filter(|path| is_direct_null(record, path)) {
        prop_assert_eq!(&map::<M>(&without(record, path).to_string(), ON_ISSUE).unwrap(), &row, "{:?}", path);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_member_that_is_null_is_as_good_as_one_that_is_absent(
        issue in issue(), project in project(), user in identified_user(), comment in comment(), worklog in worklog(),
    ) {
        null_is_as_good_as_absent::<JiraIssues>(&issue)?;
        null_is_as_good_as_absent::<JiraProjects>(&project)?;
        null_is_as_good_as_absent::<JiraUsers>(&user)?;
        null_is_as_good_as_absent::<JiraComments>(&comment)?;
        null_is_as_good_as_absent::<JiraWorklogs>(&worklog)?;
    }

    /// Whatever is thrown at a mapper, it answers with a row or a rejection.
    #[test]
    fn no_input_makes_a_mapper_panic(value in anything(), text in "\\PC{0,40}", cut in 0usize..60) {
        let json = value.to_string();
        let cut = json.get(..cut.min(json.len())).unwrap_or_default();
        for json in [json.as_str(), text.as_str(), cut] {
            let _ = map::<JiraIssues>(json, None);
            let _ = map::<JiraProjects>(json, None);
            let _ = map::<JiraUsers>(json, None);
            let _ = map::<JiraComments>(json, ON_ISSUE);
            let _ = map::<JiraWorklogs>(json, ON_ISSUE);
        }
    }
}
