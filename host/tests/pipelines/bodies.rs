//! Bodies: templates of the document's own text, compiled before anything runs.

use pipepost::{FailureKind, Preparation, RunOptions};
use pipepost_inbox::Script;
use serde_json::json;

use crate::fixture::{Fixture, email, report_with, steps};

#[tokio::test]
async fn values_are_inserted_as_values() {
    let bench = Fixture::new(Script::new()).await;
    let document = steps(json!([email(json!({
        "to": "a@example.com",
        "subject": "{{ message.subject }}",
        "body": "<p>{{ message.evil }} ${evil}</p>",
    }))]));
    let message = json!({ "subject": "${b} {{ message.b }}", "evil": "${b}{{ message.b }}<#if", "b": "SECRET" });
    let output = bench.run(&document, message).await.expect("an output");
    assert_eq!(output["success"], true, "{output}");
    let text = bench.text("${b} {{ message.b }}");
    assert!(
        text.contains("<p>${b}{{ message.b }}<#if ${b}{{ message.b }}<#if</p>"),
        "{text}"
    );
    assert!(!text.contains("SECRET"));
}

#[tokio::test]
async fn the_document_s_own_text_decides_what_the_body_is() {
    let bench = Fixture::new(Script::new()).await;
    let send = async |subject: &str, params: serde_json::Value| {
        let mut all = json!({ "to": "a@example.com", "subject": subject });
        for (name, value) in params.as_object().expect("parameters") {
            all[name] = value.clone();
        }
        let message = json!({ "html": "<b>bold</b>" });
        let output = bench
            .run(&steps(json!([email(all)])), message)
            .await
            .expect("an output");
        assert_eq!(output["success"], true, "{output}");
        bench.text(subject)
    };
    let plain = send("plain", json!({ "body": "{{ message.html }} ${html}" })).await;
    assert!(plain.contains("text/plain") && !plain.contains("text/html"), "{plain}");
    let html = send("html", json!({ "body": "<p>{{ message.html }}</p>" })).await;
    assert!(
        html.contains("text/html") && html.contains("<p><b>bold</b></p>"),
        "{html}"
    );
    let asked = send(
        "asked",
        json!({ "body": "{{ message.html }}", "contentType": "text/html" }),
    )
    .await;
    assert!(asked.contains("text/html"), "{asked}");
    let escaped = send(
        "escaped",
        json!({ "body": "<p>{{ message.html }} ${html}</p>", "escape": "html" }),
    )
    .await;
    assert!(escaped.contains("&lt;b&gt;bold&lt;/b&gt; &lt;b&gt;bold"), "{escaped}");
    let both = send(
        "both",
        json!({ "body": "<p>x</p>", "text": "is ${html}", "escape": "html" }),
    )
    .await;
    assert!(both.contains("is <b>bold</b>"), "{both}");
}

#[tokio::test]
async fn a_wrong_template_is_told_with_its_place_before_anything_runs() {
    let bench = Fixture::new(Script::new()).await;
    let text = "{\"flowSpec\": {\"start\": [\n\
        {\"type\": \"connector\", \"name\": \"email-connector-v2\", \"stepName\": \"Greet\", \"accountLabel\": \"mail\", \"params\": {\n\
        \"to\": \"a@example.com\",\n\
        \"body\": \"<p>Hello\\n<#macro x>\"}}]}}";
    let problems = bench.host.prepare(text).unwrap_err();
    let told = problems.to_string();
    assert!(told.contains("line 4, column "), "{told}");
    assert!(told.contains("branch start, step 1 (Greet), parameter body"), "{told}");
    assert_eq!(problems.kind(), Some(pipepost_flowspec::Kind::Invalid));
    // The place is that of the directive, behind the escaped line break of the JSON text.
    let column = text
        .lines()
        .nth(3)
        .and_then(|line| line.find("<#macro"))
        .expect("it stands there")
        + 1;
    assert!(told.contains(&format!("line 4, column {column}")), "{told}");
}

#[tokio::test]
async fn check_tells_what_reaches_html_unescaped_and_what_is_wanted() {
    let bench = Fixture::new(Script::new()).await;
    let document = |escape: &str| {
        steps(json!([email(json!({
            "to": "a@example.com",
            "body": "<p>{{ message.a }} ${b.c} ${d?html} {{ ESCAPE(message.e, \"HTML\") }} {{ global.f }}</p>",
            "escape": escape,
        }))]))
    };
    let report = bench.host.check(&document("").to_string());
    let told: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    let unescaped = |text: &str| told.iter().any(|told| told.contains(&format!("`{text}` reaches")));
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        unescaped("{{ message.a }}") && unescaped("${b.c}") && unescaped("{{ global.f }}"),
        "{told:?}"
    );
    assert!(!report.problems.has_errors());
    for path in ["a", "b.c", "d", "e"] {
        assert!(
            report.requirements.message.contains(path),
            "{path}: {:?}",
            report.requirements.message
        );
    }
    assert!(report.requirements.globals.contains("f"));
    assert!(bench.host.check(&document("html").to_string()).problems.is_empty());
    let wrong = bench.host.prepare(&document("xml").to_string()).unwrap_err();
    assert!(wrong.to_string().contains("parameter escape"), "{wrong}");
}

#[tokio::test]
async fn a_missing_value_is_the_step_s_failure() {
    let bench = Fixture::new(Script::new()).await;
    let document = |fails: bool| {
        steps(json!([email(
            json!({ "to": "a@example.com", "body": "Dear ${name}", "failOnError": fails })
        )]))
    };
    let output = bench.run(&document(false), json!({})).await.expect("an output");
    assert_eq!(
        (&output["success"], &output["exception"]),
        (&json!(false), &json!("invalid"))
    );
    let error = bench.run(&document(true), json!({})).await.unwrap_err();
    assert_eq!(error.exit_code(), pipepost::exit_code(FailureKind::Invalid));
    assert!(
        error.to_string().contains("`body`: the template, line 1, column 8"),
        "{error}"
    );
    assert!(bench.subjects().is_empty());
}

#[tokio::test]
async fn a_body_may_stand_beside_the_document() {
    let bench = Fixture::new(Script::new()).await;
    let folder = tempfile::tempdir().expect("a directory");
    std::fs::write(folder.path().join("hello.html"), "<p>${name} {{ message.name }}</p>").expect("a file");
    let preparation = Preparation {
        document_dir: Some(folder.path().to_owned()),
        ..Preparation::default()
    };
    let document = |file: &str| {
        steps(json!([email(
            json!({ "to": "a@example.com", "subject": "file", "body": { "file": file } })
        )]))
    };
    let options = RunOptions::new(json!({ "name": "Ada" }));
    let report = report_with(&bench.host, &document("hello.html"), preparation.clone(), options).await;
    report.result.expect("an output");
    assert!(bench.text("file").contains("<p>Ada Ada</p>"));
    for (file, words) in [
        ("absent.html", "is not there"),
        ("../x", "under a relative name"),
        ("{{ message.x }}", "cannot be an expression"),
    ] {
        let problems = bench
            .host
            .prepare_with(&document(file).to_string(), preparation.clone())
            .unwrap_err();
        assert!(problems.to_string().contains(words), "{problems}");
    }
}
