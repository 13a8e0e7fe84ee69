use pipepost_tests::{CLOSE, Dialogue};
use serde_json::json;

use super::report::{one_connection, send, send_with};

/// Refusals at the end of a message, whose codes speak of addresses.
const REFUSALS: [&str; 4] = [
    "550 5.1.8 Access denied, bad outbound sender",
    "550 5.1.1 User unknown",
    "550 5.1.90 Your message can't be sent because you've reached your daily limit",
    "451 4.1.8 Sender domain does not resolve",
];

#[test]
fn a_refusal_of_the_only_message_is_a_refusal() {
    for refusal in REFUSALS {
        for reply in [refusal.to_owned(), format!("{refusal}{CLOSE}")] {
            let truth = send(
                Dialogue::streaming().says("END", &[&reply]),
                1,
                json!({ "retry": false }),
            );
            truth.counts(0, 1, 0);
        }
    }
}

#[test]
fn a_refusal_in_a_stream_condemns_nobody_else() {
    for refusal in REFUSALS {
        let dialogue = Dialogue::streaming().says("END", &["", "", refusal, ""]);
        let truth = send_with(dialogue, 7, json!({ "retry": false }), one_connection);
        truth.counts(6, 1, 0);
    }
}

#[test]
fn codes_that_speak_of_something_else_change_no_outcome() {
    for (verb, reply) in [
        ("END", "250 2.1.5 Recipient OK"),
        ("RCPT", "250 2.1.0 OK"),
        ("RSET", "250 2.1.0 OK"),
        ("MAIL", "250 2.1.5 OK"),
    ] {
        let truth = send_with(
            Dialogue::streaming().says(verb, &[reply]),
            20,
            json!({}),
            one_connection,
        );
        truth.counts(20, 0, 0);
    }
    let sloppy = Dialogue::streaming()
        .says("RCPT", &["250 2.1.0 OK"])
        .says("RSET", &["250 2.1.0 OK"])
        .says("END", &["250 2.1.0 OK"]);
    send(sloppy, 20, json!({ "to": ["a@x.example", "b@x.example"] })).counts(20, 0, 0);
}

#[test]
fn what_was_answered_stays_answered_when_the_server_closes() {
    let said = format!("250 2.0.0 Queued{CLOSE}");
    for offers in [Dialogue::streaming, Dialogue::pipelining] {
        let truth = send(offers().says("END", &[&said]), 1, json!({}));
        truth.counts(1, 0, 0);
    }
}
