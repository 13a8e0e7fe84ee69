//! `pipepost accounts test`, and transcripts.

use pipepost_inbox::script::{Action, At, Rule};
use pipepost_inbox::{Script, Security};
use pipepost_tests::{Catcher, Ending, PASSWORD, Provider, ProviderOptions, Scratch, USER, document, email};
use serde_json::{Value, json};

fn test(account: &Value, more: &[&str]) -> Ending {
    let scratch = Scratch::new().secret(Provider::MARK);
    scratch.write("accounts.json", account.to_string());
    scratch.pipepost(&[&["accounts", "test", "mail", "--accounts", "accounts.json"], more].concat())
}

/// The names and states of what was looked at.
fn states(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let checks = report["checks"].as_array().into_iter().flatten();
    checks
        .map(|check| (text(&check["name"]), text(&check["state"])))
        .collect()
}

fn last(report: &Value) -> &Value {
    report["checks"]
        .as_array()
        .and_then(|checks| checks.last())
        .expect("a check")
}

#[test]
fn a_good_account_passes_everything_and_nothing_is_sent_unasked() {
    let server = Catcher::start(Script::new());
    for (security, tls) in [(Security::StartTls, false), (Security::Implicit, true)] {
        let mut account = server.account();
        account["port"] = server.port(security).into();
        if tls {
            account["starttls_enable"] = false.into();
            account["properties"] = json!({ "mail.smtp.ssl.enable": true });
        }
        let report = test(&account, &["--json"]).with_code(0).json();
        let mut names: Vec<String> = states(&report)
            .into_iter()
            .map(|(name, state)| {
                assert_eq!(state, "passed", "{report:#}");
                name
            })
            .collect();
        names.sort();
        let all = ["capabilities", "connection", "greeting", "name", "sign-in", "tls"];
        assert_eq!(names, all, "{report:#}");
        let tls = report["checks"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|check| check["name"] == "tls");
        let found = tls.and_then(|check| check["found"].as_str()).unwrap_or_default();
        assert!(found.starts_with("TLSv1.3") && found.contains("days left"), "{found}");
    }
    assert_eq!(server.messages().len(), 0);

    let ending = test(&server.account(), &["--to", USER]).with_code(0);
    assert_eq!(server.messages().len(), 1);
    assert_eq!(server.messages()[0].envelope.to, [USER]);
    for line in ["✓ name", "✓ tls", "✓ sign-in", "✓ message"] {
        assert!(ending.stdout.contains(line), "`{line}` is missing\n{ending}");
    }
}

#[test]
fn an_account_with_tokens_is_tested_as_it_runs() {
    let Some(provider) = Provider::start(&ProviderOptions::default()) else {
        return;
    };
    let server = Catcher::start(Script::new());
    server.take_tokens_of(provider.tokens());
    test(&provider.account(&server.account()), &[]).with_code(0);
    provider.refuse(Some("invalid_grant"));
    let report = test(&provider.account(&server.account()), &["--json"])
        .with_code(77)
        .json();
    assert_eq!(
        (&last(&report)["name"], &last(&report)["state"]),
        (&json!("sign-in"), &json!("failed"))
    );
}

#[test]
fn the_usual_confusions_are_told_apart() {
    let server = Catcher::start(Script::new());
    let at = |security| {
        let mut account = server.account();
        account["port"] = server.port(security).into();
        account
    };
    let mut wrong_password = server.account();
    wrong_password["password"] = "not-it".into();
    let mut tls_at_starttls = at(Security::StartTls);
    tls_at_starttls["starttls_enable"] = false.into();
    tls_at_starttls["properties"] = json!({ "mail.smtp.ssl.enable": true });
    let mut untrusted = server.account();
    untrusted.as_object_mut().expect("an object").shift_remove("ca_file");
    let mut nowhere = server.account();
    nowhere["host"] = "smtp.does-not-exist.invalid".into();
    let mut closed = server.account();
    closed["port"] = closed_port().into();
    for (what, account, code, check, words) in [
        ("a wrong password", wrong_password, 77, "sign-in", "did not accept"),
        ("TLS at a port for STARTTLS", tls_at_starttls, 78, "tls", "STARTTLS"),
        (
            "STARTTLS at a port for TLS",
            at(Security::Implicit),
            78,
            "greeting",
            "first byte",
        ),
        ("no STARTTLS", at(Security::Plain), 78, "tls", "does not offer STARTTLS"),
        ("an unknown authority", untrusted, 78, "tls", "ca_file"),
        ("no such name", nowhere, 75, "name", "does not resolve"),
        ("nobody listens", closed, 75, "connection", "587"),
    ] {
        let report = test(&account, &["--json"]).with_code(code).json();
        let last = last(&report);
        assert_eq!(
            (&last["name"], &last["state"]),
            (&json!(check), &json!("failed")),
            "{what}: {report:#}"
        );
        let said = format!("{} {}", last["found"], last["advice"]);
        assert!(said.contains(words), "{what}: {said}");
    }
}

/// A port that was free a moment ago.
fn closed_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

#[test]
fn where_nobody_answers_the_other_port_is_tried() {
    let address = ("127.0.0.87", 587);
    if std::net::TcpStream::connect(address).is_ok() {
        // This machine has a server there that answers at every address.
        return;
    }
    let server = Catcher::start(Script::new());
    let mut account = server.account();
    (account["host"], account["port"]) = (address.0.into(), address.1.into());
    let report = test(&account, &["--json"]).with_code(75).json();
    assert_eq!(last(&report)["name"], "connection", "{report:#}");
    let advice = last(&report)["advice"].as_str().unwrap_or_default();
    assert!(advice.starts_with("Port 465 of 127.0.0.87 "), "{report:#}");
}

#[test]
fn a_page_in_place_of_a_mail_server_is_told() {
    let page = Script::new().rule(Rule::at(At::Greeting).raw(*b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n"));
    let server = Catcher::start(page);
    let report = test(&server.account(), &["--json"]).with_code(78).json();
    assert!(
        last(&report)["found"]
            .as_str()
            .is_some_and(|found| found.contains("no mail server")),
        "{report:#}"
    );
}

#[test]
fn a_transcript_holds_the_dialogue_and_no_secret_even_from_a_server_that_echoes() {
    let echo = Action::Echo {
        code: "250 2.0.0".to_owned(),
        decoded: true,
    };
    let server = Catcher::start(Script::new().rule(Rule::at(At::Content).obey(true).act(echo)));
    let scratch = Scratch::new();
    scratch.write("accounts.json", server.account().to_string());
    scratch.write("pipeline.json", document(&[email(json!({}))]).to_string());
    let test = [
        "accounts",
        "test",
        "mail",
        "--accounts",
        "accounts.json",
        "--to",
        USER,
        "--transcript",
        "dialogue",
    ];
    for arguments in [
        &[
            "run",
            "pipeline.json",
            "--accounts",
            "accounts.json",
            "--transcript",
            "dialogue",
        ][..],
        &test,
    ] {
        scratch.pipepost(arguments);
        let text = std::fs::read_to_string(scratch.folder().join("dialogue")).expect("the transcript");
        for line in [
            " S: 220 ",
            " C: EHLO ",
            " C: STARTTLS",
            " * TLSv1.3 began",
            " C: AUTH PLAIN ***",
            " S: 235 ",
            " C: MAIL FROM:",
        ] {
            assert!(text.contains(line), "`{line}` is missing\n{text}");
        }
        let first = text.lines().next().expect("a line");
        assert!(
            first.starts_with("20") && first.contains("Z #1 * "),
            "a line begins with its time: {first}"
        );
        no_secret(&text);
    }
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(scratch.folder().join("dialogue"))
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

fn no_secret(text: &str) {
    use base64::Engine as _;
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    for form in [
        PASSWORD.to_owned(),
        base64(PASSWORD),
        base64(&format!("\0{USER}\0{PASSWORD}")),
    ] {
        assert!(!text.contains(&form), "it holds a secret, as `{form}`:\n{text}");
    }
}

#[test]
fn nothing_that_a_run_leaves_holds_a_secret() {
    let rotating = ProviderOptions {
        rotate: true,
        ..ProviderOptions::default()
    };
    let Some(provider) = Provider::start(&rotating) else {
        return;
    };
    // The first sign-in is refused, so that everything about tokens happens; every reply after it echoes what was said.
    let echo = || Action::Echo {
        code: "535 5.7.8".to_owned(),
        decoded: true,
    };
    let server = Catcher::start(Script::new().rule(Rule::at(At::SignIn).nth(1).act(echo())));
    server.take_tokens_of(provider.tokens());
    let scratch = Scratch::new()
        .secret(Provider::MARK)
        .variable("PIPEPOST_STORE", "accounts.age")
        .variable("PIPEPOST_STORE_KEY_FILE", "store.key")
        .variable("XDG_CACHE_HOME", "cache")
        .variable("TMPDIR", "temporary");
    std::fs::create_dir(scratch.folder().join("temporary")).expect("a writable folder");
    let second = {
        let mut account = server.account();
        account["label"] = "second".into();
        account
    };
    scratch.write(
        "accounts.json",
        json!([provider.account(&server.account()), second]).to_string(),
    );
    scratch
        .pipepost(&["accounts", "add", "--from", "accounts.json"])
        .with_code(0);
    std::fs::remove_file(scratch.folder().join("accounts.json")).expect("a file of our own");
    scratch.write("pipeline.json", document(&[email(json!({}))]).to_string());
    for format in ["text", "json"] {
        scratch
            .pipepost(&[
                "run",
                "pipeline.json",
                "-vv",
                "--log-format",
                format,
                "--transcript",
                "dialogue",
            ])
            .with_code(0);
    }
    for label in ["mail", "second"] {
        // The script refuses the first sign-in of the account that has nothing to renew.
        scratch.pipepost(&["accounts", "test", label, "--transcript", label, "-vv"]);
    }
    scratch.pipepost(&["accounts", "list"]).with_code(0);
    scratch.pipepost(&["accounts", "show", "mail"]).with_code(0);
    assert_eq!(server.messages().len(), 2);

    let mut files = Vec::new();
    files_below(scratch.folder(), &mut files);
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let bytes = std::fs::read(&file).expect("a file of ours");
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(Provider::MARK), "{} holds a token", file.display());
        no_secret(&text);
    }
}

fn files_below(folder: &std::path::Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of ours") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files_below(&path, files);
        } else {
            files.push(path);
        }
    }
}
