use crate::{json::members, units::Unit};

/// The members in which a comment or a worklog states who may read it.
const MEMBERS: [&str; 5] = ["visibility", "jsdPublic", "properties", "roleLevel", "groupLevel"];

/// Whether a record states who may read it, be it everybody.
///
/// An issue embeds its comments without their properties, so the internal note of a service desk looks public there.
/// The copy that states it replaces the one that does not, wherever the two come from.
pub(crate) fn states_access(unit: Unit, json: &str) -> bool {
    unit.is_of_an_issue() && members(json, MEMBERS).is_some_and(|found| found.iter().any(Option::is_some))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_or_worklog_with_a_value_in_one_of_the_members_states_it() {
        let states = |json| states_access(Unit::Comments, json) && states_access(Unit::Worklogs, json);
        for json in [
            r#"{"visibility":{"type":"role","value":"Staff"}}"#,
            r#"{"jsdPublic":true}"#,
            r#"{"properties":[]}"#,
            r#"{"roleLevel":"Staff"}"#,
            r#"{"groupLevel":"staff"}"#,
        ] {
            assert!(states(json), "{json}");
            assert!(!states_access(Unit::Issues, json), "{json}");
        }
        for json in [r#"{"id":"1","body":"jsdPublic"}"#, r#"{"visibility":null}"#, "[]", "{"] {
            assert!(!states(json), "{json}");
        }
    }
}
