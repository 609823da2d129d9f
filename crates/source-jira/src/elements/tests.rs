use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::buffer::Content;

/// Input that comes in chunks of these sizes, over and over.
struct Chunks<'a> {
    text: &'a [u8],
    sizes: std::iter::Cycle<std::vec::IntoIter<usize>>,
}

impl<'a> Chunks<'a> {
    fn new(text: &'a [u8], sizes: Vec<usize>) -> Self {
        Self { text, sizes: sizes.into_iter().cycle() }
    }
}

impl Read for Chunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes.next().unwrap_or(1).min(buffer.len());
        (&mut self.text).take(size as u64).read(buffer)
    }
}

/// The elements, and what is wrong after them.
fn split(input: impl Read, list: &'static str) -> (Vec<String>, Option<String>) {
    let mut elements = Elements::new(input, list, 1 << 20);
    let mut found = Vec::new();
    loop {
        match elements.next() {
            Ok(Some(Piece { line, content: Content::Whole(bytes) })) => {
                found.push(String::from_utf8_lossy(bytes).into_owned());
                assert_eq!(line, found.len() as u64);
            }
            Ok(Some(_)) => panic!("oversized"),
            Ok(None) => return (found, None),
            Err(error) => return (found, Some(error.to_string())),
        }
    }
}

fn elements(text: &str) -> Vec<String> {
    let whole = split(text.as_bytes(), "issues");
    assert_eq!(split(Chunks::new(text.as_bytes(), vec![1]), "issues"), whole, "byte by byte");
    assert_eq!(whole.1, None);
    whole.0
}

fn error(text: &str) -> String {
    let whole = split(text.as_bytes(), "issues");
    assert_eq!(split(Chunks::new(text.as_bytes(), vec![1]), "issues"), whole, "byte by byte");
    whole.1.unwrap()
}

#[test]
fn arrays_and_pages_give_their_elements() {
    assert_eq!(elements(r#"[{"a":1},{"b":[2,{}]}]"#), [r#"{"a":1}"#, r#"{"b":[2,{}]}"#]);
    assert_eq!(elements(r#"{"total":2,"issues":[{"a":1}],"names":{"issues":[3]}}"#), [r#"{"a":1}"#]);
    assert_eq!(elements(r#"{"values":[{"a":1}]}"#), [r#"{"a":1}"#]);
    assert_eq!(elements(r#" { "x" : [ 1 ] , "issues" : [ {"a":1} , {"b":2} ] } "#), [r#"{"a":1}"#, r#"{"b":2}"#]);
    assert_eq!(elements("[]"), [""; 0]);
    assert_eq!(elements(r#"{"issues":[ ]}"#), [""; 0]);
    assert_eq!(elements(r#"{"issues":[1],"values":[2]}"#), ["1", "2"]);
}

#[test]
fn values_may_follow_each_other() {
    assert_eq!(elements("[1,2][3]\n{\"issues\":[4]}{\"values\":[]}\n[5]\n"), ["1", "2", "3", "4", "5"]);
}

#[test]
fn records_may_stand_for_themselves() {
    assert_eq!(elements("{\"id\":1}\n{\"id\":2}\n"), [r#"{"id":1}"#, r#"{"id":2}"#]);
    assert_eq!(elements("{\n  \"self\": \"x\",\n  \"key\" : 1\n}"), ["{   \"self\": \"x\",   \"key\" : 1 }"]);
    assert_eq!(elements(r#"[1] {} [{}]"#), ["1", "{}", "{}"]);
    assert_eq!(elements(r#"{"id":"1","values":[1]}"#), [r#"{"id":"1","values":[1]}"#], "a page has no id");
    assert_eq!(elements(r#"{"users":{"size":3},"x":"}"}"#), [r#"{"users":{"size":3},"x":"}"}"#]);
    let long = format!("{{\"x\":\"{}\",\"y\":{{}}}}", "x".repeat(200_000));
    assert_eq!(elements(&long), [long.as_str()]);
}

#[test]
fn pages_may_stand_in_an_array_among_records() {
    let text = r#"[{"issues":[{"a":1},2]},{"id":3},{"expand":"x","total":0,"values":[{"b":[]}]},4,{"a" 1},{}]"#;
    assert_eq!(elements(text), [r#"{"a":1}"#, "2", r#"{"id":3}"#, r#"{"b":[]}"#, "4", r#"{"a" 1}"#, "{}"]);
}

#[test]
fn byte_order_marks_between_values_are_passed_over() {
    let text = "\u{FEFF}[1,\u{FEFF}2]\u{FEFF}\n\u{FEFF}{\"issues\":[\u{FEFF}{\"a\":\"\u{FEFF}\"}]}\u{FEFF}";
    assert_eq!(elements(text), ["1", "2", "{\"a\":\"\u{FEFF}\"}"]);
    assert!(error("[1,\u{FF01}]").starts_with("expected a value, found a character that begins none"));
}

#[test]
fn a_page_without_a_list_has_no_records_and_is_no_error() {
    for text in [
        r#"{"errorMessages":["no"],"errors":{}}"#,
        r#"{"startAt":0,"total":0}"#,
        r#"{"comments":[{"id":"1"}],"total":1}"#,
        r#"[{"errorMessages":[]}]"#,
    ] {
        assert_eq!(elements(text), [""; 0], "{text}");
    }
}

fn survey(text: &str) -> (Pages, Vec<String>) {
    let (pages, fields, outcome) = Elements::survey(Chunks::new(text.as_bytes(), vec![3]), "issues");
    outcome.unwrap();
    (pages, fields.unit_fields().map(|field| format!("{} {}", field.name, field.description)).collect())
}

#[test]
fn a_survey_tells_what_pages_say_wherever_they_say_it() {
    let (pages, fields) = survey(
        r#"[{"names":{"customfield_1":"Points"},"total":9,"issues":[{"total":5},{}],"schema":{"customfield_1":{}}},
            {"issues":[{"nextPageToken":"x"}],"nextPageToken":"y","issueErrors":[{}]}] {"comments":[1]}"#,
    );
    assert_eq!((pages.announced, pages.held, pages.continues, pages.without_list), (9, 2, true, 1));
    assert_eq!(pages.problems, [("issueErrors".to_owned(), 1)].into());
    assert_eq!(fields, ["fields.customfield_1 Points; schema {}"]);
    let (pages, fields) = survey(r#"[{"id":"1","total":3,"names":{"a":"b"}},{"issues":[{"names":{"a":"b"}}]}]"#);
    assert_eq!((pages, fields.len()), (Pages { ends: true, ..Pages::default() }, 0), "records say nothing of pages");
}

#[test]
fn what_is_no_object_is_still_an_element() {
    assert_eq!(
        elements(r#"[1, -2.5e3 ,"a,b]\"}", [ [] ], null,nonsense, {"a" 1}]"#),
        ["1", "-2.5e3", r#""a,b]\"}""#, "[ [] ]", "null", "nonsense", r#"{"a" 1}"#]
    );
}

#[test]
fn a_record_becomes_one_line_and_its_strings_stay() {
    let text = "[\n  {\n    \"a\":\r\n \"x\\n{[ \u{2028} ]}\\\"\\\\\" ,\t\"b\" : [\n1 ]\n  }\n]\n";
    assert_eq!(elements(text), ["{     \"a\":   \"x\\n{[ \u{2028} ]}\\\"\\\\\" ,\t\"b\" : [ 1 ]   }"]);
    // No JSON, and kept as it is for whoever looks at the reject.
    assert_eq!(elements("[{\"a\":\"x\ny\"}]"), ["{\"a\":\"x\ny\"}"]);
}

#[test]
fn the_list_is_the_one_of_the_unit() {
    assert_eq!(split(&br#"{"comments":[1],"total":1}"#[..], "comments").0, ["1"]);
}

#[test]
fn what_holds_no_records_says_what_was_expected() {
    for text in ["", " \n", "17", "\"a\"", "null", "nonsense"] {
        assert!(error(text).starts_with("expected an array or a page of records"), "{text}");
    }
    for (text, at) in [(r#" {"issues":{"a":[]},"x":[1]}"#, 1), (r#"{"issues":null}"#, 0), (r#"[1] {"values":5}"#, 4)] {
        assert_eq!(error(text), format!("{NO_LIST} at byte {at}"), "{text}");
    }
}

#[test]
fn where_an_element_ends_must_be_certain() {
    for (text, expected) in [
        ("[{} {}]", "expected `,` or `]` at byte 4"),
        ("[1,]", "expected a value at byte 3"),
        ("[,1]", "expected a value at byte 1"),
        ("[12\"a\"]", "expected `,` or `]` at byte 3"),
        ("[1}", "expected `,` or `]` at byte 2"),
        ("[1],[2]", "expected an array or a page of records at byte 3"),
        ("{\"issues\":[1] \"total\":1}", "expected `,` or `}` at byte 14"),
        ("{\"issues\" [1]}", "expected `:` at byte 10"),
        ("{issues:[1]}", "expected the name of a member at byte 1"),
        ("{\"total\":,\"issues\":[]}", "expected a value at byte 9"),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn a_text_that_is_cut_short_is_an_error_wherever_that_is() {
    let whole = "{\"total\" : 1 , \"issues\" : [ {\"a\":\"b\\\"\"} , 17 ] , \"x\":{\"y\":[]} }";
    elements(whole);
    for length in 1..whole.len() {
        assert_eq!(error(&whole[..length]), format!("{CUT_SHORT} at byte {length}"));
    }
}

#[test]
fn an_element_above_the_limit_takes_no_memory_and_the_next_one_is_found() {
    let long = 100 * 1024 * 1024;
    let text = (&b"[[\""[..]).chain(io::repeat(b'x').take(long)).chain(&b"\"],{}]"[..]);
    let mut elements = Elements::new(text, "issues", 1024);
    let Some(Piece { line: 1, content: Content::Oversized { head, length, .. } }) = elements.next().unwrap() else {
        panic!("not oversized");
    };
    assert_eq!((&head[..4], head.len(), length), (&b"[\"xx"[..], 64 * 1024, long + 4));
    assert!(elements.record.capacity() <= 64 * 1024);
    assert!(matches!(elements.next().unwrap(), Some(Piece { line: 2, content: Content::Whole(b"{}") })));
    assert!(elements.next().unwrap().is_none());
}

fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![".*", "[\\[\\]{}\",:\\\\\n\u{2028}]*"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,4}", inner), 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn render(value: &Value, pretty: bool) -> String {
    if pretty { serde_json::to_string_pretty(value).unwrap() } else { value.to_string() }
}

proptest! {
    #[test]
    fn any_records_come_out_as_they_went_in(
        values in prop::collection::vec(any_json(), 0..6),
        pretty: bool,
        page: bool,
        sizes in prop::collection::vec(1..40usize, 1..8),
    ) {
        let list = Value::from(values.clone());
        let whole = if page { json!({ "expand": "x", "issues": list, "names": { "a": [1] } }) } else { list };
        let text = render(&whole, pretty).repeat(2);
        let (found, error) = split(Chunks::new(text.as_bytes(), sizes), "issues");
        prop_assert_eq!(error, None);
        prop_assert!(found.iter().all(|element| !element.contains('\n')));
        let parsed: Vec<Value> = found.iter().map(|element| serde_json::from_str(element).unwrap()).collect();
        // Read back as well, since reading a number may round it.
        let once: Vec<Value> = serde_json::from_str(&Value::from(values).to_string()).unwrap();
        prop_assert_eq!(parsed, [once.clone(), once].concat());
    }

    #[test]
    fn any_bytes_give_the_same_in_any_chunks(
        text in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..64),
            "[\\[\\]{}\",:\\\\\n 1a]{0,64}".prop_map(String::into_bytes),
        ],
        sizes in prop::collection::vec(1..9usize, 1..8),
    ) {
        prop_assert_eq!(split(Chunks::new(&text, sizes), "issues"), split(text.as_slice(), "issues"));
    }
}
