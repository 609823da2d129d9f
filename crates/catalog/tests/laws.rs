//! Whatever is registered, written and recorded in whatever order: each store answers as a plain
//! in-memory catalog does.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::{collections::BTreeMap, future::Future};

use catalog::{
    AnnotationEdit, Annotations, Catalog, Cause, Dataset, DatasetFilter, DatasetId, DatasetSpec, LoadFacts,
    Registration, Subject,
};
use cdm_models::Timestamp;
use common::{Store, at, run_id};
use endpoint_api::{ErrorKind, Result};
use proptest::{collection::vec, option, prelude::*, sample::select};

/// What is said to a catalog, and when.
#[derive(Debug, Clone)]
enum Said {
    Dataset(DatasetSpec),
    Written(DatasetId, Words),
    Load(DatasetId, LoadFacts),
}

const VERSIONS: [&str; 3] = ["1.0.0", "1.1.0", "2.0.0"];

/// A dataset; the table in the warehouse and the unit in the warehouse have the same id.
fn spec() -> impl Strategy<Value = DatasetSpec> {
    let table = (select(&VERSIONS[..]), select(&VERSIONS[..]))
        .prop_map(|(version, provisioned)| common::table_spec_of(version, provisioned));
    let others = select(vec![common::table_at("lab"), common::unit_at("warehouse"), common::unit_spec()]);
    let upstream = vec(select(&["jira.issues@a", "jira.issues@b", "jira.users@a"][..]), 0..3);
    (prop_oneof![2 => table, 1 => others], upstream)
        .prop_map(|(spec, upstream)| spec.fed_by(upstream.into_iter().map(|id| id.parse().unwrap())))
}

/// What somebody writes: an empty text takes away.
#[derive(Debug, Clone)]
struct Words {
    description: Option<String>,
    owner: Option<String>,
    tags: Vec<(String, bool)>,
    note: Option<String>,
    rows: Option<Option<u64>>,
}

impl Words {
    fn edit(&self) -> AnnotationEdit {
        let mut edit = AnnotationEdit::default();
        if let Some(text) = &self.description {
            edit = edit.description(text);
        }
        if let Some(text) = &self.owner {
            edit = edit.owner(text);
        }
        for (tag, is_there) in &self.tags {
            edit = if *is_there { edit.tag(tag) } else { edit.without_tag(tag) };
        }
        if let Some(text) = &self.note {
            edit = edit.note("cdm_id", text);
        }
        match self.rows {
            Some(from) => edit.expect_rows(from.map(|from| format!("{from}..").parse().unwrap())),
            None => edit,
        }
    }

    fn write(&self, over: &mut Annotations) {
        let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        over.description = self.description.as_ref().map_or(over.description.clone(), text);
        over.owner = self.owner.as_ref().map_or(over.owner.clone(), text);
        for (tag, is_there) in &self.tags {
            over.tags.remove(tag);
            if *is_there {
                over.tags.insert(tag.clone());
            }
        }
        if let Some(note) = &self.note {
            over.notes.remove("cdm_id");
            over.notes.extend(text(note).map(|note| ("cdm_id".to_owned(), note)));
        }
        if let Some(from) = self.rows {
            over.expectations.rows = from.map(|from| format!("{from}..").parse().unwrap());
        }
    }
}

fn written() -> impl Strategy<Value = Words> {
    let text = || option::of(select(&["", "Ours", "Größe 'x' \"y\" $1"][..]).prop_map(str::to_owned));
    let tags = vec((select(&["a", "b", "'c'"][..]).prop_map(str::to_owned), any::<bool>()), 0..3);
    let rows = option::of(option::of(0..9u64));
    (text(), text(), tags, text(), rows).prop_map(|(description, owner, tags, note, rows)| Words {
        description,
        owner,
        tags,
        note,
        rows,
    })
}

fn load() -> impl Strategy<Value = LoadFacts> {
    let rows = option::of(select(vec![0, 7, i64::MAX.unsigned_abs()]));
    (select(&["r1", "r2"][..]), 0..4i64, rows)
        .prop_map(|(run, second, rows)| LoadFacts::new(run_id(run), at(second), rows))
}

fn said() -> impl Strategy<Value = Vec<Said>> {
    let id = || spec().prop_map(|spec| spec.id());
    let one = prop_oneof![
        3 => spec().prop_map(Said::Dataset),
        1 => (id(), written()).prop_map(|(id, written)| Said::Written(id, written)),
        1 => (id(), load()).prop_map(|(id, load)| Said::Load(id, load)),
    ];
    vec(one, 1..24)
}

/// What is to be answered; an error by its kind.
type Answer = Result<Option<Registration>, ErrorKind>;

/// A catalog of datasets that is nothing but a map.
#[derive(Default)]
struct Plain(BTreeMap<String, Dataset>);

impl Plain {
    fn hear(&mut self, said: &Said, at: Timestamp) -> Answer {
        match said {
            Said::Dataset(spec) => self.register(spec, at).map(Some),
            Said::Written(id, written) => {
                let dataset = self.0.get_mut(id.as_str()).ok_or(ErrorKind::Config)?;
                let before = dataset.annotations.clone();
                written.write(&mut dataset.annotations);
                if dataset.annotations != before {
                    dataset.annotated_at = Some(at);
                }
                Ok(None)
            }
            Said::Load(id, load) => {
                let dataset = self.0.get_mut(id.as_str()).ok_or(ErrorKind::Config)?;
                if dataset.last_load.as_ref().is_none_or(|last| last.at <= load.at) {
                    dataset.last_load = Some(load.clone());
                }
                Ok(None)
            }
        }
    }

    fn register(&mut self, spec: &DatasetSpec, at: Timestamp) -> Result<Registration, ErrorKind> {
        let id = spec.id().to_string();
        let Some(dataset) = self.0.get_mut(&id) else {
            self.0.insert(id, Dataset::new(spec.clone(), at));
            return Ok(Registration::new(true, 1));
        };
        let (said, known) = match (spec.subject(), dataset.spec.subject()) {
            (Subject::CdmTable { version, provisioned, .. }, Subject::CdmTable { version: known, .. })
                if version < known && version < &provisioned.version =>
            {
                (&dataset.spec, spec)
            }
            (Subject::CdmTable { .. }, Subject::CdmTable { .. })
            | (Subject::SourceUnit { .. }, Subject::SourceUnit { .. }) => (spec, &dataset.spec),
            _ => return Err(ErrorKind::Conflict),
        };
        let merged = said.clone().fed_by(known.upstream().clone());
        let is_new = merged != dataset.spec;
        if is_new {
            (dataset.spec, dataset.updated_at, dataset.version) = (merged, at, dataset.version + 1);
        }
        Ok(Registration::new(is_new, dataset.version))
    }

    fn datasets(&self) -> Vec<Dataset> {
        self.0.values().cloned().collect()
    }
}

async fn say(catalog: &dyn Catalog, said: &Said, at: Timestamp) -> Answer {
    let answer = match said {
        Said::Dataset(spec) => catalog.register_dataset(spec, &Cause::Discovery, at).await.map(Some),
        Said::Written(id, written) => catalog.annotate(id, &written.edit(), at).await.map(|_| None),
        Said::Load(id, load) => catalog.record_load(id, load).await.map(|()| None),
    };
    answer.map_err(|error| error.kind())
}

/// Says all to a catalog, and compares each answer and what is there in the end.
async fn assert_answers_as_plain(catalog: &dyn Catalog, all: &[Said]) -> Plain {
    let mut plain = Plain::default();
    for (second, said) in (0..).zip(all) {
        assert_eq!(say(catalog, said, at(second)).await, plain.hear(said, at(second)), "{said:?}");
    }
    assert_eq!(catalog.datasets(&DatasetFilter::all()).await.unwrap(), plain.datasets());
    plain
}

/// As [`assert_answers_as_plain`]; then everything is still there in a store that is opened anew.
async fn assert_keeps_as_plain(store: &Store, all: &[Said]) {
    let catalog = store.open().await;
    let plain = assert_answers_as_plain(catalog.as_ref(), all).await;
    catalog.close().await.unwrap();
    let catalog = store.open().await;
    assert_eq!(catalog.datasets(&DatasetFilter::all()).await.unwrap(), plain.datasets());
    for (id, dataset) in plain.0 {
        assert_eq!(catalog.dataset(&id.parse().unwrap()).await.unwrap(), Some(dataset));
    }
}

fn run(test: impl Future) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, max_shrink_iters: 64, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn a_catalog_in_memory_answers_as_a_plain_one(all in said()) {
        run(async {
            let catalog = catalog::open("sqlite::memory:", ".".as_ref()).await.unwrap();
            assert_answers_as_plain(catalog.as_ref(), &all).await;
        });
    }
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn a_sqlite_catalog_keeps_what_a_plain_one_does(all in said()) {
        run(assert_keeps_as_plain(&Store::sqlite(), &all));
    }
}

proptest! {
    #![proptest_config(cases(8))]

    #[test]
    fn a_postgres_catalog_keeps_what_a_plain_one_does(all in said()) {
        run(assert_keeps_as_plain(&Store::postgres(), &all));
    }
}
