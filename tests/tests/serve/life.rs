//! How a service begins, changes and ends.

use pipepost_tests::Served;
use serde_json::{Value, json};

use crate::fixture::{Fixture, publish, sending, subject};

fn rest() -> Value {
    json!({ "type": "rest" })
}

#[test]
fn a_second_server_on_one_state_is_refused_with_a_sentence() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    let second = fixture.scratch.pipepost(&Served::arguments()).with_code(78);
    second.is_a_sentence("a second server");
    let own = format!("number {}", served.running().id());
    assert!(second.stderr.contains(&own), "{second}");
}

#[test]
fn a_bad_document_never_replaces_a_good_one() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    fixture.scratch.write("pipelines/welcome.json", "{");
    fixture.write("another", &sending(&rest()));
    served.running().signal("HUP");
    served.running().complains("its older text is served on");
    served.post("welcome", &[], &subject("still here")).with_status(200);
    served.running().complains("the directory changed");
    served.post("another", &[], &subject("new")).with_status(200);
    let ready = served.api("GET", "/readyz", &Value::Null).with_status(200).json();
    assert_eq!(
        ready["checks"],
        json!({
            "state": "ok", "connectors": "ok", "pipelines": { "served": 2, "withProblems": 1 }, "draining": false,
        }),
        "{ready}"
    );
}

/// A pipeline of this name, which answers with its own text.
fn named(name: &str, text: &str) -> Value {
    let generator =
        json!({ "type": "connector", "name": "json-generator-connector", "params": { "json": { "says": text } } });
    json!({ "name": name, "triggerSpec": rest(), "flowSpec": { "start": [generator] } })
}

/// The same with a route.
fn routed(name: &str, route: &str) -> Value {
    let mut document = named(name, name);
    document["triggerSpec"]["routes"] = json!([route]);
    document
}

#[test]
fn a_document_that_is_dropped_in_does_not_displace_the_one_that_is_served() {
    let fixture = Fixture::new().pipeline("m", &named("welcome", "first"));
    let served = Served::start(&fixture.scratch, &[]);
    let reload = |said: &str| {
        served.running().signal("HUP");
        served.running().complains(said);
    };
    let says = |name: &str, text: &str| {
        let reply = served.post(name, &[], &json!({})).with_status(200);
        assert_eq!(reply.json()["says"], text, "{name}");
    };
    // It comes before the other one by its file.
    fixture.write("a", &named("welcome", "newcomer"));
    reload("`m.json` is a pipeline of the name `welcome` too");
    says("welcome", "first");
    // Also while the one that is served changes, or does not check.
    fixture.write("m", &named("welcome", "second"));
    reload("the directory changed");
    says("welcome", "second");
    fixture.scratch.write("pipelines/m.json", "{");
    reload("its older text is served on");
    says("welcome", "second");
    // One that is renamed leaves its name to who waits for it, and does not take that of another one.
    fixture.write("z", &named("other", "other"));
    fixture.write("m", &named("renamed", "renamed"));
    reload("the directory changed");
    for (name, text) in [("welcome", "newcomer"), ("renamed", "renamed"), ("other", "other")] {
        says(name, text);
    }
    fixture.write("m", &named("other", "displaced"));
    reload("`z.json` is a pipeline of the name `other` too");
    for (name, text) in [("welcome", "newcomer"), ("renamed", "renamed"), ("other", "other")] {
        says(name, text);
    }
    // Nor can it be robbed of the name under which it is served on.
    fixture.write("0", &named("renamed", "thief"));
    reload("`m.json` is a pipeline of the name `renamed` too");
    says("renamed", "renamed");
    std::fs::remove_file(fixture.scratch.folder().join("pipelines/0.json")).expect("a file of our own");
    // Two that change their names with each other.
    fixture.write("a", &named("renamed", "newcomer"));
    fixture.write("m", &named("welcome", "renamed"));
    reload("the directory changed");
    says("renamed", "newcomer");
    says("welcome", "renamed");
}

#[test]
fn a_route_belongs_to_one_document() {
    let fixture = Fixture::new()
        .pipeline("m", &routed("one", "/z/:a"))
        .pipeline("n", &routed("two", "/z/:b"))
        .pipeline("o", &routed("three", "/z/fixed"));
    let checked = fixture.scratch.pipepost(&["check", "pipelines"]).with_code(65);
    let told = "n.json: error: `m.json` has the route `/z/:b` too";
    assert!(checked.stdout.contains(told), "{checked}");
    let served = Served::start(&fixture.scratch, &[]);
    let token = format!("Bearer {}", served.token());
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    let says = |path: &str, text: &str| {
        let reply = pipepost_tests::http::request(served.triggers, "POST", path, &headers, "{}");
        let reply = reply.expect("an answer").with_status(200);
        assert_eq!(reply.json()["says"], text, "{path}");
    };
    served.post("two", &[], &json!({})).with_status(404);
    says("/z/1", "one");
    says("/z/fixed", "three");
    // One that comes later does not take it away, whatever its file is called.
    fixture.write("a", &routed("early", "/z/:c"));
    served.running().signal("HUP");
    served.running().complains("`m.json` has the route `/z/:c` too");
    says("/z/1", "one");
    fixture.write("m", &routed("one", "/y"));
    served.running().signal("HUP");
    served.running().complains("the directory changed");
    says("/z/1", "early");
    says("/y", "one");
}

/// A pipe, whose other end nobody opens.
#[cfg(unix)]
fn pipe(path: &std::path::Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.is_ok_and(|status| status.success()), "{}", path.display());
}

#[cfg(unix)]
#[test]
fn a_read_that_hangs_does_not_keep_a_server_from_ending() {
    let mut document = sending(&rest());
    document["flowSpec"]["start"][0]["params"]["body"] = json!({ "file": "letter.html" });
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    let letter = fixture.scratch.folder().join("pipelines/letter.html");
    pipe(&letter);
    fixture.write("welcome", &document);
    served.running().signal("HUP");
    // It opens when the server has opened its end, which then reads for as long as this one is open.
    let end = std::fs::OpenOptions::new().write(true).open(letter);
    assert_eq!(served.end("TERM").code, Some(0));
    drop(end);
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_read() {
    use std::os::unix::fs::symlink;
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest()));
    let folder = fixture.scratch.folder().join("pipelines");
    let pipe = |name: &str| pipe(&folder.join(name));
    pipe("before.json");
    symlink("welcome.json", folder.join("link")).expect("a link");
    let served = Served::start(&fixture.scratch, &[]);
    let socket = std::os::unix::net::UnixListener::bind(folder.join("socket.json"));
    pipe("after.json");
    symlink("after.json", folder.join("linked.json")).expect("a link");
    fixture.write("another", &sending(&rest()));
    served.running().signal("HUP");
    served.running().complains("the directory changed");
    let ready = served.api("GET", "/readyz", &Value::Null).with_status(200).json();
    assert_eq!(
        ready["checks"]["pipelines"],
        json!({ "served": 2, "withProblems": 0 }),
        "{ready}"
    );
    assert_eq!(served.end("TERM").code, Some(0));
    drop(socket);
}

#[test]
fn an_event_starts_each_pipeline_that_waits_for_it_once() {
    let trigger = json!({ "type": "event", "eventName": "order.paid" });
    let document = json!({ "triggerSpec": trigger, "flowSpec": { "start": [{
        "type": "connector", "name": "email-connector-v2", "stepName": "Send", "accountLabel": "mail",
        "params": { "from": "tester@example.test", "to": "someone@example.test", "subject": "{{ message.subject }}",
                    "text": "x", "body": "" },
    }] } });
    let fixture = Fixture::new().pipeline("one", &document).pipeline("two", &document);
    let served = Served::start(&fixture.scratch, &[]);
    for _ in 0..2 {
        let runs = publish(&served, "7", &subject("paid")).with_status(202).json();
        for run in runs["runs"].as_array().expect("runs") {
            served.run_until(run["id"].as_str().expect("an id"), "done");
        }
        assert_eq!(fixture.arrived("paid"), 2);
    }
}

#[test]
fn a_schedule_starts_its_pipeline() {
    let document = json!({
        "triggerSpec": { "type": "scheduler", "cronExpression": "* * * * * ?" },
        "flowSpec": { "start": [{ "type": "connector", "name": "log-connector", "params": { "message": "tick" } }] },
    });
    let fixture = Fixture::new().pipeline("tick", &document);
    let served = Served::start(&fixture.scratch, &[]);
    loop {
        let runs = served.api("GET", "/api/v1/runs?state=done", &Value::Null).json();
        if let Some(run) = runs["runs"].as_array().and_then(|runs| runs.first()) {
            assert_eq!(run["origin"], "schedule", "{run}");
            let key = run["key"].as_str().expect("a key");
            assert!(key.starts_with("schedule/tick/20"), "{key}");
            break;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_directory_is_checked_as_it_is_served() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest()));
    let fine = fixture.scratch.pipepost(&["check", "pipelines"]).with_code(0);
    assert_eq!(fine.stdout, "1 pipeline: no problems.\n");
    let mut second = sending(&rest());
    second["name"] = json!("welcome");
    fixture.write("another", &second);
    fixture.write(
        "never",
        &sending(&json!({ "type": "scheduler", "cronExpression": "0 0 0 30 2 ?" })),
    );
    fixture.write("misspelt", &sending(&json!({ "type": "rest", "consumer": 3 })));
    let checked = fixture.scratch.pipepost(&["check", "pipelines"]).with_code(65);
    for words in [
        "never.json: error at line 1, column ",
        ": In `triggerSpec`: ",
        "`triggerSpec` has no `consumer`",
        "welcome.json: error: `another.json` is",
    ] {
        assert!(checked.stdout.contains(words), "{words}: {checked}");
    }
    let served = Served::start(&fixture.scratch, &[]);
    let ready = served.api("GET", "/readyz", &Value::Null).json();
    assert_eq!(
        ready["checks"]["pipelines"],
        json!({ "served": 1, "withProblems": 3 }),
        "{ready}"
    );
}

#[test]
fn what_keeps_a_server_from_starting_is_a_sentence() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest()));
    let missing = [
        "serve",
        "elsewhere",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ];
    fixture
        .scratch
        .pipepost(&missing)
        .with_code(66)
        .is_a_sentence("no directory");
    let open = ["serve", "pipelines", "--listen", "0.0.0.0:0", "--admin", "127.0.0.1:0"];
    fixture
        .scratch
        .pipepost(&open)
        .with_code(78)
        .is_a_sentence("an address for everybody");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let at = ["serve", "pipelines", "--listen", &address, "--admin", "127.0.0.1:0"];
    // Whoever has it may be about to end.
    let refused = fixture.scratch.pipepost(&at).with_code(75);
    refused.is_a_sentence("a port that is taken");
    assert!(refused.stderr.contains(&address), "{refused}");
    drop(Served::start(&fixture.scratch, &[]));
    let file = fixture.scratch.folder().join("state/pipepost.sqlite");
    let database = rusqlite::Connection::open(file).expect("a state");
    database
        .pragma_update(None, "user_version", 1000)
        .expect("a state of the future");
    drop(database);
    let newer = fixture.scratch.pipepost(&Served::arguments()).with_code(78);
    newer.is_a_sentence("a state of a newer version");
    assert!(newer.stderr.contains("newer Pipepost"), "{newer}");
}
