//! A server that is killed again and again, and clients that ask again with the same key: nothing is lost, nothing is
//! sent twice, and what nobody can tell is listed.
//!
//! The judge is the inbox, which keeps what it received and knows nothing of runs.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pipepost_inbox::{Event, Inbox, Running, Security};
use pipepost_tests::{PASSWORD, Random, Scratch, Served, USER, root, seed};
use serde_json::{Value, json};

use crate::fixture::{sending, subject};

/// Clients at once.
const CLIENTS: usize = 8;

#[test]
fn a_hundred_runs_and_six_kills() {
    killed_at_random(100, 6);
}

#[test]
#[ignore = "it takes minutes: `cargo xtask soak` runs it"]
fn two_thousand_runs_and_fifty_kills() {
    killed_at_random(2_000, 50);
}

/// Each order is a pipeline that waits for one that sends, starts one that sends, and publishes an event for a third.
#[test]
fn forty_chains_of_pipelines_and_five_kills() {
    chains_killed_at_random(40, 5);
}

#[test]
#[ignore = "it takes minutes: `cargo xtask soak` runs it"]
fn five_hundred_chains_of_pipelines_and_forty_kills() {
    chains_killed_at_random(500, 40);
}

fn killed_at_random(runs: usize, kills: usize) {
    let documents = [("welcome", sending(&json!({ "type": "rest" })))];
    let after = under_kills(runs, kills, &documents);
    let (sent, uncertain) = judge(&after.served, &after.scratch, &after.orders, after.server);
    // Not `eprintln!`, which the test runner keeps to itself when a test passes.
    let _ = writeln!(
        std::io::stderr(),
        "serve: {}: {sent} done, each message sent once; {uncertain} uncertain, all listed",
        after.told
    );
}

fn chains_killed_at_random(runs: usize, kills: usize) {
    let payload = |kind: &str| format!("{{\"body\": {{\"subject\": \"{kind} of {{{{ message.body.subject }}}}\"}}}}");
    let order = [
        executor("SYNC", "answer", &payload("answer")),
        json!({ "type": "connector", "name": "json-generator-connector", "params": { "json": "{{ trigger.$ }}" } }),
        executor("ASYNC", "copy", &payload("copy")),
        json!({ "type": "connector", "name": "json-generator-connector", "params": { "json": "{{ trigger.$ }}" } }),
        json!({
            "type": "connector", "name": "event-publisher-connector",
            "params": { "eventName": "ordered", "body": payload("note"), "failOnError": true },
        }),
    ];
    let documents = [
        (
            "welcome",
            json!({ "triggerSpec": { "type": "rest", "timeout": 120_000 }, "flowSpec": { "start": order } }),
        ),
        ("answer", sending(&json!({ "type": "api" }))),
        ("copy", sending(&json!({ "type": "api" }))),
        ("note", sending(&json!({ "type": "event", "eventName": "ordered" }))),
    ];
    let after = under_kills(runs, kills, &documents);
    let (done, uncertain) = judge_chains(&after);
    let _ = writeln!(
        std::io::stderr(),
        "serve: {} of chains: {done} done, each with its three messages or their doubts; {uncertain} uncertain",
        after.told
    );
}

fn executor(operation: &str, pipeline: &str, payload: &str) -> Value {
    json!({
        "type": "connector", "name": "pipeline-executor-connector",
        "params": {
            "operation": operation, "pipelineName": pipeline, "payload": payload, "timeout": 60_000, "failOnError": true,
        },
    })
}

/// What is left when the last kill is over and every order has an answer.
struct Aftermath {
    served: Arc<Served>,
    scratch: Scratch,
    orders: Orders,
    server: Mailbox,
    told: String,
}

fn under_kills(runs: usize, kills: usize, documents: &[(&str, Value)]) -> Aftermath {
    let seed = seed();
    let mut random = Random::new(seed);
    let (server, bell) = Mailbox::start();
    let scratch = server.scratch(documents);
    let lives = Lives::default();
    let orders = Orders {
        next: AtomicUsize::new(0),
        end: runs,
        answers: Mutex::default(),
    };
    let (mut at_start, mut with_runs) = (0, 0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| client(&lives, &orders));
        }
        for kill in 1..=kills {
            if kill == 1 || random.below(6) == 0 {
                // While it starts: it brings the state to its format, and finds what the one before left.
                let running = scratch.start(&Served::arguments());
                if random.below(2) == 0 {
                    running.says("triggers ");
                }
                drop(running);
                at_start += 1;
                continue;
            }
            let left = runs - orders.answered();
            server.aim(&mut random, (left / (kills - kill + 2)) as u64);
            while bell.try_recv().is_ok() {}
            lives.begin(Served::start(&scratch, &[]));
            ring(&bell, &orders);
            lives.end(
                [
                    Before::Nothing,
                    Before::Nothing,
                    Before::Signal("HUP"),
                    Before::Signal("TERM"),
                    Before::Drain,
                ][usize::try_from(random.below(5)).unwrap_or_default()],
            );
            with_runs += usize::from(count(&scratch, "SELECT count(*) FROM runs WHERE state = 'running'") > 0);
        }
        server.hold_fire();
        lives.begin(Served::start(&scratch, &[]));
    });
    assert!(
        2 * (with_runs + at_start) >= kills,
        "only {with_runs} kills fell on a run"
    );
    Aftermath {
        served: lives.take(),
        scratch,
        orders,
        server,
        told: format!(
            "seed {seed}: {runs} runs, {kills} kills, {at_start} of them at the start and {with_runs} while runs were under way"
        ),
    }
}

/// Waits for the moment to kill; the clients may be done before it comes.
fn ring(bell: &Receiver<()>, orders: &Orders) {
    loop {
        match bell.recv_timeout(Duration::from_millis(20)) {
            Err(RecvTimeoutError::Timeout) if orders.answered() < orders.end => {}
            _ => return,
        }
    }
}

/// All runs, by their keys.
fn listed(served: &Served) -> BTreeMap<String, Value> {
    let mut listed: BTreeMap<String, Value> = BTreeMap::new();
    let mut after = String::new();
    loop {
        let path = format!("/api/v1/runs?limit=200&after={after}");
        let page = served.api("GET", &path, &Value::Null).with_status(200).json();
        for run in page["runs"].as_array().expect("runs") {
            listed.insert(run["key"].as_str().expect("a key").to_owned(), run.clone());
        }
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => return listed,
        }
    }
}

/// Every chain has one run of each pipeline, and each run's end is true. Answers how many chains are done, and how many
/// uncertain.
fn judge_chains(after: &Aftermath) -> (usize, usize) {
    let runs = loop {
        let runs = listed(&after.served);
        // What was killed five times waits for somebody who knows why.
        let is_stopped = |run: &&Value| run["state"] == "failed" && run["failure"]["kind"] == "limit";
        for run in runs.values().filter(is_stopped) {
            let path = format!("/api/v1/runs/{}/continue", run["id"].as_str().expect("an id"));
            let continued = after.served.api("POST", &path, &Value::Null);
            // The pipeline that waits for it may have continued it meanwhile.
            assert!(matches!(continued.status, 200 | 409), "{continued:?}");
        }
        let is_over = |run: &Value| !matches!(run["state"].as_str(), Some("queued" | "running")) && !is_stopped(&run);
        if runs.values().all(is_over) {
            break runs;
        }
        std::thread::yield_now();
    };
    let arrived = after.server.arrived();
    let (mut done, mut uncertain) = (0, 0);
    for number in 0..after.orders.end {
        let parent = &runs[&format!("key/welcome/order-{number}")];
        let id = parent["id"].as_str().expect("an id");
        let child = |how: &str, step: usize| runs.get(&format!("run/{id}/{how}/start#{step}"));
        let answer = child("sync", 0).expect("it was started");
        match parent["state"].as_str() {
            Some("done") => done += 1,
            Some("uncertain") => uncertain += 1,
            _ => panic!("order {number}: {parent}"),
        }
        assert_eq!(
            parent["state"], answer["state"],
            "the one that waits is what the other one is"
        );
        let others = [(child("async", 2), "copy"), (child("event/note", 4), "note")];
        for (run, kind) in [(Some(answer), "answer")].into_iter().chain(others) {
            let count = arrived
                .get(&format!("{kind} of order {number}"))
                .copied()
                .unwrap_or_default();
            assert!(count <= 1, "{kind} of order {number} was sent {count} times");
            match run.map(|run| run["state"].as_str().expect("a state")) {
                Some("done") => assert_eq!(count, 1, "{kind} of order {number} is lost"),
                Some("uncertain") => {}
                // The step before it stopped the pipeline.
                None => assert_eq!(
                    (&parent["state"], count),
                    (&json!("uncertain"), 0),
                    "{kind} of order {number}"
                ),
                Some(state) => panic!("{kind} of order {number} is {state}: {run:?}"),
            }
        }
    }
    let started = runs.len();
    let answers = runs.values().filter(|run| run["pipeline"] == "answer").count();
    assert_eq!(answers, after.orders.end, "of {started} runs");
    let in_doubt = after
        .scratch
        .pipepost(&["ledger", "list", "--uncertain", "--json"])
        .with_code(0)
        .json();
    let doubts: u64 = runs
        .values()
        .filter_map(|run| run["messages"]["uncertain"].as_u64())
        .sum();
    assert_eq!(in_doubt.as_array().expect("entries").len() as u64, doubts);
    (done, uncertain)
}

/// Every run has one end, and it is true. Answers how many are done, and how many uncertain.
fn judge(served: &Served, scratch: &Scratch, orders: &Orders, server: Mailbox) -> (usize, usize) {
    let answers = orders.lock();
    assert_eq!(answers.len(), orders.end);
    for id in answers.values().filter_map(|answer| answer.id.as_ref()) {
        // Who did not wait looks now.
        while matches!(served.run(id)["state"].as_str(), Some("queued" | "running")) {
            std::thread::yield_now();
        }
    }
    let listed = listed(served);
    assert_eq!(listed.len(), orders.end, "a key is a run");
    let arrived = server.stop();
    let (mut done, mut uncertain) = (0, 0);
    for (number, answer) in &*answers {
        let count = arrived.get(&format!("order {number}")).copied().unwrap_or_default();
        assert!(count <= 1, "order {number} was sent {count} times: {answer:?}");
        let run = &listed[&format!("key/welcome/order-{number}")];
        let state = run["state"].as_str().expect("a state");
        match state {
            "done" => {
                assert_eq!(count, 1, "order {number} is lost: {run}");
                done += 1;
            }
            "uncertain" => {
                assert_eq!(run["messages"]["uncertain"], 1, "{run}");
                uncertain += 1;
            }
            _ => panic!("order {number} is {state}: {run}"),
        }
        let expected = if state == "done" { 200 } else { 409 };
        assert!(
            answer.status == expected || answer.id.is_some(),
            "order {number} is {state}, and was answered {answer:?}"
        );
    }
    let entries = scratch
        .pipepost(&["ledger", "list", "--uncertain", "--json"])
        .with_code(0)
        .json();
    assert_eq!(entries.as_array().expect("entries").len(), uncertain, "{entries}");
    (done, uncertain)
}

/// The last answer to an order.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// The run, for a caller that did not wait.
    id: Option<String>,
}

struct Orders {
    next: AtomicUsize,
    end: usize,
    answers: Mutex<BTreeMap<usize, Answer>>,
}

impl Orders {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self) -> usize {
        self.lock().len()
    }
}

/// Orders until nothing is left to order. Each order is asked for until it has an answer that stays.
fn client(lives: &Lives, orders: &Orders) {
    loop {
        let number = orders.next.fetch_add(1, Ordering::SeqCst);
        if number >= orders.end {
            return;
        }
        let key = format!("order-{number}");
        let waits = !number.is_multiple_of(4);
        let mut headers = vec![("Idempotency-Key", key.as_str())];
        if !waits {
            headers.push(("Prefer", "respond-async"));
        }
        let message = subject(&format!("order {number}"));
        let answer = loop {
            let (life, served) = lives.current();
            let Ok(reply) = served.try_post("welcome", &headers, &message) else {
                drop(served);
                lives.after(life);
                continue;
            };
            let kind = match reply.status {
                200 | 202 => String::new(),
                _ => reply.json()["kind"].as_str().unwrap_or_default().to_owned(),
            };
            match (reply.status, kind.as_str()) {
                (202, _) => {
                    let id = reply.json()["id"].as_str().map(str::to_owned);
                    break Answer { status: 202, id };
                }
                (200, _) | (409, "uncertain") => {
                    break Answer {
                        status: reply.status,
                        id: None,
                    };
                }
                (409 | 503 | 504, _) => lives.breathe(),
                // It was killed five times: whoever knows why lets it go on.
                (500, "limit") => {
                    let run = reply.json()["instance"].as_str().unwrap_or_default().to_owned();
                    let _ = served.try_api("POST", &format!("{run}/continue"), &Value::Null);
                }
                _ => panic!("order {number}: {reply:?}"),
            }
        };
        orders.lock().insert(number, answer);
    }
}

/// What comes before a kill.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    /// A signal, at the same moment.
    Signal(&'static str),
    /// The server has begun to end: what is under way is asked to, and waits in the state.
    Drain,
}

/// The server, from one start to the next.
#[derive(Default)]
struct Lives {
    current: Mutex<(usize, Option<Arc<Served>>)>,
    changed: Condvar,
}

impl Lives {
    fn lock(&self) -> MutexGuard<'_, (usize, Option<Arc<Served>>)> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, served: Served) {
        let mut current = self.lock();
        *current = (current.0 + 1, Some(Arc::new(served)));
        self.changed.notify_all();
    }

    /// Kills it, perhaps just after it was asked to read its directory anew, or to end, or while it ends.
    fn end(&self, before: Before) {
        let served = self.lock().1.take();
        if let Some(served) = served {
            match before {
                Before::Nothing => {}
                Before::Signal(signal) => served.running().signal(signal),
                Before::Drain => {
                    served.running().signal("TERM");
                    served.running().complains("ending: nothing new begins");
                }
            }
            served.running().signal("KILL");
            // Those who still ask it get no answer; then it is waited for.
            while Arc::strong_count(&served) > 1 {
                std::thread::yield_now();
            }
        }
    }

    fn take(&self) -> Arc<Served> {
        self.lock().1.take().expect("the last one lives")
    }

    /// The server that lives, once one does.
    fn current(&self) -> (usize, Arc<Served>) {
        let mut current = self.lock();
        loop {
            if let (life, Some(served)) = &*current {
                return (*life, Arc::clone(served));
            }
            current = self.changed.wait(current).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits a little for another life than this one, which gave no answer.
    fn after(&self, life: usize) {
        let current = self.lock();
        let waited = self
            .changed
            .wait_timeout_while(current, Duration::from_millis(50), |current| current.0 == life);
        drop(waited);
    }

    /// Lets the server work before it is asked again.
    fn breathe(&self) {
        let current = self.lock();
        let life = current.0;
        let waited = self
            .changed
            .wait_timeout_while(current, Duration::from_millis(10), |current| current.0 == life);
        drop(waited);
    }
}

/// What the state's file says after a kill.
fn count(scratch: &Scratch, query: &str) -> u32 {
    let file = scratch.folder().join("state/pipepost.sqlite");
    let database = rusqlite::Connection::open(file).expect("the state is where it was said to be");
    database.query_row(query, [], |row| row.get(0)).unwrap_or_default()
}

/// Makes the state of a version that knew no runs.
fn old_state(folder: &Path) {
    std::fs::create_dir(folder).expect("a writable folder");
    let database = rusqlite::Connection::open(folder.join("pipepost.sqlite")).expect("a file");
    let migrations = root().join("crates/state-sqlite/src/migrations");
    for version in 1..=4 {
        let text = std::fs::read_to_string(migrations.join(format!("{version}.sql"))).expect("a migration");
        database.execute_batch(&text).expect("an old state");
    }
    database.pragma_update(None, "user_version", 4).expect("an old state");
}

/// When the server is to be killed, by what its mail server sees of it.
#[derive(Clone, Copy, Debug)]
enum Aim {
    Never,
    /// When so many messages have been stored.
    Stored(i64),
    /// When so many connections have signed in.
    SignedIn(i64),
}

/// The mail server.
struct Mailbox {
    runtime: tokio::runtime::Runtime,
    inbox: Running,
    aim: Arc<Mutex<Aim>>,
}

impl Mailbox {
    /// With the bell that it rings.
    fn start() -> (Self, Receiver<()>) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let (sender, bell) = channel();
        let aim = Arc::new(Mutex::new(Aim::Never));
        let aimed = Arc::clone(&aim);
        let starting = Inbox::builder()
            .listen(Security::StartTls, "127.0.0.1:0")
            .users([(USER, PASSWORD)])
            .keep(usize::MAX)
            .observer(move |event| watch(event, &aimed, &sender))
            .start();
        let inbox = runtime.block_on(starting).expect("an inbox at a free port");
        let server = Self { runtime, inbox, aim };
        (server, bell)
    }

    fn scratch(&self, documents: &[(&str, Value)]) -> Scratch {
        let scratch = Scratch::new();
        for (name, document) in documents {
            scratch.write(&format!("pipelines/{name}.json"), document.to_string());
        }
        let account = json!({
            "label": "mail",
            "type": "smtp-auth-and-properties",
            "host": "127.0.0.1",
            "port": self.inbox.address().port(),
            "username": USER,
            "password": PASSWORD,
            "starttls_enable": true,
            "ca_file": "ca.pem",
        });
        scratch.write("accounts.json", account.to_string());
        scratch.write("ca.pem", self.inbox.ca_pem());
        let folder = scratch.folder().to_owned();
        old_state(&folder.join("state"));
        let path = |name: &str| folder.join(name).display().to_string();
        scratch
            .variable("PIPEPOST_STATE", &path("state"))
            .variable("PIPEPOST_ACCOUNTS", &path("accounts.json"))
            // What is under way is asked to end at once.
            .variable("PIPEPOST_DRAIN", "0")
            // What a killed process leaves behind goes with the test.
            .variable("TMPDIR", &path("home"))
    }

    fn aim(&self, random: &mut Random, share: u64) {
        self.set(if random.below(4) == 0 {
            Aim::SignedIn(random.between(1, 4))
        } else {
            Aim::Stored(random.between(1, (share * 3 / 2).max(1)))
        });
    }

    fn hold_fire(&self) {
        self.set(Aim::Never);
    }

    fn set(&self, aim: Aim) {
        *self.aim.lock().unwrap_or_else(PoisonError::into_inner) = aim;
    }

    /// How often each subject arrived.
    fn stop(self) -> BTreeMap<String, usize> {
        let arrived = self.arrived();
        drop(self.inbox);
        drop(self.runtime);
        arrived
    }

    /// How often each subject arrived so far.
    fn arrived(&self) -> BTreeMap<String, usize> {
        let mut arrived = BTreeMap::new();
        for message in self.inbox.messages() {
            *arrived
                .entry(message.header("Subject").unwrap_or_default())
                .or_default() += 1;
        }
        arrived
    }
}

fn watch(event: &Event, aim: &Mutex<Aim>, bell: &Sender<()>) {
    let mut aim = aim.lock().unwrap_or_else(PoisonError::into_inner);
    let ((Aim::Stored(left), Event::Caught { .. }) | (Aim::SignedIn(left), Event::SignedIn { .. })) =
        (&mut *aim, event)
    else {
        return;
    };
    *left -= 1;
    if *left == 0 {
        // Nobody listens after the test.
        let _ = bell.send(());
    }
}
