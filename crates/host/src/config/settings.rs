use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use endpoint_api::{EndpointId, Ingestion, Mode, UnitId, is_name, nearest};
use ingest::{MaxRejects, OnOverlap};
use serde_json::{Map, Value};

use super::LineageSettings;
use crate::{
    failure::{Failure, or_meant},
    times::parse_duration,
};

/// What a configuration file says.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The folder that relative paths are relative to.
    pub(crate) base_dir: PathBuf,
    /// Where the catalog is kept.
    pub(crate) metadata_url: String,
    /// Who is told of runs and datasets; `None` when nobody is.
    pub(crate) lineage: Option<LineageSettings>,
    /// The endpoints in the order of the file.
    pub(crate) endpoints: Vec<EndpointSettings>,
    /// The ingestions in the order of the file.
    pub(crate) ingestions: Vec<IngestionSettings>,
}

/// One `[endpoints.ID]`.
#[derive(Debug)]
pub(crate) struct EndpointSettings {
    pub(crate) id: EndpointId,
    /// The driver's id or alias.
    pub(crate) driver: String,
    /// The driver's configuration, with references unresolved.
    pub(crate) config: Value,
}

/// One `[ingest.NAME]`.
#[derive(Debug, Clone)]
pub(crate) struct IngestionSettings {
    pub(crate) name: String,
    pub(crate) source: EndpointId,
    pub(crate) unit: UnitId,
    pub(crate) sink: EndpointId,
    pub(crate) mode: Mode,
    pub(crate) max_rejects: Option<MaxRejects>,
    pub(crate) on_overlap: Option<OnOverlap>,
    pub(crate) retry_for: Option<Duration>,
}

/// What `[ingest]` and each `[ingest.NAME]` may say: for all, and for one.
#[derive(Debug, Clone, Copy, Default)]
struct Defaults {
    max_rejects: Option<MaxRejects>,
    on_overlap: Option<OnOverlap>,
    retry_for: Option<Duration>,
}

impl Defaults {
    /// Takes these keys out of a section.
    fn take(section: &mut Section) -> Result<Self, Failure> {
        let on_overlap = section.text("on_overlap")?.map(|what| match what.as_str() {
            "fail" => Ok(OnOverlap::Fail),
            "skip" => Ok(OnOverlap::Skip),
            "wait" => Ok(OnOverlap::Wait),
            "takeover" => Ok(OnOverlap::Takeover),
            _ => Err(section.wrong(Some("on_overlap"), "expected `fail`, `skip`, `wait` or `takeover`")),
        });
        let max_rejects = section.text("max_rejects")?.map(|limit| {
            limit.parse().map_err(|error: endpoint_api::Error| section.wrong(Some("max_rejects"), error.to_string()))
        });
        let retry_for = section
            .text("retry_for")?
            .map(|duration| parse_duration(&duration).map_err(|message| section.wrong(Some("retry_for"), message)));
        Ok(Self {
            max_rejects: max_rejects.transpose()?,
            on_overlap: on_overlap.transpose()?,
            retry_for: retry_for.transpose()?,
        })
    }
}

impl IngestionSettings {
    /// What has the checkpoint.
    pub(crate) fn ingestion(&self) -> Ingestion {
        Ingestion { source: self.source.clone(), unit: self.unit.clone(), sink: self.sink.clone(), mode: self.mode }
    }

    /// The place of a key of this ingestion in the file.
    pub(crate) fn path(&self, key: &str) -> String {
        format!("ingest.{}.{key}", self.name)
    }
}

const DEFAULT_METADATA: &str = "sqlite:cdm-metadata.db";

impl Settings {
    /// Reads a file.
    pub(crate) fn read(file: &Path) -> Result<Self, Failure> {
        let shown = file.display().to_string();
        let text = local_files::read_small_text(file).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Failure::config(&shown, "there is no such file; make one with `cdm init`, or name one with --config")
            }
            _ => Failure::config(&shown, format!("the file cannot be read: {error}")),
        })?;
        let base_dir = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self::parse(&text, &shown, base_dir)
    }

    fn parse(text: &str, shown: &str, base_dir: &Path) -> Result<Self, Failure> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            // The library's own message would show the line, and with it perhaps a password.
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            Failure::config(format!("{shown}:{line}"), error.message().trim().to_owned())
        })?;
        let root = serde_json::to_value(table)
            .map_err(|_| Failure::config(shown, "holds a value that JSON does not know, such as a date"))?;
        let mut root = Section::new(String::new(), root)?;

        let mut metadata = root.section("metadata")?;
        let metadata_url = metadata.text("url")?.unwrap_or_else(|| DEFAULT_METADATA.to_owned());
        metadata.end()?;
        let lineage = LineageSettings::read(root.section("lineage")?)?;

        let mut endpoints = Vec::new();
        for mut section in root.section("endpoints")?.sections()? {
            endpoints.push(EndpointSettings {
                id: section
                    .name()
                    .parse()
                    .map_err(|error: endpoint_api::Error| section.wrong(None, error.to_string()))?,
                driver: section.required_text("driver")?,
                config: Value::Object(section.rest()),
            });
        }
        let mut ingestions = Vec::new();
        let mut ingest = root.section("ingest")?;
        let defaults = Defaults::take(&mut ingest)?;
        for mut section in ingest.sections()? {
            if !is_name(section.name()) {
                return Err(
                    section.wrong(None, "a name is at most 63 of a-z, 0-9, `_` and `-`, beginning with a letter")
                );
            }
            let own = Defaults::take(&mut section)?;
            ingestions.push(IngestionSettings {
                name: section.name().to_owned(),
                source: section.parsed("source")?,
                unit: section.parsed("unit")?,
                sink: section.parsed("sink")?,
                mode: match section.required_text("mode")?.as_str() {
                    "raw" => Mode::Raw,
                    "cdm" => Mode::Cdm,
                    _ => return Err(section.wrong(Some("mode"), "expected `raw` or `cdm`")),
                },
                max_rejects: own.max_rejects.or(defaults.max_rejects),
                on_overlap: own.on_overlap.or(defaults.on_overlap),
                retry_for: own.retry_for.or(defaults.retry_for),
            });
            section.end()?;
        }
        refuse_twins(&ingestions)?;
        root.end()?;
        Ok(Self { base_dir: base_dir.to_owned(), metadata_url, lineage, endpoints, ingestions })
    }

    /// The endpoint with that id.
    pub(crate) fn endpoint(&self, id: &str) -> Option<&EndpointSettings> {
        self.endpoints.iter().find(|endpoint| endpoint.id.as_str() == id)
    }
}

/// Two names for one ingestion would move each other's checkpoint.
fn refuse_twins(ingestions: &[IngestionSettings]) -> Result<(), Failure> {
    let mut seen = BTreeMap::new();
    for settings in ingestions {
        if let Some(other) = seen.insert(settings.ingestion(), &settings.name) {
            let message = format!("is the same source, unit, sink and mode as ingest.{other}");
            return Err(Failure::config(format!("ingest.{}", settings.name), message));
        }
    }
    Ok(())
}

/// A table of the file, whose keys are taken out one by one: what is left at the end is not known.
pub(super) struct Section {
    path: String,
    members: Map<String, Value>,
    /// The keys that were asked for.
    known: Vec<String>,
}

impl Section {
    fn new(path: String, value: Value) -> Result<Self, Failure> {
        match value {
            Value::Object(members) => Ok(Self { path, members, known: Vec::new() }),
            _ => Err(Failure::config(path, "expected a table")),
        }
    }

    fn name(&self) -> &str {
        self.path.rsplit_once('.').map_or(self.path.as_str(), |(_, name)| name)
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn wrong(&self, key: Option<&str>, message: impl Into<String>) -> Failure {
        Failure::config(key.map_or_else(|| self.path.clone(), |key| self.path_of(key)), message)
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.known.push(key.to_owned());
        self.members.shift_remove(key)
    }

    /// A table within this one; empty when it is missing.
    fn section(&mut self, key: &str) -> Result<Self, Failure> {
        let value = self.take(key).unwrap_or_else(|| Value::Object(Map::new()));
        Self::new(self.path_of(key), value)
    }

    /// All tables within this one.
    fn sections(self) -> Result<Vec<Self>, Failure> {
        let Self { path, members, known } = self;
        let section = |(name, value): (String, Value)| {
            let meant = if value.is_object() { String::new() } else { or_meant(&name, &known) };
            let path = format!("{path}.{name}");
            match meant.is_empty() {
                true => Self::new(path, value),
                false => Err(Failure::config(path, format!("is not known here{meant}"))),
            }
        };
        members.into_iter().map(section).collect()
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, Failure> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(self.wrong(Some(key), "expected text")),
        }
    }

    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>, Failure> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.wrong(Some(key), "expected true or false")),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn required_text(&mut self, key: &str) -> Result<String, Failure> {
        self.text(key)?.ok_or_else(|| {
            let others = self.members.keys().map(String::as_str);
            let message = match nearest(key, others) {
                Some(misspelt) => format!("is missing; is it `{misspelt}` that should be called so?"),
                None => "is missing".to_owned(),
            };
            self.wrong(Some(key), message)
        })
    }

    fn parsed<T: std::str::FromStr<Err = endpoint_api::Error>>(&mut self, key: &str) -> Result<T, Failure> {
        self.required_text(key)?.parse().map_err(|error: endpoint_api::Error| self.wrong(Some(key), error.to_string()))
    }

    fn rest(self) -> Map<String, Value> {
        self.members
    }

    pub(super) fn end(self) -> Result<(), Failure> {
        match self.members.keys().next() {
            Some(key) => Err(self.wrong(Some(key), format!("is not known here{}", or_meant(key, &self.known)))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, Failure> {
        Settings::parse(text, "cdm.toml", Path::new("."))
    }

    #[test]
    fn a_file_is_read_in_its_order() {
        let settings = parse(
            r#"
            [endpoints.z]
            driver = "jira.export"
            path = ["a", "b"]
            [endpoints.a]
            driver = "cdm.postgres"
            port = 5433
            [ingest.issues]
            source = "z"
            unit = "jira.issues"
            sink = "a"
            mode = "cdm"
            max_rejects = "1%"
            "#,
        )
        .unwrap();
        assert_eq!(settings.metadata_url, "sqlite:cdm-metadata.db");
        assert_eq!(settings.endpoints.iter().map(|endpoint| endpoint.id.as_str()).collect::<Vec<_>>(), ["z", "a"]);
        assert_eq!(settings.endpoint("a").unwrap().config, serde_json::json!({ "port": 5433 }));
        assert_eq!(settings.ingestions[0].mode, Mode::Cdm);
        assert_eq!(settings.ingestions[0].max_rejects, Some(MaxRejects::Percent(1.0)));
    }

    #[test]
    fn what_holds_for_all_ingestions_holds_unless_one_says_otherwise() {
        let settings = parse(
            r#"
            [ingest]
            retry_for = "5m"
            on_overlap = "skip"
            [ingest.a]
            source = "z"
            unit = "jira.issues"
            sink = "a"
            mode = "cdm"
            [ingest.b]
            source = "z"
            unit = "jira.users"
            sink = "a"
            mode = "cdm"
            on_overlap = "wait"
            retry_for = "90s"
            "#,
        )
        .unwrap();
        let said: Vec<_> =
            settings.ingestions.iter().map(|it| (it.on_overlap.unwrap(), it.retry_for.unwrap().as_secs())).collect();
        assert_eq!(said, [(OnOverlap::Skip, 300), (OnOverlap::Wait, 90)]);
        let problem = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(
            problem("[ingest]\nretry_for = \"soon\""),
            "ingest.retry_for: `soon` is not a duration; write one such as 90s, 2m, 1h or 3d"
        );
        assert_eq!(
            problem("[ingest]\nretry_fo = \"5m\""),
            "ingest.retry_fo: is not known here; did you mean `retry_for`?"
        );
        assert_eq!(problem("[ingest]\nissues = 1"), "ingest.issues: expected a table");
        let expected = "ingest.on_overlap: expected `fail`, `skip`, `wait` or `takeover`";
        assert_eq!(problem("[ingest]\non_overlap = \"stop\""), expected);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_place() {
        let problem = |text: &str| parse(text).unwrap_err().to_string();
        let ingestion = "[ingest.issues]\nsource = \"z\"\nunit = \"jira.issues\"\nsink = \"a\"\n";
        assert_eq!(problem("[endpoints.z]\npath = 1"), "endpoints.z.driver: is missing");
        assert!(problem("[endpoints.Z]\ndriver = \"x\"").starts_with("endpoints.Z: `Z` is malformed"));
        assert_eq!(problem("endpoints = 1"), "endpoints: expected a table");
        assert_eq!(problem("[endpoint.z]\n"), "endpoint: is not known here; did you mean `endpoints`?");
        assert_eq!(problem("[metadata]\nuri = \"x\""), "metadata.uri: is not known here; did you mean `url`?");
        assert_eq!(problem(ingestion), "ingest.issues.mode: is missing");
        assert_eq!(problem("[ingst.issues]"), "ingst: is not known here; did you mean `ingest`?");
        assert_eq!(
            problem(&ingestion.replace("source =", "sorce =")),
            "ingest.issues.source: is missing; is it `sorce` that should be called so?"
        );
        assert_eq!(
            problem("[endpoints.z]\ndrivr = \"x\""),
            "endpoints.z.driver: is missing; is it `drivr` that should be called so?"
        );
        assert_eq!(problem(&format!("{ingestion}mode = \"cmd\"")), "ingest.issues.mode: expected `raw` or `cdm`");
        assert_eq!(
            problem(&format!("{ingestion}mode = \"cdm\"\nmodes = 1")),
            "ingest.issues.modes: is not known here; did you mean `mode`?"
        );
        assert_eq!(
            problem(&ingestion.replace("jira.issues", "issues")),
            "ingest.issues.unit: `issues` is malformed: a unit id is dotted lower case, such as `jira.issues`"
        );
        assert!(
            problem(&format!("{ingestion}mode = \"cdm\"\nmax_rejects = \"many\""))
                .starts_with("ingest.issues.max_rejects: ")
        );
    }

    #[test]
    fn events_have_one_receiver() {
        let lineage = |text: &str| parse(&format!("[lineage]\n{text}")).map(|settings| settings.lineage);
        assert!(lineage("").unwrap().is_none());
        let problem = |text: &str| lineage(text).unwrap_err().to_string();
        let one = "lineage: expected one receiver: `openlineage_url`, `file` or `stdout = true`";
        assert_eq!(problem("namespace = \"n\""), one);
        assert_eq!(problem("file = \"f\"\nstdout = true"), one);
        assert_eq!(problem("stdout = \"yes\""), "lineage.stdout: expected true or false");
        assert_eq!(problem("stdout = true\nurl = \"x\""), "lineage.url: is not known here");
        assert_eq!(
            problem("file = \"f\"\napi_key = \"hunter2\""),
            "lineage.api_key: is sent to an `openlineage_url`, and there is none"
        );
        let seconds = "lineage.timeout_seconds: expected a number of seconds from 1 to 300";
        assert_eq!(problem("file = \"f\"\ntimeout_seconds = 0"), seconds);
        let settings = lineage("openlineage_url = \"http://x\"\napi_key = \"hunter2\"\ntimeout_seconds = 7").unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert_eq!(settings.unwrap().timeout.as_secs(), 7);
    }

    #[test]
    fn a_file_that_is_no_toml_names_the_line_and_does_not_show_it() {
        let problem = parse("[endpoints.z]\ndriver = \"x\"\npassword = hunter2\n").unwrap_err().to_string();
        assert!(problem.starts_with("cdm.toml:3: "), "{problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
}
