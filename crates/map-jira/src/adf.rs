//! Plain text from documents in the Atlassian Document Format. Of a document that is not as the format has it, the text
//! that there is.
//!
//! The format and its node types: <https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/>.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

mod lenient;

/// The kind of the node that is a whole document.
const DOCUMENT: &str = "doc";

/// A node of a document. Its kind decides how it reads; of a kind that is not known here the text
/// is kept and the rest passed over.
#[derive(Debug, Deserialize)]
struct Node<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    attrs: Option<Attributes<'a>>,
    #[serde(borrow, default)]
    content: Option<Vec<Node<'a>>>,
    #[serde(borrow, default)]
    marks: Option<Vec<Mark<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Mark<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    attrs: Option<Attributes<'a>>,
}

/// The attributes that carry text, of all kinds of nodes together. Their types vary from node to
/// node, and are looked at where they are used.
#[derive(Debug, Default, Deserialize)]
struct Attributes<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "shortName")]
    short_name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    href: Option<&'a RawValue>,
    #[serde(borrow, default)]
    url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    alt: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "__fileName")]
    file_name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    title: Option<&'a RawValue>,
    #[serde(borrow, default)]
    state: Option<&'a RawValue>,
    #[serde(borrow, default)]
    order: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
}

/// What a document reads as.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) text: String,
    /// Whether all of it is as the format has it.
    pub(crate) is_whole: bool,
}

/// Reads a document; `None` when `json` is none and has no text.
pub(crate) fn document(json: &str) -> Option<Document> {
    let strict = serde_json::from_str::<Node<'_>>(json).ok().filter(|document| document.kind == DOCUMENT);
    let is_whole = strict.is_some();
    let document = strict.or_else(|| lenient::node(json, 0))?;
    let mut text = paragraphs(document.children());
    text.truncate(text.trim_end().len());
    (is_whole || document.kind == DOCUMENT || !text.is_empty()).then_some(Document { text, is_whole })
}

impl<'a> Node<'a> {
    fn children(&self) -> &[Node<'a>] {
        self.content.as_deref().unwrap_or_default()
    }

    fn attribute(&self, pick: impl Fn(&Attributes<'a>) -> Option<&'a RawValue>) -> Option<String> {
        string(pick(self.attrs.as_ref()?)?).filter(|text| !text.is_empty())
    }

    /// Whether the node stands within a line.
    fn is_inline(&self) -> bool {
        self.text.is_some()
            || matches!(
                self.kind.as_ref(),
                "text"
                    | "hardBreak"
                    | "mention"
                    | "emoji"
                    | "inlineCard"
                    | "mediaInline"
                    | "status"
                    | "date"
                    | "placeholder"
                    | "inlineExtension"
            )
    }
}

/// The text of an attribute that is a text or a number.
fn string(value: &RawValue) -> Option<String> {
    let json = value.get();
    match json.bytes().next()? {
        b'"' => serde_json::from_str(json).ok(),
        b'-' | b'0'..=b'9' => Some(json.to_owned()),
        _ => None,
    }
}

/// Blocks with a blank line between them.
fn paragraphs(nodes: &[Node<'_>]) -> String {
    blocks(nodes, "\n\n")
}

/// Blocks, each rendered by its kind. Inline nodes that stand among them make a line together.
fn blocks(nodes: &[Node<'_>], separator: &str) -> String {
    let mut rendered: Vec<String> = Vec::new();
    for run in nodes.chunk_by(|a, b| a.is_inline() && b.is_inline()) {
        rendered.push(match run {
            [node] if !node.is_inline() => block(node),
            inline => line(inline),
        });
    }
    rendered.retain(|text| !text.is_empty());
    rendered.join(separator)
}

fn block(node: &Node<'_>) -> String {
    match node.kind.as_ref() {
        "paragraph" | "heading" | "codeBlock" | "caption" => line(node.children()),
        "bulletList" | "decisionList" => items(node, |_| "- ".to_owned()),
        "orderedList" => {
            let first: usize = node.attribute(|attrs| attrs.order).and_then(|order| order.parse().ok()).unwrap_or(1);
            items(node, |index| format!("{}. ", first.saturating_add(index)))
        }
        "taskList" => tasks(node),
        "blockquote" => prefixed(&blocks(node.children(), "\n"), "> ", "> "),
        "rule" => "---".to_owned(),
        "table" => {
            let rows: Vec<String> = node.children().iter().map(table_row).collect();
            rows.join("\n")
        }
        "media" => media(node),
        "mediaGroup" | "mediaSingle" => blocks(node.children(), "\n"),
        "blockCard" | "embedCard" => card(node),
        "expand" | "nestedExpand" => {
            let title = node.attribute(|attrs| attrs.title);
            let content = paragraphs(node.children());
            [title.unwrap_or_default(), content]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join("\n")
        }
        "listItem" | "decisionItem" | "taskItem" => blocks(node.children(), "\n"),
        _ => {
            let own = node.attribute(|attrs| attrs.text).unwrap_or_default();
            let content = paragraphs(node.children());
            if content.is_empty() { own } else { content }
        }
    }
}

/// A list, one item a line; what an item holds beyond its first line is indented below it.
fn items(list: &Node<'_>, marker: impl Fn(usize) -> String) -> String {
    let mut number = 0;
    let mut lines = Vec::new();
    for child in list.children() {
        // A list directly within a list continues the item before it.
        if matches!(child.kind.as_ref(), "bulletList" | "orderedList") {
            lines.push(prefixed(&block(child), "  ", "  "));
            continue;
        }
        let marker = marker(number);
        number += 1;
        let indent = " ".repeat(marker.len());
        lines.push(prefixed(&block(child), &marker, &indent));
    }
    lines.join("\n")
}

/// A list of tasks; lists within it stand indented between its items.
fn tasks(list: &Node<'_>) -> String {
    let lines = list.children().iter().map(|child| match child.kind.as_ref() {
        "taskList" => prefixed(&tasks(child), "  ", "  "),
        _ => {
            let done = child.attribute(|attrs| attrs.state).as_deref() == Some("DONE");
            prefixed(&block(child), if done { "[x] " } else { "[ ] " }, "    ")
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn table_row(row: &Node<'_>) -> String {
    let cells = row.children().iter().map(|cell| blocks(cell.children(), " ").replace('\n', " "));
    cells.collect::<Vec<_>>().join(" | ")
}

/// `first` before the first line of `text` and `others` before each other.
fn prefixed(text: &str, first: &str, others: &str) -> String {
    let mut prefixed = String::with_capacity(text.len() + first.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            prefixed.push('\n');
        }
        let prefix = if index == 0 { first } else { others };
        prefixed.push_str(if line.is_empty() { prefix.trim_end() } else { prefix });
        prefixed.push_str(line);
    }
    prefixed
}

/// Inline nodes, one behind the other.
fn line(nodes: &[Node<'_>]) -> String {
    let mut line = String::new();
    for node in nodes {
        inline(node, &mut line);
    }
    line
}

fn inline(node: &Node<'_>, line: &mut String) {
    match node.kind.as_ref() {
        "text" => {
            let text = node.text.as_deref().unwrap_or_default();
            line.push_str(text);
            if let Some(target) = link(node).filter(|target| target != text) {
                line.push_str(&format!(" ({target})"));
            }
        }
        "hardBreak" => line.push('\n'),
        "mention" => match node.attribute(|attrs| attrs.text) {
            Some(text) if text.starts_with('@') => line.push_str(&text),
            Some(text) => line.push_str(&format!("@{text}")),
            None => line.push_str(&format!("@{}", node.attribute(|attrs| attrs.id).unwrap_or_default())),
        },
        "emoji" => {
            let emoji = node.attribute(|attrs| attrs.text).or_else(|| node.attribute(|attrs| attrs.short_name));
            line.push_str(&emoji.unwrap_or_default());
        }
        "inlineCard" => line.push_str(&card(node)),
        "mediaInline" => line.push_str(&media(node)),
        "date" => line.push_str(&node.attribute(|attrs| attrs.timestamp).and_then(|at| day(&at)).unwrap_or_default()),
        _ => {
            line.push_str(node.text.as_deref().unwrap_or_default());
            line.push_str(&node.attribute(|attrs| attrs.text).unwrap_or_default());
            node.children().iter().for_each(|child| inline(child, line));
        }
    }
}

/// Where a text leads, when it is marked as a link.
fn link(node: &Node<'_>) -> Option<String> {
    let mark = node.marks.as_deref()?.iter().find(|mark| mark.kind == "link")?;
    string(mark.attrs.as_ref()?.href?)
}

/// The address of a card, or else the name that its data give.
fn card(node: &Node<'_>) -> String {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow, default)]
        url: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        name: Option<Cow<'a, str>>,
    }
    node.attribute(|attrs| attrs.url)
        .or_else(|| {
            let data: Data<'_> = serde_json::from_str(node.attrs.as_ref()?.data?.get()).ok()?;
            data.url.or(data.name).map(Cow::into_owned)
        })
        .unwrap_or_default()
}

/// A picture or a file by its name.
fn media(node: &Node<'_>) -> String {
    let name = node
        .attribute(|attrs| attrs.alt)
        .or_else(|| node.attribute(|attrs| attrs.file_name))
        .or_else(|| node.attribute(|attrs| attrs.url))
        .or_else(|| node.attribute(|attrs| attrs.id));
    name.map(|name| format!("[{name}]")).unwrap_or_default()
}

/// The day that a date node stands for: milliseconds since the epoch, as text.
fn day(milliseconds: &str) -> Option<String> {
    let microseconds = milliseconds.parse::<i64>().ok()?.checked_mul(1000)?;
    let time = cdm_models::Timestamp::from_microsecond(microseconds).ok()?.to_string();
    time.split_once('T').map(|(day, _)| day.to_owned())
}

#[cfg(test)]
mod tests;
