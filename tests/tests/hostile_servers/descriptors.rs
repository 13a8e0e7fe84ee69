//! Many connections, and a process that may open fewer files than its account allows connections.

use std::collections::BTreeSet;
use std::iter;

use pipepost_inbox::{Script, Security};
use pipepost_tests::{AccountFile, Catcher, Scratch, document, email};
use serde_json::{Value, json};

/// One batch holds 32 messages, so this is work for twenty connections.
const MESSAGES: usize = 640;

#[test]
fn a_process_without_descriptors_says_so_and_loses_nothing() {
    // Enough for all, for a few connections, for none. How many the process needs for itself depends on what it inherits,
    // so the number falls until not one connection is possible.
    let mut none_left = false;
    for descriptors in iter::once(64).chain((6..=17).rev()) {
        let server = Catcher::start(Script::new());
        let account = AccountFile::starttls(("127.0.0.1", server.port(Security::StartTls)), &server.authority())
            .with("limits", json!({ "max_connections": 100 }));
        let items: Vec<Value> = (0..MESSAGES).map(|number| json!(number)).collect();
        let params = json!({
            "items": items,
            "subject": "message {{ item }}",
            "retry": false,
            "failOnError": false,
        });
        let scratch = Scratch::with(&document(&[email(params)]), &account).descriptors(descriptors);
        let ending = scratch.run(&[]);
        let output = ending.json();

        let arrived: Vec<String> = server
            .messages()
            .iter()
            .map(|message| message.header("Subject").unwrap_or_default())
            .collect();
        let once: BTreeSet<&str> = arrived.iter().map(String::as_str).collect();
        assert_eq!(once.len(), arrived.len(), "no message arrived twice\n{ending}");
        let results = output["results"].as_array().expect("a result for each message");
        let sent: BTreeSet<&str> = results
            .iter()
            .filter(|result| result["outcome"] == "sent")
            .filter_map(|result| result["subject"].as_str())
            .collect();
        assert_eq!(sent, once, "what is called sent is what arrived\n{ending}");
        assert_eq!(results.len(), MESSAGES);
        assert_eq!(output["uncertain"], 0, "{ending}");
        if sent.len() < MESSAGES {
            let words = output["failure"]["message"].as_str().unwrap_or_default();
            assert!(words.contains("has as many files open as it may"), "{ending}");
        }
        none_left = sent.is_empty();
        if none_left {
            break;
        }
    }
    assert!(none_left, "with six descriptors a connection was still possible");
}

#[test]
fn a_thousand_connections_lose_nothing() {
    // A sign-in waits for its turn, and would take most of the time.
    let server = Catcher::with(|builder| builder.require_auth(false));
    let account = AccountFile::starttls(("127.0.0.1", server.port(Security::Plain)), &server.authority())
        .with("starttls_enable", "false")
        .with("auth", false)
        .with("limits", json!({ "max_connections": 20, "messages_per_connection": 1 }));
    let items: Vec<Value> = (0..1000).map(|number| json!(number)).collect();
    let params = json!({
        "items": items, "subject": "message {{ item }}", "isAuth": false, "isOverTLS": false, "isOverSSL": false, "retry": false,
    });
    let scratch = Scratch::with(&document(&[email(params)]), &account).descriptors(128);
    let ending = scratch.run(&[]).with_code(0);
    assert_eq!(ending.json()["sent"], 1000, "{ending}");
    let subjects: BTreeSet<String> = server
        .messages()
        .iter()
        .filter_map(|message| message.header("Subject"))
        .collect();
    assert_eq!((subjects.len(), server.messages().len()), (1000, 1000));
    assert_eq!(server.inbox().connections(), 1000);
}
