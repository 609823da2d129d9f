/// Builds the CDM id of a record: `cdm:work:<entity>:<source_system>:<source id>`, or with a
/// parent `cdm:work:<entity>:<source_system>:<parent source id>:<source id>`.
///
/// The parts are the ids that never change at the source; a name or a key that can be renamed is
/// never part of a CDM id.
///
/// ```
/// assert_eq!(cdm_models::cdm_id("item", "jira", &["10001"]), "cdm:work:item:jira:10001");
/// assert_eq!(cdm_models::cdm_id("comment", "jira", &["10001", "7"]), "cdm:work:comment:jira:10001:7");
/// ```
pub fn cdm_id(entity: &str, source_system: &str, source_ids: &[&str]) -> String {
    const PREFIX: &str = "cdm:work:";
    let ids: usize = source_ids.iter().map(|id| id.len() + 1).sum();
    let mut text = String::with_capacity(PREFIX.len() + entity.len() + 1 + source_system.len() + ids);
    text.push_str(PREFIX);
    text.push_str(entity);
    text.push(':');
    text.push_str(source_system);
    for id in source_ids {
        text.push(':');
        text.push_str(id);
    }
    text
}
