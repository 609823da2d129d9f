//! The work models keep to their last release.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{collections::BTreeMap, fs, path::Path};

use cdm_models::{ModelId, ReleasedModel, registered_models};

/// The last release of each model, as `cargo xtask release-models` has written it down.
fn releases() -> BTreeMap<ModelId, ReleasedModel> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline");
    let mut releases = BTreeMap::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let released: ReleasedModel = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(
            path.file_stem().unwrap().to_str().unwrap(),
            released.id().as_str(),
            "a release is named after its model"
        );
        releases.insert(released.id().clone(), released);
    }
    releases
}

#[test]
fn every_model_keeps_to_its_last_release() {
    let models = registered_models().unwrap();
    let mut broken = Vec::new();
    let mut releases = releases();
    for model in &models {
        match releases.remove(&model.id) {
            Some(released) => {
                broken.extend(released.breaches(model).iter().map(|breach| format!("{}: {breach}", model.id)));
            }
            None => broken.push(format!("{}: was never released; `cargo xtask release-models` does it", model.id)),
        }
    }
    broken.extend(releases.keys().map(|id| format!("{id}: the model is gone, but its tables and readers are there")));
    assert!(broken.is_empty(), "models break with their last release:\n{}", broken.join("\n"));
    assert!(models.len() >= 5, "{models:?}");
}
