//! Rules that show only over several lives of a server, or over time: deaths, schedules that overlap or were missed; and
//! who may call without a token.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipepost_tests::Served;
use pipepost_tests::http::request;
use serde_json::{Value, json};

use crate::fixture::{Fixture, sending};

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

/// A step that waits longer than any test.
fn wait() -> Value {
    json!({ "type": "delayer", "delayMilliseconds": 800_000 })
}

fn scheduled(cron: &str, steps: &[Value]) -> Value {
    json!({
        "triggerSpec": { "type": "scheduler", "cronExpression": cron, "timeout": 900_000 },
        "flowSpec": { "start": steps },
    })
}

fn log() -> Value {
    json!({ "type": "connector", "name": "log-connector", "params": { "message": "tick" } })
}

/// The pipeline `tick`, as the API lists it.
fn tick(served: &Served) -> Value {
    let listed = served
        .api("GET", "/api/v1/pipelines", &Value::Null)
        .with_status(200)
        .json();
    let pipelines = listed["pipelines"].as_array().expect("pipelines");
    let found = pipelines.iter().find(|pipeline| pipeline["name"] == "tick");
    found.expect("it is served").clone()
}

fn runs(served: &Served) -> Vec<Value> {
    let listed = served.api("GET", "/api/v1/runs", &Value::Null).with_status(200).json();
    listed["runs"].as_array().expect("runs").clone()
}

fn states(served: &Served) -> Vec<String> {
    let mut states: Vec<String> = runs(served)
        .iter()
        .map(|run| run["state"].as_str().expect("a state").to_owned())
        .collect();
    states.sort();
    states
}

fn now() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.expect("a clock after 1970").as_secs()
}

/// Each day at the time of day of this moment, in UTC.
fn daily_at(moment: u64) -> String {
    let (hour, minute) = (moment % DAY / HOUR, moment % HOUR / 60);
    format!("0 {minute} {hour} * * ?")
}

/// Says in the state that the schedule of `tick` was dealt with up to this moment.
fn dealt_with_until(fixture: &Fixture, moment: u64) {
    let file = fixture.scratch.folder().join("state/pipepost.sqlite");
    let database = rusqlite::Connection::open(file).expect("a state");
    let moment = i64::try_from(moment * 1_000_000).expect("a moment");
    let changed = database.execute("UPDATE schedules SET last = ?1 WHERE pipeline = 'tick'", [moment]);
    assert_eq!(changed, Ok(1));
}

#[test]
fn a_run_that_ends_its_host_five_times_is_not_tried_again_by_itself() {
    let document = json!({ "triggerSpec": { "type": "rest", "timeout": 900_000 }, "flowSpec": { "start": [wait()] } });
    let fixture = Fixture::new().pipeline("slow", &document);
    let mut served = Served::start(&fixture.scratch, &[]);
    served
        .post("slow", &[("Prefer", "respond-async")], &json!({}))
        .with_status(202);
    let id = runs(&served)[0]["id"].as_str().expect("an id").to_owned();
    for death in 1..=5 {
        served.run_until_running(&id);
        let run = served.run(&id);
        assert_eq!(
            (&run["attempt"], &run["deaths"]),
            (&json!(death), &json!(death - 1)),
            "{run}"
        );
        served.running().signal("KILL");
        drop(served);
        served = Served::start(&fixture.scratch, &[]);
    }
    let run = served.run(&id);
    assert_eq!(
        (&run["state"], &run["failure"]["kind"], &run["deaths"]),
        (&json!("failed"), &json!("limit"), &json!(5)),
        "{run}"
    );
    let told = run["failure"]["message"].as_str().expect("a sentence");
    assert!(told.contains("ended its host five times"), "{told}");
    // A person may find out why, and let it go on.
    served
        .api("POST", &format!("/api/v1/runs/{id}/continue"), &Value::Null)
        .with_status(200);
    served.run_until_running(&id);
}

#[test]
fn while_a_scheduled_run_is_under_way_one_waits_and_the_others_are_skipped_and_counted() {
    let fixture = Fixture::new().pipeline("tick", &scheduled("* * * * * ?", &[wait()]));
    let served = Served::start(&fixture.scratch, &[]);
    while tick(&served)["trigger"]["skipped"].as_u64().unwrap_or_default() < 2 {
        assert!(states(&served).len() <= 2, "{:?}", states(&served));
        std::thread::yield_now();
    }
    assert_eq!(states(&served), ["queued", "running"]);
    let told = served.api("GET", "/metrics", &Value::Null).with_status(200).body;
    let counted = told
        .lines()
        .find_map(|line| line.strip_prefix(r#"pipepost_schedule_skipped_total{pipeline="tick"} "#));
    assert!(counted.is_some_and(|count| count != "0"), "{told}");
}

#[test]
fn scheduled_runs_that_may_overlap_do() {
    let mut document = scheduled("* * * * * ?", &[wait()]);
    document["triggerSpec"]["concurrentScheduling"] = json!(true);
    let fixture = Fixture::new().pipeline("tick", &document);
    let served = Served::start(&fixture.scratch, &[]);
    while states(&served).iter().filter(|state| *state == "running").count() < 2 {
        std::thread::yield_now();
    }
    assert_eq!(tick(&served)["trigger"]["skipped"], 0);
}

/// The schedule of a server that was away for three days, of which the last time was `ago`.
fn after_three_days(ago: Duration) -> (Fixture, Served) {
    let cron = daily_at(now() - ago.as_secs());
    let fixture = Fixture::new().pipeline("tick", &scheduled(&cron, &[log()]));
    let served = Served::start(&fixture.scratch, &[]);
    while tick(&served)["trigger"]["lastTime"].is_null() {
        std::thread::yield_now();
    }
    assert_eq!(
        (runs(&served).len(), &tick(&served)["trigger"]["missed"]),
        (0, &json!(0))
    );
    drop(served);
    dealt_with_until(&fixture, now() - 3 * DAY);
    let served = Served::start(&fixture.scratch, &[]);
    while tick(&served)["trigger"]["missed"] == 0 {
        std::thread::yield_now();
    }
    (fixture, served)
}

#[test]
fn of_times_without_a_server_the_last_one_starts_a_run_and_the_others_are_counted() {
    let (_fixture, served) = after_three_days(Duration::from_secs(600));
    assert_eq!(tick(&served)["trigger"]["missed"], 2);
    let all = runs(&served);
    assert_eq!(all.len(), 1, "{all:?}");
    let last = tick(&served)["trigger"]["lastTime"]
        .as_str()
        .expect("a time")
        .to_owned();
    assert_eq!(all[0]["key"], format!("schedule/tick/{last}"));
    served.run_until(all[0]["id"].as_str().expect("an id"), "done");
}

#[test]
fn a_time_that_passed_hours_ago_starts_nothing() {
    let (fixture, served) = after_three_days(Duration::from_secs(2 * HOUR));
    assert_eq!(
        (runs(&served).len(), &tick(&served)["trigger"]["missed"]),
        (0, &json!(3))
    );
    // They are counted once.
    drop(served);
    let served = Served::start(&fixture.scratch, &[]);
    assert_eq!(
        (runs(&served).len(), &tick(&served)["trigger"]["missed"]),
        (0, &json!(3))
    );
}

#[test]
fn a_pipeline_is_public_only_if_its_document_and_the_policy_say_so() {
    let public = sending(&json!({ "type": "rest", "public": true }));
    let fixture = Fixture::new()
        .pipeline("open", &public)
        .pipeline("other", &public)
        .pipeline("closed", &sending(&json!({ "type": "rest" })));
    let json = [("Content-Type", "application/json")];
    let body = json!({ "subject": "public" }).to_string();
    let statuses = |served: &Served| {
        ["open", "other", "closed"].map(|name| {
            let reply = request(served.triggers, "POST", &format!("/pipeline/{name}"), &json, &body);
            reply.expect("an answer").status
        })
    };
    let served = Served::start(&fixture.scratch, &[]);
    assert_eq!(statuses(&served), [401, 401, 401]);
    drop(served);
    for (listed, expected) in [(r#"["open"]"#, [200, 401, 401]), (r#"["*"]"#, [200, 200, 401])] {
        let policy = format!("{{\"public_pipelines\": {listed}}}");
        fixture.scratch.write("policy.json", policy);
        let served = Served::start(&fixture.scratch, &["--policy", "policy.json"]);
        assert_eq!(statuses(&served), expected, "{listed}");
        let listed = served.api("GET", "/api/v1/pipelines", &Value::Null).json();
        let shown = |name: &str| {
            let pipelines = listed["pipelines"].as_array().expect("pipelines");
            let found = pipelines.iter().find(|pipeline| pipeline["name"] == name);
            found.expect("it is served")["trigger"]["public"].clone()
        };
        assert_eq!((shown("open"), shown("closed")), (json!(true), json!(false)));
    }
    assert_eq!(fixture.arrived("public"), 3);
}
