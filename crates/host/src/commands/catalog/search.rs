use catalog::DatasetFilter;
use serde_json::{Value, json};

use super::to_json;
use crate::{answer::Answer, app::App, failure::Failure, metadata::open_catalog, table::Table};

/// Finds datasets by words.
pub(crate) async fn search(app: &App, words: &[String]) -> Result<Answer, Failure> {
    let catalog = open_catalog(&app.settings()?).await?;
    let datasets = catalog.datasets(&DatasetFilter::all()).await?;
    catalog.close().await?;
    let hits = catalog::search(&datasets, words);
    let mut table = Table::new(&["DATASET", "LOCATION", "FOUND IN", "TEXT"]).wrapped(&["TEXT"]).optional(&["LOCATION"]);
    for hit in &hits {
        let spec = &hit.dataset.spec;
        let mut begin = [spec.id().to_string(), spec.location().to_owned()];
        for found in &hit.found {
            let [id, location] = std::mem::take(&mut begin);
            table.row([id, location, found.place.clone(), shortened(&found.text)]);
        }
    }
    let json = hits.iter().map(|hit| {
        let found = hit.found.iter().map(|found| json!({ "place": found.place, "text": found.text }));
        let found: Vec<Value> = found.collect();
        let mut json = to_json(hit.dataset);
        if let Some(members) = json.as_object_mut() {
            members.extend([("score".to_owned(), hit.score.into()), ("found".to_owned(), found.into())]);
        }
        json
    });
    let text = if hits.is_empty() { "no dataset has all of these words\n".to_owned() } else { table.render(app.width) };
    Ok(Answer::new("datasets", json.collect::<Vec<_>>(), text))
}

/// The beginning of a text, as much as fits on a line.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 80;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    line.chars().take(LONGEST - 1).chain(['…']).collect()
}
