//! A model that goes from 1.0 over 1.1 to 2.0, in every sink that makes tables of models.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use autoprovision::Target;
use catalog::DatasetFilter;
use cdm_models::{Model, ModelDescriptor, Timestamp};
use end_to_end::Sandbox;
use endpoint_api::{
    Batch, Begun, Change, Commit, Counts, Endpoint, EndpointId, ErrorKind, GrantRequest, Ingestion, Mapped, Mode,
    OpenContext, Overlap, RawBatch, Registry, RunEnd, RunSpec, Slice, UnitId,
    batch::{CdmBatchBuilder, NewRecord, Rank},
};
// The drivers are linked into it.
use host as _;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

/// One version of the model each: its number and its fields beside the key.
macro_rules! versions {
    ($($name:ident $version:literal { $($field:ident: $type:ty),* })+) => {$(
        /// A part.
        #[derive(Debug, Clone, Serialize, JsonSchema)]
        struct $name {
            /// Its id.
            #[schemars(extend("x-cdm-key" = true))]
            cdm_id: String,
            $(
                /// What it is like.
                $field: $type,
            )*
        }

        impl Model for $name {
            const ID: &'static str = "test.part";
            const VERSION: &'static str = $version;
        }
    )+};
}

versions! {
    Part1_0 "1.0.0" { name: Option<String>, weight: Option<i64> }
    Part1_1 "1.1.0" { name: Option<String>, colour: Option<String>, weight: Option<i64> }
    Part1_2 "1.2.0" { name: Option<String>, colour: Option<String>, weight: Option<i64>, note: Option<String> }
    Part2_0 "2.0.0" { title: Option<String>, weight: Option<f64>, colour: Option<String> }
    Part2_1 "2.1.0" { title: Option<String>, weight: Option<f64>, colour: Option<String>, size: Option<String> }
}

fn model<M: Model>() -> Arc<ModelDescriptor> {
    Arc::new(ModelDescriptor::of::<M>().unwrap())
}

/// A sink in a sandbox.
struct Site {
    sandbox: Sandbox,
    driver: &'static str,
    prefix: &'static str,
}

impl Site {
    /// One of each sink that makes tables of models.
    fn each(check: impl AsyncFn(&Site)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        for driver in ["cdm.postgres", "cdm.sqlite"] {
            let site = Self { sandbox: Sandbox::new(), driver, prefix: "cdm_" };
            runtime.block_on(check(&site));
        }
    }

    async fn endpoint(&self) -> Arc<dyn Endpoint> {
        let config = match self.driver {
            "cdm.postgres" => json!({ "connection_url": self.sandbox.database_url(), "table_prefix": self.prefix }),
            _ => json!({ "path": "work.db", "table_prefix": self.prefix }),
        };
        let registry = Registry::load().unwrap();
        let context = OpenContext::new(EndpointId::from_static("warehouse"), self.sandbox.folder());
        registry.driver(self.driver).unwrap().open(config, context).await.unwrap()
    }

    /// What a host that knows this version of the model would do.
    async fn plan<M: Model>(&self) -> endpoint_api::Result<Vec<Change>> {
        let endpoint = self.endpoint().await;
        let plan = endpoint.provisioner().unwrap().plan(&[&model::<M>()]).await?;
        plan.refusal().map_or_else(|| Ok(plan.changes().cloned().collect()), Err)
    }

    /// Lets such a host provision; says what it did, as `action object`.
    async fn provision<M: Model>(&self) -> Vec<String> {
        let endpoint = self.endpoint().await;
        let provisioner = endpoint.provisioner().unwrap();
        let plan = provisioner.plan(&[&model::<M>()]).await.unwrap();
        let receipt = provisioner.apply(&plan).await.unwrap();
        assert_eq!((receipt.changed, &receipt.models[0].version), (!plan.is_empty(), &model::<M>().version));
        assert_eq!(self.plan::<M>().await.unwrap(), [], "the plan converges");
        let told = |change: &Change| format!("{} {}", change.action, change.object.replace("cdm_work.", ""));
        plan.models[0].changes.iter().filter(|change| change.action != "describe").map(told).collect()
    }

    /// Lets such a host load rows, from the beginning.
    async fn load<M: Model + Clone + Send + Sync>(&self, rows: &[(&str, M)]) -> Counts {
        static RUNS: AtomicU32 = AtomicU32::new(1);
        let endpoint = self.endpoint().await;
        let run_id = format!("run-{}", RUNS.fetch_add(1, Ordering::Relaxed)).parse().unwrap();
        let spec = RunSpec::new(ingestion(), run_id).model(model::<M>()).overlap(Overlap::Fail);
        let run = endpoint.sink().unwrap().open_run(&spec).await.unwrap();
        let slice = Slice::new(0, json!({}));
        run.record_plan(std::slice::from_ref(&slice)).await.unwrap();
        let Begun::Load(mut load) = run.begin(&slice).await.unwrap() else { panic!("it is committed already") };
        let at = Timestamp::from_microsecond(1).unwrap();
        let mut source = RawBatch::builder(ingestion().unit, ingestion().source, "parts.jsonl", at);
        let mut builder = CdmBatchBuilder::new(model::<M>(), 1);
        let mut hashes = Vec::new();
        for (index, (key, row)) in rows.iter().enumerate() {
            source.push(NewRecord { json: "{}", line: Some(index as u64 + 1), ..NewRecord::default() });
            builder.push(&Mapped { row: row.clone(), version_at: Some(at) }, Rank::Whole, 0, index).unwrap();
            let hash = blake3::hash(format!("{key} {}", M::VERSION).as_bytes());
            hashes.push((*hash.as_bytes().first_chunk().unwrap(), Some((*key).to_owned())));
        }
        let batch = builder.finish_hashed(Arc::new(source.finish()), &hashes.into_iter().collect()).unwrap();
        load.write(Batch::Cdm(Box::new(batch))).await.unwrap();
        let receipt = load.commit(Commit::default()).await.unwrap();
        run.finish(RunEnd::Succeeded, &[]).await.unwrap();
        receipt.counts
    }

    /// The rows of a table or view, each as its columns' texts, by its first one.
    fn rows(&self, columns: &str, of: &str) -> Vec<Vec<String>> {
        if self.driver == "cdm.postgres" {
            return self.sandbox.ask(&format!("select {columns} from cdm_work.{of} order by 1"));
        }
        let file = rusqlite::Connection::open(self.sandbox.path("work.db")).unwrap();
        let mut statement = file.prepare(&format!("select {columns} from {of} order by 1")).unwrap();
        let width = statement.column_count();
        let text = |value: rusqlite::types::Value| match value {
            rusqlite::types::Value::Null => "null".to_owned(),
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Real(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            rusqlite::types::Value::Blob(bytes) => format!("{bytes:?}"),
        };
        let rows = statement.query_map([], |row| (0..width).map(|column| row.get(column).map(text)).collect());
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn execute(&self, statement: &str) {
        if self.driver == "cdm.postgres" {
            self.sandbox.ask(&format!("set search_path = cdm_work; {statement}"));
        } else {
            rusqlite::Connection::open(self.sandbox.path("work.db")).unwrap().execute_batch(statement).unwrap();
        }
    }
}

fn ingestion() -> Ingestion {
    Ingestion {
        source: EndpointId::from_static("acme"),
        unit: UnitId::from_static("test.parts"),
        sink: EndpointId::from_static("warehouse"),
        mode: Mode::Cdm,
    }
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

fn part1_0(key: &str) -> (&str, Part1_0) {
    (key, Part1_0 { cdm_id: key.to_owned(), name: text(key), weight: Some(7) })
}

fn part1_1<'a>(key: &'a str, colour: &str) -> (&'a str, Part1_1) {
    (key, Part1_1 { cdm_id: key.to_owned(), name: text(key), colour: text(colour), weight: Some(7) })
}

fn part2_0(key: &str) -> (&str, Part2_0) {
    (key, Part2_0 { cdm_id: key.to_owned(), title: text(key), weight: Some(7.5), colour: None })
}

#[test]
fn a_newer_minor_version_adds_what_is_new_and_an_older_host_loads_what_it_knows() {
    Site::each(async |site| {
        let made = site.provision::<Part1_0>().await;
        let expected = ["create table cdm_test_part", "create view cdm_test_part_live", "record _cdm_model"];
        assert_eq!(made, expected, "one version has a view of its live rows only");
        assert_eq!(site.load(&[part1_0("a"), part1_0("b")]).await.inserted, 2);

        let made = site.provision::<Part1_1>().await;
        let expected = ["add column cdm_test_part.colour", "extend view cdm_test_part_live", "record _cdm_model"];
        assert_eq!(made, expected);
        let old = [["a", "a", "7", "null"], ["b", "b", "7", "null"]];
        assert_eq!(site.rows("cdm_id, name, weight, colour", "cdm_test_part"), old, "what was there is readable");
        assert_eq!(site.load(&[part1_1("c", "red")]).await.inserted, 1);

        assert_eq!(site.plan::<Part1_0>().await.unwrap(), [], "the older version has all that it needs");
        let counts = site.load(&[part1_0("a"), part1_0("d")]).await;
        assert_eq!((counts.unchanged, counts.inserted), (1, 1), "{counts:?}");
        assert_eq!(
            site.rows("cdm_id, colour", "cdm_test_part"),
            [["a", "null"], ["b", "null"], ["c", "red"], ["d", "null"]]
        );
        assert_eq!(site.plan::<Part1_1>().await.unwrap(), []);
    });
}

#[test]
fn a_major_version_stands_beside_the_older_one_and_readers_have_a_view_of_each() {
    Site::each(async |site| {
        site.provision::<Part1_0>().await;
        site.provision::<Part1_1>().await;
        site.load(&[part1_1("a", "red"), part1_1("b", "blue")]).await;

        let made = site.provision::<Part2_0>().await;
        let expected = [
            "create table cdm_test_part_v2",
            "create view cdm_test_part_view_v1",
            "create view cdm_test_part_view_v2",
            "create view cdm_test_part_live_v2",
            "record _cdm_model",
        ];
        assert_eq!(made, expected);
        assert_eq!(site.plan::<Part1_0>().await.unwrap(), [], "older hosts have nothing to do");
        assert_eq!(site.plan::<Part1_1>().await.unwrap(), []);

        // What was read for the older version is to be read for the newer one, too.
        let counts = site.load(&[part2_0("b"), part2_0("c")]).await;
        assert_eq!((counts.inserted, counts.unchanged), (2, 0), "{counts:?}");
        let counts = site.load(&[part1_1("b", "blue"), part1_1("d", "green")]).await;
        assert_eq!((counts.inserted, counts.unchanged), (1, 1), "an older host goes on: {counts:?}");

        assert_eq!(
            site.rows("cdm_id, name, weight, colour", "cdm_test_part_view_v1"),
            [["a", "a", "7", "red"], ["b", "b", "7", "blue"], ["d", "d", "7", "green"]]
        );
        assert_eq!(
            site.rows("*", "cdm_test_part_view_v2"),
            [["b", "b", "7.5", "null"], ["c", "c", "7.5", "null"]],
            "a view has the columns of the model and no plumbing"
        );
        assert_eq!(site.rows("*", "cdm_test_part_view_v1")[0].len(), 4);
        let recorded = site.rows("table_name, version", "_cdm_model");
        assert_eq!(recorded, [["cdm_test_part", "1.1.0"], ["cdm_test_part_v2", "2.0.0"]]);

        let endpoint = site.endpoint().await;
        for (model, rows) in [(model::<Part1_1>(), 3), (model::<Part2_0>(), 2)] {
            let verified = endpoint.sink().unwrap().verify(&[model], false).await.unwrap();
            assert_eq!((verified[0].rows, verified[0].inserted, verified[0].ok()), (rows, rows, true));
        }
    });
}

#[test]
fn hosts_of_two_major_versions_with_one_catalog_leave_each_others_dataset_alone() {
    Site::each(async |site| {
        let catalog = catalog::open("sqlite::memory:", site.sandbox.folder()).await.unwrap();
        let (warehouse, endpoint) = (EndpointId::from_static("warehouse"), site.endpoint().await);
        let provisioner = endpoint.provisioner().unwrap();
        let provision = async |model: Arc<ModelDescriptor>| {
            let target = Target::new(&warehouse, site.driver, provisioner, catalog.as_ref());
            target.provision(&[model], Timestamp::from_microsecond(1).unwrap()).await.unwrap().changed
        };
        for (time, is_first) in [("first", true), ("second", false)] {
            assert_eq!(provision(model::<Part1_1>()).await, is_first, "the {time} time, the older one");
            assert_eq!(provision(model::<Part2_0>()).await, is_first, "the {time} time, the newer one");
        }
        let datasets = catalog.datasets(&DatasetFilter::all()).await.unwrap();
        let listed: Vec<_> = datasets
            .iter()
            .map(|dataset| {
                let table = dataset.spec.location().rsplit('.').next().unwrap().to_owned();
                (dataset.spec.id().to_string(), table, dataset.version)
            })
            .collect();
        let expected = [("test.part.v2", "cdm_test_part_v2"), ("test.part", "cdm_test_part")]
            .map(|(what, table)| (format!("{what}@warehouse"), table.to_owned(), 1));
        assert_eq!(listed, expected);
    });
}

#[test]
fn the_view_of_a_version_grows_with_it() {
    Site::each(async |site| {
        site.provision::<Part1_1>().await;
        site.provision::<Part2_0>().await;
        site.load(&[part2_0("a")]).await;
        let made = site.provision::<Part1_2>().await;
        let expected = [
            "add column cdm_test_part.note",
            "extend view cdm_test_part_view_v1",
            "extend view cdm_test_part_live",
            "record _cdm_model",
        ];
        assert_eq!(made, expected);
        let made = site.provision::<Part2_1>().await;
        let expected = [
            "add column cdm_test_part_v2.size",
            "extend view cdm_test_part_view_v2",
            "extend view cdm_test_part_live_v2",
            "record _cdm_model",
        ];
        assert_eq!(made, expected);
        assert_eq!(site.rows("*", "cdm_test_part_view_v2"), [["a", "a", "7.5", "null", "null"]]);
        assert!(site.rows("cdm_id, name, colour, weight, note", "cdm_test_part_view_v1").is_empty());
        assert_eq!(site.plan::<Part2_0>().await.unwrap(), [], "an older host leaves a newer view alone");
    });
}

#[test]
fn a_first_provisioning_of_a_second_version_makes_its_view_only() {
    Site::each(async |site| {
        let made = site.provision::<Part2_0>().await;
        let expected = [
            "create table cdm_test_part_v2",
            "create view cdm_test_part_view_v2",
            "create view cdm_test_part_live_v2",
            "record _cdm_model",
        ];
        assert_eq!(made, expected);
        // An older host comes later, and the newer one gives it its view.
        let expected = ["create table cdm_test_part", "create view cdm_test_part_live", "record _cdm_model"];
        assert_eq!(site.provision::<Part1_0>().await, expected);
        assert_eq!(site.provision::<Part2_0>().await, ["create view cdm_test_part_view_v1", "record _cdm_model"]);
    });
}

#[test]
fn each_version_has_a_view_of_its_live_rows() {
    Site::each(async |site| {
        site.provision::<Part1_1>().await;
        site.load(&[part1_1("a", "red"), part1_1("b", "blue")]).await;
        site.provision::<Part2_0>().await;
        site.load(&[part2_0("c"), part2_0("d")]).await;
        for (table, key) in [("cdm_test_part", "a"), ("cdm_test_part_v2", "c")] {
            site.execute(&format!("update {table} set _cdm_deleted_at = _cdm_ingested_at where cdm_id = '{key}'"));
        }
        assert_eq!(site.rows("*", "cdm_test_part_live"), [["b", "b", "7", "blue"]], "no plumbing, nothing deleted");
        assert_eq!(site.rows("*", "cdm_test_part_live_v2"), [["d", "d", "7.5", "null"]]);
        assert_eq!(site.rows("cdm_id", "cdm_test_part"), [["a"], ["b"]]);

        // As an earlier version of the program left it: the view comes by the plan, and once.
        site.execute("drop view cdm_test_part_live");
        assert_eq!(site.provision::<Part1_1>().await, ["create view cdm_test_part_live", "record _cdm_model"]);
        assert_eq!(site.plan::<Part1_1>().await.unwrap(), []);
        assert_eq!(site.plan::<Part2_0>().await.unwrap(), []);
    });
}

#[test]
fn what_is_not_our_view_of_live_rows_is_left_alone_and_nothing_is_refused() {
    for theirs in ["create view cdm_test_part_live as select 1 as one", "create table cdm_test_part_live (one text)"] {
        Site::each(async |site| {
            site.provision::<Part1_0>().await;
            site.execute(&format!("drop view cdm_test_part_live; {theirs}"));
            assert_eq!(site.provision::<Part1_1>().await, ["add column cdm_test_part.colour", "record _cdm_model"]);
            assert_eq!(site.plan::<Part1_1>().await.unwrap(), []);
            assert!(site.rows("one", "cdm_test_part_live").len() <= 1, "it is still theirs");
        });
    }
}

#[test]
fn a_view_that_is_somebody_elses_is_left_alone() {
    Site::each(async |site| {
        site.provision::<Part1_1>().await;
        site.execute("create view cdm_test_part_view_v2 as select cdm_id from cdm_test_part");
        let refused = site.plan::<Part2_0>().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        let expected = "is a view that provisioning did not make, and it lacks title, weight, colour (rename it";
        assert!(refused.to_string().contains(expected), "{refused}");
        site.execute("drop view cdm_test_part_view_v2; create table cdm_test_part_view_v2 (id text)");
        let refused = site.plan::<Part2_0>().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        assert!(refused.to_string().contains("is no view, and one of that name is to be made"), "{refused}");
        assert_eq!(site.rows("table_name", "_cdm_model"), [["cdm_test_part"]], "nothing was made");
    });
}

#[test]
fn a_name_that_is_too_long_is_refused_before_anything_is_made() {
    for (driver, prefix) in
        ["cdm.postgres", "cdm.sqlite"].map(|driver| (driver, "a_prefix_with_room_for_a_table_and_for_no_view_of"))
    {
        let site = Site { sandbox: Sandbox::new(), driver, prefix };
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let refused = site.plan::<Part2_0>().await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Config);
            assert!(refused.to_string().contains("as a name; databases take 63"), "{refused}");
            site.provision::<Part1_0>().await;
        });
    }
}

#[test]
fn readers_of_each_version_see_its_view() {
    let site = Site { sandbox: Sandbox::new(), driver: "cdm.postgres", prefix: "cdm_" };
    let name = |role: &str| format!("{role}_{}", site.sandbox.database().name());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        site.provision::<Part1_0>().await;
        site.load(&[part1_0("a")]).await;
        site.provision::<Part2_0>().await;
        site.load(&[part2_0("a"), part2_0("b")]).await;
        let request = GrantRequest::new(name("provisioner"), name("loader"), name("reader")).owner(Some(name("owner")));
        let endpoint = site.endpoint().await;
        let grants = endpoint.provisioner().unwrap().grants(&request, &[&model::<Part2_0>()]).await.unwrap();
        site.sandbox.ask(&grants.script);
    });
    let owner = "select distinct pg_get_userbyid(relowner) from pg_class where relname like 'cdm_test_part%view%'";
    assert_eq!(site.sandbox.value(owner), name("owner"));
    site.sandbox.ask(&format!("alter role {} password 'pw'", name("reader")));
    let read =
        |statement: &str| site.sandbox.database().query_as(&name("reader"), "pw", statement).map(|rows| rows.len());
    assert_eq!(read("select * from cdm_work.cdm_test_part_view_v1").unwrap(), 1);
    assert_eq!(read("select * from cdm_work.cdm_test_part_view_v2").unwrap(), 2);
    assert_eq!(read("select * from cdm_work.cdm_test_part_live").unwrap(), 1);
    assert_eq!(read("select * from cdm_work.cdm_test_part_live_v2").unwrap(), 2);
    assert_eq!(read("select title from cdm_work.cdm_test_part_v2").unwrap(), 2);
    assert!(read("select * from cdm_work.cdm_test_part_v2").is_err());
    for role in ["owner", "provisioner", "loader", "reader"] {
        site.sandbox.ask(&format!("drop owned by {0} cascade; drop role {0}", name(role)));
    }
}
