//! The reference documentation of templates: every built-in and directive is in it, every worked case holds, and
//! docs/reference/template.md is what the program prints. `BLESS=1` writes it anew.

use std::collections::BTreeSet;
use std::path::Path;

use pipepost_freemarker::{
    Context, EXAMPLE_MODEL, Model, Options, Piece, Template, builtin_reference, directive_reference, template_markdown,
    template_names,
};

#[test]
fn every_builtin_and_directive_is_documented_once() {
    let (builtins, directives) = template_names();
    let documented: Vec<&str> = builtin_reference().map(|row| row.name).collect();
    let set = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<_>>();
    assert_eq!(set(&documented), set(builtins));
    assert_eq!(documented.len(), builtins.len());
    let documented: Vec<&str> = directive_reference().map(|row| row.name).collect();
    assert_eq!(set(&documented), set(directives));
}

#[test]
fn every_worked_case_holds() {
    let model: serde_json::Value = serde_json::from_str(EXAMPLE_MODEL).expect("the model is JSON");
    let context = Context {
        now: "2026-11-28T10:20:30Z".parse().expect("a timestamp"),
        ..Context::default()
    };
    let mut wrong = Vec::new();
    for row in builtin_reference()
        .chain(directive_reference())
        .filter(|row| !row.example.is_empty())
    {
        assert!(row.example.contains(row.name), "{}", row.name);
        let rendered = Template::parse(&[Piece::Source(row.example)], &Options::default())
            .map_err(|error| error.to_string())
            .and_then(|template| {
                template
                    .render(&Model::new(&model), &[], &context)
                    .map_err(|error| error.to_string())
            });
        if rendered.as_deref() != Ok(row.result) {
            wrong.push(format!("{} gives {rendered:?}, not {:?}", row.example, row.result));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_document_is_what_the_program_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/reference/template.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, template_markdown()).expect("written");
    }
    let written = std::fs::read_to_string(&path).expect("the document");
    assert!(
        written == template_markdown(),
        "docs/reference/template.md is out of date: run this test with BLESS=1"
    );
}
