//! What `docs/operating.md` promises, and whether its examples still mean something to this binary.
#![cfg(unix)]

#[path = "packaging/container.rs"]
mod container;
#[path = "packaging/helm.rs"]
mod helm;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;

use pipepost_tests::{AccountFile, Running, Scratch, document, email, root, step};
use serde_json::{Value, json};

/// A place where nobody, not even root, can make a folder.
const NOWHERE: &str = "/dev/null/nowhere";

/// What a bare container gives a program: no home, no certificates.
fn bare(scratch: Scratch) -> Scratch {
    scratch
        .variable("HOME", NOWHERE)
        .variable("XDG_CACHE_HOME", NOWHERE)
        .variable("SSL_CERT_FILE", "/dev/null")
        .variable("SSL_CERT_DIR", NOWHERE)
}

/// An inbox that catches into `caught`, and a pipeline that sends to it.
fn inbox(scratch: &Scratch) -> Running {
    let inbox = scratch.start(&["inbox", "--listen", "127.0.0.1:0", "--dir", "caught"]);
    inbox.says("messages go to");
    let mut send = email(json!({ "from": "you@gmail.example" }));
    send["accountLabel"] = json!("inbox");
    scratch.write("pipeline.json", document(&[send]).to_string());
    inbox
}

fn account(scratch: &Scratch) -> Value {
    let path = scratch.folder().join("caught/account.json");
    serde_json::from_slice(&fs::read(path).expect("the inbox wrote it")).expect("JSON")
}

#[test]
fn without_home_cache_and_certificates_it_sends_with_the_built_in_set() {
    let scratch = bare(Scratch::new());
    let inbox = inbox(&scratch);
    let arguments = ["run", "pipeline.json", "--accounts", "caught/account.json"];
    let ending = scratch.pipepost(&arguments).with_code(0);
    assert_eq!(ending.json()["outcome"], "sent", "{ending}");

    // The built-in set is asked where the account's own authorities do not answer, and does not know this server.
    let mut stranger = account(&scratch);
    stranger.as_object_mut().expect("an object").shift_remove("ca_file");
    scratch.write("accounts.json", stranger.to_string());
    let arguments = ["run", "-v", "pipeline.json", "--accounts", "accounts.json"];
    scratch.pipepost(&arguments).with_code(78).says(&[
        "this machine has no trusted certificates: the built-in set is used",
        "signed by nobody this machine trusts",
    ]);
    inbox.interrupt().with_code(0).says(&["1 messages caught"]);
}

#[test]
fn a_run_needs_a_place_for_its_own_files_and_says_so() {
    let scratch = bare(Scratch::new()).variable("TMPDIR", NOWHERE);
    scratch.write("pipeline.json", document(&[email(json!({}))]).to_string());
    scratch.write(
        "accounts.json",
        AccountFile::starttls(("127.0.0.1", 9), "ca.pem".as_ref())
            .with("ca_file", Value::Null)
            .json()
            .to_string(),
    );
    scratch
        .run(&[])
        .with_code(78)
        .says(&["The run's directory cannot be made", NOWHERE]);
}

#[test]
fn a_credential_is_read_from_a_file_that_only_its_user_can_read() {
    let scratch = Scratch::new();
    let inbox = inbox(&scratch);
    let mut account = account(&scratch);
    let credential = scratch.write(
        "credentials/smtp-password",
        format!("{}\n", account["password"].as_str().expect("text")),
    );
    fs::set_permissions(&credential, fs::Permissions::from_mode(0o400)).expect("it is ours");
    account["password"] = json!(format!("${{file:{}}}", credential.display()));
    account["ca_file"] = json!("caught/ca.pem");
    scratch.write("accounts.json", account.to_string());
    let ending = scratch.run(&[]).with_code(0);
    assert_eq!(ending.json()["outcome"], "sent", "{ending}");
    // Nothing is in clear here, so there is nothing to warn of.
    assert!(!ending.stderr.contains("chmod"), "{ending}");
    inbox.interrupt().with_code(0);
}

/// A run that waits for the greeting of a server that never says one.
fn waiting() -> (Scratch, Running, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let account = AccountFile::starttls(("127.0.0.1", port), "ca.pem".as_ref()).with("ca_file", Value::Null);
    let scratch = Scratch::with(&document(&[email(json!({}))]), &account);
    let running = scratch.start(&[
        "run",
        "pipeline.json",
        "--accounts",
        "accounts.json",
        "--timeout",
        "none",
    ]);
    (scratch, running, listener)
}

#[test]
fn sigterm_and_sigint_end_a_run_in_order() {
    for signal in ["TERM", "INT"] {
        let (_scratch, running, listener) = waiting();
        // The connection is there, so the run waits for the server's word.
        let connection = listener.accept().expect("it connects");
        running.signal(signal);
        let ending = running.end(&[]).with_code(75).says(&[
            "ending: nothing new is sent",
            "interrupted; 0 sent, 1 failed, 0 uncertain.",
        ]);
        assert_eq!(ending.json()["attempted"], false, "{ending}");
        drop(connection);
    }
}

#[test]
fn sigterm_and_sigint_end_an_inbox() {
    for signal in ["TERM", "INT"] {
        let scratch = Scratch::new();
        let inbox = scratch.start(&["inbox", "--listen", "127.0.0.1:0"]);
        // Its first words: from there on it must be ready for both.
        inbox.says("listening on");
        inbox.signal(signal);
        inbox.end(&[]).with_code(0).says(&["0 messages caught"]);
    }
}

#[test]
fn an_inbox_ends_when_nobody_reads_it_any_more() {
    let scratch = Scratch::new();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let inbox = scratch.start_into(writer.into(), &["inbox", "--listen", "127.0.0.1:0"]);
    let mut lines = BufReader::new(reader);
    let mut first = String::new();
    lines.read_line(&mut first).expect("it says where it listens");
    assert!(first.starts_with("listening on "), "{first}");
    drop(lines);
    let ending = inbox.end(&[]).with_code(0);
    assert_eq!(ending.stderr, "inbox: 0 messages caught.\n", "{ending}");
}

#[test]
fn an_inbox_whose_output_is_a_file_goes_on() {
    let scratch = Scratch::new();
    let log = fs::File::create(scratch.folder().join("log")).expect("a file");
    let inbox = scratch.start_into(log.into(), &["inbox", "-v", "--listen", "127.0.0.1:0"]);
    inbox.complains("the inbox listens");
    let text = fs::read_to_string(scratch.folder().join("log")).expect("it is there");
    let (address, _) = text.split_once(" (STARTTLS)").expect("its first words");
    let address = address.trim_start_matches("listening on ");
    let greeted = TcpStream::connect(address).map(BufReader::new).expect("it listens");
    let greeting = greeted.lines().next().expect("a line").expect("it speaks");
    assert!(greeting.starts_with("220 "), "{greeting}");
    inbox.interrupt().with_code(0);
}

#[test]
fn a_second_run_of_an_execution_sends_only_what_was_not_sent() {
    let scratch = bare(Scratch::new());
    let inbox = inbox(&scratch);
    let arguments = [
        "run",
        "pipeline.json",
        "--accounts",
        "caught/account.json",
        "--execution",
        "report-1",
    ];
    // This home can hold no ledger, and nothing is sent without one.
    scratch
        .pipepost(&arguments)
        .with_code(78)
        .says(&["The state in `/dev/null/nowhere/.local/state/pipepost` cannot be used"]);
    let arguments = [&arguments[..], &["--state", "state"]].concat();
    assert_eq!(
        scratch.pipepost(&arguments).with_code(0).json()["replayed"],
        Value::Null
    );
    assert_eq!(scratch.pipepost(&arguments).with_code(0).json()["replayed"], true);
    let listed = scratch.pipepost(&["ledger", "list", "--state", "state"]).with_code(0);
    assert!(listed.stdout.starts_with("sent "), "{listed}");
    inbox.interrupt().with_code(0).says(&["1 messages caught"]);
}

#[test]
fn every_flag_and_variable_of_the_examples_is_one_of_the_binary() {
    let scratch = Scratch::new();
    let help = |command: &str| scratch.pipepost(&[command, "--help"]).with_code(0).stdout;
    let helps = [("run", help("run")), ("serve", help("serve")), ("inbox", help("inbox"))];
    let paths = scratch.pipepost(&["paths"]).with_code(0).stdout;
    let mut checked = 0;
    let folder = root().join("examples/operating");
    let mut texts = vec![fs::read_to_string(root().join("docs/operating.md")).expect("the guide")];
    for entry in fs::read_dir(&folder).expect("the examples") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            texts.push(fs::read_to_string(path).expect("text"));
        }
    }
    for line in texts.iter().flat_map(|text| text.lines()) {
        for (name, help) in &helps {
            // As a command line, or as the list of arguments that a compose file has.
            let begins = [format!("pipepost {name} "), format!("[\"{name}\", ")];
            let Some(command) = begins.iter().find_map(|begin| Some(line.split_once(begin)?.1)) else {
                continue;
            };
            let command = command.replace(['"', ',', ']'], " ");
            for flag in command.split_whitespace().filter(|word| word.starts_with("--")) {
                let flag = flag.trim_end_matches(['`', '.', ',']);
                assert!(help.contains(flag), "`{flag}` is no flag of `pipepost {name}`: {line}");
                checked += 1;
            }
        }
        for word in line.split(|c: char| !(c.is_ascii_uppercase() || c == '_')) {
            if let Some(name) = word.strip_prefix("PIPEPOST_").filter(|name| !name.is_empty()) {
                let variable = format!("PIPEPOST_{name}");
                assert!(
                    helps.iter().any(|(_, help)| help.contains(&variable)) || paths.contains(&variable),
                    "`{variable}` is unknown: {line}"
                );
                checked += 1;
            }
        }
    }
    assert!(checked >= 10, "only {checked} flags and variables were found");
}

/// Compose replaces `${...}` itself, and refuses what it does not know: a reference of ours has its `$` written twice.
#[test]
fn compose_leaves_references_to_pipepost() {
    let mut seen = 0;
    for entry in fs::read_dir(root().join("examples/operating")).expect("the examples") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !name.starts_with("compose") {
            continue;
        }
        seen += 1;
        let text = fs::read_to_string(&path).expect("text");
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            assert!(!line.replace("$$", "").contains('$'), "{name}: {line}");
        }
    }
    assert!(seen >= 2, "only {seen} compose files were found");
}

#[test]
fn the_served_example_checks() {
    let scratch = Scratch::new();
    let inbox = inbox(&scratch);
    let folder = root().join("examples/operating/pipelines");
    for entry in fs::read_dir(&folder).expect("the examples") {
        let path = entry.expect("an entry").path();
        let path = path.to_str().expect("text");
        scratch
            .pipepost(&["check", path, "--accounts", "caught/account.json"])
            .with_code(0);
    }
    inbox.interrupt().with_code(0);
}

#[test]
fn the_accounts_of_the_examples_are_read() {
    let scratch = Scratch::new();
    let text = fs::read_to_string(root().join("examples/operating/accounts.json")).expect("the example");
    scratch.write("accounts.json", &text);
    let label = serde_json::from_str::<Value>(&text).expect("JSON")["label"].clone();
    let mut send = step(
        "email-connector-v2",
        json!({ "to": "ann@example.test", "from": "bob@example.test" }),
    );
    send["accountLabel"] = label;
    scratch.write("pipeline.json", document(&[send]).to_string());
    scratch
        .pipepost(&["check", "pipeline.json", "--accounts", "accounts.json"])
        .with_code(0);
}
