//! Named executions whose process is killed: nothing is lost, nothing doubled, and what nobody can tell is listed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use pipepost_inbox::{Event, Inbox, Running, Security};
use pipepost_tests::{Ending, PASSWORD, Random, Scratch, USER, seed};
use serde_json::{Value, json};

/// Messages in flight on one connection, and connections at once: so many can one kill make uncertain.
const WINDOW: u64 = 4;
const CONNECTIONS: u64 = 3;

#[test]
fn a_thousand_messages_and_fifteen_kills() {
    killed_at_random(Source::List, Dialogue::Chunking, 1_000, 15);
}

/// With DATA one message is sent after another, and those that come next are claimed ahead.
#[test]
fn five_hundred_messages_one_after_another_and_ten_kills() {
    let most_open = killed_at_random(Source::List, Dialogue::Data, 500, 10);
    assert!(
        most_open > CONNECTIONS,
        "at most {most_open} claims were open: nothing was claimed ahead"
    );
}

#[test]
fn five_hundred_rows_of_a_file_and_five_kills() {
    killed_at_random(Source::File, Dialogue::Chunking, 500, 5);
}

#[test]
#[ignore = "it takes minutes: `cargo xtask soak` runs it"]
fn ten_thousand_messages_and_a_hundred_kills() {
    killed_at_random(Source::List, Dialogue::Chunking, 10_000, 100);
}

/// Where the elements come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    List,
    File,
}

/// How the messages travel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialogue {
    /// As many as the window has, without waiting (RFC 3030).
    Chunking,
    /// One after another.
    Data,
}

/// Answers how many claims were open at once, at a kill.
fn killed_at_random(source: Source, dialogue: Dialogue, messages: usize, kills: usize) -> u64 {
    let seed = seed();
    let mut random = Random::new(seed);
    let (server, bell) = Server::start();
    let scratch = server.scratch(source, dialogue, messages);
    let (mut with_open_claims, mut most_open) = (0, 0);
    for kill in 1..=kills {
        // What is left is shared out among the kills that are left, and the run that nobody kills.
        let left = messages as u64 - count(&scratch, "SELECT count(*) FROM messages");
        server.aim(&mut random, left / (kills - kill + 2) as u64);
        let ending = run(&scratch, &bell);
        assert!(
            ending.is_none(),
            "kill {kill} of seed {seed} came too late:\n{}",
            shown(ending)
        );
        let open = count(&scratch, "SELECT count(*) FROM parts WHERE state = 'claimed'");
        assert!(
            open <= WINDOW * CONNECTIONS,
            "{open} claims were open at kill {kill} of seed {seed}"
        );
        with_open_claims += usize::from(open > 0);
        most_open = most_open.max(open);
    }
    server.hold_fire();
    let ending = run(&scratch, &bell).expect("nobody kills it");
    let arrived = server.stop();
    let uncertain = judge(&scratch, &ending.json(), &arrived, messages);
    let twice = run(&scratch, &channel().1).expect("nobody kills it");
    assert_eq!(twice.json()["uncertain"], uncertain, "another run changed something");
    // Not `eprintln!`, which the test runner keeps to itself when a test passes.
    let _ = writeln!(
        std::io::stderr(),
        "ledger: seed {seed}: {messages} messages, {kills} kills, {with_open_claims} of them while claims were open \
         (at most {most_open}): {} arrived, each once; {uncertain} uncertain, all listed",
        arrived.len()
    );
    assert!(
        2 * with_open_claims >= kills,
        "only {with_open_claims} kills fell while a claim was open"
    );
    most_open
}

/// Every message has one outcome, and it is true. Answers how many are uncertain.
fn judge(scratch: &Scratch, output: &Value, arrived: &BTreeMap<String, usize>, messages: usize) -> usize {
    for (subject, count) in arrived {
        assert_eq!(*count, 1, "`{subject}` arrived {count} times");
    }
    let results = output["results"].as_array().expect("results");
    assert_eq!(results.len(), messages);
    let mut uncertain = 0;
    for (number, result) in results.iter().enumerate() {
        let has_arrived = arrived.contains_key(&format!("message {number}"));
        match result["outcome"].as_str() {
            Some("sent") => assert!(has_arrived, "message {number} is lost: {result}"),
            Some("uncertain") => uncertain += 1,
            _ => panic!("message {number} was not sent: {result}"),
        }
    }
    assert_eq!(output["sent"], messages - uncertain);
    let listed = scratch
        .pipepost(&["ledger", "list", "--uncertain", "--json"])
        .with_code(0)
        .json();
    let listed: BTreeSet<String> = listed
        .as_array()
        .expect("entries")
        .iter()
        .map(|entry| {
            told(entry);
            entry["key"].as_str().expect("a key").to_owned()
        })
        .collect();
    assert_eq!(listed.len(), uncertain, "{listed:?}");
    if let Some(key) = listed.first() {
        let list = scratch.pipepost(&["ledger", "list", "--uncertain"]).with_code(0);
        let shown = scratch.pipepost(&["ledger", "show", key]).with_code(0);
        for (ending, parts) in [
            (list, ["  to: someone@example.test", "  subject: message "]),
            (shown, ["\nmessageId  <", "\nuncertain  [\"someone@example.test\"]"]),
        ] {
            assert!(parts.iter().all(|part| ending.stdout.contains(part)), "{ending}");
        }
    }
    uncertain
}

/// A person can look for a message that a killed process was sending, and what the pipeline calls sensitive is not kept.
fn told(entry: &Value) {
    let output = &entry["output"];
    let text = |name: &str| output[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(text("to"), "someone@example.test", "{entry}");
    assert_eq!(output["uncertain"], json!(["someone@example.test"]), "{entry}");
    assert!(text("subject").starts_with("message "), "{entry}");
    assert!(text("messageId").starts_with('<'), "{entry}");
    assert_eq!(text("content"), "***", "{entry}");
}

fn run(scratch: &Scratch, bell: &Receiver<()>) -> Option<Ending> {
    // A bell that rang for a process that is gone is not for this one.
    while bell.try_recv().is_ok() {}
    let running = scratch.start(&[
        "run",
        "pipeline.json",
        "--accounts",
        "accounts.json",
        "--execution",
        "soak",
        "--timeout",
        "none",
        "--files",
        ".",
        "--quiet",
    ]);
    running.kill_at(bell)
}

fn shown(ending: Option<Ending>) -> String {
    ending.map(|ending| ending.to_string()).unwrap_or_default()
}

/// What the ledger's file says after a kill.
fn count(scratch: &Scratch, query: &str) -> u64 {
    let file = scratch.folder().join("state/pipepost.sqlite");
    if !file.exists() {
        return 0;
    }
    let database = rusqlite::Connection::open(file).expect("the state is where it was said to be");
    // A process that was killed while it made the file has written nothing.
    database
        .query_row(query, [], |row| row.get::<_, u32>(0))
        .map_or(0, u64::from)
}

/// When the process is to be killed, by what the server sees of it.
#[derive(Clone, Copy, Debug)]
enum Aim {
    /// At no time.
    Never,
    /// When so many messages have been stored.
    Stored(i64),
    /// When so many connections have signed in.
    SignedIn(i64),
}

struct Server {
    runtime: tokio::runtime::Runtime,
    inbox: Running,
    aim: Arc<Mutex<Aim>>,
    open_connections: Arc<AtomicI64>,
}

impl Server {
    /// With the bell that it rings.
    fn start() -> (Self, Receiver<()>) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let (sender, bell) = channel();
        let aim = Arc::new(Mutex::new(Aim::Never));
        let open_connections = Arc::new(AtomicI64::new(0));
        let (aimed, connections) = (Arc::clone(&aim), Arc::clone(&open_connections));
        let inbox = runtime
            .block_on(
                Inbox::builder()
                    .listen(Security::StartTls, "127.0.0.1:0")
                    .users([(USER, PASSWORD)])
                    .keep(usize::MAX)
                    .observer(move |event| watch(event, &aimed, &connections, &sender))
                    .start(),
            )
            .expect("an inbox at a free port");
        let server = Self {
            runtime,
            inbox,
            aim,
            open_connections,
        };
        (server, bell)
    }

    fn scratch(&self, source: Source, dialogue: Dialogue, messages: usize) -> Scratch {
        let scratch = Scratch::new();
        let items = match source {
            Source::List => json!((0..messages).collect::<Vec<usize>>()),
            Source::File => {
                let rows: String = (0..messages).map(|number| format!("{number}\n")).collect();
                scratch.write("rows.ndjson", rows);
                json!({ "file": "rows.ndjson" })
            }
        };
        let step = json!({
            "type": "connector",
            "name": "email-connector-v2",
            "stepName": "Send",
            "accountLabel": "mail",
            "params": {
                "items": items,
                "from": USER,
                "to": "someone@example.test",
                "subject": "message {{ item }}",
                "text": "x",
                "body": "",
            },
        });
        scratch.write(
            "pipeline.json",
            json!({ "sensitive": ["content"], "flowSpec": { "start": [step] } }).to_string(),
        );
        let mut account = json!({
            "label": "mail",
            "type": "smtp-auth-and-properties",
            "host": "127.0.0.1",
            "port": self.inbox.address().port(),
            "username": USER,
            "password": PASSWORD,
            "starttls_enable": true,
            "ca_file": "ca.pem",
            "limits": { "max_uncertain": WINDOW, "max_connections": CONNECTIONS },
        });
        if dialogue == Dialogue::Data {
            account["properties"] = json!({ "mail.smtp.chunksize": "-1" });
        }
        scratch.write("accounts.json", account.to_string());
        scratch.write("ca.pem", self.inbox.ca_pem());
        let folder = scratch.folder().to_owned();
        let temporary = folder.join("home");
        scratch
            .variable("PIPEPOST_STATE", &folder.join("state").display().to_string())
            // What a killed process leaves behind goes with the test.
            .variable("TMPDIR", &temporary.display().to_string())
    }

    /// Mostly while messages are under way, sometimes as a connection begins.
    fn aim(&self, random: &mut Random, share: u64) {
        let aim = if random.below(8) == 0 {
            Aim::SignedIn(random.between(1, 3))
        } else {
            Aim::Stored(random.between(1, (share * 3 / 2).max(1)))
        };
        self.set(aim);
    }

    fn hold_fire(&self) {
        self.set(Aim::Never);
    }

    fn set(&self, aim: Aim) {
        *self.aim.lock().expect("no panic while it is held") = aim;
    }

    /// How often each subject arrived, once everything that was written to the server has been read by it.
    fn stop(&self) -> BTreeMap<String, usize> {
        self.runtime.block_on(async {
            while self.open_connections.load(Ordering::SeqCst) > 0 {
                tokio::task::yield_now().await;
            }
        });
        let mut arrived = BTreeMap::new();
        for message in self.inbox.messages() {
            *arrived
                .entry(message.header("Subject").unwrap_or_default())
                .or_default() += 1;
        }
        arrived
    }
}

fn watch(event: &Event, aim: &Mutex<Aim>, connections: &AtomicI64, bell: &Sender<()>) {
    let mut aim = aim.lock().expect("no panic while it is held");
    match event {
        Event::Connected { .. } => {
            connections.fetch_add(1, Ordering::SeqCst);
        }
        Event::Closed { .. } => {
            connections.fetch_sub(1, Ordering::SeqCst);
        }
        _ => {}
    }
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
