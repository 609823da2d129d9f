/// Names of which a smaller share agrees are not taken for each other.
const ALIKE: f64 = 0.6;

/// The name among `known` that is most like `name`, for "did you mean": `None` when none is alike. Of dotted names
/// what follows the segments that they share is compared: `cdm.oracle` is not like `cdm.sqlite`.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let rated = known.into_iter().map(|known| {
        let (one, other) = without_shared_segments(name, known);
        (strsim::normalized_damerau_levenshtein(&one.to_lowercase(), &other.to_lowercase()), known)
    });
    let alike = rated.filter(|(likeness, _)| *likeness >= ALIKE);
    alike.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, known)| known)
}

fn without_shared_segments<'n>(one: &'n str, other: &'n str) -> (&'n str, &'n str) {
    match (one.split_once('.'), other.split_once('.')) {
        (Some((first, one)), Some((second, other))) if first == second => without_shared_segments(one, other),
        _ => (one, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_the_one_that_is_meant() {
        let known = ["connection_url", "schema", "table_prefix", "retention_days", "retention_rows"];
        for (name, meant) in [
            ("conection_url", Some("connection_url")),
            ("connectionUrl", Some("connection_url")),
            ("Schema", Some("schema")),
            ("prefix_table", None),
            ("retention_day", Some("retention_days")),
            ("colour", None),
            ("", None),
            ("uri", None),
        ] {
            assert_eq!(nearest(name, known), meant, "{name}");
        }
        assert_eq!(nearest("uri", ["url"]), Some("url"));
        assert_eq!(nearest("anything", []), None);
    }

    #[test]
    fn segments_that_names_share_do_not_make_them_alike() {
        let known = ["cdm.postgres", "cdm.sqlite", "jira.export", "raw.files"];
        assert_eq!(nearest("cdm.oracle", known), None);
        assert_eq!(nearest("cdm.postgre", known), Some("cdm.postgres"));
        assert_eq!(nearest("jira_export", known), Some("jira.export"));
    }
}
