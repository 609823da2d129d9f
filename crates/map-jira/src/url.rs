/// The address of a project's or an issue's page, told from the address of its REST resource and its
/// key: `https://acme.example/rest/api/3/issue/10001` and `ACME-7` give
/// `https://acme.example/browse/ACME-7`. `None` when `resource` is no REST address.
pub(crate) fn page(resource: &str, key: &str) -> Option<String> {
    let (site, _) = resource.split_once("/rest/")?;
    (!key.is_empty()).then(|| format!("{site}/browse/{key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_below_the_site_even_with_a_context_path() {
        assert_eq!(
            page("https://acme.example/jira/rest/agile/1.0/issue/1", "ACME-7").as_deref(),
            Some("https://acme.example/jira/browse/ACME-7")
        );
        assert_eq!(page("ACME-7", "ACME-7"), None);
        assert_eq!(page("https://acme.example/rest/api/3/issue/1", ""), None);
    }
}
