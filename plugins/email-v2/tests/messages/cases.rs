//! The cases of `tests/cases`: what people put into a step, and what has to become of it. Each file holds one kind.
//!
//! A case has `parameters` (sender and recipient are added where they are missing) and maybe `files`, and says of the message
//! what holds: its `recipients` and `sender` in the envelope, `headers` unfolded, parts of its octets (`holds`, `lacks`), parts
//! of its warnings (`warns`; without it there are none), or a part of the failure (`refused`).

use std::fs;

use serde_json::Value;

use crate::common::{Memory, assert_travels, header_section, octets, try_message};

#[test]
fn every_case_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the folder of cases") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a file of cases");
        let cases: Vec<Value> =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for case in &cases {
            check(case);
            count += 1;
        }
    }
    assert!(count > 50, "{count} cases");
}

fn texts<'a>(case: &'a Value, key: &str) -> Vec<&'a str> {
    let list = case[key].as_array().into_iter().flatten();
    list.map(|text| text.as_str().expect("a text")).collect()
}

fn check(case: &Value) {
    const KNOWN: [&str; 10] = [
        "case",
        "parameters",
        "files",
        "recipients",
        "sender",
        "headers",
        "holds",
        "lacks",
        "warns",
        "refused",
    ];
    let name = case["case"].as_str().expect("a case has a name");
    for key in case.as_object().expect("a case is an object").keys() {
        assert!(KNOWN.contains(&key.as_str()), "{name}: `{key}` means nothing");
    }
    let mut files = Memory::default();
    for (file, content) in case["files"].as_object().into_iter().flatten() {
        files = files.with(file, content.as_str().expect("a file's text"));
    }
    let mut parameters = case["parameters"].clone();
    for (key, default) in [("from", "a@x.example"), ("to", "b@y.example")] {
        if parameters.get(key).is_none() {
            parameters[key] = default.into();
        }
    }
    let mut prepared = match (try_message(parameters, &mut files), case["refused"].as_str()) {
        (Ok(prepared), None) => prepared,
        (Err(failure), Some(reason)) => {
            assert!(failure.to_string().contains(reason), "{name}: {failure}");
            return;
        }
        (Ok(_), Some(_)) => panic!("{name}: it was taken"),
        (Err(failure), None) => panic!("{name}: {failure}"),
    };
    let octets = octets(&mut prepared, 1 << 16);
    if !prepared.utf8 {
        assert_travels(&octets);
    }
    let text = String::from_utf8_lossy(&octets);
    if let Some(recipients) = case["recipients"].as_array() {
        let found: Vec<String> = prepared.envelope.recipients.iter().map(ToString::to_string).collect();
        assert_eq!(Value::from(found), Value::from(recipients.clone()), "{name}");
    }
    if let Some(sender) = case["sender"].as_str() {
        let found = prepared.envelope.sender.as_ref().map(ToString::to_string);
        assert_eq!(found.as_deref(), Some(sender), "{name}");
    }
    let section = header_section(&octets);
    for (header, expected) in case["headers"].as_object().into_iter().flatten() {
        let found: Vec<&str> = section
            .iter()
            .filter(|(name, _)| name == header)
            .map(|(_, value)| value.as_str())
            .collect();
        let expected: Vec<&str> = expected.as_str().into_iter().collect();
        assert_eq!(found, expected, "{name}: {header}");
    }
    for part in texts(case, "holds") {
        assert!(text.contains(part), "{name}: it lacks {part:?}\n{text}");
    }
    for part in texts(case, "lacks") {
        assert!(!text.contains(part), "{name}: it holds {part:?}\n{text}");
    }
    let warns = texts(case, "warns");
    let warnings = prepared.warnings.join("\n");
    assert_eq!(prepared.warnings.len(), warns.len(), "{name}: {warnings}");
    for part in warns {
        assert!(warnings.contains(part), "{name}: nothing warns of {part:?}: {warnings}");
    }
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    assert!(!head.contains(": \r\n "), "{name}: a first line that is empty: {head}");
    for line in head.split("\r\n") {
        let can_be_folded = line
            .trim_start()
            .split_once(' ')
            .is_some_and(|(_, rest)| rest.contains(' '));
        assert!(
            line.len() <= 78 || !can_be_folded,
            "{name}: a line of {}: {line}",
            line.len()
        );
    }
}
