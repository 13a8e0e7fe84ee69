//! What is reported against what Postfix and Exim took, with the limits that their administrators set: each message counted by
//! the server's own account of it.

use std::collections::BTreeMap;

use pipepost_tests::{AccountFile, Ending, Exim, EximOptions, Postfix, PostfixOptions, Scratch, document, numbered};
use serde_json::{Value, json};

/// How often each message was taken, by its subject, and for which recipients.
type Taken = BTreeMap<String, Vec<Vec<String>>>;

fn send(account: &AccountFile, messages: usize, params: Value) -> Ending {
    Scratch::with(&document(&[numbered(messages, params)]), account).run(&[])
}

fn of(ending: &Ending, outcome: &str) -> usize {
    let count = ending.json()[outcome].as_u64().unwrap_or_default();
    usize::try_from(count).unwrap_or_default()
}

/// So many were sent, failed, and are uncertain, and the server says the same of each.
fn agrees(ending: &Ending, taken: &Taken, counts: [usize; 3]) {
    let told = ["sent", "failed", "uncertain"].map(|outcome| of(ending, outcome));
    assert_eq!(told, counts, "{ending}");
    for (index, result) in ending.json()["results"].as_array().into_iter().flatten().enumerate() {
        let subject = format!("Message {}.", index + 1);
        let times = taken.get(&subject).map_or(0, Vec::len);
        let expected = usize::from(result["outcome"] == "sent");
        assert_eq!(times, expected, "{subject} was taken {times} times: {result}\n{ending}");
    }
}

fn postfix(settings: &'static str) -> Option<(Postfix, AccountFile)> {
    let options = PostfixOptions {
        settings,
        ..PostfixOptions::default()
    };
    let postfix = Postfix::start(&options)?;
    let account = AccountFile::starttls(postfix.starttls(), postfix.authority());
    Some((postfix, account))
}

/// What Postfix has delivered; that it has accepted no more than this, and has said the words of its limit.
fn taken_by_postfix(postfix: Postfix, transactions: usize, limit: &str) -> Taken {
    let mut taken = Taken::new();
    for _ in 0..transactions {
        let message = postfix.next();
        let text = message.text();
        let subject = text
            .lines()
            .find_map(|line| line.strip_prefix("Subject: "))
            .unwrap_or_default();
        taken
            .entry(subject.trim_end().to_owned())
            .or_default()
            .push(message.recipients);
    }
    let log = postfix.finish();
    let queued = log.lines().filter(|line| line.contains("(queue active)")).count();
    assert_eq!(queued, transactions, "{log}");
    assert!(log.contains(limit), "the limit was not reached:\n{log}");
    taken
}

fn exim(settings: &'static str, at_mail: &'static str) -> Option<(Exim, AccountFile)> {
    let exim = Exim::start(&EximOptions { settings, at_mail })?;
    let account = AccountFile::starttls(exim.starttls(), exim.authority());
    Some((exim, account))
}

/// What Exim has taken, and that it has noted the words of its limit.
fn taken_by_exim(exim: &Exim, limit: &str) -> Taken {
    let log = exim.log();
    assert!(log.contains(limit), "the limit was not reached:\n{log}");
    let mut taken = Taken::new();
    for (subject, recipients) in exim.taken() {
        taken.entry(subject).or_default().push(recipients);
    }
    taken
}

fn connections(account: AccountFile, most: usize) -> AccountFile {
    account.with("limits", json!({ "max_connections": most }))
}

/// `smtpd_client_message_rate_limit`: `450 4.7.1 Error: too much mail`, from the sixth message within a minute.
#[test]
fn postfix_with_a_rate_of_messages() {
    let Some((postfix, account)) = postfix("smtpd_client_message_rate_limit = 5\nanvil_rate_time_unit = 1h") else {
        return;
    };
    let ending = send(&connections(account, 1), 12, json!({ "retry": false }));
    let refused: Vec<Value> = ending.json()["results"]
        .as_array()
        .into_iter()
        .flatten()
        .skip(5)
        .cloned()
        .collect();
    for result in refused {
        assert_eq!(result["failure"]["kind"], "quota", "{result}\n{ending}");
    }
    agrees(
        &ending,
        &taken_by_postfix(postfix, 5, "Message delivery request rate limit exceeded"),
        [5, 7, 0],
    );
}

/// `smtpd_client_connection_count_limit`: `421 4.7.0 Error: too many connections` to the second connection.
#[test]
fn postfix_with_one_connection_a_client() {
    let Some((postfix, account)) = postfix("smtpd_client_connection_count_limit = 1") else {
        return;
    };
    let ending = send(&connections(account, 5), 400, json!({})).with_code(0);
    agrees(
        &ending,
        &taken_by_postfix(postfix, 400, "Connection concurrency limit exceeded"),
        [400, 0, 0],
    );
}

/// `smtpd_recipient_limit`: `452 4.5.3 Error: too many recipients` from the eleventh recipient of a transaction.
#[test]
fn postfix_with_few_recipients_a_transaction() {
    let Some((postfix, account)) = postfix("smtpd_recipient_limit = 10") else {
        return;
    };
    let ending = send(&account, 2, json!({ "to": recipients(25) })).with_code(0);
    let taken = taken_by_postfix(postfix, 6, "");
    assert_eq!(of(&ending, "sent"), 2, "{ending}");
    each_recipient_got_it_once(&taken, 25, 2);
}

/// `smtpd_hard_error_limit`: `421 4.7.0 Error: too many errors`, and the end of the connection, in the middle of a
/// transaction of which so many recipients were refused.
#[test]
fn postfix_that_ends_connections_after_a_few_errors() {
    let settings = "smtpd_hard_error_limit = 3\nsmtpd_error_sleep_time = 0\n\
                    smtpd_recipient_restrictions = check_recipient_access inline:{ \
                    {r1@example.test = reject}, {r2@example.test = reject}, {r3@example.test = reject}, \
                    {r4@example.test = reject}, {r5@example.test = reject} }, permit_sasl_authenticated, reject";
    let Some((postfix, account)) = postfix(settings) else {
        return;
    };
    let to = format!("ann@example.test, {}", recipients(5));
    let ending = send(&connections(account, 1), 3, json!({ "to": to, "retry": false }));
    agrees(&ending, &taken_by_postfix(postfix, 0, "too many errors"), [0, 3, 0]);
}

/// `smtp_accept_max_per_connection`: `421 too many messages in this connection` to the eleventh MAIL.
#[test]
fn exim_with_a_number_of_messages_a_connection() {
    let Some((exim, account)) = exim("smtp_accept_max_per_connection = 10", "") else {
        return;
    };
    let ending = send(&connections(account, 2), 100, json!({})).with_code(0);
    agrees(
        &ending,
        &taken_by_exim(&exim, "too many messages in one connection"),
        [100, 0, 0],
    );
}

/// `smtp_accept_max_per_host`: `421 Too many concurrent SMTP connections` in the place of the greeting.
#[test]
fn exim_with_one_connection_a_client() {
    let Some((exim, account)) = exim("smtp_accept_max_per_host = 1", "") else {
        return;
    };
    let ending = send(&connections(account, 5), 400, json!({})).with_code(0);
    agrees(
        &ending,
        &taken_by_exim(&exim, "too many connections from that IP address"),
        [400, 0, 0],
    );
}

/// `recipients_max`: `452 too many recipients` from the eleventh recipient of a transaction.
#[test]
fn exim_with_few_recipients_a_transaction() {
    let Some((exim, account)) = exim("recipients_max = 10", "") else {
        return;
    };
    let ending = send(&account, 2, json!({ "to": recipients(25) })).with_code(0);
    assert_eq!(of(&ending, "sent"), 2, "{ending}");
    each_recipient_got_it_once(&taken_by_exim(&exim, "too many recipients"), 25, 2);
}

/// With `recipients_max_reject` the whole transaction is refused when there are too many.
#[test]
fn exim_that_refuses_the_message_with_too_many_recipients() {
    let Some((exim, account)) = exim("recipients_max = 10\nrecipients_max_reject = true", "") else {
        return;
    };
    let ending = send(&account, 2, json!({ "to": recipients(25), "retry": false }));
    agrees(&ending, &taken_by_exim(&exim, "too many recipients"), [0, 2, 0]);
    let advice = ending.json()["failure"]["advice"].to_string();
    assert!(advice.contains("recipients_per_message"), "{ending}");

    let account = account.with("limits", json!({ "recipients_per_message": 10 }));
    let ending = send(&account, 2, json!({ "to": recipients(25) })).with_code(0);
    assert_eq!(of(&ending, "sent"), 2, "{ending}");
    each_recipient_got_it_once(&taken_by_exim(&exim, ""), 25, 2);
}

/// The condition `ratelimit`, as Exim's manual has it.
#[test]
fn exim_with_a_rate_of_messages() {
    let at_mail = "  defer message = Sender rate overlimit - $sender_rate / $sender_rate_period\n        ratelimit = 5 / 1h / strict / $authenticated_id";
    let Some((exim, account)) = exim("", at_mail) else {
        return;
    };
    let ending = send(&connections(account, 1), 12, json!({ "retry": false }));
    let results = ending.json()["results"].clone();
    for result in results
        .as_array()
        .into_iter()
        .flatten()
        .filter(|result| result["outcome"] == "failed")
    {
        assert_eq!(result["failure"]["kind"], "quota", "{result}\n{ending}");
    }
    let sent = of(&ending, "sent");
    assert!((4..=5).contains(&sent), "{ending}");
    agrees(
        &ending,
        &taken_by_exim(&exim, "Sender rate overlimit"),
        [sent, 12 - sent, 0],
    );
}

fn recipients(count: usize) -> String {
    let all: Vec<String> = (1..=count).map(|number| format!("r{number}@example.test")).collect();
    all.join(", ")
}

fn each_recipient_got_it_once(taken: &Taken, recipients: usize, messages: usize) {
    assert_eq!(taken.len(), messages, "{taken:?}");
    for (subject, transactions) in taken {
        let mut got: Vec<&String> = transactions.iter().flatten().collect();
        got.sort();
        let all = got.len();
        got.dedup();
        assert_eq!(
            (got.len(), all),
            (recipients, recipients),
            "{subject}: {transactions:?}"
        );
    }
}
