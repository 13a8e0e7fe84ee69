//! The state in PostgreSQL, as one worker meets it: gone and back, behind a pool, over TLS, set so that it would forget, and
//! taken over by a standby that had not everything.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use pipepost_tests::{
    Authority, Flaw, Namespace, PATIENCE, Partition, PgBouncer, Postgres, PostgresOptions, Replication, Scratch,
    Served, Sink, postgres, root,
};
use serde_json::{Value, json};

use crate::machine::{Machine, folder, sending};
use crate::orders::uncertain;

fn order(subjects: &[&str]) -> Value {
    json!({ "subjects": subjects })
}

#[test]
fn while_the_store_is_gone_nothing_is_sent_and_it_comes_back_by_itself() {
    let Some(sink) = Sink::start() else { return };
    let Some(mut cluster) = Postgres::start(&PostgresOptions::default()) else {
        return;
    };
    let machine = Machine::new(&[cluster.port()], sink.address());
    let served = machine.start();
    served.post("welcome", &[], &order(&["before"])).with_status(200);
    served.api("GET", "/readyz", &Value::Null).with_status(200);
    cluster.kill();
    let passed = machine.mail().passed();
    let reply = served.post("welcome", &[("Idempotency-Key", "k")], &order(&["meanwhile"]));
    assert_eq!(reply.status, 503, "{reply:?}");
    let ready = served.api("GET", "/readyz", &Value::Null).with_status(503).json();
    let told = ready["checks"]["state"].as_str().expect("a sentence");
    assert!(told.contains(&format!("127.0.0.1:{}", machine.store_port())), "{told}");
    assert_eq!(machine.mail().passed(), passed, "nothing goes to the mail server");
    served.api("GET", "/livez", &Value::Null).with_status(200);
    cluster.run();
    while served.api("GET", "/readyz", &Value::Null).status != 200 {
        std::thread::yield_now();
    }
    served
        .post("welcome", &[("Idempotency-Key", "k")], &order(&["meanwhile"]))
        .with_status(200);
    machine.lose_store();
    let reply = served.post("welcome", &[], &order(&["in a partition"]));
    assert_eq!(reply.status, 503, "{reply:?}");
    machine.find_store(false);
    while served.api("GET", "/readyz", &Value::Null).status != 200 {
        std::thread::yield_now();
    }
    served.post("welcome", &[], &order(&["after"])).with_status(200);
    assert!(uncertain(&served).is_empty());
    drop(served);
    machine.kill();
    drop(machine);
    let arrived = sink.finish();
    for subject in ["before", "meanwhile", "after"] {
        assert_eq!(arrived.get(subject), Some(&1), "{arrived:?}");
    }
    // Its caller had no answer, and its run may have been written down before the way was cut: then it is sent, once.
    assert!(
        arrived.get("in a partition").copied().unwrap_or_default() <= 1,
        "{arrived:?}"
    );
}

/// The same partition as the kernel makes it: packets are lost, to the store and to the mail server at once.
#[test]
fn a_worker_whose_cable_is_pulled_goes_on_when_it_is_plugged_in() {
    let Some(network) = Namespace::make() else { return };
    let network = Arc::new(network);
    let Some(sink) = Sink::start_in(Some(&network)) else {
        return;
    };
    let Some(cluster) = Postgres::start(&PostgresOptions {
        namespace: Some(Arc::clone(&network)),
        ..PostgresOptions::default()
    }) else {
        return;
    };
    let scratch = folder(&cluster.url(), sink.address().port());
    let mut account = Sink::account(sink.address().port());
    account["host"] = json!(sink.address().ip().to_string());
    scratch.write("accounts.json", account.to_string());
    let served = Served::start(&scratch, &[]);
    let subjects: Vec<String> = (0..300).map(|number| format!("number {number}")).collect();
    let reply = served.post(
        "welcome",
        &[("Prefer", "respond-async")],
        &json!({ "subjects": subjects }),
    );
    let id = reply.with_status(202).json()["id"].as_str().expect("an id").to_owned();
    while sink.count() == 0 {
        std::thread::yield_now();
    }
    network.pull();
    while served.api("GET", "/readyz", &Value::Null).status != 503 {
        std::thread::yield_now();
    }
    let refused = served.post("welcome", &[], &order(&["meanwhile"]));
    assert_eq!(refused.status, 503, "{refused:?}");
    network.plug();
    while served.api("GET", "/readyz", &Value::Null).status != 200 {
        std::thread::yield_now();
    }
    served.post("welcome", &[], &order(&["after"])).with_status(200);
    // It may have been taken back into the queue, to be tried again in a minute.
    let run = loop {
        let run = served.run(&id);
        match run["state"].as_str().expect("a state") {
            "queued" if run["failure"].is_object() => {
                for act in ["cancel", "continue"] {
                    served.api("POST", &format!("/api/v1/runs/{id}/{act}"), &Value::Null);
                }
            }
            "queued" | "running" => std::thread::yield_now(),
            _ => break run,
        }
    };
    assert!(matches!(run["state"].as_str(), Some("done" | "uncertain")), "{run}");
    let listed = uncertain(&served);
    drop(served);
    let arrived = sink.finish();
    for subject in &subjects {
        let count = arrived.get(subject).copied().unwrap_or_default();
        assert!(
            count == 1 || count == 0 && listed.contains(subject),
            "{subject} arrived {count} times: {run}"
        );
    }
    assert_eq!(arrived.get("after"), Some(&1));
}

#[test]
fn two_workers_behind_a_pool_share_one_book() {
    let Some(sink) = Sink::start() else { return };
    let Some(cluster) = Postgres::start(&PostgresOptions::default()) else {
        return;
    };
    let Some(pool) = PgBouncer::before(&cluster) else {
        return;
    };
    let folders = [0, 1].map(|_| folder(&pool.url(), sink.address().port()));
    let [one, two] = [0, 1].map(|number: usize| Served::start(&folders[number], &[]));
    let key = [("Idempotency-Key", "k")];
    let first = one.post("welcome", &key, &order(&["once", "only"])).with_status(200);
    let again = two.post("welcome", &key, &order(&["once", "only"])).with_status(200);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.json(), first.json());
    let asynchronous = [("Prefer", "respond-async")];
    for number in 0..20 {
        let worker = if number % 2 == 0 { &one } else { &two };
        let subject = format!("number {number}");
        let reply = worker
            .post("welcome", &asynchronous, &order(&[&subject]))
            .with_status(202);
        let id = reply.json()["id"].as_str().expect("an id").to_owned();
        // Asked of the other one.
        let other = if number % 2 == 0 { &two } else { &one };
        other.run_until(&id, "done");
    }
    drop((one, two));
    let arrived = sink.finish();
    assert_eq!(arrived.len(), 22, "{arrived:?}");
    assert!(arrived.values().all(|count| *count == 1), "{arrived:?}");
}

#[test]
fn a_store_that_could_forget_what_it_answered_is_refused() {
    for (settings, name) in [
        ("fsync = off\n", "fsync"),
        ("full_page_writes = off\n", "full_page_writes"),
    ] {
        let Some(cluster) = Postgres::start(&PostgresOptions {
            settings,
            ..PostgresOptions::default()
        }) else {
            return;
        };
        let scratch = folder(&cluster.url(), 9);
        for arguments in [&Served::arguments()[..], &["ledger", "list"]] {
            let refused = scratch.pipepost(arguments).with_code(78);
            assert!(refused.stderr.contains(name), "{refused}");
            refused.is_a_sentence(name);
        }
    }
}

#[test]
fn a_standby_is_no_store_and_an_asynchronous_one_is_warned_of() {
    let Some(primary) = Postgres::start(&PostgresOptions::default()) else {
        return;
    };
    let standby = primary.standby(Replication::Asynchronous, None);
    let refused = folder(&standby.url(), 9).pipepost(&Served::arguments()).with_code(78);
    assert!(
        refused.stderr.contains("recovery") || refused.stderr.contains("standby"),
        "{refused}"
    );
    refused.is_a_sentence("a standby");
    // Of several, it takes the one that takes writes, wherever it stands.
    let both = folder(&postgres::url(&[standby.port(), primary.port()]), 9);
    let served = Served::start(&both, &[]);
    served.running().complains("synchronous");
    served.api("GET", "/readyz", &Value::Null).with_status(200);
}

#[test]
fn over_tls_only_the_authority_that_was_named_is_believed() {
    let Some(cluster) = Postgres::start(&PostgresOptions {
        tls: true,
        ..PostgresOptions::default()
    }) else {
        return;
    };
    let with = |authority: &Path| {
        let url = format!(
            "{}?sslmode=verify-full&sslrootcert={}",
            cluster.url(),
            authority.display()
        );
        folder(&url, 9)
    };
    let trusted = with(cluster.authority().expect("it speaks TLS"));
    trusted.pipepost(&["ledger", "list"]).with_code(0);
    assert_eq!(
        cluster.count(
            "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND usename = 'postgres'"
        ),
        0
    );
    let other = Authority::new().issue(Flaw::None, trusted.folder());
    let refused = with(&other.authority).pipepost(&["ledger", "list"]);
    assert!(refused.code.is_some_and(|code| code != 0), "{refused}");
    assert!(refused.stderr.contains("certificate"), "{refused}");
    refused.is_a_sentence("another authority");
}

/// What the manual says of an asynchronous standby: whatever it had not received is unknown to it, and is sent again.
#[test]
fn what_an_asynchronous_standby_had_not_received_is_sent_again() {
    let Some(sink) = Sink::start() else { return };
    let Some(mut primary) = Postgres::start(&PostgresOptions::default()) else {
        return;
    };
    let standby = primary.standby(Replication::Asynchronous, None);
    let machine = Machine::new(&[primary.port(), standby.port()], sink.address());
    let served = machine.start();
    let send = |served: &Served, number: usize| {
        let key = format!("order-{number}");
        let subject = format!("number {number}");
        served
            .post("welcome", &[("Idempotency-Key", &key)], &order(&[&subject]))
            .with_status(200)
    };
    for number in 0..10 {
        send(&served, number);
    }
    standby.wait_for_all_of(&primary);
    standby.stop_following();
    for number in 10..20 {
        send(&served, number);
    }
    primary.kill();
    standby.promote();
    while served.api("GET", "/readyz", &Value::Null).status != 200 {
        std::thread::yield_now();
    }
    for number in 0..20 {
        let reply = send(&served, number);
        let is_known = reply.header("idempotency-replayed") == Some("true");
        assert_eq!(is_known, number < 10, "order {number}: {reply:?}");
    }
    drop(served);
    machine.kill();
    drop(machine);
    let arrived = sink.finish();
    let doubled = arrived.values().filter(|count| **count == 2).count();
    // What the worker had noted and not yet seen synced it noted again: the last message, unless a sign of life came between.
    assert!(arrived.len() == 20 && (9..=10).contains(&doubled), "{arrived:?}");
    let manual = std::fs::read_to_string(root().join("docs/several-machines.md")).expect("the manual");
    let manual: Vec<&str> = manual.split_whitespace().collect();
    assert!(
        manual.join(" ").contains("9 or 10 of 20 messages were sent twice"),
        "the manual says otherwise"
    );
}

/// A pipeline, and a mail server beside the sink that greets nobody: a run stands still at its step until the test ends the
/// connection.
struct Silence {
    scratch: Scratch,
    met: Receiver<TcpStream>,
}

/// What the steps of a pipeline do, one after another.
#[derive(Clone, Copy)]
enum Sends {
    /// What was ordered, to the sink.
    All,
    /// One message, to the server that says nothing.
    Nothing,
}

impl Silence {
    fn new(way: &Partition, sink: &Sink, steps: &[Sends]) -> Self {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let scratch = folder(&postgres::url(&[way.port()]), sink.address().port());
        let mut silent = Sink::account(server.local_addr().expect("it is bound").port());
        silent["label"] = json!("silent");
        let accounts = json!([Sink::account(sink.address().port()), silent]);
        scratch.write("accounts.json", accounts.to_string());
        let mut flow: Vec<Value> = steps.iter().zip(1..).map(step).collect();
        // What a step before reports is not what the run reports.
        flow.push(
            json!({ "type": "connector", "name": "json-generator-connector", "params": { "json": { "is": "over" } } }),
        );
        let document = json!({ "triggerSpec": { "type": "rest" }, "flowSpec": { "start": flow } });
        scratch.write("pipelines/steps.json", document.to_string());
        let (meets, met) = channel();
        // It ends with the first connection that nobody waits for any more.
        std::thread::spawn(move || {
            server
                .incoming()
                .flatten()
                .try_for_each(|connection| meets.send(connection))
        });
        Self { scratch, met }
    }

    /// Waits until a run stands at a step that sends nothing. It goes on when what this gives is dropped.
    fn met(&self) -> TcpStream {
        self.met.recv_timeout(PATIENCE).expect("a step connects")
    }
}

fn step((sends, number): (&Sends, usize)) -> Value {
    let name = format!("Step {number}");
    match sends {
        Sends::All => sending(&name, "mail", &json!("{{ trigger.body.subjects }}")),
        Sends::Nothing => sending(&name, "silent", &json!(["nothing"])),
    }
}

/// Orders four messages, and gives the run.
fn ordered(served: &Served) -> String {
    let order = order(&["one", "two", "three", "four"]);
    let reply = served.post("steps", &[("Prefer", "respond-async")], &order);
    reply.with_status(202).json()["id"].as_str().expect("an id").to_owned()
}

/// Waits until all four are written down as sent.
fn until_sent(cluster: &Postgres) {
    while cluster.count("SELECT count(*) FROM pipepost.messages WHERE outcome = 'sent'") < 4 {
        std::thread::yield_now();
    }
}

/// A run whose first attempt has sent four messages, and whose second one stands still at the first step that sends nothing.
struct BegunAgain {
    sink: Sink,
    /// It is stopped after everything else that uses it.
    _cluster: Postgres,
    way: Partition,
    silence: Silence,
    served: Served,
    run: String,
    stands: Option<TcpStream>,
}

impl BegunAgain {
    /// `before`: the steps before those four that send nothing.
    fn with(steps: &[Sends], before: usize) -> Option<Self> {
        let sink = Sink::start()?;
        let cluster = Postgres::start(&PostgresOptions::default())?;
        let way = Partition::before(SocketAddr::from((Ipv4Addr::LOCALHOST, cluster.port())));
        let silence = Silence::new(&way, &sink, steps);
        let first = Served::start(&silence.scratch, &[]);
        let run = ordered(&first);
        (0..before).for_each(|_| drop(silence.met()));
        let stands = silence.met();
        until_sent(&cluster);
        first.running().signal("KILL");
        drop((first, stands));
        let served = Served::start(&silence.scratch, &[]);
        let stands = Some(silence.met());
        Some(Self {
            sink,
            _cluster: cluster,
            way,
            silence,
            served,
            run,
            stands,
        })
    }

    /// The attempt goes on without its store, until the worker complains so; then the store is back.
    fn goes_on_without_store(&mut self, complaint: &str) {
        self.way.cut();
        self.way.sever();
        self.stands = None;
        self.served.running().complains(complaint);
        self.way.heal();
    }

    /// The run is done in this attempt, with so many failures, and each of its messages arrived once.
    fn ends_done(self, attempt: u64, failed: u64) {
        let run = self.served.run_until(&self.run, "done");
        assert_eq!(run["attempt"], attempt, "{run}");
        let counts = json!({ "sent": 4, "failed": failed, "uncertain": 0 });
        assert_eq!(run["messages"], counts, "{run}");
        assert!(uncertain(&self.served).is_empty());
        drop(self.served);
        let arrived = self.sink.finish();
        assert!(
            arrived.len() == 4 && arrived.values().all(|count| *count == 1),
            "{arrived:?}"
        );
    }
}

/// What an attempt sent is in the ledger and not in what the next attempt has done itself. So a state that cannot be read as
/// that one ends must not make a run that is done and has sent nothing.
#[test]
fn a_run_counts_what_its_earlier_attempts_sent_though_the_store_is_gone_when_it_ends() {
    let Some(mut again) = BegunAgain::with(&[Sends::All, Sends::Nothing], 0) else {
        return;
    };
    again.goes_on_without_store("where its earlier attempts are counted");
    again.ends_done(2, 1);
}

/// A ledger that could not be read knows nothing of a message that arrived, and its claim says no more than that somebody has
/// it. That is no doubt about the message: it is looked up again.
#[test]
fn what_arrived_is_not_in_doubt_because_the_store_was_gone_when_it_was_looked_up() {
    let Some(mut again) = BegunAgain::with(&[Sends::Nothing, Sends::All, Sends::Nothing], 1) else {
        return;
    };
    again.goes_on_without_store("the ledger could not be read");
    // This attempt goes on to its end, and so does the next one.
    (0..3).for_each(|_| drop(again.silence.met()));
    again.ends_done(3, 2);
}
