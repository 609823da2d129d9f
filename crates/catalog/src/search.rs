use std::cmp::Reverse;

use crate::Dataset;

/// A dataset in which all the words of a search are found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hit<'d> {
    /// The dataset.
    pub dataset: &'d Dataset,
    /// The greater, the better it fits.
    pub score: u32,
    /// Where each word is found best, the best first.
    pub found: Vec<Found>,
}

/// A place where a word of a search is found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Found {
    /// What it is: `id`, `owner`, `field summary`.
    pub place: String,
    /// The text that stands there.
    pub text: String,
}

/// How much it says when a word is found there.
const ID: u32 = 12;
const TAG: u32 = 10;
const LABEL: u32 = 8;
const OWNER: u32 = 8;
const FIELD_NAME: u32 = 6;
const LOCATION: u32 = 5;
const DESCRIPTION: u32 = 4;
const NOTE: u32 = 4;
const FIELD_DESCRIPTION: u32 = 2;

/// Searches datasets for words, with no regard to upper and lower case. Every word must be found somewhere. The best
/// come first: what people call a thing counts more than what a text mentions, and a whole word more than a part of
/// one. Those that fit equally well are sorted by id.
pub fn search<'d>(datasets: &'d [Dataset], words: &[impl AsRef<str>]) -> Vec<Hit<'d>> {
    let words: Vec<String> = words
        .iter()
        .flat_map(|text| text.as_ref().split_whitespace().map(str::to_lowercase).collect::<Vec<_>>())
        .collect();
    if words.is_empty() {
        return Vec::new();
    }
    let mut hits: Vec<Hit<'d>> = datasets.iter().filter_map(|dataset| hit(dataset, &words)).collect();
    hits.sort_by_cached_key(|hit| (Reverse(hit.score), hit.dataset.spec.id()));
    hits
}

fn hit<'d>(dataset: &'d Dataset, words: &[String]) -> Option<Hit<'d>> {
    let places = places(dataset);
    let best = words.iter().map(|word| {
        let scored = places.iter().map(|(weight, found)| (weight * fit(&found.text.to_lowercase(), word), found));
        scored.filter(|(score, _)| *score > 0).max_by_key(|(score, found)| (*score, Reverse(*found)))
    });
    let mut best: Vec<(u32, &Found)> = best.collect::<Option<_>>()?;
    let score = best.iter().map(|(score, _)| score).sum();
    best.sort_by(|one, other| (Reverse(one.0), one.1).cmp(&(Reverse(other.0), other.1)));
    let mut found: Vec<Found> = Vec::with_capacity(best.len());
    for (_, place) in best {
        if !found.contains(place) {
            found.push(place.clone());
        }
    }
    Some(Hit { dataset, score, found })
}

/// How well a word fits a text: it is all of it, a whole word of it, the beginning of one, or somewhere within.
fn fit(text: &str, word: &str) -> u32 {
    let starts =
        |(start, _): &(usize, &str)| text.get(..*start).is_some_and(|before| !before.ends_with(char::is_alphanumeric));
    let ends = |(start, _): &(usize, &str)| {
        text.get(start + word.len()..).is_some_and(|after| !after.starts_with(char::is_alphanumeric))
    };
    if text == word {
        4
    } else if text.match_indices(word).any(|found| starts(&found) && ends(&found)) {
        3
    } else if text.match_indices(word).any(|found| starts(&found)) {
        2
    } else {
        u32::from(text.contains(word))
    }
}

/// All that is searched of a dataset, with how much it says.
fn places(dataset: &Dataset) -> Vec<(u32, Found)> {
    let (spec, people) = (&dataset.spec, &dataset.annotations);
    let mut places = Vec::new();
    let mut add = |weight: u32, place: String, text: String| places.push((weight, Found { place, text }));
    add(ID, "id".to_owned(), spec.id().to_string());
    add(LOCATION, "location".to_owned(), spec.location().to_owned());
    for label in spec.labels() {
        add(LABEL, "label".to_owned(), label);
    }
    for tag in &people.tags {
        add(TAG, "tag".to_owned(), tag.clone());
    }
    if let Some(owner) = &people.owner {
        add(OWNER, "owner".to_owned(), owner.clone());
    }
    if let Some(description) = &people.description {
        add(DESCRIPTION, "description".to_owned(), description.clone());
    }
    add(DESCRIPTION, "what it is".to_owned(), spec.description().to_owned());
    for (field, note) in &people.notes {
        add(NOTE, format!("note on {field}"), note.clone());
    }
    for field in spec.fields() {
        add(FIELD_NAME, format!("field {}", field.name), field.name.clone());
        add(FIELD_DESCRIPTION, format!("field {}", field.name), field.description.clone());
    }
    places
}
