use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use endpoint_api::Registry;
use serde_json::{Map, Value};

use crate::{answer::Answer, failure::Failure};

/// The files of the crate, with the text of each. They are those of a driver `acme.lines`, a sink that is small
/// and whole.
const TEMPLATE: [(&str, &str); 10] = [
    ("Cargo.toml", include_str!("../../templates/driver/Cargo.toml.template")),
    ("rustfmt.toml", include_str!("../../templates/driver/rustfmt.toml.template")),
    (".gitignore", include_str!("../../templates/driver/gitignore.template")),
    ("src/lib.rs", include_str!("../../templates/driver/src/lib.rs.template")),
    ("src/file.rs", include_str!("../../templates/driver/src/file.rs.template")),
    ("src/sink.rs", include_str!("../../templates/driver/src/sink.rs.template")),
    ("tests/sink.rs", include_str!("../../templates/driver/tests/sink.rs.template")),
    ("tests/conformance.rs", include_str!("../../templates/driver/tests/conformance.rs.template")),
    ("host/Cargo.toml", include_str!("../../templates/driver/host/Cargo.toml.template")),
    ("host/src/main.rs", include_str!("../../templates/driver/host/src/main.rs.template")),
];

/// Names that an id can make, and that a build with the new crate has already: of our crates, and of what it uses.
const TAKEN: [&str; 15] = [
    "cdm-models",
    "endpoint-api",
    "endpoint-testkit",
    "local-postgres",
    "map-jira",
    "postgres-client",
    "local-files",
    "process-memory",
    "run-lock",
    "serde-json",
    "sink-files-raw",
    "sink-postgres-cdm",
    "sink-sqlite-cdm",
    "source-jira",
    "sqlite-client",
];

/// What a new driver is to be.
pub(crate) struct NewDriver {
    /// Its id: `acme.lines`.
    pub(crate) id: String,
    /// Its folder; named after the id when there is none.
    pub(crate) dir: Option<PathBuf>,
    /// A checkout of this repository; without one the crates come from a registry.
    pub(crate) cdm_path: Option<PathBuf>,
}

/// Writes a crate with a driver that works.
pub(crate) fn new_driver(registry: &Registry, new: &NewDriver) -> Result<Answer, Failure> {
    let id = new.id.as_str();
    let crate_name = crate_name(registry, id)?;
    let dir = new.dir.clone().unwrap_or_else(|| PathBuf::from(&crate_name));
    let shown = dir.display().to_string();
    if fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::usage(format!("{shown} holds something already; name another folder with --dir")));
    }
    let crates = new.cdm_path.as_deref().map(crates_of).transpose()?;
    let mut files = Vec::new();
    for (name, text) in TEMPLATE {
        let write = write(&dir.join(name), |folder| {
            let text = named(text, id, &crate_name);
            Ok(match name.ends_with("Cargo.toml") {
                true => with_dependencies(&text, crates.as_ref().map(|crates| crates.seen_from(folder)).transpose()?),
                false => text,
            })
        });
        write.map_err(|error| Failure::failed(format!("{shown}: {name} cannot be written: {error}")))?;
        files.push(Value::from(name));
    }
    let needs = match &crates {
        Some(_) => String::new(),
        None => format!(
            "\nIt depends on version {} of the crates of cdm. Where your registry does not have them, write it anew \
             with\n`--cdm-path PATH`, the path of a checkout of cdm.\n",
            env!("CARGO_PKG_VERSION")
        ),
    };
    let text = format!(
        "Wrote a driver to {shown}. It works as it is; make it yours file by file:\n\n\
         \x20 cd {shown}\n  cargo test\n  cargo run -p {crate_name}-host -- drivers {id}\n{needs}"
    );
    let json = [("driver", id.into()), ("crate", crate_name.into()), ("dir", shown.into()), ("files", files.into())];
    Ok(Answer::of(Map::from_iter(json.map(|(name, value): (_, Value)| (name.to_owned(), value))), text))
}

/// The name of the crate of a driver with that id, which must be a good one.
fn crate_name(registry: &Registry, id: &str) -> Result<String, Failure> {
    if !cdm_models::is_dotted_id(id) {
        let message = format!("`{id}` is no driver id: expected dotted lower case, such as `acme.lines`");
        return Err(Failure::usage(message));
    }
    if registry.driver(id).is_some() {
        return Err(Failure::usage(format!("`{id}` is linked here already; a driver needs an id of its own")));
    }
    let name = id.replace(['.', '_'], "-");
    if TAKEN.contains(&name.as_str()) {
        let message = format!("`{id}` would make a crate {name}, and a crate of that name is part of every host");
        return Err(Failure::usage(message));
    }
    // Cargo takes no name that begins or ends so.
    match name.ends_with('-') || name.contains("--") || name.len() > 64 {
        true => {
            Err(Failure::usage(format!("`{id}` makes no good name of a crate: at most 64 bytes, and no `_` at an end")))
        }
        false => Ok(name),
    }
}

/// A file of the template for the driver with that id.
fn named(text: &str, id: &str, crate_name: &str) -> String {
    let (vendor, name) = id.split_once('.').unwrap_or_default();
    let title = format!("{} (CDM models)", capitalized(&name.replace(['.', '_'], " ")));
    // The id comes last, for it may hold a name that is replaced here.
    text.replace(r#""Acme""#, &format!("{:?}", capitalized(vendor)))
        .replace("Lines (CDM models)", &title)
        .replace("acme-lines", crate_name)
        .replace("acme_lines", &crate_name.replace('-', "_"))
        .replace("acme.lines", id)
}

/// A word of an id at the beginning of a title.
fn capitalized(word: &str) -> String {
    let (first, rest) = word.split_at_checked(1).unwrap_or_default();
    first.to_ascii_uppercase() + rest
}

/// Where our crates are, and whether a manifest is to say that from its own folder.
struct Crates {
    folder: PathBuf,
    relative: bool,
}

/// The crates in a checkout.
fn crates_of(checkout: &Path) -> Result<Crates, Failure> {
    let wrong = |why: String| Failure::usage(format!("--cdm-path {}: {why}", checkout.display()));
    let path = checkout.canonicalize().map_err(|error| wrong(error.to_string()))?;
    match path.join("crates/endpoint-api/Cargo.toml").is_file() {
        true => Ok(Crates { folder: path.join("crates"), relative: checkout.is_relative() }),
        false => Err(wrong("it has no crates/endpoint-api; name the folder of a checkout of cdm".to_owned())),
    }
}

impl Crates {
    /// Their folder as a manifest in `manifest_folder` names it. One that was given as a relative path stays one, so
    /// that the manifest is right wherever the folder of both stands.
    fn seen_from(&self, manifest_folder: &Path) -> io::Result<PathBuf> {
        match self.relative {
            true => Ok(path_between(&manifest_folder.canonicalize()?, &self.folder)),
            false => Ok(self.folder.clone()),
        }
    }
}

/// The way from one folder to another, both absolute and without links; `to` as it is where there is none.
fn path_between(from: &Path, to: &Path) -> PathBuf {
    let common = from.components().zip(to.components()).take_while(|(from, to)| from == to).count();
    if common == 0 {
        return to.to_owned(); // another drive
    }
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    up.chain(to.components().skip(common)).collect()
}

/// Fills in where our crates are.
fn with_dependencies(manifest: &str, crates: Option<PathBuf>) -> String {
    let mut filled = String::with_capacity(manifest.len());
    for line in manifest.lines() {
        match (line.strip_suffix(" = { cdm }"), &crates) {
            (Some(name), Some(crates)) => {
                let path = toml::Value::from(crates.join(name).display().to_string());
                filled.push_str(&format!("{name} = {{ path = {path} }}"));
            }
            (Some(name), None) => filled.push_str(&format!("{name} = {:?}", env!("CARGO_PKG_VERSION"))),
            (None, _) => filled.push_str(line),
        }
        filled.push('\n');
    }
    filled
}

/// Writes a file whose text may depend on the folder, which is made before.
fn write(path: &Path, text: impl FnOnce(&Path) -> io::Result<String>) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    fs::write(path, text(folder)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(id: &str, dir: &Path) -> NewDriver {
        NewDriver { id: id.to_owned(), dir: Some(dir.to_owned()), cdm_path: None }
    }

    fn refused(new: &NewDriver) -> String {
        new_driver(&Registry::load().unwrap(), new).unwrap_err().to_string()
    }

    #[test]
    fn a_crate_is_written_under_its_own_name() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("new");
        new_driver(&Registry::load().unwrap(), &new("globex.ware_house", &dir)).unwrap();
        let manifest: toml::Table = fs::read_to_string(dir.join("Cargo.toml")).unwrap().parse().unwrap();
        assert_eq!(manifest["package"]["name"].as_str(), Some("globex-ware-house"));
        assert_eq!(manifest["dependencies"]["endpoint-api"].as_str(), Some(env!("CARGO_PKG_VERSION")));
        for (name, _) in TEMPLATE {
            let text = fs::read_to_string(dir.join(name)).unwrap();
            for placeholder in ["{ cdm }", "acme.lines", "acme-lines", "acme_lines", "Acme", "Lines ("] {
                assert!(!text.contains(placeholder), "{name}");
            }
        }
        let lib = fs::read_to_string(dir.join("src/lib.rs")).unwrap();
        assert!(lib.contains(r#"ID: &'static str = "globex.ware_house""#));
        assert!(lib.contains(r#"TemplateInfo::new("Ware house (CDM models)", "Globex", "files")"#));
    }

    #[test]
    fn an_id_like_that_of_the_template_stays_as_it_is() {
        assert_eq!(
            named(r#"acme.lines acme-lines acme_lines "Acme" Lines (CDM models)"#, "my.acme_lines", "my-acme-lines"),
            r#"my.acme_lines my-acme-lines my_acme_lines "My" Acme lines (CDM models)"#
        );
    }

    /// The paths of our crates in both manifests of a crate that is written to `dir`.
    fn paths(dir: &Path, cdm_path: PathBuf) -> Vec<(PathBuf, PathBuf)> {
        let new = NewDriver { cdm_path: Some(cdm_path), ..new("globex.redb", dir) };
        new_driver(&Registry::load().unwrap(), &new).unwrap();
        let paths_of = |folder: PathBuf| {
            let manifest: toml::Table = fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap();
            let dependencies = ["dependencies", "dev-dependencies"].map(|table| manifest.get(table).cloned());
            let dependencies = dependencies.into_iter().flatten().flat_map(|table| table.as_table().unwrap().clone());
            let path = dependencies.filter_map(|(name, of)| Some((name, PathBuf::from(of.get("path")?.as_str()?))));
            let ours = path.filter(|(name, _)| name != "globex-redb").map(|(name, path)| {
                assert!(path.ends_with(name), "{}", path.display());
                (folder.clone(), path)
            });
            ours.collect::<Vec<_>>()
        };
        [paths_of(dir.to_owned()), paths_of(dir.join("host"))].concat()
    }

    #[test]
    fn a_checkout_at_a_relative_path_is_found_from_both_manifests() {
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        let checkout =
            path_between(&here, &Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let absolute = folder.path().canonicalize().unwrap();
        for dir in [path_between(&here, &absolute).join("a"), absolute.join("b")] {
            let paths = paths(&dir, checkout.clone());
            assert_eq!(paths.len(), 5, "four of the driver, one of its host: {paths:?}");
            for (folder, path) in paths {
                assert!(path.is_relative() && path.starts_with(".."), "{}", path.display());
                assert!(folder.join(&path).join("Cargo.toml").is_file(), "{}", path.display());
            }
        }
        let path = |from: &str, to: &str| path_between(Path::new(from), Path::new(to)).display().to_string();
        assert_eq!(path("/team/globex-redb", "/team/cdm/crates"), "../cdm/crates");
        assert_eq!(path("/team/globex-redb/host", "/team/cdm/crates"), "../../cdm/crates");
        assert_eq!(path("/team/cdm/drivers/globex-redb", "/team/cdm/crates"), "../../crates");
    }

    #[test]
    fn a_checkout_at_an_absolute_path_is_written_so() {
        let folder = tempfile::tempdir().unwrap();
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
        let paths = paths(&folder.path().join("new"), checkout.clone());
        assert!(paths.len() == 5 && paths.iter().all(|(_, path)| path.starts_with(&checkout)), "{paths:?}");
    }

    #[test]
    fn the_name_of_none_of_our_crates_can_be_taken() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for entry in fs::read_dir(crates).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(TAKEN.contains(&name.as_str()) || !name.contains('-'), "{name} is not among the names taken");
        }
    }

    #[test]
    fn what_would_not_work_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("new");
        for (id, expected) in [
            ("lines", "`lines` is no driver id: expected dotted lower case, such as `acme.lines`"),
            ("Acme.Lines", "`Acme.Lines` is no driver id: expected dotted lower case, such as `acme.lines`"),
            ("../acme.lines", "`../acme.lines` is no driver id: expected dotted lower case, such as `acme.lines`"),
            ("cdm.jdbc", "`cdm.jdbc` is linked here already; a driver needs an id of its own"),
            (
                "endpoint.api",
                "`endpoint.api` would make a crate endpoint-api, and a crate of that name is part of every host",
            ),
            (
                "sink.postgres_cdm",
                "`sink.postgres_cdm` would make a crate sink-postgres-cdm, and a crate of that name is part of every host",
            ),
            ("acme.lines_", "`acme.lines_` makes no good name of a crate: at most 64 bytes, and no `_` at an end"),
        ] {
            assert_eq!(refused(&new(id, &dir)), expected);
        }
        assert!(!dir.exists());
        fs::write(folder.path().join("notes"), "of people").unwrap();
        let expected = format!("{} holds something already; name another folder with --dir", folder.path().display());
        assert_eq!(refused(&new("acme.lines", folder.path())), expected);
        let nowhere = NewDriver { cdm_path: Some(folder.path().to_owned()), ..new("acme.lines", &dir) };
        assert!(refused(&nowhere).contains("it has no crates/endpoint-api"));
    }
}
