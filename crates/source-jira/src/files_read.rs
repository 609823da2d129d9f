use std::collections::BTreeMap;

use endpoint_api::{Checkpoint, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::{
    cuts::Cuts,
    depends::LookedUp,
    files::ExportFile,
    fingerprint::{FileStat, Fingerprint, LineRange},
    pages::Pages,
};

/// What a checkpoint holds: the files whose records have all been read, as they were then.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilesRead {
    #[serde(with = "files")]
    pub(crate) files: BTreeMap<String, FileRead>,
    /// A digest of what was said of data files that are not read: a run that has nothing else to say does not say it
    /// again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unread: Option<String>,
    /// A digest of the settings on which rows depend: with other ones, all files are read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) settings: Option<String>,
}

/// Few files are an object by their names, and many one text.
mod files {
    use std::{collections::BTreeMap, fmt};

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de};

    use super::FileRead;
    use crate::json_lines;

    /// The maximum number of files in an object.
    pub(super) const FEW: usize = 64;

    type Files = BTreeMap<String, FileRead>;

    pub(super) fn serialize<S: Serializer>(files: &Files, serializer: S) -> Result<S::Ok, S::Error> {
        if files.len() <= FEW { files.serialize(serializer) } else { json_lines::serialize(files, serializer) }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Files, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Files;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("files by their names")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Files, E> {
                json_lines::read(text).map_err(E::custom)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Files, A::Error> {
                Files::deserialize(de::value::MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// A file whose records have all been read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FileRead {
    #[serde(flatten)]
    pub(crate) state: Fingerprint,
    /// Into which ranges it fell, so that it need not be read to be cut once more. Only the end of a plan has
    /// them: the plan would grow with the square of their number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cuts: Option<Cuts>,
    /// What its pages say about themselves, so that pages in several files are counted together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pages: Option<Pages>,
    /// What its records looked up in other files.
    #[serde(default, skip_serializing_if = "LookedUp::is_nothing")]
    pub(crate) looked_up: LookedUp,
    /// The number of the plan that was the first to have the file as it is. Earlier versions of the driver did not
    /// write it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) round: Option<u32>,
}

/// Since when a file is as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Age {
    /// No plan had it so before.
    New,
    /// The plan with this number was the first.
    Since(u32),
    /// An earlier version of the driver has read it and did not write down when.
    Unknown,
}

impl FileRead {
    /// What a survey of the file would find, where it is still as it was.
    pub(crate) fn survey(
        &self,
        file: &ExportFile,
        stat: &FileStat,
        slice_bytes: u64,
    ) -> Option<(Fingerprint, Vec<LineRange>)> {
        if !self.state.is_told_by(stat) {
            return None;
        }
        let ranges = match (&self.cuts, file.has_ranges()) {
            (_, false) => Vec::new(),
            (Some(cuts), true) => cuts.ranges(file, self.state.bytes, slice_bytes)?,
            (None, true) => return None,
        };
        Some((self.state.clone(), ranges))
    }
}

impl FilesRead {
    pub(crate) fn read(checkpoint: &Checkpoint) -> Result<Self> {
        Self::deserialize(&checkpoint.0).map_err(|error| {
            let message = "the checkpoint is not one of this driver's; read from the beginning";
            Error::new(ErrorKind::Data, "plan", message).caused_by(error)
        })
    }

    /// Since when a file is as it is, whose rows are made from what `fingerprint` is of.
    pub(crate) fn age_of(&self, name: &str, fingerprint: &str) -> Age {
        let is_same =
            |file: &&FileRead| file.looked_up.fingerprint(&file.state.xxh3, self.settings.as_deref()) == fingerprint;
        match self.files.get(name).filter(is_same) {
            Some(FileRead { round: Some(round), .. }) => Age::Since(*round),
            Some(FileRead { round: None, .. }) => Age::Unknown,
            None => Age::New,
        }
    }

    /// The highest number of a plan that is known.
    pub(crate) fn last_round(&self) -> u32 {
        self.files.values().filter_map(|file| file.round).max().unwrap_or_default()
    }

    pub(crate) fn checkpoint(&self) -> Result<Checkpoint> {
        serde_json::to_value(self).map(Checkpoint).map_err(|error| unwritable("the checkpoint", error))
    }
}

pub(crate) fn unwritable(what: &str, error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Internal, "plan", format!("{what} cannot be written")).caused_by(error)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_checkpoint_has_the_form_that_is_documented() {
        let state = Fingerprint { bytes: 10, xxh3: "ab".into(), modified_ns: None };
        let file = FileRead { state, cuts: None, pages: None, looked_up: LookedUp::default(), round: None };
        let mut read = FilesRead { files: [("issues.jsonl".to_owned(), file)].into(), ..FilesRead::default() };
        let unsettled = json!({ "files": { "issues.jsonl": { "bytes": 10, "xxh3": "ab" } } });
        assert_eq!(read.checkpoint().unwrap().0, unsettled);
        let file = read.files.get_mut("issues.jsonl").unwrap();
        (file.state.modified_ns, file.round) = (Some(7), Some(3));
        let settled = json!({ "files": { "issues.jsonl": {
            "bytes": 10, "xxh3": "ab", "modified_ns": 7, "round": 3,
        } } });
        assert_eq!(read.checkpoint().unwrap().0, settled);
        let range = |start, end, first_line| LineRange { start, end, first_line };
        read.files.get_mut("issues.jsonl").unwrap().cuts = Cuts::of(&[range(0, 6, 1), range(6, 10, 3)], 5);
        let cut = json!({ "files": { "issues.jsonl": {
            "bytes": 10, "xxh3": "ab", "modified_ns": 7, "round": 3, "cuts": { "slice_bytes": 5, "at": [[6, 3]] },
        } } });
        assert_eq!(read.checkpoint().unwrap().0, cut);
        assert_eq!(FilesRead::read(&Checkpoint(cut)).unwrap(), read);
        read.files.get_mut("issues.jsonl").unwrap().cuts = None;
        assert_eq!(FilesRead::read(&Checkpoint(settled)).unwrap(), read);
    }

    #[test]
    fn many_files_are_one_text_in_a_checkpoint() {
        let state = |bytes| Fingerprint { bytes, xxh3: "ab".into(), modified_ns: Some(7) };
        let file = |bytes| FileRead {
            state: state(bytes),
            cuts: Cuts::of(&[], 5),
            pages: None,
            looked_up: LookedUp { users: Some("c".into()), ..LookedUp::default() },
            round: Some(1),
        };
        let name = |number| format!("issues\n\t\"\u{e4}-{number}.jsonl");
        let mut read = FilesRead::default();
        for number in 0..=files::FEW {
            read.files.insert(name(number), file(u64::try_from(number).unwrap()));
            let checkpoint = read.checkpoint().unwrap();
            assert_eq!(checkpoint.0["files"].is_string(), number == files::FEW);
            assert_eq!(FilesRead::read(&checkpoint).unwrap(), read);
        }
    }
}
