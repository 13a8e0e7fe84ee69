//! Servers, and people in between, that mean harm: what the email step makes of them, and what it never says to them.

use std::io::Write as _;

use pipepost::{FailureKind, Host, Policy, RunReport};
use pipepost_inbox::script::{Action, At, Rule};
use pipepost_inbox::tls::Flaw;
use pipepost_inbox::{Inbox, Script, Security};
use serde_json::{Value, json};

use crate::common::{PASSWORD, Server, USER, document, email, fails, failure, host, run};

/// Sends one message through a server, as an account of its user does.
async fn send(server: &Server, params: Value) -> RunReport {
    send_as(server, json!({}), params).await
}

async fn send_as(server: &Server, account: Value, params: Value) -> RunReport {
    let host = host().accounts(server.account(account)).build().await.expect("a host");
    let report = send_on(&host, params).await;
    host.close().await;
    report
}

async fn send_on(host: &Host, params: Value) -> RunReport {
    let report = run(host, &document("email-v2", Some("mail"), email(params))).await;
    assert!(!format!("{report:?}").contains(PASSWORD), "{report:?}");
    report
}

/// The server has heard none of these commands.
#[track_caller]
fn never_heard(server: &Server, verbs: &[&str]) {
    let heard = server.verbs();
    for verb in verbs {
        assert!(!heard.iter().any(|heard| heard == verb), "{verb} was said: {heard:?}");
    }
}

fn flood(pattern: &str) -> Action {
    Action::Flood {
        pattern: pattern.into(),
        bytes: None,
    }
}

/// Every place of the dialogue before a message can have been committed.
const BEFORE_THE_COMMIT: [At; 6] = [At::Greeting, At::Ehlo, At::SignIn, At::Mail, At::Rcpt, At::Data];

/// A server that offers no BDAT, so that every place is come to.
async fn with_data(security: Security, script: Script) -> Server {
    Server::start(security, script.strip("CHUNKING")).await
}

#[tokio::test]
async fn bytes_that_are_injected_before_tls() {
    for injected in ["250 injected\r\n", "235 2.7.0 Accepted\r\n", "x"] {
        let server = Server::start(Security::StartTls, Script::new().inject_before_tls(injected)).await;
        let report = send(&server, json!({})).await;
        fails(&report, FailureKind::Configuration, "may be injecting");
        never_heard(&server, &["AUTH", "MAIL"]);
    }
}

#[tokio::test]
async fn what_was_said_before_tls_is_forgotten() {
    let script = Script::new()
        .rule(Rule::at(At::Ehlo).tls(false).act(Action::Offer("SIZE 1".to_owned())))
        .rule(Rule::at(At::Ehlo).tls(true).act(Action::Strip("SIZE".to_owned())));
    let server = Server::start(Security::StartTls, script).await;
    let report = send(&server, json!({})).await;
    assert_eq!(
        report.result.expect("the limit was somebody else's word")["success"],
        true
    );
}

#[tokio::test]
async fn starttls_stripped_or_refused() {
    let bait = Rule::at(At::Ehlo).act(Action::Offer("AUTH PLAIN".to_owned()));
    let bait = bait.act(Action::Strip("STARTTLS".to_owned()));
    for (script, kind) in [
        (Script::new().strip("STARTTLS"), FailureKind::Configuration),
        (Script::new().rule(bait), FailureKind::Configuration),
        (
            Script::new().reply(At::Starttls, "502 5.5.1 Not here"),
            FailureKind::Configuration,
        ),
        (
            Script::new().reply(At::Starttls, "454 4.7.0 TLS not available"),
            FailureKind::Transient,
        ),
    ] {
        let server = Server::start(Security::StartTls, script).await;
        let report = send(&server, json!({})).await;
        fails(&report, kind, "");
        never_heard(&server, &["AUTH", "MAIL"]);
    }
}

#[tokio::test]
async fn certificates_that_prove_nothing() {
    for security in [Security::StartTls, Security::Implicit] {
        for (flaw, words) in [
            (Flaw::Expired, "has expired"),
            (Flaw::NotYetValid, "is not valid yet"),
            (Flaw::SelfSigned, "signed by nobody this machine trusts"),
            (Flaw::WrongName, "is not issued for `127.0.0.1`"),
        ] {
            let builder = Inbox::builder()
                .listen(security, "127.0.0.1:0")
                .users([(USER, PASSWORD)])
                .certificate_flaw(flaw)
                .record_dialogue();
            let server = Server::with(builder).await;
            fails(&send(&server, json!({})).await, FailureKind::Configuration, words);
            never_heard(&server, &["AUTH", "MAIL"]);
        }
        // A good certificate, by an authority that the account does not name.
        let server = Server::start(security, Script::new()).await;
        let report = send_as(&server, json!({ "ca_file": null }), json!({})).await;
        fails(
            &report,
            FailureKind::Configuration,
            "signed by nobody this machine trusts",
        );
        never_heard(&server, &["AUTH", "MAIL"]);
    }
}

#[tokio::test]
async fn a_line_without_end_and_a_reply_without_end() {
    for pattern in ["2", "250-and so on\r\n", "250 and another\r\n"] {
        for at in BEFORE_THE_COMMIT {
            let rule = Rule::at(at).tls(at != At::Greeting).act(flood(pattern));
            let rule = if at == At::Greeting {
                Rule::at(at).act(flood(pattern))
            } else {
                rule
            };
            let server = with_data(Security::StartTls, Script::new().rule(rule)).await;
            let report = send(&server, json!({})).await;
            let failure = failure(&report);
            assert_ne!(failure.kind, FailureKind::Uncertain, "{at:?}, {pattern:?}: {failure}");
            assert_eq!(server.inbox.messages().len(), 0);
        }
        if pattern != "250 and another\r\n" {
            let rule = Rule::at(At::Content).obey(true).act(flood(pattern));
            let server = with_data(Security::StartTls, Script::new().rule(rule)).await;
            fails(&send(&server, json!({})).await, FailureKind::Uncertain, "");
        }
    }
}

#[tokio::test]
async fn ten_megabytes_of_capabilities() {
    let flood = Action::Flood {
        pattern: "250-X-CAPABILITY-THAT-NOBODY-KNOWS\r\n".into(),
        bytes: Some(10 << 20),
    };
    for tls in [false, true] {
        let script = Script::new().rule(Rule::at(At::Ehlo).tls(tls).act(flood.clone()).reply("250 OK"));
        let server = Server::start(Security::StartTls, script).await;
        let failure = failure(&send(&server, json!({})).await);
        assert!(failure.to_string().len() < 5000, "{failure}");
        never_heard(&server, &["AUTH", "MAIL"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_byte_a_minute() {
    let slow = |at, obey| {
        let pace = Action::Pace {
            bytes: 1,
            pause_ms: 60_000,
        };
        Script::new().rule(Rule::at(at).obey(obey).act(pace).regular())
    };
    for at in [At::Greeting, At::Mail, At::Rcpt, At::Data] {
        let server = with_data(Security::Implicit, slow(at, false)).await;
        let failure = failure(&send(&server, json!({})).await);
        assert_eq!(failure.kind, FailureKind::Transient, "{at:?}: {failure}");
        assert_eq!(server.inbox.messages().len(), 0);
    }
    // Its server took it, and nobody has seen it say so.
    let server = with_data(Security::Implicit, slow(At::Content, true)).await;
    fails(&send(&server, json!({})).await, FailureKind::Uncertain, "");
    assert_eq!(server.inbox.messages().len(), 1);
}

#[tokio::test]
async fn an_early_close() {
    for at in BEFORE_THE_COMMIT {
        for action in [Action::Close, Action::Abort] {
            let script = Script::new().rule(Rule::at(at).act(action));
            let server = with_data(Security::Implicit, script).await;
            let failure = failure(&send(&server, json!({})).await);
            assert_eq!(failure.kind, FailureKind::Transient, "{at:?}: {failure}");
            assert_eq!(server.inbox.messages().len(), 0);
        }
    }
    for action in [Action::Close, Action::Abort] {
        let script = Script::new().rule(Rule::at(At::Content).obey(true).act(action));
        let server = with_data(Security::Implicit, script).await;
        fails(&send(&server, json!({})).await, FailureKind::Uncertain, "");
        assert_eq!(server.inbox.messages().len(), 1);
    }
}

#[tokio::test]
async fn replies_before_their_commands() {
    let whole = "250-smtp.example\r\n250 STARTTLS\r\n220 go\r\n250 AUTH PLAIN\r\n235 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 sent\r\n";
    for early in [whole, "220 again\r\n", "250 ok\r\n", "421 gone\r\n"] {
        for at in [At::Greeting, At::Ehlo] {
            let script = Script::new().rule(Rule::at(at).tls(false).regular().raw(early));
            let server = Server::start(Security::StartTls, script).await;
            failure(&send(&server, json!({})).await);
            never_heard(&server, &["AUTH", "MAIL"]);
        }
    }
}

#[tokio::test]
async fn mechanisms_that_bait() {
    // What the account has is chosen, however the others are offered; where none of it is, nothing is said.
    for offer in [
        "AUTH NTLM GSSAPI DIGEST-MD5 EXTERNAL ANONYMOUS SCRAM-SHA-1 SCRAM-SHA-256-PLUS",
        "AUTH XOAUTH2 OAUTHBEARER",
        "AUTH",
        "AUTHPLAIN",
        "AUTH PLAINER LOGINS",
    ] {
        let reply = format!("250-smtp.example\n250 {offer}");
        let script = Script::new().rule(Rule::at(At::Ehlo).tls(true).reply(reply));
        let server = Server::start(Security::StartTls, script).await;
        fails(&send(&server, json!({})).await, FailureKind::Configuration, "");
        never_heard(&server, &["AUTH", "MAIL"]);
    }
    // A mechanism that is offered in clear alone is not taken there.
    let script = Script::new()
        .rule(
            Rule::at(At::Ehlo)
                .tls(false)
                .act(Action::Offer("AUTH PLAIN LOGIN".to_owned())),
        )
        .rule(Rule::at(At::Ehlo).tls(true).act(Action::Strip("AUTH".to_owned())));
    let server = Server::start(Security::StartTls, script).await;
    fails(&send(&server, json!({})).await, FailureKind::Configuration, "");
    never_heard(&server, &["AUTH", "MAIL"]);
}

#[tokio::test]
async fn a_server_that_asks_on_and_on() {
    for (mechanism, at) in [
        ("PLAIN", At::Auth),
        ("PLAIN", At::SignIn),
        ("LOGIN", At::AuthResponse),
        ("LOGIN", At::SignIn),
    ] {
        let script = Script::new().reply(at, "334 UGFzc3dvcmQ6");
        let server = Server::start(Security::StartTls, script).await;
        let failure = failure(&send_as(&server, json!({ "auth": mechanism }), json!({})).await);
        never_heard(&server, &["MAIL"]);
        assert_eq!(failure.kind, FailureKind::Configuration, "{failure}");
    }
}

#[tokio::test]
async fn a_name_that_is_said_to_be_elsewhere() {
    let refused = Script::new().refuse_recipient("ann@example.com", "551 5.1.6 Not here; try <mallory@evil.example>");
    let server = Server::start(Security::StartTls, refused).await;
    fails(&send(&server, json!({})).await, FailureKind::Refused, "");
    assert_eq!(server.inbox.messages().len(), 0);

    let forwarded = Script::new().rule(
        Rule::at(At::Rcpt)
            .obey(true)
            .reply("251 2.1.5 Not here; will forward to <mallory@evil.example>"),
    );
    let server = Server::start(Security::StartTls, forwarded).await;
    let output = send(&server, json!({})).await.result.expect("the server takes it");
    assert_eq!(output["accepted"], json!(["ann@example.com"]), "{output}");
    let messages = server.inbox.messages();
    assert_eq!(messages[0].envelope.to, ["ann@example.com"]);
    assert_eq!(server.inbox.connections(), 1);
}

#[tokio::test]
async fn a_name_that_leads_inside() {
    let server = Server::with(
        Inbox::builder()
            .listen(Security::Plain, "127.0.0.1:0")
            .record_dialogue(),
    )
    .await;
    let port = server.inbox.address().port();
    let policy = |networks: &[&str]| {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let policy = json!({ "hosts": [format!("localhost:{port}"), "169.254.169.254"], "networks": networks });
        write!(file, "{policy}").expect("a writable file");
        Policy::from_file(file.path()).expect("a policy")
    };
    let params = |name: &str, port: u16| {
        email(json!({
            "smtpHost": name, "smtpPort": port, "isAuth": false, "isOverTLS": false, "isOverSSL": false,
        }))
    };
    let to = async |networks: &[&str], name: &str, port: u16| {
        let host = host().policy(policy(networks)).build().await.expect("a host");
        run(&host, &document("email-v2", None, params(name, port))).await
    };
    let report = to(&[], "localhost", port).await;
    fails(
        &report,
        FailureKind::Configuration,
        "inside this machine's or a private network",
    );
    let report = to(&["0.0.0.0/0", "::/0"], "169.254.169.254", 80).await;
    fails(&report, FailureKind::Configuration, "it is link-local");
    assert_eq!(server.inbox.connections(), 0);

    let report = to(&["127.0.0.0/8", "::1/128"], "localhost", port).await;
    assert_eq!(
        report.result.expect("the operator opened that network")["success"],
        true
    );
}

#[tokio::test]
async fn the_next_run_after_a_hostile_server_is_unharmed() {
    let script = Script::new().rule(Rule::at(At::Mail).connection(1).act(flood("250-and so on\r\n")));
    let server = Server::start(Security::StartTls, script).await;
    let host = host()
        .accounts(server.account(json!({})))
        .build()
        .await
        .expect("a host");
    failure(&send_on(&host, json!({})).await);
    let output = send_on(&host, json!({})).await.result.expect("the next one is sent");
    assert_eq!(output["success"], true, "{output}");
    assert_eq!((server.inbox.connections(), server.inbox.messages().len()), (2, 1));
}
