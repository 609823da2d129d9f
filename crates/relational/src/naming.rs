use std::collections::HashMap;

use cdm_models::{ModelDescriptor, ModelId};
use endpoint_api::{Error, ErrorKind, Result};

use crate::{Identifier, support};

/// Which table a model's rows are in.
#[derive(Debug, Clone)]
pub struct Naming {
    prefix: String,
}

impl Naming {
    /// Table names begin with `prefix`, which may be empty.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }

    /// What the names of tables begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether this is the name of a table of the model, of any major version.
    pub fn is_of(&self, table: &str, model: &str) -> bool {
        let Ok(model) = model.parse() else { return false };
        let Ok(first) = self.of_major(&model, 1) else { return false };
        let rest = table.strip_prefix(first.as_str());
        rest.is_some_and(|rest| {
            let major = rest.strip_prefix("_v").and_then(|major| major.parse::<u64>().ok());
            rest.is_empty() || major.is_some_and(|major| major > 1)
        })
    }

    /// The table of a model: the prefix and the model's id without a leading `cdm.`, with underscores
    /// for dots. With the prefix `cdm_`, `cdm.work.item` is in `cdm_work_item`, and from its second major
    /// version on in a table beside that: `cdm_work_item_v2`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when that is too long for a name or is the name of a table of the sink's
    /// own.
    pub fn table(&self, model: &ModelDescriptor) -> Result<Identifier> {
        self.of_major(&model.id, model.version.major)
    }

    /// The table of a major version of a model.
    ///
    /// # Errors
    ///
    /// As [`table`](Self::table).
    pub fn of_major(&self, model: &ModelId, major: u64) -> Result<Identifier> {
        match major {
            0 | 1 => self.name(model, ""),
            _ => self.name(model, &format!("_v{major}")),
        }
    }

    /// The view of a major version of a model, which readers may use from the second one on:
    /// `cdm_work_item_view_v2`.
    ///
    /// # Errors
    ///
    /// As [`table`](Self::table).
    pub fn view(&self, model: &ModelId, major: u64) -> Result<Identifier> {
        self.name(model, &format!("_view_v{}", major.max(1)))
    }

    /// The view of the live rows of a major version of a model: `cdm_work_item_live`, and from the second version on
    /// `cdm_work_item_live_v2`.
    ///
    /// # Errors
    ///
    /// As [`table`](Self::table).
    pub fn live_view(&self, model: &ModelId, major: u64) -> Result<Identifier> {
        match major {
            0 | 1 => self.name(model, "_live"),
            _ => self.name(model, &format!("_live_v{major}")),
        }
    }

    fn name(&self, model: &ModelId, suffix: &str) -> Result<Identifier> {
        let id = model.as_str();
        let short = id.strip_prefix("cdm.").unwrap_or(id).replace('.', "_");
        let name =
            Identifier::new(format!("{}{short}{suffix}", self.prefix)).map_err(|error| error.with("model", model))?;
        if support::NAMES.contains(&name.as_str()) {
            let message =
                format!("`{}` is the name of a table of the sink's own; choose another prefix", name.as_str());
            return Err(Error::new(ErrorKind::Config, "name a table", message).with("model", model));
        }
        Ok(name)
    }

    /// The tables of several models.
    ///
    /// # Errors
    ///
    /// Beside those of [`table`](Self::table), when two models would share a table, or one the view of another.
    pub fn tables(&self, models: &[&ModelDescriptor]) -> Result<Vec<Identifier>> {
        let mut taken: HashMap<Identifier, &ModelId> = HashMap::new();
        let mut names = Vec::with_capacity(models.len());
        for model in models {
            let table = self.table(model)?;
            let view = (model.version.major > 1).then(|| self.view(&model.id, model.version.major)).transpose()?;
            for name in [&table].into_iter().chain(&view) {
                if let Some(other) = taken.insert(name.clone(), &model.id).filter(|other| **other != model.id) {
                    let message = format!("the models `{other}` and `{}` would share the name {name}", model.id);
                    return Err(Error::new(ErrorKind::Config, "name a table", message));
                }
            }
            names.push(table);
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_one_table() {
        let table = |prefix: &str, id: &'static str| {
            Naming::new(prefix).of_major(&ModelId::from_static(id), 1).map(|name| name.as_str().to_owned())
        };
        assert_eq!(table("cdm_", "cdm.work.item").unwrap(), "cdm_work_item");
        assert_eq!(table("", "acme.team").unwrap(), "acme_team");
        let (naming, item) = (Naming::new("cdm_"), ModelId::from_static("cdm.work.item"));
        assert_eq!(naming.of_major(&item, 2).unwrap().as_str(), "cdm_work_item_v2");
        for (table, is_of) in [("cdm_work_item", true), ("cdm_work_item_v2", true), ("cdm_work_item_v1", false)] {
            assert_eq!(naming.is_of(table, "cdm.work.item"), is_of, "{table}");
        }
        assert!(!naming.is_of("b_work_item", "cdm.work.item"));
        assert_eq!(naming.view(&item, 1).unwrap().as_str(), "cdm_work_item_view_v1");
        assert_eq!(naming.live_view(&item, 1).unwrap().as_str(), "cdm_work_item_live");
        assert_eq!(naming.live_view(&item, 2).unwrap().as_str(), "cdm_work_item_live_v2");
        let error = table(&"p".repeat(60), "cdm.work.item").unwrap_err().to_string();
        assert!(error.contains("has 69 bytes as a name") && error.contains("model: cdm.work.item"), "{error}");
        assert_eq!(
            table("_", "cdm.cdm_load").unwrap_err().to_string(),
            "`_cdm_load` is the name of a table of the sink's own; choose another prefix (model: cdm.cdm_load)"
        );
    }
}
