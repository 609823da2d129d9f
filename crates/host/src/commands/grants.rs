use cdm_models::ModelDescriptor;
use endpoint_api::{GrantRequest, Grants, ModelPattern};
use serde_json::{Map, Value, json};

use super::provision::{matching, provisioner};
use crate::{
    answer::Answer,
    app::App,
    endpoints::{find, open},
    failure::Failure,
};

/// Says which rights provisioning, loading and reading the models that match need on a sink, and what gives them.
pub(crate) async fn grants(
    app: &App,
    sink: &str,
    patterns: &[ModelPattern],
    request: &GrantRequest,
) -> Result<Answer, Failure> {
    let settings = app.settings()?;
    let opened = open(app, &settings, find(&settings, sink)?).await?;
    let capabilities = opened.driver.capabilities();
    if !capabilities.sink.is_some_and(|sink| sink.grants) {
        let message = format!("`{sink}` ({}) has no roles to give rights to; see `cdm drivers`", opened.driver.id());
        return Err(Failure::usage(message));
    }
    let supported: Vec<_> = app.registry.supported_models(capabilities).cloned().collect();
    let models = matching(&supported, patterns)?;
    let models: Vec<&ModelDescriptor> = models.iter().map(AsRef::as_ref).collect();
    let grants = provisioner(&opened)?.grants(request, &models).await?;
    opened.endpoint.close().await?;
    Ok(Answer::verbatim(to_json(sink, &grants), grants.script))
}

fn to_json(sink: &str, grants: &Grants) -> Map<String, Value> {
    Map::from_iter([
        ("sink".to_owned(), Value::from(sink)),
        ("roles".to_owned(), json!(grants.roles)),
        ("script".to_owned(), Value::from(grants.script.as_str())),
    ])
}
