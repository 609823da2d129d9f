use std::{fs, io::ErrorKind, path::Path};

use cdm_models::ReleasedModel;

use crate::{Done, documents::work_models};

/// Writes the baseline of each work model. Fails, and writes nothing, when a model breaks with its last release.
pub(crate) fn release_models(root: &Path) -> Done {
    let folder = root.join("crates/cdm-models/baseline");
    let (mut releases, mut broken) = (Vec::new(), Vec::new());
    for model in work_models() {
        let model = model.descriptor()?;
        let path = folder.join(format!("{}.json", model.id));
        match fs::read_to_string(&path) {
            Ok(released) => {
                let released: ReleasedModel = serde_json::from_str(&released)?;
                broken.extend(released.breaches(&model).iter().map(|breach| format!("{}: {breach}", model.id)));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        releases.push((path, format!("{}\n", serde_json::to_string_pretty(&ReleasedModel::of(&model))?)));
    }
    if !broken.is_empty() {
        return Err(format!(
            "nothing was released, because models break with their last release:\n{}",
            broken.join("\n")
        )
        .into());
    }
    for (path, contents) in releases {
        fs::write(path, contents)?;
    }
    Ok(())
}
