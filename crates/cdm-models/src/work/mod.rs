//! The work models: what teams plan, do, say and log, in one shape for every tool.
//!
//! A record's `cdm_id` is built from ids that never change at the source ([`crate::cdm_id`]), so
//! that a renamed user, a moved issue or a second import lands on the same row. Texts are borrowed
//! from the source record where they can be.
//!
//! Every model ends with the same three fields. `source_url` leads people back to the record,
//! `raw_source` keeps what mapping changed or shortened as it was received, and `properties` keeps,
//! for queries, what no field holds. Together with the fields they give the source record back.

mod comment;
mod item;
mod project;
mod user;
mod worklog;

pub use comment::Comment;
pub use item::{Item, StatusCategory};
pub use project::Project;
pub use user::User;
pub use worklog::Worklog;

#[cfg(test)]
mod tests {
    use crate::{LogicalType, registered_models};

    #[test]
    fn the_five_work_models_are_registered_and_hang_together() {
        let models = registered_models().unwrap();
        let ids: Vec<_> = models.iter().map(|model| model.id.as_str()).collect();
        assert_eq!(ids, ["cdm.work.comment", "cdm.work.item", "cdm.work.project", "cdm.work.user", "cdm.work.worklog"]);
        for model in &models {
            assert_eq!(model.key().name, "cdm_id");
            assert_eq!(model.field("raw_source").unwrap().logical_type, LogicalType::RawJson);
            assert_eq!(model.field("properties").unwrap().logical_type, LogicalType::Json);
            for field in &model.fields {
                assert!(!field.description.is_empty(), "{}.{} has no description", model.id, field.name);
                if let Some(target) = &field.references {
                    assert!(ids.contains(&target.as_str()), "{}.{} refers to {target}", model.id, field.name);
                }
            }
        }
    }
}
