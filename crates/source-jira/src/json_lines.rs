//! Long lists within a plan or a checkpoint are one text with a line for each item: as JSON values of their own they would
//! take ten times the memory.

use serde::{Deserialize as _, Deserializer, Serialize, Serializer, de, de::DeserializeOwned, ser};

/// Writes the items, each as JSON on a line.
pub(crate) fn serialize<T: Serialize, S: Serializer>(
    items: impl IntoIterator<Item = T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut text = Vec::new();
    for item in items {
        serde_json::to_writer(&mut text, &item).map_err(ser::Error::custom)?;
        text.push(b'\n');
    }
    serializer.serialize_str(&String::from_utf8(text).map_err(ser::Error::custom)?)
}

/// Reads what [`serialize`] has written.
pub(crate) fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    read(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// The items of a text.
pub(crate) fn read<T: DeserializeOwned, C: FromIterator<T>>(text: &str) -> Result<C, serde_json::Error> {
    text.lines().map(serde_json::from_str).collect()
}
