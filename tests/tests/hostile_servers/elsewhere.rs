//! Servers and names that send a client somewhere else.
//!
//! Here are the names and spellings that a resolver of any machine leads inside; names that change from one query to the next
//! are in `names.rs`.

use pipepost_inbox::script::{At, Rule};
use pipepost_inbox::{Script, Security};
use pipepost_tests::{AccountFile, Catcher, Ending, Scratch, document, email, step};
use serde_json::{Value, json};

use super::attack::Attack;

#[test]
fn a_recipient_that_is_said_to_be_elsewhere() {
    let moved = "551 5.1.6 Not here; try <mallory@evil.example>";
    Attack::new(
        Security::StartTls,
        Script::new().refuse_recipient("ann@example.test", moved),
    )
    .run()
    .fails("refused", &["step 1 (Send)", "ann@example.test"])
    .stored(0)
    .connected(1);

    let forwarded = Rule::at(At::Rcpt)
        .obey(true)
        .reply("251 2.1.5 Not here; will forward to <mallory@evil.example>");
    let aftermath = Attack::new(Security::StartTls, Script::new().rule(forwarded))
        .run()
        .succeeds()
        .connected(1);
    assert_eq!(aftermath.output()["accepted"], json!(["ann@example.test"]));
    assert_eq!(aftermath.recipients(), ["ann@example.test"]);
}

#[test]
fn a_greeting_that_names_another_server() {
    let script = Script::new()
        .rule(Rule::at(At::Greeting).reply("220 mail.elsewhere.example ESMTP, please use mail.elsewhere.example"))
        .rule(
            Rule::at(At::Mail)
                .reply("421 4.3.2 Use mail.elsewhere.example instead")
                .close(),
        );
    Attack::new(Security::StartTls, script)
        .run()
        .fails("transient", &["step 1 (Send)", "127.0.0.1"])
        .stored(0);
}

/// A step without an account, at a server that the operator named, with these inner networks opened.
fn named_by_a_step(networks: &[&str], host: &str, port: u16) -> Ending {
    let scratch = Scratch::new();
    let params = json!({
        "from": "tester@example.test",
        "to": "ann@example.test",
        "subject": "A test",
        "body": "Hello",
        "smtpHost": host,
        "smtpPort": port,
        "isAuth": false,
        "isOverTLS": false,
        "isOverSSL": false,
        "failOnError": true,
        "retry": false,
    });
    let policy = json!({ "hosts": [host], "networks": networks });
    scratch.write("policy.json", policy.to_string());
    let steps = [step("email-connector-v2", params)];
    scratch.write("pipeline.json", document(&steps).to_string());
    scratch.pipepost(&["run", "pipeline.json", "--policy", "policy.json"])
}

#[test]
fn a_name_that_leads_inside() {
    let server = Catcher::with(|builder| builder.require_auth(false));
    let port = server.port(Security::Plain);
    for inner in ["localhost", "127.0.0.1", "2130706433", "0x7f.1", "::ffff:127.0.0.1"] {
        let ending = named_by_a_step(&[], inner, port).with_code(78);
        ending.is_a_sentence(inner);
        assert_eq!(ending.json()["exception"], "configuration", "{ending}");
    }
    assert_eq!(server.inbox().connections(), 0);

    let opened = named_by_a_step(&["127.0.0.0/8", "::1/128"], "localhost", port).with_code(0);
    assert_eq!(opened.json()["outcome"], "sent", "{opened}");
    assert_eq!(server.messages().len(), 1);
}

#[test]
fn a_metadata_address_in_any_spelling() {
    for inner in [
        "169.254.169.254",
        "2852039166",
        "0xa9.0xfe.0xa9.0xfe",
        "::ffff:169.254.169.254",
    ] {
        // A step may not, whatever networks are open.
        let ending = named_by_a_step(&["0.0.0.0/0", "::/0"], inner, 80).with_code(78);
        ending.is_a_sentence(inner);
        assert!(ending.stderr.contains("link-local"), "{ending}");

        // Nor may an account, whose host is otherwise the operator's word; odd spellings are no host there at all.
        let authority = Catcher::start(Script::new()).authority();
        let account = AccountFile::starttls((inner, 587), &authority).with("ca_file", Value::Null);
        let ending = Scratch::with(&document(&[email(json!({ "retry": false }))]), &account)
            .run(&[])
            .with_code(78);
        ending.is_a_sentence(inner);
        assert!(
            ending.stderr.contains("link-local") || ending.stderr.contains("is not a host name or an address"),
            "{ending}"
        );
    }
}
