//! A server that works for a long time: requests, events and a schedule, while documents change and the mail server
//! fails now and then. Nothing is lost, nothing is sent twice, and the process holds in the end what it held before.
//!
//! The judge is the inbox, which keeps what it received and knows nothing of runs.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pipepost_inbox::script::{At, Rule};
use pipepost_inbox::{Inbox, Running, Script, Security};
use pipepost_tests::{PASSWORD, Scratch, Served, USER};
use serde_json::{Value, json};

use crate::fixture::{publish, sending, subject};

/// How long it works, in minutes, where nothing else is said.
const MINUTES: f64 = 2.0;

/// Clients at once.
const CLIENTS: usize = 6;

/// How many runs may wait: the publisher is faster than the mail server, and what waits is not to grow with the time.
const QUEUED_MAX: &str = "2000";

/// How often the process is looked at, and a document changed, in all.
const LOOKS: u32 = 60;

/// What the process may hold more in the end than it did when it had worked for a while, in bytes.
const GROWTH_MAX: u64 = 16 * 1024 * 1024;

/// How long to wait before the same is asked again.
const MOMENT: Duration = Duration::from_millis(50);

/// How many more descriptors it may have open.
const DESCRIPTORS_MAX: usize = 8;

#[test]
#[ignore = "it takes minutes: `cargo xtask soak` runs it, `--minutes` says how long"]
fn a_day_of_work() {
    let minutes = std::env::var("PIPEPOST_SOAK_MINUTES").ok();
    let minutes: f64 = minutes.map_or(MINUTES, |minutes| minutes.parse().expect("a number of minutes"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let inbox = runtime.block_on(inbox());
    let scratch = scratch(&inbox);
    let served = Served::start(&scratch, &["--queue", QUEUED_MAX]);
    let work = Work::default();
    let mut looks = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| client(&served, &work));
        }
        scope.spawn(|| publisher(&served, &work));
        let pause = Duration::from_secs_f64(minutes * 60.0 / f64::from(LOOKS));
        for number in 0..LOOKS {
            work.pause(pause);
            change(&served, &scratch, number);
            looks.push(Look::at(&served));
        }
        work.is_over.store(true, Ordering::SeqCst);
    });
    pause_ticks(&served);
    let orders = work.orders.load(Ordering::SeqCst);
    let events = work.events.load(Ordering::SeqCst);
    until_idle(&served);
    let tally = judge(&served, &scratch, &inbox, orders, events);
    let (early, late) = (&looks[looks.len() / 3..looks.len() / 2], &looks[looks.len() * 5 / 6..]);
    let memory = |looks: &[Look]| median(looks.iter().map(|look| look.pss).collect());
    let descriptors = |looks: &[Look]| looks.iter().map(|look| look.descriptors).max().unwrap_or_default();
    // Not `eprintln!`, which the test runner keeps to itself when a test passes.
    let _ = writeln!(
        std::io::stderr(),
        "soak: {minutes} minutes, {orders} requests, {events} events, {} ticks: {} done, each message sent once; {} uncertain, \
         all listed; {} MB after a third of the time and {} MB in the end; descriptors {} and {}",
        tally.ticks,
        tally.done,
        tally.uncertain,
        memory(early) / 1_000_000,
        memory(late) / 1_000_000,
        descriptors(early),
        descriptors(late)
    );
    assert!(memory(late) <= memory(early) + GROWTH_MAX, "{looks:?}");
    assert!(descriptors(late) <= descriptors(early) + DESCRIPTORS_MAX, "{looks:?}");
}

/// What is being done.
#[derive(Default)]
struct Work {
    orders: AtomicUsize,
    events: AtomicUsize,
    is_over: AtomicBool,
    bell: (Mutex<()>, Condvar),
}

impl Work {
    /// Lets so much time pass.
    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut held = self.bell.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let waited = self.bell.1.wait_timeout(held, left);
            held = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn next(&self, counter: &AtomicUsize) -> Option<usize> {
        (!self.is_over.load(Ordering::SeqCst)).then(|| counter.fetch_add(1, Ordering::SeqCst))
    }
}

/// What the process holds.
#[derive(Debug)]
struct Look {
    pss: u64,
    descriptors: usize,
}

impl Look {
    fn at(served: &Served) -> Self {
        let process = format!("/proc/{}", served.running().id());
        let memory = std::fs::read_to_string(format!("{process}/smaps_rollup")).expect("it runs");
        let pss = memory.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kilobytes = pss.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        Self {
            pss: kilobytes.expect("a number") * 1024,
            descriptors: std::fs::read_dir(format!("{process}/fd")).expect("it runs").count(),
        }
    }
}

fn median(mut figures: Vec<u64>) -> u64 {
    figures.sort_unstable();
    figures[figures.len() / 2]
}

/// A mail server that fails now and then: each connection refuses for now, and every other one hangs up, where the others
/// store a message and lose the reply. It ends so seldom that the account need not wait with its next sign-in.
async fn inbox() -> Running {
    let refusing = Rule::at(At::Content).nth(7).reply("451 4.3.0 try again");
    let script = (2..1000)
        .step_by(2)
        .fold(Script::new().rule(refusing), |script, connection| {
            script.rule(
                Rule::at(At::Mail)
                    .connection(connection)
                    .nth(2001)
                    .reply("421 4.3.2 back soon"),
            )
        });
    let script = script.lose_reply_of_message(3001);
    Inbox::builder()
        .listen(Security::StartTls, "127.0.0.1:0")
        .users([(USER, PASSWORD)])
        .keep(usize::MAX)
        .script(script)
        .start()
        .await
        .expect("an inbox at a free port")
}

fn scratch(inbox: &Running) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("pipelines/welcome.json", welcome(0).to_string());
    scratch.write(
        "pipelines/paid.json",
        patient(
            sending(&json!({ "type": "event", "eventName": "order.paid" })),
            Some("{{ message.subject }}"),
        )
        .to_string(),
    );
    let schedule = json!({ "type": "scheduler", "cronExpression": "* * * * * ?", "concurrentScheduling": true });
    let tick = patient(sending(&schedule), Some("tick"));
    scratch.write("pipelines/tick.json", tick.to_string());
    let account = json!({
        "label": "mail", "type": "smtp-auth-and-properties", "host": "127.0.0.1", "port": inbox.address().port(),
        "username": USER, "password": PASSWORD, "starttls_enable": true, "ca_file": "ca.pem",
    });
    scratch.write("accounts.json", account.to_string());
    scratch.write("ca.pem", inbox.ca_pem());
    let path = |name: &str| scratch.folder().join(name).display().to_string();
    let (state, accounts) = (path("state"), path("accounts.json"));
    scratch
        .variable("PIPEPOST_STATE", &state)
        .variable("PIPEPOST_ACCOUNTS", &accounts)
        .variable("PIPEPOST_DRAIN", "0")
}

fn welcome(number: u32) -> Value {
    let mut document = patient(sending(&json!({ "type": "rest" })), None);
    document["description"] = format!("text {number}").into();
    document
}

/// The step tries again soon, as often as the mail server can fail in a row.
fn patient(mut document: Value, subject: Option<&str>) -> Value {
    let params = &mut document["flowSpec"]["start"][0]["params"];
    params["retry"] = json!({ "attempts": 20, "first": "50ms", "factor": 1 });
    if let Some(subject) = subject {
        params["subject"] = subject.into();
    }
    document
}

/// Asks until time is over. Each order is asked for until it has an answer that stays.
fn client(served: &Served, work: &Work) {
    while let Some(number) = work.next(&work.orders) {
        let key = format!("order-{number}");
        let mut headers = vec![("Idempotency-Key", key.as_str())];
        if number.is_multiple_of(4) {
            headers.push(("Prefer", "respond-async"));
        }
        loop {
            let reply = served.post("welcome", &headers, &subject(&format!("order {number}")));
            match reply.status {
                200 | 202 => break,
                409 if reply.json()["kind"] == "uncertain" => break,
                409 | 503 | 504 => std::thread::sleep(MOMENT),
                _ => {
                    let run = reply.header("pipepost-run").unwrap_or_default();
                    let log = served.api("GET", &format!("/api/v1/runs/{run}/log"), &Value::Null);
                    panic!("order {number}: {reply:?} {} {}", served.run(run), log.body);
                }
            }
        }
    }
}

/// Publishes events until time is over, each of them twice.
fn publisher(served: &Served, work: &Work) {
    while let Some(number) = work.next(&work.events) {
        let body = subject(&format!("event {number}"));
        for _ in 0..2 {
            loop {
                let reply = publish(served, &number.to_string(), &body);
                if reply.status != 503 {
                    reply.with_status(202);
                    break;
                }
                std::thread::sleep(MOMENT);
            }
        }
    }
}

/// Changes a document, and every fourth time breaks one for a while: what was served is served on.
fn change(served: &Served, scratch: &Scratch, number: u32) {
    let text = match number % 4 {
        3 => "{ this is no document".to_owned(),
        _ => welcome(number).to_string(),
    };
    scratch.write("pipelines/welcome.json", text);
    served.running().signal("HUP");
    served
        .api("GET", "/api/v1/runs?limit=200", &Value::Null)
        .with_status(200);
    served.api("GET", "/metrics", &Value::Null).with_status(200);
}

/// Waits until nothing waits and nothing is under way.
fn until_idle(served: &Served) {
    while has_some(served, "state=queued") || has_some(served, "state=running") {
        std::thread::sleep(MOMENT);
    }
}

/// Pauses the schedule while none of its runs waits: one that waits would wait for as long as the pause lasts.
fn pause_ticks(served: &Served) {
    let tell = |what: &str| {
        let told = served.api("POST", &format!("/api/v1/pipelines/tick/{what}"), &Value::Null);
        assert!(told.status < 300, "{told:?}");
    };
    loop {
        tell("pause");
        if !has_some(served, "state=queued&pipeline=tick") {
            return;
        }
        tell("resume");
        std::thread::sleep(MOMENT);
    }
}

fn has_some(served: &Served, filter: &str) -> bool {
    let page = served.api("GET", &format!("/api/v1/runs?limit=1&{filter}"), &Value::Null);
    page.json()["runs"].as_array().is_some_and(|runs| !runs.is_empty())
}

/// What the runs came to.
#[derive(Debug, Default)]
struct Tally {
    done: usize,
    uncertain: usize,
    ticks: usize,
}

/// Every run has one end, and it is true.
fn judge(served: &Served, scratch: &Scratch, inbox: &Running, orders: usize, events: usize) -> Tally {
    let mut arrived: BTreeMap<String, usize> = BTreeMap::new();
    for message in inbox.messages() {
        let subject = message.header("Subject").unwrap_or_default();
        *arrived.entry(subject).or_default() += 1;
    }
    let runs = runs(served);
    let mut tally = Tally::default();
    let mut ticks = Vec::new();
    let mut settled = |run: &Value| match run["state"].as_str() {
        Some("done") => {
            tally.done += 1;
            true
        }
        Some("uncertain") => {
            assert_eq!(run["messages"]["uncertain"], 1, "{run}");
            tally.uncertain += 1;
            false
        }
        _ => panic!("it did not end: {run}"),
    };
    for (kind, count, key) in [("order", orders, "key/welcome/order-"), ("event", events, "event/")] {
        let mut found = 0;
        for (_, run) in runs.iter().filter(|(known, _)| known.starts_with(key)) {
            let number = run["key"].as_str().unwrap_or_default().trim_end_matches("/paid");
            let digits = number.rsplit(['-', '/']).next().unwrap_or_default();
            let times = arrived.get(&format!("{kind} {digits}")).copied().unwrap_or_default();
            assert!(times <= 1, "{kind} {digits} was sent {times} times: {run}");
            assert!(!settled(run) || times == 1, "{kind} {digits} is lost: {run}");
            found += 1;
        }
        assert_eq!(found, count, "each {kind} is a run");
    }
    let mut done = 0;
    for (key, run) in runs.iter().filter(|(key, _)| key.starts_with("schedule/tick/")) {
        done += usize::from(settled(run));
        ticks.push(second(key));
    }
    let sent = arrived.get("tick").copied().unwrap_or_default();
    assert!(
        (done..=ticks.len()).contains(&sent),
        "{sent} ticks were sent by {} runs",
        ticks.len()
    );
    // The keys are in the order of their times.
    for pair in ticks.windows(2) {
        let apart = (pair[1] + DAY - pair[0]) % DAY;
        assert_eq!(apart, 1, "a tick is missing after {}", pair[0]);
    }
    tally.ticks = ticks.len();
    let listed = scratch.pipepost(&["ledger", "list", "--uncertain", "--json"]);
    let listed = listed.with_code(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(tally.uncertain), "{listed}");
    tally
}

/// Seconds of a day.
const DAY: u32 = 24 * 60 * 60;

/// The second of the day in a schedule's key, which ends in a time such as `2026-11-29T08:00:01Z`.
fn second(key: &str) -> u32 {
    let time = key.rsplit('T').next().unwrap_or_default().trim_end_matches('Z');
    let digits = time.split(':').map(|part| part.parse::<u32>().expect("a number"));
    digits.fold(0, |seconds, part| seconds * 60 + part)
}

/// All runs, by their keys.
fn runs(served: &Served) -> BTreeMap<String, Value> {
    let mut runs = BTreeMap::new();
    let mut after = String::new();
    loop {
        let path = format!("/api/v1/runs?limit=200&after={after}");
        let page = served.api("GET", &path, &Value::Null).with_status(200).json();
        for run in page["runs"].as_array().expect("runs") {
            runs.insert(run["key"].as_str().expect("a key").to_owned(), run.clone());
        }
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => return runs,
        }
    }
}
