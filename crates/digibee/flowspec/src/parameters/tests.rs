use serde_json::{Value, json};

use super::*;

fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["to"],
        "properties": {
            "to": {"type": ["string", "array"]},
            "smtpPort": {"type": "integer", "minimum": 1, "maximum": 65535, "x-pipepost-grant": "port"},
            "isOverTLS": {"type": "boolean", "x-pipepost-alias": "isOverTls", "x-pipepost-grant": "tls"},
            "logLevel": {"enum": ["INFO", "WARN"]},
            "body": {"type": "string", "x-pipepost-template": true, "x-pipepost-file": true},
            "charset": {"type": "string", "x-pipepost-default": "UTF-8"},
            "attachments": {"type": "array", "items": {"$ref": "#/$defs/attachment"}},
            "isAuth": {"type": "boolean", "x-pipepost-account": true, "x-pipepost-default": true},
            "either": {"anyOf": [{"type": "integer"}, {"type": "object", "properties": {"a": {"type": "integer"}}}]}
        },
        "$defs": {"attachment": {
            "type": "object", "required": ["attachment"],
            "properties": {"attachment": {"type": "string"}, "type": {"enum": ["ATTACHMENT", "INLINE"]}}
        }}
    })
}

fn written(value: Value) -> Vec<(String, String)> {
    let checked = check_written(&schema(), &value);
    checked
        .problems
        .into_iter()
        .map(|problem| (problem.pointer, problem.message))
        .collect()
}

fn only(value: Value) -> (String, String) {
    let problems = written(value);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.into_iter().next().unwrap()
}

#[test]
fn both_forms_of_a_value_are_the_same() {
    let text = json!({"to": "a@b", "smtpPort": "587", "isOverTLS": "true", "attachments": "[{\"attachment\":\"f\"}]"});
    let native = json!({"to": "a@b", "smtpPort": 587, "isOverTLS": true, "attachments": [{"attachment": "f"}]});
    assert_eq!(
        check_written(&schema(), &text).value,
        check_written(&schema(), &native).value
    );
    assert_eq!(
        check_resolved(&schema(), text).unwrap(),
        check_resolved(&schema(), native).unwrap()
    );
}

#[test]
fn a_wrong_type_says_what_is_expected_and_not_what_was_there() {
    let (pointer, message) = only(json!({"to": "a", "smtpPort": "hunter2"}));
    assert_eq!(
        (pointer.as_str(), message.as_str()),
        ("/smtpPort", "it must be a whole number, and is other text")
    );
    let (_, message) = only(json!({"to": "a", "smtpPort": 70000}));
    assert_eq!(message, "it must be at most 65535");
}

#[test]
fn an_expression_may_yet_be_anything_until_it_is_resolved() {
    assert_eq!(
        written(json!({"to": "{{ message.to }}", "smtpPort": "{{ global.port }}"})),
        []
    );
    let errors = check_resolved(
        &schema(),
        json!({"to": "{{ message.to }}", "smtpPort": "{{ global.port }}"}),
    );
    assert_eq!(errors.unwrap_err()[0].pointer, "/smtpPort");
}

#[test]
fn an_unknown_name_brings_the_nearest_known() {
    let checked = check_written(&schema(), &json!({"to": "a", "smtpPrt": 1}));
    assert_eq!(
        checked.problems[0].advice.as_deref(),
        Some("the nearest known is `smtpPort`")
    );
    assert!(checked.problems[0].in_key);
}

#[test]
fn an_alias_is_taken_with_a_warning_and_not_beside_its_name() {
    let checked = check_written(&schema(), &json!({"to": "a", "isOverTls": "false"}));
    assert_eq!(checked.value["isOverTLS"], json!(false));
    assert!(checked.problems[0].is_warning);
    let both = check_written(&schema(), &json!({"to": "a", "isOverTls": true, "isOverTLS": true}));
    assert!(!both.problems[0].is_warning);
}

#[test]
fn a_missing_parameter_is_named_once() {
    assert_eq!(
        only(json!({})),
        (String::new(), "the parameter `to` is missing".to_owned())
    );
}

#[test]
fn an_unused_setting_may_be_an_empty_text() {
    assert_eq!(
        written(json!({"to": "", "smtpPort": "", "isOverTLS": null, "attachments": ""})),
        []
    );
}

#[test]
fn elements_are_checked_within_json_text() {
    let (pointer, message) = only(json!({"to": "a", "attachments": "[{\"attachment\":\"f\",\"type\":\"INLNE\"}]"}));
    assert_eq!(
        (pointer.as_str(), message.as_str()),
        ("/attachments/0/type", "it must be `ATTACHMENT`, `INLINE`")
    );
}

#[test]
fn json_text_that_breaks_off_says_where() {
    let checked = check_written(&schema(), &json!({"to": "a", "attachments": "[{]"}));
    assert!(
        checked.problems[0].advice.as_ref().unwrap().contains("column 3"),
        "{checked:?}"
    );
}

#[test]
fn listed_texts_take_the_schemas_spelling() {
    assert_eq!(
        check_written(&schema(), &json!({"to": "a", "logLevel": "warn"})).value["logLevel"],
        "WARN"
    );
}

#[test]
fn a_file_stands_for_a_body_and_for_nothing_else() {
    assert_eq!(written(json!({"to": "a", "body": {"file": "x.html"}})), []);
    assert_eq!(only(json!({"to": "a", "charset": {"file": "x.html"}})).0, "/charset");
}

#[test]
fn the_option_that_was_meant_speaks() {
    assert_eq!(written(json!({"to": "a", "either": "3"})), []);
    assert_eq!(only(json!({"to": "a", "either": {"a": "x"}})).0, "/either/a");
}

#[test]
fn defaults_fill_what_is_absent_at_run_time_alone() {
    let value = json!({"to": "a"});
    assert_eq!(check_written(&schema(), &value).value, value);
    assert_eq!(
        check_resolved(&schema(), value).unwrap(),
        json!({"to": "a", "charset": "UTF-8", "isAuth": true})
    );
}

#[test]
fn annotations_are_read_off_the_properties() {
    let found = Annotations::of(&schema());
    assert_eq!(found.grants.get("smtpPort"), Some(&Grant::Port));
    assert_eq!(found.aliases.get("isOverTls").map(String::as_str), Some("isOverTLS"));
    assert_eq!(found.templates, ["body"]);
    assert_eq!(found.account_switch.as_deref(), Some("isAuth"));
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    let schema = json!({"properties": {"a": {"$ref": "#/properties/a"}}});
    assert_eq!(check_written(&schema, &json!({"a": 1})).problems, []);
}

#[test]
fn a_problem_is_a_sentence() {
    let errors = check_resolved(&schema(), json!({"to": "a", "smtpPort": "x"})).unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "parameter smtpPort: it must be a whole number, and is other text"
    );
}

#[test]
fn a_value_at_run_time_is_never_repeated() {
    let secret = json!({"to": "a", "logLevel": "s3cret", "smtpPort": "s3cret", "charset": ["s3cret"]});
    let errors = check_resolved(&schema(), secret).unwrap_err();
    assert_eq!(errors.len(), 3);
    assert!(
        errors.iter().all(|error| !format!("{error:?}").contains("s3cret")),
        "{errors:?}"
    );
}

#[test]
fn a_value_cannot_break_out_of_json_text() {
    let text = json!({"to": "a", "attachments": "[{\"attachment\": \"{{ message.name }}\"}]"});
    let checked = check_written(&schema(), &text);
    assert_eq!(
        checked.value["attachments"],
        json!([{"attachment": "{{ message.name }}"}])
    );
    let whole = json!({"to": "a", "attachments": "{{ message.files }}"});
    assert_eq!(check_written(&schema(), &whole).value, whole);
}

/// The problem with which a check ends that takes too long.
fn is_given_up(schema: &Value, value: &Value) -> bool {
    let problems = check_written(schema, value).problems;
    assert!(problems.len() <= 1000, "{}", problems.len());
    let bytes: usize = problems.iter().map(|problem| problem.message.len()).sum();
    assert!(bytes < 4 << 20, "{bytes}");
    problems
        .iter()
        .any(|problem| problem.message.contains("takes more work to check"))
}

#[test]
fn a_schema_that_asks_for_more_work_than_is_done_is_given_up() {
    let no = json!({"type": "integer"});
    // Two ways at each level, and neither fits.
    for keyword in ["anyOf", "oneOf"] {
        let mut definitions = json!({"d40": no});
        for level in 0..40 {
            let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
            definitions[format!("d{level}")] = json!({keyword: [next, next]});
        }
        let schema = json!({"properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": definitions});
        assert!(is_given_up(&schema, &json!({"a": "x"})), "{keyword}");
    }
    // Through elements and members too.
    let node = json!({"anyOf": [{"type": "array", "items": {"$ref": "#/properties/a"}},
        {"type": "array", "items": {"$ref": "#/properties/a"}}]});
    let mut deep = json!("x");
    for _ in 0..25 {
        deep = json!([deep]);
    }
    assert!(is_given_up(&json!({"properties": {"a": node}}), &json!({"a": deep})));
    // A long text, and one option after another.
    let options = vec![no.clone(); 19_000];
    let text = "x".repeat(1 << 20);
    assert!(is_given_up(
        &json!({"properties": {"a": {"anyOf": options}}}),
        &json!({"a": text})
    ));
    // References that lead nowhere, each as long as it may be.
    let far = json!({"properties": {"a": {"items": {"$ref": format!("#{}", "/a".repeat(400_000))}}}});
    assert!(is_given_up(&far, &json!({"a": vec![1; 100_000]})));
}

#[test]
fn wide_schemas_take_no_more_time_and_words_than_there_are_steps() {
    let names: Vec<String> = (0..19_000).map(|number| format!("name{number}")).collect();
    let listed = json!({"properties": {"a": {"items": {"enum": names}}}});
    is_given_up(&listed, &json!({"a": vec!["x"; 20_000]}));
    let required = json!({"properties": {"a": {"type": "integer"}}, "required": names, "additionalProperties": true});
    is_given_up(
        &json!({"properties": {"a": {"items": required}}}),
        &json!({"a": vec![json!({}); 20_000]}),
    );
    let aliased = json!({"properties": {"a": {"x-pipepost-alias": names}}});
    let others: serde_json::Map<String, Value> = (0..20_000).map(|number| (format!("n{number}"), json!(1))).collect();
    is_given_up(&aliased, &json!(others));
    let many: serde_json::Map<String, Value> = names.iter().map(|name| (name.clone(), json!({}))).collect();
    is_given_up(&json!({"properties": many}), &json!(others));
    let types = json!({"properties": {"a": {"type": vec!["array"; 19_000]}}});
    is_given_up(&types, &json!({"a": format!("{{\"x\": [{}1]}}", "1,".repeat(1 << 19))}));
}

#[test]
fn what_people_write_is_checked_to_its_end() {
    let schema = json!({"properties": {"a": {"items": {"anyOf": [
        {"type": "integer"}, {"properties": {"b": {"anyOf": [{"type": "integer"}, {"type": "boolean"}]}}}
    ]}}}});
    let element = json!({"b": true});
    assert_eq!(
        check_written(&schema, &json!({"a": vec![element; 100_000]})).problems,
        []
    );
    let enumerated = json!({"properties": {"a": {"enum": (0..60).map(|n| n.to_string()).collect::<Vec<_>>()}}});
    let problems = check_written(&enumerated, &json!({"a": "x"})).problems;
    assert!(problems[0].message.ends_with("`49` or one of 10 more"), "{problems:?}");
}
