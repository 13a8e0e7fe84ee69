//! The same server, met by a run and by `pipepost accounts test`: the same kind, and the same words.

use pipepost_inbox::{Script, Security};
use pipepost_tests::{AccountFile, CLOSE, Catcher, Dialogue, SILENCE, Scratch, Scripted, document, email};
use serde_json::{Value, json};

/// How step and account ask for TLS.
#[derive(Clone, Copy, PartialEq)]
enum Asks {
    /// The account speaks in clear, and so does the step.
    Nothing,
    /// The account speaks in clear, and the step has its defaults.
    ByTheStep,
    /// The account asks for STARTTLS.
    StartTls,
    /// The account asks for TLS from the first byte.
    FirstByte,
}

const HTTP: &str = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n";

/// What a run and a test say of an account's server: the kind and the sentence of each.
fn both(account: &Value, asks: Asks, run_of: &Value, run_with: &[&str]) -> [(String, String); 2] {
    let params = match asks {
        Asks::Nothing => json!({"isOverTLS": false, "failOnError": false, "retry": false}),
        _ => json!({"failOnError": false, "retry": false}),
    };
    let scratch = Scratch::new();
    scratch.write("pipeline.json", document(&[email(params)]).to_string());
    scratch.write("accounts.json", run_of.to_string());
    let ran = scratch.run(run_with);
    let said = |failure: &Value| {
        let text = |name: &str| failure[name].as_str().unwrap_or_default().to_owned();
        (text("kind"), text("message"))
    };
    let of_run = said(&ran.json()["failure"]);
    scratch.write("accounts.json", account.to_string());
    let mut command = vec!["accounts", "test", "mail", "--accounts", "accounts.json", "--json"];
    if asks == Asks::Nothing {
        command.push("--in-clear");
    }
    let tested = scratch.pipepost(&command);
    let of_test = said(&tested.json()["failure"]);
    assert_eq!(ran.code, tested.code, "{ran}\n{tested}");
    [of_run, of_test]
}

fn asking(account: AccountFile, asks: Asks, properties: Value) -> Value {
    let mut properties = properties;
    let account = match asks {
        Asks::Nothing | Asks::ByTheStep => account,
        Asks::StartTls => account.with("starttls_enable", "true"),
        Asks::FirstByte => {
            properties["mail.smtp.ssl.enable"] = true.into();
            account
        }
    };
    account.with("properties", properties).json().clone()
}

#[test]
fn a_run_and_a_test_say_the_same_of_the_same_server() {
    let says = |verb: &str, reply: &str| Dialogue::offering(&["STARTTLS"]).says(verb, &[reply]);
    let greets = |greeting: &str| says("GREETING", greeting);
    let clear = Asks::Nothing;
    for (dialogue, asks, kind, words) in [
        (greets(HTTP), clear, "configuration", "no mail server"),
        (
            greets("SSH-2.0-OpenSSH_9.2p1"),
            clear,
            "configuration",
            "no mail server",
        ),
        (
            greets("* OK [CAPABILITY IMAP4rev1] ready."),
            clear,
            "configuration",
            "no mail server",
        ),
        (greets("+OK ready."), clear, "configuration", "no mail server"),
        (greets("421 4.3.2 Too busy"), clear, "transient", "421 4.3.2 Too busy"),
        (greets("554 5.7.1 No SMTP service here"), clear, "refused", "554 5.7.1"),
        (
            greets(CLOSE),
            clear,
            "transient",
            "closed the connection and sent no greeting",
        ),
        (says("EHLO", CLOSE), clear, "transient", "closed the connection at EHLO"),
        (
            says("EHLO", SILENCE),
            clear,
            "transient",
            "it took EHLO and sent no reply",
        ),
        (
            greets(SILENCE),
            clear,
            "transient",
            "took the connection and sent no greeting",
        ),
        (
            greets(SILENCE),
            Asks::StartTls,
            "transient",
            "took the connection and sent no greeting",
        ),
        (
            greets(SILENCE),
            Asks::FirstByte,
            "transient",
            "did not answer the TLS handshake",
        ),
        (
            says("EHLO", "250 mx.test"),
            Asks::ByTheStep,
            "configuration",
            "does not offer STARTTLS",
        ),
        (
            says("EHLO", "250 mx.test"),
            Asks::StartTls,
            "configuration",
            "does not offer STARTTLS",
        ),
        (
            says("STARTTLS", "502 5.5.1 Not here"),
            Asks::StartTls,
            "configuration",
            "refuses STARTTLS",
        ),
        (
            says("STARTTLS", "502 5.5.1 Not here"),
            Asks::ByTheStep,
            "configuration",
            "refuses STARTTLS",
        ),
        (
            says("STARTTLS", "454 4.7.0 Not now"),
            Asks::StartTls,
            "transient",
            "454 4.7.0",
        ),
        (
            says("STARTTLS", "220 Go|silence"),
            Asks::StartTls,
            "transient",
            "it took STARTTLS and did not go on",
        ),
        (
            says("STARTTLS", "220 Go|close"),
            Asks::StartTls,
            "transient",
            "during the TLS handshake",
        ),
        (
            greets("220 mx.test"),
            Asks::FirstByte,
            "configuration",
            "answers in clear",
        ),
    ] {
        let server = Scripted::start(dialogue.clone());
        let waits = json!({"mail.smtp.timeout": 700, "mail.smtp.connectiontimeout": 700});
        let account = asking(server.account(), asks, waits);
        let [of_run, of_test] = both(&account, asks, &account, &[]);
        assert_eq!(of_run, of_test, "{dialogue:?}");
        assert_eq!(of_run.0, kind, "{of_run:?} of {dialogue:?}");
        assert!(of_run.1.contains(words), "without `{words}`: {of_run:?}");
    }
}

#[test]
fn a_refused_sign_in_is_told_alike() {
    let refusal = "535 5.7.8 Username and Password not accepted";
    let server = Scripted::start(Dialogue::offering(&[]).signing_in().says("AUTH", &[refusal]));
    let account = asking(server.account(), Asks::Nothing, json!({}));
    let [of_run, of_test] = both(&account, Asks::Nothing, &account, &[]);
    assert_eq!(of_run, of_test);
    assert_eq!(of_run.0, "authentication");
}

/// The run's time is shorter than the wait for a greeting: the server is the reason, and not the clock.
#[test]
fn a_run_that_ends_while_a_server_is_silent_names_the_server() {
    for (verb, asks, words) in [
        ("GREETING", Asks::Nothing, "took the connection and sent no greeting"),
        ("EHLO", Asks::Nothing, "it took EHLO and sent no reply"),
        ("GREETING", Asks::FirstByte, "did not answer the TLS handshake"),
    ] {
        let server = Scripted::start(Dialogue::offering(&[]).says(verb, &[SILENCE]));
        let patient = asking(server.account(), asks, json!({}));
        let waits = json!({"mail.smtp.timeout": 700, "mail.smtp.connectiontimeout": 700});
        let account = asking(server.account(), asks, waits);
        let [of_run, of_test] = both(&account, asks, &patient, &["--timeout", "4s"]);
        assert_eq!(of_run, of_test, "{verb}");
        assert_eq!(of_run.0, "transient");
        assert!(of_run.1.contains(words), "{of_run:?}");
    }
}

#[test]
fn a_port_where_tls_begins_at_once_is_told_alike_and_before_the_run_ends() {
    let server = Catcher::start(Script::new());
    let mut account = server.account();
    account["port"] = server.port(Security::Implicit).into();
    let [of_run, of_test] = both(&account, Asks::StartTls, &account, &[]);
    assert_eq!(of_run, of_test);
    assert_eq!(of_run.0, "configuration");
    assert!(
        of_run.1.contains("TLS begins there with the first byte") && of_run.1.contains("mail.smtp.ssl.enable"),
        "{of_run:?}"
    );
}
