use serde_json::{Value, json};

use super::{Document, document};

fn render(content: Value) -> String {
    let json = json!({ "type": "doc", "version": 1, "content": content }).to_string();
    let Document { text, is_whole } = document(&json).unwrap();
    assert!(is_whole, "{json}");
    text
}

/// The text of a document of which something is odd.
fn partly(json: &str) -> String {
    let Document { text, is_whole } = document(json).unwrap();
    assert!(!is_whole, "{json}");
    text
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn paragraph(content: &str) -> Value {
    json!({ "type": "paragraph", "content": [text(content)] })
}

fn item(content: Value) -> Value {
    json!({ "type": "listItem", "content": content })
}

#[test]
fn paragraphs_and_headings_stand_apart() {
    let heading = json!({ "type": "heading", "attrs": { "level": 2 }, "content": [text("Steps")] });
    let empty = json!({ "type": "paragraph" });
    assert_eq!(render(json!([heading, paragraph("One."), empty, paragraph("Two.")])), "Steps\n\nOne.\n\nTwo.");
}

#[test]
fn lists_nest_and_count() {
    let inner = json!({ "type": "orderedList", "attrs": { "order": 9 }, "content": [
        item(json!([paragraph("nine")])), item(json!([paragraph("ten"), paragraph("and more")])) ] });
    let list = json!({ "type": "bulletList", "content": [
        item(json!([paragraph("first"), inner])), item(json!([paragraph("second")])) ] });
    assert_eq!(render(json!([list])), "- first\n  9. nine\n  10. ten\n      and more\n- second");
}

#[test]
fn tasks_show_whether_they_are_done() {
    let task = |state: &str, name: &str| json!({ "type": "taskItem", "attrs": { "localId": "x", "state": state }, "content": [text(name)] });
    let nested = json!({ "type": "taskList", "content": [task("TODO", "part")] });
    let list = json!({ "type": "taskList", "attrs": { "localId": "" }, "content": [task("DONE", "plan"), nested, task("TODO", "do")] });
    assert_eq!(render(json!([list])), "[x] plan\n  [ ] part\n[ ] do");
    let decision = json!({ "type": "decisionList", "content": [{ "type": "decisionItem", "attrs": { "state": "DECIDED" }, "content": [text("go")] }] });
    assert_eq!(render(json!([decision])), "- go");
}

#[test]
fn code_quotes_and_rules_keep_their_look() {
    let code = json!({ "type": "codeBlock", "attrs": { "language": "rust" }, "content": [text("fn main() {\n}\n")] });
    let quote = json!({ "type": "blockquote", "content": [paragraph("said"), paragraph("so")] });
    assert_eq!(
        render(json!([code, quote, { "type": "rule" }, paragraph("x")])),
        "fn main() {\n}\n\n\n> said\n> so\n\n---\n\nx"
    );
}

#[test]
fn a_table_has_a_line_a_row() {
    let cell = |kind: &str, content: Value| json!({ "type": kind, "attrs": {}, "content": content });
    let header = json!({ "type": "tableRow", "content": [cell("tableHeader", json!([paragraph("a")])), cell("tableHeader", json!([paragraph("b")]))] });
    let row = json!({ "type": "tableRow", "content": [cell("tableCell", json!([paragraph("1"), paragraph("2")])), cell("tableCell", json!([]))] });
    assert_eq!(render(json!([{ "type": "table", "content": [header, row] }])), "a | b\n1 2 |");
}

#[test]
fn inline_nodes_read_as_text() {
    let line = json!({ "type": "paragraph", "content": [
        { "type": "mention", "attrs": { "id": "abc", "text": "@Ada" } }, text(" and "),
        { "type": "mention", "attrs": { "id": "abc" } }, text(" "),
        { "type": "emoji", "attrs": { "shortName": ":smile:", "text": "😄" } },
        { "type": "emoji", "attrs": { "shortName": ":party:" } },
        { "type": "hardBreak" },
        { "type": "text", "text": "docs", "marks": [{ "type": "strong" }, { "type": "link", "attrs": { "href": "https://docs.example" } }] },
        text(" "),
        { "type": "text", "text": "https://x.example", "marks": [{ "type": "link", "attrs": { "href": "https://x.example" } }] },
        text(" "),
        { "type": "inlineCard", "attrs": { "url": "https://card.example" } },
        text(" "),
        { "type": "inlineCard", "attrs": { "data": { "name": "A page" } } },
        text(" "),
        { "type": "status", "attrs": { "text": "READY", "color": "green" } },
        text(" "),
        { "type": "date", "attrs": { "timestamp": "1614834367000" } }
    ] });
    assert_eq!(
        render(json!([line])),
        "@Ada and @abc 😄:party:\ndocs (https://docs.example) https://x.example https://card.example A page READY 2021-03-04"
    );
}

#[test]
fn media_cards_panels_and_expands_are_named() {
    let media = |attrs: Value| json!({ "type": "mediaSingle", "content": [{ "type": "media", "attrs": attrs }] });
    let content = json!([
        media(json!({ "id": "m1", "alt": "screen.png" })),
        media(json!({ "id": "m2", "__fileName": "log.txt" })),
        media(json!({ "id": "m3" })),
        { "type": "blockCard", "attrs": { "url": "https://card.example" } },
        { "type": "panel", "attrs": { "panelType": "info" }, "content": [paragraph("Mind the gap.")] },
        { "type": "expand", "attrs": { "title": "More" }, "content": [paragraph("Detail.")] }
    ]);
    assert_eq!(
        render(content),
        "[screen.png]\n\n[log.txt]\n\n[m3]\n\nhttps://card.example\n\nMind the gap.\n\nMore\nDetail."
    );
}

#[test]
fn an_unknown_node_keeps_its_text() {
    let unknown = json!({ "type": "hologram", "attrs": { "depth": [1, { "text": 2 }] }, "content": [paragraph("inside"), { "type": "sparkle", "text": "glitter" }] });
    let leaf = json!({ "type": "extension", "attrs": { "text": "fallback", "extensionKey": "x" } });
    assert_eq!(render(json!([unknown, leaf])), "inside\n\nglitter\n\nfallback");
}

#[test]
fn an_empty_document_is_an_empty_text() {
    assert_eq!(render(json!([])), "");
    assert_eq!(document(r#"{"type":"doc","version":1}"#).unwrap().text, "");
}

#[test]
fn what_is_no_document_has_no_text() {
    for json in [r#"{"type":"paragraph"}"#, r#"{"value":"x"}"#, "[]", "{}", r#"{"text":"x"}"#, "5", "{\"content\":["] {
        assert_eq!(document(json), None, "{json}");
    }
}

#[test]
fn an_odd_node_costs_nothing_but_itself() {
    let odd = |content: &str| partly(&format!(r#"{{"type":"doc","version":1,"content":{content}}}"#));
    let kept = r#"{"type":"paragraph","content":[{"type":"text","text":"kept"}]}"#;
    assert_eq!(odd(&format!(r#"[{kept},null,5,"x",[],{kept}]"#)), "kept\n\nkept");
    assert_eq!(odd(&format!(r#"[{kept},{{"content":[{{"type":"text","text":"no type"}}]}}]"#)), "kept\n\nno type");
    assert_eq!(odd(&format!(r#"[{kept},{{"type":7,"content":[{kept}]}}]"#)), "kept\n\nkept");
    assert_eq!(odd(r#"[{"type":"paragraph","content":[{"type":"text","text":"a"},{"type":"text","text":4}]}]"#), "a");
    assert_eq!(odd(&format!(r#"[{kept},{{"type":"paragraph","content":"no list"}}]"#)), "kept");
    assert_eq!(odd(r#"[{"type":"paragraph","content":[{"type":"text","text":"a","text":"b"}]}]"#), "b");
    assert_eq!(odd(&format!(r#"[{{"type":"panel","attrs":[1],"marks":{{}},"content":[{kept}]}}]"#)), "kept");
    assert_eq!(odd("5"), "");
    assert_eq!(partly(&format!(r#"{{"version":1,"content":[{kept}]}}"#)), "kept");
}

#[test]
fn text_of_any_depth_is_found() {
    for depth in [50, 65, 100, 200, 20_000] {
        let open = r#"{"type":"bulletList","content":[{"type":"listItem","content":["#.repeat(depth);
        let close = "]}]}".repeat(depth);
        let deep = r#"{"type":"paragraph","content":[{"type":"text","text":"de\"ep","x":"text"}]}"#;
        let json = format!(r#"{{"type":"doc","content":[{open}{deep}{close}]}}"#);
        let text = document(&json).unwrap().text;
        assert_eq!(text.trim_start_matches("- "), "de\"ep", "{depth}");
        assert!(text.starts_with("- - - - "), "{depth}");
    }
}
