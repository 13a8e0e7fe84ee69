use pipepost_tests::Dialogue;
use serde_json::json;

use super::report::{one_connection, send, send_with};

#[test]
fn a_refusal_for_now_is_tried_again_within_the_run() {
    for (verb, reply) in [
        ("MAIL", "451 4.3.0 try later"),
        ("RCPT", "450 mailbox busy"),
        ("END", "451 4.3.0 try later"),
    ] {
        let dialogue = Dialogue::streaming().says(verb, &[reply, ""]);
        let truth = send(dialogue, 1, json!({ "retry": { "first": "1ms" } }));
        truth.counts(1, 0, 0);
        assert_eq!(truth.ending.json()["results"][0]["attempts"], 2, "{}", truth.ending);
    }
}

#[test]
fn a_time_that_the_server_states_is_kept() {
    let dialogue = Dialogue::streaming().says("MAIL", &["451 4.7.1 Please try again in 300 seconds"]);
    let truth = send(
        dialogue,
        1,
        json!({ "retry": { "attempts": 5, "first": "1ms", "max": "1ms" } }),
    );
    truth.counts(0, 1, 0);
    assert_eq!(truth.seen.connections, 1);
    let failure = &truth.ending.json()["results"][0]["failure"];
    assert_eq!(failure["wait"], 300, "{}", truth.ending);
    let message = failure["message"].as_str().unwrap_or_default();
    assert!(message.contains("300 s"), "{}", truth.ending);
}

#[test]
fn a_stale_connection_is_replaced_at_once() {
    let dialogue = Dialogue::streaming().says("END", &["451 4.4.2 Timeout waiting for data from client", ""]);
    let truth = send(dialogue, 1, json!({ "retry": false }));
    truth.counts(1, 0, 0);
    assert_eq!(truth.seen.connections, 2);
}

#[test]
fn too_many_messages_in_a_session_means_another_session() {
    let reply = "452 4.5.3 Too many messages this session";
    for offers in [Dialogue::streaming, Dialogue::pipelining] {
        let truth = send_with(
            offers().refusing_after(5, reply),
            30,
            json!({ "retry": false }),
            one_connection,
        );
        truth.counts(30, 0, 0);
    }
}
