//! What is said of documents: by `check`, in the log, and by the API.

use pipepost_inbox::Script;
use pipepost_tests::Served;
use pipepost_tests::http::request;
use serde_json::{Value, json};

use crate::fixture::{Fixture, publish, sending, subject};

fn rest() -> Value {
    json!({ "type": "rest" })
}

/// A pipeline that says so.
fn saying(trigger: &Value, text: &str) -> Value {
    let generator =
        json!({ "type": "connector", "name": "json-generator-connector", "params": { "json": { "says": text } } });
    json!({ "triggerSpec": trigger, "flowSpec": { "start": [generator] } })
}

/// A pipeline of an account that is not there, with a value of which there is a note.
fn of_no_account() -> Value {
    let mut document = sending(&rest());
    document["flowSpec"]["start"][0]["accountLabel"] = json!("gmail");
    document["flowSpec"]["start"][0]["params"]["cc"] = json!("{{ message.cc }}");
    document
}

#[test]
fn a_key_of_the_trigger_without_effect_is_a_warning_and_the_export_is_served() {
    let export = json!({
        "type": "rest", "name": "rest", "timeout": 30_000, "allowRedelivery": false, "maxRequestSize": 5,
        "methods": ["POST"], "responseHeaders": { "X-A": "b" }, "corsHeaders": {}, "rateLimit": { "second": 5 },
        "mtls": true, "apiKey": true, "jwt": false, "cronExpression": "x", "unknown": 1,
    });
    let fixture = Fixture::new().pipeline("export", &saying(&export, "hello"));
    let said = [
        "responseHeaders",
        "corsHeaders",
        "rateLimit",
        "mtls",
        "apiKey",
        "cronExpression",
        "unknown",
    ];
    let checked = fixture.scratch.pipepost(&["check", "pipelines"]).with_code(0);
    for key in said {
        let says = format!("`triggerSpec.{key}` ");
        let line = checked.stdout.lines().find(|line| line.contains(&says));
        assert!(
            line.is_some_and(|line| line.starts_with("export.json: warning at line 1, column ")),
            "{key}: {checked}"
        );
    }
    assert!(checked.stdout.contains("7 problems."), "{checked}");
    let served = Served::start(&fixture.scratch, &[]);
    served.post("export", &[], &json!({})).with_status(200);
    let listed = served.api("GET", "/api/v1/pipelines", &Value::Null).json();
    let warnings = listed["pipelines"][0]["warnings"].as_array().expect("warnings");
    assert_eq!((warnings.len(), &listed["problems"]), (7, &json!([])), "{listed}");
    // What starts a pipeline is nothing to one who starts it by hand.
    let run = fixture.scratch.pipepost(&["run", "pipelines/export.json"]).with_code(0);
    assert!(!run.stderr.contains("triggerSpec"), "{run}");
    let ending = served.end("TERM");
    for key in said {
        let says = "`export.json` is served: warning at line 1, column ";
        let line = ending
            .stderr
            .lines()
            .find(|line| line.contains(&format!("`triggerSpec.{key}` ")));
        assert!(
            line.is_some_and(|line| line.contains("WARN") && line.contains(says)),
            "{key}: {ending}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_trigger_has_its_place_in_check_and_in_the_api() {
    let fixture = Fixture::new();
    let text =
        "{\"triggerSpec\": {\"type\": \"event\", \"eventName\": 5,\n \"retries\": -1},\n\"flowSpec\": {\"start\": []}}";
    fixture.scratch.write("pipelines/event.json", text);
    let checked = fixture.scratch.pipepost(&["check", "pipelines"]).with_code(65);
    let said = [
        "error at line 1, column 48: `triggerSpec.eventName` is 5; it must be a text.",
        "error at line 2, column 13: `triggerSpec.retries` is -1; it must be a whole number from 0 to 100.",
    ];
    let lines: Vec<String> = said.iter().map(|said| format!("event.json: {said}\n")).collect();
    assert_eq!(checked.stdout, format!("{}1 pipeline: 2 problems.\n", lines.concat()));
    let served = Served::start(&fixture.scratch, &[]);
    let listed = served.api("GET", "/api/v1/pipelines", &Value::Null).json();
    assert_eq!(listed["problems"][0]["problems"], json!(said), "{listed}");
}

#[test]
fn notes_are_no_reasons_and_what_stays_wrong_is_said_once() {
    let fixture = Fixture::new()
        .pipeline("bad", &of_no_account())
        .pipeline("worse", &saying(&json!({ "type": "kafka" }), "x"))
        .pipeline("good", &saying(&rest(), "x"));
    let running = fixture.scratch.start(&Served::arguments());
    let ready = running.says("ready ");
    assert_eq!(ready, "ready     1 pipelines of pipelines; 2 documents are not served");
    drop(running);
    let served = Served::start(&fixture.scratch, &[]);
    let listed = served.api("GET", "/api/v1/pipelines", &Value::Null).json();
    let of_bad = listed["problems"][0]["problems"].as_array().expect("problems");
    assert_eq!(of_bad.len(), 1, "{listed}");
    assert!(
        of_bad[0].as_str().is_some_and(|said| said.contains("`gmail`")),
        "{listed}"
    );
    // Another problem of the same document is said alone.
    let mut worse = of_no_account();
    worse["flowSpec"]["start"][0]["params"]["smtpPort"] = json!("many");
    fixture.write("bad", &worse);
    served.running().signal("HUP");
    served
        .running()
        .complains("`bad.json` is not served: error at line 1, ");
    served.running().complains("smtpPort");
    let ending = served.end("TERM");
    let count = |words: &str| ending.stderr.lines().filter(|line| line.contains(words)).count();
    assert_eq!((count("note at"), count("`kafka`")), (0, 1), "{ending}");
}

#[cfg(unix)]
#[test]
fn a_document_that_becomes_a_link_to_nothing_is_served_on_with_a_problem() {
    let fixture = Fixture::new().pipeline("slow", &saying(&rest(), "older"));
    let pipelines = fixture.scratch.folder().join("pipelines");
    std::os::unix::fs::symlink("/nonexistent/lost", pipelines.join("lost.json")).expect("a link");
    std::fs::create_dir(pipelines.join("folder.json")).expect("a folder");
    let listening = std::os::unix::net::UnixListener::bind(pipelines.join("socket.json")).expect("a socket");
    let checked = fixture.scratch.pipepost(&["check", "pipelines"]).with_code(66);
    let says = "is a link to something that is not there.";
    assert!(
        checked.stdout.contains(says) && checked.stdout.contains("2 pipelines: 1 problem."),
        "{checked}"
    );
    let served = Served::start(&fixture.scratch, &[]);
    let problems = || served.api("GET", "/api/v1/pipelines", &Value::Null).json()["problems"].clone();
    let lost = json!({ "file": "lost.json", "problems": [format!("`lost.json` {says}")], "keepsOlder": false });
    assert_eq!(problems(), json!([lost]));
    std::fs::remove_file(pipelines.join("slow.json")).expect("a file of our own");
    std::os::unix::fs::symlink("/nonexistent/slow", pipelines.join("slow.json")).expect("a link");
    served.running().signal("HUP");
    served.running().complains("`slow.json`: its older text is served on: ");
    let reply = served.post("slow", &[], &json!({})).with_status(200);
    assert_eq!(reply.json()["says"], "older");
    let slow = json!({ "file": "slow.json", "problems": [format!("`slow.json` {says}")], "keepsOlder": true });
    assert_eq!(problems(), json!([lost, slow]));
    drop(listening);
}

#[test]
fn what_is_not_utf_8_has_to_be_saved_so() {
    let fixture = Fixture::new();
    let text = saying(&rest(), "x").to_string();
    let utf16: Vec<u8> = "\u{feff}"
        .encode_utf16()
        .chain(text.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    fixture.scratch.write("pipelines/wide.json", utf16);
    let says = "is not text in UTF-8: byte 0 is 0xFF, as in UTF-16; save it as UTF-8.";
    let checked = fixture.scratch.pipepost(&["check", "pipelines"]).with_code(65);
    assert!(checked.stdout.contains(says), "{checked}");
    let alone = fixture
        .scratch
        .pipepost(&["check", "pipelines/wide.json"])
        .with_code(65);
    assert!(alone.stderr.contains(says), "{alone}");
    let served = Served::start(&fixture.scratch, &[]);
    served
        .running()
        .complains(&format!("`wide.json` is not served: `wide.json` {says}"));
}

#[test]
fn a_file_where_a_directory_is_wanted_and_a_name_without_end_are_sentences() {
    let mut long = saying(&rest(), "x");
    long["name"] = json!("n".repeat(5000));
    let fixture = Fixture::new()
        .pipeline("welcome", &saying(&rest(), "x"))
        .pipeline("long", &long);
    let file = [
        "serve",
        "pipelines/welcome.json",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ];
    let refused = fixture.scratch.pipepost(&file).with_code(66);
    refused.is_a_sentence("a file instead of a directory");
    assert!(
        refused.stderr.contains("`pipelines/welcome.json` is a file")
            && refused.stderr.contains("`pipepost serve pipelines`"),
        "{refused}"
    );
    let state = [&Served::arguments()[..], &["--state", "pipelines/welcome.json"]].concat();
    let refused = fixture.scratch.pipepost(&state).with_code(78);
    refused.is_a_sentence("a file as state");
    assert!(
        refused.stderr.contains("is a file, and a state is a directory"),
        "{refused}"
    );
    let checked = fixture.scratch.pipepost(&["check", "pipelines"]).with_code(65);
    let says = format!("The pipeline's name `{}…` is longer than 200 bytes.", "n".repeat(80));
    assert!(
        checked.stdout.contains(&says) && checked.stdout.len() < 500,
        "{checked}"
    );
    let served = Served::start(&fixture.scratch, &[]);
    assert!(served.running().complains(&says).len() < 500);
}

#[test]
fn a_run_that_failed_is_a_warning_with_its_reason_also_for_a_quiet_log() {
    let throws = json!({ "type": "connector", "name": "throw-error-connector",
        "params": { "errorCode": 418, "errorMessage": "no \u{1b}[31m order" } });
    let fixture = Fixture::with_script(Script::default().lose_reply_of_message(1))
        .pipeline("fine", &saying(&json!({ "type": "rest", "unknown": 1 }), "x"))
        .pipeline("doubt", &sending(&rest()))
        .pipeline(
            "broken",
            &json!({ "triggerSpec": rest(), "flowSpec": { "start": [throws] } }),
        );
    let served = Served::start(&fixture.scratch, &["-q"]);
    served.post("fine", &[], &json!({})).with_status(200);
    let failed = served.post("broken", &[], &json!({}));
    assert!(failed.status >= 400, "{failed:?}");
    let line = served.running().complains("ended");
    for words in [
        "WARN",
        "pipeline=\"broken\"",
        "state=\"failed\"",
        "kind=\"pipeline-error\"",
        "why=\"",
        "order",
    ] {
        assert!(line.contains(words), "{words}: {line}");
    }
    assert!(!line.contains('\u{1b}') && line.contains("\\u{1b}[31m"), "{line}");
    served.post("doubt", &[], &subject("doubt")).with_status(409);
    let line = served.running().complains("ended");
    for words in [
        "WARN",
        "state=\"uncertain\"",
        "kind=\"uncertain\"",
        "why=\"",
        "may have been delivered",
    ] {
        assert!(line.contains(words), "{words}: {line}");
    }
    let ending = served.end("TERM");
    assert!(!ending.stderr.contains("fine"), "{ending}");
}

#[test]
fn without_a_token_nobody_learns_which_pipelines_there_are() {
    let fixture = Fixture::new()
        .pipeline(
            "known",
            &saying(&json!({ "type": "rest", "routes": ["/orders/:id"] }), "x"),
        )
        .pipeline("called", &saying(&Value::Null, "x"))
        .pipeline("open", &saying(&json!({ "type": "rest", "public": true }), "x"));
    fixture
        .scratch
        .write("policy.json", r#"{"public_pipelines": ["open"]}"#);
    let served = Served::start(&fixture.scratch, &["--policy", "policy.json"]);
    let ask = |method: &str, path: &str| request(served.triggers, method, path, &[], "{}").expect("an answer");
    let expected = ask("POST", "/pipeline/known").with_status(401);
    for (method, path) in [
        ("POST", "/pipeline/unknown"),
        ("POST", "/pipeline/called"),
        ("GET", "/pipeline/known"),
        ("DELETE", "/pipeline/unknown"),
        ("POST", "/pipeline/shop/v1/known"),
        ("POST", "/pipeline/shop/v1/unknown"),
        ("POST", "/pipeline/known/more"),
        ("POST", "/orders/7"),
        ("GET", "/orders/7"),
        ("POST", "/elsewhere"),
    ] {
        let answer = ask(method, path).with_status(401);
        assert_eq!(answer.body, expected.body, "{method} {path}");
    }
    ask("POST", "/pipeline/open").with_status(200);
    ask("GET", "/pipeline/open").with_status(405);
}

#[test]
fn an_event_that_nobody_waits_for_needs_a_token_that_may_start_something() {
    let fixture = Fixture::new().pipeline("known", &saying(&rest(), "x"));
    let add = |name: &str, may: &str| {
        let add = ["tokens", "add", name, "--may", may, "--tokens", "tokens.json"];
        fixture.scratch.pipepost(&add).with_code(0).stdout.trim().to_owned()
    };
    let (reader, shop) = (add("reader", "read"), add("shop", "run:known"));
    let served = Served::start_with_tokens(&fixture.scratch, "tokens.json", &shop);
    let runs = publish(&served, "7", &subject("x")).with_status(202).json();
    assert_eq!(runs["runs"], json!([]));
    let reader = format!("Bearer {reader}");
    let event = [
        ("Authorization", reader.as_str()),
        ("Content-Type", "application/cloudevents+json"),
    ];
    let body = json!({ "specversion": "1.0", "id": "8", "source": "/s", "type": "t", "data": {} }).to_string();
    let refused = request(served.triggers, "POST", "/events", &event, &body).expect("an answer");
    let detail = refused.with_status(403).json()["detail"].to_string();
    assert!(detail.contains("`run:NAME`"), "{detail}");
}

#[test]
fn a_directory_that_cannot_be_read_is_spoken_of_once() {
    let fixture = Fixture::new().pipeline("welcome", &saying(&rest(), "x"));
    let served = Served::start(&fixture.scratch, &[]);
    let pipelines = fixture.scratch.folder().join("pipelines");
    let away = fixture.scratch.folder().join("away");
    std::fs::rename(&pipelines, &away).expect("a folder of our own");
    served.running().signal("HUP");
    served.running().complains("the directory cannot be read");
    served.running().signal("HUP");
    served.post("welcome", &[], &json!({})).with_status(200);
    std::fs::rename(&away, &pipelines).expect("a folder of our own");
    fixture.write("another", &saying(&rest(), "x"));
    served.running().signal("HUP");
    served.running().complains("the directory changed");
    let ending = served.end("TERM");
    assert_eq!(ending.stderr.matches("cannot be read").count(), 1, "{ending}");
}
