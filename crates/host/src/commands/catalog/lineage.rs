use std::{collections::BTreeMap, fmt::Write as _};

use catalog::{ColumnStep, DatasetFilter, DatasetId, DatasetLineage, trace};
use clap::ValueEnum;
use endpoint_api::lineage::PlaceKind;
use serde_json::{Map, Value, json};

use super::find;
use crate::{
    answer::Answer,
    app::App,
    failure::Failure,
    printable::on_one_line,
    table::{Table, Width},
};

/// How a lineage is written for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LineageFormat {
    /// Tables.
    Text,
    /// A Mermaid flow chart, which Markdown pages of GitHub and GitLab show as a picture.
    Mermaid,
    /// The object that `--output json` prints.
    Json,
}

/// Shows what a dataset is made from and what is made from it, from dataset to dataset and column to column.
pub(crate) async fn lineage(app: &App, id: &str, format: LineageFormat) -> Result<Answer, Failure> {
    let (catalog, dataset) = find(app, id).await?;
    let datasets = catalog.datasets(&DatasetFilter::all()).await?;
    catalog.close().await?;
    let lineage = trace(&dataset.spec.id(), &datasets);
    let json = Map::from_iter([("lineage".to_owned(), to_json(&lineage))]);
    let text = match format {
        LineageFormat::Text => to_text(&lineage, app.width),
        LineageFormat::Mermaid => to_mermaid(&lineage),
        LineageFormat::Json => format!("{:#}\n", Value::Object(json.clone())),
    };
    Ok(Answer::of(json, text))
}

fn to_json(lineage: &DatasetLineage) -> Value {
    let column = |column: &ColumnStep| {
        json!({
            "field": column.field,
            "place": column.input.place,
            "path": column.input.path,
            "derivation": column.input.derivation,
            "when": column.input.when,
        })
    };
    let steps = lineage.steps.iter().map(|step| {
        let columns: Vec<Value> = step.columns.iter().map(column).collect();
        json!({ "from": step.from, "to": step.to, "columns": columns })
    });
    json!({
        "dataset": lineage.dataset,
        "upstream": lineage.upstream,
        "downstream": lineage.downstream,
        "steps": steps.collect::<Vec<Value>>(),
    })
}

fn to_text(lineage: &DatasetLineage, width: Width) -> String {
    let joined = |ids: &mut dyn Iterator<Item = &DatasetId>| {
        let ids: Vec<String> = ids.map(ToString::to_string).collect();
        if ids.is_empty() { "nothing that the catalog knows of".to_owned() } else { ids.join(", ") }
    };
    let mut text = format!(
        "{}\n  is made from  {}\n  goes into     {}\n",
        lineage.dataset,
        joined(&mut lineage.upstream.iter()),
        joined(&mut lineage.downstream.iter()),
    );
    for step in &lineage.steps {
        let _ = write!(text, "\n{} → {}\n\n", step.from, step.to); // writing to a String cannot fail
        if step.columns.is_empty() {
            text.push_str("no mapper has declared which columns feed which\n");
            continue;
        }
        let mut table = Table::new(&["FIELD", "MADE OF", "HOW", "WHEN"]).wrapped(&["MADE OF", "WHEN"]);
        let mut last = "";
        for ColumnStep { field, input, .. } in &step.columns {
            let name = if field == last { String::new() } else { field.clone() };
            last = field;
            let when = input.when.clone().unwrap_or_default();
            table.row([name, place(input.place, &input.path), input.derivation.to_string(), when]);
        }
        text.push_str(&table.render(width));
    }
    text
}

/// A place in words.
fn place(kind: PlaceKind, path: &str) -> String {
    match kind {
        PlaceKind::Record if path == "**" => "every other member".to_owned(),
        PlaceKind::Record => path.to_owned(),
        PlaceKind::Envelope => format!("the envelope's {path}"),
        PlaceKind::Configuration => format!("the endpoint's {path}"),
    }
}

/// A flow chart in which each dataset is a box with those of its columns that a step speaks of.
fn to_mermaid(lineage: &DatasetLineage) -> String {
    let mut boxes: BTreeMap<&DatasetId, Vec<String>> = BTreeMap::from([(&lineage.dataset, Vec::new())]);
    for step in &lineage.steps {
        let from = boxes.entry(&step.from).or_default();
        let places = step.columns.iter().map(|column| place(column.input.place, &column.input.path));
        add_new(from, places);
        add_new(boxes.entry(&step.to).or_default(), step.columns.iter().map(|column| column.field.clone()));
    }
    let numbers: BTreeMap<&DatasetId, usize> = boxes.keys().enumerate().map(|(number, id)| (*id, number)).collect();
    let node = |id: &DatasetId, column: Option<&str>| {
        let number = numbers.get(id).copied().unwrap_or_default();
        let columns = boxes.get(id).map(Vec::as_slice).unwrap_or_default();
        match column.and_then(|column| columns.iter().position(|known| known == column)) {
            Some(place) => format!("d{number}c{place}"),
            None => format!("d{number}"),
        }
    };
    let mut chart = String::from("flowchart LR\n");
    let mut line = |depth: usize, text: String| {
        let _ = writeln!(chart, "{:1$}{text}", "", depth * 2); // writing to a String cannot fail
    };
    for (id, columns) in &boxes {
        if columns.is_empty() {
            line(1, format!("{}[{}]", node(id, None), quoted(id.as_str())));
            continue;
        }
        line(1, format!("subgraph {}[{}]", node(id, None), quoted(id.as_str())));
        for column in columns {
            line(2, format!("{}[{}]", node(id, Some(column)), quoted(column)));
        }
        line(1, "end".to_owned());
    }
    for step in &lineage.steps {
        if step.columns.is_empty() {
            line(1, format!("{} --> {}", node(&step.from, None), node(&step.to, None)));
        }
        for ColumnStep { field, input, .. } in &step.columns {
            let from = node(&step.from, Some(&place(input.place, &input.path)));
            line(1, format!("{from} -->|{}| {}", input.derivation, node(&step.to, Some(field))));
        }
    }
    chart
}

fn add_new(names: &mut Vec<String>, more: impl Iterator<Item = String>) {
    for name in more {
        if !names.contains(&name) {
            names.push(name);
        }
    }
}

/// A text as Mermaid takes it in a label.
fn quoted(text: &str) -> String {
    format!("\"{}\"", on_one_line(text).replace('#', "#35;").replace('"', "#quot;"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_before_its_end() {
        assert_eq!(quoted(r##"a"]#b"##), r##""a#quot;]#35;b""##);
    }
}
