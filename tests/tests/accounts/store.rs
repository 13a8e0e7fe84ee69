//! `pipepost accounts`: the encrypted store.

use std::fs;

use pipepost_inbox::Script;
use pipepost_tests::{Answer, Catcher, PASSWORD, Scratch, USER, document, email};
use serde_json::{Value, json};

/// A scratch whose store is `accounts.age`, opened by `store.key`.
fn scratch() -> Scratch {
    Scratch::new()
        .variable("PIPEPOST_STORE", "accounts.age")
        .variable("PIPEPOST_STORE_KEY_FILE", "store.key")
}

fn add(scratch: &Scratch) {
    let set = format!("username={USER}");
    scratch
        .pipepost_with_input(
            &[
                "accounts",
                "add",
                "mail",
                "--set",
                "preset=gmail",
                "--set",
                &set,
                "--password-stdin",
            ],
            &format!("{PASSWORD}\n"),
        )
        .with_code(0)
        .says(&["Keep a copy"]);
}

#[test]
fn accounts_are_added_shown_changed_and_removed_and_no_secret_is_seen() {
    let scratch = scratch();
    add(&scratch);
    let account = scratch.pipepost(&["accounts", "show", "mail"]).with_code(0).json();
    assert_eq!(
        (&account["password"], &account["username"]),
        (&json!("***"), &json!(USER))
    );

    scratch
        .pipepost(&[
            "accounts",
            "edit",
            "mail",
            "--set",
            "limits.messages_per_day=400",
            "--set",
            "from_name=Ada",
        ])
        .with_code(0);
    scratch.pipepost(&["accounts", "copy", "mail", "other"]).with_code(0);
    scratch.pipepost(&["accounts", "rename", "other", "third"]).with_code(0);
    let list = scratch.pipepost(&["accounts", "list", "--json"]).with_code(0).json();
    let labels: Vec<&Value> = list.as_array().into_iter().flatten().map(|one| &one["label"]).collect();
    assert_eq!(labels, ["mail", "third"]);
    scratch.pipepost(&["accounts", "remove", "third"]).with_code(0);
    scratch
        .pipepost(&["accounts", "show", "third"])
        .with_code(78)
        .says(&["third", "mail"]);

    // What is exported is what was put in.
    scratch
        .pipepost(&["accounts", "export", "mail", "--output", "exported.json"])
        .with_code(0);
    let exported: Value = serde_json::from_slice(&fs::read(scratch.folder().join("exported.json")).expect("a file"))
        .expect("an accounts file");
    assert_eq!(exported[0]["password"], PASSWORD);
    assert_eq!(exported[0]["from_name"], "Ada");
    for name in ["exported.json", "accounts.age", "store.key"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(scratch.folder().join(name))
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let sealed = fs::read(scratch.folder().join("accounts.age")).expect("the store");
    assert!(sealed.starts_with(b"age-encryption.org/v1\n"));
    assert!(
        !sealed
            .windows(PASSWORD.len())
            .any(|window| window == PASSWORD.as_bytes())
    );
}

#[test]
fn what_is_missing_is_asked_for_at_a_terminal_and_the_password_is_not_shown() {
    let plain = |question, answer| Answer {
        question,
        answer,
        secret: false,
    };
    let password = Answer {
        question: "Password (for Gmail",
        answer: PASSWORD,
        secret: true,
    };
    for (label, first, host) in [
        ("preset", vec![plain("Provider (gmail", "gmail")], None),
        (
            "own",
            vec![
                plain("Provider (gmail", ""),
                plain("Host of the server", "mail.example.test"),
                plain("Port (587", "587"),
            ],
            Some("mail.example.test"),
        ),
    ] {
        let scratch = scratch();
        let answers = [first, vec![plain("User name", USER), password]].concat();
        let Some(shown) = scratch.at_terminal(&["accounts", "add", label], true, &answers) else {
            return;
        };
        assert_eq!(shown.code, 0, "{}", shown.screen);
        assert!(
            shown.screen.contains(USER),
            "what is no secret is shown: {}",
            shown.screen
        );
        assert!(!shown.screen.contains(PASSWORD), "{}", shown.screen);
        let stored = scratch.pipepost(&["accounts", "show", label]).with_code(0).json();
        assert_eq!(stored["username"], USER, "{stored:#}");
        assert_eq!(stored["host"].as_str(), host, "{stored:#}");
        scratch
            .pipepost(&["accounts", "export", label, "--output", "exported.json"])
            .with_code(0);
        let exported = fs::read(scratch.folder().join("exported.json")).expect("a file");
        let exported: Value = serde_json::from_slice(&exported).expect("an accounts file");
        assert_eq!(exported[0]["password"], PASSWORD);
    }
}

#[test]
fn a_terminal_that_is_not_the_standard_input_is_not_asked() {
    let scratch = scratch();
    let set = format!("username={USER}");
    for arguments in [
        &["accounts", "add", "mail"][..],
        &["accounts", "add", "mail", "--set", "preset=gmail", "--set", &set],
    ] {
        let Some(shown) = scratch.at_terminal(arguments, false, &[]) else {
            return;
        };
        assert_ne!(shown.code, 0, "{}", shown.screen);
        for question in ["Provider (gmail", "Password (for"] {
            assert!(!shown.screen.contains(question), "{}", shown.screen);
        }
    }
}

#[test]
fn a_secret_in_an_argument_and_a_question_without_a_terminal_are_refused() {
    let scratch = scratch();
    for argument in ["password=hunter2", "client_secret=x", "environments.test.password=x"] {
        let ending = scratch
            .pipepost(&["accounts", "add", "mail", "--set", "preset=gmail", "--set", argument])
            .with_code(64)
            .says(&["--password-stdin"]);
        ending.is_a_sentence("a secret in an argument");
        assert!(!ending.stderr.contains("hunter2"), "{ending}");
    }
    scratch
        .pipepost(&["accounts", "add", "mail"])
        .with_code(64)
        .says(&["terminal"]);
    // A reference is no secret, and the operator has to allow it.
    let add = [
        "accounts",
        "add",
        "mail",
        "--set",
        "preset=gmail",
        "--set",
        "username=you@gmail.com",
        "--set",
        "password=${env:GMAIL}",
    ];
    scratch
        .pipepost(&add)
        .with_code(78)
        .says(&["environment variable GMAIL", "--policy"]);
    let policy = json!({ "stored_accounts": { "mail": { "variables": ["GMAIL"] } } });
    scratch.write("policy.json", policy.to_string());
    scratch
        .pipepost(&[&add[..], &["--policy", "policy.json"]].concat())
        .with_code(0);
    let keyless = Scratch::new().variable("PIPEPOST_STORE", "accounts.age");
    keyless
        .pipepost(&["accounts", "list"])
        .with_code(78)
        .says(&["--key-file"]);
}

#[test]
fn a_wrong_key_and_a_damaged_store_say_so_and_change_nothing() {
    let scratch = scratch();
    add(&scratch);
    let path = scratch.folder().join("accounts.age");
    let whole = fs::read(&path).expect("the store");
    scratch.write("passphrase", "not the one");
    let other = ["accounts", "list", "--passphrase-file", "passphrase"];
    let bare = Scratch::new();
    bare.write("accounts.age", &whole);
    bare.write("passphrase", "not the one");
    bare.pipepost(&[&other[..], &["--store", "accounts.age"]].concat())
        .with_code(78)
        .says(&["closed with a key"]);

    let mut altered = whole.clone();
    *altered.last_mut().expect("bytes") ^= 1;
    for damaged in [&altered[..], &whole[..whole.len() - 20]] {
        fs::write(&path, damaged).expect("a writable folder");
        for command in [&["accounts", "list"][..], &["accounts", "remove", "mail"]] {
            scratch.pipepost(command).with_code(78).says(&["damaged"]);
        }
        assert_eq!(fs::read(&path).expect("the store"), damaged);
    }
}

#[test]
fn a_run_takes_accounts_from_the_store_beside_those_of_files() {
    let server = Catcher::start(Script::new());
    let scratch = scratch();
    scratch.write("accounts.json", server.account().to_string());
    scratch
        .pipepost(&["accounts", "add", "--from", "accounts.json"])
        .with_code(0);
    fs::remove_file(scratch.folder().join("accounts.json")).expect("a file of our own");
    scratch.write("pipeline.json", document(&[email(json!({}))]).to_string());
    let ending = scratch.pipepost(&["run", "pipeline.json"]).with_code(0);
    assert_eq!(ending.json()["outcome"], "sent", "{ending}");
    assert_eq!(server.messages().len(), 1);
    scratch.pipepost(&["check", "pipeline.json"]).with_code(0);
}

#[test]
fn an_account_of_the_store_reads_nothing_that_the_operator_did_not_allow() {
    let server = Catcher::start(Script::new());
    let scratch = scratch().variable("SMTP_PASSWORD", PASSWORD);
    let secrets = scratch.folder().canonicalize().expect("a folder").join("secrets");
    scratch.write("secrets/password", PASSWORD);
    scratch.write("pipeline.json", document(&[email(json!({}))]).to_string());
    let file = format!("${{file:{}}}", secrets.join("password").display());
    for (reference, key, value) in [
        ("${env:SMTP_PASSWORD}", "variables", json!(["SMTP_PASSWORD"])),
        (file.as_str(), "folders", json!([secrets])),
    ] {
        let mut account = server.account();
        account["password"] = reference.into();
        scratch.write("accounts.json", account.to_string());
        let policy = |label: &str| json!({ "stored_accounts": { label: { key: value } } }).to_string();
        let run = ["run", "pipeline.json", "--policy", "policy.json"];
        let add = ["accounts", "add", "--from", "accounts.json", "--policy", "policy.json"];

        // Neither when it is added, without a word of the policy or with one on another label ...
        for text in ["{}".to_owned(), policy("other")] {
            scratch.write("policy.json", text);
            let ending = scratch.pipepost(&add).with_code(78).says(&["stored_accounts", key]);
            ending.is_a_sentence("a reference that is not allowed");
        }
        scratch.write("policy.json", policy("mail"));
        scratch.pipepost(&add).with_code(0);
        let before = server.messages().len();
        scratch.pipepost(&run).with_code(0);
        assert_eq!(server.messages().len(), before + 1);
        // ... nor when it is used, after the policy changed.
        scratch.write("policy.json", "{}");
        let ending = scratch.pipepost(&run).with_code(78).says(&["stored_accounts", key]);
        ending.is_a_sentence("a reference that is not allowed any more");
        scratch
            .pipepost(&["accounts", "test", "mail"])
            .with_code(78)
            .says(&["stored_accounts"]);
        assert_eq!(server.messages().len(), before + 1);
        // The operator's own file may hold it.
        scratch.pipepost(&["accounts", "remove", "mail"]).with_code(0);
        scratch.run(&[]).with_code(0);
        assert_eq!(server.messages().len(), before + 2);
    }
}

#[test]
fn the_schema_of_policies_knows_the_accounts_of_the_store() {
    let schema = scratch().pipepost(&["schema", "policy"]).with_code(0).json();
    let stored = &schema["properties"]["stored_accounts"]["additionalProperties"]["properties"];
    for key in ["folders", "variables", "keyring_entries"] {
        assert!(stored[key].is_object(), "{schema:#}");
    }
}

#[test]
fn what_a_reference_stood_for_is_not_seen_by_a_document() {
    let server = Catcher::start(Script::new());
    let planted = "PLANTED-name@example.test";
    let scratch = Scratch::new().secret("PLANTED-name").variable("SECRET", planted);
    let mut account = server.account();
    account["from"] = "${env:SECRET}".into();
    scratch.write("accounts.json", account.to_string());
    for field in ["from", "From"] {
        let step = email(json!({ "subject": format!("{{{{ account.mail.{field} }}}}") }));
        scratch.write("pipeline.json", document(&[step]).to_string());
        scratch.run(&[]).with_code(78).says(&["exposed_fields"]);
    }
    // A connector does not see it either, so the step has no sender but its own.
    scratch.write(
        "pipeline.json",
        document(&[email(json!({ "from": "own@example.test" }))]).to_string(),
    );
    scratch.run(&[]).with_code(0).says(&["\"from\" to \"exposed_fields\""]);

    account["exposed_fields"] = json!(["from"]);
    let scratch = Scratch::new().variable("SECRET", planted);
    scratch.write("accounts.json", account.to_string());
    scratch.write("pipeline.json", document(&[email(json!({ "from": null }))]).to_string());
    let ending = scratch.run(&[]).with_code(0);
    assert!(ending.stdout.contains(planted), "{ending}");
}
