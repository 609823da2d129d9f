use serde_json::{Map, Value};

use crate::{
    answer::Answer,
    app::App,
    endpoints::open,
    failure::{Exit, Failure},
    lineage::{Courier, Transport},
    metadata::open_catalog,
    table::grouped,
};

/// Delivers what waits in the outboxes of all sinks and of the catalog.
pub(crate) async fn flush(app: &App) -> Result<Answer, Failure> {
    let settings = app.settings()?;
    let Some(lineage) = &settings.lineage else {
        return Err(Failure::config("lineage", "nobody is configured to be told; write `openlineage_url` or `file`"));
    };
    let transport = Transport::of(lineage, &settings.base_dir, app.output)?;
    let catalog = open_catalog(&settings).await?;
    let mut sinks = Vec::new();
    for endpoint in &settings.endpoints {
        let driver = app.registry.driver(&endpoint.driver);
        if driver.and_then(|driver| driver.capabilities().sink).is_some_and(|sink| sink.outbox) {
            sinks.push(open(app, &settings, endpoint).await?);
        }
    }
    let own = sinks.iter().filter_map(|sink| sink.endpoint.sink()?.outbox());
    let outboxes = own.chain([catalog.outbox()]).collect();
    let delivery = Courier::new(transport, outboxes, None).deliver_rest().await;
    catalog.close().await?;
    for sink in &sinks {
        sink.endpoint.close().await?;
    }

    let mut text = format!("{} delivered\n", grouped(delivery.delivered));
    if delivery.refused > 0 {
        text.push_str(&format!("{} of them are refused for good\n", grouped(delivery.refused)));
    }
    let json = [("delivered", delivery.delivered), ("refused", delivery.refused)];
    let json = Map::from_iter(json.map(|(name, count)| (name.to_owned(), Value::from(count))));
    let failure = delivery.failure.map(|error| Failure::from(error).at("lineage"));
    let exit = failure.as_ref().map_or(Exit::Ok, Failure::exit);
    Ok(Answer::of(json, text).failed(failure).exit(exit))
}
