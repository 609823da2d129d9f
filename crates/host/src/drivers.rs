//! The drivers and mappers that this host links. A crate that is named nowhere but in `Cargo.toml` is
//! silently not linked, and then the registry does not find it.

use map_jira as _;
use sink_files_raw as _;
use sink_postgres_cdm as _;
use sink_sqlite_cdm as _;
use source_jira as _;

#[cfg(test)]
mod tests {
    use endpoint_api::Registry;

    #[test]
    fn the_registry_finds_what_is_linked() {
        let registry = Registry::load().unwrap();
        let drivers: Vec<&str> = registry.drivers().iter().map(|driver| driver.id()).collect();
        assert_eq!(drivers, ["cdm.postgres", "cdm.sqlite", "jira.export", "raw.files"]);
        for unit in ["jira.comments", "jira.issues", "jira.projects", "jira.users", "jira.worklogs"] {
            assert!(registry.mapper(&unit.parse().unwrap()).is_some(), "{unit} has no mapper");
        }
    }

    #[test]
    fn every_template_has_a_sample_that_fits_its_schema() {
        for driver in Registry::load().unwrap().drivers() {
            let template = driver.template();
            assert!(!template.title.is_empty() && !template.docs.is_empty(), "{}", driver.id());
            let problems = driver.config_schema().problems(&template.sample_config);
            assert!(problems.is_empty(), "{}: {problems:?}", driver.id());
        }
    }
}
