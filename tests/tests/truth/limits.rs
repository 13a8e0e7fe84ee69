use pipepost_tests::{Dialogue, SILENCE, Scratch, Scripted, document, numbered};
use serde_json::{Value, json};

use super::report::{one_connection, send, send_with};

const SAID: &str = "421 4.7.0 Too many messages on this connection";

#[test]
fn a_server_that_takes_five_messages_a_connection() {
    for offers in [Dialogue::streaming, Dialogue::pipelining, || Dialogue::offering(&[])] {
        let truth = send_with(offers().limited_to(5, SAID), 50, json!({}), one_connection);
        truth.counts(50, 0, 0);
    }
    // Without a word, what was answered is answered; with DATA nothing else has left.
    for offers in [Dialogue::pipelining, || Dialogue::offering(&[])] {
        let truth = send_with(offers().limited_to(5, ""), 50, json!({}), one_connection);
        truth.counts(50, 0, 0);
    }
    let truth = send_with(Dialogue::streaming().limited_to(5, ""), 50, json!({}), one_connection);
    assert_eq!(truth.agrees().of("failed"), 0);
    assert!(truth.of("uncertain") <= 16, "{}", truth.ending);
}

#[test]
fn nothing_is_doubled_where_uncertain_messages_are_sent_again() {
    let dialogue = Dialogue::pipelining().limited_to(5, "");
    let truth = send(dialogue, 40, json!({ "onUncertain": "resend" }));
    truth.counts(40, 0, 0);
    assert_eq!(truth.seen.taken.len(), 40, "{}", truth.ending);
}

#[test]
fn a_limit_that_is_stated_is_kept() {
    let truth = send_with(Dialogue::streaming().limited_to(10, ""), 100, json!({}), |account| {
        account.with("limits", json!({ "messages_per_connection": 10 }))
    });
    truth.counts(100, 0, 0);
    assert!(truth.seen.connections <= 12, "{:?}", truth.seen.connections);
}

#[test]
fn several_connections_at_a_server_with_a_limit() {
    for messages in [10, 20] {
        let truth = send(Dialogue::streaming().limited_to(messages, SAID), 200, json!({}));
        truth.counts(200, 0, 0);
    }
}

/// Steps one after the other at a server that ends each connection without a word: what the first has learned holds for those
/// that follow.
#[test]
fn a_limit_costs_one_window_in_a_whole_run() {
    const WINDOW: usize = 16;
    const STEPS: usize = 8;
    let server = Scripted::start(Dialogue::streaming().limited_to(10, ""));
    let steps: Vec<Value> = (0..STEPS).map(|_| numbered(30, json!({}))).collect();
    let scratch = Scratch::with(&document(&steps), &one_connection(server.account()));
    let ending = scratch.run(&[]);
    let taken = server.seen().taken.len();
    assert!(taken + WINDOW >= STEPS * 30, "{taken} were taken: {ending}");
    // And the last step has nothing uncertain left.
    assert_eq!(ending.json()["sent"], 30, "{ending}");
}

/// What `pipepost accounts limits` says of the account's server.
fn learned(scratch: &Scratch, more: &[&str]) -> Value {
    let arguments = [&["accounts", "limits", "--json", "mail"], more].concat();
    scratch.pipepost(&arguments).with_code(0).json()
}

#[test]
fn what_a_server_taught_of_messages_is_known_to_the_next_run_until_it_is_forgotten() {
    let server = Scripted::start(Dialogue::streaming().limited_to(5, ""));
    let scratch = Scratch::with(&document(&[numbered(40, json!({}))]), &one_connection(server.account()));
    let first = scratch.run(&[]).json();
    assert_ne!(first["uncertain"], 0, "nobody knew: {first}");
    let known = learned(&scratch, &[]);
    assert_eq!(known[0]["messagesPerConnection"], 5, "{known}");
    assert_eq!(known[0]["messagesPerConnectionSuspected"], false, "{known}");

    let (taken, connections) = (server.seen().taken.len(), server.seen().connections);
    let second = scratch.run(&[]).with_code(0);
    assert_eq!(second.json()["sent"], 40, "{second}");
    assert_eq!(server.seen().taken.len() - taken, 40);
    assert_eq!(server.seen().connections - connections, 8);

    assert_eq!(learned(&scratch, &["--forget"]), known);
    assert_eq!(learned(&scratch, &[]), json!([]));
    assert_ne!(scratch.run(&[]).json()["uncertain"], 0, "it is asked anew");
}

#[test]
fn what_a_server_taught_of_connections_is_known_to_the_next_run_and_what_the_account_states_wins() {
    let server = Scripted::start(Dialogue::streaming().with_connections(2, "421 4.7.0 Too many connections"));
    let scratch = Scratch::with(&document(&[numbered(400, json!({}))]), &server.account());
    scratch.run(&[]).with_code(0);
    let known = learned(&scratch, &[]);
    let most = known[0]["maxConnections"].as_u64().unwrap_or_else(|| panic!("{known}"));
    assert!((1..=2).contains(&most), "{known}");

    let connections = server.seen().connections;
    scratch.run(&[]).with_code(0);
    let opened = server.seen().connections - connections;
    assert!(opened <= 2, "{opened} were opened");

    let stated = server.account().with("limits", json!({"max_connections": 3}));
    scratch.write("accounts.json", stated.json().to_string());
    let connections = server.seen().connections;
    scratch.run(&[]).with_code(0);
    assert!(server.seen().connections - connections > 2, "the third is refused");
    assert_eq!(learned(&scratch, &[]), known, "nothing is learned in place of it");
}

/// A server that falls silent once, and then goes on. The account's time limit bounds the wait for the end of a message too,
/// and what was not in flight goes over another connection.
#[test]
fn a_silent_connection_costs_what_was_in_flight_and_no_more() {
    let waits = |account: pipepost_tests::AccountFile| {
        one_connection(account).with("properties", json!({"mail.smtp.timeout": 700}))
    };
    // In the middle, and at the first message.
    for replies in [&["", "", SILENCE, ""][..], &[SILENCE, ""]] {
        for offers in [Dialogue::pipelining, || Dialogue::offering(&[])] {
            send_with(offers().says("END", replies), 40, json!({}), waits).counts(39, 0, 1);
        }
        let truth = send_with(Dialogue::streaming().says("END", replies), 40, json!({}), waits);
        let uncertain = truth.agrees().of("uncertain");
        assert!((1..=16).contains(&uncertain), "{}", truth.ending);
        assert_eq!(truth.of("failed"), 0, "{}", truth.ending);
    }
    // Before anything was committed nothing is uncertain.
    for verb in ["MAIL", "RCPT", "DATA"] {
        let dialogue = Dialogue::pipelining().says(verb, &["", SILENCE, ""]);
        send_with(dialogue, 10, json!({}), waits).counts(10, 0, 0);
    }
}

/// An account signs in 60 times a minute at most. Where that is what a run waits for until its time is over, it says so, and
/// not that the server is silent; nor does the time that the server has for an answer pass meanwhile.
#[test]
fn who_waits_for_the_accounts_next_sign_in_is_told_so() {
    let server = Scripted::start(Dialogue::pipelining().signing_in().limited_to(1, SAID));
    let account = one_connection(server.account()).with("properties", json!({ "mail.smtp.timeout": "1000" }));
    let scratch = Scratch::with(&document(&[numbered(100, json!({}))]), &account);
    let ending = scratch.run(&["--timeout", "4s"]).with_code(75);
    let told = &ending.json()["failure"]["message"];
    let told = told.as_str().unwrap_or_default();
    assert!(told.contains("has signed in 60 times within a minute"), "{ending}");
    assert_eq!(server.seen().taken.len(), 60, "{ending}");
}
