//! The API for operators, through the binary.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::Command;

use pipepost_inbox::Script;
use pipepost_inbox::script::{At, Rule};
use pipepost_tests::http::request;
use pipepost_tests::{PATIENCE, Served, python, root, skip};
use serde_json::{Value, json};

use crate::fixture::{Fixture, sending, subject};

fn rest() -> Value {
    json!({ "type": "rest" })
}

/// A fixture whose service has an encrypted store.
fn with_store(fixture: Fixture) -> Fixture {
    let folder = fixture.scratch.folder().display().to_string();
    let scratch = fixture
        .scratch
        .variable("PIPEPOST_STORE", &format!("{folder}/store.age"))
        .variable("PIPEPOST_STORE_KEY_FILE", &format!("{folder}/key.txt"));
    let add = [
        "accounts",
        "add",
        "spare",
        "--set",
        "preset=gmail",
        "--set",
        "username=me@gmail.com",
        "--set",
        "type=smtp-auth-and-properties",
        "--password-stdin",
    ];
    scratch.pipepost_with_input(&add, "PLANTED-password\n").with_code(0);
    Fixture { scratch, ..fixture }
}

/// Adds the account of `new.json` to the store.
const ADD_MAIL: [&str; 4] = ["accounts", "add", "--from", "new.json"];

/// A fixture whose account `mail` is in the store, and in no file.
fn with_stored_mail(fixture: Fixture) -> Fixture {
    let account = std::fs::read_to_string(fixture.scratch.folder().join("accounts.json")).expect("an account");
    fixture.scratch.write("new.json", account);
    fixture.scratch.write("accounts.json", "[]");
    let fixture = with_store(fixture);
    fixture.scratch.pipepost(&ADD_MAIL).with_code(0);
    fixture
}

#[test]
fn an_account_is_written_shown_without_its_secret_and_removed() {
    let fixture = with_store(Fixture::new().pipeline("welcome", &sending(&rest())));
    let served = Served::start(&fixture.scratch, &[]);
    let path = "/api/v1/accounts/shop";
    let fields = json!({
        "type": "smtp-auth-and-properties", "host": "mail.example.test", "port": 587, "starttls_enable": true,
        "username": "me", "password": "PLANTED-secret",
    });
    served.api("PUT", path, &fields).with_status(201);
    let shown = served.api("GET", path, &Value::Null).with_status(200);
    assert!(!shown.body.contains("PLANTED"), "{shown:?}");
    let mut fields = shown.json()["fields"].clone();
    assert_eq!(fields["password"], "***");
    fields["from_name"] = "Shop".into();
    served.api("PUT", path, &fields).with_status(200);
    // As it is shown, too.
    let mut whole = served.api("GET", path, &Value::Null).json();
    whole["fields"]["from_name"] = "The shop".into();
    served.api("PUT", path, &whole).with_status(200);
    let shown = served.api("GET", path, &Value::Null).json();
    assert_eq!(shown, whole);
    whole["label"] = "other".into();
    served.api("PUT", path, &whole).with_status(400);
    let labels = served.api("GET", "/api/v1/accounts", &Value::Null).json();
    let labels: Vec<&Value> = labels["accounts"]
        .as_array()
        .expect("accounts")
        .iter()
        .map(|account| &account["label"])
        .collect();
    assert_eq!(labels, ["mail", "shop", "spare"]);
    for (method, path, body, status) in [
        ("PUT", "/api/v1/accounts/mail", &fields, 409),
        ("DELETE", "/api/v1/accounts/mail", &Value::Null, 409),
        (
            "PUT",
            path,
            &json!({"type": "smtp-auth-and-properties", "password": "${file:/etc/passwd}"}),
            422,
        ),
        ("GET", "/api/v1/accounts/nobody", &Value::Null, 404),
        ("DELETE", path, &Value::Null, 204),
        ("DELETE", path, &Value::Null, 404),
    ] {
        let reply = served.api(method, path, body).with_status(status);
        assert!(!reply.body.contains("PLANTED"), "{reply:?}");
    }
}

#[test]
fn what_waits_for_an_accounts_pause_goes_on_when_a_person_ends_it() {
    let quota = "550 5.4.5 Daily user sending limit exceeded. a12 - gsmtp";
    let script = Script::new().rule(Rule::at(At::Mail).times(1).reply(quota));
    let patient = json!({ "type": "rest", "expiration": 2_000_000_000 });
    let fixture = Fixture::with_script(script).pipeline("welcome", &sending(&patient));
    let served = Served::start(&fixture.scratch, &[]);
    let order = |message: &str| {
        let accepted = served.post("welcome", &[("Prefer", "respond-async")], &subject(message));
        accepted.with_status(202).json()["id"]
            .as_str()
            .expect("a run")
            .to_owned()
    };
    let waits = |id: &str| {
        while served.run(id)["failure"].is_null() {
            std::thread::yield_now();
        }
        served.run_until(id, "queued");
    };
    // The first one is told by the server, the second one by the pause.
    let first = order("first");
    waits(&first);
    let due = served.run(&first)["due"].as_str().expect("a time").to_owned();
    let until = format!("{}Z", &due[..19]);
    let second = order("second");
    waits(&second);
    let resume = "/api/v1/accounts/mail/resume";
    served.api("POST", resume, &Value::Null).with_status(200);
    served.run_until(&first, "done");
    served.run_until(&second, "done");
    // In another process, and a pause of a person's.
    let pause = json!({ "until": until });
    let paused = served.api("POST", "/api/v1/accounts/mail/pause", &pause).json();
    assert_eq!((&paused["cause"], &paused["until"]), (&json!("person"), &json!(until)));
    let third = order("third");
    waits(&third);
    fixture.scratch.pipepost(&["accounts", "resume", "mail"]).with_code(0);
    served.run_until(&third, "done");
    for message in ["first", "second", "third"] {
        assert_eq!(fixture.arrived(message), 1, "{message}");
    }
}

#[test]
fn what_waits_for_an_accounts_own_limit_goes_on_when_it_is_raised() {
    let patient = json!({ "type": "rest", "expiration": 2_000_000_000 });
    let fixture = with_stored_mail(Fixture::new().pipeline("welcome", &sending(&patient)));
    let limit = |count: &str| {
        let set = format!("limits.messages_per_day={count}");
        fixture
            .scratch
            .pipepost(&["accounts", "edit", "mail", "--set", &set])
            .with_code(0);
    };
    limit("1");
    let served = Served::start(&fixture.scratch, &[]);
    served.post("welcome", &[], &subject("first")).with_status(200);
    let second = served.post("welcome", &[("Prefer", "respond-async")], &subject("second"));
    let second = second.with_status(202).json()["id"].as_str().expect("a run").to_owned();
    while served.run(&second)["failure"].is_null() {
        std::thread::yield_now();
    }
    let waits = served.run_until(&second, "queued");
    let remedy = json!({ "kind": "raise-account-limit", "account": "mail" });
    assert_eq!(waits["failure"]["remedy"], remedy, "{waits}");
    limit("9");
    served.running().signal("HUP");
    served.run_until(&second, "done");
    assert_eq!(fixture.arrived("second"), 1);
}

#[test]
fn a_run_that_waits_for_its_time_begins_when_it_is_continued() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    let order =
        json!({ "pipeline": "welcome", "message": { "body": subject("early") }, "due": "2099-01-01T00:00:00Z" });
    let run = served.api("POST", "/api/v1/runs", &order).with_status(202).json();
    let path = format!("/api/v1/runs/{}/continue", run["id"].as_str().expect("a run"));
    served.api("POST", &path, &Value::Null).with_status(200);
    served.run_until(run["id"].as_str().expect("a run"), "done");
    assert_eq!(fixture.arrived("early"), 1);
    served.api("POST", &path, &Value::Null).with_status(409);
}

/// Whoever removes an account, because its password leaked or somebody left, expects that nothing leaves through it any more.
#[test]
fn nothing_is_sent_with_an_account_that_was_removed() {
    let fixture = with_stored_mail(Fixture::new().pipeline("welcome", &sending(&rest())));
    let served = Served::start(&fixture.scratch, &[]);
    served.post("welcome", &[], &subject("before")).with_status(200);
    served
        .api("DELETE", "/api/v1/accounts/mail", &Value::Null)
        .with_status(204);
    let is_refused = |message: &str| {
        let refused = served.post("welcome", &[], &subject(message)).with_status(500).json();
        assert_eq!(refused["kind"], "configuration", "{refused}");
        assert!(refused["detail"].to_string().contains("mail"), "{refused}");
    };
    is_refused("removed");
    // Also where the document changed since, and does not check for another reason.
    fixture.write("welcome", &json!({ "flowSpec": 1 }));
    served.running().signal("HUP");
    while served.api("GET", "/api/v1/pipelines", &Value::Null).json()["problems"]
        .to_string()
        .contains("no account")
    {
        std::thread::yield_now();
    }
    is_refused("changed");
    assert_eq!(fixture.arrived("before"), 1);
    assert_eq!(fixture.catcher.inbox().messages().len(), 1);
    // It is back, by another way: the files and the store are read again.
    fixture.write("welcome", &sending(&rest()));
    fixture.scratch.pipepost(&ADD_MAIL).with_code(0);
    served.running().signal("HUP");
    while served.post("welcome", &[], &subject("back")).status != 200 {
        std::thread::yield_now();
    }
    assert_eq!(fixture.arrived("back"), 1);
}

#[test]
fn an_account_is_tested_step_by_step_and_pauses() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    let told = served
        .api("POST", "/api/v1/accounts/mail/test", &Value::Null)
        .with_status(200);
    assert_eq!(told.header("content-type"), Some("text/event-stream"));
    assert!(told.body.matches("event: check\n").count() > 4, "{told:?}");
    let (_, last) = told.body.rsplit_once("event: report\ndata: ").expect("a report");
    let report: Value = serde_json::from_str(last.lines().next().expect("data")).expect("JSON");
    assert_eq!((&report["account"], &report["failure"]), (&json!("mail"), &Value::Null));
    let pause = json!({ "until": "2099-01-01T00:00:00Z", "reason": "The provider asked for it." });
    served
        .api("POST", "/api/v1/accounts/mail/pause", &pause)
        .with_status(200);
    let refused = served.post("welcome", &[], &subject("paused")).with_status(429).json();
    assert_eq!(refused["kind"], "quota", "{refused}");
    assert_eq!(fixture.arrived("paused"), 0);
    let ended = served
        .api("POST", "/api/v1/accounts/mail/resume", &Value::Null)
        .with_status(200)
        .json();
    assert_eq!(ended["ended"][0]["why"], "The provider asked for it.");
    served.post("welcome", &[], &subject("again")).with_status(200);
}

/// Watches what happens, from now on.
fn watch(served: &Served) -> impl Iterator<Item = String> + use<> {
    let mut stream = TcpStream::connect(("127.0.0.1", served.admin)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let request = format!(
        "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        served.token()
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut lines = BufReader::new(stream).lines().map(|line| line.expect("a line"));
    // It watches from the head of its answer on.
    assert!(lines.by_ref().any(|line| line.is_empty()));
    lines
}

/// What the next event of this kind says.
fn next_event(lines: &mut impl Iterator<Item = String>, kind: &str) -> Value {
    let kind = format!("event: {kind}");
    assert!(lines.any(|line| line == kind), "the stream ends without {kind}");
    let data = lines.next().expect("a line");
    serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON")
}

#[test]
fn whoever_watches_is_told_of_a_message_in_doubt() {
    let script = Script::default().lose_reply_of_message(1);
    let fixture = Fixture::with_script(script).pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    let mut told = watch(&served);
    let refused = served.post("welcome", &[], &subject("doubt")).with_status(409).json();
    let run = refused["instance"].as_str().and_then(|path| path.rsplit('/').next());
    assert_eq!(next_event(&mut told, "messages"), json!({ "run": run, "uncertain": 1 }));
}

#[test]
fn whoever_watches_is_told_of_an_account_that_pauses_by_itself_and_of_one_that_goes_on() {
    let quota = "550 5.4.5 Daily user sending limit exceeded. a12 - gsmtp";
    let script = Script::new().rule(Rule::at(At::Mail).times(1).reply(quota));
    let fixture = Fixture::with_script(script).pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    let mut told = watch(&served);
    served.post("welcome", &[], &subject("refused")).with_status(429);
    let begun = next_event(&mut told, "accounts");
    assert_eq!(
        (&begun["label"], &begun["paused"]["cause"]),
        (&json!("mail"), &json!("quota"))
    );
    let of_account = served
        .api("GET", "/api/v1/accounts/mail", &Value::Null)
        .with_status(200);
    assert_eq!(begun["paused"], of_account.json()["paused"]);
    // A person ends it in another process.
    fixture.scratch.pipepost(&["accounts", "resume", "mail"]).with_code(0);
    let ended = json!({ "label": "mail", "paused": null });
    assert_eq!(next_event(&mut told, "accounts"), ended);
    // Whoever comes later has read the lists.
    let mut late = watch(&served);
    let pause = json!({ "until": "2099-01-01T00:00:00Z", "reason": "The provider asked for it." });
    served
        .api("POST", "/api/v1/accounts/mail/pause", &pause)
        .with_status(200);
    for watcher in [&mut told, &mut late] {
        let event = next_event(watcher, "accounts");
        assert_eq!(event["paused"]["why"], "The provider asked for it.", "{event}");
    }
}

#[test]
fn a_message_in_doubt_is_listed_settled_and_its_run_continued() {
    // The message is taken, and the reply never comes.
    let script = Script::default().lose_reply_of_message(1);
    let fixture = Fixture::with_script(script).pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    let told = served.post("welcome", &[], &subject("doubt")).with_status(409).json();
    assert_eq!(told["kind"], "uncertain", "{told}");
    let run = told["instance"].as_str().expect("a run").to_owned();
    let listed = served
        .api("GET", "/api/v1/messages?state=uncertain", &Value::Null)
        .with_status(200)
        .json();
    let key = listed["messages"][0]["key"].as_str().expect("a key").to_owned();
    let of_run = served
        .api("GET", &format!("{run}/messages"), &Value::Null)
        .with_status(200)
        .json();
    assert_eq!(of_run["messages"][0]["key"], key.as_str());
    let place = format!(
        "/api/v1/messages/{}/settle",
        key.replace('#', "%23").replace('/', "%2F")
    );
    let settled = served
        .api("POST", &place, &json!({ "as": "sent" }))
        .with_status(200)
        .json();
    assert_eq!((&settled["state"], &settled["decided"]), (&json!("sent"), &json!(true)));
    served.api("POST", &place, &json!({ "as": "sent" })).with_status(409);
    served
        .api("POST", "/api/v1/messages/nothing/settle", &json!({ "as": "sent" }))
        .with_status(404);
    served
        .api("POST", &format!("{run}/continue"), &Value::Null)
        .with_status(200);
    let id = run.rsplit('/').next().expect("an id");
    served.run_until(id, "done");
}

#[test]
fn pipelines_are_listed_checked_previewed_and_paused() {
    let schedule = json!({ "type": "scheduler", "cronExpression": "0 0 8 * * ?", "timeZone": "America/Sao_Paulo" });
    let fixture = Fixture::new()
        .pipeline("welcome", &sending(&rest()))
        .pipeline("daily", &sending(&schedule));
    let served = Served::start(&fixture.scratch, &[]);
    let listed = served
        .api("GET", "/api/v1/pipelines", &Value::Null)
        .with_status(200)
        .json();
    let daily = &listed["pipelines"][0];
    assert_eq!((&daily["name"], &daily["paused"]), (&json!("daily"), &json!(false)));
    let times = daily["trigger"]["nextTimes"].as_array().expect("times");
    assert!(
        times.len() == 5
            && times
                .iter()
                .all(|time| time.as_str().is_some_and(|time| time.ends_with("T11:00:00Z"))),
        "{daily}"
    );
    let checked = served
        .api("POST", "/api/v1/pipelines/welcome/check", &Value::Null)
        .with_status(200)
        .json();
    assert_eq!(checked["ok"], true, "{checked}");
    let wrong = json!({ "document": { "flowSpec": { "start": [{ "type": "nothing" }] } } });
    let checked = served
        .api("POST", "/api/v1/pipelines/welcome/check", &wrong)
        .with_status(200)
        .json();
    assert_eq!(checked["ok"], false, "{checked}");
    let message = json!({ "message": { "body": { "subject": "rehearsed" } } });
    let preview = served
        .api("POST", "/api/v1/pipelines/welcome/preview", &message)
        .with_status(200)
        .json();
    let source = preview["messages"][0]["source"].as_str().expect("a source");
    assert!(source.contains("Subject: rehearsed\r\n"), "{preview}");
    assert_eq!(fixture.arrived("rehearsed"), 0);
    served
        .api("POST", "/api/v1/pipelines/welcome/pause", &Value::Null)
        .with_status(200);
    let order = json!({ "pipeline": "welcome", "message": { "body": { "subject": "later" } } });
    let run = served.api("POST", "/api/v1/runs", &order).with_status(202).json();
    let id = run["id"].as_str().expect("an id");
    assert_eq!(served.run(id)["state"], "queued");
    served
        .api("POST", "/api/v1/pipelines/welcome/resume", &Value::Null)
        .with_status(200);
    served.run_until(id, "done");
    let steps = served
        .api("GET", &format!("/api/v1/runs/{id}/steps"), &Value::Null)
        .with_status(200)
        .json();
    assert_eq!(
        (&steps["steps"][0]["step"], &steps["kept"]),
        (&json!("Send"), &json!(true))
    );
    let log = served
        .api("GET", &format!("/api/v1/runs/{id}/log"), &Value::Null)
        .with_status(200)
        .json();
    assert!(log["lines"].as_array().is_some_and(|lines| lines.len() >= 2), "{log}");
}

#[test]
fn one_email_is_sent_without_a_pipeline_and_once() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    let order = json!({
        "account": "mail", "key": "order-17",
        "params": { "from": pipepost_tests::USER, "to": ["a@example.test", "b@example.test"],
                    "subject": "{{ 1 + 1 }} <#if>", "body": "<p>Hello</p>" },
    });
    for _ in 0..2 {
        let sent = served.api("POST", "/api/v1/send", &order).with_status(200).json();
        assert_eq!(sent["success"], true, "{sent}");
        assert_eq!(fixture.arrived("{{ 1 + 1 }} <#if>"), 1);
    }
    let mut other = order.clone();
    other["params"]["subject"] = "another".into();
    let reused = served.api("POST", "/api/v1/send", &other).with_status(422).json();
    assert_eq!(reused["kind"], "key-reused");
    let unknown = json!({ "account": "nobody", "params": {} });
    served.api("POST", "/api/v1/send", &unknown).with_status(404);
}

/// The name of a pipeline is chosen by whoever writes it.
#[test]
fn a_token_for_a_pipeline_called_send_sends_nothing_else() {
    let fixture = Fixture::new().pipeline("send", &sending(&rest()));
    let token = |may: &str| {
        let add = ["tokens", "add", may, "--may", may, "--tokens", "tokens.json"];
        fixture.scratch.pipepost(&add).with_code(0).stdout.trim().to_owned()
    };
    let (of_pipeline, of_route) = (token("run:send"), token("run:/send"));
    let served = Served::start_with_tokens(&fixture.scratch, "tokens.json", &of_pipeline);
    let key = [("Idempotency-Key", "k")];
    served.post("send", &key, &subject("by the pipeline")).with_status(200);
    let order = json!({
        "account": "mail", "key": "k",
        "params": { "from": pipepost_tests::USER, "to": "a@example.test", "subject": "by the route", "text": "x", "body": "" },
    });
    served.api("POST", "/api/v1/send", &order).with_status(403);
    let authorization = format!("Bearer {of_route}");
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Content-Type", "application/json"),
    ];
    let post = |path: &str, body: &Value| request(served.admin, "POST", path, &headers, &body.to_string());
    let sent = post("/api/v1/send", &order).expect("an answer");
    assert_eq!(sent.status, 200, "{sent:?}");
    let refused = request(served.triggers, "POST", "/pipeline/send", &headers, "{}").expect("an answer");
    assert_eq!(refused.status, 403, "{refused:?}");
}

#[test]
fn a_token_of_the_file_does_what_it_may_until_it_is_removed() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest()));
    let add = [
        "tokens",
        "add",
        "shop",
        "--may",
        "run:welcome",
        "--tokens",
        "tokens.json",
    ];
    let token = fixture.scratch.pipepost(&add).with_code(0).stdout.trim().to_owned();
    let served = Served::start_with_tokens(&fixture.scratch, "tokens.json", &token);
    served.post("welcome", &[], &subject("allowed")).with_status(200);
    served.api("GET", "/api/v1/runs", &Value::Null).with_status(403);
    let named = [("apikey", token.as_str()), ("Content-Type", "application/json")];
    let body = subject("by the other header").to_string();
    let reply = request(served.triggers, "POST", "/pipeline/welcome", &named, &body).expect("an answer");
    assert_eq!(reply.status, 200, "{reply:?}");
    let list = fixture
        .scratch
        .pipepost(&["tokens", "list", "--tokens", "tokens.json"])
        .with_code(0);
    assert!(
        list.stdout.contains("run:welcome") && !list.stdout.contains("pp_"),
        "{list}"
    );
    fixture
        .scratch
        .pipepost(&["tokens", "remove", "shop", "--tokens", "tokens.json"])
        .with_code(0);
    while served.post("welcome", &[], &subject("removed")).status != 401 {
        std::thread::yield_now();
    }
}

#[test]
fn runs_are_listed_shown_and_cancelled_on_the_command_line() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    served.post("welcome", &[], &subject("one")).with_status(200);
    let order = json!({ "pipeline": "welcome", "due": "2099-01-01T00:00:00Z" });
    let run = served.api("POST", "/api/v1/runs", &order).with_status(202).json();
    let id = run["id"].as_str().expect("an id");
    let list = fixture.scratch.pipepost(&["runs", "list"]).with_code(0);
    assert_eq!(list.stdout.lines().count(), 2, "{list}");
    let cancelled = fixture.scratch.pipepost(&["runs", "cancel", id]).with_code(0);
    assert!(cancelled.stdout.contains("cancelled"), "{cancelled}");
    fixture
        .scratch
        .pipepost(&["runs", "cancel", id])
        .with_code(65)
        .is_a_sentence("cancelled twice");
    let shown = fixture.scratch.pipepost(&["runs", "show", id]).with_code(0);
    let shown: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    assert_eq!(shown["state"], "cancelled");
    assert_eq!(served.run(id)["state"], "cancelled");
    fixture
        .scratch
        .pipepost(&["runs", "show", "nothing"])
        .with_code(65)
        .is_a_sentence("an unknown run");
}

#[test]
fn unknown_paths_methods_and_hosts_are_problems() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    for (port, method, path, status, kind) in [
        (served.admin, "GET", "/nothing", 404, "not-found"),
        (served.admin, "PATCH", "/api/v1/runs", 405, "method-not-allowed"),
        (served.admin, "GET", "/api/v1/runs", 401, "unauthenticated"),
        (served.triggers, "POST", "/pipeline/nothing", 401, "unauthenticated"),
        (served.triggers, "GET", "/pipeline/welcome", 401, "unauthenticated"),
        (served.triggers, "POST", "/pipeline/welcome", 401, "unauthenticated"),
        (served.triggers, "GET", "/events", 405, "method-not-allowed"),
    ] {
        let reply = request(port, method, path, &[], "").expect("an answer");
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json"),
            "{method} {path}"
        );
        assert_eq!(reply.json()["kind"], kind, "{method} {path}");
    }
    let described = request(served.admin, "GET", "/openapi.json", &[], "").expect("an answer");
    assert_eq!(described.json()["openapi"], "3.1.0");
}

#[test]
fn metrics_say_what_happened() {
    let schedule = json!({ "type": "scheduler", "cronExpression": "0 0 8 1 1 ?" });
    let fixture = Fixture::new()
        .pipeline("welcome", &sending(&rest()))
        .pipeline("yearly", &sending(&schedule));
    let served = Served::start(&fixture.scratch, &[]);
    served.post("welcome", &[], &subject("counted")).with_status(200);
    loop {
        let told = served.api("GET", "/metrics", &Value::Null).with_status(200);
        let has = |line: &str| told.body.lines().any(|found| found == line);
        assert!(
            has(r#"pipepost_runs_total{pipeline="welcome",trigger="rest",state="done"} 1"#),
            "{told:?}"
        );
        assert!(
            has(r#"pipepost_messages_total{connector="email-v2",account="mail",outcome="sent"} 1"#),
            "{told:?}"
        );
        assert!(
            has("pipepost_messages_in_doubt 0") && has(r#"pipepost_account_paused{account="mail"} 0"#),
            "{told:?}"
        );
        // The schedule is watched soon after the start.
        if has(r#"pipepost_schedule_missed_total{pipeline="yearly"} 0"#) {
            break;
        }
        std::thread::yield_now();
    }
    let reply = request(served.admin, "GET", "/metrics", &[], "").expect("an answer");
    assert_eq!(reply.status, 401);
}

/// Schemathesis makes requests of the description: none is answered with an error of the service, nor with anything that
/// the description does not name.
#[test]
fn schemathesis_finds_no_error_and_no_answer_that_is_not_described() {
    let Some(python) = python::with("schemathesis") else {
        return skip("schemathesis");
    };
    let fixture = with_store(Fixture::new().pipeline("welcome", &sending(&rest())));
    let served = Served::start(&fixture.scratch, &[]);
    // A stream of events has no end, so nothing would be compared.
    let output = Command::new(python)
        .args(["-m", "schemathesis.cli", "run"])
        .arg(root().join("crates/serve/openapi.json"))
        .args(["--url", &format!("http://127.0.0.1:{}", served.admin)])
        .args(["-H", &format!("Authorization: Bearer {}", served.token())])
        .args(["--exclude-path", "/api/v1/events", "--phases", "coverage,fuzzing"])
        .args(["--max-examples", "10", "--seed", "1", "--no-color", "--suppress-health-check", "all"])
        .args(["--request-timeout", "120", "--generation-database", "none"])
        .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method"])
        .current_dir(fixture.scratch.folder())
        .output()
        .expect("it starts");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let passed = told
        .split(" generated, ")
        .nth(1)
        .and_then(|rest| rest.split(" passed").next());
    let passed: u32 = passed.and_then(|count| count.parse().ok()).unwrap_or_default();
    assert!(passed > 500, "{told}");
}
