use pipepost_tests::Dialogue;
use serde_json::json;

use super::report::{one_connection, send_with};

fn refusing(verbs: &[&str], reply: &str) -> Dialogue {
    verbs
        .iter()
        .fold(Dialogue::pipelining(), |dialogue, verb| dialogue.says(verb, &[reply]))
}

/// A refused EHLO is a matter of this machine's name, whatever the code.
#[test]
fn a_refused_ehlo_names_the_setting_of_its_name() {
    for reply in [
        "501 5.5.4 Invalid argument",
        "502 5.5.1 Command not implemented",
        "504 5.5.2 need fully-qualified hostname",
        "550 5.7.1 Access denied",
        "550 5.1.1 unknown",
        "554 No",
    ] {
        let truth = send_with(refusing(&["EHLO", "HELO"], reply), 1, json!({}), one_connection);
        truth.counts(0, 1, 0);
        let failure = &truth.ending.json()["failure"];
        assert_eq!(failure["kind"], "configuration", "{reply}: {}", truth.ending);
        assert!(
            failure["advice"].to_string().contains("mail.smtp.localhost"),
            "{reply}: {}",
            truth.ending
        );
    }
}

/// No recipient has been named when MAIL is refused.
#[test]
fn a_refused_sender_is_never_told_as_a_recipients_matter() {
    for reply in [
        "550 5.1.1 Mailbox unavailable",
        "550 5.7.1 Access denied",
        "553 5.1.2 Bad domain",
        "550 5.2.1 Mailbox disabled",
        "554 5.7.1 <ann@example.test>: Sender address rejected: not owned by user",
    ] {
        let truth = send_with(refusing(&["MAIL"], reply), 1, json!({}), one_connection);
        truth.counts(0, 1, 0);
        let failure = truth.ending.json()["failure"].clone();
        assert_eq!(failure["kind"], "configuration", "{reply}: {}", truth.ending);
        let advice = failure["advice"].to_string();
        assert!(
            advice.contains("from") && !advice.contains("recipient"),
            "{reply}: {advice}"
        );
    }
}

/// What an account has used up is a quota, whatever the code, and holds back what has not been sent.
#[test]
fn a_limit_of_the_account_is_a_quota_whatever_its_code() {
    for reply in [
        "550 5.1.8 Access denied, bad outbound sender",
        "550 Domain example.test has exceeded the max emails per hour (150/150 (100%)) allowed.",
        "452 Too many recipients received this hour",
        "554 5.7.1 You ran out of credits",
    ] {
        let truth = send_with(refusing(&["MAIL"], reply), 3, json!({ "retry": false }), one_connection);
        truth.counts(0, 3, 0);
        assert_eq!(
            truth.ending.json()["failure"]["kind"],
            "quota",
            "{reply}: {}",
            truth.ending
        );
    }
}
