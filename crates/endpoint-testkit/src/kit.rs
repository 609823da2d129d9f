use std::{
    collections::BTreeMap,
    env, fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::ExitCode,
    sync::{Arc, PoisonError, RwLock},
};

use endpoint_api::{Capabilities, Driver, DriverEntry, Ingestion, SinkCapabilities};
use libtest_mimic::{Arguments, Failed, Trial};

use crate::{
    Place, StoredRow, Test, Unavailable,
    suites::tests,
    workbench::{Author, Workbench},
};

/// The result of what a driver's author gives.
pub type Result<T> = std::result::Result<T, Unavailable>;

type Places = dyn Fn() -> Result<Place> + Send + Sync;

/// The kit for one driver.
pub struct Kit {
    entry: Arc<DriverEntry>,
    places: Arc<Places>,
    author: Arc<Author>,
}

/// What became of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The test: `sink::a_stale_version_never_wins`.
    pub test: String,
    /// How it ended.
    pub verdict: Verdict,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The driver keeps what the test holds it to.
    Passed,
    /// It does not, and this shows it.
    Failed(String),
    /// It was not tested: there is no place to test it in, or nothing was given to test it with.
    Ignored(String),
}

/// Says that a place must be there.
const REQUIRED: &str = "CDM_CONFORMANCE_REQUIRED";

/// Why a test is left out that the driver's abilities would call for.
const LEFT_OUT: &str =
    "the driver does not take the kit's models (`testkit.*`), or the kit was not given what this needs";

/// Names a folder in which each test writes down how it ended.
const RESULTS: &str = "CDM_CONFORMANCE_RESULTS";

impl Kit {
    /// The kit for a driver, which must be registered. Without [`places`](Self::places) only what needs no
    /// endpoint is tested.
    pub fn of<D: Driver>() -> Self {
        Self {
            entry: Arc::new(DriverEntry::of::<D>()),
            places: Arc::new(|| Err(Unavailable("the kit was given no place to test in".to_owned()))),
            author: Arc::new(Author::default()),
        }
    }

    /// How a fresh place is made: nothing is provisioned there, and nothing was loaded.
    #[must_use]
    pub fn places(mut self, places: impl Fn() -> Result<Place> + Send + Sync + 'static) -> Self {
        self.places = Arc::new(places);
        self
    }

    /// How the rows of a model's table are read, given where provisioning said that they go
    /// ([`ModelPlan::table`](endpoint_api::ModelPlan)), or the model's id where nothing is provisioned. Each key has
    /// one row; those of deleted records may be left out.
    #[must_use]
    pub fn rows(mut self, rows: impl Fn(&Place, &str) -> Vec<StoredRow> + Send + Sync + 'static) -> Self {
        self.author_mut().rows = Some(Box::new(rows));
        self
    }

    /// How the records of an ingestion are read that were loaded in raw mode, in the order of the source.
    #[must_use]
    pub fn records(mut self, records: impl Fn(&Place, &Ingestion) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        self.author_mut().records = Some(Box::new(records));
        self
    }

    /// How the messages are counted that the outbox keeps, delivered or not.
    #[must_use]
    pub fn messages(mut self, messages: impl Fn(&Place) -> usize + Send + Sync + 'static) -> Self {
        self.author_mut().messages = Some(Box::new(messages));
        self
    }

    /// Which units of a source have records in every place, and how many each has in CDM mode, with what is rejected.
    #[must_use]
    pub fn units(mut self, units: &[(&str, usize)]) -> Self {
        self.author_mut().units = units.iter().map(|(unit, records)| (unit.parse().unwrap(), *records)).collect();
        self
    }

    /// A place with more than 64 MiB of records of a unit of a source, none of them larger than 1 MiB.
    #[must_use]
    pub fn large(mut self, unit: &str, place: impl Fn() -> Result<Place> + Send + Sync + 'static) -> Self {
        self.author_mut().large = Some((unit.parse().unwrap(), Box::new(place)));
        self
    }

    /// How records of a unit are added to a place of a source; says how many. None of them is like one that was there.
    #[must_use]
    pub fn append(mut self, unit: &str, append: impl Fn(&Place) -> usize + Send + Sync + 'static) -> Self {
        self.author_mut().append = Some((unit.parse().unwrap(), Box::new(append)));
        self
    }

    /// How somebody else changes the field `name` of the row with a key, given the table as [`rows`](Self::rows) is
    /// and the key: as it is done by hand, past the driver.
    #[must_use]
    pub fn damage(mut self, damage: impl Fn(&Place, &str, &str) + Send + Sync + 'static) -> Self {
        self.author_mut().damage = Some(Box::new(damage));
        self
    }

    /// A valid configuration with which nothing can be done in a place, such as one of a server that is not there.
    #[must_use]
    pub fn wrong(mut self, config: impl Fn(&Place) -> serde_json::Value + Send + Sync + 'static) -> Self {
        self.author_mut().wrong = Some(Box::new(config));
        self
    }

    fn author_mut(&mut self) -> &mut Author {
        Arc::get_mut(&mut self.author).expect("nothing shares it before it runs")
    }

    /// What the driver declares.
    pub fn capabilities(&self) -> Capabilities {
        self.entry.capabilities()
    }

    /// The driver's id.
    pub fn driver(&self) -> &'static str {
        self.entry.id()
    }

    /// The tests that the driver is held to.
    fn due(&self) -> Vec<&'static Test> {
        tests().iter().filter(|test| (test.applies)(&self.entry.capabilities(), &self.author)).collect()
    }

    /// The tests that would be due if the driver took the kit's models, and if its author had given all that can be
    /// given.
    fn left_out(&self) -> Vec<&'static Test> {
        let (declared, everything) = (self.entry.capabilities(), Author::everything());
        let takes = |sink: SinkCapabilities| if sink.cdm_models.is_empty() { sink } else { sink.cdm(&["**"]) };
        let mut asked = declared;
        asked.sink = declared.sink.map(takes);
        let is_left_out =
            |test: &&Test| (test.applies)(&asked, &everything) && !(test.applies)(&declared, &self.author);
        tests().iter().filter(is_left_out).collect()
    }

    /// Runs the tests as a test program does, with its arguments. What nothing was given for, or what is about models
    /// that the driver does not take, shows as ignored.
    pub fn main(self) -> ExitCode {
        let arguments = Arguments::from_args();
        let unavailable = match (self.places)() {
            Ok(_) => None,
            Err(_) if env::var(REQUIRED).is_ok_and(|required| required == "1") => None,
            Err(Unavailable(reason)) => Some(reason),
        };
        if let Some(reason) = &unavailable {
            eprintln!("{}: tests that need a place are ignored: {reason}", self.driver());
        }
        let trials = self.due().into_iter().map(|test| {
            let (entry, places, author) = (Arc::clone(&self.entry), Arc::clone(&self.places), Arc::clone(&self.author));
            let run = move || {
                let done = carry_out(test, &entry, &places, &author);
                if let Some(folder) = env::var_os(RESULTS) {
                    write_down(Path::new(&folder), entry.id(), test.name, done.is_ok()).unwrap();
                }
                done.map_err(Failed::from)
            };
            Trial::test(test.name, run).with_ignored_flag(unavailable.is_some() && test.needs_place)
        });
        let left_out = self
            .left_out()
            .into_iter()
            .map(|test| Trial::test(test.name, || Err(LEFT_OUT.into())).with_ignored_flag(true));
        libtest_mimic::run(&arguments, trials.chain(left_out).collect()).exit_code()
    }

    /// Runs the tests, one after the other, and says what became of each.
    pub fn outcomes(&self) -> Vec<Outcome> {
        self.outcomes_of(|_| true)
    }

    /// As [`outcomes`](Self::outcomes), of the tests that are wanted by name.
    pub fn outcomes_of(&self, wanted: impl Fn(&str) -> bool) -> Vec<Outcome> {
        let run = |test: &'static Test| {
            let verdict = match (self.places)() {
                Err(Unavailable(reason)) if test.needs_place => Verdict::Ignored(reason),
                _ => match carry_out(test, &self.entry, &self.places, &self.author) {
                    Ok(()) => Verdict::Passed,
                    Err(why) => Verdict::Failed(why),
                },
            };
            Outcome { test: test.name.to_owned(), verdict }
        };
        let left_out =
            |test: &Test| Outcome { test: test.name.to_owned(), verdict: Verdict::Ignored(LEFT_OUT.to_owned()) };
        let due = self.due().into_iter().filter(|test| wanted(test.name)).map(run);
        due.chain(self.left_out().into_iter().filter(|test| wanted(test.name)).map(left_out)).collect()
    }
}

const PASSED: &str = "passed";

fn write_down(folder: &Path, driver: &str, test: &str, passed: bool) -> io::Result<()> {
    let of_driver = folder.join(driver);
    fs::create_dir_all(&of_driver)?;
    fs::write(of_driver.join(test.replace("::", ".")), if passed { PASSED } else { "failed" })
}

/// What became of the tests that were run with `CDM_CONFORMANCE_RESULTS` naming this folder, by driver.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn recorded(folder: &Path) -> io::Result<BTreeMap<String, Vec<Outcome>>> {
    let mut drivers = BTreeMap::new();
    for driver in fs::read_dir(folder)? {
        let driver = driver?;
        let mut outcomes = Vec::new();
        for test in fs::read_dir(driver.path())? {
            let test = test?;
            let verdict = match fs::read_to_string(test.path())?.as_str() {
                PASSED => Verdict::Passed,
                other => Verdict::Failed(other.to_owned()),
            };
            outcomes.push(Outcome { test: test.file_name().to_string_lossy().replace('.', "::"), verdict });
        }
        drivers.insert(driver.file_name().to_string_lossy().into_owned(), outcomes);
    }
    Ok(drivers)
}

fn carry_out(
    test: &Test,
    entry: &Arc<DriverEntry>,
    places: &Arc<Places>,
    author: &Arc<Author>,
) -> std::result::Result<(), String> {
    static AT_IT: RwLock<()> = RwLock::new(());
    // A test that failed has poisoned nothing.
    let (_one_of_many, _alone) = match test.alone {
        false => (Some(AT_IT.read().unwrap_or_else(PoisonError::into_inner)), None),
        true => (None, Some(AT_IT.write().unwrap_or_else(PoisonError::into_inner))),
    };
    let run = || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let workbench = Workbench::new(Arc::clone(entry), Arc::clone(places), Arc::clone(author));
        runtime.block_on((test.body)(workbench));
    };
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        format!("{}\nThe contract says so in {}.", text.unwrap_or_default(), test.cites.join(", "))
    })
}
