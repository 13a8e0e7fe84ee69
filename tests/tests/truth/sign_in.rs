use pipepost_tests::{CLOSE, Dialogue};
use serde_json::json;

use super::report::{send, send_with};

#[test]
fn a_refused_sign_in_is_the_only_one_of_a_run() {
    let dialogue = Dialogue::streaming().signing_in();
    let truth = send_with(dialogue, 300, json!({}), |account| {
        account.with("password", "not-the-right-one")
    });
    truth.counts(0, 300, 0);
    assert_eq!(truth.seen.sign_ins, 1, "{}", truth.ending);
    assert_eq!(truth.ending.code, Some(77), "{}", truth.ending);
}

#[test]
fn a_connection_too_many_costs_no_message() {
    for (most, greeting) in [
        (1, "421 4.7.0 too many connections from your address"),
        (3, "432 4.3.2 Concurrent connections limit exceeded"),
    ] {
        let truth = send(Dialogue::streaming().with_connections(most, greeting), 400, json!({}));
        truth.counts(400, 0, 0);
    }
    // Said at the sign-in, as Microsoft does.
    let refused = format!("432 4.3.2 Concurrent connections limit exceeded{CLOSE}");
    let dialogue = Dialogue::streaming()
        .signing_in()
        .says("AUTH", &["", &refused, &refused, ""]);
    send(dialogue, 400, json!({})).counts(400, 0, 0);
}
