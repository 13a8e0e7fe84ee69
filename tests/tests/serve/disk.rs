//! A disk that is full, or cannot be written: nothing is sent that was not recorded, nothing is lost, and the service goes
//! on by itself when there is room.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use pipepost_inbox::Script;
use pipepost_tests::Served;
use serde_json::{Value, json};

use crate::fixture::{Fixture, sending, subject};

/// More than the log of the database has before it is written back.
const SIZE: &str = "size=16m";

/// A state on a disk of its own; none where there can be none.
fn fixture(script: &Value, disk: &str) -> Option<Fixture> {
    let script: Script = serde_json::from_value(json!({ "rules": script })).expect("a script");
    let mut fixture = Fixture::with_script(script).pipeline("welcome", &sending(&json!({ "type": "rest" })));
    fixture.scratch = fixture.scratch.with_disk("state", disk)?;
    Some(fixture)
}

/// Leaves no room on the service's disk until it is removed.
struct Filler(PathBuf);

impl Filler {
    fn new(fixture: &Fixture, served: &Served) -> Self {
        let path = served.running().sees(&fixture.scratch.folder().join("state/filler"));
        let mut file = File::create(&path).expect("the disk of the service");
        for size in [64 * 1024, 1024, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        Self(path)
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        // The disk goes with the service.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn status(served: &Served, path: &str) -> u16 {
    served.api("GET", path, &Value::Null).status
}

fn until(served: &Served, path: &str, expected: u16) {
    while status(served, path) != expected {
        std::thread::yield_now();
    }
}

#[test]
fn a_full_disk_takes_nothing_and_loses_nothing() {
    // One message is with the server when the disk is full, and its answer comes then; another one's sign-in waits until then,
    // so that its claim finds it so.
    let script = json!([
        { "at": "content", "times": 1, "do": [{ "hold": "answer" }, "regular"] },
        { "at": "sign-in", "connection": 2, "do": [{ "hold": "claim" }, "regular"] },
    ]);
    let Some(fixture) = fixture(&script, SIZE) else { return };
    let served = Served::start(&fixture.scratch, &[]);
    let inbox = fixture.catcher.inbox();
    let accept = |name: &str| {
        let headers = [("Prefer", "respond-async"), ("Idempotency-Key", name)];
        let reply = served.post("welcome", &headers, &subject(name)).with_status(202);
        reply.json()["id"].as_str().expect("an id").to_owned()
    };
    let one = accept("one");
    while fixture.catcher.commands("BDAT").len() + fixture.catcher.commands("DATA").len() == 0 {
        std::thread::yield_now();
    }
    let two = accept("two");
    while fixture.catcher.commands("AUTH").len() < 2 {
        std::thread::yield_now();
    }
    let filler = Filler::new(&fixture, &served);
    let refused = served.post("welcome", &[("Idempotency-Key", "late")], &subject("late"));
    let refused = refused.with_status(503);
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    let problem = refused.json();
    assert_eq!(problem["kind"], "state-unavailable", "{problem}");
    let ready = served.api("GET", "/readyz", &Value::Null).with_status(503).json();
    assert!(ready["checks"]["state"] != "ok", "{ready}");
    assert_eq!(status(&served, "/livez"), 200);
    inbox.release("claim");
    inbox.release("answer");
    // It is not ready as long as nothing can be written, though everything can be read.
    assert_eq!(status(&served, "/api/v1/runs"), 200);
    while fixture.arrived("one") == 0 {
        std::thread::yield_now();
    }
    assert_eq!(status(&served, "/readyz"), 503);
    assert_eq!(fixture.arrived("two"), 0, "nothing leaves that is not claimed");
    assert_eq!(fixture.arrived("late"), 0, "it was not accepted");
    drop(filler);
    for id in [&one, &two] {
        served.run_until(id, "done");
    }
    until(&served, "/readyz", 200);
    assert_eq!((fixture.arrived("one"), fixture.arrived("two")), (1, 1));
    served
        .post("welcome", &[("Idempotency-Key", "late")], &subject("late"))
        .with_status(200);
    assert_eq!(fixture.arrived("late"), 1);
    let doubt = served
        .api("GET", "/api/v1/messages?state=uncertain", &Value::Null)
        .json();
    assert_eq!(doubt["messages"], json!([]), "{doubt}");
    // Said once, and not by everybody.
    let ending = served.end("TERM");
    assert_eq!(ending.code, Some(0), "{ending}");
    for words in [
        "the state could not be written",
        "nothing begins until the state can be used",
    ] {
        let count = ending.stderr.matches(words).count();
        assert!((1..=4).contains(&count), "`{words}` is said {count} times\n{ending}");
    }
}

#[test]
fn a_caller_that_waits_is_answered_when_there_is_room_again() {
    let script = json!([{ "at": "sign-in", "times": 1, "do": [{ "hold": "claim" }, "regular"] }]);
    let Some(fixture) = fixture(&script, SIZE) else { return };
    let served = Served::start(&fixture.scratch, &[]);
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| served.post("welcome", &[], &subject("patience")));
        while fixture.catcher.commands("AUTH").is_empty() {
            std::thread::yield_now();
        }
        let filler = Filler::new(&fixture, &served);
        fixture.catcher.inbox().release("claim");
        until(&served, "/readyz", 503);
        assert_eq!(fixture.arrived("patience"), 0, "nothing leaves that is not claimed");
        drop(filler);
        caller.join().expect("it waits").with_status(200);
    });
    assert_eq!(fixture.arrived("patience"), 1);
}

#[test]
fn a_full_disk_is_told_at_the_start() {
    let Some(fixture) = fixture(&json!([]), "size=4k") else {
        return;
    };
    let ending = fixture.scratch.pipepost(&Served::arguments()).with_code(78);
    ending.is_a_sentence("a full disk");
    assert!(ending.stderr.contains("state"), "{ending}");
}

#[test]
fn a_state_that_can_only_be_read_is_told_at_the_start() {
    let Some(fixture) = fixture(&json!([]), "size=4m,ro") else {
        return;
    };
    let ending = fixture.scratch.pipepost(&Served::arguments()).with_code(78);
    ending.is_a_sentence("a disk that can only be read");
    assert!(ending.stderr.contains("ead-only"), "{ending}");
}

/// What is written into a file without a name is read by nobody.
#[test]
fn a_state_that_is_taken_away_is_noticed_and_goes_on_when_it_is_back() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&json!({ "type": "rest" })));
    let served = Served::start(&fixture.scratch, &[]);
    served.post("welcome", &[], &subject("before")).with_status(200);
    let (state, away) = (
        fixture.scratch.folder().join("state"),
        fixture.scratch.folder().join("away"),
    );
    std::fs::rename(&state, &away).expect("it moves");
    for headers in [&[][..], &[("Prefer", "respond-async")]] {
        let refused = served.post("welcome", headers, &subject("meanwhile")).with_status(503);
        assert_eq!(refused.json()["kind"], "state-unavailable", "{refused:?}");
    }
    assert_eq!(status(&served, "/readyz"), 503);
    assert!(!state.exists(), "no other one is begun");
    std::fs::rename(&away, &state).expect("it moves");
    until(&served, "/readyz", 200);
    served.post("welcome", &[], &subject("after")).with_status(200);
    assert_eq!(
        ["before", "meanwhile", "after"].map(|subject| fixture.arrived(subject)),
        [1, 0, 1]
    );
}
