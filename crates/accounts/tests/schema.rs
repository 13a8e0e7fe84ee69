//! The published schema against the same cases that loading is tested with.

use std::path::Path;

use pipepost_accounts::ACCOUNT_SCHEMA;
use serde_json::Value;

/// Good accounts in a spelling that the schema does not describe.
const FORGIVEN: [&str; 3] = ["smtp-all-fields", "environment-laid-over", "oauth-microsoft"];

/// Bad ones that a schema can see; the others need to know more than the document.
const VISIBLE: [&str; 22] = [
    "invalid-number",
    "invalid-array-of-numbers",
    "invalid-no-label",
    "invalid-label-number",
    "invalid-no-type",
    "invalid-type-misspelt",
    "invalid-type-unknown",
    "invalid-field-misspelt",
    "invalid-field-unknown",
    "invalid-field-of-another-type",
    "invalid-field-twice",
    "invalid-port",
    "invalid-password-list",
    "invalid-auth",
    "invalid-property-misspelt",
    "invalid-properties-refused-by-name",
    "invalid-properties-list",
    "invalid-limits",
    "invalid-limits-number",
    "invalid-pipelining",
    "invalid-oauth-http",
    "invalid-preset",
];

fn documents(case: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(case);
    ["accounts.json", "more.json"]
        .iter()
        .filter_map(|name| std::fs::read_to_string(folder.join(name)).ok())
        .map(|text| serde_json::from_str(text.trim_start_matches('\u{feff}')).expect("JSON"))
        .collect()
}

fn cases() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect()
}

fn validator() -> jsonschema::Validator {
    let schema = serde_json::from_str(ACCOUNT_SCHEMA).expect("the schema is JSON");
    jsonschema::draft202012::meta::validate(&schema).expect("the schema is a schema");
    jsonschema::validator_for(&schema).expect("the schema compiles")
}

#[test]
fn it_takes_every_good_account() {
    let validator = validator();
    for case in cases()
        .iter()
        .filter(|case| !case.starts_with("invalid-") && !FORGIVEN.contains(&case.as_str()))
    {
        for document in documents(case) {
            let problems: Vec<String> = validator
                .iter_errors(&document)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(problems.is_empty(), "{case}: {problems:?}");
        }
    }
}

#[test]
fn it_refuses_what_it_can_see() {
    let validator = validator();
    let all = cases();
    for case in VISIBLE {
        assert!(all.iter().any(|name| name == case), "no case {case}");
        assert!(
            documents(case).iter().any(|document| !validator.is_valid(document)),
            "{case} passes"
        );
    }
}
