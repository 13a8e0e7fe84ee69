//! What FreeMarker 2.3.31 makes of templates, line by line: `facts/freemarker.tsv` was made by running it.

use pipepost_freemarker::{Context, Model, Options, Piece, Template};
use serde_json::Value;

fn unquote(text: &str) -> String {
    serde_json::from_str(text).expect("the table holds JSON strings")
}

#[test]
fn templates_give_what_freemarker_gives() {
    compare(include_str!("facts/freemarker.tsv"));
}

/// White space and operators in combinations that nobody would think of.
#[test]
fn generated_templates_give_what_freemarker_gives() {
    compare(include_str!("facts/generated.tsv"));
}

/// What people write in bodies, by report: lambdas, styles of dates, flags, offsets, escapes, `<#break>`.
#[test]
fn templates_of_the_field_give_what_freemarker_gives() {
    compare(include_str!("facts/field.tsv"));
}

/// Dates as ISO 8601 and XML Schema have them, by formats and by built-ins.
#[test]
fn iso_dates_are_what_freemarker_writes() {
    compare(include_str!("facts/iso.tsv"));
}

fn compare(table: &str) {
    let model: Value = serde_json::from_str(include_str!("facts/model.json")).expect("the model is JSON");
    let mut wrong = Vec::new();
    let mut count = 0;
    for row in table.lines().filter(|line| !line.starts_with("# ")) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [source, kind, expected] = columns.as_slice() else {
            panic!("three columns: {row}")
        };
        let (source, expected) = (unquote(source), unquote(expected));
        count += 1;
        let ours = match Template::parse(&[Piece::Source(&source)], &Options::default()) {
            Err(error) => ("parse", error.to_string()),
            Ok(template) => match template.render(&Model::new(&model), &[], &Context::default()) {
                Ok(text) => ("ok", text),
                Err(error) => ("render", error.to_string()),
            },
        };
        let same = ours.0 == *kind && (ours.0 != "ok" || ours.1 == expected);
        if !same {
            wrong.push(format!(
                "{source:?}\n  FreeMarker: {kind} {expected:?}\n  ours:       {} {:?}",
                ours.0, ours.1
            ));
        }
    }
    assert!(count > 130, "the table is incomplete");
    assert!(
        wrong.is_empty(),
        "{} of {count} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
