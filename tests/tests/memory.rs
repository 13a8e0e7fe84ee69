//! The memory of a mail merge over a file does not grow with its rows.
#![cfg(target_os = "linux")]

use std::fmt::Write as _;

use pipepost_inbox::{Inbox, Security};
use pipepost_tests::{Dialogue, Memory, PASSWORD, Scratch, Scripted, USER, document, numbered};
use serde_json::json;

/// Rows of the file.
const ROWS: usize = 100_000;

/// What the process may have at most, in bytes. It is a build without optimization, whose code alone takes 50 MB; one kilobyte
/// that stayed of each message would be 100 MB more.
const PEAK_MAX: u64 = 144_000_000;

/// Page faults a message: the kernel clears a page for each, which takes longer than most of what is done with it. Whoever makes
/// memory anew for each message, or for each batch, has more.
const FAULTS_MAX: f64 = 2.0;

#[test]
fn a_hundred_thousand_rows_take_no_more_than_what_is_in_flight() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let inbox = Inbox::builder()
        .listen(Security::StartTls, "127.0.0.1:0")
        .users([(USER, PASSWORD)])
        .keep(1);
    let inbox = runtime.block_on(inbox.start()).expect("an inbox at a free port");
    let scratch = Scratch::new();
    let mut rows = String::from("number,text\n");
    for number in 0..ROWS {
        let _ = writeln!(rows, "{number},\"{}\"", "olá, ".repeat(100));
    }
    scratch.write("rows.csv", rows);
    let params = json!({
        "items": { "file": "rows.csv" },
        "results": { "file": "results.ndjson", "failed": "failed.csv" },
        "from": USER,
        "to": "someone@example.test",
        "subject": "message {{ item.number }}",
        "text": "{{ item.text }}",
        "body": "",
    });
    let step = json!({
        "type": "connector", "name": "email-connector-v2", "stepName": "Send", "accountLabel": "mail", "params": params,
    });
    scratch.write("pipeline.json", json!({ "flowSpec": { "start": [step] } }).to_string());
    let account = json!({
        "label": "mail",
        "type": "smtp-auth-and-properties",
        "host": "127.0.0.1",
        "port": inbox.address().port(),
        "username": USER,
        "password": PASSWORD,
        "starttls_enable": true,
        "ca_file": "ca.pem",
    });
    scratch.write("accounts.json", account.to_string());
    scratch.write("ca.pem", inbox.ca_pem());
    let arguments = "run pipeline.json --accounts accounts.json --files . --timeout none --quiet";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let (ending, memory) = scratch.start(&arguments).ended_with_memory();
    let output = ending.with_code(0).json();
    assert_eq!(output["sent"], ROWS);
    let Memory { peak, faults } = memory;
    assert!(peak > 0 && faults > 0, "nothing was seen of its memory");
    assert!(peak <= PEAK_MAX, "{peak} bytes, more than {PEAK_MAX}");
    let each = faults as f64 / ROWS as f64;
    assert!(
        each < FAULTS_MAX,
        "{each} page faults a message, more than {FAULTS_MAX}"
    );
    tell(peak, each);
}

/// Not `eprintln!`, which the test runner keeps to itself when a test passes.
fn tell(peak: u64, faults: f64) {
    use std::io::Write as _;
    let _ = writeln!(
        std::io::stderr(),
        "memory: {ROWS} rows, at most {peak} bytes, {faults:.2} page faults a row"
    );
}

/// A pool reserves addresses for all the instances there may be. A process that may have fewer makes them one by one, and one
/// that may have none for any says what it lacks.
#[test]
fn a_process_with_few_addresses_sends_all_the_same() {
    const GIB: u64 = 1 << 20;
    let server = Scripted::start(Dialogue::streaming());
    let send = |kilobytes: u64| {
        let scratch = Scratch::with(&document(&[numbered(20, json!({}))]), &server.account());
        scratch.addresses(kilobytes).run(&[])
    };
    let ending = send(16 * GIB).with_code(0);
    assert_eq!(ending.json()["sent"], 20, "{ending}");
    let ending = send(2 * GIB).with_code(75);
    let told = ending.json()["failure"]["message"].to_string();
    assert!(told.contains("There was no room for the connector"), "{ending}");
    assert_eq!(server.seen().taken.len(), 20);
}
