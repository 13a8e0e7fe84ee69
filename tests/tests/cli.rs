//! The command line as a stranger meets it, and the steps that need no server.

use std::path::Path;

use pipepost_tests::{AccountFile, Aiosmtpd, Options, Scratch, choice, document, email, python, redact, step};
use serde_json::{Value, json};

fn generator(json: &str) -> Value {
    step("json-generator-connector", json!({ "json": json }))
}

/// Runs steps that need neither account nor server.
fn run(steps: &[Value], arguments: &[&str]) -> pipepost_tests::Ending {
    let scratch = Scratch::new();
    scratch.write("pipeline.json", document(steps).to_string());
    scratch.pipepost(&[&["run", "pipeline.json"], arguments].concat())
}

#[test]
fn the_demo_ends_well_and_shows_a_caught_message() {
    let scratch = Scratch::new();
    let shown = scratch.pipepost(&["demo", "--keep", "kept"]).with_code(0);
    for words in [
        "pipepost:mail/transport@0.2.0",
        "accepted",
        "rejected",
        "550",
        "Subject: ",
        "From: ",
        "200, sent, 250 2.0.0 OK",
        "  welcome  done, 1 sent",
    ] {
        assert!(
            shown.stdout.contains(words),
            "the demo does not show `{words}`\n{shown}"
        );
    }
    let kept = eml_files(&scratch.folder().join("kept"));
    assert_eq!(kept.len(), 2, "one that was run, one that was served\n{shown}");
    if python::is_here() {
        let parsed: Vec<Value> = kept.iter().map(|message| python::parse(message)).collect();
        for message in &parsed {
            assert_eq!(message["defects"], json!([]), "{message:#}");
            assert!(message["text"].is_string(), "{message:#}");
        }
        assert!(parsed.iter().any(|message| message["html"].is_string()), "{parsed:#?}");
    }
}

#[test]
fn the_inbox_catches_what_a_pipeline_sends() {
    let scratch = Scratch::new();
    let inbox = scratch.start(&["inbox", "--listen", "127.0.0.1:0", "--dir", "caught"]);
    inbox.says("messages go to");
    let mut send = email(json!({ "from": "you@gmail.example", "subject": "Hëllo" }));
    send["accountLabel"] = json!("inbox");
    scratch.write("pipeline.json", document(&[send]).to_string());
    let ending = scratch
        .pipepost(&["run", "pipeline.json", "--accounts", "caught/account.json"])
        .with_code(0);
    assert_eq!(ending.json()["accepted"], json!(["ann@example.test"]), "{ending}");
    let caught = eml_files(&scratch.folder().join("caught"));
    assert_eq!(caught.len(), 1);
    inbox.interrupt().with_code(0).says(&["1 messages caught"]);
}

fn eml_files(folder: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(eml_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "eml") {
            found.push(std::fs::read(path).expect("a file"));
        }
    }
    found
}

#[test]
fn check_tells_every_problem_and_runs_nothing() {
    let scratch = Scratch::new();
    let steps = [
        step("log-connector", json!({ "logLevel": "LOUD", "mesage": "Hello" })),
        step("email-conector-v2", json!({})),
        email(json!({ "subjct": "Hello", "smtpPort": "five" })),
        choice(&[("$.a", "nowhere")], "start"),
    ];
    scratch.write("pipeline.json", format!("{:#}", document(&steps)));
    let shown = scratch.pipepost(&["check", "pipeline.json"]).with_code(65);
    insta::assert_snapshot!(redact(&shown.stdout, scratch.folder()));
    let lines: Vec<&str> = shown.stdout.lines().filter(|line| line.contains(": error")).collect();
    assert!(
        lines.len() >= 7
            && lines
                .iter()
                .all(|line| line.starts_with("pipeline.json: error at line ")),
        "{shown}"
    );

    let machine = scratch
        .pipepost(&["check", "pipeline.json", "--json"])
        .with_code(65)
        .json();
    assert_eq!(machine["ok"], false);
    assert!(
        machine["problems"]
            .as_array()
            .is_some_and(|problems| problems.len() >= lines.len()),
        "{machine:#}"
    );
    // The same problems keep it from running.
    scratch
        .pipepost(&["run", "pipeline.json"])
        .with_code(65)
        .says(&["parameter subjct", "nowhere"]);
}

#[test]
fn check_is_content_with_what_runs() {
    let scratch = Scratch::new();
    let authority = pipepost_tests::Authority::new()
        .issue(pipepost_tests::Flaw::None, scratch.folder())
        .authority;
    scratch.write("pipeline.json", document(&[email(json!({}))]).to_string());
    scratch.write(
        "accounts.json",
        AccountFile::starttls(("mail.example.com", 587), &authority)
            .json()
            .to_string(),
    );
    let shown = scratch
        .pipepost(&["check", "pipeline.json", "--accounts", "accounts.json"])
        .with_code(0);
    assert_eq!(
        shown.stdout, "pipeline.json: no problems.\nwants accounts: mail\n",
        "{shown}"
    );
}

#[test]
fn both_forms_of_a_document_run() {
    let steps = [generator(r#"{ "a": {{ message.a }} }"#)];
    let root = "disconnected-root:5a6e7c1e-9a5f-4a8d-8b0e-1f2d3c4b5a69";
    let clipboard = json!({ "meta": { "1": { "position": { "x": 0, "y": 0 } } }, "flowSpec": { root: steps } });
    for document in [document(&steps), clipboard] {
        let scratch = Scratch::new();
        scratch.write("pipeline.json", document.to_string());
        let ending = scratch.pipepost_with_input(&["run", "pipeline.json", "--input", "-"], r#"{"a": [1, "zwei"]}"#);
        assert_eq!(ending.with_code(0).json(), json!({ "a": [1, "zwei"] }));
    }
}

#[test]
fn without_input_the_message_is_an_empty_object() {
    let ending = run(&[step("log-connector", json!({ "message": "Hello" }))], &[]).with_code(0);
    assert_eq!(ending.json(), json!({}));
}

#[test]
fn a_json_generator_keeps_types_and_splices_text() {
    let json = r#"{
        "number": {{ message.n }}, "list": {{ message.list }}, "text": "n is {{ message.n }}", "missing": {{ message.none }},
        "global": {{ global.limit }}, "shop": "{{ global.shop }}", "quoted": "{{ message.quoted }}"
    }"#;
    let scratch = Scratch::new();
    scratch.write("pipeline.json", document(&[generator(json)]).to_string());
    scratch.write(
        "input.json",
        json!({ "n": 5, "list": [true, null], "quoted": "\"\\\n" }).to_string(),
    );
    let arguments = [
        "run",
        "pipeline.json",
        "--input",
        "input.json",
        "--global",
        "limit=10",
        "--global",
        "shop=Köln",
    ];
    let ending = scratch.pipepost(&arguments).with_code(0);
    assert_eq!(
        ending.json(),
        json!({
            "number": 5, "list": [true, null], "text": "n is 5", "missing": null,
            "global": 10, "shop": "Köln", "quoted": "\"\\\n",
        })
    );
}

#[test]
fn a_json_generator_that_fails_goes_on_or_ends_the_run() {
    let broken = |fail| {
        step(
            "json-generator-connector",
            json!({ "json": "{\"a\": {{ DIVIDE(1, 0) }} }", "failOnError": fail }),
        )
    };
    let output = run(&[broken(false)], &[]).json();
    assert_eq!(output["success"], false, "{output:#}");
    assert!(
        output["message"].is_string() && output["error"].is_string(),
        "{output:#}"
    );
    run(&[broken(true)], &[])
        .with_code(65)
        .says(&["step 1 (json-generator-connector)"]);
}

#[test]
fn a_log_is_one_line_and_leaves_the_message_alone() {
    let steps = [
        generator(r#"{ "name": "Ann\nBob", "secret": "pssst" }"#),
        step(
            "log-connector",
            json!({ "logLevel": "WARN", "message": "for {{ message.name }}: {{ message.secret }}" }),
        ),
    ];
    let ending = run(&steps, &[]).with_code(0).says(&["for Ann Bob: pssst"]);
    assert_eq!(ending.json(), json!({ "name": "Ann\nBob", "secret": "pssst" }));

    let mut masked = document(&steps);
    masked["sensitive"] = json!(["secret"]);
    let scratch = Scratch::new();
    scratch.write("pipeline.json", masked.to_string());
    let ending = scratch
        .pipepost(&["run", "pipeline.json", "--log-format", "json"])
        .with_code(0);
    assert!(
        ending.stderr.contains("for Ann Bob: ***") && !ending.stderr.contains("pssst"),
        "{ending}"
    );
    for line in ending.stderr.lines() {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("`{line}` is no JSON: {error}"));
        assert_eq!(entry["level"], "WARN", "{ending}");
    }
    assert_eq!(ending.json()["secret"], "pssst", "the message goes on as it is");
}

#[test]
fn a_choice_takes_the_first_match() {
    let branches = json!({
        "start": [choice(&[("$.[?(@.city == 'New York')]", "east"), ("$.[?(@.age > 30)]", "old")], "other")],
        "east": [generator(r#"{ "went": "east" }"#)],
        "old": [generator(r#"{ "went": "old" }"#)],
        "other": [generator(r#"{ "went": "other" }"#)],
    });
    let scratch = Scratch::new();
    scratch.write(
        "pipeline.json",
        json!({ "name": "a test", "flowSpec": branches }).to_string(),
    );
    for (input, went) in [
        (json!({ "city": "New York", "age": 50 }), "east"),
        (json!({ "city": "Köln", "age": 50 }), "old"),
        (json!({ "city": "Köln", "age": 20 }), "other"),
        (json!({}), "other"),
    ] {
        let ending = scratch.pipepost_with_input(&["run", "pipeline.json", "--input", "-"], &input.to_string());
        assert_eq!(ending.with_code(0).json(), json!({ "went": went }), "{input}");
    }
}

#[test]
fn a_choice_compares_as_documents_write_it() {
    let conditions = [
        ("#{$.name} =~ 'ann'", "Ann", true),
        ("#{$.name} == 'ann'", "Ann", false),
        ("#{$.name} != 'Bob' && #{$.name} != 'Eve'", "Ann", true),
        ("#{$.name} == 'Bob' || #{$.name} == 'Ann'", "Ann", true),
    ];
    for (condition, name, matches) in conditions {
        let scratch = Scratch::new();
        let branches = json!({
            "start": [{ "type": "choice", "when": [{ "simple": condition, "target": "yes" }], "otherwise": "no" }],
            "yes": [generator(r#"{ "matches": true }"#)],
            "no": [generator(r#"{ "matches": false }"#)],
        });
        scratch.write(
            "pipeline.json",
            json!({ "name": "a test", "flowSpec": branches }).to_string(),
        );
        let input = json!({ "name": name }).to_string();
        let ending = scratch
            .pipepost_with_input(&["run", "pipeline.json", "--input", "-"], &input)
            .with_code(0);
        assert_eq!(ending.json(), json!({ "matches": matches }), "{condition} of {name}");
    }
}

#[test]
fn a_thrown_error_is_what_the_run_ends_with() {
    let thrown = step(
        "throw-error-connector",
        json!({ "errorMessage": "no {{ message.what }}", "errorCode": 404 }),
    );
    let never = step("log-connector", json!({ "message": "not reached" }));
    let scratch = Scratch::new();
    scratch.write("pipeline.json", document(&[thrown, never]).to_string());
    let ending = scratch.pipepost_with_input(&["run", "pipeline.json", "--input", "-"], r#"{"what": "stock"}"#);
    let ending = ending.with_code(1).says(&["no stock"]);
    let error = ending.json();
    assert_eq!(
        (&error["error"], &error["code"]),
        (&json!("no stock"), &json!(404)),
        "{ending}"
    );
    assert!(
        error["timestamp"].is_number() && error["exception"].is_string(),
        "{ending}"
    );
    assert!(!ending.stderr.contains("not reached"), "{ending}");

    let custom =
        json!({ "customErrorEnabled": true, "customError": "{\"reason\": {{ message.none }}, \"ours\": true}" });
    let ending = run(&[step("throw-error-connector", custom)], &[]).with_code(1);
    assert_eq!(ending.json(), json!({ "reason": null, "ours": true }), "{ending}");
}

#[test]
fn expressions_see_the_pipeline_and_the_execution() {
    let json = r#"{
        "name": "{{ metadata.pipeline.name }}", "major": {{ metadata.pipeline.versionMajor }},
        "key": "{{ metadata.execution.key }}", "redelivery": {{ metadata.execution.redelivery }}
    }"#;
    let ending = run(&[generator(json)], &["--execution", "order-17"])
        .with_code(0)
        .says(&["order-17"]);
    assert_eq!(
        ending.json(),
        json!({ "name": "a test", "major": 1, "key": "order-17", "redelivery": false }),
        "{ending}"
    );
}

#[test]
fn an_execution_makes_the_same_message_id_again() {
    let Some(server) = Aiosmtpd::start(&Options::default()) else {
        return;
    };
    let account = AccountFile::starttls(server.at(), server.authority());
    let id = |execution: &str| {
        let scratch = Scratch::with(&document(&[email(json!({}))]), &account);
        scratch.run(&["--execution", execution]).with_code(0).json()["messageId"].clone()
    };
    let (first, again, other) = (id("order-17"), id("order-17"), id("order-18"));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert_eq!(server.next().parsed()["message_id"], first);
}

#[test]
fn flags_have_variables() {
    let scratch = Scratch::new().variable("PIPEPOST_INPUT", "input.json");
    scratch.write(
        "pipeline.json",
        document(&[step("log-connector", json!({ "message": "Hello" }))]).to_string(),
    );
    scratch.write("input.json", r#"{"from": "the variable"}"#);
    scratch.write("other.json", r#"{"from": "the flag"}"#);
    let of = |arguments: &[&str]| scratch.pipepost(arguments).with_code(0).json()["from"].clone();
    assert_eq!(of(&["run", "pipeline.json"]), "the variable");
    assert_eq!(of(&["run", "pipeline.json", "--input", "other.json"]), "the flag");
}

#[test]
fn help_teaches_and_goes_to_stdout() {
    let scratch = Scratch::new();
    for command in [
        "",
        "demo",
        "run",
        "eval",
        "schema",
        "check",
        "plugins",
        "plugins inspect",
        "ledger",
        "ledger list",
        "ledger settle",
        "inbox",
        "accounts",
        "accounts add",
        "accounts authorize",
        "accounts test",
        "accounts export",
        "explain",
    ] {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let ending = scratch.pipepost(&arguments).with_code(0);
        assert!(ending.stderr.is_empty(), "{ending}");
        let name = format!("help {command}").trim().replace(' ', "-");
        insta::assert_snapshot!(name.as_str(), redact(&ending.stdout, scratch.folder()));
    }
    for (arguments, words) in [
        (&["--version"][..], "pipepost 0.1.0"),
        (&["completions", "bash"], "_pipepost"),
        (&["man"], ".TH pipepost"),
    ] {
        let ending = scratch.pipepost(arguments).with_code(0);
        assert!(
            ending.stdout.contains(words) && ending.stderr.is_empty(),
            "`{words}` is not on stdout\n{ending}"
        );
    }
    let ending = scratch.pipepost(&[]).with_code(64);
    assert!(ending.stdout.is_empty() && ending.stderr.contains("Usage"), "{ending}");
}

#[test]
fn quiet_is_quiet_and_verbose_is_not() {
    let steps = [step(
        "log-connector",
        json!({ "logLevel": "INFO", "message": "something happened" }),
    )];
    assert_eq!(run(&steps, &["-q"]).with_code(0).stderr, "");
    run(&steps, &[]).with_code(0).says(&["something happened"]);
}

#[test]
fn everything_has_a_place_that_can_be_asked_for() {
    let shown = Scratch::new()
        .variable("PIPEPOST_CACHE", "/somewhere/else")
        .pipepost(&["paths"])
        .with_code(0);
    assert!(shown.stdout.contains("/somewhere/else"), "{shown}");
}

#[test]
fn the_reference_that_is_printed_is_the_one_that_is_written() {
    let scratch = Scratch::new();
    for (arguments, document) in [
        (
            &["help", "functions"][..],
            include_str!("../../docs/reference/functions.md"),
        ),
        (&["eval", "--list"], include_str!("../../docs/reference/functions.md")),
        (&["help", "template"], include_str!("../../docs/reference/template.md")),
        (&["help", "steps"], include_str!("../../docs/reference/steps.md")),
    ] {
        let shown = scratch.pipepost(arguments).with_code(0);
        assert_eq!(shown.stdout.trim_end(), document.trim_end(), "{arguments:?}");
    }
    scratch.pipepost(&["help", "run"]).with_code(0);
}
