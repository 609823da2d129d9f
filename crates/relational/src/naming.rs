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

    /// The table of a model: the prefix and the model's id without a leading `cdm.`, with underscores
    /// for dots. With the prefix `cdm_`, `cdm.work.item` is in `cdm_work_item`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when that is too long for a name or is the name of a table of the sink's
    /// own.
    pub fn table(&self, model: &ModelId) -> Result<Identifier> {
        let id = model.as_str();
        let short = id.strip_prefix("cdm.").unwrap_or(id).replace('.', "_");
        let name = Identifier::new(format!("{}{short}", self.prefix)).map_err(|error| error.with("model", model))?;
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
    /// Beside those of [`table`](Self::table), when two models would share a table.
    pub fn tables(&self, models: &[&ModelDescriptor]) -> Result<Vec<Identifier>> {
        let mut taken: HashMap<Identifier, &ModelId> = HashMap::new();
        let mut names = Vec::with_capacity(models.len());
        for model in models {
            let name = self.table(&model.id)?;
            match taken.insert(name.clone(), &model.id) {
                Some(other) if *other != model.id => {
                    let message = format!("the models `{other}` and `{}` would share the table {name}", model.id);
                    return Err(Error::new(ErrorKind::Config, "name a table", message));
                }
                _ => names.push(name),
            }
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
            Naming::new(prefix).table(&ModelId::from_static(id)).map(|name| name.as_str().to_owned())
        };
        assert_eq!(table("cdm_", "cdm.work.item").unwrap(), "cdm_work_item");
        assert_eq!(table("", "acme.team").unwrap(), "acme_team");
        let error = table(&"p".repeat(60), "cdm.work.item").unwrap_err().to_string();
        assert!(error.contains("has 69 bytes as a name") && error.contains("model: cdm.work.item"), "{error}");
        assert_eq!(
            table("_", "cdm.cdm_load").unwrap_err().to_string(),
            "`_cdm_load` is the name of a table of the sink's own; choose another prefix (model: cdm.cdm_load)"
        );
    }
}
